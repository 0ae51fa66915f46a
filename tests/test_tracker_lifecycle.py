"""The fold and the conclusion: legs, attempts with evidence, the case home, and that order never matters."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from carriers.contract import Effect, Event, Kind, Mark, Place, Precision, Reason, Source, Told
from merchants.terms import default_for
from tracker.explain import explained
from tracker.lifecycle import Leg, Purpose, Shipment, Sighting, Status, Telling, fold
from tracker.policy import CaseState, conclude, verdicts

HOME = Place("Bentivoglio", "BO", "40010", "IT")
DOOR = Place("Amsterdam", "", "1012", "NL")
CET = timezone(timedelta(hours=1))
START = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
EU, US = default_for("ups"), default_for("usps")
NOW = datetime(2026, 3, 30, tzinfo=UTC)


def event(kind: Kind, day: int = 0, hour: int = 10, code: str = "", place: Place = DOOR, **more: object) -> Event:
    at = START + timedelta(days=day, hours=hour - 8)
    local = at.astimezone(CET)
    defaults = {"words": f"{kind} words"} | more
    return Event("ups", "1Z", at, local, local.date(), kind, code or f"X/{kind[:2]}{hour}", place=place, **defaults)


def parcel(*events: Event, told: tuple[Told, ...] = (), purpose: Purpose = Purpose.ORDER):
    shipment = Shipment("ups", "1Z", purpose, HOME, DOOR)
    return fold([Sighting(e, Source.POLL) for e in events], [Telling(t, str(n)) for n, t in enumerate(told)], shipment)


def missed(day: int, hour: int = 10, **more: object) -> Event:
    return event(Kind.ATTEMPT_FAILED, day, hour, **{"reason": Reason.RECIPIENT_ABSENT} | more)


def counted(p) -> list[tuple[int | None, bool]]:
    return [(row.ordinal, row.inferred) for row in p.attempts if row.counted]


def test_three_missed_days_are_three_attempts_and_the_parcel_is_expected_home():
    """Three unnumbered visits on three days reach the limit of three: undeliverable, and a case with their evidence."""
    conclusion = conclude(parcel(missed(1), missed(2), missed(3)), EU, NOW)
    assert (conclusion.parcel.count, conclusion.exhausted, conclusion.status) == (3, True, Status.UNDELIVERABLE)
    assert conclusion.case and conclusion.case.state is CaseState.EXPECTED
    assert conclusion.case.reason == "failed_delivery_attempts"
    assert conclusion.case.since == missed(3).at
    assert conclusion.case.evidence == (missed(3).id,)


def test_several_scans_of_one_day_are_one_attempt_with_evidence():
    """At most one attempt a local day: the other scan is evidence on the same row."""
    p = parcel(missed(1, 10), missed(1, 11))
    assert counted(p) == [(1, False)]
    assert p.attempts[0].evidence == (missed(1, 10).id, missed(1, 11).id)


def test_two_stated_ordinals_on_one_day_are_two_attempts():
    """The carrier's own count beats the calendar."""
    assert counted(parcel(missed(1, 10, ordinal=1), missed(1, 15, ordinal=2))) == [(1, False), (2, False)]


def test_the_same_ordinal_again_is_the_same_attempt():
    """A repeated ordinal on another day joins the latest row."""
    p = parcel(missed(1, ordinal=1), missed(2, ordinal=1))
    assert counted(p) == [(1, False)] and len(p.attempts[0].evidence) == 2


def test_a_final_attempt_without_earlier_scans_infers_the_others():
    """The carrier's last attempt is its third: the first two are inferred rows without a day."""
    conclusion = conclude(parcel(missed(3, ordinal=3, final=True)), EU, NOW)
    assert counted(conclusion.parcel) == [(1, True), (2, True), (3, False)]
    assert [row.day for row, _ in conclusion.rows] == [None, None, date(2026, 3, 5)]
    assert conclusion.parcel.final and conclusion.exhausted


def test_a_final_word_exhausts_even_where_the_terms_set_no_limit():
    """`final` is the carrier's word; `exhausted` follows from it alone when the terms set no number."""
    conclusion = conclude(parcel(missed(1, ordinal=2, final=True)), US, START + timedelta(days=2))
    assert conclusion.max is None and conclusion.exhausted and conclusion.status is Status.UNDELIVERABLE


