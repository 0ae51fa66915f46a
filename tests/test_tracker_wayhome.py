"""The case beyond its evidence: what we did, when the carrier turns it round, when it is overdue, what it costs."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec import structs

from alerts.ladder import Clear, Notice, Severity, decide
from carriers.contract import Kind, Source, Told
from merchants.terms import default_for
from tests.test_tracker_lifecycle import EU, START, US, event, missed, parcel
from tracker.explain import explained
from tracker.lifecycle import Purpose, Shipment, Sighting, Telling, fold
from tracker.policy import conclude, verdicts
from tracker.wayhome import CaseState, Deed, Line, Step, arithmetic, totals

THIRD = (missed(1), missed(2), missed(3))  # Tuesday to Thursday, 3 to 5 March
SOON = START + timedelta(days=4)
ASKED = Deed(Step.REQUESTED, SOON, "", "p-1", None, (Line("intercept", "price", Decimal("21.00"), "USD"),))
LEFT = Deed(Step.LEFT_TO_CARRIER, SOON, "UPS says NOT_ELIGIBLE")


def usps(*events, told=(), express=False):
    shipment = Shipment("usps", "1Z", Purpose.ORDER, express=express)
    seen = [Sighting(structs.replace(e, carrier="usps"), Source.POLL) for e in events]
    return fold(seen, [Telling(t, str(n)) for n, t in enumerate(told)], shipment)


def case_of(p, terms, now=SOON, deed=None):
    return conclude(p, terms, now, deed).case


def test_ups_turns_it_round_five_business_days_after_the_last_attempt():
    """Thursday 5 March and five business days: the end of Thursday 12 March at the delivery place."""
    case = case_of(parcel(*THIRD), EU)
    assert case.returns_by.rule == "hold_after_last_attempt"
    assert case.returns_by.at == datetime(2026, 3, 12, 23, tzinfo=UTC) and case.returns_by.evidence == (THIRD[2].id,)


@pytest.mark.parametrize(
    ("express", "told", "day", "rule"),
    [
        (False, None, date(2026, 3, 18), "hold_run_out"),
        (True, None, date(2026, 3, 8), "hold_run_out"),
        (False, date(2026, 3, 25), date(2026, 3, 25), "return_date_passed"),
    ],
)
def test_usps_turns_it_round_after_its_hold_or_on_the_day_it_states(express, told, day, rule):
    """About 15 days after the first attempt, 5 for Express; a stated return date beats both."""
    said = (Told("1Z", newest=missed(1).at, return_by=told),) if told else ()
    case = case_of(usps(missed(1), event(Kind.REFUSED, 2), told=said, express=express), US)
    assert (case.returns_by.rule, (case.returns_by.at - timedelta(hours=1)).date()) == (rule, day)


def test_what_we_did_is_the_state_until_the_carrier_moves_it():
    """Expected, then requested or left by what we did; a return scan, an arrival or a delivery says more."""
    p = parcel(*THIRD)
    assert case_of(p, EU).state is CaseState.EXPECTED
    assert case_of(p, EU, deed=Deed(Step.ASKING, SOON)).state is CaseState.EXPECTED
    assert case_of(p, EU, deed=ASKED).state is CaseState.REQUESTED
    assert case_of(p, EU, deed=LEFT).state is CaseState.LEFT_TO_CARRIER
    back = (*THIRD, event(Kind.RETURNING_TO_SENDER, 5))
    assert case_of(parcel(*back), EU, deed=ASKED).state is CaseState.UNDER_WAY
    assert case_of(parcel(*back, event(Kind.RETURNED_TO_SENDER, 8)), EU, deed=LEFT).state is CaseState.ARRIVED
    assert case_of(parcel(*THIRD, event(Kind.DELIVERED, 4)), EU, deed=ASKED).state is CaseState.CANCELLED


def test_an_order_that_was_called_off_is_left_to_the_carrier_when_the_parcel_fails_again():
    """One order for each parcel: what was called off is not ordered again by itself."""
    off = Deed(Step.REQUESTED, SOON, "the order was called off", "p-1", SOON)
    assert case_of(parcel(*THIRD), EU, deed=off).state is CaseState.LEFT_TO_CARRIER


def test_overdue_counts_from_the_first_day_it_was_expected_and_is_reviewed_then():
    """14 days by the terms: a turn in between does not begin them anew; home, it is no longer overdue."""
    p = parcel(*THIRD, event(Kind.RETURNING_TO_SENDER, 12))
    due = THIRD[2].at + timedelta(days=14)
    before, after = conclude(p, EU, due - timedelta(seconds=1)), conclude(p, EU, due)
    assert before.review_at == before.case.overdue_at == due and not before.case.overdue
    assert after.case.overdue and after.review_at is None
    assert "case/overdue" in {v.name for v in verdicts(after, ("", ""))} - {v.name for v in verdicts(before, ("", ""))}
    home = conclude(parcel(*THIRD, event(Kind.RETURNED_TO_SENDER, 20)), EU, due + timedelta(days=30))
    assert not home.case.overdue and home.case.overdue_at is None


def test_each_step_is_said_under_its_own_name():
    """Requested stays said when it is under way; left to the carrier is nobody's notice."""
    names = [v.name for v in verdicts(conclude(parcel(*THIRD), EU, SOON, ASKED), ("", "")) if v.name.startswith("case")]
    assert names == ["case/expected", "case/requested"]
    names = [v.name for v in verdicts(conclude(parcel(*THIRD), EU, SOON, LEFT), ("", "")) if v.name.startswith("case")]
    assert names == ["case/expected"]


