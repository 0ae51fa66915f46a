"""The shops' own lines about returns, their clocks, labels, parcels and exchanges, each tried through the real doors.

A test is named after the line's number in the list of policies; the lines left out are in
`test_policies_shipping.py`. `B` is the European shop (UPS), `H` the American one (USPS).
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from store.engine import Store
from street import town as streets
from street.journeys import JOURNEYS
from tests.shops import COAT, DRESS, EU, US, Shops, defect, open_shops, wish


@pytest.fixture
async def shops(sqlite_store: Store) -> AsyncIterator[Shops]:
    async with open_shops(sqlite_store) as opened:
        yield opened


async def arrived(shops: Shops, *wishes: Any, **more: Any) -> str:
    """A return of an order that had arrived, at the warehouse by its carrier's scan."""
    made = await shops.back(*wishes, **more)
    await shops.turn(7)
    return str(made["return_number"])


def amounts(told: Any) -> list[tuple[str, str, str | None]]:
    return [(line["pot"], line["name"], line["amount"]) for line in told["money"]["lines"]]


# --------------------------------------------------------------------------------------------------------------- clocks


async def test_policy_28_thirty_days_from_the_delivery(shops: Shops) -> None:
    """B: the thirtieth day is in time to its end, in Rome; the next minute is not, and the term is named."""
    await shops.delivered()  # delivered on 5 March
    clock = (await shops.eligible(wish()))["clocks"][0]
    assert (clock["term"], clock["clock"], clock["ends_local"]) == (
        "returns.send", "delivered", "2026-04-05T00:00:00+02:00",
    )  # fmt: skip
    shops.town.clock.turn(shops.town.now().replace(month=4, day=4, hour=21, minute=58))
    assert (await shops.eligible(wish()))["eligible"]
    shops.town.clock.turn(shops.town.now() + timedelta(minutes=3))
    told = await shops.back(status=422)
    assert (told["code"], told["term"]) == ("return_window_over", "returns.send")


async def test_policy_29_the_answer_says_which_clock_it_used(shops: Shops) -> None:
    """B: the text says both "from delivery" and "from purchase": the term decides, the answer names clock and scan."""
    await shops.order(journey="weather_delay")
    answer = await shops.eligible(wish(outcome="exchange"))
    fell_back = {clock["term"]: (clock["clock"], clock["fell_back"]) for clock in answer["clocks"]}
    assert fell_back == {"returns.send": ("shipped", True), "exchange.window": ("shipped", True)}
    await shops.turn(8)
    answer = await shops.eligible(wish(outcome="exchange"))
    found = {clock["term"]: (clock["clock"], bool(clock["scan"])) for clock in answer["clocks"]}
    assert found == {"returns.send": ("delivered", True), "exchange.window": ("delivered", True)}


async def test_policy_30_72_hours_to_say_so(shops: Shops) -> None:
    """H: to the minute from the receipt."""
    await shops.order(shop=US)
    await shops.turn(5)
    clocks = {clock["term"]: clock for clock in (await shops.eligible(defect(), shop=US))["clocks"]}
    received, ends = clocks["returns.contact"]["started"], clocks["returns.contact"]["ends"]
    assert (received, ends) == ("2026-03-06T22:03:27Z", "2026-03-09T22:03:27Z")
    shops.town.clock.turn(shops.town.now().replace(day=9, hour=22, minute=4))
    told = await shops.back(defect(), shop=US, status=422)
    assert (told["code"], told["term"]) == ("return_window_over", "returns.contact")


async def test_policies_31_32_fifteen_days_judged_by_the_acceptance_scan(shops: Shops) -> None:
    """H: two clocks on one return; it was handed over on the second day, so its late arrival matters to nobody."""
    await shops.delivered(shop=US)
    made = await shops.back(defect(), shop=US)
    assert {clock["term"]: clock["in_time"] for clock in made["clocks"]} == {
        "returns.contact": True, "returns.send": None, "exchange.window": None,
    }  # fmt: skip
    await shops.turn(30)
    told = {clock["term"]: clock for clock in (await shops.look(made["return_number"]))["clocks"]}
    assert told["returns.send"]["in_time"] and told["returns.send"]["judged_by"] == "acceptance"
    assert told["returns.send"]["judged_scan"]


