"""Facts about the store's engine: units, savepoints, group commit, conflicts, the lock, and death."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Integer, Text, bindparam, cast, func, insert, select, update

from store import sqlite
from store.engine import CommitUnknown, Locked, Row, Store, StoreError, Suspended, Tx, open_store, sqlite_path
from store.schema import settings
from store.statement import statement

ROOT = Path(__file__).parents[1]
PUT = statement(insert(settings).values(name=bindparam("name"), value=bindparam("value")))
GET = statement(select(settings).where(settings.c.name == bindparam("name")))
SET = statement(update(settings).where(settings.c.name == bindparam("name")).values(value=bindparam("value")))
ALL = statement(select(settings).order_by(settings.c.name))
COUNT = statement(select(func.count().label("rows")).select_from(settings))


def put(name: str, value: str = "1") -> Callable[[Tx], Any]:
    async def unit(tx: Tx) -> int:
        return await tx.run(PUT, name=name, value=value)

    return unit


def get(name: str) -> Callable[[Tx], Any]:
    async def unit(tx: Tx) -> str | None:
        row = await tx.one(GET, name=name)
        return row["value"] if row else None

    return unit


async def _put_again(tx: Tx, value: str) -> int:
    return await tx.run(SET, name="a", value=value)


async def count(tx: Tx) -> int:
    row = await tx.one(COUNT)
    assert row is not None
    return int(row["rows"])


async def test_a_unit_is_kept_and_returns_what_it_returned(store: Store) -> None:
    """What a unit wrote is read by the next one, by column name; `run` counts the rows it changed."""

    async def look(tx: Tx) -> Row | None:
        return await tx.one(GET, name="a")

    assert await store.write(put("a", "x")) == 1
    row = await store.read(look)
    assert row is not None and row["value"] == "x" and dict(row) == {"name": "a", "value": "x"}


async def test_many_runs_once_for_each_row_and_all_gives_every_row(store: Store) -> None:
    """`many` runs a statement for each row of parameters, `all` gives every row of the answer."""

    async def unit(tx: Tx) -> list[str]:
        await tx.many(PUT, [{"name": str(n), "value": "v"} for n in range(5)])
        return [row["name"] for row in await tx.all(ALL)]

    assert await store.write(unit) == ["0", "1", "2", "3", "4"]


async def test_what_a_unit_raises_undoes_it_alone(store: Store) -> None:
    """Of units that are committed together, the one that raises is undone and told; the others stay."""

    async def failing(tx: Tx) -> None:
        await tx.run(PUT, name="lost", value="1")
        raise ValueError("on purpose")

    units = [failing if n % 3 == 0 else put(f"kept {n}") for n in range(30)]
    results = await asyncio.gather(*map(store.write, units), return_exceptions=True)
    assert [isinstance(result, ValueError) for result in results] == [n % 3 == 0 for n in range(30)]
    assert await store.read(count) == 20


async def test_a_constraint_is_one_callers_error(store: Store) -> None:
    """A row that exists already is an error of the unit that adds it again, and of no other."""
    results = await asyncio.gather(*(store.write(put("same")) for _ in range(10)), return_exceptions=True)
    assert sum(result == 1 for result in results) == 1
    assert await store.read(count) == 1


async def test_concurrent_writers_lose_no_update(store: Store) -> None:
    """Fifty units that each add one to the same number end at fifty."""
    add = statement(
        lambda insert: (
            insert(settings)
            .values(name="n", value="1")
            .on_conflict_do_update(
                index_elements=["name"], set_={"value": cast(cast(settings.c.value, Integer) + 1, Text)}
            )
        )
    )

    async def unit(tx: Tx) -> None:
        await tx.run(add)

    await asyncio.gather(*(store.write(unit) for _ in range(50)))
    assert await store.read(get("n")) == "50"


async def test_a_read_sees_one_snapshot(store: Store) -> None:
    """What is committed while a read unit runs is not seen by it, and the read never keeps a writer waiting."""
    database_is_sqlite = isinstance(store, sqlite.SqliteStore)

    async def unit(tx: Tx) -> tuple[int, int]:
        before = await count(tx)
        if database_is_sqlite:  # the unit holds the loop: write beside it, as another thread does
            beside = sqlite.SqliteTx(store._writer)  # type: ignore[attr-defined]
            sqlite.drive(put("meanwhile"), beside)
        else:
            await store.write(put("meanwhile"))
        return before, await count(tx)

    assert await store.read(unit) == (0, 0)
    await store.write(put("afterwards"))
    assert await store.read(count) == 2


async def test_a_wrong_parameter_is_named(store: Store) -> None:
    """A parameter too many or too few is a TypeError that names it, before anything is run."""

    async def too_few(tx: Tx) -> None:
        await tx.run(PUT, name="a")

    async def too_many(tx: Tx) -> None:
        await tx.run(PUT, name="a", value="b", valeu="c")

    with pytest.raises(TypeError, match="value"):
        await store.write(too_few)
    with pytest.raises(TypeError, match="valeu"):
        await store.write(too_many)


# --------------------------------------------------------------------------------------------------------------- SQLite


async def test_nobody_is_told_before_the_commit(
    sqlite_store: sqlite.SqliteStore, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a caller gets its answer, another connection sees the row, however long the disk takes."""
    beside, sync = sqlite3.connect(sqlite_path(sqlite_url)), sqlite_store._sync

    def slowly() -> None:
        time.sleep(0.01)
        sync()

    async def one(n: int) -> bool:
        await sqlite_store.write(put(f"{n}"))
        return beside.execute("SELECT 1 FROM settings WHERE name = ?", (f"{n}",)).fetchone() is not None

    monkeypatch.setattr(sqlite_store, "_sync", slowly)
    assert all(await asyncio.gather(*(one(n) for n in range(200))))
    beside.close()


