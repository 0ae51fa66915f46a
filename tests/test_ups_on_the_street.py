"""UPS's folder against the street, which knows none of its code: real HTTP, every journey, every telling."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from carriers.contract import (
    Address,
    Away,
    Bought,
    CustomsLine,
    Intercepted,
    Kind,
    LabelFormat,
    Money,
    Payload,
    PickupRequest,
    PickupStage,
    Push,
    Readings,
    Refused,
    Rejected,
    Source,
    Voided,
)
from carriers.door import Unlimited
from carriers.ups.connect import Settings, Ups, connect
from carriers.ups.reading import read, verify
from street.places import place
from street.town import Parcel, Town
from tests.ups import CUSTOMER, REFERENCE, WAREHOUSE, request
from tests.walk import SECRET, listening, street, stroll, until_quiet, walked

AMERICAN = {"country": "US", "region": "NY", "city": "New York", "postal_code": "10001"}


def said(source: Source, body: Any) -> Readings:
    return read(Payload("ups", source, json.dumps(body).encode()))


def ups_numbers() -> list[str]:
    return [number for number, parcel in walked().parcels.items() if parcel.journey.carrier == "ups"]


def test_every_code_of_the_street_is_known() -> None:
    """Scripted from outcomes by somebody else, in UPS's words; nothing is left unread."""
    walk, count = walked(), 0
    for number in ups_numbers():
        readings = said(Source.POLL, walk.polls[number])
        count += len(readings.events)
        assert [event.code for event in readings.events if not event.known] == []
        assert [told.warnings for told in readings.told if told.found] in ([()], [])
    assert count > 300


def test_push_and_poll_tell_the_same_events() -> None:
    """The same scan by push and by poll is one event of one meaning, on one day, at one place if stated."""
    walk, pairs = walked(), 0
    for number in ups_numbers():
        polled = {event.id: event for event in said(Source.POLL, walk.polls[number]).events}
        for body in walk.pushes[number]:
            for event in said(Source.PUSH, body).events:
                twin = polled[event.id]
                assert (event.kind, event.reason, event.ordinal, event.day) == (
                    twin.kind,
                    twin.reason,
                    twin.ordinal,
                    twin.day,
                )
                assert event.place.country == twin.place.country
                assert not twin.place.city or event.place.city == twin.place.city
                pairs += 1
    assert pairs > 200


def test_a_push_of_the_street_proves_itself() -> None:
    """With the credential given to the street; with another it is forged."""
    verify(Push({"credential": SECRET}, b"{}"), ["newer", SECRET], datetime(2026, 3, 5, tzinfo=UTC))


@pytest.fixture
async def town_and_ups() -> AsyncIterator[tuple[Town, Ups, Any]]:
    async with listening() as listener, street(ups_webhook_credential=SECRET) as (town, caller):
        town.settings.ups_webhook_url = listener.url
        environment = {
            "UPS_BASE_URL": f"{caller.http.base_url}".rstrip("/") + "/ups",
            "UPS_CLIENT_ID": "street",
            "UPS_CLIENT_SECRET": "street",
            "UPS_ACCOUNT": "W95789",
            "UPS_PUSH_SECRETS": f"newer,{SECRET}",
            "UPS_CONTACT_NAME": "Returns desk",
            "UPS_CONTACT_PHONE": "+1 212 5550100",
        }
        ups = connect(Settings.from_env(environment), budget=Unlimited())
        yield town, ups, listener
        await ups.aclose()


@pytest.mark.parametrize("picture", [LabelFormat.PDF, LabelFormat.ZPL])
async def test_a_label_is_bought_found_and_voided(picture: LabelFormat, town_and_ups: tuple[Town, Ups, Any]) -> None:
    """Our reference finds it; within the US it can be voided, and then it is found no more."""
    town, ups, _ = town_and_ups
    within = {"ship_from": replace(CUSTOMER, **AMERICAN), "ship_to": replace(WAREHOUSE, **AMERICAN)}
    prepared = ups.prepare_label(request(format=picture, **within))
    assert await ups.find(prepared) == ()
    outcome = await ups.buy(prepared)
    assert isinstance(outcome, Bought), outcome
    label = outcome.label
    assert picture in label.documents and label.price is not None
    found = ups.recognise(label.number)
    assert found is not None and not found.warning
    (again,) = await ups.find(prepared)
    assert again.number == label.number and again.documents
    assert isinstance(await ups.void(ups.prepare_void(label.number, label.shipment_id)), Voided)
    assert isinstance(await ups.void(ups.prepare_void(label.number, label.shipment_id)), Voided)
    assert await ups.find(prepared) == ()
    assert [line.reference for line in town.ledger if line.kind == "label"] == [REFERENCE]


