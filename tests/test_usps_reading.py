"""What USPS's bytes say: every trap of its times, words and shapes."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carriers.contract import Effect, Event, Kind, Payload, Place, Precision, Readings, Reason, Source, Told, Unreadable
from carriers.usps import shapes, wording
from carriers.usps.reading import read, source_of

FIXTURES = Path(__file__).parent / "fixtures" / "usps"
NUMBER = "9202090123456700000015"
OTHER = "9202090123456700000169"


def bytes_of(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def reading(name: str, *asked: str) -> Readings:
    return read(Payload("usps", Source.POLL, bytes_of(name), asked))


def answer(*scans: dict[str, Any], **more: Any) -> Readings:
    body = json.dumps([{"trackingNumber": NUMBER, "trackingEvents": scans, **more}]).encode()
    return read(Payload("usps", Source.POLL, body))


def only(**scan: Any) -> Event:
    (event,) = answer({"eventCode": "07", "eventType": "Arrived at Post Office", **scan}).events
    return event


def by_code(readings: Readings) -> dict[str, Event]:
    return {event.code: event for event in readings.events}


# ------------------------------------------------------------------------------------------------------------- events


def test_an_attempt_is_read_whole() -> None:
    """Code, words, reason, instant with its seconds, wall time, day and place."""
    event = by_code(reading("attempted_no_secure_location"))["55"]
    assert event.at == datetime(2026, 6, 4, 20, 0, 41, tzinfo=UTC)
    assert event.local is not None and event.local.isoformat() == "2026-06-04T13:00:41-07:00"
    assert (event.kind, event.reason, event.day) == (Kind.ATTEMPT_FAILED, Reason.NO_SECURE_LOCATION, date(2026, 6, 4))
    assert event.place == Place("SPARKS", "NV", "89431", "US")
    assert event.words == "Notice Left (No Secure Location Available)"
    assert event.id == "55@2026-06-04T20:00Z"


def test_push_and_poll_of_one_scan_differ_in_seconds_and_are_one_event() -> None:
    """source: facts/usps.md 3.3: the identity is cut to the minute, the instant is not."""
    polled = by_code(reading("attempted_no_secure_location"))["55"]
    for name in ("attempted_no_secure_location.push", "backslashes_left_in.push", "scan_event_extract.push"):
        (pushed,) = reading(name).events
        assert pushed.id == polled.id and pushed.at != polled.at
        assert (pushed.kind, pushed.place, pushed.day) == (polled.kind, polled.place, polled.day)


def test_a_scan_event_extract_may_hold_one_event_or_a_list() -> None:
    """source: facts/usps.md 5: schema and example disagree."""
    assert reading("scan_event_extract.push") == reading("scan_event_extract_as_list.push")
    (told,) = reading("scan_event_extract.push").told
    assert told.references == ("R2026000123",) and told.alternates == ("9202090123456700000305",) and told.rescheduled


def test_a_category_never_decides() -> None:
    """No access hides under Alert, a reminder under Delivery Attempt, and Delivered can come as Accepted."""
    assert by_code(reading("attempted_no_access"))["30"].kind is Kind.ATTEMPT_FAILED
    assert by_code(reading("reminder_with_return_date"))["VF"].kind is Kind.AVAILABLE_FOR_PICKUP
    readings = answer(
        {"eventCode": "03", "eventType": "USPS in possession of item", "GMTTimestamp": "2026-06-04T20:00:00Z"},
        status="Delivered",
        statusCategory="Delivered",
        statusSummary="We attempted to deliver your item",
    )
    assert [event.kind for event in readings.events] == [Kind.PICKED_UP]


def test_what_looks_like_an_attempt_and_is_none() -> None:
    """Animal, unsafe, rescheduled, weather, vacation: none is an attempt, each says why."""
    found = {code: event.reason for code, event in by_code(reading("not_attempted")).items() if event.reason}
    assert found == {
        "72": Reason.NOT_ATTEMPTED,
        "57": Reason.NOT_ATTEMPTED,
        "71": Reason.RESCHEDULED,
        "WX": Reason.WEATHER_OR_VEHICLE,
    }
    assert by_code(reading("held_for_vacation"))["52"].reason is Reason.HELD_AT_REQUEST
    assert by_code(reading("held_for_vacation_called_notice_left"))["52"].kind is Kind.ATTEMPT_FAILED


def test_home_is_not_delivered() -> None:
    """Delivered to the original sender is a return, whatever its code."""
    assert by_code(reading("unclaimed_and_home"))["01"].kind is Kind.RETURNED_TO_SENDER


def test_an_unknown_code_is_an_event_in_the_carriers_words() -> None:
    """Never a default."""
    event = by_code(reading("unknown_code"))["Q7"]
    assert (event.kind, event.known, event.words) == (Kind.UNKNOWN, False, "Drone Landed on Roof")


def test_words_alone_name_an_event_without_a_code() -> None:
    """The identity is then the words, and its code stays empty."""
    ids = [event.id for event in reading("words_without_code").events]
    assert ids == [
        "~notice-left-dog-in-yard@2026-06-05T19:01Z",
        "~reminder-to-schedule-redelivery-of-your-item@2026-06-06",
        "~delivered-somewhere-new@2026-06-07T19:01Z",
    ]
    assert {event.code for event in reading("words_without_code").events} == {""}


def test_html_is_undone_for_words_and_for_matching() -> None:
    """source: facts/usps.md 3.3; a NUL that no database takes is gone too."""
    (event,) = answer(
        {"eventType": "Notice Left<SUP>&#174;</SUP> &amp; more\u0000", "GMTTimestamp": "2026-06-04T20:00:00Z"}
    ).events
    assert event.words == "Notice Left® & more"
    assert event.kind is Kind.ATTEMPT_FAILED


def test_a_facility_has_a_name_and_no_country() -> None:
    """source: facts/usps.md 3.3; a filler has no place and changes nothing that ended."""
    events = by_code(reading("delivered_front_door"))
    assert events["A1"].place == Place("RENO NV DISTRIBUTION CENTER")
    assert not events["TL"].place and events["TL"].effect is Effect.FILLER


# ------------------------------------------------------------------------------------------------------------- instants


@pytest.mark.parametrize(
    ("scan", "at", "local"),
    [
        # the instant rules; the wall time follows GMTOffset in either form
        (
            {"GMTTimestamp": "2026-06-04T18:58:40Z", "GMTOffset": "-5:00", "eventTimestamp": "2026-06-04T13:58:00Z"},
            "2026-06-04T18:58:40+00:00",
            "2026-06-04T13:58:40-05:00",
        ),
        (
            {"GMTTimestamp": "2026-06-04T18:58:40Z", "GMTOffset": "-05:00", "eventTimestamp": "2026-06-04"},
            "2026-06-04T18:58:40+00:00",
            "2026-06-04T13:58:40-05:00",
        ),
        # no offset stated: the distance of wall time and instant is it, though their seconds differ
        (
            {"GMTTimestamp": "2026-06-04T18:58:40.123Z", "eventTimestamp": "2026-06-04T13:58:00"},
            "2026-06-04T18:58:40.123000+00:00",
            "2026-06-04T13:58:40.123000-05:00",
        ),
        # a stamp with its own offset needs nothing else
        (
            {"eventTimestamp": "2026-06-04T13:00:00-07:00"},
            "2026-06-04T20:00:00+00:00",
            "2026-06-04T13:00:00-07:00",
        ),
        # an offset of nothing is the Z again: the distance of both times says more
        (
            {"eventTimestamp": "2026-06-04T13:00:00+00:00", "GMTTimestamp": "2026-06-04T20:00:00Z"},
            "2026-06-04T20:00:00+00:00",
            "2026-06-04T13:00:00-07:00",
        ),
        # a bare date in the place of the instant is none
        (
            {"eventTimestamp": "2026-06-04T13:00:00-07:00", "GMTTimestamp": "2026-06-04"},
            "2026-06-04T20:00:00+00:00",
            "2026-06-04T13:00:00-07:00",
        ),
        # a stamp whose seconds are not the instant's: the instant rules, the wall time stays as it was said
        (
            {"eventTimestamp": "2026-06-04T13:00:00-07:00", "GMTTimestamp": "2026-06-04T20:00:41Z"},
            "2026-06-04T20:00:41+00:00",
            "2026-06-04T13:00:00-07:00",
        ),
        # bogus Z: local wall time, by GMTOffset, else by the ZIP's clock, else by the state's
        (
            {"eventTimestamp": "2026-06-04T13:00:00Z", "GMTOffset": "-0700"},
            "2026-06-04T20:00:00+00:00",
            "2026-06-04T13:00:00-07:00",
        ),
        (
            {"eventTimestamp": "2026-06-04T13:00:00Z", "eventZIPCode": "79901", "eventState": "TX"},
            "2026-06-04T19:00:00+00:00",
            "2026-06-04T13:00:00-06:00",
        ),
        (
            {"eventTimestamp": "2026-06-04T13:00:00", "eventState": "AZ"},
            "2026-06-04T20:00:00+00:00",
            "2026-06-04T13:00:00-07:00",
        ),
        (
            {"eventTimestamp": "2026-12-04T13:00:00", "eventState": "ME"},
            "2026-12-04T18:00:00+00:00",
            "2026-12-04T13:00:00-05:00",
        ),
        # in winter and in summer
        (
            {"eventTimestamp": "2026-01-04T13:00:00", "eventZIP": "96799"},
            "2026-01-05T00:00:00+00:00",
            "2026-01-04T13:00:00-11:00",
        ),
    ],
)
def test_the_instant_is_what_is_said_most_exactly(scan: dict[str, Any], at: str, local: str) -> None:
    """source: facts/usps.md 3.3: GMTTimestamp, stamp with offset, stamp and GMTOffset, the clock of the place."""
    event = only(**scan)
    assert (event.at.isoformat(), event.local and event.local.isoformat()) == (at, local)
    assert event.day == date.fromisoformat(local[:10]) and event.precision is Precision.MINUTE


def test_the_local_day_is_the_places_not_utcs() -> None:
    """A visit at eight in the evening in Nevada is on that day, though UTC has tomorrow."""
    event = only(GMTTimestamp="2026-06-05T03:00:00Z", GMTOffset="-07:00", eventTimestamp="2026-06-04T20:00:00-07:00")
    assert event.day == date(2026, 6, 4)


def test_a_bare_date_is_a_day_ordered_at_local_noon() -> None:
    """source: facts/usps.md 3.3: MA and reminders come so, with null GMT fields."""
    event = only(eventTimestamp="2026-06-04", GMTTimestamp=None, GMTOffset=None, eventZIPCode="89431")
    assert (event.precision, event.day, event.local) == (Precision.DAY, date(2026, 6, 4), None)
    assert event.at == datetime(2026, 6, 4, 19, tzinfo=UTC) and event.id == "07@2026-06-04"


@pytest.mark.parametrize(
    "stamp", ["", "soon", "2026-13-45", "0001-01-01T00:00:00+14:00", "9999-12-31", None, "2026-6-4"]
)
def test_an_event_without_a_time_is_told_not_guessed(stamp: str | None) -> None:
    """The others of the same answer are read."""
    junk = {"eventCode": "55", "eventType": "Notice Left", "eventTimestamp": stamp, "eventZIPCode": "96910"}
    readings = answer(junk, {"eventCode": "07", "eventType": "Arrived", "GMTTimestamp": "2026-06-04T20:00:00Z"})
    if stamp == "9999-12-31":
        assert [event.code for event in readings.events] == ["55", "07"]
        return
    assert [event.code for event in readings.events] == ["07"]
    assert "without a time" in readings.told[0].warnings[0]


def test_the_older_api_is_read_the_same() -> None:
    """Other keys, text for booleans, wall times with a Z; the facility's clock follows from both times."""
    events = by_code(reading("v3_wall_times_with_bogus_z"))
    assert events["56"].at == datetime(2026, 6, 4, 20, 58, 40, tzinfo=UTC)
    assert events["OF"].at == datetime(2026, 6, 4, 15, 1, tzinfo=UTC)
    assert events["10"].local is not None and events["10"].local.utcoffset() == timedelta(hours=-5)
    assert events["MA"].precision is Precision.DAY


