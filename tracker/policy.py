"""What follows from a parcel under a shop's terms at a given time: status, attempts left, the case home, what to say.

Pure: `conclude(parcel, terms, now)` reads no clock and no database. Time itself makes conclusions too (a hold runs
out), so every conclusion says when it has to be drawn again (`review_at`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from operator import attrgetter
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from merchants.calendars import add_business_days, is_business_day
from merchants.terms import Terms
from tracker.lifecycle import ENDED, Attempt, Evidence, HomeReason, Leg, Parcel, Purpose, Status, Turn, local_offset
from tracker.wayhome import Case as Case
from tracker.wayhome import CaseState as CaseState
from tracker.wayhome import Deadline, Deed, Step, lived


class Verdict(Struct, frozen=True):
    """Something worth telling once: `name` is unique for the parcel, so judging again cannot say it twice."""

    name: str
    type: str
    extra: Mapping[str, object] = {}
    rule: str = ""


class Conclusion(Struct, frozen=True):
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
    section: str = "attempts"  # where in the terms it stands what judged it
    rule: str = ""  # which rule gave the status
    collect_by: date | None = None  # it waits somewhere until the end of that day

    @property
    def leg(self) -> Leg:
        return self.parcel.leg


# A parcel in one of these waits for somebody; a passed date ends the waiting.
_WAITING = frozenset({Status.ATTEMPT_FAILED, Status.AVAILABLE_FOR_PICKUP, Status.IN_TRANSIT, Status.ON_HOLD})


_BY_INSTANT = attrgetter("at", "rule")


def conclude(parcel: Parcel, terms: Terms, now: datetime, deed: Deed | None = None) -> Conclusion:
    """The shop's conclusion about a parcel at `now` (aware); `deed` is what we ourselves did about its way home."""
    section, terms = terms.section_for(parcel.carrier, parcel.service), terms.judging(parcel.carrier, parcel.service)
    limit = terms.attempts.max
    exhausted = parcel.final or (limit is not None and parcel.count >= limit)
    stated = sorted(deadlines(parcel, terms), key=_BY_INSTANT)
    waited = terms.attempts.grace_days
    dates = sorted(deadlines(parcel, terms, waited), key=_BY_INSTANT) if waited else stated
    passed = (
        next((d for d in dates if d.at <= now), None) if parcel.leg is Leg.OUT and parcel.status in _WAITING else None
    )
    status = parcel.status
    if parcel.leg is Leg.OUT and (passed or (status is Status.ATTEMPT_FAILED and exhausted)):
        status = Status.UNDELIVERABLE
    ended = parcel.status in ENDED
    grace = timedelta(days=terms.promise.grace_days)
    promise = _end_of(parcel.promised + grace, parcel, terms) if parcel.promised else None
    is_late = promise is not None and promise <= now and not ended and parcel.leg is Leg.OUT
    case = None if parcel.purpose is Purpose.RETURN or parcel.home_of else _case(parcel, limit, stated, dates, now)
    if case:
        case = lived(case, deed, _returns_by(parcel, limit, stated, terms), terms, now)
    reviews = [d.at for d in dates if d.at > now] + ([promise] if promise and promise > now else [])
    if case and case.overdue_at and case.overdue_at > now:
        reviews.append(case.overdue_at)
    return Conclusion(
        parcel=parcel,
        terms=f"{terms.name} {terms.version}",
        status=status,
        max=limit,
        exhausted=exhausted,
        rows=tuple((row, _off_calendar(row, terms)) for row in parcel.attempts),
        case=case,
        passed=passed,
        late=is_late,
        review_at=None if ended else min(reviews, default=None),
        section=section,
        rule=_rule(parcel, status, passed),
        collect_by=_collect_by(parcel, status, limit, stated, terms, now),
    )


