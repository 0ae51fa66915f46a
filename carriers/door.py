"""The door every carrier's folder speaks HTTP through: one client, explicit deadlines, one token under single flight.

It knows HTTP, not carriers: what an answer means is the carrier's own `fault` function.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from carriers.contract import Away, Busy, CarrierError, Refused

# source: facts/stack.md, "Transport under httpx": httpx's own pool is quadratic, aiohttp's holds at 160 open calls.
OPEN_CALLS = 160
TIMEOUT = httpx.Timeout(connect=5.0, write=10.0, read=30.0, pool=30.0)
# A carrier that asks for a longer wait than this is asked again by a later sweep, not by this call.
LONGEST_PAUSE = 5.0
LONGEST_RETRY_AFTER = 3600.0

log = logging.getLogger(__name__)


class Budget(Protocol):
    """How many calls a credential may make: `fleet` provides it, per carrier and API."""

    async def take(self, api: str) -> None:
        """Return when one call may be made. Raises Busy when the wait would be too long."""

    def hold(self, api: str, seconds: float) -> None:
        """The carrier asked for quiet: nobody calls this API for that long."""

    def met(self, api: str, outcome: str) -> None:
        """A call was made: the status of its answer, or `none`."""


class Unlimited:
    """A budget that never waits: tests and tools."""

    async def take(self, api: str) -> None:
        return None

    def hold(self, api: str, seconds: float) -> None:
        return None

    def met(self, api: str, outcome: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the monotonic second at which it must no longer be used. `repr` never shows the value."""

    value: str = field(repr=False)
    good_until: float
    scopes: frozenset[str] = frozenset()


