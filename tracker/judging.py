"""A conclusion against the one before it: what to keep, what is new to say, when to look again. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypedDict

import msgspec
from msgspec import Struct

from carriers.contract import Place
from fleet.clocks import from_us, to_us
from merchants.terms import Terms
from tracker.explain import explained
from tracker.known import Stored
from tracker.lifecycle import ENDED, Purpose, Shipment
from tracker.policy import Conclusion, Verdict, verdicts
from tracker.polling import next_poll, stale_at

_out = msgspec.json.Encoder()


class Judged(Struct, frozen=True):
    """A parcel's row as it was, and what follows now: the conclusion, as JSON too, and the columns that change.

    `case_state` is told where it changed; `says` are the verdicts that may be new.
    """

    row: Stored
    conclusion: Conclusion
    view: dict[str, Any]
    text: str
    is_new: bool
    columns: dict[str, Any]
    case_state: str | None = None
    says: Sequence[Verdict] = ()


def judged(row: Stored, before: str, conclusion: Conclusion, terms: Terms, now: datetime) -> Judged:
    """What follows from a conclusion about a parcel whose row is this one; `before` is the last one, as JSON."""
    view = explained(conclusion)
    text = _out.encode(view).decode()
    turns = _turns(row, conclusion, terms, now)
    if text == before:
        return Judged(row, conclusion, view, text, False, turns)
    parcel = conclusion.parcel
    ended = parcel.decided_at if parcel.status in ENDED else None
    columns = turns | {
        "to_leg": conclusion.leg,
        "to_status": conclusion.status,
        "to_moved": to_us(parcel.moved_at) if parcel.moved_at else None,
        "to_ended": to_us(ended) if ended else None,
    }
    if parcel.home_of:  # what follows is the other parcel's story, and said of that one
        return Judged(row, conclusion, view, text, True, columns)
    was, state = _before_in.decode(before), case_state(view)
    says = [*verdicts(conclusion, (row["leg"], row["status"])), *corrections(was, view)]
    return Judged(
        row, conclusion, view, text, True, columns, state if state != case_state(was) else None, says
    )  # fmt: skip


class _Before(TypedDict, total=False):
    """What is compared of the conclusion before."""

    attempts: dict[str, Any]
    return_to_warehouse: dict[str, Any] | None


_before_in = msgspec.json.Decoder(_Before)


def _turns(row: Stored, conclusion: Conclusion, terms: Terms, now: datetime) -> dict[str, Any]:
    """When it is looked at again: its review, its next poll, and from when on it is stale."""
    parcel, minutes = conclusion.parcel, terms.polling.minutes
    registered = from_us(row["created_us"])
    poll = next_poll(
        conclusion.status, parcel.purpose, registered=registered, moved=parcel.moved_at, now=now, minutes=minutes
    )
    stale = stale_at(
        conclusion.status,
        parcel.purpose,
        registered=registered,
        moved=parcel.moved_at,
        heard=_heard(row, parcel.moved_at, now),
        minutes=minutes,
    )
    poll_us = to_us(poll) if poll else row["next_poll_us"]
    if poll and row["next_poll_us"] is not None:
        poll_us = min(poll_us, row["next_poll_us"])  # a push may bring the next look forward, never put it off
    return {
        "of": row["id"],
        "to_review": to_us(conclusion.review_at) if conclusion.review_at else None,
        "to_next_poll": poll_us,
        "to_stale": to_us(stale) if stale else None,
    }


def _heard(row: Stored, moved: datetime | None, now: datetime) -> datetime:
    """When the carrier was heard last about a parcel: it was asked, or it pushed something new."""
    asked = from_us(row["checked_us"] if row["checked_us"] is not None else row["created_us"])
    return max(asked, min(moved, now)) if moved else asked


def notice_data(all_: Mapping[str, Any], judgement: Judged, verdict: Verdict) -> bytes:
    """What is said with a verdict, as JSON: the parcel's full state, and `all_` that is said with each of them."""
    view = judgement.view
    extra = dict(verdict.extra)
    if "attempt" in extra:
        extra["attempt"] = _ledger_row(view, extra["attempt"])
    rule = verdict.rule or "correction"
    return _out.encode({**all_, "parcel": msgspec.Raw(judgement.text), "terms": view["terms"], "rule": rule, **extra})


def case_state(view: Mapping[str, Any]) -> str:
    """How far its case is; empty without one, and for one that was kept before cases had rows."""
    case = view.get("return_to_warehouse") or {}
    return str(case["state"]) if "overdue" in case else ""


class _Record(Struct, gc=False):
    """What a parcel's row says of its shipment."""

    origin: Place | None = None
    destination: Place | None = None
    service: str | None = None
    express: bool | None = None
    promised: date | None = None
    further: tuple[tuple[str, str], ...] = ()
    home_of: tuple[str, str] | None = None


_record_in = msgspec.json.Decoder(_Record)
_NOWHERE = Place()


def shipment_of(row: Stored) -> Shipment:
    """What we ourselves know of a registered parcel."""
    known = _record_in.decode(row["shipment"])
    return Shipment(
        row["carrier"],
        row["number"],
        Purpose(row["purpose"]),
        known.origin or _NOWHERE,
        known.destination or _NOWHERE,
        known.service or "",
        bool(known.express),
        known.promised,
        further=known.further,
        home_of=known.home_of,
    )


def _ledger_row(view: dict[str, Any], attempt: object) -> dict[str, Any]:
    """The whole ledger row that an attempt's verdict speaks of."""
    ordinal = attempt["ordinal"] if isinstance(attempt, dict) else None
    rows: list[dict[str, Any]] = view["attempts"]["ledger"]
    return next(row for row in rows if row["counted"] and row["ordinal"] == ordinal)


def corrections(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Verdict]:
    """What was said of attempts and is no longer so: a row that is gone, or that turns out to be of another day."""
    was, now = _days(before), _days(after)
    changed = {n: day for n, day in was.items() if n not in now or (day and now[n] and day != now[n])}
    if not changed:
        return []
    state = hashlib.blake2b(_out.encode([before["attempts"]["count"], now]), digest_size=8).hexdigest()
    extra = {"was": {"count": before["attempts"]["count"], "days": was}, "corrected": sorted(changed)}
    return [Verdict(f"out/attempts_corrected/{state}", "parcel.attempt_corrected", extra)]


def _days(view: Mapping[str, Any]) -> dict[str, str | None]:
    rows = view.get("attempts", {}).get("ledger", [])
    return {str(row["ordinal"]): row["day"] for row in rows if row["counted"]}
