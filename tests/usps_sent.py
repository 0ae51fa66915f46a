"""Every request that carriers/usps can send, caught on its way out, and the official operation that each one is."""

import asyncio
import re
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from carriers.contract import Address, CarrierError, LabelFormat, LabelRequest, PickupRequest
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from tests import ups_sent
from tests.official import Deviation, Operation, spec

# Where each file's paths begin, on USPS's hosts.
BASES = {
    "usps/oauth2-v3.yaml": "/oauth2/v3",
    "usps/payments-v3.yaml": "/payments/v3",
    "usps/labels-v3.yaml": "/labels/v3",
    "usps/tracking-v3r2.yaml": "/tracking/v3r2",
    "usps/tracking-v3.yaml": "/tracking/v3",
    "usps/subscriptions-tracking-v3r2.yaml": "/subscriptions-tracking/v3r2",
    "usps/carrier-pickup-v3.yaml": "/pickup/v3",
    "usps/addresses-v3.yaml": "/addresses/v3",
    "usps/locations-v3.yaml": "/locations/v3",
}
# What a file gets wrong of itself.
SENDING = (
    Deviation(
        "usps/carrier-pickup-v3.yaml",
        r"contact/\*: .* is valid under each of",
        "its two kinds of contact both admit any object, so that none is just one of them",
    ),
)
NUMBER, KEY, CONFIRMATION = "9202090123456700000015", "6f1c9f0e-7c0a-4b0e-9a55-2f8f4d8d9e11", "WTC123456789"
ID = "019d0c5e-7a11-7c3e-9a55-2f8f4d8d9e11"
SECRET, OLDER_SECRET = "hush" * 8, "hist" * 8
ANN = Address("Ann Marie Lee", ("10 Elm St", "Apt 4"), "Reno", "89501-1234", "US", "NV", phone="17755550100")
DOCK = Address("", ("500 Dock Rd",), "Sparks", "89431", "US", "NV", company="Returns DC 1")
LISTENER = "https://hooks.example.com/webhooks/usps"
WAITING = Path(__file__).parent / "fixtures" / "usps" / "attempted_no_access.json"


class Sent(ups_sent.Sent):
    """One request as it left, to USPS."""

    @property
    def operation(self) -> Operation:
        """The official operation this is. Raises LookupError where no file has it."""
        found = []
        for file, base in BASES.items():
            for template, call in spec(file)["paths"].items():
                pattern = re.sub(r"\{[\w-]+\}", "[^/]+", base + template)
                if self.method in call and re.fullmatch(pattern, self.path):
                    found.append(Operation(file, self.method, template))
        if not found:
            raise LookupError(f"{self.method.upper()} {self.path} is in no official file")
        return min(found, key=lambda one: one.path.count("{"))  # /eligibility is no {confirmationNumber}


class _Wire(httpx.AsyncBaseTransport):
    """Catches what is sent, and answers something that lets the next call happen."""

    def __init__(self) -> None:
        self.name, self.sent = "", list[Sent]()
        self.subscriptions: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, method = request.url.path, request.method.lower()
        self.sent.append(
            Sent(self.name, method, path, dict(request.url.params), dict(request.headers), request.content)
        )
        if method == "get" and path == "/subscriptions-tracking/v3r2/subscriptions":
            return httpx.Response(200, json={"subscriptions": self.subscriptions})
        if method == "get" and path.startswith("/subscriptions-tracking/"):
            return httpx.Response(200, json=self.subscriptions[0], headers={"ETag": "e"})
        if path == "/tracking/v3r2/tracking":
            return httpx.Response(200, content=WAITING.read_bytes())
        return httpx.Response(200, json=_ANSWERS.get(path, {}), headers={"ETag": "e"})


_ANSWERS = {
    "/oauth2/v3/token": {"access_token": "t", "expires_in": 28799, "scope": "labels"},
    "/payments/v3/payment-authorization": {"paymentAuthorizationToken": "p"},
    f"/pickup/v3/carrier-pickup/{CONFIRMATION}": [{"confirmationNumber": CONFIRMATION, "pickupDate": "2026-03-10"}],
}


def label(**changed: Any) -> LabelRequest:
    wanted: dict[str, Any] = {
        "purchase_id": KEY, "reference": "R" + "A1" * 13, "ship_from": ANN, "ship_to": DOCK,
        "weight_kg": Decimal("0.7"), "description": "clothing", "return_number": "US-2026-000123",
    }  # fmt: skip
    return LabelRequest(**(wanted | changed))


