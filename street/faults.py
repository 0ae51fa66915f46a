"""Faults that can be switched on for a carrier's call: how many times, and what then happens on the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from street.drift import drifted

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KINDS = (
    "latency",
    "429",
    "500",
    "reset",
    "timeout",
    "charged_then_timeout",
    "charged_then_500",
    "truncated",
    "html",
    "expired_token",
    "empty_scope",
    "success_false",
    "207",
    "drift",
)
PUSHES = ("lost", "doubled", "late", "reordered")  # for the operation "push"
PUSH = "push"


class Refusing(Protocol):
    """What a stand-in offers for faults in its carrier's own words."""

    def busy(self, retry_after: str | None) -> web.Response: ...
    @property
    def optional(self) -> frozenset[str]: ...
    @property
    def countable(self) -> frozenset[str]: ...
    def broken(self, status: int) -> web.Response: ...
    def fail_inside(self) -> None: ...
    def mixed(self, answer: web.Response) -> web.Response: ...
    def forget_tokens(self) -> None: ...
    def starve(self) -> None: ...


@dataclass(slots=True)
class Fault:
    """`operation` "*" is any call, "push" what the carrier posts to us.

    `seconds`: how long latency or a lost answer takes (of a late push: story seconds); `retry_after`: sent as it is;
    `status`: of the 500 kinds; `only`: one of the ways to drift (extra, missing, renamed, numbers), or all of them.
    """

    carrier: str
    operation: str
    kind: str
    times: int = 1
    seconds: float = 1.0
    retry_after: str | None = None
    status: int = 500
    only: str = ""

    def __post_init__(self) -> None:
        known = PUSHES if self.operation == PUSH else KINDS
        if self.kind not in known:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(known)}")


class Faults:
    """The faults still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def take(self, carrier: str, operation: str) -> Fault | None:
        """The fault for this call, used up by it."""
        for fault in self.waiting:
            named = {operation} if operation == PUSH else {operation, "*"}
            if fault.carrier == carrier and fault.operation in named:
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


async def suffer(fault: Fault, request: web.Request, handler: Handler, carrier: Refusing) -> web.StreamResponse:
    """Answer a call as the fault wants it."""
    await request.read()  # what has arrived has arrived, even if its sender gives up now
    match fault.kind:
        case "latency":
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        case "429":
            return carrier.busy(fault.retry_after)
        case "500":
            return carrier.broken(fault.status)
        case "charged_then_500":
            await handler(request)
            return carrier.broken(fault.status)
        case "timeout":
            await asyncio.sleep(fault.seconds)
            return _reset(request)
        case "charged_then_timeout":
            await handler(request)
            await asyncio.sleep(fault.seconds)
            return _reset(request)
        case "reset":
            return _reset(request)
        case "truncated":
            return await _truncated(request, await handler(request))
        case "html":
            return web.Response(
                text="<html><body><h1>Bad gateway</h1></body></html>", status=502, content_type="text/html"
            )
        case "expired_token":
            carrier.forget_tokens()
            return await handler(request)
        case "empty_scope":
            carrier.starve()
            return await handler(request)
        case "success_false":
            carrier.fail_inside()
            return await handler(request)
        case "207":
            return _plain(await handler(request), carrier.mixed)
        case _:  # drift
            return _plain(
                await handler(request), lambda whole: drifted(whole, carrier.optional, carrier.countable, fault.only)
            )


def _plain(whole: web.StreamResponse, change: Callable[[web.Response], web.Response]) -> web.StreamResponse:
    """The answer changed, where it is one whose body is at hand."""
    return change(whole) if isinstance(whole, web.Response) and isinstance(whole.body, bytes) else whole


def _reset(request: web.Request) -> web.Response:
    """Break the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _truncated(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """Half of the answer, then the connection breaks."""
    body = whole.body if isinstance(whole, web.Response) and isinstance(whole.body, bytes) else b"{}"
    half = web.StreamResponse(
        status=whole.status, headers={"Content-Type": whole.headers["Content-Type"], "Content-Length": str(len(body))}
    )
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    return _reset(request)
