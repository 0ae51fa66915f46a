"""A small TCP proxy that breaks connections: cut, reset, delayed, refused, or lost in the middle of a COMMIT."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

CHUNK = 65536
COMMIT = b"COMMIT;"  # what the driver sends as a query of its own


@dataclass(slots=True)
class Proxy:
    """Passes bytes between clients and one server, until it is told otherwise."""

    target: str  # of the server: HOST:PORT, or the path of a socket
    dice: random.Random = field(default_factory=random.Random)
    delay: float = 0.0  # seconds before each chunk is passed on
    refuses: bool = False
    lose_commits: float = 0.0  # how often a COMMIT is lost: half of them before the server sees it, half after
    done: Counter[str] = field(default_factory=Counter)
    own_port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: Any = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.own_port)
        self.own_port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> int:
        """Reset every connection, as a router that forgot them does; how many."""
        count = len(self._open)
        for writer in [*self._open]:
            _reset(writer)
        self.done["cut"] += count
        return count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            self.done["refused"] += 1
            _reset(writer)
            return
        try:
            there, onward = await _connect(self.target)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, onward}
        ends = (writer, onward)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward, ends, asks=True))
                group.create_task(self._pass(there, writer, ends, asks=False))
        except* (ConnectionError, OSError):
            pass
        finally:
            self._open -= {writer, onward}
            for end in ends:
                with contextlib.suppress(OSError):
                    end.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, ...],
        *,
        asks: bool,
    ) -> None:
        while chunk := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.dice.uniform(0, self.delay))
            if asks and COMMIT in chunk and self.dice.random() < self.lose_commits:
                await self._lose(chunk, writer, ends)
                return
            writer.write(chunk)
            await writer.drain()
        for end in ends:
            end.close()

    async def _lose(self, chunk: bytes, writer: asyncio.StreamWriter, ends: tuple[asyncio.StreamWriter, ...]) -> None:
        """The client never hears of this commit; the server may have."""
        client, server = ends
        if self.dice.random() < 0.5:
            self.done["commit lost on its way"] += 1
        else:
            self.done["commit's answer lost"] += 1
            _reset(client)
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.05)
        for end in (client, server):
            _reset(end)


async def _connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(Exception):
        writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy(target: str, seed: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before this server."""
    made = Proxy(target, random.Random(seed))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def target_of(url: str) -> str:
    """Where the server of a PostgreSQL URL listens, as a proxy's target."""
    parts = urlsplit(url.replace("+asyncpg", ""))
    folder = parse_qs(parts.query).get("host", [""])[0]
    port = parts.port or 5432
    return f"{folder}/.s.PGSQL.{port}" if folder.startswith("/") else f"{parts.hostname}:{port}"


def through(url: str, port: int) -> str:
    """The same URL by way of a proxy on this port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[0] or 'postgres'}@127.0.0.1:{port}{parts.path}"
