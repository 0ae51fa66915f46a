"""Buying stops at a cap, when too much is unknown, without room, and when a person says so; and goes on again."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from alerts.ladder import Clear, Notice, Raise, decide
from carriers.contract import LabelRequest
from spending.brakes import Braked, Limits, mind, start, stop, tell_braked
from spending.buying import buy
from spending.intents import Intent, new_purchase_id, new_reference, plan, state_of
from spending.journal import Journal
from spending.machine import State
from spending.resolving import resolve
from store.engine import open_store
from store.outbox import said_about
from tests.selling import Seller
from tests.test_spending_buying import HERE, THERE, Hands, pass_time, till_of


def limited(store, seller, hands, **limits):
    return replace(till_of(store, seller, hands), limits=replace(Limits(), **limits))


async def planned(till, subject="return:1", caller="shop", generation=1):
    request = LabelRequest(new_purchase_id(), new_reference(), HERE, THERE, Decimal("1.5"), "Returned goods")
    prepared = till.carriers["ups"].prepare_label(request)
    intent = Intent(request.purchase_id, "ups", subject, generation, prepared, {"return_number": "R1"}, caller)
    await till.store.write(lambda tx: plan(tx, till, intent))
    return intent.id


async def refused(till, *args, **kwargs):
    with pytest.raises(Braked) as caught:
        await planned(till, *args, **kwargs)
    return caught.value.code


async def notices(till):
    rows = await till.store.read(lambda tx: said_about(tx, "spending"))
    return [(row["type"], json.loads(row["data"]).get("code")) for row in rows]


async def alert(till):
    """What the ladder makes of the last notice about spending."""
    row = (await till.store.read(lambda tx: said_about(tx, "spending")))[-1]
    [decision] = decide(Notice("spending", row["name"], row["type"], till.clock.now(), json.loads(row["data"])))
    return decision


async def test_one_return_cannot_cost_more_than_its_cap(store):
    """180 for a return: what was paid counts, and the most that the next one may cost."""
    till = limited(store, Seller(prices=["59.00", "59.00", "2.50"]), Hands(), per_return=Decimal(180))
    for generation in (1, 2, 3):
        await buy(till, await planned(till, generation=generation))
    assert await refused(till, generation=4) == "spend_cap_return"
    await planned(till, "return:2")


async def test_a_key_and_everybody_have_their_caps_for_an_hour(store):
    """The cap of a key holds for that key, the cap of all for all; both are open again an hour later."""
    hands = Hands()
    till = limited(store, Seller(), hands, per_key=Decimal(120), per_hour=Decimal(190))
    for number, caller in enumerate(("a", "a", "b")):
        await planned(till, f"return:{number}", caller)
    assert await refused(till, "return:8", "a") == "spend_cap_key"
    assert await refused(till, "return:8", "c") == "spend_cap_hour"
    hands.at += 3601
    await planned(till, "return:8", "a")


async def test_what_was_refused_or_given_up_counts_no_more(store):
    """A purchase that bought nothing gives its reserve back; one that bought counts with its price."""
    till = limited(store, Seller(["reject", "sell"]), Hands(), per_hour=Decimal(67))
    await buy(till, await planned(till))
    await buy(till, await planned(till, "return:2"))
    assert await refused(till, "return:3") == "spend_cap_hour"  # 7.95 and 60 are more than 67


async def test_too_many_unknown_purchases_stop_buying_until_they_are_settled(store):
    """More than 20 unknown: refused; ops hear it once, and once that it is over."""
    hands = Hands()
    seller = Seller(["drop"] * 4)
    till = limited(store, seller, hands, unknown=3)
    for number in range(4):
        await buy(till, await planned(till, f"return:{number}"))
    assert await refused(till, "return:9") == "unknown_purchases"
    await mind(till)
    await mind(till)
    assert await notices(till) == [("ops.buying_braked", "unknown_purchases")]
    assert isinstance(await alert(till), Raise)
    await pass_time(till, hands, 1200)
    await mind(till)
    assert await notices(till) == [
        ("ops.buying_braked", "unknown_purchases"),
        ("ops.buying_released", "unknown_purchases"),
    ]
    assert isinstance(await alert(till), Clear)
    await planned(till, "return:9")


async def test_a_rate_of_unknown_purchases_stops_buying(store):
    """More than 2 % of the last ten minutes, once enough were sent for a rate."""
    hands = Hands()
    till = limited(store, Seller(["sell"] * 49 + ["drop", "drop"]), hands)
    for number in range(50):
        await buy(till, await planned(till, f"return:{number}"))
    await buy(till, await planned(till, "return:50"))  # 1 of 50 is 2 %, not more
    assert await refused(till, "return:51") == "unknown_purchases"
    hands.at += 601
    await planned(till, "return:51")


async def test_without_room_on_the_disk_nothing_is_bought(store):
    """What is bought must be kept: too little room refuses before anything is planned."""
    till = limited(store, Seller(), Hands())
    full = replace(till, free=lambda: 1024)
    assert await refused(full) == "disk_full"
    await planned(till)


async def test_a_disk_that_takes_no_writing_is_a_brake_and_what_was_planned_waits(store, tmp_path):
    """Not written down first, not sent: the purchase is as it was, ops hear it once, and it is sent once it can be."""
    (tmp_path / "purchases.journal").mkdir()  # like a disk that became read-only: for nobody is it to be opened
    seller, hands = Seller(), Hands()
    till = limited(store, seller, hands)
    purchase_id = await planned(till)
    journal = Journal(tmp_path / "purchases.journal", till.sealer)
    broken = replace(till, free=journal.room, note=journal.note)
    assert await buy(broken, purchase_id) is State.PLANNED and seller.sent == []
    assert await refused(broken, "return:2") == "disk_full"
    for _ in range(2):
        await mind(broken)
    assert await notices(till) == [("ops.buying_braked", "disk_full")]
    hands.at += 60
    await resolve(broken)
    assert seller.sent == []
    (tmp_path / "purchases.journal").rmdir()
    assert journal.room() > 1_000_000
    await mind(broken)
    hands.at += 60
    await resolve(broken)
    assert await state_of(till, purchase_id) is State.BOUGHT and len(seller.sent) == 1
    assert (await notices(till))[-1] == ("ops.buying_released", "disk_full")
    assert [line.id for line in journal.lines()] == [purchase_id]


async def test_the_switch_survives_a_restart(sqlite_url):
    """Stopped, closed and opened again: nothing is bought, nothing planned is sent; started again it is."""
    seller, hands = Seller(), Hands()
    store = await open_store(sqlite_url)
    till = till_of(store, seller, hands)
    waiting = await planned(till)
    assert await stop(store, "ann", "the carrier is odd", till.clock.now())
    assert not await stop(store, "ann", "again", till.clock.now())
    await store.close()
    store = await open_store(sqlite_url)
    till = till_of(store, seller, hands)
    assert await refused(till, "return:2") == "buying_stopped"
    await pass_time(till, hands, 300)
    assert (seller.sent, await state_of(till, waiting)) == ([], State.PLANNED)
    assert await notices(till) == [("ops.buying_stopped", "buying_stopped")]
    raised = await alert(till)
    assert isinstance(raised, Raise) and "the carrier is odd" in raised.title
    assert await start(store, "ann", till.clock.now()) and not await start(store, "ann", till.clock.now())
    assert await alert(till) == Clear("spending", raised.key)
    await pass_time(till, hands, 300)
    assert await state_of(till, waiting) is State.BOUGHT
    await store.close()


async def test_stopped_nothing_is_sent_again_but_looking_goes_on(store):
    """The switch holds resends too; what was paid is still found and kept."""
    seller, hands = Seller(["drop", "lose"]), Hands()
    till = till_of(store, seller, hands)
    gone, paid = await planned(till), await planned(till, "return:2")
    await buy(till, gone)
    await buy(till, paid)
    await stop(store, "ann", "", till.clock.now())
    await pass_time(till, hands, 7200)
    assert (await state_of(till, gone), await state_of(till, paid)) == (State.UNKNOWN, State.BOUGHT)
    assert len(seller.sent) == 2
    await start(store, "ann", till.clock.now())
    await pass_time(till, hands, 300)
    assert await state_of(till, gone) is State.BOUGHT


async def test_a_cap_is_told_to_ops_once_an_hour(store):
    """However often it refuses, ops hear a cap once an hour."""
    till = limited(store, Seller(), Hands(), per_key=Decimal(10))
    for _ in range(3):
        with pytest.raises(Braked) as caught:
            await planned(till)
        await tell_braked(till, caught.value, "shop", "return:1")
    assert await notices(till) == [("ops.spend_cap", "spend_cap_key")]
    assert isinstance(await alert(till), Raise)


async def test_nothing_planned_is_kept_of_a_refused_purchase(store):
    """The refusal undoes the whole unit: no row, nothing for the sweep."""
    till = limited(store, Seller(), Hands(), per_key=Decimal(10))
    await refused(till)
    assert await resolve(till) == 0


def test_limits_are_read_from_their_setting():
    """label=, return=, key= and hour=; anything else is an error that names it."""
    assert Limits.parse("label=10, hour=99.50") == replace(Limits(), label=Decimal(10), per_hour=Decimal("99.50"))
    assert Limits.parse("") == Limits()
    with pytest.raises(ValueError, match="day=1"):
        Limits.parse("day=1")