def test_money_is_both_legs_the_surcharge_and_what_we_paid_with_sums_in_each_currency():
    """A refused parcel of the American shop: its terms' costs; owed once it is back, and not before."""
    costs = US.undeliverable.costs.model_copy(update={"refusal_surcharge": Decimal("2.50")})
    dear = US.model_copy(update={"undeliverable": US.undeliverable.model_copy(update={"costs": costs})})
    refused = event(Kind.REFUSED, 1)
    out = explained(conclude(usps(refused), dear, SOON, ASKED))["return_to_warehouse"]["money"]
    assert out["arithmetic"] == ["8.95 leg out + 8.95 leg back + 2.50 refusal + 21.00 intercept = 41.40 USD"]
    assert (out["totals"], out["owed"]) == ([{"amount": "41.40", "currency": "USD"}], False)
    home = conclude(usps(refused, event(Kind.RETURNED_TO_SENDER, 5)), dear, SOON)
    assert explained(home)["return_to_warehouse"]["money"]["owed"]
    assert conclude(parcel(*THIRD), EU, SOON).case.money == ()


def test_a_refund_takes_away_and_what_nobody_said_is_said_so():
    """Sums are right to the cent; an unknown price is words, never zero."""
    paid = Line("intercept", "price", Decimal("21.00"), "USD")
    back = Line("intercept_refund", "refund", Decimal("21.00"), "USD")
    assert totals((paid, back)) == {"USD": Decimal("0.00")}
    assert arithmetic((Line("intercept", "price", None, ""),)) == ["intercept: the carrier did not say what it costs"]


def test_the_case_reads_aloud():
    """What was not ordered, and why; and that it is overdue."""
    late = conclude(parcel(*THIRD), EU, SOON + timedelta(days=30), LEFT)
    words = " ".join(explained(late)["because"])
    assert "Its way back is left to the carrier" in words and "Nothing was ordered: UPS says NOT_ELIGIBLE." in words
    assert "It is overdue: it should have been home by Thursday 19 March 2026." in words


def test_a_parcel_that_comes_home_on_its_own_needs_no_deed():
    """Default terms of both carriers: the same case follows from the same facts, whatever is done meanwhile."""
    p = parcel(*THIRD, event(Kind.RETURNING_TO_SENDER, 5))
    plain, asked = (
        explained(conclude(p, default_for("ups"), SOON, deed))["return_to_warehouse"] for deed in (None, ASKED)
    )
    assert {k for k in plain if plain[k] != asked[k]} == {"request", "money"}


def notice(type, **data):
    told = {"number": "1Z", "carrier": "ups", "parcel": {"status": "undeliverable", "leg": "out"}} | data
    return Notice("parcel:7", "x", type, SOON, told)


def test_the_ladder_has_a_task_with_a_link_and_an_alert_for_the_overdue():
    """Both critical; a case that is cancelled clears both; one that is over raises neither."""
    view = explained(conclude(parcel(*THIRD), EU, SOON, LEFT))
    [task] = decide(notice("ops.left_to_carrier", why="not eligible", link="https://example.com/1Z", parcel=view))
    assert "by 2026-03-12" in task.action
    assert (task.key, task.rung, task.severity) == ("parcel:7/delivery", "left_to_carrier", Severity.CRITICAL)
    assert "https://example.com/1Z" in task.action and task.data["link"] == "https://example.com/1Z"
    [late] = decide(notice("ops.return_overdue"))
    assert (late.key, late.rung) == ("parcel:7/overdue", "return_overdue")
    cleared = decide(notice("return_to_warehouse.cancelled"))
    assert cleared == (Clear("parcel:7", "parcel:7/delivery"), Clear("parcel:7", "parcel:7/overdue"))
    home = {"status": "delivered", "leg": "back"}
    for type in ("ops.left_to_carrier", "ops.return_overdue"):
        assert decide(notice(type, parcel=home)) == ()


def test_an_unknown_order_is_not_called_a_label():
    """Ops read what nobody knows: whether a parcel was asked back."""
    [alert] = decide(notice("ops.purchase_unknown", purchase_id="p", operation="intercept"))
    assert "asked back" in alert.title
