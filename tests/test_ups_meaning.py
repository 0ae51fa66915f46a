"""Which of UPS's words decide: the row for (type, code), else the three digits, else the wording; never the letter."""

import pytest

from carriers.contract import Effect, Kind, Mark, Reason
from carriers.ups.codes import TABLES
from carriers.ups.meaning import PROVES_A_VISIT, meaning

FIRST = "Nobody was in. We will make a second attempt the next business day."


@pytest.mark.parametrize(
    ("scan_type", "code", "status", "words", "kind", "reason", "ordinal", "final"),
    [
        # the row is specific
        ("X", "48", "022", "", Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 1, False),
        ("X", "DL", "011", "", Kind.RETURNING_TO_SENDER, None, None, False),
        ("X", "TH", "022", "", Kind.EXCEPTION, Reason.RESCHEDULED, None, False),
        ("D", "53", "011", "Delivered", Kind.REFUSED, Reason.REFUSED, None, False),
        # an ordinal of any of the three counts, the highest of them, and final if any says so
        ("X", "C4", "013", FIRST, Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 1, False),
        ("X", "48", "023", "", Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 2, False),
        ("X", "48", "024", "", Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 3, True),
        ("X", "48", "", "On the final delivery attempt", Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 3, True),
        ("X", "G8", "024", "", Kind.ATTEMPT_FAILED, Reason.SIGNATURE_OR_ID_MISSING, 3, True),
        ("X", "G8", "", "", Kind.ATTEMPT_FAILED, Reason.SIGNATURE_OR_ID_MISSING, None, False),
        # but not where the row is no attempt
        ("X", "7V", "", "A second attempt will be made.", Kind.EXCEPTION, Reason.WEATHER_OR_VEHICLE, None, False),
        # the row says too little: sharp digits decide, dull ones and words do not
        ("X", "08", "022", "", Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED, 1, False),
        ("X", "08", "011", "", Kind.DELIVERED, None, None, False),
        ("X", "08", "035", "", Kind.RETURNING_TO_SENDER, None, None, False),
        ("X", "08", "005", "", Kind.EXCEPTION, None, None, False),
        ("X", "08", "052", "", Kind.EXCEPTION, Reason.WEATHER_OR_VEHICLE, None, False),
        ("X", "08", "013", "The second delivery attempted", Kind.EXCEPTION, None, None, False),
        ("D", "FV", "011", "", Kind.DELIVERED, None, None, False),
        ("X", "ZO", "169", "", Kind.PICKED_UP, None, None, False),
        # no such row: the digits, where they say something
        ("X", "QQ", "061", "", Kind.ATTEMPT_FAILED, Reason.SIGNATURE_OR_ID_MISSING, None, False),
        ("X", "QQ", "005", FIRST, Kind.IN_TRANSIT, None, None, False),
        ("D", "QQ", "161", "", Kind.DELIVERED_TO_ACCESS_POINT, None, None, False),
        # else the words, else what dull digits say
        ("X", "QQ", "013", FIRST, Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 1, False),
        ("X", "QQ", "", "CLOSED ON THE 3RD DELIVERY ATTEMPT", Kind.ATTEMPT_FAILED, Reason.BUSINESS_CLOSED, 3, True),
        ("X", "QQ", "", "Refused on the final delivery attempt", Kind.REFUSED, Reason.REFUSED, None, False),
        ("X", "QQ", "", "There was no delivery attempt", Kind.EXCEPTION, Reason.NOT_ATTEMPTED, None, False),
        ("X", "QQ", "048", "Late", Kind.EXCEPTION, None, None, False),
        (None, "X", "", "NOT AVAILABLE ON THE 2ND DELIVERY ATTEMPT. A 3RD DELIVERY ATTEMPT WILL BE MADE",
         Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 2, False),
        # never the type letter
        ("D", "QQ", "", "Delivered", Kind.UNKNOWN, None, None, False),
        ("M", "QQ", "", "", Kind.UNKNOWN, None, None, False),
        ("D", "48", "", "", Kind.UNKNOWN, None, None, False),
        (None, "48", "", "", Kind.UNKNOWN, None, None, False),
        # 049 and 055 are not the codes 49 and 55
        ("X", "QQ", "049", "", Kind.EXCEPTION, None, None, False),
        ("X", "QQ", "055", "", Kind.EXCEPTION, Reason.RESCHEDULED, None, False),
        # lost zeros, small letters, blanks
        ("x", "1", "22", "", Kind.EXCEPTION, Reason.NOT_ATTEMPTED, None, False),
        (" D ", " b0 ", "34", "", Kind.RETURNED_TO_SENDER, None, None, False),
        # three digits where the code belongs
        (None, "023", None, None, Kind.ATTEMPT_FAILED, Reason.UNSPECIFIED, 2, False),
    ],
)  # fmt: skip
def test_what_a_status_means(
    scan_type: str | None, code: str | None, status: str | None, words: str | None,
    kind: Kind, reason: Reason | None, ordinal: int | None, final: bool,
) -> None:  # fmt: skip
    """One case of the order in which UPS's words decide."""
    means = meaning(scan_type, code, status, words)
    assert (means.kind, means.reason, means.ordinal, means.final) == (kind, reason, ordinal, final)


