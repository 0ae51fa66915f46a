"""The scripts: their outcomes, their steps, and how each delivery tells them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carriers.ups import standin as ups
from carriers.usps import standin as usps
from street.journeys import JOURNEYS, Journey, journey, visit_days
from street.places import CUSTOMERS, WAREHOUSES, Place, place
from street.telling import Delivery, Telling, tell

WORDS = {"ups": ups.SAYS, "usps": usps.SAYS}
REQUIRED = {
    "delivered_first_time": "ups usps",
    "delivered_second_attempt": "ups usps",
    "three_attempts_home": "ups usps",
    "final_without_earlier_scans": "ups",
    "refused": "ups usps",
    "bad_address": "ups usps",
    "unclaimed": "ups usps",
    "access_point_collected": "ups",
    "access_point_unclaimed_back": "ups",
    "weather_delay": "ups usps",
    "lost": "ups usps",
    "damaged": "ups usps",
    "customs_hold": "ups usps",
    "label_never_used": "ups usps",
    "return_delivered": "ups usps",
    "return_bounces": "ups usps",
    "final_attempt_no_return_scan": "ups",
    "refused_no_return_scan": "usps",
    "hold_runs_out": "usps",
    "access_point_runs_out": "ups",
    "return_under_way": "ups usps",
    "address_corrected": "ups usps",
    "recalled_by_shipper": "ups",
    "recall_withdrawn": "ups",
}
every_journey = pytest.mark.parametrize("script", JOURNEYS.values(), ids=lambda each: f"{each.carrier} {each.name}")
starts = st.integers(0, 730 * 24).map(lambda hours: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
seeds = st.integers(0, 2**32)


def told(script: Journey, delivery: Delivery, start: datetime, seed: int = 7) -> tuple[Telling, Place]:
    origin = WAREHOUSES[script.carrier]
    destination = CUSTOMERS[script.destination or {"ups": "amsterdam", "usps": "reno"}[script.carrier]]
    if script.is_return:
        origin, destination = destination, origin
    return tell(script, delivery, start, origin, destination, seed), destination


def test_every_required_journey_exists_where_it_applies() -> None:
    """Each journey at the carriers that can take it."""
    assert {name: " ".join(c for c in ("ups", "usps") if (c, name) in JOURNEYS) for name in REQUIRED} == REQUIRED
    assert {name for _, name in JOURNEYS} == set(REQUIRED)


def test_an_unknown_journey_is_refused_with_the_names_there_are() -> None:
    """Nobody has to guess."""
    with pytest.raises(ValueError, match="delivered_first_time"):
        journey("ups", "sideways")


@every_journey
def test_the_carrier_has_words_for_every_step(script: Journey) -> None:
    """No step that the stand-in could not tell."""
    assert {step.word for step in script.steps} <= set(WORDS[script.carrier])


@every_journey
@settings(max_examples=25, deadline=None)
@given(start=starts)
def test_the_steps_show_what_the_outcome_claims(script: Journey, start: datetime) -> None:
    """Failed visits are seen on the days the outcome names, it ends as it says, in order, within 26 days."""
    telling, _ = told(script, Delivery.PLAIN, start)
    scans = sorted(telling.scans, key=lambda scan: scan.order)
    assert all(one.at < other.at for one, other in pairwise(scans))
    origin = (
        WAREHOUSES[script.carrier]
        if not script.is_return
        else CUSTOMERS[{"ups": "amsterdam", "usps": "reno"}[script.carrier]]
    )
    seen = {scan.local.date() for scan in scans if scan.word.startswith("miss") and scan.word != "miss_home"}
    assert seen == {day for day in visit_days(script, start.astimezone(origin.clock).date()) if day}
    outcome = script.outcome
    assert ({scan.word for scan in scans} & {"deliver", "collected", "home"}) == ({outcome.ended_by} - {""})
    turned = {scan.word for scan in scans} & {"turn", "recalled", "unclaimed", "point_expired"}
    assert (outcome.leg == "back") <= bool(turned or outcome.ended_by == "home")
    assert outcome.ended_by != "home" or outcome.leg == "back"
    assert telling.ends_at - start <= timedelta(days=26)
    rest = {5, 6} if script.carrier == "ups" else {6}
    doors = [scan for scan in scans if scan.word.startswith(("miss", "deliver", "collected", "out", "home"))]
    assert all(scan.local.weekday() not in rest for scan in doors), "no carrier rings on its day of rest"


def test_usps_evening_and_morning_visits_share_a_utc_day_in_the_west() -> None:
    """Counting by UTC day would lose an attempt: the trap is really there."""
    telling, _ = told(journey("usps", "three_attempts_home"), Delivery.PLAIN, datetime(2026, 1, 7, 9, tzinfo=UTC))
    visits = sorted(scan.at for scan in telling.scans if scan.word == "miss")
    assert len({at.date() for at in visits}) == 2 and len(visits) == 3


@every_journey
@pytest.mark.parametrize("delivery", Delivery)
@settings(max_examples=8, deadline=None)
@given(start=starts, seed=seeds)
def test_every_delivery_tells_the_same_in_the_end(
    script: Journey, delivery: Delivery, start: datetime, seed: int
) -> None:
    """Deliveries differ in when, how often, in which order; at the end all is visible, and pushed unless `never`."""
    plain, _ = told(script, Delivery.PLAIN, start, seed)
    telling, _ = told(script, delivery, start, seed)
    facts = {(scan.word, scan.at, scan.place) for scan in plain.scans}
    assert {(scan.word, scan.at, scan.place) for scan in telling.scans} == facts
    assert all(scan.visible_at <= telling.ends_at for scan in telling.scans)
    assert all(scan.visible_at > scan.at for scan in telling.scans), "nobody knows of a scan before it happens"
    pushed = [(push.scan.word, push.scan.at, push.scan.place) for push in telling.pushes]
    assert set(pushed) == (set() if delivery is Delivery.NEVER else facts)
    assert len(pushed) == len(facts) * {Delivery.DOUBLED: 2, Delivery.NEVER: 0}.get(delivery, 1)
    assert all(push.due >= push.scan.visible_at for push in telling.pushes)
    assert telling == told(script, delivery, start, seed)[0], "the same arguments give the same telling"


def test_reordered_really_reorders_and_late_is_really_late() -> None:
    """A delivery that did nothing would prove nothing."""
    script, start = journey("ups", "three_attempts_home"), datetime(2026, 3, 4, 9, tzinfo=UTC)
    reordered, late = told(script, Delivery.REORDERED, start)[0], told(script, Delivery.LATE, start)[0]
    pushed = [push.scan.order for push in reordered.pushes]
    listed = [scan.order for scan in reordered.scans]
    assert pushed != sorted(pushed) and listed != sorted(listed, reverse=True)
    held = {scan.word for scan in late.scans if scan.visible_at - scan.at > timedelta(hours=4)}
    assert {"miss_first", "miss_second", "miss_final"} <= held
    told_at = sorted(late.scans, key=lambda scan: scan.visible_at)
    assert [scan.order for scan in told_at] != sorted(scan.order for scan in told_at)
    doubled = told(script, Delivery.DOUBLED, start)[0]
    assert sum(scan.echo for scan in doubled.scans) * 2 == len(doubled.scans)


def test_places_are_found_by_name_or_address() -> None:
    """A zone is known for every state and the countries served."""
    assert place("amsterdam").zone == "Europe/Amsterdam" and place("warehouse-eu").city == "Bentivoglio"
    assert place({"city": "Boise", "region": "ID", "country": "US"}).zone == "America/Denver"
    assert place({"city": "Turin", "country": "IT"}).zone == "Europe/Rome"
    with pytest.raises(ValueError, match="atlantis"):
        place("atlantis")


def test_visit_days_skip_the_weekend() -> None:
    """A parcel that starts on a Wednesday is visited on Monday, Tuesday and Wednesday after."""
    days = visit_days(journey("ups", "three_attempts_home"), date(2026, 3, 4))
    assert days == (date(2026, 3, 9), date(2026, 3, 10), date(2026, 3, 11))
    assert visit_days(journey("ups", "final_without_earlier_scans"), date(2026, 3, 4))[:2] == (None, None)
