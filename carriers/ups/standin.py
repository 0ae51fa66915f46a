"""UPS's stand-in: the same URLs, the same JSON, played from a script; it imports nothing of ours.

It knows how UPS speaks (sources: the official OpenAPI files and facts/ups.md) and asks the town what has happened.
"""

import base64
import json
import re
import secrets
import string
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from aiohttp import BasicAuth, web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, str, Handler]  # method, path, operation, handler
Posting = tuple[str, dict[str, str], bytes]  # url, headers, body

# --------------------------------------------------------------------------------------------- what it asks of the town


class Place(Protocol):
    @property
    def city(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def postal_code(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def name(self) -> str: ...


class Scan(Protocol):
    @property
    def word(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def local(self) -> datetime: ...
    @property
    def place(self) -> Place: ...
    @property
    def order(self) -> int: ...
    @property
    def again(self) -> date | None: ...
    @property
    def keep(self) -> date | None: ...
    @property
    def echo(self) -> bool: ...


class Parcel(Protocol):
    @property
    def number(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def origin(self) -> Place: ...
    @property
    def destination(self) -> Place: ...
    @property
    def scheduled(self) -> date: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def references(self) -> tuple[str, ...]: ...


class Settings(Protocol):
    ups_account: str
    ups_client_id: str
    ups_client_secret: str
    ups_webhook_url: str
    ups_webhook_credential: str
    token_seconds: float
    push_all: bool


class Tokens(Protocol):
    def mint(self, owner: str, scope: str, seconds: float) -> str: ...
    def scope(self, value: str) -> str | None: ...
    def owner(self, value: str) -> str: ...
    def forget(self) -> None: ...


class Town(Protocol):
    @property
    def settings(self) -> Settings: ...
    def now(self) -> datetime: ...
    def seen(self, number: str) -> tuple[Parcel, Sequence[Scan]] | None: ...
    def referred(self, carrier: str, reference: str) -> Sequence[str]: ...
    def ship(
        self,
        carrier: str,
        number: str,
        *,
        is_return: bool,
        origin: Mapping[str, str],
        destination: Mapping[str, str],
        references: tuple[str, ...],
        amount: str,
        currency: str,
        key: str = "",
        charged: bool = True,
    ) -> None: ...
    def void(self, carrier: str, number: str) -> None: ...
    def draw(self, image_format: str, number: str, lines: Sequence[str], sideways: bool) -> bytes: ...


# ------------------------------------------------------------------------------------------------------ how UPS says it

# word -> (type, code, three-digit status, text). A parcel keeps to one of the wordings. Codes collide across types on
# purpose (I/DL and X/DL, I/OT and X/OT), and some statuses are the generic 013, where only the code tells.
# source: facts/ups_codes.csv, rows of these types and codes; the pairs with statuses: facts/ups.md 5.1, 5.4.
SAYS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "label": (("M", "MP", "003", "Billing data received, ready for UPS"),),
    "pickup": (("I", "PU", "038", "Pickup scan"), ("I", "PC", "038", "Picked up by package car")),
    "dropoff": (("I", "XD", "169", "Dropped off by the customer"), ("I", "PU", "038", "Pickup scan")),
    "collection_missed": (("X", "G4", "065", "Pickup attempted: the parcel was not ready"),),
    "origin": (("I", "OR", "005", "Origin scan"),),
    "depart": (("I", "DP", "005", "Departed from facility"),),
    "hub": (("I", "AR", "005", "Arrived at facility"), ("I", "HU", "005", "Hub scan")),
    "arrive": (("I", "AR", "005", "Arrived at facility"), ("I", "UL", "010", "Unload scan")),
    "prepare": (("I", "DS", "071", "Destination scan"), ("I", "YP", "071", "Preparing for delivery")),
    "load": (("I", "DL", "072", "Loaded for the driver"), ("I", "OD", "072", "Loaded on the delivery vehicle")),
    "out": (("I", "OT", "021", "Out for delivery"), ("I", "OF", "006", "Out for delivery")),
    "miss_first": (
        ("X", "48", "022", "The receiver was unavailable. A second attempt will be made the next business day"),
        ("X", "G3", "022", "The business was closed. A second attempt will be made the next business day"),
        ("X", "7L", "022", "The receiver was unavailable. A second attempt at the receiver's address follows"),
        ("X", "48", "013", "The receiver was unavailable. A second attempt will be made the next business day"),
    ),
    "miss_second": (
        ("X", "KX", "023", "We missed you again. The final attempt will be made the next business day"),
        ("X", "L1", "023", "The business was closed again. The final attempt will be made the next business day"),
        ("X", "KX", "013", "We missed you again. The final attempt will be made the next business day"),
    ),
    "miss_final": (
        ("X", "49", "024", "The receiver was unavailable at the time of the final attempt"),
        ("X", "AY", "024", "The business was closed at the time of the final attempt"),
        ("X", "49", "013", "The receiver was unavailable at the time of the final attempt"),
    ),
    "miss": (
        ("X", "C4", "013", "The receiver was unavailable at the delivery attempt"),
        ("X", "OH", "060", "Delivery attempted: nobody there to accept the parcel"),
        ("X", "GB", "145", "Delivery attempted"),
    ),
    "miss_same_visit": (
        ("X", "C4", "013", "The receiver was unavailable at the delivery attempt"),
        ("X", "GB", "060", "Delivery attempted"),
    ),
    "miss_to_point": (
        ("X", "5R", "057", "We were unable to deliver. The parcel is going to an Access Point"),
        ("X", "89", "057", "We were unable to deliver. The parcel is going to an Access Point"),
        ("X", "2X", "057", "We were unable to deliver. The parcel is going to an Access Point"),
        ("X", "6R", "057", "We were unable to deliver. The parcel is at an Access Point the next business day"),
    ),
    "miss_home": (("X", "55", "013", "The business was closed. Another attempt follows the next business day"),),
    "refuse": (
        ("X", "KR", "064", "Refused: the product was not wanted"),
        ("X", "AM", "064", "Refused: the receiver cancelled the order"),
        ("D", "53", "064", "The receiver refused"),
    ),
    "wrong_address": (
        ("X", "AA", "050", "The suite number is missing or wrong"),
        ("X", "AL", "029", "The postal code is wrong"),
        ("D", "50", "050", "Not delivered: the address is wrong"),
    ),
    "at_point": (
        ("X", "ZP", "040", "At the Access Point, waiting for the customer"),
        ("D", "2Q", "161", "Delivered to an Access Point"),
    ),
    "collected": (
        ("X", "FT", "011", "The receiver collected the parcel"),
        ("D", "2W", "011", "Collected at an Access Point"),
    ),
    "point_expired": (
        ("X", "3N", "035", "Not collected at the Access Point; it goes back"),
        ("X", "6C", "035", "Access Point hold time over"),
    ),
    "held": (
        ("X", "UE", "017", "Held at UPS for pickup, 5 business days"),
        ("X", "54", "017", "The receiver will collect at UPS"),
    ),
    "weather": (
        ("X", "7V", "051", "Emergency or weather delay"),
        ("X", "2A", "052", "Weather delay"),
        ("X", "DJ", "053", "Severe weather delay"),
    ),
    "rescheduled": (
        ("X", "14", "055", "Delivery rescheduled"),
        ("X", "TH", "055", "Delivery rescheduled"),
        ("D", "57", "013", "No delivery attempt on the planned day"),
    ),
    "delay": (("X", "07", "048", "Mis-sorted; a delay"), ("X", "CC", "049", "Operational delay")),
    "damage": (
        ("X", "13", "059", "Damaged; held at a hub"),
        ("X", "45", "059", "Damaged in transit"),
        ("D", "28", "059", "Damaged; held on the way"),
    ),
    "search": (("X", "F8", "129", "UPS is trying to verify the location"),),
    "lost": (("X", "S9", "068", "Sent to UPS lost and found"), ("X", "TJ", "068", "Sent to UPS lost and found")),
    "customs": (
        ("X", "71", "058", "Clearance data asked from the sender"),
        ("X", "OT", "058", "Clearance data asked from the sender"),
    ),
    "turn": (
        ("X", "DL", "035", "The parcel will be returned to the sender"),
        ("X", "KP", "035", "The parcel will be returned to the sender"),
        ("X", "UF", "036", "Return to the sender under way"),
        ("X", "O4", "013", "The parcel will be returned to the sender"),
    ),
    "home": (
        ("D", "FS", "011", "Delivered"),
        ("D", "F4", "034", "Returned to the sender"),
        ("D", "B0", "034", "Delivered to the original sender"),
        ("X", "UA", "034", "Returned to the sender"),
    ),
    "deliver": (("D", "FS", "011", "Delivered"), ("D", "F4", "011", "Delivered")),
    "void": (("MV", "VP", "007", "Manifest cancelled, shipment voided"),),
}
AT_A_DOOR = frozenset({"deliver", "collected", "home"})

NUMBER = re.compile(r"1Z[0-9A-Z]{16}|1R[0-9A-Z]{14}|1R[0-9A-Z]{26}")
PUSHED_FOR = timedelta(days=14)  # source: facts/ups.md 6.1
FORMATS = {"GIF": "gif", "PNG": "png", "ZPL": "zpl"}  # source: facts/ups.md 2.6: PDF is not offered by Ship
NOT_ON_RETURNS = {"13", "59", "82", "83", "84", "85", "86", "C6", "C7", "C8"}  # source: facts/ups.md 2.1
VOIDABLE = {"US", "PR", "CA"}  # source: facts/ups.md 3.1


def check_digit(fifteen: str) -> str:
    """The 18th sign of a 1Z number from the 15 after `1Z`. Source: facts/ups.md 10.2."""
    values = [int(sign) if sign.isdigit() else (ord(sign) - 63) % 10 for sign in fifteen]
    return str(-(sum(values[::2]) + 2 * sum(values[1::2])) % 10)


@dataclass(slots=True)
class Sold:
    """A label that was bought here."""

    number: str
    lines: tuple[str, ...]
    country: str
    to_country: str
    to_postal_code: str
    voided: bool = False


class No(Exception):
    """UPS's refusal of a request: a status, a code and a sentence."""

    def __init__(self, code: str, message: str, status: int = 400, **more: object) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


def _answer(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def _errors(code: str, message: str, status: int, **more: object) -> web.Response:
    return _answer(
        {**more, "response": {"errors": [{"code": code, "message": message}]}},
        status,
        {"errorcode": code, "errordescription": message},
    )


class Standin:
    """UPS as far as a caller can see it."""

    name = "ups"

    def __init__(self, town: Town, tokens: Tokens) -> None:
        self.town, self.tokens = town, tokens
        self.sold: dict[str, Sold] = {}
        self.followed: dict[str, datetime] = {}  # number -> until
        self._serial = secrets.randbelow(10_000_000)

    def routes(self) -> list[Route]:
        return [
            ("POST", "/security/v1/oauth/token", "token", self.token),
            ("POST", "/api/shipments/{version}/ship", "ship", self._guarded(self.ship)),
            ("DELETE", "/api/shipments/{version}/void/cancel/{id}", "void", self._guarded(self.void)),
            ("POST", "/api/labels/{version}/recovery", "recovery", self._guarded(self.recovery)),
            ("GET", "/api/track/v1/details/{number}", "track", self._guarded(self.track)),
            ("GET", "/api/track/v1/reference/details/{reference}", "reference", self._guarded(self.reference)),
            ("POST", "/api/track/v2/subscription/{type}/package", "subscribe", self._guarded(self.subscribe)),
            ("*", "/api/deliveryintercept/{rest:.*}", "intercept", self._guarded(self.not_yet)),
            ("*", "/api/pickupcreation/{rest:.*}", "pickup", self._guarded(self.not_yet)),
            ("*", "/api/shipments/{version}/pickup/{type}", "pickup", self._guarded(self.not_yet)),
            ("*", "/{rest:.*}", "unknown", self.nowhere),
        ]

    # ------------------------------------------------------------------------------------------- faults, in UPS's words

    def busy(self, retry_after: str | None) -> web.Response:
        """Source: facts/ups.md 11: 10429, and no Retry-After unless somebody wants one."""
        answer = _errors("10429", "Too Many Requests", 429)
        if retry_after is not None:
            answer.headers["Retry-After"] = retry_after
        return answer

    def broken(self) -> web.Response:
        return _errors("10004", "Something went wrong", 500)

    def forget_tokens(self) -> None:
        self.tokens.forget()

    def starve(self) -> None:
        """A UPS token has no scope to lose."""

    # -------------------------------------------------------------------------------------------------------- the doors

    def _guarded(self, handler: Handler) -> Handler:
        """A token first (source: facts/ups.md 4.4: 250002 for absent and wrong ones), then refusals as JSON."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if self.tokens.scope(token) is None:
                code = "251004" if self.tokens.owner(token) else "250002"
                return _errors(code, "Invalid Authentication Information.", 401)
            try:
                return await handler(request)
            except No as no:
                return _errors(no.code, str(no), no.status, **no.more)

        return guarded

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            who = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            return _errors("10400", "Authorization header is missing or malformed", 400)
        if form.get("grant_type") != "client_credentials":
            return _errors("10400", "The grant type is missing or wrong", 400)
        settings = self.town.settings
        expected = (settings.ups_client_id or who.login, settings.ups_client_secret or who.password)
        if not who.login or not who.password or (who.login, who.password) != expected:
            return _errors("10401", "The client id or its secret is invalid", 401)
        seconds = settings.token_seconds or 14399
        value = self.tokens.mint(who.login, "", seconds)
        return _answer(
            {
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
                "client_id": who.login,
                "access_token": value,
                "scope": "",
                "expires_in": str(int(seconds)),
                "refresh_count": "0",
                "status": "approved",
            }
        )

    async def not_yet(self, request: web.Request) -> web.Response:
        return _errors("501", "This place of UPS is not built on the street yet", 501)

    async def nowhere(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 4.4: an empty body, the reason only in headers."""
        return web.Response(
            status=404, content_type="application/json", headers={"errorcode": "404", "errordescription": "Not Found"}
        )

    # ----------------------------------------------------------------------------------------------------------- labels

    async def ship(self, request: web.Request) -> web.Response:
        wanted = _object(await request.text(), "ShipmentRequest")
        shipment = _checked_shipment(wanted, self.town.settings.ups_account)
        image = str(_path(wanted, "LabelSpecification", "LabelImageFormat", "Code") or "").upper()
        if image not in FORMATS:
            raise No("120000", f"Label image format {image or 'missing'}: GIF, PNG or ZPL")
        number = self.number(str(_path(shipment, "Shipper", "ShipperNumber")))
        packages = _list(shipment["Package"])
        references = _references(shipment, packages)
        sold = _sold(number, shipment, references)
        self.sold[number] = sold
        weight = str(_path(packages[0], "PackageWeight", "Weight") or "1.0")
        unit = str(_path(packages[0], "PackageWeight", "UnitOfMeasurement", "Code") or "KGS")
        currency = "USD" if sold.country == "US" else "EUR"
        self.town.ship(
            self.name,
            number,
            is_return="ReturnService" in shipment,
            origin=_address(shipment["ShipFrom"]),
            references=references,
            destination=_address(shipment["ShipTo"]),
            amount="6.20",
            currency=currency,
        )
        graphic = base64.b64encode(self.town.draw(FORMATS[image], number, sold.lines, FORMATS[image] == "gif")).decode()

        def money(value: str) -> Json:
            return {"CurrencyCode": currency, "MonetaryValue": value}

        label: Json = {"ImageFormat": {"Code": image, "Description": image}, "GraphicImage": graphic}
        if image == "GIF":
            label["HTMLImage"] = base64.b64encode(b"<html><body>label</body></html>").decode()
        context = str(_path(wanted, "Request", "TransactionReference", "CustomerContext") or "")
        return _answer(
            {
                "ShipmentResponse": {
                    "Response": {
                        "ResponseStatus": {"Code": "1", "Description": "Success"},
                        "Alert": [{"Code": "120900", "Description": "A warning of the street, not a failure"}],
                        **({"TransactionReference": {"CustomerContext": context}} if context else {}),
                    },
                    "ShipmentResults": {
                        "ShipmentCharges": {
                            "TransportationCharges": money("9.10"),
                            "ServiceOptionsCharges": money("0.50"),
                            "TotalCharges": money("9.60"),
                        },
                        "NegotiatedRateCharges": {"TotalCharge": money("6.20")},
                        "BillingWeight": {"UnitOfMeasurement": {"Code": unit}, "Weight": weight},
                        "ShipmentIdentificationNumber": number,
                        "PackageResults": [{"TrackingNumber": number, "ShippingLabel": label}],
                    },
                }
            }
        )

    async def void(self, request: web.Request) -> web.Response:
        number = request.match_info["id"].upper()
        sold = self.sold.get(number)
        if "string" in request.query.getall("trackingnumber", []) or sold is None or sold.country not in VOIDABLE:
            # source: facts/ups.md 3.1: 190102, also for what cannot be voided at all.
            raise No("190102", "No shipment found within the allowed void period")
        if not sold.voided:
            sold.voided = True
            self.town.void(self.name, number)
        return _answer(
            {
                "VoidShipmentResponse": {
                    "Response": {"ResponseStatus": {"Code": "1", "Description": "Success"}},
                    "SummaryResult": {"Status": {"Code": "1", "Description": "Voided"}},
                    "PackageLevelResults": [
                        {"TrackingNumber": number, "Status": {"Code": "1", "Description": "Voided"}}
                    ],
                }
            }
        )

    async def recovery(self, request: web.Request) -> web.Response:
        wanted = _object(await request.text(), "LabelRecoveryRequest")
        reference = str(_path(wanted, "ReferenceValues", "ReferenceNumber", "Value") or "")
        numbers = self.town.referred(self.name, reference) if reference else [str(wanted.get("TrackingNumber", ""))]
        found = [self.sold[number] for number in numbers if number in self.sold and not self.sold[number].voided]
        if not found:
            raise No("300300", "No label found for this number or reference")  # the sources name no code: ours
        image = str(_path(wanted, "LabelSpecification", "LabelImageFormat", "Code") or "GIF").upper()
        results: Json = {"Response": {"ResponseStatus": {"Code": "1", "Description": "Success"}}}
        if len(found) > 1:
            results["LabelResults"] = []
            results["TrackingCandidate"] = [
                {
                    "TrackingNumber": each.number,
                    "DestinationPostalCode": each.to_postal_code,
                    "DestinationCountryCode": each.to_country,
                }
                for each in found
            ]
        else:
            drawn = self.town.draw(
                {**FORMATS, "PDF": "pdf"}.get(image, "gif"), found[0].number, found[0].lines, image == "GIF"
            )
            results["ShipmentIdentificationNumber"] = found[0].number
            # source: facts/ups.md 0, the array rule: before v2403 a single element comes as an object.
            results["LabelResults"] = {
                "TrackingNumber": found[0].number,
                "LabelImage": {"LabelImageFormat": {"Code": image}, "GraphicImage": base64.b64encode(drawn).decode()},
            }
        return _answer({"LabelRecoveryResponse": results})

    def number(self, account: str) -> str:
        """A new 1Z number of this account."""
        self._serial = (self._serial + 1) % 10_000_000
        body = f"{account}68{self._serial:07d}"
        return f"1Z{body}{check_digit(body)}"

    # --------------------------------------------------------------------------------------------------------- tracking

    async def track(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if not 7 <= len(number) <= 34:
            raise No("TV1002", "Invalid inquiry number")
        return _answer({"trackResponse": {"shipment": [self._shipment(number)]}})

    async def reference(self, request: web.Request) -> web.Response:
        reference = request.match_info["reference"]
        shipments = [self._shipment(number) for number in self.town.referred(self.name, reference)]
        return _answer({"trackResponse": {"shipment": shipments or [_nothing(reference)]}})

    def _shipment(self, number: str) -> Json:
        known = self.town.seen(number)
        if known is None or not known[1]:
            return _nothing(number)
        parcel, scans = known
        return {
            "inquiryNumber": number,
            "pickupDate": f"{parcel.starts_at:%Y%m%d}",  # source: facts/ups.md 4.1: seen, though not in the schema
            "package": [_package(parcel, scans)],
        }

    # ----------------------------------------------------------------------------------------------------------- pushes

    async def subscribe(self, request: web.Request) -> web.Response:
        if request.match_info["type"] not in {"standard", "enhanced"}:
            raise No("404", "The requested resource was not found.", 404)
        for header, code in (("transId", "VSS002"), ("transactionSrc", "VSS004")):
            if not request.headers.get(header):
                raise No(code, f"Missing {header}", invalidTrackingNumbers=[])
        wanted = _parsed(await request.text(), "VSS110")
        if wanted.get("locale") != "en_US":
            raise No("VSS310" if wanted.get("locale") else "VSS300", "Locale", invalidTrackingNumbers=[])
        numbers = wanted.get("trackingNumberList")
        if not isinstance(numbers, list) or not numbers:
            raise No("VSS200", "Tracking Number List is required", invalidTrackingNumbers=[])
        if len(numbers) > 100:
            raise No("VSS220", "More than 100 tracking numbers", invalidTrackingNumbers=[])
        valid = [number for number in numbers if isinstance(number, str) and NUMBER.fullmatch(number)]
        invalid = [str(number) for number in numbers if number not in valid]
        if not valid:
            raise No("VSS210", "Not one valid tracking number", invalidTrackingNumbers=invalid)
        self.followed |= dict.fromkeys(valid, self.town.now() + PUSHED_FOR)
        return _answer({"validTrackingNumbers": valid, "invalidTrackingNumbers": invalid})

    def push(self, parcel: Parcel, scan: Scan) -> list[Posting]:
        """The posts for this scan, to whom it may concern: only numbers subscribed to within 14 days."""
        settings = self.town.settings
        if not settings.ups_webhook_url:
            return []
        if not settings.push_all and self.followed.get(parcel.number, self.town.now()) <= self.town.now():
            return []
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "UPSPubSubTrackingService",
            "credential": settings.ups_webhook_credential,
        }
        return [(settings.ups_webhook_url, headers, json.dumps(_pushed(parcel, scan), ensure_ascii=False).encode())]

    def listener_failed(self, url: str) -> None:
        """UPS keeps no account of lost pushes (source: facts/ups.md 6.2)."""

    def listener_heard(self, url: str) -> None:
        """As above."""


# ---------------------------------------------------------------------------------------------------- tracking, as JSON


def _said(parcel: Parcel, scan: Scan) -> tuple[str, str, str, str]:
    ways = SAYS[scan.word]
    return ways[(parcel.seed + zlib.crc32(scan.word.encode())) % len(ways)]


def _nothing(number: str) -> Json:
    return {"inquiryNumber": number, "warnings": [{"code": "TW0001", "message": "Tracking Information Not Found"}]}


def _package(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    newest = max(scans, key=lambda scan: (scan.at, scan.order))
    kind, _, status, text = _said(parcel, newest)
    # source: facts/ups.md 4.1: in practice `code` holds the three-digit status, and type and statusCode may be missing.
    current: Json = {"description": text, "code": status}
    if parcel.seed % 3 == 0:
        current |= {"type": kind, "statusCode": status, "simplifiedTextDescription": text.split(".")[0]}
    package: Json = {
        "trackingNumber": parcel.number,
        "deliveryDate": _delivery_dates(parcel, scans),
        "deliveryTime": _delivery_time(scans),
        "activity": [_activity(parcel, scan) for scan in scans],
        "currentStatus": current,
        "packageAddress": [
            _package_address("ORIGIN", parcel.origin),
            _package_address("DESTINATION", parcel.destination),
        ],
        "service": {"code": "518", "levelCode": "011", "description": "UPS Standard"},
        "weight": {"unitOfMeasurement": "KGS", "weight": "1.50"},
        "packageCount": 1,
    }
    if parcel.references:
        package["referenceNumber"] = [{"type": "SHIPMENT", "number": reference} for reference in parcel.references]
    if keep := next((scan.keep for scan in scans if scan.keep), None):
        package["accessPointInformation"] = {"pickupByDate": f"{keep:%Y%m%d}"}
    if any(scan.word in {"deliver", "home"} for scan in scans):
        package["deliveryInformation"] = {"location": "Front Desk", "receivedBy": "R. CEIVER"}
    return package


def _delivery_dates(parcel: Parcel, scans: Sequence[Scan]) -> list[Json]:
    dates = [{"type": "SDD", "date": f"{parcel.scheduled:%Y%m%d}"}]
    if moved := [scan.again for scan in scans if scan.again]:
        dates.append({"type": "RDD", "date": f"{max(moved):%Y%m%d}"})
    if handed := next((scan for scan in scans if scan.word in AT_A_DOOR), None):
        dates.append({"type": "DEL", "date": f"{handed.local:%Y%m%d}"})
    return dates


def _delivery_time(scans: Sequence[Scan]) -> Json:
    handed = next((scan for scan in scans if scan.word in AT_A_DOOR), None)
    return {"type": "DEL", "endTime": f"{handed.local:%H%M%S}"} if handed else {"type": "EOD"}


def _package_address(kind: str, place: Place) -> Json:
    address = {
        "city": place.city.upper(),
        "stateProvince": place.region,
        "countryCode": place.country,
        "country": place.country,
    }
    return {"type": kind, "name": place.name, "address": address}


def _activity(parcel: Parcel, scan: Scan) -> Json:
    kind, code, status, text = _said(parcel, scan)
    address: Json = {"country": scan.place.country, "countryCode": scan.place.country}
    if scan.word != "label":
        address["city"] = scan.place.city.title() if scan.echo else scan.place.city.upper()
    if scan.place.region and not scan.echo:
        address["stateProvince"] = scan.place.region
    # source: facts/ups.md 4.4: the same scan can come again with another text.
    said: Json = {"type": kind, "code": code, "description": f"{text}." if scan.echo else text}
    if not scan.echo or status != "013":
        said["statusCode"] = status
    return {
        "location": {"address": address, "slic": f"{parcel.seed % 9000 + 1000}"},
        "status": said,
        "date": f"{scan.local:%Y%m%d}",
        "time": f"{scan.local:%H%M%S}",
        # source: facts/ups.md 4.2: colons in gmtTime and gmtOffset, against the schema's example.
        "gmtDate": f"{scan.at:%Y%m%d}",
        "gmtTime": f"{scan.at:%H:%M:%S}",
        "gmtOffset": _offset(scan.local, ":"),
        "logicalScan": scan.word in {"label", "void"},
    }


def _offset(local: datetime, sign: str) -> str:
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{sign}{abs(minutes) % 60:02d}"


def _pushed(parcel: Parcel, scan: Scan) -> Json:
    """A Track Alert event. Source: facts/ups.md 6.2: empty strings, a dot in the offset, a number or text as status."""
    kind, code, status, text = _said(parcel, scan)
    handed = scan.word in AT_A_DOOR
    return {
        # source: facts/ups.md 6.2: a leading blank has been seen.
        "trackingNumber": f" {parcel.number}" if parcel.seed % 5 == 0 else parcel.number,
        "localActivityDate": f"{scan.local:%Y%m%d}",
        "localActivityTime": f"{scan.local:%H%M%S}",
        "activityLocation": {
            "city": scan.place.city,
            "stateProvince": scan.place.region,
            "postalCode": scan.place.postal_code if handed else "",
            "country": scan.place.country,
        },
        "activityStatus": {
            "type": kind,
            "code": code,
            "description": text,
            "descriptionCode": int(status) if parcel.seed % 4 == 0 else status,
        },
        "scheduledDeliveryDate": f"{scan.again or parcel.scheduled:%Y%m%d}",
        "actualDeliveryDate": f"{scan.local:%Y%m%d}" if handed else "",
        "actualDeliveryTime": f"{scan.local:%H%M%S}" if handed else "",
        "gmtActivityDate": f"{scan.at:%Y%m%d}",
        "gmtActivityTime": f"{scan.at:%H%M%S}",
        "gmtOffset": _offset(scan.local, "."),
        "deliveryStartTime": "",
        "deliveryEndTime": "",
        "deliveryTimeDescription": "end of day",
        "deliveryPhoto": "",
        "alternateTrackingNumber": "",
        "receivedBy": "",
    }


# -------------------------------------------------------------------------------------------------------- ship requests


def _parsed(text: str, code: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise No(code, "The request is not JSON") from error
    if not isinstance(value, dict):
        raise No(code, "The request is not an object")
    return value


def _object(text: str, key: str) -> Json:
    inner = _parsed(text, "10007").get(key)
    if not isinstance(inner, dict):
        raise No("120000", f"{key} is missing")
    return inner


def _path(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _checked_shipment(wanted: Json, account: str) -> Json:
    """The shipment, or UPS's refusal. Only 120100 and 121100 are codes that our sources name; 120000 is ours."""
    shipment = wanted.get("Shipment")
    if not isinstance(shipment, dict):
        raise No("120000", "Shipment is missing")
    number = _path(shipment, "Shipper", "ShipperNumber")
    if not isinstance(number, str) or not re.fullmatch(r"[0-9A-Z]{6}", number) or number != (account or number):
        raise No("120100", "Missing or invalid shipper number")
    for who in ("Shipper", "ShipFrom", "ShipTo"):
        if not _path(shipment, who, "Name") or not all(
            _path(shipment, who, "Address", key) for key in ("AddressLine", "City", "CountryCode")
        ):
            raise No("120000", f"{who} needs a name, address lines, a city and a country")
        if any(len(str(line)) > 35 for line in _list(_path(shipment, who, "Address", "AddressLine"))):
            raise No("120000", f"{who}: an address line is longer than 35")
    packages = _list(shipment.get("Package") or {})
    if "ReturnService" in shipment:
        _check_return(shipment, packages)
    _check_references(shipment, packages)
    return shipment


def _check_return(shipment: Json, packages: Sequence[Json]) -> None:
    """Source: facts/ups.md 2.1 to 2.4."""
    if _path(shipment, "ReturnService", "Code") not in {"2", "3", "5", "8", "9", "10"}:
        raise No("120000", "Unknown return service")
    if not all(package.get("Description") for package in packages):
        raise No("120000", "Every package of a return needs a description")
    if _path(shipment, "Service", "Code") in NOT_ON_RETURNS:
        raise No("121100", "The service is not available for returns")
    for charge in _list(_path(shipment, "PaymentInformation", "ShipmentCharge") or {}):
        if charge.get("Type") == "01" and "BillReceiver" in charge:
            raise No("120000", "Missing or Invalid account number for Payment Details")
        payer = _path(charge, "BillShipper", "AccountNumber")
        if payer is not None and payer != _path(shipment, "Shipper", "ShipperNumber"):
            raise No("120000", "Missing or Invalid account number for Payment Details")


def _check_references(shipment: Json, packages: Sequence[Json]) -> None:
    """Source: facts/ups.md 2.5: at package level on US-US and PR-PR lanes, at shipment level on all others."""
    lane = {_path(shipment, "ShipFrom", "Address", "CountryCode"), _path(shipment, "ShipTo", "Address", "CountryCode")}
    domestic = lane in ({"US"}, {"PR"})
    wrong = "ReferenceNumber" in shipment if domestic else any("ReferenceNumber" in package for package in packages)
    if wrong:
        raise No("120000", f"Reference numbers belong to the {'package' if domestic else 'shipment'} on this lane")


def _references(shipment: Json, packages: Sequence[Json]) -> tuple[str, ...]:
    given = [
        *_list(shipment.get("ReferenceNumber") or []),
        *(each for package in packages for each in _list(package.get("ReferenceNumber") or [])),
    ]
    return tuple(str(each.get("Value", "")) for each in given)


def _address(party: Json) -> dict[str, str]:
    address = party["Address"]
    return {
        "city": str(address["City"]),
        "region": str(address.get("StateProvinceCode", "")),
        "postal_code": str(address.get("PostalCode", "")),
        "country": str(address["CountryCode"]),
        "name": str(party["Name"]),
    }


def _sold(number: str, shipment: Json, references: Sequence[str]) -> Sold:
    lines = []
    for word, who in (("FROM", "ShipFrom"), ("TO", "ShipTo")):
        address = shipment[who]["Address"]
        lines += [word, str(shipment[who]["Name"]), *map(str, _list(address["AddressLine"]))]
        lines.append(f"{address.get('PostalCode', '')} {address['City']} {address['CountryCode']}")
    to = shipment["ShipTo"]["Address"]
    drawn = tuple(
        "".join(sign for sign in line if sign in string.printable or ord(sign) > 160) for line in (*lines, *references)
    )
    return Sold(
        number,
        drawn,
        str(shipment["ShipFrom"]["Address"]["CountryCode"]),
        str(to["CountryCode"]),
        str(to.get("PostalCode", "")),
    )
