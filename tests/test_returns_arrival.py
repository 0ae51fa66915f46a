"""After arrival: received, decided, sent back or exchanged, refunded, lost; crash-safe and once, on both databases."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from alerts.ladder import OVER_WHEN_SEEN, Clear, Notice
from alerts.ladder import decide as judge
from carriers.contract import Kind, LabelFormat, Place
from merchants.terms import Outcome, ReturnReason
from returns.arrival import Decided, Paid, decide, receive, refund
from returns.carrying import carry
from returns.desk import cancel
from returns.dispatching import retry, ship_out
from returns.eligibility import Courier, Wish
from returns.forms import OrderWishes, OwnParcel
from returns.homecoming import Hands, receive_parcel
from returns.labels import settle_all
from returns.reviewing import review
from returns.settling import Ruling, Verdict
from returns.showing import dispatch_document
from spending.brakes import stop
from spending.resolving import resolve
from store.cases import add_case_money, note_case
from store.dispatches import change_dispatch, dispatches_of, due_dispatches
from store.outbox import said_about
from store.parcels import find_parcel
from tests.selling import Seller
from tests.test_returns_desk import ASKED, HOME, ITEMS, OUT, SEALER, START, US_HOME, US_ITEMS, US_OUT, Shop, us, wishes
from tracker.orders import Declined, order_view

BOLOGNA = Place("Bentivoglio", "", "40010", "IT")
YES, NO, MISSING = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.MISSING
RETURNED = Wish("DRESS", 1, ReturnReason.SIZE)
SWAP = Wish("DRESS", 1, ReturnReason.SIZE, Outcome.EXCHANGE, exchange_for="DRESS-44")


class Desk(Shop):
    """The shop, with the warehouse's calls."""

    async def receive(self, number, **said):
        return await receive(self.till, self.shelf, number, **said)

    async def decide(self, number, *rulings, **said):
        return await decide(self.till, self.shelf, number, Decided(tuple(rulings), **said))

    async def home(self, asked=ASKED, days=8):
        """A return, registered and at the warehouse by its carrier's scan."""
        view = (await self.register(asked)).view
        await self.scan(view["label"]["number"], Kind.PICKED_UP, days - 2)
        await self.scan(view["label"]["number"], Kind.DELIVERED, days, place=BOLOGNA)
        return view["return_number"]

    async def told(self, subject):
        return [row["type"] for row in await self.store.read(lambda tx: said_about(tx, subject))]


@pytest.fixture
async def desk(store):
    return await Desk(store).order()


@pytest.fixture
async def here(sqlite_store):
    return await Desk(sqlite_store).order()


@pytest.fixture
async def american(sqlite_store):
    desk = Desk(sqlite_store, Seller(name="usps", title="USPS"))
    await desk.order("US-1", US_OUT, "boutique-us", US_HOME, US_ITEMS, "usps")
    await desk.scan(US_OUT, Kind.DELIVERED, 1, "usps", Place("Boston", "MA", "02108", "US"))
    return desk


def one(verdict, sku="DRESS", quantity=1, order="EU-1"):
    return Ruling(order, sku, quantity, verdict)


def lines(view):
    return [(line["pot"], line["name"], line["amount"]) for line in view["money"]["lines"]]


async def refused(call):
    with pytest.raises(Declined) as caught:
        await call
    return caught.value.code


# ------------------------------------------------------------------------------------------------------------ received


async def test_received_by_scan_sets_the_clock(desk):
    """The arrival is the scan's, with its event; it is decided between 3 and 7 business days later."""
    view = await desk.view(await desk.home())
    assert view["state"] == "received" and view["received"] == {
        "at": "2026-03-10T09:00:00Z", "by": "scan", "scan": "T/delivered@2026-03-10T09:00:00Z", "note": "",
    }  # fmt: skip
    assert view["checked_between"] == ["2026-03-13", "2026-03-19"]


async def test_the_warehouse_confirms_a_scan_and_checking_begins_once(desk):
    """Whoever says it first sets the time; `return.checking` follows once, and no later scan undoes it."""
    number = await desk.home()
    for _ in range(2):
        view = await desk.receive(number, note="dented box")
    assert (view["state"], view["received"]["by"], view["received"]["note"]) == ("checking", "scan", "dented box")
    assert (await desk.said())[-2:] == ["return.received", "return.checking"]
    await desk.scan(view["parcel"]["number"], Kind.IN_TRANSIT, 9)
    assert (await desk.view(number))["state"] == "checking"


