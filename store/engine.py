"""Opens a store: SQLite or PostgreSQL, by URL. The other rooms import what they need of a store from here."""

from pathlib import Path

from store import postgres
from store.sqlite import SqliteStore
from store.unit import CommitUnknown, Locked, NewerSchema, Row, Source, Store, StoreError, Suspended, Tx, Unit

SQLITE = "sqlite:///"
POSTGRES = "postgresql+asyncpg://"


async def open_store(url: str, *, lock: bool = True) -> Store:
    """The store at `sqlite:///path/to/file.db` or `postgresql+asyncpg://user:password@host/name`.

    With SQLite one process at a time may write: raises Locked when another one does. `lock=False` opens for reading
    only, beside the one that writes.
    """
    if url.startswith(SQLITE):
        return SqliteStore(sqlite_path(url), writes=lock)
    if url.startswith(POSTGRES):
        return await postgres.connect(url)
    raise StoreError(
        f"not a database: {url.partition('://')[0]}://...; expected {SQLITE}<path> or {POSTGRES}<server>/<name>"
    )


def sqlite_path(url: str) -> Path:
    """The file behind a SQLite URL: three slashes and a path as it is written (a fourth slash makes it absolute)."""
    path = url.removeprefix(SQLITE)
    if not path or path == ":memory:":
        raise StoreError(f"{SQLITE} needs the path of a file: a store that is not on disk keeps nothing")
    return Path(path)


__all__ = [
    "CommitUnknown", "Locked", "NewerSchema", "Row", "Source", "Store", "StoreError", "Suspended", "Tx", "Unit",
    "open_store", "sqlite_path",
]  # fmt: skip
