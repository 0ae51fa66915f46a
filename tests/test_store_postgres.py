"""Facts about a PostgreSQL that goes away: what was acknowledged is kept, what was refused is not, nothing is twice."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import bindparam, insert, select, update

from proof.proxy import Proxy, proxy, target_of, through
from store import postgres
from store.again import write_surely
from store.engine import CommitUnknown, Store, StoreError, Tx, open_store
from store.migrate import check, migrate, revisions
from store.schema import settings
from store.settings import GET_SETTING, get_setting, put_setting
from store.statement import statement
from store.unit import NewerSchema

pytestmark = pytest.mark.postgres
PUT = statement(insert(settings).values(name=bindparam("name"), value="1"))
PUT_ONCE = statement(lambda insert: insert(settings).values(name=bindparam("name"), value="1").on_conflict_do_nothing())
ADD = statement(update(settings).where(settings.c.name == bindparam("name")).values(value=settings.c.value + "i"))
ALL = statement(select(settings.c.name))


@contextlib.asynccontextmanager
async def behind(url: str, seed: int = 0):  # type: ignore[no-untyped-def]
    """A store whose connections go through a proxy."""
    async with proxy(target_of(url), seed) as between:
        store = await open_store(through(url, between.own_port))
        try:
            yield store, between
        finally:
            await store.close()


async def _trouble(between: Proxy, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(between.dice.uniform(0.02, 0.1))
        between.cut()
        if between.dice.random() < 0.3:
            between.refuses = True
            await asyncio.sleep(0.1)
            between.refuses = False


async def test_what_a_write_says_is_so(postgres_url: str) -> None:
    """Under cuts, delays and lost commits: returned means kept, refused means not kept, unknown may be either."""
    kept, refused, unknown = set[str](), set[str](), set[str]()

    async def one(store: Store, name: str) -> None:
        async def unit(tx: Tx) -> None:
            await tx.run(PUT, name=name)

        try:
            await store.write(unit)
            kept.add(name)
        except CommitUnknown:
            unknown.add(name)
        except StoreError:
            refused.add(name)

    async with behind(postgres_url) as (store, between):
        between.lose_commits, between.delay, stop = 0.2, 0.005, asyncio.Event()
        trouble = asyncio.create_task(_trouble(between, stop))
        for batch in range(4):
            await asyncio.gather(*(one(store, f"{batch}/{n}") for n in range(10)))
        stop.set()
        await trouble
        between.lose_commits = 0.0
        found = {row["name"] for row in await store.read(lambda tx: tx.all(ALL))}
    assert kept <= found and not refused & found
    assert between.done["commit lost on its way"] and between.done["commit's answer lost"] and between.done["cut"]
    assert unknown & found and unknown - found, "both kinds of unknown were met"


async def test_a_unit_that_finds_out_by_itself_is_done_once(postgres_url: str) -> None:
    """`write_surely` with a name of its own: whatever is lost on the way, it is done exactly once."""

    async def once(tx: Tx, name: str) -> None:
        if await tx.run(PUT_ONCE, name=f"done/{name}"):  # it waits for whoever is still committing the same
            await tx.run(ADD, name="sum")

    async with behind(postgres_url, 1) as (store, between):
        await store.write(lambda tx: put_setting(tx, "sum", ""))
        between.lose_commits = 0.3
        done = 0
        for n in range(40):
            with contextlib.suppress(CommitUnknown):
                await write_surely(store, lambda tx, n=n: once(tx, str(n)))  # type: ignore[misc]
                done += 1
        between.lose_commits = 0.0
        total = len(await store.read(lambda tx: get_setting(tx, "sum")) or "")
        names = {row["name"] for row in await store.read(lambda tx: tx.all(ALL))}
    assert total == sum(name.startswith("done/") for name in names) >= done >= 35
    assert between.done["commit's answer lost"]


async def test_a_read_survives_a_lost_connection(postgres_url: str) -> None:
    """A read is simply made again: nobody outside sees that the server was away for a second."""
    async with behind(postgres_url) as (store, between):
        await store.write(lambda tx: put_setting(tx, "a", "1"))
        for _ in range(20):
            between.cut()
            assert await store.read(lambda tx: get_setting(tx, "a")) == "1"
            between.cut()
            row = await store.one(GET_SETTING, name="a")
            assert row is not None and row["value"] == "1"
        for work in (store.read(lambda tx: get_setting(tx, "a")), store.one(GET_SETTING, name="a")):
            between.refuses = True
            between.cut()
            asyncio.get_running_loop().call_later(1.0, setattr, between, "refuses", False)
            assert await work


async def test_a_server_that_stays_away_is_said_to_be(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience is over: an error that says so and that nothing was kept, for reads and writes."""
    monkeypatch.setattr(postgres, "PATIENCE", 0.5)
    async with behind(postgres_url) as (store, between):
        between.refuses = True
        between.cut()
        for work in (store.read, store.write):
            with pytest.raises(StoreError, match="away, nothing was kept"):
                await work(lambda tx: get_setting(tx, "a"))
        between.refuses = False
        assert await store.read(lambda tx: get_setting(tx, "a")) is None


