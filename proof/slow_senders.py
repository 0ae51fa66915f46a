"""Opens sockets that send slowly, nothing, too much or bombs: each is closed in time, and others are served meanwhile.

aiohttp has no deadline of its own for heads, bodies and idle sockets; ours are in `api.app` and `api.bodies`.
"""

import asyncio
import gzip
import resource
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from api.app import build, runner
from cli.logs import configure
from cli.serving import house_of
from cli.settings import Settings
from cli.wiring import PUSH_SECRET, open_parts, street_environment

IN_TIME = 15.0  # seconds  # source: design/faults-and-security.md, fault 15
EACH = 12  # sockets of each kind
SLOWLY = 0.5  # seconds between bytes
CROWDED = "127.0.0.2"  # an address of its own: the healthy caller is another
MOST_MEMORY = 64  # megabytes more than before

HOST = b"Host: homeward\r\n"
LONG = b"Content-Length: 9999\r\n\r\n"
JSON = b"Content-Type: application/json\r\n"
PUSH = b"POST /webhooks/ups HTTP/1.1\r\n" + HOST + JSON
DEEP = b"[" * 5_000 + b"]" * 5_000

Kind = tuple[bytes, Callable[[int], bytes]]


def kinds() -> dict[str, Kind]:
    """What is sent at once, and what follows slowly, step by step (empty: nothing more)."""
    chunk = b"ffff\r\n" + b"x" * 65_535 + b"\r\n"
    bomb = gzip.compress(b"0" * 20_000_000)

    def x(step: int) -> bytes:
        return b"x"

    def nothing(step: int) -> bytes:
        return b""

    def sized(body: bytes, more: bytes = b"") -> bytes:
        return PUSH + more + b"Content-Length: %d\r\n\r\n" % len(body) + body

    return {
        "slow_head": (b"GET /healthz HTTP/1.1\r\n" + HOST, lambda n: b"X-%d: y\r\n" % n),
        "slow_head_byte_by_byte": (b"G", lambda n: b"ET /healthz HTTP/1.1\r\nHost: h\r\nX: "[n : n + 1] or b"y"),
        "half_a_head": (b"GET /healthz HTTP/1.1\r\nHo", nothing),
        "idle": (b"", nothing),
        "idle_after_a_call": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", nothing),
        "slow_body": (PUSH + b"Content-Length: 5000\r\n\r\n{", x),
        "slow_chunks": (PUSH + b"Transfer-Encoding: chunked\r\n\r\n", lambda n: b"1\r\nx\r\n"),
        "no_body": (PUSH + b"Content-Length: 5000\r\n\r\n", nothing),
        "slow_body_without_a_key": (b"POST /v1/returns HTTP/1.1\r\n" + HOST + JSON + LONG, x),
        "slow_body_nobody_reads": (b"GET /healthz HTTP/1.1\r\n" + HOST + LONG, x),
        "slow_body_to_nowhere": (b"POST /nowhere HTTP/1.1\r\n" + HOST + LONG, x),
        "slow_form": (
            b"POST /follow/order HTTP/1.1\r\n" + HOST
            + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 999\r\n\r\nnumber=",
            x,
        ),
        "gzip_bomb": (sized(bomb, b"Content-Encoding: gzip\r\n"), nothing),
        "oversize": (PUSH + b"Content-Length: 50000000\r\n\r\n", lambda n: b"x" * 60_000),
        "oversize_chunks": (PUSH + b"Transfer-Encoding: chunked\r\n\r\n", lambda n: chunk),
        "deep_json": (sized(DEEP), nothing),
        "endless_head": (b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: ", lambda n: b"y" * 2_000),
    }  # fmt: skip


@asynccontextmanager
async def doors(folder: Path) -> AsyncIterator[int]:
    """The real doors on a port of their own, without carriers to ask."""
    settings = Settings(data=folder / "data", budget="off")
    environment = street_environment("http://127.0.0.1:1", "http://127.0.0.1:1")
    async with open_parts(settings, environment) as parts:
        app = runner(build(house_of(parts, None)), settings.sockets)
        await app.setup()
        await web.TCPSite(app, "127.0.0.1", 0).start()
        try:
            yield app.addresses[0][1]
        finally:
            await app.cleanup()


async def attack(port: int, kind: Kind) -> tuple[float, bytes]:
    """Seconds until the socket was closed (or IN_TIME and more), and the first line that was answered."""
    first, more = kind
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began, heard = time.monotonic(), bytearray()

    async def send() -> None:
        with suppress(ConnectionError, RuntimeError):
            writer.write(first)
            for n in range(10_000):
                await writer.drain()
                await asyncio.sleep(SLOWLY)
                if more(n):
                    writer.write(more(n))

    async def listen() -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                heard.extend(chunk[: 200 - len(heard)])

    sender = asyncio.create_task(send())
    with suppress(TimeoutError):
        await asyncio.wait_for(listen(), IN_TIME + 5)
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    writer.close()
    return time.monotonic() - began, bytes(heard).split(b"\r\n", 1)[0]


async def crowd(port: int) -> dict[str, Any]:
    """One address opens more sockets than it may, and holds them; then it lets go and comes again like anybody."""
    limit = Settings().sockets
    opened = [await asyncio.open_connection("127.0.0.1", port, local_addr=(CROWDED, 0)) for _ in range(limit * 2)]
    await asyncio.sleep(1.0)
    closed = 0
    for reader, _ in opened:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.001):
                await reader.read(1)
        closed += reader.at_eof() or reader.exception() is not None
    for _, writer in opened:
        writer.close()
    await asyncio.sleep(0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(CROWDED, 0))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: homeward\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return {"opened": len(opened), "held": len(opened) - closed, "may_hold": limit, "again": b"200" in line}


