"""Loads a server that runs in a process of its own and counts answers a second, and the CPU that each one cost it."""

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")
DEPTH = 8  # requests under way on one connection: the loader then costs far less than what it loads


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: its port, and its process to ask what it used."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far.  # source: proc(5), fields 14 and 15"""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


Serve = Callable[..., None]
"""What a server's process runs: `(pipe, *args)`; it sends its port through the pipe and serves until it is ended."""


@contextmanager
def serving(serve: Serve, *args: Any) -> Iterator[Server]:
    """The server in a process of its own, until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()  # so that its end is heard when it dies
    try:
        if not ours.poll(60):
            raise AssertionError("the server did not start")
        assert process.pid is not None
        yield Server(ours.recv(), process.pid)
    finally:
        process.kill()
        process.join()


def serve_forever(pipe: Connection, start: Callable[[AsyncExitStack], Awaitable[int]]) -> None:
    """Run `start(stack)` (it returns the port once it listens) and stay."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            pipe.send(await start(stack))
            await asyncio.Event().wait()

    asyncio.run(run())


@dataclass(frozen=True, slots=True)
class Loaded:
    per_second: float
    cpu_us: float  # of the server, for one answer


Requests = Iterator[bytes]
"""What one connection sends, one after the other; every answer is as long as the first."""


def again(request: bytes) -> Requests:
    """The same for ever."""
    return itertools.repeat(request)


def load(server: Server, sources: Sequence[Requests], seconds: float) -> Loaded:
    """Send as fast as answers come, each source on a connection of its own. Raises AssertionError for one not 2xx."""
    return asyncio.run(_load(server, sources, seconds))


async def _load(server: Server, sources: Sequence[Requests], seconds: float) -> Loaded:
    lines = [await _open(server, source) for source in sources]
    used, began = server.cpu_seconds(), time.perf_counter()
    counts = await asyncio.gather(*(_burst(line, began + seconds) for line in lines))
    took, used = time.perf_counter() - began, server.cpu_seconds() - used
    for line in lines:
        line.writer.close()
    return Loaded(sum(counts) / took, used / sum(counts) * 1e6)


@dataclass(frozen=True, slots=True)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    source: Requests
    size: int  # of an answer, head and body


async def _open(server: Server, source: Requests) -> _Line:
    """A connection that has had its first answer, which tells how long every next one is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(next(source))
    head = await reader.readuntil(b"\r\n\r\n")
    if head[9:10] != b"2":
        raise AssertionError(head.decode() + (await reader.read(2000)).decode())
    fields = head.decode().lower().split("\r\n")
    length = next(int(field.partition(":")[2]) for field in fields if field.startswith("content-length:"))
    await reader.readexactly(length)
    return _Line(reader, writer, source, len(head) + length)


async def _burst(line: _Line, until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        line.writer.write(b"".join(itertools.islice(line.source, DEPTH)))
        await line.reader.readexactly(line.size * DEPTH)
        done += DEPTH
    return done


def waited(
    path: Server,
    floor: Server,
    sources: Sequence[Requests],
    per_second: float,
    *,
    rounds: int = 5,
    seconds: float = 2.0,
) -> dict[str, Any]:
    """Both at the same rate in turn, whatever comes back: medians of how long an answer takes, and 99 of 100 of them.

    In milliseconds, from the moment a request should have been sent.
    """
    pairs = [[asyncio.run(_paced(each, sources, per_second, seconds)) for each in (path, floor)] for _ in range(rounds)]
    found: dict[str, Any] = {"per_second": round(per_second)}
    for number, whose in enumerate(("", "floor_")):
        for share in (50, 99):
            found[f"{whose}p{share}_ms"] = round(median(_share(pair[number], share) for pair in pairs) * 1e3, 2)
    return found | {"rounds": rounds}


def _share(took: Sequence[float], share: int) -> float:
    """What so many of a hundred were not slower than."""
    return sorted(took)[len(took) * share // 100]


async def _paced(server: Server, sources: Sequence[Requests], per_second: float, seconds: float) -> list[float]:
    lines = [await _open(server, source) for source in sources]
    between, took = len(lines) / per_second, list[float]()
    began = time.perf_counter()

    async def send(number: int, line: _Line) -> None:
        due = began + between * number / len(lines)
        while due < began + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            line.writer.write(next(line.source))
            await line.reader.readexactly(line.size)
            took.append(time.perf_counter() - due)
            due += between

    await asyncio.gather(*(send(number, line) for number, line in enumerate(lines)))
    for line in lines:
        line.writer.close()
    return took


def compared(
    path: Server, floor: Server, sources: Sequence[Requests], *, rounds: int = 15, seconds: float = 0.5
) -> dict[str, Any]:
    """Both under the same load in turn: answers a second, CPU for one, and the medians of the ratios."""
    load(path, sources, 0.3)
    load(floor, sources, 0.3)
    pairs = [(load(path, sources, seconds), load(floor, sources, seconds)) for _ in range(rounds)]
    return {
        "per_second": round(median(a.per_second for a, _ in pairs)),
        "floor_per_second": round(median(b.per_second for _, b in pairs)),
        "ratio": round(median(a.per_second / b.per_second for a, b in pairs), 3),
        "cpu_us": round(median(a.cpu_us for a, _ in pairs), 1),
        "floor_cpu_us": round(median(b.cpu_us for _, b in pairs), 1),
        "cpu_ratio": round(median(b.cpu_us / a.cpu_us for a, b in pairs), 3),
        "rounds": rounds,
    }
