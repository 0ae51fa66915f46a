"""Every process restarted in turn (SIGTERM) while callers call, and a newer schema added under them: no call fails.

Two webs and two workers on PostgreSQL and Redis. A balancer asks each web whether it is ready and sends calls to those
that are; a web says no for a moment before its doors close, and ends what it began. The newer schema is what a next
release would do first: it adds, and says that it carries this one (docs/decisions/0027).
"""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from cli.demo import Child, _answers, _development_key, bare_environment, free_port
from proof.feeds import number as serial
from proof.replicas import KEY, _make, _peak, _ready
from proof.servers import NAME, postgres_server, redis_server
from store.postgres import plain

LANES = 4
DRAIN, LOOK = 1.0, 0.2
WEBS, WORKERS = ("web1", "web2"), ("work1", "work2")
ADDITIONS = (
    "ALTER TABLE parcels ADD COLUMN of_a_newer_release text NOT NULL DEFAULT ''",
    "ALTER TABLE orders ADD COLUMN of_a_newer_release bigint",
    "CREATE TABLE of_a_newer_release (id bigint PRIMARY KEY)",
    "CREATE INDEX ix_of_a_newer_release ON parcels (of_a_newer_release)",
)
"""What a newer release would add, each in a transaction of its own with a `lock_timeout`, as our migrations do."""


@dataclass(slots=True)
class Fleet:
    """The processes by name, where the webs listen, and which of them are ready."""

    children: dict[str, Child]
    ports: dict[str, int]
    beside: Path | None = None  # the other build
    key: str = ""
    ready: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)  # acknowledged
    turn: Callable[[], int] = field(default_factory=lambda: itertools.count().__next__)


