"""UPS's words and what each means to us: the table in codes.csv, read once, and nothing else.

A scan code means something only together with its type ("DL" of type X goes home, of type I is loaded for the driver),
and the three-digit status is a number space of its own (049 is not code 49), so those are the keys.
# source: facts/ups.md 4.3 and 5, facts/ups_codes.csv and ups_text_patterns.csv; UPS's tables as of 2026-07

The columns of codes.csv:
- `type`: the letter(s) of the scan (`X`, `D`, `MI:IC` for Mail Innovations...), `status` for the three-digit statuses,
  `text` for patterns over the message in their order, `why` for patterns that name an attempt's reason;
- `generic`: `yes` where the row by itself says too little and a sharper word may decide, `possible` where it is an
  attempt only if the three-digit status proves one (its reason then applies);
- `effect`, `marks`, `kind`, `reason`: the contract's words; `ordinal`: the attempt number stated; `final`: the last.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from carriers.contract import Effect, Kind, Mark, Reason

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    kind: Kind
    reason: Reason | None = None
    ordinal: int | None = None
    final: bool = False
    effect: Effect = Effect.SCAN
    marks: frozenset[Mark] = frozenset()
    generic: bool = False
    possible: bool = False


@dataclass(frozen=True, slots=True)
class Tables:
    """The whole table, by what decides: (type, code), three-digit status, wording."""

    scans: Mapping[tuple[str, str], Row]
    statuses: Mapping[str, Row]
    words: tuple[tuple[re.Pattern[str], Row], ...]
    why: tuple[tuple[re.Pattern[str], Reason], ...]


def parse(lines: Iterable[Mapping[str, str]]) -> Tables:
    """The table from its lines. Raises ValueError for a word we do not have and for a key that stands twice."""
    scans: dict[tuple[str, str], Row] = {}
    statuses: dict[str, Row] = {}
    words: dict[str, Row] = {}
    why: dict[str, Reason] = {}
    for line in lines:
        row, code = _row(line), line["code"]
        match line["type"]:
            case "status":
                _once(statuses, code, row)
            case "text":
                _once(words, code, row)
            case "why":
                _once(why, code, Reason(line["reason"]))
            case scan_type:
                _once(scans, (scan_type, code), row)
    return Tables(
        MappingProxyType(scans),
        MappingProxyType(statuses),
        tuple((re.compile(pattern, re.IGNORECASE), row) for pattern, row in words.items()),
        tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in why.items()),
    )


def _row(line: Mapping[str, str]) -> Row:
    return Row(
        kind=Kind(line["kind"]),
        reason=Reason(line["reason"]) if line["reason"] else None,
        ordinal=int(line["ordinal"]) if line["ordinal"] else None,
        final=line["final"] == "yes",
        effect=Effect(line["effect"]),
        marks=frozenset(Mark(mark) for mark in line["marks"].split()),
        generic=bool(line["generic"]),
        possible=line["generic"] == "possible",
    )


def _once(table: dict[K, V], key: K, value: V) -> None:
    if key in table:
        raise ValueError(f"carriers/ups/codes.csv: {key!r} stands twice")
    table[key] = value


def load(path: Path) -> Tables:
    with path.open(encoding="utf-8", newline="") as file:
        return parse(csv.DictReader(file))


TABLES = load(Path(__file__).with_name("codes.csv"))
