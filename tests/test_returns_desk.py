"""A pre-paid return: registered against the terms, labelled, given up, and followed home, on both databases."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from carriers.contract import Address, Event, Kind, LabelFormat, Payload, Place, Readings, Reason, Source
from merchants.terms import Outcome, ReturnReason, shipped
from returns.desk import cancel, register
from returns.eligibility import Courier, Wish
from returns.following import follow, follow_parcel
from returns.forms import Asked, OrderWishes
from returns.labels import settle_all
from returns.showing import label_document, return_view
from returns.states import ReturnState, state_after
from spending.intents import Till
from spending.machine import Pace, State
from spending.resolving import resolve
from store.outbox import said_about
from store.parcels import find_parcel
from store.sealing import Sealer
from tests.selling import Seller
from tracker.ledger import Ledger
from tracker.lifecycle import Leg, Status
from tracker.orders import Declined, Item, Order, order_view, put_order, ship

SEALER = Sealer(b"k" * 32)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOME = Address("Ada Bianchi", ("Keizersgracht 1",), "Amsterdam", "1015 CJ", "NL", email="ada@example.com")
ITEMS = (
    Item("DRESS", 2, Decimal("120.00"), "dresses"),
    Item("PERFUME", 1, Decimal("90.00"), "Fragrance"),
)
OUT = "1Z5338FF0107231059"
ASKED = Asked("boutique-eu", (OrderWishes("EU-1", (Wish("DRESS", 1, ReturnReason.SIZE),)),))
US_HOME = Address("Bo Smith", ("1 Main St",), "Boston", "02108", "US", "MA")


class Scribe:
    """A carrier's reading for tests: the payload is our own events as JSON."""

    def read(self, payload: Payload) -> Readings:
        return Readings(msgspec.json.decode(payload.body, type=tuple[Event, ...]))


class Shop:
    """A store with an order shipped on 2 March, a till with a scripted seller, the real ledger, and a clock by hand."""

    def __init__(self, store, seller=None) -> None:
        self.store = store
        self.seller = seller or Seller()
        self.at = START
        self.real = 1_772_400_000.0
        clock = SimpleNamespace(now=lambda: self.at)
        carriers = {"ups": self.seller, "usps": self.seller}
        self.till = Till(store, SEALER, carriers, clock, Pace(), lambda: self.real)
        self.shelf = shipped()
        self.ledger = Ledger(store, {"ups": Scribe(), "usps": Scribe()}, self.shelf)

    async def order(
        self, number="EU-1", tracking=OUT, merchant="boutique-eu", address=HOME, items=ITEMS, carrier="ups"
    ):
        order = Order(merchant, number, self.at, address, "ada@example.com", "EUR", items)
        await put_order(self.store, SEALER, self.shelf, order, self.at)
        if tracking:
            call = {"merchant": merchant, "number": number, "carrier": carrier, "tracking_number": tracking}
            await ship(self.store, SEALER, self.shelf, now=self.at, **call)
        return self

    async def scan(self, number, kind, days=0.0, carrier="ups", place=Place("Amsterdam", "", "1012", "NL")):
        """The carrier tells one event, so many days after the start; the ledger reads it, and returns follow."""
        at = START + timedelta(days=days)
        self.at = max(self.at, at)
        reason = Reason.REFUSED if kind is Kind.REFUSED else None
        event = Event(carrier, number, at, at, at.date(), kind, f"T/{kind}", str(kind), place, reason)
        kept = await self.ledger.keep(Payload(carrier, Source.PUSH, msgspec.json.encode([event])), self.at)
        await self.ledger.read(kept.id, self.at)
        await follow(self.till, self.shelf)

    async def register(self, asked=ASKED):
        return await register(self.till, self.shelf, asked)

    async def refused(self, asked=ASKED):
        with pytest.raises(Declined) as caught:
            await self.register(asked)
        return caught.value

    async def said(self, id=1):
        rows = await self.store.read(lambda tx: said_about(tx, f"return:{id}"))
        return [row["type"] for row in rows]

    async def view(self, number):
        return await self.store.read(lambda tx: return_view(tx, number))


