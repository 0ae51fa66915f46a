"""A small shop to measure with: 32 shipped orders with 20 scans each, in its own database, and a key to ask with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.keys import SCOPES, issue
from bench.read import payloads
from carriers.contract import Address, Payload, Source
from cli.settings import Settings
from cli.wiring import Parts, open_parts, street_environment
from store.engine import Tx
from tracker.orders import Item, Order, put_order, ship

ORDERS = 32
NOW = datetime(2026, 3, 5, 9, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"
EMAIL = "shopper@example.com"


@dataclass(frozen=True, slots=True)
class Shop:
    """Where the shop's rows are, the key, and what was registered: order numbers and tracking numbers, pairwise."""

    settings: Settings
    key: str
    orders: tuple[str, ...]
    numbers: tuple[str, ...]


def settings_of(folder: Path, database_url: str = "") -> Settings:
    return Settings(
        data=folder,
        database_url=database_url,
        calls_per_minute=0,
        budget="off",
        carriers="ups,usps",
        clock=f"{NOW:%Y-%m-%dT%H:%M:%SZ}@1@{datetime.now(UTC).timestamp():.0f}",
    )


def environment() -> Mapping[str, str]:
    return street_environment(NOWHERE, NOWHERE)


def open_shop(folder: Path, database_url: str = "") -> Shop:
    """Make the shop."""
    return asyncio.run(_fill(settings_of(folder, database_url)))


async def _fill(settings: Settings) -> Shop:
    bodies = payloads(ORDERS)["ups"]
    orders = tuple(f"B-{serial:04}" for serial in range(ORDERS))
    async with open_parts(settings, environment()) as parts:
        numbers = [await _ship(parts, order, body) for order, body in zip(orders, bodies, strict=True)]

        async def unit(tx: Tx) -> str:
            return await issue(tx, parts.sealer, name="bench", scopes=SCOPES, at=NOW)

        return Shop(settings, await parts.store.write(unit), orders, tuple(numbers))


async def _ship(parts: Parts, order: str, body: bytes) -> str:
    payload = Payload("ups", Source.POLL, body)
    number = next(iter(parts.carriers["ups"].read(payload).numbers))
    await put_order(parts.store, parts.sealer, parts.shelf, _order(order), NOW)
    known: dict[str, Any] = {"merchant": "boutique-eu", "number": order, "carrier": "ups", "tracking_number": number}
    await ship(parts.store, parts.sealer, parts.shelf, **known, now=NOW)
    await parts.ledger.keep(payload, NOW)
    await parts.ledger.read_all(NOW)
    return number


def _order(number: str) -> Order:
    return Order(
        merchant="boutique-eu",
        number=number,
        placed_at=datetime(2026, 3, 1, tzinfo=UTC),
        ship_to=Address(name="A Shopper", lines=("Street 1",), city="Amsterdam", postal_code="1015 CJ", country="NL"),
        email=EMAIL,
        currency="EUR",
        items=(Item(sku="COAT-42", quantity=1, price=Decimal("690.00"), category="coats"),),
    )
