"""Buys a label: one send outside any transaction, and one commit of all that it brought.

source: design/labels-never-twice.md, protocol 3 to 5.
"""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar, assert_never

from carriers.contract import Bought, Label, LabelFormat, NotExecuted, PurchaseOutcome, Rejected, Unknown
from fleet.clocks import to_us
from spending.intents import Claim, Till, claim_of, move, say_unknown, state_of
from spending.machine import PROVABLE, Record, State, backoff, next_look
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.purchases import add_document, add_label, find_purchase, labels_of, lock_purchase
from store.sealing import Sealer

log = logging.getLogger(__name__)

T = TypeVar("T")

Documents: TypeAlias = list[tuple[LabelFormat, bytes, str, int]]


async def buy(till: Till, purchase_id: str) -> State:
    """Send a planned purchase and settle it; the state it is in then. A cancelled caller leaves it UNKNOWN."""
    started = till.monotonic()
    claim = await _begin(till, purchase_id)
    if claim is None:
        return await state_of(till, purchase_id)
    if till.monotonic() - started > till.pace.scaled(till.pace.lease - till.pace.deadline):
        return await _settle(till, claim, NotExecuted("the lease was nearly over before anything was sent"))
    return await send_and_settle(till, claim)


async def _begin(till: Till, purchase_id: str) -> Claim | None:
    """PLANNED -> SENDING, durable before the first byte leaves. None when somebody else has it.

    A commit whose answer is lost is not repeated: the sweep will find the row as it is, and look before it sends.
    """

    async def unit(tx: Tx) -> Claim | None:
        row = await lock_purchase(tx, purchase_id)
        if row is None or row["state"] != State.PLANNED or row["carrier"] not in till.carriers:
            return None
        return await take_to_send(tx, till, claim_of(row, till))

    return await till.store.write(unit)


async def take_to_send(tx: Tx, till: Till, claim: Claim) -> Claim | None:
    now = till.real()
    taken = replace(
        claim,
        state=State.SENDING,
        fence=claim.fence + 1,
        sends=claim.sends + 1,
        sent=now,
        record=replace(claim.record, looks=0, misses=0),
    )
    lease = now + till.pace.scaled(till.pace.lease)
    moved = await move(tx, till, claim, State.SENDING, taken.record, sends=taken.sends, sent=now, lease=lease)
    return taken if moved else None


async def send_and_settle(till: Till, claim: Claim) -> State:
    try:
        outcome = await _send(till, claim)
    except asyncio.CancelledError:
        await _to_the_end(_settle(till, claim, Unknown("the sender was stopped during the send")))
        raise
    return await _to_the_end(_settle(till, claim, outcome))


async def _send(till: Till, claim: Claim) -> PurchaseOutcome:
    """The call itself. Whatever is not an outcome is Unknown: only a carrier's answer proves anything."""
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            return await till.carriers[claim.intent.carrier].buy(claim.intent.prepared)
    except TimeoutError:
        return Unknown("no answer before the deadline")
    except Exception as error:
        log.exception("a send ended in an error", extra={"purchase": claim.intent.id})
        return Unknown(f"the send ended in {type(error).__name__}")


async def _settle(till: Till, claim: Claim, outcome: PurchaseOutcome) -> State:
    """What the send brought, in one commit. Only whoever still holds the fence may say anything but "bought"."""
    match outcome:
        case Bought(label):
            return await keep(till, claim, (label,))
        case Rejected():
            # after an earlier send a refusal may be about the first one's success: it proves nothing
            state = State.REJECTED if claim.sends == 1 else State.NEEDS_HUMAN
            record = replace(
                claim.record, why=outcome.message, code=outcome.code, request_id=outcome.request_id, unreached=0
            )
            return await conclude(till, claim, state, record, wait=0.0 if state is State.REJECTED else None)
        case NotExecuted():
            return await _postpone(till, claim, outcome)
        case Unknown():
            record = replace(claim.record, why=outcome.why, unreached=0)
            return await conclude(till, claim, State.UNKNOWN, record, wait=next_look(till.pace, 0.0))
        case _:
            assert_never(outcome)


async def _postpone(till: Till, claim: Claim, outcome: NotExecuted) -> State:
    """This send never reached the carrier: it does not count, and the same bytes go again later."""
    record = replace(claim.record, why=outcome.why, unreached=claim.record.unreached + 1)
    sends = claim.sends - 1
    wait = backoff(till.pace, record.unreached, outcome.retry_after)
    if sends == 0:
        return await conclude(till, claim, State.PLANNED, record, wait=wait, sends=0)
    # an earlier send is still open: the looks that allowed this one allow the next
    record = replace(record, misses=till.pace.misses)
    return await conclude(till, claim, State.UNKNOWN, record, wait=wait, sends=sends)


