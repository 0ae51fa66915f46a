"""A small installation on the street, for tests of parcels that come home: real carriers and HTTP, a clock to turn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from carriers.contract import Address
from carriers.door import Unlimited
from carriers.ups import connect as ups
from carriers.usps import connect as usps
from cli.wiring import street_environment
from merchants.terms import LegCosts, Terms, shipped
from spending.brakes import Limits
from spending.intents import Till
from spending.resolving import resolve
from store.cases import find_case
from store.engine import Store
from store.outbox import said_about
from store.parcels import find_parcel
from store.purchases import purchase_of
from store.sealing import Sealer
from street.places import place
from street.town import Parcel, Town
from tests.walk import Caller, street
from tracker.homecoming import Homecoming
from tracker.ledger import Ledger
from tracker.orders import Item, Order, put_order, ship
from tracker.polling import Poller

SHOP = {"city": "Secaucus", "region": "NJ", "postal_code": "07094", "country": "US", "name": "Shop", "street": "1 Way"}


@dataclass(slots=True)
class Turned:
    """Story time as the street's clock shows it."""

    town: Town
    speed: float = 1.0

    def now(self) -> datetime:
        return self.town.now()


@dataclass(slots=True)
class Wall:
    """Real time, as far as leases and waits see it: it moves by hand."""

    at: float = 1_770_000_000.0

    def now(self) -> float:
        return self.at


@dataclass(slots=True)
class House:
    town: Town
    caller: Caller
    wall: Wall
    till: Till
    ledger: Ledger
    home: Homecoming

    @property
    def store(self) -> Store:
        return self.till.store

    async def on_its_way(
        self, journey: str, days: float, carrier: str = "ups", to: str = "reno", **more: Any
    ) -> Parcel:
        """A parcel on the street that set out so many days ago, registered with us."""
        now = self.town.now()
        there = {"destination": place(to), "origin": place(more.pop("origin", SHOP))} if to else {}
        parcel = self.town.create(carrier, journey, starts_at=now - timedelta(days=days), **there)
        shop = {"ups": "boutique-eu", "usps": "boutique-us"}[carrier]

        number, at, spot = f"A-{len(self.town.parcels)}", now - timedelta(days=days), parcel.destination
        ship_to = Address("Ann", (spot.street,), spot.city.title(), spot.postal_code, spot.country, spot.region)
        items = (Item("SHOE", 1, Decimal("120.00"), "shoes"),)
        order = Order(shop, number, at, ship_to, "ann@example.com", self.ledger.shelf[shop][0].shop.currency, items)
        await put_order(self.store, self.till.sealer, self.ledger.shelf, order, at)
        await ship(
            self.store, self.till.sealer, self.ledger.shelf,
            now=at, merchant=shop, number=number, carrier=carrier, tracking_number=parcel.number,
        )  # fmt: skip
        return parcel

    async def ask(self, parcel: Parcel) -> None:
        """The carrier is asked where it is."""
        await self.home.poller.ask_now(self.till.carriers[parcel.journey.carrier], parcel.number)

    async def view(self, parcel: Parcel) -> dict[str, Any]:
        row = await self.store.read(lambda tx: find_parcel(tx, parcel.journey.carrier, parcel.number))
        return msgspec.json.decode(row["conclusion"])

    async def case(self, parcel: Parcel) -> dict[str, Any]:
        return (await self.view(parcel)).get("return_to_warehouse")

    async def id_of(self, parcel: Parcel) -> int:
        row = await self.store.read(lambda tx: find_parcel(tx, parcel.journey.carrier, parcel.number))
        return row["id"]

    async def row(self, parcel: Parcel) -> dict[str, Any]:
        id = await self.id_of(parcel)
        return dict(await self.store.read(lambda tx: find_case(tx, id)))

    async def purchase(self, parcel: Parcel) -> Any:
        id = await self.id_of(parcel)
        return await self.store.read(lambda tx: purchase_of(tx, f"parcel:{id}", "intercept"))

    async def said(self, parcel: Parcel) -> list[str]:
        """Types of what was told of the parcel's way home, in order."""
        id = await self.id_of(parcel)
        rows = await self.store.read(lambda tx: said_about(tx, f"parcel:{id}"))
        return [row["type"] for row in rows if row["type"].startswith(("return_to_warehouse.", "ops."))]

    async def told(self, parcel: Parcel, type: str) -> dict[str, Any]:
        id = await self.id_of(parcel)
        rows = await self.store.read(lambda tx: said_about(tx, f"parcel:{id}"))
        return next(msgspec.json.decode(row["data"]) for row in rows if row["type"] == type)

    async def later(self, seconds: float) -> None:
        """Real time passes, and what is open and due is taken up."""
        self.wall.at += seconds
        await resolve(self.till)
        await self.home.sweep()

    async def story(self, **span: float) -> None:
        """Story time passes."""
        self.town.clock.turn(self.town.now() + timedelta(**span))
        await self.caller.sign_in()

    async def fault(self, kind: str, operation: str = "intercept_return", **more: Any) -> None:
        body = {"carrier": "ups", "operation": operation, "fault": kind, **more}
        (await self.caller.http.post("/street/faults", json=body)).raise_for_status()

    @property
    def book(self) -> list[tuple[str, str]]:
        """The carriers' own book of orders to turn round."""
        return [(line.kind, line.amount) for line in self.town.ledger if "intercept" in line.kind]


def dear(terms: Terms) -> Terms:
    """The same shop in America, where the costs of each leg are known."""
    costs = LegCosts(out=Decimal("9.90"), back=Decimal("9.90"), refusal_surcharge=Decimal("3.50"))
    home = shipped()["boutique-us"][-1].warehouse
    changed = {"undeliverable": terms.undeliverable.model_copy(update={"costs": costs}), "warehouse": home}
    return terms.model_copy(update=changed)


@asynccontextmanager
async def house(store: Store, shelf: dict[str, list[Terms]] | None = None, **settings: Any) -> AsyncIterator[House]:
    """The installation; `settings` are the street's."""
    async with street(**settings) as (town, caller):
        env = street_environment(str(caller.http.base_url).rstrip("/"), "http://127.0.0.1:1")
        carriers = {
            "ups": ups.connect(ups.Settings.from_env(env), budget=Unlimited()),
            "usps": usps.connect(usps.Settings.from_env(env), budget=Unlimited()),
        }
        wall, clock = Wall(), Turned(town)
        till = Till(store, Sealer(b"k" * 32), carriers, clock, real=wall.now, limits=Limits())
        ledger = Ledger(store, carriers, shelf or {**shipped(), "boutique-eu": [dear(shipped()["boutique-eu"][-1])]})
        try:
            yield House(town, caller, wall, till, ledger, Homecoming(till, ledger, Poller(store, ledger, clock)))
        finally:
            for carrier in carriers.values():
                await carrier.aclose()