async def test_received_by_hand_when_no_scan_came(desk):
    """The warehouse has it although the carrier never said so; a scan that comes later says nothing again."""
    view = (await desk.register()).view
    desk.at = START + timedelta(days=9)
    view = await desk.receive(view["return_number"], at=START + timedelta(days=8))
    assert (view["state"], view["received"]["by"]) == ("checking", "warehouse")
    assert (await desk.said())[-2:] == ["return.received", "return.checking"]
    before = await desk.said()
    await desk.scan(view["label"]["number"], Kind.DELIVERED, 10, place=BOLOGNA)
    assert await desk.said() == before and (await desk.view(view["return_number"]))["state"] == "checking"
    assert await refused(desk.receive(view["return_number"], at=desk.at + timedelta(days=1))) == "instant_ahead"
    assert await refused(desk.receive("R0")) == "return_not_found"


async def test_a_scan_in_error_is_undone_by_the_next(here):
    """Delivered by mistake, then under way again: no receipt, no clock, and it arrives later once more."""
    number = await here.home()
    parcel = (await here.view(number))["parcel"]["number"]
    await here.scan(parcel, Kind.IN_TRANSIT, 9)
    view = await here.view(number)
    assert (view["state"], view["received"], view["checked_between"]) == ("on_its_way", None, None)
    await here.scan(parcel, Kind.DELIVERED, 12, place=BOLOGNA)
    assert (await here.view(number))["received"]["at"] == "2026-03-14T09:00:00Z"


# ------------------------------------------------------------------------------------------------------------- decided


async def test_accepted_is_refunded_with_its_arithmetic(desk):
    """Money line by line, one notice; the refund's reference ends it; each call twice is once."""
    number = await desk.home()
    for _ in range(2):
        view = await desk.decide(number, one(YES))
    assert (view["state"], lines(view), view["money"]["totals"]) == (
        "accepted", [("refund", "item/DRESS", "120.00")], {"refund": "120.00"},
    )  # fmt: skip
    for _ in range(2):
        view = await refund(desk.till, number, Paid("pay-1"))
    assert (view["state"], view["refund"]["amount"], view["refund"]["reference"]) == ("refunded", "120.00", "pay-1")
    assert (await desk.said())[-1] == "return.accepted" and (await desk.said()).count("return.accepted") == 1
    assert await refused(refund(desk.till, number, Paid("pay-2"))) == "refund_known"
    assert await refused(desk.decide(number, one(NO))) == "outcome_decided"


async def test_part_is_accepted_and_part_goes_back(desk):
    """One of two pieces: half the money, the other half back in a resend parcel with one label, to the sender."""
    number = await desk.home(wishes(Wish("DRESS", 2, ReturnReason.SIZE), from_address=replace(HOME, city="Utrecht")))
    calls = [desk.decide(number, one(YES), one(NO)) for _ in range(3)]
    view = (await asyncio.gather(*calls))[0]
    view = await desk.view(number)
    assert (view["state"], view["money"]["totals"]) == ("partly_accepted", {"refund": "120.00"})
    [dispatch] = view["dispatches"]
    assert (dispatch["kind"], dispatch["payer"]) == ("resend", "shop")
    assert dispatch["orders"] == [{"order_number": "EU-1", "items": [{"sku": "DRESS", "quantity": 1}]}]
    assert len(desk.seller.charges) == 2
    request = desk.seller.requests[-1]
    assert (request.is_return, request.ship_to.city, request.ship_from.city) == (False, "Utrecht", "Bentivoglio")
    parcel = await desk.store.read(lambda tx: find_parcel(tx, "ups", dispatch["parcel"]["number"]))
    assert parcel["purpose"] == "resend"
    assert (await desk.said())[-2:] == ["return.accepted", "return.rejected"]
    order = await desk.store.read(lambda tx: order_view(tx, "boutique-eu", "EU-1"))
    assert [(p["purpose"], p["items"]) for p in order["parcels"]][-1] == ("resend", [{"sku": "DRESS", "quantity": 1}])
    assert (await desk.told("order:1"))[-1] == "parcel.shipped"


async def test_policies_55_56_who_pays_for_the_way_back(here, american):
    """Rejected as a whole: sent back, free in Europe; in America its label is charged to the original payment."""
    number = await here.home()
    view = await here.decide(number, one(NO))
    assert (view["state"], lines(view)) == ("sent_back", [])
    asked = us("DRESS", ReturnReason.DEFECT)
    number = (await american.register(asked)).view["return_number"]
    await american.receive(number)
    view = await american.decide(number, one(NO, order="US-1"))
    assert view["dispatches"][-1]["payer"] == "customer"
    assert ("charge", "resend", "7.95") in lines(view)


