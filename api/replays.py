"""Idempotency-Key: the first request does the work, every later one gets its answer."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, assert_never

from pydantic import BaseModel

from api.problems import Problem
from api.route import Answer, Call
from store.engine import Tx
from store.idempotency import Answered, Begin, Begun, OtherBody, Running, begin, finish, forget

_KEY = re.compile(r"[!-~]{1,200}")


async def remembered(call: Call[Any, Any], body: bytes, run: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of `run`, or the one it gave before to the same caller, key and body. Without a key: just run.

    A refusal is forgotten, so that the request can be put right under the same key. Whatever broke stays running and
    is taken up again by a later request: what costs money is bought once by its own rules, not by this one.
    """
    given = call.request.headers.getall("Idempotency-Key", ())
    if not given:
        return await run()
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise Problem("invalid_idempotency_key")
    match await _begin(call, given[0], body):
        case Answered(status, answer):
            plain = call.house.sealer.open(answer)
            return Answer(plain, status, headers={"Idempotent-Replayed": "true"})
        case Running():
            raise Problem("idempotency_running", headers={"Retry-After": "1"})
        case OtherBody():
            raise Problem("idempotency_key_reused")
        case Begun() as begun:
            return await _work(call, begun, run)
        case other:
            assert_never(other)


async def _begin(call: Call[Any, Any], key: str, body: bytes) -> Begin:
    asked = f"{call.request.method} {call.request.path}\n".encode() + body
    digest = hashlib.sha256(asked).hexdigest()
    now = datetime.now(UTC)
    return await call.house.store.write(
        lambda tx: begin(tx, caller=call.caller.name, key=key, body_digest=digest, at=now)
    )


async def _work(call: Call[Any, Any], begun: Begun, run: Callable[[], Awaitable[Answer]]) -> Answer:
    store = call.house.store
    try:
        answer = await run()
    except Problem:
        await store.write(lambda tx: forget(tx, begun))
        raise
    body = answer.body.model_dump_json().encode() if isinstance(answer.body, BaseModel) else answer.body
    sealed = call.house.sealer.seal(body)  # an answer may show a secret once

    async def keep(tx: Tx) -> bool:
        return await finish(tx, begun, status=answer.status, answer=sealed)

    await store.write(keep)
    return answer