def _collect_by(
    parcel: Parcel, status: Status, limit: int | None, stated: Sequence[Deadline], terms: Terms, now: datetime
) -> date | None:
    """The last day on which whoever it is for can still collect it; None while the carrier comes again by itself."""
    waits = status is Status.AVAILABLE_FOR_PICKUP or (status is Status.ATTEMPT_FAILED and limit is None)
    over = next((each.at for each in stated if each.at > now), None)
    if not waits or over is None or parcel.leg is Leg.BACK:
        return None
    return over.astimezone(_zone(parcel, terms)).date() - timedelta(days=1)


def _rule(parcel: Parcel, status: Status, passed: Deadline | None) -> str:
    """Which rule gave the status: a passed date, the limit, the carrier's last attempt, or what it told."""
    if status is Status.UNDELIVERABLE and parcel.status is not status:
        return passed.rule if passed else "final_attempt" if parcel.final else "attempts.max"
    return "as_told" if parcel.decided_by else "nothing_told"


def deadlines(parcel: Parcel, terms: Terms, grace_days: int = 0) -> Iterator[Deadline]:
    """The days after which the carrier returns the parcel: stated by it, or its known hold after the first attempt.

    With a grace each is over so many calendar days later: what the shop waits before it gives the parcel up.

    source: facts/usps.md 4.3 (about 15 days, 5 for Express), facts/ups.md 4.1 (pickupByDate); terms hold the numbers.
    """
    if parcel.return_by:
        day = parcel.return_by.day + timedelta(days=grace_days)
        yield Deadline(_end_of(day, parcel, terms), "return_date_passed", (parcel.return_by.source,))
    if parcel.pickup_by and (parcel.leg is Leg.BACK or parcel.status is Status.AVAILABLE_FOR_PICKUP):
        day = parcel.pickup_by.day + timedelta(days=grace_days)
        yield Deadline(_end_of(day, parcel, terms), "pickup_date_passed", (parcel.pickup_by.source,))
    hold = terms.attempts.hold_days_express if parcel.express else terms.attempts.hold_days
    first = next((row for row in parcel.attempts if row.counted and row.day), None)
    if hold is not None and first and first.day:
        day = first.day + timedelta(days=hold + grace_days)
        yield Deadline(_end_of(day, parcel, terms), "hold_run_out", first.evidence)


def _end_of(day: date, parcel: Parcel, terms: Terms) -> datetime:
    """The instant at which a local day at the delivery place is over."""
    return datetime.combine(day + timedelta(days=1), time(), _zone(parcel, terms)).astimezone(UTC)


def _zone(parcel: Parcel, terms: Terms) -> tzinfo:
    """The delivery place's time as its scans tell it, else the shop's."""
    offset = local_offset(parcel)
    return timezone(offset) if offset is not None else ZoneInfo(terms.shop.time_zone)


def _off_calendar(row: Attempt, terms: Terms) -> bool:
    """A visit outside the shop's delivery days counts, and is marked."""
    return (
        row.counted
        and row.day is not None
        and not is_business_day(row.day, terms.attempts.days, terms.attempts.holidays)
    )


# ----------------------------------------------------------------------------------------------------- the case home


def _case(
    parcel: Parcel, limit: int | None, stated: list[Deadline], dates: list[Deadline], now: datetime
) -> Case | None:
    """The case that the evidence makes. A parcel delivered after all, or called back to its way out, cancels it.

    `stated` are the carrier's dates, by which it turns a parcel; `dates` the same with the shop's grace.
    """
    turn = next((t for t in reversed(parcel.turns) if t.leg is Leg.BACK), None)
    evidence = _all_evidence(parcel, limit)
    if parcel.leg is Leg.BACK and turn:
        known = _until_turn(evidence, stated, turn, parcel) or _carriers_own_limit(parcel, limit)
        reason = known[-1].reason if known else HomeReason.UNKNOWN
        proof = _proof(known, reason) or (turn.source,)
        opened = min([e.at for e in known if e.sends_home], default=turn.at)
        if parcel.status is Status.DELIVERED and parcel.returned_at:
            return Case(CaseState.ARRIVED, reason, parcel.returned_at, (*proof, parcel.decided_by), opened)
        proof = (*proof, turn.source) if turn.source not in proof else proof
        return Case(CaseState.UNDER_WAY, reason, turn.at, proof, opened)
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


