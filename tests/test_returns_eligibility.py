"""May these items come back: item by item, by which term, clock and scan, and what would be possible instead."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from carriers.contract import Kind, Place
from merchants.terms import Outcome, ReturnReason, default_for
from returns.asking import Question, ask
from returns.clocks import Moments
from returns.eligibility import Courier, Line, Way, Wish, alternatives, refusals
from tests.selling import Seller
from tests.test_returns_desk import OUT, START, US_HOME, US_ITEMS, US_OUT, Shop
from tracker.orders import Declined, Item

EU, US = default_for("ups"), default_for("usps")
MOMENTS = Moments(START, START, START + timedelta(days=2), "D/FS@2026-03-04T09:00:00Z")
DRESS = Item("DRESS", 1, Decimal("120.00"), "dresses")
HERE = Way(Courier.PREPAID, "NL")
NOW = START + timedelta(days=3)
SIZE = Wish("DRESS", 1, ReturnReason.SIZE)


def line(item=DRESS, exchangeable=1, country="NL"):
    return Line(item, 1, exchangeable, MOMENTS, country)


def told(terms, wish, line, way=HERE, now=NOW):
    found = [refusal.code for refusal in refusals(terms, wish, line, way, now)]
    return found, [each.instead for each in alternatives(terms, wish, line, way, now)]


def us(
    item=DRESS, reason=ReturnReason.DEFECT, outcome=Outcome.EXCHANGE, courier=Courier.PREPAID, country="US", **changes
):
    return told(US, Wish("DRESS", 1, reason, outcome), line(item, country="US"), Way(courier, country), **changes)


LATE = START + timedelta(days=40)


@pytest.mark.parametrize(
    ("wish", "line", "way", "now", "codes", "instead"),
    [
        (SIZE, line(), HERE, NOW, [], []),
        (SIZE, line(replace(DRESS, category="Fragrance")), HERE, NOW, ["contact_us"], ["contact_shop"]),
        (SIZE, line(), Way(Courier.PREPAID, "BE"), NOW, ["other_country"], ["send_from"]),
        (SIZE, line(), HERE, LATE, ["return_window_over"], ["contact_shop"]),
        (
            replace(SIZE, outcome=Outcome.STORE_CREDIT), line(), HERE, NOW,
            ["outcome_not_offered"], ["refund", "exchange"],
        ),
        (replace(SIZE, outcome=Outcome.EXCHANGE), line(exchangeable=0), HERE, NOW, ["exchange_used_up"], ["refund"]),
    ],
)  # fmt: skip
def test_what_the_european_shop_refuses_and_what_it_allows_instead(wish, line, way, now, codes, instead):
    """Each refusal with what the shopper can do; where nothing would do, the shop is asked."""
    assert told(EU, wish, line, way, now) == (codes, instead)


def test_what_the_american_shop_refuses_and_what_it_allows_instead():
    """Sale and the rest never come back; whose fault it is decides who pays the way; what is out of stock is credit."""
    assert us() == ([], [])
    for never in ({"category": "swimwear"}, {"sale": True}, {"final_sale": True}):
        assert us(replace(DRESS, **never)) == (["never_returnable"], ["contact_shop"])
    assert us(reason=ReturnReason.SIZE) == (["label_not_paid"], ["own_courier"])
    assert us(reason=ReturnReason.SIZE, courier=Courier.OWN) == ([], [])
    assert us(outcome=Outcome.REFUND) == (["outcome_not_offered"], ["exchange"])
    gone = replace(DRESS, replacement_in_stock=False)
    assert us(gone, outcome=Outcome.REFUND) == (["outcome_not_offered"], ["exchange", "store_credit"])
    assert us(now=START + timedelta(days=6)) == (["return_window_over"], ["contact_shop"])
    assert us(country="CA") == (["other_country"], ["send_from"])
    both = us(reason=ReturnReason.SIZE, outcome=Outcome.REFUND)
    assert both == (["outcome_not_offered", "label_not_paid"], ["own_courier", "exchange"])


def test_an_exchange_that_is_too_late_may_still_be_a_return():
    """Where the exchange's own window is the shorter one."""
    short = EU.exchange.model_copy(update={"window": EU.exchange.window.model_copy(update={"days": 10})})
    terms = EU.model_copy(update={"exchange": short})
    wish, late = replace(SIZE, outcome=Outcome.EXCHANGE), START + timedelta(days=15)
    assert told(terms, wish, line(), HERE, late) == (["return_window_over"], ["refund"])


def test_a_shop_that_takes_no_other_courier_says_so():
    terms = EU.model_copy(update={"own_courier": EU.own_courier.model_copy(update={"allowed": False})})
    found = told(terms, SIZE, line(), Way(Courier.OWN, "NL"))
    assert found == (["own_courier_not_allowed"], ["prepaid"])


def test_every_alternative_is_one_that_nothing_stands_against():
    """Over many wishes under both terms: what is suggested is allowed once it is asked for."""
    words = {"own_courier": Courier.OWN, "prepaid": Courier.PREPAID}
    seen = 0
    for terms, home in ((EU, "NL"), (US, "US")):
        for reason in ReturnReason:
            for outcome in Outcome:
                for courier in Courier:
                    for country in (home, "BE"):
                        for item in (
                            DRESS,
                            replace(DRESS, replacement_in_stock=False),
                            replace(DRESS, discontinued=True),
                        ):
                            wish, way = Wish("DRESS", 1, reason, outcome), Way(courier, country)
                            known = line(item, country=home)
                            found = alternatives(terms, wish, known, way, NOW)
                            outcomes = [Outcome(each.instead) for each in found if each.instead in set(Outcome)]
                            for chosen in outcomes or [outcome] if found else []:
                                other = next((words[e.instead] for e in found if e.instead in words), courier)
                                sent = home if any(each.instead == "send_from" for each in found) else country
                                again = refusals(terms, replace(wish, outcome=chosen), known, Way(other, sent), NOW)
                                assert list(again) == [], (terms.name, wish, way, found)
                                seen += 1
    assert seen > 100


