"""SQLite: acknowledged means durable. The power goes at random moments; only what was synced is sure to be on the disk.

A shim between SQLite and the file system remembers what was written since the last sync of each file. At a power loss
the disk holds all that was synced, and of the rest whatever it likes, torn in the middle too. Every such disk must
open, be sound, and hold every commit that had been acknowledged by then.
"""

import asyncio
import ctypes
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from store import sqlite
from store.engine import open_store
from store.migrate import migrate
from store.settings import put_setting

TRIALS = 200
LANES = 8
SECTOR = 512
_OK = 0


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, as far as it is changed here.  # source: sqlite.org/c3ref/io_methods.html"""

    _fields_ = [
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", ctypes.c_void_p),
        ("truncate", ctypes.c_void_p),
        ("sync", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 13),
    ]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs.  # source: sqlite.org/c3ref/vfs.html"""

    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_most", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 15),
    ]


_FILE = ctypes.POINTER(_File)
# the name goes on as the very pointer that came: SQLite's own functions keep it for as long as the file is open
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, _FILE, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_int)


@dataclass(slots=True)
class Disk:
    """One file as the disk has it: what is sure, and what was done since the last sync, in order."""

    sure: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes]] = field(default_factory=list)  # (offset, bytes); (length, b"") is a truncation

    def sync(self) -> None:
        for change in self.since:
            _apply(self.sure, *change)
        self.since.clear()

    def after_power_loss(self, dice: random.Random) -> bytes:
        """What is there when the power comes back: of the rest, any part of any change."""
        image = bytearray(self.sure)
        for offset, told in self.since:
            match dice.choice(("kept", "lost", "torn")):
                case "kept":
                    _apply(image, offset, told)
                case "torn" if told:
                    _apply(image, offset, told[: dice.randrange(SECTOR, len(told) + SECTOR, SECTOR)])
        return bytes(image)


def _apply(image: bytearray, offset: int, told: bytes) -> None:
    if not told:
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(told)] = told


class Shim:
    """Between SQLite and its files, in this process, from `install` on. `tick` is called before every change."""

    def __init__(self) -> None:
        self.disks: dict[str, Disk] = {}
        self.lock = threading.RLock()
        self.tick: Callable[[], None] = lambda: None
        self._paths: dict[int, str] = {}
        self._kept: list[Any] = []  # C holds pointers to these

    def install(self) -> None:
        """Become the default. Raises OSError where SQLite's own functions cannot be reached."""
        library = ctypes.CDLL(_library())
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        native = library.sqlite3_vfs_find(None).contents
        own = _Vfs.from_buffer_copy(native)
        own.name = b"powerloss"
        open_native = _OPEN(native.open)
        wrapped: dict[int, Any] = {}

        def open_(vfs: Any, name: Any, file: Any, flags: int, out: Any) -> int:
            code = int(open_native(ctypes.addressof(native), name, file, flags, out))
            if code == _OK and name and file.contents.methods:
                address = ctypes.addressof(file.contents.methods.contents)
                if address not in wrapped:
                    wrapped[address] = self._wrap(file.contents.methods.contents)
                file.contents.methods = ctypes.pointer(wrapped[address])
                path = ctypes.string_at(name).decode()
                self._paths[ctypes.addressof(file.contents)] = path
                if path not in self.disks:
                    self.disks[path] = Disk(bytearray(Path(path).read_bytes()))
            return code

        callback = _OPEN(open_)
        own.open = ctypes.cast(callback, ctypes.c_void_p)
        self._kept += [native, own, callback, wrapped, library]
        if library.sqlite3_vfs_register(ctypes.byref(own), 1):
            raise OSError("SQLite refused the shim")

    def crash(self, dice: random.Random, folder: Path) -> None:
        """Write what the disk holds if the power goes now."""
        with self.lock:
            for path, disk in self.disks.items():
                name = Path(path).name
                if not name.endswith("-shm"):
                    (folder / name).write_bytes(disk.after_power_loss(dice))

    def _wrap(self, native: _Methods) -> _Methods:
        own = _Methods.from_buffer_copy(native)
        write_native, truncate_native, sync_native = (
            _WRITE(native.write),
            _TRUNCATE(native.truncate),
            _SYNC(native.sync),
        )

        def write(file: Any, data: int, amount: int, offset: int) -> int:
            self.tick()
            with self.lock:
                self._disk(file).since.append((offset, ctypes.string_at(data, amount)))
            return int(write_native(file, data, amount, offset))

        def truncate(file: Any, size: int) -> int:
            self.tick()
            with self.lock:
                self._disk(file).since.append((size, b""))
            return int(truncate_native(file, size))

        def sync(file: Any, flags: int) -> int:
            self.tick()
            code = int(sync_native(file, flags))
            with self.lock:
                self._disk(file).sync()
            return code

        calls = (_WRITE(write), _TRUNCATE(truncate), _SYNC(sync))
        own.write, own.truncate, own.sync = (ctypes.cast(call, ctypes.c_void_p) for call in calls)
        self._kept += [calls, own, native]
        return own

    def _disk(self, file: Any) -> Disk:
        return self.disks[self._paths[ctypes.addressof(file.contents)]]


