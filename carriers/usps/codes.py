"""What USPS's event codes and words mean to us: a table (`codes.csv`, beside this file) and the order it is asked in.

The table goes by the parcel's journey; an empty code is a row known by its words alone, a text that ends in `*` is a
prefix. `ends_as` is the kind of an event that says two things, where the second ends the parcel: DN is damage, and a
delivery all the same (facts/usps_codes.csv: "also terminal as delivered"). `source` names where a row comes from
(facts/usps.md 4.5, as of 2026-06): V3 a real answer of 2024, README and SPEC2 USPS's own samples, PTR17 PTR19 CAT17
USPS's scan event lists of those years, WT the retired Web Tools list, TXT live wordings, INF inferred, MEM memory, RULE
a rule of facts/usps.md 4.1.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from carriers.contract import Effect, Kind, Mark, Reason


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an event is to us."""

    kind: Kind
    reason: Reason | None = None
    effect: Effect = Effect.SCAN
    marks: frozenset[Mark] = frozenset()
    known: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `text` is normalised, `prefix` says that it only begins the words.

    `documented` is the kind the collected lists give it; its meaning has another one where it also ends the parcel.
    """

    code: str
    text: str
    prefix: bool
    meaning: Meaning
    documented: Kind


# Kept and shown, never a default: it cannot deliver, count or end anything.
UNKNOWN = Meaning(Kind.UNKNOWN, effect=Effect.UPDATE, known=False)
# The last row of the table, which says the same for people who read it.
ANYTHING_ELSE = "any unmapped code or text"


def plain(text: str) -> str:
    """Words for comparing: lower case letters and digits, one space between."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def row(record: dict[str, str]) -> Row:
    """One row from its record in the file; an unknown word in it raises."""
    marks = frozenset(Mark(word) for word in record["marks"].split())
    reason = Reason(record["reason"]) if record["reason"] else None
    documented = Kind(record["kind"])
    kind = Kind(record["ends_as"]) if record["ends_as"] else documented
    meaning = Meaning(kind, reason, Effect(record["effect"]), marks)
    return Row(record["event_code"], plain(record["text"]), record["text"].endswith("*"), meaning, documented)


def begins(words: str, beginning: str) -> bool:
    return words == beginning or words.startswith(beginning + " ")


class Table:
    """The rows, indexed the way they are asked: overriding words, then the code, then words, then prefixes."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows: dict[tuple[str, str, bool], Row] = {}
        self.by_code: dict[str, Meaning] = {}
        self.by_words: dict[str, Meaning] = {}
        self.overrides: dict[str, Meaning] = {}
        self.prefixes: list[Row] = []
        for each in rows:
            self._add(each)
        self.prefixes.sort(key=lambda each: -len(each.text))

    def _add(self, each: Row) -> None:
        key = (each.code, each.text, each.prefix)
        if key in self.rows:
            raise ValueError(f"codes.csv says {key} twice")
        self.rows[key] = each
        if each.text == ANYTHING_ELSE:
            return
        if each.prefix:
            self.prefixes.append(each)
            return
        usual = self.by_code.setdefault(each.code, each.meaning) if each.code else each.meaning
        if each.meaning != usual:
            # One code, another meaning: these words decide, whatever the code.  # source: facts/usps.md 4.5 (1)
            self.overrides[each.text] = each.meaning
        if self.by_words.setdefault(each.text, each.meaning) != each.meaning:
            raise ValueError(f"codes.csv gives two meanings to the words {each.text!r}")

    def meaning(self, code: str, words: str) -> Meaning:
        """What this event is. Code and words come from `trackingEvents` only, never from the status category."""
        said = plain(words)
        if override := self.overrides.get(said) or self._prefixed(code, said, own=True):
            return override
        if by_code := self.by_code.get(code):
            return self._refined(by_code, said)
        return self.by_words.get(said) or self._prefixed("", said) or UNKNOWN

    def _prefixed(self, code: str, said: str, own: bool = False) -> Meaning | None:
        if own and not code:
            return None
        return next((each.meaning for each in self.prefixes if each.code == code and begins(said, each.text)), None)

    def _refined(self, usual: Meaning, said: str) -> Meaning:
        """A code that leaves the reason open takes it from words of the same kind: 02 is the parent of 53 to 56."""
        told = self.by_words.get(said)
        if told and usual.reason is Reason.UNSPECIFIED and told.kind is usual.kind:
            return replace(usual, reason=told.reason)
        return usual


def load(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        return Table(row(record) for record in csv.DictReader(file))


TABLE = load(Path(__file__).with_name("codes.csv"))
