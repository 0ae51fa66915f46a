"""How a unit runs on SQLite: step by step on the loop, what is slow beside it, and turns for everybody else between.

A unit's statements cost least on the loop's own thread: on another one each of them would fight the loop for the
interpreter (docs/decisions/0070). Only a unit that writes is ever interrupted; one that reads is run in one go.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, TypeVar, cast

from store.statement import Statement
from store.unit import Row, Suspended, Unit

T = TypeVar("T")

TURN = 0.010  # seconds after which a unit lets the loop do something else before its next statement
SLOW = 0.050  # a statement that took so many seconds is run beside the loop from then on, until it takes half of that
MANY = 1_000  # so many rows at once are slow


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
        self._connection.executemany(compiled.sql, compiled.bind_all(rows)).close()


@dataclass(frozen=True, slots=True)
class Aside:
    """What a writing unit waits for: work done on the thread beside the loop, or (None) its next turn on the loop.

    A loop that goes on keeps the interpreter: what is beside it begins when it has nothing else to do. With `at_once`
    the loop stands still until it has begun (docs/decisions/0075).
    """

    work: Callable[[], Any] | None
    at_once: bool = True

    def __await__(self) -> Generator["Aside", Any, Any]:
        return (yield self)


NEXT_TURN = Aside(None)


class WritingTx(SqliteTx):
    """The transaction of a unit that writes: it lets the loop go on when it has had it for long."""

    __slots__ = ("_slow", "until")

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.until = 0.0  # when this turn is over
        self._slow: set[Statement] = set()

    async def all(self, statement: Statement, **params: Any) -> Sequence[Row]:
        if (began := monotonic()) > self.until or statement in self._slow:
            return await self._in_turn(statement, super().all(statement, **params))
        compiled = statement.sqlite
        rows = self._connection.execute(compiled.sql, compiled.bind(params)).fetchall()
        self._took(statement, monotonic() - began)
        return rows

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        if (began := monotonic()) > self.until or statement in self._slow:
            return await self._in_turn(statement, super().one(statement, **params))
        compiled = statement.sqlite
        cursor = self._connection.execute(compiled.sql, compiled.bind(params))
        row = cursor.fetchone()
        cursor.close()
        self._took(statement, monotonic() - began)
        return cast(Row | None, row)

    async def run(self, statement: Statement, **params: Any) -> int:
        return await self._in_turn(statement, super().run(statement, **params))

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        if len(rows) >= MANY:
            self._slow.add(statement)
        await self._in_turn(statement, super().many(statement, rows))

    async def _in_turn(self, statement: Statement, asked: Coroutine[Any, Any, T]) -> T:
        """Run a statement on the loop, or beside it when it was slow the last time."""
        if monotonic() > self.until:
            await NEXT_TURN
        if statement in self._slow:
            value, seconds = await Aside(partial(_timed, asked))
        else:
            value, seconds = _timed(asked)
        self._took(statement, seconds)
        return cast(T, value)

    def _took(self, statement: Statement, seconds: float) -> None:
        if seconds > SLOW:
            self._slow.add(statement)
        elif self._slow and seconds < SLOW / 2:
            self._slow.discard(statement)


def _timed(asked: Coroutine[Any, Any, T]) -> tuple[T, float]:
    began = monotonic()
    return _finished(asked), monotonic() - began


def _finished(asked: Coroutine[Any, Any, T]) -> T:
    """What a statement answers: it never suspends."""
    try:
        asked.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("a statement answers at once")


def drive(unit: Unit[T], tx: SqliteTx) -> T:
    """Run a unit to its end in one go. Raises Suspended when it awaits anything but its transaction."""
    coroutine = unit(tx)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise _suspended(unit, coroutine)


def driven(unit: Unit[T], tx: WritingTx) -> Generator[Aside, Any, T]:
    """Run a unit turn by turn: whoever drives this does what is yielded and sends its answer, or throws its error."""
    coroutine = unit(tx)
    step: Callable[[], Any] = partial(coroutine.send, None)
    while True:
        try:
            asked = step()
        except StopIteration as end:
            return cast(T, end.value)
        if not isinstance(asked, Aside):
            raise _suspended(unit, coroutine)
        try:
            step = partial(coroutine.send, (yield asked))
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            step = partial(coroutine.throw, error)


def _suspended(unit: Unit[Any], coroutine: Coroutine[Any, Any, Any]) -> Suspended:
    coroutine.close()
    return Suspended(f"{getattr(unit, '__qualname__', unit)} awaited something else than its transaction")