# ----------------------------------------------------------------------------------------------------------------- told


def told(name: str) -> Told:
    (one,) = reading(name).told
    return one


def test_what_is_told_beside_the_events() -> None:
    """Estimate with its field, places, service without HTML, category for display, the newest instant."""
    one = told("attempted_no_secure_location")
    assert (one.estimate, one.status, one.service) == (date(2026, 6, 4), "Delivery Attempt", "USPS Ground Advantage™")
    assert one.fields == {"estimate": "deliveryDateExpectation.expectedDeliveryDate"}
    assert one.newest == datetime(2026, 6, 4, 20, 0, 41, tzinfo=UTC) and one.express is False
    assert one.origin == Place("RENO", "NV", "89501", "US") and one.destination == Place("SPARKS", "NV", "89431", "US")


def test_a_bare_object_with_a_predicted_window() -> None:
    """A predicted day where no expected one is there; a window as a clock has it; Express by its class."""
    one = told("one_object_not_a_list")
    assert (one.estimate, one.window, one.express) == (date(2026, 6, 5), ("12:15", "15:15"), True)
    assert one.alternates == ("RB123456785US",)


@pytest.mark.parametrize(
    ("name", "day", "field"),
    [
        ("v3_wall_times_with_bogus_z", date(2026, 6, 19), "returnDateNotice"),
        ("attempted_twice_and_again", date(2026, 6, 20), "statusSummary"),
        ("reminder_with_return_date", date(2026, 6, 19), "eventType"),
        ("attempted_no_secure_location", None, None),
        ("insufficient_address", None, None),
        ("refused", None, None),
        ("unclaimed_and_home", None, None),
    ],
)
def test_the_return_date_has_its_evidence(name: str, day: date | None, field: str | None) -> None:
    """A field of the older API, else the words of summary or notice; never the day of the attempt or of the return."""
    one = told(name)
    assert (one.return_by, one.fields.get("return_by")) == (day, field)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("If this item is unclaimed by June 18, 2026 then it will be returned to sender.", "2026-06-18"),
        ("It will be returned to the sender on 06/18/2026 unless you act.", "2026-06-18"),
        ("It will be returned to sender on Thursday, June 18th, 2026.", "2026-06-18"),
        ("Your item will be returned on 2026-06-18.", "2026-06-18"),
        ("Your item will be returned on 18 Jun 2026.", "2026-06-18"),
        ("Your item will be returned to sender on 6/18/26.", "2026-06-18"),
        ("Your item will be returned on June 18.", "2026-06-18"),
        ("Your item will be returned on Jan. 3.", "2027-01-03"),
        ("Pick up your item before June 17, 2026 or your item will be returned on June 18, 2026.", "2026-06-18"),
        ("We attempted to deliver at 1:00 p.m. on June 4, 2026. It will be returned on June 18, 2026.", "2026-06-18"),
        ("Schedule redelivery by June 18, 2026 to avoid return to sender.", "2026-06-18"),
        ("If you do not claim it, it goes back on June 18, 2026.", "2026-06-18"),
        ("Redelivery may be arranged before your item is returned on June 18, 2026.", "2026-06-18"),
        ("We tried on June 4, 2026 and it will be returned to sender if unclaimed.", None),
        ("Your item was returned to the sender on June 18, 2026.", None),
        ("Your item has been returned to sender on June 18, 2026.", None),
        ("Your item is being returned to the sender as of June 18, 2026.", None),
        ("It will be returned on February 30, 2026.", None),
        ("Return to Sender", None),
        ("", None),
    ],
)
def test_return_dates_as_usps_words_them(text: str, day: str | None) -> None:
    """The announced day only; a year left out is the next such day."""
    assert wording.return_by(text, date(2026, 6, 4)) == (date.fromisoformat(day) if day else None)


