"""Places UPS knows: access points that take a parcel (Locator v3), and whether an address exists (validation v2)."""

from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeVar

import msgspec

from carriers.contract import Address, AddressVerdict, Away, CarrierError, DropOff, NotFound, Refused
from carriers.door import Door
from carriers.ups.calls import encoded, headers, many
from carriers.ups.shipment import IN_POUNDS

T = TypeVar("T")
Json = dict[str, Any]

LOCATOR, VALIDATION = "locator", "addresses"  # the APIs' names in budgets
ACCESS_POINTS = "/api/locations/v3/search/availabilities/64"
VALIDATE = "/api/addressvalidation/v2/1"
SOMEWHERE_NEAR_KM = "50"  # source: facts/ups.md 9, 5 to 150
MOST_PLACES, MOST_CANDIDATES = 50, 5
KM_PER_MILE = Decimal("1.609344")
ACTIVE = "01"
NO_VALIDATION = "UPS knows streets in the US and Puerto Rico only: elsewhere let the label's purchase judge the address"
DAYS = {"1": "Sun", "2": "Mon", "3": "Tue", "4": "Wed", "5": "Thu", "6": "Fri", "7": "Sat"}
REGULAR_HOURS, DROP_OFF_HOURS = "10", "50"
# UPS gives no code for an empty search in our sources, so its words decide.
NOTHING_NEAR = ("no location", "no drop", "not found", "no access point")


# ----------------------------------------------------------------------------------------------------- what UPS answers


class _Pascal(msgspec.Struct, rename="pascal"):
    """Every field may be missing."""


class _Keyed(_Pascal):
    consignee_name: str = ""
    address_line: list[str] | str = ""
    political_division2: str = ""
    political_division1: str = ""
    postcode_primary_low: str = ""
    postcode_extended_low: str = ""
    country_code: str = ""

    def address(self, name: str = "") -> Address:
        lines = self.address_line if isinstance(self.address_line, list) else [self.address_line]
        return Address(
            name or self.consignee_name,
            tuple(line for line in lines if line),
            self.political_division2,
            self.postcode_primary_low,
            self.country_code,
            self.political_division1,
        )


class _Code(_Pascal):
    code: str = ""


class _Distance(_Pascal):
    value: str = ""
    unit_of_measurement: _Code = msgspec.field(default_factory=_Code)


class _Day(_Pascal):
    day: str = ""
    open_hours: str = ""
    close_hours: str = ""
    latest_drop_off_hours: str = ""
    closed_indicator: str | None = None
    open24_hours_indicator: str | None = None


class _Hours(_Pascal):
    hours_type: str = ""
    day_of_week: list[_Day] | _Day | None = None


class _Operating(_Pascal):
    standard_hours: list[_Hours] | _Hours | None = None


class _AccessPoint(_Pascal):
    access_point_status: _Code | None = None


class _DropLocation(_Pascal):
    address_key_format: _Keyed = msgspec.field(default_factory=_Keyed)
    distance: _Distance = msgspec.field(default_factory=_Distance)
    operating_hours: _Operating | None = None
    standard_hours_of_operation: str = ""
    latest_ground_drop_off_time: list[str] | str | None = None
    access_point_information: _AccessPoint | None = None


class _Found(_Pascal):
    drop_location: list[_DropLocation] | _DropLocation | None = None


class _LocatorError(_Pascal):
    error_code: str = ""
    error_description: str = ""


class _LocatorStatus(_Pascal):
    response_status_code: str = ""
    error: _LocatorError | list[_LocatorError] | None = None


class _Locator(_Pascal):
    response: _LocatorStatus
    search_results: _Found | None = None


class _LocatorAnswer(_Pascal):
    locator_response: _Locator


class _Candidate(_Pascal):
    address_key_format: _Keyed | None = None


class _Validation(_Pascal):
    valid_address_indicator: str | None = None
    ambiguous_address_indicator: str | None = None
    no_candidates_indicator: str | None = None
    candidate: list[_Candidate] | _Candidate | None = None


class _ValidationAnswer(msgspec.Struct):
    answer: _Validation = msgspec.field(name="XAVResponse")


# ------------------------------------------------------------------------------------------------------------ the calls


class Places:
    """The Locator and Address Validation APIs."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def drop_offs(self, address: Address, limit: int) -> tuple[DropOff, ...]:
        """Access points that take parcels, nearest first. Raises Refused, Busy, Away."""
        body = encoded(search(address, limit))
        try:
            response = await self._door.ask(
                "POST", ACCESS_POINTS, api=LOCATOR, headers=headers(), params={"Locale": "en_US"}, content=body
            )
        except NotFound:
            return ()
        except Refused as error:
            if _is_nothing_near(error):
                return ()
            raise
        return drop_offs(response.content)[:limit]

    async def check_address(self, address: Address) -> AddressVerdict:
        """Whether UPS knows this address. Raises Refused outside the US and Puerto Rico; Busy, Away."""
        if address.country not in IN_POUNDS:
            raise Refused(NO_VALIDATION)
        response = await self._door.ask(
            "POST",
            VALIDATE,
            api=VALIDATION,
            headers=headers(),
            params={"maximumcandidatelistsize": str(MOST_CANDIDATES)},
            content=encoded(validation(address)),
        )
        return verdict(response.content, address)


def search(address: Address, limit: int) -> Json:
    """A search for active access points.  # source: facts/ups.md 9"""
    american = address.country in IN_POUNDS
    keyed: Json = {
        "AddressLine": ", ".join(address.lines)[:100] or address.city,
        "PoliticalDivision2": address.city,
        # Demanded of every country; where there are no states, the city is said twice.
        "PoliticalDivision1": address.region or address.city,
        "PostcodePrimaryLow": address.postal_code.replace(" ", "")[:10],
        "CountryCode": address.country,
    }
    return {
        "LocatorRequest": {
            "Request": {"RequestAction": "Locator"},
            "OriginAddress": {"AddressKeyFormat": keyed},
            "Translate": {"Locale": "en_US"},
            "UnitOfMeasurement": {"Code": "MI" if american else "KM"},
            "LocationSearchCriteria": {
                "MaximumListSize": str(max(1, min(limit, MOST_PLACES))),
                "SearchRadius": SOMEWHERE_NEAR_KM,
                "AccessPointSearch": {"AccessPointStatus": ACTIVE},
            },
        }
    }