@pytest.fixture
async def shop(store):
    return await Shop(store).order()


@pytest.fixture
async def here(sqlite_store):
    return await Shop(sqlite_store).order()


def wishes(*items, order="EU-1", **changes):
    return replace(ASKED, orders=(OrderWishes(order, items),), **changes)


async def test_a_prepaid_return_gets_its_label_and_its_parcel(shop):
    """Registered: one label bought, its documents kept, its parcel followed, two notices and the money's, in order."""
    await shop.scan(OUT, Kind.DELIVERED, 2)
    answer = await shop.register()
    view = answer.view
    assert (answer.status, view["state"]) == (201, "label_ready")
    number = shop.seller.charges[0][1]
    assert (view["label"]["number"], view["label"]["formats"], view["label"]["price"]) == (
        number,
        ["pdf", "zpl"],
        "7.95",
    )
    assert (view["parcel"]["number"], view["parcel"]["leg"]) == (number, "out")
    assert await shop.said() == ["return.registered", "label.purchased", "return.label_ready"]
    parcel = await shop.store.read(lambda tx: find_parcel(tx, "ups", number))
    assert parcel["purpose"] == "return"
    places = json.loads(parcel["shipment"])
    assert (places["origin"]["city"], places["destination"]["city"]) == ("Amsterdam", "Bentivoglio")
    order = await shop.store.read(lambda tx: order_view(tx, "boutique-eu", "EU-1"))
    [line] = order["returns"]
    assert (line["return_number"], line["state"], line["parcel"]["number"]) == (
        view["return_number"],
        "label_ready",
        number,
    )


async def test_the_answer_says_which_clock_and_which_scan(shop):
    """30 days from the delivery scan, which is named; without one, the stated fallback is."""
    await shop.scan(OUT, Kind.DELIVERED, 2)
    [clock] = (await shop.register()).view["clocks"]
    assert (clock["term"], clock["clock"], clock["fell_back"]) == ("returns.send", "delivered", False)
    assert clock["scan"] == "T/delivered@2026-03-04T09:00:00Z" and clock["ends"] == "2026-04-03T22:00:00Z"


async def test_nothing_personal_is_kept_in_the_clear(shop):
    """The sender's name and street are nowhere in the return, its purchase or its notices, but sealed."""
    await shop.register()
    from store.purchases import purchase_of
    from store.returns import find_return, lock_return_by_id

    async def rows(tx):
        row = await lock_return_by_id(tx, 1)
        assert await find_return(tx, row["number"])
        purchase = await purchase_of(tx, "return:1", "label")
        notices = await said_about(tx, "return:1")
        return [dict(row), dict(purchase), *map(dict, notices)]

    kept = repr(await shop.store.write(rows))
    for secret in ("Ada", "Keizersgracht", "example.com"):
        assert secret not in kept


async def test_the_label_is_the_same_bytes_every_time(shop):
    """PDF and ZPL as they were bought; a format that was not bought is a clear no."""
    number = (await shop.register()).view["return_number"]
    one = await label_document(shop.store, SEALER, number, LabelFormat.PDF)
    two = await label_document(shop.store, SEALER, number, LabelFormat.PDF)
    assert one == two and one.body.startswith(b"%PDF-") and one.media_type == "application/pdf"
    with pytest.raises(Declined) as caught:
        await label_document(shop.store, SEALER, number, LabelFormat.PNG)
    assert caught.value.code == "label_unknown" and "pdf, zpl" in caught.value.message
    with pytest.raises(Declined) as caught:
        await label_document(shop.store, SEALER, "R0", LabelFormat.PDF)
    assert caught.value.code == "return_not_found"


async def test_the_same_key_is_the_same_return(shop):
    """Two callers at once and a retry with one key: one return and label; for something else it is refused."""
    asked = replace(ASKED, key="k-1")
    answers = await asyncio.gather(*(shop.register(asked) for _ in range(4)))
    answers.append(await shop.register(asked))
    assert len({answer.view["return_number"] for answer in answers}) == 1
    assert len(shop.seller.charges) == 1
    assert answers[-1].status == 201
    other = await shop.refused(replace(asked, weight_kg=Decimal(2)))
    assert other.code == "idempotency_key_reused"