async def test_waiting_units_share_a_commit(sqlite_store: sqlite.SqliteStore) -> None:
    """Units that wait at the same time are committed together, not one by one."""
    commits = []
    sqlite_store._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await asyncio.gather(*(sqlite_store.write(put(f"{n}")) for n in range(200)))
    assert 1 <= len(commits) < 50


async def test_a_unit_may_await_nothing_but_its_transaction(sqlite_store: Store) -> None:
    """A unit that suspends is a programming error, told clearly; it is undone and the store lives on."""

    async def sleepy(tx: Tx) -> None:
        await tx.run(PUT, name="a", value="1")
        await asyncio.sleep(0)

    with pytest.raises(Suspended, match="sleepy"):
        await sqlite_store.write(sleepy)
    await sqlite_store.write(put("b"))
    assert await sqlite_store.read(count) == 1


async def test_a_read_cannot_write(sqlite_store: Store) -> None:
    """The reading connection refuses to change anything."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await sqlite_store.read(put("a"))


async def test_losing_the_whole_transaction_costs_only_the_one_who_caused_it(sqlite_store: sqlite.SqliteStore) -> None:
    """When SQLite undoes everything because of one unit, the others are committed on their own."""

    async def loses_everything(tx: Tx) -> None:
        sqlite_store._writer.execute("ROLLBACK")  # as SQLite does by itself on a full disk
        raise sqlite3.OperationalError("database or disk is full")

    units = [loses_everything if n == 20 else put(f"{n}") for n in range(40)]
    results = await asyncio.gather(*map(sqlite_store.write, units), return_exceptions=True)
    assert [n for n, result in enumerate(results) if result != 1] == [20]
    assert await sqlite_store.read(count) == 39


async def test_a_full_disk_is_told_and_survived(sqlite_store: sqlite.SqliteStore) -> None:
    """When the disk is full, whoever needs room is told so, small things are kept, and with room all is well."""
    pages = sqlite_store._writer.execute("PRAGMA page_count").fetchone()[0]
    sqlite_store._writer.execute(f"PRAGMA max_page_count={pages + 20}")
    units = [put(f"{n}", "x" * (300_000 if n % 5 == 0 else 10)) for n in range(40)]
    results = await asyncio.gather(*map(sqlite_store.write, units), return_exceptions=True)
    assert [isinstance(result, sqlite3.OperationalError) for result in results] == [n % 5 == 0 for n in range(40)]
    assert await sqlite_store.read(count) == 32
    sqlite_store._writer.execute("PRAGMA max_page_count=1000000")
    assert await sqlite_store.write(units[0]) == 1


async def test_durable_settings(sqlite_store: sqlite.SqliteStore) -> None:
    """The writer is in WAL mode with FULL sync, foreign keys, secure delete, and no checkpoint inside a commit."""
    asked = {
        name: sqlite_store._writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "wal_autocheckpoint")
    }
    assert asked == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "wal_autocheckpoint": 0,
    }  # fmt: skip


async def test_the_log_does_not_grow_for_ever(sqlite_store: sqlite.SqliteStore, sqlite_url: str) -> None:
    """A hundred megabytes written leave a write-ahead log of a few, whoever reads between and meanwhile; it can be
    emptied at once.
    """
    for n in range(200):
        writing = asyncio.create_task(sqlite_store.write(put(f"{n}", "x" * 500_000)))
        assert await sqlite_store.read(count) == n
        while not writing.done():
            await asyncio.sleep(0)
            assert await sqlite_store.read(count) in (n, n + 1)
        row = await sqlite_store.one(GET, name=f"{n}")
        assert row is not None
    log = Path(f"{sqlite_path(sqlite_url)}-wal")
    assert log.stat().st_size < 3 * sqlite.WAL_LIMIT
    await sqlite_store.empty_log()
    assert log.stat().st_size == 0


async def test_large_commits_share_a_checkpoint(sqlite_store: sqlite.SqliteStore, sqlite_url: str) -> None:
    """While much is written at once the log may grow further, and not for ever; the next small commit ends that."""
    log, sizes = Path(f"{sqlite_path(sqlite_url)}-wal"), []
    rows = sqlite.LARGE

    for n in range(60):

        async def unit(tx: Tx, first: int = n * rows) -> None:
            await tx.many(PUT, [{"name": f"{first + at}", "value": "x" * 4_000} for at in range(rows)])

        await sqlite_store.write(unit)
        sizes.append(log.stat().st_size)
    assert 2 * sqlite.WAL_LIMIT < max(sizes) < sqlite.WAL_MOST + sqlite.WAL_LIMIT
    await sqlite_store.write(put("small"))
    await sqlite_store.write(put("the next begins the log anew"))
    assert log.stat().st_size <= sqlite.WAL_LIMIT


async def test_a_cancelled_caller_harms_nobody(sqlite_store: Store) -> None:
    """Callers that give up while they wait do not disturb the others."""
    tasks = [asyncio.create_task(sqlite_store.write(put(f"{n}"))) for n in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result == 1 for result in results[1::2])


async def test_a_second_writer_is_refused(sqlite_store: Store, sqlite_url: str) -> None:
    """Whoever opens the file for writing while it is held is told by whom and what to do; reading is allowed."""
    with pytest.raises(Locked, match=rf"process {os.getpid()}\. Stop that process"):
        await open_store(sqlite_url)
    beside = await open_store(sqlite_url, lock=False)
    assert await beside.read(count) == 0
    await sqlite_store.write(put("seen"))
    assert await beside.read(count) == 1
    with pytest.raises(StoreError, match="reading only"):
        await beside.write(put("a"))
    await beside.close()
    await sqlite_store.close()
    again = await open_store(sqlite_url)
    await again.write(put("a"))
    await again.close()


async def test_closing_finishes_what_was_asked(sqlite_url: str) -> None:
    """Units that wait when the store is closed are committed and answered first."""
    store = await open_store(sqlite_url)
    tasks = [asyncio.create_task(store.write(put(f"{n}"))) for n in range(600)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(10):
        assert await asyncio.gather(*tasks) == [1] * 600
    with pytest.raises(StoreError, match="closed"):
        await store.write(put("late"))


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A new database can be read by its owner only."""
    store = await open_store(f"sqlite:///{tmp_path / 'deep' / 'new.db'}")
    await store.close()
    assert (tmp_path / "deep" / "new.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///:memory:", "sqlite:///"])
