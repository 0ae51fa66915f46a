"""Facts about units on SQLite's loop: turns for everybody else, slow statements beside it, commits only for changes."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from store import sqlite, turns
from store.engine import Store, Tx, open_store
from store.schema import settings
from store.statement import one_of, statement
from tests.test_store_engine import ALL, PUT, count, put

HERE = statement(select(func.here().label("thread")))
NAMED = statement(select(settings.c.name).where(one_of(settings.c.name, "names", str)).order_by(settings.c.name))


def tell_where(store: sqlite.SqliteStore) -> None:
    """From now on the writing connection can say on which thread it runs."""
    store._writer.create_function("here", 0, lambda: threading.current_thread().name)


async def here(tx: Tx) -> str:
    row = await tx.one(HERE)
    assert row is not None
    return str(row["thread"])


async def test_a_long_unit_gives_everybody_else_a_turn(
    sqlite_store: sqlite.SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a unit runs for long the loop does other things between its statements, and nobody sees half of it."""
    monkeypatch.setattr(sqlite, "TURN", -1.0)  # every turn is over at once
    seen, marks = list[int](), list[int]()

    async def watch() -> None:
        while True:
            seen.append(await sqlite_store.read(count))
            await asyncio.sleep(0)

    async def unit(tx: Tx) -> int:
        for n in range(20):
            await tx.run(PUT, name=str(n), value="1")
            marks.append(len(seen))
        return await count(tx)

    watching = asyncio.create_task(watch())
    assert await sqlite_store.write(unit) == 20
    watching.cancel()
    assert len(set(marks)) > 10 and set(seen) <= {0, 20}


async def test_a_slow_statement_runs_beside_the_loop_until_it_is_quick_again(
    sqlite_store: sqlite.SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time nobody knows that it is slow."""
    tell_where(sqlite_store)
    main = threading.current_thread().name
    assert await sqlite_store.write(here) == main
    monkeypatch.setattr(turns, "SLOW", -1.0)  # everything is
    assert [await sqlite_store.write(here) for _ in range(3)] == [main, "sqlite-writer", "sqlite-writer"]
    monkeypatch.setattr(turns, "SLOW", 60.0)  # nothing is
    assert [await sqlite_store.write(here) for _ in range(2)] == ["sqlite-writer", main]


async def test_many_rows_are_written_beside_the_loop(
    sqlite_store: sqlite.SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known to be long does not block the loop even once; what fails there is its unit's error alone."""
    monkeypatch.setattr(turns, "MANY", 10)
    rows = [{"name": str(n), "value": "1"} for n in range(50)]

    async def unit(tx: Tx) -> int:
        await tx.many(PUT, rows)
        return await count(tx)

    async def twice(tx: Tx) -> None:
        await tx.run(PUT, name="mine", value="1")
        await tx.many(PUT, [*rows, rows[0]])

    results = await asyncio.gather(*map(sqlite_store.write, (unit, twice, put("other"))), return_exceptions=True)
    assert results[0] == 50 and results[2] == 1 and isinstance(results[1], sqlite3.IntegrityError)
    assert await sqlite_store.read(count) == 51


async def test_a_unit_can_go_on_after_a_statement_that_failed_beside_the_loop(
    sqlite_store: sqlite.SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised where the statement stands, like any other."""
    monkeypatch.setattr(turns, "SLOW", -1.0)
    await sqlite_store.write(put("there"))

    async def unit(tx: Tx) -> str:
        try:
            await tx.run(PUT, name="there", value="2")
        except sqlite3.IntegrityError:
            await tx.run(PUT, name="instead", value="1")
        return "done"

    assert await sqlite_store.write(unit) == "done"
    assert await sqlite_store.read(count) == 2


@pytest.mark.parametrize(("rows", "at_once"), [(sqlite.LARGE, True), (1, False)])
async def test_a_large_commit_has_begun_before_the_loop_goes_on(
    rows: int, at_once: bool, sqlite_store: sqlite.SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop does next is done meanwhile; a small commit is left to begin when the loop has a moment."""
    monkeypatch.setattr(sqlite, "BEGINS", 10.0)
    ask, seen = sqlite_store._ask_aside, list[tuple[bool, bool]]()

    def asked(work: Callable[[], Any], loop: asyncio.AbstractEventLoop | None, *, at_once: bool) -> None:
        begun = threading.Event()
        ask(lambda: (begun.set(), work()), loop, at_once=at_once)
        seen.append((at_once, at_once and begun.is_set()))

    monkeypatch.setattr(sqlite_store, "_ask_aside", asked)

    async def unit(tx: Tx) -> None:
        await tx.many(PUT, [{"name": str(n), "value": "1"} for n in range(rows)])

    await sqlite_store.write(unit)
    assert seen == [(at_once, at_once)] and await sqlite_store.read(count) == rows


async def test_what_changes_nothing_is_no_commit(sqlite_store: sqlite.SqliteStore) -> None:
    """A look for work that finds none costs no sync, and makes no kept answer old."""
    before = sqlite_store.commits
    assert await sqlite_store.write(count) == 0
    assert sqlite_store.commits == before
    await sqlite_store.write(put("a"))
    assert sqlite_store.commits == (before or 0) + 1


def test_a_loop_that_ended_in_the_middle_harms_no_later_one(sqlite_url: str) -> None:
    """What was not committed when a loop was closed is undone; the next loop writes as if nothing had been."""

    async def begin() -> sqlite.SqliteStore:
        store = await open_store(sqlite_url)
        assert isinstance(store, sqlite.SqliteStore)
        await store.write(put("first"))
        asyncio.get_running_loop().call_soon(asyncio.create_task, store.write(put("lost or kept")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return store

    store = asyncio.run(begin())

    async def go_on() -> None:
        await store.write(put("second"))
        names = {row["name"] for row in await store.read(lambda tx: tx.all(ALL))}
        assert names - {"lost or kept"} == {"first", "second"}
        await store.close()

    asyncio.run(asyncio.wait_for(go_on(), 20))


@pytest.mark.parametrize("names", [[], ["b"], ["a", "c", "nobody", "it's"], [str(n) for n in range(3000)]])
async def test_one_of_many_is_one_parameter(store: Store, names: list[str]) -> None:
    """However many values there are, on both databases."""
    there = ["a", "b", "c", "it's", "77"]

    async def unit(tx: Tx) -> list[Any]:
        await tx.many(PUT, [{"name": name, "value": "1"} for name in there])
        return [row["name"] for row in await tx.all(NAMED, names=msgspec.json.encode(names).decode())]

    assert await store.write(unit) == sorted(set(there) & set(names))
