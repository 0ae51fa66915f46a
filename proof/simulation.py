"""The pure core under a seeded scheduler in virtual time, at least three faults a parcel: nothing lost, doubled, stuck.

Each parcel is a world of its own (proof/simulation_world.py), fixed by the seed and its serial: whatever fails is told
with the command that plays it again.
"""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from proof.convergence import unsaid
from proof.journeys import facts
from proof.simulation_scripts import SCRIPTS, Script, script
from proof.simulation_world import FAULTS, POLLS, STEPS, World, wrongs
from spending.machine import CLOSED, State
from tracker.policy import CaseState

PARCELS = 50_000
BLOCK = 25  # parcels next to each other play the same script
SHARE, SMALL = 58, 200  # scripts that one process takes at a time; parcels for which no process is started
LEAST, MOST = 3, 8
"""Faults for each parcel, at least and at most, those of its purchases not counted."""
KINDS = ("lost", "doubled", "stuck")


@dataclass(slots=True)
class Tally:
    """What one share of the parcels came to."""

    parcels: int = 0
    notices: int = 0
    heard: int = 0
    purchases: int = 0
    fewest: int = 10**9
    faults: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    journeys: set[str] = field(default_factory=set)

    def add(self, other: "Tally") -> None:
        self.parcels += other.parcels
        self.notices += other.notices
        self.heard += other.heard
        self.purchases += other.purchases
        self.fewest = min(self.fewest, other.fewest)
        self.faults += other.faults
        self.wrong += other.wrong
        self.failures += other.failures
        self.journeys |= other.journeys


async def run(*, parcels: int = 0, seed: int = 0, first: int = 0, processes: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held."""
    wanted, began, tally = parcels or PARCELS, time.monotonic(), Tally()
    serials = range(first, first + wanted)
    if wanted <= SMALL or processes == 1:
        tally.add(walk(seed, serials))
    else:
        shares = [(seed, serials, scripts) for scripts in range(0, SCRIPTS, SHARE)]
        with multiprocessing.get_context("spawn").Pool(processes or min(4, os.cpu_count() or 1)) as pool:
            for part in pool.imap_unordered(_share, shares):
                tally.add(part)
    seconds = time.monotonic() - began
    return {
        "held": not any(tally.wrong.values()) and tally.fewest >= LEAST and tally.parcels == wanted,
        "seed": seed,
        "parcels": tally.parcels,
        **{kind: tally.wrong[kind] for kind in KINDS},
        "failures": tally.failures[:10],
        "faults": dict(sorted(tally.faults.items())),
        "fewest_faults_of_a_parcel": tally.fewest,
        "journeys": len(tally.journeys),
        "purchases": tally.purchases,
        "notices": tally.notices,
        "notices_sent_again": tally.heard - tally.notices,
        "parcels_per_second": round(tally.parcels / seconds, 1),
    }


def _share(share: tuple[int, range, int]) -> Tally:
    """The parcels of some scripts: a script is read once, and what is folded for one parcel serves the others."""
    seed, serials, first = share
    blocks = range(serials.start // BLOCK, (serials.stop - 1) // BLOCK + 1)
    mine = sorted((script_of(seed, block * BLOCK), block) for block in blocks)
    ours = (block * BLOCK for number, block in mine if first <= number < first + SHARE)
    return walk(seed, [each for start in ours for each in range(start, start + BLOCK) if each in serials])


def script_of(seed: int, serial: int) -> int:
    """Which script a parcel plays: neighbours the same, the next ones another, every seed from another on."""
    return (serial // BLOCK * 1009 + seed * 7919) % SCRIPTS


def walk(seed: int, serials: Sequence[int]) -> Tally:
    """These parcels, one after the other."""
    tally = Tally()
    for serial in serials:
        world, wrong = lived(seed, serial, told=len(serials) == 1)
        tally.parcels += 1
        tally.notices += len({id for id, _ in world.heard})
        tally.heard += len(world.heard)
        tally.purchases += len(world.lives)
        tally.fewest = min(tally.fewest, sum(n for name, n in world.struck.items() if name in FAULTS))
        tally.faults += world.struck
        tally.journeys.add(world.script.journey)
        tally.wrong.update(kind for kind in KINDS if wrong[kind])
        if any(wrong.values()):
            again = f"python -m proof simulation --seed {seed} --first {serial} --parcels 1"
            tale = {"story": world.log} if world.log is not None else {}
            tally.failures.append({"replay": again, "journey": world.script.journey, **wrong, **tale})
    return tally


def lived(seed: int, serial: int, *, told: bool = False) -> tuple[World, dict[str, list[str]]]:
    """One parcel's life to the end, and what went wrong with it, by kind."""
    dice, told_by = Random(f"simulation/{seed}/{serial}"), script(script_of(seed, serial))
    passing = {fault: dice.randrange(5) for fault in STEPS[:4]}
    world = World(told_by, dice, armed(dice, told_by), passing, log=[] if told else None)
    return world, judged(world, world.live())


def armed(dice: Random, script: Script) -> dict[str, datetime]:
    """Which faults strike, and from when on: three early that every parcel has occasion for, more at any time."""
    life, soon = script.ends_at - script.starts_at, [dice.choice(POLLS), *dice.sample(STEPS[:4], 2)]
    more = dice.sample(FAULTS, dice.randrange(1, MOST - LEAST + 1))
    times = {fault: script.starts_at + life * dice.random() for fault in more}
    return times | {fault: script.starts_at + life * dice.random() / 4 for fault in soon}


def judged(world: World, rests: bool) -> dict[str, list[str]]:
    """Lost: what was acknowledged, concluded or said is not there. Doubled: had twice. Stuck: still to be done."""
    found, wrong = world.conclusion, wrongs(world)
    lost, doubled = wrong["lost"], wrong["doubled"]
    stuck = [] if rests else ["it never came to rest"]
    lost += [f"acknowledged, not kept: {digest[:12]}" for digest in world.acknowledged - world.payloads.keys()]
    stuck += [f"not read: {digest[:12]}" for digest, kept in world.payloads.items() if not kept.is_read]
    stuck += [f"not delivered: {name}" for name, each in world.owed.items()]
    stuck += [f"given up: {name}" for name, each in world.said.items() if each.state == "failed"]
    stuck += ["an order that nobody sees to"] if world.order_due else []
    if found is None:
        lost.append("nothing was concluded")
    else:
        truth, ours = dict(world.script.truth), facts(found)
        if truth["case"] and truth["case"][0] == CaseState.EXPECTED and world.deed and ours["case"]:
            truth["case"] = [ours["case"][0], truth["case"][1]]  # what we did about it the street does not know
        lost += [f"{name}: {truth[name]}, concluded {ours[name]}" for name in truth if truth[name] != ours[name]]
        lost += sorted(unsaid(found, list(world.said)))
    if sorted(each.sequence for each in world.said.values()) != list(range(1, len(world.said) + 1)):
        doubled.append("two notices of one number")
    for name, life in world.lives.items():
        paid = world.paid(name)
        doubled += [f"{name}: paid {paid} times"] if paid > 1 else []
        lost += [f"{name}: paid, and refused"] if life.state is State.REJECTED and paid else []
        stuck += [f"{name}: {life.state}"] if life.state not in CLOSED | {State.NEEDS_HUMAN} else []
    return {"lost": lost, "doubled": doubled, "stuck": stuck}
