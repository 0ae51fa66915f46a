"""One network cannot take all sockets: what is over its limit is closed at once, and others come in."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from api.app import build, runner
from api.sockets import Crowd, Doorway
from store.engine import Store
from tests.doors import make_house

LIMIT = 5


@pytest.fixture
async def port(sqlite_store: Store) -> AsyncIterator[int]:
    doors = runner(build(make_house(sqlite_store)), LIMIT)
    await doors.setup()
    await web.TCPSite(doors, "127.0.0.1", 0).start()
    yield doors.addresses[0][1]
    await doors.cleanup()


async def knock(port: int, source: str) -> tuple[bytes, asyncio.StreamWriter]:
    """The first line of an answer from this address ("" where the socket was closed), and the socket, still open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: homeward\r\n\r\n")
        return await reader.readline(), writer
    except ConnectionError:
        return b"", writer


async def test_one_address_holds_no_more_than_its_share(port: int) -> None:
    """Five stay, the sixth is closed without a word; another address is served; who lets go comes in again."""
    held = [await knock(port, "127.0.0.2") for _ in range(LIMIT)]
    assert all(b"200" in line for line, _ in held)
    for _ in range(3):
        assert (await knock(port, "127.0.0.2"))[0] == b""
    assert b"200" in (await knock(port, "127.0.0.3"))[0]
    held[0][1].close()
    await asyncio.sleep(0.1)
    line, _ = await knock(port, "127.0.0.2")
    assert b"200" in line
    assert (await knock(port, "127.0.0.2"))[0] == b""


async def test_without_a_limit_nobody_is_counted(sqlite_store: Store) -> None:
    """Behind a proxy, which has to count by itself."""
    assert Doorway(build(make_house(sqlite_store))).crowd is None


def test_a_network_is_counted_as_one() -> None:
    """The addresses of one IPv6 /64 are one network; what leaves makes room, and leaves nothing behind."""
    crowd = Crowd(2)
    first, second, third = (object() for _ in range(3))
    assert crowd.enter(first, "2001:db8::1") and crowd.enter(second, "2001:db8::2")  # type: ignore[arg-type]
    assert not crowd.enter(third, "2001:db8::3") and crowd.refused == 1  # type: ignore[arg-type]
    for each in (first, second, third, third):
        crowd.leave(each)  # type: ignore[arg-type]
    assert not crowd._open and not crowd._whose