async def test_two_labels_of_one_reference_are_both_found(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """UPS knows no idempotency: the same bytes twice are two labels, and both are found; EU ones cannot be voided."""
    _, ups, _ = town_and_ups
    prepared = ups.prepare_label(request())
    first, second = await ups.buy(prepared), await ups.buy(prepared)
    assert isinstance(first, Bought) and isinstance(second, Bought)
    labels = await ups.find(prepared)
    assert {label.number for label in labels} == {first.label.number, second.label.number}
    assert all(label.documents for label in labels)
    assert isinstance(await ups.void(ups.prepare_void(second.label.number, "")), Rejected)


async def test_a_parcel_is_followed_by_push_and_by_poll(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """What is pushed is proven and is among what is asked."""
    town, ups, listener = town_and_ups
    parcel = town.create("ups", "delivered_first_time")
    assert (await ups.subscribe([parcel.number])).accepted == (parcel.number,)
    await stroll(town)
    (answer,) = await ups.track([parcel.number])
    polled = {event.id for event in ups.read(answer).events}
    pushed = set()
    for headers, body in listener.posts:
        ups.verify(Push({name.lower(): value for name, value in headers.items()}, body), datetime.now(UTC))
        pushed |= {event.id for event in ups.read(Payload("ups", Source.PUSH, body)).events}
    assert pushed and pushed <= polled
    (unknown,) = await ups.track(["1Z999AA10123456784"])
    assert not ups.read(unknown).told[0].found
    assert [check for check in await ups.check() if not check.ok] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"electronic_to": "canary@example.com"},
        {"ship_from": WAREHOUSE, "ship_to": CUSTOMER, "is_return": False},
        {
            "ship_from": replace(CUSTOMER, city="Zuerich", postal_code="8001", country="CH"),
            "customs": (CustomsLine("Wool coat", 1, Money(Decimal(290), "EUR"), "62021100", "IT"),),
        },
    ],
    ids=["mailed by UPS", "going out", "over a customs border"],
)
async def test_every_kind_of_label_is_bought_and_found(
    changed: dict[str, Any], town_and_ups: tuple[Town, Ups, Any]
) -> None:
    """Somebody who read the same facts apart from us takes them all."""
    _, ups, _ = town_and_ups
    prepared = ups.prepare_label(request(**changed))
    outcome = await ups.buy(prepared)
    assert isinstance(outcome, Bought), outcome
    assert {LabelFormat.GIF, LabelFormat.PDF, LabelFormat.PNG} <= set(outcome.label.documents)
    (again,) = await ups.find(prepared)
    assert again.number == outcome.label.number


def under_way(town: Town) -> Parcel:
    """A parcel within the US, on its third day."""
    here = {"city": "Secaucus", "region": "NJ", "postal_code": "07094", "country": "US", "name": "Shop"}
    parcel = town.create("ups", "delivered_first_time", origin=place(here), destination=place("reno"))
    town.clock.turn(town.now() + timedelta(days=2.3))
    return parcel


