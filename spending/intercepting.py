"""Orders a parcel turned round: bought like a label, but to look whether it was done is to ask what is in force.

source: design/labels-never-twice.md, protocol 3 to 6; facts/ups.md 7.4: no key, so whatever is repeated is looked up.
"""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from carriers.contract import (
    CarrierError,
    Intercepted,
    InterceptOutcome,
    NotExecuted,
    Reason,
    Refused,
    Rejected,
    Unknown,
    Unreadable,
)
from spending import points
from spending.brakes import hundredths
from spending.buying import begin, conclude, is_too_late, never_sent, outcome_of, say_settled, sent, take_again
from spending.intents import Claim, Till, claim_of, move, state_of, taken
from spending.machine import (
    PROVABLE,
    After,
    State,
    after_death,
    after_nothing_found,
    after_refused_look,
    after_send,
    backoff,
)
from store.again import write_surely
from store.engine import Tx
from store.purchases import lock_purchase, set_spend

log = logging.getLogger(__name__)

IN_FORCE = "in_force"
"""Of a purchase that was never sent: the carrier holds such an order already, and it is not ours."""
NOT_POSSIBLE = "not_possible"
_CLOCKS_DIFFER = timedelta(minutes=5)


async def order(till: Till, purchase_id: str) -> State:
    """Send a planned order and settle it; the state it is in then. A cancelled caller leaves it UNKNOWN."""
    started = till.monotonic()
    claim = await begin(till, purchase_id)
    if claim is None:
        return await state_of(till, purchase_id)
    points.crash_point("intercept.after_intent")
    if is_too_late(till, started):
        return await never_sent(till, claim)
    return await send_and_settle(till, claim)


async def send_and_settle(till: Till, claim: Claim) -> State:
    state = await sent(send(till, claim), partial(_settle, till, claim), "intercept.after_send")
    points.crash_point("intercept.after_settle")
    return state


async def send(till: Till, claim: Claim) -> InterceptOutcome:
    return await outcome_of(till, claim, lambda carrier: carrier.intercept(claim.intent.prepared))


async def _settle(till: Till, claim: Claim, outcome: InterceptOutcome) -> State:
    if isinstance(outcome, Intercepted):
        return await in_force(till, claim, outcome.note)
    assert isinstance(outcome, Rejected | NotExecuted | Unknown)
    return await conclude(till, claim, after_send(till.pace, claim.record, claim.sends, outcome))


async def in_force(till: Till, claim: Claim, note: str) -> State:
    """The carrier holds our order: kept in one commit. It is proof whoever holds the fence, and also after a no."""

    async def unit(tx: Tx) -> State:
        row = await lock_purchase(tx, claim.intent.id)
        assert row is not None
        now = claim_of(row, till)
        if now.state not in (*PROVABLE, State.REJECTED):
            return now.state
        record = replace(now.record, number=claim.intent.prepared.reference, why=note)
        await move(tx, till, now, State.BOUGHT, record, sends=now.sends, sent=now.sent, next_at=till.real())
        if price := claim.intent.about.get("price"):
            await set_spend(tx, claim.intent.id, hundredths(Decimal(price)))
        if now.state is not State.SENDING or now.sends > 1:
            await say_settled(tx, till, now)
        return State.BOUGHT

    return await write_surely(till.store, unit)


# ------------------------------------------------------------------------------------------------- what is left open


async def resume_intercept(till: Till, claim: Claim) -> State:
    """An order that was planned and left, or whose sender is gone, or that nobody can say was taken."""
    match claim.state:
        case State.PLANNED:
            return await _begin_again(till, claim)
        case State.SENDING:
            return await conclude(till, claim, after_death(claim.record, claim.sends))
        case _:
            return await _look(till, claim)


