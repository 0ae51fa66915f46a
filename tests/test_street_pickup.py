"""Collections on the street: UPS's with its PRN, USPS's with its ETags."""

from datetime import timedelta
from typing import Any

import pytest

from tests.talk_ups import PICKUP as UPS_PICKUP
from tests.talk_ups import PICKUPS, pickup
from tests.talk_usps import PICKUP
from tests.talk_usps import pickup as usps_pickup
from tests.walk import Caller, street, ups_label

SHIP = "/ups/api/shipments/v2409/ship"


async def book(caller: Caller, body: Any) -> tuple[int, Any]:
    answer = await caller.http.post(UPS_PICKUP, headers=caller.ups, json=body)
    return answer.status_code, answer.json()


async def test_a_return_pays_its_collection_with_its_number_and_only_once() -> None:
    """Source: facts/ups.md 8: payment method 04, rate status 03, a number once used is used up."""
    async with street() as (town, caller):
        answer = (await caller.http.post(SHIP, headers=caller.ups, json=ups_label("R1"))).json()
        number = answer["ShipmentResponse"]["ShipmentResults"]["ShipmentIdentificationNumber"]
        paid = pickup(method="04", TrackingData=[{"TrackingNumber": number}])
        status, told = await book(caller, paid)
        made = told["PickupCreationResponse"]
        assert status == 200 and len(made["PRN"]) == 11 and made["RateStatus"]["Code"] == "03"
        lines = [(line.kind, line.number, line.reference) for line in town.ledger if "pickup" in line.kind]
        assert lines == [("pickup", made["PRN"], number)] and sum(line.kind == "charge" for line in town.ledger) == 1
        assert (await book(caller, paid))[0] == 400
        assert (await book(caller, pickup(method="04")))[0] == 400
        unknown = pickup(method="04", TrackingData=[{"TrackingNumber": "1ZW957896800000000"}])
        assert (await book(caller, unknown))[0] == 400


async def test_the_same_address_has_one_prn_until_it_is_cancelled() -> None:
    """Source: facts/ups.md 8; another address has another, and a cancelled one is not cancelled again."""
    async with street() as (town, caller):
        prn = (await book(caller, pickup()))[1]["PickupCreationResponse"]["PRN"]
        assert (await book(caller, pickup("20260309")))[1]["PickupCreationResponse"]["PRN"] == prn
        other = pickup()
        other["PickupCreationRequest"]["PickupAddress"]["AddressLine"] = ["Damrak 2"]
        assert (await book(caller, other))[1]["PickupCreationResponse"]["PRN"] != prn
        heads = caller.ups | {"Prn": prn}
        assert (await caller.http.delete(f"{PICKUPS}/02", headers=heads)).status_code == 200
        assert (await caller.http.delete(f"{PICKUPS}/02", headers=heads)).status_code == 400
        assert (await book(caller, pickup()))[1]["PickupCreationResponse"]["PRN"] != prn
        kinds = [line.kind for line in town.ledger]
        assert kinds == ["pickup", "pickup", "pickup_cancelled", "pickup"]


async def test_a_collection_is_received_then_dispatched_then_done() -> None:
    """Source: facts/ups.md 8: only today's and tomorrow's are told, by account."""
    async with street() as (town, caller):
        await book(caller, pickup("20260306", method="01"))
        heads, seen = caller.ups | {"AccountNumber": "W95789"}, []
        start = town.now()
        for hours in (1, 30, 48, 56, 76):
            town.clock.turn(start + timedelta(hours=hours))
            await caller.sign_in()
            answer = await caller.http.get(f"{PICKUPS}/oncall", headers=heads | caller.ups)
            pending = answer.json().get("PickupPendingStatusResponse", {}).get("PendingStatus", [{}])
            seen.append(pending[0].get("OnCallStatusCode"))
        assert seen == [None, "001", "002", "003", None]
        assert [(line.kind, line.amount) for line in town.ledger] == [("pickup", ""), ("charge", "6.70")]


