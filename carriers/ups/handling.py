"""What can be asked of a UPS parcel under way: turning it round (Delivery Intercept v2), and collecting it (Pickup)."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import httpx
import msgspec

from carriers.contract import (
    Address,
    Away,
    CarrierError,
    Charge,
    Eligibility,
    Intercepted,
    InterceptOutcome,
    Money,
    NotExecuted,
    NotFound,
    PickupBooked,
    PickupRequest,
    PickupStage,
    PickupState,
    Prepared,
    Reason,
    Refused,
    Rejected,
    Unknown,
)
from carriers.door import Door
from carriers.ups import reading, shapes
from carriers.ups.calls import encoded, headers, many
from carriers.ups.faults import complaint, fault
from carriers.ups.sending import refusal, send
from carriers.ups.shipment import IN_POUNDS, fitting_service, postal_code
from carriers.ups.tracking import Tracking

T = TypeVar("T")
Json = dict[str, Any]

INTERCEPT, PICKUP = "intercept", "pickup"  # the APIs' names in budgets
INTERCEPTS = "/api/deliveryintercept/v2"
# Whether it works elsewhere is unproven; not offered in Puerto Rico.  # source: facts/ups.md 7.2
INTERCEPT_COUNTRIES = frozenset({"US"})
NO_INTERCEPT = (
    "UPS takes orders to turn a parcel round for accounts in the US only: leave it to UPS, which brings an undelivered"
    " parcel back by itself after its hold, or call UPS"
)
RETURN_TO_SENDER = "RS"
OTHER_NON_DELIVERY = "KV"  # source: facts/ups.md 7.1, our case after three misses
REASONS: Mapping[str, str] = {
    Reason.INSUFFICIENT_ADDRESS: "FA",
    Reason.MOVED: "FA",
    Reason.REFUSED: "KR",
    Reason.RECALLED_BY_SHIPPER: "AM",
}
# What may be sent as a reason.  # source: facts/ups.md 7.1
REASON_CODES = frozenset({"AM", "AN", "AQ", "AR", "AS", "FA", "KR", "KS", "KV"})
NO_RIGHTS = "605"  # the caller has no rights to the parcel  # source: facts/ups.md 7.1
CHECK_FAILED, SYSTEM_ERROR = "0006", "500"
AGAIN_SECONDS = 30.0
NAME, EMAIL, TELEPHONE_DIGITS = 30, 50, 13

PICKUPS = "/api/pickupcreation/v2409/pickup"
PENDING = "/api/shipments/v2409/pickup/oncall"
CANCEL = "/api/shipments/v2409/pickup/02"  # 02: by its number  # source: facts/ups.md 8
BY_TRACKING_NUMBER, BY_ACCOUNT = "04", "01"
OVERWEIGHT_KG = 32
MOST_NUMBERS, MOST_PIECES = 30, 999
COMPANY, CONTACT, PICKUP_LINE, PICKUP_CITY, PICKUP_POSTAL, PICKUP_PHONE, INSTRUCTION = 27, 22, 73, 50, 8, 25, 57
# source: facts/ups.md 8, OnCallStatusCode
STAGES = {
    "001": PickupStage.BOOKED,
    "002": PickupStage.DISPATCHED,
    "003": PickupStage.DONE,
    "004": PickupStage.NOT_DONE,
    "005": PickupStage.NOT_DONE,
    "007": PickupStage.CANCELLED,
    "008": PickupStage.NOT_DONE,
    "012": PickupStage.BOOKED,
}


# ----------------------------------------------------------------------------------------------------- what UPS answers


class _Complaint(msgspec.Struct, rename="camel"):
    """Either naming of an error.  # source: facts/ups.md 7.1"""

    code: str | int | None = None
    message: str | None = None
    error_code: str | int | None = None
    error_message: str | None = None


class _Option(msgspec.Struct):
    id: str | None = None


class _Value(msgspec.Struct, rename="camel"):
    create_eligibility: str | None = None
    cancel_eligibility: str | None = None
    reason_options_for_rts: list[_Option] | None = msgspec.field(default=None, name="reasonOptionsForRTS")


class _Feature(msgspec.Struct, rename="camel"):
    intercept_feature: str | None = None
    eligibility_value: _Value | None = None


class _Price(msgspec.Struct, rename="camel"):
    total_charge: str | float | None = None
    charge_currency: str | None = None
    currency_code: str | None = None
    tax_disclaimer_indicator: str | None = None
    total_tax: str | float | None = None


