"""The simulation in virtual time holds, a failure plays again from its seed, and what is planted in it is seen."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from proof import simulation_world
from proof.simulation import BLOCK, LEAST, Tally, lived, run, walk
from proof.simulation_world import FAULTS, World
from tracker.lifecycle import Sighting, fold

SOME = 40
Plant = Callable[[pytest.MonkeyPatch], None]


def _serials(count: int, scripts: int) -> Iterator[int]:
    """So many parcels of so many scripts."""
    for n in range(count):
        yield n * scripts // count * BLOCK + n % BLOCK


async def test_nothing_is_lost_doubled_or_stuck() -> None:
    """Parcels of both carriers with three faults and more each, every kind of fault among them."""
    tally = walk(20260302, list(_serials(90, 36)))
    assert tally.failures == [] and not any(tally.wrong.values())
    assert tally.parcels == 90 and tally.fewest >= LEAST
    assert set(FAULTS) <= tally.faults.keys() and len(tally.journeys) > 30
    assert tally.purchases > 20 and tally.notices > 500 and tally.heard > tally.notices


async def test_a_failure_is_a_seed_that_plays_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed fails again with the command that is told, the same to the letter, and with its story."""
    _new_id_at_each_try(monkeypatch)
    failed = walk(5, list(_serials(6, 3))).failures[0]
    found = re.fullmatch(r"python -m proof simulation --seed (\d+) --first (\d+) --parcels 1", failed["replay"])
    assert found
    seed, first = map(int, found.groups())
    (again,) = (await run(seed=seed, first=first, parcels=1))["failures"]
    assert again.pop("story") and again == failed


def test_the_same_seed_is_the_same_world() -> None:
    """Whichever worlds were played before it in the process."""
    walk(1, [3, 4, 5])
    (one, wrong), (other, _) = lived(7, 3), lived(7, 3)
    assert not any(wrong.values())
    assert one.heard == other.heard and one.struck == other.struck and len(one.heard) > 2


# -------------------------------------------------------------------------------------------------------------- planted


def _acknowledged_before_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    post = World.post

    def at_once(self: World, saying: Any) -> None:
        self.acknowledged.add(saying.digest)
        post(self, saying, 3)  # who heard 200 does not send it again

    monkeypatch.setattr(World, "post", at_once)


def _said_after_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    say, commit, waiting = World.say, World.commit, list[Any]()
    monkeypatch.setattr(World, "say", lambda self, *what: waiting.append((self, what)))

    def then_say(self: World, change: Any) -> None:
        waiting.clear()
        commit(self, change)
        said = [*waiting]
        waiting.clear()
        if said:
            commit(self, lambda: [say(of, *what) for of, what in said])

    monkeypatch.setattr(World, "commit", then_say)


def _new_id_at_each_try(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = World.claim

    def renamed(self: World, notice: Any) -> None:
        claim(self, notice)
        notice.id = f"msg_{self.dice.getrandbits(64):x}"

    monkeypatch.setattr(World, "claim", renamed)


def _said_again_under_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "was_said", lambda self, name: False)


def _bought_by_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "is_bought", lambda self, name: False)


def _late_jobs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    work = World.work

    def in_time(self: World) -> None:
        for name in ("review_at", "polled_next"):
            due = getattr(self, name)
            if due is not None and self.clock - due > timedelta(seconds=1):
                setattr(self, name, None)
        work(self)

    monkeypatch.setattr(World, "work", in_time)


def _read_in_the_order_of_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_arrival(sightings: Any, tellings: Any, known: Any) -> Any:
        seen = [*sightings]
        start = min((each.event.at for each in seen), default=None)
        moved = [
            Sighting(structs.replace(each.event, at=start + timedelta(minutes=n)), each.source, each.digest)
            for n, each in enumerate(seen)
        ]
        return fold(moved, tellings, known)

    monkeypatch.setattr(simulation_world, "fold", by_arrival)


def _given_up_at_the_first_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation_world, "next_wait", lambda answer, tries, jitter: None)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (_acknowledged_before_it_is_kept, "lost"),
        (_said_after_the_commit, "lost"),
        (_new_id_at_each_try, "doubled"),
        (_said_again_under_the_same_name, "doubled"),
        (_bought_by_whoever_asks, "doubled"),
        (_late_jobs_are_left_out, "lost"),
        (_read_in_the_order_of_arrival, "lost"),
        (_given_up_at_the_first_refusal, "stuck"),
    ],
    ids=lambda each: each.__name__ if callable(each) else each,
)
def test_a_planted_bug_is_seen(plant: Plant, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bug in the world the same simulation says what it breaks."""
    plant(monkeypatch)
    tally: Tally = walk(13, list(_serials(SOME, 10)))
    assert tally.wrong[kind], tally.wrong
