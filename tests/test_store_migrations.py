"""Facts about migrations: they make exactly the schema, from nothing, once; and a newer database is left alone."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from store import upgrade
from store.engine import Locked, NewerSchema, Store, StoreError, open_store
from store.migrate import check, migrate, revisions
from store.parcels import find_parcel
from store.schema import metadata

ROOT = Path(__file__).parents[1]


def differences(connection: Connection) -> list[object]:
    """What Alembic would change to make the database equal to the schema."""
    # Alembic misreads the default '' on SQLite; both databases are made by the same versions, so one comparison will do
    defaults = connection.dialect.name == "postgresql"
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": defaults})
    return list(compare_metadata(context, metadata))


async def test_migrations_make_the_schema_on_sqlite(sqlite_url: str) -> None:
    """The versions run from nothing make what schema.py says, on SQLite."""
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()


@pytest.mark.postgres
async def test_migrations_make_the_schema_on_postgres(postgres_url: str) -> None:
    """The versions run from nothing make what schema.py says, on PostgreSQL."""
    engine = create_async_engine(postgres_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_current_database_is_left_as_it_is(database_url: str) -> None:
    """Migrating a second time finds nothing to do, on both databases, and does not even import Alembic."""
    schema = await migrate(database_url)
    assert schema.is_current and schema.found == revisions()[-1]


def test_alembic_is_not_imported_to_start(sqlite_url: str) -> None:
    """A start on a current database does not pay for Alembic."""
    code = (
        "import asyncio, sys; from store.migrate import migrate; "
        f"asyncio.run(migrate({sqlite_url!r})); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


async def test_an_empty_sqlite_file_is_migrated(tmp_path: Path) -> None:
    """A database that does not exist yet is made; what was found before is told."""
    url = f"sqlite:///{tmp_path / 'new' / 'homeward.db'}"
    assert (await check(url)).found is None
    assert (await migrate(url)).found is None
    assert (await check(url)).is_current
    await (await open_store(url)).close()


@pytest.mark.postgres
async def test_two_processes_migrate_one_empty_postgres(empty_postgres_url: str) -> None:
    """Two that start at once on an empty database both end well: one migrates, the other waits and finds it done."""
    await asyncio.gather(migrate(empty_postgres_url), migrate(empty_postgres_url))
    assert (await check(empty_postgres_url)).is_current


async def test_a_newer_database_is_refused(database_url: str) -> None:
    """A revision that nobody here knows is refused with what to do, and nothing is changed."""
    sql = "UPDATE alembic_version SET version_num = '9999'"
    if database_url.startswith("sqlite"):
        with sqlite3.connect(database_url.removeprefix("sqlite:///")) as connection:
            connection.execute(sql)
        connection.close()
    else:
        server = await asyncpg.connect(database_url.replace("+asyncpg", ""))
        await server.execute(sql)
        await server.close()
    with pytest.raises(NewerSchema, match=r"revision 9999.*newer Homeward"):
        await check(database_url)
    with pytest.raises(NewerSchema):
        await migrate(database_url)


async def test_a_held_file_is_not_migrated(tmp_path: Path) -> None:
    """While a process writes to a file, another one cannot migrate it."""
    url = f"sqlite:///{tmp_path / 'homeward.db'}"
    holder: Store = await open_store(url)
    with pytest.raises(Locked):
        await migrate(url)
    await holder.close()


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration on SQLite that ends halfway is undone whole: the next start begins from nothing again."""
    from alembic.operations import Operations

    path = tmp_path / "homeward.db"
    original = Operations.create_table
    made = []

    def failing(self: Operations, name: str, *rest: object, **kw: object) -> object:
        made.append(name)
        if len(made) == 10:
            raise RuntimeError("the power went")
        return original(self, name, *rest, **kw)

    monkeypatch.setattr(Operations, "create_table", failing)
    with pytest.raises(RuntimeError, match="power"):
        await migrate(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


async def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A file that is no database is said to be none."""
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreError, match="not a database of ours"):
        await check(f"sqlite:///{path}")


PARCELS = (
    "INSERT INTO parcels (carrier, number, merchant, purpose, created_us, conclusion) VALUES"
    " ('ups', '1Z1', 'boutique-eu', 'order', 1, '{\"status\":\"delivered\"}'),"
    " ('ups', '1Z2', 'boutique-eu', 'order', 1, '{}')"
)


async def older(url: str, revision: str, sql: str) -> None:
    """A database as an older Homeward left it: at this revision, with these rows."""

    def build(connection: Connection) -> None:
        upgrade.upgrade(connection, revision)
        connection.execute(text(sql))

    if url.startswith("sqlite"):
        engine = create_engine(url)
        with engine.begin() as connection:
            build(connection)
        engine.dispose()
    else:
        server = create_async_engine(url)
        async with server.begin() as connection:
            await connection.run_sync(build)
        await server.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Nothing yet, on each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'old.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


async def test_conclusions_of_an_older_database_are_still_there(empty_url: str) -> None:
    """Revision 0012 moves them to a table of their own: none is lost, and a parcel without one has none."""
    await older(empty_url, "0011", PARCELS)
    assert (await migrate(empty_url)).found == "0011"
    store = await open_store(empty_url)
    found = [await store.read(lambda tx, n=number: find_parcel(tx, "ups", n)) for number in ("1Z1", "1Z2")]
    assert [row and row["conclusion"] for row in found] == ['{"status":"delivered"}', "{}"]
    await store.close()
