"""What truly happens to parcels: scripts made from outcomes, in our own words, one table per carrier.

The outcome is written first and by hand; the steps are what people along the way would have seen. Nothing here knows a
carrier's code: each stand-in has its own table from these words to what its carrier says.
"""

from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum

UPS, USPS = "ups", "usps"


class Where(StrEnum):
    ORIGIN = "origin"
    ORIGIN_HUB = "origin_hub"
    MIDDLE_HUB = "middle_hub"
    DESTINATION_HUB = "destination_hub"
    DESTINATION = "destination"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing seen: `day` working days after the start, then `wait` calendar days, then `more` working days."""

    word: str
    where: Where
    day: int
    at: time
    wait: int = 0
    more: int = 0
    again: int = 0  # the carrier now plans the delivery this many working days later
    keep: int = 0  # it is kept for the receiver this many calendar days


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth. `visits` are the working days of failed attempts (None: one that the carrier never told of)."""

    leg: str
    status: str
    visits: tuple[int | None, ...] = ()
    final: bool = False
    case: str | None = None
    reason: str | None = None
    ended_by: str = ""  # the word of the step that ended it at a door


@dataclass(frozen=True, slots=True)
class Journey:
    name: str
    carrier: str
    is_return: bool
    outcome: Outcome
    steps: tuple[Step, ...]
    quiet_days: int = 0
    destination: str = ""


def working_day(carrier: str, start: date, step: Step) -> date:
    """The date of a step. UPS rests on Saturday and Sunday (source: product.md 1), USPS on Sunday."""
    rest = {5, 6} if carrier == UPS else {6}
    day = _forward(start, step.day, rest) + timedelta(days=step.wait)
    while step.wait and day.weekday() in rest:
        day += timedelta(days=1)
    return _forward(day, step.more, rest)


def _forward(day: date, count: int, rest: set[int]) -> date:
    while count:
        day += timedelta(days=1)
        count -= day.weekday() not in rest
    return day


def visit_days(journey: Journey, start: date) -> tuple[date | None, ...]:
    """The local dates of the failed attempts, straight from the outcome."""
    rest = {5, 6} if journey.carrier == UPS else {6}
    return tuple(None if visit is None else _forward(start, visit, rest) for visit in journey.outcome.visits)


# ------------------------------------------------------------------------------------------------------------- the ways

FROM, OH, MH, DH, D, N = (
    Where.ORIGIN, Where.ORIGIN_HUB, Where.MIDDLE_HUB, Where.DESTINATION_HUB, Where.DESTINATION, Where.NOWHERE,
)  # fmt: skip
Steps = tuple[Step, ...]


def _s(
    word: str, where: Where, day: int, at: str, *, wait: int = 0, more: int = 0, again: int = 0, keep: int = 0
) -> Step:
    return Step(word, where, day, time.fromisoformat(at), wait, more, again, keep)


# What happens after the sender asks for a parcel back, counted from that day. Source: facts/ups.md 7.4.
ASKED_BACK, WITHDRAWN = "asked_back", "withdrawn"

LABEL = _s("label", FROM, 0, "00:00:00")  # the label is made the moment the parcel starts, whatever the hour

UPS_TO_HUB: Steps = (
    LABEL, _s("pickup", FROM, 1, "17:40:11"), _s("origin", OH, 1, "19:31:05"), _s("depart", OH, 1, "22:15:48"),
    _s("hub", MH, 2, "06:20:33"),
)  # fmt: skip
UPS_WAY: Steps = (
    *UPS_TO_HUB, _s("depart", MH, 2, "21:10:09"), _s("arrive", DH, 3, "04:50:52"), _s("prepare", DH, 3, "05:40:17"),
)  # fmt: skip
UPS_OUT: Steps = (*UPS_WAY, _s("load", DH, 3, "07:22:40"), _s("out", D, 3, "08:12:06"))

USPS_TO_HUB: Steps = (
    LABEL, _s("manifest", FROM, 1, "00:30:00"), _s("pickup", FROM, 1, "15:12:00"), _s("origin", OH, 1, "20:47:31"),
    _s("depart", OH, 2, "03:05:12"), _s("filler", N, 2, "14:00:00"), _s("hub", MH, 2, "19:26:44"),
)  # fmt: skip
USPS_WAY: Steps = (
    *USPS_TO_HUB, _s("depart", MH, 3, "02:18:20"), _s("filler", N, 3, "11:00:00"), _s("hub", DH, 3, "22:41:03"),
    _s("arrive", D, 4, "05:55:10"),
)  # fmt: skip
USPS_OUT: Steps = (*USPS_WAY, _s("out", D, 4, "07:10:25"))

