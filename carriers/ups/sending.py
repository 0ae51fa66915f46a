"""Sends a prepared call that spends, once, and says what its answer or its absence proves."""

import asyncio

import httpx

from carriers.contract import Away, CarrierError, NotExecuted, Prepared, Rejected, Unknown
from carriers.door import Door, never_left, retry_after
from carriers.ups.faults import QUIET_SECONDS, complaint, complaints, request_id

# source: design/labels-never-twice.md, step 3
SENDING = httpx.Timeout(connect=5.0, write=10.0, read=60.0, pool=5.0)
HARD_SECONDS = 75.0
NOT_EXECUTED = frozenset({401, 429})
REFUSALS = frozenset({400, 402, 403, 422})


async def send(door: Door, prepared: Prepared, api: str) -> httpx.Response | NotExecuted | Unknown:
    """The answer, or what its absence proves.  # source: design/labels-never-twice.md, step 4"""
    try:
        await door.keeper.get()  # so that a failure below is the purchase's own
    except CarrierError as error:
        return NotExecuted(f"no token: {error}", error.retry_after or 0.0)
    try:
        async with asyncio.timeout(HARD_SECONDS):
            return await door.once(
                prepared.method,
                prepared.path,
                api=api,
                headers=prepared.headers,
                content=prepared.body,
                timeout=SENDING,
            )
    except Away as error:
        why = str(error)
        return NotExecuted(why, error.retry_after or 0.0) if never_left(error.__cause__) else Unknown(why)
    except CarrierError as error:  # the budget, or a token that was refused a moment later: nothing was executed
        return NotExecuted(str(error), error.retry_after or 0.0)
    except Exception as error:  # whatever it is, it proves nothing about the money
        return Unknown(f"{type(error).__name__} while UPS was asked")


def refusal(response: httpx.Response) -> Rejected | NotExecuted | Unknown:
    """An answer that is no success.  # source: design/labels-never-twice.md, step 4"""
    status = response.status_code
    code, message = complaint(response)
    if status in NOT_EXECUTED:
        wait = retry_after(response) or (QUIET_SECONDS if status == 429 else 0.0)
        return NotExecuted(f"UPS answered {status} {code} {message}".strip(), wait)
    if status in REFUSALS and complaints(response.content):
        return Rejected(code, message, request_id(response))
    return Unknown(f"UPS answered {status} {code} {message}".strip())
