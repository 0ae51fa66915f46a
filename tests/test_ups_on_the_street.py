"""UPS's folder against the street, which knows none of its code: real HTTP, every journey, every telling."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from carriers.contract import Bought, LabelFormat, Payload, Push, Readings, Rejected, Source, Voided
from carriers.door import Unlimited
from carriers.ups.connect import Settings, Ups, connect
from carriers.ups.reading import read, verify
from street.town import Town
from tests.ups import CUSTOMER, REFERENCE, WAREHOUSE, request
from tests.walk import SECRET, listening, street, stroll, walked

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
