"""The clocks of a return: which moment, until when, and the fallback, on local days."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from merchants.arrivals import checking_days, checking_ends
from merchants.terms import ClockName, Fallback, Judged, ReturnWindow, default_for
from returns.clocks import Moments, deadline, in_time, silent_until, unused_until

ROME, NEW_YORK = ZoneInfo("Europe/Rome"), ZoneInfo("America/New_York")
EU, US = default_for("ups").returns, default_for("usps").returns


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


MOMENTS = Moments(
    purchased=at("2026-03-01T10:00+01:00"),
    shipped=at("2026-03-02T18:00+01:00"),
    delivered=at("2026-03-04T11:00+01:00"),
    scan="D/FS@2026-03-04T10:00:00Z",
)


def test_policy_28_thirty_days_from_delivery_end_with_the_local_day():
    """Delivered on 4 March: the last day is 3 April, to its end in Rome, across the change of the clocks."""
    found = deadline(EU.send, MOMENTS, ROME)
    assert found.ends == at("2026-04-04T00:00+02:00")
    assert (found.clock, found.fell_back, found.scan) == (ClockName.DELIVERED, False, MOMENTS.scan)
    assert not found.is_over(at("2026-04-03T23:59+02:00")) and found.is_over(at("2026-04-04T00:00+02:00"))
    assert "delivery scan is of 2026-03-04; 30 days end 2026-04-03 23:59 Europe/Rome" in found.because


def test_policy_29_from_purchase_says_so():
    """The other reading of the shop's text is another clock, and the answer names it."""
    window = ReturnWindow(
        days=30,
        clock=ClockName.PURCHASED,
        judged_by=Judged.REGISTRATION,
        fallback=Fallback(clock=ClockName.SHIPPED, days=10),
    )
    found = deadline(window, MOMENTS, ROME)
    assert (found.clock, found.ends) == (ClockName.PURCHASED, at("2026-04-01T00:00+02:00"))


def test_policy_30_31_two_clocks_from_receipt():
    """72 hours to the minute, and 15 days to the end of the day, both from the delivery scan."""
    assert US.contact
    assert deadline(US.contact, MOMENTS, NEW_YORK).ends == at("2026-03-07T10:00+00:00")
    assert deadline(US.send, MOMENTS, NEW_YORK).ends == at("2026-03-20T00:00-04:00")


def test_without_a_delivery_scan_the_stated_fallback_counts():
    """Shipped on 2 March plus 10 days plus 30: the answer says that it fell back."""
    found = deadline(EU.send, replace(MOMENTS, delivered=None, scan=""), ROME)
    assert (found.clock, found.fell_back, found.scan) == (ClockName.SHIPPED, True, "")
    assert found.ends == at("2026-04-12T00:00+02:00")
    assert "no delivery scan came, so 10 days are added to when it was shipped, on 2026-03-02" in found.because


def test_a_clock_that_has_not_begun_is_never_over():
    """Nothing shipped: no end."""
    found = deadline(EU.send, Moments(MOMENTS.purchased), ROME)
    assert found.ends is None and not found.is_over(at("2030-01-01T00:00+00:00"))


@pytest.mark.parametrize("start", ["2026-03-28T23:30+01:00", "2026-10-24T23:30+02:00", "2028-02-28T23:30+01:00"])
def test_the_last_day_is_a_whole_local_day(start):
    """Across clock changes and leap days the window ends at a local midnight."""
    found = deadline(EU.send, replace(MOMENTS, delivered=at(start)), ROME)
    assert found.ends
    local = found.ends.astimezone(ROME)
    assert (local.hour, local.minute) == (0, 0)
    assert local.date() - datetime.fromisoformat(start).date() == timedelta(days=31)


def test_policy_32_judged_by_the_acceptance_scan_and_never_by_arrival():
    """Handed over on the last day is in time however late it arrives; nobody can say before a scan came."""
    ends = deadline(US.send, MOMENTS, NEW_YORK).ends
    last = at("2026-03-19T23:59-04:00")
    assert in_time(ends, Judged.ACCEPTANCE, MOMENTS.purchased, last) is True
    assert in_time(ends, Judged.ACCEPTANCE, MOMENTS.purchased, at("2026-03-20T00:00-04:00")) is False
    assert in_time(ends, Judged.ACCEPTANCE, MOMENTS.purchased, None) is None
    assert in_time(ends, Judged.REGISTRATION, last, at("2026-12-01T00:00+00:00")) is True
    assert in_time(None, Judged.REGISTRATION, last, None) is None


