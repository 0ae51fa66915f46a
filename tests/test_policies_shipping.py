"""The shops' own lines about shipping, delivery and what cannot be delivered, each tried through the real doors.

A test is named after the line's number in the list of policies. `B` is the European shop (UPS), `H` the American one
(USPS). The lines without a test, here and in `test_policies_returns.py`, and why:

| Line | What it is about | Why there is no test |
| --- | --- | --- |
| 1 | the e-mail after an order is placed | the shop's own mail; this service writes to nobody about orders |
| 5 | "My Account" shows the same | another page over the same answer as line 4 |
| 8 | a confirmed order cannot be changed | the shop's own rule; its remedy, a return, is what the other file is about |
| 13 | the pre-order's time is told by e-mail | no promise is made, so there is nothing to hold it to |
| 35 | instructions for fragrance come from a person | that a person is named is line 35's test; what he says is his |
| 36 | the condition goods come back in | the warehouse's eye; its word is lines 55 to 57 |
| 63 | customer service replies in a day | people, not parcels |
| 65 | headings without content | unknown, not absent: nothing is stated to hold |
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from store.engine import Store
from tests.shops import COAT, DRESS, EU, US, Shops, open_shops


@pytest.fixture
async def shops(sqlite_store: Store) -> AsyncIterator[Shops]:
    async with open_shops(sqlite_store) as opened:
        yield opened


def order_path(number: str = "A-1", shop: str = EU) -> str:
    return f"/orders/{shop}/{number}"


async def test_policy_2_the_two_states_of_an_order(shops: Shops) -> None:
    """B: "being prepared", then "has shipped"."""
    await shops.order(journey="")
    assert (await shops.ask("GET", order_path()))["state"] == "being_prepared"
    await shops.ship("A-1", "delivered_first_time")
    assert (await shops.ask("GET", order_path()))["state"] == "shipped"


async def test_policies_3_16_the_tracking_number_is_told_when_it_ships(shops: Shops) -> None:
    """B, H: what the shop's e-mail needs is in the notice."""
    number = await shops.order()
    [(type, data)] = await shops.told("order.")
    assert (type, data["parcel"]["number"], data["order_number"]) == ("order.shipped", number, "A-1")


async def test_policy_4_the_order_number_alone_shows_how_far_it_is(shops: Shops) -> None:
    """B: no login; without a proof there is no number, no place and no link."""
    await shops.delivered()
    told = await shops.ask("POST", "/follow/order", {"order_number": "A-1"})
    assert (told["tier"], told["state"]) == ("coarse", "delivered")
    assert told["parcels"][0].get("number") is None and told["parcels"][0].get("tracking_url") is None


async def test_policy_6_shipped_is_said_exactly_once(shops: Shops) -> None:
    """B: money is captured on it, so a second parcel and a retry say something else, or nothing."""
    number = await shops.order(items=(DRESS, COAT), ships=({"sku": "DRESS", "quantity": 1},))
    again = {"carrier": "ups", "tracking_number": number}
    await shops.ask("POST", f"{order_path()}/parcels", again)
    await shops.ship("A-1", "delivered_first_time")
    assert await shops.types("order.") == ["order.shipped"]
    assert await shops.types("parcel.") == ["parcel.shipped"]


async def test_policy_7_one_order_may_leave_in_parts(shops: Shops) -> None:
    """B: partly shipped until the rest has left; delivered only once all of it has arrived."""
    await shops.order(items=(DRESS, COAT), ships=({"sku": "DRESS", "quantity": 1},))
    assert (await shops.ask("GET", order_path()))["state"] == "partly_shipped"
    await shops.turn(6)
    assert (await shops.ask("GET", order_path()))["state"] == "partly_shipped"
    await shops.ship("A-1", "delivered_first_time")
    await shops.turn(6)
    assert (await shops.ask("GET", order_path()))["state"] == "delivered"


async def test_policy_9_the_carrier_may_still_correct_the_address(shops: Shops) -> None:
    """B: the shop does not change it, the carrier may: it is followed to where it goes."""
    number = await shops.delivered(journey="address_corrected")
    assert (await shops.parcel(number))["status"] == "delivered"


async def test_policy_10_a_window_is_known_for_each_order(shops: Shops) -> None:
    """B: the order's own window is shown to the shopper."""
    await shops.order(promise=["2026-03-04", "2026-03-06"])
    told = await shops.ask("POST", "/follow/order", {"order_number": "A-1"})
    assert told["parcels"][0]["promised"] == ["2026-03-04", "2026-03-06"]


@pytest.mark.parametrize(
    ("to", "express", "last"),
    [("reno", False, "2026-03-09"), ("reno", True, "2026-03-06"), ("toronto", False, "2026-03-12")],
)
async def test_policies_11_12_what_the_american_shop_promises(shops: Shops, to: str, express: bool, last: str) -> None:
    """H: 2 to 5 business days; under 5 when expedited; abroad up to 10 calendar days. Late the day after."""
    await shops.order(shop=US, to=to, journey="")
    parcel = shops.town.create("usps", "label_never_used", destination=None)
    body = {"carrier": "usps", "tracking_number": parcel.number, "express": express}
    await shops.ask("POST", f"{order_path(shop=US)}/parcels", body)
    days = {"2026-03-09": 7, "2026-03-06": 4, "2026-03-12": 10}[last]
    await shops.turn(days)
    assert await shops.types("parcel.late") == []
    await shops.turn(1.5)
    assert await shops.types("parcel.late") == ["parcel.late"], last


