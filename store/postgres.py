"""PostgreSQL through asyncpg: READ COMMITTED units, run again after a conflict, honest about a commit that got lost."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from store.statement import Statement
from store.unit import CommitUnknown, Row, StoreError, Unit

T = TypeVar("T")

CONNECTIONS = 16
RUNS = 8  # of one unit, when it meets others

# nothing of a unit is kept after these, so it may be run again
_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_GONE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError, OSError)


class PostgresTx:
    """The transaction a unit sees."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def all(self, statement: Statement, **params: Any) -> Sequence[Row]:
        compiled = statement.postgres
        rows: Sequence[Row] = await self._connection.fetch(compiled.sql, *compiled.bind(params))
        return rows

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        compiled = statement.postgres
        row: Row | None = await self._connection.fetchrow(compiled.sql, *compiled.bind(params))
        return row

    async def run(self, statement: Statement, **params: Any) -> int:
        compiled = statement.postgres
        tag: str = await self._connection.execute(compiled.sql, *compiled.bind(params))
        count = tag.rpartition(" ")[2]  # "UPDATE 3", "INSERT 0 1"
        return int(count) if count.isdigit() else 0

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        compiled = statement.postgres
        await self._connection.executemany(compiled.sql, [compiled.bind(row) for row in rows])


class PostgresStore:
    """The store on a PostgreSQL server. Made by `open_store`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def write(self, unit: Unit[T]) -> T:
        for run in range(1, RUNS + 1):
            try:
                return await self._write_once(unit)
            except CommitUnknown:
                raise
            except (*_CONFLICTS, *_GONE) as error:
                if run == RUNS:
                    raise StoreError(f"given up after {RUNS} runs, nothing was kept: {error}") from error
                await asyncio.sleep(random.uniform(0, 0.01 * 2**run))
        raise AssertionError("unreachable")

    async def _write_once(self, unit: Unit[T]) -> T:
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                value = await unit(PostgresTx(connection))
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            if connection.is_closed():  # lost before the commit was sent: nothing was kept
                raise asyncpg.ConnectionDoesNotExistError("the connection ended before the commit")
            try:
                await transaction.commit()
            except _GONE as error:
                raise CommitUnknown(f"the connection ended during the commit ({error}): read by id first") from error
            return value

    async def read(self, unit: Unit[T]) -> T:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await unit(PostgresTx(connection))

    async def close(self) -> None:
        await self._pool.close()


async def connect(url: str) -> PostgresStore:
    """A pool for `postgresql+asyncpg://...`. Raises StoreError when the server cannot be reached."""
    try:
        pool = await asyncpg.create_pool(
            plain(url),
            min_size=1,
            max_size=CONNECTIONS,
            max_inactive_connection_lifetime=300.0,
            max_cached_statement_lifetime=0,
            statement_cache_size=512,
            reset=_reset,
            server_settings={"application_name": "homeward", "synchronous_commit": "on"},
        )
    except (OSError, asyncpg.PostgresError) as error:
        raise StoreError(f"PostgreSQL cannot be reached: {error}. Check DATABASE_URL and that it runs.") from error
    return PostgresStore(pool)


def plain(url: str) -> str:
    """The URL as the driver reads it, without SQLAlchemy's driver name."""
    return "postgresql://" + url.partition("://")[2]


async def _reset(connection: Any) -> None:
    """Nothing: session state never changes here, and the driver's reset costs a third of a read (facts/stack.md)."""
