"""Facts about pushes that share commits: nobody is told early, nobody depends on another, all rows are there."""

import asyncio
import sqlite3
from typing import TypeVar

from carriers.contract import Payload, Source
from store.engine import CommitUnknown, Row, Store, StoreError, Tx, Unit, open_store, sqlite_path
from store.payloads import get_payload, unread_payloads
from store.sqlite import SqliteStore
from tests.doors import MONDAY
from webhooks.letterbox import Letterbox

MANY = 60
T = TypeVar("T")


def push(serial: int) -> Payload:
    return Payload("ups", Source.PUSH, b'{"trackingNumber": "%d"}' % serial)


async def keep(letterbox: Letterbox, *payloads: Payload) -> list[BaseException | None]:
    """How each ended that came in this moment; TimeoutError rather than for ever."""
    async with asyncio.timeout(10):
        all_of_them = (letterbox.keep(each, now=MONDAY, late=0) for each in payloads)
        return await asyncio.gather(*all_of_them, return_exceptions=True)


async def kept(store: Store) -> list[Row]:
    """Every payload, in the order of its row."""

    async def unit(tx: Tx) -> list[Row]:
        ids = await unread_payloads(tx, 1_000, 0)
        return [row for id in ids if (row := await get_payload(tx, id)) is not None]

    return await store.read(unit)


async def test_pushes_of_the_same_moment_share_commits(store: Store) -> None:
    """Sixty pushes at once are kept in the order they came, with a wake-up for each commit and not for each push."""
    woken = list[int]()
    letterbox = Letterbox(store, lambda: woken.append(1))
    before = store.commits
    await asyncio.gather(*(letterbox.keep(push(n), now=MONDAY, late=n % 2 * 600) for n in range(MANY)))
    rows = await kept(store)
    assert [row["body"] for row in rows] == [push(n).body for n in range(MANY)]
    assert [row["late"] for row in rows] == [n % 2 * 600 for n in range(MANY)]
    assert 1 <= len(woken) < MANY / 4
    assert before is None or (store.commits or 0) - before == len(woken)


async def test_the_same_bytes_are_kept_once_and_answered_each_time(store: Store) -> None:
    """A push that comes thrice, twice in one moment, is one row; every sender hears that it is kept."""
    letterbox = Letterbox(store, lambda: None)
    assert await keep(letterbox, push(1), push(1)) == [None, None]
    assert await keep(letterbox, push(1)) == [None]
    assert len(await kept(store)) == 1


async def test_who_returns_is_on_the_disk(sqlite_url: str) -> None:
    """Whatever another connection reads at the moment a push is answered has its row: 200 means committed."""
    store = await open_store(sqlite_url)
    letterbox = Letterbox(store, lambda: None)

    async def one(n: int) -> bool:
        await asyncio.sleep(n % 7 / 1_000)
        await letterbox.keep(push(n), now=MONDAY, late=0)
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as other:
            found = other.execute("SELECT count(*) FROM payloads WHERE digest = ?", (push(n).digest,)).fetchone()
        return bool(found[0])

    assert all(await asyncio.gather(*(one(n) for n in range(MANY))))
    await store.close()


async def test_a_carrier_that_hangs_up_takes_nobody_with_it(store: Store) -> None:
    """The push that asked for the commit is given up while it waits: it is kept all the same, and so are the others."""
    letterbox = Letterbox(store, lambda: None)
    pushes = [asyncio.create_task(letterbox.keep(push(n), now=MONDAY, late=0)) for n in range(5)]
    await asyncio.sleep(0)
    pushes[0].cancel()
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*pushes, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError) and ended[1:] == [None] * 4
    assert len(await kept(store)) == 5


class Doubtful(SqliteStore):
    """A store that loses the word of its first commit: it was kept, and nobody knows."""

    lost = False

    async def write(self, unit: Unit[T]) -> T:
        answer = await super().write(unit)
        if not self.lost:
            self.lost = True
            raise CommitUnknown("kept or not")
        return answer


async def test_a_commit_nobody_knows_of_is_run_again(sqlite_url: str) -> None:
    """Those of the first run are kept and told after the second, with those who came meanwhile."""
    doubtful = Doubtful(sqlite_path(sqlite_url))
    letterbox = Letterbox(doubtful, lambda: None)
    assert await keep(letterbox, *map(push, range(3))) == [None] * 3
    assert doubtful.lost and len(await kept(doubtful)) == 3
    await doubtful.close()


async def test_a_full_disk_is_told_and_is_over_when_it_is_over(sqlite_store: SqliteStore) -> None:
    """Of one moment's pushes those that need room are told so, the small ones are kept; with room all is well."""
    letterbox = Letterbox(sqlite_store, lambda: None)
    pages = sqlite_store._writer.execute("PRAGMA page_count").fetchone()[0]
    sqlite_store._writer.execute(f"PRAGMA max_page_count={pages + 10}")
    big = Payload("ups", Source.PUSH, b"x" * 60_000)
    ended = await keep(letterbox, push(1), big, push(2))
    assert isinstance(ended[1], sqlite3.Error) and ended[::2] == [None, None], ended
    sqlite_store._writer.execute("PRAGMA max_page_count=1000000")
    assert await keep(letterbox, big) == [None]
    assert [row["body"] for row in await kept(sqlite_store)] == [push(1).body, push(2).body, big.body]


async def test_a_store_that_is_closed_is_told_to_all(sqlite_url: str) -> None:
    """A unit that was never run leaves nobody waiting."""
    store = await open_store(sqlite_url)
    await store.close()
    letterbox = Letterbox(store, lambda: None)
    for _ in range(2):
        ended = await keep(letterbox, *map(push, range(3)))
        assert [type(each) for each in ended] == [StoreError] * 3