async def test_policy_14_a_territory_is_at_home(shops: Shops) -> None:
    """H: Puerto Rico has the promise of the mainland, and may send back from there."""
    spot = {"name": "A", "lines": ["1 Calle"], "city": "San Juan", "postal_code": "00901", "country": "PR"}
    await shops.order(shop=US, journey="", ship_to=spot)
    parcel = shops.town.create("usps", "delivered_first_time")
    await shops.ask("POST", f"{order_path(shop=US)}/parcels", {"carrier": "usps", "tracking_number": parcel.number})
    await shops.turn(6)
    answer = await shops.eligible({"sku": "DRESS", "reason": "defect", "outcome": "exchange"}, shop=US)
    assert answer["eligible"], answer["refusals"]


async def test_policy_15_shipping_unpaid_holds_the_parcel(shops: Shops) -> None:
    """H: abroad the shipping is paid first; no parcel before that."""
    await shops.order(shop=US, to="toronto", journey="", state="held_for_shipping_payment")
    body = {"carrier": "usps", "tracking_number": shops.town.create("usps", "delivered_first_time").number}
    told = await shops.ask("POST", f"{order_path(shop=US)}/parcels", body, status=409)
    assert told["code"] == "order_held"


async def test_policies_17_18_a_visit_outside_the_delivery_days_counts_and_is_marked(shops: Shops) -> None:
    """B: Monday to Friday. A visit on a Saturday is an attempt all the same, and the ledger says so."""
    shops.town.clock.turn(shops.town.now() + timedelta(days=1))  # USPS also comes on Saturdays
    await shops.order(journey="")
    number = shops.town.create("usps", "delivered_second_attempt").number
    await shops.ask("POST", f"{order_path()}/parcels", {"carrier": "usps", "tracking_number": number})
    await shops.turn(6)
    rows = (await shops.parcel(number, "usps"))["attempts"]["ledger"]
    assert [(row["day"], row["off_calendar"]) for row in rows if row["counted"]] == [("2026-03-07", True)]


async def test_policies_19_20_after_the_third_attempt_it_goes_back(shops: Shops) -> None:
    """B: three visits, each told; then it comes home, with the reason."""
    number = await shops.order(journey="three_attempts_home")
    await shops.turn(14)
    parcel = await shops.parcel(number)
    assert (parcel["attempts"]["count"], parcel["attempts"]["max"]) == (3, 3)
    assert (parcel["leg"], parcel["status"]) == ("back", "delivered")
    assert parcel["return_to_warehouse"]["reason"] == "failed_delivery_attempts"
    assert (await shops.types("parcel.attempt")).count("parcel.attempt_failed") == 3
    assert parcel["home"]["received_by"] == "scan" and parcel["home"]["outcome"] == "order_service_decides"


async def test_policies_21_23_a_missed_delivery_names_the_carrier(shops: Shops) -> None:
    """B: the customer arranges another day with UPS himself: its name and link are there."""
    await shops.order(journey="three_attempts_home")
    await shops.turn(3.2)
    told = await shops.ask("POST", "/follow/order", {"order_number": "A-1", "email": "shopper@example.com"})
    assert told["state"] == "attempt_failed"
    assert "UPS" in str(told["can_do"]) and "ups.com" in told["parcels"][0]["tracking_url"]


async def test_policy_22_late_is_seen_and_told(shops: Shops) -> None:
    """B: not delivered within its window: said once, and on the page."""
    await shops.order(journey="weather_delay", promise=["2026-03-02", "2026-03-03"])
    await shops.turn(3)
    assert await shops.types("parcel.late") == ["parcel.late"]


@pytest.mark.parametrize(
    ("journey", "reason"),
    [
        ("three_attempts_home", "failed_delivery_attempts"),
        ("bad_address", "insufficient_address"),
        ("refused", "refused"),
        ("unclaimed", "unclaimed"),
    ],
)
async def test_policy_24_why_a_parcel_came_back(shops: Shops, journey: str, reason: str) -> None:
    """H: attempts, address, refusal (and the hold that ran out, which is USPS's own)."""
    number = await shops.order(shop=US, journey=journey)
    await shops.turn(40)
    parcel = await shops.parcel(number, "usps")
    assert (parcel["return_to_warehouse"]["state"], parcel["return_to_warehouse"]["reason"]) == ("arrived", reason)
    assert parcel["home"]["reason"] == reason


