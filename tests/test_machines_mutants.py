"""Facts that nobody had stated until a mutant lived: what `make mutants` found, said as tests."""

import json
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from carriers.contract import Kind, NotExecuted, Payload, Place, Reason, Source, Unknown
from carriers.ups import reading as ups
from merchants.terms import default_for
from returns.clocks import Moments, deadline
from spending.machine import Pace, Record, State, after_send, next_audit
from tests.test_tracker_ledger import push
from tests.test_tracker_lifecycle import EU, event, missed, parcel
from tests.test_usps_reading import answer
from tracker.lifecycle import merge
from tracker.policy import CaseState, conclude, verdicts
from tracker.wayhome import Deed, Step
from webhooks.signing import make_secret, sign


@pytest.mark.parametrize("reason", [Reason.NO_ACCESS, Reason.RECIPIENT_ABSENT, Reason.PAYMENT_DUE])
def test_a_specific_reason_beats_an_unspecified_one(reason: Reason) -> None:
    """Whichever payload tells it, and of two specific ones the smallest."""
    vague, exact = (event(Kind.ATTEMPT_FAILED, reason=each) for each in (Reason.UNSPECIFIED, reason))
    assert merge([vague, exact]).reason is merge([exact, vague]).reason is reason
    other = event(Kind.ATTEMPT_FAILED, reason=Reason.BUSINESS_CLOSED)
    assert merge([exact, other]).reason is merge([other, exact]).reason is min(reason, Reason.BUSINESS_CLOSED)


def test_an_overdue_case_names_the_term_that_says_so() -> None:
    """Every verdict has its rule; this one is the shop's own number of days."""
    missing = parcel(*(missed(day) for day in range(3)))
    late = conclude(missing, EU, missing.moved_at + timedelta(days=300))
    said = {verdict.name: verdict for verdict in verdicts(late, ("", ""))}
    assert said["case/overdue"].rule == "return_to_warehouse.overdue_days"
    assert said["case/expected"].rule == "failed_delivery_attempts"


def test_every_step_is_said_by_its_name_and_type() -> None:
    """What the order service and ops hear, to the letter: of a parcel that went home late, and of one delivered."""
    home = [*(missed(day) for day in range(3)), event(Kind.RETURNING_TO_SENDER, 4), event(Kind.RETURNED_TO_SENDER, 9)]
    asked = Deed(Step.REQUESTED, home[2].at)
    arrived = {v.name: v.type for v in verdicts(conclude(parcel(*home), EU, home[-1].at, asked), ("", ""))}
    assert {name: type for name, type in arrived.items() if name.startswith("case/")} == {
        "case/expected": "return_to_warehouse.expected",
        "case/requested": "return_to_warehouse.requested",
        "case/under_way": "return_to_warehouse.under_way",
        "case/arrived": "return_to_warehouse.arrived",
    }
    assert {type for name, type in arrived.items() if name.startswith("out/attempt/")} == {"parcel.attempt_failed"}
    missing = parcel(*home[:3])
    late = {v.name: v.type for v in verdicts(conclude(missing, EU, home[2].at + timedelta(days=300)), ("", ""))}
    assert late["case/overdue"] == "ops.return_overdue"
    brought = parcel(event(Kind.DELIVERED, 2))
    said = {v.name: (v.type, v.rule) for v in verdicts(conclude(brought, EU, brought.moved_at), ("out", "delivered"))}
    assert said == {f"delivered/{brought.decided_by}": ("parcel.delivered", "as_told")}


def test_a_withdrawn_return_is_cancelled_at_the_last_turn() -> None:
    """Sent home and called back: the case ends when it turned round again, not when it first did."""
    back = event(Kind.RETURNING_TO_SENDER, 1)
    out = event(Kind.OUT_FOR_DELIVERY, 3, marks=frozenset({"return_withdrawn"}))
    case = conclude(parcel(back, out), EU, out.at).case
    assert case is not None and (case.state, case.since) == (CaseState.CANCELLED, out.at)


