"""Facts about the outbox: each thing is said once, numbered without gaps, under an id that never changes."""

import asyncio
import re
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from store.engine import Store, Tx
from store.outbox import alerted, said_about, say, spread, unalerted, unspread, waiting

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


async def _say(tx: Tx, name: str, subject: str = "parcel:7") -> bool:
    return await say(tx, subject=subject, name=name, type="parcel.delivered", at=NOW, data={"name": name})


async def test_a_name_is_said_once_about_a_subject(store: Store) -> None:
    """The second saying changes nothing and takes no number; the same name about another subject is another thing."""
    assert await store.write(lambda tx: _say(tx, "delivered"))
    before = await store.read(lambda tx: said_about(tx, "parcel:7"))
    assert not await store.write(lambda tx: _say(tx, "delivered"))
    assert await store.write(lambda tx: _say(tx, "delivered", "parcel:8"))
    assert await store.write(lambda tx: _say(tx, "late"))
    after = await store.read(lambda tx: said_about(tx, "parcel:7"))
    assert [(row["name"], row["sequence"]) for row in after] == [("delivered", 1), ("late", 2)]
    assert after[0]["notice_id"] == before[0]["notice_id"]
    assert re.fullmatch(r"msg_[0-9a-f]{26}", before[0]["notice_id"])


async def test_what_is_undone_was_not_said(store: Store) -> None:
    """A unit that fails after it said something leaves neither row nor number."""

    async def failing(tx: Tx) -> None:
        await _say(tx, "lost")
        raise ValueError

    await asyncio.gather(store.write(failing), return_exceptions=True)
    await store.write(lambda tx: _say(tx, "kept"))
    rows = await store.read(lambda tx: said_about(tx, "parcel:7"))
    assert [(row["name"], row["sequence"]) for row in rows] == [("kept", 1)]


async def test_many_at_once_say_each_thing_once_and_in_order(store: Store) -> None:
    """Forty units that say ten things four times over: ten rows, numbered one to ten, and the ids in that order."""
    said = await asyncio.gather(*(store.write(lambda tx, n=n: _say(tx, f"thing {n % 10}")) for n in range(40)))
    assert sum(said) == 10
    rows = await store.read(lambda tx: said_about(tx, "parcel:7"))
    assert [row["sequence"] for row in rows] == list(range(1, 11))
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert len({row["notice_id"] for row in rows}) == 10


async def test_spreading_and_looking_are_two_marks(store: Store) -> None:
    """What webhooks have read alerts may not have read yet, and the other way round; each reads a row once."""
    for name in ("a", "b", "c"):
        await store.write(lambda tx, name=name: _say(tx, name))

    async def work(tx: Tx) -> tuple[list[str], list[str]]:
        first, *_ = await unspread(tx, 10)
        assert await spread(tx, first["id"], NOW)
        assert not await spread(tx, first["id"], NOW)
        for row in (await unalerted(tx, 10))[:2]:
            await alerted(tx, row["id"], NOW)
        return [row["name"] for row in await unspread(tx, 10)], [row["name"] for row in await unalerted(tx, 10)]

    assert await store.write(work) == (["b", "c"], ["c"])
    assert await store.read(waiting) == 2


async def test_data_is_kept_as_json(store: Store) -> None:
    """Instants, money and text of any script are kept as JSON; a NUL in a text is no trouble on either database."""
    data = {"at": NOW, "price": Decimal("12.30"), "words": "Università \x00 ✓"}

    async def unit(tx: Tx) -> bool:
        return await say(tx, subject="parcel:7", name="x", type="parcel.late", at=NOW, data=data)

    await store.write(unit)
    (row,) = await store.read(lambda tx: said_about(tx, "parcel:7"))
    assert msgspec.json.decode(row["data"]) == {
        "at": "2026-03-02T08:00:00Z",
        "price": "12.30",
        "words": "Università \x00 ✓",
    }
