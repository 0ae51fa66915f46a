"""Asks USPS where parcels are: 35 numbers in one call, and where a parcel waits, the older API for its return date."""

import logging
from collections.abc import Sequence
from itertools import islice

import httpx

from carriers.contract import Away, CarrierError, Kind, Payload, Readings, Source, Unreadable
from carriers.door import Door
from carriers.usps import faults, reading, shapes

# Names of the APIs in budgets and circuits: what happens to the older one must not stop the other.
API, OLDER_API = "tracking", "tracking-v3"
PATH, OLDER = "/tracking/v3r2/tracking", "/tracking/v3/tracking"
BATCH = 35  # source: facts/usps.md 3.1
# Only such a parcel has a day on which it goes back.  # source: facts/usps.md 4.3
WAITING = frozenset({Kind.ATTEMPT_FAILED, Kind.AVAILABLE_FOR_PICKUP})
ACCEPT = {"Accept": "application/json"}

log = logging.getLogger(__name__)


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
    """`door` must judge answers by this file's `fault`. With `return_dates` the older API is asked too, where it helps.

    USPS may retire that API any day, so nothing depends on it.  # source: facts/usps.md 3.1
    """

    def __init__(self, door: Door, return_dates: bool = False) -> None:
        self._door, self._return_dates = door, return_dates

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        """What is answered of each number (35 in one call), and of each that waits. Raises Refused, Busy, Away."""
        answers = [each for batch in batches(numbers) for each in reading.by_parcel(await self._ask(batch))]
        if self._return_dates:
            for number in waiting(answers):
                answers += await self._ask_older(number)
        return answers

    async def _ask(self, batch: tuple[str, ...]) -> Payload:
        wanted = [{"trackingNumber": number} for number in batch]
        response = await self._door.ask("POST", PATH, api=API, json=wanted, headers=ACCEPT)
        return Payload("usps", Source.POLL, response.content, batch, response.status_code)

    async def _ask_older(self, number: str) -> list[Payload]:
        """Its answer; none where it gives none, whatever the reason: the batch has told what matters."""
        try:
            response = await self._door.ask(
                "GET", f"{OLDER}/{number}", api=OLDER_API, params={"expand": "DETAIL"}, headers=ACCEPT
            )
        except CarrierError as error:
            log.info("no return date asked", extra={"carrier": "usps", "why": f"{type(error).__name__} {error.code}"})
            return []
        if not response.is_success:
            return []
        return [Payload("usps", Source.POLL, response.content, (number,), response.status_code)]


def waiting(answers: Sequence[Payload]) -> list[str]:
    """Numbers whose newest event is a failed attempt or a wait at the counter, with no return date told."""
    return [number for answer in answers for number in _waiting(_readings(answer))]


def _readings(answer: Payload) -> Readings:
    try:
        return reading.read(answer)
    except Unreadable:
        return Readings()


def _waiting(readings: Readings) -> list[str]:
    newest = {event.number: event.kind for event in sorted(readings.events, key=reading.INSTANT)}
    dated = {told.number for told in readings.told if told.return_by}
    return [number for number, kind in newest.items() if kind in WAITING and number not in dated]
