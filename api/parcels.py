"""The calls about parcels: the whole truth of one, a list of many, and asking the carrier now."""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Raw
from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo

from api.cursors import Paged, cursor_at, row_of
from api.house import House
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.settlements import HomeOut
from api.shapes import Asked, Fresh, Instant, MerchantName, Told, example
from carriers.contract import Carrier, Recognised
from fleet.clocks import from_us
from store.engine import Row, Tx
from store.homecomings import find_homecoming
from store.parcels import list_parcels
from store.shown import Shown, find_shown
from store.unidentified import further_of
from tracker.explain import explained
from tracker.freshness import freshness, is_stale
from tracker.lifecycle import Leg, Status
from tracker.orders import home_view

# --------------------------------------------------------------------------------------------------------------- asked


class ParcelsQuery(Paged):
    """Which parcels."""

    merchant: Annotated[MerchantName | None, Field(description="Only this shop's")] = None
    status: Annotated[Status | None, Field(description="Only those in this status")] = None
    leg: Annotated[Leg | None, Field(description="Only those on this leg")] = None


class ParcelQuery(Asked):
    """As it was known when."""

    as_of: Annotated[Instant | None, Field(description="What was known at this instant")] = None


# ---------------------------------------------------------------------------------------------------------------- told


class AttemptOut(Told):
    """A row of the attempt ledger, counted or rejected, with its evidence and the rule that decided."""

    ordinal: int | None
    day: date | None
    reason: str | None
    counted: bool
    off_calendar: bool
    inferred: bool
    final: bool
    evidence: list[str]
    rule: str
    because: str


class AttemptsOut(Told):
    count: int
    max: int | None
    final: bool
    exhausted: bool
    pickup_attempts: int
    ledger: list[AttemptOut]


class ReturnsByOut(Told):
    """When the carrier turns a parcel round by itself."""

    at: Instant
    rule: str
    evidence: list[str]


class RequestOut(Told):
    """What we did about a parcel's way back."""

    step: str = Field(description="asking, requested or left_to_carrier")
    at: Instant
    why: str
    purchase_id: str | None
    withdrawn_at: Instant | None = Field(description="Since when the order is no longer in force")


class CaseLineOut(Told):
    """A line of a case's money."""

    name: str
    kind: str = Field(description="price, surcharge or refund")
    amount: str | None = Field(description="None: the carrier did not say")
    currency: str
    note: str


class TotalOut(Told):
    amount: str
    currency: str


class CaseMoneyOut(Told):
    """What a way back costs, with the sums; owed once the parcel is back."""

    lines: list[CaseLineOut]
    totals: list[TotalOut]
    arithmetic: list[str]
    owed: bool


class CaseOut(Told):
    """The parcel's way back to the warehouse."""

    state: str
    reason: str
    since: Instant
    evidence: list[str]
    because: str
    opened_at: Instant | None = None
    returns_by: ReturnsByOut | None = Field(None, description="Until then the carrier should have turned it round")
    overdue_at: Instant | None = None
    overdue: bool = False
    request: RequestOut | None = None
    money: CaseMoneyOut | None = None


class EventOut(Told):
    id: str
    at: Instant
    local: str | None = Field(description="The wall clock at the scan's place, with its offset where known")
    kind: str
    reason: str | None
    code: str
    words: str
    place: str | None
    source: str
    sources: list[str]


PARCEL_EXAMPLE: dict[str, Any] = {
    "merchant": "boutique-eu",
    "carrier": "ups",
    "number": "1Z5338FF0107231059",
    "purpose": "order",
    "leg": "out",
    "status": "in_transit",
    "attempts": {"count": 0, "max": 3, "final": False, "exhausted": False, "pickup_attempts": 0, "ledger": []},
    "return_to_warehouse": None,
    "estimated_delivery": "2026-03-05",
    "delivery_window": None,
    "delivered_at": None,
    "returned_at": None,
    "accepted_at": "2026-03-02T17:40:00Z",
    "place": "Bologna, IT",
    "delay": None,
    "references": [],
    "alternate_numbers": [],
    "events": [],
    "unknown_codes": [],
    "terms": "boutique-eu 2026-01-01",
    "because": ["The parcel is moving."],
    "order_numbers": ["B-1001"],
    "return_number": None,
    "registered_at": "2026-03-02T16:00:00Z",
    "checked_at": "2026-03-02T18:00:00Z",
    "as_of": None,
}


