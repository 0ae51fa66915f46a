"""SQLite: one writing connection with group commit on a thread of its own, and reads beside it that never wait for it.

SQLite 3.7.0 to 3.51.2 may corrupt a WAL when two connections write or checkpoint at once (facts/stack.md), so exactly
one connection does either, and a lock file keeps other processes from opening a second one.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from store.statement import Statement
from store.unit import Changed, CommitUnknown, Locked, Row, StoreError, Suspended, Unit, unheard

T = TypeVar("T")

OLDEST = (3, 35, 0)  # RETURNING
# source: facts/stack.md and design/faults-and-security.md "Read first" 5
SAFE_FOR_TWO_WRITERS = (3, 51, 3)
UNITS_IN_A_COMMIT = 256
WAL_LIMIT = 4 * 1024 * 1024  # checkpoint when the log has grown past this

_WRITER = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # acknowledged means durable, also after a power cut
    "PRAGMA wal_autocheckpoint=0",  # inside a commit it costs p99 8-13 ms (facts/stack.md); we do it between batches
    f"PRAGMA journal_size_limit={WAL_LIMIT}",  # after a checkpoint the file shrinks to this, so its size tells its load
    "PRAGMA secure_delete=ON",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)
_READER = ("PRAGMA query_only=ON", "PRAGMA busy_timeout=5000")


class SqliteTx:
    """The transaction a unit sees. Its awaits never suspend: the driver answers at once."""

    __slots__ = ("_connection", "touched")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.touched: set[str] = set()

    def touch(self, subject: str) -> None:
        self.touched.add(subject)

    async def all(self, statement: Statement, **params: Any) -> Sequence[Row]:
        compiled = statement.sqlite
        return self._connection.execute(compiled.sql, compiled.bind(params)).fetchall()

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        compiled = statement.sqlite
        cursor = self._connection.execute(compiled.sql, compiled.bind(params))
        row = cursor.fetchone()
        cursor.close()  # a statement still open would be in the way of the commit
        return cast(Row | None, row)

    async def run(self, statement: Statement, **params: Any) -> int:
        compiled = statement.sqlite
        cursor = self._connection.execute(compiled.sql, compiled.bind(params))
        changed = cursor.rowcount
        cursor.close()
        return changed

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        compiled = statement.sqlite
        self._connection.executemany(compiled.sql, [compiled.bind(row) for row in rows]).close()


def drive(unit: Unit[T], tx: SqliteTx) -> T:
    """Run a unit to its end in one go. Raises Suspended when it awaits anything but its transaction."""
    coroutine = unit(tx)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    coroutine.close()
    raise Suspended(f"{getattr(unit, '__qualname__', unit)} awaited something else than its transaction")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A unit in the queue, who waits for it, and how it ended."""

    unit: Unit[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    changed: Changed
    value: Any = None
    error: BaseException | None = None
    touched: frozenset[str] = frozenset()

    def resolve(self) -> None:
        if self.touched and self.error is None:
            self.changed(self.touched)
        if self.future.done():  # the caller was cancelled meanwhile
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class _Lost(Exception):
    """SQLite undid the whole transaction because of one statement (disk full, I/O error)."""


class SqliteStore:
    """The store on one file. Made by `open_store`; `writes` False opens it for reading only, beside whoever writes."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.changed: Changed = unheard
        self._lock: int | None = None
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._emptying = threading.Event()
        self._commits = 0
        if sqlite3.sqlite_version_info < OLDEST:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
        if writes:
            self._lock = take_lock(path)
            try:
                self._writer = _connect(path, _WRITER)
            except BaseException:
                os.close(self._lock)
                raise
            self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
            self._thread.start()
        self._reader = _connect(path, _READER, read_only=True)
        self._reading = SqliteTx(self._reader)

    # ------------------------------------------------------------------------------------------------- for callers

    @property
    def commits(self) -> int | None:
        return None if self._thread is None else self._commits  # without the lock somebody else commits

    async def write(self, unit: Unit[T]) -> T:
        if self._thread is None:
            raise StoreError(f"{self.path} was opened for reading only, or is closed")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(unit, loop, loop.create_future(), self.changed)
        self._queue.put(waiting)
        return cast(T, await waiting.future)

    async def read(self, unit: Unit[T]) -> T:
        self._reader.execute("BEGIN")
        try:
            return drive(unit, self._reading)
        finally:
            self._reader.execute("ROLLBACK")

    async def empty_log(self) -> None:
        """Everything committed is in the file, and the log is empty: nothing that was overwritten is left in it."""
        self._emptying.set()
        await self.write(_nothing)  # its batch is followed by a checkpoint ...
        await self.write(_nothing)  # ... and the next one begins after it
        if self._emptying.is_set():
            raise StoreError(f"the log of {self.path} could not be emptied: somebody else reads it")

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        self._reader.close()  # before the writer, so that the writer is the last one and empties the log
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -------------------------------------------------------------------------------------------- the writer's thread

    def _work(self) -> None:
        tx = SqliteTx(self._writer)
        log = self.path.with_name(self.path.name + "-wal")
        is_open = True
        while is_open:
            batch, is_open = self._gather()
            for group in self._commit_all(batch, tx):
                _resolve(group)
            # a checkpoint that fails is tried again after the next batch; a full disk shows there too
            with contextlib.suppress(sqlite3.Error, OSError):
                if self._emptying.is_set():
                    busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                    if not busy:
                        self._emptying.clear()
                elif batch and log.stat().st_size > WAL_LIMIT:
                    self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._writer.close()

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """Everything that waits, up to a limit; False once the store is being closed."""
        batch: list[_Waiting] = []
        first = self._queue.get()
        while first is not None:
            batch.append(first)
            if len(batch) == UNITS_IN_A_COMMIT:
                return batch, True
            try:
                first = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _commit_all(self, batch: list[_Waiting], tx: SqliteTx) -> Iterator[list[_Waiting]]:
        """Commit the batch as one; when one unit costs everybody the transaction, commit each on its own."""
        batch = [waiting for waiting in batch if not waiting.future.cancelled()]
        try:
            self._commit(batch, tx)
            yield batch
        except _Lost:
            for waiting in batch:
                with contextlib.suppress(_Lost):  # its error is in `waiting` already
                    self._commit([waiting], tx)
                yield [waiting]

    def _commit(self, batch: list[_Waiting], tx: SqliteTx) -> None:
        """Run the units, each in its savepoint, and commit; fill in how each ended. Raises _Lost when all is undone."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for waiting in batch:
                waiting.error = error
            return
        for waiting in batch:
            self._run(waiting, tx)
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(batch, error)
        self._commits += 1

    def _run(self, waiting: _Waiting, tx: SqliteTx) -> None:
        """One unit in its savepoint. Whatever it raises is its caller's; raises _Lost when SQLite undid everything."""
        waiting.value = waiting.error = None
        tx.touched = set()
        try:
            self._writer.execute("SAVEPOINT unit")
            try:
                waiting.value = drive(waiting.unit, tx)
                waiting.touched = frozenset(tx.touched)
            except BaseException as error:
                waiting.error = error
                self._writer.execute("ROLLBACK TO unit")
            self._writer.execute("RELEASE unit")
        except sqlite3.Error as error:  # no such savepoint any more, or no disk
            waiting.error = waiting.error or error
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise _Lost from error

    def _undo(self, batch: list[_Waiting], error: sqlite3.Error) -> None:
        """A commit failed. Only a full disk proves that nothing was kept."""
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        certain = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
        for waiting in batch:
            waiting.error = waiting.error or (error if certain else _unknown(error))


async def _nothing(tx: object) -> None:
    """A unit that changes nothing."""


def _unknown(error: sqlite3.Error) -> CommitUnknown:
    unknown = CommitUnknown(f"the commit ended in an error ({error}): read by id before acting again")
    unknown.__cause__ = error
    return unknown


def _resolve(group: list[_Waiting]) -> None:
    """Tell everybody how it ended, on their own loop; nothing comes here before the commit."""
    for loop in {waiting.loop for waiting in group}:
        mine = [waiting for waiting in group if waiting.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve_here, mine)


def _resolve_here(group: list[_Waiting]) -> None:
    for waiting in group:
        waiting.resolve()


def _connect(path: Path, pragmas: Sequence[str], *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        isolation_level=None,  # we say BEGIN ourselves
        check_same_thread=False,
        cached_statements=512,
    )
    connection.row_factory = sqlite3.Row
    for pragma in pragmas:
        connection.execute(pragma).fetchall()
    return connection


def take_lock(path: Path) -> int:
    """Hold the database for writing, until the descriptor is closed or the process ends. Raises Locked.

    Makes the folder and an empty database file that only its owner can read, when there are none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    beside = path.with_name(path.name + ".lock")
    lock = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise Locked(
            f"{path} is held for writing by process {holder}. Stop that process and try again, "
            f"or let it do the work: only one process may write to a SQLite file."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def library() -> tuple[str, bool]:
    """The SQLite library's version, and whether it would be safe even with two writing connections (for `doctor`)."""
    version = sqlite3.sqlite_version_info
    backported = version[:2] in ((3, 44), (3, 50)) and version >= ((3, 44, 6) if version[1] == 44 else (3, 50, 7))
    return sqlite3.sqlite_version, version >= SAFE_FOR_TWO_WRITERS or backported