def labels() -> dict[str, LabelRequest]:
    """One of every kind of label we buy."""
    out = {"is_return": False, "ship_from": DOCK, "ship_to": ANN, "ship_day": date(2026, 3, 9)}
    return {
        **{f"back, as {picture}": label(format=picture) for picture in LabelFormat},
        "back, a code beside": label(qr=True),
        "back, with a size": label(size_cm=(Decimal(30), Decimal(20), Decimal(10))),
        "back, by Priority": label(service="PRIORITY_MAIL_RETURN_SERVICE"),
        "back, by Express": label(service="PRIORITY_MAIL_EXPRESS_RETURN_SERVICE"),
        "back, dangerous": label(is_dangerous=True),
        "back, from a territory": label(
            ship_from=replace(ANN, name="Madonna", country="PR", region="", postal_code="00901")
        ),
        "out": label(**out),
        "out, by Priority": label(**out, service="PRIORITY_MAIL"),
        "out, by Express": label(**out, service="PRIORITY_MAIL_EXPRESS"),
        "out, thermal": label(**out, format=LabelFormat.ZPL),
    }


@cache
def sent() -> tuple[Sent, ...]:
    """Everything, once per test run."""
    return tuple(asyncio.run(_all()))


async def _all() -> list[Sent]:
    wire = _Wire()
    settings = Settings.model_validate(
        {
            "client_id": "id", "client_secret": "hush", "base_url": "https://usps.test", "crid": "12345678",
            "mid": "901234567", "eps_account": "1000000001", "push_secrets": (SECRET, OLDER_SECRET),
            "listener_url": LISTENER, "admin_email": "ops@example.com", "return_dates": True, "hazmat_service": 831,
        }
    )  # fmt: skip
    usps = connect(settings, budget=Unlimited(), transport=wire)
    wire.name = "token"
    await usps._keeper.get()
    wire.name = "payment"
    await usps._payment.get()
    for name, request in labels().items():
        wire.name = f"label {name}"
        await usps.buy(usps.prepare_label(request))
    for name, call in _calls(usps).items():
        wire.name = name
        try:
            await call
        except CarrierError:
            continue  # an empty answer is no answer; what was sent is what counts
    await _subscribed(usps, wire)
    await usps.aclose()
    return wire.sent


async def _subscribed(usps: Usps, wire: _Wire) -> None:
    """None yet; then a suspended one with an older secret, and a spare."""
    wire.name = "subscribe"
    await usps.subscribe([])
    filters = {"MID": "901234567", "trackingEventTypes": ["ALL_UPDATES", "PACKAGE_DELAYED"]}
    there = {"subscriptionId": ID, "listenerURL": LISTENER, "filterProperties": filters, "status": "SUSPENDED"}
    wire.name, wire.subscriptions = "subscribe again", [there, there | {"subscriptionId": "spare"}]
    await usps.subscribe([])


def _calls(usps: Usps) -> dict[str, Any]:
    collected = PickupRequest(ANN, date(2026, 3, 10), time(9), time(17), 2, (NUMBER,), Decimal("1.5"), "Ring twice")
    mailed = replace(collected, address=replace(ANN, phone="", email="ann@example.com"), note="")
    return {
        "find": usps.find(usps.prepare_label(label())),
        "find, going out": usps.find(usps.prepare_label(labels()["out"])),
        "reprint": usps.reprint(NUMBER, LabelFormat.ZPL, is_return=True),
        "cancel": usps.void(usps.prepare_void(NUMBER, KEY)),
        "cancel by its key": usps.void(usps.prepare_void("", KEY)),
        "void a return": usps.void(usps.prepare_void(NUMBER, "")),
        "track": usps.track([NUMBER, "9400111206206406260787"]),
        "pickup": usps.book_pickup(collected),
        "pickup, by e-mail": usps.book_pickup(mailed),
        "change pickup": usps.change_pickup(CONFIRMATION, mailed),
        "pickup state": usps.pickup_state(CONFIRMATION),
        "cancel pickup": usps.cancel_pickup(CONFIRMATION),
        "drop-offs": usps.drop_offs(ANN, 5),
        "drop-offs that print": usps.drop_offs(replace(ANN, postal_code=""), 5, prints_labels=True),
        "address": usps.check_address(ANN),
        "address without a ZIP": usps.check_address(replace(ANN, postal_code="")),
        "doctor": usps.check(),
    }
