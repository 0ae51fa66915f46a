"""Whose is an unknown number: what speaks for a candidate, what against, and when no person is needed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from carriers.contract import Place
from tracker.matching import Candidate, CandidateKind, Clue, plain_name, rank, score, sure

HOUSE = Place("Bentivoglio", "BO", "40010", "IT")
DOOR = Place("Amsterdam", "", "1015 CJ", "NL")
ELSEWHERE = Place("Paris", "", "75001", "FR")
START = datetime(2026, 3, 5, 12, tzinfo=UTC)
CASE = Candidate(
    CandidateKind.CASE, 1, "boutique-eu", "ups 1Z1", "ups", HOUSE, START, 60,
    number="1Z1", order_numbers=("B-1001",), origin=DOOR,
)  # fmt: skip
WAYBILL = Candidate(
    CandidateKind.RETURN, 2, "boutique-eu", "R7K2M4QX4TB", "ups", HOUSE, START, 60,
    references=("R7K2M4QX4TB",), order_numbers=("B-1002",), account="W95789", origin=DOOR,
)  # fmt: skip
CLUE = Clue("ups", "1ZW957896800000001", origin=DOOR, destination=HOUSE, first=START + timedelta(days=1))
BARE = Clue("ups", "1Z2")


@pytest.mark.parametrize(
    ("clue", "rule"),
    [
        (replace(BARE, alternates=("1Z1",)), "alternate_number"),
        (replace(BARE, told_by="ups 1Z1"), "alternate_number"),
        (replace(BARE, references=("1z 1",)), "reference"),
        (replace(BARE, references=("b1001",)), "order_number"),
        (replace(BARE, order_number="B-1001"), "order_number"),
        (replace(BARE, origin=DOOR), "origin"),
        (replace(BARE, destination=HOUSE), "destination"),
        (replace(BARE, first=START), "window"),
    ],
)
def test_each_thing_known_speaks_for_a_case_with_a_sentence(clue: Clue, rule: str) -> None:
    """One rule alone: its weight is the score, its sentence the reason."""
    found = score(clue, CASE)
    assert [reason.rule for reason in found.reasons] == [rule]
    assert found.value == found.reasons[0].weight > 0
    assert found.because[0].endswith(".")


def test_a_waybill_of_our_account_from_the_customers_town_in_the_window_needs_no_person() -> None:
    """Account, origin, destination and window together are sure; without the account a person looks."""
    found = score(CLUE, WAYBILL)
    assert {reason.rule for reason in found.reasons} == {"account", "origin", "destination", "window"}
    assert sure(rank(CLUE, [WAYBILL]), 0.85, 3) is not None
    stranger = replace(CLUE, number="1Z2")
    assert score(stranger, WAYBILL).value < 0.85
    assert sure(rank(stranger, [WAYBILL]), 0.85, 3) is None


def test_two_that_are_alike_wait_for_a_person() -> None:
    """Two customers of one town with a waybill each: nothing tells them apart, so neither is chosen."""
    twin = replace(WAYBILL, id=3, name="R0000000000", references=("R0000000000",))
    ranked = rank(CLUE, [WAYBILL, twin])
    assert len(ranked) == 2 and sure(ranked, 0.85, 3) is None
    told_apart = replace(CLUE, references=("R7K2M4QX4TB",))
    chosen = sure(rank(told_apart, [WAYBILL, twin]), 0.85, 3)
    assert chosen is not None and chosen.candidate is WAYBILL


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"destination": ELSEWHERE}, "other_destination"),
        ({"first": START - timedelta(days=3)}, "too_early"),
        ({"first": START + timedelta(days=61)}, "too_late"),
        ({"origin": ELSEWHERE}, "other_origin"),
        ({"carrier": "usps"}, "other_carrier"),
        ({"order_number": "B-9"}, "other_order"),
    ],
)
def test_what_contradicts_lowers_the_score(change: dict[str, object], rule: str) -> None:
    """A number that goes elsewhere, moved too early, or names another order is worth less, and it is said why."""
    less = score(replace(CLUE, **change), WAYBILL)  # type: ignore[arg-type]
    assert rule in {reason.rule for reason in less.reasons}
    assert less.value < score(CLUE, WAYBILL).value


def test_a_parcel_that_goes_elsewhere_is_nobodys() -> None:
    """Whatever else fits: not to the warehouse is not home."""
    assert rank(replace(CLUE, destination=ELSEWHERE), [WAYBILL, CASE]) == ()


def test_a_name_is_the_same_however_it_is_written() -> None:
    """Accents, case, order and punctuation do not matter."""
    assert plain_name("Canary, Wilhelmina") == plain_name("WILHELMINA  CANARY")
    assert plain_name("Zoë") == plain_name("zoe")
    assert plain_name(" ") == ""
