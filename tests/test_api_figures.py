"""Facts about the figures: Prometheus is shown what the database holds and what the doors counted."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from carriers.contract import Away
from carriers.door import Door, Token, TokenKeeper
from carriers.door import client as carrier_client
from fleet.budgets import Budget, Rate
from store.engine import Store
from store.outbox import say
from tests.doors import MONDAY, Doors, make_house, on_the_street, open_doors
from webhooks.outbound import spread

DASHBOARD = Path(__file__).parents[1] / "docs/grafana/homeward.json"


async def _shown(doors: Doors) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values."""
    _, body, _ = await doors.call("GET", "/metrics")
    families = text_string_to_metric_families(body.decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


async def test_figures_are_what_the_database_holds(sqlite_store: Store) -> None:
    """Parcels by status, notices by type, what is owed and for how long, calls by outcome, quota left."""
    budget = Budget({"tracking": Rate(60, 3600)})
    async with on_the_street() as (town, carriers):
        house = make_house(sqlite_store, carriers, budgets={"ups": budget})
        async with open_doors(house) as doors:
            parcel = town.create("ups", "delivered_first_time", starts_at=MONDAY - timedelta(hours=30))
            await doors.put_order()
            await doors.call("POST", "/v1/endpoints", json={"url": "https://shop.example/"})
            await doors.ship("B-1001", parcel.number)
            data = {"carrier": "ups"}
            await sqlite_store.write(
                lambda tx: say(tx, subject="parcel:1", name="x", type="parcel.attempt_failed", at=MONDAY, data=data)
            )
            await spread(sqlite_store, lambda: datetime.now(UTC) - timedelta(seconds=90))
            budget.met("tracking", "200")
            found = await _shown(doors)
    assert sum(value for name, value in found.items() if name[0] == "homeward_parcels") == 1
    assert found["homeward_notices_total", "parcel.attempt_failed"] == 1
    assert found["homeward_deliveries_owed", "1", "active"] >= 1
    assert 89 < found["homeward_delivery_lag_seconds", "1", "active"] < 120
    assert found["homeward_carrier_calls_total", "ups", "tracking", "200"] == 1
    assert found["homeward_carrier_quota_left", "ups", "tracking"] == 60


async def test_a_call_to_a_carrier_is_counted_with_its_outcome() -> None:
    """By operation: the status of the answer, or none when there was no answer."""
    budget = Budget({})

    async def fetch() -> Token:
        return Token("t", float("inf"))

    async with carrier_client("http://127.0.0.1:1") as http:
        door = Door(http, TokenKeeper(fetch), lambda response: None, budget, tries=1)
        with suppress(Away):
            await door.ask("GET", "/x", api="tracking")
    assert budget.counts == {("tracking", "none"): 1}


async def test_the_dashboard_asks_only_for_figures_that_exist(sqlite_store: Store) -> None:
    """Each name in the Grafana dashboard is one that /metrics shows or declares."""
    async with open_doors(make_house(sqlite_store)) as doors:
        await _shown(doors)
        _, body, _ = await doors.call("GET", "/metrics")
    declared = {line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")}
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(asked) >= 12
    for expression in asked:
        for word in expression.replace("(", " ").replace("{", " ").replace("[", " ").replace(")", " ").split():
            if word.startswith("homeward_"):
                assert {word, word.removesuffix("_bucket")} & declared, word