def validation(address: Address) -> Json:
    """An address to be looked up: five digits, and the four after them apart."""
    digits = "".join(filter(str.isdigit, address.postal_code))
    keyed = {
        "ConsigneeName": (address.company or address.name)[:40],
        "AddressLine": [line[:100] for line in address.lines[:3]],
        "PoliticalDivision2": address.city[:30],
        "PoliticalDivision1": address.region[:30],
        "PostcodePrimaryLow": digits[:5],
        "PostcodeExtendedLow": digits[5:9],
        "CountryCode": address.country,
    }
    return {"XAVRequest": {"AddressKeyFormat": {key: held for key, held in keyed.items() if held}}}


# ---------------------------------------------------------------------------------------------------------- the judging


def drop_offs(body: bytes) -> tuple[DropOff, ...]:
    """What a 200 answer lists. Raises Refused with UPS's words for a failure inside it, Away for what is unreadable."""
    answer = _typed(body, _LocatorAnswer, "Locator").locator_response
    if answer.response.response_status_code != "1":
        errors = many(answer.response.error)
        code, words = (errors[0].error_code, errors[0].error_description) if errors else ("", "no success")
        error = Refused(f"UPS found no places: {code} {words}".strip(), code=code)
        if _is_nothing_near(error):
            return ()
        raise error
    found = many(answer.search_results.drop_location if answer.search_results else None)
    places = [_drop_off(one) for one in found if _is_open(one)]
    return tuple(sorted(places, key=lambda place: (place.distance_km is None, place.distance_km or 0)))


def _is_open(place: _DropLocation) -> bool:
    """Suspended and closed access points are left out.  # source: facts/ups.md 9"""
    about = place.access_point_information
    return about is None or about.access_point_status is None or about.access_point_status.code == ACTIVE


def _drop_off(place: _DropLocation) -> DropOff:
    """The place as people need it; its LocationID is not for them.  # source: facts/ups.md 9"""
    keyed = place.address_key_format
    until = many(place.latest_ground_drop_off_time)
    return DropOff(keyed.consignee_name, keyed.address(), _km(place.distance), _hours(place), until[0] if until else "")


def _km(distance: _Distance) -> Decimal | None:
    try:
        value = Decimal(distance.value)
    except InvalidOperation:
        return None
    return round(value * KM_PER_MILE, 1) if distance.unit_of_measurement.code.upper() == "MI" else value


def _hours(place: _DropLocation) -> tuple[str, ...]:
    """A line per day, Monday first; UPS's own sentence where it lists none."""
    listed = many(place.operating_hours.standard_hours) if place.operating_hours else []
    regular = [one for one in listed if one.hours_type == REGULAR_HOURS] or [
        one for one in listed if one.hours_type != DROP_OFF_HOURS
    ]
    days = [day for one in regular[:1] for day in many(one.day_of_week) if day.day in DAYS]
    if not days:
        return tuple(part.strip() for part in place.standard_hours_of_operation.split(";") if part.strip())
    return tuple(f"{DAYS[day.day]} {_open(day)}" for day in sorted(days, key=lambda day: (int(day.day) - 2) % 7))


def _open(day: _Day) -> str:
    if day.closed_indicator is not None:
        return "closed"
    return "0:00-24:00" if day.open24_hours_indicator else f"{_clock(day.open_hours)}-{_clock(day.close_hours)}"


def _clock(text: str) -> str:
    """Times come without leading zeros, midnight as 0."""
    digits = text.rjust(4, "0")
    return f"{int(digits[:2])}:{digits[2:]}" if digits.isdecimal() else text


def verdict(body: bytes, asked: Address) -> AddressVerdict:
    """What a 200 answer says of the address: exactly one of three indicators.  # source: facts/ups.md 9"""
    answer = _typed(body, _ValidationAnswer, "Address Validation").answer
    found = [one.address_key_format for one in many(answer.candidate) if one.address_key_format]
    candidates = tuple(one.address(asked.name) for one in found)
    word: Literal["valid", "ambiguous", "unknown"] = "unknown"
    if answer.valid_address_indicator is not None:
        word = "valid"
    elif answer.ambiguous_address_indicator is not None:
        word = "ambiguous"
    zip4 = found[0].postcode_extended_low if word == "valid" and found else ""
    return AddressVerdict(word, candidates, zip4, "" if found else "UPS knows no such street")


def _is_nothing_near(error: CarrierError) -> bool:
    return any(words in str(error).lower() for words in NOTHING_NEAR)


def _typed(body: bytes, shape: type[T], api: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise Away(f"UPS answered {api} with something unreadable") from error
