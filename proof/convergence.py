"""Any order, repetition and share of the payloads gives the same parcel: by the fold, and through the real ledger.

The payloads are the street's bytes, and some tell a scan in other words (`altered`): a carrier that corrects itself.
Nothing is compared with a truth here, only with another order of the same.
"""

import asyncio
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from carriers.contract import Payload, Readings
from fleet.clocks import to_us
from merchants.terms import default_for, shipped
from proof.feeds import Feeds, feed, shipment
from proof.journeys import READS, set_out
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import said_about
from store.parcels import find_parcel, register_parcel
from tracker.explain import explained
from tracker.ledger import Ledger
from tracker.lifecycle import Shipment, Sighting, Status, Telling, fold
from tracker.policy import Conclusion, conclude, verdicts

EXAMPLES, SHARE = 10_000, 200
ORDERS = 3  # of each example
LEDGER_EVERY = 50  # one example in so many goes through the ledger as well


@dataclass(frozen=True, slots=True)
class Example:
    """Some of what was told of one parcel, and what the shop knows of it."""

    serial: int
    journey: str
    known: Shipment
    payloads: tuple[Payload, ...]
    starts_at: datetime
    now: datetime


@dataclass(slots=True)
class Tally:
    examples: int = 0
    altered: int = 0
    partial: int = 0
    orders: int = 0
    through_ledger: int = 0
    statuses: set[str] = field(default_factory=set)
    diverged: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.examples += other.examples
        self.altered += other.altered
        self.partial += other.partial
        self.orders += other.orders
        self.through_ledger += other.through_ledger
        self.statuses |= other.statuses
        self.diverged += other.diverged


