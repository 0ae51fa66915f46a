"""Asks UPS where parcels are: one number a call, raw answers."""

from collections.abc import Sequence
from urllib.parse import quote

from carriers.contract import Payload, Source
from carriers.door import Door
from carriers.ups.calls import headers
from carriers.ups.reading import CARRIER

API = "tracking"
# English only: descriptions are translated by locale, and the text patterns are English.  # source: facts/ups.md 4
QUERY = "locale=en_US&returnSignature=false&returnMilestones=true&returnPOD=false"


class Tracking:
    """The Track API. Its door lets "no such number" through as an answer."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        """One answer per number, in their order: UPS knows no batch. Raises Refused, Busy, Away."""
        return [await self._one(number) for number in numbers]

    async def _one(self, number: str) -> Payload:
        path = f"/api/track/v1/details/{quote(number, safe='')}?{QUERY}"
        response = await self._door.ask("GET", path, api=API, headers=headers())
        return Payload(CARRIER, Source.POLL, response.content, (number,), response.status_code)

    async def numbers_of(self, reference: str, shipper: str) -> Payload:
        """The parcels that carry this reference of this account.  # source: facts/ups.md 4"""
        path = f"/api/track/v1/reference/details/{quote(reference, safe='')}"
        query = {"locale": "en_US", "shipperNum": shipper, "refNumType": "SmallPackage"}
        response = await self._door.ask("GET", path, api=API, headers=headers(), params=query)
        return Payload(CARRIER, Source.POLL, response.content, (), response.status_code)
