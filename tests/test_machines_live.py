"""Facts about open pages where there are several webs: what one changes, a stream at another hears, through Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from api import live
from cli.demo import free_port
from fleet.news import News, understood, written
from fleet.wire import open_wire
from proof.servers import RedisServer, redis_server
from store.engine import open_store
from tests.doors import Doors, make_house, open_doors
from tests.test_pages_links import link, page

pytestmark = pytest.mark.postgres


@asynccontextmanager
async def webs(database: str, redis: RedisServer, count: int) -> AsyncIterator[list[Doors]]:
    """So many webs on one database and one Redis, each with the news as `cli` wires it."""
    async with AsyncExitStack() as stack:
        opened = []
        for n in range(count):
            store, news, name = await open_store(database), News(alone=False), f"web{n}"
            stack.push_async_callback(store.close)

            def hear(message: bytes, news: News = news, name: str = name) -> None:
                match understood(message, name):
                    case ("changed", list(subjects)):
                        news.hear(subjects)

            wire = await stack.enter_async_context(open_wire(redis.url, "t", "news", hear))
            news.reliable = lambda wire=wire: wire.hears  # type: ignore[misc]
            news.pass_on = lambda s, wire=wire, name=name: wire.post("t:news", written("changed", [*s], name))  # type: ignore[misc]
            store.changed = news.tell
            opened.append(await stack.enter_async_context(open_doors(make_house(store, news=news))))
            async with asyncio.timeout(15):
                while not wire.hears:
                    await asyncio.sleep(0.02)
        yield opened


async def test_a_stream_at_one_web_hears_what_another_web_changed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once and by the news alone; without Redis too, at the next look."""
    monkeypatch.setattr(live, "STILL_HERE", 300.0)
    monkeypatch.setattr(live, "EVERY", 300.0)
    with redis_server(free_port()) as redis:
        async with webs(postgres_url, redis, 2) as (one, other):
            await one.put_order("B-1")
            await page(other, await link(one, order_number="B-1"))
            async with other.client.get("/follow/events?page=order") as response, asyncio.timeout(30):
                versions = [await response.content.readuntil(b"\n\n")]
                await asyncio.sleep(0.3)
                await one.put_order("B-1", state="cancelled")
                versions.append(await response.content.readuntil(b"\n\n"))
                assert versions[0] != versions[1] and versions[1].startswith(b"event: story")
            monkeypatch.setattr(live, "EVERY", 0.3)
            redis.kill()
            async with asyncio.timeout(30):
                while other.house.news.reliable():
                    await asyncio.sleep(0.05)
            async with other.client.get("/follow/events?page=order") as response, asyncio.timeout(30):
                versions = [await response.content.readuntil(b"\n\n")]
                await one.put_order("B-1", state="being_prepared")
                versions.append(await response.content.readuntil(b"\n\n"))
                assert versions[0] != versions[1]
