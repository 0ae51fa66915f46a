"""Faults that can be switched on for a carrier's call: how many times, and what then happens on the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KINDS = (
    "latency",
    "429",
    "500",
    "reset",
    "charged_then_timeout",
    "charged_then_500",
    "truncated",
    "html",
    "expired_token",
    "empty_scope",
)


class Refusing(Protocol):
    """What a stand-in offers for faults in its carrier's own words."""

    def busy(self, retry_after: str | None) -> web.Response: ...
    def broken(self) -> web.Response: ...
    def forget_tokens(self) -> None: ...
    def starve(self) -> None: ...


@dataclass(slots=True)
class Fault:
    """`operation` "*" is any call. `seconds`: how long latency or a lost answer takes; `retry_after`: sent as it is."""

    carrier: str
    operation: str
    kind: str
    times: int = 1
    seconds: float = 1.0
    retry_after: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(KINDS)}")


class Faults:
    """The faults still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def take(self, carrier: str, operation: str) -> Fault | None:
        """The fault for this call, used up by it."""
        for fault in self.waiting:
            if fault.carrier == carrier and fault.operation in {operation, "*"}:
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
            return carrier.broken()
        case "charged_then_500":
            await handler(request)
            return carrier.broken()
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
        case _:  # empty_scope
            carrier.starve()
            return await handler(request)


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
