"""The proof of convergence, a small share of it; and that it notices a fold or a ledger that depends on the order."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from proof import convergence
from proof.convergence import altered, unsaid, walk
from proof.feeds import Feeds
from tracker.lifecycle import Shipment, Sighting, fold
from tracker.policy import conclude


async def test_any_order_gives_the_same_parcel() -> None:
    """Permutations, repetitions, partial feeds and altered tellings: one conclusion, by the fold and by the ledger."""
    tally = await walk(20260302, 0, 80, ledger_every=8)
    assert tally.diverged == []
    assert (tally.examples, tally.orders, tally.through_ledger) == (80, 240, 10)
    assert min(tally.altered, tally.partial) > 20 and len(tally.statuses) > 5


async def test_a_fold_that_trusts_the_first_telling_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: only the first sighting of an event counts, so the order of arrival decides."""

    def first_come(sightings: Sequence[Sighting], tellings: Any, shipment: Shipment) -> Any:
        return fold(list({each.event.id: each for each in reversed(sightings)}.values()), tellings, shipment)

    monkeypatch.setattr(convergence, "fold", first_come)
    tally = await walk(1, 0, 20, ledger_every=1000)
    assert tally.diverged and {each["by"] for each in tally.diverged} == {"fold"}


def test_an_attempt_that_was_never_said_or_taken_back_is_seen() -> None:
    """What the conclusion tells must have been said; what it no longer tells must have been taken back."""
    feeds = Feeds()
    parcel = feeds.town.create("ups", "three_attempts_home")
    payload = feeds.poll("ups", [parcel.number], parcel.telling.ends_at)
    told = convergence.READS["ups"].read(payload)
    known = Shipment("ups", parcel.number)
    seen = fold([Sighting(each, payload.source) for each in told.events], (), known)
    conclusion = conclude(seen, convergence.default_for("ups"), parcel.telling.ends_at)
    home = ["case/expected", "case/under_way", "case/arrived", "status/back/delivered/x"]
    attempts = [f"out/attempt/{n}" for n in (1, 2, 3)]
    assert unsaid(conclusion, [*attempts, *home]) == set()
    assert unsaid(conclusion, [*attempts[1:], *home]) == {"never said: out/attempt/1"}
    assert unsaid(conclusion, [*attempts, "out/attempt/4", *home]) == {"not taken back: out/attempt/4"}
    assert len(unsaid(conclusion, [*attempts, *home, "status/out/in_transit/y"])) == 1


def test_an_altered_payload_is_still_one_that_can_be_read() -> None:
    """A carrier's other words for a scan are its own JSON: the same numbers, another telling."""
    feeds = Feeds()
    for carrier in ("ups", "usps"):
        parcel = feeds.town.create(carrier, "three_attempts_home")
        payload = feeds.poll(carrier, [parcel.number], parcel.telling.ends_at)
        other = altered(payload, Random(3))
        assert other.body != payload.body
        assert convergence.READS[carrier].read(other).numbers == (parcel.number,)
