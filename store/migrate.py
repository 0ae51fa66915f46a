"""Brings a database to the schema of this Homeward, and refuses one that a newer Homeward made."""

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from store.engine import POSTGRES, SQLITE, open_store, sqlite_path
from store.postgres import plain
from store.unit import NewerSchema, StoreError

_ASK = "SELECT version_num FROM alembic_version"
_ASK_OLDEST = "SELECT value FROM settings WHERE name = 'schema.oldest'"


@dataclass(frozen=True, slots=True)
class Schema:
    """The revision a database is at (None: it is empty) and the one this Homeward wants.

    `oldest` is the oldest revision whose Homeward still runs on it, where a newer one said so.
    """

    found: str | None
    wanted: str
    oldest: str = ""

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do: it is ours, or a newer one that carries us (a rolling upgrade)."""
        return self.found == self.wanted or self.carries_us

    @property
    def carries_us(self) -> bool:
        return bool(self.found and self.oldest and self.found > self.wanted >= self.oldest)


def revisions() -> list[str]:
    """Every revision this Homeward knows, oldest first: the numbers in front of the files in migrations/versions."""
    return sorted(file.name.partition("_")[0] for file in (Path(__file__).parent / "migrations/versions").glob("0*.py"))


async def check(url: str) -> Schema:
    """Look, and change nothing. Raises NewerSchema for a revision nobody here knows."""
    if url.startswith(SQLITE):
        found, oldest = _ask_sqlite(sqlite_path(url))
    elif url.startswith(POSTGRES):
        found, oldest = await _ask_postgres(url)
    else:
        await open_store(url)  # says what a database URL looks like
        found, oldest = None, ""
    known = revisions()
    schema = Schema(found, known[-1], oldest)
    if found is not None and found not in known and not schema.carries_us:
        raise NewerSchema(
            f"the database is at revision {found}; this Homeward knows {known[-1]} and older. "
            "A newer Homeward made it: start that one, or restore a backup from before the upgrade."
        )
    return schema


async def migrate(url: str) -> Schema:
    """Bring an empty or older database to the newest schema; returns what was found. Raises NewerSchema and Locked."""
    schema = await check(url)
    if schema.is_current:
        return schema
    from store import upgrade  # noqa: PLC0415  # Alembic takes 285 ms to import (facts/stack.md): only when needed

    if url.startswith(SQLITE):
        await asyncio.to_thread(upgrade.upgrade_sqlite, sqlite_path(url))
    else:
        await upgrade.upgrade_postgres(url)
    return schema


def _ask_sqlite(path: Path) -> tuple[str | None, str]:
    if not path.exists() or not path.stat().st_size:
        return None, ""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        row = connection.execute(_ASK).fetchone()
        oldest = connection.execute(_ASK_OLDEST).fetchone()
        return (str(row[0]) if row else None), (str(oldest[0]) if oldest else "")
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None, ""
        raise StoreError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is not a database of ours: {error}") from error
    finally:
        connection.close()


async def _ask_postgres(url: str) -> tuple[str | None, str]:
    try:
        connection = await asyncpg.connect(plain(url))
    except (OSError, asyncpg.PostgresError) as error:
        raise StoreError(f"PostgreSQL cannot be reached: {error}. Check DATABASE_URL and that it runs.") from error
    try:
        found: str | None = await connection.fetchval(_ASK)
        return found, await connection.fetchval(_ASK_OLDEST) or ""
    except asyncpg.UndefinedTableError:
        return None, ""
    finally:
        await connection.close()