async def test_a_resend_is_planned_with_the_decision_and_bought_whatever_dies(here):
    """Nobody was there to buy it: the sweep does, once, however many look."""
    number = await here.home()
    here.seller.script = ["unreached"]
    view = await here.decide(number, one(NO))
    assert (view["state"], view["dispatches"][0]["parcel"]) == ("rejected", None)
    here.real += 3600
    await asyncio.gather(resolve(here.till), ship_out(here.till, here.shelf), resolve(here.till))
    await asyncio.gather(*(settle_all(here.till, here.shelf) for _ in range(3)))
    view = await here.view(number)
    assert view["state"] == "sent_back" and len(here.seller.charges) == 2


async def test_an_unknown_resend_is_settled_later_and_never_twice(here):
    """Charged and never answered: found again by its reference; one label, one parcel."""
    number = await here.home()
    here.seller.script = ["lose"]
    assert (await here.decide(number, one(NO)))["state"] == "rejected"
    here.real += 20
    await resolve(here.till)
    await settle_all(here.till, here.shelf)
    view = await here.view(number)
    assert view["state"] == "sent_back" and len(here.seller.charges) == 2


async def test_a_brake_puts_a_label_off_and_does_not_lose_the_decision(here):
    """Buying was stopped: the decision stands, the label waits, and leaves once buying goes on."""
    from spending.brakes import start

    number = await here.home()
    await stop(here.store, "ops", "test", here.at)
    view = await here.decide(number, one(NO))
    assert (view["state"], view["dispatches"][0]["why"]) == ("rejected", "buying was stopped: test")
    await start(here.store, "ops", here.at)
    here.real += 3600
    await ship_out(here.till, here.shelf)
    assert (await here.view(number))["state"] == "sent_back"


async def test_a_death_between_the_decision_and_the_label_loses_nothing(here, monkeypatch):
    """Killed right after the decision was kept: asked again it is the same, and one label is bought."""

    async def die(*_):
        raise RuntimeError("killed")

    number = await here.home()
    with monkeypatch.context() as patch:
        patch.setattr("returns.arrival.ship_one", die)
        with pytest.raises(RuntimeError):
            await here.decide(number, one(NO))
    assert (await here.view(number))["state"] == "rejected"
    await asyncio.gather(here.decide(number, one(NO)), ship_out(here.till, here.shelf))
    view = await here.view(number)
    assert view["state"] == "sent_back" and len(here.seller.charges) == 2


async def test_a_replacement_that_has_not_left_stays_where_nothing_was_accepted(here):
    """Received by scan, rejected before its label was bought: the goods go back, and no replacement leaves."""
    number = await here.home(wishes(SWAP))
    view = await here.decide(number, one(NO))
    await ship_out(here.till, here.shelf)
    kinds = {each["kind"]: (each["parcel"] is not None, each["why"]) for each in view["dispatches"]}
    assert kinds == {"exchange": (False, "what it was to replace was not accepted"), "resend": (True, "")}
    assert len(here.seller.charges) == 2


async def test_the_refund_may_come_with_the_decision_or_after_it(here):
    """Twice is once, another reference is refused; for nothing accepted nothing can be refunded."""
    number = await here.home()
    await here.decide(number, one(YES))
    for _ in range(2):
        view = await here.decide(number, one(YES), paid=Paid("pay-1"))
    assert (view["state"], view["refund"]["reference"]) == ("refunded", "pay-1")
    assert await refused(here.decide(number, one(YES), paid=Paid("pay-2"))) == "refund_known"
    other = await here.home(days=20)
    assert await refused(here.decide(other, one(NO), paid=Paid("pay-3"))) == "nothing_owed"
    assert (await here.view(other))["state"] == "received"


async def test_what_ops_hear_of_a_return(here):
    """Dwelling is a warning that the decision ends; a label that cannot be had is critical until it was seen."""
    notice = Notice("return:1", "dwelling/x", "ops.return_dwelling", here.at, {"max_business_days": 7})
    [alert] = judge(notice)
    assert (alert.rung, alert.severity, alert.key) == ("dwelling", "warning", "return:1/dwelling")
    for type in ("return.accepted", "return.rejected"):
        assert judge(Notice("return:1", "accepted", type, here.at)) == (Clear("return:1"),)
    [alert] = judge(Notice("return:1", "resend/no_label", "ops.dispatch_impossible", here.at, {"why": "no phone"}))
    assert (alert.severity, alert.rung) == ("critical", "no_label") and "no phone" in alert.title
    assert "no_label" in OVER_WHEN_SEEN


async def test_a_label_that_cannot_be_had_is_told_to_a_person(here):
    """The carrier refuses it: the reason is shown, and ops hear once."""
    number = await here.home()
    here.seller.script = ["reject"]
    view = await here.decide(number, one(NO))
    assert view["dispatches"][0]["why"] == "120100 the address is wrong"
    assert (await here.said()).count("ops.dispatch_impossible") == 1
    await ship_out(here.till, here.shelf)
    assert len(here.seller.charges) == 1


