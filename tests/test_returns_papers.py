"""Facts about the papers of a return: the address before a label, the waybill instead of it, and what is printed."""

from dataclasses import replace
from typing import Any

import pytest

from carriers.contract import Abilities, Address, AddressVerdict, Away, Busy, DropOff, Place, Refused
from merchants.terms import shipped
from returns.addresses import drop_offs, forget_stale
from store.engine import Store
from tests.selling import Seller
from tests.test_returns_desk import ASKED, HOME, Shop
from tracker.orders import Declined

OAK = Address("Bo Smith", ("1 Main St",), "Boston", "02108", "US", "MA")


@pytest.fixture
async def shop(store: Store) -> Shop:
    return await Shop(store).order()


@pytest.fixture
async def here(sqlite_store: Store) -> Shop:
    return await Shop(sqlite_store).order()


# ------------------------------------------------------------------------------------------- the address before a label


async def test_the_zip4_that_the_carrier_knows_is_on_the_label(shop: Shop) -> None:
    """Valid with ZIP+4: the label is bought with it; the street stays as the customer wrote it."""
    written = replace(HOME, lines=("KEIZERSGRACHT 1",), postal_code="02109-1234")
    shop.seller.verdicts = [AddressVerdict("valid", (written,), "1234")]
    assert (await shop.register()).status == 201
    assert shop.seller.requests[-1].ship_from == replace(HOME, postal_code="02109-1234")


@pytest.mark.parametrize(("verdict", "code"), [("ambiguous", "address_unclear"), ("unknown", "address_unknown")])
async def test_an_address_that_is_none_buys_no_label(shop: Shop, verdict: Any, code: str) -> None:
    """422 with the carrier's words, what to do and where; nothing is kept or bought; a better one goes through."""
    shop.seller.verdicts = [AddressVerdict(verdict, note="the apartment is missing")]
    error = await shop.refused()
    assert (error.code, error.pointer) == (code, "/from_address")
    assert "the apartment is missing" in error.message and ("add" in error.message or "correct" in error.message)
    assert (shop.seller.charges, await shop.said()) == ([], [])
    assert (await shop.register(replace(ASKED, from_address=replace(HOME, lines=("Keizersgracht 1 B",))))).status == 201


@pytest.mark.parametrize("error", [Away("no answer"), Busy("quota", retry_after=60), Refused("not in this country")])
async def test_a_carrier_that_cannot_say_holds_nothing_up(shop: Shop, error: Exception) -> None:
    """Away, out of quota, or another country: the label is bought with the address as it is."""
    shop.seller.verdicts = [error]  # type: ignore[list-item]
    assert (await shop.register()).status == 201
    assert shop.seller.requests[-1].ship_from == HOME


async def test_an_address_is_asked_about_once_a_day(here: Shop) -> None:
    """Two returns from one address ask once; after a day it is asked again; what is kept is sealed and then dropped."""
    await here.register()
    await here.register()
    assert len(here.seller.checked) == 1
    here.real += 86_401
    with pytest.raises(Declined):  # a third one: the quantity is used up, and nobody is asked for that
        await here.register()
    assert len(here.seller.checked) == 1
    assert await forget_stale(here.till) == 1


async def test_the_terms_refuse_before_anybody_is_asked(here: Shop) -> None:
    """What the terms refuse costs no quota; a repetition under the same key neither."""
    paris = Address("A", ("B 1",), "Paris", "75001", "FR")
    assert (await here.refused(replace(ASKED, from_address=paris))).code == "other_country"
    assert here.seller.checked == []
    asked = replace(ASKED, key="k")
    await here.register(asked)
    here.real += 86_401
    await here.register(asked)
    assert len(here.seller.checked) == 1


async def test_a_carrier_that_checks_no_addresses_is_not_asked(sqlite_store: Store) -> None:
    """Its abilities say so."""
    shop = await Shop(sqlite_store, Seller(abilities=Abilities(address_check="not here"))).order()
    assert (await shop.register()).status == 201 and shop.seller.checked == []


# ----------------------------------------------------------------------------------------------- no printer, and places


async def test_a_code_is_asked_for_where_the_carrier_gives_one(here: Shop) -> None:
    """`qr` goes into the label's request; a carrier without codes says what to do instead, and nothing is bought."""
    error = await here.refused(replace(ASKED, qr=True))
    assert (error.code, error.pointer) == ("label_impossible", "/qr")
    here.seller.abilities = Abilities(qr="")
    assert (await here.register(replace(ASKED, qr=True))).status == 201
    assert here.seller.requests[-1].qr and len(here.seller.charges) == 1


async def test_terms_may_have_the_carrier_mail_the_label(here: Shop) -> None:
    """`label.by = carrier_email`: the carrier gets the customer's address; one that mails none is a clear no."""
    terms = shipped()["boutique-eu"][-1]
    mailing = terms.model_copy(update={"label": terms.label.model_copy(update={"by": "carrier_email"})})
    here.shelf = {"boutique-eu": [mailing]}
    await here.register()
    assert here.seller.requests[-1].electronic_to == "ada@example.com"
    here.seller.abilities = Abilities(electronic="we mail nothing")
    error = await here.refused()
    assert (error.code, error.term) == ("label_impossible", "label.by")


class Places(Seller):
    """A seller that knows a counter, and counts who asks."""

    asked: int = 0
    fails: bool = False

    async def drop_offs(self, address: Address, limit: int, prints_labels: bool = False) -> tuple[DropOff, ...]:
        self.asked += 1
        if self.fails:
            raise Away("no answer")
        return (DropOff("Corner shop" + (" with a printer" if prints_labels else ""), OAK),)


async def test_drop_off_points_are_asked_for_once_a_day_and_never_hurt(here: Shop) -> None:
    """One question for a place and day; a carrier that is away shows nothing, and is left alone for some minutes."""
    places, boston = Places(), Place("Boston", "MA", "02108", "US")
    here.till = replace(here.till, carriers={"ups": places})
    for _ in range(3):
        [one] = await drop_offs(here.till, places, boston, prints_labels=False)  # type: ignore[arg-type]
    assert (one.name, places.asked) == ("Corner shop", 1)
    [printing] = await drop_offs(here.till, places, boston, prints_labels=True)  # type: ignore[arg-type]
    assert (printing.name, places.asked) == ("Corner shop with a printer", 2)
    places.fails = True
    here.real += 86_401
    for _ in range(3):
        assert await drop_offs(here.till, places, boston, prints_labels=False) == ()  # type: ignore[arg-type]
    assert places.asked == 3