class _Answer(msgspec.Struct, rename="camel"):
    """Flat, or inside `response`; the map an array or one object.  # source: facts/ups.md 7.1, 7.2"""

    success: bool | None = None
    status_code: str | None = None
    status_msg: str | None = None
    errors: list[_Complaint] | None = None
    common_eligibility_map: list[_Feature] | _Feature | None = None
    charge_info: list[_Price] | _Price | None = None
    response: "_Answer | None" = None

    @property
    def error(self) -> tuple[str, str]:
        """Code and words of the first error; of the status where a failure lists none."""
        for one in self.errors or ():
            code = one.code if one.code is not None else one.error_code
            return str(code or ""), one.message or one.error_message or ""
        return ("", "") if self.success is True else (self.status_code or "", self.status_msg or "no success")


class _Coded(msgspec.Struct, rename="pascal"):
    code: str = ""
    description: str = ""


class _RateResult(msgspec.Struct, rename="pascal"):
    grand_total_of_all_charge: str = ""
    currency_code: str = ""


class _Created(msgspec.Struct, rename="pascal"):
    prn: str = msgspec.field(default="", name="PRN")
    rate_status: _Coded | None = None
    rate_result: _RateResult | None = None


class _CreatedAnswer(msgspec.Struct, rename="pascal"):
    pickup_creation_response: _Created


class _Pending(msgspec.Struct, rename="pascal"):
    prn: str = msgspec.field(default="", name="PRN")
    on_call_status_code: str = ""
    pickup_status_message: str = ""


class _PendingStatus(msgspec.Struct, rename="pascal"):
    pending_status: list[_Pending] | _Pending | None = None


class _PendingAnswer(msgspec.Struct, rename="pascal"):
    pickup_pending_status_response: _PendingStatus


# ----------------------------------------------------------------------------------------------------- turning it round


class Contact(msgspec.Struct, frozen=True):
    """Who asks, for UPS to call back."""

    name: str
    phone: str
    email: str = ""


class Intercepts:
    """The Delivery Intercept API of one account."""

    def __init__(self, door: Door, tracking: Tracking) -> None:
        self._door, self._tracking = door, tracking

    async def eligibility(self, number: str) -> Eligibility:
        """Whether UPS would bring this parcel back now. Raises Refused, Busy, Away."""
        path = f"{INTERCEPTS}/eligibility/intercept/{one_z(number)}"
        response = await self._door.ask("GET", path, api=INTERCEPT, headers=intercept_headers(), params=LOCALE)
        if response.is_success:
            return eligibility(response.content)
        code, message = complaint(response)
        return Eligibility(False, f"UPS answered {response.status_code} {code} {message}".strip())

    async def charge(self, number: str, contact: Contact | None, known: tuple[Address, Address] | None) -> Charge:
        """What it would cost between these addresses, or those that Track knows. Raises Refused, Busy, Away."""
        asking = _asking(contact)
        if known:
            ends = _priced(_rating(known[0], asking), _rating(known[1], asking))
        else:
            (payload,) = await self._tracking.track([number])
            ends = _ends(payload.body, asking) if payload.status == 200 else None
        if ends is None:
            return Charge(None, "UPS prices it between two whole US addresses, and one of them is none")
        body = {"ratingRequest": [{**ends, "trackInfo": {"interceptOption": RETURN_TO_SENDER}}]}
        path = f"{INTERCEPTS}/charges/{one_z(number)}"
        response = await self._door.ask(
            "POST", path, api=INTERCEPT, headers=intercept_headers(), params=LOCALE, content=encoded(body)
        )
        if response.is_success:
            return charge(response.content)
        return Charge(None, " ".join(complaint(response)))

    async def order(self, prepared: Prepared) -> InterceptOutcome:
        """Send the prepared order once and say what is proven; never raises but for cancellation."""
        response = await send(self._door, prepared, INTERCEPT)
        if not isinstance(response, httpx.Response):
            return response
        if response.is_success:
            return intercepted(response.content, prepared.reference)
        if complaint(response)[0] == NO_RIGHTS:
            return Rejected(*complaint(response))
        return refusal(response)

    async def cancel(self, number: str, contact: Contact | None) -> None:
        """Let the parcel go on, sent once. Raises Refused, Busy, Away."""
        body = _order(RETURN_TO_SENDER, contact, None)
        path = f"{INTERCEPTS}/cancel/{one_z(number)}"
        response = await self._door.once(
            "POST", path, api=INTERCEPT, headers=intercept_headers(), params=LOCALE, content=encoded(body)
        )
        if error := fault(response):
            raise error
        outcome = intercepted(response.content, number)
        if isinstance(outcome, Rejected):
            raise Refused(f"UPS did not cancel it: {outcome.code} {outcome.message}".strip(), code=outcome.code)
        if not isinstance(outcome, Intercepted):
            raise Away(f"UPS did not say whether it was cancelled: {outcome.why}")


