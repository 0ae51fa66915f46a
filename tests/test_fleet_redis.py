"""Facts about what processes share over Redis: with it, without it, and when it comes and goes. On a real server."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from carriers.contract import Busy
from cli.demo import free_port
from fleet.budgets import Rate
from fleet.failures import Failures, Limits
from fleet.news import News, understood, written
from fleet.shared_budgets import SharedBudget
from fleet.shared_documents import SharedDocuments
from fleet.tokens import TokenShelf
from fleet.wire import FAILURES, Lost, Wire, open_wire
from proof.servers import RedisServer, redis_server
from store.sealing import Sealer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server(free_port()) as server:
        yield server


@asynccontextmanager
async def wires(
    server: RedisServer, count: int, hear: Callable[[bytes], None] = lambda _: None
) -> AsyncIterator[list[Wire]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_wire(server.url, "t", "news", hear)) for _ in range(count)]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is there: a machine that is busy with other tests must not be taken for one that is away."""
    monkeypatch.setattr("fleet.wire.DEADLINE", 10.0)


def _same(plain: bytes) -> bytes:
    return plain


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not true():
            await asyncio.sleep(0.02)


async def granted(budget: SharedBudget, seconds: float) -> int:
    """How many calls were granted for so long, asking without pause."""
    made, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                await budget.take("tracking")
        except Busy:
            await asyncio.sleep(0.01)
        except TimeoutError:
            break
        else:
            made += 1
    return made


async def gone(server: RedisServer, how: str) -> None:
    match how:
        case "killed":
            server.kill()
        case "hanging":
            os.kill(server.pid, signal.SIGSTOP)


@pytest.mark.parametrize("how", ["killed", "hanging"])
async def test_a_redis_that_is_away_costs_next_to_nothing(server: RedisServer, how: str) -> None:
    """Two calls find out, the next ones are told at once; after each rest one call tries; when it answers, all do."""
    now, tried = 1000.0, 0

    async def ping(redis: Any) -> Any:
        nonlocal tried
        tried += 1
        return await redis.ping()

    async def calls(count: int) -> int:
        nonlocal tried
        tried = 0
        for _ in range(count):
            with contextlib.suppress(Lost):
                await wire.call(ping)
        return tried

    wire = Wire(server.url, "t", lambda: now)
    await gone(server, how)
    assert await calls(50) == FAILURES and not wire.is_up
    for rest in (0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
        now += rest + 0.01
        assert await calls(50) == 1
    if how == "hanging":
        os.kill(server.pid, signal.SIGCONT)
    else:
        server.start()
    async with asyncio.timeout(20):
        while not wire.is_up:
            now += 6.0
            await calls(1)
    await wire.aclose()


async def test_all_processes_together_keep_the_rate(server: RedisServer) -> None:
    """Three that ask without pause get what one would: a burst once, then the rate."""
    async with wires(server, 3) as lines:
        budgets = [SharedBudget({"*": Rate(10, 1)}, line, "ups", lambda: 3) for line in lines]
        made = await asyncio.gather(*(granted(budget, 2.0) for budget in budgets))
        assert 1 < sum(made) <= 1 + 10 * 2.2  # a new bucket has one call saved up
        assert budgets[0].left("tracking", 99) == 0


@pytest.mark.parametrize("how", ["flushed", "killed"])
async def test_a_lost_redis_is_no_second_burst(server: RedisServer, how: str) -> None:
    """Whatever happens to Redis: never more calls than the rate and one burst allow; afterwards it is shared again."""
    async with wires(server, 3) as lines:
        budgets = [SharedBudget({"*": Rate(20, 1)}, line, "ups", lambda: 3) for line in lines]
        began = time.monotonic()
        work = asyncio.gather(*(granted(budget, 4.0) for budget in budgets))
        await asyncio.sleep(1.0)
        if how == "flushed":
            for _ in range(5):
                await lines[0].call(lambda redis: redis.flushall())
                await asyncio.sleep(0.3)
        else:
            await gone(server, how)
            await asyncio.sleep(1.2)
            if how == "hanging":
                os.kill(server.pid, signal.SIGCONT)
            else:
                server.start()
        made = sum(await work)
        flushes = 5 if how == "flushed" else 1
        assert made <= 1 + flushes + 20 * (time.monotonic() - began), "more than the carrier allows"
        assert made, "nobody may call at all"
        await until(lambda: all(line.is_up for line in lines))


async def test_without_redis_each_takes_its_share(server: RedisServer) -> None:
    """Three processes that never see a Redis make a third of the rate each, and none has saved anything up."""
    async with wires(server, 3) as lines:
        server.kill()
        budgets = [SharedBudget({"*": Rate(30, 1)}, line, "ups", lambda: 3) for line in lines]
        made = await asyncio.gather(*(granted(budget, 2.0) for budget in budgets))
        assert all(0 < each <= 10 * 2.2 for each in made)
        slow = SharedBudget({"*": Rate(1, 3600)}, lines[0], "usps", lambda: 3)
        with pytest.raises(Busy) as busy:
            await slow.take("tracking")
        assert 3 * 3600 - 60 < (busy.value.retry_after or 0) <= 3 * 3600 + 1


@pytest.mark.parametrize(
    "order", [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "maxmemory", "1")], ids=["a replica", "full"]
)
async def test_a_redis_that_takes_no_writes_is_one_that_is_away(server: RedisServer, order: tuple[str, ...]) -> None:
    """A replica after a failover (READONLY), or full (OOM): shares and own tokens, until it is itself again."""

    async def fetch() -> tuple[str, float]:
        return "mine", 60.0

    async with wires(server, 2) as lines:
        await lines[0].call(lambda redis: redis.execute_command(*order))
        budgets = [SharedBudget({"*": Rate(20, 1)}, line, "ups", lambda: 2) for line in lines]
        made = await asyncio.gather(*(granted(budget, 1.5) for budget in budgets))
        assert all(0 < each <= 10 * 1.7 for each in made)
        assert (await TokenShelf(lines[0], _same, _same).get("ups", "", fetch))[0] == "mine"
        back = ("REPLICAOF", "NO", "ONE") if order[0] == "REPLICAOF" else ("CONFIG", "SET", "maxmemory", "0")
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(Lost):
                    await lines[1].call(lambda redis: redis.execute_command(*back))
                    break
                await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            while not lines[0].is_up:
                with contextlib.suppress(Busy):
                    await budgets[0].take("tracking")
                await asyncio.sleep(0.1)


