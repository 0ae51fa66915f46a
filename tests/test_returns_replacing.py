"""Facts about a lost label: the same one again, another one for nothing, void on proof, and the waybill instead."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from carriers.contract import Abilities, Away, Kind, Place
from merchants.terms import shipped
from returns.desk import cancel
from returns.forms import about_of
from returns.labels import settle_all
from returns.replacing import Wanted, follow_strays, replace_label, void_label
from returns.states import ReturnState
from returns.waybills import issue_waybill, waybill_of
from spending.reconciling import shown
from spending.resolving import resolve
from store.engine import Store
from store.purchases import all_labels
from store.returns import find_return
from tests.test_returns_desk import OUT, Shop
from tracker.orders import Declined

COMPROMISED = Wanted(compromised=True)


def giving_new_labels(shop: Shop) -> Shop:
    """Terms under which a lost label is replaced."""
    terms = shipped()["boutique-eu"][-1]
    lost = terms.lost_label.model_copy(update={"answer": "new_label"})
    shop.shelf = {"boutique-eu": [terms.model_copy(update={"lost_label": lost})]}
    return shop


@pytest.fixture
async def shop(store: Store) -> Shop:
    return giving_new_labels(await Shop(store).order())


@pytest.fixture
async def here(sqlite_store: Store) -> Shop:
    return giving_new_labels(await Shop(sqlite_store).order())


async def labelled(shop: Shop) -> str:
    return str((await shop.register()).view["return_number"])


async def labels(shop: Shop) -> list[tuple[str, str]]:
    return [(row["number"], row["state"]) for row in await shop.store.read(all_labels)]


async def refused(work: Any) -> Declined:
    with pytest.raises(Declined) as caught:
        await work
    return caught.value


# --------------------------------------------------------------------------------------------------------- the same one


async def test_a_lost_label_is_the_same_label_again(shop: Shop) -> None:
    """The bytes are here and it is unused: 200 with the same number, nothing is bought, said or void."""
    number = await labelled(shop)
    before = await shop.said()
    told = await replace_label(shop.till, shop.shelf, number, Wanted())
    assert (told.status, told.view["label"]["number"]) == (200, shop.seller.charges[0][1])
    assert len(shop.seller.charges) == 1 and shop.seller.asked_void == []
    assert await shop.said() == before


# -------------------------------------------------------------------------------------------------------- another one


async def test_a_compromised_label_is_void_and_another_one_stands_in(shop: Shop) -> None:
    """201: the old one void at the carrier with its price coming back, one live label, its parcel the return's."""
    number = await labelled(shop)
    old = shop.seller.charges[0][1]
    await shop.scan(old, Kind.LABEL_CREATED)  # its parcel has notices of its own already
    told = await replace_label(shop.till, shop.shelf, number, COMPROMISED)
    new = told.view["label"]["number"]
    assert (told.status, told.view["state"], told.view["parcel"]["number"]) == (201, "label_ready", new)
    assert new != old and shop.seller.live == [new]
    assert await labels(shop) == [(old, "voided"), (new, "live")]
    lines = [(line["number"], line["kind"], line["amount"]) for line in (await shown(shop.till))["money"]]
    assert lines == [(old, "price", "7.95"), (old, "refund", "7.95"), (new, "price", "7.95")]
    assert (await shop.said()).count("return.label_ready") == 2
    await shop.scan(new, Kind.PICKED_UP, 1)
    assert (await shop.view(number))["state"] == "on_its_way"


async def test_a_code_instead_of_paper_is_another_label(here: Shop) -> None:
    """No printer after all: the unused label is void, and the next one is a code; else nothing changes."""
    number = await labelled(here)
    error = await refused(replace_label(here.till, here.shelf, number, Wanted(qr=True)))
    assert (error.code, error.pointer) == ("label_impossible", "/qr") and len(here.seller.live) == 1
    here.seller.abilities = Abilities(qr="")
    assert (await replace_label(here.till, here.shelf, number, Wanted(qr=True))).status == 201
    assert here.seller.requests[-1].qr and len(here.seller.live) == 1
    assert (await replace_label(here.till, here.shelf, number, Wanted(qr=True))).status == 200


async def test_a_carrier_that_voids_no_returns_charges_none_that_is_unused(shop: Shop) -> None:
    """The old one is void here alone, with the carrier's reason; nothing is sent to void it."""
    shop.seller.abilities = Abilities(void_return="unused ones cost nothing")
    number = await labelled(shop)
    await replace_label(shop.till, shop.shelf, number, COMPROMISED)
    assert shop.seller.asked_void == []
    assert [state for _, state in await labels(shop)] == ["voided_here", "live"]


async def test_the_same_key_replaces_once(shop: Shop) -> None:
    """Many at once and a retry with one key: one more label; another key is another replacement."""
    number = await labelled(shop)
    wanted = Wanted(compromised=True, caller="shop", key="k-1")
    ends = await asyncio.gather(
        *(replace_label(shop.till, shop.shelf, number, wanted) for _ in range(4)), return_exceptions=True
    )
    assert {getattr(end, "code", "ok") for end in ends} <= {"ok", "label_pending"}
    again = await replace_label(shop.till, shop.shelf, number, wanted)
    assert (again.status, len(shop.seller.charges), len(shop.seller.live)) == (201, 2, 1)
    await replace_label(shop.till, shop.shelf, number, replace(wanted, key="k-2"))
    assert (len(shop.seller.charges), len(shop.seller.live)) == (3, 1)


