"""A rig that kills whoever spends (SIGKILL, a real process), life after life, and then looks into both books."""

import asyncio
import json
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from proof.lives import DIED_AT, PACE, preload
from proof.nursery import Job, Nursery
from store.engine import Store, Unit, open_store
from store.migrate import migrate

AT_RANDOM, AT_THE_CHARGE = "random", "carrier.charged"


@dataclass(frozen=True, slots=True)
class Rig:
    """What one rig kills, where, and how it is judged.

    `points` are where a life may be killed; those that begin with one of `few` are met seldom, so every life may die
    at one of them, and some live for nothing else. A life that meets no kill is ended after `life_seconds`: longer
    where the machine is slow, so that lives get somewhere. New wishes are made only while fewer than `most_open` wait:
    a slow machine has fewer, not a backlog.
    """

    name: str
    street: Job
    buyer: Callable[[Callable[[], None]], Job]
    stock: Callable[[str, Path, int], Awaitable[dict[str, Any]]]
    """`(url, folder, wishes)`: make the database ready for so many; what the street is told besides."""
    waiting: Unit[int]
    verdict: Callable[[Store, Path, int], Awaitable[dict[str, Any]]]
    points: Sequence[str]
    few: tuple[str, ...]
    life_seconds: tuple[float, float]
    wishes: int  # in a life
    most_open: int
    longest: Callable[[int], float]
    """Seconds until the last life must have settled so many wishes."""


def no_bug() -> None:
    return None


async def hunt(rig: Rig, *, kills: int, seed: int, plant: Callable[[], None], seconds: float) -> dict[str, Any]:
    """Counts, and whether the promise held. `plant` puts a bug into the buyer's processes: in tests only."""
    preload()
    nursery = Nursery({"street": rig.street, "buyer": rig.buyer(plant)})
    folder = Path(tempfile.mkdtemp(prefix=f"homeward-{rig.name}-"))
    try:
        return await _hunt(rig, nursery, folder, kills, seed, seconds)
    finally:
        await nursery.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _hunt(rig: Rig, nursery: Nursery, folder: Path, kills: int, seed: int, seconds: float) -> dict[str, Any]:
    url = f"sqlite:///{folder / 'homeward.db'}"
    await migrate(url)
    told = await rig.stock(url, folder, (kills + 2) * rig.wishes)
    deadline, quiet = PACE.scaled(PACE.deadline), PACE.scaled(PACE.quiet)
    await nursery.start("street", folder=str(folder), seed=seed, deadline=deadline, quiet=quiet, **told)
    given = {"url": url, "street": await address_of(folder), "folder": str(folder)}
    async with httpx.AsyncClient(base_url=given["street"], trust_env=False) as http:
        killed, wishes = await _kill(rig, nursery, http, given, kills, random.Random(seed))
        await http.get("/rig/calm")
    pid = await nursery.start("buyer", **given, first=0, until=wishes, finish=seconds)
    settled = await nursery.wait(pid, rig.longest(wishes)) == 0
    store = await open_store(url, lock=False)
    try:
        verdict = await rig.verdict(store, folder, wishes)
    finally:
        await store.close()
    return {
        "held": settled and verdict["ok"] and verdict["naive_doubles"] > 0,
        "kills": sum(killed.values()),
        "kills_at": dict(sorted(killed.items())),
        "settled": settled,
        **verdict,
    }


async def _kill(
    rig: Rig, nursery: Nursery, http: httpx.AsyncClient, given: dict[str, str], kills: int, dice: random.Random
) -> tuple[Counter[str], int]:
    """Life after life, each ended by a kill: at a point that was met least so far, or at any time."""
    killed, tried = Counter[str](), Counter[str]()
    few = [point for point in rig.points if point.startswith(rig.few)]
    targets = [*rig.points, AT_THE_CHARGE, AT_RANDOM]
    wishes, (shortest, longest) = 0, rig.life_seconds
    life, died_at = shortest, Path(given["folder"]) / DIED_AT
    book = await open_store(given["url"], lock=False)
    while sum(killed.values()) < kills:
        point, rare = (
            min(names, key=lambda name: (killed[name] + tried[name], dice.random())) for names in (targets, few)
        )
        tried[point] += 1
        if await book.read(rig.waiting) < rig.most_open:
            wishes += rig.wishes
        first, at = max(0, wishes - 3 * rig.wishes), {point: dice.choice((1, 1, 2, 3))} if point not in few else {}
        died_at.unlink(missing_ok=True)
        pid = await nursery.start("buyer", **given, first=first, until=wishes, points={**at, rare: 1})
        if point == AT_THE_CHARGE:
            await http.get("/rig/doom", params={"pid": pid})
        code = await nursery.wait(pid, dice.uniform(0.05, life) if point == AT_RANDOM else life)
        if code not in (None, -signal.SIGKILL):
            raise RuntimeError(f"a buyer ended by itself, with {code}")
        killed[AT_RANDOM if code is None else died_at.read_text() if died_at.exists() else AT_THE_CHARGE] += 1
        if at and point != AT_RANDOM:  # whoever waits for what is rare waits in vain on a fast machine too
            life = max(shortest, min(longest, life * (1.15 if code is None else 0.85)))
    await book.close()
    return killed, wishes


async def address_of(folder: Path) -> str:
    for _ in range(600):
        if (folder / "address").exists():
            return (folder / "address").read_text()
        await asyncio.sleep(0.05)
    raise RuntimeError("the street did not open")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """A book of JSON lines; the last one may be torn by the kill that ended its writer."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]