async def test_what_is_not_a_database_is_refused(url: str) -> None:
    """A URL of another kind, or one that keeps nothing, is refused."""
    with pytest.raises(StoreError, match=r"not a database|keeps nothing"):
        await open_store(url)


WRITER = """
import asyncio, sys
from store.engine import open_store
from tests.test_store_engine import put

async def main(url):
    store = await open_store(url)
    async def worker(mine):
        n = 0
        while True:
            n += 1
            await store.write(put(f"{mine}.{n}"))
            sys.stdout.write(f"{mine}.{n}\\n")
            sys.stdout.flush()
    print("ready", flush=True)
    await asyncio.gather(*(worker(sys.argv[2] + "." + str(w)) for w in range(8)))

asyncio.run(main(sys.argv[1]))
"""


def test_killed_at_any_moment_it_loses_nothing_it_acknowledged(sqlite_url: str) -> None:
    """A writer killed with SIGKILL, five times: every row it said was kept is there, and the file is whole."""
    acknowledged: set[str] = set()
    for life in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, sqlite_url, str(life)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(300 + 37 * life):
            acknowledged.add(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        acknowledged.update(line for line in rest[:-1])  # the last line may be half a line
        process.wait()
    acknowledged -= {"ready"}
    connection = sqlite3.connect(sqlite_path(sqlite_url))
    kept = {name for (name,) in connection.execute("SELECT name FROM settings")}
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert len(acknowledged) > 1500
    assert acknowledged <= kept


# ----------------------------------------------------------------------------------------------------------- PostgreSQL


@pytest.mark.postgres
async def test_a_deadlock_is_run_again(postgres_url: str) -> None:
    """Two units that lock two rows in opposite order both end well: the one PostgreSQL breaks is run again."""
    store = await open_store(postgres_url)
    await store.write(put("a", ""))
    await store.write(put("b", ""))
    runs = []
    both_inside = asyncio.Barrier(2)

    def unit(first: str, second: str) -> Callable[[Tx], Any]:
        async def crossed(tx: Tx) -> None:
            runs.append(first)
            await tx.run(SET, name=first, value=first)
            if len(runs) <= 2:
                await both_inside.wait()
            await tx.run(SET, name=second, value=first)

        return crossed

    await asyncio.gather(store.write(unit("a", "b")), store.write(unit("b", "a")))
    assert len(runs) == 3
    assert await store.read(get("a")) == await store.read(get("b"))
    await store.close()


@pytest.mark.postgres
async def test_a_connection_lost_before_the_commit_is_run_again(postgres_url: str) -> None:
    """A unit whose connection is ended by the server is run again on another one, and is kept once."""
    store = await open_store(postgres_url)
    runs = []

    async def unit(tx: Tx) -> None:
        runs.append(1)
        await tx.run(PUT, name="a", value="1")
        if len(runs) == 1:
            await _terminate_others(postgres_url)
            while not tx._connection.is_closed():  # type: ignore[attr-defined]  # the end reaches us a moment later
                await asyncio.sleep(0.001)

    await store.write(unit)
    assert len(runs) == 2
    assert await store.read(count) == 1
    await store.close()


@pytest.mark.postgres
async def test_a_connection_lost_during_the_commit_is_unknown(postgres_url: str) -> None:
    """When the answer to the commit never comes, the caller is told that nobody knows; nothing is run again."""
    store = await open_store(postgres_url)
    # the server sleeps inside COMMIT (a deferred trigger), and is cut off there
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    await connection.execute("""
        CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(5); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER doze AFTER INSERT ON settings DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION doze()
    """)
    await connection.close()
    runs = []

    async def unit(tx: Tx) -> None:
        runs.append(1)
        await tx.run(PUT, name="a", value="1")

    task = asyncio.create_task(store.write(unit))
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    while not await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        await asyncio.sleep(0.01)
    await connection.close()
    await _terminate_others(postgres_url)
    with pytest.raises(CommitUnknown, match="read by id"):
        await task
    assert len(runs) == 1
    await store.close()


async def test_one_statement_is_read_by_itself(store: Store) -> None:
    """What is committed is read the moment after, also beside a unit that reads, and no snapshot is left open."""
    assert await store.one(GET, name="a") is None
    for value in ("1", "2", "3"):
        await store.write(put("a", value) if value == "1" else partial(_put_again, value=value))
        row = await store.one(GET, name="a")
        assert row is not None and row["value"] == value and await store.read(get("a")) == value
    with pytest.raises(TypeError, match="no such parameter"):
        await store.one(GET, names="a")
    rows = await asyncio.gather(*(store.one(GET, name="a") for _ in range(50)))
    assert all(row is not None and row["value"] == "3" for row in rows)


@pytest.mark.postgres
async def test_an_unreachable_server_is_said_plainly() -> None:
    """No server at the address: an error that says what to check."""
    with pytest.raises(StoreError, match="cannot be reached"):
        await open_store("postgresql+asyncpg://nobody@127.0.0.1:1/none")


async def _terminate_others(url: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