@pytest.mark.parametrize(
    "change",
    [
        {"PaymentMethod": "99"},
        {
            "PickupPiece": [
                {"ServiceCode": "11", "Quantity": "1", "DestinationCountryCode": "IT", "ContainerCode": "01"}
            ]
        },
        {"PickupPiece": []},
        {"PickupDateInfo": {"PickupDate": "20250101", "ReadyTime": "0900", "CloseTime": "1700"}},
        {"PickupDateInfo": {"PickupDate": "20260306", "ReadyTime": "0900", "CloseTime": "0930"}},
        {"SpecialInstruction": "x" * 58},
    ],
)
async def test_a_wrong_collection_is_refused(change: dict[str, object]) -> None:
    """Source: facts/ups.md 8: the limits, a service of three digits, a lead time."""
    async with street() as (town, caller):
        body = pickup()
        body["PickupCreationRequest"] |= change
        assert (await book(caller, body))[0] == 400 and list(town.ledger) == []


# ---------------------------------------------------------------------------------------------------------------- USPS


async def test_a_usps_pickup_is_changed_and_cancelled_with_fresh_etags_only() -> None:
    """Source: facts/usps.md 6.1: a list when read, 412 when stale, an empty 200 when cancelled."""
    async with street() as (town, caller):
        http, usps = caller.http, caller.usps
        made = await http.post(PICKUP, headers=usps, json=usps_pickup())
        one, etag = f"{PICKUP}/{made.json()['confirmationNumber']}", made.headers["ETag"]
        later = {"carrierPickupRequest": usps_pickup("2026-03-07")}
        changed = await http.put(one, headers=usps | {"If-Match": etag}, json=later)
        assert changed.json()["pickupDate"] == "2026-03-07"
        for stale in ({"If-Match": etag}, {}):
            assert (await http.put(one, headers=usps | stale, json=later)).status_code == 412
            assert (await http.delete(one, headers=usps | stale)).status_code == 412
        read = await http.get(one, headers=usps)
        assert [each["pickupDate"] for each in read.json()] == ["2026-03-07"]
        gone = await http.delete(one, headers=usps | {"If-Match": read.headers["ETag"]})
        assert (gone.status_code, gone.content) == (200, b"")
        assert (await http.get(one, headers=usps)).json()["error"]["errors"][0]["code"] == "020015"
        assert [line.kind for line in town.ledger] == ["pickup", "pickup_cancelled"]


@pytest.mark.parametrize(
    ("day", "code"),
    [("2026-03-01", "020009"), ("2027-06-01", "020010"), ("2026-03-08", "020011"), ("2026-03-04", "020011")],
)
async def test_a_usps_pickup_comes_on_a_day_that_it_can(day: str, code: str) -> None:
    """Source: facts/usps.md 6.1: not in the past, not in a year, not on Sunday, not today after two in the morning."""
    async with street() as (_, caller):
        answer = await caller.http.post(PICKUP, headers=caller.usps, json=usps_pickup(day))
        assert answer.json()["error"]["errors"][0]["code"] == code
        if code == "020011":
            moved = await caller.http.post(
                PICKUP, headers=caller.usps, json=usps_pickup(day) | {"nextAvailablePickup": True}
            )
            assert moved.json()["pickupDate"] > day


async def test_a_second_usps_pickup_at_an_address_is_020001_and_the_scope_has_two_names() -> None:
    """Source: facts/usps.md 6.1, 1.1."""
    async with street(usps_scopes="carrier-pickup tracking payments") as (_, caller):
        assert (await caller.http.post(PICKUP, headers=caller.usps, json=usps_pickup())).status_code == 200
        again = await caller.http.post(PICKUP, headers=caller.usps, json=usps_pickup("2026-03-09"))
        assert again.json()["error"]["errors"][0]["code"] == "020001"
        other = await caller.http.post(PICKUP, headers=caller.usps, json=usps_pickup(street="12 Elm St"))
        assert other.status_code == 200
    async with street(usps_scopes="tracking payments") as (_, caller):
        assert (await caller.http.post(PICKUP, headers=caller.usps, json=usps_pickup())).status_code == 401
