"""A label that is one too many is voided only on proof, as a purchase of its own; its bytes and money are kept."""

from dataclasses import replace

import pytest

from carriers.contract import Abilities, Bought, LabelFormat
from spending.buying import buy, keep
from spending.intents import claim_of, hand_over, new_purchase_id, state_of
from spending.machine import LabelState, Proof, State, is_paper, may_void, sort_labels
from spending.reconciling import accept, again, close, reconcile, reconcile_now, refuse, shown
from spending.replays import prove
from spending.resolving import resolve
from spending.voiding import void, void_surplus
from store.outbox import said_about
from store.purchases import documents_of, find_purchase, label_by_number, labels_of, money_of, purge_void_documents
from tests.selling import Seller, label
from tests.test_spending_buying import Hands, labels, pass_time, planned, till_of


async def doubled(store, **script):
    """A purchase for which the carrier charged twice: (till, hands, seller, purchase, live number, surplus number)."""
    seller, hands = Seller(**script), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    reference = seller.charges[0][0]
    await till.store.write(lambda tx: hand_over(tx, till, id))
    seller._charge(reference)
    row = await store.read(lambda tx: find_purchase(tx, id))
    await keep(till, claim_of(row, till), await seller.find(claim_of(row, till).intent.prepared))
    (live, _), (surplus, state) = await labels(till, id)
    assert state == "surplus"
    return till, hands, seller, id, live, surplus


async def sweep(till, hands, seconds, step=60.0):
    end = hands.at + seconds
    while hands.at < end:
        hands.at += step
        await void_surplus(till)
        await resolve(till)


async def void_states(till):
    view = await shown(till)
    return {name: count for name, count in view["purchases"].items() if name.startswith("void.")}


async def test_a_surplus_label_is_voided_after_the_quiet_time_and_its_money_comes_back(store):
    """Not before 15 minutes; then it is void, a refund stands beside its price, and the live one is as it was."""
    till, hands, seller, id, live, surplus = await doubled(store)
    await sweep(till, hands, 840)
    assert seller.asked_void == []
    await sweep(till, hands, 120)
    assert seller.voided == [surplus] and seller.live == [live]
    assert await labels(till, id) == [(live, "live"), (surplus, "voided")]
    row = await store.read(lambda tx: label_by_number(tx, "ups", surplus))
    lines = await store.read(lambda tx: money_of(tx, row["id"]))
    assert [(line["kind"], line["amount"], line["currency"]) for line in lines] == [
        ("price", "7.95", "EUR"),
        ("refund", "7.95", "EUR"),
    ]
    assert await void_states(till) == {"void.VOIDED": 1}


async def test_a_label_that_travels_is_never_voided(store):
    """A physical scan on the surplus label: not voided, told to ops, a person looks."""
    till, hands, seller, id, live, surplus = await doubled(store)
    seller.scanned.add(surplus)
    await sweep(till, hands, 3600)
    assert seller.asked_void == [] and await labels(till, id) == [(live, "live"), (surplus, "used")]
    said = await store.read(lambda tx: said_about(tx, "return:1"))
    assert "ops.label_used" in [row["type"] for row in said]


async def test_nothing_is_voided_while_the_carrier_does_not_show_the_live_one(store):
    """The label that would remain must be there: the last one of a purchase is never voided."""
    till, hands, seller, _, live, _ = await doubled(store)
    seller.voided.append(live)  # somebody voided it behind our back
    await sweep(till, hands, 3600)
    assert seller.asked_void == []


@pytest.mark.parametrize("script", [["lose"], ["drop", "unreached"], ["drop", "drop", "drop"]])
async def test_a_void_whose_end_is_unknown_is_sent_again_until_it_is_known(store, script):
    """Voiding twice is safe: no answer, no connection, and it is void in the end, with one refund."""
    till, hands, seller, id, _, surplus = await doubled(store, voids=[*script])
    await sweep(till, hands, 3600)
    assert surplus in seller.voided and len(seller.asked_void) == len(script) + 1
    assert (await labels(till, id))[1] == (surplus, "voided") and await void_states(till) == {"void.VOIDED": 1}


