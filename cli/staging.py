"""Puts orders, parcels and returns on stage: the street plays a journey, the order service's calls register it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

SHOPS = {"ups": "boutique-eu", "usps": "boutique-us"}
CURRENCIES = {"ups": "EUR", "usps": "USD"}
EMAIL = "ann@example.com"
PATIENCE_SECONDS = 90.0  # longer than a call that died keeps its Idempotency-Key
LABEL_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Play:
    """One journey to be played, in one of the ways in which a carrier's feed may tell it."""

    carrier: str
    journey: str
    purpose: str
    delivery: str


@dataclass(frozen=True, slots=True)
class Staged:
    """A journey that was set in motion: the parcel's number, and the order and return it belongs to."""

    play: Play
    number: str
    order_number: str
    return_number: str = ""
    postcode: str = ""


class Stage:
    """The order service and the hand behind the street in one: both only call, as anybody could."""

    def __init__(self, service: str, key: str, street: str) -> None:
        self.service = httpx.AsyncClient(
            base_url=service, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30.0
        )
        self.street = httpx.AsyncClient(base_url=street, trust_env=False, timeout=30.0)

    async def aclose(self) -> None:
        await self.service.aclose()
        await self.street.aclose()

    async def answer(self, side: httpx.AsyncClient, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """The JSON of an answer. While the other side is down the same call is made again, under the same key.

        Raises RuntimeError with what the other side said.
        """
        headers = {"Idempotency-Key": key} if key else {}
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((httpx.TransportError, _NotYet)),
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_fixed(0.2),
            reraise=True,
        ):
            with attempt:
                response = await side.request(method, path, json=body, headers=headers)
                if response.status_code in (409, 429, 502, 503, 504):
                    raise _NotYet(f"{method} {path}: {response.status_code} {response.text}")
        if response.status_code >= 300:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    async def programme(self, deliveries: Sequence[str], only: str = "") -> list[Play]:
        """Every journey of every carrier in each of these deliveries."""
        known = (await self.answer(self.street, "GET", "/street/journeys"))["journeys"]
        return [
            Play(each["carrier"], each["journey"], each["purpose"], delivery)
            for each in known
            for delivery in deliveries
            if only in each["journey"]
        ]

    async def put_on(self, play: Play, order_number: str, starts_at: datetime | None = None) -> Staged:
        """Set one journey in motion and register it as the order service would."""
        asked: dict[str, Any] = {"carrier": play.carrier, "journey": play.journey, "delivery": play.delivery}
        if starts_at:
            asked["starts_at"] = starts_at.isoformat()
        if play.purpose == "return":
            return await self._put_on_return(play, order_number, starts_at)
        parcel = await self.answer(self.street, "POST", "/street/parcels", asked)
        await self._order(play.carrier, order_number, parcel["destination"], parcel["starts_at"])
        await self._shipped(play.carrier, order_number, parcel["number"])
        return Staged(play, parcel["number"], order_number, postcode=parcel["destination"]["postal_code"])

    async def _put_on_return(self, play: Play, order_number: str, starts_at: datetime | None) -> Staged:
        """A return needs an order that shipped; the street plays the journey with the label that is bought.

        At full speed the order's parcel is one that is held on its way: a delivered one's return window could be over
        before the call is made.
        """
        order = "delivered_first_time" if starts_at else "damaged"
        asked = {"carrier": play.carrier, "journey": order, "delivery": "plain"}
        if starts_at:
            asked["starts_at"] = starts_at.isoformat()
        parcel = await self.answer(self.street, "POST", "/street/parcels", asked)
        home = parcel["destination"]
        await self._order(play.carrier, order_number, home, parcel["starts_at"])
        await self._shipped(play.carrier, order_number, parcel["number"])
        journey = {"journey": play.journey, "delivery": play.delivery}
        await self.answer(self.street, "POST", "/street/settings", {"next_journeys": [journey]})
        asked = _return(play.carrier, order_number, home)
        sent = await self.answer(self.service, "POST", "/v1/returns", asked, key=str(uuid4()))
        number = await self._label_of(sent["return_number"])
        return Staged(play, number, order_number, sent["return_number"], home["postal_code"])

    async def _label_of(self, return_number: str) -> str:
        """The tracking number of a return's label, once it is bought: an unknown purchase takes its time."""
        for _ in range(LABEL_SECONDS * 4):
            found = await self.answer(self.service, "GET", f"/v1/returns/{return_number}")
            if found.get("parcel"):
                return str(found["parcel"]["number"])
            await asyncio.sleep(0.25)
        raise RuntimeError(f"return {return_number} has no label after {LABEL_SECONDS} s")

    async def _order(self, carrier: str, number: str, home: dict[str, str], placed_at: str) -> None:
        path = f"/v1/orders/{SHOPS[carrier]}/{number}"
        await self.answer(self.service, "PUT", path, _order(carrier, home, placed_at))

    async def _shipped(self, carrier: str, number: str, tracking_number: str) -> None:
        path = f"/v1/orders/{SHOPS[carrier]}/{number}/parcels"
        body = {"carrier": carrier, "tracking_number": tracking_number}
        await self.answer(self.service, "POST", path, body, key=str(uuid4()))


class _NotYet(Exception):
    """The other side asks to come again."""


def _order(carrier: str, home: dict[str, str], placed_at: str) -> dict[str, Any]:
    placed = datetime.fromisoformat(placed_at)
    window = [(placed + timedelta(days=days)).date().isoformat() for days in (2, 7)]
    return {
        "placed_at": placed_at,
        "state": "being_prepared",
        "ship_to": _address(home),
        "email": EMAIL,
        "currency": CURRENCIES[carrier],
        "promise": window,
        "items": [{"sku": "SHOE-42", "quantity": 1, "price": "120.00", "category": "shoes"}],
    }


def _return(carrier: str, order_number: str, home: dict[str, str]) -> dict[str, Any]:
    outcome = "exchange" if carrier == "usps" else "refund"  # what each shop's terms give for a defect
    items = [{"sku": "SHOE-42", "quantity": 1, "reason": "defect", "outcome": outcome}]
    return {
        "merchant": SHOPS[carrier],
        "courier": "prepaid",
        "from_address": _address(home),
        "orders": [{"order_number": order_number, "items": items}],
    }


def _address(home: dict[str, str]) -> dict[str, Any]:
    return {
        "name": "Ann Example",
        "lines": [home.get("street") or "10 Example Street"],
        "city": home["city"],
        "region": home.get("region", ""),
        "postal_code": home["postal_code"],
        "country": home["country"],
        "phone": "31200000000",
    }
