"""UPS bytes to Readings, payload by payload: what each fixture says, and the times, proofs and numbers inside."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from carriers.contract import (
    Effect,
    Event,
    Forged,
    Kind,
    Milestone,
    Payload,
    Place,
    Precision,
    Push,
    Readings,
    Reason,
    Source,
    Told,
    Unreadable,
)
from carriers.ups.reading import read, recognise, verify

FIXTURES = Path(__file__).parent / "fixtures" / "ups"
NUMBER = "1Z5338FF0107231059"
NOW = datetime(2026, 3, 5, tzinfo=UTC)


def readings(name: str, *asked: str, status: int = 200) -> Readings:
    source = Source.PUSH if ".push." in name else Source.POLL
    return read(Payload("ups", source, (FIXTURES / name).read_bytes(), asked, status))


def said(event: Event) -> str:
    """What an event says, without when and where: code, kind, reason, ordinal, effect, marks."""
    parts = [event.code, event.kind, event.reason, event.ordinal, "final" if event.final else None]
    parts += [None if event.effect is Effect.SCAN else event.effect, *event.marks, None if event.known else "not known"]
    return " ".join(str(part) for part in parts if part is not None)


SAID = {
    "access_point_unclaimed.json": "X/3N returning_to_sender unclaimed; D/2Q delivered_to_access_point",
    "access_point_waiting.json": "X/ZP delivered_to_access_point",
    "activity_without_date.json": "I/AR in_transit",
    "administrative_after_delivery.json": "X/5A exception filler; D/FS delivered",
    "attempt_not_proven.json": "X/95 exception; X/HQ exception; D/CI exception collection",
    "attempted_access_point.json": "X/2X attempt_failed unspecified; I/OT out_for_delivery",
    "attempted_final_only.json": (
        "X/49 attempt_failed recipient_absent 3 final; I/OR picked_up; M/MP label_created filler"
    ),
    "attempted_final_only.push.json": "X/49 attempt_failed recipient_absent 3 final",
    "attempted_first.json": (
        "X/48 attempt_failed recipient_absent 1; I/OT out_for_delivery; I/OR picked_up; M/MP label_created filler"
    ),
    "attempted_first.push.json": "X/48 attempt_failed recipient_absent 1",
    "attempted_generic_status.json": "X/C4 attempt_failed recipient_absent 1",
    "attempted_mail_innovations.json": "IC/DW attempt_failed no_secure_location",
    "attempted_no_access.json": "X/95 attempt_failed no_access",
    "attempted_second.json": (
        "X/KX attempt_failed recipient_absent 2; "
        "X/48 attempt_failed recipient_absent 1; "
        "I/OT out_for_delivery; "
        "I/OR picked_up; "
        "M/MP label_created filler"
    ),
    "attempted_second.push.json": "X/KX attempt_failed recipient_absent 2",
    "attempted_unknown_code_by_status.json": "X/QQ attempt_failed signature_or_id_missing",
    "attempted_unknown_code_by_words.json": "X/QQ attempt_failed business_closed 2",
    "bad_address.json": "X/A7 bad_address moved; D/50 bad_address insufficient_address",
    "came_home.json": (
        "D/FS delivered; "
        "I/DS in_transit; "
        "I/DP in_transit; "
        "X/DL returning_to_sender; "
        "X/49 attempt_failed recipient_absent 3 final"
    ),
    "cie_second_attempt.json": "I/DP in_transit; X attempt_failed recipient_absent 2; M/MP label_created filler",
    "collection_failed.json": (
        "X/G5 exception 3 final collection; "
        "X/KY exception 2 collection; "
        "X/G4 exception 1 collection; "
        "M/MP label_created filler"
    ),
    "correction.json": "X/TL exception correction; D/FS delivered",
    "current_status_decides.json": "I/OT out_for_delivery; X/QQ attempt_failed unspecified 2; X/QQ unknown not known",
    "current_status_only.json": "",
    "customs_hold.json": "X/OT customs; I/OT out_for_delivery",
    "date_updated.push.json": "U/UP in_transit update",
    "delivered.json": "D/FS delivered; I/OD out_for_delivery",
    "delivered.push.json": "D/FS delivered",
    "delivered_unknown_code_by_date.json": "D/Q1 delivered; D/Q2 unknown not known",
    "delivered_unknown_code_by_date.push.json": "D/Q1 delivered",
    "logical_scan.json": "I/AR in_transit filler; D/FS delivered",
    "lost_damaged_destroyed.json": "X/1F lost destroyed; X/S9 lost lost; X/45 damaged damaged; X/A2 lost destroyed",
    "malformed_number.400.json": "",
    "new_number.push.json": "X/CG exception",
    "not_attempted.json": (
        "X/VG exception rescheduled; "
        "X/7V exception weather_or_vehicle; "
        "D/57 exception not_attempted; "
        "X/TH exception rescheduled; "
        "X/S7 available_for_pickup held_at_request"
    ),
    "not_found.404.json": "",
    "not_found.json": "",
    "not_found_empty.404.json": "",
    "photo_after_delivery.push.json": "U/PX delivered update",
    "recalled.json": "X/I1 returning_to_sender recalled_by_shipper",
    "refused.json": "X/KR refused refused",
    "refused_by_words.json": "X/QQ refused refused",
    "return_withdrawn.json": "X/30 exception return_withdrawn; X/UF returning_to_sender",
    "returned_to_original_sender.json": "D/B0 returned_to_sender",
    "single_objects_and_numbers.json": "X/48 attempt_failed recipient_absent 1",
    "times_without_gmt.json": "I/AR in_transit; I/DP in_transit; I/AR in_transit; I/OR picked_up",
    "times_without_zero.json": "I/AR in_transit; I/DP in_transit",
    "two_packages.json": "D/FS delivered; I/OR picked_up",
    "type_d_is_no_proof.json": "D/Q3 unknown not known; D/53 refused refused; D/7K out_for_delivery; D/4X exception",
    "unknown_code.json": "X/Q9 unknown not known",
    "unknown_code.push.json": "X/Q9 unknown not known",
    "update_unheard_of.push.json": "U/QX delivered update",
}


def test_every_fixture_has_its_line_here() -> None:
    """A payload that nobody says anything about proves nothing."""
    files = {path.name for path in FIXTURES.iterdir()} - {"SOURCES.md"}
    assert {name for name in files if not name.startswith("unreadable_")} == set(SAID)


@pytest.mark.parametrize("name", sorted(SAID))
def test_what_a_payload_says(name: str) -> None:
    """Kind, reason, ordinal, effect and marks of every event of every fixture."""
    status = 404 if ".404." in name else 200
    assert "; ".join(said(event) for event in readings(name, NUMBER, status=status).events) == SAID[name]


def test_what_is_told_beside_the_events() -> None:
    """Estimate (rescheduled beats scheduled), window, places, references, service, status; each with its evidence."""
    (told,) = readings("attempted_first.json").told
    assert told == Told(
        NUMBER,
        datetime(2026, 3, 3, 11, 1, tzinfo=UTC),
        estimate=date(2026, 3, 4),
        rescheduled=True,
        window=("11:30", "15:30"),
        origin=Place("Bentivoglio", "BO", "40010", "IT"),
        destination=Place("Amsterdam", "", "1012LG", "NL"),
        references=("ORDER-1001",),
        service="UPS Standard",
        status="022",
        fields={"estimate": "deliveryDate.RDD", "window": "deliveryTime", "status": "currentStatus"},
    )


def test_a_date_of_delivery_is_no_estimate() -> None:
    """DEL says when it was delivered; only SDD and RDD say when it is expected."""
    assert readings("delivered.json").told[0].estimate == date(2026, 3, 3)
    assert readings("came_home.json").told[0].estimate is None


def test_the_last_day_at_an_access_point_is_told() -> None:
    """`pickupByDate` is the day after which the parcel goes back."""
    (told,) = readings("access_point_waiting.json").told
    assert (told.pickup_by, told.fields["pickup_by"]) == (date(2026, 3, 11), "accessPointInformation.pickupByDate")


def test_a_push_tells_its_dates_too() -> None:
    """A push that says the date was updated reschedules; others only repeat the schedule."""
    (updated,) = readings("date_updated.push.json").told
    assert (updated.estimate, updated.rescheduled, updated.window) == (date(2026, 3, 6), True, ("09:00", "13:00"))
    (plain,) = readings("attempted_first.push.json").told
    assert (plain.estimate, plain.rescheduled, plain.window) == (date(2026, 3, 4), False, None)


def test_a_new_number_is_told() -> None:
    """Only pushes tell the new 1Z number; polls know USPS's."""
    assert readings("new_number.push.json").told[0].alternates == ("1Z5338FF0107231068",)
    assert readings("two_packages.json").told[1].alternates == ("9400111899560000000000",)


