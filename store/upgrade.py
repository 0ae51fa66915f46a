"""Alembic at work. Imported by store/migrate.py only when there is something to upgrade: it is slow to import."""

import asyncio
import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from store.sqlite import take_lock

TRIES = 30
ONE_AT_A_TIME = 4_066_227  # the advisory lock of whoever upgrades a PostgreSQL database; any number that is ours


def upgrade_sqlite(path: Path) -> None:
    """Bring a file to the newest schema, in one transaction. Raises Locked while somebody else writes to it."""
    lock = take_lock(path)
    try:
        engine = create_engine(f"sqlite:///{path.absolute()}", poolclass=NullPool)
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin_at_once)
        with engine.begin() as connection:
            upgrade(connection)
        engine.dispose()
    finally:
        os.close(lock)


async def upgrade_postgres(url: str) -> None:
    """Bring a PostgreSQL database to the newest schema; whoever comes second waits, and then has nothing to do."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        for again in range(TRIES - 1, -1, -1):
            try:
                async with engine.begin() as connection:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ONE_AT_A_TIME})
                    await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
                    await connection.run_sync(upgrade)
                return
            except DBAPIError as error:
                # traffic was in the way of a lock: let it pass, and come again, rather than stop it
                if not again or "LockNotAvailable" not in str(error):
                    raise
            await asyncio.sleep(1.0)
    finally:
        await engine.dispose()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the versions on a connection that is in a transaction already."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    """The driver would commit before every CREATE TABLE: a killed migration must leave nothing."""
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_at_once(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