async def _begin_again(till: Till, claim: Claim) -> State:
    """Nothing of it has reached the carrier, and time has passed: what is possible is asked again before it is sent."""
    carrier, number = till.carriers[claim.intent.carrier], claim.intent.prepared.reference
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            found = await carrier.intercept_eligibility(number)
    except Refused as error:
        return await _refuse(till, claim, NOT_POSSIBLE, str(error))
    except (CarrierError, TimeoutError) as error:
        record = replace(claim.record, why=str(error), unreached=claim.record.unreached + 1)
        return await conclude(
            till, claim, After(State.PLANNED, record, claim.sends, _wait(till, error, record.unreached))
        )
    if found.already:
        return await _refuse(till, claim, IN_FORCE, found.why)
    if not found.possible:
        return await _refuse(till, claim, NOT_POSSIBLE, found.why)
    return await order(till, claim.intent.id)


async def _refuse(till: Till, claim: Claim, code: str, why: str) -> State:
    """Not sent at all, and never will be."""
    return await conclude(
        till, claim, After(State.REJECTED, replace(claim.record, code=code, why=why), claim.sends, 0.0)
    )


def _wait(till: Till, error: Exception, times: int) -> float:
    return backoff(till.pace, times, getattr(error, "retry_after", None) or 0.0)


async def _look(till: Till, claim: Claim) -> State:
    """Ask the carrier what is in force: that settles it; what is not in force counts only after the quiet time."""

    async def take(tx: Tx) -> Claim | None:
        return await taken(tx, till, claim, till.real() + till.pace.scaled(till.pace.lease))

    mine = await till.store.write(take)
    if mine is None:
        return await state_of(till, claim.intent.id)
    points.crash_point("look.after_take")
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            is_held, possible = await holds(till, claim)
    except Refused as error:
        record = replace(claim.record, why=f"the carrier shows nothing: {error}")
        return await conclude(till, mine, after_refused_look(till.pace, record, claim.sends))
    except (CarrierError, TimeoutError) as error:  # a look that was not answered is no look
        wait = max(getattr(error, "retry_after", None) or 0.0, till.pace.scaled(till.pace.look_again))
        return await conclude(till, mine, After(State.UNKNOWN, claim.record, claim.sends, wait))
    points.crash_point("look.after_find")
    if is_held:
        return await in_force(till, mine, "found in force")
    return await _not_in_force(till, mine, possible)


async def holds(till: Till, claim: Claim) -> tuple[bool, bool]:
    """Whether our order is in force or was carried out; and whether one could be given now. Raises CarrierError.

    Once the parcel has turned nothing is in force any more: then its scans tell that its sender called it back.
    """
    carrier, number = till.carriers[claim.intent.carrier], claim.intent.prepared.reference
    found = await carrier.intercept_eligibility(number)
    if found.already or found.possible:
        return found.already, found.possible
    since = datetime.fromisoformat(claim.intent.about["asked_at"]) - _CLOCKS_DIFFER
    for payload in await carrier.track([number]):
        try:
            events = carrier.read(payload).events
        except Unreadable:
            continue
        if any(e.number == number and e.reason is Reason.RECALLED_BY_SHIPPER and e.at >= since for e in events):
            return True, False
    return False, False


async def _not_in_force(till: Till, claim: Claim, possible: bool) -> State:
    """Nothing in force: looked for again, or sent again; where it is not possible any more, it was not done."""
    after = after_nothing_found(till.pace, claim.record, claim.sends, till.real() - claim.sent)
    if after.state in (State.SENDING, State.NEEDS_HUMAN) and not possible:
        record = replace(after.record, code=NOT_POSSIBLE, why="the carrier holds no such order and takes none now")
        after = After(State.REJECTED, record, after.sends, 0.0)
    if after.state is not State.SENDING:
        return await conclude(till, claim, after)
    again = await take_again(till, claim)
    if again is None:
        return await state_of(till, claim.intent.id)
    return await send_and_settle(till, again)


async def close_intercept(till: Till, claim: Claim, why: str) -> State:
    """A person ends it: the carrier is asked once more, and what it holds decides. Raises CarrierError."""
    is_held, _ = await holds(till, claim)
    if is_held:
        return await in_force(till, claim, "found in force")
    return await _refuse(till, claim, "closed", why)