def test_a_status_without_activity_makes_no_event() -> None:
    """`currentStatus` alone has no instant, so it is told and nothing more."""
    found = readings("current_status_only.json")
    assert found.events == ()
    assert (found.told[0].status, found.told[0].newest, found.told[0].found) == ("023", None, True)


def test_the_current_status_belongs_to_the_newest_activity_only() -> None:
    """Newest by its instant, not by its place in the list; and only where that activity has no digits of its own."""
    newest, older = (event for event in readings("current_status_decides.json").events if event.code == "X/QQ")
    assert (newest.kind, newest.ordinal) == (Kind.ATTEMPT_FAILED, 2)
    assert older.kind is Kind.UNKNOWN
    body = json.loads((FIXTURES / "current_status_decides.json").read_bytes())
    body["trackResponse"]["shipment"][0]["package"][0]["activity"][1]["status"]["statusCode"] = "005"
    events = read(Payload("ups", Source.POLL, json.dumps(body).encode())).events
    assert [event.kind for event in events] == [Kind.OUT_FOR_DELIVERY, Kind.IN_TRANSIT, Kind.UNKNOWN]


def test_nothing_found_is_told_of_the_numbers_asked() -> None:
    """200 with TW0001, 404 with or without a body, and 400 TV1002 all say: nothing known of it."""
    for name, status in (
        ("not_found.json", 200),
        ("not_found.404.json", 404),
        ("not_found_empty.404.json", 404),
        ("malformed_number.400.json", 400),
    ):
        found = readings(name, NUMBER, status=status)
        assert found.events == ()
        assert [(told.number, told.found) for told in found.told] == [(NUMBER, False)], name


