"""UPS's Delivery Intercept on the street: who may ask, what it costs, and what then becomes of the parcel."""

import json
from datetime import timedelta
from typing import Any

import pytest

from street.places import place
from street.town import Parcel, Town
from tests.talk_ups import CHARGES, HEADS, INTERCEPT, NEW_ADDRESS, SEND_BACK, american, intercept
from tests.walk import Caller, listening, street, until_quiet, until_sent

DETAILS = "/ups/api/track/v1/details"


def under_way(town: Town, name: str = "delivered_first_time", days: float = 2.3) -> Parcel:
    parcel = town.create(
        "ups",
        name,
        origin=place({"city": "Secaucus", "region": "NJ", "postal_code": "07094", "country": "US", "name": "Shop"}),
        destination=place("reno"),
    )
    town.clock.turn(town.now() + timedelta(days=days))
    return parcel


async def ask(caller: Caller, path: str, number: str, body: Any, **heads: str) -> tuple[int, Any]:
    heads = caller.ups | HEADS | heads
    call = f"{INTERCEPT}/{path}/{number}"
    answer = await (
        caller.http.get(call, headers=heads) if body is None else caller.http.post(call, headers=heads, json=body)
    )
    told = answer.json()
    return answer.status_code, told.get("response", told)


async def may(caller: Caller, number: str, feature: str = "RTS") -> dict[str, str] | None:
    _, told = await ask(caller, "eligibility/intercept", number, None)
    features = told["commonEligibilityMap"]
    for each in features if isinstance(features, list) else [features]:
        if each["interceptFeature"] == feature:
            return dict(each["eligibilityValue"])
    return None


async def codes(caller: Caller, number: str) -> list[str]:
    answer = (await caller.http.get(f"{DETAILS}/{number}", headers=caller.ups)).json()
    activity = answer["trackResponse"]["shipment"][0]["package"][0]["activity"]
    return [each["status"]["code"] for each in reversed(activity)]


async def test_a_parcel_sent_back_turns_at_once_comes_home_and_is_paid_when_it_turns() -> None:
    """Source: facts/ups.md 7.4: 78, H6 or O1, then CS or I1, then home. The truth says who wanted it."""
    async with street() as (town, caller):
        parcel = under_way(town)
        assert (await may(caller, parcel.number) or {})["createEligibility"] == "ELIGIBLE"
        status, told = await ask(caller, "return", parcel.number, SEND_BACK)
        assert (status, told["success"], told["errors"]) == (200, True, None)
        assert [(line.kind, line.amount) for line in town.ledger] == [("intercept", "21.00")]
        town.clock.turn(parcel.telling.ends_at)
        town.settle()
        assert [(line.kind, line.amount) for line in town.ledger] == [("intercept", "21.00"), ("charge", "21.00")]
        await caller.sign_in()
        seen = await codes(caller, parcel.number)
        asked = next(count for count, code in enumerate(seen) if code in {"78", "H6", "O1"})
        assert {"CS", "I1"} & set(seen[asked:]) and seen[-1] in {"FS", "F4", "B0", "UA"}
        assert not {"deliver", "out"} & {scan.word for scan in parcel.telling.scans}
        (truth,) = town.record()
        assert (truth["leg"], truth["status"], truth["attempts"]["count"]) == ("back", "delivered", 0)
        assert truth["return_to_warehouse"] == {"state": "arrived", "reason": "recalled_by_shipper"}
        assert truth["returned_at"] and not truth["delivered"]


async def test_an_intercept_is_cancelled_and_the_parcel_goes_on() -> None:
    """Before it has turned: code 30, nothing to pay, delivered after all; and it can be asked for again."""
    async with street() as (town, caller):
        parcel = under_way(town)
        await ask(caller, "return", parcel.number, SEND_BACK)
        value = await may(caller, parcel.number) or {}
        assert (value["createEligibility"], value["cancelEligibility"]) == ("NOT_ELIGIBLE", "ELIGIBLE")
        town.clock.turn(town.now() + timedelta(hours=2))
        _, told = await ask(caller, "cancel", parcel.number, intercept("RS"))
        assert told["success"] is True
        town.clock.turn(parcel.telling.ends_at)
        town.settle()
        assert [line.kind for line in town.ledger] == ["intercept", "intercept_cancelled"]
        await caller.sign_in()
        assert "30" in await codes(caller, parcel.number)
        (truth,) = town.record()
        assert (truth["leg"], truth["status"], truth["delivered"]) == ("out", "delivered", True)