async def test_a_void_that_dies_is_taken_up_again(store):
    """The process ends during the void: the intent was kept, and the sweep sends it again."""
    till, hands, seller, _, _, surplus = await doubled(store)

    class Dies(Seller):
        async def void(self, prepared):
            raise SystemExit

    dying = Dies(charges=seller.charges)
    hands.at += 1000
    row = await store.read(lambda tx: label_by_number(tx, "ups", surplus))
    with pytest.raises(SystemExit):
        await void(replace(till, carriers={"ups": dying}), row["id"], "one too many")
    assert await void_states(till) == {"void.SENDING": 1}
    await sweep(till, hands, 600)
    assert seller.voided == [surplus] and await void_states(till) == {"void.VOIDED": 1}


async def unanswered(store):
    """A void that eight sends brought no answer to: it waits for a person, and the sweeps leave it."""
    till, hands, seller, id, _, surplus = await doubled(store, voids=["drop"] * 8)
    await sweep(till, hands, 40_000, step=300)
    assert len(seller.asked_void) == 8 and await void_states(till) == {"void.NEEDS_HUMAN": 1}
    [line] = (await shown(till))["open"]
    assert (line["operation"], line["sends"]) == ("void", 8)
    return till, hands, seller, id, surplus, line["id"]


async def test_a_void_without_any_answer_is_sent_again_when_a_person_says_so(store):
    """Nothing is lost: `labels retry` sends it again, and it is void with its refund."""
    till, hands, seller, id, surplus, void_id = await unanswered(store)
    assert await again(till, void_id) and not await again(till, void_id)
    await sweep(till, hands, 600)
    assert surplus in seller.voided and (await labels(till, id))[1] == (surplus, "voided")
    assert await void_states(till) == {"void.VOIDED": 1} and not await again(till, void_id)


@pytest.mark.parametrize(
    ("is_void", "state", "ends"), [(True, "VOIDED", "voided"), (False, "VOID_FAILED", "voided_here")]
)
async def test_a_void_without_any_answer_is_ended_by_a_person(store, is_void, state, ends):
    """`labels close`: the carrier's own word on the label decides; else nobody gets it, and nothing is asked again."""
    till, hands, seller, id, surplus, void_id = await unanswered(store)
    if is_void:
        seller.voided.append(surplus)
    assert await close(till, void_id, "looked at") is State(state) and await close(till, void_id, "again") is None
    await sweep(till, hands, 600)
    assert (await labels(till, id))[1] == (surplus, ends) and len(seller.asked_void) == 8
    assert await void_states(till) == {f"void.{state}": 1}


async def test_where_the_carrier_does_not_void_the_label_is_void_here_and_says_so(store):
    """USPS returns: no call; UPS in Europe: refused. Nobody gets it, no refund is claimed, its number stays known."""
    till, hands, seller, id, _, surplus = await doubled(store, abilities=Abilities(void_return="not by API"))
    await sweep(till, hands, 1000)
    assert seller.asked_void == [] and (await labels(till, id))[1] == (surplus, "voided_here")
    row = await store.read(lambda tx: label_by_number(tx, "ups", surplus))
    assert row["note"] == "not by API"
    assert [line["kind"] for line in await store.read(lambda tx: money_of(tx, row["id"]))] == ["price"]


async def test_a_refused_void_is_void_here(store):
    """190102: the carrier's words are kept, and it is not asked again."""
    till, hands, seller, id, _, surplus = await doubled(store, voids=["refuse"])
    await sweep(till, hands, 3600)
    assert len(seller.asked_void) == 1 and (await labels(till, id))[1] == (surplus, "voided_here")
    row = await store.read(lambda tx: label_by_number(tx, "ups", surplus))
    assert "190102" in row["note"] and await void_states(till) == {"void.VOID_FAILED": 1}