@pytest.mark.parametrize(
    "reason", [Reason.NOT_ATTEMPTED, Reason.RESCHEDULED, Reason.HELD_AT_REQUEST, Reason.WEATHER_OR_VEHICLE]
)
def test_what_was_no_attempt_is_a_rejected_row(reason: Reason):
    """A prevented, rescheduled or customer-held stop never counts, and stays in the ledger with its rule."""
    p = parcel(event(Kind.EXCEPTION, 1, reason=reason))
    assert p.count == 0
    assert [(row.counted, row.ordinal, row.rule) for row in p.attempts] == [(False, None, str(reason))]


def test_a_visit_on_a_sunday_counts_and_is_marked():
    """Outside the terms' days: counted, off_calendar."""
    conclusion = conclude(parcel(missed(6)), EU, NOW)
    assert [(row.ordinal, off) for row, off in conclusion.rows] == [(1, True)]


def test_a_failed_collection_is_never_a_delivery_attempt():
    """Pick-up attempts of a return have a counter of their own."""
    p = parcel(event(Kind.EXCEPTION, 1, marks=frozenset({Mark.COLLECTION})))
    assert (p.count, p.collections, p.attempts) == (0, 1, ())


def test_delivered_at_home_after_a_return_scan_is_never_delivered_to_the_shopper():
    """Leg back and delivered: home, with the reason that was newest before the turn."""
    p = parcel(
        missed(1), event(Kind.REFUSED, 2), event(Kind.RETURNING_TO_SENDER, 3), event(Kind.DELIVERED, 6, place=HOME)
    )
    conclusion = conclude(p, EU, NOW)
    assert (p.leg, p.status, p.delivered_at) == (Leg.BACK, Status.DELIVERED, None)
    assert p.returned_at == event(Kind.DELIVERED, 6).at
    assert conclusion.case and (conclusion.case.state, conclusion.case.reason) == (CaseState.ARRIVED, "refused")


def test_delivered_at_the_origin_after_a_refusal_is_home_even_without_a_return_scan():
    """The carrier never said it was returning; the place and the disposition do."""
    p = parcel(event(Kind.REFUSED, 2), event(Kind.DELIVERED, 6, place=HOME))
    assert (p.leg, p.status, p.delivered_at) == (Leg.BACK, Status.DELIVERED, None)


def test_a_withdrawn_return_goes_out_again():
    """An intercept that was cancelled puts the parcel back on its way out; delivered, the case is cancelled."""
    p = parcel(
        event(Kind.RETURNING_TO_SENDER, 1),
        event(Kind.EXCEPTION, 2, marks=frozenset({Mark.RETURN_WITHDRAWN})),
        event(Kind.DELIVERED, 3),
    )
    conclusion = conclude(p, EU, NOW)
    assert (p.leg, p.delivered_at) == (Leg.OUT, event(Kind.DELIVERED, 3).at)
    assert conclusion.case and conclusion.case.state is CaseState.CANCELLED


def test_a_later_scan_reopens_a_delivered_parcel_and_an_update_does_not():
    """Nothing freezes; a change of the delivery date is no scan, and a filler is none either."""
    delivered = event(Kind.DELIVERED, 1)
    assert parcel(delivered, event(Kind.OUT_FOR_DELIVERY, 2)).status is Status.OUT_FOR_DELIVERY
    assert parcel(delivered, event(Kind.IN_TRANSIT, 2, effect=Effect.UPDATE)).status is Status.DELIVERED
    assert parcel(delivered, event(Kind.IN_TRANSIT, 2, effect=Effect.FILLER)).status is Status.DELIVERED
    corrected = parcel(delivered, event(Kind.EXCEPTION, 2, marks=frozenset({Mark.CORRECTION})))
    assert (corrected.status, corrected.delivered_at) == (Status.IN_TRANSIT, None)


