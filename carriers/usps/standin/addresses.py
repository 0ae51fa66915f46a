"""USPS's addresses and places: ZIP+4, city and state of a ZIP code, post offices, drop-off sites."""

import re
from collections.abc import Mapping

from aiohttp import web

from carriers.usps.standin.answers import No, answer, unlike_schema
from carriers.usps.standin.town import Json, Route, Town

STATES = {
    "AA", "AE", "AL", "AK", "AP", "AS", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FM", "FL", "GA", "GU",
    "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME", "MH", "MD", "MA", "MI", "MN", "MS", "MO", "MP",
    "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PW", "PA", "PR", "RI", "SC",
    "SD", "TN", "TX", "UT", "VT", "VI", "VA", "WA", "WV", "WI", "WY",
}  # fmt: skip
NOWHERE_ZIP = "00000"
OPEN = [{"openTime": "0900", "closeTime": "1700"}]
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")
# The towns of the street by their ZIP codes; any other ZIP code is in Springfield, Illinois.
TOWNS = {
    "89501": ("RENO", "NV"), "98101": ("SEATTLE", "WA"), "80202": ("DENVER", "CO"), "85004": ("PHOENIX", "AZ"),
    "60601": ("CHICAGO", "IL"), "33101": ("MIAMI", "FL"), "07094": ("SECAUCUS", "NJ"),
}  # fmt: skip
ELSEWHERE = ("SPRINGFIELD", "IL")