LOCALE = {"loc": "en_US"}


def prepare_intercept(number: str, reason: str | None, contact: Contact | None) -> Prepared:
    """The order to bring a parcel back to its shipper: UPS has no field to choose another place.

    `reason` is one of ours, or one of UPS's own codes as `Eligibility.reasons` gave them.  # source: facts/ups.md 7.1
    """
    body = _order(RETURN_TO_SENDER, contact, reason if reason in REASON_CODES else REASONS.get(reason or "", ""))
    return Prepared(
        "intercept", "POST", f"{INTERCEPTS}/return/{one_z(number)}", intercept_headers(), encoded(body), number
    )


def intercept_headers() -> Mapping[str, str]:
    """Two more than other calls want, each with one value only.  # source: facts/ups.md 7"""
    return {**headers(), "platformType": "XOLT", "inquiryType": "U"}


def one_z(number: str) -> str:
    """A number that can be intercepted: 1Z and sixteen more, nothing else.  # source: facts/ups.md 7"""
    found = reading.recognise(number)
    if found is None or not found.number.startswith("1Z"):
        raise Refused(f"UPS turns round parcels with a 1Z number only, and {number!r} is none")
    return found.number


def _order(kind: str, contact: Contact | None, reason: str | None) -> Json:
    """`specialInstructions` must be there though only a redirection uses it.  # source: facts/ups.md 7.1"""
    why = {} if reason is None else {"reasonForReturn": reason or OTHER_NON_DELIVERY}
    return {"requestType": kind, "requesterContactInfo": _asking(contact), **why, "specialInstructions": None}


def _asking(contact: Contact | None) -> Json:
    """Who asks. Raises Refused where nobody is set."""
    digits = "".join(filter(str.isdigit, contact.phone))[:TELEPHONE_DIGITS] if contact else ""
    if contact is None or not contact.name.strip() or not digits:
        raise Refused("UPS wants to know who asks: set UPS_CONTACT_NAME and UPS_CONTACT_PHONE")
    asking: Json = {"name": contact.name[:NAME], "telephone": f"+{digits}", "displayPhoneNumber": False}
    if 0 < len(contact.email) <= EMAIL:
        asking["emailAddress"] = contact.email
    return asking


def eligibility(body: bytes) -> Eligibility:
    """A 200 answer. Raises Away where UPS could not check just now, or answered something unreadable."""
    answer = _decoded(body)
    code, words = answer.error
    if code in (CHECK_FAILED, SYSTEM_ERROR):
        raise Away(f"UPS could not check whether it can be turned round: {code} {words}", code=code)
    features = many(answer.common_eligibility_map)
    found = next((one.eligibility_value for one in features if one.intercept_feature in ("RTS", "RS")), None)
    if code or found is None:
        return Eligibility(False, f"{code} {words}".strip() or "UPS offers no return to sender for this parcel")
    reasons = tuple(one.id for one in found.reason_options_for_rts or () if one.id)
    if found.create_eligibility == "ELIGIBLE":
        return Eligibility(True, "", reasons)
    # Nothing to order and something to cancel: one is in force.  # source: facts/ups.md 7.2
    already = found.cancel_eligibility == "ELIGIBLE"
    why = "UPS is bringing it back already" if already else f"UPS says {found.create_eligibility or 'nothing'}"
    return Eligibility(False, why, reasons, already)


def charge(body: bytes) -> Charge:
    """A 200 answer to what it would cost."""
    answer = _decoded(body)
    code, words = answer.error
    prices = many(answer.charge_info)
    if code or not prices:
        return Charge(None, f"{code} {words}".strip() or "UPS names no price")
    price = prices[0]
    try:
        total = Money(Decimal(str(price.total_charge)), price.charge_currency or price.currency_code or "USD")
    except InvalidOperation:
        return Charge(None, "UPS names no price")
    return Charge(total, "it may be billed as a shipment too, by contract")


