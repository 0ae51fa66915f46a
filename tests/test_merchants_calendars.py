"""Business days and local days: weekends, holidays, month ends and clock changes."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merchants.calendars import (
    add_business_days,
    business_days_between,
    delivery_day_after,
    end_of_local_day,
    is_business_day,
    local_day,
)

MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)


def test_weekends_and_holidays_are_no_business_days():
    """A Saturday is none; 1 May 2026, a Friday, is none in Italy but one where no holidays are stated."""
    assert not is_business_day(date(2026, 5, 2), MONDAY_TO_FRIDAY)
    assert not is_business_day(date(2026, 5, 1), MONDAY_TO_FRIDAY, "IT")
    assert is_business_day(date(2026, 5, 1), MONDAY_TO_FRIDAY)


def test_counting_crosses_weekends_holidays_and_years():
    """Business days are counted over the end of a year with its holidays."""
    assert add_business_days(date(2026, 12, 23), 3, MONDAY_TO_FRIDAY, "IT") == date(2026, 12, 29)
    assert add_business_days(date(2026, 12, 31), 1, MONDAY_TO_FRIDAY, "IT") == date(2027, 1, 4)
    assert delivery_day_after(date(2026, 3, 6), MONDAY_TO_FRIDAY) == date(2026, 3, 9)
    assert add_business_days(date(2026, 3, 7), 0, MONDAY_TO_FRIDAY) == date(2026, 3, 7)


@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)), st.integers(0, 60))
def test_counting_there_and_back_agree(day, count):
    """The n-th business day after a day has n business days between."""
    end = add_business_days(day, count, MONDAY_TO_FRIDAY)
    assert business_days_between(day, end, MONDAY_TO_FRIDAY) == count


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)])
def test_a_local_day_ends_right_on_clock_changes(day, hours):
    """Rome's days of 23, 25 and 24 hours end at the next local midnight."""
    rome = ZoneInfo("Europe/Rome")
    length = end_of_local_day(day, rome) - end_of_local_day(day - timedelta(1), rome)
    assert length == timedelta(hours=hours)
    assert local_day(end_of_local_day(day, rome), rome) == day + timedelta(1)
    assert local_day(end_of_local_day(day, rome) - timedelta(microseconds=1), rome) == day


def test_the_day_depends_on_the_place():
    """One instant is two days in New York and Rome."""
    instant = datetime(2026, 3, 4, 3, tzinfo=UTC)
    assert local_day(instant, ZoneInfo("America/New_York")) == date(2026, 3, 3)
    assert local_day(instant, ZoneInfo("Europe/Rome")) == date(2026, 3, 4)


def test_an_unknown_country_is_a_clear_error():
    """A calendar nobody has is an error that names the code."""
    with pytest.raises(ValueError, match="XX"):
        is_business_day(date(2026, 3, 3), MONDAY_TO_FRIDAY, "XX")


def test_terms_and_calendars_do_not_load_the_holidays_library():
    """The library costs a quarter of a second: whoever needs no holidays does not pay."""
    code = "import sys, merchants.calendars, merchants.terms; sys.exit('holidays' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