async def test_a_label_that_costs_too_much_is_held_until_a_person_takes_it(store):
    """61 where 60 is the most: kept and paid, nobody gets it; accepted, it is the purchase's label."""
    seller, hands = Seller(prices=["61.00"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    assert await buy(till, id) is State.NEEDS_HUMAN
    [(number, state)] = await labels(till, id)
    assert state == "held" and not await store.write(lambda tx: hand_over(tx, till, id))
    await pass_time(till, hands, 3600)
    assert len(seller.sent) == 1
    assert await accept(till, "ups", number) and not await accept(till, "ups", number)
    assert await state_of(till, id) is State.BOUGHT and await labels(till, id) == [(number, "live")]


async def test_a_held_label_can_be_refused_by_a_person(store):
    """It is voided, and the purchase closed."""
    seller, hands = Seller(prices=["61.00"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    assert await refuse(till, "ups", seller.charges[0][1], "ann") is State.VOIDED
    assert seller.live == [] and (await labels(till, id))[0][1] == "voided"
    assert await close(till, id, "too dear") is State.REJECTED


async def test_a_purchase_for_a_person_is_closed_only_after_the_carrier_was_asked(store):
    """Three sends that vanished; the person closes it, but the carrier has the label by now: it is adopted."""
    seller, hands = Seller(["drop", "drop", "lose"], visible=False), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 2 * 3600, 60)
    assert await state_of(till, id) is State.NEEDS_HUMAN
    seller.visible = True
    assert await close(till, id, "nothing there") is State.BOUGHT
    assert await close(till, id, "again") is None


async def test_a_label_without_paper_waits_for_it_and_is_never_bought_again(store):
    """The number is known, its bytes are not (or are no PDF at all): looked for, and nothing is sent again."""
    bad = {LabelFormat.PDF: b"<html>", LabelFormat.ZPL: b"x" * (2 * 1024 * 1024 + 1)}
    seller, hands = Seller(["lose"], papers=[{}, bad]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 60, 15)
    assert await state_of(till, id) is State.UNKNOWN and len(await labels(till, id)) == 1
    await pass_time(till, hands, 600, 15)
    assert await state_of(till, id) is State.BOUGHT and len(seller.sent) == 1
    row = (await store.read(lambda tx: labels_of(tx, id)))[0]
    assert [d["format"] for d in await store.read(lambda tx: documents_of(tx, row["id"]))] == ["pdf", "zpl"]


async def test_where_looking_is_refused_the_same_bytes_bring_the_label_if_replay_was_proved(store):
    """USPS after three reprints: with replay proved the same key is sent again; without it a person looks."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    probe = await planned(till, "proof:1")
    assert (await state_of(till, probe)) is State.PLANNED
    seller.script, seller.spent_reprints = ["lose"], True
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 3600, 30)
    assert await state_of(till, id) is State.NEEDS_HUMAN
    sent = [body for body in seller.sent if b"Ada" in body]
    assert len(sent) == 2  # the probe, and this one once


async def test_replay_is_proved_by_one_number_for_the_same_key_twice(store):
    """One number came of two sends: from now on a miss is enough to send again, without the quiet time."""

    class Keyed(Seller):
        async def buy(self, prepared):
            held = [n for reference, n in self.charges if reference == prepared.reference]
            if held and not self.script:
                self.sent.append(prepared.body)
                return Bought(label(held[0]))
            return await super().buy(prepared)

    seller, hands = Keyed(), Hands()
    till = till_of(store, seller, hands)
    claim = claim_of(await _row(till, await planned(till, "return:9")), till)
    replay = await prove(till, replace(claim.intent, id=new_purchase_id(), subject="proof:1"))
    assert replay.proven and len(replay.numbers) == 1
    seller.script, before = ["drop"], len(seller.sent)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 60, 15)
    assert await state_of(till, id) is State.BOUGHT and len(seller.sent) >= before + 2


async def _row(till, id):
    return await till.store.read(lambda tx: find_purchase(tx, id))


async def test_a_double_that_shows_itself_a_day_later_is_found_and_voided(store):
    """The request that nobody waited for was executed after all: the look at 24 hours finds the label and voids it."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await store.write(lambda tx: hand_over(tx, till, id))
    live = seller.charges[0][1]
    seller._charge(seller.charges[0][0])
    hands.at += 3600
    assert (await reconcile(till)).orphans == []
    hands.at += 86_400
    assert (await reconcile(till)).orphans == [seller.charges[1][1]]
    await sweep(till, hands, 1000)
    assert seller.live == [live]


async def test_what_was_sent_late_is_asked_for_a_day_after_it_was_sent(store):
    """Planned, and sent only two days later: the look at 24 hours counts from the send."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    hands.at += 2 * 86_400
    await reconcile(till)
    await store.write(lambda tx: hand_over(tx, till, id))
    assert await state_of(till, id) is State.ISSUED
    seller._charge(seller.charges[0][0])
    hands.at += 86_401
    assert (await reconcile(till)).orphans == [seller.charges[1][1]]


async def test_reconciling_now_asks_about_everything_and_shows_every_line_of_money(store):
    """Orphans, ghosts and prices that differ are found at once, whatever is due; ghosts are told to ops."""
    seller, hands = Seller(), Hands()
    till = till_of(store, seller, hands)
    ids = [await planned(till, f"return:{n}") for n in (1, 2)]
    for id in ids:
        await buy(till, id)
        await store.write(lambda tx, id=id: hand_over(tx, till, id))
    ghost, kept = (number for _, number in seller.charges)
    seller.voided.append(ghost)
    seller._charge(seller.charges[1][0])
    found = await reconcile_now(till)
    assert (found.asked, found.ghosts, found.orphans) == (2, [ghost], [seller.charges[2][1]])
    view = await shown(till)
    assert [(line["number"], line["kind"], line["amount"]) for line in view["money"]] == [
        (ghost, "price", "7.95"),
        (kept, "price", "7.95"),
        (seller.charges[2][1], "price", "7.95"),
    ]
    assert [row["state"] for row in view["odd_labels"]] == ["surplus"]
    said = await store.read(lambda tx: said_about(tx, "return:1"))
    assert "ops.label_ghost" in [row["type"] for row in said]


async def test_the_bytes_of_a_void_label_are_purged_thirty_days_later(sqlite_store):
    """29 days: still there; 30: gone. The number and its money stay."""
    till, hands, _, id, live, surplus = await doubled(sqlite_store)
    await sweep(till, hands, 1000)
    row = await sqlite_store.read(lambda tx: label_by_number(tx, "ups", surplus))
    ended = row["ended_us"]
    day = 86_400_000_000

    async def papers(number):
        row = await sqlite_store.read(lambda tx: label_by_number(tx, "ups", number))
        return len(await sqlite_store.read(lambda tx: documents_of(tx, row["id"])))

    await sqlite_store.write(lambda tx: purge_void_documents(tx, ended - day))
    assert await papers(surplus) == 2
    await sqlite_store.write(lambda tx: purge_void_documents(tx, ended + 1))
    assert (await papers(surplus), await papers(live)) == (0, 2)
    assert len(await sqlite_store.read(lambda tx: money_of(tx, row["id"]))) == 2
    assert len(await labels(till, id)) == 2


def test_void_needs_every_part_of_the_proof():
    """Each missing part makes it wait; a scan ends it."""
    good = {
        "number": "B",
        "live": "A",
        "closed": True,
        "age": 900.0,
        "quiet": 900.0,
        "ours": {"A", "B"},
        "scanned": False,
    }
    assert may_void(**good) is Proof.VOID
    for change in ({"live": "B"}, {"age": 899.0}, {"ours": {"A"}}, {"ours": {"B"}}, {"live": "", "closed": False}):
        assert may_void(**{**good, **change}) is Proof.WAIT, change
    assert may_void(**{**good, "scanned": True}) is Proof.USED
    assert may_void(**{**good, "live": "", "ours": {"B"}}) is Proof.VOID


def test_the_label_that_was_shown_stays_else_the_first_found():
    """What is live stays live; what is void is not taken up again; the rest is surplus."""
    assert sort_labels(["B", "A"], {"A": "live"}, False) == sort_labels(["A", "B"], {"A": "live"}, True)
    assert sort_labels(["A", "B", "C"], {}, True).surplus == ("B", "C")
    assert sort_labels(["A"], {"A": LabelState.VOIDED}, True).own == ""
    assert sort_labels(["A"], {}, False).surplus == ("A",)


def test_paper_is_what_it_says_and_no_larger_than_two_megabytes():
    """Magic bytes and size decide."""
    assert is_paper(LabelFormat.PDF, b"%PDF-1.7") and not is_paper(LabelFormat.PDF, b"<html>")
    assert is_paper(LabelFormat.ZPL, b"\n^XA^XZ") and not is_paper(LabelFormat.GIF, b"")
    assert not is_paper(LabelFormat.PDF, b"%PDF-" + b"x" * (2 * 1024 * 1024))


async def test_a_person_may_let_it_be_sent_again(store):
    """Three sends that vanished; the person says again: looked for, then sent with the same bytes, and bought."""
    seller, hands = Seller(["drop", "drop", "drop"]), Hands()
    till = till_of(store, seller, hands)
    id = await planned(till)
    await buy(till, id)
    await pass_time(till, hands, 2 * 3600, 60)
    assert await state_of(till, id) is State.NEEDS_HUMAN
    assert await again(till, id)
    await pass_time(till, hands, 3600, 60)
    assert await state_of(till, id) is State.BOUGHT and len(set(seller.sent)) == 1 and len(seller.charges) == 1
