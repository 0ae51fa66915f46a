"""USPS's stand-in: the same URLs, the same JSON, played from a script; it imports nothing of ours.

It knows how USPS speaks (sources: the official OpenAPI files and facts/usps.md) and asks the town what has happened.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
import uuid
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from aiohttp import web

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
    def is_return(self) -> bool: ...
    @property
    def origin(self) -> Place: ...
    @property
    def destination(self) -> Place: ...
    @property
    def scheduled(self) -> date: ...
    @property
    def starts_at(self) -> datetime: ...


class Settings(Protocol):
    usps_client_id: str
    usps_client_secret: str
    usps_scopes: str
    usps_mid: str
    usps_listener_url: str
    usps_listener_secret: str
    token_seconds: float
    suspend_after: int


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
    def draw(self, image_format: str, number: str, lines: Sequence[str], sideways: bool) -> bytes: ...


# ----------------------------------------------------------------------------------------------------- how USPS says it

# word -> (event code, text, status category). A parcel keeps to one of the wordings; an empty code: none is sent.
# source: facts/usps_codes.csv; categories that mislead on purpose: facts/usps.md 3.4 (no access sits under Alert).
NEEDED = "Delivery Attempt: Action Needed"
SAYS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "label": (("GX", "Shipping Label Created, USPS Awaiting Item", "Pre-Shipment"),),
    "manifest": (("MA", "Pre-Shipment Info Sent to USPS, USPS Awaiting Item", "Pre-Shipment"),),
    "pickup": (
        ("03", "USPS in possession of item", "Accepted"),
        ("OA", "Accepted at USPS Origin Facility", "Accepted"),
    ),
    "dropoff": (("03", "USPS in possession of item", "Accepted"), ("VP", "USPS picked up item", "Accepted")),
    "origin": (("10", "Arrived at USPS Regional Origin Facility", "In Transit"),),
    "depart": (("T1", "Departed USPS Regional Facility", "In Transit"), ("EF", "Departed USPS Facility", "In Transit")),
    "filler": (("TL", "In Transit to Next Facility", "In Transit"),),
    "hub": (
        ("A1", "Arrived at USPS Regional Facility", "In Transit"),
        ("AE", "Arrived at USPS Facility", "In Transit"),
    ),
    "arrive": (("07", "Arrived at Post Office", "In Transit"),),
    "out": (
        ("OF", "Out for Delivery", "Out for Delivery"),
        ("OF", "Out for Delivery, Expected Delivery by 9:00pm", "Out for Delivery"),
    ),
    "miss": (
        ("55", "Notice Left (No Secure Location Available)", "Delivery Attempt"),
        ("56", "Notice Left (No Authorized Recipient Available)", NEEDED),
        ("53", "Notice Left (Receptacle Blocked)", NEEDED),
        ("54", "Notice Left (Receptacle Full/Item Oversized)", NEEDED),
        ("51", "Notice Left (Business Closed)", "Delivery Attempt"),
        ("30", "Delivery Attempted - No Access to Delivery Location", "Alert"),
    ),
    "miss_same_visit": (("02", "Notice Left", NEEDED),),
    "redelivery": (("VR", "Redelivery Scheduled", "In Transit"),),
    "held": (
        ("14", "Available for Pickup", "Available for Pickup"),
        ("16", "Available for Pickup", "Available for Pickup"),
    ),
    "reminder": (("VF", "Reminder to Schedule Redelivery of your item", NEEDED),),
    "unclaimed": (
        ("27", "Unclaimed/Being Returned to Sender", "Alert"),
        ("31", "Return to Sender / Not Picked Up", "Alert"),
    ),
    "refuse": (("04", "Refused", "Alert"),),
    "wrong_address": (
        ("22", "Insufficient Address", "Alert"),
        ("21", "No Such Number", "Alert"),
        ("23", "Moved, Left No Address", "Alert"),
        ("05", "Undeliverable as Addressed", "Alert"),
        ("25", "Addressee Unknown", "Alert"),
    ),
    "turn": (
        ("09", "Return to Sender", "Alert"),
        ("29", "Return to Sender (Other)", "Alert"),
        ("", "Return to Sender Processed", "Alert"),
    ),
    "home": (("01", "Delivered, To Original Sender", "Delivered"),),
    "deliver": (
        ("01", "Delivered, Front Door/Porch", "Delivered"),
        ("01", "Delivered, In/At Mailbox", "Delivered"),
        ("01", "Delivered, Left with Individual", "Accepted"),
    ),
    "forward": (("06", "Forwarded", "Alert"), ("", "Forward Processed", "Alert")),
    "weather": (("WX", "Weather Delay", "Alert"), ("", "Delivery Exception, Local Weather Delay", "Alert")),
    "rescheduled": (("71", "Rescheduled to Next Delivery Day", "Alert"),),
    "damage": (("12", "Visible Damage", "Alert"),),
    "search": (("VC", "Package Research Case Created", "Alert"),),
    "lost": (("33", "Sent to Mail Recovery Center", "Alert"),),
    "customs": (("ME", "Held by Import Customs", "Alert"), ("XB", "Item Held by Export Customs", "Alert")),
}
DATE_ONLY = frozenset({"manifest", "reminder"})  # source: facts/usps.md 3.3
AT_FACILITY = frozenset({"origin", "depart", "hub"})

MAIL_CLASSES = {
    "USPS_GROUND_ADVANTAGE_RETURN_SERVICE",
    "PRIORITY_MAIL_RETURN_SERVICE",
    "PRIORITY_MAIL_EXPRESS_RETURN_SERVICE",
    "FIRST-CLASS_PACKAGE_RETURN_SERVICE",
    "GROUND_RETURN_SERVICE",
}
IMAGES = {
    "PDF": ("pdf", "application/pdf"),
    "PNG": ("png", "image/png"),
    "GIF": ("gif", "image/gif"),
    "JPG": ("jpg", "image/jpg"),
    "TIFF": ("tiff", "image/tiff"),
    "ZPL203DPI": ("zpl", "application/octet-stream"),
    "ZPL300DPI": ("zpl", "application/octet-stream"),
}
# source: facts/usps.md 1.1: scope names vary between the spec and live tokens.
SYNONYMS = {"subscriptions-tracking": {"subscriptions-tracking", "subscriptions"}}
REPRINTS = 3  # source: facts/usps.md 2.8
NUMBERS_AT_ONCE = 35  # source: facts/usps.md 3.1


def check_digit(digits: str) -> str:
    """MOD 10 over the digits before the last, weight 3 first from the right. Source: facts/usps.md 7."""
    return str(-sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits))) % 10)


@dataclass(slots=True)
class Sold:
    """A return label that was bought here, and what was asked for it."""

    number: str
    metadata: Json
    lines: tuple[str, ...]
    key: str
    body: bytes
    reprints: int = 0


@dataclass(slots=True)
class Subscription:
    id: str
    listener: str
    secret: str
    filter: Json
    emails: list[Json]
    created: str
    status: str = "ENABLED"
    reason: str = ""
    etag: str = field(default_factory=lambda: secrets.token_hex(8))
    failures: int = 0


class No(Exception):
    """USPS's refusal of a request. Anything beyond status, code and detail is optional there, and so it is here."""

    def __init__(
        self, detail: str, *, status: int = 400, code: str = "", title: str = "Bad Request", source: object = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.title, self.source = status, code, title, source


def _answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def _error(api: str, status: int, message: str, *errors: Json) -> Json:
    return {"apiVersion": api, "error": {"code": str(status), "message": message, "errors": list(errors)}}


class Standin:
    """USPS as far as a caller can see it."""

    name = "usps"

    def __init__(self, town: Town, tokens: Tokens) -> None:
        self.town, self.tokens = town, tokens
        self.sold: dict[str, Sold] = {}
        self.by_key: dict[str, Sold] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.starving = False  # the next token opens nothing
        self._serial = secrets.randbelow(10_000_000)

    def routes(self) -> list[Route]:
        labels, tracking, tracking3 = "/labels/v3", "/tracking/v3r2", "/tracking/v3"
        subscriptions = "/subscriptions-tracking/v3r2"
        return [
            ("POST", "/oauth2/v3/token", "token", self.token),
            (
                "POST",
                "/payments/v3/payment-authorization",
                "payment",
                self._guarded("payments", "/payments/v3", self.payment),
            ),
            ("POST", f"{labels}/return-label", "label", self._guarded("labels", labels, self.return_label)),
            ("POST", f"{labels}/label-reprint", "reprint", self._guarded("labels", labels, self.reprint)),
            ("POST", f"{labels}/label-reprint/{{number}}", "reprint", self._guarded("labels", labels, self.reprint)),
            ("DELETE", f"{labels}/label", "cancel", self._guarded("labels", labels, self.cancel)),
            ("DELETE", f"{labels}/label/{{number}}", "cancel", self._guarded("labels", labels, self.cancel)),
            ("POST", f"{tracking}/tracking", "track", self._guarded("tracking", tracking, self.track)),
            (
                "GET",
                f"{tracking3}/tracking/{{number}}",
                "track_one",
                self._guarded("tracking", tracking3, self.track_one),
            ),
            (
                "*",
                f"{subscriptions}/subscriptions",
                "subscribe",
                self._guarded("subscriptions-tracking", subscriptions, self.all_subscriptions),
            ),
            (
                "*",
                f"{subscriptions}/subscriptions/{{id}}",
                "subscribe",
                self._guarded("subscriptions-tracking", subscriptions, self.one_subscription),
            ),
            ("*", "/pickup/v3/{rest:.*}", "pickup", self.not_yet),
            ("*", "/labels/v3/{rest:.*}", "label_other", self.not_yet),
            ("*", "/{rest:.*}", "unknown", self.nowhere),
        ]

    # ------------------------------------------------------------------------------------------ faults, in USPS's words

    def busy(self, retry_after: str | None) -> web.Response:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        body = _error(
            "/v3",
            429,
            "Exceeded quota limit",
            {"status": "429", "title": "Too Many Requests.", "detail": "Wait a while"},
        )
        return _answer(body, 429, headers)

    def broken(self) -> web.Response:
        return _answer(_error("/v3", 500, "Internal Server Error"), 500)

    def forget_tokens(self) -> None:
        self.tokens.forget()

    def starve(self) -> None:
        self.starving = True

    # -------------------------------------------------------------------------------------------------------- the doors

    def _guarded(self, scope: str, api: str, handler: Handler) -> Handler:
        """A token with the scope first, then refusals in USPS's envelope. Source: facts/usps.md 1.1, 8."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            granted = self.tokens.scope(token)
            if granted is None:
                return _answer(_error(api, 401, ""), 401, {"WWW-Authenticate": "Bearer"})
            if not SYNONYMS.get(scope, {scope}) & set(granted.split()):
                # source: facts/usps.md 1.1: here `source` is text, not an object.
                wrong = {
                    "status": "401",
                    "title": "invalid_oauth_scope",
                    "detail": "Insufficient OAuth scope.",
                    "source": "Access Token",
                }
                return _answer(
                    _error(api, 401, "Insufficient OAuth scope.", wrong), 401, {"WWW-Authenticate": "Bearer"}
                )
            try:
                return await handler(request)
            except No as no:
                error = {
                    "status": str(no.status),
                    "code": no.code,
                    "title": no.title,
                    "detail": str(no),
                    "source": no.source or {"parameter": ""},
                }
                return _answer(_error(api, no.status, no.title, error), no.status)

        return guarded

    async def token(self, request: web.Request) -> web.Response:
        try:
            asked = await request.json() if request.content_type == "application/json" else dict(await request.post())
        except ValueError:
            asked = {}
        if not isinstance(asked, dict) or set(asked) - {"grant_type", "client_id", "client_secret", "scope"}:
            return _answer({"error": "invalid_request", "error_description": "Unknown property"}, 400)
        if asked.get("grant_type") != "client_credentials":
            return _answer({"error": "unsupported_grant_type", "error_description": "Only client_credentials"}, 400)
        owner, secret, settings = (
            str(asked.get("client_id", "")),
            str(asked.get("client_secret", "")),
            self.town.settings,
        )
        if (
            not owner
            or not secret
            or (owner, secret) != (settings.usps_client_id or owner, settings.usps_client_secret or secret)
        ):
            return _answer({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
        wanted = str(asked.get("scope") or settings.usps_scopes).split()
        # source: facts/usps.md 1.1: an ungranted scope still gives 200, with an empty scope.
        scope = "" if self.starving else " ".join(each for each in wanted if each in settings.usps_scopes.split())
        self.starving = False
        seconds = int(settings.token_seconds or 28799)
        return _answer(
            {
                "access_token": self.tokens.mint(owner, scope, seconds),
                "token_type": "Bearer",
                "issued_at": int(time.time() * 1000),
                "expires_in": seconds,
                "status": "approved",
                "scope": scope,
                "issuer": "https://keyc.usps.com/realms/USPS",
                "client_id": owner,
                "application_name": "street",
                "api_products": "[Shipping Suite]",
            }
        )

    async def payment(self, request: web.Request) -> web.Response:
        asked = _json(await request.text())
        roles = asked.get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, dict) for role in roles):
            raise No("roles is required", code="160218")
        names = [role.get("roleName") for role in roles]
        for name, code in (("PAYER", "160228"), ("LABEL_OWNER", "160229")):  # source: facts/usps.md 1.2
            if name not in names:
                raise No(f"{name} is missing", code=code)
        if len(set(names)) < len(names):
            raise No("Duplicate role", code="160227")
        owner = roles[names.index("LABEL_OWNER")]
        mids = {key: str(owner.get(key, "")) for key in ("CRID", "MID", "manifestMID")}
        if not mids["CRID"] or not all(re.fullmatch(r"\d{6}|\d{9}", mids[key]) for key in ("MID", "manifestMID")):
            raise No("The LABEL_OWNER needs CRID, MID and manifestMID", code="160219")
        seconds = self.town.settings.token_seconds or 8 * 3600
        return _answer({"paymentAuthorizationToken": self.tokens.mint(mids["MID"], "payment", seconds), "roles": roles})

    async def not_yet(self, request: web.Request) -> web.Response:
        return _answer(_error(request.path, 501, "This place of USPS is not built on the street yet"), 501)

    async def nowhere(self, request: web.Request) -> web.Response:
        return _answer(_error(request.path, 404, "Not Found"), 404)

    # ----------------------------------------------------------------------------------------------------------- labels

    def _payer(self, request: web.Request) -> str:
        token = request.headers.get("X-Payment-Authorization-Token", "")
        if self.tokens.scope(token) != "payment":
            raise No("The payment authorization token is missing, invalid or expired", status=401, title="Unauthorized")
        return self.tokens.owner(token)

    async def return_label(self, request: web.Request) -> web.Response:
        mid, body = self._payer(request), await request.read()
        key = request.headers.get("X-Idempotency-Key", "")
        sold = self.by_key.get(key) if key else None
        if sold and sold.body != body:
            # What USPS does here is stated nowhere (facts/usps.md 2.4): refusing charges nothing and shows the mistake.
            raise No("The idempotency key was used with another request", code="160999")
        wanted = _checked_label(body, key)
        sold = sold or self._sell(mid, key, body, wanted)
        image = str((wanted.get("imageInfo") or {}).get("imageType") or "PDF")
        return self._label_answer(request, sold, image)

    def _sell(self, mid: str, key: str, body: bytes, wanted: Json) -> Sold:
        number, to, description = self.number(mid), wanted["toAddress"], wanted["packageDescription"]
        references = tuple(str(each.get("referenceNumber", "")) for each in description.get("customerReference") or [])
        lines = [
            line
            for word, who in (("FROM", "fromAddress"), ("TO", "toAddress"))
            for line in (word, *_address_lines(wanted[who]))
        ]
        sold = Sold(number, self._metadata(number, to, description), (*lines, *references), key, body)
        self.sold[number] = sold
        if key:
            self.by_key[key] = sold
        # source: facts/usps.md 2.2: paid by the piece when it is first scanned, not when the label is made.
        self.town.ship(
            self.name,
            number,
            is_return=True,
            origin=_place(wanted["fromAddress"]),
            destination=_place(to),
            references=references,
            amount="6.85",
            currency="USD",
            key=key,
            charged=False,
        )
        return sold

    def _metadata(self, number: str, to: Json, description: Json) -> Json:
        address = {
            name: str(value).upper() for name, value in to.items() if name not in {"email", "phone", "ignoreBadAddress"}
        }
        address.setdefault("ZIPPlus4", "1234")
        return {
            "labelAddress": address,
            "routingInformation": f"420{to['ZIPCode']}{address['ZIPPlus4']}",
            "trackingNumber": number,
            "SKU": "DUXR0XXXXC03010",
            "postage": 6.85,
            "extraServices": [{"name": "USPS Tracking", "SKU": "DXTU0EXXXCX0000", "price": 0}],
            "fees": [],
            "zone": "03",
            "serviceTypeCode": number[2:5],
            "mailingDate": f"{self.town.now():%Y-%m-%dT%H:%M:%SZ}",
            "weightUOM": "lb",
            "weight": description["weight"],
            "dimensionalWeight": 0,
            "labelBrokerID": "",
            "bannerText": "USPS RETURNS",
            "retailDistributionCode": "01",
            "links": [
                {"rel": ["Tracking URL"], "href": f"https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"}
            ],
        }

    def _label_answer(self, request: web.Request, sold: Sold, image: str, reprint: Json | None = None) -> web.Response:
        image_format, media = IMAGES[image]
        drawn = base64.b64encode(self.town.draw(image_format, sold.number, sold.lines, sideways=False)).decode()
        if "application/vnd.usps.labels+json" in request.headers.get("Accept", ""):
            flat: Json = {**sold.metadata, "returnLabelImage": drawn}
            if reprint:
                flat = {"returnLabelMetadata": sold.metadata, "returnLabelImage": drawn, "reprintInfo": reprint}
            headers = {"Content-Type": "application/vnd.usps.labels+json"}
            return web.Response(body=json.dumps(flat).encode(), headers=headers)
        parts = [
            ('form-data; name="returnLabelMetadata"', "application/json", json.dumps(sold.metadata)),
            (f'attachment; name="returnLabelImage"; filename="label.{image_format}"', media, drawn),
        ]
        if reprint:
            parts.append(('form-data; name="reprintInfo"', "application/json", json.dumps(reprint)))
        return _multipart(parts)

    async def reprint(self, request: web.Request) -> web.Response:
        """By number or by the key of the purchase, three times; the limit to the mailing day is left out."""
        self._payer(request)
        key = request.headers.get("X-Idempotency-Key", "")
        number = request.match_info.get("number")
        sold = self.sold.get(number) if number else self.by_key.get(key)
        if sold is None:
            raise No("Label not found", code="160378", source={"parameter": "trackingNumber"})
        if sold.reprints >= REPRINTS:
            raise No("The label was reprinted three times", code="160379")
        image = str((_json(await request.text()).get("imageInfo") or {}).get("imageType") or "PDF")
        if image not in IMAGES:
            raise No("This image type cannot be reprinted", code="160214")
        sold.reprints += 1
        answer = self._label_answer(request, sold, image, {"reprintNumber": sold.reprints, "reprintLimit": REPRINTS})
        if key:
            answer.headers["X-Idempotency-Key"] = key
        return answer

    async def cancel(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 2.8: return labels cannot be cancelled."""
        self._payer(request)
        number = request.match_info.get("number")
        sold = self.sold.get(number) if number else self.by_key.get(request.headers.get("X-Idempotency-Key", ""))
        if sold is None:
            raise No("Order not found", code="160185", source={"parameter": "trackingNumber"})
        raise No("Return labels cannot be cancelled", code="160187", source={"parameter": "trackingNumber"})

    def number(self, mid: str) -> str:
        """A new 22-digit number under this MID."""
        self._serial = (self._serial + 1) % 10_000_000
        body = f"92020{mid}{self._serial:07d}" if len(mid) == 9 else f"93020{mid}{self._serial:010d}"
        return body + check_digit(body)

    # --------------------------------------------------------------------------------------------------------- tracking

    async def track(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.text())
        except ValueError as error:
            raise No("OASValidation: not JSON", title="openapi_validation_error") from error
        if not isinstance(asked, list) or not 1 <= len(asked) <= NUMBERS_AT_ONCE or not all(map(_is_query, asked)):
            raise No(
                "OASValidation of the request failed with reason: an array of 1 to 35 items",
                title="openapi_validation_error",
            )
        found = [(str(item["trackingNumber"]), self.town.seen(item["trackingNumber"])) for item in asked]
        good = [(number, known) for number, known in found if known and known[1]]
        if not good:
            # source: facts/usps.md 3.5: one number, or none known: 404 with the ordinary envelope.
            return _answer(_not_found(found[0][0]), 404)
        if len(good) == len(found):
            return _answer([_detail(*known) for _, known in good])
        items = []
        for number, known in found:
            if known and known[1]:
                items.append({**_detail(*known), "statusCode": "200"})
            else:
                items.append({**_not_found(number), "statusCode": "404", "trackingNumber": number})
        return _answer(items, 207)

    async def track_one(self, request: web.Request) -> web.Response:
        known = self.town.seen(request.match_info["number"])
        if known is None or not known[1]:
            # source: facts/usps.md 3.5: the older version says 400 with 1500xx.
            raise No("A status update is not yet available", code="150001")
        if request.query.get("expand", "SUMMARY") == "DETAIL":
            return _answer(_older_detail(*known))
        return _answer(_summary(*known))

    # ----------------------------------------------------------------------------------------------------------- pushes

    async def all_subscriptions(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            return self._subscribe(_json(await request.text()), request.path)
        if request.method != "GET":
            raise No("Method not allowed", status=405, title="Method Not Allowed")
        mids, numbers = request.query.get("MID", "").split(","), request.query.get("trackingNumber", "").split(",")
        found = [
            each
            for each in self.subscriptions.values()
            if each.filter.get("MID") in mids or each.filter.get("trackingNumber") in numbers
        ]
        if not found:
            # source: facts/usps.md 5: a filter is in fact required, and no match is a 404.
            raise No("No subscription found", status=404, title="Not Found")
        metadata = {"totalCount": len(found), "offset": 0, "limit": 20}
        return _answer({"subscriptions": [_subscription(each) for each in found], "metadata": metadata})

    def _subscribe(self, wanted: Json, path: str) -> web.Response:
        listener, secret, filters, emails = _checked_subscription(wanted)
        for each in self.subscriptions.values():
            if each.listener == listener and each.filter.get("MID") and each.filter.get("MID") == filters.get("MID"):
                # source: facts/usps.md 5: the refusal names the one that exists.
                raise No(f"A subscription for this URL and MID exists: {each.id}", code="190001")
        made = Subscription(
            str(uuid.uuid4()), listener, secret, filters, emails, f"{self.town.now():%Y-%m-%dT%H:%M:%SZ}"
        )
        self.subscriptions[made.id] = made
        return _answer(_subscription(made), 201, {"Location": f"{path}/{made.id}", "ETag": made.etag})

    async def one_subscription(self, request: web.Request) -> web.Response:
        each = self.subscriptions.get(request.match_info["id"])
        if each is None:
            raise No("No subscription found", status=404, title="Not Found")
        if request.method == "GET":
            return _answer(_subscription(each), headers={"ETag": each.etag})
        if request.method not in {"PUT", "DELETE"}:
            raise No("Method not allowed", status=405, title="Method Not Allowed")
        if request.headers.get("If-Match", "").strip('"') != each.etag:
            raise No("The ETag is stale", status=412, title="Precondition Failed")
        if request.method == "DELETE":
            del self.subscriptions[each.id]
            return web.Response(status=204)
        wanted = _json(await request.text())
        each.listener, each.secret, _, each.emails = _checked_subscription(wanted)
        each.status = str(wanted.get("status") or each.status)
        each.reason, each.failures, each.etag = "", 0, secrets.token_hex(8)
        return _answer(_subscription(each), headers={"ETag": each.etag})

    def push(self, parcel: Parcel, scan: Scan) -> list[Posting]:
        """The posts for this scan: one for each enabled subscription that covers it, or to the fallback."""
        mid = parcel.number[5:14] if parcel.number.startswith("92") else parcel.number[5:11]
        to = [
            (each.id, each.listener, each.secret)
            for each in self.subscriptions.values()
            if each.status == "ENABLED"
            and (each.filter.get("MID") == mid or each.filter.get("trackingNumber") == parcel.number)
        ]
        settings = self.town.settings
        if not self.subscriptions and settings.usps_listener_url:
            to = [("fallback", settings.usps_listener_url, settings.usps_listener_secret)]
        return [(listener, *_signed(id_, secret, _pushed(parcel, scan))) for id_, listener, secret in to]

    def listener_failed(self, url: str) -> None:
        """Source: facts/usps.md 5: an unreachable listener suspends its subscription; nobody says how soon."""
        for each in self.subscriptions.values():
            if each.listener == url and each.status == "ENABLED":
                each.failures += 1
                if 0 < self.town.settings.suspend_after <= each.failures:
                    each.status, each.reason, each.etag = "SUSPENDED", "Unable to reach listener", secrets.token_hex(8)

    def listener_heard(self, url: str) -> None:
        for each in self.subscriptions.values():
            if each.listener == url:
                each.failures = 0


# ---------------------------------------------------------------------------------------------------- tracking, as JSON


def _is_query(item: object) -> bool:
    if not isinstance(item, dict) or set(item) - {"trackingNumber", "mailingDate", "destinationZIPCode"}:
        return False
    return bool(re.fullmatch(r"[0-9A-Za-z]{4,34}", str(item.get("trackingNumber", ""))))


def _not_found(number: str) -> Json:
    detail = {
        "status": "404",
        "code": "150006",
        "title": "Not Found",
        "detail": f"A status update is not yet available for {number}.",
    }
    return _error("/tracking/v3r2", 404, "Not Found", detail)


def _said(parcel: Parcel, scan: Scan) -> tuple[str, str, str]:
    if scan.word == "deliver" and parcel.is_return:
        return "01", "Delivered, Front Desk/Reception/Mail Room", "Delivered"
    ways = SAYS[scan.word]
    return ways[(parcel.seed + zlib.crc32(scan.word.encode())) % len(ways)]


def _head(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    """What both versions and the pushes say about the parcel itself."""
    newest = max(scans, key=lambda scan: (scan.at, scan.order))
    _, text, category = _said(parcel, newest)
    head: Json = {
        "trackingNumber": parcel.number,
        "mailClass": "USPS Ground Advantage<SUP>&#153;</SUP>",  # source: facts/usps.md 3.3
        "mailType": "DM",
        "originCity": parcel.origin.city.upper(),
        "destinationCity": parcel.destination.city.upper(),
        "services": ["USPS Tracking<SUP>&#174;</SUP>"],
        "serviceTypeCode": parcel.number[2:5],
        "status": text,
        "statusCategory": category,
        "statusSummary": _summary_line(parcel, newest),
        "kahalaIndicator": False,
    }
    for side, place in (("origin", parcel.origin), ("destination", parcel.destination)):
        if place.country == "US":
            head[f"{side}State"] = place.region
    return head


def _summary_line(parcel: Parcel, scan: Scan) -> str:
    _, text, _ = _said(parcel, scan)
    where = ", ".join(part for part in (scan.place.city.upper(), scan.place.region) if part)
    when = f"{scan.local:%I:%M %p} on {scan.local:%B} {scan.local.day}, {scan.local.year}".lstrip("0")
    if scan.word.startswith("miss"):
        back = (
            f" If you do not claim it, it goes back on {scan.keep:%B} {scan.keep.day}, {scan.keep.year}."
            if scan.keep
            else ""
        )
        return f"We attempted to deliver your item at {when} in {where} and a notice was left.{back}"
    if scan.word == "reminder" and scan.keep:
        back = f"{scan.keep:%B} {scan.keep.day}, {scan.keep.year}"
        return f"This is a reminder to schedule redelivery before your item is returned on {back}."
    return f"{text} at {when}{f' in {where}' if where else ''}."


def _expected(parcel: Parcel, scans: Sequence[Scan]) -> str:
    return f"{max([parcel.scheduled, *(scan.again for scan in scans if scan.again)])}"


def _detail(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    """One item of the batch call, and of a push."""
    detail = _head(parcel, scans) | {
        "mailClassCode": "RG",
        "mailingDate": f"{parcel.starts_at:%Y-%m-%d}",
        "uniqueTrackingID": str(parcel.seed),
        "deliveryDateExpectation": {"expectedDeliveryDate": _expected(parcel, scans)},
        "servicesEligibility": {
            "RREEnabled": False,
            "proofOfDeliveryEnabled": False,
            "trackingProofOfDeliveryEnabled": False,
        },
        "trackingEvents": [_event(parcel, scan) for scan in scans],
    }
    for side, place in (("origin", parcel.origin), ("destination", parcel.destination)):
        if place.country == "US":
            detail[f"{side}ZIPCode"] = place.postal_code
        else:
            detail[f"{side}Country"] = place.country
    return detail


def _event(parcel: Parcel, scan: Scan) -> Json:
    code, text, _ = _said(parcel, scan)
    event: Json = {"eventType": f"{text} " if scan.echo else text, "actionCode": "", "reasonCode": ""}
    if code:
        event["eventCode"] = code
    if scan.word in DATE_ONLY:
        event |= {"eventTimestamp": f"{scan.local:%Y-%m-%d}", "GMTTimestamp": None, "GMTOffset": None}
    else:
        # source: facts/usps.md 3.3: tellings of one scan differ in seconds, never in the minute.
        second = (scan.at.second + 17) % 60 if scan.echo else scan.at.second
        local, gmt = scan.local.replace(second=second), scan.at.replace(second=second)
        event |= {
            "eventTimestamp": local.isoformat(),
            "GMTTimestamp": f"{gmt:%Y-%m-%dT%H:%M:%SZ}",
            "GMTOffset": _offset(local, parcel.seed),
        }
    at_facility = scan.word in AT_FACILITY or not scan.place.postal_code
    event |= {
        "eventCity": scan.place.city.upper() or None,
        "eventState": None if at_facility or scan.place.country != "US" else scan.place.region,
        "eventZIPCode": None if at_facility or scan.place.country != "US" else scan.place.postal_code,
        "eventCountry": None if scan.place.country in {"US", ""} else scan.place.country,
    }
    if scan.word in {"deliver", "home"}:
        event["recipientName"] = "R CEIVER"
    return event


def _offset(local: datetime, seed: int) -> str:
    """Source: facts/usps.md 3.3: "-7:00" and "-07:00" both occur."""
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours = f"{abs(minutes) // 60:02d}" if seed % 2 else f"{abs(minutes) // 60}"
    return f"{'-' if minutes < 0 else '+'}{hours}:{abs(minutes) % 60:02d}"


def _older_detail(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    """The v3 answer. Source: facts/usps.md 3.1, 3.3: other keys, booleans as text, wall time with a bogus Z."""
    detail = _head(parcel, scans) | {
        "mailPieceIntakeDate": f"{parcel.starts_at:%Y-%m-%dT%H:%M:%SZ}",
        "uniqueMailPieceID": str(parcel.seed),
        "mailType": "DOMESTIC_MAIL",
        "originZIP": parcel.origin.postal_code,
        "destinationZIP": parcel.destination.postal_code,
        "services": "USPS Tracking<SUP>&reg;</SUP>",
        "expectedDeliveryTimeStamp": f"{_expected(parcel, scans)}T00:00:00Z",
        "RREEnabled": "false",
        "RRAMEnabled": "false",
        "redeliveryEnabled": "true" if any(scan.word.startswith("miss") for scan in scans) else "false",
        "accessControl": "FREE",
    }
    if kept := [scan.keep for scan in scans if scan.keep]:
        detail["returnDateNotice"] = f"{max(kept)}"
    events = []
    for scan in scans:
        event = _event(parcel, scan)
        event["eventZIP"] = event.pop("eventZIPCode")
        event["eventTimestamp"] = (
            event["eventTimestamp"] if scan.word in DATE_ONLY else f"{scan.local:%Y-%m-%dT%H:%M:%SZ}"
        )
        if name := event.pop("recipientName", None):
            event["name"] = name
        events.append(event)
    return detail | {"trackingEvents": events}


def _summary(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    lines = [f"{_said(parcel, scan)[1]}, {scan.local:%m/%d/%Y, %I:%M %p}, {scan.place.city.upper()}" for scan in scans]
    return {"trackingNumber": parcel.number, "expectedDeliveryDate": _expected(parcel, scans), "eventSummaries": lines}


# --------------------------------------------------------------------------------------------------------------- pushes


def _pushed(parcel: Parcel, scan: Scan) -> Json:
    """The inner object of a push: usually just the new event. Source: facts/usps.md 5."""
    detail = _detail(parcel, [scan])
    event = detail["trackingEvents"][0]
    if event["GMTTimestamp"]:  # source: facts/usps.md 3.3: push and poll differ in seconds
        second = (scan.at.second + 31) % 60
        event["GMTTimestamp"] = f"{scan.at.replace(second=second):%Y-%m-%dT%H:%M:%SZ}"
        event["eventTimestamp"] = scan.local.replace(second=second).isoformat()
    return detail


def _signed(subscription: str, secret: str, detail: Json) -> tuple[dict[str, str], bytes]:
    """Envelope and signature. Source: facts/usps.md 5.1: over the two decoded strings, not over the body."""
    payload = json.dumps(detail, separators=(",", ":"))
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    mac = base64.b64encode(hmac.digest(secret.encode(), (stamp + payload).encode(), hashlib.sha256)).decode()
    envelope = {
        "subscriptionId": subscription,
        "subscriptionType": "TRACKING",
        "timestamp": stamp,
        "payload": payload,
        "links": [],
    }
    return {"Content-Type": "application/json", "X-HMAC": mac, "hmac-header": mac}, json.dumps(envelope).encode()


def _subscription(each: Subscription) -> Json:
    return {
        "subscriptionId": each.id,
        "listenerURL": each.listener,
        "secret": each.secret,
        "adminNotification": each.emails,
        "filterProperties": each.filter,
        "status": each.status,
        "statusReason": each.reason,
        "creationTimestamp": each.created,
    }


def _checked_subscription(wanted: Json) -> tuple[str, str, Json, list[Json]]:
    """Source: facts/usps.md 5. Plain http is taken from loopback only: the street has no certificates."""
    listener, secret = str(wanted.get("listenerURL", "")), str(wanted.get("secret", ""))
    url = urlsplit(listener)
    if len(listener) > 200 or not (
        url.scheme == "https" or (url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost"})
    ):
        raise No("listenerURL: https, 200 characters at most", source={"parameter": "listenerURL"})
    if len(secret) != 32:
        raise No("secret: exactly 32 characters", source={"parameter": "secret"})
    emails, filters = wanted.get("adminNotification"), wanted.get("filterProperties")
    if not isinstance(emails, list) or not 1 <= len(emails) <= 3:
        raise No("adminNotification: 1 to 3 addresses", source={"parameter": "adminNotification"})
    if not isinstance(filters, dict) or not (
        re.fullmatch(r"\d{6}|\d{9}", str(filters.get("MID", ""))) or filters.get("trackingNumber")
    ):
        raise No(
            "filterProperties: a MID of 6 or 9 digits, or a trackingNumber", source={"parameter": "filterProperties"}
        )
    return listener, secret, filters, emails


# ------------------------------------------------------------------------------------------------------- label requests


def _json(text: str) -> Json:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise No("OASValidation: not JSON", title="openapi_validation_error") from error
    if not isinstance(value, dict):
        raise No("OASValidation: not an object", title="openapi_validation_error")
    return value


def _checked_label(body: bytes, key: str) -> Json:
    """Source: facts/usps.md 2.3, 2.10."""
    if key:
        try:
            uuid.UUID(key)
        except ValueError as error:
            raise No("X-Idempotency-Key is not a UUID", title="openapi_validation_error") from error
    wanted = _json(body.decode())
    allowed = {
        "imageInfo",
        "toAddress",
        "fromAddress",
        "senderAddress",
        "returnAddress",
        "packageDescription",
        "customsForm",
    }
    missing = {"toAddress", "fromAddress", "packageDescription"} - set(wanted)
    if missing or set(wanted) - allowed:
        raise No(
            f"OASValidation failed with reason: {sorted(missing or set(wanted) - allowed)}",
            title="openapi_validation_error",
        )
    for who in ("toAddress", "fromAddress", "returnAddress"):
        if who in wanted:
            _check_address(who, wanted[who])
    _check_description(wanted["packageDescription"])
    image = (wanted.get("imageInfo") or {}).get("imageType") or "PDF"
    if image not in IMAGES:
        # source: facts/usps.md 2.7: what the test environment says of Label Broker; 2.3: EPL is not for returns.
        raise No("This image type is not available", code="160124" if image == "LABEL_BROKER" else "160214")
    return wanted


def _check_address(who: str, address: Json) -> None:
    rules = {"streetAddress": r".{1,50}", "city": r".{1,28}", "state": r"[A-Z]{2}", "ZIPCode": r"\d{5}"}
    for name, rule in rules.items():
        if not re.fullmatch(rule, str(address.get(name, ""))):
            raise No(
                f"OASValidation failed with reason: {who}.{name}",
                title="openapi_validation_error",
                source={"parameter": f"{who}.{name}"},
            )
    if not address.get("firm") and not (address.get("firstName") and address.get("lastName")):
        raise No(f"{who}: a firm or a first and last name", code="160075")
    if not re.fullmatch(r"\+?[1-9][0-9]{7,14}|[0-9]{6,15}|", str(address.get("phone", ""))):
        raise No(f"{who}.phone: digits only", title="openapi_validation_error", source={"parameter": f"{who}.phone"})


def _check_description(description: Json) -> None:
    missing = {"mailClass", "weight", "length", "width", "height", "processingCategory"} - set(description)
    if missing or "mailingDate" in description:
        raise No(
            f"OASValidation failed with reason: {sorted(missing) or 'mailingDate'}", title="openapi_validation_error"
        )
    if description["mailClass"] not in MAIL_CLASSES:
        raise No("Not a return mail class", code="160196")
    if ("rateIndicator" in description) == ("shape" in description and "packagingType" in description):
        raise No("Either rateIndicator or shape and packagingType", code="160284")
    if not all(
        isinstance(description[name], (int, float)) and description[name] > 0
        for name in ("weight", "length", "width", "height")
    ):
        raise No("Weight and dimensions are numbers above zero", title="openapi_validation_error")
    if description["weight"] > 70:
        raise No("The weight is above 70 lb", code="160042")
    references = description.get("customerReference") or []
    if len(references) > 4 or not all(1 <= len(str(each.get("referenceNumber", ""))) <= 30 for each in references):
        raise No("customerReference: up to 4 of 1 to 30 characters", title="openapi_validation_error")


def _address_lines(address: Json) -> tuple[str, ...]:
    name = str(address.get("firm") or f"{address.get('firstName', '')} {address.get('lastName', '')}")
    return name, str(address["streetAddress"]), f"{address['city']} {address['state']} {address['ZIPCode']}"


def _place(address: Json) -> dict[str, str]:
    return {
        "city": str(address["city"]),
        "region": str(address["state"]),
        "postal_code": str(address["ZIPCode"]),
        "country": "US",
        "name": _address_lines(address)[0],
    }


def _multipart(parts: Sequence[tuple[str, str, str]]) -> web.Response:
    """Source: facts/usps.md 2.5: every part is text, images in Base64 whatever the part's headers say."""
    boundary = secrets.token_hex(16)
    body = "".join(
        f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {media}\r\n\r\n{text}\r\n"
        for disposition, media, text in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return web.Response(body=f"{body}--{boundary}--\r\n".encode(), headers=headers)
