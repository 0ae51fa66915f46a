"""Facts about forgetting a return: what left because of it too, never while something is bought, and audits go on."""

from dataclasses import replace

import pytest

from carriers.contract import LabelFormat
from returns.forgetting import NotNow, erase_return
from returns.labels import settle_all
from returns.showing import dispatch_document
from spending.reconciling import Found, audit
from spending.resolving import resolve
from store.engine import Store, Tx
from store.purchases import all_purchases, find_purchase
from tests.shops import EU, US, defect, open_shops
from tests.test_returns_arrival import NO, Desk, one
from tests.test_returns_desk import ASKED, SEALER, wishes
from tracker.orders import Declined

TWO_DAYS = 2 * 86_400.0


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await Desk(store).order()


async def erased(desk: Desk, number: str) -> dict[str, int] | None:
    return await desk.store.write(lambda tx: erase_return(tx, number, desk.shelf))


async def bodies(desk: Desk) -> list[bytes]:
    """The request bytes that are still kept of every purchase."""

    async def unit(tx: Tx) -> list[bytes]:
        rows = [await find_purchase(tx, row["id"]) for row in await all_purchases(tx, "label")]
        return [bytes(row["body"]) for row in rows if row]

    return await desk.store.read(unit)


async def test_what_left_because_of_a_return_is_forgotten_with_it(desk):
    """The resend's request and label hold the customer's address: gone, its number and price stay."""
    number = await desk.home()
    view = await desk.decide(number, one(NO))
    leaving = view["dispatches"][0]["parcel"]["number"]
    assert all(await bodies(desk)) and len(await bodies(desk)) == 2
    assert (await erased(desk, number))["papers"] == 4  # each label is there in two formats
    assert await bodies(desk) == [b"", b""]
    with pytest.raises(Declined, match="there is no label"):
        await dispatch_document(desk.store, SEALER, "ups", leaving, LabelFormat.PDF)
    assert (await desk.view(number))["dispatches"][0]["parcel"]["number"] == leaving


async def test_nothing_is_forgotten_while_a_parcel_that_leaves_is_being_bought(desk):
    """Its bytes are what the carrier is asked by: first it is settled."""
    number = await desk.home()
    desk.seller.script = ["lose"]
    await desk.decide(number, one(NO))
    with pytest.raises(NotNow):
        await erased(desk, number)
    desk.real += 20
    await resolve(desk.till)
    await settle_all(desk.till, desk.shelf)
    assert await erased(desk, number)


async def test_an_erased_purchase_is_still_asked_about(desk):
    """A day later the carrier is asked by the reference alone: an orphan is found, and the other purchases are too."""
    number = (await desk.register()).view["return_number"]
    await desk.register(wishes(*ASKED.orders[0].items, key="another"))
    await erased(desk, number)
    desk.real += TWO_DAYS
    desk.seller._charge(desk.seller.charges[0][0])  # the first send was executed twice
    found = Found()
    await audit(desk.till, found, 50)
    assert (found.asked, found.orphans) == (2, [desk.seller.charges[2][1]])


@pytest.mark.parametrize("shop", [EU, US])
async def test_both_carriers_are_asked_by_what_is_left(sqlite_store, shop):
    """UPS by the reference, USPS by the key: the label that is known is answered, and nothing is an error."""
    async with open_shops(sqlite_store) as shops:
        await shops.delivered(shop=shop)
        number = (await shops.back(defect(), shop=shop))["return_number"]
        house, found = shops.doors.house, Found()
        await house.store.write(lambda tx: erase_return(tx, number, house.terms))
        till = replace(house.till, real=lambda: house.till.real() + TWO_DAYS)
        await audit(till, found, 50)
        assert (found.asked, found.unanswered, found.orphans, found.ghosts) == (1, 0, [], [])


async def test_a_purchase_that_cannot_be_asked_about_does_not_stop_the_others(desk, monkeypatch):
    """One is broken: the rest of the sweep is done, and then its error is one of the sweep's."""
    for key in ("a", "b", "c"):
        await desk.register(wishes(*ASKED.orders[0].items, key=key)) if key != "c" else None
    desk.real += TWO_DAYS
    find, broken = desk.seller.find, desk.seller.charges[0][0]

    async def finding(prepared):
        if prepared.reference == broken:
            raise RuntimeError("a bug")
        return await find(prepared)

    monkeypatch.setattr(desk.seller, "find", finding)
    found = Found()
    with pytest.raises(ExceptionGroup):
        await audit(desk.till, found, 50)
    assert found.asked == 2 and desk.seller.looks == 1
    with pytest.raises(ExceptionGroup):
        await audit(desk.till, Found(), 50)
    assert desk.seller.looks == 1, "the good one was asked about and is not due again"