# A customer's return travels the same ways; UPS comes once in vain to fetch it: a collection, no delivery attempt.
UPS_RETURN: Steps = (
    LABEL, _s("collection_missed", FROM, 1, "15:05:31"), _s("dropoff", FROM, 2, "10:20:44"),
    _s("origin", OH, 2, "19:31:05"), _s("depart", OH, 2, "22:15:48"), _s("hub", MH, 3, "06:20:33"),
    _s("depart", MH, 3, "21:10:09"), _s("arrive", DH, 4, "04:50:52"), _s("out", D, 4, "08:12:06"),
)  # fmt: skip
USPS_RETURN: Steps = (
    LABEL, _s("dropoff", FROM, 2, "16:45:00"), _s("origin", OH, 2, "21:50:10"), _s("filler", N, 3, "12:00:00"),
    _s("hub", MH, 3, "20:11:13"),
    _s("hub", DH, 4, "19:05:52"), _s("arrive", D, 5, "06:15:07"), _s("out", D, 5, "07:33:41"),
)  # fmt: skip


def _ups_home(day: int, wait: int = 0, *, turn: str = "turn", closed: bool = False) -> Steps:
    """The way back to the sender; `turn` is the word that announces it ("" where UPS never says so)."""
    steps = [
        _s(turn, DH, day, "09:05:14", wait=wait, more=1),
        _s("depart", DH, day, "20:30:37", wait=wait, more=1),
        _s("hub", MH, day, "06:45:20", wait=wait, more=2),
        _s("arrive", OH, day, "05:20:58", wait=wait, more=3),
        _s("miss_home", FROM, day, "15:45:09", wait=wait, more=3),
        _s("home", FROM, day, "10:30:26", wait=wait, more=4),
    ]
    return tuple(step for step in steps if step.word and (closed or step.word != "miss_home"))


def _usps_home(day: int, wait: int = 0, *, turn: str = "turn") -> Steps:
    return (
        _s(turn, D, day, "10:22:00", wait=wait, more=1),
        _s("hub", DH, day, "21:12:39", wait=wait, more=1),
        _s("filler", N, day, "13:00:00", wait=wait, more=2),
        _s("hub", MH, day, "04:30:45", wait=wait, more=3),
        _s("arrive", FROM, day, "06:40:18", wait=wait, more=4),
        _s("home", FROM, day, "11:15:00", wait=wait, more=4),
    )


# --------------------------------------------------------------------------------------------------------- the journeys

DELIVERED = Outcome("out", "delivered", ended_by="deliver")
ON_HOLD = Outcome("out", "on_hold")
LOST = Outcome("out", "lost")
UNUSED = Outcome("out", "label_created")
BOUNCED = Outcome("back", "delivered", ended_by="home")  # a return that turns round is no return to warehouse


def _visited(*visits: int, by: str = "deliver") -> Outcome:
    return Outcome("out", "delivered", visits, ended_by=by)


RECALLED = Outcome("back", "delivered", (), False, "arrived", "recalled_by_shipper", "home")
RECALL: Steps = _ups_home(0, turn="recalled")


def _home(reason: str, *visits: int | None, final: bool = False) -> Outcome:
    return Outcome("back", "delivered", visits, final, "arrived", reason, "home")


def _ended(leg: str, status: str, case: str, reason: str, *visits: int, final: bool = False, by: str = "") -> Outcome:
    return Outcome(leg, status, visits, final, case, reason, by)


def _journey(
    carrier: str,
    name: str,
    outcome: Outcome,
    steps: Steps,
    *,
    is_return: bool = False,
    quiet_days: int = 0,
    to: str = "",
) -> Journey:
    return Journey(name, carrier, is_return, outcome, steps, quiet_days, to)


