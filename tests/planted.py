"""Bugs to plant into a buyer's process: switches that exist in tests only, to see a rig fail."""

import asyncio
import uuid
from dataclasses import replace

import returns.desk
import spending.buying
import spending.intercepting
import spending.resolving
import spending.voiding
import tracker.homecoming
from carriers.contract import Charge, Rejected, Unknown
from spending import points
from spending.intents import claim_of, new_reference, state_of
from spending.machine import Proof, State
from store.purchases import find_purchase

_send, _intercept = spending.buying.send, spending.intercepting.send


def call_before_intent() -> None:
    """The carrier is called first, and what was intended is written down after its answer."""

    async def buy(till, purchase_id):
        row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
        if row is None or row["state"] != State.PLANNED:
            return await state_of(till, purchase_id)
        outcome = await _send(till, claim_of(row, till))
        points.crash_point("buy.after_send")
        claim = await spending.buying.begin(till, purchase_id)
        if claim is None:
            return await state_of(till, purchase_id)
        return await spending.buying._settle(till, claim, outcome)

    returns.desk.buy = spending.resolving.buy = buy


def new_key_on_retry() -> None:
    """A second send goes under a name of its own."""

    async def send(till, claim):
        if claim.sends > 1:
            claim = _with(claim, _renamed(claim.intent.prepared))
        return await _send(till, claim)

    spending.buying.send = send


def rebuilt_bytes() -> None:
    """A second send says the same in other bytes."""

    async def send(till, claim):
        if claim.sends > 1:
            prepared = claim.intent.prepared
            claim = _with(claim, replace(prepared, body=prepared.body.replace(b'":', b'": ', 1)))
        return await _send(till, claim)

    spending.buying.send = send


def server_error_is_rejected() -> None:
    """5xx is taken for the carrier's no."""

    async def send(till, claim):
        outcome = await _send(till, claim)
        if isinstance(outcome, Unknown) and "answered 5" in outcome.why:
            return Rejected("500", outcome.why)
        return outcome

    spending.buying.send = send


def retry_on_read_timeout() -> None:
    """No answer in time: send it again at once."""

    async def send(till, claim):
        outcome = await _send(till, claim)
        if isinstance(outcome, Unknown) and "answered" not in outcome.why:
            return await _send(till, claim)
        return outcome

    spending.buying.send = send


def void_without_proof() -> None:
    """A label that is one too many is voided without asking who travels with it."""

    async def prove(till, label):
        await asyncio.sleep(0)
        return Proof.VOID

    spending.voiding.prove = prove


def order_before_intent() -> None:
    """A parcel is asked back first, and what was intended is written down after the answer."""

    async def order(till, purchase_id):
        row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
        if row is None or row["state"] != State.PLANNED:
            return await state_of(till, purchase_id)
        outcome = await _intercept(till, claim_of(row, till))
        points.crash_point("intercept.after_send")
        claim = await spending.intercepting.begin(till, purchase_id)
        if claim is None:
            return await state_of(till, purchase_id)
        return await spending.intercepting._settle(till, claim, outcome)

    async def begin_again(till, claim):
        return await order(till, claim.intent.id)

    tracker.homecoming.order = spending.intercepting.order = order
    spending.intercepting._begin_again = begin_again


def blind_repeat() -> None:
    """No answer, or one that nobody can read: the order is sent again at once."""

    async def send(till, claim):
        outcome = await _intercept(till, claim)
        return await _intercept(till, claim) if isinstance(outcome, Unknown) else outcome

    spending.intercepting.send = send


def no_fresh_read() -> None:
    """A parcel is asked back by what was known of it when its attempt failed."""

    async def afresh(self, carrier, row):
        await asyncio.sleep(0)
        return carrier.prepare_intercept(row["number"], None), Charge(None)

    async def begin_again(till, claim):
        return await spending.intercepting.order(till, claim.intent.id)

    tracker.homecoming.Homecoming._afresh = afresh
    spending.intercepting._begin_again = begin_again


INTERCEPT_BUGS = (order_before_intent, blind_repeat, no_fresh_read)
BUGS = (
    call_before_intent,
    new_key_on_retry,
    rebuilt_bytes,
    server_error_is_rejected,
    retry_on_read_timeout,
    void_without_proof,
)


def _with(claim, prepared):
    return replace(claim, intent=replace(claim.intent, prepared=prepared))


def _renamed(prepared):
    """The same request under another reference, and another key where there is one."""
    other = new_reference()
    headers = {name: str(uuid.uuid4()) if "Key" in name else value for name, value in prepared.headers.items()}
    body = prepared.body.replace(prepared.reference.encode(), other.encode())
    return replace(prepared, headers=headers, body=body, reference=other)