async def test_two_without_a_key_leave_one_label(shop: Shop) -> None:
    """However they meet, every label but one is void."""
    number = await labelled(shop)
    await asyncio.gather(
        *(replace_label(shop.till, shop.shelf, number, COMPROMISED) for _ in range(3)), return_exceptions=True
    )
    assert len(shop.seller.live) == 1


async def test_a_label_that_travels_is_never_void(shop: Shop) -> None:
    """The carrier has scanned it, and nobody here knows yet: it is asked, nothing is void and nothing bought."""
    number = await labelled(shop)
    shop.seller.scanned.add(shop.seller.charges[0][1])
    for work in (replace_label(shop.till, shop.shelf, number, COMPROMISED), void_label(shop.till, number)):
        assert (await refused(work)).code == "return_under_way"
    shop.seller.away = True
    with pytest.raises(Away):
        await void_label(shop.till, number)
    assert (len(shop.seller.charges), shop.seller.asked_void) == (1, [])
    assert [state for _, state in await labels(shop)] == ["live"]


async def test_what_a_crash_leaves_is_finished_by_the_sweeps(here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead after the plan: the old one is voided and the new one bought, once each, by nobody who waits."""
    import returns.replacing as room

    async def dies(*_: object) -> None:
        raise SystemExit

    number = await labelled(here)
    wanted = Wanted(compromised=True, caller="shop", key="k")
    with monkeypatch.context() as planted:
        planted.setattr(room, "send_void", dies)
        with pytest.raises(SystemExit):
            await replace_label(here.till, here.shelf, number, wanted)
    assert (await here.view(number))["state"] == "label_pending" and len(here.seller.charges) == 1
    here.real += 60
    await resolve(here.till)
    await settle_all(here.till, here.shelf)
    view = await here.view(number)
    assert (view["state"], len(here.seller.charges), here.seller.live) == ("label_ready", 2, [view["label"]["number"]])
    assert (await replace_label(here.till, here.shelf, number, wanted)).status == 201
    assert len(here.seller.charges) == 2


async def test_an_unknown_replacement_is_202(here: Shop) -> None:
    """No answer: it is being settled, and asking again buys nothing."""
    number = await labelled(here)
    here.seller.script = ["lose"]
    wanted = Wanted(compromised=True, caller="shop", key="k")
    assert (await replace_label(here.till, here.shelf, number, wanted)).status == 202
    assert (await refused(replace_label(here.till, here.shelf, number, COMPROMISED))).code == "label_pending"
    assert (await replace_label(here.till, here.shelf, number, wanted)).status == 202
    here.real += 20
    await resolve(here.till)
    assert (await replace_label(here.till, here.shelf, number, wanted)).status == 201
    assert len(here.seller.charges) == 2


async def test_a_refused_replacement_leaves_the_return_without_a_label(here: Shop) -> None:
    """The carrier says no: 422 with its words; the return stays registered, and another call can try again."""
    number = await labelled(here)
    here.seller.script = ["reject"]
    error = await refused(replace_label(here.till, here.shelf, number, COMPROMISED))
    assert (error.code, error.message) == ("label_refused", "120100 the address is wrong")
    assert (await here.view(number))["state"] == "registered"
    assert (await replace_label(here.till, here.shelf, number, Wanted())).status == 201
    assert len(here.seller.live) == 1


async def test_a_scan_of_the_old_label_while_the_new_one_is_bought_goes_on_with_it(here: Shop) -> None:
    """The shopper found it and used it: the return follows that parcel."""
    number = await labelled(here)
    old = here.seller.charges[0][1]
    here.seller.script = ["lose"]
    await replace_label(here.till, here.shelf, number, COMPROMISED)
    await here.scan(old, Kind.PICKED_UP, 1)
    here.real += 20
    await resolve(here.till)
    await settle_all(here.till, here.shelf)
    view = await here.view(number)
    assert (view["state"], view["parcel"]["number"]) == ("on_its_way", old)


async def test_a_return_that_was_given_up_gets_no_other_label(here: Shop) -> None:
    """Its items are free for another return: 409, nothing bought; its label can still be made void."""
    number = await labelled(here)
    await cancel(here.till, number)
    for wanted in (Wanted(), COMPROMISED):
        assert (await refused(replace_label(here.till, here.shelf, number, wanted))).code == "return_cancelled"
    assert len(here.seller.charges) == 1
    view = await void_label(here.till, number)
    assert (view["state"], view["label"]["state"]) == ("cancelled", "voided")


# ---------------------------------------------------------------------------------------------------------------- void


async def test_a_void_label_is_nobodys(shop: Shop) -> None:
    """Void at the carrier, twice is once; the return is registered, and a new label can be had under any terms."""
    shop.shelf = shipped()
    number = await labelled(shop)
    for _ in range(2):
        view = await void_label(shop.till, number)
        assert (view["state"], view["label"]["state"]) == ("registered", "voided")
    assert len(shop.seller.asked_void) == 1
    assert (await replace_label(shop.till, shop.shelf, number, Wanted())).status == 201
    assert (await refused(void_label(shop.till, "R0"))).code == "return_not_found"


async def test_an_unsettled_void_is_settled_later(here: Shop) -> None:
    """The carrier did not answer: the label is nobody's at once, and void once it did."""
    number = await labelled(here)
    here.seller.voids = ["drop", "void"]
    assert (await void_label(here.till, number))["label"]["state"] == "voiding"
    here.real += 60
    await resolve(here.till)
    assert (await here.view(number))["label"]["state"] == "voided"


async def test_a_void_label_that_travels_after_all_takes_its_return_along(shop: Shop) -> None:
    """The shopper found the old one and used it: ops hear it once, and the return follows that parcel."""
    shop.seller.abilities = Abilities(void_return="unused ones cost nothing")
    number = await labelled(shop)
    old = shop.seller.charges[0][1]
    new = (await replace_label(shop.till, shop.shelf, number, COMPROMISED)).view["label"]["number"]
    assert await follow_strays(shop.till, shop.shelf) == 0
    await shop.scan(old, Kind.PICKED_UP, 1)
    assert ((await shop.view(number))["state"], await follow_strays(shop.till, shop.shelf)) == ("label_ready", 1)
    view = await shop.view(number)
    assert (view["state"], view["parcel"]["number"]) == ("on_its_way", old)
    assert await follow_strays(shop.till, shop.shelf) == 0 and (await shop.said()).count("ops.label_used") == 1
    await shop.scan(old, Kind.DELIVERED, 4, place=Place("Bentivoglio", "BO", "40010", "IT"))
    assert (await shop.view(number))["state"] == "received"
    await shop.scan(new, Kind.PICKED_UP, 5)  # and then the new one too: the return is with the first
    assert (await shop.view(number))["parcel"]["number"] == old


async def test_a_void_label_that_travels_beside_the_new_one_is_told_and_no_more(here: Shop) -> None:
    """The return is on its way with the new one: ops hear of the other once, and the return stays where it is."""
    here.seller.abilities = Abilities(void_return="unused ones cost nothing")
    number = await labelled(here)
    old = here.seller.charges[0][1]
    new = (await replace_label(here.till, here.shelf, number, COMPROMISED)).view["label"]["number"]
    await here.scan(new, Kind.PICKED_UP, 1)
    await here.scan(old, Kind.PICKED_UP, 2)
    assert [await follow_strays(here.till, here.shelf) for _ in range(2)] == [1, 0]
    assert (await here.view(number))["parcel"]["number"] == new
    assert (await here.said()).count("ops.label_used") == 1 and (old, "used") in await labels(here)


# ------------------------------------------------------------------------------------------------------------- waybill


async def test_policy_46_47_a_lost_label_is_a_waybill(shop: Shop) -> None:
    """Standard, Receiver, W95789, Bologna, the return's number; asked twice is the same; the return remembers."""
    shop.shelf = shipped()
    number = await labelled(shop)
    assert (await refused(waybill_of(shop.till, shop.shelf, number))).code == "waybill_unknown"
    told = await issue_waybill(shop.till, shop.shelf, number)
    assert (told.service, told.payer, told.account, told.number) == ("Standard", "Receiver", "W95789", number)
    assert "40010 Bentivoglio (BO)" in told.to and "Interporto di Bologna" in told.to
    shop.at += timedelta(days=1)
    assert await issue_waybill(shop.till, shop.shelf, number) == told == await waybill_of(shop.till, shop.shelf, number)
    row = await shop.store.read(lambda tx: find_return(tx, number))
    waybill = about_of(row).waybill
    assert waybill and (waybill.account, waybill.service, waybill.reference) == ("W95789", "Standard", number)
    assert (await shop.view(number))["state"] == "label_ready"
    error = await refused(replace_label(shop.till, shop.shelf, number, COMPROMISED))
    assert (error.code, error.term) == ("waybill_instead", "lost_label.answer")


async def test_a_shop_that_gives_new_labels_gives_no_waybill(here: Shop) -> None:
    """422 with the term."""
    number = await labelled(here)
    error = await refused(issue_waybill(here.till, here.shelf, number))
    assert (error.code, error.term) == ("waybill_not_offered", "lost_label.answer")


async def test_a_return_under_way_needs_no_waybill(here: Shop) -> None:
    """It travels with its label."""
    here.shelf = shipped()
    await here.scan(OUT, Kind.DELIVERED, 1)
    number = await labelled(here)
    await here.scan(here.seller.charges[0][1], Kind.PICKED_UP, 2)
    assert (await here.view(number))["state"] == ReturnState.ON_ITS_WAY
    assert (await refused(issue_waybill(here.till, here.shelf, number))).code == "return_under_way"
