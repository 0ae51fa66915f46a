"""The clocks of a return: which moment started one, when it runs out, and why, in words. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from merchants.calendars import DAY, end_of_local_day, local_day
from merchants.terms import ClockName, Judged, ReturnWindow, Terms


@dataclass(frozen=True, slots=True)
class Moments:
    """When things happened to what was bought. `scan` is the event that proves the delivery."""

    purchased: datetime
    shipped: datetime | None = None
    delivered: datetime | None = None
    scan: str = ""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a window runs out. `ends` is the first instant that is too late; None: the clock has not started."""

    clock: ClockName
    fell_back: bool
    started: datetime | None
    ends: datetime | None
    scan: str
    because: str

    def is_over(self, at: datetime) -> bool:
        return self.ends is not None and at >= self.ends


def deadline(window: ReturnWindow, moments: Moments, zone: ZoneInfo) -> Deadline:
    """The end of a window for what happened so far. Receipt is the delivery scan, or the collection that ends it."""
    clock = ClockName(window.clock)
    if clock is ClockName.PURCHASED:
        return _ends(window, clock, moments.purchased, "", zone, "the order was placed on")
    if moments.delivered:
        return _ends(window, clock, moments.delivered, moments.scan, zone, "the carrier's delivery scan is of")
    return _fallback(window, moments, zone)


def in_time(ends: datetime | None, judged_by: Judged, registered: datetime, accepted: datetime | None) -> bool | None:
    """Whether what a window asks for happened before it ran out; None: it has not happened, or nobody can say yet.

    A return is judged by the carrier's acceptance scan where the terms say so, never by its arrival.  # policy 32
    """
    judged = registered if judged_by is Judged.REGISTRATION else accepted
    return None if ends is None or judged is None else judged < ends


def unused_until(terms: Terms, created: datetime) -> datetime:
    """The end of the last day on which an unused label, or a return that never set out, still stands."""
    return end_of_local_day(local_day(created, terms.zone) + DAY * terms.label.valid_days, terms.zone)


def silent_until(terms: Terms, last_scan: datetime) -> datetime:
    """When a parcel on its way of which nothing more is heard counts as lost."""
    return last_scan + timedelta(days=terms.loss.silent_days)


def _fallback(window: ReturnWindow, moments: Moments, zone: ZoneInfo) -> Deadline:
    """No delivery was ever scanned: the stated other moment, plus the stated days."""
    named = ClockName(window.fallback.clock)
    start = moments.shipped if named is ClockName.SHIPPED else moments.purchased
    if start is None:
        return Deadline(named, True, None, None, "", "nothing has shipped yet, so the time has not begun")
    words = f"no delivery scan came, so {window.fallback.days} days are added to when it was {named}, on"
    # wall-clock days, so that the hour stays the same across a change of the clocks
    later = (start.astimezone(zone) + DAY * window.fallback.days).astimezone(start.tzinfo)
    return _ends(window, named, start, "", zone, words, counted_from=later)


def _ends(
    window: ReturnWindow,
    clock: ClockName,
    start: datetime,
    scan: str,
    zone: ZoneInfo,
    words: str,
    *,
    counted_from: datetime | None = None,
) -> Deadline:
    begin = counted_from or start
    if window.hours is not None:
        ends, length = begin + timedelta(hours=window.hours), f"{window.hours} hours"
    else:
        assert window.days is not None
        ends, length = end_of_local_day(local_day(begin, zone) + DAY * window.days, zone), f"{window.days} days"
    because = f"{words} {local_day(start, zone).isoformat()}; {length} end {_local_end(ends, zone)}"
    return Deadline(clock, counted_from is not None, start, ends, scan, because)


def _local_end(ends: datetime, zone: ZoneInfo) -> str:
    """The last moment that is still in time, as a person writes it."""
    last = (ends - timedelta(minutes=1)).astimezone(zone)
    return last.strftime("%Y-%m-%d %H:%M") + f" {zone.key}"