def test_a_day_without_a_year_needs_something_to_lean_on() -> None:
    """Nothing is guessed."""
    assert wording.return_by("It will be returned on June 18.", None) is None


# ------------------------------------------------------------------------------------------------------------ not found


def test_a_mixed_answer_is_read_item_by_item() -> None:
    """source: facts/usps.md 3.5: by number, not by position; a number the answer leaves out is not found either."""
    readings = reading("two_known_one_not.207", NUMBER, OTHER, "9202090123456700000176", "9202090123456700000992")
    found = {one.number: (one.found, one.warnings) for one in readings.told}
    assert found == {
        NUMBER: (True, ()),
        OTHER: (False, ("150006 A status update is not yet available for this item.",)),
        "9202090123456700000176": (True, ()),
        "9202090123456700000992": (False, ("the answer does not mention this number",)),
    }


def test_a_404_speaks_of_all_that_was_asked() -> None:
    """And of nothing where nobody knows what was asked."""
    readings = reading("not_yet_known.404", NUMBER, OTHER)
    assert [(one.number, one.found) for one in readings.told] == [(NUMBER, False), (OTHER, False)]
    assert not readings.events
    with pytest.raises(Unreadable, match="names a tracking number"):
        reading("not_yet_known.404")


def test_fraudulent_postage_is_named() -> None:
    """source: facts/usps.md 3.6: alert, stop; the codes drift, so the text counts as well."""
    (one,) = reading("fraudulent_postage.207").told
    assert not one.found and one.warnings[0].startswith("fraudulent postage: 150012")


