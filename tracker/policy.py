"""What follows from a parcel under a shop's terms at a given time: status, attempts left, the case home, what to say.

Pure: `conclude(parcel, terms, now)` reads no clock and no database. Time itself makes conclusions too (a hold runs
out), so every conclusion says when it has to be drawn again (`review_at`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from zoneinfo import ZoneInfo

from merchants.calendars import is_business_day
from merchants.terms import Terms
from tracker.lifecycle import ENDED, Attempt, Evidence, HomeReason, Leg, Parcel, Purpose, Status, Turn, local_offset


class CaseState(StrEnum):
    """How far a parcel is on its way back to the warehouse."""

    EXPECTED = "expected"
    REQUESTED = "requested"
    LEFT_TO_CARRIER = "left_to_carrier"
    UNDER_WAY = "under_way"
    ARRIVED = "arrived"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Case:
    """The parcel's way back to the warehouse: one per parcel that is not itself a return."""

    state: CaseState
    reason: HomeReason
    since: datetime
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A day that has passed at `at`, after which the carrier sends the parcel back unless somebody takes it."""

    at: datetime
    rule: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something worth telling once: `name` is unique for the parcel, so judging again cannot say it twice."""

    name: str
    type: str
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What follows. `rows` pairs each ledger row with whether it was outside the shop's delivery days."""

    parcel: Parcel
    terms: str  # "boutique-eu 2026-01-01"
    status: Status
    max: int | None
    exhausted: bool
    rows: tuple[tuple[Attempt, bool], ...]
    case: Case | None
    passed: Deadline | None  # the date that made it undeliverable
    late: bool  # past the window that was promised
    review_at: datetime | None

    @property
    def leg(self) -> Leg:
        return self.parcel.leg


# A parcel in one of these waits for somebody; a passed date ends the waiting.
_WAITING = frozenset({Status.ATTEMPT_FAILED, Status.AVAILABLE_FOR_PICKUP, Status.IN_TRANSIT, Status.ON_HOLD})


def conclude(parcel: Parcel, terms: Terms, now: datetime) -> Conclusion:
    """The shop's conclusion about a parcel at `now` (aware)."""
    limit = terms.attempts.max
    exhausted = parcel.final or (limit is not None and parcel.count >= limit)
    dates = sorted(deadlines(parcel, terms), key=lambda d: (d.at, d.rule))
    passed = (
        next((d for d in dates if d.at <= now), None) if parcel.leg is Leg.OUT and parcel.status in _WAITING else None
    )
    status = parcel.status
    if parcel.leg is Leg.OUT and (passed or (status is Status.ATTEMPT_FAILED and exhausted)):
        status = Status.UNDELIVERABLE
    ended = parcel.status in ENDED
    promise = _end_of(parcel.promised, parcel, terms) if parcel.promised else None
    is_late = promise is not None and promise <= now and not ended and parcel.leg is Leg.OUT
    reviews = [d.at for d in dates if d.at > now] + ([promise] if promise and promise > now else [])
    return Conclusion(
        parcel=parcel,
        terms=f"{terms.name} {terms.version}",
        status=status,
        max=limit,
        exhausted=exhausted,
        rows=tuple((row, _off_calendar(row, terms)) for row in parcel.attempts),
        case=None if parcel.purpose is Purpose.RETURN else _case(parcel, limit, dates, now),
        passed=passed,
        late=is_late,
        review_at=None if ended else min(reviews, default=None),
    )


def deadlines(parcel: Parcel, terms: Terms) -> Iterator[Deadline]:
    """The days after which the carrier returns the parcel: stated by it, or its known hold after the first attempt.

    source: facts/usps.md 4.3 (about 15 days, 5 for Express), facts/ups.md 4.1 (pickupByDate); terms hold the numbers.
    """
    if parcel.return_by:
        yield Deadline(_end_of(parcel.return_by.day, parcel, terms), "return_date_passed", (parcel.return_by.source,))
    if parcel.pickup_by and (parcel.leg is Leg.BACK or parcel.status is Status.AVAILABLE_FOR_PICKUP):
        yield Deadline(_end_of(parcel.pickup_by.day, parcel, terms), "pickup_date_passed", (parcel.pickup_by.source,))
    hold = terms.attempts.hold_days_express if parcel.express else terms.attempts.hold_days
    first = next((row for row in parcel.attempts if row.counted and row.day), None)
    if hold is not None and first and first.day:
        yield Deadline(_end_of(first.day + timedelta(days=hold), parcel, terms), "hold_run_out", first.evidence)


def _end_of(day: date, parcel: Parcel, terms: Terms) -> datetime:
    """The instant at which a local day at the delivery place is over."""
    offset = local_offset(parcel)
    zone = timezone(offset) if offset is not None else ZoneInfo(terms.shop.time_zone)
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _off_calendar(row: Attempt, terms: Terms) -> bool:
    """A visit outside the shop's delivery days counts, and is marked."""
    return (
        row.counted
        and row.day is not None
        and not is_business_day(row.day, terms.attempts.days, terms.attempts.holidays)
    )


# ----------------------------------------------------------------------------------------------------- the case home