async def test_an_item_comes_back_once_however_many_ask(shop):
    """Two of an item, three returns at once: two get a label, one is refused."""
    ends = await asyncio.gather(*(shop.register() for _ in range(3)), return_exceptions=True)
    assert sorted(getattr(end, "code", "ok") for end in ends) == ["ok", "ok", "quantity_wrong"]
    assert len(shop.seller.charges) == 2


async def test_an_unknown_purchase_is_202_and_the_label_comes_later(shop):
    """No answer from the carrier: label_pending, not failed; once found, label_ready and said once."""
    shop.seller.script = ["lose"]
    answer = await shop.register(replace(ASKED, key="k"))
    assert (answer.status, answer.view["state"], answer.view["label"]) == (202, "label_pending", None)
    shop.real += 20
    await resolve(shop.till)
    assert (await shop.register(replace(ASKED, key="k"))).status == 202  # found, not handed over yet
    await asyncio.gather(settle_all(shop.till, shop.shelf), settle_all(shop.till, shop.shelf))
    assert (await shop.register(replace(ASKED, key="k"))).status == 201
    assert len(shop.seller.charges) == 1
    assert await shop.said() == ["return.registered", "ops.purchase_unknown", "label.purchased", "return.label_ready"]


async def test_a_refused_label_frees_the_items(shop):
    """The carrier says no: 422 with its words, now and for the retry; the items can be asked for again."""
    shop.seller.script = ["reject"]
    asked = wishes(Wish("DRESS", 2, ReturnReason.SIZE), key="k")
    for _ in range(2):
        error = await shop.refused(asked)
        assert (error.code, error.message) == ("label_refused", "120100 the address is wrong")
    assert (await shop.register(replace(asked, key="k2"))).status == 201


async def test_a_crash_between_the_refusal_and_the_return_is_swept_up(here):
    """The purchase is rejected, nobody was there to hear it: the sweep ends the return."""
    from spending.buying import buy
    from store.purchases import purchase_of

    here.seller.script = ["unreached"]
    number = (await here.register()).view["return_number"]
    here.seller.script, here.real = ["reject"], here.real + 60
    purchase = await here.store.read(lambda tx: purchase_of(tx, "return:1", "label"))
    assert await buy(here.till, purchase["id"]) is State.REJECTED
    assert (await here.view(number))["state"] == "label_pending"
    assert await settle_all(here.till, here.shelf) == 1
    assert (await here.view(number))["state"] == "cancelled"
    assert await settle_all(here.till, here.shelf) == 0


async def test_i_keep_it_is_silent(shop):
    """Policy 48: cancelling says nothing, twice is the same, and the label stays unused."""
    number = (await shop.register()).view["return_number"]
    before = await shop.said()
    for _ in range(2):
        assert (await cancel(shop.till, number))["state"] == "cancelled"
    assert await shop.said() == before
    with pytest.raises(Declined) as caught:
        await cancel(shop.till, "R0")
    assert caught.value.code == "return_not_found"


async def test_i_keep_it_before_the_label_was_sent_for_buys_nothing(shop):
    """Given up while no request has reached the carrier: none ever does."""
    shop.seller.script = ["unreached"]
    number = (await shop.register()).view["return_number"]
    await cancel(shop.till, number)
    shop.real += 3600
    await resolve(shop.till)
    assert shop.seller.charges == [] and (await shop.view(number))["state"] == "cancelled"


async def test_a_label_that_turns_up_after_i_keep_it_stays_quiet_but_is_followed(shop):
    """Given up while the purchase was unknown: the label is kept and its parcel known, nobody is told it is ready."""
    shop.seller.script = ["lose"]
    number = (await shop.register()).view["return_number"]
    await cancel(shop.till, number)
    shop.real += 20
    await resolve(shop.till)
    await settle_all(shop.till, shop.shelf)
    view = await shop.view(number)
    assert view["state"] == "cancelled" and view["parcel"]["number"] == shop.seller.charges[0][1]
    assert "return.label_ready" not in await shop.said()


