"""`homeward export`: everything of a kind, page by page, and of nobody in person."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import exporting
from cli.exporting import EXPORTS, export_call, write
from store.engine import Store
from tests.doors import make_house, on_the_street, open_doors
from tests.test_cli_erase import CANARIES, a_life
from tests.test_pages_states import NOW, start


async def pages(store: Store, kind: str) -> list[dict[str, Any]]:
    """Every line of an export."""
    lines, after = list[dict[str, Any]](), 0
    parts: Any = SimpleNamespace(store=store)
    while after is not None:
        page = await export_call(parts, {"do": "export.page", "kind": kind, "after": after})
        lines += page["rows"]
        after = page["next"]
    return lines


async def test_everything_is_there_and_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both databases, in pages of one row: orders, parcels with their attempts, returns, money, notices."""
    monkeypatch.setattr(exporting, "ROWS", 1)
    async with on_the_street(NOW) as (town, carriers), open_doors(make_house(store, carriers, NOW)) as doors:
        returned, number = await a_life(doors, town)
        await doors.put_order("B-2")
        failed = town.create("ups", "three_attempts_home", starts_at=start(3, 5)).number
        await doors.ship("B-2", failed)
    found = {kind: await pages(store, kind) for kind in EXPORTS}
    assert [row["number"] for row in found["orders"]] == ["B-1", "B-2"]
    by_number = {row["number"]: row for row in found["parcels"]}
    assert by_number[number]["status"] == "delivered" and by_number[number]["delivered_at"]
    assert by_number[failed]["attempts"] == 2 and by_number[failed]["created_at"].endswith("Z")
    assert [(row["number"], row["ordinal"]) for row in found["attempts"] if row["counted"]] == [
        (failed, 1),
        (failed, 2),
    ]
    assert [row["number"] for row in found["returns"]] == [returned]
    assert found["money"][0]["currency"] == "EUR" and found["money"][0]["at"].endswith("Z")
    assert {"order.shipped", "parcel.attempt_failed"} <= {row["type"] for row in found["notices"]}
    assert not [canary for canary in CANARIES if canary in json.dumps(found, ensure_ascii=False)]


async def test_an_unknown_kind_is_said(sqlite_store: Store) -> None:
    """With the ones there are."""
    parts: Any = SimpleNamespace(store=sqlite_store)
    told = await export_call(parts, {"do": "export.page", "kind": "people", "after": 0})
    assert "attempts" in told["error"]


def test_a_spreadsheet_gets_no_formula(tmp_path: Path) -> None:
    """CSV with a head line over all pages; text that would be run there is quoted; JSON lines hold it as it is."""
    told = [
        {"rows": [{"number": "B-1", "note": "=HYPERLINK(1)", "data": {"a": [1]}}], "next": 7},
        {"rows": [{"number": "-1", "note": "ok", "data": None}], "next": None},
    ]
    heard: list[int] = []
    out = tmp_path / "x.csv"
    assert write(lambda after: told[after // 7], out, True, heard.append) == 2 and heard == [1, 2]
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["note"] for row in rows] == ["'=HYPERLINK(1)", "ok"] and rows[1]["number"] == "'-1"
    assert write(lambda after: told[after // 7], out, False, heard.append) == 2
    assert [json.loads(line) for line in out.read_text().splitlines()] == [row for page in told for row in page["rows"]]
