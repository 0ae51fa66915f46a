"""Kills whoever orders parcels back (SIGKILL, a real process) at every point while the carrier charges in silence.

The promise: at quiescence each case has at most one intercept in the carrier's book, none for a parcel that had moved
on, both books agree and nothing is stuck. A naive buyer in the same run must have ordered twice, or nothing is proved.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from proof.feeds import number
from proof.hunting import Rig, hunt, lines_of, no_bug
from proof.misfortune import LOST
from proof.one_intercept_buyer import MERCHANT, buyer, stock
from proof.one_intercept_street import WAITS, is_naive, journey_of, open_counter
from spending.points import INTERCEPT_NAMES
from store.cases import find_case, money_of_case
from store.engine import Store, Tx
from store.outbox import said_about
from store.parcels import list_parcels
from store.purchases import open_purchases, purchase_of

KILLS = 120
RARE = ("resend.", "look.")
FEW = ("intercept.", *RARE)
"""Points that a life of a few parcels comes by once, if at all."""
STUCK_SECONDS, MOST_OPEN = 20.0, 20
ONCE = ("return_to_warehouse.expected", "return_to_warehouse.requested", "ops.left_to_carrier")
FAULTS = (
    "doubles", "in_vain", "books_differ", "stuck", "said_wrongly", "bytes_changed", "no_money_line", "unfindable",
)  # fmt: skip


async def run(
    *, kills: int = 0, seed: int = 0, plant: Callable[[], None] = no_bug, seconds: float = STUCK_SECONDS, **_: object
) -> dict[str, Any]:
    """Counts, and whether the promise held. `plant` puts a bug into the buyer's processes: in tests only."""
    return await hunt(RIG, kills=kills or KILLS, seed=seed, plant=plant, seconds=seconds)


async def _stock(url: str, folder: Path, wishes: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    await stock(url, folder, wishes, now)
    return {"now": now.isoformat(), "wishes": wishes}


async def _waiting(tx: Tx) -> int:
    return len(await open_purchases(tx, MOST_OPEN))


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


RIG = Rig(
    name="intercept",
    street=open_counter,
    buyer=buyer,
    stock=_stock,
    waiting=_waiting,
    verdict=_verdict,
    points=INTERCEPT_NAMES,
    few=FEW,
    life_seconds=(0.8, 4.0),
    wishes=4,
    most_open=MOST_OPEN,
    longest=lambda wishes: 300.0,
)
