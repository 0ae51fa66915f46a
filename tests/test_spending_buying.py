"""A label is intended before it is bought, never bought twice, and unknown is never taken for failed."""

import asyncio
import hashlib
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carriers.contract import Address, LabelRequest, Rejected
from fleet.clocks import Clock
from spending.buying import buy, keep
from spending.intents import Intent, Till, claim_of, give_up, hand_over, new_purchase_id, new_reference, plan, state_of
from spending.machine import Pace, Record, State, after_looks, after_miss, backoff, next_look
from spending.resolving import resolve
from store.outbox import said_about
from store.purchases import documents_of, find_purchase, labels_of
from store.sealing import Sealer
from tests.selling import Seller, label

HERE = Address("Ada Bianchi", ("Keizersgracht 1",), "Amsterdam", "1015 CJ", "NL")
THERE = Address("Returns", ("Interporto di Bologna",), "Bentivoglio", "40010", "IT")


class Hands:
    """The real clock of leases, turned by hand."""

    def __init__(self) -> None:
        self.at = 1_772_400_000.0

    def __call__(self) -> float:
        return self.at


def till_of(store, seller, hands) -> Till:
    clock = Clock(datetime(2026, 3, 2, 9, tzinfo=UTC), 1.0, 0.0)
    return Till(store, Sealer(b"k" * 32), {"ups": seller}, clock, Pace(), hands)


async def planned(till: Till, subject: str = "return:1") -> str:
    """An intent, as the returns desk plans it."""
    request = LabelRequest(new_purchase_id(), new_reference(), HERE, THERE, Decimal("1.5"), "Returned goods")
    prepared = till.carriers["ups"].prepare_label(request)
    intent = Intent(request.purchase_id, "ups", subject, 1, prepared, {"return_number": "R1"})
    await till.store.write(lambda tx: plan(tx, till, intent))
    return intent.id


async def row_of(till, id):
    return dict(await till.store.read(lambda tx: find_purchase(tx, id)))


async def labels(till, id):
    return [(r["number"], r["state"]) for r in await till.store.read(lambda tx: labels_of(tx, id))]


async def said(till):
    return [(r["type"], json.loads(r["data"])) for r in await till.store.read(lambda tx: said_about(tx, "return:1"))]


async def pass_time(till, hands, seconds, step=30.0):
    """Turn the clock on, resolving at every step."""
    end = hands.at + seconds
    while hands.at < end:
        hands.at += step
        await resolve(till)


async def test_the_intent_is_kept_with_its_exact_bytes_before_anything_is_sent(store):
    """PLANNED holds the sealed bytes, their digest, a UUID4 and a reference of R and 26 letters and digits."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    row = await row_of(till, id)
    assert (row["state"], seller.sent) == ("PLANNED", [])
    body = till.sealer.open(bytes(row["body"]))
    assert hashlib.sha256(body).hexdigest() == row["body_digest"] and b"Ada Bianchi" in body
    assert b"Ada" not in bytes(row["body"]) and "Ada" not in row["prepared"]
    assert uuid.UUID(id).version == 4
    assert len(row["reference"]) == 27 and row["reference"].isalnum() and row["reference"][0] == "R"


async def test_bought_is_one_commit_of_label_documents_price_and_notice(store):
    """A label that was bought is kept with sealed documents and its price, and label.purchased is said."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    assert await buy(till, id) is State.BOUGHT
    number = seller.charges[0][1]
    assert await labels(till, id) == [(number, "live")]
    label = (await store.read(lambda tx: labels_of(tx, id)))[0]
    documents = await store.read(lambda tx: documents_of(tx, label["id"]))
    assert [d["format"] for d in documents] == ["pdf", "zpl"]
    plain = till.sealer.open(bytes(documents[0]["sealed"]))
    assert plain == b"%PDF-1.7 " + number.encode()
    assert (documents[0]["digest"], documents[0]["size"]) == (hashlib.sha256(plain).hexdigest(), len(plain))
    [(type, data)] = await said(till)
    assert type == "label.purchased"
    assert (data["number"], data["price"], data["currency"], data["return_number"]) == (number, "7.95", "EUR", "R1")


