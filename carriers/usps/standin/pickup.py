"""USPS's carrier pickup: where it comes, booked, read, changed and cancelled with ETags."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from carriers.usps.standin.answers import No, answer, fresh, object_of, unlike_schema
from carriers.usps.standin.town import Json, Route, Town

PATH = "/pickup/v3/carrier-pickup"
TYPES = {
    "FIRST-CLASS_PACKAGE_SERVICE",
    "PRIORITY_MAIL_EXPRESS",
    "PRIORITY_MAIL",
    "RETURNS",
    "USPS_GROUND_ADVANTAGE",
    "INTERNATIONAL",
    "OTHER",
}
LOCATIONS = {
    "FRONT_DOOR",
    "BACK_DOOR",
    "SIDE_DOOR",
    "KNOCK_ON_DOOR",
    "MAIL_ROOM",
    "OFFICE",
    "PORCH",
    "RECEPTION",
    "MAILBOX",
    "OTHER",
}
FIELDS = {"pickupDate", "pickupAddress", "packages", "estimatedWeight", "pickupLocation", "nextAvailablePickup"}
CENTRAL = ZoneInfo("America/Chicago")
UNTIL_HOUR = 2  # source: facts/usps.md 6.1: until 02:00 Central on the day
YEAR, SUNDAY = timedelta(days=365), 6


@dataclass(slots=True)
class Pickup:
    confirmation: str
    day: date
    asked: Json
    etag: str = field(default_factory=lambda: secrets.token_hex(20))


class Pickups:
    """All that stand; a cancelled one is gone."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.booked: dict[str, Pickup] = {}

    def routes(self) -> list[Route]:
        one, scope = f"{PATH}/{{confirmation}}", "carrier-pickup"
        return [
            ("GET", f"{PATH}/eligibility", "pickup_eligibility", scope, self.eligible),
            ("POST", PATH, "pickup", scope, self.create),
            ("GET", one, "pickup_get", scope, self.read),
            ("PUT", one, "pickup_change", scope, self.change),
            ("DELETE", one, "pickup_cancel", scope, self.cancel),
        ]

    async def eligible(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 6.1: a street with city and state, or with a ZIP code."""
        query = request.query
        address = {
            name: query[name]
            for name in ("streetAddress", "secondaryAddress", "city", "state", "ZIPCode", "ZIPPlus4")
            if query.get(name)
        }
        _check_place(address)
        # The schema demands names that the question does not have.
        return answer({"firstName": "CURRENT", "lastName": "RESIDENT", "address": address | {"ZIPPlus4": "1234"}})

    async def create(self, request: web.Request) -> web.Response:
        asked = object_of(await request.text())
        day = self._checked(asked)
        if any(_same_place(each.asked, asked) for each in self.booked.values() if each.day >= self._today()):
            raise No("A pickup already exists for this address", code="020001")
        made = Pickup(f"WTC{secrets.randbelow(10**8):08d}", day, asked)
        self.booked[made.confirmation] = made
        self.town.book("usps", "pickup", made.confirmation)
        return answer(_told(made), headers={"ETag": made.etag})

    async def read(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 6.1: a list, by the spec."""
        found = self._found(request)
        return answer([_told(found)], headers={"ETag": found.etag})

    async def change(self, request: web.Request) -> web.Response:
        found, wanted = self._found(request), object_of(await request.text())
        fresh(request, found.etag)
        if set(wanted) - {"confirmationNumber", "pickupDate", "carrierPickupRequest"}:
            raise unlike_schema("unknown property")
        asked = wanted.get("carrierPickupRequest") or {}
        found.day, found.asked, found.etag = self._checked(asked), asked, secrets.token_hex(20)
        return answer(_told(found), headers={"ETag": found.etag})

    async def cancel(self, request: web.Request) -> web.Response:
        found = self._found(request)
        fresh(request, found.etag)
        del self.booked[found.confirmation]
        self.town.book("usps", "pickup_cancelled", found.confirmation)
        return web.Response(status=200)

    def _found(self, request: web.Request) -> Pickup:
        found = self.booked.get(request.match_info["confirmation"])
        if found is None:
            raise No("The pickup was not found", code="020015")
        return found

    def _today(self) -> date:
        return self.town.now().astimezone(CENTRAL).date()

    def _checked(self, asked: Json) -> date:
        """The day on which it can be. Source: facts/usps.md 6.1, with its codes."""
        missing = FIELDS - {"nextAvailablePickup"} - set(asked)
        if missing or set(asked) - FIELDS:
            raise unlike_schema(f"{sorted(missing or set(asked) - FIELDS)}")
        where, spot = asked["pickupAddress"], asked["pickupLocation"]
        if not where.get("firstName") or not where.get("lastName"):
            raise No("The first and the last name are required", code="020002")
        _check_place(where.get("address") or {})
        for contact in where.get("contact") or []:
            if not (contact.get("email") or re.fullmatch(r"\d{10}", str(contact.get("cellNumber", "")))):
                raise No("A contact is an e-mail or a cell number of 10 digits", code="020004")
        if spot.get("packageLocation") not in LOCATIONS:
            raise unlike_schema("pickupLocation.packageLocation")
        if spot["packageLocation"] == "OTHER" and not spot.get("specialInstructions"):
            raise No("Special instructions are required", code="020006")
        for package in asked["packages"]:
            if package.get("packageType") not in TYPES or not isinstance(package.get("packageCount"), int):
                raise unlike_schema("packages")
        if not isinstance(asked["estimatedWeight"], (int, float)):
            raise unlike_schema("estimatedWeight")
        return self._day(asked)

    def _day(self, asked: Json) -> date:
        now = self.town.now().astimezone(CENTRAL)
        try:
            day = date.fromisoformat(str(asked["pickupDate"]))
        except ValueError as wrong:
            raise unlike_schema("pickupDate") from wrong
        first = now.date() if now.hour < UNTIL_HOUR else now.date() + timedelta(days=1)
        if day < now.date():
            raise No("The date is in the past", code="020009")
        if day > now.date() + YEAR:
            raise No("The date is more than a year ahead", code="020010")
        if day < first or day.weekday() == SUNDAY:
            if not asked.get("nextAvailablePickup"):
                raise No("There is no pickup on that day", code="020011")
            day = max(day, first)
            day += timedelta(days=day.weekday() == SUNDAY)
        return day


def _check_place(address: Json) -> None:
    if not address.get("streetAddress"):
        raise unlike_schema("streetAddress", "streetAddress")
    if not address.get("ZIPCode") and not (address.get("city") and address.get("state")):
        raise No("A ZIP code, or a city and a state", code="020003")
    if not re.search(r"\d", str(address["streetAddress"])):
        raise No("The address is not eligible for pickup", code="020005")


def _same_place(one: Json, other: Json) -> bool:
    return _key(one) == _key(other)


def _key(asked: Json) -> tuple[str, ...]:
    address = asked["pickupAddress"]["address"]
    return tuple(str(address.get(name, "")).casefold() for name in ("streetAddress", "secondaryAddress", "ZIPCode"))


def _told(each: Pickup) -> Json:
    return {
        "confirmationNumber": each.confirmation,
        "pickupDate": f"{each.day}",
        "carrierPickupRequest": each.asked,
    }