@pytest.mark.parametrize(
    ("delivered", "hours_end"),
    [
        ("2026-03-06T12:00-05:00", "2026-03-09T13:00-04:00"),  # the clocks go forward on 8 March
        ("2026-10-30T12:00-04:00", "2026-11-02T11:00-05:00"),  # and back on 1 November
        ("2028-02-27T23:59-05:00", "2028-03-01T23:59-05:00"),  # a leap year
        ("2026-12-30T08:00-05:00", "2027-01-02T08:00-05:00"),
    ],
)
def test_72_hours_are_hours_whatever_the_clocks_do(delivered, hours_end):
    assert US.contact
    moments = replace(MOMENTS, delivered=at(delivered))
    assert deadline(US.contact, moments, NEW_YORK).ends == at(hours_end)


@pytest.mark.parametrize(
    ("delivered", "last_day"),
    [
        ("2026-01-31T12:00+01:00", "2026-03-02"), ("2026-12-31T23:59+01:00", "2027-01-30"),
        ("2028-01-31T00:00+01:00", "2028-03-01"),
    ],
)  # fmt: skip
def test_thirty_days_across_the_ends_of_months(delivered, last_day):
    """Calendar days, not months: the last one is told."""
    found = deadline(EU.send, replace(MOMENTS, delivered=at(delivered)), ROME)
    assert f"30 days end {last_day} 23:59 Europe/Rome" in found.because


def test_the_fallback_is_in_wall_clock_days():
    """Shipped in winter time, ten days over the change of the clocks: still the same hour, and the day is right."""
    moments = replace(MOMENTS, shipped=at("2026-03-25T23:30+01:00"), delivered=None)
    found = deadline(EU.send, moments, ROME)
    assert found.ends == at("2026-05-05T00:00+02:00")
    purchased = EU.send.model_copy(update={"fallback": Fallback(clock=ClockName.PURCHASED, days=5)})
    assert deadline(purchased, moments, ROME).clock is ClockName.PURCHASED


def test_a_window_from_receipt_and_one_from_purchase_name_their_clock():
    """Receipt is proved by the delivery scan, and is told as receipt."""
    found = deadline(US.send, MOMENTS, NEW_YORK)
    assert (found.clock, found.scan) == (ClockName.RECEIVED, MOMENTS.scan)


@pytest.mark.parametrize(
    ("terms", "arrived", "first", "last"),
    [
        ("ups", "2026-03-02T10:00+01:00", "2026-03-05", "2026-03-11"),  # Monday
        ("ups", "2026-03-06T10:00+01:00", "2026-03-11", "2026-03-17"),  # Friday
        ("ups", "2026-04-02T10:00+02:00", "2026-04-08", "2026-04-14"),  # before Easter Monday
        ("ups", "2026-12-23T23:30+01:00", "2026-12-29", "2027-01-05"),  # Christmas, St Stephen's, New Year
        ("ups", "2026-03-01T23:30+00:00", "2026-03-05", "2026-03-11"),  # Monday already in Rome
        ("usps", "2026-11-24T10:00-05:00", "2026-11-30", "2026-12-04"),  # Thanksgiving
        ("usps", "2026-07-01T10:00-04:00", "2026-07-07", "2026-07-13"),  # Independence Day, kept on Friday
    ],
)
def test_policy_53_three_to_seven_business_days_after_arrival(terms, arrived, first, last):
    """The warehouse's own days and holidays; the day of arrival never counts."""
    found = checking_days(default_for(terms), at(arrived))
    assert [day.isoformat() for day in found] == [first, last]
    ends = checking_ends(default_for(terms), at(arrived)).astimezone(default_for(terms).zone)
    assert (ends.date() - timedelta(days=1)).isoformat() == last and (ends.hour, ends.minute) == (0, 0)


@pytest.mark.parametrize(
    ("arrived", "factor", "last"),
    [
        ("2026-11-19T10:00+01:00", "2", "2026-11-30"),  # the day before peak
        ("2026-11-20T10:00+01:00", "2", "2026-12-11"),
        ("2027-01-15T10:00+01:00", "2", "2027-02-04"),  # peak reaches over the end of the year
        ("2027-01-18T10:00+01:00", "2", "2027-01-27"),
        ("2026-11-20T10:00+01:00", "1.5", "2026-12-07"),  # 7 times 1.5 is 10.5: begun days are whole
    ],
)
def test_at_peak_the_days_are_stretched(arrived, factor, last):
    """A factor of the terms for what arrives within the peak; 8 December is a holiday in Italy."""
    terms = default_for("ups")
    after = terms.after_arrival.model_copy(update={"peak_factor": Decimal(factor)})
    found = checking_days(terms.model_copy(update={"after_arrival": after}), at(arrived))
    assert found[1].isoformat() == last


def test_an_unused_label_ends_with_its_last_day_and_silence_after_its_days():
    terms = default_for("ups")
    assert unused_until(terms, at("2026-03-02T10:00+01:00")) == at("2026-06-01T00:00+02:00")
    assert silent_until(terms, at("2026-03-02T10:00+01:00")) == at("2026-03-22T10:00+01:00")
