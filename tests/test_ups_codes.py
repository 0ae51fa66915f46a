"""UPS's table: complete against the collected facts, sound by itself, and a key cannot stand twice."""

import csv
from pathlib import Path

import pytest

from carriers.contract import NOT_AN_ATTEMPT, Effect, Kind, Mark, Reason
from carriers.ups.codes import TABLES, Row, parse
from carriers.ups.meaning import ATTEMPT_REASONS

FACTS = Path(__file__).parent.parent.parent / "shared" / "facts"
COLUMNS = ("type", "code", "kind", "reason", "ordinal", "final", "effect", "marks", "generic")
# Rows whose kind is ours: discarded is a loss, and there is a word for what nobody claimed.
OURS = {("X", "A2"): Kind.LOST, ("MI:A4", "RA"): Kind.UNCLAIMED}
LOSSES = {Reason.LOST, Reason.DAMAGED, Reason.DESTROYED}


def facts(name: str) -> list[dict[str, str]]:
    if not (FACTS / name).exists():
        pytest.skip(f"FACTS SKIPPED: {name} is not beside the project, so the table was not compared with it")
    with (FACTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scans() -> list[tuple[tuple[str, str], Row]]:
    return [*TABLES.scans.items(), *((("", status), row) for status, row in TABLES.statuses.items())]


def test_every_documented_code_is_in_the_table_with_its_meaning() -> None:
    """All 1,102 scan codes and 160 three-digit statuses are there; only the kinds listed here are ours."""
    rows = [row for row in facts("ups_codes.csv") if row["source"] in ("status_code", "current_status")]
    assert len(rows) == 1262
    for row in rows:
        key = (row["status_type"], row["code"])
        found = TABLES.scans[key] if key[0] else TABLES.statuses[key[1]]
        assert found.kind == OURS.get(key, Kind(row["meaning"])), key


def test_every_stated_ordinal_is_in_the_table() -> None:
    """First, second and final are stated by row; the final one is the third."""
    for row in facts("ups_codes.csv"):
        if row["attempt_number"]:
            key = (row["status_type"], row["code"])
            found = TABLES.scans[key] if key[0] else TABLES.statuses[key[1]]
            final = row["attempt_number"] == "final"
            assert (found.ordinal, found.final) == (3 if final else int(row["attempt_number"]), final), key


def test_every_text_pattern_is_in_the_table_in_its_order() -> None:
    """The order decides: a refusal that speaks of an attempt is a refusal."""
    patterns = facts("ups_text_patterns.csv")
    assert [row["regex"] for row in patterns] == [pattern.pattern for pattern, _ in TABLES.words]
    for row, (_, found) in zip(patterns, TABLES.words, strict=True):
        final = row["attempt_number"] == "final"
        assert found.kind == Kind(row["meaning"])
        assert (found.ordinal, found.final) == (3 if final else int(row["attempt_number"] or 0) or None, final)


def test_a_possible_attempt_is_marked_possible() -> None:
    """Rows that count as a visit only with a proving status are those that the facts call so, and D/DO."""
    possible = {
        (row["status_type"], row["code"])
        for row in facts("ups_codes.csv")
        if "POSSIBLE" in row["note"] or "count as delivery attempt only with" in row["note"]
    }
    assert {key for key, row in scans() if row.possible} == possible | {("D", "DO")}


def test_a_reason_fits_its_kind() -> None:
    """A failed visit has a reason of the door; a loss one of loss; and no delivery says why it failed."""
    for key, row in scans():
        if row.kind is Kind.ATTEMPT_FAILED:
            assert row.reason in ATTEMPT_REASONS, key
        elif not row.possible:
            assert row.reason not in ATTEMPT_REASONS, key
        if row.kind in (Kind.LOST, Kind.DAMAGED):
            assert row.reason in LOSSES, key
        if row.kind is Kind.REFUSED:
            assert row.reason is Reason.REFUSED, key
        if row.kind is Kind.BAD_ADDRESS:
            assert row.reason in (Reason.INSUFFICIENT_ADDRESS, Reason.MOVED), key
        if row.reason in NOT_AN_ATTEMPT:
            assert row.kind in (Kind.EXCEPTION, Kind.AVAILABLE_FOR_PICKUP), key
        if row.ordinal is not None:
            assert row.kind is Kind.ATTEMPT_FAILED or Mark.COLLECTION in row.marks, key


@pytest.mark.parametrize(
    ("scan_type", "code", "kind", "reason"),
    [
        ("X", "3N", Kind.RETURNING_TO_SENDER, Reason.UNCLAIMED),
        ("X", "6C", Kind.RETURNING_TO_SENDER, Reason.UNCLAIMED),
        ("D", "5F", Kind.RETURNING_TO_SENDER, Reason.UNCLAIMED),
        ("X", "CS", Kind.RETURNING_TO_SENDER, Reason.RECALLED_BY_SHIPPER),
        ("X", "I1", Kind.RETURNING_TO_SENDER, Reason.RECALLED_BY_SHIPPER),
        ("X", "TU", Kind.RETURNED_TO_SENDER, Reason.INSUFFICIENT_ADDRESS),
        ("X", "1F", Kind.LOST, Reason.DESTROYED),
        ("X", "S9", Kind.LOST, Reason.LOST),
        ("X", "DL", Kind.RETURNING_TO_SENDER, None),
        ("I", "DL", Kind.IN_TRANSIT, None),
        ("D", "57", Kind.EXCEPTION, Reason.NOT_ATTEMPTED),
        ("D", "FZ", Kind.EXCEPTION, Reason.NOT_ATTEMPTED),
        ("D", "EA", Kind.EXCEPTION, Reason.NOT_ATTEMPTED),
        ("X", "S7", Kind.AVAILABLE_FOR_PICKUP, Reason.HELD_AT_REQUEST),
        ("X", "7V", Kind.EXCEPTION, Reason.WEATHER_OR_VEHICLE),
        ("X", "16", Kind.EXCEPTION, Reason.WEATHER_OR_VEHICLE),
        ("X", "TH", Kind.EXCEPTION, Reason.RESCHEDULED),
        ("X", "55", Kind.ATTEMPT_FAILED, Reason.BUSINESS_CLOSED),
        ("X", "51", Kind.ATTEMPT_FAILED, Reason.PAYMENT_DUE),
        ("X", "IQ", Kind.ATTEMPT_FAILED, Reason.SIGNATURE_OR_ID_MISSING),
        ("MI:IC", "DO", Kind.ATTEMPT_FAILED, Reason.NO_ACCESS),
        ("MI:IC", "DW", Kind.ATTEMPT_FAILED, Reason.NO_SECURE_LOCATION),
        ("MI:A4", "S3", Kind.LOST, Reason.DESTROYED),
    ],
)
def test_a_row_says_why(scan_type: str, code: str, kind: Kind, reason: Reason | None) -> None:
    """Reasons are set row by row from what the row says."""
    row = TABLES.scans[scan_type, code]
    assert (row.kind, row.reason) == (kind, reason)


def test_marks_and_effects_are_where_they_belong() -> None:
    """Updates change nothing; collections are no deliveries; a withdrawn return and a correction are marked."""
    assert {key for key, row in scans() if row.effect is Effect.UPDATE} == {
        *(("U", code) for code in ("UP", "UT", "PX")), *(("", status) for status in ("153", "154", "155")),
    }  # fmt: skip
    collections = {key for key, row in scans() if Mark.COLLECTION in row.marks}
    assert {("X", "G4"), ("X", "KY"), ("X", "G5"), ("", "065"), ("", "135"), ("", "131")} <= collections
    assert {key for key, row in scans() if Mark.RETURN_WITHDRAWN in row.marks} == {("X", "30"), ("", "114")}
    assert {key for key, row in scans() if Mark.CORRECTION in row.marks} == {("X", "TL"), ("X", "8I")}


def test_a_key_that_stands_twice_fails_at_import() -> None:
    """Two rows for one key would make the meaning depend on their order."""
    line = dict.fromkeys(COLUMNS, "") | {"type": "X", "code": "48", "kind": "attempt_failed", "effect": "scan"}
    assert TABLES.scans["X", "48"].kind is parse([line]).scans["X", "48"].kind
    with pytest.raises(ValueError, match="twice"):
        parse([line, line])


@pytest.mark.parametrize(
    ("column", "word"), [("kind", "vanished"), ("reason", "bored"), ("effect", "none"), ("marks", "x")]
)
def test_a_word_we_do_not_have_fails_at_import(column: str, word: str) -> None:
    """A typing error in the table cannot become a meaning."""
    line = dict.fromkeys(COLUMNS, "") | {"type": "X", "code": "48", "kind": "exception", "effect": "scan", column: word}
    with pytest.raises(ValueError, match=word):
        parse([line])
