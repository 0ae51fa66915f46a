"""Which clock a US post office goes by: for scans that state a local time and no offset.

By the first three digits of the ZIP where a scan has one, else by its state. Where a border runs through a prefix the
larger part decides. # source: USPS's ZIP prefixes by state and the zone borders of 49 CFR part 71, from general
knowledge; facts/usps.md 3.3 asks for this only as the last resort before a bare date.
"""

from functools import cache, lru_cache
from zoneinfo import ZoneInfo

EASTERN, CENTRAL, MOUNTAIN, PACIFIC = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
PHOENIX, ALASKA, HAWAII = "America/Phoenix", "America/Anchorage", "Pacific/Honolulu"
CARIBBEAN, GUAM, SAMOA = "America/Puerto_Rico", "Pacific/Guam", "Pacific/Pago_Pago"

# (last prefix, zone), ascending.
BY_PREFIX = (
    (5, EASTERN), (9, CARIBBEAN), (323, EASTERN), (325, CENTRAL), (349, EASTERN), (372, CENTRAL), (374, EASTERN),
    (375, CENTRAL), (379, EASTERN), (397, CENTRAL), (419, EASTERN), (424, CENTRAL), (462, EASTERN), (464, CENTRAL),
    (475, EASTERN), (477, CENTRAL), (499, EASTERN), (576, CENTRAL), (577, MOUNTAIN), (585, CENTRAL), (586, MOUNTAIN),
    (588, CENTRAL), (599, MOUNTAIN), (692, CENTRAL), (693, MOUNTAIN), (797, CENTRAL), (834, MOUNTAIN), (835, PACIFIC),
    (837, MOUNTAIN), (838, PACIFIC), (847, MOUNTAIN), (865, PHOENIX), (885, MOUNTAIN), (961, PACIFIC), (968, HAWAII),
    (969, GUAM), (978, PACIFIC), (979, MOUNTAIN), (994, PACIFIC), (999, ALASKA),
)  # fmt: skip

STATES = {
    EASTERN: "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV",
    CENTRAL: "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    MOUNTAIN: "CO ID MT NM UT WY",
    PACIFIC: "CA NV OR WA",
    PHOENIX: "AZ",
    ALASKA: "AK",
    HAWAII: "HI",
    CARIBBEAN: "PR VI",
    GUAM: "GU MP",
    SAMOA: "AS",
    "Pacific/Pohnpei": "FM",
    "Pacific/Majuro": "MH",
    "Pacific/Palau": "PW",
}
BY_STATE = {state: name for name, states in STATES.items() for state in states.split()}

# Nothing known of the place: the clock USPS's own systems name (facts/usps.md 2.3), at most two hours off in 48 states.
ANYWHERE = CENTRAL


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def zone(zip_code: str, state: str) -> ZoneInfo | None:
    """The zone of a ZIP, else of a state; None where neither is known."""
    prefix = zip_code[:3]
    if len(prefix) == 3 and prefix.isascii() and prefix.isdigit() and prefix != "000":
        if zip_code.startswith("96799"):
            return _zone(SAMOA)
        return _zone(next(name for last, name in BY_PREFIX if int(prefix) <= last))
    name = BY_STATE.get(state.upper())
    return _zone(name) if name else None


def anywhere() -> ZoneInfo:
    return _zone(ANYWHERE)