async def run(*, kills: int = 0, seed: int = 0, beside: str = "", **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held. `kills` restarts (0: every process once, with `beside` twice)."""
    folder = Path(tempfile.mkdtemp(prefix="homeward-rolling-"))
    try:
        with postgres_server() as server, redis_server(free_port()) as redis:
            url = server.format(NAME)
            await _make(server, url)
            async with _fleet(folder, redis.url, url, Path(beside).absolute() if beside else None) as fleet:
                return await _roll(fleet, url, kills or len(fleet.children) * (2 if beside else 1), seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _roll(fleet: Fleet, url: str, restarts: int, seed: int) -> dict[str, Any]:
    stop, took = asyncio.Event(), list[float]()
    lanes = [asyncio.create_task(_call_on(fleet, lane, stop)) for lane in range(LANES)]
    names = [*WEBS, *WORKERS]
    await _until(lambda: len(fleet.orders) >= LANES or len(fleet.failures) > LANES)
    for count in range(restarts):
        if count == restarts // 2:  # the first half runs on the schema as it is, the others start on the newer one
            await _expand(url)
        took.append(await _restart(fleet, names[(seed + count) % len(names)]))
    stop.set()
    await asyncio.gather(*lanes)
    kept, told = await _kept(url)
    lost = set(fleet.orders) - kept
    return {
        "held": not fleet.failures and not lost and told == Counter(dict.fromkeys(fleet.orders, 1)),
        "restarts": len(took),
        "builds": 2 if fleet.beside else 1,
        "additions_to_the_schema": len(ADDITIONS),
        "calls": sum(fleet.answers.values()),
        "answers": dict(fleet.answers),
        "failed": len(fleet.failures),
        "failures": fleet.failures[:5],
        "orders": len(fleet.orders),
        "lost": len(lost),
        "said_twice": sum(1 for n in told.values() if n > 1),
        "recovery_seconds": [round(each, 1) for each in took],
        "worst_memory_mb": max(_peak(child) for child in fleet.children.values()),
    }


# ------------------------------------------------------------------------------------------------------- what is called


async def _call_on(fleet: Fleet, lane: int, stop: asyncio.Event) -> None:
    """An order service's day, over and over: an order, its parcel, what became of it; and a shopper who asks."""
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        for n in itertools.count():
            if stop.is_set():
                return
            number = f"R-{lane}-{n}"
            path = f"/v1/orders/boutique-eu/{number}"
            parcel = {"carrier": "ups", "tracking_number": serial("ups", lane * 1_000_000 + n)}
            if not await _call(fleet, http, "PUT", path, _order()):
                continue
            if await _call(fleet, http, "POST", f"{path}/parcels", parcel):
                fleet.orders.append(number)
            await _call(fleet, http, "GET", path)
            await _call(fleet, http, "POST", "/v1/follow/order", {"order_number": number, "email": "a@example.com"})


async def _call(fleet: Fleet, http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> bool:
    """One call to a web that is ready. Nothing is tried again: whatever is no 2xx is a failed call."""
    ready = sorted(fleet.ready)
    if not ready:
        fleet.failures.append(f"{method} {path}: no web is ready")
        await asyncio.sleep(LOOK)
        return False
    web = ready[fleet.turn() % len(ready)]
    headers = {"Authorization": f"Bearer {fleet.key}", "Idempotency-Key": f"{method}:{path}"}
    try:
        answer = await http.request(method, f"http://127.0.0.1:{fleet.ports[web]}{path}", json=body, headers=headers)
    except httpx.HTTPError as error:
        fleet.failures.append(f"{method} {path} at {web}: {type(error).__name__} {error}")
        return False
    fleet.answers[str(answer.status_code)] += 1
    if not answer.is_success:
        fleet.failures.append(f"{method} {path} at {web}: {answer.status_code} {answer.text[:200]}")
    return answer.is_success


def _order() -> dict[str, Any]:
    return {
        "placed_at": datetime.now(UTC).isoformat(),
        "ship_to": {
            "name": "Ann Example",
            "lines": ["10 Example Street"],
            "city": "Amsterdam",
            "postal_code": "1015 CJ",
            "country": "NL",
        },
        "email": "a@example.com",
        "currency": "EUR",
        "items": [{"sku": "COAT", "quantity": 1, "price": "690.00", "category": "coats"}],
    }


# ------------------------------------------------------------------------------------------------------ what is changed


async def _restart(fleet: Fleet, name: str) -> float:
    """In order: told to stop, ended, started again (as the other build), ready. How long that took."""
    child, began = fleet.children[name], time.monotonic()
    assert child.process is not None
    starts, child.build = child.starts, None if child.build else fleet.beside
    child.process.terminate()
    await _until(lambda: child.starts > starts)  # whoever watches it starts it again
    if name in WEBS:
        await _until(lambda: name not in fleet.ready)
        await _until(lambda: name in fleet.ready)
    return time.monotonic() - began


async def _expand(url: str) -> None:
    """A newer release's additions, while the old one serves; then it says that it still carries the old one."""
    connection = await asyncpg.connect(plain(url))
    try:
        ours = await connection.fetchval("SELECT version_num FROM alembic_version")
        for sql in ADDITIONS:
            for _ in range(20):
                try:
                    async with connection.transaction():
                        await connection.execute("SET LOCAL lock_timeout = '2s'")
                        await connection.execute(sql)
                    break
                except asyncpg.LockNotAvailableError:
                    await asyncio.sleep(0.2)
        async with connection.transaction():
            await connection.execute("UPDATE alembic_version SET version_num = '9998'")
            await connection.execute(
                "INSERT INTO settings VALUES ('schema.oldest', $1) ON CONFLICT (name) DO UPDATE SET value = $1", ours
            )
    finally:
        await connection.close()


async def _kept(url: str) -> tuple[set[str], Counter[str]]:
    """The orders that are there, and of which it was said that they shipped, how often."""
    connection = await asyncpg.connect(plain(url))
    try:
        orders = {row["number"] for row in await connection.fetch("SELECT number FROM orders")}
        said = await connection.fetch(
            "SELECT data::json ->> 'order_number' AS number FROM outbox WHERE type = 'order.shipped'"
        )
        return orders, Counter(row["number"] for row in said)
    finally:
        await connection.close()


async def _until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------------------------------------ the fleet


@contextlib.asynccontextmanager
async def _fleet(folder: Path, redis: str, url: str, beside: Path | None) -> AsyncIterator[Fleet]:
    """Everything started, in turn, and ended afterwards."""
    street_port, ports = free_port(), {name: free_port() for name in WEBS}
    env = bare_environment() | {
        "DATABASE_URL": url,
        "REDIS_URL": redis,
        "HOMEWARD_KEY": KEY,
        "HOMEWARD_DATA": str(folder / "data"),
        "HOMEWARD_STREET_URL": f"http://127.0.0.1:{street_port}",
        "HOMEWARD_BUDGET": "off",
        "HOMEWARD_DRAIN": str(DRAIN),
        "HOMEWARD_CALLS_PER_MINUTE": "0",
        "PYTHONUNBUFFERED": "1",
    }
    town = Child(["sandbox", "--port", str(street_port)], env, folder / "street.log")
    asked = {name: ["web", "--port", str(port)] for name, port in ports.items()} | {name: ["work"] for name in WORKERS}
    children = {name: Child(arguments, env, folder / f"{name}.log", beside) for name, arguments in asked.items()}
    fleet, tasks = Fleet(children, ports, beside), list[asyncio.Task[None]]()
    try:
        await town.start()
        await _ready(f"http://127.0.0.1:{street_port}/street/quiet", town)
        for name in (*WEBS, *WORKERS):
            await children[name].start()
            if name in WEBS:
                await _answers(f"http://127.0.0.1:{ports[name]}/readyz", children[name])
        fleet.key = await _development_key(folder / "web1.log")
        tasks += [asyncio.create_task(child.watch()) for child in (town, *children.values())]
        tasks += [asyncio.create_task(_look(fleet, name)) for name in WEBS]
        await _until(lambda: fleet.ready == set(WEBS))
        yield fleet
    finally:
        for child in (town, *children.values()):
            child.stopping = True
        await asyncio.gather(*(child.stop() for child in (town, *children.values())))
        for task in tasks:
            task.cancel()


async def _look(fleet: Fleet, name: str) -> None:
    """What a balancer does: ask whether it is ready, again and again."""
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
        while True:
            found = False
            with contextlib.suppress(httpx.HTTPError):
                found = (await http.get(f"http://127.0.0.1:{fleet.ports[name]}/readyz")).status_code == 200
            (fleet.ready.add if found else fleet.ready.discard)(name)
            await asyncio.sleep(LOOK)