def _case(parcel: Parcel, limit: int | None, dates: list[Deadline], now: datetime) -> Case | None:
    """The case that the evidence makes. A parcel delivered after all, or called back to its way out, cancels it."""
    turn = next((t for t in reversed(parcel.turns) if t.leg is Leg.BACK), None)
    evidence = _all_evidence(parcel, limit)
    if parcel.leg is Leg.BACK and turn:
        known = _until_turn(evidence, dates, turn, parcel) or _carriers_own_limit(parcel, limit)
        reason = known[-1].reason if known else HomeReason.UNKNOWN
        proof = _proof(known, reason) or (turn.source,)
        if parcel.status is Status.DELIVERED and parcel.returned_at:
            return Case(CaseState.ARRIVED, reason, parcel.returned_at, (*proof, parcel.decided_by))
        return Case(CaseState.UNDER_WAY, reason, turn.at, (*proof, turn.source) if turn.source not in proof else proof)
    horizon = parcel.delivered_at or now
    evidence += [_expired(d, d.at) for d in dates if d.at <= horizon]
    evidence.sort(key=lambda e: e.at)
    withdrawn = parcel.turns[-1].at if parcel.turns else None
    standing = [e for e in evidence if e.sends_home and (withdrawn is None or e.at > withdrawn)]
    if not standing and not turn:
        return None
    reason = evidence[-1].reason if evidence else HomeReason.UNKNOWN
    if parcel.status is Status.DELIVERED and parcel.delivered_at:
        return Case(CaseState.CANCELLED, reason, parcel.delivered_at, (parcel.decided_by,))
    if standing:
        return Case(CaseState.EXPECTED, standing[-1].reason, standing[0].at, _proof(standing, standing[-1].reason))
    return Case(CaseState.CANCELLED, reason, parcel.turns[-1].at, (parcel.turns[-1].source,))


def _all_evidence(parcel: Parcel, limit: int | None) -> list[Evidence]:
    """What the events say, and the attempt that reached the limit."""
    evidence = list(parcel.evidence)
    for row in parcel.attempts:
        if row.counted and (row.final or (limit is not None and row.ordinal is not None and row.ordinal >= limit)):
            evidence += [Evidence(row.at, HomeReason.FAILED_DELIVERY_ATTEMPTS, source, True) for source in row.evidence]
            break
    return sorted(evidence, key=lambda e: e.at)


def _until_turn(evidence: list[Evidence], dates: list[Deadline], turn: Turn, parcel: Parcel) -> list[Evidence]:
    """What was known before the parcel turned; where nothing was, what the turn itself says.

    A hold ends some time during its last day, so that day counts.
    """
    offset = local_offset(parcel) or timedelta()
    turned = (turn.at + offset).date()
    over = [
        _expired(d, min(d.at, turn.at)) for d in dates if (d.at + offset - timedelta(microseconds=1)).date() <= turned
    ]
    known = sorted([e for e in [*evidence, *over] if e.at <= turn.at], key=lambda e: e.at)
    return [e for e in known if e.source != turn.source] or known


def _carriers_own_limit(parcel: Parcel, limit: int | None) -> list[Evidence]:
    """Where the terms leave the number of attempts to the carrier: it turned round after failed ones and says nothing
    else, so its own limit was reached."""
    made = [row for row in parcel.attempts if row.counted]
    if limit is not None or not made:
        return []
    return [Evidence(made[-1].at, HomeReason.FAILED_DELIVERY_ATTEMPTS, source, True) for source in made[-1].evidence]


def _expired(deadline: Deadline, at: datetime) -> Evidence:
    return Evidence(at, HomeReason.UNCLAIMED, deadline.evidence[0], True)


def _proof(evidence: list[Evidence], reason: HomeReason) -> tuple[str, ...]:
    return tuple(dict.fromkeys(e.source for e in evidence if e.reason is reason))


# ---------------------------------------------------------------------------------------------------- what to say once

_NEVER_SAID = (Status.UNKNOWN,)


def verdicts(conclusion: Conclusion, before: tuple[str, str]) -> Iterator[Verdict]:
    """What this conclusion tells that can be said once; `before` is (leg, status) as concluded last time."""
    parcel = conclusion.parcel
    for row, off_calendar in conclusion.rows:
        if row.counted:
            extra = {"attempt": {"ordinal": row.ordinal, "off_calendar": off_calendar, "inferred": row.inferred}}
            yield Verdict(f"out/attempt/{row.ordinal}", "parcel.attempt_failed", extra)
    now = (str(conclusion.leg), str(conclusion.status))
    if now != before and conclusion.status not in _NEVER_SAID:
        yield Verdict(f"status/{now[0]}/{now[1]}/{_turning_point(conclusion)}", "parcel.status_changed")
    if conclusion.late and parcel.purpose is not Purpose.RETURN:
        yield Verdict(f"late/{parcel.promised}", "parcel.late")
    if conclusion.leg is Leg.OUT and conclusion.status is Status.DELIVERED:
        yield Verdict(f"delivered/{parcel.decided_by}", "parcel.delivered")
    if conclusion.case and conclusion.case.state is not CaseState.CANCELLED:
        yield Verdict("case/expected", "return_to_warehouse.expected")
    if conclusion.case and conclusion.case.state is not CaseState.EXPECTED:
        if conclusion.case.state is CaseState.ARRIVED:
            yield Verdict("case/under_way", "return_to_warehouse.under_way")
        yield Verdict(f"case/{conclusion.case.state}", f"return_to_warehouse.{conclusion.case.state}")


def _turning_point(conclusion: Conclusion) -> str:
    """What gave the status: an event, or a date that passed."""
    if conclusion.passed and conclusion.status is Status.UNDELIVERABLE:
        return f"{conclusion.passed.rule}@{conclusion.passed.at.date().isoformat()}"
    return conclusion.parcel.decided_by