async def test_an_open_purchase_is_never_joined_by_a_second_one(here):
    """Whatever put the dispatch back into the queue: while nobody knows what the first send brought, none is sent."""
    number = await here.home()
    here.seller.script = ["lose"]
    await here.decide(number, one(NO))
    [row] = await here.store.read(lambda tx: dispatches_of(tx, 1))
    await here.store.write(lambda tx: change_dispatch(tx, row["id"], parcel_id=None, why="queued again", next_us=0))
    for _ in range(2):
        await ship_out(here.till, here.shelf)
    assert len(here.seller.charges) == 2
    assert await here.store.read(lambda tx: due_dispatches(tx, 1 << 60, 10)) == []


async def test_a_label_that_could_not_be_had_is_tried_for_again(here):
    """Once its cause is set right, by whoever says so: one label, however often; an open purchase is left alone."""
    number = await here.home()
    here.seller.script = ["reject"]
    await here.decide(number, one(NO))
    here.seller.script = ["lose"]
    for _ in range(3):
        view = await retry(here.till, here.shelf, number)
    assert (view["state"], len(here.seller.charges)) == ("rejected", 2)
    here.real += 20
    await resolve(here.till)
    await settle_all(here.till, here.shelf)
    view = await retry(here.till, here.shelf, number)
    assert (view["state"], view["dispatches"][0]["why"], len(here.seller.charges)) == ("sent_back", "", 2)
    assert await refused(retry(here.till, here.shelf, "R0")) == "return_not_found"


async def test_every_piece_is_decided_and_nothing_else(here):
    """A piece forgotten, one too many, one that is not there, one before it arrived: clear noes."""
    number = (await here.register(wishes(Wish("DRESS", 2, ReturnReason.SIZE)))).view["return_number"]
    assert await refused(here.decide(number, one(YES, quantity=2))) == "return_not_received"
    await here.receive(number)
    assert await refused(here.decide(number, one(YES))) == "outcome_incomplete"
    assert await refused(here.decide(number, one(YES, quantity=3))) == "quantity_wrong"
    assert await refused(here.decide(number, one(YES, "HAT"))) == "item_not_in_return"
    assert await refused(refund(here.till, number, Paid("pay"))) == "return_not_decided"
    assert (await here.view(number))["state"] == "checking"


async def test_what_was_missing_is_neither_paid_nor_sent_and_may_come_later(here):
    """Not in the box: no money, no parcel; the customer still has it and may return it."""
    number = await here.home(wishes(Wish("DRESS", 2, ReturnReason.SIZE)))
    view = await here.decide(number, one(YES), one(MISSING))
    assert (view["state"], view["money"]["totals"], view["dispatches"]) == ("partly_accepted", {"refund": "120.00"}, [])
    assert (await here.register()).status == 201


async def test_what_was_sent_back_may_be_returned_again(here):
    """Rejected goods are with the customer once more: they count again from their own delivery."""
    number = await here.home(wishes(Wish("DRESS", 2, ReturnReason.SIZE)))
    assert (await refused(here.register())) == "quantity_wrong"
    view = await here.decide(number, one(NO, quantity=2))
    assert view["state"] == "sent_back"
    assert (await here.register()).status == 201


async def test_several_orders_in_one_box_are_decided_item_by_item(desk):
    """Two orders on one label: one accepted, one rejected; each has its own money and its own part of the resend."""
    await desk.order("EU-2", "1Z999AA10123456784")
    box = replace(ASKED, orders=(OrderWishes("EU-1", (RETURNED,)), OrderWishes("EU-2", (RETURNED,))))
    number = await desk.home(box)
    assert {order["order_number"] for order in (await desk.view(number))["orders"]} == {"EU-1", "EU-2"}
    view = await desk.decide(number, one(YES), one(NO, order="EU-2"))
    assert view["state"] == "partly_accepted"
    assert [(line["order_number"], line["amount"]) for line in view["money"]["lines"]] == [("EU-1", "120.00")]
    assert view["dispatches"][0]["orders"][0]["order_number"] == "EU-2"
    for order in ("EU-1", "EU-2"):
        told = await desk.store.read(lambda tx, order=order: order_view(tx, "boutique-eu", order))
        assert told["returns"][0]["return_number"] == number and told["returns"][0]["state"] == "partly_accepted"


# ------------------------------------------------------------------------------------------------------------ exchanged


