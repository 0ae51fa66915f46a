"""UPS's small help: access points near an address, an address checked, days in transit."""

import re
from datetime import date, timedelta

from aiohttp import web

from carriers.ups.standin.answers import No, answer, lacks, listed, object_of, parsed, path, success
from carriers.ups.standin.town import Json, Route, Town

WRONG = "120000"  # the sources name no codes for these three: all are ours
STREET = re.compile(r"\d+\s*\w*\s+\S+|\S+\s+\d+")
TRANSIT = {
    "same": (("GND", "UPS Ground", 3), ("1DA", "UPS Next Day Air", 1)),
    "other": (("68", "UPS Standard", 3), ("28", "UPS Worldwide Saver", 2)),
}


class Nearby:
    """Nothing here changes anything."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def routes(self) -> list[Route]:
        return [
            ("POST", "/api/locations/v3/search/availabilities/{option}", "locator", self.locator),
            ("POST", "/api/addressvalidation/v2/{option}", "address", self.address),
            ("POST", "/api/shipments/v1/transittimes", "transit", self.transit),
        ]

    async def locator(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 9: 64 asks for access points; candidates where the address is unclear."""
        wanted = object_of(await request.text(), "LocatorRequest")
        address = path(wanted, "OriginAddress", "AddressKeyFormat") or {}
        if not path(wanted, "Request", "RequestAction") or "Translate" not in wanted or lacks(address, "CountryCode"):
            raise No(WRONG, "RequestAction, Translate and a country are required")
        criteria = wanted.get("LocationSearchCriteria") or {}
        most, unit = str(criteria.get("MaximumListSize", "5")), str(path(wanted, "UnitOfMeasurement", "Code") or "MI")
        if not re.fullmatch(r"[1-9]\d?", most) or int(most) > 50 or unit not in {"KM", "MI"}:
            raise No(WRONG, "MaximumListSize is 1 to 50, the unit KM or MI")
        if lacks(address, "PoliticalDivision2", "PostcodePrimaryLow"):
            results: Json = {"GeocodeCandidate": [{"AddressKeyFormat": _key(address, "1"), "Geocode": _geocode(0)}]}
        else:
            points = [_point(address, count, unit) for count in range(1, min(int(most), 6) + 1)]
            results = {"DropLocation": points if request.match_info["option"] == "64" else points[:1]}
        return answer(
            {
                "LocatorResponse": {
                    "Response": {"ResponseStatusCode": "1", "ResponseStatusDescription": "Success"},
                    "Geocode": _geocode(0),
                    "SearchResults": results,
                    "AllowAllConfidenceLevels": "false",
                }
            }
        )

    async def address(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 9: valid, ambiguous or no candidate; streets of the US and Puerto Rico only."""
        wanted, option = object_of(await request.text(), "XAVRequest"), request.match_info["option"]
        given = wanted.get("AddressKeyFormat") or {}
        if option not in {"1", "2", "3"} or given.get("CountryCode") not in {"US", "PR"}:
            raise No(WRONG, "The request option is 1 to 3 and the country US or PR")
        lines = [str(line).upper() for line in listed(given.get("AddressLine"))]
        body: Json = {"Response": success(wanted)}
        if not lines or not STREET.search(lines[0]) or lacks(given, "PoliticalDivision1", "PoliticalDivision2"):
            return answer({"XAVResponse": body | {"NoCandidatesIndicator": ""}})
        city, state = str(given["PoliticalDivision2"]).upper(), str(given["PoliticalDivision1"]).upper()
        postcode = str(given.get("PostcodePrimaryLow", ""))
        numbers = ["1234"] if postcode else ["1234", "5678"]  # without a ZIP code two of them fit
        body["ValidAddressIndicator" if postcode else "AmbiguousAddressIndicator"] = ""
        kind = {"Code": "2", "Description": "Residential"}
        if option != "1":
            body["AddressClassification"] = kind
        body["Candidate"] = [
            {
                **({"AddressClassification": kind} if option != "1" else {}),
                "AddressKeyFormat": {
                    "AddressLine": lines,
                    "PoliticalDivision2": city,
                    "PoliticalDivision1": state,
                    "PostcodePrimaryLow": postcode or "00000",
                    "PostcodeExtendedLow": number,
                    "Region": f"{city} {state} {postcode}-{number}",
                    "CountryCode": str(given["CountryCode"]),
                },
            }
            for number in numbers
        ]
        return answer({"XAVResponse": body})

    async def transit(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 9: ship date from 35 days ago to 60 days ahead."""
        wanted, today = parsed(await request.text(), WRONG), self.town.now().date()
        missing = lacks(wanted, "originCountryCode", "destinationCountryCode")
        try:
            shipped = date.fromisoformat(str(wanted.get("shipDate") or today))
        except ValueError as error:
            raise No(WRONG, "shipDate is YYYY-MM-DD") from error
        if missing or not timedelta(days=-35) <= shipped - today <= timedelta(days=60):
            raise No(WRONG, f"{missing or 'shipDate'} is missing or wrong")
        same = wanted["originCountryCode"] == wanted["destinationCountryCode"]
        services = [_service(*each, shipped) for each in TRANSIT["same" if same else "other"]]
        ends: Json = {}
        for side in ("origin", "destination"):
            code = str(wanted[f"{side}CountryCode"])
            ends |= {f"{side}CountryName": code, f"{side}CountryCode": code}
            if wanted.get(f"{side}PostalCode"):
                ends[f"{side}PostalCode"] = str(wanted[f"{side}PostalCode"])
        return answer(
            {
                "emsResponse": {
                    "shipDate": f"{shipped}",
                    "shipTime": "",
                    "serviceLevel": "A",
                    "billType": str(wanted.get("billType", "03")),
                    "residentialIndicator": str(wanted.get("residentialIndicator", "01")),
                    **ends,
                    "guaranteeSuspended": False,
                    "numberOfServices": len(services),
                    "services": services,
                }
            }
        )


def _key(address: Json, number: str) -> Json:
    return {
        "AddressLine": f"{number} {address.get('AddressLine') or 'High Street'}"[:100],
        "PoliticalDivision2": str(address.get("PoliticalDivision2") or "Unknown"),
        "PoliticalDivision1": str(address.get("PoliticalDivision1") or "XX"),
        "PostcodePrimaryLow": str(address.get("PostcodePrimaryLow") or "00000"),
        "CountryCode": str(address["CountryCode"]),
    }


def _geocode(count: int) -> Json:
    return {"Latitude": f"{44.5 + count / 100:.7f}", "Longitude": f"{11.4 + count / 100:.7f}"}


def _point(address: Json, count: int, unit: str) -> Json:
    word = {"KM": "Kilometers", "MI": "Miles"}[unit]
    return {
        "LocationID": f"{200000 + count}",
        "OriginOrDestination": "01",
        "IVR": {"PhraseID": "0"},
        "Geocode": _geocode(count),
        "AddressKeyFormat": {"ConsigneeName": f"Corner Shop {count}", **_key(address, str(count * 7))},
        "PhoneNumber": ["000000000"],
        "LocationAttribute": [
            {
                "OptionType": {"Code": "01", "Description": "Location"},
                "OptionCode": [{"Code": "018", "Description": "UPS Access Point"}],
            }
        ],
        "Distance": {"Value": f"{count * 0.4:.1f}", "UnitOfMeasurement": {"Code": unit, "Description": word}},
        "StandardHoursOfOperation": "Mon-Fri: 9:00am-7:00pm; Sat: 9:00am-1:00pm; Sun: Closed",
        "Timezone": "Europe/Rome",
        "AccessPointInformation": {
            "PublicAccessPointID": f"U{10000000 + count}",
            "AccessPointStatus": {"Code": "01", "Description": "Active-available"},
        },
    }


def _service(level: str, text: str, days: int, shipped: date) -> Json:
    delivery, left, rest = shipped, days, 0
    while left:
        delivery += timedelta(days=1)
        left -= delivery.weekday() < 5
        rest += delivery.weekday() >= 5
    return {
        "serviceLevel": level,
        "serviceLevelDescription": text,
        "shipDate": f"{shipped}",
        "deliveryDate": f"{delivery}",
        "commitTime": "23:00:00",
        "deliveryTime": "23:00:00",
        "deliveryDayOfWeek": f"{delivery:%a}".upper(),
        "nextDayPickupIndicator": "0",
        "saturdayPickupIndicator": "0",
        "saturdayDeliveryIndicator": "0",
        "guaranteeIndicator": "0",
        "totalTransitDays": days + rest,
        "businessTransitDays": days,
        "restDaysCount": rest,
        "holidayCount": 0,
        "delayCount": 0,
        "pickupDate": f"{shipped}",
        "pickupTime": "16:00:00",
        "cstccutoffTime": "14:00:00",
    }