def test_several_parcels_in_one_answer_keep_to_themselves() -> None:
    """Two packages and a number without any: three numbers, each with its own."""
    found = readings("two_packages.json")
    assert [event.number for event in found.events] == [NUMBER, "1Z5338FF0107231068"]
    assert [(told.number, told.found) for told in found.told] == [
        (NUMBER, True), ("1Z5338FF0107231068", True), ("1Z5338FF0107231077", False),
    ]  # fmt: skip
    assert found.told[2].warnings == ("TW0001 Tracking Information Not Found",)


def test_a_package_nobody_can_name_is_unreadable() -> None:
    """Events must not be given to the wrong number."""
    activity = {"date": "20260303", "time": "120000", "status": {"type": "X", "code": "48"}}
    body = {"trackResponse": {"shipment": [{"inquiryNumber": NUMBER, "package": [{"activity": [activity]}] * 2}]}}
    with pytest.raises(Unreadable, match="trackingNumber"):
        read(Payload("ups", Source.POLL, json.dumps(body).encode(), (NUMBER,)))
    body["trackResponse"]["shipment"][0]["package"] = [{"activity": [activity]}]
    assert read(Payload("ups", Source.POLL, json.dumps(body).encode())).events[0].number == NUMBER


def test_an_activity_without_a_date_is_left_out_and_said() -> None:
    """It has no place in time, so it cannot be an event; that it was there is told."""
    found = readings("activity_without_date.json")
    assert len(found.events) == 1
    assert "without a date" in found.told[0].warnings[0]


@pytest.mark.parametrize("name", [path.name for path in FIXTURES.iterdir() if path.name.startswith("unreadable_")])
def test_an_error_body_is_not_a_parcel(name: str) -> None:
    """Credentials, faults and gateways answer something, but not about a parcel."""
    with pytest.raises(Unreadable):
        readings(name, NUMBER)


# ---------------------------------------------------------------------------------------------------------------- times


