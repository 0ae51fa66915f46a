"""Collecting a parcel at USPS, and what it says to whoever wants one turned round."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from carriers.contract import (
    Address,
    Away,
    Busy,
    NotFound,
    PickupRequest,
    PickupStage,
    PickupState,
    Refused,
    Rejected,
)
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from tests.official import PRESENT, Operation, undeclared
from tests.usps_sent import SENDING

BASE = "https://apis.usps.com"
ALL = f"{BASE}/pickup/v3/carrier-pickup"
ONE = f"{ALL}/WTC123456789"
ANN = Address("Ann Lee", ("10 Elm St", "Apt 4"), "Reno", "89501-1234", "US", "NV", phone="(775) 555-0100")
WANTED = PickupRequest(ANN, date(2026, 6, 5), time(9), time(17), pieces=2, weight_kg=Decimal("1.4"))


def booked(day: str = "2026-06-05", street: str = "10 Elm St", **more: Any) -> dict[str, Any]:
    address = {"streetAddress": street, "city": "RENO", "state": "NV", "ZIPCode": "89501"}
    inside = {"pickupDate": day, "pickupAddress": {"firstName": "ANN", "lastName": "LEE", "address": address}}
    return {"confirmationNumber": "WTC123456789", "pickupDate": day, "carrierPickupRequest": inside} | more


def refused(status: int, code: object, detail: str = "no") -> httpx.Response:
    error = {"code": str(status), "message": "", "errors": [{"code": code, "detail": detail}]}
    return httpx.Response(status, json={"apiVersion": "/pickup/v3", "error": error})


@pytest.fixture
async def usps() -> AsyncIterator[Usps]:
    settings = Settings(client_id="key", client_secret="hush")
    made = connect(settings, budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    yield made
    await made.aclose()


@pytest.fixture
def wire() -> Any:
    with respx.mock(assert_all_called=False) as router:
        token = {"access_token": "A", "expires_in": 28799, "scope": "pickup"}
        router.post(f"{BASE}/oauth2/v3/token").mock(return_value=httpx.Response(200, json=token))
        router.get(f"{ALL}/eligibility").mock(return_value=httpx.Response(200, json={}))
        yield router


def there_is(wire: respx.MockRouter, *tags: str, body: Any = None) -> None:
    said = [booked()] if body is None else body
    wire.get(ONE).mock(side_effect=[httpx.Response(200, json=said, headers={"ETag": tag}) for tag in tags])


async def test_a_collection_is_booked_once_eligible(usps: Usps, wire: respx.MockRouter) -> None:
    """Asked first whether a carrier collects there; then booked, free of charge, in the form the official file asks."""
    route = wire.post(ALL).mock(return_value=httpx.Response(200, json=booked()))
    made = await usps.book_pickup(WANTED)
    assert (made.confirmation, made.day) == ("WTC123456789", WANTED.day)
    assert made.charge.total is not None and made.charge.total.amount == 0
    assert [call.request.method for call in wire.calls] == ["POST", "GET", "POST"]
    query = wire.calls[1].request.url.params
    assert dict(query) == {
        "streetAddress": "10 Elm St",
        "secondaryAddress": "Apt 4",
        "city": "Reno",
        "state": "NV",
        "ZIPCode": "89501",
        "ZIPPlus4": "1234",
    }
    body = json.loads(route.calls[0].request.content)
    assert body["packages"] == [{"packageType": "RETURNS", "packageCount": 2}]
    assert body["estimatedWeight"] == 3.1 and body["pickupLocation"] == {"packageLocation": "FRONT_DOOR"}
    assert body["pickupAddress"]["contact"] == [{"cellNumber": "7755550100"}]
    if PRESENT:
        operation = Operation("usps/carrier-pickup-v3.yaml", "post", "/carrier-pickup")
        assert undeclared(operation, body, SENDING, set()) == []


async def test_an_answer_like_usps_examples_is_read_too(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 6.1: the request's fields flat, counts as text."""
    flat = {"confirmationNumber": "WTC123456789", "pickupDate": "2026-06-06", "packages": [{"packageCount": "2"}]}
    wire.post(ALL).mock(return_value=httpx.Response(200, json=flat))
    assert (await usps.book_pickup(WANTED)).day == date(2026, 6, 6)


