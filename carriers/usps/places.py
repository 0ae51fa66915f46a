"""Addresses and places at USPS: whether it delivers to an address, its ZIP+4, and post offices that take parcels.

source: facts/usps.md 6.4, 6.5
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from carriers.contract import Address, AddressVerdict, DropOff, NotFound, Refused
from carriers.door import Door
from carriers.usps import etags, shipment

ADDRESSES, LOCATIONS = "addresses", "locations"  # the APIs' names in budgets
ADDRESS_PATH = "/addresses/v3/address"
OFFICES_PATH = "/locations/v3/post-office-locations"
MOST_PLACES = 100
KM_PER_MILE = Decimal("1.609344")
# Where a counter prints a label from a code.
LABEL_BROKER = "LABEL_BROKER"
NO_OFFICE = "160033"  # no place was found for this address
# Routes on which nothing is brought to the street.
NO_STREET_DELIVERY = frozenset({"R777", "R779"})
SEVERAL, NEEDS_APARTMENT = "22", "32"
NOTES = {
    "Y": "",
    "D": "the apartment or suite is missing",
    "S": "the apartment or suite is not known to USPS",
    "N": "USPS does not deliver to this address",
}

Json = dict[str, Any]


class Places:
    """The Addresses and Locations APIs."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def check(self, address: Address) -> AddressVerdict:
        """What USPS knows of an address; the candidate has its ZIP+4. Raises Refused, Busy, Away."""
        if address.country not in ("US", "", *shipment.TERRITORIES):
            return AddressVerdict("unknown", note="USPS knows addresses in the US only")
        try:
            response = await self._door.ask("GET", ADDRESS_PATH, api=ADDRESSES, params=_asked(address))
        except NotFound as error:
            return _not_found(error)
        except Refused as error:
            if not error.code.startswith("0100"):  # 010001 to 010006: the address, not the call
                raise
            return _not_found(error)
        return verdict(address, _object(etags.said(response.content)))

    async def offices(self, address: Address, limit: int, service: str = "") -> tuple[DropOff, ...]:
        """Open post offices near an address, nearest first; with `service`, those that offer it.

        Raises Refused, Busy, Away.
        """
        query = {**_near(address), "limit": min(max(limit * 2, 1), MOST_PLACES), "offset": 0}
        if service:
            query["mailingService"] = service
        try:
            response = await self._door.ask("GET", OFFICES_PATH, api=LOCATIONS, params=query)
        except NotFound:
            return ()
        except Refused as error:
            if error.code != NO_OFFICE:
                raise
            return ()
        found = _object(etags.said(response.content)).get("locations")
        offices = [_office(one) for one in _objects(found) if one.get("temporaryClosure") is not True]
        offices.sort(key=lambda one: (one.distance_km is None, one.distance_km or 0))
        return tuple(offices[:limit])


def _asked(address: Address) -> Json:
    """By street and state, with the city and the ZIP where they are known."""
    whole = shipment.postal("the address", address, needs_zip=False)
    firm = {"firm": address.company.strip()[: shipment.NAME]} if address.company.strip() else {}
    return firm | whole


def verdict(asked: Address, said: Mapping[str, Any]) -> AddressVerdict:
    """Y and a street that is served: valid; a missing or unknown apartment, or several: ambiguous; else unknown."""
    address, more = _object(said.get("address")), _object(said.get("additionalInfo"))
    found, zip4 = _written(asked, address)
    codes = {str(one.get("code")) for one in _objects(said.get("corrections"))}
    texts = [str(one["text"]) for one in _objects(said.get("corrections")) if one.get("text")]
    confirmed = str(more.get("DPVConfirmation") or "")
    notes = [NOTES.get(confirmed, "USPS does not confirm this address"), *texts]
    if str(more.get("carrierRoute")) in NO_STREET_DELIVERY:
        return AddressVerdict("unknown", found, zip4, "USPS brings nothing to this street")
    if str(more.get("vacant")) == "Y":
        notes.append("nobody seems to live there")
    note = "; ".join(filter(None, notes))
    if confirmed in ("D", "S") or codes & {SEVERAL, NEEDS_APARTMENT}:
        return AddressVerdict("ambiguous", found, zip4, note)
    return AddressVerdict("valid" if confirmed == "Y" else "unknown", found, zip4, note)


def _not_found(error: NotFound | Refused) -> AddressVerdict:
    several = "multiple" in str(error).lower()
    return AddressVerdict("ambiguous" if several else "unknown", note=str(error))


def _written(asked: Address, said: Mapping[str, Any]) -> tuple[tuple[Address, ...], str]:
    """The address as USPS writes it, with its ZIP+4."""
    street, zip_code, zip4 = (str(said.get(name) or "") for name in ("streetAddress", "ZIPCode", "ZIPPlus4"))
    if not street or not zip_code:
        return (), ""
    found = replace(
        asked,
        lines=tuple(filter(None, (street, str(said.get("secondaryAddress") or "")))),
        city=str(said.get("city") or asked.city),
        region=str(said.get("state") or asked.region),
        postal_code=f"{zip_code}-{zip4}" if zip4 else zip_code,
    )
    return (found,), zip4


# --------------------------------------------------------------------------------------------------------------- places


def _near(address: Address) -> Json:
    """By exactly one kind of place: the ZIP, else city and state.  # source: facts/usps.md 6.5"""
    if match := shipment.ZIP.fullmatch(address.postal_code.strip()):
        return {"ZIPCode": match[1]}
    if address.city.strip() and len(address.region.strip()) == 2:
        return {"city": address.city.strip(), "state": address.region.strip().upper()}
    raise Refused("USPS: post offices are looked for by ZIP, or by city and state", code="address")


def _office(said: Mapping[str, Any]) -> DropOff:
    at = _object(said.get("facilityAddress"))
    zip_code, zip4 = str(at.get("ZIPCode") or ""), str(at.get("ZIPPlus4") or "")
    address = Address(
        name="",
        company=str(said.get("facilityName") or "Post Office"),
        lines=tuple(filter(None, (str(at.get("streetAddress") or ""), str(at.get("secondaryAddress") or "")))),
        city=str(at.get("city") or ""),
        postal_code=f"{zip_code}-{zip4}" if zip4 else zip_code,
        country="US",
        region=str(at.get("state") or ""),
    )
    return DropOff(address.company, address, _km(said.get("distance")), tuple(_hours(said.get("services"))))


def _km(miles: object) -> Decimal | None:
    try:
        found = Decimal(str(miles)) * KM_PER_MILE
    except InvalidOperation:
        return None
    return found.quantize(Decimal("0.1")) if found.is_finite() else None


def _hours(services: object) -> Iterator[str]:
    """A line per day: those of the first service that has any; boxes in the lobby open longer than the counter."""
    stated = [one for one in _objects(services) if _objects(one.get("hours"))]
    counter = next((one for one in stated if one.get("service") != "PO_BOX"), None)
    for day in _objects((counter or next(iter(stated), {})).get("hours")):
        times = [f"{_clock(one.get('openTime'))}-{_clock(one.get('closeTime'))}" for one in _objects(day.get("times"))]
        yield f"{str(day.get('dayOfWeek') or '').capitalize()[:3]} {', '.join(times) or 'closed'}"


def _clock(text: object) -> str:
    """`0800` as `08:00`."""
    digits = str(text or "").replace(":", "")
    return f"{digits[:2]}:{digits[2:4]}" if digits.isdigit() and len(digits) >= 4 else str(text or "?")


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