def test_an_unknown_code_changes_nothing_and_is_listed():
    """Unknown is a value: kept, shown, never advancing the state."""
    p = parcel(event(Kind.OUT_FOR_DELIVERY, 1), event(Kind.UNKNOWN, 2, code="X/??", known=False))
    assert p.status is Status.OUT_FOR_DELIVERY
    assert p.unknown_codes == ("X/??",)


def test_a_passed_hold_makes_a_parcel_undeliverable_without_reaching_a_limit():
    """USPS holds about 15 days after the first attempt: then unclaimed, and before that a review is due."""
    p = fold(
        [Sighting(structs.replace(missed(1), carrier="usps"), Source.POLL)],
        [],
        Shipment("usps", "1Z", Purpose.ORDER, HOME, DOOR),
    )
    early = conclude(p, US, START + timedelta(days=10))
    assert (early.status, early.case) == (Status.ATTEMPT_FAILED, None)
    assert early.review_at == datetime(2026, 3, 18, 23, tzinfo=UTC)  # the end of 18 March at the delivery place
    late = conclude(p, US, early.review_at)
    assert late.status is Status.UNDELIVERABLE
    assert late.case and (late.case.state, late.case.reason) == (CaseState.EXPECTED, "unclaimed")


def test_a_hold_says_until_when_it_can_be_collected():
    """The last day of the carrier's hold, in the delivery place's days; a carrier that comes again keeps nothing."""
    waits = conclude(parcel(missed(1)), US, START + timedelta(days=2))
    assert waits.collect_by == missed(1).at.date() + timedelta(days=US.attempts.hold_days or 0)
    assert conclude(parcel(missed(1)), EU, START + timedelta(days=2)).collect_by is None
    assert conclude(parcel(missed(1)), US, START + timedelta(days=60)).collect_by is None


def test_a_stated_return_date_counts_with_its_field_as_evidence():
    """What is told never makes an event; a passed return date is evidence by payload and field."""
    told = Told("1Z", newest=missed(1).at, return_by=date(2026, 3, 10), fields={"return_by": "returnDateNotice"})
    conclusion = conclude(parcel(missed(1), told=(told,)), EU, NOW)
    assert conclusion.status is Status.UNDELIVERABLE
    assert conclusion.case and conclusion.case.evidence == ("payload:0#returnDateNotice",)


def test_a_return_parcel_has_no_case():
    """A return that turns round bounces; it is not a return to the warehouse."""
    p = parcel(event(Kind.REFUSED, 1), event(Kind.RETURNING_TO_SENDER, 2), purpose=Purpose.RETURN)
    assert conclude(p, EU, NOW).case is None


def test_an_estimate_is_what_was_told_with_the_newest_event_and_null_once_delivered():
    """Arrival does not matter; rescheduled beats scheduled at the same instant."""
    newest = missed(2).at
    told = (
        Told("1Z", newest=newest, estimate=date(2026, 3, 6), rescheduled=True),
        Told("1Z", newest=newest, estimate=date(2026, 3, 5)),
        Told("1Z", newest=missed(1).at, estimate=date(2026, 3, 4)),
    )
    assert parcel(missed(1), told=told).estimate == date(2026, 3, 6)
    assert parcel(event(Kind.DELIVERED, 3), told=told).estimate is None


def test_the_same_scan_by_push_and_by_poll_is_one_event_with_two_sightings():
    """Place and wording are not identity; a minute-precise event is named by its minute."""
    poll = event(Kind.ATTEMPT_FAILED, 1, code="55", precision=Precision.MINUTE)
    push = structs.replace(poll, at=poll.at + timedelta(seconds=40), words="other", place=Place())
    p = fold([Sighting(poll, Source.POLL), Sighting(push, Source.PUSH)], [], Shipment("usps", "1Z"))
    assert len(p.happenings) == 1
    assert p.happenings[0].sources == (Source.POLL, Source.PUSH)
    assert p.happenings[0].event.place == DOOR


_kinds = st.sampled_from(list(Kind))


