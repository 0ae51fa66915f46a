"""Both shops behind their real doors, with both carriers on the street and one clock to turn: for whole stories."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from carriers.door import Unlimited
from carriers.ups import connect as ups
from carriers.usps import connect as usps
from cli.wiring import street_environment
from returns.dispatching import ship_out
from returns.following import follow
from returns.labels import settle_all
from returns.reviewing import review
from spending.resolving import resolve
from store.engine import Store
from store.outbox import unspread
from street.app import open_street
from street.clock import StoryClock
from street.places import CUSTOMERS
from street.town import Settings, Town
from tests.doors import MONDAY, Doors, make_house, open_doors

EU, US = "boutique-eu", "boutique-us"
SHIPS_WITH = {EU: "ups", US: "usps"}
LIVES_IN = {EU: "amsterdam", US: "reno"}

DRESS = {"sku": "DRESS", "quantity": 1, "price": "120.00", "category": "dresses"}
COAT = {"sku": "COAT", "quantity": 1, "price": "300.00", "category": "coats"}


@dataclass(slots=True)
class Turned:
    """Story time as the street's clock shows it."""

    town: Town

    def now(self) -> datetime:
        return self.town.now()


@dataclass(slots=True)
class Shops:
    """What a policy is tried on."""

    town: Town
    doors: Doors

    # ------------------------------------------------------------------------------------------------------- the calls

    async def ask(self, method: str, path: str, body: Any = None, *, status: int | None = None) -> Any:
        """A call of the order service or the warehouse; its JSON. With `status` it must be that one."""
        given = {} if body is None else {"json": body}
        got, told, _ = await self.doors.call(method, f"/v1{path}", **given)
        assert got == status if status else got < 300, (got, told)
        return told

    async def order(
        self,
        number: str = "A-1",
        journey: str = "delivered_first_time",
        *,
        shop: str = EU,
        items: Any = (DRESS,),
        to: str = "",
        ships: Any = (),
        **changes: Any,
    ) -> str:
        """An order, shipped now on a journey of the street; the tracking number. Without a journey: not shipped."""
        spot = CUSTOMERS[to or LIVES_IN[shop]]
        address = {
            "name": spot.name,
            "lines": [spot.street],
            "city": spot.city,
            "region": spot.region,
            "postal_code": spot.postal_code,
            "country": spot.country,
            "phone": "31201234567" if shop == EU else "2025550100",
        }
        body = {
            "placed_at": self.town.now().isoformat(),
            "ship_to": address,
            "email": "shopper@example.com",
            "currency": "EUR" if shop == EU else "USD",
            "items": list(items),
        }
        await self.ask("PUT", f"/orders/{shop}/{number}", body | changes)
        return await self.ship(number, journey, shop=shop, to=to, items=ships) if journey else ""

    async def ship(self, number: str, journey: str, *, shop: str = EU, to: str = "", items: Any = ()) -> str:
        carrier = SHIPS_WITH[shop]
        parcel = self.town.create(carrier, journey, destination=CUSTOMERS[to or LIVES_IN[shop]])
        body = {"carrier": carrier, "tracking_number": parcel.number, "items": list(items)}
        await self.ask("POST", f"/orders/{shop}/{number}/parcels", body)
        return parcel.number

    async def delivered(self, number: str = "A-1", **order: Any) -> str:
        """An order that has arrived: six days later."""
        tracking = await self.order(number, **order)
        await self.turn(6)
        return tracking

    async def back(
        self, *wishes: Any, shop: str = EU, order: str = "A-1", status: int | None = None, **more: Any
    ) -> Any:
        """Register a return of one order's items."""
        orders = [{"order_number": order, "items": [dict(wish) for wish in wishes or (wish(),)]}]
        return await self.ask("POST", "/returns", {"merchant": shop, "orders": orders} | more, status=status)

    async def look(self, number: str) -> Any:
        return await self.ask("GET", f"/returns/{number}")

    async def eligible(self, *wishes: Any, shop: str = EU, order: str = "A-1", **more: Any) -> Any:
        """The answer about the first item."""
        body = {"merchant": shop, "orders": [{"order_number": order, "items": [dict(each) for each in wishes]}]}
        return (await self.ask("POST", "/eligibility", body | more))["items"][0]

    async def decide(self, number: str, *rulings: Any, **more: Any) -> Any:
        items = [dict(zip(("order_number", "sku", "quantity", "verdict"), ruling, strict=True)) for ruling in rulings]
        return await self.ask("POST", f"/returns/{number}/outcome", {"items": items} | more)

    async def parcel(self, number: str, carrier: str = "ups") -> Any:
        return await self.ask("GET", f"/parcels/{carrier}/{number}")

    # -------------------------------------------------------------------------------------------------------- the world

    def next(self, journey: str) -> None:
        """The journey of the next label that is bought."""
        self.town.settings.next_journeys.append({"journey": journey})

    async def turn(self, days: float = 0.0, **span: float) -> None:
        """Story time passes; every parcel is asked about, and everything that is due is done."""
        self.town.clock.turn(self.town.now() + timedelta(days=days, **span))
        for _ in range(2):  # what a first round sends out, a second one follows
            for parcel in (await self.ask("GET", "/parcels?limit=100"))["parcels"]:
                path = f"/parcels/{parcel['carrier']}/{parcel['number']}/refresh"
                await self.doors.call("POST", f"/v1{path}")
            await self.settle()

    async def settle(self) -> None:
        till, shelf = self.doors.house.till, self.doors.house.terms
        await self.doors.house.ledger.review_due(self.town.now())
        await follow(till, shelf)
        await review(till, shelf)
        await ship_out(till, shelf)
        await resolve(till)
        await settle_all(till, shelf)

    async def told(self, prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
        """Everything that was said so far and leaves the house, in order: type and data."""
        rows = await self.doors.house.store.read(lambda tx: unspread(tx, 10_000))
        return [(row["type"], msgspec.json.decode(row["data"])) for row in rows if row["type"].startswith(prefix)]

    async def types(self, prefix: str = "") -> list[str]:
        return [type for type, _ in await self.told(prefix)]

    def bought(self, kind: str = "label") -> int:
        """How many lines of a kind are in the carriers' own book."""
        return sum(line.kind == kind for line in self.town.ledger)

    async def follow(self, number: str, **proof: Any) -> Mapping[str, Any]:
        """Follow your Return, as JSON."""
        return await self.ask("POST", "/follow/return", {"return_number": number} | proof)


def wish(sku: str = "DRESS", reason: str = "size", outcome: str = "refund", **more: Any) -> dict[str, Any]:
    return {"sku": sku, "quantity": 1, "reason": reason, "outcome": outcome} | more


def defect(sku: str = "DRESS", **more: Any) -> dict[str, Any]:
    """What the American shop pays a label for."""
    return wish(sku, "defect", "exchange", **more)


@asynccontextmanager
async def open_shops(store: Store, now: datetime = MONDAY) -> AsyncIterator[Shops]:
    town = Town(StoryClock.starting(now), Settings())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(open_street(town))
        env = street_environment(url, url)
        carriers = {
            "ups": ups.connect(ups.Settings.from_env(env), budget=Unlimited()),
            "usps": usps.connect(usps.Settings.from_env(env), budget=Unlimited()),
        }
        for carrier in carriers.values():
            stack.push_async_callback(carrier.aclose)
        clock: Any = Turned(town)
        house = make_house(store, carriers, now)
        house = replace(house, clock=clock, till=replace(house.till, clock=clock), poller=type(house.poller)(
            store, house.ledger, clock
        ))  # fmt: skip
        yield Shops(town, await stack.enter_async_context(open_doors(house)))
