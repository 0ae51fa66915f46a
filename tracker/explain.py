"""A conclusion as JSON, with the reasons in words a customer-service person can read aloud. Pure."""

from datetime import date, datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct

from carriers.contract import Kind, Reason, Source
from fleet.clocks import text
from tracker.lifecycle import Attempt, Happening, HomeReason, Leg, Status
from tracker.policy import Conclusion
from tracker.wayhome import Case, CaseState, Deed, Line, Step, arithmetic, totals

_POLL, _PUSH = Source.POLL, Source.PUSH
_DELIVERY_REASONS = {
    Reason.RECIPIENT_ABSENT: "nobody was there to take it",
    Reason.BUSINESS_CLOSED: "the business was closed",
    Reason.NO_ACCESS: "the driver could not get in",
    Reason.NO_SECURE_LOCATION: "there was no safe place to leave it",
    Reason.SIGNATURE_OR_ID_MISSING: "a signature or proof of identity was missing",
    Reason.PAYMENT_DUE: "a payment was due and not made",
}
_REJECTED = {
    Reason.NOT_ATTEMPTED: "the carrier says that no attempt was made",
    Reason.RESCHEDULED: "the delivery was moved to another day without an attempt",
    Reason.HELD_AT_REQUEST: "the parcel was held because the customer asked for it",
    Reason.WEATHER_OR_VEHICLE: "the weather or the vehicle held it up",
}
_HOME = {
    HomeReason.FAILED_DELIVERY_ATTEMPTS: "the carrier's attempts are used up",
    HomeReason.INSUFFICIENT_ADDRESS: "the address is wrong or incomplete",
    HomeReason.REFUSED: "the recipient refused it",
    HomeReason.UNCLAIMED: "nobody collected it in time",
    HomeReason.RECALLED_BY_SHIPPER: "the sender called it back",
    HomeReason.DAMAGED: "it was damaged",
    HomeReason.UNKNOWN: "the carrier does not say why",
}
_STATUS = {
    Status.UNKNOWN: "the carrier has told nothing about this parcel yet",
    Status.LABEL_CREATED: "the label was made; the carrier does not have the parcel yet",
    Status.ACCEPTED: "the carrier has the parcel",
    Status.IN_TRANSIT: "the parcel is moving",
    Status.OUT_FOR_DELIVERY: "the parcel is out for delivery",
    Status.ATTEMPT_FAILED: "a delivery attempt failed",
    Status.AVAILABLE_FOR_PICKUP: "the parcel waits to be collected",
    Status.ON_HOLD: "the parcel is on hold",
    Status.UNDELIVERABLE: "the parcel cannot be delivered",
    Status.DELIVERED: "the parcel was delivered",
    Status.LOST: "the carrier reports the parcel lost",
    Status.DESTROYED: "the carrier reports the parcel destroyed",
    Status.VOIDED: "the label was voided",
}


def explained(conclusion: Conclusion) -> dict[str, Any]:
    """The conclusion as `homeward explain --json` prints it and as `GET /v1/parcels/...` answers.

    For msgspec to encode, or to make plain with `to_builtins`.
    """
    parcel = conclusion.parcel
    return {
        "carrier": parcel.carrier,
        "number": parcel.number,
        "purpose": parcel.purpose,
        "leg": conclusion.leg,
        "status": conclusion.status,
        "attempts": {
            "count": parcel.count,
            "max": conclusion.max,
            "final": parcel.final,
            "exhausted": conclusion.exhausted,
            "pickup_attempts": parcel.collections,
            "ledger": [_row(row, off) for row, off in conclusion.rows],
        },
        "return_to_warehouse": _case(conclusion.case) if conclusion.case else None,
        "estimated_delivery": parcel.estimate.isoformat() if parcel.estimate else None,
        "promised_by": parcel.promised.isoformat() if parcel.promised else None,
        "late": conclusion.late,
        "collect_by": conclusion.collect_by.isoformat() if conclusion.collect_by else None,
        "delivery_window": list(parcel.window) if parcel.window else None,
        "delivered_at": instant(parcel.delivered_at),
        "returned_at": instant(parcel.returned_at),
        "accepted_at": instant(parcel.accepted_at),
        "place": str(parcel.place) or None,
        "delay": parcel.delay,
        "references": list(parcel.references),
        "alternate_numbers": list(parcel.alternates),
        "further_numbers": [{"carrier": carrier, "number": number} for carrier, number in parcel.further],
        "home_of": {"carrier": parcel.home_of[0], "number": parcel.home_of[1]} if parcel.home_of else None,
        "events": [_event(h) for h in parcel.happenings],
        "unknown_codes": list(parcel.unknown_codes),
        "terms": conclusion.terms,
        "service": parcel.service or None,
        "judged_by": {"section": conclusion.section, "rule": conclusion.rule},
        "because": list(because(conclusion)),
    }


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with Z, to the second."""
    return text(at) if at else None


class EventShown(Struct, frozen=True, gc=False):
    """An event as it is shown. Instants are to the second, `at` in UTC, `local` with the offset where it is known."""

    id: str
    at: datetime
    local: datetime | None
    kind: Kind
    reason: Reason | None
    code: str
    words: str
    place: str | None
    source: Source
    sources: tuple[Source, ...]


def _event(happening: Happening) -> EventShown:
    event, sources = happening.event, happening.sources
    return EventShown(
        happening.id,
        _whole(event.at),
        _whole(event.local) if event.local else None,
        event.kind,
        event.reason,
        event.code,
        event.words,
        str(event.place) or None,
        _POLL if _POLL in sources else _PUSH,
        sources,
    )


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0) if at.microsecond else at


def _row(row: Attempt, off_calendar: bool) -> dict[str, Any]:
    return {
        "ordinal": row.ordinal,
        "day": row.day.isoformat() if row.day else None,
        "reason": row.reason,
        "counted": row.counted,
        "off_calendar": off_calendar,
        "inferred": row.inferred,
        "final": row.final,
        "evidence": list(row.evidence),
        "rule": row.rule,
        "because": row_because(row, off_calendar),
    }


def _case(case: Case) -> dict[str, Any]:
    by = case.returns_by
    return {
        "state": case.state,
        "reason": case.reason,
        "since": instant(case.since),
        "evidence": list(case.evidence),
        "because": _HOME[case.reason],
        "opened_at": instant(case.opened or case.since),
        "returns_by": {"at": instant(by.at), "rule": by.rule, "evidence": list(by.evidence)} if by else None,
        "overdue_at": instant(case.overdue_at),
        "overdue": case.overdue,
        "request": _request(case.deed) if case.deed else None,
        "money": _money(case) if case.money else None,
    }


def _request(deed: Deed) -> dict[str, Any]:
    """What we did about it."""
    return {
        "step": deed.step,
        "at": instant(deed.at),
        "why": deed.why,
        "purchase_id": deed.purchase_id or None,
        "withdrawn_at": instant(deed.withdrawn),
    }


def _money(case: Case) -> dict[str, Any]:
    """The case's money, line by line, and the sums. It is owed once the parcel is back."""
    return {
        "lines": [_line(line) for line in case.money],
        "totals": [{"amount": str(total), "currency": currency} for currency, total in totals(case.money).items()],
        "arithmetic": arithmetic(case.money),
        "owed": case.state is CaseState.ARRIVED,
    }


