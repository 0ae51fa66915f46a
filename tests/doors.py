"""A house with its doors open, for the tests of `api`: real store, real parts, aiohttp's own client."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from api.app import build
from api.house import House
from api.keys import SCOPES, issue
from carriers.contract import Carrier
from carriers.door import Unlimited
from carriers.ups.connect import Settings as UpsSettings
from carriers.ups.connect import connect
from fleet.clocks import Clock
from merchants.terms import shipped
from spending.intents import Till
from store.engine import Store
from store.sealing import Sealer
from street.app import open_street
from street.clock import StoryClock
from street.town import Settings, Town
from tracker.ledger import Ledger
from tracker.polling import Poller
from webhooks.letterbox import Letterbox

PUSH_SECRET = "street-secret-of-32-characters-00"
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

ORDER: dict[str, Any] = {
    "placed_at": "2026-03-01T09:30:00Z",
    "ship_to": {
        "name": "Wilhelmina Canary",
        "lines": ["Canarystraat 77"],
        "city": "Amsterdam",
        "postal_code": "1015 CJ",
        "country": "NL",
        "phone": "31201234567",
    },
    "email": "canary@example.com",
    "currency": "EUR",
    "shipping_paid": "10.00",
    "promise": ["2026-03-04", "2026-03-06"],
    "items": [
        {"sku": "COAT-42", "quantity": 1, "price": "690.00", "category": "coats"},
        {"sku": "SCARF", "quantity": 2, "price": "45.50"},
    ],
}
CANARIES = ("Wilhelmina", "Canarystraat", "31201234567", "canary@example.com")
"""What must never leave: the name, the street, the phone and the e-mail of ORDER."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The house, a client at its doors, and a key that may do everything."""

    house: House
    client: TestClient[Any, Any]
    key: str

    @property
    def auth(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def call(self, method: str, path: str, **request: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers of a call with the key."""
        headers = {**self.auth, **request.pop("headers", {})}
        async with self.client.request(method, path, headers=headers, **request) as response:
            body = await response.read()
            known = body and "json" in response.content_type
            return response.status, (await response.json(content_type=None) if known else body), response.headers

    async def ship(self, number: str, tracking_number: str, **changes: Any) -> Any:
        """Say that it shipped, ask the carrier at once, and give back the parcel as it then is."""
        body = {"carrier": "ups", "tracking_number": tracking_number} | changes
        status, told, _ = await self.call("POST", f"/v1/orders/boutique-eu/{number}/parcels", json=body)
        assert status in (200, 201), told
        status, parcel, _ = await self.call("POST", f"/v1/parcels/ups/{tracking_number}/refresh")
        assert status == 200, parcel
        return parcel

    async def put_order(self, number: str = "B-1001", **changes: Any) -> Any:
        status, body, _ = await self.call("PUT", f"/v1/orders/boutique-eu/{number}", json=ORDER | changes)
        assert status in (200, 201), body
        return body


def make_house(
    store: Store, carriers: Mapping[str, Carrier] | None = None, now: datetime = MONDAY, **changes: Any
) -> House:
    """A house on this store at this story time. Refused look-ups do not wait unless asked."""
    clock = Clock(now, 1.0, datetime.now(UTC).timestamp())
    sealer = Sealer(bytes(range(32)))
    ledger = Ledger(store, carriers or {}, shipped())
    house = House(
        store=store,
        clock=clock,
        sealer=sealer,
        carriers=carriers or {},
        terms=shipped(),
        ledger=ledger,
        poller=Poller(store, ledger, clock),
        till=Till(store, sealer, carriers or {}, clock),
        letterbox=Letterbox(store, lambda: None),
        refused_lookup_seconds=0.0,
        allowed=frozenset({"127.0.0.1"}),
    )
    return replace(house, **changes)


async def make_key(house: House, *scopes: str) -> str:
    now = datetime.now(UTC)
    return await house.store.write(
        lambda tx: issue(tx, house.sealer, name="test", scopes=scopes or tuple(SCOPES), at=now)
    )


@asynccontextmanager
async def on_the_street(now: datetime = MONDAY, **settings: Any) -> AsyncIterator[tuple[Town, dict[str, Carrier]]]:
    """A street at this story time, and the real UPS client pointed at it."""
    town = Town(StoryClock.starting(now), Settings(**settings))
    async with open_street(town) as url:
        env = {
            "UPS_BASE_URL": f"{url}/ups",
            "UPS_CLIENT_ID": "id",
            "UPS_CLIENT_SECRET": "secret",
            "UPS_ACCOUNT": "A1B2C3",
            "UPS_PUSH_SECRETS": PUSH_SECRET,
        }
        ups = connect(UpsSettings.from_env(env), budget=Unlimited())
        try:
            yield town, {"ups": ups}
        finally:
            await ups.aclose()


@asynccontextmanager
async def open_doors(house: House) -> AsyncIterator[Doors]:
    """The doors of this house, open until the block ends."""
    async with TestClient(TestServer(build(house), access_log=None)) as client:
        yield Doors(house, client, await make_key(house))
