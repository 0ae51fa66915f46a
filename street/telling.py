"""How a carrier's systems tell a journey: when each scan is seen, in which order, how often, and what is pushed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from random import Random

from street.journeys import ASKED_BACK, LABEL, RECALL, UPS, WITHDRAWN, Journey, Step, Where, working_day
from street.places import NOWHERE, Place, hubs


class Delivery(StrEnum):
    """The manner of the telling; what is told in the end is the same in all of them."""

    PLAIN = "plain"
    DOUBLED = "doubled"
    REORDERED = "reordered"
    LATE = "late"
    NEVER = "never"  # nothing is pushed: only polls see it


@dataclass(frozen=True, slots=True)
class Scan:
    """One thing seen, and from when on the carrier's systems know of it. `local` has the offset of the place."""

    word: str
    at: datetime
    local: datetime
    place: Place
    visible_at: datetime
    order: int
    again: date | None = None
    keep: date | None = None
    echo: bool = False  # the same scan told once more, in other words
    saying: tuple[str, ...] = ()  # how the carrier puts it, where the journey says so (street/variants.py)


@dataclass(frozen=True, slots=True)
class Push:
    due: datetime
    scan: Scan


@dataclass(frozen=True, slots=True)
class Telling:
    """`scans` in the order in which a poll lists them (newest first, except when reordered)."""

    scans: tuple[Scan, ...]
    pushes: tuple[Push, ...]
    scheduled: date
    ends_at: datetime


def tell(
    journey: Journey, delivery: Delivery, starts_at: datetime, origin: Place, destination: Place, seed: int
) -> Telling:
    """The whole telling of a parcel, fixed from the start: the same arguments always give the same."""
    chance = Random(seed)
    seen = _seen(journey, starts_at, origin, destination)
    if delivery is Delivery.LATE:
        seen = _held_back(seen, chance)
    pushes = _pushes(seen, delivery, chance)
    listed = [
        scan
        for scan in seen
        for scan in ((scan, replace(scan, echo=True)) if delivery is Delivery.DOUBLED else (scan,))
    ]
    listed.sort(key=lambda scan: (scan.at, scan.order, scan.echo), reverse=True)
    if delivery is Delivery.REORDERED:
        chance.shuffle(listed)
    ends = max([*(scan.visible_at for scan in seen), *(push.due for push in pushes)])
    ends = max(ends, starts_at + timedelta(days=journey.quiet_days))
    return Telling(tuple(listed), tuple(pushes), _scheduled(journey, starts_at, origin), ends)


def _seen(journey: Journey, starts_at: datetime, origin: Place, destination: Place) -> list[Scan]:
    """The scans as they happen, each known to the carrier a few minutes later."""
    places = _places(journey.carrier, origin, destination)
    start = starts_at.astimezone(origin.clock).date()
    scans: list[Scan] = []
    for order, step in enumerate(journey.steps):
        place = places[step.where]
        day = working_day(journey.carrier, start, step)
        # source: facts/usps.md 3.3: filler events have no place; their hour is the receiver's.
        clock = (place if place.country else destination).clock
        local = starts_at.astimezone(clock) if step is LABEL else datetime.combine(day, step.at, clock)
        again = (
            working_day(journey.carrier, day, Step(step.word, step.where, step.again, step.at)) if step.again else None
        )
        keep = day + timedelta(days=step.keep) if step.keep else None
        at = local.astimezone(UTC)
        scans.append(Scan(step.word, at, local, place, at + timedelta(minutes=2 + order), order, again, keep))
    return scans


def _places(carrier: str, origin: Place, destination: Place) -> dict[Where, Place]:
    near, middle, far = hubs(carrier, origin, destination)
    return dict(zip(Where, (origin, near, middle, far, destination, NOWHERE), strict=True))


def recall(told: Telling, now: datetime, origin: Place, destination: Place, delivery: Delivery) -> Telling:
    """The telling from the moment when its sender wants the parcel back: what has happened stays, then it goes home."""
    places = _places(UPS, origin, destination)
    far, order = places[Where.DESTINATION_HUB], 1 + max(scan.order for scan in told.scans)
    scans = [_now(ASKED_BACK, now, far, order)]
    for count, step in enumerate(RECALL, order + 1):
        place = places[step.where]
        local = datetime.combine(working_day(UPS, now.astimezone(far.clock).date(), step), step.at, place.clock)
        at = local.astimezone(UTC)
        scans.append(Scan(step.word, at, local, place, at + timedelta(minutes=2 + count), count))
    return _joined(told, now, scans, delivery)


