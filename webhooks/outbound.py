"""Sends notices: outbox rows become deliveries, one for each endpoint, and deliveries are tried until they arrive.

Due times, leases and signatures are in real time: a receiver does not live in our story.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from httpx_aiohttp import AiohttpTransport

from fleet.clocks import from_us
from store import endpoints as shelf
from store import outbox
from store.endpoints import Endpoint, EndpointId, Owed
from store.engine import Store, Tx
from store.sealing import Sealer
from webhooks.notices import body, is_wanted
from webhooks.schedule import wait_after
from webhooks.signing import sign

ROWS = 200  # outbox rows spread in one transaction
LANES = 8  # tries under way at one endpoint
DEADLINE = 15.0  # seconds for one try, all of it
LEASE = timedelta(seconds=60)  # a try that took longer than this died with its process
SWEEP = 30.0  # seconds after which a sweep ends, though an endpoint may still be slow
LOOK_AGAIN = 0.25  # seconds between looks at a healthy endpoint while another one is slow
LONGEST_WAIT = timedelta(days=1)  # that a receiver may ask for
KEPT = 200  # bytes of an answer
OPEN = httpx.Limits(max_connections=1_000, max_keepalive_connections=100)

RealNow = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try ended: an HTTP status (0: no answer), its first bytes, and how long the receiver wants us to wait."""

    status: int
    text: str = ""
    detail: str = ""
    took_ms: int = 0
    retry_after: timedelta | None = None

    @property
    def arrived(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        return self.status == 410


def client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The HTTP client for notices: no redirects, no proxies from the environment, deadlines always."""
    return httpx.AsyncClient(
        transport=transport or AiohttpTransport(limits=OPEN),
        timeout=httpx.Timeout(DEADLINE),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "homeward-webhooks/1", "content-type": "application/json"},
    )


# --------------------------------------------------------------------------------------------------------------- spread


async def spread(store: Store, real_now: RealNow) -> int:
    """Make deliveries of everything new in the outbox, for every endpoint that wants it; how many rows were looked at.

    A disabled endpoint is owed too: what it missed is held until somebody enables or removes it.
    """

    async def unit(tx: Tx) -> int:
        rows = await outbox.unspread(tx, ROWS)
        listeners = await shelf.list_endpoints(tx) if rows else ()
        now = real_now()
        for row in rows:
            for endpoint in listeners:
                if is_wanted(row["type"], endpoint.events):
                    await shelf.owe(tx, endpoint.id, row["id"], now)
            await outbox.spread(tx, row["id"], now)
        return len(rows)

    total = 0
    while count := await store.write(unit):
        total += count
    return total


async def replay(store: Store, endpoint_id: EndpointId, since: datetime, real_now: RealNow) -> int | None:
    """Owe an endpoint again what was said since a story time, delivered before or not; None when there is no endpoint.

    The same notices go out with the same ids and the same bytes: a receiver that keeps ids notices nothing.
    """
    total, after = 0, 0
    while True:

        async def unit(tx: Tx, after: int = after) -> tuple[int, int] | None:
            endpoint = await shelf.find_endpoint(tx, endpoint_id)
            if endpoint is None:
                return None
            rows = await outbox.spread_since(tx, since, after=after, limit=ROWS)
            wanted = [row["id"] for row in rows if is_wanted(row["type"], endpoint.events)]
            for outbox_id in wanted:
                await shelf.owe_again(tx, endpoint_id, outbox_id, real_now())
            return len(wanted), rows[-1]["id"] if rows else 0

        page = await store.write(unit)
        if page is None:
            return None
        total, after = total + page[0], page[1]
        if not after:
            return total


# -------------------------------------------------------------------------------------------------------------- deliver


async def deliver(store: Store, sealer: Sealer, http: httpx.AsyncClient, real_now: RealNow) -> int:
    """Try everything that is due, until nothing is; how many tries were made.

    Endpoints do not wait for each other: each has lanes of its own, and while one is slow the others are still served.
    Any number of processes may do this at once.
    """

    async def active(tx: Tx) -> list[Endpoint]:
        return [endpoint for endpoint in await shelf.list_endpoints(tx) if endpoint.state == "active"]

    sweep = _Sweep(store, sealer, http, real_now)
    listeners = await store.read(active)
    sweep.busy.update(endpoint.id for endpoint in listeners)
    async with asyncio.TaskGroup() as group:
        for endpoint in listeners:
            group.create_task(sweep.serve(endpoint))
    if sweep.errors:
        raise ExceptionGroup("deliveries that could not be tried", sweep.errors)
    return sweep.tries


class _Sweep:
    """One run over all endpoints: it ends when none has anything due, or when its time is up."""

    def __init__(self, store: Store, sealer: Sealer, http: httpx.AsyncClient, real_now: RealNow) -> None:
        self._store, self._sealer, self._http, self._real_now = store, sealer, http, real_now
        self._until = time.monotonic() + SWEEP
        self.busy: set[EndpointId] = set()
        self.errors: list[Exception] = []
        self.tries = 0

    async def serve(self, endpoint: Endpoint) -> None:
        """Serve one endpoint; what goes wrong on our side is kept for the end, so that the others are served."""
        try:
            await self._serve(endpoint, self._sealer.open(endpoint.secret).decode())
        except Exception as error:
            error.add_note(f"endpoint {endpoint.id}")
            self.errors.append(error)
        finally:
            self.busy.discard(endpoint.id)

    async def _serve(self, endpoint: Endpoint, secret: str) -> None:
        """Send what is due, and while others are still busy look again."""
        while time.monotonic() < self._until:
            owed = await self._claim(endpoint.id)
            if owed:
                self.busy.add(endpoint.id)
                answers = await asyncio.gather(*(self._try(endpoint, secret, one) for one in owed))
                if any(answer.is_gone for answer in answers):
                    return
            else:
                self.busy.discard(endpoint.id)
                if not self.busy:
                    return
                await asyncio.sleep(LOOK_AGAIN)

    async def _claim(self, endpoint_id: EndpointId) -> Sequence[Owed]:
        now = self._real_now()
        return await self._store.write(
            lambda tx: shelf.claim_due(tx, endpoint_id, now=now, lease_until=now + LEASE, limit=LANES)
        )

    async def _try(self, endpoint: Endpoint, secret: str, owed: Owed) -> Answer:
        """One try: sign and send outside any transaction, then keep how it ended in one write."""
        now = self._real_now()
        content = body(owed.type, owed.at_us, owed.sequence, owed.data)
        headers = sign(secret, owed.notice_id, int(now.timestamp()), content)
        answer = await send(self._http, endpoint.url, headers, content, now)
        self.tries += 1
        wait = next_wait(answer, owed.tries, random.random())
        state = "done" if answer.arrived else "failed" if wait is None else "due"

        async def unit(tx: Tx) -> None:
            await shelf.settle(
                tx,
                owed,
                state=state,
                at=now,
                next_at=None if answer.arrived or wait is None else now + wait,
                status=answer.status,
                took_ms=answer.took_ms,
                answer=answer.text,
                detail=answer.detail,
            )
            if answer.is_gone and await shelf.set_state(tx, endpoint.id, "disabled"):
                await _report_gone(tx, endpoint, owed)

        await self._store.write(unit)
        return answer


async def send(http: httpx.AsyncClient, url: str, headers: Mapping[str, str], content: bytes, now: datetime) -> Answer:
    """Post a notice; whatever happens is an answer. Of a long answer only the beginning is read."""
    began = time.monotonic()
    status, kept, retry_after, detail = 0, b"", None, ""
    try:
        async with asyncio.timeout(DEADLINE), http.stream("POST", url, headers=headers, content=content) as response:
            status, retry_after = response.status_code, _retry_after(response, now)
            async for chunk in response.aiter_raw():
                kept += chunk
                if len(kept) >= KEPT:
                    break
    except TimeoutError:
        detail = f"no whole answer within {DEADLINE:.0f} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        detail = f"{type(error).__name__}: {error}"[:KEPT]
    # text, as PostgreSQL keeps it: without NUL
    answer = kept[:KEPT].decode("utf-8", "replace").replace("\0", "\ufffd")
    return Answer(status, answer, detail, int((time.monotonic() - began) * 1000), retry_after)


def next_wait(answer: Answer, tries: int, jitter: float) -> timedelta | None:
    """How long after this try the next one may be: by the schedule, and never before the receiver wants it."""
    wait = wait_after(tries, jitter)
    if wait is None or answer.retry_after is None:
        return wait
    return max(wait, min(answer.retry_after, LONGEST_WAIT))


def _retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """What a 429 or 503 says of when to come back, in seconds or as a date; junk says nothing."""
    value = response.headers.get("retry-after", "").strip()
    if response.status_code not in (429, 503) or not value:
        return None
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value)) if len(value) < 10 else LONGEST_WAIT
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(at - now, timedelta()) if at.tzinfo else None


async def _report_gone(tx: Tx, endpoint: Endpoint, owed: Owed) -> None:
    """Tell ops that a receiver said 410: it gets nothing more until somebody enables it."""
    await outbox.say(
        tx,
        subject=f"endpoint:{endpoint.id}",
        name=f"gone/{owed.id}/{owed.tries}",
        type="ops.endpoint_gone",
        at=from_us(owed.at_us),
        data={"endpoint": endpoint.id, "url": endpoint.url},
    )
