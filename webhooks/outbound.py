"""Sends notices: outbox rows become deliveries, one for each endpoint, and deliveries are tried until they arrive.

Due times, leases and signatures are in real time: a receiver does not live in our story.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import httpx

from fleet.clocks import from_us, to_us
from store import endpoints as shelf
from store import outbox
from store.endpoints import Endpoint, EndpointId, Owed
from store.engine import Row, Store, Tx
from store.sealing import Sealer
from webhooks.guarded import Guard
from webhooks.notices import body, is_heard, is_public, is_wanted
from webhooks.schedule import wait_after
from webhooks.signing import sign

ROWS = 200  # outbox rows spread in one transaction
LANES = 8  # tries under way at one endpoint; one alone while nothing arrives there
DEADLINE = 15.0  # seconds for one try, all of it
LEASE = timedelta(seconds=25)  # a try that took longer than this died with its process
SWEEP = 30.0  # seconds after which a sweep ends; while an endpoint is slow the others go on
SLOW = 1.0  # seconds: tries that take longer keep a sweep open
LOOK_AGAIN = 0.25  # seconds between looks at a healthy endpoint while another one is slow
LONGEST_WAIT = timedelta(days=1)  # that a receiver may ask for
KEPT = 200  # bytes of an answer
READ = 50_000  # bytes of an answer after which its connection is given up  # source: faults-and-security.md (e)
PATIENCE = timedelta(days=5)  # without any arrival, then an endpoint is paused  # source: "Outbound span"
PROBE = timedelta(days=1)  # between tries at a paused endpoint, each with one notice
LOOK_FOR_NEW = 1.0  # seconds between looks for endpoints that were made or resumed during a sweep

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


def client(
    transport: httpx.AsyncBaseTransport | None = None, *, allowed: Collection[str] = frozenset()
) -> httpx.AsyncClient:
    """The HTTP client for notices: only to public addresses and `allowed` hosts, no redirects, deadlines always."""
    return httpx.AsyncClient(
        transport=transport or Guard(allowed),
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
                if _is_for(endpoint, row):
                    await shelf.owe(tx, endpoint.id, row["id"], now)
            await outbox.spread(tx, row["id"], now)
        return len(rows)

    total = 0
    while count := await store.write(unit):
        total += count
    return total


def _is_for(endpoint: Endpoint, row: Row) -> bool:
    return is_wanted(row["type"], endpoint.events) and is_heard(row["type"], row["data"], endpoint.alerts)


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
            wanted = [row["id"] for row in rows if _is_for(endpoint, row)]
            for outbox_id in wanted:
                await shelf.owe_again(tx, endpoint_id, outbox_id, real_now())
            return len(wanted), rows[-1]["id"] if rows else 0

        page = await store.write(unit)
        if page is None:
            return None
        total, after = total + page[0], page[1]
        if not after:
            return total


async def replay_one(store: Store, endpoint_id: EndpointId, notice_id: str, real_now: RealNow) -> bool:
    """Owe an endpoint one notice again, whether or not it asked for its type; False when there is no such thing."""

    async def unit(tx: Tx) -> bool:
        notice = await shelf.notice_named(tx, notice_id)
        if notice is None or not is_public(notice["type"]) or await shelf.find_endpoint(tx, endpoint_id) is None:
            return False
        await shelf.owe_again(tx, endpoint_id, notice["id"], real_now())
        return True

    return await store.write(unit)


async def resume(store: Store, endpoint_id: EndpointId, real_now: RealNow, at: datetime) -> str | None:
    """Make a paused or disabled endpoint active; everything held for it is due now. What it was, None if unknown."""

    async def unit(tx: Tx) -> str | None:
        endpoint = await shelf.find_endpoint(tx, endpoint_id)
        if endpoint is None:
            return None
        if endpoint.state != "active" and await shelf.reopen(tx, endpoint_id, endpoint.state, real_now()):
            await _report_back(tx, endpoint, at, real_now())
        return endpoint.state

    return await store.write(unit)


# -------------------------------------------------------------------------------------------------------------- deliver


async def deliver(store: Store, sealer: Sealer, http: httpx.AsyncClient, real_now: RealNow) -> int:
    """Try everything that is due, until nothing is; how many tries were made.

    Endpoints do not wait for each other: each has lanes of its own, and while one is slow the others are still served.
    Any number of processes may do this at once.
    """

    sweep = _Sweep(store, sealer, http, real_now)
    async with asyncio.TaskGroup() as group:
        await sweep.begin(group)
        group.create_task(sweep.look_for_new(group))
    if sweep.errors:
        raise ExceptionGroup("deliveries that could not be tried", sweep.errors)
    return sweep.tries


class _Sweep:
    """One run over all endpoints: it ends when none has anything due, or when its time is up."""

    def __init__(self, store: Store, sealer: Sealer, http: httpx.AsyncClient, real_now: RealNow) -> None:
        self._store, self._sealer, self._http, self._real_now = store, sealer, http, real_now
        self._until = time.monotonic() + SWEEP
        self._known: set[EndpointId] = set()
        self._busy: set[EndpointId] = set()
        self._under_way: dict[EndpointId, float] = {}  # since when its tries are
        self._slow: set[EndpointId] = set()  # its last tries were
        self.errors: list[Exception] = []
        self.tries = 0

    async def begin(self, group: asyncio.TaskGroup) -> None:
        """Serve every endpoint that is not served yet, each by a task of its own."""
        for endpoint in await self._store.read(shelf.list_endpoints):
            if endpoint.id not in self._known and endpoint.state in ("active", "paused"):
                self._known.add(endpoint.id)
                self._busy.add(endpoint.id)
                group.create_task(self._serve_or_tell(endpoint))

    async def look_for_new(self, group: asyncio.TaskGroup) -> None:
        """An endpoint that is made while another one is slow does not wait for it."""
        looked = time.monotonic()
        while self._busy and (time.monotonic() < self._until or self._is_held_open()):
            await asyncio.sleep(0.02)
            if time.monotonic() - looked > LOOK_FOR_NEW:
                await self.begin(group)
                looked = time.monotonic()

    async def _serve_or_tell(self, endpoint: Endpoint) -> None:
        """Serve one endpoint; what goes wrong on our side is kept for the end, so that the others are served."""
        try:
            if endpoint.state == "active":
                await self._serve(endpoint.id)
            else:
                await self._probe(endpoint)
        except Exception as error:
            error.add_note(f"endpoint {endpoint.id}")
            self.errors.append(error)
        finally:
            self._busy.discard(endpoint.id)

    async def _serve(self, endpoint_id: EndpointId) -> None:
        """Send what is due, and while others are still busy look again."""
        while self._goes_on(endpoint_id):
            endpoint, owed = await self._claim(endpoint_id)
            if endpoint and owed:
                self._busy.add(endpoint_id)
                if not await self._try_all(endpoint, owed):
                    return
            else:
                self._busy.discard(endpoint_id)
                if not self._busy:
                    return
                await asyncio.sleep(LOOK_AGAIN)

    def _goes_on(self, endpoint_id: EndpointId) -> bool:
        """Until the sweep's time is up; whoever is quick also while a slow one keeps it open."""
        return time.monotonic() < self._until or (endpoint_id not in self._slow and self._is_held_open())

    def _is_held_open(self) -> bool:
        now = time.monotonic()
        return any(now - since > SLOW for since in self._under_way.values())

    async def _try_all(self, endpoint: Endpoint, owed: Sequence[Owed]) -> bool:
        """Some tries at once. Whether to go on."""
        secrets, began = self._secrets(endpoint), time.monotonic()
        self._under_way[endpoint.id] = began
        try:
            return all(await asyncio.gather(*(self._try(endpoint, secrets, one) for one in owed)))
        finally:
            del self._under_way[endpoint.id]
            (self._slow.add if time.monotonic() - began > SLOW else self._slow.discard)(endpoint.id)

    async def _probe(self, endpoint: Endpoint) -> None:
        """Try a paused endpoint with one notice, when its turn has come."""
        now = self._real_now()
        if endpoint.probe_at is None or max(endpoint.probe_at, endpoint.hold_until or now) > now:
            return

        async def unit(tx: Tx) -> Sequence[Owed]:
            if not await shelf.take_probe(tx, endpoint.id, at=now, next_at=now + PROBE):
                return ()
            return await shelf.claim_least_tried(tx, endpoint.id, now + LEASE)

        if owed := await self._store.write(unit):
            await self._try_all(endpoint, owed)

    def _secrets(self, endpoint: Endpoint) -> list[str]:
        """What signs: the newest secret, and the one before it for as long as it holds."""
        sealed = [endpoint.secret]
        if endpoint.old_secret and endpoint.old_until and endpoint.old_until > self._real_now():
            sealed.append(endpoint.old_secret)
        return [self._sealer.open(one).decode() for one in sealed]

    async def _claim(self, endpoint_id: EndpointId) -> tuple[Endpoint | None, Sequence[Owed]]:
        """The endpoint as it is by now (disabled, held, with another secret), and what is due there."""
        now = self._real_now()
        endpoint = await self._store.read(lambda tx: shelf.ready(tx, endpoint_id, now))
        if endpoint is None:
            return None, ()
        lanes = 1 if endpoint.failing_since else LANES
        return endpoint, await self._store.write(
            lambda tx: shelf.claim_due(tx, endpoint_id, now=now, lease_until=now + LEASE, limit=lanes)
        )

    async def _try(self, endpoint: Endpoint, secrets: Sequence[str], owed: Owed) -> bool:
        """One try: sign and send outside any transaction, then keep how it ended in one write. Whether to go on."""
        now = self._real_now()
        content = body(owed.type, owed.at_us, owed.sequence, owed.data)
        headers = sign(secrets[0], owed.notice_id, int(now.timestamp()), content, *secrets[1:])
        answer = await send(self._http, endpoint.url, headers, content, now)
        self.tries += 1
        wait = PROBE if endpoint.state == "paused" else next_wait(answer, owed.tries, random.random())
        state = "done" if answer.arrived else "failed" if wait is None else "due"

        async def unit(tx: Tx) -> bool:
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
            return await _mark(tx, endpoint, owed, answer, now)

        return await self._store.write(unit)


