"""Buys a label: one send outside any transaction, and one commit of all that it brought.

source: design/labels-never-twice.md, protocol 3 to 5.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from carriers.contract import Bought, Carrier, Label, LabelFormat, PurchaseOutcome, Unknown
from fleet.clocks import to_us
from spending import points
from spending.brakes import hundredths, is_stopped
from spending.intents import LABEL, Claim, Till, claim_of, move, real_us, say_unknown, state_of
from spending.machine import (
    PROVABLE,
    After,
    LabelState,
    Record,
    State,
    after_send,
    is_paper,
    next_audit,
    next_look,
    sort_labels,
)
from spending.machine import to_send as record_to_send
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.purchases import (
    add_document,
    add_label,
    add_money,
    find_purchase,
    formats_of,
    labels_of,
    lock_purchase,
    restart_audit,
    set_spend,
)
from store.sealing import Sealer

log = logging.getLogger(__name__)

T = TypeVar("T")
Came = TypeVar("Came")
"""What a kind of send comes to, if not to Unknown."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A document as it is kept: sealed, with digest and size of the plain bytes."""

    format: LabelFormat
    sealed: bytes
    digest: str
    size: int


async def buy(till: Till, purchase_id: str) -> State:
    """Send a planned purchase and settle it; the state it is in then. A cancelled caller leaves it UNKNOWN."""
    started = till.monotonic()
    claim = await begin(till, purchase_id)
    if claim is None:
        return await state_of(till, purchase_id)
    points.crash_point("buy.after_intent")
    if is_too_late(till, started):
        return await never_sent(till, claim)
    return await send_and_settle(till, claim)


async def begin(till: Till, purchase_id: str) -> Claim | None:
    """PLANNED -> SENDING, durable before the first byte leaves. None when somebody else has it, or buying is stopped.

    A commit whose answer is lost is not repeated: the sweep will find the row as it is, and look before it sends.
    """

    async def unit(tx: Tx) -> Claim | None:
        row = await lock_purchase(tx, purchase_id)
        if row is None or row["state"] != State.PLANNED or row["carrier"] not in till.carriers:
            return None
        claim = claim_of(row, till)
        if await is_stopped(tx):
            later = till.real() + till.pace.scaled(till.pace.look_again)
            await move(tx, till, claim, State.PLANNED, sends=claim.sends, sent=claim.sent, next_at=later)
            return None
        return await take_to_send(tx, till, claim)

    return await till.store.write(unit)


async def take_to_send(tx: Tx, till: Till, claim: Claim) -> Claim | None:
    """Whatever the state was: SENDING, with a lease of our own. None when somebody else was first."""
    now = till.real()
    taken = replace(
        claim,
        state=State.SENDING,
        fence=claim.fence + 1,
        sends=claim.sends + 1,
        sent=now,
        record=record_to_send(claim.record),
    )
    lease = now + till.pace.scaled(till.pace.lease)
    if not await move(tx, till, claim, State.SENDING, taken.record, sends=taken.sends, sent=now, lease=lease):
        return None
    if claim.intent.prepared.operation == LABEL:
        wait = next_audit(till.pace, 0.0)
        await restart_audit(tx, claim.intent.id, None if wait is None else real_us(now + wait))
    return taken


async def take_again(till: Till, claim: Claim) -> Claim | None:
    """To send the same bytes once more. None when somebody else was first, or buying is stopped."""

    async def unit(tx: Tx) -> Claim | None:
        return None if await is_stopped(tx) else await take_to_send(tx, till, claim)

    again = await till.store.write(unit)
    if again is not None:
        points.crash_point("resend.after_intent")
    return again


def is_too_late(till: Till, started: float) -> bool:
    """Whether the lease could end during the send: then somebody else may look while it is under way."""
    return till.monotonic() - started > till.pace.scaled(till.pace.lease - till.pace.deadline)


TOO_LATE = "the lease was nearly over before anything was sent"


async def never_sent(till: Till, claim: Claim, why: str = TOO_LATE, wait: float = 0.0) -> State:
    """It is as it was before: somebody may send it later."""
    state = State.PLANNED if claim.sends == 1 else State.UNKNOWN
    return await conclude(till, claim, After(state, replace(claim.record, why=why), claim.sends - 1, wait))


async def send_and_settle(till: Till, claim: Claim) -> State:
    try:
        till.note(claim)
    except OSError as error:  # what could not be written down is not sent
        log.error("journal not written", extra={"purchase": claim.intent.id, "error": type(error).__name__})
        return await never_sent(till, claim, "it could not be written down first", till.pace.scaled(till.pace.backoff))
    return await sent(send(till, claim), partial(_settle, till, claim), "buy.after_send")