def test_what_has_not_shipped_fell_back_and_has_not_begun() -> None:
    """No delivery scan and nothing shipped: the fallback is named, and no time is."""
    window = default_for("ups").returns.send
    found = deadline(window, Moments(purchased=datetime(2026, 3, 1, tzinfo=UTC)), ZoneInfo("Europe/Rome"))
    assert found.fell_back and found.started is found.ends is None


# ------------------------------------------------------------------------------------------------------------- signing


def test_a_secret_with_junk_in_it_is_refused() -> None:
    """Base64 that a careless reader would skip over is no secret: two readers could take it for two keys."""
    good = make_secret(bytes(range(32)))
    with pytest.raises(ValueError, match="looks like"):
        sign(good[:10] + "!" + good[10:], "msg_1", 1, b"{}")


def test_the_headers_are_named_in_lower_case_and_signatures_stand_apart_by_one_blank() -> None:
    """As the specification writes them: a receiver that compares names to the letter finds them."""
    new, old = make_secret(b"a" * 32), make_secret(b"b" * 32)
    headers = sign(new, "msg_1", 1, b"{}", old)
    assert [*headers] == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    first, second = headers["webhook-signature"].split(" ")
    assert first == sign(new, "msg_1", 1, b"{}")["webhook-signature"] and second.startswith("v1,")


# ------------------------------------------------------------------------------------------------------------- reading


def test_a_push_of_ups_says_when_it_was_newest() -> None:
    """What it tells beside its event counts from that event's instant on."""
    found = ups.read(push(3))
    assert [told.newest for told in found.told] == [event.at for event in found.events]
    assert ups.source_of(push(3).body) is Source.PUSH


def test_an_activity_of_ups_keeps_its_local_time() -> None:
    """The wall clock at the place, to the second, beside the instant."""
    activity = {"date": "20260303", "time": "120159", "gmtDate": "20260303", "gmtTime": "110159", "gmtOffset": "+01:00"}
    package = {"trackingNumber": "1Z5338FF0107231059", "activity": [activity]}
    body = json.dumps({"trackResponse": {"shipment": [{"package": [package]}]}}).encode()
    (found,) = ups.read(Payload("ups", Source.POLL, body)).events
    assert found.local is not None and found.local.strftime("%H:%M:%S") == "12:01:59"
    assert found.at == datetime(2026, 3, 3, 11, 1, 59, tzinfo=UTC)


def test_a_scan_of_usps_abroad_is_abroad() -> None:
    """The country of the scan is said, and so is that of the destination, in either version's field."""
    scan = {"eventCode": "10", "eventType": "Arrived", "eventTimestamp": "2026-03-03T12:00:00", "eventCity": "TORONTO"}
    (found,) = answer({**scan, "eventCountry": "CANADA"}).events
    assert found.place == Place("TORONTO", country="CA")
    for field in ("destinationCountry", "destinationCountryCode"):
        (told,) = answer(destinationCity="TORONTO", **{field: "CA"}).told
        assert told.destination == Place("TORONTO", country="CA")


def test_of_two_promises_to_return_the_newest_counts_and_its_year_is_its_scans() -> None:
    """A reminder without a year means the next such day after the scan that says it."""
    words = "Your item will be returned on {}."
    scans = [
        {"eventCode": "03", "eventType": words.format(day), "eventTimestamp": at}
        for day, at in (("December 20", "2025-12-10T09:00:00"), ("January 5", "2025-12-20T09:00:00"))
    ]
    for order in (scans, scans[::-1]):
        (told,) = answer(*order).told
        assert told.return_by == date(2026, 1, 5)


# ------------------------------------------------------------------------------------------------------------ purchases


def test_an_unknown_send_keeps_why_and_the_next_audit_is_counted_from_it() -> None:
    """What ops read is what was heard; seconds to the next audit are those that are left."""
    pace = Pace()
    after = after_send(pace, Record(why="before"), 1, Unknown("no answer"))
    assert (after.state, after.record.why) == (State.UNKNOWN, "no answer")
    assert after_send(pace, Record(unreached=2), 1, NotExecuted("no route")).record.unreached == 3
    assert next_audit(pace, 0.0) == 86_400.0 and next_audit(pace, 86_400.0) == 604_800.0 - 86_400.0
    assert next_audit(pace, 604_800.0) is None
