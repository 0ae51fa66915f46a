"""The door every carrier's folder speaks HTTP through: one client, explicit deadlines, one token under single flight.

It knows HTTP, not carriers: what an answer means is the carrier's own `fault` function.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from carriers.contract import Away, Busy, CarrierError, Refused

# source: facts/stack.md, "Transport under httpx": httpx's own pool is quadratic, aiohttp's holds at 80 open calls.
OPEN_CALLS = 80
TIMEOUT = httpx.Timeout(connect=5.0, write=10.0, read=30.0, pool=30.0)


class Budget(Protocol):
    """How many calls a credential may make: `fleet` provides it, per carrier and API."""

    async def take(self, api: str) -> None:
        """Return when one call may be made. Raises Busy when the wait would be too long."""

    def hold(self, api: str, seconds: float) -> None:
        """The carrier asked for quiet: nobody calls this API for that long."""


class Unlimited:
    """A budget that never waits: tests and tools."""

    async def take(self, api: str) -> None:
        return None

    def hold(self, api: str, seconds: float) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the monotonic second at which it must no longer be used. `repr` never shows the value."""

    value: str = field(repr=False)
    good_until: float
    scopes: frozenset[str] = frozenset()


class TokenKeeper:
    """One token, fetched once however many ask at the same time, renewed before it ends."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._monotonic = fetch, monotonic
        self._token: Token | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Token:
        """The current token; a new one when it is missing or about to end. Raises what the fetch raises."""
        token = self._token
        if token and token.good_until > self._monotonic():
            return token
        async with self._lock:
            token = self._token
            if not token or token.good_until <= self._monotonic():
                token = self._token = await self._fetch()
            return token

    def drop(self, token: Token) -> None:
        """Forget this token after a 401. Another caller may already have a newer one: that one stays."""
        if self._token is token:
            self._token = None


Fault = Callable[[httpx.Response], CarrierError | None]


def client(base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """An HTTP client that follows no redirects, reads no proxies from the environment and always has deadlines."""
    limits = httpx.Limits(max_connections=OPEN_CALLS, max_keepalive_connections=OPEN_CALLS)
    return httpx.AsyncClient(
        base_url=base_url,
        transport=transport or AiohttpTransport(limits=limits),
        timeout=TIMEOUT,
        limits=limits,
        follow_redirects=False,
        trust_env=False,
    )


def retry_after(response: httpx.Response, cap: float = 3600.0) -> float | None:
    """Seconds from a `Retry-After` header given in seconds; None where there is none or it is junk. Capped."""
    text = response.headers.get("retry-after", "").strip()
    return min(float(text), cap) if text.isdigit() else None


class Door:
    """Sends calls for one carrier account: budget, token, one renewal after a 401, retries for calls safe to repeat."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        keeper: TokenKeeper,
        fault: Fault,
        budget: Budget,
        *,
        tries: int = 3,
        first_wait: float = 0.5,
    ) -> None:
        self.http, self.keeper, self.budget = http, keeper, budget
        self._fault, self._tries, self._first_wait = fault, tries, first_wait

    async def ask(
        self, method: str, path: str, *, api: str, headers: Mapping[str, str] | None = None, **request: object
    ) -> httpx.Response:
        """A call that is safe to repeat. Raises Refused, Busy, Away, NotFound as the carrier's `fault` sorts it."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Away),
            stop=stop_after_attempt(self._tries),
            wait=wait_exponential_jitter(initial=self._first_wait, max=30.0),
            reraise=True,
        ):
            with attempt:
                response = await self.once(method, path, api=api, headers=headers, **request)
                if error := self._fault(response):
                    if isinstance(error, Busy):
                        self.budget.hold(api, error.retry_after or 1.0)
                    raise error
        return response

    async def once(
        self, method: str, path: str, *, api: str, headers: Mapping[str, str] | None = None, **request: object
    ) -> httpx.Response:
        """One call as it is, its answer unjudged; a 401 renews the token and sends the same bytes once more.

        Raises Away when no answer came (the cause is the httpx error, which tells whether bytes left).
        """
        await self.budget.take(api)
        token = await self.keeper.get()
        response = await self._send(method, path, token, headers, request)
        if response.status_code == 401:
            self.keeper.drop(token)
            fresh = await self.keeper.get()
            response = await self._send(method, path, fresh, headers, request)
        return response

    async def _send(
        self, method: str, path: str, token: Token, headers: Mapping[str, str] | None, request: Mapping[str, object]
    ) -> httpx.Response:
        try:
            return await self.http.request(
                method,
                path,
                headers={**(headers or {}), "Authorization": f"Bearer {token.value}"},
                **request,  # type: ignore[arg-type]
            )
        except (httpx.HTTPError, aiohttp.ClientError) as error:  # the transport lets some of aiohttp's through
            raise Away(f"no answer from {self.http.base_url.host}: {type(error).__name__}") from error

    async def aclose(self) -> None:
        await self.http.aclose()


def never_left(error: BaseException | None) -> bool:
    """Whether an httpx failure proves that the request was not written: safe to send the same bytes again.

    The aiohttp transport calls a connection reset *after* the request a ConnectTimeout: its own error decides.
    """
    if error is not None and isinstance(error.__cause__, aiohttp.ClientError):
        return isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


__all__ = [
    "Away", "Budget", "Door", "Fault", "Refused", "Token", "TokenKeeper", "Unlimited", "client", "never_left",
    "retry_after",
]  # fmt: skip
