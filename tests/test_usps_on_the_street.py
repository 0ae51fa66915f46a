"""USPS's folder against the street, which knows none of its code: real HTTP, every journey, every telling."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from carriers.contract import (
    Bought,
    LabelFormat,
    Payload,
    PickupRequest,
    PickupStage,
    Push,
    Readings,
    Rejected,
    Source,
    Voided,
)
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from carriers.usps.reading import read, verify
from street.town import Town
from tests.test_usps_labels import ANN, REQUEST, RESEND
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


async def test_a_code_for_the_counter_is_bought_with_its_label(town_and_usps: tuple[Town, Usps, Any]) -> None:
    """A PNG to be scanned and the PDF beside it; found again it is the PDF, as a reprint knows no codes."""
    _, usps, _ = town_and_usps
    prepared = usps.prepare_label(replace(REQUEST, purchase_id=str(uuid.uuid4()), qr=True))
    outcome = await usps.buy(prepared)
    assert isinstance(outcome, Bought), outcome
    assert list(outcome.label.documents) == [LabelFormat.QR, LabelFormat.PDF]
    assert "label-broker.htm?LabelID=" in outcome.label.warnings[0]
    (found,) = await usps.find(prepared)
    assert found.number == outcome.label.number and list(found.documents) == [LabelFormat.PDF]


async def test_a_label_to_a_customer_is_bought_printed_again_and_cancelled(
    town_and_usps: tuple[Town, Usps, Any],
) -> None:
    """A resend by the same code; cancelled twice is cancelled; a return label is void on our side only."""
    town, usps, _ = town_and_usps
    out = replace(RESEND, purchase_id=str(uuid.uuid4()), ship_day=town.now().date())
    outcome = await usps.buy(usps.prepare_label(out))
    assert isinstance(outcome, Bought), outcome
    number, key = outcome.label.number, outcome.label.shipment_id
    (again,) = await usps.reprint(number, LabelFormat.ZPL, is_return=False)
    assert again.number == number and b"^XA" in again.documents[LabelFormat.ZPL]
    first, second = await usps.void(usps.prepare_void(number, key)), await usps.void(usps.prepare_void(number, key))
    assert isinstance(first, Voided) and "not charged" in first.note, first
    assert isinstance(second, Voided) and "before" in second.note, second
    returned = await usps.buy(usps.prepare_label(replace(REQUEST, purchase_id=str(uuid.uuid4()))))
    assert isinstance(returned, Bought) and returned.label.shipment_id == ""
    sent_all_the_same = await usps.void(usps.prepare_void(returned.label.number, "k"))
    assert isinstance(sent_all_the_same, Voided) and "our side only" in sent_all_the_same.note, sent_all_the_same


async def test_a_label_to_a_customer_is_cancelled_by_its_key_alone(town_and_usps: tuple[Town, Usps, Any]) -> None:
    """When the answer to a purchase was lost, its number is not known."""
    town, usps, _ = town_and_usps
    out = replace(RESEND, purchase_id=str(uuid.uuid4()), ship_day=town.now().date())
    assert isinstance(await usps.buy(usps.prepare_label(out)), Bought)
    outcome = await usps.void(usps.prepare_void("", out.purchase_id))
    assert isinstance(outcome, Voided), outcome


async def test_a_collection_is_booked_changed_and_cancelled(town_and_usps: tuple[Town, Usps, Any]) -> None:
    """By its confirmation and ETags; booked twice is the same one."""
    town, usps, _ = town_and_usps
    day = town.now().date() + timedelta(days=2)
    wanted = PickupRequest(replace(ANN, postal_code="89501"), day, time(9), time(17), pieces=2)
    booked = await usps.book_pickup(wanted)
    assert booked.day == day and (await usps.pickup_state(booked.confirmation)).state is PickupStage.BOOKED
    assert (await usps.book_pickup(wanted)).confirmation == booked.confirmation
    changed = await usps.change_pickup(booked.confirmation, replace(wanted, pieces=3))
    assert changed.confirmation == booked.confirmation
    await usps.cancel_pickup(booked.confirmation)
    await usps.cancel_pickup(booked.confirmation)
    assert (await usps.pickup_state(booked.confirmation)).state is PickupStage.UNKNOWN


async def test_an_address_and_the_offices_near_it(town_and_usps: tuple[Town, Usps, Any]) -> None:
    """The ZIP+4 comes with the address as USPS writes it; offices with distance and hours."""
    _, usps, _ = town_and_usps
    verdict = await usps.check_address(replace(ANN, postal_code="89501"))
    assert verdict.verdict == "valid" and len(verdict.zip4) == 4, verdict
    assert verdict.candidates[0].postal_code == f"89501-{verdict.zip4}"
    offices = await usps.drop_offs(ANN, 3)
    assert 0 < len(offices) <= 3 and all(one.hours and one.address.postal_code for one in offices)
    assert [one.distance_km for one in offices] == sorted(one.distance_km or 0 for one in offices)
    assert await usps.drop_offs(ANN, 3, prints_labels=True)


async def test_the_older_api_is_asked_for_the_return_date_of_a_waiting_parcel(
    town_and_usps: tuple[Town, Usps, Any],
) -> None:
    """Where it is wished: a parcel that waits after an attempt has the day on which it goes back."""
    town, usps, _ = town_and_usps
    curious = connect(usps.settings.model_copy(update={"return_dates": True}), budget=Unlimited())
    parcel = town.create("usps", "unclaimed")
    dated = []
    for _ in range(40):
        town.clock.turn(town.now() + timedelta(hours=12))
        answers = await curious.track([parcel.number])
        dated += [told for one in answers[1:] for told in curious.read(one).told if told.return_by]
    await curious.aclose()
    assert dated and {told.fields["return_by"] for told in dated} == {"returnDateNotice"}


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
