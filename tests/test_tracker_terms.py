"""Terms decide: limits, days, holidays, grace and holds, also for one carrier or service; and every verdict says so."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from carriers.contract import Kind, Source
from merchants.terms import SHIPPED, Terms, TermsError, default_for, load, without_calendar
from store.engine import Store
from tests.test_tracker_ledger import OUTBOX, answer, conclusion, ledger, register, take, visit
from tests.test_tracker_lifecycle import DOOR, EU, HOME, NOW, START, US, event, missed
from tracker.explain import explained
from tracker.lifecycle import Parcel, Purpose, Shipment, Sighting, Status, fold
from tracker.policy import CaseState, conclude, verdicts

EXPRESS = [{"carrier": "ups", "service": "UPS Express Saver", "max": 1, "days": ["saturday"]}]
HOLIDAY = date(2026, 3, 17)  # Saint Patrick's Day: in Northern Ireland, not in all of the United Kingdom


def terms(base: Terms = EU, **attempts: Any) -> Terms:
    """The terms with other attempts."""
    plain = base.model_dump(mode="json", by_alias=True)
    plain["attempts"] |= attempts
    return Terms.model_validate(plain)


def parcel(*days: int, service: str = "", carrier: str = "ups") -> Parcel:
    seen = [Sighting(structs.replace(missed(day), carrier=carrier), Source.POLL) for day in days]
    return fold(seen, [], Shipment(carrier, "1Z", Purpose.ORDER, HOME, DOOR, service=service))


def test_a_service_may_have_a_limit_of_its_own() -> None:
    """One attempt by Express Saver, three by anything else; the conclusion names the section that decided."""
    own = terms(**{"for": EXPRESS})
    usual, express = (conclude(parcel(1, service=name), own, NOW) for name in ("UPS Standard", "ups express saver"))
    assert (usual.max, usual.status, usual.section) == (3, Status.ATTEMPT_FAILED, "attempts")
    assert (express.max, express.status, express.section) == (1, Status.UNDELIVERABLE, "attempts.for[0]")
    assert express.case and express.case.state is not CaseState.CANCELLED


def test_days_and_holds_are_the_services_own_too() -> None:
    """A Tuesday is off-calendar where only Saturday is a delivery day."""
    own = terms(**{"for": EXPRESS})
    marks = [off for _, off in conclude(parcel(1, service="UPS Express Saver"), own, NOW).rows]
    assert marks == [True]
    held = terms(US, **{"for": [{"carrier": "usps", "service": "Priority Mail", "hold_days": 3}]})
    by_priority = conclude(parcel(1, carrier="usps", service="PRIORITY MAIL"), held, START + timedelta(days=6))
    by_ground = conclude(parcel(1, carrier="usps", service="USPS Ground Advantage"), held, START + timedelta(days=6))
    assert (by_priority.status, by_ground.status) == (Status.UNDELIVERABLE, Status.ATTEMPT_FAILED)


def test_a_later_override_wins_and_a_carriers_practice_can_be_asked_for() -> None:
    """First the carrier's, then the service's: `max = "carrier"` sets no limit of the shop's."""
    own = terms(**{"for": [{"carrier": "ups", "max": 2}, {"carrier": "ups", "service": "Freight", "max": "carrier"}]})
    assert conclude(parcel(1, service="Standard"), own, NOW).max == 2
    freight = conclude(parcel(1, service="Freight"), own, NOW)
    assert (freight.max, freight.section) == (None, "attempts.for[1]")
    assert conclude(parcel(1, service="Standard", carrier="usps"), own, NOW).max == 3


def test_grace_puts_off_what_a_passed_date_means_and_not_why_it_turned() -> None:
    """Two days more before it is given up; a parcel that turned within them is unclaimed all the same."""
    grace = terms(US, grace_days=2)
    known = parcel(1, carrier="usps")
    ends = conclude(known, US, START).review_at
    assert ends is not None
    assert conclude(known, US, ends).status is Status.UNDELIVERABLE
    assert conclude(known, grace, ends).status is Status.ATTEMPT_FAILED
    assert conclude(known, grace, ends).review_at == ends + timedelta(days=2)
    assert conclude(known, grace, ends + timedelta(days=2)).rule == "hold_run_out"
    turn = structs.replace(event(Kind.RETURNING_TO_SENDER, 17), carrier="usps")
    seen = [Sighting(structs.replace(missed(1), carrier="usps"), Source.POLL), Sighting(turn, Source.POLL)]
    turned = conclude(fold(seen, [], Shipment("usps", "1Z", Purpose.ORDER, HOME, DOOR)), grace, NOW)
    assert turned.case and turned.case.reason == "unclaimed"


