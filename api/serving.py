"""A route -> an aiohttp handler: who asks, what is asked, asked before, answered, in that order."""

import re
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel, ValidationError

from api.bodies import checked, checked_query, read_bytes
from api.house import House
from api.kept import KEPT, Kept
from api.keys import NOBODY, authenticate
from api.manners import CALLER, REQUEST_ID
from api.problems import Problem
from api.rates import Rates
from api.ready import Ready, given, made_ready
from api.refusals import as_problem
from api.replays import remembered
from api.route import Answer, AnyRoute, Call, Caller, Nothing
from api.routes import PARAMETERS
from api.words import choose

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


RATES = web.AppKey("rates", Rates)


def served(house: House, route: AnyRoute) -> Handler:
    """What aiohttp calls for this route."""
    parts, unasked = [_part(name) for name in route.parameters], _unasked(route.query)

    async def handle(request: web.Request) -> web.StreamResponse:
        app, raw = request.app, b""
        if not route.kept:
            return (await work(request, app[KEPT], raw))[1]
        if not route.scope:  # who asks with a body is nobody: what a stranger sends is read only once
            raw = await _raw(request, route)
        kept, asked = app[KEPT], _question(request, route, raw)
        known: _Known | None = kept.find(asked)
        if known and (known.still is None or known.still(request)):
            return given(request, known.ready, request[REQUEST_ID], _counted(request, route, known.caller))
        since = kept.since()
        known, response = await work(request, kept, raw)
        kept.keep(asked, known, since)
        return response

    async def work(request: web.Request, kept: Kept, raw: bytes) -> tuple[_Known, web.StreamResponse]:
        """The answer made anew, and what is to be known of it the next time."""
        caller = await authenticate(house, kept, request, route.scope) if route.scope else NOBODY
        left = _counted(request, route, caller)
        path = _path(parts, request.match_info)
        query = unasked if unasked and not request.query_string else checked_query(route.query, request.query)
        raw = raw or await _raw(request, route)
        body = checked(route.body, raw) if raw or route.body is not Nothing else _NOTHING
        call = Call(house, request, path, query, body, caller, request[REQUEST_ID], _locale(request))
        run = partial(_run, route, call)
        answer = await (remembered(call, raw, run) if route.idempotent else run())
        told = answer.body.model_dump_json().encode() if isinstance(answer.body, BaseModel) else answer.body
        ready = made_ready(request.method, answer.status, told, answer.content_type, answer.headers)
        return _Known(ready, caller, answer.still), given(request, ready, call.request_id, left)

    return handle


async def _run(route: AnyRoute, call: Call[Any, Any]) -> Answer:
    """The handler's answer. Raises Problem for whatever it raises that is the caller's doing."""
    try:
        return await route.handler(call)
    except Exception as error:
        if (problem := as_problem(error, route.parameters)) is None:
            raise
        raise problem from error


async def _raw(request: web.Request, route: AnyRoute) -> bytes:
    return await read_bytes(request, "application/json") if route.body is not Nothing else b""


def _question(request: web.Request, route: AnyRoute, raw: bytes) -> Hashable:
    """All that decides an answer which may be kept: who asks, what, and in which language."""
    headers = request.headers
    return route.name, request.raw_path, raw, headers.get("Authorization"), headers.get("Accept-Language")


def _counted(request: web.Request, route: AnyRoute, caller: Caller) -> Mapping[str, str]:
    """The caller named for the log, and one more of their calls. Raises Problem when none is left."""
    request[CALLER] = caller.name
    return request.app[RATES].take(caller.name) if route.scope else {}


class _Part(NamedTuple):
    """A name in the address, and whether a text can be it."""

    name: str
    fits: Callable[[str], object]


def _part(name: str) -> _Part:
    return _Part(name, re.compile(PARAMETERS[name].pattern).fullmatch)


def _path(parts: Iterable[_Part], found: Mapping[str, str]) -> dict[str, str]:
    for name, fits in parts:
        if not fits(found[name]):
            raise Problem("invalid_path", f"{name}: {PARAMETERS[name].description}")
    return dict(found)


_NOTHING = Nothing()


def _unasked(model: type[BaseModel]) -> BaseModel | None:
    """The query of an address without one; None where something has to be asked."""
    try:
        return model()
    except ValidationError:
        return None


def _locale(request: web.Request) -> str:
    return choose(request.headers.get("Accept-Language", ""))


class _Known(NamedTuple):
    """An answer that may be given again: whose it is, and what has to hold for it still."""

    ready: Ready
    caller: Caller
    still: Callable[[web.Request], bool] | None