@st.composite
def _events(draw: st.DrawFn) -> Event:
    kind = draw(_kinds)
    return event(
        kind,
        draw(st.integers(0, 6)),
        draw(st.integers(8, 18)),
        code=f"{draw(st.sampled_from('XID'))}/{draw(st.sampled_from(['48', 'KX', '49', 'AR']))}",
        place=draw(st.sampled_from([HOME, DOOR, Place()])),
        ordinal=draw(st.sampled_from([None, None, 1, 2, 3])) if kind is Kind.ATTEMPT_FAILED else None,
        final=False,
        reason=draw(st.sampled_from([None, *Reason])),
        effect=draw(st.sampled_from(list(Effect))),
        marks=frozenset(draw(st.sets(st.sampled_from(list(Mark)), max_size=1))),
        words=draw(st.sampled_from(["", "a", "b"])),
    )


@st.composite
def _told(draw: st.DrawFn) -> Told:
    day = st.one_of(st.none(), st.dates(date(2026, 3, 1), date(2026, 3, 12)))
    return Told(
        "1Z",
        newest=draw(st.one_of(st.none(), st.sampled_from([START, START + timedelta(days=1)]))),
        estimate=draw(day),
        rescheduled=draw(st.booleans()),
        return_by=draw(day),
        pickup_by=draw(day),
        origin=draw(st.sampled_from([Place(), HOME])),
        references=draw(st.sampled_from([(), ("a",), ("b",)])),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(_events(), max_size=9), st.lists(_told(), max_size=4), st.data())
def test_any_order_and_repetition_gives_the_same_parcel(events: list[Event], told: list[Told], data: st.DataObject):
    """The convergence guarantee: a permutation with repetitions concludes the same, word for word."""
    seen = [Sighting(e, source) for e in events for source in (Source.POLL, Source.PUSH)]
    said = [Telling(t, f"{n}") for n, t in enumerate(told)]
    shipment = Shipment("ups", "1Z", Purpose.ORDER, destination=DOOR)
    shuffled = data.draw(
        st.permutations(seen + data.draw(st.lists(st.sampled_from(seen), max_size=5)) if seen else seen)
    )
    reordered = data.draw(st.permutations(said + said[:2]))
    once = explained(conclude(fold(seen, said, shipment), EU, NOW))
    again = explained(conclude(fold(shuffled, reordered, shipment), EU, NOW))
    assert once == again


def test_a_parcel_past_its_promised_window_is_late_until_it_is_delivered() -> None:
    """Late from the end of the last promised day at the delivery place; a delivery or a turn homeward ends it."""
    shipment = Shipment("ups", "1Z", Purpose.ORDER, HOME, DOOR, promised=date(2026, 3, 5))
    moving = fold([Sighting(event(Kind.IN_TRANSIT, 1), Source.POLL)], [], shipment)
    before, after = (conclude(moving, EU, datetime(2026, 3, day, 23, 30, tzinfo=UTC)) for day in (4, 5))
    assert (before.late, before.review_at) == (False, datetime(2026, 3, 5, 23, tzinfo=UTC))
    assert (after.late, after.review_at) == (True, None)
    assert [v.name for v in verdicts(after, ("out", "in_transit"))] == ["late/2026-03-05"]
    there = fold([Sighting(event(Kind.DELIVERED, 9), Source.POLL)], [], shipment)
    assert not conclude(there, EU, NOW).late


def test_the_reason_is_what_was_known_before_the_turn_and_else_what_the_turn_says() -> None:
    """Three failed attempts and a recall: the attempts are why. A recall alone is its own reason."""
    recall = event(Kind.RETURNING_TO_SENDER, 4, reason=Reason.RECALLED_BY_SHIPPER)
    tried = conclude(parcel(missed(1), missed(2), missed(3), recall), EU, NOW)
    alone = conclude(parcel(event(Kind.PICKED_UP), recall), EU, NOW)
    assert tried.case and (tried.case.state, tried.case.reason) == (CaseState.UNDER_WAY, "failed_delivery_attempts")
    assert alone.case and (alone.case.state, alone.case.reason) == (CaseState.UNDER_WAY, "recalled_by_shipper")


def test_damaged_goods_that_were_handed_over_are_no_reason_to_go_home():
    """UPS's "damaged goods delivered" (X/64) ends a case that a wrong address opened; the reason stays the address."""
    handed = event(Kind.DELIVERED, 2, reason=Reason.DAMAGED)
    conclusion = conclude(parcel(event(Kind.BAD_ADDRESS, 1), handed), EU, NOW)
    assert conclusion.case and (conclusion.case.state, conclusion.case.reason) == ("cancelled", "insufficient_address")
    assert conclude(parcel(handed), EU, NOW).case is None