async def test_policy_32_handed_over_too_late_is_told(shops: Shops) -> None:
    """H: registered in time, given to the carrier after the fifteenth day."""
    await shops.delivered(shop=US)  # received on 6 March
    made = await shops.back(defect(), shop=US, courier="own")
    shops.town.clock.turn(shops.town.now() + timedelta(days=14))
    number = shops.town.create("usps", "return_delivered").number
    path = f"/returns/{made['return_number']}/tracking"
    await shops.ask("PUT", path, {"carrier": "USPS", "tracking_number": number})
    await shops.turn(7)
    told = {clock["term"]: clock["in_time"] for clock in (await shops.look(made["return_number"]))["clocks"]}
    assert (told["returns.contact"], told["returns.send"]) == (True, False)


async def test_policy_33_from_the_country_it_was_bought_in(shops: Shops) -> None:
    """B: bought in the Netherlands, not sent from France; the refusal says what would do."""
    await shops.delivered()
    paris = {"name": "A", "lines": ["1 rue"], "city": "Paris", "postal_code": "75001", "country": "FR"}
    told = await shops.back(from_address=paris, status=422)
    assert (told["code"], told["term"]) == ("other_country", "returns.from_country")
    assert told["instead"] == [{"do": "send_from", "says": "send it from NL"}]


@pytest.mark.parametrize(
    "item",
    [
        {"sale": True}, {"final_sale": True}, {"category": "accessories"}, {"category": "swimwear"},
        {"category": "underwear"}, {"category": "bodysuits"},
    ],
)  # fmt: skip
async def test_policy_34_what_never_comes_back(shops: Shops, item: dict[str, Any]) -> None:
    """H: final sale, sale and four categories: no label, and the term is named."""
    await shops.delivered(shop=US, items=(DRESS | item,))
    told = await shops.back(defect(), shop=US, status=422)
    assert told["code"] == "never_returnable" and told["term"].startswith("returns.")
    assert [each["do"] for each in told["instead"]] == ["contact_shop"]
    assert shops.bought() == 0


async def test_policy_35_fragrance_needs_the_shop_first(shops: Shops) -> None:
    """B: no self-service label; a person tells how."""
    await shops.delivered(items=(DRESS | {"category": "fragrance"},))
    told = await shops.back(status=422)
    assert (told["code"], told["term"], told["instead"][0]["do"]) == ("contact_us", "returns.never", "contact_shop")


# ---------------------------------------------------------------------------------------------------- label and parcel


async def test_policy_37_registered_before_anything_ships(shops: Shops) -> None:
    """B: the form first, then the label; both are said."""
    await shops.delivered()
    made = await shops.back()
    assert made["state"] == "label_ready" and shops.bought() == 1
    assert await shops.types("return.") == ["return.registered", "return.label_ready"]


async def test_policy_38_the_same_box_has_a_second_number(shops: Shops) -> None:
    """B: the old label is still under the new one: a scan of it changes the order's parcel, not the return."""
    old = await shops.delivered()
    made = await shops.back()
    assert made["label"]["number"] != old
    await shops.turn(7)
    assert (await shops.look(made["return_number"]))["state"] == "received"
    assert (await shops.parcel(old))["status"] == "delivered"
    assert (await shops.parcel(old))["purpose"] == "order"


