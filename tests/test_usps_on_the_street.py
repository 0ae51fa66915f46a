"""USPS's folder against the street, which knows none of its code: real HTTP, every journey, every telling."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from carriers.contract import Bought, LabelFormat, Payload, Push, Readings, Rejected, Source
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from carriers.usps.reading import read, verify
from street.town import Town
from tests.test_usps_labels import REQUEST
from tests.walk import SECRET, listening, street, stroll, walked


def said(source: Source, body: Any) -> Readings:
    return read(Payload("usps", source, json.dumps(body).encode()))


def usps_numbers() -> list[str]:
    return [number for number, parcel in walked().parcels.items() if parcel.journey.carrier == "usps"]


def test_every_code_of_the_street_is_known() -> None:
    """Scripted from outcomes by somebody else, in USPS's words; nothing is left unread."""
    walk, read_ones = walked(), 0
    for number in usps_numbers():
        readings = said(Source.POLL, walk.polls[number])
        read_ones += len(readings.events)
        assert [event for event in readings.events if not event.known] == []
        assert [told.warnings for told in readings.told] == [()]
    assert read_ones > 500


def test_push_poll_and_older_api_tell_the_same_events() -> None:
    """The same scan by push, by batch and by the older call is one event of one meaning."""
    walk, pairs = walked(), 0
    for number in usps_numbers():
        polled = {event.id: event for event in said(Source.POLL, walk.polls[number]).events}
        older = {event.id: event for event in said(Source.POLL, walk.older[number]).events}
        assert set(older) == set(polled), walk.parcels[number].journey.name
        for body in walk.pushes[number]:
            for event in said(Source.PUSH, body).events:
                twin = polled[event.id]
                assert (event.kind, event.reason, event.day, event.place) == (
                    twin.kind,
                    twin.reason,
                    twin.day,
                    twin.place,
                )
                pairs += 1
        for id, event in older.items():
            assert (event.kind, event.reason, event.day) == (polled[id].kind, polled[id].reason, polled[id].day)
    assert pairs > 300


def test_the_words_say_the_return_date_that_the_older_api_has_as_a_field() -> None:
    """A push of a notice or reminder says in words what the older call has as a field; at the end both are one date."""
    walk, stated = walked(), 0
    for number in usps_numbers():
        (older,) = said(Source.POLL, walk.older[number]).told
        words = [told for body in walk.pushes[number] for told in said(Source.PUSH, body).told if told.return_by]
        assert all(told.fields["return_by"] == "statusSummary" for told in words)
        if older.return_by and words:
            newest = max(words, key=lambda told: told.newest or datetime.min.replace(tzinfo=UTC))
            assert (newest.return_by, older.fields["return_by"]) == (older.return_by, "returnDateNotice")
            stated += 1
    assert stated > 5


def test_every_push_of_the_street_proves_itself() -> None:
    """Its signatures are made by its own hand."""
    envelopes = [(heads, body) for heads, body in walked().envelopes if "payload" in body]
    assert len(envelopes) > 300
    for headers, body in envelopes:
        lower = {name.lower(): value for name, value in headers.items()}
        verify(Push(lower, json.dumps(body).encode()), [SECRET], datetime(2026, 3, 5, tzinfo=UTC))


@pytest.fixture
async def town_and_usps() -> AsyncIterator[tuple[Town, Usps, Any]]:
    async with listening() as listener, street() as (town, caller):
        env = {
            "USPS_BASE_URL": f"{caller.http.base_url}/usps".replace("//usps", "/usps"),
            "USPS_CLIENT_ID": "street",
            "USPS_CLIENT_SECRET": "street",
            "USPS_CRID": "12345678",
            "USPS_MID": "901234567",
            "USPS_EPS_ACCOUNT": "1000000001",
            "USPS_PUSH_SECRETS": SECRET,
            "USPS_LISTENER_URL": listener.url,
            "USPS_ADMIN_EMAIL": "ops@example.com",
        }
        usps = connect(Settings.from_env(env), budget=Unlimited())
        yield town, usps, listener
        await usps.aclose()


@pytest.mark.parametrize("picture", [one for one in LabelFormat if one is not LabelFormat.QR])
async def test_a_label_is_bought_once_and_found_again(
    picture: LabelFormat, town_and_usps: tuple[Town, Usps, Any]
) -> None:
    """The same bytes with the same key are one label; a reprint gives it again; another body is refused."""
    _, usps, _ = town_and_usps
    prepared = usps.prepare_label(replace(REQUEST, purchase_id=str(uuid.uuid4()), format=picture))
    assert await usps.find(prepared) == ()
    first, again = await usps.buy(prepared), await usps.buy(prepared)
    assert isinstance(first, Bought) and isinstance(again, Bought)
    (found,) = await usps.find(prepared)
    assert first.label.number == again.label.number == found.number and picture in found.documents
    assert first.label.price is not None and first.label.price.amount == Decimal("6.85")
    assert usps.recognise(first.label.number) is not None
    other = replace(prepared, body=prepared.body.replace(b"Reno", b"Elko"))
    assert isinstance(await usps.buy(other), Rejected)


async def test_a_parcel_is_followed_by_push_and_by_poll(town_and_usps: tuple[Town, Usps, Any]) -> None:
    """Subscribing twice is one subscription; what is pushed is proven and is among what is asked."""
    town, usps, listener = town_and_usps
    assert (await usps.subscribe([])).accepted == (await usps.subscribe([])).accepted == ("*",)
    parcel = town.create("usps", "delivered_first_time")
    await stroll(town)
    (answer,) = await usps.track([parcel.number])
    polled = {event.id for event in usps.read(answer).events}
    pushed = set()
    for headers, body in listener.posts:
        usps.verify(Push({name.lower(): value for name, value in headers.items()}, body), datetime.now(UTC))
        pushed |= {event.id for event in usps.read(Payload("usps", Source.PUSH, body)).events}
    assert pushed and pushed <= polled
    (unknown,) = await usps.track(["9202090123456799999993"])
    assert not usps.read(unknown).told[0].found


async def test_a_suspended_subscription_is_switched_on_again(town_and_usps: tuple[Town, Usps, Any]) -> None:
    """USPS suspends silently; asking every hour undoes it, and the doctor's lines tell both."""
    town, usps, listener = town_and_usps
    await usps.subscribe([])
    town.settings.suspend_after = 1
    town.usps.listener_failed(listener.url)
    lines = {check.name: check for check in await usps.check()}
    assert not lines["USPS pushes"].ok and "SUSPENDED" in lines["USPS pushes"].detail
    await usps.subscribe([])
    assert all(check.ok for check in await usps.check()), await usps.check()