@pytest.mark.parametrize("code", ["020001", 20001])
async def test_a_pickup_that_is_there_already_is_as_good(code: object, usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 6.1: 020001, also as a number; the same day at the same door is the one we want."""
    wire.post(ALL).mock(return_value=refused(400, code, "A pickup WTC123456789 exists for this address"))
    there_is(wire, "t")
    assert (await usps.book_pickup(WANTED)).confirmation == "WTC123456789"


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (booked(day="2026-06-09"), "another one"),
        (booked(street="11 Elm St"), "another one"),
        (booked(carrierPickupRequest=None), "another one"),
    ],
)
async def test_another_pickup_in_the_way_is_refused(there: Any, words: str, usps: Usps, wire: Any) -> None:
    """Another day or another door: the customer must choose."""
    wire.post(ALL).mock(return_value=refused(400, "020001", "Pickup WTC123456789 exists"))
    there_is(wire, "t", body=there)
    with pytest.raises(Refused, match=words) as caught:
        await usps.book_pickup(WANTED)
    assert caught.value.code == "020001"


async def test_one_that_was_booked_here_is_compared_without_being_named(usps: Usps, wire: respx.MockRouter) -> None:
    """A customer who asks twice gets the same collection; the neighbour upstairs gets none of it."""
    exists = refused(400, "020001", "A pickup exists for this address")
    wire.post(ALL).mock(side_effect=[httpx.Response(200, json=booked()), exists, exists])
    there_is(wire, "t")
    first, second = await usps.book_pickup(WANTED), await usps.book_pickup(WANTED)
    assert first == second
    with pytest.raises(Refused, match="not known here"):
        await usps.book_pickup(replace(WANTED, address=replace(ANN, lines=("10 Elm St", "Apt 5"))))


async def test_one_that_is_not_named_cannot_be_compared(usps: Usps, wire: respx.MockRouter) -> None:
    """There is no list of pickups to look in."""
    wire.post(ALL).mock(return_value=refused(400, "020001", "A pickup exists for this address"))
    with pytest.raises(Refused, match="not known here"):
        await usps.book_pickup(WANTED)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400, "020011", "no pickup on that day"), Refused),
        (refused(403, "403"), Refused),
        (httpx.Response(429, headers={"Retry-After": "9"}), Busy),
        (httpx.Response(503), Away),
        (httpx.ReadTimeout("slow"), Away),
        (httpx.Response(200, text="<html>"), Away),
        (httpx.Response(200, json={"confirmationNumber": ""}), Away),
    ],
)
async def test_a_booking_is_sent_once(answer: Any, error: type, usps: Usps, wire: respx.MockRouter) -> None:
    """Whatever comes back, it is not sent again: two collections would come."""
    route = wire.post(ALL).mock(side_effect=[answer])
    with pytest.raises(error):
        await usps.book_pickup(WANTED)
    assert route.call_count == 1


async def test_where_no_carrier_collects_nothing_is_booked(usps: Usps, wire: respx.MockRouter) -> None:
    """The eligibility says so before."""
    wire.get(f"{ALL}/eligibility").mock(return_value=refused(400, "020014", "not eligible"))
    route = wire.post(ALL)
    with pytest.raises(Refused, match="not eligible"):
        await usps.book_pickup(WANTED)
    assert not route.called


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pieces": 0}, "one parcel"),
        ({"address": replace(ANN, name="")}, "name"),
        ({"address": replace(ANN, phone="")}, "e-mail"),
        ({"address": replace(ANN, country="CA")}, "US"),
    ],
)
async def test_what_usps_could_only_refuse_is_refused_here(change: Any, words: str, usps: Usps, wire: Any) -> None:
    """Without a call."""
    with pytest.raises(Refused, match=words):
        await usps.book_pickup(replace(WANTED, **change))
    assert not wire.calls


async def test_a_change_carries_the_current_etag(usps: Usps, wire: respx.MockRouter) -> None:
    """One gone stale is read again, once."""
    there_is(wire, "old", "new")
    put = wire.put(ONE).mock(side_effect=[refused(412, "412"), httpx.Response(200, json=booked(day="2026-06-08"))])
    changed = await usps.change_pickup("WTC123456789", replace(WANTED, day=date(2026, 6, 8), note="behind the gate"))
    assert changed.day == date(2026, 6, 8)
    assert [call.request.headers["if-match"] for call in put.calls] == ["old", "new"]
    body = json.loads(put.calls[1].request.content)
    assert body["carrierPickupRequest"]["pickupLocation"] == {
        "packageLocation": "OTHER",
        "specialInstructions": "behind the gate",
    }
    if PRESENT:
        operation = Operation("usps/carrier-pickup-v3.yaml", "put", "/carrier-pickup/{confirmationNumber}")
        assert undeclared(operation, body, SENDING, set()) == []


async def test_a_second_stale_etag_is_given_up(usps: Usps, wire: respx.MockRouter) -> None:
    """Somebody else keeps changing it."""
    there_is(wire, "old", "new")
    put = wire.put(ONE).mock(return_value=refused(412, "412"))
    with pytest.raises(Refused, match="412"):
        await usps.change_pickup("WTC123456789", WANTED)
    assert put.call_count == 2


async def test_cancelling_twice_is_no_error(usps: Usps, wire: respx.MockRouter) -> None:
    """An empty 200 is done; what is gone is cancelled; a confirmation that is none never stands in a path."""
    there_is(wire, "t")
    gone = wire.delete(ONE).mock(return_value=httpx.Response(200))
    await usps.cancel_pickup("WTC123456789")
    assert gone.calls[0].request.headers["if-match"] == "t"
    for answer in (refused(400, "020015"), refused(404, "404")):
        wire.get(ONE).mock(side_effect=[answer])
        await usps.cancel_pickup("WTC123456789")
    with pytest.raises(Refused, match="letters and digits"):
        await usps.cancel_pickup("../eligibility")


async def test_the_state_of_a_collection(usps: Usps, wire: respx.MockRouter) -> None:
    """Booked while it is there; USPS does not tell what became of one."""
    there_is(wire, "t")
    assert await usps.pickup_state("WTC123456789") == PickupState(PickupStage.BOOKED, "booked for 2026-06-05")
    wire.get(ONE).mock(side_effect=[refused(404, "404")])
    assert (await usps.pickup_state("WTC123456789")).state is PickupStage.UNKNOWN
    wire.get(ONE).mock(side_effect=[refused(404, "404")])
    with pytest.raises(NotFound):
        await usps.change_pickup("WTC123456789", WANTED)


# ------------------------------------------------------------------------------------------------------------ intercept


async def test_turning_round_is_a_task_for_people_with_a_link(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 6.2: no API takes it; every way to ask says the same sentence, and nothing is sent."""
    why = usps.abilities.intercept
    assert "https://" in why and "Business Customer Gateway" in why
    eligibility = await usps.intercept_eligibility("9202090123456700000015")
    assert (eligibility.possible, eligibility.why) == (False, why)
    charge = await usps.intercept_charge("9202090123456700000015")
    assert charge.total is None and charge.note == why
    with pytest.raises(Refused, match="no intercept by API"):
        usps.prepare_intercept("9202090123456700000015", None)
    with pytest.raises(Refused, match="no intercept by API"):
        await usps.cancel_intercept("9202090123456700000015")
    assert isinstance(await usps.intercept(usps.prepare_void("9202090123456700000015", "")), Rejected)
    assert not wire.calls