_UPS = (
    _journey(UPS, "delivered_first_time", DELIVERED, (*UPS_OUT, _s("deliver", D, 3, "14:03:27"))),
    _journey(UPS, "delivered_second_attempt", _visited(3), (
        *UPS_OUT, _s("miss_first", D, 3, "12:01:08", again=1), _s("miss_same_visit", D, 3, "12:14:55"),
        _s("out", D, 4, "08:20:31"), _s("deliver", D, 4, "11:47:02"))),
    _journey(UPS, "three_attempts_home", _home("failed_delivery_attempts", 3, 4, 5, final=True), (
        *UPS_OUT, _s("miss_first", D, 3, "12:01:08", again=1), _s("out", D, 4, "08:20:31"),
        _s("miss_second", D, 4, "14:15:03", again=1), _s("out", D, 5, "08:31:12"), _s("miss_final", D, 5, "16:40:44"),
        *_ups_home(5, closed=True))),
    _journey(UPS, "final_without_earlier_scans", _home("failed_delivery_attempts", None, None, 5, final=True), (
        *UPS_WAY, _s("miss_final", D, 5, "16:40:44"), *_ups_home(5, turn=""))),
    _journey(UPS, "refused", _home("refused"), (*UPS_OUT, _s("refuse", D, 3, "11:20:19"), *_ups_home(3, closed=True))),
    _journey(UPS, "bad_address", _home("insufficient_address"), (
        *UPS_OUT, _s("wrong_address", D, 3, "10:02:50"), *_ups_home(3))),
    _journey(UPS, "unclaimed", _home("unclaimed", 3), (
        *UPS_OUT, _s("miss", D, 3, "13:00:36"), _s("held", DH, 4, "09:10:05", keep=7), *_ups_home(4, 8))),
    _journey(UPS, "final_attempt_no_return_scan",
        _ended("out", "undeliverable", "expected", "failed_delivery_attempts", 3, 4, 5, final=True), (
        *UPS_OUT, _s("miss_first", D, 3, "12:01:08", again=1), _s("out", D, 4, "08:20:31"),
        _s("miss_second", D, 4, "14:15:03", again=1), _s("out", D, 5, "08:31:12"), _s("miss_final", D, 5, "16:40:44"))),
    _journey(UPS, "access_point_runs_out", _ended("out", "undeliverable", "expected", "unclaimed", 3), (
        *UPS_OUT, _s("miss_to_point", D, 3, "12:30:18"), _s("at_point", D, 3, "17:45:53", keep=7)), quiet_days=16),
    _journey(UPS, "return_under_way", _ended("back", "in_transit", "under_way", "refused"), (
        *UPS_OUT, _s("refuse", D, 3, "11:20:19"), *_ups_home(3)[:3])),
    _journey(UPS, "address_corrected", _ended(
        "out", "delivered", "cancelled", "insufficient_address", by="deliver"), (
        *UPS_OUT, _s("wrong_address", D, 3, "10:02:50"), _s("corrected", DH, 3, "16:44:02", again=1),
        _s("out", D, 4, "08:20:31"), _s("deliver", D, 4, "11:47:02"))),
    _journey(UPS, "recalled_by_shipper", RECALLED, (
        *UPS_WAY, _s(ASKED_BACK, DH, 3, "06:50:12"), *_ups_home(3, turn="recalled"))),
    _journey(UPS, "recall_withdrawn", _ended("out", "delivered", "cancelled", "recalled_by_shipper", by="deliver"), (
        *UPS_WAY, _s("recalled", DH, 3, "06:50:12"), _s(WITHDRAWN, DH, 3, "13:05:38"),
        _s("out", D, 4, "08:20:31"), _s("deliver", D, 4, "11:47:02"))),
    _journey(UPS, "access_point_collected", _visited(3, by="collected"), (
        *UPS_OUT, _s("miss_to_point", D, 3, "12:30:18"), _s("at_point", D, 3, "17:45:53", keep=7),
        _s("collected", D, 5, "18:10:09"))),
    _journey(UPS, "access_point_unclaimed_back", _home("unclaimed", 3), (
        *UPS_OUT, _s("miss_to_point", D, 3, "12:30:18"), _s("at_point", D, 3, "17:45:53", keep=7),
        *_ups_home(3, 8, turn="point_expired"))),
    _journey(UPS, "weather_delay", DELIVERED, (
        *UPS_WAY, _s("weather", DH, 3, "06:30:01"), _s("rescheduled", DH, 3, "16:05:27", again=1),
        _s("delay", DH, 3, "22:11:40"), _s("out", D, 4, "08:20:31"), _s("deliver", D, 4, "12:36:48"))),
    _journey(UPS, "lost", LOST, (*UPS_TO_HUB, _s("search", MH, 6, "09:15:22"), _s("lost", MH, 9, "15:00:10"))),
    _journey(UPS, "damaged", ON_HOLD, (*UPS_TO_HUB, _s("damage", MH, 2, "19:48:33"))),
    _journey(UPS, "customs_hold", ON_HOLD, (*UPS_WAY, _s("customs", DH, 3, "09:33:15")), to="zurich"),
    _journey(UPS, "label_never_used", UNUSED, (LABEL,), is_return=True, quiet_days=10),
    _journey(UPS, "return_delivered", DELIVERED, (*UPS_RETURN, _s("deliver", D, 4, "09:41:36")), is_return=True),
    _journey(UPS, "return_bounces", BOUNCED, (
        *UPS_RETURN, _s("refuse", D, 4, "09:41:36"), *_ups_home(4)), is_return=True),
)  # fmt: skip

