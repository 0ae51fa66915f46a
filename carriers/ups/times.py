"""UPS's dates and times, in all the shapes seen, turned into instants.

Track sends `gmtOffset` with a colon, Track Alert with a dot; GMT times come as HH:MM:SS, HHMMSS or with a lost leading
zero; older answers and Mail Innovations lack the GMT fields altogether.  # source: facts/ups.md 4.2, 6.2, 12.3
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from carriers.contract import Precision

_OFFSET = re.compile(r"([+-]?)(\d{1,2})[:.]?(\d{2})?")
_QUARTER = timedelta(minutes=15)
_FARTHEST = timedelta(hours=14)

# Countries that keep one clock, so a local time is an instant there. Those of more than one zone are left out on
# purpose (ES, PT, US, CA, MX, BR, AU...).
ONE_ZONE = {
    "AD": "Europe/Andorra", "AT": "Europe/Vienna", "BE": "Europe/Brussels", "BG": "Europe/Sofia", "CH": "Europe/Zurich",
    "CZ": "Europe/Prague", "DE": "Europe/Berlin", "DK": "Europe/Copenhagen", "EE": "Europe/Tallinn",
    "FI": "Europe/Helsinki", "FR": "Europe/Paris", "GB": "Europe/London", "GR": "Europe/Athens", "HR": "Europe/Zagreb",
    "HU": "Europe/Budapest", "IE": "Europe/Dublin", "IS": "Atlantic/Reykjavik", "IT": "Europe/Rome",
    "LI": "Europe/Vaduz", "LT": "Europe/Vilnius", "LU": "Europe/Luxembourg", "LV": "Europe/Riga", "MC": "Europe/Monaco",
    "MT": "Europe/Malta", "NL": "Europe/Amsterdam", "NO": "Europe/Oslo", "PL": "Europe/Warsaw",
    "RO": "Europe/Bucharest", "RS": "Europe/Belgrade", "SE": "Europe/Stockholm", "SI": "Europe/Ljubljana",
    "SK": "Europe/Bratislava",
    "SM": "Europe/San_Marino", "TR": "Europe/Istanbul", "VA": "Europe/Vatican", "PR": "America/Puerto_Rico",
    "HK": "Asia/Hong_Kong", "IL": "Asia/Jerusalem", "IN": "Asia/Kolkata", "JP": "Asia/Tokyo", "KR": "Asia/Seoul",
    "SG": "Asia/Singapore", "TW": "Asia/Taipei", "AE": "Asia/Dubai", "SA": "Asia/Riyadh", "ZA": "Africa/Johannesburg",
}  # fmt: skip


class Moment(NamedTuple):
    """When a scan was made: the instant, the wall time there where its offset is known, and the local day."""

    at: datetime
    local: datetime | None
    day: date
    precision: Precision = Precision.SECOND


# Looked up once: twenty scans of every answer pass here.
_read, _made, SECOND = datetime.fromisoformat, tuple.__new__, Precision.SECOND


def moment(
    gmt_day: str | None, gmt_time: str | None, day: str | None, time: str | None, offset: str | None, country: str = ""
) -> Moment | None:
    """The moment of a scan from UPS's five fields and its country; None where not even a date can be read."""
    at, wall, zone = instant(gmt_day, gmt_time), instant(day, time), _zone(offset) if offset else None
    if at is not None:
        return _from_gmt(at.replace(tzinfo=UTC), wall, zone)
    if wall is not None:
        return _from_wall(wall, zone or _country_zone(country))
    return _from_day(day_of(day) or day_of(gmt_day), zone or _country_zone(country))


def stated(
    gmt_day: str | None, gmt_time: str | None, day: str | None, time: str | None, offset: str | None
) -> Moment | None:
    """The moment where all five fields are as UPS documents them, in one step each; None where any is not."""
    if not offset or not time or not gmt_time or len(gmt_time) not in (6, 8) or len(time) not in (6, 8):
        return None
    try:
        local = _read(f"{day}T{time}{offset.replace('.', ':') if '.' in offset else offset}")
        at = _read(f"{gmt_day}T{gmt_time}+00:00")
    except ValueError:
        return None
    return _made(Moment, (at, local, local.date(), SECOND))


def _from_gmt(at: datetime, wall: datetime | None, zone: timezone | None) -> Moment:
    if wall is None:
        local = at.astimezone(zone) if zone else None
        return Moment(at, local, (local or at).date())
    if zone is None:
        ahead = wall - at.replace(tzinfo=None)
        zone = timezone(ahead) if abs(ahead) <= _FARTHEST and not ahead % _QUARTER else None
    return Moment(at, wall.replace(tzinfo=zone) if zone else None, wall.date())


def _from_wall(wall: datetime, zone: tzinfo | None) -> Moment:
    if zone is None:  # the day is all that can be relied on  # source: facts/ups.md 4.2
        return Moment(wall.replace(tzinfo=UTC), None, wall.date())
    local = wall.replace(tzinfo=zone)
    local = local.replace(tzinfo=timezone(local.utcoffset() or timedelta()))
    return Moment(local.astimezone(UTC), local, wall.date())


def _from_day(day: date | None, zone: tzinfo | None) -> Moment | None:
    if day is None:
        return None
    start = datetime(day.year, day.month, day.day, tzinfo=zone or UTC)
    return Moment(start.astimezone(UTC), None, day, Precision.DAY)


def instant(day: str | None, time: str | None) -> datetime | None:
    """A naive date and time to the second, or None where either is missing or cannot be one."""
    if not day or not time:
        return None
    try:
        found = datetime.fromisoformat(f"{day}T{time}")
    except ValueError:
        return _odd(day.strip(), time.strip())
    return found.replace(tzinfo=None, microsecond=0) if found.tzinfo or found.microsecond else found


def _odd(day: str, time: str) -> datetime | None:
    """The same for blanks around, and for times that lost their leading zeros: 74700, 7:47."""
    if time.isdecimal():
        time = time.rjust(6, "0")
    elif time[1:2] == ":":
        time = f"0{time}"
    try:
        return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=None, microsecond=0)
    except ValueError:
        return None


def day_of(text: str | None) -> date | None:
    """A date written YYYYMMDD or YYYY-MM-DD, or None."""
    if not text or len(text) < 8:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def clock_time(text: str | None) -> str:
    """A time of day as "HH:MM", or an empty text."""
    found = instant("20000101", (text or "").strip())
    return f"{found:%H:%M}" if found else ""


@lru_cache(maxsize=256)
def _zone(offset: str) -> timezone | None:
    """A fixed offset from `+01:00`, `-04.00` or `+0100`; None where it is junk."""
    found = _OFFSET.fullmatch(offset.strip())
    if not found:
        return None
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(-ahead if found[1] == "-" else ahead) if ahead <= _FARTHEST else None


@lru_cache(maxsize=256)
def _country_zone(country: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(ONE_ZONE[country]) if country in ONE_ZONE else None
    except ZoneInfoNotFoundError:  # a machine without zone data: the time stays without a zone
        return None