class Addresses:
    """Nothing here changes anything."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def routes(self) -> list[Route]:
        addresses, locations = "/addresses/v3", "/locations/v3"
        return [
            ("GET", f"{addresses}/address", "address", "addresses", self.address),
            ("GET", f"{addresses}/city-state", "city_state", "addresses", self.city_state),
            ("GET", f"{addresses}/zipcode", "zipcode", "addresses", self.zipcode),
            ("GET", f"{locations}/post-office-locations", "post_offices", "locations", self.post_offices),
            ("GET", f"{locations}/dropoff-locations", "dropoffs", "locations", self.dropoffs),
        ]

    async def address(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 6.4: confirmation, corrections, matches; 404 where nothing is found."""
        found = _found(request.query)
        lacks_unit = "BUILDING" in found["streetAddress"] and not found.get("secondaryAddress")
        confirmation = "D" if lacks_unit else "Y"
        corrections = (
            [{"code": "32", "text": "More information, such as an apartment, is needed"}] if lacks_unit else []
        )
        return answer(
            {
                "firm": request.query.get("firm", "").upper(),
                "address": found,
                "additionalInfo": {
                    "deliveryPoint": "10",
                    "carrierRoute": "C012",
                    "DPVConfirmation": confirmation,
                    "DPVCMRA": "N",
                    "business": "N",
                    "centralDeliveryPoint": "N",
                    "vacant": "Y" if "VACANT" in found["streetAddress"] else "N",
                },
                "corrections": corrections,
                "matches": [{"code": "31", "text": "Single Response - exact match"}],
                "warnings": [],
            }
        )

    async def city_state(self, request: web.Request) -> web.Response:
        code = request.query.get("ZIPCode", "")
        if not re.fullmatch(r"\d{5}", code):
            raise unlike_schema("ZIPCode", "ZIPCode")
        if code == NOWHERE_ZIP:
            raise No("Invalid ZIP Code", code="010005")
        city, state = TOWNS.get(code, ELSEWHERE)
        return answer({"city": city, "state": state, "ZIPCode": code})

    async def zipcode(self, request: web.Request) -> web.Response:
        if not request.query.get("city"):
            raise unlike_schema("city", "city")
        return answer({"firm": request.query.get("firm", "").upper(), "address": _found(request.query)})

    async def post_offices(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 6.5: by exactly one of address, city and state, ZIP code, or a point."""
        query = request.query
        ways = [
            bool(query.get("streetAddress")),
            bool(query.get("city") and not query.get("streetAddress")),
            bool(query.get("ZIPCode") and not query.get("streetAddress")),
            bool(query.get("LAT") and query.get("LONG")),
        ]
        if sum(ways) == 0:
            raise No("One way to search is required", code="160171")
        if sum(ways) > 1:
            raise No("Only one way to search is taken", code="160230")
        if query.get("ZIPCode") == NOWHERE_ZIP:
            raise No("The place was not found", code="160033")
        try:
            offset, limit = int(query.get("offset", "0")), int(query.get("limit", "20"))
        except ValueError as wrong:
            raise unlike_schema("offset and limit") from wrong
        offices = [_office(count, query) for count in range(1, 4)]
        metadata = {"totalCount": len(offices), "offset": offset, "limit": limit}
        return answer({"locations": offices[offset : offset + limit], "metadata": metadata})

    async def dropoffs(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 6.5: these matter for destination entry only."""
        code = request.query.get("destinationZIPCode", "")
        if not re.fullmatch(r"\d{5}", code):
            raise unlike_schema("destinationZIPCode", "destinationZIPCode")
        if code == NOWHERE_ZIP:
            return answer([])
        city, state = TOWNS.get(code, ELSEWHERE)
        where = {"streetAddress": "1 POSTAL PLZ", "city": city, "state": state, "ZIPCode": code, "ZIPPlus4": "9998"}
        return answer(
            [
                {
                    "dropShipmentKey": "SV21038",
                    "facilityName": f"{city} DDU",
                    "facilityAddress": {"address": where},
                    "destinationZIPCode": code,
                    "destinationEntryFacilityType": "DESTINATION_DELIVERY_UNIT",
                    "dropShipAcceptanceTimes": [{"dayOfWeek": day, "times": OPEN} for day in DAYS],
                }
            ]
        )


def _found(query: Mapping[str, str]) -> dict[str, str]:
    """The address in USPS's own form, or a refusal with one of its six codes."""
    street, state = query.get("streetAddress", "").strip(), query.get("state", "")
    if not street or state not in STATES:
        raise unlike_schema("streetAddress and state are required", "streetAddress" if state in STATES else "state")
    if not query.get("city") and not query.get("ZIPCode"):
        raise No("A city or a ZIP code is required", code="010002")
    code = query.get("ZIPCode") or next((zip_ for zip_, at in TOWNS.items() if at[1] == state), "62701")
    if not re.search(r"\d", street) or code == NOWHERE_ZIP:
        raise No("Address Not Found", status=404, code="010004", title="Not Found")
    city = query.get("city") or TOWNS.get(code, ELSEWHERE)[0]
    found = {"streetAddress": street.upper(), "city": city.upper(), "state": state, "ZIPCode": code, "ZIPPlus4": "1234"}
    if query.get("secondaryAddress"):
        found["secondaryAddress"] = query["secondaryAddress"].upper()
    return found


def _office(count: int, query: Mapping[str, str]) -> Json:
    code = query.get("ZIPCode", "62701")
    city, state = TOWNS.get(code, ELSEWHERE)
    where = {
        "streetAddress": f"{count * 100} MAIN ST",
        "city": query.get("city", city).upper(),
        "state": query.get("state", state),
        "ZIPCode": code,
        "ZIPPlus4": "9998",
    }
    return {
        "facilityName": f"{city} STATION {count}",
        "facilityAddress": where,
        "facilityID": f"{1370000 + count}",
        "geoCoordinates": {"latitude": 39.5 + count / 100, "longitude": -119.8},
        "postOfficeType": "POST_OFFICE",
        "distance": count * 0.7,
        "phoneNumbers": {"phone": "18002758777"},
        "services": [
            {"service": service, "hours": [{"dayOfWeek": day, "times": OPEN} for day in DAYS]}
            for service in ("LABEL_BROKER", "PO_BOX")[: 3 - count or 1]
        ],
        "temporaryClosure": count == 3,
        "parking": "LOT",
        "timeZone": "America/Los_Angeles",
    }