async def test_a_return_is_followed_home_each_step_once(shop):
    """On its way, received: each said once, though every sweep runs twice and two run at once."""
    view = (await shop.register()).view
    number = view["label"]["number"]
    await shop.scan(number, Kind.LABEL_CREATED, 3)
    await shop.scan(number, Kind.PICKED_UP, 4)
    await shop.scan(number, Kind.IN_TRANSIT, 5)
    await asyncio.gather(follow(shop.till, shop.shelf), follow(shop.till, shop.shelf))
    assert (await shop.view(view["return_number"]))["state"] == "on_its_way"
    with pytest.raises(Declined) as caught:
        await cancel(shop.till, view["return_number"])
    assert caught.value.code == "return_under_way"
    await shop.scan(number, Kind.DELIVERED, 8, place=Place("Bentivoglio", "", "40010", "IT"))
    await asyncio.gather(follow(shop.till, shop.shelf), follow(shop.till, shop.shelf))
    home = await shop.view(view["return_number"])
    assert home["state"] == "received"
    assert (await shop.said())[3:] == ["return.on_its_way", "return.received"]
    await follow_parcel(shop.till, shop.shelf, 2)
    assert await shop.view(view["return_number"]) == home


async def test_steps_between_two_sweeps_are_all_said_in_order(shop, monkeypatch):
    """A parcel that went the whole way between two sweeps: on its way, then received."""
    view = (await shop.register()).view
    number = view["label"]["number"]
    with monkeypatch.context() as patch:
        patch.setattr("tests.test_returns_desk.follow", _nothing)
        await shop.scan(number, Kind.PICKED_UP, 4)
        await shop.scan(number, Kind.DELIVERED, 8, place=Place("Bentivoglio", "", "40010", "IT"))
    await follow(shop.till, shop.shelf)
    assert (await shop.said())[3:] == ["return.on_its_way", "return.received"]


async def _nothing(till, shelf):
    return 0


async def test_a_return_that_turns_round_bounces_and_a_lost_one_is_lost(shop):
    """The parcel goes back to the customer: bounced. Lost: lost."""
    first = (await shop.register()).view
    second = (await shop.register()).view
    await shop.scan(first["label"]["number"], Kind.PICKED_UP, 4)
    await shop.scan(first["label"]["number"], Kind.RETURNING_TO_SENDER, 5)
    await shop.scan(second["label"]["number"], Kind.LOST, 9)
    assert (await shop.view(first["return_number"]))["state"] == "bounced"
    assert (await shop.view(second["return_number"]))["state"] == "lost"
    assert (await shop.said(1))[-1] == "return.bounced" and (await shop.said(2))[-1] == "return.lost"


async def test_i_keep_it_and_then_sent_after_all(shop):
    """A late first scan of a label whose return was given up is followed like any other."""
    view = (await shop.register()).view
    await cancel(shop.till, view["return_number"])
    await shop.scan(view["label"]["number"], Kind.PICKED_UP, 31)
    assert (await shop.view(view["return_number"]))["state"] == "on_its_way"


async def test_several_orders_ride_on_one_label(shop):
    """Policy 42: two orders, one box, one label; one scan moves the one return of both."""
    await shop.order("EU-2", "1Z999AA10123456784")
    wish = (Wish("DRESS", 1, ReturnReason.SIZE),)
    view = (await shop.register(replace(ASKED, orders=(OrderWishes("EU-2", wish), OrderWishes("EU-1", wish))))).view
    assert [order["order_number"] for order in view["orders"]] == ["EU-1", "EU-2"]
    assert len(shop.seller.charges) == 1


