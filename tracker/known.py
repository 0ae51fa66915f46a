"""What is known of a parcel while payloads about it are entered: what was told before, what of it is new. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from xxhash import xxh3_128_hexdigest

from carriers.contract import Event, Readings, Source, Told
from fleet.clocks import to_us
from tracker.lifecycle import Sighting, Telling

_event_in, _told_in = msgspec.json.Decoder(Event), msgspec.json.Decoder(Told)
_encode = msgspec.json.Encoder().encode
_SOURCES = {str(source): source for source in Source}

Said = tuple[list[tuple[Event, str]], list[Told]]
"""What one payload says of one number: its events, each with its JSON, and what it tells besides."""


class Stored(Protocol):
    """A row, as far as it is read here."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(slots=True)
class Heard:
    """One telling of what is no event."""

    digest: str
    received_us: int
    text: str
    told: Told | None = None

    @property
    def telling(self) -> Telling:
        return Telling(self.told or _told_in.decode(self.text), self.digest)


@dataclass(slots=True)
class Known:
    """All that was told of a parcel, and of it what is to be written."""

    parcel_id: int
    seen: dict[tuple[str, str], Stored] = field(default_factory=dict)  # rows by who speaks and what is said
    linked: list[Stored] = field(default_factory=list)  # rows of what was seen under a number linked to this parcel
    heard: dict[str, Heard] = field(default_factory=dict)  # by teller
    sightings: list[dict[str, Any]] = field(default_factory=list)  # new rows
    told: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, Event] = field(default_factory=dict)  # those of new rows, by their JSON

    def add_row(self, row: Stored) -> None:
        """A sighting that is in the database."""
        if row["linked_us"] is None:
            self.seen[row["source"], row["event"]] = row
        else:
            self.linked.append(row)

    def add_told_row(self, row: Stored) -> None:
        """What was told and is in the database."""
        self.heard[row["teller"]] = Heard(row["payload_digest"], row["received_us"], row["told"])

    def tell(self, said: Said, source: Source, digest: str, received_us: int) -> bool:
        """Enter what a payload says; whether any of it is new."""
        events, told = said
        news = self._see(events, source, digest, received_us)
        before = dict(self.heard)
        for each in told:
            news |= self._hear(each, source, digest, received_us, before)
        return news

    def _see(self, events: Iterable[tuple[Event, str]], source: Source, digest: str, received_us: int) -> bool:
        """What was told in the same words before is left. The loop of every event: it stands in one piece."""
        news, by, seen = False, str(source), self.seen
        for event, text in events:
            earlier = seen.get((by, text))
            if earlier is not None and earlier["received_us"] < received_us:
                continue
            news = True
            if earlier is not None and (earlier["received_us"], earlier["payload_digest"]) <= (received_us, digest):
                continue
            row = {
                "parcel_id": self.parcel_id,
                "event_id": event.id,
                "teller": teller(by, text),
                "source": by,
                "payload_digest": digest,
                "received_us": received_us,
                "at_us": to_us(event.at),
                "event": text,
            }
            seen[by, text] = row
            self.events[text] = event
            self.sightings.append(row)
        return news

    def _hear(self, told: Told, source: Source, digest: str, received_us: int, all_before: Mapping[str, Heard]) -> bool:
        encoded = _encode(told).decode()
        by = teller(source, encoded)
        before = all_before.get(by)
        if before and before.received_us <= received_us and before.digest <= digest:
            return False
        least = (before.digest, before.received_us) if before else (digest, received_us)
        self.heard[by] = Heard(min(digest, least[0]), min(received_us, least[1]), encoded, told)
        self.told.append(
            {
                "parcel_id": self.parcel_id,
                "teller": by,
                "payload_digest": digest,
                "received_us": received_us,
                "told": encoded,
            }
        )
        return before is None or received_us < before.received_us or _is_evidence(told, by, all_before)

    def history(self, limit: int | None = None) -> tuple[list[Sighting], list[Telling]]:
        """All that was seen and told (received until `limit`, where given)."""
        rows = [*self.seen.values(), *self.linked]
        if limit is not None:
            rows = [*(row for row in self.seen.values() if row["received_us"] <= limit)]
            rows += [row for row in self.linked if max(row["received_us"], row["linked_us"]) <= limit]
        new = self.events
        seen = [
            Sighting(
                new.get(text) or _event_in.decode(text), _SOURCES[row["source"]], row["payload_digest"], row["event_id"]
            )
            for row in rows
            if (text := row["event"])
        ]
        heard = [each.telling for each in self.heard.values() if limit is None or each.received_us <= limit]
        return seen, heard


def _is_evidence(told: Told, teller: str, kept: Mapping[str, Heard]) -> bool:
    """Whether it matters which payload told it: it is named as evidence, or decides between two of one instant."""
    if told.return_by or told.pickup_by:
        return True
    others = (_told_in.decode(heard.text) for name, heard in kept.items() if name != teller)
    return any((other.newest, other.rescheduled) == (told.newest, told.rescheduled) for other in others)


def teller(source: str, telling: str) -> str:
    """The name of a telling within its event: who speaks, and a digest of what is said."""
    return f"{source}:{xxh3_128_hexdigest(telling.encode())}"  # a sixth of what blake2b takes, and once for every event


def by_number(readings: Readings) -> dict[str, Said]:
    """What a payload says, number by number."""
    said: dict[str, Said] = defaultdict(lambda: ([], []))
    for told in readings.told:
        said[told.number][1].append(told)
    for event in readings.events:
        said[event.number][0].append((event, _encode(event).decode()))
    return said


def known_of(parcel_ids: Iterable[int], sightings: Iterable[Stored], told: Iterable[Stored]) -> dict[int, Known]:
    """What is known of these parcels, from their rows (each says `of_parcel`)."""
    found = {id: Known(id) for id in parcel_ids}
    for row in sightings:
        found[row["of_parcel"]].add_row(row)
    for row in told:
        found[row["of_parcel"]].add_told_row(row)
    return found