async def run(*, examples: int = 0, seed: int = 0, processes: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held."""
    wanted, tally = examples or EXAMPLES, Tally()
    shares = [(seed, first, min(SHARE, wanted - first)) for first in range(0, wanted, SHARE)]
    with multiprocessing.get_context("spawn").Pool(processes or min(4, os.cpu_count() or 1)) as pool:
        for part in pool.imap_unordered(_share, shares):
            tally.add(part)
    return {
        "held": not tally.diverged and tally.examples > 0,
        "seed": seed,
        "examples": tally.examples,
        "with_altered_payloads": tally.altered,
        "partial": tally.partial,
        "orders": tally.orders,
        "through_the_ledger": tally.through_ledger,
        "outcomes": len(tally.statuses),
        "diverged": len(tally.diverged),
        "diverging": tally.diverged[:10],
    }


def _share(share: tuple[int, int, int]) -> Tally:
    return asyncio.run(walk(*share))


async def walk(seed: int, first: int, count: int, *, ledger_every: int = LEDGER_EVERY) -> Tally:
    """So many examples from that serial on."""
    feeds, tally = Feeds(), Tally()
    folder = Path(tempfile.mkdtemp(prefix="homeward-convergence-"))
    try:
        ledgers = await _ledgers(folder)
        for serial in range(first, first + count):
            dice = Random(f"convergence/{seed}/{serial}")
            example = _example(feeds, serial, dice, tally)
            _folded(example, dice, tally)
            if serial % ledger_every == 0:
                await _entered(example, ledgers, dice, tally)
            tally.examples += 1
        for ledger in ledgers:
            await ledger.store.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def _example(feeds: Feeds, serial: int, dice: Random, tally: Tally) -> Example:
    """A parcel's payloads: whole or in part, some of them altered."""
    parcel = set_out(feeds, serial, dice)
    payloads = list(dict.fromkeys(feed(feeds, parcel, dice)))
    if len(payloads) > 1 and dice.random() < 0.5:
        payloads = dice.sample(payloads, dice.randrange(1, len(payloads)))
        tally.partial += 1
    if dice.random() < 0.5:
        payloads += [altered(each, dice) for each in payloads if dice.random() < 0.5]
        tally.altered += 1
    known = shipment(parcel, places=dice.random() < 0.7)
    moment = parcel.starts_at + (parcel.telling.ends_at - parcel.starts_at) * dice.uniform(0.5, 1.5)
    feeds.town.parcels.clear()
    feeds.town.queue.drop(parcel.number)
    return Example(
        serial, parcel.journey.name, known, tuple(dict.fromkeys(payloads)), parcel.starts_at, moment
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- by the fold


def _folded(example: Example, dice: Random, tally: Tally) -> None:
    """The same payloads in several orders, some of them again: the same conclusion to the byte."""
    read = {payload: READS[payload.carrier].read(payload) for payload in example.payloads}
    base = concluded(example, example.payloads, read.__getitem__)
    tally.statuses.add(json.loads(base)["leg"] + "/" + json.loads(base)["status"])
    for turn in range(ORDERS):
        order = [*example.payloads, *dice.choices(example.payloads, k=dice.randrange(len(example.payloads) + 1))]
        dice.shuffle(order)
        reading = read.__getitem__ if turn else (lambda payload: READS[payload.carrier].read(payload))
        other = concluded(example, order, reading)
        tally.orders += 1
        if other != base:
            tally.diverged.append({**_name(example), "by": "fold", "differs": differences(base, other)})
            return


def concluded(example: Example, order: Sequence[Payload], read: Callable[[Payload], Readings]) -> bytes:
    """The conclusion as JSON when the payloads come in this order."""
    sightings, tellings = [], []
    for payload in order:
        readings = read(payload)
        sightings += [
            Sighting(e, payload.source, payload.digest) for e in readings.events if e.number == example.known.number
        ]
        tellings += [Telling(t, payload.digest) for t in readings.told if t.number == example.known.number]
    parcel = fold(sightings, tellings, example.known)
    return msgspec.json.encode(explained(conclude(parcel, default_for(example.known.carrier), example.now)))


def differences(one: bytes, other: bytes) -> dict[str, Any]:
    a, b = json.loads(one), json.loads(other)
    return {key: [a.get(key), b.get(key)] for key in a if a.get(key) != b.get(key)}


def _name(example: Example) -> dict[str, Any]:
    return {"serial": example.serial, "journey": example.journey, "payloads": len(example.payloads)}


# ------------------------------------------------------------------------------------------------------- by the ledger


async def _ledgers(folder: Path) -> list[Ledger]:
    """Two installations that never hear of each other."""
    template = folder / "template.db"
    await migrate(f"sqlite:///{template}")
    ledgers = []
    for name in ("one", "other"):
        shutil.copy(template, folder / f"{name}.db")
        ledgers.append(Ledger(await open_store(f"sqlite:///{folder / name}.db"), READS, shipped()))
    return ledgers


async def _entered(example: Example, ledgers: Sequence[Ledger], dice: Random, tally: Tally) -> None:
    """Both keep and read the same payloads, each in its own order, and conclude the same; each has said all of it."""
    results = []
    for ledger in ledgers:
        order = [*example.payloads, *dice.choices(example.payloads, k=2)]
        dice.shuffle(order)
        results.append(await _live(ledger, example, order, dice))
    tally.through_ledger += 1
    (one, wrong), (other, also_wrong) = results
    if one != other:
        tally.diverged.append({**_name(example), "by": "ledger", "differs": differences(one, other)})
    elif wrong or also_wrong:
        tally.diverged.append({**_name(example), "by": "outbox", "differs": sorted(wrong | also_wrong)})


def unsaid(conclusion: Conclusion, said: Sequence[str]) -> set[str]:
    """What is wrong with what was said, in this order, now that everything is known.

    Said must be all that the conclusion tells, and its status last of all statuses. What was said on the way and is no
    longer so depends on the order in which things became known; an attempt no longer counted must have been taken back.
    """
    due = {verdict.name for verdict in verdicts(conclusion, ("", "")) if not verdict.name.startswith("status/")}
    wrong = {f"never said: {name}" for name in due.difference(said)}
    last = [name.split("/")[1:3] for name in said if name.startswith("status/")][-1:]
    if conclusion.status is not Status.UNKNOWN and last != [[conclusion.leg, conclusion.status]]:
        wrong.add(f"status said last: {last}, concluded: {conclusion.leg}/{conclusion.status}")
    taken_back = any(name.startswith("out/attempts_corrected/") for name in said)
    gone = {name for name in said if name.startswith("out/attempt/")} - due
    return wrong | {f"not taken back: {name}" for name in gone if not taken_back}


async def _live(ledger: Ledger, example: Example, order: Sequence[Payload], dice: Random) -> tuple[bytes, set[str]]:
    """One installation's life with this parcel: registered first or late, reading at once or later."""
    late = dice.randrange(len(order) + 1) if dice.random() < 0.5 else 0
    id, unread = 0, []
    for place, payload in enumerate(order):
        if place == late:
            id = await _register(ledger.store, example)
        kept = await ledger.keep(payload, example.now)
        unread += [kept.id] if kept.unread else []
        while unread and dice.random() < 0.7:
            await ledger.read(unread.pop(dice.randrange(len(unread))), example.now)
    id = id or await _register(ledger.store, example)
    for each in unread:
        await ledger.read(each, example.now)
    await ledger.review(id, example.now)

    async def found(tx: Tx) -> tuple[bytes, set[str]]:
        row = await find_parcel(tx, example.known.carrier, example.known.number)
        if row is None:
            return b"", {"no such parcel"}
        said = [each["name"] for each in await said_about(tx, f"parcel:{id}")]
        return row["conclusion"].encode(), unsaid(await ledger.conclusion(tx, row, example.now), said)

    return await ledger.store.read(found)


async def _register(store: Store, example: Example) -> int:
    known = example.known
    record = {"origin": _place(known.origin), "destination": _place(known.destination)}

    async def unit(tx: Tx) -> int:
        return await register_parcel(
            tx,
            merchant=default_for(known.carrier).name,
            carrier=known.carrier,
            number=known.number,
            purpose=known.purpose,
            shipment=json.dumps(record),
            now_us=to_us(example.starts_at),
        )

    return await store.write(unit)


def _place(place: Any) -> dict[str, str]:
    return {name: getattr(place, name) for name in ("city", "region", "postal_code", "country")}


# --------------------------------------------------------------------------------------------------- other words for it


def altered(payload: Payload, dice: Random) -> Payload:
    """The payload with some of its scans in other words, with another status, at another place or a minute later."""
    told = json.loads(payload.body)
    if isinstance(told, dict) and isinstance(told.get("payload"), str):
        inner = json.loads(told["payload"])
        _alter(inner, dice)
        told["payload"] = json.dumps(inner)
    else:
        _alter(told, dice)
    return replace(payload, body=json.dumps(told).encode())


_OTHER: dict[str, tuple[Any, ...]] = {
    "statusCode": ("013", "022", "060", "034", "011"),
    "descriptionCode": ("013", "022", 60, "034"),
    "description": ("Delivery attempted", "Words nobody knows", "A final attempt will be made on Tuesday"),
    "eventType": ("Notice Left (Business Closed)", "Delivered, To Original Sender", "Words nobody knows"),
    "city": ("BERLIN", "", "Bentivoglio"),
    "eventCity": ("SECAUCUS", None),
    "scheduledDeliveryDate": ("20260405", ""),
    "expectedDeliveryDate": ("2026-04-05",),
    "returnDateNotice": ("2026-04-20",),
    "pickupByDate": ("20260409",),
}
"""Fields that a carrier tells otherwise another time, and what it may say then."""


def _alter(told: Any, dice: Random) -> None:
    for each in told if isinstance(told, list) else list(told.values()):
        if isinstance(each, (dict, list)):
            _alter(each, dice)
    if isinstance(told, dict):
        for name in sorted(told.keys() & _OTHER.keys()):
            if not isinstance(told[name], (dict, list)) and dice.random() < 0.3:
                told[name] = dice.choice(_OTHER[name])
