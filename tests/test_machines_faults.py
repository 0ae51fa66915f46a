"""Facts about faults that come in many places at once: an answer cut at any byte, every change of the clocks."""

import contextlib
import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import httpx
import pytest

from carriers.contract import Bought, Payload, Source, Unknown
from carriers.ups.labels import bought as judged
from carriers.usps import labels, reading
from carriers.usps.connect import Usps
from merchants.calendars import end_of_local_day, local_day
from tests.test_usps_labels import REQUEST, flat, multipart
from tests.test_usps_labels import usps as usps
from tests.ups import REFERENCE, bought

CLOCKS = {  # a ZIP code where each clock of the US goes
    "America/New_York": "10001",
    "America/Chicago": "60601",
    "America/Denver": "80202",
    "America/Phoenix": "85001",
    "America/Los_Angeles": "90001",
    "America/Anchorage": "99501",
    "Pacific/Honolulu": "96813",
}


def test_an_answer_of_ups_that_is_cut_anywhere_proves_nothing() -> None:
    """At every single byte: unknown, never bought and never refused. The whole of it is a label."""
    whole = json.dumps(bought()).encode()
    assert isinstance(judged(whole, REFERENCE), Bought)
    cuts = [at for at in range(len(whole)) if not isinstance(judged(whole[:at], REFERENCE), Unknown)]
    assert cuts == []


@pytest.mark.parametrize("answer", [flat(), multipart()], ids=["flat", "multipart"])
async def test_an_answer_of_usps_that_is_cut_anywhere_proves_nothing(usps: Usps, answer: httpx.Response) -> None:
    """At every single byte, between the parts too: no label is read out of it. Only the newline at its end may go."""
    intent, whole = labels.Intent.of(usps.prepare_label(REQUEST)), answer.content
    assert labels.label(answer, intent).number
    read = []
    for at in range(len(whole.rstrip())):
        with contextlib.suppress(labels.Unlike):
            read.append((at, labels.label(httpx.Response(200, content=whole[:at], headers=answer.headers), intent)))
    assert read == []


def changes(zone: ZoneInfo) -> list[datetime]:
    """Every instant from 2024 to 2030 at which the clocks of a zone are changed."""
    hours = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(7 * 8766)]
    return [b for a, b in pairwise(hours) if a.astimezone(zone).utcoffset() != b.astimezone(zone).utcoffset()]


@pytest.mark.parametrize("name", CLOCKS)
def test_days_and_scans_are_right_at_every_change_of_the_clocks(name: str) -> None:
    """Seven years of every clock of the US: a local day is as long as it is there, holds its own instants and no
    others, and a scan at the door's local time is the instant that it was."""
    zone = ZoneInfo(name)
    for change in changes(zone) or [datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(2028, 2, 29, 12, tzinfo=UTC)]:
        day = change.astimezone(zone).date()
        for each in (day - timedelta(days=1), day, day + timedelta(days=1)):
            begins, ends = end_of_local_day(each - timedelta(days=1), zone), end_of_local_day(each, zone)
            turned = begins.astimezone(zone).utcoffset() - ends.astimezone(zone).utcoffset()  # type: ignore[operator]
            assert ends - begins == timedelta(days=1) + turned
            assert local_day(begins, zone) == local_day(ends - timedelta(microseconds=1), zone) == each
        for hours in range(-26, 27):
            at = change + timedelta(hours=hours)
            local = at.astimezone(zone)
            (event,) = reading.read(_scan(local, CLOCKS[name])).events
            assert event.day == local.date()
            # the hour that comes twice has two instants: either is the clock's, nothing else is
            assert event.at in {at, local.replace(fold=1 - local.fold).astimezone(UTC)}, (at, event.at)


def test_leap_days_are_days() -> None:
    """29 February is a local day like any other, in leap years alone; nothing falls between it and the next."""
    rome = ZoneInfo("Europe/Rome")
    for year, last in ((2024, 29), (2026, 28), (2028, 29), (2100, 28)):
        end = end_of_local_day(date(year, 2, last), rome)
        assert local_day(end, rome) == date(year, 3, 1)
        assert local_day(end - timedelta(microseconds=1), rome) == date(year, 2, last)


def _scan(local: datetime, zip_code: str) -> Payload:
    """What USPS tells of a scan in the local time of its place, without an offset."""
    event = {
        "eventType": "Arrived at USPS Facility",
        "eventTimestamp": local.strftime("%Y-%m-%dT%H:%M:%S"),
        "eventCode": "10",
        "eventZIP": zip_code,
        "eventCity": "X",
    }
    body = {"trackingNumber": "9202090123456700000015", "trackingEvents": [event]}
    return Payload("usps", Source.POLL, json.dumps([body]).encode(), ("9202090123456700000015",))
