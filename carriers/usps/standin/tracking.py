"""USPS's tracking: the batch of 35, and the older call for one number."""

import json
import re
from datetime import timedelta

from aiohttp import web

from carriers.usps.standin.answers import No, answer, error, unlike_schema
from carriers.usps.standin.scans import detail, older, summary
from carriers.usps.standin.town import Json, Route, Town

NUMBERS_AT_ONCE = 35  # source: facts/usps.md 3.1
KEPT_FOR = timedelta(days=120)  # source: facts/usps.md 3.3


class Tracking:
    """Two versions with other keys and other refusals."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def routes(self) -> list[Route]:
        return [
            ("POST", "/tracking/v3r2/tracking", "track", "tracking", self.track),
            ("GET", "/tracking/v3/tracking/{number}", "track_one", "tracking", self.track_one),
        ]

    async def track(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.text())
        except ValueError as wrong:
            raise unlike_schema("not JSON") from wrong
        if not isinstance(asked, list) or not 1 <= len(asked) <= NUMBERS_AT_ONCE or not all(map(_is_query, asked)):
            raise unlike_schema("an array of 1 to 35 items")
        found = [(str(item["trackingNumber"]), self._known(item["trackingNumber"])) for item in asked]
        good = [(number, told) for number, told in found if told]
        if not good:
            # source: facts/usps.md 3.5: one number, or none known: 404 with the ordinary envelope.
            return answer(_not_found(found[0][0]), 404)
        if len(good) == len(found):
            return answer([told for _, told in good])
        items = [{**told, "statusCode": "200"} if told else _failed(number) for number, told in found]
        return answer(items, 207)

    def mixed(self, whole: web.Response) -> web.Response:
        """The same answer as a 207, its last number lost. Source: facts/usps.md 3.5."""
        items = json.loads(whole.body if isinstance(whole.body, bytes) else b"")
        if whole.status != 200 or not isinstance(items, list) or not items:
            return whole
        good = [{**item, "statusCode": "200"} for item in items[:-1]]
        return answer([*good, _failed(str(items[-1]["trackingNumber"]))], 207)

    def _known(self, number: str) -> Json | None:
        known = self.town.seen(number)
        if not known or not known[1] or self.town.now() - max(scan.at for scan in known[1]) > KEPT_FOR:
            return None
        return detail(*known)

    async def track_one(self, request: web.Request) -> web.Response:
        known = self.town.seen(request.match_info["number"])
        if known is None or not known[1]:
            # source: facts/usps.md 3.5: the older version says 400 with 1500xx.
            raise No("A status update is not yet available", code="150001")
        if request.query.get("expand", "SUMMARY") == "DETAIL":
            return answer(older(*known))
        return answer(summary(*known))


def _failed(number: str) -> Json:
    return {**_not_found(number), "statusCode": "404", "trackingNumber": number}


def _is_query(item: object) -> bool:
    if not isinstance(item, dict) or set(item) - {"trackingNumber", "mailingDate", "destinationZIPCode"}:
        return False
    return bool(re.fullmatch(r"[0-9A-Za-z]{4,34}", str(item.get("trackingNumber", ""))))


def _not_found(number: str) -> Json:
    told = {
        "status": "404",
        "code": "150006",
        "title": "Not Found",
        "detail": f"A status update is not yet available for {number}.",
    }
    return error("/tracking/v3r2", 404, "Not Found", told)