def test_the_shops_warehouse_is_the_sender_where_nobody_states_one():
    """Pushes name no sender: a delivery at the warehouse after the last attempt is the arrival home all the same."""
    home = event(Kind.DELIVERED, 3, place=Place("Bentivoglio", "BO", "", "IT"))
    story = [Sighting(each, Source.PUSH) for each in (missed(1, ordinal=3, final=True), home)]
    known = fold(story, (), Shipment("ups", "1Z", warehouse=HOME))
    assert (known.leg, known.returned_at, known.delivered_at) == (Leg.BACK, home.at, None)
    assert fold(story, (), Shipment("ups", "1Z")).leg is Leg.OUT


# ------------------------------------------------------------------------------------------- legs, each by its own name


def test_a_return_that_bounces_is_on_its_way_back_and_never_at_the_warehouse():
    """The warehouse refused it: leg back, no case, and delivered again it is with the customer, not received."""
    way = [event(Kind.PICKED_UP, 0, place=HOME), event(Kind.REFUSED, 2), event(Kind.RETURNING_TO_SENDER, 3)]
    turned = parcel(*way, purpose=Purpose.RETURN)
    assert (turned.leg, turned.status, conclude(turned, EU, NOW).case) == (Leg.BACK, Status.IN_TRANSIT, None)
    again = parcel(*way, event(Kind.DELIVERED, 5, place=HOME), purpose=Purpose.RETURN)
    assert (again.leg, again.status, again.delivered_at) == (Leg.BACK, Status.DELIVERED, None)
    assert again.returned_at == event(Kind.DELIVERED, 5).at


def test_an_access_point_detour_is_no_delivery_until_it_is_collected():
    """Handed to an access point it waits; collected it is delivered; its last day passed it goes back unclaimed."""
    way = [missed(1), event(Kind.DELIVERED_TO_ACCESS_POINT, 1, 15, place=Place("Amsterdam", "", "1017", "NL"))]
    told = (Told("1Z", newest=way[1].at, pickup_by=date(2026, 3, 10)),)
    waiting = conclude(parcel(*way, told=told), EU, START + timedelta(days=3))
    assert (waiting.status, waiting.parcel.delivered_at, waiting.case) == (Status.AVAILABLE_FOR_PICKUP, None, None)
    assert waiting.collect_by == date(2026, 3, 10)
    collected = conclude(parcel(*way, event(Kind.DELIVERED, 4), told=told), EU, NOW)
    assert collected.collect_by is None
    assert (collected.leg, collected.status, collected.parcel.count) == (Leg.OUT, Status.DELIVERED, 1)
    forgotten = conclude(parcel(*way, told=told), EU, NOW)
    assert (forgotten.status, forgotten.rule) == (Status.UNDELIVERABLE, "pickup_date_passed")
    assert forgotten.case and forgotten.case.reason == "unclaimed"
    home = parcel(*way, event(Kind.RETURNING_TO_SENDER, 9), event(Kind.DELIVERED, 12, place=HOME), told=told)
    assert (home.leg, home.delivered_at, home.returned_at) == (Leg.BACK, None, event(Kind.DELIVERED, 12).at)


def test_delivered_then_returned_is_home_and_no_delivery_to_the_shopper_any_more():
    """Handed over, given back to the driver, home: the shopper does not have it, and the case has arrived."""
    p = parcel(event(Kind.DELIVERED, 2), event(Kind.RETURNING_TO_SENDER, 3), event(Kind.DELIVERED, 6, place=HOME))
    conclusion = conclude(p, EU, NOW)
    assert (p.leg, p.status, p.returned_at) == (Leg.BACK, Status.DELIVERED, event(Kind.DELIVERED, 6).at)
    assert conclusion.case and conclusion.case.state is CaseState.ARRIVED
    assert "parcel.delivered" not in [verdict.type for verdict in verdicts(conclusion, ("out", "in_transit"))]


