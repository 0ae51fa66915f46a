"""Settles what is open: sends what was planned and left, and looks for what nobody can say was bought.

source: design/labels-never-twice.md, protocol 6: a hit ends it at once; a miss counts only after the quiet time.
"""

import asyncio
from dataclasses import replace

from carriers.contract import CarrierError, Refused
from spending import points
from spending.buying import buy, conclude, keep, send_and_settle, take_again
from spending.intents import INTERCEPT, VOID, Claim, Till, claim_of, real_us, state_of, taken
from spending.intercepting import resume_intercept
from spending.machine import After, State, after_death, after_nothing_found, after_refused_look
from spending.refunds import follow_refund
from spending.replays import pace_for
from spending.voiding import resume_void
from store.engine import Row, Tx
from store.purchases import due_purchases


async def resolve(till: Till, limit: int = 20) -> int:
    """Take up what is open and due: send what was planned and left, look for what is unknown. How many were seen to."""
    rows = await till.store.read(lambda tx: due_purchases(tx, real_us(till.real()), limit))
    mine = [row for row in rows if row["carrier"] in till.carriers]
    ends = await asyncio.gather(*(_take_up(till, row) for row in mine), return_exceptions=True)
    if errors := [end for end in ends if isinstance(end, Exception)]:
        raise ExceptionGroup("open purchases could not be taken up", errors)
    return len(mine)


async def _take_up(till: Till, row: Row) -> State:
    claim = claim_of(row, till)
    if claim.state is State.REFUND_PENDING:
        return await follow_refund(till, claim)
    if row["operation"] == VOID:
        return await resume_void(till, claim)
    if row["operation"] == INTERCEPT:
        return await resume_intercept(till, claim)
    match claim.state:
        case State.PLANNED:
            return await buy(till, claim.intent.id)
        case State.SENDING:
            return await conclude(till, claim, after_death(claim.record, claim.sends))
        case _:
            return await _look(till, claim)


async def _look(till: Till, claim: Claim) -> State:
    """Ask the carrier for what it holds under our name: finding it settles all, not finding it must be proved."""

    async def take(tx: Tx) -> Claim | None:
        lease = till.real() + till.pace.scaled(till.pace.lease)
        return await taken(tx, till, claim, lease)

    mine = await till.store.write(take)
    if mine is None:
        return await state_of(till, claim.intent.id)
    points.crash_point("look.after_take")
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            found = await till.carriers[claim.intent.carrier].find(claim.intent.prepared)
    except Refused as error:
        pace = await till.store.read(lambda tx: pace_for(tx, till, claim.intent.carrier))
        record = replace(claim.record, why=f"the carrier shows nothing: {error}")
        return await _go_on(till, mine, after_refused_look(pace, record, claim.sends))
    except (CarrierError, TimeoutError) as error:
        # a look that was not answered is no look
        wait = max(getattr(error, "retry_after", None) or 0.0, till.pace.scaled(till.pace.look_again))
        return await conclude(till, mine, After(State.UNKNOWN, claim.record, claim.sends, wait))
    points.crash_point("look.after_find")
    if found:
        return await keep(till, mine, found)
    return await _nothing_found(till, mine)


async def _nothing_found(till: Till, claim: Claim) -> State:
    pace = await till.store.read(lambda tx: pace_for(tx, till, claim.intent.carrier))
    return await _go_on(till, claim, after_nothing_found(pace, claim.record, claim.sends, till.real() - claim.sent))


async def _go_on(till: Till, claim: Claim, after: After) -> State:
    """What follows a look that found nothing; SENDING: the same bytes go again now."""
    if after.state is not State.SENDING:
        return await conclude(till, claim, after)
    again = await take_again(till, claim)
    if again is None:
        return await state_of(till, claim.intent.id)
    return await send_and_settle(till, again)