def _returns_by(parcel: Parcel, limit: int | None, dates: list[Deadline], terms: Terms) -> Deadline | None:
    """When the carrier turns it round by itself: so many business days after the last attempt, else its known dates.

    source: facts/ups.md 5 (five business days), facts/usps.md 4.3
    """
    days, last = terms.attempts.hold_after_final_business_days, _last_attempt(parcel, limit)
    if days is not None and last and last.day:
        day = add_business_days(last.day, days, terms.attempts.days, terms.attempts.holidays)
        return Deadline(_end_of(day, parcel, terms), "hold_after_last_attempt", last.evidence)
    stated = [d for d in dates if d.rule != "hold_run_out"]  # what the carrier says beats what it usually does
    return next(iter(stated or dates), None)


def _last_attempt(parcel: Parcel, limit: int | None) -> Attempt | None:
    """The attempt after which the carrier makes no other."""
    made = (row for row in parcel.attempts if row.counted)
    return next(
        (r for r in made if r.final or (limit is not None and r.ordinal is not None and r.ordinal >= limit)), None
    )


def _all_evidence(parcel: Parcel, limit: int | None) -> list[Evidence]:
    """What the events say, and the attempt that reached the limit."""
    evidence = list(parcel.evidence)
    if row := _last_attempt(parcel, limit):
        evidence += [Evidence(row.at, HomeReason.FAILED_DELIVERY_ATTEMPTS, source, True) for source in row.evidence]
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
            yield Verdict(f"out/attempt/{row.ordinal}", "parcel.attempt_failed", extra, row.rule)
    now = (str(conclusion.leg), str(conclusion.status))
    if now != before and conclusion.status not in _NEVER_SAID:
        name = f"status/{now[0]}/{now[1]}/{_turning_point(conclusion)}"
        yield Verdict(name, "parcel.status_changed", rule=conclusion.rule)
    if conclusion.late and parcel.purpose is not Purpose.RETURN:
        yield Verdict(f"late/{parcel.promised}", "parcel.late", rule="promise")
    if conclusion.leg is Leg.OUT and conclusion.status is Status.DELIVERED:
        yield Verdict(f"delivered/{parcel.decided_by}", "parcel.delivered", rule=conclusion.rule)
    if conclusion.case:
        rule = str(conclusion.case.reason)
        yield from (structs.replace(verdict, rule=verdict.rule or rule) for verdict in _of_the_case(conclusion.case))


def _of_the_case(case: Case) -> Iterator[Verdict]:
    """Each step of the way home, once. That it is left to the carrier is told to ops alone, with a link
    (homecoming.py).
    """
    if case.state is not CaseState.CANCELLED:
        yield Verdict("case/expected", "return_to_warehouse.expected")
    if case.deed and case.deed.step is Step.REQUESTED:
        yield Verdict("case/requested", "return_to_warehouse.requested")
    if case.state is CaseState.ARRIVED:
        yield Verdict("case/under_way", "return_to_warehouse.under_way")
    if case.state in (CaseState.UNDER_WAY, CaseState.ARRIVED, CaseState.CANCELLED):
        yield Verdict(f"case/{case.state}", f"return_to_warehouse.{case.state}")
    if case.overdue:
        yield Verdict("case/overdue", "ops.return_overdue", rule="return_to_warehouse.overdue_days")


def _turning_point(conclusion: Conclusion) -> str:
    """What gave the status: an event, or a date that passed."""
    if conclusion.passed and conclusion.status is Status.UNDELIVERABLE:
        return f"{conclusion.passed.rule}@{conclusion.passed.at.date().isoformat()}"
    return conclusion.parcel.decided_by