class FurtherOut(Told):
    """A number under which a parcel travels home, or the parcel that does under this one."""

    carrier: str
    number: str
    since: Instant | None = Field(None, description="When it was matched")
    score: float | None = Field(None, description="How sure that was, 0 to 1")
    by: str | None = Field(None, description="score: by itself; else who confirmed it")
    because: list[str] = Field(default_factory=list)


class JudgedOut(Told):
    """Where in the terms it stands what judged a parcel, and the rule that gave its status."""

    section: str = Field(description="attempts, or attempts.for[n] where a carrier or service has its own")
    rule: str = Field(
        description="as_told: the carrier's word; attempts.max, final_attempt, return_date_passed, pickup_date_passed, "
        "hold_run_out: what made it undeliverable"
    )


class ParcelOut(Fresh):
    """The whole truth: events, attempt ledger, legs, return case, and why."""

    model_config = Told.model_config | example(PARCEL_EXAMPLE)

    merchant: str
    carrier: str
    number: str
    purpose: str
    leg: Leg
    status: Status
    attempts: AttemptsOut
    return_to_warehouse: CaseOut | None
    estimated_delivery: date | None
    promised_by: date | None = Field(None, description="The last day of the window that the shopper was promised")
    late: bool = Field(False, description="That day is over, and it is neither delivered nor on its way back")
    collect_by: date | None = Field(None, description="Until this day it waits where the customer collects it")
    delivery_window: tuple[str, str] | None
    delivered_at: Instant | None
    returned_at: Instant | None
    accepted_at: Instant | None
    place: str | None
    delay: str | None
    references: list[str]
    alternate_numbers: list[str]
    further_numbers: list[FurtherOut] = Field(default_factory=list, description="Under these it travels home")
    home_of: FurtherOut | None = Field(None, description="Under this number that parcel travels home")
    events: list[EventOut]
    unknown_codes: list[str]
    terms: str = Field(description="Name and version of the terms it is judged by")
    judged_by: JudgedOut | None = None
    service: str | None = Field(None, description="The carrier's own word for how it travels")
    because: list[str]
    order_numbers: list[str]
    return_number: str | None
    registered_at: Instant
    as_of: Instant | None
    home: HomeOut | None = Field(default=None, description="Undeliverable, and in the warehouse again")


class ParcelLine(Fresh):
    """A parcel in a list."""

    merchant: str
    carrier: str
    number: str
    purpose: str
    leg: Leg
    status: Status
    attempts: int
    estimated_delivery: date | None
    moved_at: Instant | None = Field(description="The newest event")
    registered_at: Instant


class ParcelsOut(Told):
    """A page of parcels, oldest first."""

    model_config = Told.model_config | example(
        {
            "parcels": [
                {
                    "merchant": "boutique-eu",
                    "carrier": "ups",
                    "number": "1Z5338FF0107231059",
                    "purpose": "order",
                    "leg": "out",
                    "status": "in_transit",
                    "attempts": 0,
                    "estimated_delivery": "2026-03-05",
                    "moved_at": "2026-03-02T17:40:00Z",
                    "checked_at": "2026-03-02T18:00:00Z",
                    "registered_at": "2026-03-02T16:00:00Z",
                }
            ],
            "next_cursor": None,
        }
    )

    parcels: list[ParcelLine]
    next_cursor: str | None


# --------------------------------------------------------------------------------------------------------------- calls


