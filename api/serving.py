"""A route -> an aiohttp handler: who asks, what is asked, asked before, answered, in that order."""

import hashlib
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict
from pydantic import BaseModel

from api.bodies import checked, checked_query, read_bytes
from api.house import House
from api.kept import KEPT
from api.keys import NOBODY, authenticate
from api.manners import ALWAYS, CALLER, REQUEST_ID
from api.problems import Problem
from api.rates import Rates
from api.refusals import as_problem
from api.replays import remembered
from api.route import Answer, AnyRoute, Call, Caller, Nothing
from api.routes import PARAMETERS
from api.words import choose

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


RATES = web.AppKey("rates", Rates)


def served(house: House, route: AnyRoute) -> Handler:
    """What aiohttp calls for this route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        app, raw = request.app, b""
        if route.kept and not route.scope:  # who asks with a body is nobody: what a stranger sends is read only once
            raw = await _raw(request, route)
        kept, asked = app[KEPT], _question(request, route, raw)
        ready: _Ready | None = kept.find(asked) if route.kept else None
        if ready and (ready.still is None or ready.still(request)):
            return _respond(request, ready, _counted(request, route, ready.caller))
        since = kept.since()
        caller = await authenticate(house, request, route.scope) if route.scope else NOBODY
        left = _counted(request, route, caller)
        path = _path(route, request.match_info)
        query = checked_query(route.query, request.query)
        raw = raw or await _raw(request, route)
        body = checked(route.body, raw) if raw or route.body is not Nothing else Nothing()
        call = Call(house, request, path, query, body, caller, request[REQUEST_ID], _locale(request))

        async def run() -> Answer:
            try:
                return await route.handler(call)
            except Exception as error:
                if (problem := as_problem(error, route.parameters)) is None:
                    raise
                raise problem from error

        answer = await (remembered(call, raw, run) if route.idempotent else run())
        ready = _ready(request, answer, caller)
        if route.kept:
            kept.keep(asked, ready, since)
        return _respond(request, ready, left)

    return handle


async def _raw(request: web.Request, route: AnyRoute) -> bytes:
    return await read_bytes(request, "application/json") if route.body is not Nothing else b""


def _question(request: web.Request, route: AnyRoute, raw: bytes) -> Hashable:
    """All that decides an answer which may be kept: who asks, what, and in which language."""
    headers = request.headers
    return route.name, request.path_qs, raw, headers.get("Authorization"), headers.get("Accept-Language")


def _counted(request: web.Request, route: AnyRoute, caller: Caller) -> Mapping[str, str]:
    """The caller named for the log, and one more of their calls. Raises Problem when none is left."""
    request[CALLER] = caller.name
    return request.app[RATES].take(caller.name) if route.scope else {}


def _path(route: AnyRoute, found: Mapping[str, str]) -> dict[str, str]:
    for name in route.parameters:
        if not PARAMETERS[name].accepts(found[name]):
            raise Problem("invalid_path", f"{name}: {PARAMETERS[name].description}")
    return {name: found[name] for name in route.parameters}


def _locale(request: web.Request) -> str:
    return choose(request.headers.get("Accept-Language", ""))


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer as bytes, with every header; `tag` is empty where nobody may ask whether it changed."""

    body: bytes
    status: int
    headers: CIMultiDict[str]
    tag: str
    caller: Caller
    still: Callable[[web.Request], bool] | None


def _ready(request: web.Request, answer: Answer, caller: Caller) -> _Ready:
    body = answer.body.model_dump_json().encode() if isinstance(answer.body, BaseModel) else answer.body
    headers, tag = CIMultiDict({**ALWAYS, **answer.headers}), ""
    if request.method in ("GET", "HEAD") and answer.status == 200:
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers.update({"ETag": tag, "Cache-Control": "private, no-cache"})
    if answer.status != 204:
        headers["Content-Type"] = answer.content_type
    return _Ready(body, answer.status, headers, tag, caller, answer.still)


def _respond(request: web.Request, ready: _Ready, left: Mapping[str, str]) -> web.Response:
    headers = ready.headers
    if ready.tag and _matches(request.headers.get("If-None-Match", ""), ready.tag):
        response = web.Response(status=304, headers=headers)
        del response.headers["Content-Type"]
    elif ready.status == 204:
        response = web.Response(status=204, headers=headers)
    else:
        response = web.Response(body=ready.body, status=ready.status, headers=headers)
    if left:
        response.headers.update(left)
    return response


def _matches(given: str, tag: str) -> bool:
    """Whether one of the tags the caller has is ours; weak or strong is the same here."""
    if not given:
        return False
    tags = [part.strip().removeprefix("W/") for part in given.split(",")]
    return tag in tags or tags == ["*"]
