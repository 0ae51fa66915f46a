"""An order to turn a parcel round is intended before it is sent, never repeated blindly, and looked up when unknown."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from carriers.contract import (
    Away,
    Eligibility,
    Event,
    Intercepted,
    Kind,
    NotExecuted,
    Payload,
    Prepared,
    Readings,
    Reason,
    Refused,
    Rejected,
    Source,
    Unknown,
)
from spending.brakes import Braked, Limits, start, stop
from spending.intents import Intent, claim_of, hand_over, new_purchase_id, plan, state_of
from spending.intercepting import IN_FORCE, in_force, order
from spending.machine import State
from spending.reconciling import close, reconcile_now, shown
from spending.resolving import resolve
from store.outbox import said_about
from store.purchases import find_purchase
from tests.test_spending_buying import Hands, pass_time, till_of

NUMBER = "1Z5338FF0107231059"
STORY = datetime(2026, 3, 2, 9, tzinfo=UTC)


@dataclass
class Turner:
    """What the next orders do, in order, then "take": take, reject, unreached, lose (taken, no answer), drop (neither),
    stall (taken when it is let go). `charges` counts what was taken; a second order is taken and charged again.
    """

    script: list[str] = field(default_factory=list)
    charges: int = 0
    sent: list[bytes] = field(default_factory=list)
    looks: int = 0
    turned: bool = False  # nothing is in force any more, and its scans say that its sender called it back
    gone: bool = False  # nothing can be ordered any more
    away: bool = False
    refused: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def intercept(self, prepared):
        self.sent.append(prepared.body)
        match self.script.pop(0) if self.script else "take":
            case "take":
                self.charges += 1
                return Intercepted(prepared.reference, "taken")
            case "reject":
                return Rejected("4711", "not this one")
            case "unreached":
                return NotExecuted("no connection", 1.0)
            case "lose":
                self.charges += 1
                return Unknown("read timeout")
            case "stall":
                await self.gate.wait()
                self.charges += 1
                return Unknown("too late to say")
            case _:
                return Unknown("answered 500")

    async def intercept_eligibility(self, number):
        self.looks += 1
        if self.away:
            raise Away("no answer")
        if self.refused:
            raise Refused("nobody is set to ask")
        already = self.charges > 0 and not self.turned
        return Eligibility(not already and not self.gone and not self.turned, "", (), already)

    async def track(self, numbers):
        return [Payload("ups", Source.POLL, number.encode()) for number in numbers]

    def read(self, payload):
        number = payload.body.decode()
        back = Event(
            "ups", number, STORY, STORY, STORY.date(), Kind.RETURNING_TO_SENDER, "X/CS", "back",
            reason=Reason.RECALLED_BY_SHIPPER,
        )  # fmt: skip
        return Readings((back,) if self.turned else ())


def house(store, turner, hands):
    return till_of(store, turner, hands)


async def planned(till, subject="parcel:7", price="21.00"):
    prepared = Prepared("intercept", "POST", f"/return/{NUMBER}", {}, b'{"requestType":"RS"}', NUMBER)
    about = {"number": NUMBER, "asked_at": STORY.isoformat(), "price": price, "currency": "USD", "price_note": ""}
    intent = Intent(new_purchase_id(), "ups", subject, 1, prepared, about)
    await till.store.write(lambda tx: plan(tx, till, intent))
    return intent.id


async def row_of(till, id):
    return dict(await till.store.read(lambda tx: find_purchase(tx, id)))


async def types(till, subject="parcel:7"):
    return [row["type"] for row in await till.store.read(lambda tx: said_about(tx, subject))]


async def test_an_order_that_is_taken_is_bought_with_its_price_and_handed_over_once(store):
    """One send; what it counts for under the caps is its price; only one hand-over."""
    turner, hands = Turner(), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    assert (await row_of(till, id))["audit_us"] is None, "what is in force is not asked for by a label's reference"
    assert await order(till, id) is State.BOUGHT and turner.charges == 1
    row = await row_of(till, id)
    assert (row["spend"], row["audit_us"]) == (2100, None)
    assert await store.write(lambda tx: hand_over(tx, till, id)) is State.ISSUED
    assert await store.write(lambda tx: hand_over(tx, till, id)) is None
    assert await order(till, id) is State.ISSUED and len(turner.sent) == 1


@pytest.mark.parametrize(("does", "charges"), [("lose", 1), ("drop", 1)])
async def test_an_unknown_order_is_looked_up_and_never_repeated_blindly(store, does, charges):
    """Taken without an answer: found in force and adopted. Not taken: sent again only after the quiet time."""
    turner, hands = Turner([does]), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    assert await order(till, id) is State.UNKNOWN
    await pass_time(till, hands, 600)
    assert len(turner.sent) == 1 and turner.looks >= 1
    await pass_time(till, hands, 1800)
    assert await state_of(till, id) is State.BOUGHT
    assert turner.charges == charges and len(turner.sent) == (2 if does == "drop" else 1)
    assert set(turner.sent) == {b'{"requestType":"RS"}'}
    assert await types(till) == ["ops.purchase_unknown", "ops.purchase_settled"]


async def test_a_dead_sender_is_followed_by_a_look_and_not_by_a_send(store):
    """The process died after the carrier charged: the next one finds the order in force."""
    turner, hands = Turner(["stall"]), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    dying = asyncio.ensure_future(order(replace(till, store=Nowhere(store)), id))
    while not turner.sent:
        await asyncio.sleep(0)
    turner.gate.set()
    with pytest.raises(Died):
        await dying
    assert await state_of(till, id) is State.SENDING
    await pass_time(till, hands, 300)
    assert await state_of(till, id) is State.BOUGHT and turner.charges == len(turner.sent) == 1


class Died(Exception):
    pass


@dataclass
class Nowhere:
    """A store that keeps one more unit, then none: the process is dead."""

    store: object
    left: int = 1

    async def read(self, unit):
        return await self.store.read(unit)

    async def write(self, unit):
        if not self.left:
            raise Died
        self.left -= 1
        return await self.store.write(unit)


async def test_a_parcel_that_has_turned_proves_that_the_order_was_carried_out(store):
    """Nothing is in force any more and nothing is possible; the scans say that its sender called it back: bought."""
    turner, hands = Turner(["lose"]), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    await order(till, id)
    turner.turned = True
    await pass_time(till, hands, 60)
    assert await state_of(till, id) is State.BOUGHT and len(turner.sent) == 1


async def test_what_was_not_done_and_cannot_be_done_any_more_is_refused(store):
    """Dropped on the way, and meanwhile delivered: after the quiet time it is settled as not bought, never resent."""
    turner, hands = Turner(["drop"], gone=True), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    await order(till, id)
    await pass_time(till, hands, 800)
    assert await state_of(till, id) is State.UNKNOWN
    await pass_time(till, hands, 1800)
    assert await state_of(till, id) is State.REJECTED and len(turner.sent) == 1 and turner.charges == 0
    assert (await row_of(till, id))["spend"] == 0


async def test_what_was_planned_and_left_is_checked_again_before_it_is_sent(store):
    """The planner died; hours later it cannot be turned any more: nothing is sent. In force already: neither."""
    for subject, turner, code in (
        ("parcel:1", Turner(gone=True), "not_possible"),
        ("parcel:2", Turner(charges=1), IN_FORCE),
        ("parcel:3", Turner(refused=True), "not_possible"),
    ):
        hands = Hands()
        till = house(store, turner, hands)
        id = await planned(till, subject)
        hands.at += 7200
        await resolve(till)
        row = await row_of(till, id)
        assert row["state"] == State.REJECTED and f'"{code}"' in row["outcome"] and turner.sent == []


async def test_what_was_planned_and_left_waits_for_a_carrier_that_is_away_and_then_goes_once(store):
    """No answer is no eligibility: it is asked again later, and sent once."""
    turner, hands = Turner(away=True), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    await pass_time(till, hands, 600)
    assert await state_of(till, id) is State.PLANNED and turner.sent == []
    turner.away = False
    await pass_time(till, hands, 1800)
    assert await state_of(till, id) is State.BOUGHT and turner.charges == len(turner.sent) == 1


async def test_refused_is_refused_and_unreached_goes_again(store):
    """The carrier's no ends it; a connection that never was does not count."""
    turner, hands = Turner(["reject"]), Hands()
    till = house(store, turner, hands)
    assert await order(till, await planned(till)) is State.REJECTED and turner.charges == 0
    turner.script = ["unreached"]
    id = await planned(till, "parcel:8")
    assert await order(till, id) is State.PLANNED
    await pass_time(till, hands, 60)
    assert await state_of(till, id) is State.BOUGHT and turner.charges == 1


