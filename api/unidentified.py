"""The calls about unidentified parcels: what waits, keyed in, whose it is, nobody's."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.cursors import NO_ROW, Paged, cursor_at, row_of
from api.house import House
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Asked, Instant, MerchantName, Told, example
from returns.candidates import Identifier
from returns.claiming import confirm, dismiss
from returns.identifying import Box, enter, unidentified_view
from store.unidentified import get_unidentified, unidentified_page

# --------------------------------------------------------------------------------------------------------------- asked

_Short = Annotated[str, Field(max_length=64)]


class UnidentifiedQuery(Paged):
    """Which of them."""

    q: Annotated[str, Field(max_length=100, description="A number, an order number, or the name on the box")] = ""
    state: Annotated[Literal["open", "matched", "dismissed", "all"], Field(description="What has become of it")] = (
        "open"
    )


class BoxIn(Asked):
    """What stands on a box that nobody knows. One thing to go by is enough; a name is kept only sealed."""

    model_config = Asked.model_config | example({"carrier": "ups", "number": "1ZW957896898765432", "note": "dock 3"})

    carrier: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,31})?$")] = ""
    number: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9 .-]*$")] = ""
    merchant: MerchantName | Literal[""] = ""
    order_number: _Short = ""
    name: Annotated[str, Field(max_length=200)] = ""
    account: Annotated[str, Field(max_length=32, description="The account that is charged")] = ""
    note: Annotated[str, Field(max_length=500)] = ""


class OwnerIn(Asked):
    """Whose it is: a return's number, or a parcel's carrier and number."""

    model_config = Asked.model_config | example({"return_number": "R7K2M4QX4TB"})

    return_number: _Short = ""
    carrier: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,31})?$")] = ""
    number: _Short = ""


class DismissIn(Asked):
    """Why it is nobody's here."""

    model_config = Asked.model_config | example({"why": "A supplier's parcel."})

    why: Annotated[str, Field(max_length=200)] = ""


# ---------------------------------------------------------------------------------------------------------------- told


class ParcelNamed(Told):
    carrier: str
    number: str


class ReasonOut(Told):
    """One thing that speaks for a candidate, or against it."""

    rule: str
    weight: float
    sentence: str


class CandidateOut(Told):
    """What it may be, how sure that is (0 to 1), and why."""

    kind: str = Field(description="case: an undeliverable parcel on its way home; return: one under a waybill")
    merchant: str
    return_number: str | None
    parcel: ParcelNamed | None
    order_numbers: list[str]
    score: float
    reasons: list[ReasonOut]


class OutcomeOut(Told):
    """What was decided."""

    kind: str | None = None
    name: str | None = None
    merchant: str | None = None
    score: float | None = None
    because: list[str] = Field(default_factory=list)
    why: str | None = None


UNIDENTIFIED_EXAMPLE: dict[str, Any] = {
    "id": 4,
    "state": "open",
    "source": "push",
    "merchant": "boutique-eu",
    "carrier": "ups",
    "number": "1ZW957896898765432",
    "order_number": None,
    "note": None,
    "references": [],
    "origin": "Amsterdam, NL",
    "destination": "Bentivoglio, IT",
    "first_seen_at": "2026-03-09T11:01:00Z",
    "candidates": [
        {
            "kind": "return",
            "merchant": "boutique-eu",
            "return_number": "R7K2M4QX4TB",
            "parcel": None,
            "order_numbers": ["B-1001"],
            "score": 0.79,
            "reasons": [
                {"rule": "origin", "weight": 0.5, "sentence": "It was sent from where the parcel was: Amsterdam, NL."}
            ],
        }
    ],
    "outcome": None,
    "decided_by": None,
    "created_at": "2026-03-09T12:00:00Z",
    "updated_at": "2026-03-09T13:00:00Z",
}


