"""A price that was asked back is followed until it is decided; a carrier's surcharge is a line of money, told once."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from alerts.ladder import _RULES
from carriers.contract import Kind
from cli.labels import labels_call
from spending.buying import buy
from spending.machine import State
from spending.reconciling import shown
from spending.refunds import refunded
from spending.resolving import resolve
from spending.surcharges import Surcharge, Unplaced, bill
from spending.voiding import void
from store.cases import money_of_case
from store.outbox import said_about
from store.parcels import find_parcel
from store.purchases import label_by_number, money_of
from tests.selling import Seller
from tests.test_returns_desk import OUT, Shop
from tests.test_spending_buying import Hands, planned, till_of

DAY = 86_400.0


async def disputed(store):
    """A label that is void, and whose price was asked back."""
    seller, hands = Seller(voids=["dispute"]), Hands()
    till = till_of(store, seller, hands)
    await buy(till, await planned(till))
    number = seller.charges[0][1]
    label = await store.read(lambda tx: label_by_number(tx, "ups", number))
    assert await void(till, label["id"], "for the test") is State.REFUND_PENDING
    return till, hands, seller, number, label["id"]


async def kinds(store, label_id):
    return [(line["kind"], line["amount"]) for line in await store.read(lambda tx: money_of(tx, label_id))]


async def said(store, label_id):
    return [row["type"] for row in await store.read(lambda tx: said_about(tx, f"label:{label_id}"))]


async def test_a_price_that_was_asked_back_is_no_refund_yet(store):
    """The label is void; the money says "asked", and it is shown as open; it is looked at once a day, no sooner."""
    till, hands, seller, number, id = await disputed(store)
    label = await store.read(lambda tx: label_by_number(tx, "ups", number))
    assert label["state"] == "voided" and await kinds(store, id) == [("price", "7.95"), ("refund_asked", "7.95")]
    view = await shown(till)
    assert [row["state"] for row in view["refunds"]] == ["REFUND_PENDING"] and view["open"] == []
    hands.at += DAY - 60
    await resolve(till)
    assert len(seller.asked_void) == 1
    seller.voids = ["dispute", "unreached", "lose", "refuse", "void"]
    for looked in range(2, 7):
        hands.at += DAY + 60
        await resolve(till)
        assert len(seller.asked_void) == looked
    assert await kinds(store, id) == [("price", "7.95"), ("refund_asked", "7.95"), ("refund", "7.95")]
    hands.at += 2 * DAY
    assert await resolve(till) == 0 and (await shown(till))["refunds"] == []


async def test_after_a_month_a_person_looks_and_settles_it(store):
    """Ops hear once; what the bill shows is the refund, nothing included; a second word changes nothing."""
    till, hands, seller, number, id = await disputed(store)
    seller.voids = ["refuse"] * 60
    for _ in range(40):
        hands.at += DAY + 60
        await resolve(till)
    assert len(seller.asked_void) == 31 and (await said(store, id)).count("ops.refund_overdue") == 1
    assert await refunded(till, "ups", number, Decimal("3.00"), "command line")
    assert not await refunded(till, "ups", number, Decimal("4.00"), "command line")
    assert (await kinds(store, id))[-1] == ("refund", "3.00") and (await said(store, id))[-1] == "ops.refund_settled"
    assert {"ops.refund_overdue", "ops.refund_settled"} <= _RULES.keys()


async def test_a_person_says_it_on_the_command_line(sqlite_store):
    """`homeward labels refunded`: an amount, once; anything else is said to be wrong."""
    till, _, _, number, id = await disputed(sqlite_store)
    parts, call = SimpleNamespace(till=till), {"do": "labels.refunded", "carrier": "ups", "number": number}
    assert "error" in await labels_call(parts, {**call, "amount": "much"})
    assert (await labels_call(parts, {**call, "amount": "7.95"}))["lines"] == [f"{number}: 7.95 came back"]
    assert "error" in await labels_call(parts, {**call, "amount": "7.95"})
    assert (await kinds(sqlite_store, id))[-1] == ("refund", "7.95")


async def test_a_look_that_dies_is_made_again(store):
    """Killed while it asks: still pending, and due again once the lease is over."""
    till, hands, seller, _, id = await disputed(store)

    async def dies(prepared):
        raise MemoryError

    hands.at += DAY + 60
    seller.void = dies
    with pytest.raises(ExceptionGroup):
        await resolve(till)
    del seller.void
    assert await resolve(till) == 0
    hands.at += 180
    assert await resolve(till) == 1
    assert (await kinds(store, id))[-1] == ("refund", "7.95")


async def test_every_label_has_a_line_of_its_price(store):
    """Also one whose price nobody stated: an empty amount with a note, not nothing."""
    till, _, seller, number, _ = await disputed(store)
    priced = {line["number"] for line in (await shown(till))["money"] if line["kind"] == "price"}
    assert priced == {number} == {each for _, each in seller.charges}


# ---------------------------------------------------------------------------------------------------------- surcharges


async def test_policy_26_a_surcharge_is_told_once_and_never_changes(store):
    """With our label it is a line beside its price; told again it is the same; another amount is refused."""
    till, _, _, number, id = await disputed(store)
    told, now = Surcharge("ups", number, "address_correction", Decimal("17.40"), "EUR"), till.clock.now()
    assert [await bill(store, told, now) for _ in range(2)] == [True, False]
    assert (await kinds(store, id))[-1] == ("surcharge", "17.40")
    with pytest.raises(Unplaced) as caught:
        await bill(store, Surcharge("ups", number, "address_correction", Decimal("9.00"), "EUR"), now)
    assert caught.value.code == "surcharge_differs"
    assert ("surcharge", "17.40") in [(line["kind"], line["amount"]) for line in (await shown(till))["money"]]


async def test_policy_26_a_refused_parcels_surcharge_belongs_to_its_way_home(sqlite_store):
    """An order's own parcel has no label of ours: nothing before it turns home, then a line of its case."""
    shop = await Shop(sqlite_store).order()
    told = Surcharge("ups", OUT, "refusal", Decimal("12.50"), "EUR")
    with pytest.raises(Unplaced) as caught:
        await bill(sqlite_store, told, shop.at)
    assert caught.value.code == "nothing_billed"
    await shop.scan(OUT, Kind.REFUSED, 1)
    assert await bill(sqlite_store, told, shop.at)
    parcel = await sqlite_store.read(lambda tx: find_parcel(tx, "ups", OUT))
    lines = await sqlite_store.read(lambda tx: money_of_case(tx, parcel["id"]))
    assert [(line["name"], line["kind"], line["amount"]) for line in lines] == [("refusal", "surcharge", "12.50")]
