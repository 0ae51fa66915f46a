"""What every answer has in common: a request id, headers, a problem instead of a crash, one line in the log."""

import itertools
import logging
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry, Counter, Histogram

from api.problems import CONTENT_TYPE, Problem
from api.ready import ALWAYS, Given
from store.engine import StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log: Any = structlog.get_logger("api")
_logger = logging.getLogger("api")

REQUEST_ID = web.RequestKey("request_id", str)
CALLER = web.RequestKey("caller", str)

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_RUN, _NUMBERS = secrets.token_hex(8), itertools.count()  # this process, and its requests


class Meter:
    """What the doors count: requests by route and outcome, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "homeward_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram("homeward_http_seconds", "Seconds to answer", ["route"], registry=registry)
        self.refused = Counter("homeward_lookups_refused", "Look-ups that found nothing", ["page"], registry=registry)
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.alarm_told = ""  # the hour in which ops were told
        self.alarmed = Counter(
            "homeward_lookups_alarmed", "Refused look-ups while everybody's budget is spent", registry=registry
        )

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answer. The counters are looked up once: there are as many as routes and outcomes."""
        counters = self._counters.get((method, route, status))
        if counters is None:
            counters = self.requests.labels(method, route, str(status)), self.seconds.labels(route)
            self._counters[(method, route, status)] = counters
        counters[0].inc()
        counters[1].observe(seconds)


METER = web.AppKey("meter", Meter)


def request_id_of(request: web.Request) -> str:
    """The caller's own id when it is a sane one, else a new one."""
    given = request.headers.get("X-Request-Id", "")
    return given if given and _SANE_ID.fullmatch(given) else f"{_RUN}{next(_NUMBERS):08x}"


def route_of(request: web.Request) -> str:
    """The address as it is documented, with names instead of values: nothing that a caller typed."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


def problem_response(problem: Problem, request_id: str) -> web.Response:
    return web.Response(
        body=problem.body(request_id), status=problem.status, content_type=CONTENT_TYPE, headers=problem.headers
    )


def _as_problem(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals in our words."""
    match error:
        case web.HTTPMethodNotAllowed():
            allow = ", ".join(sorted(error.allowed_methods))
            return Problem("method_not_allowed", f"it answers to {allow}", headers={"Allow": allow})
        case web.HTTPNotFound():
            return Problem("unknown_route")
        case web.HTTPRequestEntityTooLarge():
            return Problem("body_too_large")
        case _:
            return Problem("bad_request", status=error.status, title=error.reason)


def crashed(error: Exception, request_id: str) -> Problem:
    """A 500 that says nothing but its id. The log gets type and places: a message may hold what must not be there."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    log.error(
        "crash",
        request_id=request_id,
        kind=type(error).__name__,
        places=[f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return Problem("internal", f"tell us the request id {request_id}")


@web.middleware
async def manners(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost layer: every answer leaves through here."""
    started = time.monotonic()
    request_id = request[REQUEST_ID] = request_id_of(request)
    try:
        response = await handler(request)
    except Problem as problem:
        response = problem_response(problem, request_id)
    except web.HTTPException as error:
        response = problem_response(_as_problem(error), request_id)
    except StoreError as error:  # a commit nobody knows of, too: the same call with the same key finds out
        log.error("database", request_id=request_id, kind=type(error).__name__)
        response = problem_response(Problem("not_ready", headers={"Retry-After": "5"}), request_id)
    except Exception as error:
        response = problem_response(crashed(error, request_id), request_id)
    _finish(request, response, request_id, time.monotonic() - started)
    return response


def _finish(request: web.Request, response: web.StreamResponse, request_id: str, seconds: float) -> None:
    if type(response) is not Given:  # which was made with all of them
        _dress(response.headers, request_id)
    route = route_of(request)
    method = request.method if request.method in _METHODS else "other"
    request.app[METER].note(method, route, response.status, seconds)
    if not _logger.isEnabledFor(logging.INFO):  # making a line that nobody wants costs more than the rest
        return
    log.info(
        "request",
        request_id=request_id,
        method=method,
        route=route,
        status=response.status,
        ms=round(seconds * 1000, 1),
        caller=request.get(CALLER, ""),
    )


def _dress(headers: CIMultiDict[str], request_id: str) -> None:
    if "Server" not in headers:  # else it was made with all others
        for name, value in ALWAYS.items():
            headers.setdefault(name, value)
    headers["X-Request-Id"] = request_id


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