async def test_a_replacement_ships_when_the_return_is_received(desk):
    """Once, at the scan, to the order's own address whatever the from-address; exchanged once it is accepted."""
    view = (await desk.register(wishes(SWAP, from_address=replace(HOME, city="Utrecht")))).view
    await desk.scan(view["label"]["number"], Kind.DELIVERED, 8, place=BOLOGNA)
    await asyncio.gather(*(ship_out(desk.till, desk.shelf) for _ in range(3)))
    number = view["return_number"]
    [dispatch] = (await desk.view(number))["dispatches"]
    assert (dispatch["kind"], dispatch["orders"][0]["items"]) == ("exchange", [{"sku": "DRESS-44", "quantity": 1}])
    assert len(desk.seller.charges) == 2
    assert (desk.seller.requests[-1].is_return, desk.seller.requests[-1].ship_to.city) == (False, "Amsterdam")
    parcel = await desk.store.read(lambda tx: find_parcel(tx, "ups", dispatch["parcel"]["number"]))
    assert parcel["purpose"] == "exchange"
    assert (await desk.receive(number))["state"] == "checking"
    view = await desk.decide(number, one(YES))
    assert (view["state"], lines(view)) == ("exchanged", [])
    assert (await desk.told("order:1")).count("parcel.shipped") == 1


async def test_policy_61_a_second_exchange_is_refused_and_a_return_is_not(here):
    """The replacement may be returned, for its price, but not exchanged again; the other piece still may."""
    number = await here.home(wishes(SWAP))
    await ship_out(here.till, here.shelf)
    await here.decide(number, one(YES))
    again = Wish("DRESS-44", 1, ReturnReason.SIZE, Outcome.EXCHANGE)
    with pytest.raises(Declined) as caught:
        await here.register(wishes(again))
    assert (caught.value.code, caught.value.term) == ("exchange_used_up", "exchange.times_per_item")
    assert caught.value.instead == [{"do": "refund", "says": "ask for a refund"}]
    assert (await here.register(wishes(SWAP))).status == 201
    with pytest.raises(Declined) as caught:
        await here.register(wishes(SWAP))
    assert caught.value.code == "quantity_wrong"
    number = await here.home(wishes(replace(again, outcome=Outcome.REFUND)), days=20)
    view = await here.decide(number, one(YES, "DRESS-44"))
    assert view["money"]["totals"] == {"refund": "120.00"}


async def test_policy_62_the_american_customer_pays_for_the_replacements_way(american):
    """Its label is a charge on the original payment, kept through the decision."""
    number = (await american.register(us("DRESS"))).view["return_number"]
    view = await american.receive(number)
    assert lines(view) == [("charge", "exchange", "7.95")]
    view = await american.decide(number, one(YES, order="US-1"))
    assert (view["state"], lines(view)) == ("exchanged", [("charge", "exchange", "7.95")])


async def test_policy_58_out_of_stock_is_a_store_credit_less_the_shipping_that_was_free(american):
    number = (await american.register(us("OLD-TOP"))).view["return_number"]
    view = await american.receive(number)
    assert view["dispatches"] == []
    view = await american.decide(number, one(YES, "OLD-TOP", order="US-1"))
    assert lines(view) == [
        ("store_credit", "item/OLD-TOP", "30.00"),
        ("store_credit", "free_shipping", "-8.95"),
    ]
    assert view["money"]["totals"] == {"store_credit": "21.05"}


# ---------------------------------------------------------------------------------------------------------- own courier


async def test_another_courier_is_shown_as_given_and_followed_where_it_can_be(here):
    """Any carrier or none at registration; the number later; one that we read is followed, at the customer's risk."""
    own = replace(ASKED, courier=Courier.OWN)
    view = (await here.register(own)).view
    assert view["own_courier"] == {
        "carrier": "", "number": "", "followed": False, "risk": "customer", "reimburses": "standard_delivery",
    }  # fmt: skip
    number = view["return_number"]
    view = await carry(here.till, here.shelf, number, OwnParcel("DHL", "JJD009999"))
    assert (view["own_courier"]["number"], view["own_courier"]["followed"], view["parcel"]) == (
        "JJD009999",
        False,
        None,
    )
    view = await carry(here.till, here.shelf, number, OwnParcel("UPS", "1z12345e0205271688"))
    assert view["own_courier"]["followed"] and view["parcel"]["number"] == "1Z12345E0205271688"
    await here.scan("1Z12345E0205271688", Kind.PICKED_UP, 4)
    assert (await here.view(number))["state"] == "on_its_way"
    assert await refused(carry(here.till, here.shelf, number, OwnParcel("DHL", "X"))) == "return_under_way"
    assert (await carry(here.till, here.shelf, number, OwnParcel("UPS", "1z12345e0205271688")))["parcel"]
    prepaid = (await here.register()).view["return_number"]
    assert await refused(carry(here.till, here.shelf, prepaid, OwnParcel("UPS", "1Z12345E0205271688"))) == (
        "courier_prepaid"
    )


