"""What would change under other terms: the kept history concluded twice, side by side. Nothing is written."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.clocks import to_us
from merchants.terms import Terms
from store.engine import Row, Tx
from store.parcels import list_parcels
from tracker.explain import explained
from tracker.ledger import Ledger
from tracker.policy import conclude

PAGE = 500
COMPARED = ("leg", "status", "late")
Report = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Change:
    """One parcel whose outcome would be another: each thing that differs, as it is and as it would be."""

    carrier: str
    number: str
    differs: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Simulated:
    parcels: int
    events: int
    changes: tuple[Change, ...]


async def simulate(ledger: Ledger, new: Terms, since: datetime, now: datetime, report: Report) -> Simulated:
    """Every parcel of the shop that `new` is for, registered since then, under the terms it has and under `new`."""
    changes: list[Change] = []
    parcels = events = after = 0
    while rows := await _page(ledger, after, new.name):
        after = rows[-1]["id"]
        for row in rows:
            if row["created_us"] >= to_us(since):
                seen, change = await _both(ledger, row, new, now)
                parcels, events = parcels + 1, events + seen
                if change:
                    changes.append(change)
        await report(parcels, events)
    return Simulated(parcels, events, tuple(changes))


async def _page(ledger: Ledger, after: int, merchant: str) -> Sequence[Row]:
    return await ledger.store.read(lambda tx: list_parcels(tx, after=after, limit=PAGE, merchant=merchant))


async def _both(ledger: Ledger, row: Row, new: Terms, now: datetime) -> tuple[int, Change | None]:
    async def unit(tx: Tx) -> tuple[int, Change | None]:
        as_it_is = await ledger.conclusion(tx, row, now)
        would_be = conclude(as_it_is.parcel, new, now)
        differs = dict(_differs(explained(as_it_is), explained(would_be)))
        change = Change(row["carrier"], row["number"], differs) if differs else None
        return len(as_it_is.parcel.happenings), change

    return await ledger.store.read(unit)


def _differs(is_: dict[str, Any], would: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What an outcome is made of: where the parcel is, its attempts, its way home."""
    flat = [(name, is_[name], would[name]) for name in COMPARED]
    flat += [(f"attempts.{n}", is_["attempts"][n], would["attempts"][n]) for n in ("count", "max", "exhausted")]
    home = [view["return_to_warehouse"] or {} for view in (is_, would)]
    flat += [(f"return_to_warehouse.{n}", home[0].get(n), home[1].get(n)) for n in ("state", "reason")]
    days = [[row["off_calendar"] for row in view["attempts"]["ledger"]] for view in (is_, would)]
    flat.append(("attempts.off_calendar", sum(days[0]), sum(days[1])))
    yield from ((name, (one, other)) for name, one, other in flat if one != other)
