"""The fold: 200 parcels of 12 events each, against a bare loop that only looks at each event once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bench.pairing import paired
from carriers.contract import Event, Kind, Place, Reason, Source
from tracker.lifecycle import Shipment, Sighting, fold

PARCELS, START = 200, datetime(2026, 3, 2, 8, tzinfo=UTC)
_STORY = (
    Kind.LABEL_CREATED, Kind.PICKED_UP, Kind.IN_TRANSIT, Kind.IN_TRANSIT, Kind.IN_TRANSIT, Kind.OUT_FOR_DELIVERY,
    Kind.ATTEMPT_FAILED, Kind.OUT_FOR_DELIVERY, Kind.ATTEMPT_FAILED, Kind.OUT_FOR_DELIVERY, Kind.ATTEMPT_FAILED,
    Kind.RETURNING_TO_SENDER,
)  # fmt: skip


def _parcel(number: int) -> list[Sighting]:
    sightings = []
    for step, kind in enumerate(_STORY):
        at = START + timedelta(hours=9 * step, minutes=number % 60)
        reason = Reason.RECIPIENT_ABSENT if kind is Kind.ATTEMPT_FAILED else None
        event = Event(
            "ups", f"1Z{number}", at, at, at.date(), kind, f"X/{step:02}", "words", Place("Amsterdam"), reason
        )
        sightings.append(Sighting(event, Source.POLL))
    return sightings


def run() -> dict[str, Any]:
    """Events folded a second, and events merely looked at."""
    parcels = [_parcel(number) for number in range(PARCELS)]
    shipments = [Shipment("ups", f"1Z{number}") for number in range(PARCELS)]

    def folded() -> int:
        return sum(fold(seen, (), shipment).count for seen, shipment in zip(parcels, shipments, strict=True))

    def looked_at() -> int:
        return sum(sighting.event.kind is Kind.ATTEMPT_FAILED for seen in parcels for sighting in seen)

    return {"events": PARCELS * len(_STORY), **paired(folded, looked_at, PARCELS * len(_STORY))}