def resume(told: Telling, before: Telling, now: datetime, delivery: Delivery) -> Telling:
    """The telling when the wish is taken back: what was still to come comes, if need be whole weeks later."""
    asked = next(scan for scan in told.scans if scan.word == ASKED_BACK)
    order = 1 + max(scan.order for scan in (*told.scans, *before.scans))
    left = sorted((scan for scan in before.scans if scan.at > asked.at and not scan.echo), key=lambda scan: scan.at)
    weeks = timedelta(weeks=max(0, -(-(now - left[0].at) // timedelta(weeks=1))) if left else 0)
    later = [
        replace(
            scan,
            at=(local := scan.local + weeks).astimezone(UTC),
            local=local,
            visible_at=scan.visible_at + weeks,
            order=order + count,
            again=scan.again + weeks if scan.again else None,
            keep=scan.keep + weeks if scan.keep else None,
        )
        for count, scan in enumerate(left, 1)
    ]
    return _joined(told, now, [_now(WITHDRAWN, now, asked.place, order), *later], delivery)


def _now(word: str, now: datetime, place: Place, order: int) -> Scan:
    at = now.replace(microsecond=0)
    return Scan(word, at, at.astimezone(place.clock), place, at + timedelta(seconds=1), order)


def _joined(told: Telling, now: datetime, scans: Sequence[Scan], delivery: Delivery) -> Telling:
    """What happened until now, told as it was to be told, and then these scans."""
    kept = [scan for scan in told.scans if scan.at <= now]
    pushes = [push for push in told.pushes if push.scan.at <= now and push.due > now]
    pushes += _pushes(scans, delivery, Random(len(kept)))
    listed = sorted((*kept, *scans), key=lambda scan: (scan.at, scan.order, scan.echo), reverse=True)
    ends = max([*(scan.visible_at for scan in listed), *(push.due for push in pushes)])
    return Telling(tuple(listed), tuple(sorted(pushes, key=lambda push: push.due)), told.scheduled, ends)


def _held_back(scans: Sequence[Scan], chance: Random) -> list[Scan]:
    """Failed visits and some others become known hours or days late, but never after the last scan of the journey."""
    last = scans[-1].visible_at
    held = []
    for scan in scans:
        late = 0 < scan.order < len(scans) - 1 and (scan.word.startswith("miss") or chance.random() < 0.4)
        delay = timedelta(minutes=chance.randrange(5 * 60, 50 * 60)) if late else timedelta()
        held.append(replace(scan, visible_at=min(scan.visible_at + delay, last)))
    return held


def _pushes(scans: Sequence[Scan], delivery: Delivery, chance: Random) -> list[Push]:
    if delivery is Delivery.NEVER:
        return []
    pushes = [Push(scan.visible_at + timedelta(seconds=30 + scan.order), scan) for scan in scans]
    if delivery is Delivery.DOUBLED:
        again = [Push(push.due + timedelta(minutes=chance.randrange(1, 180)), push.scan) for push in pushes]
        return sorted(pushes + again, key=lambda push: push.due)
    if delivery is Delivery.REORDERED:
        return _backwards(pushes, size=3)
    return sorted(pushes, key=lambda push: push.due)


def _backwards(pushes: Sequence[Push], size: int) -> list[Push]:
    """Every few pushes wait for one another and then come newest first."""
    turned: list[Push] = []
    for start in range(0, len(pushes), size):
        few = pushes[start : start + size]
        due = max(push.due for push in few)
        turned += [Push(due + timedelta(seconds=n), push.scan) for n, push in enumerate(reversed(few))]
    return turned


def _scheduled(journey: Journey, starts_at: datetime, origin: Place) -> date:
    """The day first promised: that of the first visit in the script, or the fifth working day where there is none."""
    start = starts_at.astimezone(origin.clock).date()
    first = next((step for step in journey.steps if step.word == "out"), None)
    return working_day(journey.carrier, start, first or Step("out", Where.DESTINATION, 5, LABEL.at))
