"""What-if: other terms over the kept history, listed and not written; two versions side by side."""

from datetime import UTC, datetime

from cli.terms import diff
from merchants.terms import default_for
from store.engine import Store
from tests.test_tracker_ledger import NOW, NUMBER, answer, conclusion, ledger, register, said, take, visit
from tracker.whatif import simulate

EU = default_for("ups")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def quiet(parcels: int, events: int) -> None:
    return None


async def test_two_attempts_instead_of_three_send_a_parcel_home_and_nothing_is_written(store: Store) -> None:
    """The list names the parcel and what would differ; the conclusion and the outbox stay as they are."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3), visit(4, "KX", "023")))
    before = await conclusion(store), await said(store)
    stricter = EU.model_copy(update={"attempts": EU.attempts.model_copy(update={"max": 2}), "version": "2026-06-01"})
    found = await simulate(book, stricter, LONG_AGO, NOW, quiet)
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
    assert (await simulate(book, EU, LONG_AGO, NOW, quiet)).changes == ()
    assert (await simulate(book, EU, NOW, NOW, quiet)).parcels == 0


def test_a_diff_names_each_term_by_its_key() -> None:
    """Dotted keys with what was and what is."""
    other = EU.model_copy(update={"attempts": EU.attempts.model_copy(update={"max": 2})})
    assert diff(EU, other) == [{"key": "attempts.max", "was": 3, "is": 2}]
    assert diff(EU, EU) == []