POSSIBLE = [key for key, row in TABLES.scans.items() if row.possible]


@pytest.mark.parametrize(("scan_type", "code"), POSSIBLE)
def test_a_possible_visit_counts_only_with_a_proving_status(scan_type: str, code: str) -> None:
    """022 to 024, 060 to 062 and 145 prove it; nothing, 013, 066 and the words do not."""
    for status in PROVES_A_VISIT:
        means = meaning(scan_type, code, status, "")
        assert means.kind is Kind.ATTEMPT_FAILED and means.reason is not None
        assert means.ordinal == {"022": 1, "023": 2, "024": 3}.get(status)
    for status in ("", "013", "066", "139"):
        means = meaning(scan_type, code, status, FIRST)
        assert means.kind is TABLES.scans[scan_type, code].kind is not Kind.ATTEMPT_FAILED
        assert means.reason is None or means.reason is Reason.MOVED


def test_the_reason_of_a_possible_visit_is_its_rows() -> None:
    """A door that needs a code is no access, once the status says that somebody stood before it."""
    assert meaning("X", "95", "060", "").reason is Reason.NO_ACCESS
    assert meaning("X", "PI", "022", "").reason is Reason.SIGNATURE_OR_ID_MISSING
    assert meaning("X", "LZ", "062", "").reason is Reason.PAYMENT_DUE
    assert meaning("X", "DW", "024", "").reason is Reason.UNSPECIFIED


def test_an_update_changes_nothing_whatever_it_is_called() -> None:
    """Type U only moves dates or brings a photo; so do 153 to 155 where nothing else is said."""
    for code, status in (("UP", "154"), ("PX", "155"), ("ZZ", "011"), ("ZZ", "")):
        assert meaning("U", code, status, "").effect is Effect.UPDATE
    assert meaning("I", "QQ", "154", "").effect is Effect.UPDATE
    assert meaning("I", "OT", "154", "").effect is Effect.SCAN


def test_marks_come_from_the_row_or_the_digits() -> None:
    """A collection is never a delivery attempt; a cancelled request withdraws a return; a correction is one."""
    for code, ordinal in (("G4", 1), ("KY", 2), ("G5", 3)):
        means = meaning("X", code, "", "")
        assert means.marks == {Mark.COLLECTION} and means.kind is Kind.EXCEPTION and means.ordinal == ordinal
    assert meaning("X", "QQ", "135", "").marks == {Mark.COLLECTION}
    assert meaning("X", "QQ", "", "Pickup attempted").marks == {Mark.COLLECTION}
    assert meaning("D", "CI", "", "").marks == {Mark.COLLECTION}
    assert meaning("D", "CI", "022", "").marks == frozenset()
    assert meaning("X", "30", "", "").marks == meaning("X", "QQ", "114", "").marks == {Mark.RETURN_WITHDRAWN}
    assert meaning("X", "TL", "", "").marks == {Mark.CORRECTION}


def test_what_nobody_knows_is_not_known() -> None:
    """Unknown: not in the table, no telling digits, no telling words. UPS's internal codes are known, and unknown."""
    assert not meaning("X", "QQ", "", "Something").known
    assert not meaning("X", "QQ", "000", "").known
    assert not meaning("", "", "", "").known
    assert meaning("X", "KB", "", "").known and meaning("X", "KB", "", "").kind is Kind.UNKNOWN
    assert meaning("X", "QQ", "022", "").known


def test_the_code_is_type_and_code() -> None:
    """The event's code holds everything that decides its meaning, padded as the tables are."""
    assert meaning("X", "48", "", "").code == "X/48"
    assert meaning("X", "1", "", "").code == "X/01"
    assert meaning("x", "q9", "", "").code == "X/Q9"
    assert meaning("", "48", "", "").code == "48"
    assert meaning("X", "", "022", "").code == ""
    assert meaning("IC", "DO", "", "").code == "IC/DO" and meaning("IC", "DO", "", "").kind is Kind.ATTEMPT_FAILED