@pytest.mark.parametrize(
    ("asked", "code", "pointer", "term"),
    [
        (wishes(), "return_empty", "/orders", ""),
        (wishes(Wish("DRESS", 1, ReturnReason.SIZE), order="X"), "order_not_found", "/orders/0/order_number", ""),
        (wishes(Wish("HAT", 1, ReturnReason.SIZE)), "item_not_in_order", "/orders/0/items/0/sku", ""),
        (wishes(Wish("DRESS", 3, ReturnReason.SIZE)), "quantity_wrong", "/orders/0/items/0/quantity", ""),
        (wishes(*[Wish("DRESS", 1, ReturnReason.SIZE)] * 3), "quantity_wrong", "/orders/0/items/2/quantity", ""),
        (wishes(Wish("PERFUME", 1, ReturnReason.DEFECT)), "contact_us", "/orders/0/items/0", "returns.never"),
        (
            wishes(Wish("DRESS", 1, ReturnReason.SIZE), from_address=replace(HOME, country="BE")),
            "other_country",
            "/orders/0/items/0",
            "returns.from_country",
        ),
        (
            wishes(Wish("DRESS", 1, ReturnReason.SIZE, Outcome.STORE_CREDIT)),
            "outcome_not_offered",
            "/orders/0/items/0",
            "outcome.choices",
        ),
        (wishes(Wish("DRESS", 1, ReturnReason.SIZE), merchant="nobody"), "merchant_unknown", "", ""),
        (
            wishes(Wish("DRESS", 1, ReturnReason.SIZE), from_address=replace(HOME, city="")),
            "label_impossible",
            "/from_address",
            "",
        ),
    ],
)
async def test_a_refusal_names_its_code_and_term(here, asked, code, pointer, term):
    """Each refusal says what and which term; nothing is kept and nothing is bought."""
    error = await here.refused(asked)
    assert (error.code, error.pointer, error.term) == (code, pointer, term)
    assert here.seller.sent == [] and await here.said() == []


async def test_policy_28_too_late_is_judged_on_the_local_day(here):
    """Delivered on 4 March: 3 April 23:59 in Rome is in time, midnight is not."""
    await here.scan(OUT, Kind.DELIVERED, 2)
    here.at = datetime(2026, 4, 3, 22, 0, tzinfo=UTC)
    error = await here.refused()
    assert (error.code, error.term) == ("return_window_over", "returns.send")
    assert "2026-04-03 23:59 Europe/Rome" in error.message
    here.at = datetime(2026, 4, 3, 21, 59, tzinfo=UTC)
    assert (await here.register()).status == 201


async def test_what_has_not_reached_the_customer_cannot_come_back(here):
    """Not shipped, or gone home undelivered: no label."""
    await here.order("EU-9", "")
    error = await here.refused(wishes(Wish("DRESS", 1, ReturnReason.SIZE), order="EU-9"))
    assert error.code == "item_not_shipped"
    await here.scan(OUT, Kind.REFUSED, 1)
    await here.scan(OUT, Kind.RETURNING_TO_SENDER, 2)
    assert (await here.refused()).code == "item_not_shipped"


US_ITEMS = (
    Item("DRESS", 1, Decimal("120.00"), "dresses"),
    Item("BIKINI", 1, Decimal("60.00"), "swimwear"),
    Item("SALE-TOP", 1, Decimal("20.00"), "tops", sale=True),
    Item("LAST-TOP", 1, Decimal("10.00"), "tops", final_sale=True),
    Item("OLD-TOP", 1, Decimal("30.00"), "tops", discontinued=True, replacement_in_stock=False),
)
US_OUT = "9400100000000000000000"


@pytest.fixture
async def american(sqlite_store):
    shop = Shop(sqlite_store, Seller(name="usps", title="USPS"))
    await shop.order("US-1", US_OUT, "boutique-us", US_HOME, US_ITEMS, "usps")
    await shop.scan(US_OUT, Kind.DELIVERED, 1, "usps", Place("Boston", "MA", "02108", "US"))
    return shop


def us(sku, reason=ReturnReason.DEFECT, outcome=Outcome.EXCHANGE, **changes):
    return wishes(Wish(sku, 1, reason, outcome), order="US-1", merchant="boutique-us", **changes)