async def test_a_better_number_is_followed_from_its_first_notice(here):
    """The first number was followed already: the second one's notices count from one again."""
    own = replace(ASKED, courier=Courier.OWN, own=OwnParcel("ups", "1Z12345E0205271688"))
    number = (await here.register(own)).view["return_number"]
    await here.scan("1Z12345E0205271688", Kind.LABEL_CREATED, 3)
    await carry(here.till, here.shelf, number, OwnParcel("ups", "1Z12345E6605272234"))
    await here.scan("1Z12345E6605272234", Kind.PICKED_UP, 4)
    assert (await here.view(number))["state"] == "on_its_way"


async def test_a_number_that_is_another_parcels_is_refused(here):
    own = replace(ASKED, courier=Courier.OWN, own=OwnParcel("ups", OUT))
    assert await refused(here.register(own)) == "tracking_number_taken"
    assert await here.said() == []


async def test_the_own_courier_is_reimbursed_where_shipping_was_paid(sqlite_store):
    """Without any number: the warehouse says that it came; a standard delivery is given back."""
    from decimal import Decimal as D

    from tracker.orders import Order, put_order, ship

    desk = Desk(sqlite_store)
    order = Order("boutique-eu", "EU-1", START, HOME, "ada@example.com", "EUR", ITEMS, shipping_paid=D("14.00"))
    await put_order(desk.store, SEALER, desk.shelf, order, START)
    call = {"merchant": "boutique-eu", "number": "EU-1", "carrier": "ups", "tracking_number": OUT}
    await ship(desk.store, SEALER, desk.shelf, now=START, **call)
    number = (await desk.register(replace(ASKED, courier=Courier.OWN))).view["return_number"]
    await desk.receive(number)
    view = await desk.decide(number, one(YES))
    assert lines(view) == [("refund", "item/DRESS", "120.00"), ("refund", "own_courier", "10.00")]


# ----------------------------------------------------------------------------------------------------------------- lost


async def test_policy_39_lost_with_the_shops_label_is_guaranteed_with_its_proof(desk):
    """The carrier says that it is lost: who bears it, by which scan of which number, and the refund, once paid."""
    view = (await desk.register()).view
    await desk.scan(view["label"]["number"], Kind.PICKED_UP, 4)
    await desk.scan(view["label"]["number"], Kind.LOST, 9)
    view = await desk.view(view["return_number"])
    assert view["state"] == "lost" and view["loss"] == {
        "said_by": "carrier",
        "since": "2026-03-11T09:00:00Z",
        "guaranteed": True,
        "bearer": "shop",
        "term": "loss.own_label",
        "number": view["label"]["number"],
        "accepted_at": "2026-03-06T09:00:00Z",
        "scan": "T/picked_up@2026-03-06T09:00:00Z",
        "because": f"the carrier says that it is lost; the shop's own label {view['label']['number']} was scanned by "
        "the carrier: the shop guarantees the refund",
    }
    assert view["money"]["totals"] == {"refund": "120.00"}
    assert (await refund(desk.till, view["return_number"], Paid("pay-9")))["state"] == "refunded"


async def test_lost_in_silence_is_recognised_and_found_again(desk):
    """20 days without a scan: lost; one that changed no status put it off; found again, nothing is owed for a loss."""
    view = (await desk.register()).view
    number, parcel = view["return_number"], view["label"]["number"]
    await desk.scan(parcel, Kind.PICKED_UP, 4)
    await desk.scan(parcel, Kind.IN_TRANSIT, 5)
    await desk.scan(parcel, Kind.IN_TRANSIT, 15)
    desk.at = START + timedelta(days=26)
    await review(desk.till, desk.shelf)
    assert (await desk.view(number))["state"] == "on_its_way"
    desk.at = START + timedelta(days=36)
    await asyncio.gather(review(desk.till, desk.shelf), review(desk.till, desk.shelf))
    view = await desk.view(number)
    assert (view["state"], view["loss"]["said_by"], view["loss"]["guaranteed"]) == ("lost", "silence", True)
    assert view["loss"]["since"] == "2026-03-17T09:00:00Z" and view["money"]["totals"] == {"refund": "120.00"}
    assert (await desk.said()).count("return.lost") == 1
    await desk.scan(parcel, Kind.DELIVERED, 40, place=BOLOGNA)
    view = await desk.view(number)
    assert (view["state"], view["loss"], view["money"]["lines"]) == ("received", None, [])


