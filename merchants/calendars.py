"""Business days, delivery days and the ends of local days: arithmetic on dates, pure and safe across clock changes."""

import importlib
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


def is_business_day(day: date, days: Collection[int], holidays_code: str = "") -> bool:
    """Whether a day is one of the week's `days` (Monday = 0) and no holiday of the country."""
    return day.weekday() in days and not (holidays_code and day in holidays(holidays_code, day.year))


def add_business_days(day: date, count: int, days: Collection[int], holidays_code: str = "") -> date:
    """The `count`-th business day after a day; `day` itself never counts. A count of 0 is the day itself."""
    for _ in range(count):
        day = delivery_day_after(day, days, holidays_code)
    return day


def delivery_day_after(day: date, days: Collection[int], holidays_code: str = "") -> date:
    """The first business day after a day."""
    if not days:
        raise ValueError("a week needs at least one business day")
    day += DAY
    while not is_business_day(day, days, holidays_code):
        day += DAY
    return day


def business_days_between(start: date, end: date, days: Collection[int], holidays_code: str = "") -> int:
    """How many business days come after `start`, up to and including `end`."""
    span = (start + DAY * n for n in range(1, (end - start).days + 1))
    return sum(is_business_day(day, days, holidays_code) for day in span)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The calendar day of an instant at a place."""
    return instant.astimezone(zone).date()


def end_of_local_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a local day is over: the next day's first, in UTC. Days of 23 and 25 hours are right too."""
    return datetime.combine(day + DAY, time.min, zone).astimezone(UTC)


@cache
def holidays(code: str, year: int) -> frozenset[date]:
    """The public holidays of a country ("IT") or a part of it ("US-NY"). Raises ValueError for an unknown one.

    Opened on first use: the library takes 0.25 s to import, and a command that needs no holidays must not wait for it.
    """
    library = importlib.import_module("holidays")
    country, _, part = code.partition("-")
    try:
        return frozenset(library.country_holidays(country, subdiv=part or None, years=year))
    except NotImplementedError as error:
        raise ValueError(f"no calendar of holidays for {code!r}") from error
