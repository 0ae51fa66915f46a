"""Two worker processes on PostgreSQL hear at once that a third attempt failed, and die in the middle (SIGKILL).

The promise: one case, one `return_to_warehouse.expected`, one intercept in the carrier's book, whoever comes next.
"""

import asyncio
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from carriers.contract import Source
from proof.feeds import number
from proof.hunting import AT_RANDOM, address_of, lines_of, no_bug
from proof.lives import PACE, job_of, killer
from proof.nursery import Nursery
from proof.one_intercept_buyer import Buyer, stock
from proof.one_intercept_street import WAITS, journey_of, open_counter
from proof.servers import postgres_server
from spending import points
from spending.points import INTERCEPT_NAMES
from store.cases import find_case
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import said_about
from store.parcels import find_parcel

ROUNDS = 12
HEAD_START, LIFE, FINISH, LONGEST = 0.15, 1.5, 15.0, 60.0
POINTS = tuple(name for name in INTERCEPT_NAMES if not name.startswith(("look.", "resend.")))


async def run(*, kills: int = 0, seed: int = 0, **_: object) -> dict[str, Any]:
    """The same on a PostgreSQL of its own; `kills` is two for each round."""
    with postgres_server() as server:
        name = f"race{uuid4().hex}"
        connection = await asyncpg.connect(server.format("postgres").replace("+asyncpg", ""))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        await migrate(server.format(name))
        return await race(server.format(name), rounds=max(1, kills // 2) if kills else ROUNDS, seed=seed)


async def race(url: str, *, rounds: int, seed: int = 0, plant: Callable[[], None] = no_bug) -> dict[str, Any]:
    """Round after round: one parcel, two workers that die, two that come after them. `plant`: a bug, in tests only."""
    nursery = Nursery({"street": open_counter, "worker": job_of(_live, plant)})
    folder, dice = Path(tempfile.mkdtemp(prefix="homeward-race-")), random.Random(seed)
    try:
        wishes = [wish for wish in range(rounds * 2) if journey_of(wish) == WAITS][:rounds]
        now, stocked = datetime.now(UTC), wishes[-1] + 1
        await stock(url, folder, stocked, now)
        deadline, quiet = PACE.scaled(PACE.deadline), PACE.scaled(PACE.quiet)
        given = {"folder": str(folder), "seed": seed, "deadline": deadline, "quiet": quiet}
        await nursery.start("street", **given, now=now.isoformat(), wishes=stocked)
        street = await address_of(folder)
        killed = Counter[str]()
        for wish in wishes:
            await _round(nursery, {"url": url, "street": street, "folder": str(folder), "wish": wish}, dice, killed)
        return await _verdict(url, folder, wishes, killed)
    finally:
        await nursery.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _round(nursery: Nursery, args: dict[str, Any], dice: random.Random, killed: Counter[str]) -> None:
    """The news by poll to one and by push to the other, at one instant; each dies where it meets its point, or soon."""
    at = time.time() + HEAD_START
    names = [dice.choice((*POINTS, AT_RANDOM)) for _ in range(2)]
    pids = [
        await nursery.start("worker", **args, at=at, point=point, source=source)
        for point, source in zip(names, (Source.POLL, Source.PUSH), strict=True)
    ]
    for pid, point in zip(pids, names, strict=True):
        code = await nursery.wait(pid, dice.uniform(0.1, LIFE) if point == AT_RANDOM else LIFE)
        if code not in (None, -signal.SIGKILL):
            raise RuntimeError(f"a worker ended by itself, with {code}")
        killed[AT_RANDOM if code is None else point] += 1
    at = time.time() + HEAD_START
    after = [await nursery.start("worker", **args, at=at, source=each) for each in (Source.PUSH, Source.POLL)]
    for pid in after:
        if await nursery.wait(pid, LONGEST) != 0:
            raise RuntimeError("something is still open")


async def _live(args: dict[str, Any]) -> None:
    """One worker's life: until its point, or (without one) until nothing is open."""
    store = await open_store(args["url"])
    life, wish = Buyer(store, args["street"], Path(args["folder"])), args["wish"]
    if point := args.get("point"):
        points.crash_point = killer({point: 1}, Path(args["folder"]))
    await asyncio.sleep(max(0.0, args["at"] - time.time()))
    await life.hear(wish, wish + 1, Source(args["source"]))
    if point:
        await life.sweep()
    closed = await life.finish(FINISH)
    await life.ups.aclose()
    await store.close()
    if not closed:
        raise SystemExit("something is still open")


# ----------------------------------------------------------------------------------------------------------- verdict


async def _verdict(url: str, folder: Path, wishes: list[int], killed: Counter[str]) -> dict[str, Any]:
    theirs = Counter(line["number"] for line in lines_of(folder / "ledger.jsonl") if line["kind"] == "intercept")
    store: Store = await open_store(url)
    found = Counter[str]()
    wrong: list[str] = []
    for wish in wishes:
        name = number("ups", wish)
        said, steps = await store.read(partial(_told, name=name))
        found["cases"] += len(steps)
        found["expected"] += said["return_to_warehouse.expected"]
        found["requested"] += said["return_to_warehouse.requested"]
        found["intercepts"] += theirs[name]
        asked, left = steps == ["requested"], steps == ["left_to_carrier"]  # left: the carrier refused it, uncharged
        if said["return_to_warehouse.expected"] != 1 or not (asked or left) or theirs[name] != int(asked):
            wrong.append(f"{name}: {dict(said)} {steps} {theirs[name]}")
    await store.close()
    return {
        "held": not wrong and found["requested"] > 0,
        "parcels": len(wishes),
        "kills": sum(killed.values()),
        "kills_at": dict(sorted(killed.items())),
        **found,
        "wrong": wrong,
    }


async def _told(tx: Tx, name: str) -> tuple[Counter[str], list[str]]:
    row = await find_parcel(tx, "ups", name)
    assert row is not None
    case = await find_case(tx, row["id"])
    said = Counter(told["type"] for told in await said_about(tx, f"parcel:{row['id']}"))
    return said, [case["step"]] if case else []
