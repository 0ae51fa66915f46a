"""What can be asked of USPS for a parcel: to collect it (Carrier Pickup v3). To turn one round there is no API.

source: facts/usps.md 6.1, 6.2
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_UP, Decimal
from typing import Any, TypeAlias

from carriers.contract import (
    Address,
    Away,
    CarrierError,
    Charge,
    Money,
    NotFound,
    PickupBooked,
    PickupRequest,
    PickupStage,
    PickupState,
    Refused,
)
from carriers.door import Door
from carriers.usps import etags, faults, shipment, wording

API = "pickup"
PICKUPS = "/pickup/v3/carrier-pickup"
EXISTS = "020001"  # a pickup at this address is booked already
NO_SUCH = "020015"
# A confirmation in the words of an error: letters and then digits.
CONFIRMATION = re.compile(r"\b[A-Z]{2,5}[0-9]{6,}\b")
INSTRUCTIONS, EMAIL, CELL = 255, 50, re.compile(r"1?([0-9]{10})")
FREE = Charge(Money(Decimal(0), "USD"), "USPS collects parcels on its round without a fee")

NO_INTERCEPT = (
    "USPS takes no intercept by API: ask for a Package Intercept in the Business Customer Gateway "
    "(https://gateway.usps.com), or at https://www.usps.com/manage/package-intercept.htm for numbers that do not begin "
    "with 92 or 93; it costs a fee and is not sure. Undelivered parcels come back by themselves after their hold."
)

Json = dict[str, Any]
Doorstep: TypeAlias = tuple[str, str, str]  # street, apartment, ZIP
MOST_REMEMBERED = 1024


class Pickups:
    """The Carrier Pickup API. `contact` is the e-mail address for addresses that have neither e-mail nor phone."""

    def __init__(self, door: Door, contact: str) -> None:
        self._door, self._contact = door, contact
        self._made: dict[Doorstep, str] = {}  # the confirmations of this life, newest last

    async def eligible(self, address: Address) -> None:
        """Raises Refused where no carrier collects, Busy, Away."""
        await self._door.ask("GET", f"{PICKUPS}/eligibility", api=API, params=_postal(address))

    async def book(self, wanted: PickupRequest) -> PickupBooked:
        """Book a collection; one that is there already, for the same place and day, is as good.

        Raises Refused, Busy, Away.
        """
        body = request(wanted, self._contact)
        await self.eligible(wanted.address)
        response = await self._door.once("POST", PICKUPS, api=API, json=body)
        error = faults.fault(response)
        if error is None:
            return self._remembered(wanted, _booked(etags.said(response.content)))
        if error.code == EXISTS:
            return await self._there(wanted, error)
        raise error

    def _remembered(self, wanted: PickupRequest, booked: PickupBooked) -> PickupBooked:
        if len(self._made) >= MOST_REMEMBERED:
            del self._made[next(iter(self._made))]
        self._made[_at(wanted.address)] = booked.confirmation
        return booked

    async def _there(self, wanted: PickupRequest, error: CarrierError) -> PickupBooked:
        """The pickup that is in the way, when it is the one we want.  # source: facts/usps.md 6.1

        USPS has no list of pickups: it is one that the refusal names, or one that was booked here before.
        """
        named = CONFIRMATION.search(str(error))
        confirmation = named[0] if named else self._made.get(_at(wanted.address), "")
        there = await self._found(confirmation) if confirmation else None
        if there is None:
            raise Refused(f"{error}; its confirmation is not known here: see the e-mail USPS sent", code=EXISTS)
        if not _is_wanted(there, wanted):
            raise Refused(f"{error}; it is another one ({_text(there, 'pickupDate')}): change it", code=EXISTS)
        return _booked(there)

    async def state(self, confirmation: str) -> PickupState:
        """Booked, or unknown: USPS does not tell what became of one. Raises Refused, Busy, Away."""
        there = await self._found(confirmation)
        if there is None:
            return PickupState(PickupStage.UNKNOWN, "USPS knows no such pickup")
        return PickupState(PickupStage.BOOKED, f"booked for {_text(there, 'pickupDate')}")

    async def change(self, confirmation: str, wanted: PickupRequest) -> PickupBooked:
        """Another day, place or number of parcels under the same confirmation. Raises NotFound, Refused, Busy, Away."""
        body = {
            "confirmationNumber": confirmation,
            "pickupDate": wanted.day.isoformat(),
            "carrierPickupRequest": request(wanted, self._contact),
        }
        changed = await etags.change(self._door, "PUT", _path(confirmation), API, body)
        return _booked({"confirmationNumber": confirmation, "pickupDate": wanted.day.isoformat()} | _one(changed))

    async def cancel(self, confirmation: str) -> None:
        """Cancelling twice is no error. Raises Refused, Busy, Away."""
        try:
            await etags.change(self._door, "DELETE", _path(confirmation), API)
        except NotFound:
            return
        except Refused as error:
            if error.code != NO_SUCH:
                raise

    async def _found(self, confirmation: str) -> Json | None:
        try:
            there, _ = await etags.get(self._door, _path(confirmation), API)
        except NotFound:
            return None
        except Refused as error:
            if error.code == NO_SUCH:
                return None
            raise
        return _one(there) or None


# -------------------------------------------------------------------------------------------------------------- request


def request(wanted: PickupRequest, contact: str) -> Json:
    """The body of a booking. Raises Refused where USPS could only say no."""
    if wanted.pieces < 1:
        raise Refused("USPS: a pickup needs at least one parcel", code="pieces")
    address, name = wanted.address, _name(wanted.address)
    return {
        "pickupDate": wanted.day.isoformat(),
        "pickupAddress": {**name, "address": _postal(address), "contact": [_contact(address, contact)]},
        "packages": [{"packageType": "RETURNS", "packageCount": wanted.pieces}],
        "estimatedWeight": _pounds(wanted.weight_kg),
        "pickupLocation": _where(wanted.note),
    }


def _name(address: Address) -> Json:
    """First and last name are both required here, a firm is not enough; a single word serves as both."""
    first, _, last = (address.name.strip() or address.company.strip()).rpartition(" ")
    if not last:
        raise Refused("USPS: a pickup needs the name of who hands over", code="address")
    said = {"firstName": (first.strip() or last)[: shipment.NAME], "lastName": last[: shipment.NAME]}
    return said | ({"firm": address.company.strip()[: shipment.NAME]} if address.company.strip() else {})


def _at(address: Address) -> Doorstep:
    at = _postal(address)
    return str(at["streetAddress"]).casefold(), str(at.get("secondaryAddress", "")).casefold(), str(at["ZIPCode"])


def _postal(address: Address) -> Json:
    names = ("streetAddress", "secondaryAddress", "city", "state", "ZIPCode", "ZIPPlus4")
    whole = shipment.postal("the pickup", address)
    return {name: whole[name] for name in names if name in whole}


def _contact(address: Address, otherwise: str) -> Json:
    """Where USPS confirms to: one of the two is required."""
    if 0 < len(address.email) <= EMAIL:
        return {"email": address.email}
    if digits := CELL.fullmatch(re.sub(r"\D", "", address.phone)):
        return {"cellNumber": digits[1]}
    if otherwise:
        return {"email": otherwise}
    raise Refused("USPS: a pickup needs an e-mail address or a phone number of ten digits", code="address")


def _pounds(kg: Decimal) -> float:
    return max(float((kg / shipment.KG_PER_POUND).quantize(Decimal("0.1"), ROUND_UP)), 0.1)


def _where(note: str) -> Json:
    """USPS wants to know where the parcels lie: at the front door unless the note says otherwise."""
    if not note.strip():
        return {"packageLocation": "FRONT_DOOR"}
    return {"packageLocation": "OTHER", "specialInstructions": note.strip()[:INSTRUCTIONS]}


# --------------------------------------------------------------------------------------------------------------- answer


def _path(confirmation: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]{1,40}", confirmation):
        raise Refused("USPS: a pickup's confirmation has letters and digits only", code="confirmation")
    return f"{PICKUPS}/{confirmation}"


def _one(said: object) -> Json:
    """An object, or the first of a list.  # source: facts/usps.md 6.1: the spec and USPS's examples differ"""
    first = said[0] if isinstance(said, list) and said else said
    return first if isinstance(first, dict) else {}


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return str(value) if isinstance(value, (str, int)) else ""


def _booked(said: object) -> PickupBooked:
    one = _one(said)
    confirmation, day = _text(one, "confirmationNumber"), wording.day(_text(one, "pickupDate"))
    if not confirmation or day is None:
        raise Away("USPS took the pickup, but its answer names no confirmation: see the e-mail USPS sent")
    return PickupBooked(confirmation, day, FREE)


def _is_wanted(there: Mapping[str, Any], wanted: PickupRequest) -> bool:
    """The same day at the same door; the number of parcels may differ."""
    inside = there.get("carrierPickupRequest")
    asked = inside if isinstance(inside, dict) else there
    at = asked.get("pickupAddress")
    address = at.get("address") if isinstance(at, dict) else None
    if not isinstance(address, dict) or _day(there, asked) != wanted.day:
        return False
    ours = _postal(wanted.address)
    same = (_text(address, name).casefold() == str(ours[name]).casefold() for name in ("streetAddress", "ZIPCode"))
    return all(same)


def _day(*said: Mapping[str, Any]) -> date | None:
    return next((found for one in said if (found := wording.day(_text(one, "pickupDate")))), None)