async def test_a_standby_that_took_over_is_found(postgres_url: str) -> None:
    """A server that only reads (it became a standby) is left for the one that writes, without the caller noticing."""
    store = await open_store(postgres_url)
    plain, name = postgres.plain(postgres_url), urlsplit(postgres_url).path[1:]
    admin = await asyncpg.connect(plain)
    try:
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        writing = asyncio.create_task(store.write(lambda tx: put_setting(tx, "a", "1")))
        await asyncio.sleep(0.5)
        assert not writing.done()
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await writing
    finally:
        await admin.close()
        await store.close()


async def test_a_paused_workers_rows_are_let_go(postgres_url: str) -> None:
    """The server ends a transaction that its worker left open: what it held is another's in less than 30 s."""
    store = await open_store(postgres_url)
    wanted = ("idle_in_transaction_session_timeout", "synchronous_commit")
    async with store._pool.acquire() as connection:  # type: ignore[attr-defined]
        found = [await connection.fetchval("SELECT current_setting($1)", name) for name in wanted]
    await store.close()
    assert found == ["20s", "on"]


# ----------------------------------------------------------------------------------------------------- rolling upgrades


async def _stamp(url: str, revision: str, oldest: str) -> None:
    connection = await asyncpg.connect(postgres.plain(url))
    await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
    await connection.execute(
        "INSERT INTO settings VALUES ('schema.oldest', $1) ON CONFLICT (name) DO UPDATE SET value = $1", oldest
    )
    await connection.close()


async def test_an_older_homeward_runs_beside_a_newer_one(postgres_url: str) -> None:
    """A newer schema that says it still carries us is ours to use, also for a start; one that does not is refused."""
    await _stamp(postgres_url, "9998", revisions()[-1])
    assert (await check(postgres_url)).is_current
    await migrate(postgres_url)
    await _stamp(postgres_url, "9999", "9999")
    with pytest.raises(NewerSchema):
        await check(postgres_url)


async def test_traffic_goes_on_while_a_newer_homeward_migrates(postgres_url: str) -> None:
    """Columns, tables and indexes are added under load: every write of the older code is kept, none fails."""
    store, stop, done = await open_store(postgres_url), asyncio.Event(), 0

    async def traffic(lane: int) -> None:
        nonlocal done
        while not stop.is_set():
            done += 1
            await store.write(lambda tx, n=f"{lane}/{done}": put_setting(tx, n, "x"))  # type: ignore[misc]
            await store.read(lambda tx, n=f"{lane}/{done}": get_setting(tx, n))  # type: ignore[misc]

    lanes = [asyncio.create_task(traffic(lane)) for lane in range(4)]
    newer = await asyncpg.connect(postgres.plain(postgres_url))
    await asyncio.sleep(0.3)
    for n in range(10):
        async with newer.transaction():
            await newer.execute("SET LOCAL lock_timeout = '2s'")
            await newer.execute(f"ALTER TABLE settings ADD COLUMN extra_{n} text NOT NULL DEFAULT ''")
            await newer.execute(f"CREATE INDEX ix_settings_extra_{n} ON settings (extra_{n})")
            await newer.execute(f"CREATE TABLE new_{n} (id bigint PRIMARY KEY)")
        await asyncio.sleep(0.05)
    await newer.close()
    stop.set()
    await asyncio.gather(*lanes)
    await store.close()
    assert done > 50
