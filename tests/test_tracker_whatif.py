"""What-if: other terms over the kept history, listed and not written; two versions side by side."""

import importlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import carriers.ups.codes
from cli.explaining import Usage, reading_under
from cli.terms import diff
from merchants.terms import default_for
from store.engine import Store
from tests.test_tracker_ledger import NOW, NUMBER, answer, conclusion, ledger, register, said, take, visit
from tests.test_tracker_replay import FORGET_BYTES, run_all
from tracker.whatif import Trial, simulate

EU = default_for("ups")
ROOT = Path(__file__).parent.parent
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def quiet(parcels: int, events: int, total: int) -> None:
    return None


async def test_two_attempts_instead_of_three_send_a_parcel_home_and_nothing_is_written(store: Store) -> None:
    """The list names the parcel and what would differ; the conclusion and the outbox stay as they are."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3), visit(4, "KX", "023")))
    before = await conclusion(store), await said(store)
    stricter = EU.model_copy(update={"attempts": EU.attempts.model_copy(update={"max": 2}), "version": "2026-06-01"})
    found = await simulate(book, Trial(stricter), LONG_AGO, NOW, quiet)
    assert (found.parcels, found.events) == (1, 2)
    assert [change.number for change in found.changes] == [NUMBER]
    assert found.changes[0].differs["status"] == ("attempt_failed", "undeliverable")
    assert found.changes[0].differs["return_to_warehouse.state"] == (None, "expected")
    assert (await conclusion(store), await said(store)) == before


async def test_the_same_terms_change_nothing_and_since_leaves_out_the_old(store: Store) -> None:
    """No change under the terms in force; parcels registered before `since` are not looked at."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3)))
    assert (await simulate(book, Trial(EU), LONG_AGO, NOW, quiet)).changes == ()
    assert (await simulate(book, Trial(EU), NOW, NOW, quiet)).parcels == 0


async def test_another_code_table_reads_the_kept_bytes_again_and_nothing_is_written(
    store: Store, tmp_path: Path
) -> None:
    """With X/KX as "delivered" the second visit was none; parcels whose bytes are gone are counted."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3), visit(4, "KX", "")))
    before = await conclusion(store), await said(store)
    table = (ROOT / "carriers/ups/codes.csv").read_text().splitlines()
    other = [re.sub(r"^X,KX,[a-z_]*,[a-z_]*,[^,]*,[^,]*", "X,KX,delivered,,,", line) for line in table]
    assert other != table
    (tmp_path / "codes.csv").write_text("\n".join(other))
    trial = Trial(readings={"ups": reading_under("ups", str(tmp_path / "codes.csv"))})
    found = await simulate(book, trial, LONG_AGO, NOW, quiet)
    assert [change.differs["status"] for change in found.changes] == [("attempt_failed", "delivered")]
    assert (await conclusion(store), await said(store)) == before
    same = Trial(readings={"ups": reading_under("ups", str(ROOT / "carriers/ups/codes.csv"))})
    assert (await simulate(book, same, LONG_AGO, NOW, quiet)).changes == ()
    await run_all(store, FORGET_BYTES)
    gone = await simulate(book, trial, LONG_AGO, NOW, quiet)
    assert (gone.changes, gone.from_sightings) == ((), 1)


def test_a_file_that_is_no_code_table_is_refused(tmp_path: Path) -> None:
    """The message names the file; the tables in use stay as they were."""
    (tmp_path / "codes.csv").write_text("type,code,kind\nX,48,flying\n")
    for carrier in ("ups", "usps"):
        with pytest.raises(Usage, match="not a code table"):
            reading_under(carrier, str(tmp_path / "codes.csv"))
    assert importlib.import_module("carriers.ups.codes") is carriers.ups.codes


def test_a_diff_names_each_term_by_its_key() -> None:
    """Dotted keys with what was and what is."""
    other = EU.model_copy(update={"attempts": EU.attempts.model_copy(update={"max": 2})})
    assert diff(EU, other) == [{"key": "attempts.max", "was": 3, "is": 2}]
    assert diff(EU, EU) == []