async def test_a_cancelled_intercept_that_came_late_delivers_weeks_later_in_order() -> None:
    """What was still to come keeps its order and its days of the week."""
    async with street() as (town, caller):
        parcel = under_way(town, days=0.9)
        left = [scan for scan in parcel.telling.scans if scan.at > town.now()]
        await ask(caller, "return", parcel.number, SEND_BACK)
        recalled = next(scan for scan in parcel.telling.scans if scan.word == "recalled")
        town.clock.turn(recalled.at - timedelta(minutes=1))
        _, told = await ask(caller, "cancel", parcel.number, intercept("RS"))
        assert told["success"] is True
        after = [scan for scan in parcel.telling.scans if scan.word in {each.word for each in left}]
        assert parcel.telling.scans[0].word == "deliver"
        ats = [scan.at for scan in parcel.telling.scans]
        assert ats == sorted(ats, reverse=True) and min(scan.at for scan in after) is not None
        assert {scan.local.weekday() for scan in parcel.telling.scans if scan.word == "deliver"} == {
            scan.local.weekday() for scan in left if scan.word == "deliver"
        }


@pytest.mark.parametrize(
    ("name", "days"), [("delivered_first_time", 9.0), ("three_attempts_home", 7.9), ("refused", 6.0), ("lost", 14.0)]
)
async def test_what_has_ended_or_turned_is_not_turned_round(name: str, days: float) -> None:
    """Source: facts/ups.md 7.2: not after three misses; a refusal is a failure inside a 200, and costs nothing."""
    async with street() as (town, caller):
        parcel = under_way(town, name, days)
        value = await may(caller, parcel.number) or {}
        assert value["createEligibility"] == "NOT_ELIGIBLE"
        status, told = await ask(caller, "return", parcel.number, SEND_BACK)
        assert (status, told["statusCode"], told["statusMsg"], told["success"]) == (200, "000", "Success", False)
        assert told["errors"][0]["errorCode"] == "500"
        assert list(town.ledger) == []


async def test_a_european_parcel_and_one_to_puerto_rico_are_not_turned_round() -> None:
    """Source: facts/ups.md 7.2: the US and Puerto Rico only, and no return to sender in Puerto Rico."""
    async with street() as (town, caller):
        european = town.create("ups", "delivered_first_time")
        san_juan = place({"city": "San Juan", "region": "PR", "postal_code": "00901", "country": "PR"})
        islander = town.create("ups", "delivered_first_time", origin=place("reno"), destination=san_juan)
        town.clock.turn(town.now() + timedelta(days=2))
        for parcel in (european, islander):
            assert (await may(caller, parcel.number) or {})["createEligibility"] == "NOT_ELIGIBLE"
        _, told = await ask(caller, "willcall", islander.number, intercept("WC"))
        assert told["success"] is True


async def test_one_intercept_at_a_time_and_only_the_same_is_cancelled() -> None:
    """A second wish fails while one is in force; a cancel names what it cancels."""
    async with street() as (town, caller):
        number = under_way(town).number
        redirect = intercept("AA", newDeliveryAddress={"addressInfo": NEW_ADDRESS})
        assert (await ask(caller, "redirect/address", number, redirect))[1]["success"] is True
        assert (await ask(caller, "return", number, SEND_BACK))[1]["success"] is False
        assert (await ask(caller, "cancel", number, intercept("RS")))[1]["success"] is False
        assert (await ask(caller, "cancel", number, intercept("AA")))[1]["success"] is True
        assert (await ask(caller, "reschedule", number, intercept("FD", deliveryDate="20260310")))[1]["success"] is True


