"""A UPS account whose HTTP is played by respx, for the tests of what it asks and how it judges the answers."""

from base64 import b64encode
from decimal import Decimal
from io import BytesIO
from typing import Any

import httpx
import respx
from PIL import Image

from carriers.contract import Address, LabelRequest
from carriers.door import Unlimited
from carriers.ups.connect import Settings, Ups, connect

BASE = "https://ups.test"
NUMBER = "1Z5338FF0107231059"
REFERENCE = "R" + "A1" * 13
PURCHASE = "3f2b8c1e-9d4a-4c6b-8f00-112233445566"
WAREHOUSE = Address(
    "Inbound", ("Interporto di Bologna, blocco 9.5",), "Bentivoglio", "40010", "IT", "BO", "Shop SpA", "+39 051 000000"
)
CUSTOMER = Address("A Customer", ("Damrak 1",), "Amsterdam", "1012 LG", "NL", phone="31200000000")
SHIP = "/api/shipments/v2409/ship"
RECOVERY = "/api/labels/v1/recovery"
SUBSCRIBE = "/api/track/v2/subscription/standard/package"
TOKEN = "/security/v1/oauth/token"
BY_REFERENCE = f"/api/track/v1/reference/details/{REFERENCE}"
NOTHING = {"trackResponse": {"shipment": [{"inquiryNumber": "x", "warnings": [{"code": "TW0001", "message": "None"}]}]}}


class Quiet(Unlimited):
    """A budget that never waits and remembers who asked for quiet."""

    def __init__(self) -> None:
        self.held: list[tuple[str, float]] = []

    def hold(self, api: str, seconds: float) -> None:
        self.held.append((api, seconds))


class Street:
    """Routes, the tokens given out, and the carrier that asks."""

    def __init__(self, **settings: Any) -> None:
        self.router = respx.Router(base_url=BASE, assert_all_called=False)
        self.tokens = 0
        self.token = self.router.post(TOKEN).mock(side_effect=self._give_token)
        self.budget = Quiet()
        wanted = {"client_id": "id", "client_secret": "hush", "account": "A1B2C3", "base_url": BASE, **settings}
        self.ups: Ups = connect(
            Settings.model_validate(wanted),
            budget=self.budget,
            transport=httpx.MockTransport(self.router.async_handler),
        )

    def _give_token(self, request: httpx.Request) -> httpx.Response:
        self.tokens += 1
        return httpx.Response(200, json=token(f"token-{self.tokens}"))

    def post(self, path: str, **answer: Any) -> respx.Route:
        return self.router.post(path).mock(**answer)

    def get(self, path: str, **answer: Any) -> respx.Route:
        return self.router.get(path).mock(**answer)


def token(value: str, seconds: str = "14399") -> dict[str, str]:
    """A token answer as UPS gives it: every value a text."""
    return {
        "token_type": "Bearer", "issued_at": "1769000000000", "client_id": "id", "access_token": value, "scope": "",
        "expires_in": seconds, "refresh_count": "0", "status": "approved",
    }  # fmt: skip


def errors(code: str, message: str = "No.") -> dict[str, Any]:
    return {"response": {"errors": [{"code": code, "message": message}]}}


def gif() -> bytes:
    """A label as UPS draws it: sideways, 1400 x 800, a mark in its upper left corner."""
    drawn = BytesIO()
    picture = Image.new("L", (1400, 800), 255)
    picture.paste(0, (0, 0, 100, 50))
    picture.save(drawn, "GIF")
    return drawn.getvalue()


def bought(context: str | None = REFERENCE, image: str = "GIF", drawn: bytes | None = None) -> dict[str, Any]:
    """A Ship answer.  # source: facts/ups.md 2.10"""
    response: dict[str, Any] = {"ResponseStatus": {"Code": "1", "Description": "Success"}}
    if context is not None:
        response["TransactionReference"] = {"CustomerContext": context}
    label = {"ImageFormat": {"Code": image}, "GraphicImage": b64encode(gif() if drawn is None else drawn).decode()}
    results = {
        "ShipmentCharges": {"TotalCharges": {"CurrencyCode": "EUR", "MonetaryValue": "9.60"}},
        "NegotiatedRateCharges": {"TotalCharge": {"CurrencyCode": "EUR", "MonetaryValue": "6.20"}},
        "BillingWeight": {"UnitOfMeasurement": {"Code": "KGS"}, "Weight": "1.5"},
        "ShipmentIdentificationNumber": NUMBER,
        "PackageResults": [{"TrackingNumber": NUMBER, "ShippingLabel": label}],
    }
    return {"ShipmentResponse": {"Response": response, "ShipmentResults": results}}


def recovered(*numbers: str, many: bool = False) -> dict[str, Any]:
    """A Label Recovery answer: one label as an object, several as candidates.  # source: facts/ups.md 3.2"""
    answer: dict[str, Any] = {"Response": {"ResponseStatus": {"Code": "1", "Description": "Success"}}}
    if many:
        answer |= {"LabelResults": [], "TrackingCandidate": [{"TrackingNumber": number} for number in numbers]}
    else:
        picture = {"LabelImageFormat": {"Code": "PDF"}, "GraphicImage": b64encode(b"%PDF-1.4 label").decode()}
        answer["LabelResults"] = {"TrackingNumber": numbers[0], "LabelImage": picture}
    return {"LabelRecoveryResponse": answer}


def request(**changed: Any) -> LabelRequest:
    wanted: dict[str, Any] = {
        "purchase_id": PURCHASE, "reference": REFERENCE, "ship_from": CUSTOMER, "ship_to": WAREHOUSE,
        "weight_kg": Decimal("1.5"), "description": "Footwear", "return_number": "RMA-1",
    }  # fmt: skip
    return LabelRequest(**(wanted | changed))