async def send(till: Till, claim: Claim) -> PurchaseOutcome:
    return await outcome_of(till, claim, lambda carrier: carrier.buy(claim.intent.prepared))


async def _settle(till: Till, claim: Claim, outcome: PurchaseOutcome) -> State:
    """What the send brought, in one commit. Only whoever still holds the fence may say anything but "bought"."""
    if isinstance(outcome, Bought):
        return await keep(till, claim, (outcome.label,))
    return await conclude(till, claim, after_send(till.pace, claim.record, claim.sends, outcome))


async def sent(
    sending: Awaitable[Came], settle: Callable[[Came | Unknown], Coroutine[Any, Any, State]], point: str
) -> State:
    """Send, and settle what came of it to the end, also when we are stopped during the send."""
    try:
        outcome = await sending
    except asyncio.CancelledError:
        await to_the_end(settle(Unknown("the sender was stopped during the send")))
        raise
    points.crash_point(point)
    return await to_the_end(settle(outcome))


async def outcome_of(till: Till, claim: Claim, call: Callable[[Carrier], Awaitable[Came]]) -> Came | Unknown:
    """The call itself. Whatever is not an outcome is Unknown: only a carrier's answer proves anything."""
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            return await call(till.carriers[claim.intent.carrier])
    except TimeoutError:
        return Unknown("no answer before the deadline")
    except Exception as error:
        log.exception("a send ended in an error", extra={"purchase": claim.intent.id})
        return Unknown(f"the send ended in {type(error).__name__}")


async def conclude(till: Till, claim: Claim, after: After) -> State:
    """Everything but a label, fenced; the state as it is when somebody else was first."""

    async def unit(tx: Tx) -> State:
        next_at = None if after.wait is None else till.real() + after.wait
        sent = claim.sent if after.sends else 0.0
        if not await move(tx, till, claim, after.state, after.record, sends=after.sends, sent=sent, next_at=next_at):
            row = await find_purchase(tx, claim.intent.id)
            assert row is not None
            return State(row["state"])
        if after.state in (State.UNKNOWN, State.NEEDS_HUMAN):
            await say_unknown(tx, till, claim, after.state, after.record)
        elif after.state is State.REJECTED and claim.state is not State.SENDING:
            await say_settled(tx, till, claim)
        return after.state

    return await write_surely(till.store, unit)


async def say_settled(tx: Tx, till: Till, claim: Claim) -> None:
    """It was unknown, and is known now."""
    data = {**claim.intent.about, "purchase_id": claim.intent.id, "carrier": claim.intent.carrier}
    name = f"purchase/{claim.intent.id}/settled"
    await say(tx, subject=claim.intent.subject, name=name, type="ops.purchase_settled", at=till.clock.now(), data=data)


# --------------------------------------------------------------------------------------------------- labels that exist


async def keep(till: Till, claim: Claim, found: Sequence[Label]) -> State:
    """Labels that are proved to exist: one becomes the purchase's label, any other is one too many and told to ops.

    A label is proof whoever holds the fence; the row's lock and its state decide who is first.
    """
    papers = {label.number: _papers(label, till.sealer) for label in found}
    by_number = {label.number: label for label in found}

    async def unit(tx: Tx) -> State:
        row = await lock_purchase(tx, claim.intent.id)
        assert row is not None
        now = claim_of(row, till)
        known = {label["number"]: label["state"] for label in await labels_of(tx, claim.intent.id)}
        sorted = sort_labels([*by_number], known, now.state in PROVABLE)
        state = now.state
        if sorted.own in by_number and now.state in PROVABLE:
            state = await _adopt(tx, till, now, by_number[sorted.own], papers[sorted.own])
        for number in sorted.surplus:
            await _keep_surplus(tx, till, now, by_number[number], papers[number])
        points.crash_point("settle.inside")
        return state

    state = await write_surely(till.store, unit)
    points.crash_point("settle.after")
    return state


async def _adopt(tx: Tx, till: Till, claim: Claim, label: Label, papers: Sequence[Paper]) -> State:
    """The purchase's label: its row, its sealed documents, its price, and the notice."""
    intent, most = claim.intent, claim.intent.most
    dear = label.price is not None and most is not None and label.price.amount > most
    why = f"it costs {label.price}, and {most} is the most it may cost" if dear else ""
    row = await _enter_label(tx, till, claim, label, LabelState.HELD if dear else LabelState.LIVE, why, papers)
    if row["purchase_id"] != intent.id:
        why = f"the carrier gave {label.number}, which another label has"
        return await _to_a_person(tx, till, claim, replace(claim.record, why=why, number=""))
    if row["state"] == LabelState.HELD:
        return await _to_a_person(tx, till, claim, replace(claim.record, why=row["note"], number=label.number))
    if not await formats_of(tx, row["id"]):
        return await _wait_for_paper(tx, till, claim, label.number)
    record = replace(claim.record, number=label.number, why="")
    await move(tx, till, claim, State.BOUGHT, record, sends=claim.sends, sent=claim.sent, next_at=till.real())
    await say_purchased(tx, till, claim, row)
    return State.BOUGHT