async def test_both_forms_of_every_answer_are_met() -> None:
    """Source: facts/ups.md 7.1, 7.2: a list or one object, flat or wrapped: each parcel keeps to one."""
    async with street() as (town, caller):
        maps, wrapped = set(), set()
        for _ in range(12):
            number = american(town)
            heads = caller.ups | HEADS
            answer = await caller.http.get(f"{INTERCEPT}/eligibility/intercept/{number}", headers=heads)
            maps.add(type(answer.json()["response"]["commonEligibilityMap"]))
            told = await caller.http.post(f"{INTERCEPT}/return/{number}", headers=heads, json=SEND_BACK)
            wrapped.add("response" in told.json())
        assert maps == {list, dict} and wrapped == {True, False}


@pytest.mark.parametrize(
    ("heads", "change"),
    [
        ({"transId": "0123456789abcde"}, {}),
        ({"transId": "ab"}, {}),
        ({"platformType": "WEB"}, {}),
        ({"inquiryType": "T"}, {}),
        ({}, {"reasonForReturn": "XX"}),
        ({}, {"requestType": "WC"}),
        ({}, {"requesterContactInfo": {"name": "Desk", "telephone": "4155550100"}}),
        ({}, {"colour": "red"}),
    ],
)
async def test_a_wrong_call_is_refused_with_710(heads: dict[str, str], change: dict[str, object]) -> None:
    """Source: facts/ups.md 7, 7.1: the headers, the patterns, nothing unknown; the code is in the headers too."""
    async with street() as (town, caller):
        number = under_way(town).number
        sent = caller.ups | HEADS | heads
        answer = await caller.http.post(f"{INTERCEPT}/return/{number}", headers=sent, json=SEND_BACK | change)
        assert (answer.status_code, answer.json()["response"]["errors"][0]["code"]) == (400, "710")
        assert answer.headers["APIErrorCode"] == "710" and list(town.ledger) == []
        bare = {key: each for key, each in SEND_BACK.items() if key != "specialInstructions"}
        assert (await ask(caller, "return", number, bare))[0] == 400, "the key is required though it may be null"


async def test_a_parcel_of_somebody_else_is_605_and_charges_are_told_first() -> None:
    """Source: facts/ups.md 7.1, 7.3."""
    async with street(ups_account="A1B2C3") as (town, caller):
        foreign = "1ZW957896800000000"
        status, told = await ask(caller, "eligibility/intercept", foreign, None)
        assert (status, told["errors"][0]["code"]) == (401, "605")
        number = under_way(town).number
        status, told = await ask(caller, "charges", number, CHARGES)
        (info,) = told["chargeInfo"]
        assert (status, info["totalCharge"], info["chargeCurrency"]) == (200, "21.00", "USD")


async def test_a_failure_inside_a_200_is_a_fault_to_switch_on() -> None:
    """Source: facts/ups.md 7.1: it says "000" and "Success"; nothing was booked, and the next call goes through."""
    async with street() as (town, caller):
        number = under_way(town).number
        fault = {"carrier": "ups", "operation": "intercept_return", "fault": "success_false"}
        await caller.http.post("/street/faults", json=fault)
        assert (await ask(caller, "return", number, SEND_BACK))[1]["success"] is False
        assert list(town.ledger) == []
        assert (await ask(caller, "return", number, SEND_BACK))[1]["success"] is True


async def test_the_way_home_is_pushed_and_the_way_out_no_more() -> None:
    """What was still to be told of the old journey is never told."""
    async with listening() as listener, street(push_all=True) as (town, caller):
        town.settings.ups_webhook_url = listener.url
        parcel = under_way(town)
        await until_sent(town)
        await ask(caller, "return", parcel.number, SEND_BACK)
        await until_quiet(town)
        heard = [json.loads(body)["activityStatus"]["code"] for _, body in listener.posts]
        assert len(heard) == len(parcel.telling.scans)
        assert heard[-1] in {"FS", "F4", "B0", "UA"} and {"78", "H6", "O1"} & set(heard)
