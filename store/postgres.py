"""PostgreSQL through asyncpg: READ COMMITTED units, run again after a conflict or a lost connection, honest about a
commit that got lost."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from store.statement import Statement
from store.unit import Changed, CommitUnknown, Row, StoreError, Unit, unheard

T = TypeVar("T")

CONNECTIONS = 16
RUNS = 8  # of one unit, when it meets others
PATIENCE = 6.0  # seconds for which a server that is away is asked again: it restarts, or another one takes over
CONNECT, ACQUIRE, COMMAND = 5.0, 10.0, 60.0  # deadlines in seconds

# A worker whose machine or network is gone must not hold its rows: the server lets go of them in less than 30 s.
_SESSION = {
    "application_name": "homeward",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "20000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
}

# nothing of a unit is kept after these, so it may be run again
_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server ended the connection while nobody used it
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,  # it starts, or stops
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # it became a standby
    OSError,  # a TimeoutError is one
)


class PostgresTx:
    """The transaction a unit sees."""

    __slots__ = ("_connection", "touched")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.touched: set[str] = set()

    def touch(self, subject: str) -> None:
        self.touched.add(subject)

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
        if rows:
            compiled = statement.postgres
            await self._connection.executemany(compiled.sql, compiled.bind_all(rows))


class PostgresStore:
    """The store on a PostgreSQL server. Made by `open_store`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.changed: Changed = unheard

    @property
    def commits(self) -> int | None:
        return None  # others commit too

    async def write(self, unit: Unit[T]) -> T:
        value, touched = await self._again(lambda: self._write_once(unit))
        if touched:
            self.changed(touched)
        return value

    async def read(self, unit: Unit[T]) -> T:
        return await self._again(lambda: self._read_once(unit))

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        return await self._again(lambda: self._one_once(statement, params))

    async def close(self) -> None:
        await self._pool.close()

    async def _again(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run it until it is done, or until it met too many others, or the server was away for too long."""
        until, runs = time.monotonic() + PATIENCE, 0
        while True:
            runs += 1
            try:
                return await run()
            except _CONFLICTS as error:
                if runs == RUNS:
                    raise StoreError(f"given up after {RUNS} runs, nothing was kept: {error}") from error
            except _GONE as error:
                if isinstance(error, ValueError):  # the driver calls a value it cannot send an InterfaceError
                    raise
                if time.monotonic() > until:
                    why = f"{type(error).__name__}: {error}"
                    raise StoreError(f"PostgreSQL is away, nothing was kept: {why}") from error
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    await self._pool.expire_connections()  # the name stands for another server by now
            await asyncio.sleep(random.uniform(0, min(0.01 * 2**runs, 0.5)))

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """One of the pool's; never back into it once the driver has lost track of it."""
        async with self._pool.acquire(timeout=ACQUIRE) as connection:
            try:
                yield connection
            except (asyncpg.InternalClientError, asyncpg.InterfaceError):
                connection.terminate()
                raise

    async def _write_once(self, unit: Unit[T]) -> tuple[T, set[str]]:
        async with self._connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            tx = PostgresTx(connection)
            try:
                value = await unit(tx)
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
            return value, tx.touched

    async def _read_once(self, unit: Unit[T]) -> T:
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await unit(PostgresTx(connection))

    async def _one_once(self, statement: Statement, params: Mapping[str, Any]) -> Row | None:
        """Without BEGIN and COMMIT: they are two of the three ways to the server and back, and add nothing here."""
        compiled = statement.postgres
        async with self._connection() as connection:
            row: Row | None = await connection.fetchrow(compiled.sql, *compiled.bind(params))
            return row


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
            timeout=CONNECT,
            command_timeout=COMMAND,
            server_settings=_SESSION,
        )
    except (OSError, asyncpg.PostgresError) as error:
        raise StoreError(f"PostgreSQL cannot be reached: {error}. Check DATABASE_URL and that it runs.") from error
    return PostgresStore(pool)


def plain(url: str) -> str:
    """The URL as the driver reads it, without SQLAlchemy's driver name."""
    return "postgresql://" + url.partition("://")[2]


async def _reset(connection: Any) -> None:
    """Nothing: session state never changes here, and the driver's reset costs a third of a read (facts/stack.md)."""
