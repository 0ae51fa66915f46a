"""Unidentified parcels at the doors: keyed in, found, matched, dismissed; by API and by command."""

from types import SimpleNamespace
from typing import Any

from api.unidentified import identifier
from cli.unidentified import unidentified_call
from store.engine import Store
from tests.doors import CANARIES, MONDAY, Doors, make_house, on_the_street, open_doors
from tests.test_pages_states import NOW, start


async def a_parcel_that_goes_home(doors: Doors, town: Any) -> str:
    await doors.put_order("B-1")
    number: str = town.create("ups", "three_attempts_home", starts_at=start(3, 2)).number
    await doors.ship("B-1", number)
    return number


async def test_a_box_is_keyed_in_found_and_matched(sqlite_store: Store) -> None:
    """The box waits with its candidate and reasons, is found by order number and name, and becomes a way home."""
    async with on_the_street(NOW) as (town, carriers), open_doors(make_house(sqlite_store, carriers, NOW)) as doors:
        number = await a_parcel_that_goes_home(doors, town)
        box = {"order_number": "B-1", "name": "canary wilhelmina", "note": "dock 3"}
        status, waits, _ = await doors.call("POST", "/v1/unidentified", json=box)
        assert (status, waits["state"], waits["note"]) == (201, "open", "dock 3"), waits
        assert [each["parcel"]["number"] for each in waits["candidates"]] == [number]
        assert {reason["rule"] for reason in waits["candidates"][0]["reasons"]} == {"order_number", "name"}
        for asked in ("B-1", "Wilhelmina Canary", "CANARY, wilhelmina"):
            status, page, _ = await doors.call("GET", "/v1/unidentified", params={"q": asked})
            assert (status, [each["id"] for each in page["unidentified"]]) == (200, [waits["id"]]), asked
            assert not any(canary in str(page) for canary in CANARIES)
        status, page, _ = await doors.call("GET", "/v1/unidentified", params={"q": "B-2"})
        assert page["unidentified"] == []
        where = f"/v1/unidentified/{waits['id']}"
        status, wrong, _ = await doors.call("POST", f"{where}/match", json={})
        assert (status, wrong["code"]) == (422, "owner_unclear")
        status, wrong, _ = await doors.call("POST", f"{where}/match", json={"return_number": "R404"})
        assert (status, wrong["code"]) == (422, "return_not_found"), wrong
        status, done, _ = await doors.call("POST", f"{where}/match", json={"carrier": "ups", "number": number})
        assert (status, done["state"], done["outcome"]["name"]) == (200, "matched", f"ups {number}"), done
        status, wrong, _ = await doors.call("POST", f"{where}/dismiss", json={})
        assert (status, wrong["code"]) == (409, "unidentified_decided")
        assert (await doors.call("POST", "/v1/unidentified/404/dismiss", json={}))[0] == 404


async def test_a_further_number_is_shown_on_both_parcels(sqlite_store: Store) -> None:
    """Matched by hand: the first parcel shows the number, the number's own answer says whose way home it is."""
    async with on_the_street(NOW) as (town, carriers), open_doors(make_house(sqlite_store, carriers, NOW)) as doors:
        number = await a_parcel_that_goes_home(doors, town)
        other = town.create("ups", "delivered_first_time", starts_at=start(3, 2)).number
        status, waits, _ = await doors.call("POST", "/v1/unidentified", json={"number": other})
        assert (status, waits["carrier"]) == (201, "ups"), waits
        if waits["state"] == "open":
            where = f"/v1/unidentified/{waits['id']}/match"
            status, waits, _ = await doors.call("POST", where, json={"carrier": "ups", "number": number})
            assert status == 200, waits
        _, first, _ = await doors.call("GET", f"/v1/parcels/ups/{number}")
        _, further, _ = await doors.call("GET", f"/v1/parcels/ups/{other}")
        matched = first["further_numbers"]
        assert [(each["carrier"], each["number"]) for each in matched] == [("ups", other)]
        assert 0 <= matched[0]["score"] <= 1 and matched[0]["by"] and matched[0]["since"]
        assert (further["home_of"]["carrier"], further["home_of"]["number"]) == ("ups", number)
        assert (first["leg"], further["leg"], first["delivered_at"]) == ("back", "back", None)


async def test_the_command_does_what_the_api_does(sqlite_store: Store) -> None:
    """List, add, match and dismiss through the running service's command socket."""
    async with open_doors(make_house(sqlite_store, now=MONDAY)) as doors:
        house = doors.house
        parts: Any = SimpleNamespace(store=house.store, sealer=house.sealer, identifier=identifier(house))
        added = await unidentified_call(parts, {"do": "unidentified.add", "box": {"order_number": "B-9"}})
        listed = await unidentified_call(parts, {"do": "unidentified.list", "q": "B-9", "state": "open"})
        assert [each["id"] for each in listed["unidentified"]] == [added["id"]]
        wrong = await unidentified_call(
            parts, {"do": "unidentified.match", "id": added["id"], "return": "R404", "carrier": "", "number": ""}
        )
        assert "R404" in wrong["error"]
        gone = await unidentified_call(parts, {"do": "unidentified.dismiss", "id": added["id"], "why": "theirs"})
        assert (gone["state"], gone["outcome"]) == ("dismissed", {"why": "theirs"})
        listed = await unidentified_call(parts, {"do": "unidentified.list", "q": "", "state": "open"})
        assert listed["lines"] == ["nothing waits here"]