def test_times_without_gmt_fall_back() -> None:
    """One zone in the country: that zone. Several: the time as it stands, no wall time claimed. No time: the day."""
    one_zone, many_zones, offset, day = readings("times_without_gmt.json").events
    assert one_zone.at == datetime(2026, 3, 3, 11, 1, tzinfo=UTC)
    assert one_zone.local == one_zone.at and one_zone.local.utcoffset() == timedelta(hours=1)
    assert (many_zones.at, many_zones.local) == (datetime(2026, 3, 3, 11, tzinfo=UTC), None)
    assert many_zones.day == date(2026, 3, 3)
    assert offset.at == datetime(2026, 3, 2, 16, tzinfo=UTC)
    assert (day.precision, day.day, day.id) == (Precision.DAY, date(2026, 3, 1), "I/OR@2026-03-01")


def test_times_that_lost_a_zero_or_their_offset_are_read() -> None:
    """`74700` is 07:47:00; an offset can be told from the two clocks."""
    short, no_offset = readings("times_without_zero.json").events
    assert short.at == datetime(2026, 3, 3, 7, 47, tzinfo=UTC)
    assert no_offset.local is not None and no_offset.local.utcoffset() == timedelta(hours=1)


def test_the_day_is_the_local_one() -> None:
    """Half past eleven at night in Los Angeles is the next day in Greenwich, and still that evening's attempt."""
    push = {
        "trackingNumber": NUMBER, "activityStatus": {"type": "X", "code": "48"}, "localActivityDate": "20260303",
        "localActivityTime": "233000", "gmtActivityDate": "20260304", "gmtActivityTime": "073000",
        "gmtOffset": "-08.00",
    }  # fmt: skip
    activity = {
        "date": "20260303", "time": "233000", "gmtDate": "20260304", "gmtTime": "07:30:00", "gmtOffset": "-08:00",
        "status": {"type": "X", "code": "48"},
    }  # fmt: skip
    answer = {"trackResponse": {"shipment": [{"package": [{"trackingNumber": NUMBER, "activity": [activity]}]}]}}
    for source, body in ((Source.PUSH, push), (Source.POLL, answer)):
        (event,) = read(Payload("ups", source, json.dumps(body).encode())).events
        assert (event.day, event.at) == (date(2026, 3, 3), datetime(2026, 3, 4, 7, 30, tzinfo=UTC))
        assert event.local is not None and event.local.hour == 23


def test_a_date_of_delivery_proves_only_what_nothing_else_explains() -> None:
    """A refusal on that day is a refusal; an unknown code of another type, or on another day, stays unknown."""
    for scan_type, code, day, kind in (
        ("D", "53", "20260304", Kind.REFUSED),
        ("D", "QQ", "20260304", Kind.DELIVERED),
        ("D", "FV", "20260304", Kind.DELIVERED),
        ("X", "QQ", "20260304", Kind.UNKNOWN),
        ("D", "QQ", "20260305", Kind.UNKNOWN),
    ):
        activity = {"date": "20260304", "time": "120000", "status": {"type": scan_type, "code": code}}
        package = {"trackingNumber": NUMBER, "activity": [activity], "deliveryDate": [{"type": "DEL", "date": day}]}
        body = {"trackResponse": {"shipment": [{"package": [package]}]}}
        (event,) = read(Payload("ups", Source.POLL, json.dumps(body).encode())).events
        assert event.kind is kind, (scan_type, code, day)


def test_a_push_without_any_date_is_told_only() -> None:
    """No instant, no event: the number and the status are told."""
    body = {"trackingNumber": NUMBER, "activityStatus": {"type": "X", "code": "48", "descriptionCode": "022"}}
    found = read(Payload("ups", Source.PUSH, json.dumps(body).encode()))
    assert (found.events, found.told[0].newest, found.told[0].status) == ((), None, "022")


# --------------------------------------------------------------------------------------------------------------- pushes


@pytest.mark.parametrize(
    "headers",
    [
        {"credential": "right"},
        {"credential": " older "},
        {"authorization": "Bearer right"},
        {"authorization": "bearer older", "x-api-key": "anything"},
        {"authorization": "Bearer token", "x-api-key": "client"},
    ],
)
def test_a_push_with_a_live_secret_is_ours(headers: dict[str, str]) -> None:
    """Version 1's credential or version 2's bearer, any secret that is still accepted; `client:token` asks for both."""
    verify(Push(headers, b"{}"), ("right", "older", "client:token"), NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"credential": "righ"},
        {"credential": "right!"},
        {"authorization": "right"},
        {"authorization": "Basic right"},
        {"authorization": "Bearer token"},
        {"authorization": "Bearer token", "x-api-key": "other"},
        {"x-api-key": "client"},
        {"x-api-key": "right"},
        {"user-agent": "UPSPubSubTrackingService"},
    ],
)
def test_a_push_without_a_live_secret_is_forged(headers: dict[str, str]) -> None:
    """Near misses, the wrong scheme, half a pair, and UPS's name alone prove nothing."""
    with pytest.raises(Forged):
        verify(Push(headers, b"{}"), ("right", "older", "client:token"), NOW)