async def test_policy_44_49_a_loss_without_the_shops_label_is_the_customers(here, american):
    """Another courier in Europe, any label in America."""
    own = replace(ASKED, courier=Courier.OWN, own=OwnParcel("ups", "1Z12345E0205271688"))
    number = (await here.register(own)).view["return_number"]
    await here.scan("1Z12345E0205271688", Kind.PICKED_UP, 4)
    await here.scan("1Z12345E0205271688", Kind.LOST, 9)
    loss = (await here.view(number))["loss"]
    assert (loss["guaranteed"], loss["term"]) == (False, "loss.other")
    assert await refused(refund(here.till, number, Paid("p"))) == "return_not_decided"


async def test_policy_49_in_america_a_lost_return_is_the_customers_whatever_label_it_had(american):
    view = (await american.register(us("DRESS"))).view
    await american.scan(view["label"]["number"], Kind.PICKED_UP, 4, "usps")
    await american.scan(view["label"]["number"], Kind.LOST, 9, "usps")
    loss = (await american.view(view["return_number"]))["loss"]
    assert (loss["guaranteed"], loss["bearer"], loss["term"]) == (False, "customer", "loss.own_label")


async def test_a_loss_before_any_scan_is_not_guaranteed(here):
    """No scan proves that the label was handed over."""
    view = (await here.register()).view
    await here.scan(view["label"]["number"], Kind.LOST, 9)
    view = await here.view(view["return_number"])
    assert (view["loss"]["guaranteed"], view["loss"]["scan"], view["money"]["lines"]) == (False, "", [])


# ---------------------------------------------------------------------------------------------------------- time passes


async def test_policy_53_a_return_that_dwells_is_told_to_ops_once(desk):
    """After the seventh business day, once; a decision before it says nothing."""
    number = await desk.home()
    desk.at = datetime(2026, 3, 19, 22, 59, tzinfo=UTC)
    await review(desk.till, desk.shelf)
    assert "ops.return_dwelling" not in await desk.said()
    desk.at = datetime(2026, 3, 19, 23, 0, tzinfo=UTC)
    await asyncio.gather(review(desk.till, desk.shelf), review(desk.till, desk.shelf))
    assert (await desk.said()).count("ops.return_dwelling") == 1
    await desk.decide(number, one(YES))
    other = await desk.home(days=20)
    await desk.decide(other, one(YES))
    desk.at += timedelta(days=60)
    await review(desk.till, desk.shelf)
    assert "ops.return_dwelling" not in await desk.said(2)


async def test_policy_48_an_unused_label_ends_silently_and_frees_its_items(desk):
    """After its days: cancelled, nothing said, nothing alerted; used after all, the return goes on."""
    view = (await desk.register(wishes(Wish("DRESS", 2, ReturnReason.SIZE)))).view
    before = await desk.said()
    desk.at = START + timedelta(days=91)
    await review(desk.till, desk.shelf)
    assert (await desk.view(view["return_number"]))["state"] == "cancelled" and await desk.said() == before
    await desk.scan(view["label"]["number"], Kind.PICKED_UP, 92)
    assert (await desk.view(view["return_number"]))["state"] == "on_its_way"
    await desk.scan(view["label"]["number"], Kind.DELIVERED, 95, place=BOLOGNA)
    assert (await desk.view(view["return_number"]))["state"] == "received"


async def test_kept_and_received_after_all(here):
    """Given up, and then the box stands in the warehouse: it is received like any other."""
    number = (await here.register()).view["return_number"]
    await cancel(here.till, number)
    assert (await here.receive(number))["state"] == "checking"


async def test_policy_32_a_return_handed_over_too_late_is_shown_as_late(american):
    """Registered in time, accepted by the carrier on the sixteenth day: the clock says so, by its scan."""
    view = (await american.register(us("DRESS"))).view
    clocks = {clock["term"]: clock for clock in view["clocks"]}
    assert (clocks["returns.contact"]["in_time"], clocks["returns.send"]["in_time"]) == (True, None)
    await american.scan(view["label"]["number"], Kind.PICKED_UP, 17, "usps")
    late = {clock["term"]: clock for clock in (await american.view(view["return_number"]))["clocks"]}
    assert late["returns.send"]["in_time"] is False and late["returns.send"]["judged_scan"].startswith("T/picked_up")
    assert late["returns.contact"]["in_time"] is True


# ----------------------------------------------------------------------------------------------------- undeliverable


