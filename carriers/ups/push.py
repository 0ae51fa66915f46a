"""Asks UPS to post parcels' events to us: Track Alert v2, by number, for fourteen days."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from carriers.contract import Away, Refused, Subscribed
from carriers.door import Door
from carriers.ups.calls import headers
from carriers.ups.faults import complaint

API = "subscriptions"
PATH = "/api/track/v2/subscription/standard/package"
# More than this and UPS refuses the whole call (VSS220).  # source: facts/ups.md 6.1
PER_CALL = 100
LIFETIME = timedelta(days=14)
SUBSCRIBABLE = re.compile(r"1Z[0-9A-Z]{16}|1R[0-9A-Z]{14}|1R[0-9A-Z]{26}")


class _Answer(msgspec.Struct, rename="camel"):
    valid_tracking_numbers: list[str] = []
    invalid_tracking_numbers: list[str] = []


class Subscriptions:
    """The Track Alert API. Where it posts to is set in UPS's portal, not here.  # source: facts/ups.md 6.1"""

    def __init__(self, door: Door, country: str) -> None:
        self._door, self._country = door, country

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        """Ask for pushes of these numbers. No history comes with it: poll them once after. Raises Refused, Busy, Away.

        `until` stays None: how long it holds is `abilities.push_lifetime`, counted by the caller's clock.
        """
        fit = [number for number in dict.fromkeys(numbers) if SUBSCRIBABLE.fullmatch(number)]
        accepted: list[str] = []
        for start in range(0, len(fit), PER_CALL):
            accepted += await self._ask(fit[start : start + PER_CALL])
        taken = set(accepted)
        return Subscribed(tuple(accepted), tuple(number for number in dict.fromkeys(numbers) if number not in taken))

    async def _ask(self, numbers: list[str]) -> list[str]:
        """The numbers of these that UPS took: those it lists as valid, and no others."""
        body = {"locale": "en_US", "countryCode": self._country, "trackingNumberList": numbers}
        response = await self._door.ask("POST", PATH, api=API, headers=headers(), content=json.dumps(body).encode())
        if response.status_code == 404:
            code, message = complaint(response)
            raise Refused(f"UPS has no Track Alert at {PATH}: {code} {message}".strip(), code=code)
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except msgspec.MsgspecError as error:
            raise Away("UPS answered a subscription with something unreadable") from error
        taken = set(answer.valid_tracking_numbers)
        return [number for number in numbers if number in taken]
