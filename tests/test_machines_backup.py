"""Facts about backups: whole while the service runs, never over another file; what was bought since is found again."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.backup import back_up, restore
from spending.intents import Till
from spending.journal import Journal, reconciled
from spending.reconciling import reconcile_now, shown
from store.engine import Locked, Store, StoreError, open_store
from store.settings import get_setting, put_setting
from tests.doors import MONDAY, Doors, make_house, on_the_street, open_doors


async def _label(doors: Doors, order: str, number: str) -> str:
    """An order that was delivered, and the label that its return bought."""
    await doors.put_order(order)
    await doors.ship(order, number)
    items = [{"sku": "COAT-42", "reason": "size"}]
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": order, "items": items}]}
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    assert status == 201, made
    return str(made["return_number"])


async def test_a_backup_is_whole_while_somebody_writes(sqlite_url: str, tmp_path: Path) -> None:
    """Every commit before it is in it, none is in it by half, and the service does not wait for it."""
    store, stop, done = await open_store(sqlite_url), asyncio.Event(), 0

    async def write() -> None:
        nonlocal done
        while not stop.is_set():
            done += 1

            async def pair(tx, n=done):  # type: ignore[no-untyped-def]
                await put_setting(tx, f"one/{n}", "x" * 2000)
                await put_setting(tx, f"two/{n}", "x" * 2000)

            await store.write(pair)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.2)
    before = done - 1
    copied = await asyncio.to_thread(back_up, sqlite_url, tmp_path / "copy.db")
    stop.set()
    await writing
    await store.close()
    assert copied.revision and not list(tmp_path.glob("copy.db-*")) and copied.path.stat().st_mode & 0o077 == 0
    with sqlite3.connect(copied.path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM settings")}
    ones = {name[4:] for name in names if name.startswith("one/")}
    assert ones == {name[4:] for name in names if name.startswith("two/")}
    assert {str(n) for n in range(1, before + 1)} <= ones


async def test_a_restore_keeps_what_was_there_and_takes_nothing_half(sqlite_url: str, tmp_path: Path) -> None:
    """It is as it was, the newer one beside it; a damaged file, a second copy and a running service are refused."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = await open_store(sqlite_url)
    await store.write(lambda tx: put_setting(tx, "age", "old"))
    back_up(sqlite_url, tmp_path / "b1")
    with pytest.raises(StoreError, match="there already"):
        back_up(sqlite_url, tmp_path / "b1")
    await store.write(lambda tx: put_setting(tx, "age", "new"))
    with pytest.raises(Locked):
        restore(sqlite_url, tmp_path / "b1")
    await store.close()
    damaged = bytearray((tmp_path / "b1").read_bytes())
    damaged[5000:9000] = b"\xff" * 4000
    (tmp_path / "b2").write_bytes(damaged)
    with pytest.raises(StoreError, match=r"damaged|no backup of ours"):
        restore(sqlite_url, tmp_path / "b2")
    restore(sqlite_url, tmp_path / "b1")
    store = await open_store(sqlite_url)
    assert await store.read(lambda tx: get_setting(tx, "age")) == "old"
    await store.close()
    [beside] = path.parent.glob("*.before-restore-1")
    with sqlite3.connect(beside) as connection:
        assert connection.execute("SELECT value FROM settings WHERE name = 'age'").fetchone() == ("new",)


def test_the_command_line_backs_up_and_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands, and words that say what to do next; what cannot be done is one line and exit code 1."""
    monkeypatch.chdir(tmp_path)
    run, data = CliRunner(), ["--data", str(tmp_path / "data")]
    assert run.invoke(app, ["migrate", *data]).exit_code == 0
    assert "backed up to" in run.invoke(app, ["backup", "copy.db", *data]).output
    assert run.invoke(app, ["backup", "copy.db", *data]).exit_code == 1
    assert "labels reconcile" in run.invoke(app, ["restore", "copy.db", *data]).output
    assert run.invoke(app, ["restore", "none.db", *data]).exit_code == 1


async def test_labels_bought_since_the_backup_are_found_again(sqlite_url: str, tmp_path: Path) -> None:
    """A restored database knows nothing of two labels: the reconcile finds both, holds them, and buys nothing."""
    now = MONDAY + timedelta(days=3)

    def till_of(store: Store, house_till: Till) -> tuple[Till, Journal]:
        from dataclasses import replace

        journal = Journal(tmp_path / "purchases.journal", house_till.sealer)
        return replace(house_till, note=journal.note), journal

    async with on_the_street(now) as (town, carriers):
        starts = now - timedelta(days=2, hours=12)
        numbers = [town.create("ups", "delivered_first_time", starts_at=starts).number for _ in range(3)]
        store = await open_store(sqlite_url)
        house = make_house(store, carriers, now)
        till, journal = till_of(store, house.till)
        async with open_doors(make_house(store, carriers, now, till=till)) as doors:
            await _label(doors, "B-1", numbers[0])
            back_up(sqlite_url, tmp_path / "backup")
            await _label(doors, "B-2", numbers[1])
            await _label(doors, "B-3", numbers[2])
        await store.close()
        charged = [line for line in town.ledger if line.kind == "charge"]
        restore(sqlite_url, tmp_path / "backup")
        store = await open_store(sqlite_url)
        till, journal = till_of(store, make_house(store, carriers, now).till)
        found = await reconciled(till, journal, reconcile_now)
        view = await shown(till)
        again = await reconciled(till, journal, reconcile_now)
        await store.close()
        sold = {line.number for line in town.ledger if line.kind == "label" and line.reference.startswith("R")}
        assert len(sold) == 3 and len(found.orphans) == 2 and set(found.orphans) < sold
        held = [label for label in view["odd_labels"] if label["state"] == "held"]
        assert {label["number"] for label in held} == set(found.orphans)
        assert all("after the backup" in label["note"] for label in held)
        assert {line["number"] for line in view["money"]} == sold
        assert [line for line in town.ledger if line.kind == "charge"] == charged and not again.orphans


def test_a_journal_line_that_a_crash_cut_short_is_passed_over(tmp_path: Path) -> None:
    """The rest is read; what is older than a backup may be is dropped."""
    from carriers.contract import Prepared
    from spending.intents import Claim, Intent
    from spending.machine import Record, State
    from store.sealing import Sealer

    journal = Journal(tmp_path / "j", Sealer(b"k" * 32))
    for id, sent in (("old", 100.0), ("new", 200.0)):
        prepared = Prepared("label", "POST", "/x", {"k": "v"}, b"Ann Example, 10 Example Street", f"R{id}")
        intent = Intent(id, "ups", "return:1", 1, prepared, {})
        journal.note(Claim(intent, State.SENDING, 1, 1, sent, Record()))
    with journal.path.open("ab") as file:
        file.write(b"AQIDBAUG")
    assert [line.id for line in journal.lines()] == ["old", "new"]
    assert b"Example" not in journal.path.read_bytes() and journal.path.stat().st_mode & 0o077 == 0
    assert journal.forget_before(150.0) == 1 and [line.id for line in journal.lines()] == ["new"]