async def test_policies_25_26_a_refused_parcel_at_the_warehouse_is_a_credit_less_shipping(american):
    """Home by the carrier's scan: settled once, with the reason, the legs and the arithmetic, and told with it."""
    number = "9400100000000000000017"
    await american.order("US-2", number, "boutique-us", US_HOME, US_ITEMS[:1], "usps")
    await american.scan(number, Kind.REFUSED, 3, "usps")
    await american.scan(number, Kind.RETURNING_TO_SENDER, 4, "usps")
    await american.scan(number, Kind.RETURNED_TO_SENDER, 8, "usps", Place("Secaucus", "NJ", "07094", "US"))
    view = await receive_parcel(american.till, american.shelf, "usps", number, Hands(note="box wet"))
    assert (view["received_by"], view["reason"], view["outcome"]) == ("scan", "refused", "store_credit_less_shipping")
    assert [(line["name"], line["amount"]) for line in view["money"]["lines"]] == [
        ("item/DRESS", "120.00"), ("leg_out", "-8.95"), ("leg_back", "-8.95"),
    ]  # fmt: skip
    assert view["money"]["totals"] == {"store_credit": "102.10"}
    parcel = await american.store.read(lambda tx: find_parcel(tx, "usps", number))
    rows = await american.store.read(lambda tx: said_about(tx, f"parcel:{parcel['id']}"))
    told = [row["type"].rpartition(".")[2] for row in rows if row["name"] in ("case/arrived", "case/received")]
    assert told == ["arrived", "received"]
    assert b'"home"' in rows[-1]["data"].encode()


async def test_policy_26_the_carriers_own_surcharge_is_deducted_once(american):
    """What the carrier really took, kept with the case, stands before the terms' own figure."""
    number = "9400100000000000000017"
    await american.order("US-2", number, "boutique-us", US_HOME, US_ITEMS[:1], "usps")
    await american.scan(number, Kind.REFUSED, 3, "usps")
    await american.scan(number, Kind.RETURNING_TO_SENDER, 4, "usps")
    parcel = await american.store.read(lambda tx: find_parcel(tx, "usps", number))

    async def billed(tx):
        await note_case(tx, parcel["id"], "under_way", None)
        line = {
            "name": "surcharge/refused",
            "kind": "surcharge",
            "amount": "4.50",
            "currency": "USD",
            "note": "refused",
        }
        await add_case_money(tx, parcel["id"], **line, at_us=0)

    await american.store.write(billed)
    view = await receive_parcel(american.till, american.shelf, "usps", number, Hands())
    assert [(line["name"], line["amount"]) for line in view["money"]["lines"]][-1] == ("surcharge", "-4.50")
    assert [(line["name"], line["amount"]) for line in view["costs"]] == [
        ("leg_out", "8.95"), ("leg_back", "8.95"), ("surcharge/refused", "4.50"),
    ]  # fmt: skip


async def test_an_undeliverable_parcel_is_received_by_hand(here):
    """No scan ever came: the warehouse says so, with the reason; in Europe the order service decides."""
    at = START + timedelta(days=5)
    here.at = START + timedelta(days=6)
    for _ in range(2):
        hands = Hands(at, reason="refused")
        view = await receive_parcel(here.till, here.shelf, "ups", OUT, hands)
    assert (view["received_by"], view["received_at"], view["reason"]) == (
        "warehouse",
        "2026-03-07T09:00:00Z",
        "refused",
    )
    assert (view["outcome"], view["money"]["lines"]) == ("order_service_decides", [])
    assert (await here.told("parcel:1")).count("return_to_warehouse.received") == 1
    assert await refused(receive_parcel(here.till, here.shelf, "ups", "1ZX", Hands())) == "parcel_unknown"
    number = (await here.register()).view["label"]["number"]
    assert await refused(receive_parcel(here.till, here.shelf, "ups", number, Hands())) == "parcel_of_return"


async def test_the_label_of_what_leaves_is_the_warehouses_to_print(here):
    """The bytes as they were bought; a return's own label is not given out at this address."""
    number = await here.home()
    view = await here.decide(number, one(NO))
    leaving = view["dispatches"][0]["parcel"]["number"]
    document = await dispatch_document(here.store, SEALER, "ups", leaving, LabelFormat.PDF)
    assert document.body == b"%PDF-1.7 " + leaving.encode()
    own = dispatch_document(here.store, SEALER, "ups", view["label"]["number"], LabelFormat.PDF)
    assert await refused(own) == "parcel_label_unknown"


async def test_nothing_personal_is_kept_of_what_leaves(here):
    """Addresses are in the sealed bytes of the label only."""
    number = await here.home(wishes(SWAP))
    await ship_out(here.till, here.shelf)
    view = await here.receive(number)
    assert Decimal(0) == sum((Decimal(t) for t in view["money"]["totals"].values()), Decimal(0))
    for subject in ("return:1", "order:1", "exchange:1"):
        rows = await here.store.read(lambda tx, subject=subject: said_about(tx, subject))
        for secret in ("Ada", "Keizersgracht", "example.com"):
            assert secret not in repr([dict(row) for row in rows]) + repr(view)
