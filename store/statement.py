"""A statement: one SQLAlchemy Core clause, compiled once per dialect, with its parameters in the driver's order."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Insert, Text, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, ColumnElement

Clause = ClauseElement | Callable[[Any], ClauseElement]

_SQLITE: DefaultDialect = sqlite.dialect(paramstyle="qmark")
_POSTGRES: DefaultDialect = asyncpg.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL text for one driver, the names of its positional parameters, and the values the clause itself fixed."""

    sql: str
    order: tuple[str, ...]
    accepted: frozenset[str]
    fixed: Mapping[str, Any]

    def bind(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in the driver's order. Raises TypeError for a name too many or too few."""
        if not params.keys() <= self.accepted:
            raise TypeError(f"no such parameter: {', '.join(sorted(params.keys() - self.accepted))} in {self.sql}")
        values = {**self.fixed, **params} if self.fixed else params
        try:
            return tuple([values[name] for name in self.order])
        except KeyError as missing:
            raise TypeError(f"parameter {missing} is missing for {self.sql}") from None

    def bind_all(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Each row's values in the driver's order. Raises TypeError as `bind` does."""
        if not self.fixed and len(self.order) > 1 and set(map(len, rows)) == {len(self.accepted)}:
            with contextlib.suppress(KeyError):
                return list(map(itemgetter(*self.order), rows))
        return [self.bind(row) for row in rows]


class Statement:
    """A clause that is compiled for a database the first time it is run there, and never again."""

    __slots__ = ("_clause", "_postgres", "_sqlite")

    def __init__(self, clause: Clause) -> None:
        self._clause = clause
        self._sqlite: Compiled | None = None
        self._postgres: Compiled | None = None

    @property
    def sqlite(self) -> Compiled:
        """For the sqlite3 driver (`?`)."""
        if self._sqlite is None:
            self._sqlite = self._compile(_SQLITE, sqlite.insert)
        return self._sqlite

    @property
    def postgres(self) -> Compiled:
        """For the asyncpg driver (`$1`)."""
        if self._postgres is None:
            self._postgres = self._compile(_POSTGRES, postgresql.insert)
        return self._postgres

    def _compile(self, dialect: DefaultDialect, insert: Callable[..., Insert]) -> Compiled:
        clause = self._clause if isinstance(self._clause, ClauseElement) else self._clause(insert)
        if isinstance(clause, Insert):
            clause = clause.inline()  # no RETURNING that nobody asked for
        compiled = clause.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("only statements that read or write rows; tables are made by migrations")
        order = tuple(compiled.positiontup or ())
        fixed = {name: compiled.binds[name].effective_value for name in order if not compiled.binds[name].required}
        return Compiled(compiled.string, order, frozenset(order), fixed)


class Listed(ColumnElement[Any]):
    """The values of a JSON list, which is one parameter: however many there are, the SQL stays the same."""

    inherit_cache = False

    def __init__(self, name: str, of: type[int] | type[str] = int) -> None:
        self.name, self.of = name, of


@compiles(Listed, "sqlite")
def _listed_on_sqlite(listed: Listed, compiler: SQLCompiler, **kw: Any) -> str:
    values = compiler.process(bindparam(listed.name, type_=Text), **kw)
    return f"(SELECT value FROM json_each({values}))"  # noqa: S608


@compiles(Listed, "postgresql")
def _listed_on_postgresql(listed: Listed, compiler: SQLCompiler, **kw: Any) -> str:
    values = compiler.process(bindparam(listed.name, type_=Text), **kw)
    value = "value::bigint" if listed.of is int else "value"
    return f"(SELECT {value} FROM json_array_elements_text({values}::json))"  # noqa: S608


def one_of(column: ColumnElement[Any], name: str, of: type[int] | type[str] = int) -> ColumnElement[bool]:
    """Whether a column is among the values of a JSON list, the parameter `name`."""
    return column.op("IN", is_comparison=True)(Listed(name, of))


def statement(clause: Clause) -> Statement:
    """A statement from a clause; `lambda insert: ...` is given the dialect's own insert (for on_conflict_...)."""
    return Statement(clause)