@pytest.fixture
def swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journey on which a return is scanned by the carrier, and then nothing is heard of it."""
    for carrier in ("ups", "usps"):
        script = JOURNEYS[carrier, "return_delivered"]
        steps = tuple(step for step in script.steps if step.word in ("label", "dropoff", "pickup", "origin"))
        journey = replace(script, name="return_swallowed", steps=steps)
        monkeypatch.setitem(streets.JOURNEYS, (carrier, "return_swallowed"), journey)


async def test_policy_39_lost_with_the_shops_own_label(shops: Shops, swallowed: None) -> None:
    """B: scanned, and then silent for longer than the terms allow: lost, guaranteed, with the scan that proves it."""
    await shops.delivered()
    shops.next("return_swallowed")
    made = await shops.back()
    await shops.turn(7)
    assert (await shops.look(made["return_number"]))["state"] == "on_its_way"
    await shops.turn(30)
    told = await shops.look(made["return_number"])
    assert (told["state"], told["loss"]["said_by"]) == ("lost", "silence")
    assert (told["loss"]["guaranteed"], told["loss"]["term"]) == (True, "loss.own_label")
    assert told["loss"]["number"] == made["label"]["number"] and told["loss"]["scan"] and told["loss"]["accepted_at"]
    assert told["money"]["totals"] == {"refund": "120.00"}
    assert (await shops.types("return."))[-1] == "return.lost"
    told = await shops.ask("POST", f"/returns/{made['return_number']}/refund", {"reference": "R-1"})
    assert (told["state"], told["refund"]["amount"]) == ("refunded", "120.00")


async def test_policy_40_the_american_shop_pays_for_its_own_mistakes_only(shops: Shops) -> None:
    """H: a defect or a wrong item gets a label; a change of mind travels at the customer's own cost."""
    await shops.delivered(shop=US, items=(DRESS, COAT))
    told = await shops.back(wish(outcome="exchange"), shop=US, status=422)
    assert (told["code"], told["term"]) == ("label_not_paid", "label.shop_pays_for")
    assert told["instead"] == [{"do": "own_courier", "says": "send it by a courier of your own"}]
    assert (await shops.back(wish(outcome="exchange"), shop=US, courier="own"))["label"] is None
    assert (await shops.back(wish("COAT", "wrong_item", "exchange"), shop=US))["label"]["carrier"] == "usps"


async def test_policy_41_the_shop_books_no_collection(shops: Shops) -> None:
    """B: the customer calls UPS himself: with the label comes no order to collect it."""
    await shops.delivered()
    await shops.back()
    await shops.turn(7)
    assert [line.kind for line in shops.town.ledger if "pickup" in line.kind] == []


async def test_policy_42_several_orders_in_one_box(shops: Shops) -> None:
    """B: two orders, one box, one label; one scan moves both, and the warehouse decides piece by piece."""
    await shops.order("A-1", items=(DRESS, COAT))
    await shops.delivered("A-2")
    orders = [
        {"order_number": "A-1", "items": [wish(), wish("COAT")]},
        {"order_number": "A-2", "items": [wish()]},
    ]
    made = await shops.ask("POST", "/returns", {"merchant": EU, "orders": orders})
    number = made["return_number"]
    assert shops.bought() == 1
    await shops.turn(7)
    for order in ("A-1", "A-2"):
        [mine] = (await shops.ask("GET", f"/orders/{EU}/{order}"))["returns"]
        assert (mine["return_number"], mine["state"]) == (number, "received")
    told = await shops.decide(
        number, ("A-1", "DRESS", 1, "accepted"), ("A-1", "COAT", 1, "rejected"), ("A-2", "DRESS", 1, "accepted")
    )
    assert told["state"] == "partly_accepted"
    assert [(line["order_number"], line["amount"]) for line in told["money"]["lines"]] == [
        ("A-1", "120.00"), ("A-2", "120.00"),
    ]  # fmt: skip
    assert (await shops.types("return."))[-2:] == ["return.accepted", "return.rejected"]
    assert (await shops.types("return.")).count("return.received") == 1


async def test_policy_43_another_courier_brings_it_to_the_warehouse(shops: Shops) -> None:
    """B: no label is bought; it counts once the warehouse has it."""
    await shops.delivered()
    made = await shops.back(courier="own")
    assert (made["state"], made["label"], shops.bought()) == ("registered", None, 0)
    told = await shops.ask("POST", f"/returns/{made['return_number']}/received", {})
    assert (told["state"], told["received"]["by"]) == ("checking", "warehouse")


