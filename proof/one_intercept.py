"""Kills whoever orders parcels back (SIGKILL, a real process) at every point while the carrier charges in silence.

The promise: at quiescence each case has at most one intercept in the carrier's book, none for a parcel that had moved
on, both books agree and nothing is stuck. A naive buyer in the same run must have ordered twice, or nothing is proved.
"""

import random
import shutil
import signal
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from proof.feeds import number
from proof.misfortune import LOST
from proof.nursery import Nursery
from proof.one_intercept_buyer import MERCHANT, buyer, stock
from proof.one_intercept_street import WAITS, is_naive, journey_of, open_counter
from proof.purchase import AT_RANDOM, AT_THE_CHARGE, LONGEST, address_of, lines_of, no_bug
from proof.purchase_buyer import PACE
from spending.points import INTERCEPT_NAMES
from store.cases import find_case, money_of_case
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import said_about
from store.parcels import list_parcels
from store.purchases import open_purchases, purchase_of

KILLS = 120
RARE = ("resend.", "look.", "carrier.")
FEW = ("intercept.", *RARE)
"""Points that a life of a few parcels comes by once, if at all: it is given longer."""
LIFE_SECONDS = (0.8, 4.0)
WISHES_IN_A_LIFE, MOST_OPEN, STUCK_SECONDS = 4, 20, 20.0
ONCE = ("return_to_warehouse.expected", "return_to_warehouse.requested", "ops.left_to_carrier")
FAULTS = (
    "doubles", "in_vain", "books_differ", "stuck", "said_wrongly", "bytes_changed", "no_money_line", "unfindable",
)  # fmt: skip


async def run(
    *, kills: int = 0, seed: int = 0, plant: Callable[[], None] = no_bug, seconds: float = STUCK_SECONDS, **_: object
) -> dict[str, Any]:
    """Counts, and whether the promise held. `plant` puts a bug into the buyer's processes: in tests only."""
    nursery = Nursery({"street": open_counter, "buyer": buyer(plant)})
    folder = Path(tempfile.mkdtemp(prefix="homeward-intercept-"))
    try:
        return await _run(nursery, folder, kills or KILLS, seed, seconds)
    finally:
        await nursery.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _run(nursery: Nursery, folder: Path, kills: int, seed: int, seconds: float) -> dict[str, Any]:
    url, now = f"sqlite:///{folder / 'homeward.db'}", datetime.now(UTC)
    stocked = (kills + 2) * WISHES_IN_A_LIFE
    await migrate(url)
    await stock(url, folder, stocked, now)
    deadline, quiet = PACE.scaled(PACE.deadline), PACE.scaled(PACE.quiet)
    given = {"folder": str(folder), "seed": seed, "deadline": deadline, "quiet": quiet}
    await nursery.start("street", **given, now=now.isoformat(), wishes=stocked)
    street = await address_of(folder)
    killed, wishes = await _hunt(nursery, folder, url, street, kills, random.Random(seed))
    async with httpx.AsyncClient(base_url=street, trust_env=False) as http:
        await http.get("/rig/calm")
    ending = {"url": url, "street": street, "folder": str(folder), "first": 0, "until": wishes, "finish": seconds}
    settled = await nursery.wait(await nursery.start("buyer", **ending), LONGEST) == 0
    store = await open_store(url, lock=False)
    try:
        verdict = await _verdict(store, folder, wishes)
    finally:
        await store.close()
    return {
        "held": settled and verdict["ok"] and verdict["naive_doubles"] > 0,
        "kills": sum(killed.values()),
        "kills_at": dict(sorted(killed.items())),
        "settled": settled,
        **verdict,
    }


