"""What a store is to every other room: units of work that are read or written as one transaction."""

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from store.statement import Statement

T = TypeVar("T")


class Row(Protocol):
    """One row of an answer; `row["name"]`, and `dict(row)` for all of it."""

    def __getitem__(self, name: str, /) -> Any:
        """The value of a column."""

    def keys(self) -> Any:
        """The names of the columns."""


class Source(Protocol):
    """Whatever answers one statement: a transaction, or the store itself (`Store.one`)."""

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        """The first row of the answer, or None."""


class Tx(Protocol):
    """What a unit may await, and nothing else: the statements of one transaction."""

    async def all(self, statement: Statement, **params: Any) -> Sequence[Row]:
        """Every row of the answer."""

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        """The first row of the answer, or None."""

    async def run(self, statement: Statement, **params: Any) -> int:
        """Run it; the number of rows it changed."""

    async def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each row of parameters."""

    def touch(self, subject: str) -> None:
        """What is told of this subject ("parcel:7") changes: `Store.changed` hears it once the unit is kept."""


Unit: TypeAlias = Callable[[Tx], Coroutine[Any, Any, T]]
Changed: TypeAlias = Callable[[Collection[str]], None]


def unheard(subjects: Collection[str]) -> None:
    """Nobody wants to know what changed."""


class Store(Protocol):
    """A database. A unit is one transaction: all of it or nothing; it may be run again after a conflict.

    `changed` is called with the subjects that a unit touched, after it was kept. It must be quick and never raise.
    """

    changed: Changed

    @property
    def commits(self) -> int | None:
        """A number that every commit changes before its caller hears of it; None where the store cannot say."""

    async def write(self, unit: Unit[T]) -> T:
        """Run the unit; return what it returned, once that is durable. What it raises undoes it and is raised here."""

    async def read(self, unit: Unit[T]) -> T:
        """Run a unit that only reads, on one snapshot, without waiting for writers."""

    async def one(self, statement: Statement, **params: Any) -> Row | None:
        """The first row of what one statement reads: a snapshot by itself, so that none is begun for it."""

    async def close(self) -> None:
        """Finish what was asked, then let go of the database."""


class StoreError(Exception):
    """The database could not do what was asked; the message says what to do."""


class CommitUnknown(StoreError):
    """Nobody can say whether the unit was kept: read by id before acting again."""


class Locked(StoreError):
    """Another process holds the database for writing."""


class Suspended(StoreError):
    """A programming error: a unit awaited something that is not its transaction."""


class NewerSchema(StoreError):
    """The database was made by a newer Homeward."""