async def test_policy_44_another_courier_is_the_customers_risk(shops: Shops, swallowed: None) -> None:
    """B: any carrier, with or without a number; what we can read is followed, and its loss is not the shop's."""
    await shops.delivered()
    own = {"carrier": "Poste", "tracking_number": "RR123456785IT"}
    made = await shops.back(courier="own", own_courier=own)
    assert (made["own_courier"]["followed"], made["own_courier"]["number"]) == (False, "RR123456785IT")
    number = shops.town.create("ups", "return_swallowed").number
    path = f"/returns/{made['return_number']}/tracking"
    told = await shops.ask("PUT", path, {"carrier": "UPS", "tracking_number": number})
    assert told["own_courier"]["followed"] and told["parcel"]["number"] == number
    await shops.turn(7)
    await shops.turn(30)
    told = await shops.look(made["return_number"])
    assert (told["state"], told["loss"]["guaranteed"], told["loss"]["bearer"]) == ("lost", False, "customer")
    assert told["money"]["lines"] == []


@pytest.mark.parametrize(("shipping", "given"), [("25.00", "10.00"), ("0", None)])
async def test_policy_45_a_standard_delivery_is_given_back(shops: Shops, shipping: str, given: str | None) -> None:
    """B: where the customer paid shipping, and only there; the class is recorded from the start."""
    await shops.delivered(shipping_paid=shipping)
    made = await shops.back(courier="own")
    assert made["own_courier"]["reimburses"] == "standard_delivery"
    await shops.ask("POST", f"/returns/{made['return_number']}/received", {})
    told = await shops.decide(made["return_number"], ("A-1", "DRESS", 1, "accepted"))
    assert {name: amount for _, name, amount in amounts(told)}.get("own_courier") == given


async def test_policies_46_47_a_lost_label_is_a_blank_waybill(shops: Shops) -> None:
    """B: Standard, paid by the receiver, its account and the same address, with the return's number as reference."""
    await shops.delivered()
    made = await shops.back()
    told = await shops.ask("POST", f"/returns/{made['return_number']}/waybill")
    assert (told["service"], told["payer"], told["account"]) == ("Standard", "Receiver", "W95789")
    assert "40010 Bentivoglio" in " ".join(told["to"]) and told["reference"] == made["return_number"]


async def test_policy_47_a_parcel_under_an_unknown_number_counts_as_its_return(shops: Shops) -> None:
    """B: it was billed to our account and nobody knew its number: told whose it is, the return goes on with it."""
    await shops.delivered()
    made = await shops.back()
    await shops.ask("POST", f"/returns/{made['return_number']}/waybill")
    number = shops.town.create("ups", "return_delivered").number
    kept = await shops.ask("POST", "/unidentified", {"carrier": "ups", "number": number, "merchant": EU})
    if kept["state"] != "matched":
        path = f"/unidentified/{kept['id']}/match"
        await shops.ask("POST", path, {"return_number": made["return_number"]})
    await shops.turn(7)
    told = await shops.look(made["return_number"])
    assert (told["parcel"]["number"], told["state"]) == (number, "received")


async def test_policy_50_a_box_is_found_by_its_order_number_or_name(shops: Shops) -> None:
    """H: what is written in it and on its back is enough to ask the desk whose it is."""
    await shops.delivered(shop=US)
    await shops.ask("POST", "/unidentified", {"merchant": US, "order_number": "A-1", "name": "Ann Lee"})
    for words in ("A-1", "ann lee"):
        found = await shops.ask("GET", f"/unidentified?q={words}&state=all")
        assert len(found["unidentified"]) == 1, words


