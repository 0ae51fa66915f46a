"""The buyer of the intercept rig: reads that a third attempt failed and sees to the case, in a process that is killed.

A naive one beside it orders, and then writes down what it has ordered.
"""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from carriers.contract import Carrier, Intercepted, Payload, Rejected, Source
from carriers.door import Unlimited
from carriers.ups import connect as ups
from cli.wiring import street_environment
from fleet.clocks import Clock, to_us
from merchants.terms import Terms, shipped
from proof.feeds import Feeds, number
from proof.lives import (
    FACTOR,
    KEY,
    NO_LIMITS,
    PACE,
    job_of,
    killer,
    plain_transport,
    sweep_for_ever,
    sweep_until_settled,
    want_naively,
)
from proof.nursery import Job
from proof.one_intercept_street import LONG_AGO, NAIVE, SHOP, WAITS
from spending import points
from spending.intents import Till
from spending.reconciling import close
from spending.resolving import resolve
from store.cases import count_cases
from store.engine import Store, Tx, open_store
from store.parcels import register_parcel
from store.payloads import unread_payloads
from store.purchases import counts, ended_purchases, open_purchases
from store.sealing import Sealer
from street.places import place
from tracker.homecoming import Homecoming
from tracker.ledger import Ledger
from tracker.polling import Poller

MERCHANT = "rig-ups"


def shelf() -> dict[str, list[Terms]]:
    """A shop that sends with UPS and may have parcels turned round."""
    terms = shipped()["boutique-eu"][-1]
    return {MERCHANT: [terms.model_copy(update={"name": MERCHANT})]}


async def stock(url: str, folder: Path, wishes: int, now: datetime) -> None:
    """Parcels that have been registered, and for each the old news that its third attempt failed, polled and pushed."""
    feeds, told, pushed = Feeds(), [], []
    origin, destination = place(SHOP), place("reno")
    for wish in range(wishes):
        name, at = number("ups", wish), now - LONG_AGO
        parcel = feeds.town.create("ups", WAITS, number=name, starts_at=at, origin=origin, destination=destination)
        told.append(feeds.poll("ups", [name], now).body.decode())
        last = next(scan for scan in parcel.telling.scans if scan.word == "miss_final")
        pushed.append(feeds.push(parcel, last).body.decode())
    (folder / "payloads.json").write_text(json.dumps({"poll": told, "push": pushed}))
    store = await open_store(url)

    async def register(tx: Tx) -> None:
        for wish in range(wishes):
            await register_parcel(
                tx,
                merchant=MERCHANT,
                carrier="ups",
                number=number("ups", wish),
                purpose="order",
                shipment="{}",
                now_us=to_us(now),
            )

    await store.write(register)
    await store.close()


class Buyer:
    """One life of the service, as far as it sees to parcels that cannot be delivered."""

    def __init__(self, store: Store, street: str, folder: Path) -> None:
        env = street_environment(street, "http://127.0.0.1:1")
        self.ups = ups.connect(ups.Settings.from_env(env), budget=Unlimited(), transport=plain_transport())
        carriers: dict[str, Carrier] = {"ups": self.ups}
        clock = Clock.real()
        self.till = Till(store, Sealer(KEY), carriers, clock, PACE, limits=NO_LIMITS)
        self.ledger = Ledger(store, carriers, shelf(), real_us=_quick_us)
        self.home = Homecoming(self.till, self.ledger, Poller(store, self.ledger, clock))
        self.told: dict[str, list[str]] = json.loads((folder / "payloads.json").read_text())
        self.naive = folder / "naive.jsonl"

    async def live(self, first: int, until: int) -> None:
        """Hear, order and settle until killed."""
        await asyncio.gather(
            self.hear(first, until),
            want_naively(self.naive, range(max(0, first - 6), until), self._want_once),
            self.sweep(),
        )

    async def hear(self, first: int, until: int, source: Source = Source.POLL) -> None:
        """The news that an attempt failed: kept and read."""
        for wish in range(first, until):
            asked = (number("ups", wish),) if source is Source.POLL else ()
            payload = Payload("ups", source, self.told[source][wish].encode(), asked)
            now = self.till.clock.now()
            kept = await self.ledger.keep(payload, now)
            if kept.unread:
                await self.ledger.read(kept.id, now)
            await asyncio.sleep(0)

    async def finish(self, seconds: float) -> bool:
        """Settle until nothing is open, and do what a person would; whether all is closed."""
        await self._settle(seconds)
        for row in await self.till.store.read(lambda tx: open_purchases(tx, 1000)):
            if row["state"] == "NEEDS_HUMAN":
                await close(self.till, row["id"], "looked at by a person")
        await self._settle(seconds)
        return not await self.till.store.read(_is_open)

    async def _settle(self, seconds: float) -> None:
        await sweep_until_settled(self.till.store, self._sweep_once, _is_open, _stand, seconds)

    async def _want_once(self, wish: int) -> bool:
        """The naive one's order; whether it was answered."""
        prepared = self.ups.prepare_intercept(number("ups", NAIVE + wish), None)
        return isinstance(await self.ups.intercept(prepared), Intercepted | Rejected)

    async def sweep(self) -> None:
        await sweep_for_ever(self._sweep_once)

    async def _sweep_once(self) -> None:
        await self.ledger.read_all(self.till.clock.now())
        await asyncio.gather(resolve(self.till, 12), self.home.sweep(6))


def _quick_us() -> int:
    """Leases of payloads end as fast as those of purchases."""
    return int(time.time() / FACTOR * 1e6)


async def _is_open(tx: Tx) -> bool:
    """Whether a payload, a purchase, or a case that is to be decided, waits for somebody."""
    if await unread_payloads(tx, 1, 1 << 62):
        return True
    purchases, _ = await counts(tx)
    states = {row["state"] for row in purchases}
    cases = {(row["state"], row["step"]) for row in await count_cases(tx)}
    ended = await ended_purchases(tx, "intercept", 1)
    waiting = ("expected", "") in cases or ("expected", "asking") in cases
    return bool(states & {"PLANNED", "SENDING", "UNKNOWN"}) or bool(ended) or (waiting and "NEEDS_HUMAN" not in states)


async def _stand(tx: Tx) -> list[str]:
    """How many of each are in which state: whether anything has changed."""
    purchases, _ = await counts(tx)
    return [f"{row['operation']} {row['state']} {row['n']}" for row in purchases] + [
        f"{row['state']} {row['step']} {row['n']}" for row in await count_cases(tx)
    ]


def buyer(plant: Callable[[], None]) -> Job:
    return job_of(_live, plant)


async def _live(args: dict[str, Any]) -> None:
    store = await open_store(args["url"])
    life = Buyer(store, args["street"], Path(args["folder"]))
    if args.get("finish"):
        await life.hear(args["first"], args["until"])
        closed = await life.finish(args["finish"])
        await life.ups.aclose()
        await store.close()
        if not closed:
            raise SystemExit("something is still open")
        return
    points.crash_point = killer(args["points"], Path(args["folder"]))
    await life.live(args["first"], args["until"])
