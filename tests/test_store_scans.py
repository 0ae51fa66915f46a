"""The figures and the desk do not take longer with every day's history: no query walks a table that only grows."""

import re
import sqlite3
from datetime import UTC, datetime
from functools import partial
from types import ModuleType

import pytest
from sqlalchemy import insert

from store import desk, endpoints, figures, payloads, tellings
from store.engine import Store, Tx
from store.figures import Said, said_since
from store.outbox import say
from store.schema import parcels
from store.statement import Statement, statement

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
GROWING = {"outbox", "deliveries", "tries", "parcels", "payloads", "sightings", "returns"}
SMALL = {"ix_parcels_open", "ix_parcels_home", "ix_parcels_followed", "ix_deliveries_open", "ix_payloads_unread"}
"""Partial indexes: they hold what is not over."""
ONCE = {"figures._SAID"}
"""Walks of an index when a process starts."""
_SCAN = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?")
_PARCEL = statement(
    insert(parcels).values(carrier="ups", number="1Z", merchant="boutique-eu", purpose="order", created_us=0)
)
_SORTED = "USE TEMP B-TREE FOR ORDER BY"


def statements(module: ModuleType) -> dict[str, Statement]:
    """Every query of a file, by name."""
    room = module.__name__.rpartition(".")[2]
    found = {f"{room}.{name}": each for name, each in vars(module).items() if isinstance(each, Statement)}
    inner = {f"{room}.{table}": getattr(module, table, {}) for table in ("_STATEMENTS", "_LISTINGS")}
    found |= {f"{name}[{key}]": each for name, table in inner.items() for key, each in table.items()}
    return {name: each for name, each in found.items() if each.sqlite.sql.lstrip().startswith("SELECT")}


ALL = {name: each for module in (desk, endpoints, figures, tellings) for name, each in statements(module).items()} | {
    "payloads._LAST_PUSH": statements(payloads)["payloads._LAST_PUSH"]
}


def plan_of(url: str, name: str) -> list[str]:
    """SQLite's plan for a query, on a database without statistics: the same for an empty one as for a full one."""
    compiled = ALL[name].sqlite
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", [1] * len(compiled.order)).fetchall()
    finally:
        connection.close()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", sorted(ALL))
def test_nothing_walks_what_only_grows(sqlite_url: str, name: str) -> None:
    """SQLite's own plan: a table that grows is searched, or walked by an index of what is not over."""
    plan = plan_of(sqlite_url, name)
    walked = [found.groups() for line in plan if (found := _SCAN.match(line))]
    assert name in ONCE or not [(table, index) for table, index in walked if table in GROWING and index not in SMALL]


@pytest.mark.parametrize("name", ["desk._ATTEMPTS", "desk._HOMECOMINGS", "desk._AT_RISK", "desk._CASES"])
def test_newest_first_is_read_in_its_order(sqlite_url: str, name: str) -> None:
    """Fifty rows are fifty rows: nothing is sorted to find them."""
    assert _SORTED not in plan_of(sqlite_url, name)


RARE = (
    "desk._AT_RISK", "desk._CASES", "endpoints._UNDELIVERED", "endpoints._LISTINGS[(False, 'open')]",
    "endpoints._LISTINGS[(True, 'open')]",
)  # fmt: skip


@pytest.mark.parametrize("name", RARE)
def test_what_is_rare_is_found_among_the_rare(sqlite_url: str, name: str) -> None:
    """Going back through everything until fifty are found would be a walk too, however it is called."""
    assert any(index in line for line in plan_of(sqlite_url, name) for index in SMALL)


async def test_what_was_said_is_counted_once_and_added_to(store: Store) -> None:
    """By type, and attempts by carrier and name; no row is counted twice, and none is left out."""

    async def parcel(tx: Tx) -> None:
        await tx.run(_PARCEL)

    async def tell(*names: str, type: str, subject: str = "parcel:1") -> None:
        async def unit(tx: Tx) -> None:
            for name in names:
                await say(tx, subject=subject, name=name, type=type, at=AT, data={})

        await store.write(unit)

    await store.write(parcel)
    await tell("out/attempt/1", "out/attempt/2", type="parcel.attempt_failed")
    await tell("a", type="order.shipped", subject="order:3")
    found = [await store.read(lambda tx: said_since(tx, Said()))]
    assert found[0].notices == {"parcel.attempt_failed": 2, "order.shipped": 1}
    assert found[0].attempts == {("ups", "out/attempt/1"): 1, ("ups", "out/attempt/2"): 1}
    await tell("b", "c", type="order.shipped", subject="order:4")
    await tell("out/attempt/3", type="parcel.attempt_failed")
    for _ in range(3):
        found.append(await store.read(lambda tx: said_since(tx, found[-1])))
    assert found[1].notices == found[0].notices  # rows of a moment ago may still be on their way into the database
    for after in found[2:]:
        assert after.notices == {"parcel.attempt_failed": 3, "order.shipped": 3}
        assert after.attempts[("ups", "out/attempt/3")] == 1 and len(after.attempts) == 3


async def test_both_databases_take_every_query(store: Store) -> None:
    """The words that a partial index asks for are words to PostgreSQL too."""
    await store.write(lambda tx: tx.run(_PARCEL))
    found = await store.read(lambda tx: figures.figures(tx, 0, ["ups", "usps"]))
    assert found["cases"] == [] and found["pushes"] == []
    assert await store.read(lambda tx: desk.at_risk(tx, 2**62, 50)) == []
    assert await store.read(lambda tx: desk.cases(tx, 2**62, 50)) == []
    assert await store.read(lambda tx: desk.newest_payload_us(tx, "ups", "poll")) is None
    for read in (desk.failed_attempts, desk.homecomings):
        assert await store.read(lambda tx, read=read: read(tx, 0, 50)) == []  # type: ignore[misc]
    for state in (None, "due", "done", "failed", "paused"):
        for endpoint in (None, endpoints.EndpointId(1)):
            assert await store.read(partial(endpoints.list_deliveries, state=state, endpoint_id=endpoint)) == []
    assert await store.read(partial(endpoints.failing_deliveries, limit=50)) == []
    assert await store.read(endpoints.count_owed) == []