async def test_policy_48_i_keep_it(shops: Shops) -> None:
    """B: nothing to do: silent, no charge, no alert; used after all, the return simply goes on."""
    await shops.delivered(items=(DRESS | {"quantity": 2},))
    shops.next("label_never_used")
    unused = await shops.back()
    await shops.ask("POST", f"/returns/{unused['return_number']}/cancel")
    used = await shops.back()
    await shops.ask("POST", f"/returns/{used['return_number']}/cancel")
    before = await shops.types("return.")
    assert before == ["return.registered", "return.label_ready"] * 2
    await shops.turn(30)
    assert (await shops.look(unused["return_number"]))["state"] == "cancelled"
    assert (await shops.look(used["return_number"]))["state"] == "received"
    assert unused["return_number"] not in str((await shops.told("return."))[len(before) :])
    assert (await shops.types("alert.")) == []
    told = await shops.ask("POST", f"/returns/{used['return_number']}/received", {})
    assert told["state"] == "checking"


async def test_policy_48_a_label_that_nobody_uses_ends_by_itself(shops: Shops) -> None:
    """B: without a word, after its days: nothing said, nothing charged for its way."""
    await shops.delivered()
    shops.next("label_never_used")
    made = await shops.back()
    before = await shops.types()
    await shops.turn(95)
    assert (await shops.look(made["return_number"]))["state"] == "cancelled"
    assert await shops.types("return.") == [type for type in before if type.startswith("return.")]


async def test_policy_49_in_america_a_lost_return_is_the_customers(shops: Shops, swallowed: None) -> None:
    """H: whatever label it had; the number is kept and followed all the same."""
    await shops.delivered(shop=US)
    shops.next("return_swallowed")
    made = await shops.back(defect(), shop=US)
    await shops.turn(7)
    await shops.turn(30)
    told = await shops.look(made["return_number"])
    assert (told["state"], told["loss"]["bearer"], told["loss"]["guaranteed"]) == ("lost", "customer", False)
    assert told["money"]["lines"] == []


# -------------------------------------------------------------------------------------------------------- after arrival


async def test_policy_51_follow_your_return_at_any_time(shops: Shops) -> None:
    """B: from the label to the warehouse, with nothing but its number."""
    await shops.delivered()
    made = await shops.back()
    states = [(await shops.follow(made["return_number"]))["state"]]
    for days in (2.5, 4.5):
        await shops.turn(days)
        states.append((await shops.follow(made["return_number"]))["state"])
    assert states == ["label_ready", "on_its_way", "received"]


async def test_policy_52_and_the_refund_too(shops: Shops) -> None:
    """B: on its way, then made; how much is shown to who proves that it is his, in his own language."""
    await shops.delivered()
    number = await arrived(shops)
    await shops.decide(number, ("A-1", "DRESS", 1, "accepted"))
    mine = {"email": "shopper@example.com"}
    assert "€120.00" in str((await shops.follow(number, **mine))["next"])
    assert "120" not in str((await shops.follow(number))["next"])
    await shops.ask("POST", f"/returns/{number}/refund", {"reference": "R-1", "amount": "119.00"})
    told = await shops.follow(number, **mine)
    assert told["state"] == "refunded" and "€119.00" in str(told["next"])


async def test_policy_53_three_to_seven_business_days(shops: Shops) -> None:
    """B: the days are told to shop and shopper; ops hear when they are over, once."""
    await shops.delivered()
    number = await arrived(shops)  # on 12 March
    assert (await shops.look(number))["checked_between"] == ["2026-03-17", "2026-03-23"]
    assert "March 17" in str((await shops.follow(number))["next"])
    await shops.turn(8)
    assert "ops.return_dwelling" not in await shops.types("ops.")
    await shops.turn(2)
    await shops.turn(2)
    assert (await shops.types("ops.")).count("ops.return_dwelling") == 1


async def test_policy_54_accepted_is_refunded_to_the_original_payment(shops: Shops) -> None:
    """B: what comes back and why, then the refund under its reference; nothing else is offered."""
    await shops.delivered(items=(DRESS, COAT), discounts="42.00", shipping_paid="10.00")
    number = await arrived(shops)
    told = await shops.decide(number, ("A-1", "DRESS", 1, "accepted"), refund={"reference": "card-77"})
    assert amounts(told) == [("refund", "item/DRESS", "120.00"), ("refund", "discount", "-12.00")]
    assert (told["state"], told["refund"]) == (
        "refunded",
        {"reference": "card-77", "amount": "108.00", "currency": "EUR", "at": told["refund"]["at"]},
    )