@pytest.mark.usefixtures("patient")
async def test_a_carriers_pause_holds_everybody(server: RedisServer) -> None:
    """One process is asked for quiet: the other one is quiet too."""
    budgets: list[SharedBudget] = []

    def hear(message: bytes) -> None:
        match understood(message, "nobody"):
            case ("hold", [str(api), float(seconds)]):
                budgets[1].quiet.hold(api, seconds)

    async with wires(server, 2, hear) as lines:
        tell = lambda api, s: lines[0].post("t:news", written("hold", [api, s], "one"))  # noqa: E731
        budgets += [SharedBudget({}, lines[0], "ups", tell=tell), SharedBudget({}, lines[1], "ups")]
        await until(lambda: lines[1].hears)
        await budgets[1].take("tracking")
        budgets[0].hold("tracking", 60.0)
        await until(lambda: budgets[1].left("tracking", 5) == 0)
        with pytest.raises(Busy):
            await budgets[1].take("tracking")


@pytest.mark.usefixtures("patient")
async def test_one_process_fetches_a_token_for_all(server: RedisServer) -> None:
    """Twenty that ask at once in four processes: one fetch; what lies in Redis is sealed; a stale one is not given."""
    fetched: list[str] = []

    async def fetch() -> tuple[str, float]:
        await asyncio.sleep(0.2)
        fetched.append(f"token-{len(fetched)}")
        return fetched[-1], 3600.0

    sealer = Sealer(b"k" * 32)
    async with wires(server, 4) as lines:
        shelves = [TokenShelf(line, sealer.seal, sealer.open) for line in lines]
        found = await asyncio.gather(*(shelf.get("ups", "", fetch) for shelf in shelves * 5))
        assert {token for token, _ in found} == {"token-0"} and fetched == ["token-0"]
        kept = [
            await lines[0].call(lambda redis, key=key: redis.get(key))
            for key in await lines[0].call(lambda redis: redis.keys("*"))
        ]
        assert kept and not any(b"token-0" in value for value in kept if value)
        assert (await shelves[1].get("ups", "token-0", fetch))[0] == "token-1"
        assert (await shelves[2].get("ups", "token-0", fetch))[0] == "token-1" and len(fetched) == 2


class Late(TokenShelf):
    """Looks just before another process leaves its token, and takes the turn just after."""

    looks = 0

    async def _look(self, key: str, stale: str) -> tuple[str, float] | None:
        Late.looks += 1
        return None if Late.looks == 1 else await super()._look(key, stale)


@pytest.mark.usefixtures("patient")
async def test_a_turn_that_was_not_needed_is_given_back(server: RedisServer) -> None:
    """Else the next one whose token is stale would wait for its end, and fetch a token that nobody shares."""

    async def fetch() -> tuple[str, float]:
        return "token", 3600.0

    async with wires(server, 1) as [line]:
        keep = TokenShelf(line, _same, _same)
        await keep.get("ups", "", fetch)
        assert (await Late(line, _same, _same).get("ups", "", fetch))[0] == "token" and Late.looks == 2
        assert await line.call(lambda redis: redis.keys("*fetching*")) == []