async def conclude(
    till: Till, claim: Claim, state: State, record: Record, *, wait: float | None = None, sends: int | None = None
) -> State:
    """Everything but a label, fenced; the state as it is when somebody else was first."""

    async def unit(tx: Tx) -> State:
        next_at = None if wait is None else till.real() + wait
        count = claim.sends if sends is None else sends
        if not await move(tx, till, claim, state, record, sends=count, sent=claim.sent, next_at=next_at):
            row = await find_purchase(tx, claim.intent.id)
            assert row is not None
            return State(row["state"])
        if state in (State.UNKNOWN, State.NEEDS_HUMAN):
            await say_unknown(tx, till, claim, state, record)
        return state

    return await write_surely(till.store, unit)


async def keep(till: Till, claim: Claim, found: tuple[Label, ...]) -> State:
    """Labels that are proved to exist: one becomes the purchase's label, any other is one too many and told to ops.

    A label is proof whoever holds the fence; the row's lock and its state decide who is first.
    """
    sealed = {label.number: _documents(label, till.sealer) for label in found}

    async def unit(tx: Tx) -> State:
        row = await lock_purchase(tx, claim.intent.id)
        assert row is not None
        now = claim_of(row, till)
        labels = await labels_of(tx, claim.intent.id)
        live = next((label["number"] for label in labels if label["state"] == "live"), None)
        state = now.state
        for label in found:
            if live is None and state in PROVABLE:
                state = await _adopt(tx, till, now, label, sealed[label.number])
                live = label.number
            elif label.number != live:
                await _keep_surplus(tx, till, now, label, sealed[label.number])
        return state

    return await write_surely(till.store, unit)


async def _adopt(tx: Tx, till: Till, claim: Claim, label: Label, documents: "Documents") -> State:
    """The purchase's label: its row, its sealed documents, its price, and the notice."""
    intent = claim.intent
    row = await _enter_label(tx, till, claim, label, "live", documents)
    if row["purchase_id"] != intent.id:
        record = replace(claim.record, why=f"the carrier gave {label.number}, which another label has", number="")
        await move(tx, till, claim, State.NEEDS_HUMAN, record, sends=claim.sends, sent=claim.sent)
        await say_unknown(tx, till, claim, State.NEEDS_HUMAN, record)
        return State.NEEDS_HUMAN
    record = replace(claim.record, number=label.number, why="")
    await move(tx, till, claim, State.BOUGHT, record, sends=claim.sends, sent=claim.sent, next_at=till.real())
    data = {
        **intent.about,
        "purchase_id": intent.id,
        "reference": intent.prepared.reference,
        "carrier": intent.carrier,
        "number": label.number,
        "price": str(label.price.amount) if label.price else None,
        "currency": label.price.currency if label.price else None,
        "formats": [document[0] for document in documents],
    }
    name = f"label/{label.number}"
    await say(tx, subject=intent.subject, name=name, type="label.purchased", at=till.clock.now(), data=data)
    return State.BOUGHT


async def _keep_surplus(tx: Tx, till: Till, claim: Claim, label: Label, documents: "Documents") -> None:
    """A label that this purchase must not have: kept, so that it can be voided, and told to ops."""
    await _enter_label(tx, till, claim, label, "surplus", documents)
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


async def _enter_label(tx: Tx, till: Till, claim: Claim, label: Label, state: str, documents: "Documents") -> Row:
    row = await add_label(
        tx,
        {
            "purchase_id": claim.intent.id,
            "carrier": claim.intent.carrier,
            "number": label.number,
            "shipment_id": label.shipment_id,
            "state": state,
            "price": str(label.price.amount) if label.price else "",
            "currency": label.price.currency if label.price else "",
            "bought_us": to_us(till.clock.now()),
        },
    )
    if row["purchase_id"] == claim.intent.id:
        for format, sealed, digest, size in documents:
            await add_document(tx, row["id"], format=format, sealed=sealed, digest=digest, size=size)
    return row


def _documents(label: Label, sealer: Sealer) -> Documents:
    """A label's documents as they are kept: format, sealed bytes, digest and size of the plain ones."""
    return [
        (format, sealer.seal(plain), hashlib.sha256(plain).hexdigest(), len(plain))
        for format, plain in label.documents.items()
    ]


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
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