async def _hunt(
    nursery: Nursery, folder: Path, url: str, street: str, kills: int, dice: random.Random
) -> tuple[Counter[str], int]:
    """Life after life, each ended by a kill: at the point that was met least so far, or at any time."""
    killed, tried, wishes, life = Counter[str](), Counter[str](), 0, LIFE_SECONDS[0]
    book = await open_store(url, lock=False)
    async with httpx.AsyncClient(base_url=street, trust_env=False) as http:
        while sum(killed.values()) < kills:
            targets = [*INTERCEPT_NAMES, AT_THE_CHARGE, AT_RANDOM]
            point = min(targets, key=lambda name: (killed[name] + tried[name], dice.random()))
            tried[point] += 1
            if len(await book.read(lambda tx: open_purchases(tx, MOST_OPEN))) < MOST_OPEN:
                wishes += WISHES_IN_A_LIFE
            asked = {"first": max(0, wishes - 3 * WISHES_IN_A_LIFE), "until": wishes, "point": point}
            nth = 1 if point.startswith(FEW) else dice.choice((1, 1, 2, 3))
            pid = await nursery.start("buyer", url=url, street=street, folder=str(folder), nth=nth, **asked)
            if point == AT_THE_CHARGE:
                await http.get("/rig/doom", params={"pid": pid})
            patience = life * 2 if point.startswith(FEW) else life
            code = await nursery.wait(pid, dice.uniform(0.05, life) if point == AT_RANDOM else patience)
            if code not in (None, -signal.SIGKILL):
                raise RuntimeError(f"a buyer ended by itself, with {code}")
            killed[AT_RANDOM if code is None else point] += 1
            life = max(LIFE_SECONDS[0], min(LIFE_SECONDS[1], life * (1.15 if code is None else 0.85)))
    await book.close()
    return killed, wishes


# ----------------------------------------------------------------------------------------------------------- verdict


async def _verdict(store: Store, folder: Path, wishes: int) -> dict[str, Any]:
    """Both books, parcel by parcel."""
    ledger, sends = lines_of(folder / "ledger.jsonl"), lines_of(folder / "sends.jsonl")
    theirs = Counter(line["number"] for line in ledger if line["kind"] == "intercept")
    ours, found, ends = await store.read(_book), defaultdict[str, list[str]](list), Counter[str]()
    for wish in range(wishes):
        name = number("ups", wish)
        entry = ours[name]
        ends[f"{entry['state']} {entry['purchase'] or '-'}"] += 1
        _judge(name, journey_of(wish) == WAITS, theirs[name], entry, found)
    found["unfindable"] += [name for name in theirs if name not in ours and not is_naive(name)]
    bodies: dict[str, set[str]] = defaultdict(set)
    for line in sends:
        bodies[line["number"]].add(line["digest"])
    found["bytes_changed"] += [name for name, digests in bodies.items() if len(digests) > 1]
    naive = {name: count for name, count in theirs.items() if is_naive(name)}
    fates = Counter(line["fate"] for line in sends if not is_naive(line["number"]))
    return {
        "ok": not any(found.values()),
        "cases": wishes,
        "ends": dict(sorted(ends.items())),
        "intercepts_at_the_carrier": sum(theirs.values()) - sum(naive.values()),
        "answers_lost_after_charging": sum(fates[fate] for fate in LOST),
        "fates": dict(fates),
        **{name: len(found[name]) for name in FAULTS},
        "examples": {name: items[:3] for name, items in found.items() if items},
        "naive_orders": len(naive),
        "naive_doubles": sum(count > 1 for count in naive.values()),
    }


def _judge(name: str, waits: bool, paid: int, entry: dict[str, Any], found: dict[str, list[str]]) -> None:
    """One parcel: what we say of it, against what the carrier was paid for."""
    if paid > 1:
        found["doubles"].append(name)
    if paid and not waits:
        found["in_vain"].append(name)
    bought = entry["purchase"] == "ISSUED"
    if bought != bool(paid) or (bought and entry["step"] != "requested"):
        found["books_differ"].append(name)
    if bought != entry["priced"]:
        found["no_money_line"].append(name)
    if entry["purchase"] not in (None, "ISSUED", "REJECTED") or entry["state"] in ("", "expected"):
        found["stuck"].append(name)
    said: Counter[str] = entry["said"]
    if any(said[type] > 1 for type in ONCE) or bool(said["return_to_warehouse.requested"]) != bought:
        found["said_wrongly"].append(name)


async def _book(tx: Tx) -> dict[str, dict[str, Any]]:
    """Our own book: of each parcel its case, its purchase, what was said and what was paid."""
    book: dict[str, dict[str, Any]] = {}
    after = 0
    while rows := await list_parcels(tx, after=after, limit=500, merchant=MERCHANT):
        after = rows[-1]["id"]
        for row in rows:
            case = msgspec.json.decode(row["conclusion"]).get("return_to_warehouse") or {}
            kept = await find_case(tx, row["id"])
            bought = await purchase_of(tx, f"parcel:{row['id']}", "intercept")
            book[row["number"]] = {
                "state": case.get("state", ""),
                "step": kept["step"] if kept else "",
                "purchase": bought["state"] if bought else None,
                "priced": any(line["name"] == "intercept" for line in await money_of_case(tx, row["id"])),
                "said": Counter(said["type"] for said in await said_about(tx, f"parcel:{row['id']}")),
            }
    return book
