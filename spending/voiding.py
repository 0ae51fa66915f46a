"""Voids labels: only on proof, and as a purchase of its own, with an intent, a send that may stay unknown, and retries.

source: design/labels-never-twice.md, protocol 7.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import assert_never

from carriers.contract import (
    Away,
    Carrier,
    CarrierError,
    Kind,
    NotExecuted,
    Rejected,
    Unknown,
    Unreadable,
    Voided,
    VoidOutcome,
)
from fleet.clocks import to_us
from spending import points
from spending.buying import conclude, outcome_of, sent, take_to_send
from spending.intents import (
    VOID,
    Claim,
    Intent,
    Till,
    claim_of,
    label_id_of,
    move,
    new_purchase_id,
    plan,
    real_us,
    state_of,
)
from spending.machine import CLOSED, After, LabelState, Proof, State, backoff, may_void
from spending.refunds import A_DAY, ask_back
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.purchases import (
    add_money,
    change_label,
    find_purchase,
    label_by_number,
    labels_in,
    labels_of,
    lock_label,
    lock_purchase,
    look_later,
    purchase_of,
)

log = logging.getLogger(__name__)

UNVOIDED = frozenset({LabelState.SURPLUS, LabelState.LIVE, LabelState.HELD})
PAPERWORK = frozenset({Kind.LABEL_CREATED, Kind.VOIDED, Kind.UNKNOWN})
"""What is told of a label that nobody has used."""


async def void_surplus(till: Till, limit: int = 20) -> int:
    """A sweep: every label that is one too many, once it is proved that it may be voided. How many were looked at."""
    until = real_us(till.real() - till.pace.scaled(till.pace.quiet))
    rows = await till.store.read(lambda tx: labels_in(tx, LabelState.SURPLUS, until, limit))
    mine = [row for row in rows if row["carrier"] in till.carriers]
    ends = await asyncio.gather(*(_see_to(till, row) for row in mine), return_exceptions=True)
    if errors := [end for end in ends if isinstance(end, Exception)]:
        raise ExceptionGroup("labels could not be voided", errors)
    return len(mine)


async def _see_to(till: Till, label: Row) -> None:
    carrier = till.carriers[label["carrier"]]
    if not carrier.prepare_void(label["number"], label["shipment_id"]).path:
        await void_here(till, label["id"], carrier.abilities.void_return)
        return
    match await prove(till, label):
        case Proof.VOID:
            points.crash_point("void.after_proof")
            await void(till, label["id"], "one too many for its purchase")
        case Proof.USED:
            await _say_used(till, label)
        case Proof.WAIT:
            await till.store.write(lambda tx: look_later(tx, label["id"], _recheck(till)))


def _recheck(till: Till) -> int:
    """So that the label is due again after the time between two looks, not after a whole quiet time."""
    return real_us(till.real() - till.pace.scaled(till.pace.quiet - till.pace.look_again))


async def prove(till: Till, label: Row) -> Proof:
    """Ask the carrier what it holds under our reference, and whether a parcel travels with this label."""

    async def unit(tx: Tx) -> tuple[Row | None, Sequence[Row]]:
        return await find_purchase(tx, label["purchase_id"]), await labels_of(tx, label["purchase_id"])

    purchase, siblings = await till.store.read(unit)
    assert purchase is not None
    live = next((each["number"] for each in siblings if each["state"] == LabelState.LIVE), "")
    carrier, claim = till.carriers[label["carrier"]], claim_of(purchase, till)
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            found = await carrier.find(claim.intent.prepared)
            told = await journey(carrier, label["number"])
    except (CarrierError, TimeoutError):
        return Proof.WAIT
    if Kind.VOIDED in told:
        return Proof.VOID  # voiding twice is safe, and settles it
    age, quiet = till.real() - label["since_us"] / 1e6, till.pace.scaled(till.pace.quiet)
    ours = {each.number for each in found}
    return may_void(label["number"], live, claim.state in CLOSED, age, quiet, ours, bool(told - PAPERWORK))


async def journey(carrier: Carrier, number: str) -> set[Kind]:
    """What the carrier tells of a number. Bytes that nobody can read prove nothing. Raises CarrierError."""
    kinds: set[Kind] = set()
    for payload in await carrier.track([number]):
        try:
            kinds |= {event.kind for event in carrier.read(payload).events if event.number == number}
        except Unreadable as error:
            raise Away("what the carrier told of the label cannot be read") from error
    return kinds


# ------------------------------------------------------------------------------------------------------------ the void


async def void(till: Till, label_id: int, why: str) -> State | None:
    """Void a label that may be voided: the intent first, then the send. None: it is void, or being voided, already.

    Whoever calls has the proof: `prove` for one that is too many, no physical scan for one that is live.
    """
    purchase_id = new_purchase_id()
    if not await write_surely(till.store, lambda tx: plan_void(tx, till, label_id, purchase_id, why)):
        return None
    points.crash_point("void.after_intent")
    return await send_void(till, purchase_id)


async def plan_void(tx: Tx, till: Till, label_id: int, purchase_id: str, why: str) -> bool:
    """The intent to void a label, in the transaction of whoever wants it; False: it is void, or being voided."""
    before = await purchase_of(tx, f"label:{label_id}", VOID)
    if before is not None and before["id"] == purchase_id:
        return True  # kept by the commit that nobody answered for
    label = await lock_label(tx, label_id)
    if label is None or label["state"] not in UNVOIDED:
        return False
    carrier = till.carriers[label["carrier"]]
    intent = Intent(
        id=purchase_id,
        carrier=label["carrier"],
        subject=f"label:{label_id}",
        generation=before["generation"] + 1 if before else 1,
        prepared=carrier.prepare_void(label["number"], label["shipment_id"]),
        about={"number": label["number"], "purchase": label["purchase_id"]},
    )
    await plan(tx, till, intent)
    since = real_us(till.real())
    return await change_label(tx, label_id, label["state"], LabelState.VOIDING, note=why, since_us=since)


async def void_here(till: Till, label_id: int, why: str) -> bool:
    """The carrier does not void it: nobody gets it from us, its number stays watched, and it says so."""

    return await write_surely(till.store, lambda tx: end_here(tx, till, label_id, why))


async def end_here(tx: Tx, till: Till, label_id: int, why: str) -> bool:
    """The same in the transaction of whoever wants it."""
    label = await lock_label(tx, label_id)
    if label is None or label["state"] not in UNVOIDED:
        return False
    return await _end(tx, till, label, LabelState.VOIDED_HERE, why)


async def prove_unused(till: Till, label: Row) -> bool:
    """Whether the carrier has told of no parcel that travels with this label. Raises CarrierError, TimeoutError."""
    async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
        return not await journey(till.carriers[label["carrier"]], label["number"]) - PAPERWORK


async def resume_void(till: Till, claim: Claim) -> State:
    """A void that was planned and left, or whose end nobody knows: it is sent again.

    Voiding twice is safe.  # source: facts/ups.md 3.1
    """
    if claim.state is State.SENDING:
        why = "the sender ended without saying how the void ended"
        return await conclude(till, claim, After(State.UNKNOWN, replace(claim.record, why=why), claim.sends, 0.0))
    if claim.sends >= till.pace.voids:
        return await conclude(till, claim, After(State.NEEDS_HUMAN, claim.record, claim.sends, None))
    return await send_void(till, claim.intent.id)


async def is_voiding(till: Till, claim: Claim) -> bool:
    """Whether its label still waits for it: not one whose price is only asked back."""
    number = str(claim.intent.about["number"])
    label = await till.store.read(lambda tx: label_by_number(tx, claim.intent.carrier, number))
    return label is not None and label["state"] == LabelState.VOIDING


async def close_void(till: Till, claim: Claim, why: str) -> State | None:
    """A person ends a void that never was answered. What the carrier tells of the label decides; else nobody gets it
    from us, and its number stays watched. None: its label does not wait for it. Raises CarrierError.
    """
    if not await is_voiding(till, claim):
        return None
    told = await journey(till.carriers[claim.intent.carrier], str(claim.intent.about["number"]))
    if Kind.VOIDED in told:
        return await _conclude(till, claim, State.VOIDED, LabelState.VOIDED, why)
    return await _conclude(till, claim, State.VOID_FAILED, LabelState.VOIDED_HERE, why)


async def send_void(till: Till, purchase_id: str) -> State:
    async def unit(tx: Tx) -> Claim | None:
        row = await lock_purchase(tx, purchase_id)
        if row is None or row["state"] not in (State.PLANNED, State.UNKNOWN):
            return None
        return await take_to_send(tx, till, claim_of(row, till))

    claim = await till.store.write(unit)
    if claim is None:
        return await state_of(till, purchase_id)
    sending = outcome_of(till, claim, lambda carrier: carrier.void(claim.intent.prepared))
    state = await sent(sending, partial(_settle, till, claim), "void.after_send")
    points.crash_point("void.after_settle")
    return state


async def _settle(till: Till, claim: Claim, outcome: VoidOutcome) -> State:
    match outcome:
        case Voided(note=note) if note and note == till.carriers[claim.intent.carrier].abilities.void_return:
            return await _conclude(till, claim, State.VOID_FAILED, LabelState.VOIDED_HERE, note)
        case Voided(note=note, pending=pending):
            state = State.REFUND_PENDING if pending else State.VOIDED
            return await _conclude(till, claim, state, LabelState.VOIDED, note, pending)
        case Rejected(code=code, message=message):
            why = f"the carrier does not void it ({code} {message}): nobody gets it, and its number stays watched"
            return await _conclude(till, claim, State.VOID_FAILED, LabelState.VOIDED_HERE, why)
        case NotExecuted():
            record = replace(claim.record, why=outcome.why, unreached=claim.record.unreached + 1)
            wait = backoff(till.pace, record.unreached, outcome.retry_after)
            state = State.PLANNED if claim.sends == 1 else State.UNKNOWN
            return await conclude(till, claim, After(state, record, claim.sends - 1, wait))
        case Unknown():
            record = replace(claim.record, why=outcome.why, unreached=0)
            wait = backoff(till.pace, claim.sends)
            return await conclude(till, claim, After(State.UNKNOWN, record, claim.sends, wait))
        case _:
            assert_never(outcome)


async def _conclude(
    till: Till, claim: Claim, state: State, label_state: LabelState, note: str, pending: str = ""
) -> State:
    """The end of a void and of its label, in one commit. `pending`: its price was only asked back."""

    async def unit(tx: Tx) -> State:
        row = await lock_purchase(tx, claim.intent.id)
        assert row is not None
        now = claim_of(row, till)
        label = await lock_label(tx, label_id_of(claim))
        if label is None or label["state"] != LabelState.VOIDING or now.state in CLOSED:
            return now.state
        # an answer is proof whoever holds the fence
        next_at = till.real() + till.pace.scaled(A_DAY) if pending else None
        record = replace(now.record, why=note, looks=0)
        await move(tx, till, now, state, record, sends=now.sends, sent=now.sent, next_at=next_at)
        await _end(tx, till, label, label_state, note, pending)
        return state

    return await write_surely(till.store, unit)


async def _end(tx: Tx, till: Till, label: Row, state: LabelState, note: str, pending: str = "") -> bool:
    """The label is void: at the carrier, with what it cost coming back, or only here."""
    now = till.clock.now()
    changed = await change_label(
        tx, label["id"], label["state"], state, note=note, since_us=real_us(till.real()), ended_us=to_us(now)
    )
    if not changed:
        return False
    purchase = await find_purchase(tx, label["purchase_id"])
    assert purchase is not None
    if pending:
        await ask_back(tx, till, label, pending)
    elif state is LabelState.VOIDED:
        await add_money(
            tx,
            label["id"],
            name="refund",
            kind="refund",
            amount=label["price"],
            currency=label["currency"],
            note="voided: the carrier gives back what it charged",
            at_us=to_us(now),
        )
    data = {
        **claim_of(purchase, till).intent.about,
        "purchase_id": label["purchase_id"],
        "carrier": label["carrier"],
        "number": label["number"],
        "at_carrier": state is LabelState.VOIDED,
        "why": note,
    }
    name = f"voided/{label['number']}"
    await say(tx, subject=purchase["subject"], name=name, type="label.voided", at=now, data=data)
    return True


async def _say_used(till: Till, label: Row) -> None:
    """A parcel travels with a label that was one too many: a person looks."""
    now = till.clock.now()
    why = "a parcel travels with it"

    async def unit(tx: Tx) -> None:
        since = real_us(till.real())
        if not await change_label(tx, label["id"], label["state"], LabelState.USED, note=why, since_us=since):
            return
        purchase = await find_purchase(tx, label["purchase_id"])
        assert purchase is not None
        data = {
            **claim_of(purchase, till).intent.about,
            "purchase_id": label["purchase_id"],
            "carrier": label["carrier"],
            "number": label["number"],
            "why": why,
        }
        name = f"used/{label['number']}"
        await say(tx, subject=purchase["subject"], name=name, type="ops.label_used", at=now, data=data)

    await write_surely(till.store, unit)
