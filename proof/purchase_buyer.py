"""The buyer of the purchase rig: the returns desk and its sweeps, in a process that is killed; a naive one beside it.

The naive buyer calls the carrier and then writes down what it has: what everybody writes first.
"""

import asyncio
import base64
import contextlib
import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from carriers.contract import Address, Bought, Carrier, LabelFormat, LabelRequest, Refused, Rejected
from carriers.door import Unlimited
from carriers.ups import connect as ups
from carriers.usps import connect as usps
from cli.wiring import street_environment
from fleet.clocks import Clock
from merchants.terms import Outcome, ReturnReason, Terms, shipped
from proof.lives import (
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
from returns.arrival import receive
from returns.desk import register
from returns.dispatching import ship_out
from returns.eligibility import Courier, Wish
from returns.forms import Asked, OrderWishes
from returns.labels import settle_all
from spending import points
from spending.intents import Till, new_purchase_id
from spending.reconciling import Found, again, audit, close, reconcile_now
from spending.resolving import resolve
from spending.voiding import void_surplus
from store.dispatches import due_dispatches
from store.engine import Store, Tx, open_store
from store.purchases import counts, ended_purchases, labels_in, open_purchases
from store.sealing import Sealer
from tracker.orders import Declined, Item, Order, Shelf, put_order, ship

HOME = Address("Ann Example", ("10 Example Street",), "Boston", "02108", "US", "MA", phone="12015550199")
AT_ONCE = 4


def shelf() -> Shelf:
    """One American shop with each carrier: UPS voids only where a shipment begins in America."""
    [us] = [terms[-1] for name, terms in shipped().items() if name == "boutique-us"]
    plain = us.model_copy(update={"label": us.label.model_copy(update={"format": "zpl"})})
    shops: dict[str, list[Terms]] = {}
    for carrier in ("ups", "usps"):
        shops[f"rig-{carrier}"] = [plain.model_copy(update={"name": f"rig-{carrier}", "carrier": carrier})]
    return shops


def leaves(wish: int) -> bool:
    """Every fourth label is a replacement's: its return came by a courier of the customer's own, and was received."""
    return wish % 4 == 3


def merchant(wish: int) -> str:
    return ("rig-ups", "rig-usps")[wish % 3 == 2]


async def stock(url: str, wishes: int) -> None:
    """Orders that have shipped, one for each wish."""
    store, sealer, terms, now = await open_store(url), Sealer(KEY), shelf(), Clock.real().now()

    async def one(wish: int) -> None:
        shop, number = merchant(wish), f"W{wish}"
        items = (Item("SHOE", 1, Decimal("120.00"), "shoes"),)
        at = now - timedelta(hours=1)
        await put_order(store, sealer, terms, Order(shop, number, at, HOME, "ann@example.com", "USD", items), at)
        parcel = f"1Z5338FF{wish:010d}"
        await ship(store, sealer, terms, now=at, merchant=shop, number=number, carrier="ups", tracking_number=parcel)

    for start in range(0, wishes, 200):
        await asyncio.gather(*(one(wish) for wish in range(start, min(wishes, start + 200))))
    await store.close()


class Buyer:
    """One life of the service, as far as it spends."""

    def __init__(self, store: Store, street: str, folder: Path) -> None:
        env = street_environment(street, "http://127.0.0.1:1")
        carriers: dict[str, Carrier] = {
            "ups": ups.connect(ups.Settings.from_env(env), budget=Unlimited(), transport=plain_transport()),
            "usps": usps.connect(usps.Settings.from_env(env), budget=Unlimited(), transport=plain_transport()),
        }
        self.till = Till(store, Sealer(KEY), carriers, Clock.real(), PACE, limits=NO_LIMITS)
        self.shelf, self.naive = shelf(), folder / "naive.jsonl"

    async def live(self, first: int, until: int) -> None:
        """Buy and settle until killed."""
        await asyncio.gather(
            self._want(first, until),
            want_naively(self.naive, range(max(0, first - 6), until), self._want_once),
            sweep_for_ever(self._sweep_once),
        )

    async def finish(self, seconds: float) -> bool:
        """Settle until nothing is open, ask for everything again, and do what a person would; whether all is closed."""
        await self._settle(seconds)
        until = time.monotonic() + seconds
        # on a slow machine a question may find no answer in time: what the carrier holds is known once all are answered
        while (await reconcile_now(self.till)).unanswered and time.monotonic() < until:
            await asyncio.sleep(self.till.pace.scaled(self.till.pace.look_again))
        for row in await self.till.store.read(lambda tx: open_purchases(tx, 1000)):
            if row["state"] != "NEEDS_HUMAN":
                continue
            if row["operation"] == "void":  # killed over it too often: once more
                await again(self.till, row["id"])
                continue
            try:
                await close(self.till, row["id"], "looked at by a person")
            except Refused:  # the carrier has it and shows it no more: the same key brings it
                await again(self.till, row["id"])
        await self._settle(seconds)
        return not await self.till.store.read(self._is_open)

    async def _settle(self, seconds: float) -> None:
        await sweep_until_settled(self.till.store, self._sweep_once, self._is_open, _stand, seconds)

    async def _want(self, first: int, until: int) -> None:
        """The callers: each asks for its return until it is answered, under the same key."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(wish: int) -> None:
            async with gate:
                with contextlib.suppress(Declined):  # refused by the carrier: an answer like any other
                    made = await register(self.till, self.shelf, asked(wish))
                    if leaves(wish):
                        await receive(self.till, self.shelf, made.view["return_number"])

        await asyncio.gather(*(one(wish) for wish in range(first, until)))

    async def _want_once(self, wish: int) -> bool:
        """The naive one's call; whether it was answered."""
        carrier = self.till.carriers["ups"]
        request = LabelRequest(
            new_purchase_id(), naive_reference(wish), HOME, HOME, Decimal(1), "Return", format=LabelFormat.ZPL
        )
        return isinstance(await carrier.buy(carrier.prepare_label(request)), Bought | Rejected)

    async def _sweep_once(self) -> None:
        await asyncio.gather(
            resolve(self.till, 12),
            settle_all(self.till, self.shelf, 50),
            void_surplus(self.till, 6),
            ship_out(self.till, self.shelf, 6),
        )
        await audit(self.till, Found(), 4)

    async def _is_open(self, tx: Tx) -> bool:
        purchases, _ = await counts(tx)
        states = {row["state"] for row in purchases}
        odd = [await labels_in(tx, state, 1 << 62, 1) for state in ("surplus", "voiding")]
        ended = await ended_purchases(tx, "label", 1)
        waiting = await due_dispatches(tx, 1 << 62, 1)
        return bool(states & {"PLANNED", "SENDING", "UNKNOWN"}) or any(odd) or bool(ended) or bool(waiting)


async def _stand(tx: Tx) -> list[str]:
    """How many of each are in which state: whether anything has changed."""
    purchases, labels = await counts(tx)
    return [f"{row['operation']} {row['state']} {row['n']}" for row in purchases] + [
        f"{row['state']} {row['n']}" for row in labels
    ]


def asked(wish: int) -> Asked:
    want = Wish("SHOE", 1, ReturnReason.DEFECT, Outcome.EXCHANGE)
    courier = Courier.OWN if leaves(wish) else Courier.PREPAID
    return Asked(merchant(wish), (OrderWishes(f"W{wish}", (want,)),), courier, key=f"wish-{wish}", caller="rig")


def naive_reference(wish: int) -> str:
    return "N" + base64.b32encode(hashlib.sha256(f"naive {wish}".encode()).digest()).decode()[:26]


def buyer(plant: Callable[[], None]) -> Job:
    return job_of(_live, plant)


async def _live(args: dict[str, Any]) -> None:
    store = await open_store(args["url"])
    life = Buyer(store, args["street"], Path(args["folder"]))
    if args.get("finish"):
        for _ in range(3):
            await life._want(args["first"], args["until"])
        if not await life.finish(args["finish"]):
            raise SystemExit("something is still open")
        for carrier in life.till.carriers.values():
            await carrier.aclose()
        await store.close()
        return
    points.crash_point = killer(args["points"], Path(args["folder"]))
    await life.live(args["first"], args["until"])
