"""Facts about sending notices, on both databases, to a real HTTP receiver."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from fleet.clocks import to_us
from store import endpoints as shelf
from store.endpoints import EndpointId
from store.engine import Store, Tx
from store.outbox import say, waiting
from store.sealing import Sealer
from webhooks import outbound
from webhooks.outbound import Answer, client, deliver, next_wait, replay, spread
from webhooks.schedule import TRIES
from webhooks.signing import make_secret

STORY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECRET = make_secret(bytes(range(32)))
SEALER = Sealer(bytes(32))


@dataclass
class Receiver:
    """A real server that keeps what it was sent and answers as it is told."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[web.Request], Any] = lambda request: web.Response(text="thanks")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((request.path, {k.lower(): v for k, v in request.headers.items()}, await request.read()))
        answer = self.answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer

    def ids(self, path: str = "/") -> list[str]:
        return [headers["webhook-id"] for where, headers, _ in self.got if where == path]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(allowed={"127.0.0.1"}) as http:
        yield http


class Hands:
    """Real time that a test can turn."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def listen(store: Store, url: str, *events: str, secret: str = SECRET) -> EndpointId:
    number = await store.write(
        lambda tx: shelf.add_endpoint(tx, url=url, secret=SEALER.seal(secret.encode()), events=events, at=STORY)
    )
    assert number is not None
    return number


async def tell(store: Store, *names: str, type: str = "parcel.delivered", subject: str = "parcel:7") -> None:
    async def unit(tx: Tx) -> None:
        for name in names:
            await say(tx, subject=subject, name=name, type=type, at=STORY, data={"name": name, "words": "Università"})

    await store.write(unit)


async def states(store: Store) -> list[tuple[str, int, int]]:
    rows = await store.read(lambda tx: shelf.list_deliveries(tx))
    return [(row["state"], row["tries"], row["status"]) for row in reversed(rows)]


async def test_a_notice_arrives_signed(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """What is said goes out once, signed so that the reference library accepts it, with sequence, type and time."""
    now = Hands()
    await listen(store, receiver.url)
    await tell(store, "a", "b")
    assert await spread(store, now) == 2
    assert await deliver(store, SEALER, http, now) == 2
    assert await spread(store, now) == 0 and await deliver(store, SEALER, http, now) == 0
    told = [Webhook(SECRET).verify(content, headers) for _, headers, content in receiver.got]
    assert sorted(told, key=lambda one: one["data"]["sequence"]) == [
        {
            "type": "parcel.delivered",
            "timestamp": "2026-03-02T08:00:00Z",
            "data": {"sequence": n, "name": name, "words": "Università"},
        }
        for n, name in ((1, "a"), (2, "b"))
    ]
    assert receiver.got[0][1]["content-type"] == "application/json"
    assert await states(store) == [("done", 1, 200)] * 2


async def test_who_asked_for_what_gets_that(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """An endpoint gets the types it asked for; what is for ops leaves the house for nobody."""
    now = Hands()
    await listen(store, f"{receiver.url}/all")
    await listen(store, f"{receiver.url}/shipped", "order.shipped")
    await tell(store, "a")
    await tell(store, "shipped", type="order.shipped", subject="order:1")
    await tell(store, "x", type="ops.unknown_code", subject="code:ups")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    assert len(receiver.ids("/all")) == 2 and len(receiver.ids("/shipped")) == 1
    assert await store.read(waiting) == 0


async def test_every_try_has_the_same_id_and_bytes(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """A notice that was refused is tried again later with the same id and the same bytes; each try is kept."""
    now = Hands()
    await listen(store, receiver.url)
    await tell(store, "a")
    await spread(store, now)
    receiver.answer = lambda request: web.Response(status=500, text="x" * 1000)
    assert await deliver(store, SEALER, http, now) == 1
    assert await deliver(store, SEALER, http, now) == 0  # not due yet
    now.ahead += timedelta(seconds=7)
    assert await deliver(store, SEALER, http, now) == 1
    receiver.answer = lambda request: web.Response(status=204)
    now.ahead += timedelta(seconds=40)
    assert await deliver(store, SEALER, http, now) == 1
    assert len({(headers["webhook-id"], content) for _, headers, content in receiver.got}) == 1
    assert len({headers["webhook-timestamp"] for _, headers, _ in receiver.got}) == 3
    (row,) = await store.read(lambda tx: shelf.list_deliveries(tx))
    assert (row["state"], row["tries"], row["status"]) == ("done", 3, 204)
    tries = await store.read(lambda tx: shelf.list_tries(tx, row["id"]))
    assert [(one["status"], len(one["answer"])) for one in tries] == [(500, 200), (500, 200), (204, 0)]


@pytest.mark.parametrize(("status", "header"), [(429, "120"), (503, "date"), (503, "120")])
async def test_the_receivers_wait_is_obeyed(
    store: Store, receiver: Receiver, http: httpx.AsyncClient, status: int, header: str
) -> None:
    """A receiver that says when to come back, in seconds or as a date, is not asked before."""
    now = Hands()
    when = (now() + timedelta(seconds=121)).strftime("%a, %d %b %Y %H:%M:%S GMT") if header == "date" else header
    receiver.answer = lambda request: web.Response(status=status, headers={"Retry-After": when})
    await listen(store, receiver.url)
    await tell(store, "a")
    await spread(store, now)
    assert await deliver(store, SEALER, http, now) == 1
    now.ahead += timedelta(seconds=110)
    assert await deliver(store, SEALER, http, now) == 0
    now.ahead += timedelta(seconds=15)
    assert await deliver(store, SEALER, http, now) == 1


def test_a_wish_neither_hurries_nor_stops_us() -> None:
    """A receiver's wait only makes ours longer, by a day at most; after the last try there is none."""
    long = Answer(429, retry_after=timedelta(days=400))
    short = Answer(429, retry_after=timedelta(seconds=1))
    assert next_wait(long, 1, 0.5) == timedelta(days=1)
    assert next_wait(short, 4, 0.5) == timedelta(minutes=30)
    assert next_wait(long, TRIES, 0.5) is None