async def test_policy_55_rejected_is_sent_back_to_the_customer(shops: Shops) -> None:
    """B: a third leg with its own label, bought once, free for the customer, and followed to his door."""
    await shops.delivered()
    number = await arrived(shops)
    told = await shops.decide(number, ("A-1", "DRESS", 1, "rejected"))
    again = await shops.decide(number, ("A-1", "DRESS", 1, "rejected"))
    assert (told["state"], again["state"], shops.bought()) == ("sent_back", "sent_back", 2)
    leaving = told["dispatches"][0]
    assert (leaving["kind"], leaving["payer"], amounts(told)) == ("resend", "shop", [])
    await shops.turn(7)
    parcel = await shops.parcel(leaving["parcel"]["number"])
    assert (parcel["purpose"], parcel["leg"], parcel["status"]) == ("resend", "out", "delivered")
    label = f"/v1/parcels/ups/{leaving['parcel']['number']}/label"
    assert (await shops.doors.call("GET", label))[1].startswith(b"%PDF-")
    told = await shops.follow(number, email="shopper@example.com")
    assert [parcel["purpose"] for parcel in told["parcels"]] == ["return", "resend"]


async def test_policies_56_57_refused_goods_go_back_at_the_american_customers_cost(shops: Shops) -> None:
    """H: used, or without its box: sent back, its way charged to the original payment."""
    await shops.delivered(shop=US)
    number = await arrived(shops, defect(), shop=US)
    told = await shops.decide(number, ("A-1", "DRESS", 1, "rejected"))
    assert told["dispatches"][0]["payer"] == "customer"
    [charge] = [line for line in told["money"]["lines"] if line["name"] == "resend"]
    assert charge["pot"] == "charge" and float(charge["amount"]) > 0 and "USD" in charge["because"]
    assert charge["term"] == "after_arrival.rejected_sent_back_by"


@pytest.mark.parametrize(
    ("item", "wanted", "gets"),
    [
        ({}, defect(), "exchange"),
        ({"replacement_in_stock": False}, defect(), "store_credit"),
        ({"discontinued": True, "replacement_in_stock": False}, wish("DRESS", "size", "refund"), "refund"),
        ({"replacement_in_stock": False}, wish("DRESS", "size", "store_credit"), "store_credit"),
    ],
)
async def test_policy_58_what_an_american_customer_gets(
    shops: Shops, item: dict[str, Any], wanted: dict[str, Any], gets: str
) -> None:
    """H: an exchange; a credit when it is out of stock; a refund only when it is discontinued."""
    await shops.delivered(shop=US, items=(DRESS | item,))
    made = await shops.back(wanted, shop=US, courier="prepaid" if wanted["reason"] == "defect" else "own")
    assert made["orders"][0]["items"][0]["gets"] == gets


async def test_policy_58_shipping_and_coupon_are_deducted(shops: Shops) -> None:
    """H: an order that was shipped free is charged its shipping; its coupon is deducted; each line says why."""
    await shops.delivered(shop=US, items=(DRESS | {"replacement_in_stock": False}, COAT), discounts="42.00")
    number = await arrived(shops, defect(), shop=US)
    told = await shops.decide(number, ("A-1", "DRESS", 1, "accepted"))
    assert amounts(told) == [
        ("store_credit", "item/DRESS", "120.00"),
        ("store_credit", "discount", "-12.00"),
        ("store_credit", "free_shipping", "-8.95"),
    ]
    assert told["money"]["totals"] == {"store_credit": "99.05"}
    assert all(line["because"] for line in told["money"]["lines"])


# ------------------------------------------------------------------------------------------------------------ exchanges