async def say_purchased(tx: Tx, till: Till, claim: Claim, label: Row) -> None:
    data = {
        **claim.intent.about,
        "purchase_id": claim.intent.id,
        "reference": claim.intent.prepared.reference,
        "carrier": claim.intent.carrier,
        "number": label["number"],
        "price": label["price"] or None,
        "currency": label["currency"] or None,
        "formats": await formats_of(tx, label["id"]),
    }
    name = f"label/{label['number']}"
    await say(tx, subject=claim.intent.subject, name=name, type="label.purchased", at=till.clock.now(), data=data)


async def _wait_for_paper(tx: Tx, till: Till, claim: Claim, number: str) -> State:
    """The number is known and its document is not: it is looked for, and nothing is ever sent again."""
    record = replace(
        claim.record, number=number, looks=claim.record.looks + 1, why=f"label {number} came without a document"
    )
    if record.looks >= till.pace.papers:
        return await _to_a_person(tx, till, claim, record)
    next_at = till.real() + next_look(till.pace, till.real() - claim.sent)
    await move(tx, till, claim, State.UNKNOWN, record, sends=claim.sends, sent=claim.sent, next_at=next_at)
    await say_unknown(tx, till, claim, State.UNKNOWN, record)
    return State.UNKNOWN


async def _to_a_person(tx: Tx, till: Till, claim: Claim, record: Record) -> State:
    await move(tx, till, claim, State.NEEDS_HUMAN, record, sends=claim.sends, sent=claim.sent)
    await say_unknown(tx, till, claim, State.NEEDS_HUMAN, record)
    return State.NEEDS_HUMAN


async def _keep_surplus(tx: Tx, till: Till, claim: Claim, label: Label, papers: Sequence[Paper]) -> None:
    """A label that this purchase must not have: kept, so that it can be voided, and told to ops."""
    await _enter_label(tx, till, claim, label, LabelState.SURPLUS, "one too many for its purchase", papers)
    await say(
        tx,
        subject=claim.intent.subject,
        name=f"surplus/{label.number}",
        type="ops.label_surplus",
        at=till.clock.now(),
        data={
            **claim.intent.about,
            "purchase_id": claim.intent.id,
            "carrier": claim.intent.carrier,
            "number": label.number,
        },
    )


async def _enter_label(
    tx: Tx, till: Till, claim: Claim, label: Label, state: LabelState, note: str, papers: Sequence[Paper]
) -> Row:
    """The label's row, its documents and its line of money; the row that is there when the number was known."""
    price, now_us = label.price, to_us(till.clock.now())
    row = await add_label(
        tx,
        {
            "purchase_id": claim.intent.id,
            "carrier": claim.intent.carrier,
            "number": label.number,
            "shipment_id": label.shipment_id,
            "state": state,
            "price": str(price.amount) if price else "",
            "currency": price.currency if price else "",
            "bought_us": now_us,
            "note": note,
            "since_us": real_us(till.real()),
        },
    )
    if row["purchase_id"] != claim.intent.id:
        return row
    for paper in papers:
        await add_document(
            tx, row["id"], format=paper.format, sealed=paper.sealed, digest=paper.digest, size=paper.size
        )
    note = "" if price else "found again at the carrier, which did not state the price"
    amount, currency = (str(price.amount), price.currency) if price else ("", "")
    await add_money(
        tx, row["id"], name="price", kind="price", amount=amount, currency=currency, note=note, at_us=now_us
    )
    if price and state is not LabelState.SURPLUS:
        await set_spend(tx, claim.intent.id, hundredths(max(price.amount, Decimal(0))))
    return row


def _papers(label: Label, sealer: Sealer) -> tuple[Paper, ...]:
    """A label's documents as they are kept; what is not what it says it is, or too large, is left out."""
    good = [(format, plain) for format, plain in label.documents.items() if is_paper(format, plain)]
    if len(good) < len(label.documents):
        log.warning("a label's document is not what it says", extra={"formats": [*label.documents]})
    return tuple(
        Paper(format, sealer.seal(plain), hashlib.sha256(plain).hexdigest(), len(plain)) for format, plain in good
    )


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish the work though the caller is cancelled meanwhile; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:
            break  # the task's own: raised by result()
    if cancelled:
        if failure := task.exception():
            log.error("settling failed", exc_info=failure)
        raise cancelled
    return task.result()
