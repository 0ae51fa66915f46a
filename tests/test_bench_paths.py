"""The benches of polling and of the ledger run to their end on a handful, and what they compare is the same work."""

import pytest

from bench import ledger, polls


def test_polling_is_measured_against_the_same_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every parcel is asked about in each round (the bench checks it), through real calls to a process apart."""
    monkeypatch.setattr(polls, "PARCELS", {"ups": 20, "usps": 70})
    monkeypatch.setattr(polls, "ROUNDS", ("new", "moved"))
    found = polls.run()
    for name in ("ups", "usps"):
        assert set(found[name]) == {"floor", "new", "moved", "cpu_times_the_floor", "ratio"}
        assert all(found[name][what]["parcels_per_second"] > 0 for what in ("floor", "new", "moved"))


def test_the_floor_of_the_ledger_writes_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows in every table (the bench checks it): twelve sightings for each parcel among them."""
    monkeypatch.setattr(ledger, "PARCELS", 20)
    monkeypatch.setattr(ledger, "ROUNDS", 1)
    found = ledger.run()
    assert (found["parcels"], found["events"]) == (20, 12) and found["sqlite"]["ratio"] > 0
    if isinstance(found["postgresql"], str):
        pytest.skip(found["postgresql"])
    assert found["postgresql"]["ratio"] > 0
