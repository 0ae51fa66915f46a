"""Finding what is due costs what is due, not what exists: the sweeps' statements go by their indexes, on SQLite."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bench.sweep import _claim, _nothing, _register, _reviews, resident
from store.engine import open_store, sqlite_path
from store.parcels import _CLAIM_DUE, _REVIEWS
from store.statement import Statement

VALUES = {"of_carrier": "ups", "now": 1, "real_now": 1, "until": 1, "limit": 10}
SWEEPS = pytest.mark.parametrize(
    ("sweep", "index"), [(_CLAIM_DUE, "ix_parcels_next_poll"), (_REVIEWS, "ix_parcels_review")], ids=["poll", "review"]
)


def plan(path: Path, sweep: Statement, **values: Any) -> str:
    compiled = sweep.sqlite
    with sqlite3.connect(path) as connection:
        return "; ".join(
            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", compiled.bind(values))
        )


@SWEEPS
def test_a_sweep_goes_by_its_index(sweep: Statement, index: str, sqlite_url: str) -> None:
    """No scan of all parcels and no sorting: the index gives what is due, oldest first."""
    values = VALUES if sweep is _CLAIM_DUE else {name: VALUES[name] for name in ("now", "limit")}
    found = plan(sqlite_path(sqlite_url), sweep, **values)
    assert index in found and "SCAN parcels" not in found and "TEMP B-TREE" not in found, found


@SWEEPS
def test_a_missing_index_is_seen(sweep: Statement, index: str, sqlite_url: str) -> None:
    """Planted: without its index the sweep looks at every parcel."""
    path = sqlite_path(sqlite_url)
    with sqlite3.connect(path) as connection:
        connection.execute(f"DROP INDEX {index}")
    values = VALUES if sweep is _CLAIM_DUE else {name: VALUES[name] for name in ("now", "limit")}
    found = plan(path, sweep, **values)
    assert "SCAN parcels" in found or "TEMP B-TREE" in found, found


async def test_the_bench_claims_what_is_due(sqlite_url: str) -> None:
    """Of 1,200 parcels 1,000 are due; every sweep of the bench finds its 200 again and again."""
    store = await open_store(sqlite_url)
    await _register(store, range(1_200))
    for _ in range(3):
        assert await _claim(store) > 0 and await _reviews(store) > 0 and await _nothing(store) > 0
    await store.close()
    assert resident() is None or await asyncio.to_thread(resident) > 1
