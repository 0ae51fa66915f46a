"""How long the warehouse takes once a return has arrived: business days of its own, longer at peak. Pure."""

from datetime import date, datetime
from decimal import ROUND_CEILING

from merchants.calendars import add_business_days, end_of_local_day, local_day
from merchants.terms import AfterArrival, Terms


def checking_days(terms: Terms, arrived: datetime) -> tuple[date, date]:
    """The first and the last day on which a return that arrived then is decided. The day of arrival never counts."""
    rows, house, day = terms.after_arrival, terms.warehouse, local_day(arrived, terms.zone)
    first, last = (
        add_business_days(day, stretched(rows, count, day), house.days, house.holidays)
        for count in (rows.min_business_days, rows.max_business_days)
    )
    return first, last


def checking_ends(terms: Terms, arrived: datetime) -> datetime:
    """The first instant at which a return that arrived then has waited too long."""
    return end_of_local_day(checking_days(terms, arrived)[1], terms.zone)


def stretched(rows: AfterArrival, count: int, day: date) -> int:
    """So many business days as the terms state, times their factor when the return arrived at peak."""
    if not is_peak(rows, day):
        return count
    return int((count * rows.peak_factor).to_integral_value(ROUND_CEILING))


def is_peak(rows: AfterArrival, day: date) -> bool:
    """Whether a day is in one of the spans of the terms; a span may reach over the end of the year."""
    at = day.strftime("%m-%d")
    return any(start <= at <= end if start <= end else at >= start or at <= end for start, end in rows.peak)