def test_late_begins_after_the_promises_grace() -> None:
    """A day of grace: late a day later."""
    plain = EU.model_dump(mode="json", by_alias=True)
    plain["promise"]["grace_days"] = 1
    shipment = Shipment("ups", "1Z", Purpose.ORDER, HOME, DOOR, promised=date(2026, 3, 5))
    moving = fold([Sighting(event(Kind.IN_TRANSIT, 1), Source.POLL)], [], shipment)
    at = datetime(2026, 3, 5, 23, 30, tzinfo=UTC)
    assert conclude(moving, EU, at).late
    assert not conclude(moving, Terms.model_validate(plain), at).late
    assert conclude(moving, Terms.model_validate(plain), at + timedelta(days=1)).late


def test_holidays_of_a_part_of_a_country_count() -> None:
    """The library knows Northern Ireland's own: a visit on that day is off-calendar there and not in England."""
    day = (HOLIDAY - START.date()).days
    marks = [conclude(parcel(day), terms(holidays=code), NOW).rows[0][1] for code in ("GB-NIR", "GB-ENG")]
    assert marks == [True, False]


def test_a_calendar_that_there_is_none_of_is_found_by_check() -> None:
    """Key and code; every shipped example is sound."""
    assert without_calendar(terms(holidays="IT")) == []
    assert without_calendar(terms(holidays="QX")) == ["attempts.holidays: no calendar of holidays for 'QX'"]
    own = terms(**{"for": [{"carrier": "ups", "holidays": "DE-QQ"}]})
    assert without_calendar(own) == ["attempts.for[0].holidays: no calendar of holidays for 'DE-QQ'"]
    assert [without_calendar(default_for(carrier)) for carrier in ("ups", "usps")] == [[], []]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('[[attempts.for]]\nmax = 2\n', "attempts.for.0: expected a carrier, a service or both"),
        ('[[attempts.for]]\ncarrier = "ups"\n', "expected what is otherwise for it"),
        ('[[attempts.for]]\ncarrier = "ups"\nmaximum = 2\n', "for.0.maximum: not a term; expected one of: carrier"),
        ('[polling.minutes]\nsleeping = 5\n', "polling.minutes.sleeping"),
        ('[matching]\nthreshold = 2\n', "matching.threshold"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_new_terms_is_named_by_its_key(tmp_path: Path, lines: str, fault: str) -> None:
    """File, key, what was expected."""
    file = tmp_path / "shop.toml"
    file.write_text((SHIPPED / "boutique-eu.toml").read_text() + "\n" + lines)
    with pytest.raises(TermsError) as error:
        load(file)
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("days", "final", "status", "rule"),
    [
        ((1,), False, Status.ATTEMPT_FAILED, "as_told"),
        ((1, 2, 3), False, Status.UNDELIVERABLE, "attempts.max"),
        ((), False, Status.UNKNOWN, "nothing_told"),
    ],
)
def test_every_status_names_its_rule(days: tuple[int, ...], final: bool, status: Status, rule: str) -> None:
    """The carrier's word, the limit, or nothing told; beside name and version of the terms."""
    view = explained(conclude(parcel(*days), EU, NOW))
    assert (view["status"], view["judged_by"]["rule"]) == (status, rule)
    assert view["terms"] == f"{EU.name} {EU.version}"


def test_every_verdict_names_its_rule() -> None:
    """Attempts by how they were counted, the case by its reason, lateness by the promise."""
    found = conclude(parcel(1, 2, 3), EU, NOW)
    rules = {verdict.name: verdict.rule for verdict in verdicts(found, ("out", "unknown"))}
    assert rules["out/attempt/1"] == "new_day"
    assert rules["case/expected"] == "failed_delivery_attempts"
    assert all(rules.values())


async def test_a_notice_says_by_which_terms_and_rule_it_came(store: Store) -> None:
    """The data of a webhook name the terms' version and the rule."""
    await register(store)
    await take(ledger(store), answer(visit(3)))
    rows = await store.read(lambda tx: tx.all(OUTBOX))
    told = {row["type"]: json.loads(row["data"]) for row in rows}
    assert told["parcel.attempt_failed"]["rule"] == "stated_ordinal"
    assert {each["terms"] for each in told.values()} == {f"{EU.name} {EU.version}"}
    assert (await conclusion(store))["judged_by"] == {"section": "attempts", "rule": "as_told"}