async def test_policy_59_the_replacement_ships_as_soon_as_the_return_is_received(shops: Shops) -> None:
    """B: not before; to the order's address, whatever the return was sent from; once, whatever is retried."""
    await shops.delivered()
    rotterdam = {"name": "B", "lines": ["Hoogstraat 10"], "city": "Rotterdam", "postal_code": "3011AA", "country": "NL"}
    made = await shops.back(wish(outcome="exchange", exchange_for="DRESS-44"), from_address=rotterdam)
    [registered] = [data["return"] for _, data in await shops.told("return.registered")]
    for told in (made, registered):  # the shop keeps the replacement back: it has to hear that it is to
        assert [(item["gets"], item["held"]) for item in told["orders"][0]["items"]] == [("exchange", True)]
    await shops.turn(2.5)
    assert (await shops.look(made["return_number"]))["dispatches"] == []
    await shops.turn(4.5)
    [leaving] = (await shops.look(made["return_number"]))["dispatches"]
    assert (leaving["kind"], leaving["orders"][0]["items"]) == ("exchange", [{"sku": "DRESS-44", "quantity": 1}])
    street = shops.town.parcels[leaving["parcel"]["number"]]
    assert (street.origin.city, street.destination.city, shops.bought()) == ("Bentivoglio", "Amsterdam", 2)
    for _ in range(2):
        await shops.ask("POST", f"/returns/{made['return_number']}/received", {})
    await shops.turn(7)
    assert shops.bought() == 2
    told = await shops.decide(made["return_number"], ("A-1", "DRESS", 1, "accepted"))
    assert (told["state"], amounts(told)) == ("exchanged", [])
    assert "delivered" in str((await shops.follow(made["return_number"]))["parcels"][1])


async def test_policy_60_the_replacement_is_told_as_shipped(shops: Shops) -> None:
    """B: what the shop's confirmation needs: the number, the items, what it is for; not the order's own "shipped"."""
    await shops.delivered()
    await arrived(shops, wish(outcome="exchange", exchange_for="DRESS-44"))
    [(_, data)] = await shops.told("parcel.shipped")
    assert (data["order_number"], data["parcel"]["purpose"]) == ("A-1", "exchange")
    assert data["parcel"]["items"] == [{"sku": "DRESS-44", "quantity": 1}] and data["parcel"]["number"]
    assert await shops.types("order.") == ["order.shipped"]


async def test_policy_61_one_exchange_and_always_a_return(shops: Shops) -> None:
    """B: a second exchange is refused, with the return named as what can be done."""
    await shops.delivered()
    number = await arrived(shops, wish(outcome="exchange", exchange_for="DRESS-44"))
    await shops.decide(number, ("A-1", "DRESS", 1, "accepted"))
    await shops.turn(7)
    told = await shops.back(wish("DRESS-44", outcome="exchange"), status=422)
    assert (told["code"], told["term"]) == ("exchange_used_up", "exchange.times_per_item")
    assert told["instead"] == [{"do": "refund", "says": "ask for a refund"}]
    answer = await shops.eligible(wish("DRESS-44"))
    assert answer["eligible"] and answer["clocks"][0]["started"] > "2026-03-12"
    number = await arrived(shops, wish("DRESS-44"))
    told = await shops.decide(number, ("A-1", "DRESS-44", 1, "accepted"))
    assert told["money"]["totals"] == {"refund": "120.00"}


async def test_policy_62_the_american_customer_pays_for_the_replacements_way(shops: Shops) -> None:
    """H: its label is a charge of its own, once it is known."""
    await shops.delivered(shop=US)
    number = await arrived(shops, defect(exchange_for="DRESS-44"), shop=US)
    told = await shops.look(number)
    [charge] = told["money"]["lines"]
    assert (charge["pot"], charge["name"], charge["term"]) == ("charge", "exchange", "exchange.extra_shipping")
    assert told["dispatches"][0]["payer"] == "customer" and told["dispatches"][0]["parcel"]["carrier"] == "usps"
    told = await shops.decide(number, ("A-1", "DRESS", 1, "accepted"))
    assert told["state"] == "exchanged" and [line["name"] for line in told["money"]["lines"]] == ["exchange"]
