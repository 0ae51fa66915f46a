"""UPS's Delivery Intercept: what may be asked of a parcel under way, what it costs, and what then happens to it."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from carriers.ups.standin.answers import No, listed, path
from carriers.ups.standin.town import Json, Parcel, Route, Scan, Town

PREFIX = "/api/deliveryintercept/v2"
REASONS = {  # source: facts/ups.md 7.1
    "AM": "Receiver cancelled the order", "AN": "Duplicate order", "AQ": "COD will not be accepted",
    "AR": "Too expensive", "AS": "Too late", "FA": "Bad address", "KR": "Refused", "KS": "Not ordered",
    "KV": "Other non-delivery",
}  # fmt: skip
# What is asked -> (the feature it is called in the eligibility map, price). source: facts/ups.md 7.2, 7.3: 21.00 for a
# return, will-call free; the other prices are made up.
FEATURES = {"RS": "RTS", "FD": "FD", "WC": "WC", "SC": "SDWC", "AA": "RD"}
PRICES = {"RS": "21.00", "FD": "21.00", "WC": "0.00", "SC": "0.00", "AA": "21.00"}
CONTACT = {"name": r".{1,30}", "telephone": r"\+[0-9]{1,13}"}
ZIP = r"\d{5}(?:[-\s]\d{4})?"
ENDED = frozenset({"deliver", "collected", "home", "turn", "recalled", "refuse", "lost", "void", "point_expired"})
LAST_CHANCE = "miss_final"  # source: facts/ups.md 7.2: not after three misses

Handler = Callable[[web.Request, str, str, Json], web.Response]


@dataclass(frozen=True, slots=True)
class Asked:
    """An intercept in force."""

    kind: str
    at: datetime


class Intercept:
    """One intercept at a time for each parcel."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.asked: dict[str, Asked] = {}
        self.failing = False  # the next accepted-looking answer is a failure inside a 200

    def routes(self) -> list[Route]:
        return [
            ("GET", f"{PREFIX}/eligibility/intercept/{{number}}", "intercept_eligibility", self._called(self.eligible)),
            ("POST", f"{PREFIX}/charges/{{number}}", "intercept_charges", self._called(self.charges)),
            ("POST", f"{PREFIX}/return/{{number}}", "intercept_return", self._called(self.send_back)),
            ("POST", f"{PREFIX}/reschedule/{{number}}", "intercept_reschedule", self._called(self.reschedule)),
            ("POST", f"{PREFIX}/willcall/{{number}}", "intercept_willcall", self._called(self.hold)),
            ("POST", f"{PREFIX}/redirect/address/{{number}}", "intercept_redirect", self._called(self.redirect)),
            ("POST", f"{PREFIX}/cancel/{{number}}", "intercept_cancel", self._called(self.cancel)),
        ]

    # ------------------------------------------------------------------------------------------------- how it is called

    def _called(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The headers and the number first; refusals in this API's own form."""

        async def called(request: web.Request) -> web.StreamResponse:
            transaction = request.headers.get("transId", "")
            try:
                number = self._checked(request, transaction)
                body = await request.text() if request.method == "POST" else "{}"
                return handler(request, number, transaction, _read(body))
            except No as no:
                return _refused(no, transaction)

        return called

    def _checked(self, request: web.Request, transaction: str) -> str:
        """Source: facts/ups.md 7: transId of 3 to 14 signs, platformType XOLT, inquiryType U."""
        number = request.match_info["number"]
        if not re.fullmatch(r"[a-zA-Z0-9-.]{3,14}", transaction):
            raise No("710", "transId: 3 to 14 letters, digits, hyphens or dots")
        if request.headers.get("platformType") != "XOLT" or request.headers.get("inquiryType") != "U":
            raise No("710", "platformType is XOLT and inquiryType is U")
        if not re.fullmatch(r"1Z[A-Z0-9]{16}", number):
            raise No("710", "The tracking number is not 1Z and 16 signs")
        account = self.town.settings.ups_account
        if self.town.seen(number) is None or (account and number[2:8] != account):
            raise No("605", "The address token is not in the profile", 401)
        return number

    # ---------------------------------------------------------------------------------------------- what may be asked

    def eligible(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        """Source: facts/ups.md 7.2: a list in UPS's sample, one object in its schema: each parcel keeps to one."""
        parcel, scans = self._seen(number)
        features = [
            {"interceptFeature": feature, "eligibilityValue": self._eligibility(number, kind, parcel, scans)}
            for kind, feature in FEATURES.items()
        ]
        told: object = features if parcel.seed % 2 else features[0]
        return _wrapped(transaction, {"commonEligibilityMap": told})

    def _eligibility(self, number: str, kind: str, parcel: Parcel, scans: Sequence[Scan]) -> Json:
        in_force, may = self.asked.get(number), self._may(kind, parcel, scans)
        mine = in_force is not None and in_force.kind == kind
        value: Json = {
            "createEligibility": _word(may and in_force is None),
            "modifyEligibility": _word(may and mine and kind in {"FD", "AA"}),
            "cancelEligibility": _word(mine and may),
        }
        if kind == "RS":
            value["reasonOptionsForRTS"] = [{"id": key, "value": text} for key, text in REASONS.items()]
        if kind == "FD":
            days = [self.town.now() + timedelta(days=count) for count in range(1, 6)]
            value["dateOptionsforFutureDelivery"] = [
                {
                    "date": f"{day:%Y%m%d}",
                    "dayOfWeekText": f"{day:%A}",
                    "dayOfWeekNumber": f"{day.isoweekday() % 7 + 1:02d}",
                }
                for day in days
                if day.isoweekday() < 6
            ]
        return value

    def _may(self, kind: str, parcel: Parcel, scans: Sequence[Scan]) -> bool:
        """Source: facts/ups.md 7.2: inside the US and Puerto Rico, no return to sender in Puerto Rico."""
        ends = {parcel.origin.country, parcel.destination.country}
        if not ends <= {"US", "PR"} or ("PR" in ends and kind == "RS"):
            return False
        over = ENDED if self.town.settings.intercept_after_final else ENDED | {LAST_CHANCE}
        return bool(scans) and not any(scan.word in over for scan in scans)

    def charges(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        ratings = listed(body.get("ratingRequest"))
        if not ratings or set(body) - {"ratingRequest", "clientIP"}:
            raise No("710", "ratingRequest is required")
        parcel, _ = self._seen(number)
        told = []
        for rating in ratings:
            for side in ("fromAddress", "toAddress"):
                _check_address(rating.get(side) or {}, side)
            kind = path(rating, "trackInfo", "interceptOption")
            if kind not in {*PRICES, "AL"}:
                raise No("710", "interceptOption is required")
            told.append(_charge(parcel, str(kind)))
        return _wrapped(transaction, {"chargeInfo": told})

    # --------------------------------------------------------------------------------------------------- what is asked

    def send_back(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        _check_request(body, {"RS"})
        if body.get("reasonForReturn") not in REASONS:
            raise No("710", "reasonForReturn is required for RS")
        return self._ask(number, "RS", transaction)

    def reschedule(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        _check_request(body, {"FD"})
        if not re.fullmatch(r"\d{8}", str(body.get("deliveryDate", ""))):
            raise No("710", "deliveryDate is required for FD")
        return self._ask(number, "FD", transaction)

    def hold(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        _check_request(body, {"WC", "SC"})
        return self._ask(number, str(body["requestType"]), transaction)

    def redirect(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        _check_request(body, {"AA"})
        _check_address(path(body, "newDeliveryAddress", "addressInfo") or {}, "newDeliveryAddress", people=False)
        return self._ask(number, "AA", transaction)

    def _ask(self, number: str, kind: str, transaction: str) -> web.Response:
        parcel, scans = self._seen(number)
        fails, may = self._fails(), number not in self.asked and self._may(kind, parcel, scans)
        if not fails and not may and self.town.settings.intercept_careless:
            self.town.book("ups", "intercept", number, reference=kind, amount=PRICES[kind], currency="USD")
            return _flat(parcel, transaction)
        if fails or not may:
            # What UPS says when a parcel may not be intercepted is stated nowhere: a failure inside a 200, as in 7.1.
            return _flat(parcel, transaction, success=False)
        self.asked[number] = Asked(kind, self.town.now())
        self.town.book("ups", "intercept", number, reference=kind, amount=PRICES[kind], currency="USD")
        if kind == "RS":
            self.town.ask_back(number, PRICES[kind], "USD")
        return _flat(parcel, transaction)

    def cancel(self, request: web.Request, number: str, transaction: str, body: Json) -> web.Response:
        _check_request(body, set(PRICES))
        parcel, scans = self._seen(number)
        in_force = self.asked.get(number)
        if (
            self._fails()
            or in_force is None
            or in_force.kind != body["requestType"]
            or not self._may("FD", parcel, scans)
        ):
            return _flat(parcel, transaction, success=False)
        del self.asked[number]
        self.town.book("ups", "intercept_cancelled", number, reference=in_force.kind)
        if in_force.kind == "RS":
            self.town.let_go(number)
        return _flat(parcel, transaction)

    def _seen(self, number: str) -> tuple[Parcel, Sequence[Scan]]:
        known = self.town.seen(number)
        if known is None:
            raise No("605", "The address token is not in the profile", 401)
        return known

    def _fails(self) -> bool:
        failing, self.failing = self.failing, False
        return failing


# ------------------------------------------------------------------------------------------------------------ requests


def _read(text: str) -> Json:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise No("710", "The request is not JSON") from error
    if not isinstance(body, dict):
        raise No("710", "The request is not an object")
    return body


def _check_request(body: Json, kinds: set[str]) -> None:
    """Source: facts/ups.md 7.1: the key specialInstructions is required, null or not; nothing else may be added."""
    allowed = {
        "requestType", "requesterContactInfo", "reasonForReturn", "deliveryDate", "specialInstructions",
        "newDeliveryAddress",
    }  # fmt: skip
    if set(body) - allowed or "specialInstructions" not in body:
        raise No("710", "specialInstructions is required, and nothing unknown is taken")
    if body.get("requestType") not in kinds:
        raise No("710", f"requestType: {', '.join(sorted(kinds))}")
    contact = body.get("requesterContactInfo") or {}
    if not all(re.fullmatch(rule, str(contact.get(name, ""))) for name, rule in CONTACT.items()):
        raise No("710", "requesterContactInfo needs a name and a telephone with a plus sign")


def _check_address(address: Mapping[str, object], side: str, *, people: bool = True) -> None:
    needed = {
        "addressLine1": r".{1,50}",
        "city": r".{1,30}",
        "state": r"[A-Z]{2}",
        "postalCode": ZIP,
        "countryCode": r"[A-Z]{2}",
    }
    if people:
        needed |= {"firstName": r".+", "phoneNumber": r"\+[0-9]{1,16}"}
    for name, rule in needed.items():
        if not re.fullmatch(rule, str(address.get(name, ""))):
            raise No("710", f"{side}.{name} is missing or wrong")


# ------------------------------------------------------------------------------------------------------------- answers


def _word(may: bool) -> str:
    return "ELIGIBLE" if may else "NOT_ELIGIBLE"


def _charge(parcel: Parcel, kind: str) -> Json:
    price = PRICES.get(kind, PRICES["RS"])
    details = [
        {
            "interceptOption": each, "interceptCharge": PRICES[each], "accessorialCharge": "0.00",
            "transportationCharge": "0.00", "totalCharge": PRICES[each], "successful": True, "currencyCode": "USD",
        }
        for each in PRICES
    ]  # fmt: skip
    return {
        "trackingNumber": parcel.number,
        "accessorialCharge": "0.00",
        "interceptCharge": price,
        "transportationCharge": "0.00",
        "totalCharge": price,
        "chargeCurrency": "USD",
        "estDeliveryDate": f"{parcel.scheduled:%Y%m%d}",
        "serviceCode": "003",
        "serviceDesc": "UPS GROUND",
        "packageWeight": "3.0",
        "packageWeightUOM": "LBS",
        "packagingType": "02",
        "shipperName": parcel.origin.name or "Shipper",
        "shipperPaidInterceptCharges": True,
        "totalTax": "0.00",
        "preTaxTotalCharge": price,
        "taxDisclaimerIndicator": "NTC",
        **({"interceptChargeDetail": details} if kind == "AL" else {}),
    }


def _status(transaction: str) -> Json:
    return {"transactionId": transaction, "statusCode": "000", "statusMsg": "Success", "success": True, "errors": None}


def _reply(body: Json, transaction: str) -> web.Response:
    headers = {"BkndTransId": f"BT{transaction}", "transId": transaction}
    return web.Response(body=json.dumps(body).encode(), content_type="application/json", headers=headers)


def _wrapped(transaction: str, more: Json) -> web.Response:
    return _reply({"response": {**_status(transaction), **more}}, transaction)


def _flat(parcel: Parcel, transaction: str, *, success: bool = True) -> web.Response:
    """Source: facts/ups.md 7.1: flat, or inside `response`; a failure says "000" and "Success" all the same."""
    body = _status(transaction) | {"subStatusCode": ""}
    if not success:
        body |= {"success": False, "errors": [{"errorCode": "500", "errorMessage": "System Error"}]}
    return _reply({"response": body} if parcel.seed % 3 == 0 else body, transaction)


def _refused(no: No, transaction: str) -> web.Response:
    """Source: facts/ups.md 7.1."""
    error = {"code": no.code, "message": str(no)}
    body = {"response": {"transactionId": transaction[:14] or "none", "statusCode": str(no.status), "errors": [error]}}
    headers = {"APIErrorCode": no.code, "APIErrorMessage": str(no), "BkndTransId": f"BT{transaction}"}
    return web.Response(
        body=json.dumps(body).encode(), status=no.status, content_type="application/json", headers=headers
    )
