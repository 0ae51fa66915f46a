"""Staleness under one quota, in minutes: who is due by value (tracker/polling.py) against round-robin.

Virtual time, a minute a step. Parcels live: a label, the way, out for delivery, perhaps a failed visit, delivered, and
then another takes their place; a quarter are return labels that nobody uses. Both orders learn a parcel's status only
when they ask. `urgent` is out for delivery, attempted or waiting to be collected; `quiet` is delivered or a label that
nobody uses, on which no question should be spent. Staleness is how long ago the carrier was last asked, looked at every
half hour of the second day.
"""

import heapq
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from tracker.lifecycle import Purpose, Status
from tracker.polling import next_poll

MINUTE, DAY = 60, 86_400
WARM, UNTIL, LOOK = 1 * DAY, 2 * DAY, 30 * MINUTE
URGENT = frozenset({Status.OUT_FOR_DELIVERY, Status.ATTEMPT_FAILED, Status.AVAILABLE_FOR_PICKUP})
WATCHED = 20_000  # parcels whose staleness is looked at
START = datetime(2026, 3, 2, tzinfo=UTC)

# What truly happens, by share of parcels: hours in each status. Dormant labels stay as they are.
_WAY = ((Status.LABEL_CREATED, 18), (Status.ACCEPTED, 4), (Status.IN_TRANSIT, 56), (Status.OUT_FOR_DELIVERY, 9))
_MISSED = ((Status.ATTEMPT_FAILED, 15), (Status.OUT_FOR_DELIVERY, 9))
_DONE = ((Status.DELIVERED, 48),)
_LIVES: tuple[tuple[float, tuple[tuple[Status, int], ...]], ...] = (
    (0.60, _WAY + _DONE),
    (0.08, _WAY + _MISSED + _DONE),
    (0.02, _WAY + _MISSED + _MISSED + _DONE),
    (0.05, (*_WAY, (Status.ATTEMPT_FAILED, 3), (Status.AVAILABLE_FOR_PICKUP, 60), *_DONE)),
    (0.25, ((Status.LABEL_CREATED, 24 * 90),)),
)


@dataclass(slots=True)
class World:
    """So many parcels, each somewhere in its life."""

    life: list[int]
    born: list[int]  # seconds

    @classmethod
    def of(cls, count: int, seed: int) -> "World":
        dice = Random(seed)
        life = dice.choices(range(len(_LIVES)), [share for share, _ in _LIVES], k=count)
        return cls(life, [-dice.randrange(_length(each)) for each in life])

    def status(self, parcel: int, at: int) -> Status:
        """Its status at that moment; whoever has ended is born again."""
        life, age = self.life[parcel], at - self.born[parcel]
        if age >= _length(life):
            self.born[parcel], age = at, 0
        for status, until in _stages(life):
            if age < until:
                return status
        raise AssertionError("an age beyond the life")


@cache
def _stages(life: int) -> tuple[tuple[Status, int], ...]:
    total, stages = 0, []
    for status, hours in _LIVES[life][1]:
        total += hours * 3600
        stages.append((status, total))
    return tuple(stages)


@cache
def _length(life: int) -> int:
    return _stages(life)[-1][1]


@cache
def _wait(status: Status, dormant: bool, young: bool) -> int:
    """Seconds until the next question, as the service decides it."""
    registered = START if young else START - timedelta(days=30)
    purpose = Purpose.RETURN if dormant else Purpose.ORDER
    due = next_poll(status, purpose, registered=registered, moved=START, now=START)
    assert due is not None
    return int((due - START).total_seconds())


def run() -> dict[str, Any]:
    """Both quotas, both orders; how many times fresher ours is where it matters."""
    return {
        "usps_10000_at_60_calls_an_hour": compare(10_000, 60 * 35 / 3600),
        "ups_1000000_at_20_calls_a_second": compare(1_000_000, 20.0),
    }


def compare(parcels: int, numbers_a_second: float, seed: int = 1) -> dict[str, Any]:
    """Staleness in minutes, by value and round-robin, under one quota."""
    ours = simulate(World.of(parcels, seed), numbers_a_second, by_value)
    theirs = simulate(World.of(parcels, seed), numbers_a_second, round_robin)
    ratios = {f"times_fresher_{name}": round(theirs[name]["median"] / ours[name]["median"], 2) for name in ours}
    return {"parcels": parcels, "numbers_per_hour": round(numbers_a_second * 3600), "by_value": ours,
            "round_robin": theirs, **ratios}  # fmt: skip


Ask = Callable[[int, int], None]  # at this moment so many may be asked about
Order = Callable[[World, list[int]], Ask]


def simulate(world: World, numbers_a_second: float, order: Order) -> dict[str, dict[str, float]]:
    """Two days; the staleness of the second, in minutes."""
    count, looked = len(world.life), Random(7)
    checked = [-looked.randrange(DAY) for _ in range(count)]
    ask = order(world, checked)
    watched = looked.sample(range(count), min(WATCHED, count))
    found: dict[str, list[float]] = {"overall": [], "urgent": [], "moving": [], "quiet": []}
    credit = 0.0
    for now in range(0, UNTIL, MINUTE):
        credit += numbers_a_second * MINUTE
        ask(now, int(credit))
        credit -= int(credit)
        if now >= WARM and now % LOOK == 0:
            for parcel in watched:
                stale = (now + MINUTE - checked[parcel]) / 60
                status = world.status(parcel, now)
                found["overall"].append(stale)
                found[_group(world, parcel, status)].append(stale)
    return {
        name: {"median": round(statistics.median(each), 1), "p95": round(statistics.quantiles(each, n=20)[-1], 1)}
        for name, each in found.items()
    }


def _group(world: World, parcel: int, status: Status) -> str:
    if status in URGENT:
        return "urgent"
    return "quiet" if _is_dormant(world.life[parcel]) or status is Status.DELIVERED else "moving"


def _is_dormant(life: int) -> bool:
    return life == len(_LIVES) - 1


def round_robin(world: World, checked: list[int]) -> Ask:
    """Everybody in turn, whoever they are."""
    turn = 0

    def ask(now: int, quota: int) -> None:
        nonlocal turn
        for _ in range(min(quota, len(checked))):
            checked[turn] = now
            turn = (turn + 1) % len(checked)

    return ask


def by_value(world: World, checked: list[int]) -> Ask:
    """The service's order (store/parcels.py): of those that are due, whoever was due first."""
    queue: list[tuple[int, int]] = []

    def again(parcel: int, now: int) -> None:
        status, young = world.status(parcel, now), now - world.born[parcel] < 7 * DAY
        heapq.heappush(queue, (now + _wait(status, _is_dormant(world.life[parcel]), young), parcel))

    for parcel, since in enumerate(checked):
        again(parcel, since)

    def ask(now: int, quota: int) -> None:
        chosen: list[int] = []
        while len(chosen) < quota and queue[0][0] <= now:
            chosen.append(heapq.heappop(queue)[1])
        for parcel in chosen:
            checked[parcel] = now
            again(parcel, now)

    return ask