@pytest.mark.parametrize("junk", ["soon", "-5", "1e9", "²", "Thu, 99 Foo 2026", "", "9" * 30])
async def test_a_junk_wait_does_no_harm(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient, junk: str
) -> None:
    """Whatever Retry-After says, the try is kept and the schedule goes on."""
    now = Hands()
    receiver.answer = lambda request: web.Response(status=429, headers={"Retry-After": junk})
    await listen(sqlite_store, receiver.url)
    await tell(sqlite_store, "a")
    await spread(sqlite_store, now)
    assert await deliver(sqlite_store, SEALER, http, now) == 1
    now.ahead += timedelta(days=1, minutes=1)
    assert await deliver(sqlite_store, SEALER, http, now) == 1


async def test_gone_disables_and_holds(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """After a 410 an endpoint gets nothing; what it is owed is held and goes out once it is enabled; ops are told."""
    now = Hands()
    number = await listen(store, receiver.url)
    receiver.answer = lambda request: web.Response(status=410)
    await tell(store, "a")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    endpoint = await store.read(lambda tx: shelf.find_endpoint(tx, number))
    assert endpoint is not None and endpoint.state == "disabled"
    await tell(store, "b")
    assert await spread(store, now) == 2  # "b" and the notice for ops
    now.ahead += timedelta(days=1)
    assert await deliver(store, SEALER, http, now) == 0
    receiver.answer = lambda request: web.Response()
    assert await store.write(lambda tx: shelf.set_state(tx, number, "active"))
    assert await deliver(store, SEALER, http, now) == 2
    assert [state for state, _, _ in await states(store)] == ["done", "done"]


async def test_a_redirect_is_not_followed(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """A redirect is a failed try: a notice goes where the endpoint is, nowhere else."""
    now = Hands()
    receiver.answer = lambda request: web.Response(status=302, headers={"Location": "/elsewhere"})
    await listen(store, f"{receiver.url}/here")
    await tell(store, "a")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    assert [path for path, _, _ in receiver.got] == ["/here"]
    assert await states(store) == [("due", 1, 302)]


async def test_nobody_there_is_a_try(store: Store, http: httpx.AsyncClient) -> None:
    """A receiver that is not there: status 0, the reason kept, and tried again."""
    now = Hands()
    await listen(store, "http://127.0.0.1:1/")
    await tell(store, "a")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    (row,) = await store.read(lambda tx: shelf.list_deliveries(tx))
    assert (row["state"], row["status"]) == ("due", 0) and "Cannot connect" in row["detail"]


async def test_after_the_last_try_it_has_failed(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """One that is tried for thirty days and never taken, while others arrive, has failed; the endpoint goes on."""
    now = Hands()
    await listen(sqlite_store, receiver.url)
    await tell(sqlite_store, "bad")

    def answer(request: web.Request) -> web.Response:
        return web.Response(status=500 if request.headers["webhook-id"] == receiver.ids()[0] else 204)

    receiver.answer = answer
    for round in range(TRIES + 3):
        await spread(sqlite_store, now)
        await deliver(sqlite_store, SEALER, http, now)
        await tell(sqlite_store, f"{round}")
        now.ahead += timedelta(days=2)
    assert (await states(sqlite_store))[0] == ("failed", TRIES, 500)
    assert {state for state, _, _ in (await states(sqlite_store))[1:]} == {"done"}
    (endpoint,) = await sqlite_store.read(shelf.list_endpoints)
    assert endpoint.state == "active"


async def test_a_slow_endpoint_keeps_nobody_waiting(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """While one endpoint hangs, another gets what it is owed, and also what is said meanwhile."""
    now, first, second, ended = Hands(), asyncio.Event(), asyncio.Event(), list[str]()

    async def hang() -> web.Response:
        await second.wait()
        ended.append("slow")
        return web.Response()

    def answer(request: web.Request) -> Any:
        if request.path == "/slow":
            return hang()
        if len(receiver.ids("/fast")) == 20:
            first.set()
        if len(receiver.ids("/fast")) == 21:
            ended.append("fast")
            second.set()
        return web.Response()

    receiver.answer = answer
    await listen(store, f"{receiver.url}/slow")
    await listen(store, f"{receiver.url}/fast")
    await tell(store, *(f"{n}" for n in range(20)))
    await spread(store, now)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        sweeping = group.create_task(deliver(store, SEALER, http, now))
        await first.wait()
        assert len(receiver.ids("/slow")) == outbound.LANES
        await tell(store, "meanwhile")
        await spread(store, now)
        await second.wait()
        sweeping.cancel()
    assert ended[0] == "fast"


async def test_a_hanging_try_ends(
    store: Store, receiver: Receiver, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that never ends its answer costs the deadline, not more."""
    monkeypatch.setattr(outbound, "DEADLINE", 0.3)
    now = Hands()

    async def drip() -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    receiver.answer = lambda request: drip()
    await listen(store, receiver.url)
    await tell(store, "a")
    await spread(store, now)
    async with asyncio.timeout(3):
        assert await deliver(store, SEALER, http, now) == 1
    (row,) = await store.read(lambda tx: shelf.list_deliveries(tx))
    assert row["state"] == "due" and "no whole answer" in row["detail"]


async def test_many_workers_send_once(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """Four workers at once spread and deliver forty notices: each arrives exactly once."""
    now = Hands()
    await listen(store, receiver.url)
    await tell(store, *(f"{n}" for n in range(40)))
    await asyncio.gather(*(spread(store, now) for _ in range(4)))
    await asyncio.gather(*(deliver(store, SEALER, http, now) for _ in range(4)))
    assert len(receiver.ids()) == 40 and len(set(receiver.ids())) == 40


async def test_a_worker_that_died_is_replaced(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """What a dead worker had claimed is sent by another after the lease; the dead one's late word is ignored."""
    now = Hands()
    number = await listen(store, receiver.url)
    await tell(store, "a")
    await spread(store, now)
    (owed,) = await store.write(
        lambda tx: shelf.claim_due(tx, number, now=now(), lease_until=now() + outbound.LEASE, limit=8)
    )
    assert await deliver(store, SEALER, http, now) == 0
    now.ahead += outbound.LEASE + timedelta(seconds=1)
    assert await deliver(store, SEALER, http, now) == 1
    assert not await store.write(
        lambda tx: shelf.settle(
            tx, owed, state="due", at=now(), next_at=now(), status=500, took_ms=1, answer="", detail=""
        )
    )
    assert await states(store) == [("done", 2, 200)]


async def test_replay_sends_the_same_again(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """Replay sends what was said since an instant once more, under the same ids, and nothing older."""
    now = Hands()
    number = await listen(store, receiver.url)
    await tell(store, "a", "b")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    assert await replay(store, number, STORY + timedelta(seconds=1), now) == 0
    assert await replay(store, number, STORY, now) == 2
    assert await deliver(store, SEALER, http, now) == 2
    ids = receiver.ids()
    assert len(ids) == 4 and len(set(ids)) == 2
    assert await replay(store, EndpointId(99), STORY, now) is None


async def test_one_broken_secret_stops_nobody_else(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """An endpoint whose secret cannot be opened is reported at the end; the others are served."""
    now = Hands()
    await store.write(
        lambda tx: shelf.add_endpoint(
            tx, url=f"{receiver.url}/broken", secret=Sealer(os.urandom(32)).seal(b"x"), events=(), at=STORY
        )
    )
    await listen(store, f"{receiver.url}/fine")
    await tell(store, "a")
    await spread(store, now)
    with pytest.raises(ExceptionGroup, match="could not be tried"):
        await deliver(store, SEALER, http, now)
    assert [path for path, _, _ in receiver.got] == ["/fine"]


async def test_endpoints_as_rows(store: Store) -> None:
    """One endpoint for one address; removing it removes what it is owed; listings are paged and filtered."""
    now = Hands()
    one, two = await listen(store, "https://a.example/"), await listen(store, "https://b.example/", "order.shipped")
    assert (
        await store.write(lambda tx: shelf.add_endpoint(tx, url="https://a.example/", secret=b"", events=(), at=STORY))
        is None
    )
    await tell(store, "a", "b", "c")
    await spread(store, now)
    page = await store.read(lambda tx: shelf.list_deliveries(tx, limit=2, endpoint_id=one, state="due"))
    rest = await store.read(lambda tx: shelf.list_deliveries(tx, limit=2, before=page[-1]["id"]))
    assert (len(page), len(rest)) == (2, 1) and page[0]["id"] > page[1]["id"] > rest[0]["id"]
    assert await store.read(lambda tx: shelf.list_deliveries(tx, endpoint_id=two)) == []
    assert await store.write(lambda tx: shelf.remove_endpoint(tx, one))
    assert not await store.write(lambda tx: shelf.remove_endpoint(tx, one))
    assert await store.read(lambda tx: shelf.list_deliveries(tx)) == []
    assert [one.events for one in await store.read(shelf.list_endpoints)] == [("order.shipped",)]
    assert to_us(STORY) == to_us((await store.read(shelf.list_endpoints))[0].created_at)


async def test_a_receiver_that_wants_rest_gets_it_whole(
    store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """After a 429 with Retry-After nothing else is sent there either, until then; everybody else is served."""
    now = Hands()
    held = await listen(store, f"{receiver.url}/busy")
    await listen(store, f"{receiver.url}/other")
    receiver.answer = lambda request: web.Response(
        status=429 if request.path == "/busy" else 204, headers={"Retry-After": "120"}
    )
    await tell(store, "a")
    await spread(store, now)
    assert await deliver(store, SEALER, http, now) == 2
    now.ahead += timedelta(seconds=60)
    await tell(store, "b", "c")
    await spread(store, now)
    assert await deliver(store, SEALER, http, now) == 2
    assert len(receiver.ids("/busy")) == 1 and len(receiver.ids("/other")) == 3
    endpoint = await store.read(lambda tx: shelf.find_endpoint(tx, held))
    assert endpoint and endpoint.hold_until and endpoint.hold_until > now()
    receiver.answer = lambda request: web.Response(status=204)
    now.ahead += timedelta(seconds=61)
    assert await deliver(store, SEALER, http, now) == 3
    assert len(set(receiver.ids("/busy"))) == 3


async def test_a_person_ends_a_rest(sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """Whoever disables and resumes an endpoint says that it is well again."""
    now = Hands()
    held = await listen(sqlite_store, receiver.url)
    receiver.answer = lambda request: web.Response(status=503, headers={"Retry-After": "86000"})
    await tell(sqlite_store, "a")
    await spread(sqlite_store, now)
    assert await deliver(sqlite_store, SEALER, http, now) == 1
    await sqlite_store.write(lambda tx: shelf.set_state(tx, held, "disabled"))
    assert await outbound.resume(sqlite_store, held, now, STORY) == "disabled"
    assert await deliver(sqlite_store, SEALER, http, now) == 1


async def test_a_disabled_endpoint_gets_nothing_from_then_on(
    store: Store, receiver: Receiver, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of a sweep, and however much is due there."""
    now = Hands()
    monkeypatch.setattr(outbound, "LANES", 1)
    endpoint = await listen(store, receiver.url)

    async def disable(request: web.Request) -> web.Response:
        await store.write(lambda tx: shelf.set_state(tx, endpoint, "disabled"))
        return web.Response(status=204)

    receiver.answer = disable
    await tell(store, "a", "b", "c")
    await spread(store, now)
    assert await deliver(store, SEALER, http, now) == 1
    assert [state for state, _, _ in await states(store)].count("due") == 2


async def test_one_lane_is_enough_where_nothing_arrives(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """An endpoint that fails is tried one by one; once something arrives, all lanes are used again."""
    now, at_once, most = Hands(), 0, [0]
    status = 500

    async def counted(request: web.Request) -> web.Response:
        nonlocal at_once
        at_once += 1
        most[-1] = max(most[-1], at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return web.Response(status=status)

    receiver.answer = counted
    await listen(sqlite_store, receiver.url)
    await tell(sqlite_store, "first")
    await spread(sqlite_store, now)
    await deliver(sqlite_store, SEALER, http, now)
    most.append(0)
    await tell(sqlite_store, *"abcdefgh")
    await spread(sqlite_store, now)
    assert await deliver(sqlite_store, SEALER, http, now) == 8
    status, now.ahead = 204, timedelta(minutes=2)
    most.append(0)
    assert await deliver(sqlite_store, SEALER, http, now) == 9
    assert most[1] == 1 < most[2] <= outbound.LANES


async def test_a_sweep_that_is_over_goes_on_for_the_quick(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a slow endpoint keeps a sweep open beyond its time, what is said meanwhile still reaches the others."""
    now, ended = Hands(), list[str]()
    monkeypatch.setattr(outbound, "SWEEP", 0.2)
    monkeypatch.setattr(outbound, "SLOW", 0.1)
    monkeypatch.setattr(outbound, "LOOK_AGAIN", 0.02)
    told = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await told.wait()
            ended.append("slow")
        else:
            ended.append("quick")
            if ended.count("quick") == 2:
                told.set()
        return web.Response(status=204)

    receiver.answer = answer
    await listen(sqlite_store, f"{receiver.url}/slow")
    await listen(sqlite_store, f"{receiver.url}/quick")
    await tell(sqlite_store, "a")
    await spread(sqlite_store, now)

    async def later() -> None:
        await asyncio.sleep(0.5)
        await tell(sqlite_store, "b", subject="parcel:8")
        await spread(sqlite_store, now)

    tries, _ = await asyncio.gather(deliver(sqlite_store, SEALER, http, now), later())
    assert ended == ["quick", "quick", "slow"] and tries == 3