# -------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("text", "number", "warned"),
    [
        ("1Z999AA10123456784", "1Z999AA10123456784", False),
        ("1z 999 aa1 01 2345 6784", "1Z999AA10123456784", False),
        ("https://www.ups.com/track?tracknum=1Z999AA10123456784&x=1", "1Z999AA10123456784", False),
        ("1ZWX0692YP40636269", "1ZWX0692YP40636269", False),
        ("1ZCIETST0111111114", "1ZCIETST0111111114", False),
        ("1Z999AA10123456785", "1Z999AA10123456785", True),
        ("1Z12345E0205271688", "1Z12345E0205271688", True),
        ("1R12345678912345", "1R12345678912345", False),
        ("T1234567890", "T1234567890", True),
        ("123456789012", "123456789012", True),
    ],
)
def test_a_number_is_recognised(text: str, number: str, warned: bool) -> None:
    """Any case, blanks and links are taken; a wrong check digit only warns, as UPS's own test numbers have one."""
    found = recognise(text)
    assert found is not None
    assert (found.number, bool(found.warning)) == (number, warned)


@pytest.mark.parametrize(
    "text", ["", "1Z999AA1012345678", "1Z999AA101234567840", "1Z999AA1012345678\u00e9", "ABC", "12345678"]
)
def test_what_cannot_be_a_number_is_none(text: str) -> None:
    """Too short, too long, or letters UPS does not use."""
    assert recognise(text) is None


def test_a_correction_and_its_kinds_keep_their_words() -> None:
    """Words and code are the carrier's own, untouched; the city is shown as a push shows it."""
    event = readings("delivered.json").events[0]
    assert (event.words, event.place) == ("DELIVERED", Place("Charlotte", "NC", "", "US"))
    assert event.reason is None and Reason.REFUSED.value == readings("refused.json").events[0].reason


# ----------------------------------------------------------------------------------------------------------- milestones


def _with_milestones(*milestones: object) -> Told:
    said = json.loads((FIXTURES / "attempted_second.json").read_bytes())
    said["trackResponse"]["shipment"][0]["package"][0]["milestones"] = list(milestones)
    (told,) = read(Payload("ups", Source.POLL, json.dumps(said).encode())).told
    return told


def test_milestones_are_told_as_ups_draws_them() -> None:
    """source: Tracking.yaml: oldest first, those to come last; the linked activity says when one was reached."""
    told = _with_milestones(
        {"code": "1", "description": "Label Created", "state": "COMPLETE", "category": "X", "linkedActivity": "1"},
        {"code": "2", "description": "On the Way", "state": "COMPLETE", "current": True, "linkedActivity": 0},
        {"code": "3", "description": "Delivered", "state": "INCOMPLETE", "current": False},
        {"code": "4", "description": "Kept", "state": "This milestone has already occurred", "linkedActivity": "99"},
        {"state": "COMPLETE"},
    )
    newest, second = readings("attempted_second.json").events[:2]
    assert told.milestones == (
        Milestone("1", "Label Created", True, at=second.at),
        Milestone("2", "On the Way", True, current=True, at=newest.at),
        Milestone("3", "Delivered", False),
        Milestone("4", "Kept", True),
    )


def test_milestones_decide_nothing() -> None:
    """A Delivered step without a scan delivers nothing: the events are the same with and without it."""
    said = json.loads((FIXTURES / "attempted_second.json").read_bytes())
    said["trackResponse"]["shipment"][0]["package"][0]["milestones"] = {"code": "5", "description": "Delivered"}
    found = read(Payload("ups", Source.POLL, json.dumps(said).encode()))
    assert found.events == readings("attempted_second.json").events
    assert found.told[0].milestones == (Milestone("5", "Delivered", False),)