# source: facts/usps.md 4.3: one notice, then a hold of about 15 days; further attempts only when the receiver asks.
# The clock hours are chosen so that, in the west, an evening visit and the next morning's fall on one UTC day.
_USPS = (
    _journey(USPS, "delivered_first_time", DELIVERED, (*USPS_OUT, _s("deliver", D, 4, "14:03:27"))),
    _journey(USPS, "delivered_second_attempt", _visited(4), (
        *USPS_OUT, _s("miss", D, 4, "17:20:08", keep=15, again=1), _s("miss_same_visit", D, 4, "17:29:30", keep=15),
        _s("out", D, 5, "07:05:44"), _s("deliver", D, 5, "10:52:15"))),
    _journey(USPS, "three_attempts_home", _home("failed_delivery_attempts", 4, 5, 6), (
        *USPS_OUT, _s("miss", D, 4, "17:20:08", keep=15), _s("redelivery", D, 4, "19:02:00", again=1),
        _s("out", D, 5, "07:05:44"), _s("miss", D, 5, "09:30:21", keep=15), _s("redelivery", D, 5, "12:40:00", again=1),
        _s("out", D, 6, "07:15:06"), _s("miss", D, 6, "13:10:57", keep=15), *_usps_home(6))),
    _journey(USPS, "refused", _home("refused"), (*USPS_OUT, _s("refuse", D, 4, "11:20:19"), *_usps_home(4))),
    _journey(USPS, "bad_address", _home("insufficient_address"), (
        *USPS_WAY, _s("wrong_address", D, 4, "10:02:50"), *_usps_home(4))),
    _journey(USPS, "unclaimed", _home("unclaimed", 4), (
        *USPS_OUT, _s("miss", D, 4, "17:20:08", keep=15), _s("held", D, 5, "09:12:00", keep=14),
        _s("reminder", D, 4, "06:00:00", wait=5, keep=10), *_usps_home(4, 15, turn="unclaimed"))),
    _journey(USPS, "refused_no_return_scan", _ended("out", "undeliverable", "expected", "refused"), (
        *USPS_OUT, _s("refuse", D, 4, "11:20:19"))),
    _journey(USPS, "hold_runs_out", _ended("out", "undeliverable", "expected", "unclaimed", 4), (
        *USPS_OUT, _s("miss", D, 4, "17:20:08", keep=15), _s("held", D, 5, "09:12:00", keep=14),
        _s("reminder", D, 4, "06:00:00", wait=5, keep=10)), quiet_days=24),
    _journey(USPS, "return_under_way", _ended("back", "in_transit", "under_way", "insufficient_address"), (
        *USPS_WAY, _s("wrong_address", D, 4, "10:02:50"), *_usps_home(4)[:3])),
    _journey(USPS, "address_corrected", _ended(
        "out", "delivered", "cancelled", "insufficient_address", by="deliver"), (
        *USPS_WAY, _s("wrong_address", D, 4, "10:02:50"), _s("forward", D, 4, "15:20:40", again=1),
        _s("arrive", D, 5, "05:55:10"), _s("out", D, 5, "07:10:25"), _s("deliver", D, 5, "12:36:48"))),
    _journey(USPS, "weather_delay", DELIVERED, (
        *USPS_WAY, _s("weather", D, 4, "06:30:01"), _s("rescheduled", D, 4, "16:05:27", again=1),
        _s("out", D, 5, "07:05:44"), _s("deliver", D, 5, "12:36:48"))),
    _journey(USPS, "lost", LOST, (*USPS_TO_HUB, _s("search", MH, 8, "09:15:22"), _s("lost", MH, 12, "15:00:10"))),
    _journey(USPS, "damaged", ON_HOLD, (*USPS_TO_HUB, _s("damage", MH, 3, "01:48:33"))),
    _journey(USPS, "customs_hold", ON_HOLD, (*USPS_TO_HUB, _s("customs", DH, 4, "09:33:15")), to="toronto"),
    _journey(USPS, "label_never_used", UNUSED, (LABEL,), is_return=True, quiet_days=10),
    _journey(USPS, "return_delivered", DELIVERED, (*USPS_RETURN, _s("deliver", D, 5, "09:41:36")), is_return=True),
    _journey(USPS, "return_bounces", BOUNCED, (
        *USPS_RETURN, _s("refuse", D, 5, "09:41:36"), *_usps_home(5)), is_return=True),
)  # fmt: skip

JOURNEYS: dict[tuple[str, str], Journey] = {(each.carrier, each.name): each for each in (*_UPS, *_USPS)}


def journey(carrier: str, name: str) -> Journey:
    """The script of that name. Raises ValueError with the names that this carrier has."""
    try:
        return JOURNEYS[carrier, name]
    except KeyError:
        names = ", ".join(each for owner, each in JOURNEYS if owner == carrier)
        raise ValueError(
            f"no journey {name!r} at {carrier!r}; it has: {names or 'nothing, the carrier is unknown'}"
        ) from None
