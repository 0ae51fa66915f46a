"""A whole walk over the street: every journey in every delivery at both carriers, to its end, everything kept."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from aiohttp import web

from street.app import open_street
from street.clock import StoryClock
from street.journeys import JOURNEYS
from street.telling import Delivery
from street.town import Parcel, Settings, Town

START = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
SECRET = "0123456789abcdef0123456789ABCDEF"
HEADS = {"transId": "0123456789abcd", "transactionSrc": "homeward"}
Json = dict[str, Any]


@dataclass(slots=True)
class Listener:
    """Where the carriers post to."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        self.posts.append((dict(request.headers), await request.read()))
        return web.Response()


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[Listener]:
    listener, app = Listener(), web.Application()
    app.router.add_post("/hook", listener.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield listener
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Caller:
    """A client of both carriers and of the street, with its tokens."""

    http: httpx.AsyncClient
    ups: dict[str, str] = field(default_factory=dict)
    usps: dict[str, str] = field(default_factory=dict)
    paying: dict[str, str] = field(default_factory=dict)

    async def sign_in(self) -> None:
        form = {"grant_type": "client_credentials"}
        answer = await self.http.post("/ups/security/v1/oauth/token", auth=("id", "secret"), data=form)
        self.ups = HEADS | {"Authorization": f"Bearer {answer.json()['access_token']}"}
        form |= {"client_id": "id", "client_secret": "secret"}
        answer = await self.http.post("/usps/oauth2/v3/token", json=form)
        self.usps = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        answer = await self.http.post("/usps/payments/v3/payment-authorization", headers=self.usps, json=ROLES)
        self.paying = self.usps | {"X-Payment-Authorization-Token": answer.json()["paymentAuthorizationToken"]}


@asynccontextmanager
async def street(speed: float = 1.0, start: datetime = START, **settings: Any) -> AsyncIterator[tuple[Town, Caller]]:
    """A street at rest, and a caller who has signed in."""
    town = Town(StoryClock.starting(start, speed), Settings(**settings))
    async with open_street(town) as base, httpx.AsyncClient(base_url=base, trust_env=False) as http:
        caller = Caller(http)
        await caller.sign_in()
        yield town, caller


async def until_sent(town: Town, seconds: float = 20.0) -> None:
    """Wait until every push that is due was sent or lost."""
    async with asyncio.timeout(seconds):
        while town.queue.is_behind(town.now()):
            await asyncio.sleep(0.01)


async def until_quiet(town: Town, seconds: float = 20.0) -> None:
    """Turn the clock to the end and wait until every push was sent."""
    end = town.ends_at
    if end and end > town.now():
        town.clock.turn(end + timedelta(minutes=1))
    async with asyncio.timeout(seconds):
        while not town.quiet:
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------------------------------------- requests that are right

ROLES = {
    "roles": [
        {
            "roleName": "PAYER",
            "CRID": "12345678",
            "MID": "901234567",
            "manifestMID": "901234567",
            "accountType": "EPS",
            "accountNumber": "1000000001",
        },
        {"roleName": "LABEL_OWNER", "CRID": "12345678", "MID": "901234567", "manifestMID": "901234567"},
    ]
}


def usps_label(reference: str = "RMA-1001", **image: object) -> Json:
    """A return label request for USPS."""
    return {
        "imageInfo": {"imageType": "PDF", "labelType": "4X6LABEL", "receiptOption": "NONE", **image},
        "fromAddress": {
            "firstName": "Ann",
            "lastName": "Lee",
            "streetAddress": "10 Elm St",
            "city": "Reno",
            "state": "NV",
            "ZIPCode": "89501",
        },
        "toAddress": {
            "firm": "Returns DC",
            "streetAddress": "100 Enterprise Avenue",
            "city": "Secaucus",
            "state": "NJ",
            "ZIPCode": "07094",
        },
        "packageDescription": {
            "mailClass": "USPS_GROUND_ADVANTAGE_RETURN_SERVICE",
            "rateIndicator": "SP",
            "processingCategory": "MACHINABLE",
            "weightUOM": "lb",
            "weight": 1.5,
            "dimensionsUOM": "in",
            "length": 9,
            "width": 6,
            "height": 3,
            "customerReference": [{"referenceNumber": reference, "printReferenceNumber": True}],
        },
    }


def ups_label(reference: str = "RABCDEFGHIJKLMNOPQRSTUVWXYZ", country: str = "NL", image: str = "GIF") -> Json:
    """A return label request for UPS, from a customer in `country` to the warehouse in Italy (US: within the US)."""
    there = {"AddressLine": ["Damrak 1"], "City": "Amsterdam", "PostalCode": "1012LG", "CountryCode": "NL"}
    here = {
        "AddressLine": ["Interporto di Bologna, blocco 9.5"],
        "City": "Bentivoglio",
        "PostalCode": "40010",
        "CountryCode": "IT",
    }
    if country == "US":
        there = {
            "AddressLine": ["10 Elm St"],
            "City": "Reno",
            "StateProvinceCode": "NV",
            "PostalCode": "89501",
            "CountryCode": "US",
        }
        here = {
            "AddressLine": ["1 Dock Rd"],
            "City": "Secaucus",
            "StateProvinceCode": "NJ",
            "PostalCode": "07094",
            "CountryCode": "US",
        }
    references = [{"Code": "RZ", "Value": reference}]
    package = {
        "Description": "Footwear",
        "Packaging": {"Code": "02"},
        "PackageWeight": {"UnitOfMeasurement": {"Code": "LBS" if country == "US" else "KGS"}, "Weight": "1.5"},
    }
    shipment = {
        "Description": "Footwear",
        "ReturnService": {"Code": "9"},
        "Service": {"Code": "03" if country == "US" else "11"},
        "Shipper": {
            "Name": "Shop",
            "AttentionName": "Returns",
            "ShipperNumber": "W95789",
            "Phone": {"Number": "39051000000"},
            "Address": here,
        },
        "ShipFrom": {
            "Name": "A Customer",
            "AttentionName": "A Customer",
            "Phone": {"Number": "31200000000"},
            "Address": there,
        },
        "ShipTo": {
            "Name": "Shop Warehouse",
            "AttentionName": "Inbound",
            "Phone": {"Number": "39051000001"},
            "Address": here,
        },
        "PaymentInformation": {"ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": "W95789"}}]},
        "Package": [package | {"ReferenceNumber": references} if country == "US" else package],
    }
    if country != "US":
        shipment["ReferenceNumber"] = references
    return {
        "ShipmentRequest": {
            "Request": {
                "RequestOption": "nonvalidate",
                "SubVersion": "2205",
                "TransactionReference": {"CustomerContext": "ret-000123"},
            },
            "Shipment": shipment,
            "LabelSpecification": {
                "LabelImageFormat": {"Code": image},
                "LabelStockSize": {"Height": "6", "Width": "4"},
            },
        }
    }


