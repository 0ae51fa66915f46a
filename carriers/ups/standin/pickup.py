"""UPS's collections: booked, rated, asked after, cancelled."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from carriers.ups.standin.answers import SUCCESS, No, answer, lacks, listed, object_of, path, success
from carriers.ups.standin.town import Json, Route, Town

ALPHABET = "0123456789ABCDEF"
LIMITS = {"CompanyName": 27, "ContactName": 22, "City": 50, "PostalCode": 8}  # source: facts/ups.md 8
LINE, PHONE, INSTRUCTION, REFERENCE, NUMBERS = 73, 25, 57, 35, 30  # source: facts/ups.md 8
PAYMENTS = {"00", "01", "03", "04", "05", "06", "07"}
BY_TRACKING_NUMBER, BY_ACCOUNT = "04", "01"
LEAD = timedelta(hours=1)  # our sources say that CloseTime minus ReadyTime must exceed a lead time, not how long it is
PRICE = "6.70"
WRONG = "9510001"  # the sources name no codes for pickups: all are ours


@dataclass(slots=True)
class Pickup:
    prn: str
    address: tuple[str, ...]
    account: str
    ready: datetime
    close: datetime
    contact: str
    reference: str
    billing: str
    cancelled: bool = False

    def status(self, now: datetime) -> tuple[str, str]:
        """Source: facts/ups.md 8."""
        if self.cancelled:
            return "007", "Cancelled"
        if now < self.ready:
            return "001", "Received"
        return ("002", "Dispatched to the driver") if now < self.close else ("003", "Completed")


class Pickups:
    """All that were ever booked."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.booked: dict[str, Pickup] = {}
        self.spent: set[str] = set()  # tracking numbers that have paid for a pickup

    def routes(self) -> list[Route]:
        by_type = "/api/shipments/{version}/pickup/{type}"
        return [
            ("POST", "/api/pickupcreation/{version}/pickup", "pickup", self.create),
            ("POST", by_type, "pickup_rate", self.rate),
            ("GET", by_type, "pickup_status", self.status),
            ("DELETE", by_type, "pickup_cancel", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.Response:
        wanted = object_of(await request.text(), "PickupCreationRequest")
        ready, close = _times(wanted.get("PickupDateInfo") or {})
        if ready.date() < self.town.now().date():
            raise No(WRONG, "The pickup date is in the past")
        where, method = _checked(wanted), str(wanted.get("PaymentMethod", ""))
        numbers = self._paying(wanted, method)
        account = str(path(wanted, "Shipper", "Account", "AccountNumber") or "")
        if method == BY_ACCOUNT and not account:
            raise No(WRONG, "Payment by account needs an account")
        known = next((each for each in self.booked.values() if self._stands(each, where)), None)
        if known is None:
            known = self._book(where, account, ready, close, wanted, method, numbers)
        rated = wanted.get("RatePickupIndicator") == "Y"
        status = ("03", "Not Applicable") if method == BY_TRACKING_NUMBER else ("01", "Rate available")
        if not rated and method != BY_TRACKING_NUMBER:
            status = ("04", "Rate not requested")
        body: Json = {
            "Response": success(wanted),
            "PRN": known.prn,
            "RateStatus": dict(zip(("Code", "Description"), status, strict=True)),
        }
        if status[0] == "01":
            body["RateResult"] = _rate()
        return answer({"PickupCreationResponse": body})

    def _stands(self, each: Pickup, where: tuple[str, ...]) -> bool:
        """Source: facts/ups.md 8: the same PRN comes back while a pickup stands for the address."""
        return each.address == where and not each.cancelled and each.close > self.town.now()

    def _book(
        self,
        where: tuple[str, ...],
        account: str,
        ready: datetime,
        close: datetime,
        wanted: Json,
        method: str,
        numbers: list[str],
    ) -> Pickup:
        prn = "29" + "".join(secrets.choice(ALPHABET) for _ in range(9))
        reference, billing = str(wanted.get("ReferenceNumber", "")), "02" if method == BY_TRACKING_NUMBER else "01"
        contact = str(wanted["PickupAddress"]["ContactName"])
        self.booked[prn] = Pickup(prn, where, account, ready, close, contact, reference, billing)
        self.spent |= set(numbers)
        self.town.book("ups", "pickup", prn, reference=numbers[0] if numbers else reference)
        if method == BY_ACCOUNT:
            self.town.book("ups", "charge", prn, reference=reference, amount=PRICE, currency="USD")
        return self.booked[prn]

    def _paying(self, wanted: Json, method: str) -> list[str]:
        """Source: facts/ups.md 8: by the 1Z of a return, 30 at most, each only once."""
        if method not in PAYMENTS:
            raise No(WRONG, "The payment method is missing or unknown")
        numbers = [str(each.get("TrackingNumber", "")) for each in listed(wanted.get("TrackingData"))]
        if method != BY_TRACKING_NUMBER:
            return []
        if not numbers or len(numbers) > NUMBERS or not all(re.fullmatch(r"1Z[0-9A-Z]{16}", each) for each in numbers):
            raise No(WRONG, "Payment by tracking number needs 1 to 30 numbers")
        if any(self.town.seen(each) is None for each in numbers):
            raise No(WRONG, "The tracking number is not known")
        if self.spent & set(numbers):
            raise No(WRONG, "The tracking number has paid for a pickup before")
        return numbers

    async def rate(self, request: web.Request) -> web.Response:
        wanted = object_of(await request.text(), "PickupRateRequest")
        missing = lacks(wanted, "PickupAddress", "AlternateAddressIndicator", "ServiceDateOption")
        missing = missing or lacks(wanted["PickupAddress"], "City", "PostalCode", "CountryCode", "ResidentialIndicator")
        if missing or request.match_info["type"] not in {"oncall", "smart", "both"}:
            raise No(WRONG, f"{missing or 'The pickup type'} is missing or wrong")
        return answer({"PickupRateResponse": {"Response": success(wanted), "RateResult": _rate()}})

    async def status(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 8: by account; only today and tomorrow."""
        account, now = request.headers.get("AccountNumber", ""), self.town.now()
        if not account or request.match_info["type"] not in {"oncall", "smart", "both"}:
            raise No(WRONG, "The header AccountNumber is missing")
        days = {now.date(), now.date() + timedelta(days=1)}
        mine = [each for each in self.booked.values() if each.account == account and each.ready.date() in days]
        if not mine:
            raise No(WRONG, "No pickup is pending for this account")
        return answer(
            {
                "PickupPendingStatusResponse": {
                    "Response": SUCCESS,
                    "PendingStatus": [_pending(each, now) for each in mine],
                }
            }
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """02 is by the header Prn, 01 by the account. Source: facts/ups.md 8."""
        by, prn = request.match_info["type"], request.headers.get("Prn", "")
        found = self.booked.get(prn) if by == "02" else None
        if by == "01":
            account = request.headers.get("AccountNumber", "")
            mine = [each for each in self.booked.values() if each.account == account and not each.cancelled]
            found = mine[-1] if mine else None
        if found is None or found.cancelled or found.close <= self.town.now():
            raise No(WRONG, "No pickup to cancel under this number")
        found.cancelled = True
        self.town.book("ups", "pickup_cancelled", found.prn)
        return answer({"PickupCancelResponse": {"Response": SUCCESS, "PickupType": "01"}})


def _checked(wanted: Json) -> tuple[str, ...]:
    """The address, as the same one is known again."""
    address = wanted.get("PickupAddress") or {}
    missing = lacks(wanted, "RatePickupIndicator", "AlternateAddressIndicator", "PickupPiece")
    missing = missing or lacks(
        address, "CompanyName", "ContactName", "AddressLine", "City", "CountryCode", "ResidentialIndicator", "Phone"
    )
    if missing:
        raise No(WRONG, f"{missing} is missing")
    lines, phone = listed(address["AddressLine"]), str(path(address, "Phone", "Number") or "")
    if any(len(str(address.get(name, ""))) > most for name, most in LIMITS.items()) or not 1 <= len(phone) <= PHONE:
        raise No(WRONG, "A field of the address is too long, or the telephone is missing")
    if any(len(str(line)) > LINE for line in lines) or len(str(wanted.get("SpecialInstruction", ""))) > INSTRUCTION:
        raise No(WRONG, "An address line or the instruction is too long")
    if len(str(wanted.get("ReferenceNumber", ""))) > REFERENCE:
        raise No(WRONG, "The reference is too long")
    for piece in listed(wanted["PickupPiece"]):
        if not re.fullmatch(r"\d{3}", str(piece.get("ServiceCode", ""))) or not re.fullmatch(
            r"[1-9]\d{0,2}", str(piece.get("Quantity", ""))
        ):
            raise No(WRONG, "A piece needs a service of three digits and a quantity of 1 to 999")
        if piece.get("ContainerCode") not in {"01", "02", "03"} or not piece.get("DestinationCountryCode"):
            raise No(WRONG, "A piece needs a container and a destination")
    parts = (*map(str, lines), str(address["City"]), str(address.get("PostalCode", "")), str(address["CountryCode"]))
    return tuple(part.casefold() for part in parts)


def _times(info: Json) -> tuple[datetime, datetime]:
    try:
        ready, close = (
            datetime.strptime(f"{info['PickupDate']}{info[name]}+0000", "%Y%m%d%H%M%z")
            for name in ("ReadyTime", "CloseTime")
        )
    except (KeyError, ValueError) as error:
        raise No(WRONG, "PickupDate, ReadyTime and CloseTime are a date and two times") from error
    if close - ready < LEAD:
        raise No(WRONG, "Too little time between ready and close")
    return ready, close


def _rate() -> Json:
    return {
        "Disclaimer": {"Code": "01", "Description": "The rate is an estimate"},
        "RateType": "FD",
        "CurrencyCode": "USD",
        "ChargeDetail": [{"ChargeCode": "B", "ChargeDescription": "BASE CHARGE", "ChargeAmount": PRICE}],
        "GrandTotalOfAllCharge": PRICE,
    }


def _pending(each: Pickup, now: datetime) -> Json:
    code, message = each.status(now)
    return {
        "PickupType": "01",
        "ServiceDate": f"{each.ready:%Y%m%d}",
        "PRN": each.prn,
        "OnCallStatusCode": code,
        "PickupStatusMessage": message,
        "BillingCode": each.billing,
        "ContactName": each.contact,
        **({"ReferenceNumber": each.reference} if each.reference else {}),
    }
