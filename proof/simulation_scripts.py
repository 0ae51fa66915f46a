"""What carriers will say of a parcel, read once: pushes by the minute they are due, answers by the minute they change.

The bytes are the street's and are read by the carriers' own reading; the truth is the street's record. A script serves
many parcels: what differs between them is what goes wrong.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from random import Random
from typing import Any

from carriers.contract import Payload
from merchants.terms import Terms, default_for
from proof.feeds import Feeds, shipment
from proof.journeys import READS, expectation, set_out
from street.variants import variants
from tracker.lifecycle import Parcel, Shipment, Sighting, Telling

SCRIPTS = 2 * len(variants())
"""Every row of both carriers' tables is told in one of so many."""


@dataclass(frozen=True, slots=True)
class Saying:
    """All that one payload says of the parcel."""

    digest: str
    sightings: tuple[Sighting, ...]
    tellings: tuple[Telling, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """`answers` holds from when on a poll is answered so; `truth` is what the street knows at the end."""

    journey: str
    known: Shipment
    terms: Terms
    starts_at: datetime
    ends_at: datetime
    pushes: tuple[tuple[datetime, Saying], ...]
    changes: tuple[datetime, ...]
    answers: tuple[Saying, ...]
    truth: dict[str, Any]
    folds: dict[tuple[int, ...], Parcel] = field(default_factory=dict)

    def answer(self, at: datetime, *, old: bool = False) -> Saying:
        """What a poll is answered then; `old`: what it would have been answered before the last change."""
        return self.answers[max(0, bisect_right(self.changes, at) - 1 - old)]

    def next_change(self, at: datetime) -> datetime:
        """When polls are answered otherwise; at last the end, when everything was told."""
        later = bisect_right(self.changes, at)
        return self.changes[later] if later < len(self.changes) else self.ends_at


@cache
def _town() -> Feeds:
    return Feeds()


@lru_cache(maxsize=8)
def script(number: int) -> Script:
    """The script of that number."""
    feeds, dice = _town(), Random(f"script/{number}")
    parcel = set_out(feeds, number, dice)
    carrier, name = parcel.journey.carrier, parcel.number
    known = shipment(parcel, places=dice.random() < 0.7)
    ends = parcel.telling.ends_at
    seen = {scan.visible_at for scan in parcel.telling.scans} - {parcel.starts_at}
    changes = (parcel.starts_at, *sorted(at for at in seen if parcel.starts_at < at <= ends))
    same = _Same(known.number)
    made = Script(
        parcel.journey.name,
        known,
        default_for(carrier),
        parcel.starts_at,
        ends + timedelta(minutes=1),
        tuple((push.due, same.read(feeds.push(parcel, push.scan))) for push in parcel.telling.pushes),
        changes,
        tuple(same.read(feeds.poll(carrier, [name], at)) for at in changes),
        expectation(next(each for each in feeds.town.record() if each["number"] == name)),
    )
    feeds.town.parcels.clear()
    feeds.town.queue.drop(name)
    return made


class _Same:
    """Reads payloads of one parcel; what two of them say alike is kept once."""

    def __init__(self, number: str) -> None:
        self._number, self._known = number, dict[Any, Any]()

    def read(self, payload: Payload) -> Saying:
        readings, digest = READS[payload.carrier].read(payload), payload.digest
        return Saying(
            digest,
            tuple(Sighting(event, payload.source, digest) for event in self._ours(readings.events)),
            tuple(Telling(told, digest) for told in self._ours(readings.told)),
        )

    def _ours(self, said: Iterable[Any]) -> list[Any]:
        return [self._known.setdefault(repr(each), each) for each in said if each.number == self._number]