# --------------------------------------------------------------------------------------------------------------- shapes


def test_strict_and_forgiving_say_the_same() -> None:
    """What surprises the fast reading (an unknown key) must not change what is read."""
    for path in FIXTURES.glob("*.json"):
        if ".push." in path.name or ".404." in path.name:
            continue
        said = json.loads(path.read_bytes())
        odd = [{"aKeyOfTomorrow": 1, **each} for each in said] if isinstance(said, list) else {"x": 1, **said}
        assert read(Payload("usps", Source.POLL, json.dumps(odd).encode())) == read(
            Payload("usps", Source.POLL, path.read_bytes())
        ), path.name


def test_published_shapes_take_the_fast_reading() -> None:
    """Else reading costs three times as much and nobody notices."""
    for path in FIXTURES.glob("attempted*.json"):
        if ".push." not in path.name:
            shapes._MANY.decode(path.read_bytes())


def test_drifting_keys_and_types_are_read() -> None:
    """Case of keys, a code and a ZIP as numbers (their leading zeros lost), text for booleans, a string for a list."""
    event = by_code(reading("keys_in_another_case"))["55"]
    assert event.id == "55@2026-06-04T20:00Z" and event.place == Place("SPARKS", "NV", "89431", "US")
    assert told("keys_in_another_case").destination.postal_code == "89431"
    event = by_code(reading("numbers_for_strings"))["03"]
    assert (event.kind, event.place.postal_code) == (Kind.PICKED_UP, "02108")


