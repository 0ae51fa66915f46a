"""USPS tracking numbers: every form, the routing prefix, the check digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.contract import Recognised
from carriers.usps.numbers import BAD_CHECK, mod10, recognise

# source: facts/usps.md 7: all computed valid there
SOUND = {
    "9400111206206406260787": "9400111206206406260787",
    "9405803699300124287899": "9405803699300124287899",
    "9434611206206406227577": "9434611206206406227577",
    "9400109104250532908587": "9400109104250532908587",
    "9205590006662202169556": "9205590006662202169556",
    "9361289878700317633795": "9361289878700317633795",
    "9261292700768711948021": "9261292700768711948021",
    "9505511069605048600624": "9505511069605048600624",
    "92748931507708513018050063": "92748931507708513018050063",
    "92001903060085300042901077": "92001903060085300042901077",
    "420787459400111206206406260787": "9400111206206406260787",
    "4201002334249200190132607600833457": "9200190132607600833457",
    "4201028200009261290113185417468510": "9261290113185417468510",
    "420 22153 9101026837331000039521": "9101026837331000039521",
    "03071790000523483741": "03071790000523483741",
    "71969010756003077385": "71969010756003077385",
    "rb123456785us": "RB123456785US",
    "RB 123 456 785 GB": "RB123456785GB",
    "9400-1112-0620-6406-2607-87": "9400111206206406260787",
    "https://tools.usps.com/go/TrackConfirmAction?tLabels=9400111206206406260787": "9400111206206406260787",
}
UNSOUND = {
    "9434611206206407667131": "9434611206206407667131",
    "9101123456789000000014": "9101123456789000000014",
    "9200000000000000000000": "9200000000000000000000",
    "RB123456786US": "RB123456786US",
    "EA123456795US": "EA123456795US",
    "4201028200009261290113185417468511": "9261290113185417468511",
}
NONE = [
    "",
    "hello",
    "1Z5338FF0107231059",
    "9400",
    "94001112062064062607871",
    "420",
    "４２０７８７４５",
    "9" * 40,
    "03071790000523483742",
]


@pytest.mark.parametrize(("text", "number"), SOUND.items())
def test_a_number_in_any_form_is_recognised(text: str, number: str) -> None:
    """As USPS writes it, without spaces, dashes and routing."""
    assert recognise(text) == Recognised(number)


@pytest.mark.parametrize(("text", "number"), UNSOUND.items())
def test_a_bad_check_digit_is_a_warning(text: str, number: str) -> None:
    """It can be USPS's, and is probably mistyped."""
    assert recognise(text) == Recognised(number, BAD_CHECK)


@pytest.mark.parametrize("text", NONE)
def test_what_cannot_be_a_number_is_none(text: str) -> None:
    """Other carriers' numbers, lengths that do not exist, digits of another alphabet."""
    assert recognise(text) is None


@given(st.from_regex(r"9[2345][0-9]{19}", fullmatch=True), st.integers(1, 9))
def test_one_wrong_digit_is_always_seen(body: str, shift: int) -> None:
    """The check digit of MOD 10 finds every single wrong digit at the end."""
    sound = next(body + str(digit) for digit in range(10) if mod10(body + str(digit)))
    wrong = body + str((int(sound[-1]) + shift) % 10)
    assert recognise(sound) == Recognised(sound) and recognise(wrong) == Recognised(wrong, BAD_CHECK)


@given(st.from_regex(r"9[2345][0-9]{19}", fullmatch=True), st.from_regex(r"[0-9]{5}|[0-9]{9}", fullmatch=True))
def test_routing_is_taken_off_whatever_the_zip(body: str, zip_code: str) -> None:
    """420 with a ZIP of five or nine digits: the 22 digits behind it come out."""
    sound = next(body + str(digit) for digit in range(10) if mod10(body + str(digit)))
    assert recognise(f"420{zip_code}{sound}") == Recognised(sound)


def test_of_two_readings_behind_a_zip_the_sound_one_is_taken() -> None:
    """34 digits are 3 + 9 + 22 or 3 + 5 + 26; both can look like a number, one carries its check digit."""
    body = "9200" + "9400111206206406260" + "12"
    sound = next(body + str(digit) for digit in range(10) if mod10(body + str(digit)))
    assert len(sound) == 26 and not mod10(sound[4:])
    assert recognise(f"42089431{sound}") == Recognised(sound)
