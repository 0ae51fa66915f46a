"""Asks USPS where parcels are: 35 numbers in one call, the answers kept as they came."""

from collections.abc import Sequence
from itertools import islice

import httpx

from carriers.contract import Away, CarrierError, Payload, Source, Unreadable
from carriers.door import Door
from carriers.usps import faults, shapes

PATH = "/tracking/v3r2/tracking"
BATCH = 35  # source: facts/usps.md 3.1


def fault(response: httpx.Response) -> CarrierError | None:
    """Like any other answer's, but 404 is an answer: USPS knows none of these numbers (yet).  # facts/usps.md 3.5"""
    if response.status_code != 404:
        return faults.fault(response)
    try:
        shapes.json(response.content)
    except Unreadable:
        return Away("USPS answered 404 without JSON: not its tracking API")
    return None


def batches(numbers: Sequence[str], size: int = BATCH) -> list[tuple[str, ...]]:
    rest = iter(dict.fromkeys(numbers))
    return list(iter(lambda: tuple(islice(rest, size)), ()))


class Tracking:
    """`door` must judge answers by this file's `fault`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        """One raw answer for each batch of at most 35. Raises Refused, Busy, Away."""
        return [await self._ask(batch) for batch in batches(numbers)]

    async def _ask(self, batch: tuple[str, ...]) -> Payload:
        wanted = [{"trackingNumber": number} for number in batch]
        response = await self._door.ask(
            "POST", PATH, api="tracking", json=wanted, headers={"Accept": "application/json"}
        )
        return Payload("usps", Source.POLL, response.content, batch, response.status_code)