async def healthy(port: int, until: asyncio.Event, found: list[float], wrong: Counter[str]) -> None:
    """A caller with good manners, a few times a second: it looks in, and a carrier posts a genuine push."""
    headers = {"credential": PUSH_SECRET, "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
        n = 0
        while not until.is_set():
            n += 1
            began = time.monotonic()
            try:
                answers = [
                    await http.get("/healthz"),
                    await http.post("/webhooks/ups", headers=headers, content=b'{"n":%d}' % n),
                ]
                wrong.update(f"status {answer.status_code}" for answer in answers if answer.status_code != 200)
            except httpx.HTTPError as error:
                wrong[type(error).__name__] += 1
            found.append(time.monotonic() - began)
            await asyncio.sleep(0.1)


async def run(*, examples: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether every socket was closed in time while the healthy ones went on."""
    configure("critical")
    folder = Path(tempfile.mkdtemp(prefix="homeward-slow-"))
    waits: list[float] = []
    what = kinds()
    wrong: Counter[str] = Counter()
    closed: dict[str, list[float]] = defaultdict(list)
    answered: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        async with doors(folder) as port:
            before, over = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, asyncio.Event()

            async def one(name: str, kind: Kind) -> None:
                seconds, line = await attack(port, kind)
                closed[name].append(seconds)
                answered[name][line.decode(errors="replace")[9:12] or "none"] += 1

            caller = asyncio.create_task(healthy(port, over, waits, wrong))
            async with asyncio.TaskGroup() as group:
                for name, kind in what.items():
                    for _each in range(examples or EACH):
                        group.create_task(one(name, kind))
            crowded = await crowd(port)
            over.set()
            await caller
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    slowest = {name: round(max(found), 1) for name, found in closed.items()}
    late = {name: seconds for name, seconds in slowest.items() if seconds > IN_TIME}
    crashed = {name for name, found in answered.items() if any(status.startswith("5") for status in found)}
    waits.sort()
    return {
        "held": crowded["held"] <= crowded["may_hold"]
        and crowded["again"]
        and not late
        and not wrong
        and not crashed
        and len(waits) > 20
        and grown < MOST_MEMORY,
        "one_address": crowded,
        "sockets": sum(len(found) for found in closed.values()),
        "kinds": len(closed),
        "slowest_to_close_s": max(slowest.values()),
        "late": late,
        "answers": {name: dict(found) for name, found in answered.items()},
        "crashed": sorted(crashed),
        "healthy_calls": 2 * len(waits),
        "healthy_p99_ms": round(waits[int(len(waits) * 0.99)] * 1000),
        "healthy_wrong": dict(wrong),
        "memory_grown_mb": round(grown),
    }
