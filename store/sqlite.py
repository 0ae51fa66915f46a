"""SQLite: one writing connection with group commit, and reads beside it that never wait for it.

Units run on the loop (store/turns.py); a commit, a checkpoint or a slow statement is done on a thread beside it. SQLite
3.7.0 to 3.51.2 may corrupt a WAL when two connections write or checkpoint at once (facts/stack.md), so exactly one
connection does either, one thing at a time, and a lock file keeps other processes from opening a second one.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeAlias, TypeVar, cast

from store.statement import Statement
from store.turns import NEXT_TURN, TURN, Aside, SqliteTx, WritingTx, drive, driven
from store.unit import Changed, CommitUnknown, Locked, Row, StoreError, Unit, unheard

T = TypeVar("T")

OLDEST = (3, 35, 0)  # RETURNING
# source: facts/stack.md and design/faults-and-security.md "Read first" 5
SAFE_FOR_TWO_WRITERS = (3, 51, 3)
UNITS_IN_A_COMMIT = 256
WAL_LIMIT = 16 * 1024 * 1024  # checkpoint when the log has grown past this: whoever writes meanwhile waits some 50 ms
WAL_MOST = 4 * WAL_LIMIT  # after a large commit only past this: that is bulk work, which so many checkpoints hold up
BEGINS = 0.001  # seconds that the loop stands still at most for what is done beside it at once
LARGE = 500  # rows: such a commit begins at once; a small one when the loop has a moment, and more units share the next

WRITER: tuple[str, ...] = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # acknowledged means durable, also after a power cut
    "PRAGMA wal_autocheckpoint=0",  # inside a commit it costs p99 8-13 ms (facts/stack.md); we do it between batches
    f"PRAGMA journal_size_limit={WAL_LIMIT}",  # after a checkpoint the file shrinks to this, so its size tells its load
    "PRAGMA secure_delete=ON",
    # what a unit's savepoint would undo: in a file, which is the default, an insert took three times as long
    "PRAGMA temp_store=MEMORY",
    # 32 MB of pages: of 2, the default, a large commit spilled some into the log before its end, and read them again
    "PRAGMA cache_size=-32768",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)
"""How the connection that writes is set up."""
_READER = ("PRAGMA query_only=ON", "PRAGMA busy_timeout=5000")


Turns: TypeAlias = Generator[Aside, Any, None]
"""Work on the writing connection, turn by turn: the loop's thread sends in what each thing aside came to."""
_Asked: TypeAlias = tuple[Callable[[], Any], asyncio.AbstractEventLoop | None, threading.Lock]
"""Something to be done beside the loop, who goes on afterwards, and what is released when it begins."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A unit in the queue, who waits for it, and how it ended."""

    unit: Unit[Any]
    future: asyncio.Future[Any]
    changed: Changed
    value: Any = None
    error: BaseException | None = None
    touched: frozenset[str] = frozenset()

    def resolve(self) -> None:
        """Tell the caller; nothing comes here before the commit."""
        if self.touched and self.error is None:
            self.future.get_loop().call_soon(self.changed, self.touched)  # before the caller goes on
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
        self._waiting: deque[_Waiting] = deque()
        self._working: Turns | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # whose thread `_working` is on
        self._idle: asyncio.Future[None] | None = None  # who waits until nothing is left to do
        self._asides: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._emptying = False
        self._commits = 0
        self._was_large = False  # the last commit
        self._log = path.with_name(path.name + "-wal")
        if sqlite3.sqlite_version_info < OLDEST:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
        if writes:
            self._lock = take_lock(path)
            try:
                self._writer = _connect(path, WRITER)
            except BaseException:
                os.close(self._lock)
                raise
            self._tx = WritingTx(self._writer)
            self._thread = threading.Thread(target=self._beside, name="sqlite-writer", daemon=True)
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
        if loop is not self._loop:
            self._move_to(loop)
        waiting = _Waiting(unit, loop.create_future(), self.changed)
        self._waiting.append(waiting)
        if self._working is None:
            self._working = self._work()
            if self._reader.in_transaction:
                self._reader.execute("ROLLBACK")  # nobody is to read what was before, or be in a checkpoint's way
            loop.call_soon(self._advance)  # not at once: whoever writes in the same moment shares the commit
        return cast(T, await waiting.future)

    async def read(self, unit: Unit[T]) -> T:
        if self._hold():
            return drive(unit, self._reading)
        self._reader.execute("BEGIN")
        try:
            return drive(unit, self._reading)
        finally:
            self._reader.execute("ROLLBACK")

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        self._hold()
        compiled = statement.sqlite
        cursor = self._reader.execute(compiled.sql, compiled.bind(params))
        row = cursor.fetchone()
        cursor.close()  # a statement still open would keep its snapshot
        return cast(Row | None, row)

    def _hold(self) -> bool:
        """Hold the last commit from one reading to the next, until somebody writes; whether it is held.

        Taking and leaving it costs as much as a small row. While somebody writes each reading takes its own.
        """
        if self._working is not None or self._thread is None:  # or another process may write
            return False
        if not self._reader.in_transaction:
            self._reader.execute("BEGIN")
        return True

    async def empty_log(self) -> None:
        """Everything committed is in the file, and the log is empty: nothing that was overwritten is left in it."""
        self._emptying = True
        await self.write(_nothing)  # its batch is followed by a checkpoint ...
        await self.write(_nothing)  # ... and the next one begins after it
        if self._emptying:
            raise StoreError(f"the log of {self.path} could not be emptied: somebody else reads it")

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if self._working is not None and self._loop is asyncio.get_running_loop():
            self._idle = self._loop.create_future()
            await self._idle
        self._reader.close()  # before the writer, so that the writer is the last one and empties the log
        if thread is not None:
            self._asides.put(None)
            await asyncio.to_thread(thread.join)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -------------------------------------------------------------------------------------- the loop and its thread

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on it works on this loop; what the last one left undone when it was closed is undone."""
        if self._working is not None:
            if self._loop is not None and not self._loop.is_closed():
                raise StoreError(f"{self.path} is written to by another loop: one loop at a time")
            ended = threading.Event()
            self._ask_aside(ended.set, None, at_once=False)
            ended.wait()
            self._working = None
            self._waiting.clear()
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        self._loop = loop

    def _advance(self, answer: Any = None, error: BaseException | None = None) -> None:
        """One turn: from what the last thing aside came to, to the next one."""
        working, loop = self._working, self._loop
        assert working is not None and loop is not None
        self._tx.until = monotonic() + TURN
        try:
            aside = working.send(answer) if error is None else working.throw(error)
        except StopIteration:
            self._working = None
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)
            return
        if aside.work is None:
            loop.call_soon(self._advance)
        else:
            self._ask_aside(aside.work, loop, at_once=aside.at_once)

    def _ask_aside(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop | None, *, at_once: bool) -> None:
        begun = threading.Lock()
        begun.acquire()
        self._asides.put((work, loop, begun))
        if at_once:
            begun.acquire(timeout=BEGINS)

    def _beside(self) -> None:
        """The thread: what is done beside the loop, one thing after the other."""
        while (asked := self._asides.get()) is not None:
            work, loop, begun = asked
            answer, error = None, None
            begun.release()
            try:
                answer = work()
            except BaseException as raised:
                error = raised
            if loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._advance, answer, error)
        self._writer.close()

    # ------------------------------------------------------------------------------------------------ group commit

    def _work(self) -> Turns:
        """Commit what waits, group after group, until nothing does."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), UNITS_IN_A_COMMIT))]
            yield from self._commit_all([waiting for waiting in batch if not waiting.future.cancelled()])
            # a checkpoint that fails is tried again after the next batch; a full disk shows there too
            with contextlib.suppress(sqlite3.Error, OSError):
                if self._emptying:
                    self._emptying = bool((yield Aside(self._truncate)))
                elif self._log.stat().st_size > (WAL_MOST if self._was_large else WAL_LIMIT):
                    yield Aside(self._checkpoint)
            yield NEXT_TURN  # whoever was told just now may go on, and share the next commit

    def _truncate(self) -> int:
        """Empty the log; not 0 when somebody is in the way."""
        return int(self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    def _checkpoint(self) -> None:
        self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _commit_all(self, batch: Sequence[_Waiting]) -> Turns:
        """Commit the batch as one; when one unit costs everybody the transaction, commit each on its own."""
        try:
            yield from self._commit(batch)
        except _Lost:
            for waiting in batch:
                with contextlib.suppress(_Lost):  # its error is in `waiting` already
                    yield from self._commit([waiting])
                waiting.resolve()
            return
        for waiting in batch:
            waiting.resolve()

    def _commit(self, batch: Sequence[_Waiting]) -> Turns:
        """Run the units and commit; fill in how each ended. Raises _Lost when all is undone."""
        before = self._writer.total_changes
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for waiting in batch:
                waiting.error = error
            return
        for place, waiting in enumerate(batch):
            yield from self._run(waiting, is_first=place == 0)
        try:
            changes = self._writer.total_changes - before
            if not changes:
                self._writer.execute("ROLLBACK")  # nothing to keep
                return
            self._was_large = changes >= LARGE
            yield Aside(self._sync, at_once=self._was_large)
        except sqlite3.Error as error:
            self._undo(batch, error)
        self._commits += 1

    def _sync(self) -> None:
        self._writer.execute("COMMIT")

    def _run(self, waiting: _Waiting, *, is_first: bool) -> Turns:
        """One unit. Whatever it raises is its caller's, and undoes nobody's work but its own: by a savepoint, which
        costs a copy of every page that is changed; the first one needs none. Raises _Lost when SQLite undid everything.
        """
        waiting.value = waiting.error = None
        tx = self._tx
        tx.touched = set()
        try:
            if not is_first:
                self._writer.execute("SAVEPOINT unit")
            try:
                waiting.value = yield from driven(waiting.unit, tx)
                waiting.touched = frozenset(tx.touched)
            except GeneratorExit:
                raise
            except BaseException as error:
                waiting.error = error
                if is_first:
                    self._writer.execute("ROLLBACK")
                    self._writer.execute("BEGIN IMMEDIATE")
                else:
                    self._writer.execute("ROLLBACK TO unit")
            if not is_first:
                self._writer.execute("RELEASE unit")
        except sqlite3.Error as error:  # no such savepoint any more, or no disk
            waiting.error = waiting.error or error
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise _Lost from error

    def _undo(self, batch: Sequence[_Waiting], error: sqlite3.Error) -> None:
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