@pytest.mark.parametrize(
    ("asked", "code", "term"),
    [
        (us("BIKINI"), "never_returnable", "returns.never"),
        (us("SALE-TOP"), "never_returnable", "returns.sale"),
        (us("LAST-TOP"), "never_returnable", "returns.final_sale"),
        (us("DRESS", ReturnReason.SIZE), "label_not_paid", "label.shop_pays_for"),
        (us("DRESS", outcome=Outcome.REFUND), "outcome_not_offered", "outcome.choices"),
        (us("DRESS", from_address=HOME), "other_country", "returns.from_country"),
    ],
)
async def test_the_american_shop_refuses_by_its_terms(american, asked, code, term):
    """Policies 34, 40, 58: never returnable, who pays, what is offered, from where."""
    error = await american.refused(asked)
    assert (error.code, error.term) == (code, term)


async def test_policy_30_72_hours_to_contact(american):
    """72 hours from receipt to the minute, then the contact term refuses."""
    american.at = START + timedelta(days=4, seconds=-1)
    assert (await american.register(us("DRESS"))).view["label"]["carrier"] == "usps"
    american.at = START + timedelta(days=4)
    error = await american.refused(us("OLD-TOP"))
    assert (error.code, error.term) == ("return_window_over", "returns.contact")


async def test_policy_58_what_the_customer_gets(american):
    """A defect is exchanged, or credited when out of stock; what is discontinued and unwanted is refunded."""
    view = (await american.register(us("DRESS"))).view
    assert view["orders"][0]["items"][0]["gets"] == "exchange"
    view = (await american.register(us("OLD-TOP"))).view
    assert view["orders"][0]["items"][0]["gets"] == "store_credit"
    await cancel(american.till, view["return_number"])
    own = us("OLD-TOP", ReturnReason.SIZE, Outcome.REFUND, courier=Courier.OWN)
    answer = await american.register(own)
    assert (answer.status, answer.view["state"], answer.view["label"]) == (201, "registered", None)
    assert answer.view["orders"][0]["items"][0]["gets"] == "refund"


async def test_a_number_the_carrier_gave_twice_reaches_nobody(here):
    """The label's number is another parcel's already: the return waits for a person, and ops hear of it."""
    from tests.selling import label

    here.seller._charge = lambda reference: label(OUT)
    answer = await here.register()
    assert (answer.status, answer.view["parcel"]) == (202, None)
    assert "ops.purchase_unknown" in await here.said()


@pytest.mark.parametrize(
    ("current", "leg", "status", "state"),
    [
        ("label_ready", Leg.OUT, Status.LABEL_CREATED, "label_ready"),
        ("label_ready", Leg.OUT, Status.VOIDED, "label_ready"),
        ("label_ready", Leg.OUT, Status.ACCEPTED, "on_its_way"),
        ("registered", Leg.OUT, Status.IN_TRANSIT, "on_its_way"),
        ("label_ready", Leg.OUT, Status.DELIVERED, "received"),
        ("on_its_way", Leg.OUT, Status.UNDELIVERABLE, "on_its_way"),
        ("on_its_way", Leg.BACK, Status.IN_TRANSIT, "bounced"),
        ("on_its_way", Leg.BACK, Status.DELIVERED, "bounced"),
        ("bounced", Leg.OUT, Status.IN_TRANSIT, "on_its_way"),
        ("on_its_way", Leg.OUT, Status.DESTROYED, "lost"),
        ("lost", Leg.OUT, Status.DELIVERED, "received"),
        ("received", Leg.OUT, Status.IN_TRANSIT, "on_its_way"),
        ("accepted", Leg.OUT, Status.LOST, "accepted"),
        ("refunded", Leg.BACK, Status.IN_TRANSIT, "refunded"),
    ],
)
def test_how_a_parcel_moves_its_return(current, leg, status, state):
    """A parcel that came home to the customer never reads as received; what the warehouse said stays."""
    notice = f"return.{state}" if state != current else None
    assert state_after(ReturnState(current), leg, status) == (ReturnState(state), notice)


def test_every_state_of_the_product_page_is_there():
    """The states of product.md section 4."""
    words = (
        "registered label_pending label_ready on_its_way received checking accepted partly_accepted rejected sent_back"
    )
    assert {*words.split(), "exchanged", "refunded", "cancelled", "lost", "bounced"} == set(ReturnState)