class TokenShelf(Protocol):
    """Where several processes share a token: `fleet` provides it."""

    async def get(self, name: str, stale: str, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> tuple[str, float]:
        """A text and the seconds it is good for: another process's, or what `fetch` brings; never `stale`."""


class TokenKeeper:
    """One token, fetched once however many ask at the same time, renewed before it ends.

    With a `shelf` it is shared with other processes, under a `name` that tells whose it is and what for.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Token]],
        monotonic: Callable[[], float] = time.monotonic,
        *,
        shelf: TokenShelf | None = None,
        name: str = "",
    ) -> None:
        self._fetch, self._monotonic, self._shelf, self._name = fetch, monotonic, shelf, name
        self._stale = ""
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
                token = self._token = await self._new()
            return token

    def drop(self, token: Token) -> None:
        """Forget this token after a 401. Another caller may already have a newer one: that one stays."""
        if self._token is token:
            self._token, self._stale = None, _written(token)

    async def _new(self) -> Token:
        if self._shelf is None:
            return await self._fetch()
        written, seconds = await self._shelf.get(self._name, self._stale, self._fetch_to_share)
        value, _, scopes = written.partition(" ")
        return Token(value, self._monotonic() + seconds, frozenset(scopes.split()))

    async def _fetch_to_share(self) -> tuple[str, float]:
        token = await self._fetch()
        return _written(token), token.good_until - self._monotonic()


def _written(token: Token) -> str:
    return " ".join((token.value, *sorted(token.scopes)))


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


def retry_after(response: httpx.Response, cap: float = LONGEST_RETRY_AFTER) -> float | None:
    """Seconds from a `Retry-After` header, in seconds or as an HTTP date; None where there is none or it is junk."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), cap)
    then = _http_date(text)
    if then is None:
        return None
    # By the carrier's own clock where it states one: ours may be off.
    now = _http_date(response.headers.get("date", "")) or datetime.now(UTC)
    return min(max((then - now).total_seconds(), 0.0), cap)


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Resting(Exception):
    """The call was not made: this API failed too often just now."""


@dataclass(slots=True)
class _Line:
    """How one API fares: failures in a row, how long it rests, until which monotonic second, and if it is silent."""

    failures: int = 0
    rest: float = 0.0
    until: float = 0.0
    silent: bool = False


class Circuit:
    """Stops asking an API that keeps failing, and tries it again with one call after a rest that grows.

    `away` says why the carrier is taken to be away: from the first of its APIs that falls silent until all of them
    answer again (then it is empty). `down` is False where it answers, but no longer to our credentials; such an API
    does not rest. `answers` counts what came back. Who tells people reads these (tracker/outages.py).
    """

    def __init__(
        self,
        name: str = "",
        *,
        failures: int = 8,
        first_rest: float = 5.0,
        longest_rest: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.away, self.down, self.answers = name, "", True, 0
        self._failures, self._first, self._longest = failures, first_rest, longest_rest
        self._monotonic = monotonic
        self._lines: dict[str, _Line] = {}

    def enter(self, api: str) -> None:
        """Return when a call may be made. Raises Away (from Resting) while the API rests; one call tries it after."""
        line = self._lines.get(api)
        if line is None or not line.until:
            return
        left = line.until - self._monotonic()
        if left > 0:
            raise Away(f"{self.name} {api} is away: {self.away}", retry_after=left) from Resting(api)
        line.until = self._monotonic() + line.rest  # this call tries it; the others wait for what it finds

    def failed(self, api: str, why: str) -> None:
        """No answer, or one that says that the carrier is broken."""
        if line := self._silent(api, why, down=True):
            line.rest = min(max(line.rest * 2, self._first), self._longest)
            line.until = self._monotonic() + line.rest

    def refused(self, api: str, why: str) -> None:
        """An answer that our credentials are not good for this API."""
        self._silent(api, why, down=False)

    def _silent(self, api: str, why: str, *, down: bool) -> _Line | None:
        """The line of an API that failed too often in a row."""
        line = self._lines.setdefault(api, _Line())
        line.failures += 1
        if line.failures < self._failures:
            return None
        line.silent = True
        if not self.away:
            self.away, self.down = why, down
            log.warning("carrier away", extra={"carrier": self.name, "api": api, "why": why})
        return line

    def answered(self, api: str) -> None:
        self.answers += 1
        if self._lines.pop(api, None) is None or not self.away:
            return
        if not any(line.silent for line in self._lines.values()):
            why, self.away = self.away, ""
            log.warning("carrier back", extra={"carrier": self.name, "api": api, "why": why})


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
        circuit: Circuit | None = None,
    ) -> None:
        self.http, self.keeper, self.budget = http, keeper, budget
        self.circuit = circuit or Circuit(http.base_url.host)
        self._fault, self._tries, self._base = fault, tries, str(http.base_url).rstrip("/")
        self._backoff = wait_exponential_jitter(multiplier=first_wait, max=30.0)

    async def ask(
        self, method: str, path: str, *, api: str, headers: Mapping[str, str] | None = None, **request: object
    ) -> httpx.Response:
        """A call that is safe to repeat. Raises Refused, Busy, Away, NotFound as the carrier's `fault` sorts it."""
        try:  # nearly every call ends here: what repeats the others costs a fifteenth of a call
            return await self._judged(method, path, api, headers, request)
        except CarrierError as failed:
            if not _is_worth_repeating(failed):
                raise
            first: CarrierError | None = failed
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_is_worth_repeating),
            stop=stop_after_attempt(self._tries),
            wait=self._pause,
            reraise=True,
        ):
            with attempt:
                if first is not None:
                    again, first = first, None
                    raise again
                response = await self._judged(method, path, api, headers, request)
        return response

    async def _judged(
        self, method: str, path: str, api: str, headers: Mapping[str, str] | None, request: Mapping[str, object]
    ) -> httpx.Response:
        """One call. Raises what the carrier's `fault` finds in its answer."""
        response = await self._exchange(method, path, api, headers, request)
        if error := self._fault(response):
            if isinstance(error, Busy) or (isinstance(error, Away) and error.retry_after):
                self.budget.hold(api, error.retry_after or 1.0)
            raise error
        return response

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = error.retry_after if isinstance(error, CarrierError) else None
        return max(self._backoff(state), asked_for or 0.0)

    async def once(
        self, method: str, path: str, *, api: str, headers: Mapping[str, str] | None = None, **request: object
    ) -> httpx.Response:
        """One call as it is, its answer unjudged; a 401 renews the token and sends the same bytes once more.

        Raises Away when no answer came (the cause is the httpx error, which tells whether bytes left), Busy when the
        budget is used up, and what the token's fetch raises.
        """
        response = await self._exchange(method, path, api, headers, request)
        if response.status_code in (429, 503) and (seconds := retry_after(response)):
            self.budget.hold(api, seconds)
        return response

    async def _exchange(
        self, method: str, path: str, api: str, headers: Mapping[str, str] | None, request: Mapping[str, object]
    ) -> httpx.Response:
        self.circuit.enter(api)
        await self.budget.take(api)
        token = await self._token(api)
        response = await self._send(method, path, api, token, headers, request)
        if response.status_code == 401:
            self.keeper.drop(token)
            fresh = await self._token(api)
            await self.budget.take(api)
            response = await self._send(method, path, api, fresh, headers, request)
        if response.status_code in (401, 403):
            self.circuit.refused(api, f"{self.http.base_url.host} answered {response.status_code}: check credentials")
        return response

    async def _token(self, api: str) -> Token:
        """A token that can be used; a host that gives none makes every API silent that asks it."""
        try:
            return await self.keeper.get()
        except Refused as error:
            self.circuit.refused(api, str(error))
            raise
        except Away as error:
            self.circuit.failed(api, str(error))
            raise

    async def _send(
        self,
        method: str,
        path: str,
        api: str,
        token: Token,
        headers: Mapping[str, str] | None,
        request: Mapping[str, object],
    ) -> httpx.Response:
        try:
            response = await self.http.request(
                method,
                self._base + path,  # whole: a relative address is taken apart and put together twice
                headers={**(headers or {}), "Authorization": f"Bearer {token.value}"},
                **request,  # type: ignore[arg-type]
            )
        except (httpx.HTTPError, aiohttp.ClientError) as error:  # the transport lets some of aiohttp's through
            why = f"no answer from {self.http.base_url.host}: {type(error).__name__}"
            self.circuit.failed(api, why)
            self.budget.met(api, "none")
            raise Away(why) from error
        self.budget.met(api, str(response.status_code))
        if response.status_code >= 500:
            self.circuit.failed(api, f"{self.http.base_url.host} answered {response.status_code}")
        elif response.status_code not in (401, 403):
            self.circuit.answered(api)
        return response

    async def aclose(self) -> None:
        await self.http.aclose()


def _is_worth_repeating(error: BaseException) -> bool:
    """Only what is away, and only where the wait is short and the call was made at all."""
    return (
        isinstance(error, Away)
        and not isinstance(error.__cause__, Resting)
        and (error.retry_after or 0.0) <= LONGEST_PAUSE
    )


def never_left(error: BaseException | None) -> bool:
    """Whether a failure proves that the request was not written: safe to send the same bytes again.

    The aiohttp transport calls a connection reset *after* the request a ConnectTimeout: its own error decides.
    """
    if error is not None and isinstance(error.__cause__, aiohttp.ClientError):
        return isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, Resting))


__all__ = [
    "Away", "Budget", "Circuit", "Door", "Fault", "Refused", "Resting", "Token", "TokenKeeper", "TokenShelf",
    "Unlimited", "client", "never_left", "retry_after",
]  # fmt: skip
