"""The stand-ins' words against the tables of facts: every code said is a known one and means what the script means."""

import csv
from pathlib import Path

import pytest

from carriers.ups import standin as ups
from carriers.usps import standin as usps

FACTS = Path(__file__).resolve().parents[2] / "shared" / "facts"
pytestmark = pytest.mark.skipif(not FACTS.exists(), reason="FACTS SKIPPED: no tables of codes in ../shared/facts")

# What each word of the scripts may mean at most; a word not named here means movement.
MEANT = {
    "label": "label_created",
    "manifest": "label_created",
    "pickup": "picked_up",
    "dropoff": "picked_up",
    "origin": "picked_up in_transit",
    "out": "out_for_delivery",
    "load": "out_for_delivery in_transit",
    "collection_missed": "exception",
    "miss_first": "attempt_failed",
    "miss_second": "attempt_failed",
    "miss_final": "attempt_failed",
    "miss": "attempt_failed",
    "miss_same_visit": "attempt_failed",
    "miss_to_point": "attempt_failed",
    "miss_home": "attempt_failed",
    "refuse": "refused",
    "wrong_address": "bad_address",
    "at_point": "delivered_to_access_point",
    "collected": "delivered",
    "point_expired": "returning_to_sender",
    "held": "available_for_pickup",
    "reminder": "available_for_pickup",
    "unclaimed": "unclaimed",
    "weather": "exception",
    "rescheduled": "exception",
    "delay": "exception",
    "damage": "damaged",
    "search": "lost exception",
    "lost": "lost",
    "customs": "customs",
    "turn": "returning_to_sender",
    "home": "returned_to_sender delivered",
    "deliver": "delivered",
    "void": "voided",
    "forward": "forwarded",
    "asked_back": "exception",
    "recalled": "returning_to_sender",
    "withdrawn": "exception",
    "corrected": "exception",
}
ORDINAL = {"miss_first": "1", "miss_second": "2", "miss_final": "final"}


def rows(file: str) -> list[dict[str, str]]:
    with (FACTS / file).open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_every_ups_code_means_what_the_script_means() -> None:
    """By (type, code); the attempt's number too where the table knows one."""
    table = {(row["status_type"], row["code"]): row for row in rows("ups_codes.csv") if row["source"] == "status_code"}
    for word, ways in ups.SAYS.items():
        for kind, code, _, _ in ways:
            row = table[kind, code]
            assert row["meaning"] in MEANT.get(word, "in_transit").split(), (word, kind, code, row["meaning"])
            if word in ORDINAL:
                assert row["attempt_number"] in {ORDINAL[word], ""}, (word, kind, code)


def test_every_ups_status_is_known_and_never_contradicts_the_script() -> None:
    """By three digits; 013 and the delays are generic, where only the code tells."""
    table = {row["code"]: row for row in rows("ups_codes.csv") if row["source"] == "current_status"}
    for word, ways in ups.SAYS.items():
        for _, _, status, _ in ways:
            row = table[status]
            assert row["attempt_number"] in {ORDINAL.get(word, ""), ""}, (word, status)
            if row["meaning"] in {"attempt_failed", "delivered", "refused", "returned_to_sender", "lost", "damaged"}:
                assert row["meaning"] in MEANT.get(word, "in_transit").split(), (word, status, row["meaning"])


def test_every_usps_code_and_text_means_what_the_script_means() -> None:
    """By code and by text; a text without a code stands in the table by itself."""
    table = rows("usps_codes.csv")
    for word, ways in usps.SAYS.items():
        for code, text, _ in ways:
            known = [row for row in table if row["event_code"] == code and (code or row["event_text"] == text)]
            exact = [row for row in known if row["event_text"] == text] or known
            assert exact, (word, code, text)
            assert {row["meaning"] for row in exact} & set(MEANT.get(word, "in_transit").split()), (word, code, text)


def test_check_digits_are_right() -> None:
    """Source: facts/ups.md 10.2 and facts/usps.md 7: numbers that are known to be good."""
    for number in ("1Z999AA10123456784", "1Z5338FF0107231059", "1Z12345E6605272234"):
        assert ups.check_digit(number[2:17]) == number[17]
    for number in (
        "9400111206206406260787",
        "9205590006662202169556",
        "9361289878700317633795",
        "92748931507708513018050063",
    ):
        assert usps.check_digit(number[:-1]) == number[-1]