def intercepted(body: bytes, number: str) -> InterceptOutcome:
    """A 200 answer to an order: done only when it says `success` and lists no errors.  # source: facts/ups.md 7.1"""
    try:
        answer = _decoded(body)
    except Away as error:
        return Unknown(str(error))
    code, words = answer.error
    if answer.success is True and not answer.errors:
        return Intercepted(number, answer.status_msg or "")
    if code == CHECK_FAILED:  # it looks before it acts
        return NotExecuted(f"UPS could not check the parcel: {code} {words}", AGAIN_SECONDS)
    if code == SYSTEM_ERROR or not answer.errors:
        return Unknown(f"UPS answered 200 without success: {code} {words}")
    return Rejected(code, words)


def _decoded(body: bytes) -> _Answer:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.MsgspecError as error:
        raise Away("UPS answered Delivery Intercept with something unreadable") from error
    return answer.response or answer


def _ends(body: bytes, asking: Json) -> Json | None:
    """Where the parcel came from and goes to, as Track knows it; None unless both are whole US addresses."""
    try:
        answer = shapes.parse(body).track_response
    except ValueError:
        return None
    packages = [one for shipment in (answer and answer.shipment) or [] for one in shipment.package or []]
    known = {(one.type or "").upper(): one.address for one in (packages[0].package_address or [])} if packages else {}
    return _priced(_rated(known.get("ORIGIN"), asking), _rated(known.get("DESTINATION"), asking))


def _priced(origin: Json | None, destination: Json | None) -> Json | None:
    return {"fromAddress": origin, "toAddress": destination} if origin and destination else None


def _rating(address: Address, asking: Json) -> Json | None:
    """An address of ours to be rated."""
    return _rated(
        shapes.Address(
            address_line1=", ".join(address.lines),
            city=address.city,
            state_province=address.region,
            postal_code=address.postal_code,
            country_code=address.country,
        ),
        asking,
    )


def _rated(address: shapes.Address | None, asking: Json) -> Json | None:
    """An address to be rated. UPS demands a name and a phone there, which change no price: those of who asks."""
    if address is None:
        return None
    parts = {
        "addressLine1": address.address_line1,
        "city": address.city,
        "state": address.state_province,
        "postalCode": address.postal_code,
        "countryCode": address.country_code or address.country,
        "firstName": asking["name"],
        "phoneNumber": asking["telephone"],
    }
    whole = all(parts.values()) and parts["countryCode"] in INTERCEPT_COUNTRIES
    return parts if whole else None


# ----------------------------------------------------------------------------------------------------------- collecting


class Pickups:
    """The Pickup API of one account."""

    def __init__(self, door: Door, account: str, country: str) -> None:
        self._door, self._account, self._country = door, account, country

    async def book(self, wanted: PickupRequest) -> PickupBooked:
        """Book a collection, sent once; one that exists for that address comes back as it is. Raises Refused, Busy,
        Away: after Away ask again, the same address gives the same confirmation.  # source: facts/ups.md 8
        """
        body = encoded(pickup(wanted, self._account, self._country))
        response = await self._door.once("POST", PICKUPS, api=PICKUP, headers=headers(), content=body)
        if error := fault(response):
            raise Refused(str(error), code=error.code) if isinstance(error, NotFound) else error
        return booked(response.content, wanted.day)

    async def state(self, confirmation: str) -> PickupState:
        """How far it is; UPS tells of today's and tomorrow's only. Raises Refused, Busy, Away."""
        asked = {**headers(), "AccountNumber": self._account}
        try:
            response = await self._door.ask("GET", PENDING, api=PICKUP, headers=asked)
        except NotFound:
            return NOT_TOLD
        return pickup_state(response.content, confirmation)

    async def cancel(self, confirmation: str) -> None:
        """Call it off. Raises Refused (with UPS's words, also where it is over or gone), Busy, Away."""
        try:
            await self._door.ask("DELETE", CANCEL, api=PICKUP, headers={**headers(), "Prn": confirmation})
        except NotFound:
            return


NOT_TOLD = PickupState(PickupStage.UNKNOWN, "UPS tells of collections of today and tomorrow only, and not of this one")


