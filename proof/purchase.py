"""Kills the buyer (SIGKILL, a real process) at every named point of a purchase while carriers charge and do not answer.

The promise: at quiescence every purchase has exactly one live paid label or a clean refusal; it is the label of a
return, or of a replacement that leaves the warehouse because of one.

The carriers are a process of their own with a ledger of their own; both books must agree. A naive buyer in the same run
must have bought twice, or the run proves nothing.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from proof.hunting import Rig, hunt, lines_of, no_bug
from proof.lives import PACE
from proof.misfortune import LOST
from proof.purchase_buyer import buyer, stock
from proof.purchase_street import open_shop
from spending.points import NAMES
from store.engine import Store, Tx, open_store
from store.purchases import all_labels, all_purchases, counts, documents_of, money_of
from store.settings import put_setting

KILLS = 200
RARE = ("void.", "resend.", "audit.")
"""Points that a purchase comes by only after a carrier's mistake, or much later."""
INDEX_LAG = 1 / 8  # of the quiet time, until a label is found by its reference
STUCK_SECONDS = 20.0
OPEN = frozenset({"PLANNED", "SENDING", "UNKNOWN"})
"""What waits for a carrier; what waits for a person must not hold up the next ones."""


async def run(
    *, kills: int = 0, seed: int = 0, plant: Callable[[], None] = no_bug, seconds: float = STUCK_SECONDS, **_: object
) -> dict[str, Any]:
    """Counts, and whether the promise held. `plant` puts a bug into the buyer's processes: in tests only."""
    return await hunt(RIG, kills=kills or KILLS, seed=seed, plant=plant, seconds=seconds)


async def _stock(url: str, folder: Path, wishes: int) -> dict[str, Any]:
    await _prove_replay(url)
    await stock(url, wishes)
    return {"index_lag": PACE.scaled(PACE.quiet) * INDEX_LAG}


async def _prove_replay(url: str) -> None:
    """The street keeps USPS's keys, as was proved on its account."""
    store = await open_store(url)
    await store.write(lambda tx: put_setting(tx, "spending.replays.usps", json.dumps({"proven": True})))
    await store.close()


async def _waiting(tx: Tx) -> int:
    purchases, _ = await counts(tx)
    return sum(row["n"] for row in purchases if row["state"] in OPEN)


# ----------------------------------------------------------------------------------------------------------- verdict


async def _verdict(store: Store, folder: Path, wishes: int) -> dict[str, Any]:
    """Both books, line by line."""
    ledger, sends = lines_of(folder / "ledger.jsonl"), lines_of(folder / "sends.jsonl")
    voided = {line["number"] for line in ledger if line["kind"] == "void"}
    ours = await store.read(_book)
    by_id = {entry["id"]: reference for reference, entry in ours.items()}
    theirs: dict[str, list[str]] = defaultdict(list)
    made: dict[str, list[datetime]] = defaultdict(list)
    for line in ledger:
        if line["kind"] == "label":  # UPS knows our reference, USPS the purchase as its key
            key = line["key"]
            name = by_id.get(key, f"R {key}") if key else line["reference"]
            theirs[name].append(line["number"])
            made[name].append(datetime.fromisoformat(line["at"]))
    found: dict[str, list[str]] = defaultdict(list)
    ends: Counter[str] = Counter()
    for reference, entry in ours.items():
        ends[entry["state"]] += 1
        if entry["state"] == "REJECTED" and theirs.get(reference):
            found["refused_but_bought"].append(reference)
        _judge(reference, entry, [n for n in theirs.get(reference, []) if n not in voided], voided, found)
    mine = {reference: numbers for reference, numbers in theirs.items() if reference.startswith("R")}
    found["unfindable"] += [reference for reference in mine if reference not in ours]
    sent_off = {line["number"] for line in sends if line["fate"] == "sent_off"}
    found["voided_in_use"] += sorted(voided & sent_off)
    found["voided_unasked"] += sorted(voided - {n for e in ours.values() for n in e["labels"]})
    found["bytes_changed"] += _changed(sends)
    found["sent_though_bought"] += _sent_though_bought(made, sends)
    if len(ours) != wishes:
        found["wishes_lost"].append(f"{wishes - len(ours)} of {wishes}")
    naive = {reference: numbers for reference, numbers in theirs.items() if reference.startswith("N")}
    fates = Counter(line["fate"] for line in sends if line["reference"].startswith("R"))
    return {
        "ok": not any(found.values()),
        "purchases": len(ours),
        "of_parcels_that_leave": sum(entry["leaves"] for entry in ours.values()),
        "ends": dict(ends),
        "labels_at_carriers": sum(len(numbers) for numbers in mine.values()),
        "bought_twice_and_voided": len(voided),
        "answers_lost_after_charging": sum(fates[fate] for fate in LOST),
        "fates": dict(fates),
        **{name: len(found[name]) for name in _FAULTS},
        "examples": {name: items[:3] for name, items in found.items() if items},
        "naive_purchases": len(naive),
        "naive_doubles": sum(len(numbers) > 1 for numbers in naive.values()),
    }


