"""The public look-up as JSON: the story in words of the asker's language, with its keys for whoever words it again."""

from datetime import date, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from api.client import network
from api.kept import KEPT
from api.lookups import Question, look_up, may_ask
from api.manners import METER
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Asked, Told, example
from api.words import render, say, write
from fleet.clocks import text
from tracker.follow import EventStory, Follow, FollowKind, Message, ParcelStory, Tier, narrated

# --------------------------------------------------------------------------------------------------------------- asked

Number = Annotated[str, Field(min_length=1, max_length=64)]
Email = Annotated[str, Field(max_length=254)]
Postcode = Annotated[str, Field(max_length=16)]


class FollowOrderIn(Asked):
    """The number alone shows the status and the dates; with the order's e-mail or postcode it shows the detail."""

    model_config = Asked.model_config | example({"order_number": "B-1001", "email": "shopper@example.com"})

    order_number: Number
    email: Email = ""
    postcode: Postcode = ""
    merchant: Annotated[str, Field(max_length=63)] = ""


class FollowReturnIn(Asked):
    """The number alone shows the status and the dates; with the order's e-mail or postcode it shows the detail."""

    model_config = Asked.model_config | example({"return_number": "R7K2M9QX4T", "postcode": "1015 CJ"})

    return_number: Number
    email: Email = ""
    postcode: Postcode = ""


# ---------------------------------------------------------------------------------------------------------------- told


class Said(Told):
    """A sentence: its key and arguments, and its words in the asker's language."""

    key: str
    args: dict[str, str]
    text: str


class StepOut(Told):
    key: str
    text: str
    state: str
    at: str | None


class AttemptTold(Told):
    ordinal: int
    day: date | None
    reason: str
    text: str


class EventTold(Told):
    at_local: str
    key: str
    text: str
    place: str


class ParcelTold(Told):
    """One parcel. From `attempts` on: null where only the number was given."""

    leg: str
    status: str
    status_text: str
    purpose: str
    estimate: date | None
    window: tuple[str, str] | None
    promised: tuple[date, date] | None
    sentences: list[Said]
    attempts: list[AttemptTold] | None
    max_attempts: int | None
    place: str | None = Field(description="City and country of delivery, nothing finer")
    number: str | None
    carrier: str | None
    tracking_url: str | None
    events: list[EventTold] | None


class FollowOut(Told):
    """The story. Never a name, a street, a phone, an e-mail or a signature."""

    model_config = Told.model_config | example(
        {
            "kind": "order",
            "number": "B-1001",
            "tier": "coarse",
            "state": "shipped",
            "state_text": "Shipped",
            "steps": [{"key": "placed", "text": "Order placed", "state": "done", "at": "2026-03-01"}],
            "parcels": [],
            "next": {
                "key": "next.moving",
                "args": {},
                "text": "The carrier brings it to your area. The next scan shows up here.",
            },
            "can_do": [],
            "estimate": "2026-03-05",
            "checked_at": "2026-03-02T18:00:00Z",
            "next_check_at": "2026-03-02T22:00:00Z",
            "stale": False,
            "fresh_as_of": "2026-03-02T17:40:00Z",
        }
    )

    kind: str
    number: str
    tier: str
    state: str
    state_text: str
    steps: list[StepOut]
    parcels: list[ParcelTold]
    story: list[Said] = Field(default_factory=list, description="The same as a person tells it; with a proof only")
    next: Said
    can_do: list[Said]
    estimate: date | None
    checked_at: str | None
    next_check_at: str | None = None
    stale: bool = False
    fresh_as_of: str | None


# --------------------------------------------------------------------------------------------------------------- calls


async def order(call: Call[Nothing, FollowOrderIn]) -> Answer:
    """POST /v1/follow/order"""
    body = call.body
    question = Question(FollowKind.ORDER, body.order_number.strip(), body.email, body.postcode, body.merchant)
    return await _answer(call, question)


async def return_(call: Call[Nothing, FollowReturnIn]) -> Answer:
    """POST /v1/follow/return"""
    body = call.body
    return await _answer(
        call, Question(FollowKind.RETURN, body.return_number.strip().upper(), body.email, body.postcode)
    )


async def _answer(call: Call[Any, Any], question: Question) -> Answer:
    house, app = call.house, call.request.app
    opened = await look_up(house, question, network(call.request, house.proxies), app[METER], app[KEPT])
    if opened is None:
        raise Problem("lookup_refused")
    body = await house.documents.made(
        b"follow", call.locale, opened.digest, make=lambda: told(opened.story, call.locale).model_dump_json().encode()
    )

    def still(request: web.Request) -> bool:
        return may_ask(house, question, network(request, house.proxies))

    return Answer(body, headers={"Vary": "Accept-Language"}, still=still)


# -------------------------------------------------------------------------------------------------------------- inside


def told(follow: Follow, locale: str) -> FollowOut:
    """The story in words."""
    return FollowOut(
        kind=follow.kind.value,
        number=follow.number,
        tier=follow.tier.value,
        state=follow.state,
        state_text=render(f"state.{follow.state}", locale),
        steps=[
            StepOut(key=step.key, text=render(f"step.{step.key}", locale), state=step.state.value, at=_when(step.at))
            for step in follow.steps
        ],
        parcels=[_parcel(parcel, locale) for parcel in follow.parcels],
        story=[_said(message, locale) for message in narrated(follow)] if follow.tier is Tier.FULL else [],
        next=_said(follow.next, locale),
        can_do=[_said(message, locale) for message in follow.can_do],
        estimate=follow.estimate,
        checked_at=_when(follow.checked_at),
        next_check_at=_when(follow.next_check_at),
        stale=follow.stale,
        fresh_as_of=_when(follow.fresh_as_of),
    )


def _parcel(parcel: ParcelStory, locale: str) -> ParcelTold:
    detailed = parcel.events is not None
    attempts = [
        AttemptTold(ordinal=a.ordinal, day=a.day, reason=a.reason, text=render(f"reason.{a.reason}", locale))
        for a in parcel.attempts
    ]
    return ParcelTold(
        leg=parcel.leg,
        status=parcel.status,
        status_text=render(f"status.{parcel.leg}.{parcel.status}", locale),
        purpose=parcel.purpose,
        estimate=parcel.estimate,
        window=parcel.window,
        promised=parcel.promised,
        sentences=[_said(sentence, locale) for sentence in parcel.sentences],
        attempts=attempts if detailed else None,
        max_attempts=parcel.max_attempts,
        place=parcel.place,
        number=parcel.number,
        carrier=parcel.carrier,
        tracking_url=parcel.tracking_url,
        events=[_event(event, locale) for event in parcel.events] if parcel.events is not None else None,
    )


def _event(event: EventStory, locale: str) -> EventTold:
    return EventTold(
        at_local=event.at_local.isoformat(timespec="seconds"),
        key=event.key,
        text=render(event.key, locale, **event.args),
        place=event.place,
    )


def _said(message: Message, locale: str) -> Said:
    args = {name: _plain(value, locale) for name, value in message.args.items()}
    return Said(key=message.key, args=args, text=say(message, locale))


def _plain(value: object, locale: str) -> str:
    """An argument for a machine: ISO dates, keys instead of words."""
    match value:
        case Message():
            return value.key
        case datetime() | date():
            return value.isoformat()
        case str() | int():
            return str(value)
        case tuple():
            return ", ".join(day.isoformat() for day in value)
        case _:
            return write(value, locale)  # type: ignore[arg-type]


def _when(at: datetime | date | None) -> str | None:
    if at is None:
        return None
    return text(at) if isinstance(at, datetime) else at.isoformat()