def subscription(url: str) -> Json:
    """A request for USPS pushes of everything under our MID."""
    return {
        "listenerURL": url,
        "secret": SECRET,
        "adminNotification": [{"email": "ops@example.com"}],
        "filterProperties": {"MID": "901234567", "trackingEventTypes": ["ALL_UPDATES"]},
    }


def graphic(answer: httpx.Response) -> bytes:
    """The label's bytes out of UPS's answer."""
    results = answer.json()["ShipmentResponse"]["ShipmentResults"]["PackageResults"]
    return base64.b64decode(results[0]["ShippingLabel"]["GraphicImage"])


# ------------------------------------------------------------------------------------------------------------- the walk


@dataclass(slots=True)
class Walk:
    """Everything that was told: bodies by parcel number."""

    parcels: dict[str, Parcel]
    record: dict[str, Json]
    polls: dict[str, Json] = field(default_factory=dict)
    older: dict[str, Json] = field(default_factory=dict)  # USPS v3
    pushes: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    envelopes: list[tuple[dict[str, str], Json]] = field(default_factory=list)


@cache
def walked() -> Walk:
    """The walk, once per test run."""
    return asyncio.run(walk())


async def walk() -> Walk:
    async with listening() as listener, street(ups_webhook_credential=SECRET) as (town, caller):
        town.settings.ups_webhook_url = listener.url
        await caller.http.post(
            "/usps/subscriptions-tracking/v3r2/subscriptions", headers=caller.usps, json=subscription(listener.url)
        )
        for carrier, name in JOURNEYS:
            for delivery in Delivery:
                parcel = town.create(carrier, name, delivery=delivery)
                if carrier == "ups":
                    body = {"locale": "en_US", "countryCode": "US", "trackingNumberList": [parcel.number]}
                    await caller.http.post(
                        "/ups/api/track/v2/subscription/standard/package", headers=caller.ups, json=body
                    )
        await stroll(town)
        await caller.sign_in()
        done = Walk(dict(town.parcels), {each["number"]: each for each in town.record()})
        for parcel in town.parcels.values():
            if parcel.journey.carrier == "ups":
                answer = await caller.http.get(f"/ups/api/track/v1/details/{parcel.number}", headers=caller.ups)
                done.polls[parcel.number] = answer.json()
            else:
                answer = await caller.http.post(
                    "/usps/tracking/v3r2/tracking", headers=caller.usps, json=[{"trackingNumber": parcel.number}]
                )
                done.polls[parcel.number] = answer.json()
                answer = await caller.http.get(
                    f"/usps/tracking/v3/tracking/{parcel.number}?expand=DETAIL", headers=caller.usps
                )
                done.older[parcel.number] = answer.json()
        _sort(listener, done)
        return done


async def stroll(town: Town) -> None:
    """A day at a time to the end, the last days included in which UPS no longer pushes (14 days)."""
    while town.ends_at and town.now() < town.ends_at:
        town.clock.turn(town.now() + timedelta(days=1))
        await until_sent(town)
    await until_quiet(town)


def _sort(listener: Listener, done: Walk) -> None:
    for headers, body in listener.posts:
        told = json.loads(body)
        if "payload" in told:
            done.envelopes.append((headers, told))
            inner = json.loads(told["payload"])
            done.pushes[inner["trackingNumber"]].append(inner)
        else:
            done.pushes[told["trackingNumber"].strip()].append(told)