async def test_without_redis_each_process_has_its_own_token(server: RedisServer) -> None:
    """Redis goes while tokens are asked for: everybody gets one, fetched by himself."""

    async def fetch() -> tuple[str, float]:
        return "mine", 60.0

    async with wires(server, 2) as lines:
        server.kill()
        for line in lines:
            assert (await TokenShelf(line, _same, _same).get("ups", "", fetch))[0] == "mine"


async def test_whoever_fetches_and_dies_holds_nobody_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn to fetch ends by itself: the next one fetches."""
    monkeypatch.setattr("fleet.tokens.TURN", 0.5)

    async def dies() -> tuple[str, float]:
        await asyncio.Event().wait()
        raise AssertionError

    async def fetch() -> tuple[str, float]:
        return "second", 60.0

    async with wires(server, 2) as lines:
        shelves = [TokenShelf(line, _same, _same) for line in lines]
        dead = asyncio.create_task(shelves[0].get("ups", "", dies))
        await asyncio.sleep(0.2)
        assert (await shelves[1].get("ups", "", fetch))[0] == "second"
        dead.cancel()


async def test_news_of_one_process_wake_another(server: RedisServer) -> None:
    """What one commits, a waiter in the other hears; nobody hears its own twice; a restart is heard through."""
    here, there = News(alone=False), News(alone=False)
    async with wires(server, 1, lambda m: there.hear(what[1]) if (what := understood(m, "x")) else None) as [line]:  # type: ignore[arg-type]
        here.pass_on = lambda subjects: line.post("t:news", written("changed", [*subjects], "y"))
        await until(lambda: line.hears)
        for round in range(2):
            with there.waiting({"parcel:7"}) as changed, there.waiting({"parcel:8"}) as other:
                here.tell({"parcel:7", "order:1"})
                await asyncio.wait_for(changed.wait(), 5)
                assert not other.is_set()
            if round == 0:
                server.kill()
                await until(lambda: not line.hears)
                server.start()
                await until(lambda: line.hears)


@pytest.mark.usefixtures("patient")
async def test_guessing_at_many_doors_is_counted_as_one(server: RedisServer) -> None:
    """Failures at one door lock the number at the other; what is told names no number and no network."""
    told: list[bytes] = []
    here, there = (Failures(Limits(per_number=3), salt=b"s") for _ in range(2))

    def hear(message: bytes) -> None:
        told.append(message)
        match understood(message, "y"):
            case ("failed", [str(number), str(network)]):
                there.heard(number, network)

    async with wires(server, 1, hear) as [line]:
        here.tell = lambda number, network: line.post("t:news", written("failed", [number, network], "x"))
        await until(lambda: line.hears)
        assert there.allowed("order:B-1", "192.0.2.7", weak=False)
        for _ in range(3):
            here.failed("order:B-1", "192.0.2.7")
        await until(lambda: not there.allowed("order:B-1", "192.0.2.7", weak=False))
        assert there.allowed("order:B-2", "192.0.2.7", weak=False)
        assert not any(b"B-1" in each or b"192.0.2.7" in each for each in told)


# ----------------------------------------------------------------------------------------------------------- documents


@pytest.mark.usefixtures("patient")
async def test_what_one_process_made_another_finds(server: RedisServer) -> None:
    """Sealed in Redis; another edition and another key make their own."""
    sealer, made = Sealer(b"k" * 32), []

    def make() -> bytes:
        made.append(1)
        return b"the whole story"

    async with wires(server, 4) as found:
        keys = (sealer, sealer, Sealer(b"x" * 32))
        shelves = [SharedDocuments(b"1", wire, each.seal, each.open) for wire, each in zip(found, keys, strict=False)]
        for shelf in shelves[:2] * 2:
            assert await shelf.made("follow", b"rows", make=make) == b"the whole story"
        assert len(made) == 1
        await shelves[1].made("follow", b"other rows", make=make)
        assert len(made) == 2
        kept = [await found[0].call(lambda redis, key=key: redis.get(key))  # type: ignore[misc]
                for key in await found[0].call(lambda redis: redis.keys("*document*"))]  # fmt: skip
        assert len(kept) == 2 and not any(b"story" in each for each in kept)
        await shelves[2].made("follow", b"rows", make=make)
        await SharedDocuments(b"2", found[3], sealer.seal, sealer.open).made("follow", b"rows", make=make)
        assert len(made) == 4


async def test_without_redis_each_makes_its_own(server: RedisServer) -> None:
    """A Redis that is gone costs nobody an answer."""
    sealer = Sealer(b"k" * 32)
    async with wires(server, 1) as (wire,):
        server.stop()
        documents = SharedDocuments(b"1", wire, sealer.seal, sealer.open)
        assert await documents.made("follow", make=lambda: b"told") == b"told"