def test_delivered_then_corrected_is_on_its_way_again_and_may_still_be_delivered():
    """The scan was an error: nothing was delivered; the next scans count as ever, attempts too."""
    wrong, undone = event(Kind.DELIVERED, 1), event(Kind.EXCEPTION, 1, 15, marks=frozenset({Mark.CORRECTION}))
    moving = parcel(wrong, undone)
    assert (moving.leg, moving.status, moving.delivered_at) == (Leg.OUT, Status.IN_TRANSIT, None)
    tried = parcel(wrong, undone, missed(2))
    assert (tried.status, counted(tried)) == (Status.ATTEMPT_FAILED, [(1, False)])
    there = parcel(wrong, undone, event(Kind.DELIVERED, 3))
    assert (there.status, there.delivered_at) == (Status.DELIVERED, event(Kind.DELIVERED, 3).at)


def under(number: str, each: Event) -> Event:
    return structs.replace(each, number=number)


def both_numbers(*events: Event):
    """The parcel 1Z that travels home under the number 2Z."""
    known = Shipment("ups", "1Z", Purpose.ORDER, HOME, DOOR, further=(("ups", "2Z"),))
    return fold([Sighting(e, Source.POLL) for e in events], [], known)


def test_a_new_number_going_home_is_the_old_parcels_way_home():
    """Its scans turn the parcel, its delivery is the arrival; its failed visit at the warehouse is no attempt."""
    out = [missed(1), missed(2), missed(3)]
    back = [under("2Z", event(Kind.LABEL_CREATED, 3, 12)), under("2Z", event(Kind.PICKED_UP, 4))]
    assert both_numbers(*out, back[0]).leg is Leg.OUT  # that a label was made is no scan
    moving = both_numbers(*out, *back)
    assert (moving.leg, moving.status, moving.count) == (Leg.BACK, Status.ACCEPTED, 3)
    late = both_numbers(*out, *back, under("2Z", missed(6, place=HOME)))
    assert (late.leg, late.count) == (Leg.BACK, 3)
    home = both_numbers(*out, *back, under("2Z", event(Kind.DELIVERED, 7, place=HOME)))
    case = conclude(home, EU, NOW).case
    assert (home.leg, home.delivered_at, home.returned_at) == (Leg.BACK, None, event(Kind.DELIVERED, 7).at)
    assert case and (case.state, case.reason) == (CaseState.ARRIVED, "failed_delivery_attempts")


def test_the_number_itself_is_on_leg_back_wherever_its_carrier_says_it_goes():
    """Its destination is the warehouse: arrived there it is home, and it has no case of its own."""
    known = Shipment("ups", "2Z", Purpose.ORDER, DOOR, HOME, home_of=("ups", "1Z"))
    seen = [under("2Z", event(Kind.PICKED_UP, 4)), under("2Z", event(Kind.DELIVERED, 7, place=HOME))]
    p = fold([Sighting(e, Source.POLL) for e in seen], [], known)
    assert (p.leg, p.status, p.delivered_at, p.returned_at) == (Leg.BACK, Status.DELIVERED, None, seen[1].at)
    assert conclude(p, EU, NOW).case is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_events(), st.booleans()), max_size=9), st.data())
def test_two_numbers_converge_and_what_goes_home_never_reads_as_delivered(
    events: list[tuple[Event, bool]], data: st.DataObject
):
    """Any order of both numbers' scans gives the same; a last delivery under the further number is home."""
    seen = [Sighting(under("2Z" if further else "1Z", e), Source.POLL) for e, further in events]
    known = Shipment("ups", "1Z", Purpose.ORDER, HOME, DOOR, further=(("ups", "2Z"),))
    once, again = (fold(each, [], known) for each in (seen, data.draw(st.permutations(seen))))
    assert explained(conclude(once, EU, NOW)) == explained(conclude(again, EU, NOW))
    last = max((h.event for h in once.happenings), key=lambda e: e.at, default=None)
    decided = next((h.event for h in once.happenings if h.event.id == once.decided_by), None)
    if once.status is Status.DELIVERED and decided and decided.number == "2Z" and last is decided:
        assert (once.leg, once.returned_at) == (Leg.BACK, decided.at)
