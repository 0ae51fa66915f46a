"""Parcels that cannot be delivered: turned round by the carrier's order or left to it, once, on the real street."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import delete, update

from alerts import desk
from carriers.contract import Payload, Source
from merchants.terms import shipped
from spending.brakes import start, stop
from spending.machine import State
from spending.reconciling import shown
from store.parcels import parcel_by_id
from store.schema import conclusions, parcels, sightings, told
from store.statement import statement
from tests.coming_home import house
from tracker.replay import replay_parcel

EXPECTED, REQUESTED = "return_to_warehouse.expected", "return_to_warehouse.requested"


async def test_after_three_failed_attempts_the_carrier_is_asked_once_and_the_parcel_comes_home(store):
    """One order in the carrier's book; expected, requested, under way and arrived are said once each; money adds up."""
    async with house(store, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        assert (await on.case(parcel))["state"] == "expected"
        for _ in range(3):
            await on.later(60)
        case = await on.case(parcel)
        assert (case["state"], case["reason"]) == ("requested", "failed_delivery_attempts")
        assert case["request"]["purchase_id"] and on.book == [("intercept", "21.00")]
        assert case["money"]["arithmetic"] == [
            "9.90 leg out + 9.90 leg back = 19.80 EUR",
            "21.00 intercept = 21.00 USD",
        ]
        assert (await on.purchase(parcel))["state"] == State.ISSUED
        [line] = (await shown(on.till))["money"]
        assert (line["number"], line["name"], line["amount"]) == (parcel.number, "intercept", "21.00")
        assert await on.said(parcel) == [EXPECTED, REQUESTED]
        asked = await on.told(parcel, REQUESTED)
        assert asked["parcel"]["return_to_warehouse"]["money"]["lines"][-1]["amount"] == "21.00"
        on.town.clock.turn(parcel.telling.ends_at + timedelta(hours=1))
        await on.caller.sign_in()
        await on.ask(parcel)
        await on.later(60)
        case = await on.case(parcel)
        assert (case["state"], case["reason"]) == ("arrived", "failed_delivery_attempts")
        assert case["money"]["owed"] and on.book == [("intercept", "21.00")]
        assert await on.said(parcel) == [
            EXPECTED, REQUESTED, "return_to_warehouse.under_way", "return_to_warehouse.arrived",
        ]  # fmt: skip


async def test_a_carrier_that_says_no_is_left_to_itself_and_ops_get_its_page(sqlite_store):
    """UPS turns nothing round after three misses, nor in Europe: nothing is bought, ops have a task with a link."""
    async with house(sqlite_store) as on:
        late = await on.on_its_way("final_attempt_no_return_scan", 8)
        european = await on.on_its_way("bad_address", 3.6, to="")
        for parcel in (late, european):
            await on.ask(parcel)
            assert (await on.case(parcel))["state"] == "expected"
        await on.later(60)
        for parcel in (late, european):
            case = await on.case(parcel)
            assert case["state"] == "left_to_carrier" and "NOT_ELIGIBLE" in case["request"]["why"]
            task = await on.told(parcel, "ops.left_to_carrier")
            assert task["link"] == f"https://www.ups.com/track?tracknum={parcel.number}"
            assert await on.said(parcel) == [EXPECTED, "ops.left_to_carrier"]
        assert on.book == [] and await on.purchase(late) is None
        await desk.sweep(sqlite_store, on.town.now())
        alerts = (await desk.open_alerts(sqlite_store)).alerts
        assert {alert.rung for alert in alerts} == {"left_to_carrier"} and len(alerts) == 2
        assert all("https://www.ups.com" in alert.action for alert in alerts)


async def test_usps_is_left_to_itself_without_a_call(sqlite_store):
    """USPS has no such order: no tracking call and no other is made for it."""
    async with house(sqlite_store) as on:
        parcel = await on.on_its_way("refused_no_return_scan", 6, "usps", to="")
        await on.ask(parcel)
        calls = dict(on.town.calls)
        await on.later(60)
        assert (await on.case(parcel))["state"] == "left_to_carrier" and on.town.calls == calls


async def test_terms_that_say_no_are_obeyed(sqlite_store):
    """The shop's terms forbid the order: the carrier is not even asked."""
    terms = shipped()["boutique-eu"][-1]
    never = terms.model_copy(
        update={"return_to_warehouse": terms.return_to_warehouse.model_copy(update={"intercept": False})}
    )
    async with house(sqlite_store, {"boutique-eu": [never]}, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        calls = dict(on.town.calls)
        await on.later(60)
        assert (await on.case(parcel))["state"] == "left_to_carrier" and on.town.calls == calls


@pytest.mark.parametrize(("journey", "state"), [("address_corrected", "cancelled"), ("bad_address", "under_way")])
async def test_nothing_is_bought_for_a_parcel_that_moved_since(sqlite_store, journey, state):
    """What we knew is days old: the fresh read tells that it was delivered, or already returns. Nothing is ordered."""
    async with house(sqlite_store, intercept_careless=True) as on:
        parcel = await on.on_its_way(journey, 0)
        while not await on.case(parcel):
            await on.story(hours=3)
            await on.ask(parcel)
        assert (await on.case(parcel))["state"] == "expected"
        await on.story(days=3)
        await on.later(60)
        assert (await on.case(parcel))["state"] == state
        assert on.book == [] and await on.purchase(parcel) is None


async def test_an_order_given_elsewhere_is_taken_for_ours_without_paying(sqlite_store):
    """Somebody asked UPS by hand: the case is requested, and nothing is bought."""
    async with house(sqlite_store, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        await on.till.carriers["ups"].intercept(on.till.carriers["ups"].prepare_intercept(parcel.number, None))
        await on.later(60)
        case = await on.case(parcel)
        # when its scan is there already, the fresh read tells that it returns
        assert case["state"] == "under_way" or case["request"]["step"] == "requested"
        assert len(on.book) == 1 and await on.purchase(parcel) is None


async def test_two_workers_and_no_answer_make_one_order(store):
    """The order is charged and never answered while two sweeps race: the carrier is asked what is in force, and that
    settles it; nothing is sent twice."""
    async with house(store, intercept_after_final=True, intercept_careless=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        await on.fault("charged_then_500")
        await asyncio.gather(*(on.home.sweep() for _ in range(3)))
        assert (await on.purchase(parcel))["state"] == State.UNKNOWN
        assert (await on.case(parcel))["state"] == "expected" and (await on.case(parcel))["request"]["step"] == "asking"
        await on.later(16)
        assert (await on.case(parcel))["state"] == "requested"
        assert on.book == [("intercept", "21.00")] and (await on.said(parcel)).count(REQUESTED) == 1


async def test_the_switch_holds_it_and_lets_it_go(sqlite_store):
    """While buying is stopped the case waits, and nobody is asked; started again, it is ordered."""
    async with house(sqlite_store, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        await stop(sqlite_store, "ops", "a test", on.town.now())
        calls = dict(on.town.calls)
        await on.later(60)
        assert (await on.case(parcel))["state"] == "expected" and on.town.calls == calls
        await start(sqlite_store, "ops", on.town.now())
        await on.later(120)
        assert (await on.case(parcel))["state"] == "requested" and len(on.book) == 1


async def test_a_carrier_that_does_not_answer_is_asked_again(sqlite_store):
    """No answer to the fresh read: the case waits and is taken up again; nothing is decided blindly."""
    async with house(sqlite_store, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        await on.fault("500", "intercept_eligibility", times=3)
        await on.later(1)
        assert (await on.case(parcel))["state"] == "expected" and on.book == []
        await on.later(3600)
        assert (await on.case(parcel))["state"] == "requested" and len(on.book) == 1


def push(parcel, at, code="FS", status="011", type="D"):
    body = {
        "trackingNumber": parcel.number,
        "localActivityDate": f"{at:%Y%m%d}",
        "localActivityTime": f"{at:%H%M%S}",
        "gmtActivityDate": f"{at:%Y%m%d}",
        "gmtActivityTime": f"{at:%H%M%S}",
        "gmtOffset": "+00.00",
        "activityLocation": {"city": "RENO", "stateProvince": "NV", "country": "US", "postalCode": "89501"},
        "activityStatus": {"type": type, "code": code, "description": "DELIVERED", "descriptionCode": status},
    }
    return Payload("ups", Source.PUSH, json.dumps(body).encode())


async def test_delivered_after_all_the_order_is_called_off_and_costs_nothing(store):
    """The customer has it while our order is in force: cancelled, called off at UPS, the charge given back."""
    async with house(store, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        await on.later(60)
        assert on.book == [("intercept", "21.00")]
        kept = await on.ledger.keep(push(parcel, on.town.now() + timedelta(minutes=1)), on.town.now())
        await on.ledger.read(kept.id, on.town.now())
        assert (await on.case(parcel))["state"] == "cancelled"
        await on.later(60)
        case = await on.case(parcel)
        assert (case["state"], case["request"]["why"]) == ("cancelled", "the order was called off")
        assert case["request"]["withdrawn_at"] and [kind for kind, _ in on.book] == ["intercept", "intercept_cancelled"]
        assert case["money"]["arithmetic"] == ["21.00 intercept - 21.00 intercept refund = 0.00 USD"]
        assert (await on.said(parcel))[-1] == "return_to_warehouse.cancelled"


async def test_overdue_is_flagged_alarmed_and_over_on_arrival(sqlite_store):
    """So many days after it was expected, by the terms, ops hear of it once; the arrival clears it."""
    async with house(sqlite_store) as on:
        parcel = await on.on_its_way("bad_address", 3.6, to="")
        await on.ask(parcel)
        await on.later(60)
        case = await on.case(parcel)
        assert not case["overdue"] and case["overdue_at"]
        days = shipped()["boutique-eu"][-1].return_to_warehouse.overdue_days
        assert msgspec.json.decode(f'"{case["overdue_at"]}"') > case["opened_at"]
        await on.ledger.review_due(on.town.now() + timedelta(days=days - 1))
        assert not (await on.case(parcel))["overdue"]
        await on.ledger.review_due(on.town.now() + timedelta(days=days))
        assert (await on.case(parcel))["overdue"] and (await on.said(parcel)).count("ops.return_overdue") == 1
        await desk.sweep(sqlite_store, on.town.now())
        assert "return_overdue" in {alert.rung for alert in (await desk.open_alerts(sqlite_store)).alerts}
        on.town.clock.turn(parcel.telling.ends_at + timedelta(hours=1))
        await on.caller.sign_in()
        await on.ask(parcel)
        case = await on.case(parcel)
        assert (case["state"], case["overdue"]) == ("arrived", False)
        await desk.sweep(sqlite_store, on.town.now())
        assert (await desk.open_alerts(sqlite_store)).alerts == []


FORGET = [
    statement(delete(sightings)),
    statement(delete(told)),
    statement(delete(conclusions)),
    statement(update(parcels).values(leg="out", status="unknown")),
]


async def test_everything_forgotten_and_replayed_gives_the_same_bytes_and_orders_nothing(store):
    """What we did is a fact of our own: with it the same state follows from the same payloads, to the byte."""
    async with house(store, intercept_after_final=True) as on:
        asked = await on.on_its_way("final_attempt_no_return_scan", 8)
        left = await on.on_its_way("bad_address", 3.6, to="")
        for parcel in (asked, left):
            await on.ask(parcel)
        await on.later(60)
        before = [json.dumps(await on.view(parcel)) for parcel in (asked, left)]

        async def forget(tx):
            for each in FORGET:
                await tx.run(each)

        await store.write(forget)
        said = [await on.said(parcel) for parcel in (asked, left)]
        for parcel in (asked, left):
            await replay_parcel(on.ledger, await on.id_of(parcel), on.town.now())
        await on.later(3600)
        assert [json.dumps(await on.view(parcel)) for parcel in (asked, left)] == before
        assert [await on.said(parcel) for parcel in (asked, left)] == said and len(on.book) == 1


async def test_as_of_knows_only_what_was_done_by_then(sqlite_store):
    """Before the order was given the case was only expected."""
    async with house(sqlite_store, intercept_after_final=True) as on:
        parcel = await on.on_its_way("final_attempt_no_return_scan", 8)
        await on.ask(parcel)
        between = on.town.now()
        await on.story(hours=3)
        await on.later(60)
        id = await on.id_of(parcel)

        async def then(tx, at):
            row = await parcel_by_id(tx, id)
            return (await on.ledger.conclusion(tx, row, on.town.now(), at)).case

        assert (await sqlite_store.read(lambda tx: then(tx, between))).state == "expected"
        now = await sqlite_store.read(lambda tx: then(tx, on.town.now()))
        assert now.state == "requested" and now.money[-1].amount == Decimal("21.00")


async def test_a_sweep_without_anything_due_writes_nothing(sqlite_store, monkeypatch):
    """Cases that were seen to cost nothing more, however many there are."""
    async with house(sqlite_store) as on:
        parcel = await on.on_its_way("bad_address", 3.6, to="")
        await on.ask(parcel)
        await on.later(60)

        async def never(unit):
            raise AssertionError("nothing was due")

        monkeypatch.setattr(sqlite_store, "write", never)
        assert await on.home.sweep() == 0


JOURNEYS = (
    "three_attempts_home", "final_attempt_no_return_scan", "final_without_earlier_scans", "bad_address", "refused",
    "address_corrected", "delivered_second_attempt", "return_under_way", "recall_withdrawn",
)  # fmt: skip


async def test_whole_journeys_with_every_sweep_end_as_the_street_records_them_with_one_order_each(sqlite_store):
    """Polled, read, reviewed and seen to every six hours to the end: our conclusions are the street's, orders included;
    what failed three times was asked back once and is home."""
    async with house(sqlite_store, intercept_after_final=True) as on:
        staged = {name: await on.on_its_way(name, 0) for name in JOURNEYS}
        ups, poller = on.till.carriers["ups"], on.home.poller
        while on.town.now() < on.town.ends_at + timedelta(days=1):
            on.town.clock.turn(on.town.now() + timedelta(hours=6))
            await poller.sweep(ups)
            await on.ledger.read_all(on.town.now())
            await on.ledger.review_due(on.town.now())
            await on.later(120)
        truth = {each["number"]: each for each in on.town.record()}
        orders = [line.number for line in on.town.ledger if line.kind == "intercept"]
        for name, parcel in staged.items():
            view, record = await on.view(parcel), truth[parcel.number]
            assert (view["leg"], view["status"]) == (record["leg"], record["status"]), name
            assert view["attempts"]["count"] == record["attempts"]["count"], name
            case, true = view["return_to_warehouse"], record["return_to_warehouse"]
            assert (case["state"] if case else None) == (true["state"] if true else None), name
            said = await on.said(parcel)
            assert orders.count(parcel.number) == said.count(REQUESTED) == int(name in ASKED), name
            assert said.count(EXPECTED) <= 1
            if name in ASKED:
                assert case["reason"] == ASKED[name] and true["reason"] == "recalled_by_shipper"


ASKED = {
    "three_attempts_home": "failed_delivery_attempts",
    "final_attempt_no_return_scan": "failed_delivery_attempts",
    "final_without_earlier_scans": "failed_delivery_attempts",
    "bad_address": "insufficient_address",
    "address_corrected": "insufficient_address",
}
