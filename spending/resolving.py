"""Settles what is open: sends what was planned and left, and looks for what nobody can say was bought.

source: design/labels-never-twice.md, protocol 6: a hit ends it at once; a miss counts only after the quiet time.
"""

import asyncio
from dataclasses import replace

from carriers.contract import CarrierError
from spending.buying import buy, conclude, keep, send_and_settle, take_to_send
from spending.intents import Claim, Till, claim_of, move, real_us, state_of
from spending.machine import State, after_looks, after_miss, next_look
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
    match claim.state:
        case State.PLANNED:
            return await buy(till, claim.intent.id)
        case State.SENDING:
            # whoever sent it is gone: it may have reached the carrier
            record = replace(claim.record, why="the sender ended without saying how the send ended")
            return await conclude(till, claim, State.UNKNOWN, record, wait=0.0)
        case _:
            return await _look(till, claim)


async def _look(till: Till, claim: Claim) -> State:
    """Ask the carrier for what it holds under our name: finding it settles all, not finding it must be proved."""

    async def take(tx: Tx) -> bool:
        lease = till.real() + till.pace.scaled(till.pace.lease)
        return await move(tx, till, claim, State.UNKNOWN, sends=claim.sends, sent=claim.sent, next_at=lease)

    if not await till.store.write(take):
        return await state_of(till, claim.intent.id)
    mine = replace(claim, fence=claim.fence + 1)
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            found = await till.carriers[claim.intent.carrier].find(claim.intent.prepared)
    except (CarrierError, TimeoutError) as error:
        # a look that was not answered is no look
        wait = max(getattr(error, "retry_after", None) or 0.0, till.pace.scaled(till.pace.look_again))
        return await conclude(till, mine, State.UNKNOWN, claim.record, wait=wait)
    if found:
        return await keep(till, mine, found)
    return await _after_miss(till, mine)


async def _after_miss(till: Till, claim: Claim) -> State:
    since_sent = till.real() - claim.sent
    record = after_miss(till.pace, claim.record, since_sent)
    state = after_looks(till.pace, record, claim.sends)
    if state is not State.SENDING:
        wait = next_look(till.pace, since_sent) if state is State.UNKNOWN else None
        return await conclude(till, claim, state, record, wait=wait)
    taken = await till.store.write(lambda tx: take_to_send(tx, till, claim))
    return await send_and_settle(till, taken) if taken else await state_of(till, claim.intent.id)