# --------------------------------------------------------------------------------------------------------- the question


@pytest.fixture
async def here(sqlite_store):
    return await Shop(sqlite_store).order()


async def asked(shop, merchant="boutique-eu", order="EU-1", *wishes, courier=Courier.PREPAID, country=""):
    question = [Question(order, tuple(wishes))]
    return await ask(
        shop.store, shop.shelf, merchant, question, courier=courier, from_country=country, now=shop.till.clock.now()
    )


async def test_the_answer_names_the_term_the_clock_the_scan_and_the_local_deadline(here):
    """A yes, with all that a shopper or an agent needs to explain it."""
    await here.scan(OUT, Kind.DELIVERED, 2)
    found = await asked(here, "boutique-eu", "EU-1", SIZE)
    assert (found["terms"], found["time_zone"]) == ("boutique-eu 2026-01-01", "Europe/Rome")
    [item] = found["items"]
    assert (item["eligible"], item["left"], item["gets"], item["label_paid_by"]) == (True, 2, "refund", "shop")
    assert item["clocks"] == [
        {
            "order_number": "EU-1",
            "sku": "DRESS",
            "term": "returns.send",
            "clock": "delivered",
            "fell_back": False,
            "started": "2026-03-04T09:00:00Z",
            "ends": "2026-04-03T22:00:00Z",
            "ends_local": "2026-04-04T00:00:00+02:00",
            "time_zone": "Europe/Rome",
            "judged_by": "registration",
            "scan": "T/delivered@2026-03-04T09:00:00Z",
            "because": "the carrier's delivery scan is of 2026-03-04; 30 days end 2026-04-03 23:59 Europe/Rome",
            "in_time": True,
            "judged_scan": "",
        }
    ]


async def test_everything_of_an_order_is_asked_about_when_nothing_is_named(here):
    """The dress may come back, the perfume needs a word with the shop; nothing is registered by asking."""
    found = {item["sku"]: item for item in (await asked(here))["items"]}
    assert found["DRESS"]["eligible"] and found["DRESS"]["quantity"] == 2
    perfume = found["PERFUME"]
    assert [refusal["code"] for refusal in perfume["refusals"]] == ["contact_us"]
    assert perfume["refusals"][0]["term"] == "returns.never"
    assert perfume["instead"] == [{"do": "contact_shop", "says": "ask the shop how PERFUME can be sent back"}]
    assert await here.said() == [] and here.seller.sent == []


async def test_what_is_not_there_is_a_no_and_not_an_error(here):
    """An unknown item, one too many, one that has not shipped: each says why. An unknown order or shop is an error."""
    many = replace(SIZE, quantity=3)
    found = await asked(here, "boutique-eu", "EU-1", replace(SIZE, sku="HAT"), many)
    assert [[refusal["code"] for refusal in item["refusals"]] for item in found["items"]] == [
        ["item_not_in_order"], ["quantity_wrong"],
    ]  # fmt: skip
    await here.order("EU-9", "")
    assert (await asked(here, "boutique-eu", "EU-9", SIZE))["items"][0]["refusals"][0]["code"] == "item_not_shipped"
    for merchant, order, code in (("boutique-eu", "X", "order_not_found"), ("nobody", "X", "merchant_unknown")):
        with pytest.raises(Declined) as caught:
            await asked(here, merchant, order)
        assert caught.value.code == code


async def test_two_clocks_run_for_one_american_return(sqlite_store):
    """72 hours to say so, 15 days to hand it over, both from the same scan; the second waits for its own."""
    shop = Shop(sqlite_store, Seller(name="usps", title="USPS"))
    await shop.order("US-1", US_OUT, "boutique-us", US_HOME, US_ITEMS, "usps")
    await shop.scan(US_OUT, Kind.DELIVERED, 1, "usps", Place("Boston", "MA", "02108", "US"))
    wish = Wish("DRESS", 1, ReturnReason.DEFECT, Outcome.EXCHANGE)
    [item] = (await asked(shop, "boutique-us", "US-1", wish))["items"]
    clocks = {clock["term"]: clock for clock in item["clocks"]}
    assert clocks["returns.contact"]["ends_local"] == "2026-03-06T04:00:00-05:00"
    assert clocks["returns.send"]["ends_local"] == "2026-03-19T00:00:00-04:00"
    assert (clocks["returns.contact"]["in_time"], clocks["returns.send"]["in_time"]) == (True, None)
    assert clocks["returns.send"]["judged_by"] == "acceptance"
    shop.at = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
    [item] = (await asked(shop, "boutique-us", "US-1", wish))["items"]
    assert [(refusal["code"], refusal["term"]) for refusal in item["refusals"]] == [
        ("return_window_over", "returns.contact")
    ]


async def test_a_refused_registration_says_what_can_be_done(here):
    """The same as the question's answer, on the 422."""
    from tests.test_returns_desk import HOME, wishes

    error = await here.refused(wishes(SIZE, from_address=replace(HOME, country="BE")))
    assert (error.code, error.instead) == ("other_country", [{"do": "send_from", "says": "send it from NL"}])
