"""A price that was asked back: looked at once a day until the carrier has decided, then a line of money; or a person.

USPS has no call that tells how a refund stands: asking again for the same label is refused while it is open, and
answered as cancelled once it is granted.  # source: facts/usps.md 2.8
"""

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal

from carriers.contract import NotExecuted, Rejected, Unknown, Voided, VoidOutcome
from fleet.clocks import to_us
from spending.intents import VOID, Claim, Till, claim_of, label_id_of, move, taken
from spending.machine import State
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.purchases import add_money, find_purchase, label_by_number, lock_label, lock_purchase, purchase_of

log = logging.getLogger(__name__)

A_DAY = 86_400.0
LOOKS = 30
"""Days after which a person looks.  # source: facts/usps.md 2.8, refunds of unused labels end after 30 days"""
ASKED, REFUND = "refund_asked", "refund"


async def ask_back(tx: Tx, till: Till, label: Row, dispute: str) -> None:
    """The line that says that the price was asked back; what came of it is another line."""
    note = f"asked back, dispute {dispute}"
    await _line(tx, till, label, ASKED, label["price"], note)


async def follow_refund(till: Till, claim: Claim) -> State:
    """One look. Only the carrier's word, or a person's, ends it."""
    lease = till.real() + till.pace.scaled(till.pace.lease)
    mine = await till.store.write(lambda tx: taken(tx, till, claim, lease))
    if mine is None:
        return claim.state
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            outcome: VoidOutcome = await till.carriers[claim.intent.carrier].void(claim.intent.prepared)
    except TimeoutError:
        outcome = Unknown("no answer before the deadline")
    if isinstance(outcome, Voided) and not outcome.pending:
        return await _granted(till, mine, outcome.note)
    return await _look_later(till, mine, outcome)


async def refunded(till: Till, carrier: str, number: str, amount: Decimal, by: str) -> bool:
    """A person has seen what became of it: so much came back, which may be nothing. False: nothing was asked back."""

    async def unit(tx: Tx) -> bool:
        label = await label_by_number(tx, carrier, number)
        void = await purchase_of(tx, f"label:{label['id']}", VOID) if label else None
        row = await lock_purchase(tx, void["id"]) if void else None
        if label is None or row is None or row["state"] not in (State.REFUND_PENDING, State.NEEDS_HUMAN):
            return False
        claim = claim_of(row, till)
        note = f"{by}: {'refused' if not amount else 'paid back'}"
        await move(tx, till, claim, State.VOIDED, replace(claim.record, why=note), sends=claim.sends, sent=claim.sent)
        await _line(tx, till, label, REFUND, str(amount), note)
        await _say(tx, till, claim, label, "settled", "ops.refund_settled", note)
        return True

    return await write_surely(till.store, unit)


async def _granted(till: Till, claim: Claim, note: str) -> State:
    async def unit(tx: Tx) -> State:
        label = await _label(tx, claim)
        record = replace(claim.record, why=note)
        if not await move(tx, till, claim, State.VOIDED, record, sends=claim.sends, sent=claim.sent):
            return await _state(tx, claim)
        await _line(tx, till, label, REFUND, label["price"], "the carrier gave back what it charged")
        await _say(tx, till, claim, label, "settled", "ops.refund_settled", note)
        return State.VOIDED

    return await write_surely(till.store, unit)


async def _look_later(till: Till, claim: Claim, outcome: VoidOutcome) -> State:
    """Tomorrow; after a month a person looks."""
    looks, wait = claim.record.looks + 1, till.pace.scaled(A_DAY)
    if isinstance(outcome, NotExecuted):
        wait = max(wait, outcome.retry_after)
    over = looks >= LOOKS
    said = outcome.message if isinstance(outcome, Rejected) else getattr(outcome, "why", "") or claim.record.why
    record = replace(claim.record, looks=looks, why=claim.record.why or said)
    state = State.NEEDS_HUMAN if over else State.REFUND_PENDING

    async def unit(tx: Tx) -> State:
        next_at = None if over else till.real() + wait
        if not await move(tx, till, claim, state, record, sends=claim.sends, sent=claim.sent, next_at=next_at):
            return await _state(tx, claim)
        if over:
            label = await _label(tx, claim)
            await _say(tx, till, claim, label, "overdue", "ops.refund_overdue", f"{record.why}; last heard: {said}")
        return state

    return await write_surely(till.store, unit)


async def _label(tx: Tx, claim: Claim) -> Row:
    label = await lock_label(tx, label_id_of(claim))
    assert label is not None
    return label


async def _state(tx: Tx, claim: Claim) -> State:
    row = await find_purchase(tx, claim.intent.id)
    assert row is not None
    return State(row["state"])


async def _line(tx: Tx, till: Till, label: Row, kind: str, amount: str, note: str) -> None:
    at_us = to_us(till.clock.now())
    await add_money(
        tx, label["id"], name=kind, kind=kind, amount=amount, currency=label["currency"], note=note, at_us=at_us
    )


async def _say(tx: Tx, till: Till, claim: Claim, label: Row, what: str, type: str, why: str) -> None:
    data = {"carrier": label["carrier"], "number": label["number"], "purchase_id": label["purchase_id"], "why": why}
    name = f"refund/{claim.intent.id}/{what}"
    await say(tx, subject=claim.intent.subject, name=name, type=type, at=till.clock.now(), data=data)
