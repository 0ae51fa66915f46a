"""What a UPS status means: which of its words decides, the row for (type, code), the three digits, or the wording.

Never the type letter: type D holds wrong addresses, refusals and parcels that came home.
# source: design/product.md 2 "Which words decide"; facts/ups.md 4.3, 5.1, 5.2
"""

from dataclasses import dataclass
from functools import lru_cache

from carriers.contract import Effect, Kind, Mark, Reason
from carriers.ups.codes import TABLES, Row

ATTEMPT = Kind.ATTEMPT_FAILED
ATTEMPT_REASONS = frozenset(
    {
        Reason.RECIPIENT_ABSENT, Reason.BUSINESS_CLOSED, Reason.NO_ACCESS, Reason.NO_SECURE_LOCATION,
        Reason.SIGNATURE_OR_ID_MISSING, Reason.PAYMENT_DUE, Reason.UNSPECIFIED,
    }
)  # fmt: skip
# Kinds of a three-digit status that are sharper than a row which says too little by itself.
SHARP = frozenset(Kind) - {
    Kind.UNKNOWN, Kind.EXCEPTION, Kind.LABEL_CREATED, Kind.IN_TRANSIT, Kind.OUT_FOR_DELIVERY, Kind.CUSTOMS,
    Kind.FORWARDED,
}  # fmt: skip
# The statuses that prove a visit where the scan code alone does not.  # source: facts/ups.md 5.2
PROVES_A_VISIT = frozenset({"022", "023", "024", "060", "061", "062", "145"})
# Mail Innovations tables are named after the information source.  # source: facts/ups.md "CSV notes"
MAIL_INNOVATIONS = frozenset({"IC", "VT", "H6", "A4"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """A status in our words, with its code as one text and its three digits."""

    code: str
    digits: str
    kind: Kind
    reason: Reason | None
    ordinal: int | None
    final: bool
    effect: Effect
    marks: frozenset[Mark]
    known: bool


@lru_cache(maxsize=8192)
def meaning(scan_type: str | None, scan_code: str | None, status: str | None, words: str | None) -> Meaning:
    """What UPS says with this type, code, three-digit status and wording; each may be missing."""
    kind_of_scan = (scan_type or "").strip().upper()
    code = (scan_code or "").strip().upper()
    digits = status_digits(status)
    if not digits and len(code) == 3 and code.isdecimal():  # source: facts/ups.md 4.1, seen in `currentStatus`
        digits = code
    code = code.zfill(2) if code.isdecimal() else code
    row = TABLES.scans.get((f"MI:{kind_of_scan}" if kind_of_scan in MAIL_INNOVATIONS else kind_of_scan, code))
    said = TABLES.statuses.get(digits)
    text = worded(words or "")
    decides = _decider(row, said, digits, text)
    kind = decides.kind if decides else Kind.UNKNOWN
    voices = tuple(one for one in (row, said, text) if one)
    same = [one for one in voices if one.kind is kind]
    failed = kind is ATTEMPT
    return Meaning(
        code=f"{kind_of_scan}/{code}" if kind_of_scan and code else code,
        digits=digits,
        kind=kind,
        reason=_attempt_reason(voices, words or "") if failed else _reason(decides, same),
        # The highest ordinal that any of the three states; final if any says so.
        ordinal=max((one.ordinal for one in same if one.ordinal), default=None),
        final=any(one.final for one in same),
        # An update only moves dates or brings a photo, whatever it is called.  # source: facts/ups.md 6.2
        effect=Effect.UPDATE if kind_of_scan == "U" else decides.effect if decides else Effect.SCAN,
        marks=frozenset().union(*(one.marks for one in same)),
        known=decides is not None or row is not None or (not code and said is not None),
    )


def status_digits(status: str | None) -> str:
    """The three digits of a status, padded; empty where it is none.  # source: facts/ups.md 4.3 "Pad" """
    text = (status or "").strip()
    return text.zfill(3) if text.isdecimal() and len(text) <= 3 else ""


def worded(words: str) -> Row | None:
    """The first text pattern that the words match."""
    return next((row for pattern, row in TABLES.words if pattern.search(words)), None) if words else None


def _decider(row: Row | None, said: Row | None, digits: str, text: Row | None) -> Row | None:
    if row and not row.generic:
        return row
    silent = row is None or row.kind is Kind.UNKNOWN
    if said and not said.generic and (silent or _sharper(row, said, digits)):
        return said
    if row and not silent:
        return row
    if text:
        return text
    return said if said and said.kind is not Kind.UNKNOWN else None


def _sharper(row: Row | None, said: Row, digits: str) -> bool:
    """Whether the three digits overrule a row that says too little by itself."""
    if row and row.possible and said.kind is ATTEMPT:
        return digits in PROVES_A_VISIT
    return said.kind in SHARP


def _attempt_reason(voices: tuple[Row, ...], words: str) -> Reason:
    """The first reason that says more than "it failed", else what the words say."""
    for one in voices:
        if one.reason in ATTEMPT_REASONS and one.reason is not Reason.UNSPECIFIED:
            return one.reason
    return next((reason for pattern, reason in TABLES.why if pattern.search(words)), Reason.UNSPECIFIED)


def _reason(decides: Row | None, same: list[Row]) -> Reason | None:
    """The deciding row's reason, else another voice's for the same kind; a door's reason needs a failed attempt."""
    voices = (decides, *same) if decides else ()
    return next((one.reason for one in voices if one.reason and one.reason not in ATTEMPT_REASONS), None)
