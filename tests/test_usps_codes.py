"""USPS's code table: complete, and asked in the right order."""

import csv
from pathlib import Path

import pytest

from carriers.contract import NOT_AN_ATTEMPT, Effect, Kind, Reason
from carriers.usps.codes import TABLE, UNKNOWN, Table, plain, row

SHARED = Path(__file__).resolve().parents[2] / "shared" / "facts" / "usps_codes.csv"
ENDS = {Kind.DELIVERED, Kind.RETURNED_TO_SENDER, Kind.LOST, Kind.VOIDED}


def record(code: str, text: str, kind: str = "in_transit") -> dict[str, str]:
    return {
        "event_code": code,
        "text": text,
        "kind": kind,
        "ends_as": "",
        "reason": "",
        "effect": "scan",
        "marks": "",
        "source": "RULE",
    }


@pytest.mark.skipif(not SHARED.exists(), reason="USPS CODES NOT COMPARED: no shared list beside the project")
def test_every_documented_row_is_in_the_table_with_its_meaning() -> None:
    """All 266 rows of the collected list, each with the kind that it gives, attempts exactly where it says so."""
    with SHARED.open(newline="", encoding="utf-8") as file:
        documented = list(csv.DictReader(file))
    assert len(documented) == 266
    for each in documented:
        ours = TABLE.rows[each["event_code"], plain(each["event_text"]), False]
        assert ours.documented == each["meaning"], each
        assert (ours.meaning.kind is Kind.ATTEMPT_FAILED) == (each["is_attempt"] == "1"), each


@pytest.mark.skipif(not SHARED.exists(), reason="USPS CODES NOT COMPARED: no shared list beside the project")
def test_one_row_means_more_than_its_kind_and_the_list_says_so() -> None:
    """DN is damage and ends the parcel as delivered: the only row whose kind is not the list's."""
    differing = [each for each in TABLE.rows.values() if each.meaning.kind != each.documented]
    assert [(each.code, each.documented, each.meaning.kind, each.meaning.reason) for each in differing] == [
        ("DN", Kind.DAMAGED, Kind.DELIVERED, Reason.DAMAGED)
    ]
    with SHARED.open(newline="", encoding="utf-8") as file:
        (said,) = [each for each in csv.DictReader(file) if each["event_code"] == "DN"]
    assert "also terminal as delivered" in said["note"].lower()


def test_an_attempt_has_a_reason_and_what_is_none_never_counts() -> None:
    """Rows that look like attempts and are none carry the reason that says so, on another kind."""
    meanings = [each.meaning for each in TABLE.rows.values()]
    assert all(each.reason for each in meanings if each.kind is Kind.ATTEMPT_FAILED)
    assert not [each for each in meanings if each.kind is Kind.ATTEMPT_FAILED and each.reason in NOT_AN_ATTEMPT]
    assert {each.reason for each in meanings} >= NOT_AN_ATTEMPT


@pytest.mark.parametrize(
    ("code", "words", "kind", "reason"),
    [
        ("01", "Delivered, Front Door/Porch", Kind.DELIVERED, None),
        ("01", "Delivered, To Original Sender", Kind.RETURNED_TO_SENDER, None),
        ("01", "DELIVERED TO ORIGINAL SENDER", Kind.RETURNED_TO_SENDER, None),
        ("01", "Delivered, To Original Sender, Front Desk", Kind.RETURNED_TO_SENDER, None),
        ("43", "Delivered, To Original Sender", Kind.RETURNED_TO_SENDER, None),
        ("01", "Delivered, In a Place With a New Name", Kind.DELIVERED, None),
        ("52", "Held at Post Office", Kind.EXCEPTION, Reason.HELD_AT_REQUEST),
        ("52", "Notice Left", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("52", "Notice Left (No Secure Location Available)", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("02", "Notice Left", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("02", "Notice Left (Business Closed)", Kind.ATTEMPT_FAILED, Reason.BUSINESS_CLOSED),
        ("30", "Delivery Attempted - No Access to Delivery Location", Kind.ATTEMPT_FAILED, Reason.NO_ACCESS),
        ("VF", "Reminder to Schedule Redelivery of your item", Kind.AVAILABLE_FOR_PICKUP, None),
        ("14", "Notice Left", Kind.AVAILABLE_FOR_PICKUP, None),
        ("", "Notice Left (Dog in Yard)", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("Q7", "notice left (dog in yard)", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("", "Delivery Attempted - Gate Locked", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("", "Delivery Attempt", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED),
        ("", "Out for Delivery, Expected Delivery by 6:30pm", Kind.OUT_FOR_DELIVERY, None),
        ("", "Delivered", Kind.DELIVERED, None),
        ("44", "anything", Kind.RETURNING_TO_SENDER, Reason.RECALLED_BY_SHIPPER),
        ("32", "anything", Kind.LOST, Reason.DESTROYED),
        ("DN", "Delivered, Damaged", Kind.DELIVERED, Reason.DAMAGED),
        ("12", "Visible Damage", Kind.DAMAGED, Reason.DAMAGED),
    ],
)
def test_overriding_words_then_the_code_then_words(code: str, words: str, kind: Kind, reason: Reason | None) -> None:
    """source: facts/usps.md 4.1, 4.5: texts that override, event code, words exactly, words by their beginning."""
    meaning = TABLE.meaning(code, words)
    assert (meaning.kind, meaning.reason, meaning.known) == (kind, reason, True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("Q7", "Drone Landed"),
        ("", "Delivered, Somewhere New"),
        ("", "Notice leftover"),
        ("", "Label Cancelled by Somebody"),
        ("", ""),
        ("1", "x"),
        ("", "(any unmapped code or text)"),
        ("", "Delivery Attempt: Action Needed"),
    ],
)
def test_what_nobody_knows_is_never_given_a_meaning(code: str, words: str) -> None:
    """No default, and no beginning of words, delivers, counts or ends anything."""
    assert TABLE.meaning(code, words) == UNKNOWN


def test_no_prefix_ends_a_parcel_by_words_alone() -> None:
    """Only an explicit row ends a parcel; the one prefix that does is tied to the code 01, which ends it anyway."""
    ending = [each for each in TABLE.prefixes if each.meaning.kind in ENDS]
    assert [(each.code, each.text) for each in ending] == [("01", "delivered to original sender")]


def test_fillers_and_notices_are_no_scans() -> None:
    """TL and NT are made by a machine, a label event is no possession, a reminder is no event at the parcel."""
    for code in ("TL", "NT", "GX", "MA", "VF", "DX", "80"):
        assert TABLE.by_code[code].effect is Effect.FILLER, code
    for code in ("01", "02", "03", "07", "14", "27", "OF"):
        assert TABLE.by_code[code].effect is Effect.SCAN, code


def test_a_duplicate_or_contradicting_row_fails_the_build() -> None:
    """The table is read at import, so the process does not start with it."""
    with pytest.raises(ValueError, match="twice"):
        Table([row(record("03", "Accepted")), row(record("03", "ACCEPTED!"))])
    with pytest.raises(ValueError, match="two meanings"):
        Table([row(record("03", "Accepted")), row(record("04", "Accepted", "refused"))])
    with pytest.raises(ValueError, match="scanned"):
        row(record("03", "Accepted") | {"effect": "scanned"})
