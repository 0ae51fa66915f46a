"""Replay: state rebuilt from the kept bytes, corrections announced, retention's end said."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update

from cli.explaining import reading_under
from store.engine import Store, Tx
from store.parcels import find_parcel, list_parcels
from store.payloads import list_unknown_codes
from store.schema import conclusions, mentions, parcels, payloads, sightings, told
from store.statement import statement
from tests.test_returns_identifying import NEW, a_case, at_home, desk, identify, picked_up, told_alternate
from tests.test_tracker_ledger import NOW, NUMBER, answer, conclusion, ledger, push, register, said, take, visit
from tracker.ledger import Ledger
from tracker.replay import Replayed, replay, settle_codes

ROOT = Path(__file__).parent.parent
WIPE = [
    statement(delete(sightings)),
    statement(delete(told)),
    statement(delete(conclusions)),
    statement(update(parcels).values(status="unknown", leg="out")),
]
FORGET_MOVES = statement(update(parcels).values(moved_us=None, ended_us=None))
FORGET_BYTES = [statement(delete(mentions)), statement(delete(payloads))]
SIGHTED = statement(select(sightings.c.event_id, sightings.c.teller, sightings.c.received_us, sightings.c.event))


async def run_all(store: Store, statements: list[Any]) -> None:
    async def unit(tx: Tx) -> None:
        for each in statements:
            await tx.run(each)

    await store.write(unit)


async def again(book: Ledger) -> list[Replayed]:
    async def quiet(_: int) -> None:
        return None

    return await replay(book, NOW + timedelta(hours=1), quiet)


async def kept(store: Store) -> tuple[str, list[tuple[Any, ...]]]:
    async def unit(tx: Tx) -> tuple[str, list[tuple[Any, ...]]]:
        row = await find_parcel(tx, "ups", NUMBER)
        assert row is not None
        rows = [tuple(dict(each).values()) for each in await tx.all(SIGHTED)]
        return row["conclusion"], sorted(rows)

    return await store.read(unit)


async def test_deleting_all_state_and_replaying_gives_the_same_byte_for_byte(store: Store) -> None:
    """Sightings, what is told and the conclusion come back as they were, from the bytes alone."""
    await register(store)
    book = ledger(store)
    for payload in (answer(visit(3)), push(4, "KX", "023"), answer(visit(3), visit(4, "KX", "023"))):
        await take(book, payload)
    before = await kept(store)
    await run_all(store, WIPE)
    assert (await again(book))[0].source == "payloads"
    assert await kept(store) == before


async def test_replaying_says_nothing_twice(store: Store) -> None:
    """The same tables, the same conclusions: not one notice more."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3), visit(4, "KX", "023"), visit(5, "49", "024")))
    before = await said(store)
    assert [each.changed for each in await again(book)] == [False]
    assert await said(store) == before


async def test_a_code_that_became_known_is_read_again_and_announced(store: Store, tmp_path: Path) -> None:
    """A new table row changes the conclusion of old bytes: the attempt is said now, as what it is."""
    await register(store)
    table = (ROOT / "carriers/ups/codes.csv").read_text().splitlines()
    (tmp_path / "codes.csv").write_text("\n".join(line for line in table if not line.startswith("X,KX,")))
    yesterday = Ledger(store, {"ups": reading_under("ups", str(tmp_path / "codes.csv"))}, ledger(store).shelf)
    await take(yesterday, answer(visit(3), visit(4, "KX", "")))
    assert (await conclusion(store))["unknown_codes"] == ["X/KX"]
    assert [each.changed for each in await again(ledger(store))] == [True]
    assert await settle_codes(ledger(store), NOW) == [("ups", "X/KX")]
    assert await store.read(list_unknown_codes) == []
    assert await settle_codes(ledger(store), NOW) == []
    view = await conclusion(store)
    assert view["attempts"]["count"] == 2 and view["unknown_codes"] == []
    assert [name for type, name in await said(store) if type == "parcel.attempt_failed"] == [
        "out/attempt/1",
        "out/attempt/2",
    ]


async def test_past_their_retention_the_sightings_stand_in_and_it_is_said(store: Store) -> None:
    """Without the bytes the sightings are the source, and the answer says so."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3)))
    before = await conclusion(store)
    await run_all(store, FORGET_BYTES)
    assert [(each.source, each.changed) for each in await again(book)] == [("sightings", False)]
    assert await conclusion(store) == before


async def state(store: Store) -> list[dict[str, Any]]:
    """Everything that is concluded and kept about every parcel, but when it is looked at next."""
    passing = ("version", "next_poll_us", "stale_us", "lease_us", "fence", "checked_us")
    rows = await store.read(lambda tx: list_parcels(tx, limit=50))
    return [{name: row[name] for name in row.keys() if name not in passing} for row in rows]  # noqa: SIM118


async def test_a_parcel_that_came_home_under_another_number_is_rebuilt_with_it(store: Store) -> None:
    """All that was read and concluded is deleted: replaying gives both parcels back byte for byte, and says nothing."""
    await a_case(store)
    book = ledger(store)
    await take(book, told_alternate(6, NUMBER, NEW))
    await identify(desk(store))
    await take(book, answer(picked_up(9), at_home(11), number=NEW))
    before, told_before = await state(store), await said(store)
    assert [row["leg"] for row in before] == ["back", "back"]
    await run_all(store, [*WIPE, FORGET_MOVES])
    assert await state(store) != before
    assert {each.source for each in await again(book)} == {"payloads"}
    assert await state(store) == before
    assert await said(store) == told_before


async def test_a_code_that_is_still_unknown_stays_on_the_list(store: Store) -> None:
    """The sample is read again and knows it no better; ops keep their alert."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3, "Q?", "")))
    assert await settle_codes(book, NOW) == []
    assert [row["code"] for row in await store.read(list_unknown_codes)] == ["X/Q?"]
