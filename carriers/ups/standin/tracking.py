"""UPS's Track calls: by number, by reference, all packages of a shipment."""

from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web

from carriers.ups.standin.answers import No, answer
from carriers.ups.standin.scans import nothing, package
from carriers.ups.standin.town import Json, Route, Town

REFERENCE_DAYS = timedelta(days=14)  # source: facts/ups.md 4: what is looked through when no dates are named
KEPT_FOR = timedelta(days=120)  # source: facts/ups.md 4


class Tracking:
    """`siblings` gives the numbers that travel in one shipment with a number."""

    def __init__(self, town: Town, siblings: Callable[[str], list[str]]) -> None:
        self.town, self.siblings = town, siblings

    def routes(self) -> list[Route]:
        return [
            ("GET", "/api/track/v1/details/{number}", "track", self.track),
            ("GET", "/api/track/v1/reference/details/{reference}", "reference", self.reference),
            ("GET", "/api/track/v1/shipment/details/{number}", "shipment", self.shipment),
        ]

    async def track(self, request: web.Request) -> web.Response:
        number = _asked(request)
        drawn = request.query.get("returnMilestones") == "true"
        return answer({"trackResponse": {"shipment": [self._shipment(number, [number], drawn)]}})

    async def shipment(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 4: `offset` from 0 and `count`; packageCount may exceed what is returned."""
        number = _asked(request)
        numbers = self.siblings(number) or [number]
        try:
            offset, count = int(request.query.get("offset", "0")), int(request.query.get("count", "50"))
        except ValueError as error:
            raise No("TV1002", "Invalid offset or count") from error
        told = self._shipment(number, numbers[offset : offset + count])
        for each in told.get("package", []):
            each["packageCount"] = len(numbers)
        return answer({"trackResponse": {"shipment": [told]}})

    async def reference(self, request: web.Request) -> web.Response:
        reference, query = request.match_info["reference"], request.query
        since = _day(query.get("fromPickUpDate")) or self.town.now() - REFERENCE_DAYS
        until = _day(query.get("toPickUpDate"), end=True) or self.town.now()
        account = query.get("shipperNum", "")
        shipments = []
        for number in self.town.referred("ups", reference):
            known = self.town.seen(number)
            if known and since <= known[0].starts_at <= until and number[2:8] == (account or number[2:8]):
                shipments.append(self._shipment(number, [number]))
        return answer({"trackResponse": {"shipment": shipments or [nothing(reference)]}})

    def _shipment(self, asked: str, numbers: list[str], draws_milestones: bool = False) -> Json:
        seen = [known for number in numbers if (known := self.town.seen(number)) and known[1]]
        seen = [known for known in seen if self.town.now() - max(scan.at for scan in known[1]) <= KEPT_FOR]
        if not seen:
            return nothing(asked)
        return {
            "inquiryNumber": asked,
            # source: facts/ups.md 4.1: seen, though not in the schema
            "pickupDate": f"{seen[0][0].starts_at:%Y%m%d}",
            "package": [package(*known, draws_milestones) for known in seen],
        }


def _asked(request: web.Request) -> str:
    number = request.match_info["number"]
    if not 7 <= len(number) <= 34:
        raise No("TV1002", "Invalid inquiry number")
    return number


def _day(text: str | None, *, end: bool = False) -> datetime | None:
    if not text:
        return None
    try:
        day = datetime.strptime(f"{text}+0000", "%Y%m%d%z")
    except ValueError as error:
        raise No("TV1002", "Invalid date") from error
    return day + timedelta(days=1) if end else day