class UnidentifiedOut(Told):
    """A number, or a box without one, that nobody registered. A name on the box is never shown again."""

    model_config = Told.model_config | example(UNIDENTIFIED_EXAMPLE)

    id: int
    state: str
    source: str = Field(description="push, poll: a carrier spoke of it; told: as another number of a parcel; keyed: in")
    merchant: str | None
    carrier: str | None
    number: str | None
    order_number: str | None
    note: str | None
    references: list[str]
    origin: str | None
    destination: str | None
    first_seen_at: Instant | None
    candidates: list[CandidateOut]
    outcome: OutcomeOut | None
    decided_by: str | None
    created_at: Instant
    updated_at: Instant


class UnidentifiedPage(Told):
    """A page, newest first."""

    model_config = Told.model_config | example({"unidentified": [UNIDENTIFIED_EXAMPLE], "next_cursor": None})

    unidentified: list[UnidentifiedOut]
    next_cursor: str | None


# --------------------------------------------------------------------------------------------------------------- calls


async def list_page(call: Call[UnidentifiedQuery, Nothing]) -> Answer:
    """GET /v1/unidentified"""
    query, house = call.query, call.house
    text = query.q.strip()
    mark = identifier(house).name_mark(text)
    before = row_of(query.cursor, NO_ROW)
    rows = await house.store.read(
        lambda tx: unidentified_page(tx, state=query.state, text=text, mark=mark, before=before, limit=query.limit + 1)
    )
    following = cursor_at(rows[query.limit - 1]["id"]) if len(rows) > query.limit else None
    shown = [UnidentifiedOut.model_validate(unidentified_view(row, house.sealer)) for row in rows[: query.limit]]
    return Answer(UnidentifiedPage(unidentified=shown, next_cursor=following))


async def open_now(house: House, limit: int, text: str = "") -> list[UnidentifiedOut]:
    """Those that wait for somebody, newest first: for the desk. `text`: a number, an order number, a name."""
    mark = identifier(house).name_mark(text)
    rows = await house.store.read(lambda tx: unidentified_page(tx, text=text, mark=mark, limit=limit))
    return [UnidentifiedOut.model_validate(unidentified_view(row, house.sealer)) for row in rows]


async def key_in(call: Call[Nothing, BoxIn]) -> Answer:
    """POST /v1/unidentified"""
    id = await enter(identifier(call.house), Box(**call.body.model_dump()), call.caller.name)
    call.house.wake()
    return Answer(await _shown(call.house, id), 201)


async def match(call: Call[Nothing, OwnerIn]) -> Answer:
    """POST /v1/unidentified/{unidentified_id}/match"""
    body, id = call.body, int(call.path["unidentified_id"])
    if bool(body.return_number) == bool(body.carrier and body.number):
        raise Problem("owner_unclear", "name a return, or a parcel by carrier and number", "/return_number")
    desk, by = identifier(call.house), call.caller.name
    if body.return_number:
        await confirm(desk, id, by, return_number=body.return_number)
    else:
        await confirm(desk, id, by, carrier=body.carrier, number=body.number)
    call.house.wake()
    return Answer(await _shown(call.house, id))


async def send_away(call: Call[Nothing, DismissIn]) -> Answer:
    """POST /v1/unidentified/{unidentified_id}/dismiss"""
    id = int(call.path["unidentified_id"])
    await dismiss(identifier(call.house), id, call.caller.name, call.body.why)
    return Answer(await _shown(call.house, id))


def identifier(house: House) -> Identifier:
    """What identifying stands on, of this house."""
    return Identifier(house.store, house.sealer, house.terms, house.carriers, house.ledger, house.poller, house.clock)


async def _shown(house: House, id: int) -> UnidentifiedOut:
    row = await house.store.read(lambda tx: get_unidentified(tx, id))
    if row is None:
        raise Problem("unidentified_unknown")
    return UnidentifiedOut.model_validate(unidentified_view(row, house.sealer))