def pickup(wanted: PickupRequest, account: str, country: str) -> Json:
    """The request. A return's tracking number pays for it; without one, the account.  # source: facts/ups.md 8"""
    address, numbers = wanted.address, [one_z(number) for number in wanted.numbers]
    if len(numbers) > MOST_NUMBERS or not 1 <= wanted.pieces <= MOST_PIECES:
        raise Refused(f"UPS collects 1 to {MOST_PIECES} pieces and takes at most {MOST_NUMBERS} tracking numbers")
    if wanted.close <= wanted.ready:
        raise Refused("the collection closes before it is ready")
    piece = {
        "ServiceCode": fitting_service(address.country, country).zfill(3),
        "Quantity": str(wanted.pieces),
        "DestinationCountryCode": country,
        "ContainerCode": "01",
    }
    request: Json = {
        "Request": {"TransactionReference": {"CustomerContext": "homeward"}},
        "RatePickupIndicator": "N" if numbers else "Y",
        "Shipper": {"Account": {"AccountNumber": account, "AccountCountryCode": country}},
        "PickupDateInfo": {
            "CloseTime": f"{wanted.close:%H%M}",
            "ReadyTime": f"{wanted.ready:%H%M}",
            "PickupDate": f"{wanted.day:%Y%m%d}",
        },
        "PickupAddress": _pickup_address(address),
        "AlternateAddressIndicator": "Y",
        "PickupPiece": [piece],
        "TotalWeight": _total_weight(wanted.weight_kg, address.country),
        # One parcel's weight is not known: only when all of them together cannot all be lighter.
        "OverweightIndicator": "Y" if wanted.weight_kg > OVERWEIGHT_KG * wanted.pieces else "N",
        "PaymentMethod": BY_TRACKING_NUMBER if numbers else BY_ACCOUNT,
    }
    if numbers:
        request["TrackingData"] = [{"TrackingNumber": number} for number in numbers]
    if wanted.note:
        request["SpecialInstruction"] = wanted.note[:INSTRUCTION]
    return {"PickupCreationRequest": request}


def _pickup_address(address: Address) -> Json:
    phone = "".join(filter(str.isdigit, address.phone))[:PICKUP_PHONE]
    line = ", ".join(address.lines)
    if not phone or not line or len(line) > PICKUP_LINE:
        raise Refused(f"UPS collects where there is a phone number and a street of at most {PICKUP_LINE} characters")
    return {
        "CompanyName": (address.company or address.name)[:COMPANY],
        "ContactName": (address.name or address.company)[:CONTACT],
        "AddressLine": [line],
        "City": address.city[:PICKUP_CITY],
        **({"StateProvince": address.region} if address.region else {}),
        "PostalCode": postal_code(address)[: 5 if address.country in IN_POUNDS else PICKUP_POSTAL],
        "CountryCode": address.country,
        "ResidentialIndicator": "N" if address.company else "Y",
        "Phone": {"Number": phone},
    }


def _total_weight(weight_kg: Decimal, country: str) -> Json:
    american = country in IN_POUNDS
    weight = weight_kg * Decimal("2.20462262") if american else weight_kg
    return {"Weight": f"{weight:.1f}", "UnitOfMeasurement": "LBS" if american else "KGS"}


def booked(body: bytes, day: date) -> PickupBooked:
    """A 200 answer to a booking. Raises Away for what cannot be read or has no number."""
    answer = _typed(body, _CreatedAnswer).pickup_creation_response
    if not answer.prn:
        raise Away("UPS answered a booking without its number")
    rated = answer.rate_result
    note = answer.rate_status.description if answer.rate_status else ""
    try:
        total = Money(Decimal(rated.grand_total_of_all_charge), rated.currency_code) if rated else None
    except InvalidOperation:
        total = None
    return PickupBooked(answer.prn, day, Charge(total, note))


def pickup_state(body: bytes, confirmation: str) -> PickupState:
    """What a 200 answer says of this collection."""
    pending = many(_typed(body, _PendingAnswer).pickup_pending_status_response.pending_status)
    for one in pending:
        if one.prn == confirmation:
            return PickupState(STAGES.get(one.on_call_status_code, PickupStage.UNKNOWN), one.pickup_status_message)
    return NOT_TOLD


def _typed(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise Away("UPS answered Pickup with something unreadable") from error


def fault_of_an_intercept(response: httpx.Response) -> CarrierError | None:
    """The same where "you have no rights to this parcel" and "no such parcel" are answers and not faults."""
    error = fault(response)
    return None if isinstance(error, NotFound) or (error and error.code in (NO_RIGHTS, "710")) else error
