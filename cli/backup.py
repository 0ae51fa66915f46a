"""`homeward backup` and `homeward restore`: the whole database in one file, taken while the service runs.

SQLite is copied by its own online backup. A PostgreSQL is dumped and restored by its own tools, where they are there:
they are told the exact command otherwise. The key that seals personal data is not in the file: keep it elsewhere.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store.engine import SQLITE, StoreError, sqlite_path
from store.postgres import plain
from store.sqlite import take_lock

PAGES = 1024  # copied at once; writers go on in between


@dataclass(frozen=True, slots=True)
class Copied:
    path: Path
    size: int
    revision: str


def back_up(url: str, path: Path) -> Copied:
    """Copy the database to a file that did not exist. Raises StoreError; then no file is left."""
    if path.exists():
        raise StoreError(f"{path} is there already: a backup never writes over another one")
    part = path.with_name(path.name + ".part")
    try:
        if url.startswith(SQLITE):
            _copy(sqlite_path(url), part)
        else:
            _run(["pg_dump", "--format=custom", "--no-owner", f"--file={part}", plain(url)])
        revision = revision_of(part) if url.startswith(SQLITE) else ""
        part.chmod(0o600)
        _sync(part)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return Copied(path, path.stat().st_size, revision)


def restore(url: str, path: Path) -> Copied:
    """Put a backup in the place of the database, which is kept beside it. Raises StoreError, Locked."""
    if not path.exists():
        raise StoreError(f"no backup {path}")
    if not url.startswith(SQLITE):
        _run(
            [
                "pg_restore",
                "--clean",
                "--if-exists",
                "--no-owner",
                "--single-transaction",
                f"--dbname={plain(url)}",
                str(path),
            ]
        )
        return Copied(path, path.stat().st_size, "")
    revision, target = revision_of(path), sqlite_path(url)
    lock = take_lock(target)  # nobody writes to it meanwhile
    try:
        fresh = target.with_name(target.name + ".restored")
        shutil.copyfile(path, fresh)
        fresh.chmod(0o600)
        _sync(fresh)
        if target.stat().st_size:
            _fold(target)
            target.rename(_free_name(target))
        for side in ("-wal", "-shm"):  # they belong to the other file: with this one they would be corruption
            target.with_name(target.name + side).unlink(missing_ok=True)
        fresh.rename(target)
        _sync(target.parent)
    finally:
        os.close(lock)
    return Copied(path, target.stat().st_size, revision)


def revision_of(path: Path) -> str:
    """The schema's revision in a whole, sound SQLite file. Raises StoreError."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is no backup of ours: {error}") from error
    if sound != "ok" or found is None:
        raise StoreError(f"{path} is damaged: {sound}")
    return str(found[0])


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise StoreError(f"no database {source}")
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    writing = sqlite3.connect(target)
    try:
        reading.execute("BEGIN")  # one snapshot, however long it takes: else every commit begins it anew
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=PAGES)
        writing.execute("PRAGMA journal_mode=DELETE").fetchone()  # one file, nothing beside it
    except sqlite3.Error as error:
        raise StoreError(f"{source} could not be copied: {error}") from error
    finally:
        writing.close()
        reading.close()


def _fold(path: Path) -> None:
    """What is in the log goes into the file, so that the file alone is the database."""
    try:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
    except sqlite3.Error:
        return  # it may be damaged: that is why somebody restores


def _free_name(target: Path) -> Path:
    count = 1
    while (name := target.with_name(f"{target.name}.before-restore-{count}")).exists():
        count += 1
    return name


def _run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        shown = " ".join(part if "://" not in part else "'$DATABASE_URL without +asyncpg'" for part in command)
        raise StoreError(f"{command[0]} is not installed here; where it is, run: {shown}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StoreError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
