"""The clocks of a return: which moment, until when, and the fallback, on local days."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from merchants.terms import ClockName, Fallback, Judged, ReturnWindow, default_for
from returns.clocks import Moments, deadline

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