def carrier_of(house: House, name: str, pointer: str | None = None) -> Carrier:
    """The connected carrier of this name. Raises Problem."""
    carrier = house.carriers.get(name)
    if carrier is None:
        known = f"connected are {', '.join(sorted(house.carriers)) or 'none'}"
        raise Problem("carrier_unknown", known, pointer)
    return carrier


def recognised(carrier: Carrier, text: str, pointer: str | None = None) -> Recognised:
    """The number as the carrier writes it. Raises Problem when it cannot be one of its numbers."""
    number = carrier.recognise(text)
    if number is None:
        raise Problem("number_impossible", f"not a tracking number of {carrier.title}", pointer)
    return number


async def show(call: Call[ParcelQuery, Nothing]) -> Answer:
    """GET /v1/parcels/{carrier}/{number}"""
    house, typed, as_of = call.house, call.path["number"], call.query.as_of
    carrier = carrier_of(house, call.path["carrier"])
    body = await _parcel_of(house, carrier.name, typed, as_of)
    if body is None and (number := recognised(carrier, typed).number) != typed:  # written with blanks, or in small
        body = await _parcel_of(house, carrier.name, number, as_of)
    return Answer(_known(body))


async def refresh(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/parcels/{carrier}/{number}/refresh: CarrierErrors become problems on the way out."""
    house = call.house
    name, number = _named(call)
    await parcel_json(house, name, number, None)  # only what is registered is asked about
    await house.poller.ask_now(house.carriers[name], number)
    return Answer(await parcel_json(house, name, number, None))


async def list_page(call: Call[ParcelsQuery, Nothing]) -> Answer:
    """GET /v1/parcels"""
    query, now = call.query, call.house.clock.now()
    start = row_of(query.cursor, 0)
    rows = await call.house.store.read(
        lambda tx: list_parcels(
            tx,
            after=start,
            limit=query.limit + 1,
            merchant=query.merchant or "",
            status=query.status or "",
            leg=query.leg or "",
        )
    )
    page = rows[: query.limit]
    following = cursor_at(page[-1]["id"]) if len(rows) > query.limit else None
    return Answer(ParcelsOut(parcels=[parcel_line(row, now) for row in page], next_cursor=following))


# -------------------------------------------------------------------------------------------------------------- inside


def recognised_at(house: House, carrier_name: str, number: str) -> tuple[str, str]:
    """A parcel's carrier and number as they are in an address. Raises Problem."""
    carrier = carrier_of(house, carrier_name)
    return carrier.name, recognised(carrier, number).number


def _named(call: Call[Any, Nothing]) -> tuple[str, str]:
    return recognised_at(call.house, call.path["carrier"], call.path["number"])


async def parcel_now(house: House, carrier: str, number: str, as_of: datetime | None) -> ParcelOut:
    """A parcel as it is answered. Raises Problem."""
    return ParcelOut.model_validate_json(await parcel_json(house, carrier, number, as_of))


async def parcel_json(house: House, carrier: str, number: str, as_of: datetime | None) -> bytes:
    """A `ParcelOut` as JSON. Raises Problem."""
    return _known(await _parcel_of(house, carrier, number, as_of))


def _known(body: bytes | None) -> bytes:
    if body is None:
        raise Problem("parcel_unknown")
    return body


async def _parcel_of(house: House, carrier: str, number: str, as_of: datetime | None) -> bytes | None:
    """A `ParcelOut` as JSON, put together from the kept conclusion without making one; None: there is none."""
    now = house.clock.now()
    found = await find_shown(house.store, carrier, number)
    if found is None:
        return None
    if as_of is None and found.row["version"]:
        told = _part_by_part(found.row["conclusion"])
        if told.further_numbers == _NONE and told.home_of == _NULL and not found.home:
            return _shown(told, found, now, as_of)  # for most parcels their row says it all
    return await house.store.read(lambda tx: _with_more(house, tx, carrier, number, now, as_of))


async def _with_more(
    house: House, tx: Tx, carrier: str, number: str, now: datetime, as_of: datetime | None
) -> bytes | None:
    """The same for a parcel of which other rows tell too: all of them read in one transaction."""
    found = await find_shown(tx, carrier, number)
    if found is None:
        return None
    row = found.row
    told = _part_by_part(await _conclusion(house, tx, row, now, as_of))
    if told.further_numbers != _NONE:
        told.further_numbers = Raw(_FURTHER_OUT.dump_json([_further(each) for each in await further_of(tx, row["id"])]))
    if told.home_of != _NULL:
        told.home_of = Raw(FurtherOut.model_validate_json(bytes(told.home_of)).model_dump_json().encode())
    if found.home and (home := await find_homecoming(tx, row["id"])):
        told.home = Raw(HomeOut.model_validate(home_view(home)).model_dump_json().encode())
    return _shown(told, found, now, as_of)


def _shown(told: Any, found: Shown, now: datetime, as_of: datetime | None) -> bytes:
    """A conclusion with what it does not hold and an answer must."""
    row = found.row
    told.merchant, told.order_numbers, told.return_number = row["merchant"], found.order_numbers, found.return_number
    told.registered_at, told.as_of, told.stale = from_us(row["created_us"]), as_of, is_stale(row, now)
    for name, at in freshness(row).items():
        setattr(told, name, at)
    return _to_json(told)


async def _conclusion(house: House, tx: Tx, row: Row, now: datetime, as_of: datetime | None) -> bytes | str:
    """The kept conclusion; drawn again for another time, and for a parcel about which none was drawn yet."""
    if as_of is None and row["version"]:
        kept: str = row["conclusion"]
        return kept
    return _to_json(explained(await house.ledger.conclusion(tx, row, now, as_of)))


_to_json = msgspec.json.Encoder().encode
_NULL, _NONE = Raw(b"null"), Raw(b"[]")
_FURTHER_OUT = TypeAdapter(list[FurtherOut])
_OURS = ("merchant", "order_numbers", "return_number", "registered_at", "as_of", *Fresh.model_fields)
"""What a conclusion does not hold and an answer must."""


def _parts() -> type[Any]:
    """`ParcelOut`, field by field, each as the bytes that say it: what it does not name is left out here too."""
    fields = [
        (name, Any if name in _OURS else Raw, _default(name, field)) for name, field in ParcelOut.model_fields.items()
    ]
    return msgspec.defstruct("ParcelParts", fields, kw_only=True)


def _default(name: str, field: FieldInfo) -> Any:
    if name in _OURS:
        return None
    if field.is_required():
        return msgspec.NODEFAULT
    return Raw(_to_json(field.get_default(call_default_factory=True)))


_part_by_part = msgspec.json.Decoder(_parts()).decode


def _further(row: Row) -> FurtherOut:
    return FurtherOut(
        carrier=row["carrier"],
        number=row["number"],
        since=from_us(row["since_us"]),
        score=float(row["score"]),
        by=row["by"],
        because=msgspec.json.decode(row["because"]),
    )


def parcel_line(row: Row, now: datetime) -> ParcelLine:
    kept = msgspec.json.decode(row["conclusion"])
    return ParcelLine(
        merchant=row["merchant"],
        carrier=row["carrier"],
        number=row["number"],
        purpose=row["purpose"],
        leg=row["leg"],
        status=row["status"],
        attempts=kept.get("attempts", {}).get("count", 0),
        estimated_delivery=kept.get("estimated_delivery"),
        moved_at=_instant(row["moved_us"]),
        checked_at=_instant(row["checked_us"]),
        next_check_at=_instant(row["next_poll_us"]),
        stale=is_stale(row, now),
        stale_after=_instant(row["stale_us"]),
        registered_at=from_us(row["created_us"]),
    )


def _instant(us: int | None) -> datetime | None:
    return from_us(us) if us is not None else None
