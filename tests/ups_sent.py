"""Every request that carriers/ups can send, caught on its way out, and the official operation that each one is."""

import asyncio
import json
import re
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import httpx

from carriers.contract import (
    Address,
    CarrierError,
    CustomsLine,
    LabelFormat,
    LabelRequest,
    Money,
    PickupRequest,
    Prepared,
    Reason,
)
from carriers.door import Unlimited
from carriers.ups.connect import Settings, Ups, connect
from tests.official import Deviation, Operation, spec
from tests.ups import CUSTOMER, NUMBER, PURCHASE, REFERENCE, WAREHOUSE, token

SHIPPING, INTERCEPT, PICKUP, LOCATOR, VALIDATION = (
    f"ups/{name}.yaml" for name in ("Shipping", "DeliveryIntercept", "Pickup", "Locator", "AddressValidation")
)
# Where each file's paths begin, on UPS's hosts.
BASES = {
    "ups/OAuthClientCredentials.yaml": "",
    SHIPPING: "/api",
    "ups/Tracking.yaml": "/api",
    "ups/UPSTrackAlert.yaml": "/api/track/v2",
    INTERCEPT: "/api/deliveryintercept/v2",
    PICKUP: "/api",
    LOCATOR: "/api",
    VALIDATION: "/api",
}
# What we send on purpose against the letter of a file.
SENDING = (
    Deviation(PICKUP, r"PickupDate: '\d{8}' is too long", "the file's own words: yyyyMMdd; facts/ups.md 8"),
    Deviation(PICKUP, r"TotalWeight/Weight: '[\d.]+' is too short", "the file's own example: 10.9"),
    Deviation(SHIPPING, r"'(TrackingNumbers|ReferenceValues)' is a required", "facts/ups.md 3.2: the Roadie form only"),
    Deviation(
        SHIPPING, r"LabelImageFormat/Code: 'PDF' is too short", "the file's own words list PDF; facts/ups.md 3.2"
    ),
    Deviation(LOCATOR, r"RequestAction: 'Locator' is too short", "the file's own words: the only value is 'Locator'"),
)
AMERICAN = Address("Ann Lee", ("10 Elm St",), "Reno", "89501", "US", "NV", phone="17755550100")
DOCK = Address("Inbound", ("1 Dock Rd",), "Secaucus", "07094", "US", "NJ", "Shop Inc", "12015550100")
SWISS = Address("A Customer", ("Bahnhofstrasse 1",), "Zuerich", "8001", "CH", phone="41440000000")
GOODS = (CustomsLine("Wool coat", 1, Money(Decimal("290.00"), "EUR"), "62021100", "IT"),)
TRACKED = {
    "trackResponse": {
        "shipment": [
            {
                "inquiryNumber": NUMBER,
                "package": [
                    {
                        "trackingNumber": NUMBER,
                        "packageAddress": [
                            {
                                "type": end,
                                "address": {
                                    "addressLine1": "1 Dock Rd",
                                    "city": "Secaucus",
                                    "stateProvince": "NJ",
                                    "postalCode": "07094",
                                    "countryCode": "US",
                                },
                            }
                            for end in ("ORIGIN", "DESTINATION")
                        ],
                    }
                ],
            }
        ]
    }
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it left."""

    name: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> Operation:
        """The official operation this is. Raises LookupError where no file has it."""
        for file, base in BASES.items():
            for template, call in spec(file)["paths"].items():
                pattern = re.sub(r"\{\w+\}", "[^/]+", base + template)
                if self.method in call and re.fullmatch(pattern, self.path) and "deprecated" not in template:
                    form = self.headers.get("content-type", "").startswith("application/x-www-form")
                    media = "application/x-www-form-urlencoded" if form else "application/json"
                    # The file offers two schemas there, and the second admits nothing of ours.
                    schema = "PICKUPCreationRequestWrapper" if template.startswith("/pickupcreation") else ""
                    return Operation(file, self.method, template, media=media, schema=schema)
        raise LookupError(f"{self.method.upper()} {self.path} is in no official file")

    @property
    def content(self) -> Any:
        """The body as a value."""
        if self.headers.get("content-type", "").startswith("application/x-www-form"):
            return dict(parse_qsl(self.body.decode()))
        return json.loads(self.body) if self.body else None


class _Wire(httpx.AsyncBaseTransport):
    """Catches what is sent, and answers something that lets the next call happen."""

    def __init__(self) -> None:
        self.name, self.sent = "", list[Sent]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        sent = Sent(
            self.name, request.method.lower(), path, dict(request.url.params), dict(request.headers), request.content
        )
        self.sent.append(sent)
        answer: dict[str, Any] = {}
        if path.endswith("/oauth/token"):
            answer = token("t")
        elif "/track/v1/details" in path:
            answer = TRACKED
        elif "/reference/details" in path:
            answer = {
                "trackResponse": {"shipment": [{"inquiryNumber": NUMBER, "package": [{"trackingNumber": NUMBER}]}]}
            }
        elif "/recovery" in path:
            answer = {"LabelRecoveryResponse": {}}
        return httpx.Response(200, json=answer)


def label(**changed: Any) -> LabelRequest:
    wanted: dict[str, Any] = {
        "purchase_id": PURCHASE, "reference": REFERENCE, "ship_from": CUSTOMER, "ship_to": WAREHOUSE,
        "weight_kg": Decimal("1.5"), "description": "Footwear", "return_number": "RMA-1",
    }  # fmt: skip
    return LabelRequest(**(wanted | changed))


def labels() -> dict[str, LabelRequest]:
    """One of every kind of label we buy."""
    out = {"ship_from": WAREHOUSE, "ship_to": CUSTOMER, "is_return": False, "order_numbers": ("EU-1001",)}
    return {
        "to print, within the EU": label(),
        "mailed by UPS": label(electronic_to="canary@example.com"),
        "thermal": label(format=LabelFormat.ZPL),
        "with a size": label(size_cm=(Decimal(30), Decimal(20), Decimal(10))),
        "within the US": label(ship_from=AMERICAN, ship_to=DOCK, size_cm=(Decimal(30), Decimal(20), Decimal(10))),
        "with another alphabet": label(ship_from=replace(CUSTOMER, name="\u0141ucja", country="PL")),
        "over a customs border": label(ship_from=SWISS, customs=GOODS),
        "going out": label(**out),
        "going out on a day": label(**out, ship_day=date(2026, 3, 9)),
        "going out over a customs border": label(
            **(out | {"ship_to": SWISS}), customs=GOODS, ship_day=date(2026, 3, 9)
        ),
    }  # fmt: skip


@cache
def sent() -> tuple[Sent, ...]:
    """Everything, once per test run."""
    return tuple(asyncio.run(_all()))


async def _all() -> list[Sent]:
    wire = _Wire()
    settings = Settings.model_validate(
        {
            "client_id": "id", "client_secret": "hush", "account": "A1B2C3", "base_url": "https://ups.test",
            "contact_name": "Returns desk", "contact_phone": "+1 212 5550100", "contact_email": "ops@example.com",
        }
    )  # fmt: skip
    ups = connect(settings, budget=Unlimited(), transport=wire)
    wire.name = "token"
    await ups._keeper.get()
    for name, request in labels().items():
        wire.name = f"label {name}"
        await ups.buy(ups.prepare_label(request))
    for name, call in _calls(ups).items():
        wire.name = name
        try:
            await call
        except CarrierError:
            continue  # an empty answer is no answer; what was sent is what counts
    await ups.aclose()
    return wire.sent


def _calls(ups: Ups) -> dict[str, Any]:
    def order(reason: str | None) -> Prepared:
        return ups.prepare_intercept(NUMBER, reason)

    collected = PickupRequest(
        CUSTOMER, date(2026, 3, 10), time(9), time(17), 2, (NUMBER,), Decimal("1.5"), "Ring twice"
    )
    return {
        "find": ups.find(ups.prepare_label(label())),
        "void": ups.void(ups.prepare_void(NUMBER, NUMBER)),
        "track": ups.track([NUMBER]),
        "subscribe": ups.subscribe([NUMBER]),
        "eligibility": ups.intercept_eligibility(NUMBER),
        "charge": ups.intercept_charge(NUMBER),
        "intercept": ups.intercept(order(None)),
        "intercept, bad address": ups.intercept(order(Reason.INSUFFICIENT_ADDRESS)),
        "cancel intercept": ups.cancel_intercept(NUMBER),
        "pickup": ups.book_pickup(collected),
        "pickup on account": ups.book_pickup(replace(collected, address=AMERICAN, numbers=(), weight_kg=Decimal(40))),
        "pickup state": ups.pickup_state("2929602E9CP"),
        "cancel pickup": ups.cancel_pickup("2929602E9CP"),
        "drop-offs": ups.drop_offs(CUSTOMER, 5),
        "drop-offs in the US": ups.drop_offs(AMERICAN, 5),
        "address": ups.check_address(AMERICAN),
        "doctor": ups.check(),
    }