_FAULTS = (
    "doubles", "sent_though_bought", "lost", "refused_but_bought", "stuck", "untold", "unfindable",
    "void_label_issued", "books_differ", "voided_in_use", "voided_unasked", "bytes_changed", "no_money_line",
    "no_document", "wishes_lost",
)  # fmt: skip


def _judge(
    reference: str, entry: dict[str, Any], live: list[str], voided: set[str], found: dict[str, list[str]]
) -> None:
    """One purchase: what we say of it, against what the carrier was paid for."""
    labels: dict[str, str] = entry["labels"]
    own = [number for number, state in labels.items() if state in ("live", "held")]
    in_use = [number for number, state in labels.items() if state == "used"]
    paid = [number for number in live if number not in in_use]
    match entry["state"]:
        case "ISSUED":
            if not paid:
                found["void_label_issued" if set(own) & voided else "lost"].append(reference)
            elif len(paid) > 1:
                found["doubles"].append(reference)
            elif paid != own:
                found["books_differ"].append(reference)
            if not entry["documents"]:
                found["no_document"].append(reference)
        case "REJECTED":
            pass  # judged by whether anything was ever bought
        case "NEEDS_HUMAN":
            if not entry["told"]:
                found["untold"].append(reference)
            if len(paid) > 1:
                found["doubles"].append(reference)
        case _:
            found["stuck"].append(reference)
    waiting = [f"{number} {state}" for number, state in labels.items() if state in ("surplus", "voiding")]
    if waiting:
        found["stuck"].append(f"{reference}: {', '.join(waiting)}")
    if any(state == "voided" and number not in voided for number, state in labels.items()):
        found["books_differ"].append(reference)
    if set(labels) - set(entry["paid"]):
        found["no_money_line"].append(reference)


async def _book(tx: Tx) -> dict[str, dict[str, Any]]:
    """Our own book: of each purchase its end, its labels by state, and what is kept of each."""
    book: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for row in await all_purchases(tx, "label"):
        names[row["id"]] = row["reference"]
        told = bool(row["told"])
        leaves = not row["subject"].startswith("return:")
        entry = {"id": row["id"], "state": row["state"], "told": told, "leaves": leaves}
        entry |= {"labels": {}, "paid": [], "documents": 0}
        book[row["reference"]] = entry
    for label in await all_labels(tx):
        entry = book[names[label["purchase_id"]]]
        entry["labels"][label["number"]] = label["state"]
        lines = {line["kind"] for line in await money_of(tx, label["id"])}
        if "price" in lines and (label["state"] != "voided" or "refund" in lines):
            entry["paid"].append(label["number"])
        if label["state"] == "live":
            entry["documents"] = len(await documents_of(tx, label["id"]))
    return book


def _changed(sends: list[dict[str, str]]) -> list[str]:
    """References under which two different requests, or two keys, were sent."""
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for line in sends:
        if line["reference"].startswith("R") and "digest" in line:
            seen[line["key"] or line["reference"]].add((line["digest"], line["key"]))
    return [reference for reference, bodies in seen.items() if len(bodies) > 1]


def _sent_though_bought(made: dict[str, list[datetime]], sends: list[dict[str, str]]) -> list[str]:
    """References bought twice by two sends of ours, though the first label could be found within the quiet time.

    Such a double is voided later, and nobody would see it at the end. A carrier that charges one send twice, or
    executes it after the quiet time (a very slow machine), has made its double itself.
    """
    fates: dict[str, set[str]] = defaultdict(set)
    first: dict[str, datetime] = {}
    for line in sends:
        fates[line["reference"]].add(line["fate"])
        first.setdefault(line["reference"], datetime.fromisoformat(line["at"]))
    soon = timedelta(seconds=PACE.scaled(PACE.quiet) * (1 - INDEX_LAG))
    return [
        reference
        for reference, instants in made.items()
        if reference in first
        and reference.startswith("R")
        and len(instants) > 1
        and "charged_twice" not in fates[reference]
        and min(instants) - first[reference] < soon
    ]


RIG = Rig(
    name="purchase",
    street=open_shop,
    buyer=buyer,
    stock=_stock,
    waiting=_waiting,
    verdict=_verdict,
    points=NAMES,
    few=RARE,
    life_seconds=(0.6, 2.0),
    wishes=5,
    most_open=30,
    longest=lambda wishes: 300.0 + 0.2 * wishes,
)