async def test_policy_25_the_receipt_of_the_parcel_is_what_a_credit_follows_from(shops: Shops) -> None:
    """H: nothing before it is back; then the goods less the shipping of each leg, line by line, told once."""
    number = await shops.order(shop=US, journey="bad_address")
    await shops.turn(6)
    assert (await shops.parcel(number, "usps"))["home"] is None
    await shops.turn(30)
    home = (await shops.parcel(number, "usps"))["home"]
    assert [(line["name"], line["amount"]) for line in home["money"]["lines"]] == [
        ("item/DRESS", "120.00"), ("leg_out", "-8.95"), ("leg_back", "-8.95"),
    ]  # fmt: skip
    assert home["money"]["totals"] == {"store_credit": "102.10"}
    arrived = [data for _, data in await shops.told("return_to_warehouse.received")]
    assert [data["home"]["money"]["totals"]["store_credit"] for data in arrived] == ["102.10"]
    order = await shops.ask("GET", order_path(shop=US))
    assert order["parcels"][0]["home"]["money"]["totals"] == {"store_credit": "102.10"}


async def test_policy_25_by_hand_where_no_scan_ever_came(shops: Shops) -> None:
    """H: the warehouse has it: the same money, once, whoever says it first."""
    number = await shops.order(shop=US, journey="refused_no_return_scan")
    await shops.turn(30)
    for _ in range(2):
        told = await shops.ask("POST", f"/parcels/usps/{number}/received", {"note": "no scan"})
        assert (told["received_by"], told["reason"]) == ("warehouse", "refused")
    assert len([data for _, data in await shops.told("return_to_warehouse.received")]) == 1


async def test_policy_26_the_surcharge_of_a_refusal_is_on_its_parcel(shops: Shops) -> None:
    """H: each leg and the carrier's extra charge are known by themselves, whoever bears them."""
    number = await shops.order(shop=US, journey="refused")
    await shops.turn(40)
    costs = (await shops.parcel(number, "usps"))["home"]["costs"]
    assert [line["name"] for line in costs][:3] == ["leg_out", "leg_back", "surcharge"]


async def test_policy_26_a_surcharge_is_a_cost_though_it_is_billed_after_the_money(shops: Shops) -> None:
    """H: carriers bill weeks later: the cost is shown with its parcel, once, and the credit that was given stands."""
    number = await shops.order(journey="refused", shop=US, shipping_paid="8.95")
    await shops.turn(12)
    home = (await shops.ask("GET", order_path(shop=US)))["parcels"][0]["home"]
    assert [line["name"] for line in home["costs"]] == ["leg_out", "leg_back", "surcharge"]
    body = {"name": "refusal", "amount": "12.50", "currency": "USD"}
    for status in (201, 200):
        await shops.ask("POST", f"/parcels/usps/{number}/surcharges", body, status=status)
        told = (await shops.ask("GET", order_path(shop=US)))["parcels"][0]["home"]
        assert [(line["name"], line["amount"]) for line in told["costs"]] == [
            ("leg_out", "8.95"), ("leg_back", "8.95"), ("refusal", "12.50"),
        ]  # fmt: skip
        assert "after it was settled" in told["costs"][2]["because"] and told["money"] == home["money"]


async def test_policy_26_a_surcharge_of_a_parcel_that_came_back_without_a_scan(shops: Shops) -> None:
    """H: the warehouse has it, no carrier ever said so: what is billed is among its costs, and a later scan no harm."""
    number = await shops.order(shop=US, journey="refused")
    body = {"name": "refusal", "amount": "12.50", "currency": "USD"}
    await shops.ask("POST", f"/parcels/usps/{number}/surcharges", body, status=409)
    await shops.ask("POST", f"/parcels/usps/{number}/received", {"reason": "refused"})
    for status in (201, 200):
        await shops.ask("POST", f"/parcels/usps/{number}/surcharges", body, status=status)
    for _ in range(2):
        home = (await shops.parcel(number, "usps"))["home"]
        assert ("refusal", "12.50") in [(line["name"], line["amount"]) for line in home["costs"]]
        await shops.turn(40)
    case = (await shops.parcel(number, "usps"))["return_to_warehouse"]
    assert (case["state"], case["reason"]) == ("arrived", "refused")
    assert len(await shops.told("return_to_warehouse.received")) == 1


async def test_policy_27_usps_is_not_waited_for_until_a_third_attempt(shops: Shops) -> None:
    """One visit and its hold: what the carrier does decides, not a number of the shop's."""
    number = await shops.order(shop=US, journey="unclaimed")
    await shops.turn(40)
    parcel = await shops.parcel(number, "usps")
    assert parcel["attempts"]["max"] is None and parcel["attempts"]["count"] < 3
    assert parcel["return_to_warehouse"]["reason"] == "unclaimed"


async def test_policies_64_66_every_shop_has_its_own_terms_and_a_repair_is_no_return(shops: Shops) -> None:
    """B: an order is judged by its own shop's terms; a reason that is no return's is not taken for one."""
    await shops.delivered()
    told = await shops.ask("GET", order_path(shop=US), status=404)
    assert told["code"] == "order_not_found"
    told = await shops.back({"sku": "DRESS", "reason": "repair"}, status=422)
    assert told["code"] == "invalid_body" and await shops.types("return.") == []
