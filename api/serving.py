"""A route -> an aiohttp handler: who asks, what is asked, asked before, answered, in that order."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from api.bodies import checked, checked_query, read_bytes
from api.house import House
from api.kept import KEPT
from api.keys import NOBODY, authenticate
from api.manners import CALLER, REQUEST_ID
from api.problems import Problem
from api.rates import Rates
from api.refusals import as_problem
from api.replays import remembered
from api.route import Answer, AnyRoute, Call, Nothing
from api.routes import PARAMETERS
from api.words import choose

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


RATES = web.AppKey("rates", Rates)


def served(house: House, route: AnyRoute) -> Handler:
    """What aiohttp calls for this route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await authenticate(house, request, route.scope) if route.scope else NOBODY
        request[CALLER] = caller.name
        left = request.app[RATES].take(caller.name) if route.scope else {}
        kept, asked = request.app[KEPT], (route.name, request.path_qs, request.headers.get("Accept-Language"))
        if route.kept and (ready := kept.find(asked)):
            return _respond(request, ready, left)
        since = kept.since()
        path = _path(route, request.match_info)
        query = checked_query(route.query, request.query)
        raw = await read_bytes(request, "application/json") if route.body is not Nothing else b""
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
        ready = _ready(request, answer)
        if route.kept:
            kept.keep(asked, ready, since)
        return _respond(request, ready, left)

    return handle


def _path(route: AnyRoute, found: Mapping[str, str]) -> dict[str, str]:
    for name in route.parameters:
        if not PARAMETERS[name].accepts(found[name]):
            raise Problem("invalid_path", f"{name}: {PARAMETERS[name].description}")
    return {name: found[name] for name in route.parameters}


def _locale(request: web.Request) -> str:
    return choose(request.headers.get("Accept-Language", ""))


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer as bytes; `tag` is empty where nobody may ask whether it changed."""

    body: bytes
    status: int
    headers: Mapping[str, str]
    tag: str


def _ready(request: web.Request, answer: Answer) -> _Ready:
    body = answer.body.model_dump_json().encode() if isinstance(answer.body, BaseModel) else answer.body
    headers, tag = dict(answer.headers), ""
    if request.method in ("GET", "HEAD") and answer.status == 200:
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
    if answer.status != 204:
        headers["Content-Type"] = answer.content_type
    return _Ready(body, answer.status, headers, tag)


def _respond(request: web.Request, ready: _Ready, left: Mapping[str, str]) -> web.Response:
    headers = {**ready.headers, **left} if left else ready.headers
    if ready.tag and _matches(request.headers.get("If-None-Match", ""), ready.tag):
        headers = {name: value for name, value in headers.items() if name != "Content-Type"}
        return web.Response(status=304, headers=headers)
    if ready.status == 204:
        return web.Response(status=204, headers=headers)
    return web.Response(body=ready.body, status=ready.status, headers=headers)


def _matches(given: str, tag: str) -> bool:
    """Whether one of the tags the caller has is ours; weak or strong is the same here."""
    if not given:
        return False
    tags = [part.strip().removeprefix("W/") for part in given.split(",")]
    return tag in tags or tags == ["*"]