async def test_an_answer_that_comes_after_a_no_still_counts(store):
    """It was settled as not done, and then the first answer says that it was taken: it is bought after all."""
    turner, hands = Turner(["reject"]), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    await order(till, id)
    claim = claim_of(await store.read(lambda tx: find_purchase(tx, id)), till)
    assert await in_force(till, claim, "late") is State.BOUGHT
    assert (await row_of(till, id))["spend"] == 2100
    assert await store.write(lambda tx: hand_over(tx, till, id)) is State.ISSUED


async def test_one_lives_however_many_want_it(store):
    """The same parcel's order planned twice is an error of the database; five sweeps send it once."""
    turner, hands = Turner(), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await planned(till)
    hands.at += 60
    await asyncio.gather(*(resolve(till) for _ in range(5)), *(order(till, id) for _ in range(5)))
    assert len(turner.sent) == turner.charges == 1


async def test_caps_and_the_switch_hold(store):
    """Over a cap nothing is planned; stopped after the plan, nothing is sent until it goes on."""
    turner, hands = Turner(), Hands()
    till = replace(house(store, turner, hands), limits=replace(Limits(), per_hour=Limits().label))
    id = await planned(till)
    with pytest.raises(Braked, match="in an hour"):
        await planned(till, "parcel:8")
    await stop(store, "ops", "a test", STORY)
    assert await order(till, id) is State.PLANNED and turner.sent == []
    await pass_time(till, hands, 300)
    assert turner.sent == []
    await start(store, "ops", STORY)
    await pass_time(till, hands, 300)
    assert await state_of(till, id) is State.BOUGHT and len(turner.sent) == 1


async def test_never_answered_it_waits_for_a_person_who_closes_it_by_what_is_in_force(store):
    """Dropped three times: a person. Closing asks once more; reconcile shows it open, and asks no label's questions."""
    turner, hands = Turner(["drop"] * 3), Hands()
    till = house(store, turner, hands)
    id = await planned(till)
    await order(till, id)
    await pass_time(till, hands, 6000)
    assert await state_of(till, id) is State.NEEDS_HUMAN and len(turner.sent) == 3
    found = await reconcile_now(till)
    assert (found.asked, found.unanswered) == (0, 0)
    [line] = (await shown(till))["open"]
    assert (line["operation"], line["reference"], line["state"]) == ("intercept", NUMBER, "NEEDS_HUMAN")
    assert await close(till, id, "called UPS") is State.REJECTED