def test_a_routing_prefix_in_an_answer_is_taken_off() -> None:
    """USPS answers with what it was asked, also 420 and a ZIP."""
    body = json.dumps([{"trackingNumber": f"42089431{NUMBER}", "trackingEvents": []}]).encode()
    assert read(Payload("usps", Source.POLL, body, (NUMBER,))).numbers == (NUMBER,)


def test_an_envelope_is_read_only_by_what_was_signed() -> None:
    """Keys beside `payload` prove nothing: neither another case of it nor an answer around it is believed."""
    envelope = json.loads(bytes_of("attempted_no_secure_location.push"))
    forged = json.dumps({"trackingNumber": OTHER, "trackingEvents": []})
    for more in ({"Payload": forged}, {"trackingNumber": OTHER, "trackingEvents": []}, {"PAYLOAD": forged}):
        body = json.dumps({**more, **envelope}).encode()
        assert read(Payload("usps", Source.PUSH, body)).numbers == (NUMBER,)


def test_a_challenge_says_nothing_of_a_parcel() -> None:
    """source: facts/usps.md 5: a field report; it must not raise an alert."""
    assert read(Payload("usps", Source.PUSH, b'{"challenge":"abc"}')) == Readings()


def test_bytes_are_told_apart_by_their_shape() -> None:
    """A push is an envelope; everything else that speaks of numbers or errors is an answer."""
    for path in FIXTURES.glob("*.json"):
        assert source_of(path.read_bytes()) is (Source.PUSH if ".push." in path.name else Source.POLL), path.name
    with pytest.raises(Unreadable):
        source_of(b'{"trackResponse": {}}')


def test_an_event_is_frozen_however_it_was_made() -> None:
    """Events are filled quickly and then closed: equal to ones made in the usual way, and never to be changed."""
    event = only(GMTTimestamp="2026-06-04T20:00:00Z", eventTimestamp="2026-06-04T13:00:00-07:00", eventZIPCode="89431")
    usual = Event(
        "usps", NUMBER, event.at, event.local, event.day, Kind.IN_TRANSIT, "07", "Arrived at Post Office",
        Place("", "", "89431", "US"), precision=Precision.MINUTE,
    )  # fmt: skip
    assert event == usual and hash(event) == hash(usual) and repr(event) == repr(usual)
    with pytest.raises(AttributeError):
        event.code = "01"  # type: ignore[misc]


KEYS = """
trackingNumber trackingEvents trackingEvent eventType eventCode eventTimestamp GMTTimestamp GMTOffset error errors
payload timestamp statusCode deliveryDateExpectation expectedDeliveryDate customerReferenceNumber mailClass x
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), held, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.lists(st.sampled_from([NUMBER, OTHER]), max_size=2))
def test_any_json_is_read_or_unreadable(said: Any, asked: list[str]) -> None:
    """Never another error; and no event without an identity."""
    body = json.dumps(said).encode("utf-8", "surrogatepass")
    try:
        readings = read(Payload("usps", Source.PUSH, body, tuple(asked)))
    except Unreadable:
        return
    assert all(event.id and event.number for event in readings.events)