async def _mark(tx: Tx, endpoint: Endpoint, owed: Owed, answer: Answer, now: datetime) -> bool:
    """What a try says of the endpoint itself: it answers again, it is gone, or it is paused. Whether to go on."""
    at = from_us(owed.at_us)
    if answer.arrived:
        if await shelf.heard(tx, endpoint.id, now):
            await _report_back(tx, endpoint, at, now)
        return True
    if answer.is_gone:
        if await shelf.set_state(tx, endpoint.id, "disabled"):
            await _report(tx, endpoint, "ops.endpoint_gone", f"gone/{owed.id}/{owed.tries}", at)
        return False
    if answer.retry_after:
        await shelf.hold(tx, endpoint.id, now + min(answer.retry_after, LONGEST_WAIT))
    if await shelf.failed(tx, endpoint.id, at=now, limit=now - PATIENCE, probe_at=now + PROBE):
        await _report(tx, endpoint, "ops.endpoint_paused", f"paused/{to_us(now)}", at)
        return False
    return not answer.retry_after


async def send(http: httpx.AsyncClient, url: str, headers: Mapping[str, str], content: bytes, now: datetime) -> Answer:
    """Post a notice; whatever happens is an answer. Of a long answer only the beginning is read."""
    began = time.monotonic()
    status, kept, read, retry_after, detail = 0, b"", 0, None, ""
    try:
        async with asyncio.timeout(DEADLINE), http.stream("POST", url, headers=headers, content=content) as response:
            status, retry_after = response.status_code, _retry_after(response, now)
            async for chunk in response.aiter_raw():
                read += len(chunk)
                kept = (kept + chunk)[:KEPT]
                if read >= READ:
                    break
    except TimeoutError:
        detail = f"no whole answer within {DEADLINE:.0f} s"
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
        detail = f"{type(error).__name__}: {error}"[:KEPT]
    # text, as PostgreSQL keeps it: without NUL
    answer = kept.decode("utf-8", "replace").replace("\0", "\ufffd")
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


async def _report(tx: Tx, endpoint: Endpoint, type: str, name: str, at: datetime) -> None:
    """Tell ops what became of an endpoint."""
    data = {"endpoint": endpoint.id, "url": endpoint.url}
    await outbox.say(tx, subject=f"endpoint:{endpoint.id}", name=name, type=type, at=at, data=data)


async def _report_back(tx: Tx, endpoint: Endpoint, at: datetime, now: datetime) -> None:
    await _report(tx, endpoint, "ops.endpoint_back", f"back/{to_us(now)}", at)