async def test_the_row_is_sending_while_the_call_runs(store):
    """A reader sees SENDING, with a fence and a lease, before the carrier has answered."""
    seller, hands = Seller(["stall"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    task = asyncio.create_task(buy(till, id))
    await seller.entered.wait()
    row = await row_of(till, id)
    assert (row["state"], row["fence"], row["attempt"]) == ("SENDING", 1, 1)
    assert row["lease_us"] == round((hands.at + 120) * 1e6)
    seller.gate.set()
    assert await task is State.BOUGHT


async def test_many_callers_send_once(store):
    """However many buy the same purchase at once, it is sent once."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await asyncio.gather(*(buy(till, id) for _ in range(8)))
    assert len(seller.sent) == 1 and await state_of(till, id) is State.BOUGHT


async def test_rejected_is_final_and_says_why(store):
    """The carrier's no to bytes sent once is final: nothing was bought, nothing is sent again."""
    seller, hands = Seller(["reject"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    assert await buy(till, id) is State.REJECTED
    assert json.loads((await row_of(till, id))["outcome"])["code"] == "120100"
    await pass_time(till, hands, 3600, 300)
    assert len(seller.sent) == 1 and await labels(till, id) == []


async def test_what_never_reached_the_carrier_is_sent_again_with_the_same_bytes(store):
    """No connection: PLANNED again, sent again after the wait that was asked for, same bytes."""
    seller, hands = Seller(["unreached", "unreached"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    assert await buy(till, id) is State.PLANNED
    await resolve(till)
    assert len(seller.sent) == 1
    await pass_time(till, hands, 60, 5)
    assert await state_of(till, id) is State.BOUGHT
    assert len(set(seller.sent)) == 1 and len(seller.sent) == 3 and len(seller.charges) == 1


async def test_unknown_is_told_to_ops_and_found_again(store):
    """Charged without an answer: UNKNOWN, ops hear it once, and looking adopts the label that was paid."""
    seller, hands = Seller(["lose"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    assert await buy(till, id) is State.UNKNOWN
    await pass_time(till, hands, 60, 5)
    assert await state_of(till, id) is State.BOUGHT
    assert len(seller.sent) == 1 and len(seller.charges) == 1
    assert [type for type, _ in await said(till)] == ["ops.purchase_unknown", "label.purchased"]


@pytest.mark.parametrize("how", ["drop", "break"])
async def test_a_miss_counts_only_after_the_quiet_time_and_then_the_same_bytes_go_again(store, how):
    """Not found before 15 minutes proves nothing; two misses after it, and the very same bytes are sent again."""
    seller, hands = Seller([how]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    assert await buy(till, id) is State.UNKNOWN
    await pass_time(till, hands, 890, 10)
    assert seller.looks >= 3 and len(seller.sent) == 1 and await state_of(till, id) is State.UNKNOWN
    await pass_time(till, hands, 200, 10)
    assert await state_of(till, id) is State.BOUGHT
    assert len(set(seller.sent)) == 1 and len(seller.sent) == 2 and len(seller.charges) == 1


async def test_a_label_that_turns_up_late_in_the_quiet_time_is_not_bought_again(store):
    """The carrier shows the label only after 14 minutes: it is adopted, not doubled."""
    seller, hands = Seller(["lose"], visible=False), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 840, 20)
    seller.visible = True
    await pass_time(till, hands, 120, 20)
    assert await state_of(till, id) is State.BOUGHT and len(seller.charges) == 1


async def test_a_look_without_an_answer_is_no_look(store):
    """While the carrier is away nothing is concluded and nothing sent, however long it takes."""
    seller, hands = Seller(["lose"], away=True), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 7200, 60)
    assert await state_of(till, id) is State.UNKNOWN and len(seller.sent) == 1
    seller.away = False
    await pass_time(till, hands, 120, 60)
    assert await state_of(till, id) is State.BOUGHT and len(seller.charges) == 1


async def test_after_two_resends_a_person_decides(store):
    """Three sends that vanished: NEEDS_HUMAN, told to ops, and never sent again."""
    seller, hands = Seller(["drop"] * 9), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 6 * 3600, 60)
    assert await state_of(till, id) is State.NEEDS_HUMAN and len(seller.sent) == 3
    states = [data["state"] for type, data in await said(till) if type == "ops.purchase_unknown"]
    assert states == ["UNKNOWN", "NEEDS_HUMAN"]


async def test_a_refusal_after_an_unknown_send_stands_once_looking_again_finds_nothing(store):
    """The second send is refused: until the looks after it count, that proves nothing; then it is the end."""
    seller, hands = Seller(["drop", "reject"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 1200, 30)
    assert (len(seller.sent), await state_of(till, id)) == (2, State.UNKNOWN)
    await pass_time(till, hands, 1200, 30)
    assert (len(seller.sent), await state_of(till, id), await labels(till, id)) == (2, State.REJECTED, [])


async def test_a_refusal_because_the_first_send_worked_is_overruled_by_looking(store):
    """The first send's label shows only after the second was refused: it is adopted."""
    seller, hands = Seller(["lose", "reject"], visible=False), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 1200, 30)
    assert len(seller.sent) == 2
    seller.visible = True
    await pass_time(till, hands, 120, 30)
    assert await state_of(till, id) is State.BOUGHT and len(seller.charges) == 1


async def test_a_sender_that_died_leaves_an_unknown(store):
    """SENDING with a lease that ran out is looked for, never simply sent again."""
    seller, hands = Seller(["lose"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)

    class Dies:
        name = "ups"

        async def buy(self, prepared):
            await seller.buy(prepared)
            raise SystemExit  # nothing of the process runs after this

    with pytest.raises(SystemExit):
        await buy(replace(till, carriers={"ups": Dies()}), id)
    assert await state_of(till, id) is State.SENDING
    await resolve(till)
    assert await state_of(till, id) is State.SENDING and seller.looks == 0  # the lease still holds
    await pass_time(till, hands, 300, 10)
    assert await state_of(till, id) is State.BOUGHT
    assert len(seller.sent) == 1 and len(seller.charges) == 1


async def test_a_planner_that_died_is_sent_by_the_sweep(store):
    """PLANNED and left: the sweep sends it once."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await resolve(till)
    assert seller.sent == []
    hands.at += 16
    await asyncio.gather(resolve(till), resolve(till))
    assert await state_of(till, id) is State.BOUGHT and len(seller.sent) == 1


async def test_a_cancelled_sender_leaves_unknown_and_the_label_is_found(store):
    """Cancellation during the send is Unknown, settled before the cancellation goes on."""
    seller, hands = Seller(["stall"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    task = asyncio.create_task(buy(till, id))
    await seller.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await state_of(till, id) is State.UNKNOWN
    seller._charge((await row_of(till, id))["reference"])  # the carrier went on without us
    await pass_time(till, hands, 60, 10)
    assert await state_of(till, id) is State.BOUGHT and len(seller.charges) == 1


async def test_a_stalled_sender_that_wakes_after_another_settled_brings_a_surplus_label(store):
    """Its label is one too many: kept for voiding, told to ops, and never the purchase's label."""
    seller, hands = Seller(["stall"], visible=False), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    stalled = asyncio.create_task(buy(till, id))
    await seller.entered.wait()
    await pass_time(till, hands, 1800, 30)
    first = await labels(till, id)
    assert [state for _, state in first] == ["live"]
    seller.gate.set()
    assert await stalled is State.BOUGHT
    assert await labels(till, id) == [*first, (seller.charges[1][1], "surplus")]
    assert "ops.label_surplus" in [type for type, _ in await said(till)]


async def test_a_stalled_sender_that_wakes_before_anybody_settled_is_proof(store):
    """Its label settles the UNKNOWN purchase; nothing is sent again."""
    seller, hands = Seller(["stall"], visible=False), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    stalled = asyncio.create_task(buy(till, id))
    await seller.entered.wait()
    await pass_time(till, hands, 300, 30)
    assert await state_of(till, id) is State.UNKNOWN
    seller.gate.set()
    assert await stalled is State.BOUGHT
    await pass_time(till, hands, 3600, 60)
    assert len(seller.sent) == 1 and len(await labels(till, id)) == 1


async def test_a_stalled_sender_without_a_label_cannot_overrule(store):
    """Late news other than a label is stopped by the fence."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)

    class Sleeps:
        name = "ups"

        async def buy(self, prepared):
            await pass_time(till, hands, 1800, 30)  # meanwhile the sweep looks, and sends again
            return Rejected("1", "no")

    assert await buy(replace(till, carriers={"ups": Sleeps()}), id) is State.BOUGHT
    assert await state_of(till, id) is State.BOUGHT


async def test_a_stalled_sender_cannot_end_somebody_elses_send(store):
    """While the second send is under way, the first one wakes with a refusal: the fence stops it."""
    seller, hands = Seller(["stall"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    tasks = []

    class Sleeps:
        name = "ups"

        async def buy(self, prepared):
            await pass_time(till, hands, 930, 30)
            hands.at += 120
            tasks.append(asyncio.create_task(resolve(till)))  # sends again, and stalls
            await seller.entered.wait()
            return Rejected("1", "no")

    assert await buy(replace(till, carriers={"ups": Sleeps()}), id) is State.SENDING
    seller.gate.set()
    await tasks[0]
    assert await state_of(till, id) is State.BOUGHT


async def test_a_label_for_a_purchase_that_ended_without_one_is_surplus(sqlite_store):
    """The carrier said no and a label turns up all the same: kept for voiding, and nobody gets it."""
    seller, hands = Seller(["reject"]), Hands()
    till = till_of(sqlite_store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    row = await sqlite_store.read(lambda tx: find_purchase(tx, id))
    assert await keep(till, claim_of(row, till), (label("1Z999AA10123456784"),)) is State.REJECTED
    assert await labels(till, id) == [("1Z999AA10123456784", "surplus")]


async def test_giving_up_and_handing_over(sqlite_store):
    """Only what never reached the carrier can be given up; what ended is handed over once."""
    seller, hands = Seller(), Hands()
    till = till_of(sqlite_store, seller, hands)
    id, other = await planned(till), await planned(till, "return:2")
    assert await sqlite_store.write(lambda tx: give_up(tx, till, other))
    await buy(till, id)
    await pass_time(till, hands, 60, 20)
    assert len(seller.sent) == 1
    assert not await sqlite_store.write(lambda tx: give_up(tx, till, id))
    assert await sqlite_store.write(lambda tx: hand_over(tx, till, id)) is State.ISSUED
    assert await sqlite_store.write(lambda tx: hand_over(tx, till, id)) is None


async def test_one_purchase_lives_per_subject(store):
    """A second intent for the same return and generation cannot be kept."""
    till = till_of(store, Seller(), Hands())
    await planned(till)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await planned(till)


async def test_one_bad_row_does_not_stop_the_others(sqlite_store):
    """A purchase that cannot be taken up is an error of the sweep, after all the others were seen to."""
    seller, hands = Seller(), Hands()
    till = till_of(sqlite_store, seller, hands)
    other = replace(till, sealer=Sealer(b"x" * 32))
    bad, good = await planned(other), await planned(till, "return:2")
    hands.at += 60
    with pytest.raises(ExceptionGroup):
        await resolve(till)
    assert (await state_of(till, bad), await state_of(till, good)) == (State.PLANNED, State.BOUGHT)


@given(st.lists(st.floats(1, 2000), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_nothing_is_sent_again_before_two_misses_after_the_quiet_time(gaps):
    """Whatever the times of the looks: a resend needs two looks after the quiet time."""
    pace, record, since = Pace(), Record(), 0.0
    for gap in gaps:
        since += gap
        record = after_miss(pace, record, since)
        if after_looks(pace, record, 1) is State.SENDING:
            break
    counted = [t for t in _sums(gaps) if t >= pace.quiet]
    assert (after_looks(pace, record, 1) is State.SENDING) == (len(counted) >= 2)


def _sums(gaps):
    total = 0.0
    for gap in gaps:
        total += gap
        yield total


def test_the_looks_are_at_15_seconds_to_15_minutes_then_every_minute():
    """source: labels-never-twice.md, 6."""
    pace = Pace()
    assert [next_look(pace, since) for since in (0, 15, 60, 300, 900, 5000)] == [15, 45, 240, 600, 60, 60]
    assert next_look(Pace(factor=0.01), 0.0) == pytest.approx(0.15)
    assert [backoff(pace, n) for n in (1, 2, 3, 40)] == [5, 10, 20, 900]
    assert backoff(pace, 1, 77.0) == 77.0