async def test_a_parcel_is_turned_round_once(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """Possible, ordered, in force (so nobody orders it again), and the scans tell that it turned."""
    town, ups, _ = town_and_ups
    number = under_way(town).number
    before = await ups.intercept_eligibility(number)
    assert before.possible and not before.already
    charge = await ups.intercept_charge(number)
    assert charge.note and (charge.total is None or charge.total.amount > 0)
    prepared = ups.prepare_intercept(number, before.reasons[0] if before.reasons else None)
    assert isinstance(await ups.intercept(prepared), Intercepted)
    after = await ups.intercept_eligibility(number)
    assert after.already and not after.possible
    assert [line.kind for line in town.ledger if line.kind == "intercept"] == ["intercept"]
    town.clock.turn(town.parcels[number].telling.ends_at)
    (payload,) = await ups.track([number])
    kinds = {event.kind for event in ups.read(payload).events}
    assert Kind.RETURNING_TO_SENDER in kinds or Kind.RETURNED_TO_SENDER in kinds
    late = await ups.intercept_eligibility(number)
    assert not late.possible and late.why


async def test_an_order_to_turn_round_is_called_back(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """Cancelled while it can be; possible again after. With nothing in force UPS says neither yes nor a clear no."""
    town, ups, _ = town_and_ups
    number = under_way(town).number
    assert isinstance(await ups.intercept(ups.prepare_intercept(number, None)), Intercepted)
    await ups.cancel_intercept(number)
    assert (await ups.intercept_eligibility(number)).possible
    with pytest.raises((Refused, Away)):
        await ups.cancel_intercept(number)


async def test_a_parcel_that_is_not_ours_cannot_be_turned_round(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """605: said as an answer to the question, and a refusal of the order; nothing was charged."""
    town, ups, _ = town_and_ups
    unknown = "1Z999AA10123456784"
    assert not (await ups.intercept_eligibility(unknown)).possible
    assert isinstance(await ups.intercept(ups.prepare_intercept(unknown, None)), Rejected)
    assert [line for line in town.ledger if line.kind == "intercept"] == []


async def test_a_return_is_collected_and_called_off(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """Booked on its own number, the same confirmation for the same address, followed, called off."""
    town, ups, _ = town_and_ups
    bought = await ups.buy(ups.prepare_label(request()))
    assert isinstance(bought, Bought)
    day = town.now().date() + timedelta(days=1)
    wanted = PickupRequest(CUSTOMER, day, time(9), time(17), 1, (bought.label.number,), Decimal("1.5"))
    booked = await ups.book_pickup(wanted)
    assert booked.confirmation and booked.day == day
    state = await ups.pickup_state(booked.confirmation)
    assert state.state is PickupStage.BOOKED and state.words
    await ups.cancel_pickup(booked.confirmation)
    assert (await ups.pickup_state(booked.confirmation)).state in (PickupStage.CANCELLED, PickupStage.UNKNOWN)


async def test_places_near_and_addresses_are_known(town_and_ups: tuple[Town, Ups, Any]) -> None:
    """Access points with a name and a distance, nearest first; a US street with its verdict."""
    _, ups, _ = town_and_ups
    found = await ups.drop_offs(CUSTOMER, 3)
    assert 0 < len(found) <= 3 and all(one.name and one.address.city for one in found)
    distances = [one.distance_km for one in found if one.distance_km is not None]
    assert distances == sorted(distances)
    checked = await ups.check_address(Address("Ann Lee", ("10 Elm St",), "Reno", "89501", "US", "NV"))
    assert checked.verdict in ("valid", "ambiguous", "unknown")


async def test_ups_fetches_our_token_before_it_pushes() -> None:
    """Track Alert v2 whole: our token endpoint is called with its credentials, and every push shows what it got."""
    async with listening() as listener, street() as (town, caller):
        env = {
            "UPS_BASE_URL": f"{caller.http.base_url}".rstrip("/") + "/ups",
            "UPS_CLIENT_ID": "street",
            "UPS_CLIENT_SECRET": "street",
            "UPS_ACCOUNT": "W95789",
            "UPS_PUSH_SECRETS": "pusher:hush",
        }
        ups = connect(Settings.from_env(env), budget=Unlimited())
        async with granting(ups) as url:
            town.settings.ups_webhook_url, town.settings.ups_webhook_token_url = listener.url, url
            town.settings.ups_webhook_client_id, town.settings.ups_webhook_client_secret = "pusher", "hush"
            parcel = town.create("ups", "delivered_first_time")
            await ups.subscribe([parcel.number])
            town.clock.turn(town.now() + timedelta(days=2))
            await until_quiet(town)
        assert listener.posts
        for headers, body in listener.posts:
            lower = {name.lower(): value for name, value in headers.items()}
            ups.verify(Push(lower, body), datetime.now(UTC))
            assert "hush" not in str(lower)
        await ups.aclose()


@asynccontextmanager
async def granting(ups: Ups) -> AsyncIterator[str]:
    """Our token endpoint, as the house's doors would have it."""

    async def answer(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.json_response(body=ups.grant(Push(headers, await request.read()), datetime.now(UTC)))

    app = web.Application()
    app.router.add_post("/token", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    finally:
        await runner.cleanup()