def _library() -> str:
    """The very library that the sqlite3 module speaks to."""
    sqlite3.connect(":memory:").close()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libsqlite3" in line:
            return line.split()[-1]
    raise OSError("SQLite is inside the sqlite3 module here: its files cannot be watched")


async def run(*, kills: int = 0, seed: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held. `kills` is how often the power goes."""
    return await asyncio.to_thread(_in_a_child, kills or TRIALS, seed)


def _in_a_child(trials: int, seed: int) -> dict[str, Any]:
    """In a process of its own: the shim stays for as long as its process lives."""
    done = subprocess.run(
        [sys.executable, "-m", "proof.power_loss", str(trials), str(seed)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"held": False, "error": done.stderr[-800:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def rig(trials: int, seed: int, log_limit: int = 256 * 1024) -> dict[str, Any]:
    """Several writers at once; at random moments a picture of the disk and of what had been acknowledged."""
    dice, folder = random.Random(seed), Path(tempfile.mkdtemp(prefix="homeward-power-"))
    sqlite.WAL_LIMIT = log_limit  # small, so that many a power loss meets a checkpoint
    shim, acked, pictures = Shim(), list[str](), list[tuple[Path, int]]()
    url = f"sqlite:///{folder / 'homeward.db'}"
    shim.install()
    await migrate(url)
    shim.disks.clear()  # all of it is closed, and lies on the disk
    store, next_at = await open_store(url), [40]

    def tick() -> None:
        next_at[0] -= 1
        if next_at[0] > 0 or len(pictures) >= trials:
            return
        next_at[0] = dice.randrange(1, 60)
        place = folder / f"loss-{len(pictures)}"
        place.mkdir()
        count = len(acked)  # before the picture: what is acknowledged while it is taken may be missing
        shim.crash(dice, place)
        pictures.append((place, count))

    shim.tick = tick

    async def lane(number: int) -> None:
        n = 0
        while len(pictures) < trials:
            n += 1
            name = f"{number}/{n}"
            await store.write(partial(put_setting, name=name, value="x" * dice.randrange(2000)))
            acked.append(name)
            if n % 50 == 0:
                await asyncio.sleep(0)

    try:
        await asyncio.gather(*(lane(number) for number in range(LANES)))
        await store.close()
        lost = corrupt = 0
        for place, count in pictures:
            found = _names(place / "homeward.db")
            corrupt += found is None
            lost += len(set(acked[:count]) - (found or set()))
        return {
            "held": lost == 0 and corrupt == 0,
            "power_losses": len(pictures),
            "acknowledged": len(acked),
            "acknowledged_lost": lost,
            "corrupt": corrupt,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _names(path: Path) -> set[str] | None:
    """What a start on this disk finds; None when it cannot be used."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?vfs=unix", uri=True)
        try:
            if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                return None
            return {row[0] for row in connection.execute("SELECT name FROM settings")}
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return None


if __name__ == "__main__":
    trials, seed, *planted = sys.argv[1:]
    if planted:  # a test plants this: the rig must find it
        sqlite.WRITER = tuple(p.replace("synchronous=FULL", planted[0]) for p in sqlite.WRITER)
    limit = sqlite.WAL_LIMIT if planted else 256 * 1024  # a checkpoint would sync what the commits do not
    print(json.dumps(asyncio.run(rig(int(trials), int(seed), limit))))