def _line(line: Line) -> dict[str, Any]:
    amount = None if line.amount is None else str(line.amount)
    return {"name": line.name, "kind": line.kind, "amount": amount, "currency": line.currency, "note": line.note}


@lru_cache(maxsize=1024)
def spoken(day: date) -> str:
    """A day as a person says it: "Tuesday 3 March 2026"."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def row_because(row: Attempt, off_calendar: bool = False) -> str:
    """Why a ledger row counts or does not, in one sentence."""
    on = f"On {spoken(row.day)}" if row.day else "At a time that the carrier did not show us"
    if not row.counted:
        why = _REJECTED.get(row.reason, "it was not a visit") if row.reason else "it was not a visit"
        return f"{on} no attempt is counted: {why}."
    if row.inferred:
        return f"Attempt {row.ordinal} was never shown to us, but a later one was announced with a higher number."
    why = (
        _DELIVERY_REASONS.get(row.reason, "the carrier gives no reason")
        if row.reason
        else "the carrier gives no reason"
    )
    last = ", the carrier's last" if row.final else ""
    scans = f" ({len(row.evidence)} scans of the same visit)" if len(row.evidence) > 1 else ""
    outside = " It was outside the shop's delivery days." if off_calendar else ""
    return (
        f"{on} the carrier tried to deliver and could not: {why}; this is attempt {row.ordinal}{last}{scans}.{outside}"
    )


def because(conclusion: Conclusion) -> list[str]:
    """The conclusion's reasons, one sentence each."""
    parcel, case = conclusion.parcel, conclusion.case
    home = conclusion.leg is Leg.BACK
    if home and conclusion.status is Status.DELIVERED:
        status = "the parcel is back with its sender"
    elif home and conclusion.status is Status.IN_TRANSIT:
        status = "the parcel is on its way back to its sender"
    else:
        status = _STATUS[conclusion.status]
    says = f" ({parcel.decided_by})" if parcel.decided_by else ""
    sentences = [f"{status[0].upper()}{status[1:]}{says}."]
    if parcel.count:
        limit = f"of {conclusion.max}" if conclusion.max is not None else "(the carrier sets no fixed number)"
        sentences.append(f"{parcel.count} {limit} delivery attempts are counted.")
    if conclusion.passed:
        sentences.append(_PASSED[conclusion.passed.rule])
    if conclusion.late and parcel.promised:
        sentences.append(f"It is late: it was promised by {spoken(parcel.promised)}.")
    if case:
        sentences += _way_home(case)
    sentences += [f"The code {code} is not in the table and changed nothing." for code in parcel.unknown_codes]
    where = f", {conclusion.section}" if conclusion.section != "attempts" else ""
    sentences.append(f"Judged by the terms {conclusion.terms}{where}.")
    return sentences


def _way_home(case: Case) -> list[str]:
    """How far it is on its way home, and what we did."""
    sentences = [f"{_CASE[case.state]}: {_HOME[case.reason]}."]
    if case.deed and case.deed.step is Step.ASKING:
        sentences.append("The carrier is being asked to bring it back.")
    elif case.state is CaseState.LEFT_TO_CARRIER and case.deed and case.deed.why:
        sentences.append(f"Nothing was ordered: {case.deed.why.rstrip('.')}.")
    if case.overdue and case.overdue_at:
        sentences.append(f"It is overdue: it should have been home by {spoken(case.overdue_at.date())}.")
    return sentences


_PASSED = {
    "return_date_passed": "The day after which the carrier returns it has passed.",
    "pickup_date_passed": "The last day to collect it has passed.",
    "hold_run_out": "The carrier's hold after the first attempt has run out.",
}
_CASE = {
    CaseState.EXPECTED: "It is expected back at the warehouse",
    CaseState.REQUESTED: "The carrier was asked to bring it back",
    CaseState.LEFT_TO_CARRIER: "Its way back is left to the carrier",
    CaseState.UNDER_WAY: "It is on its way back to the warehouse",
    CaseState.ARRIVED: "It arrived back at the warehouse",
    CaseState.CANCELLED: "It no longer goes back to the warehouse",
}
