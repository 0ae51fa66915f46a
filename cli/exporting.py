"""`homeward export KIND`: orders, parcels, attempts, returns, money, notices, as JSON lines or CSV; of nobody."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from cli.wiring import Parts
from fleet.clocks import from_us, text
from store.exporting import KINDS, export_page

ROWS = 500
ATTEMPTS = "attempts"
EXPORTS = (*KINDS, ATTEMPTS)
_LEDGER = ("ordinal", "day", "reason", "counted", "off_calendar", "inferred", "rule", "because")

Line = dict[str, Any]


async def export_call(parts: Parts, call: Mapping[str, Any]) -> dict[str, Any]:
    """One page of an export: its rows, and after which row the next one begins (null: there is none)."""
    match call:
        case {"do": "export.page", "kind": str(kind), "after": int(after)} if kind in EXPORTS:
            table = "parcels" if kind == ATTEMPTS else kind
            rows = await parts.store.read(lambda tx: export_page(tx, table, after, ROWS))
            lines = [line for row in rows for line in _lines(kind, dict(row))]
            return {"rows": lines, "next": rows[-1]["id"] if len(rows) == ROWS else None, "lines": []}
        case _:
            return {"error": f"no such export; known: {', '.join(EXPORTS)}"}


def _lines(kind: str, row: Line) -> Iterator[Line]:
    """A row as it is written: instants as text, of a conclusion its figures."""
    conclusion = json.loads(row.pop("conclusion", None) or "{}")
    if kind == "notices":
        row["data"] = json.loads(row["data"])
    line = {_named(name): _told(name, value) for name, value in row.items() if name != "id"}
    attempts = conclusion.get("attempts") or {}
    if kind == ATTEMPTS:
        about = {name: line[name] for name in ("merchant", "carrier", "number")}
        yield from ({**about, **{name: each.get(name) for name in _LEDGER}} for each in attempts.get("ledger") or ())
        return
    if kind == "parcels":
        case = conclusion.get("return_to_warehouse") or {}
        line |= {"attempts": attempts.get("count", 0), "attempts_final": bool(attempts.get("final"))}
        line |= {name: conclusion.get(name) for name in ("estimated_delivery", "delivered_at", "returned_at")}
        line |= {"case_state": case.get("state"), "case_reason": case.get("reason")}
    yield line


def _named(column: str) -> str:
    return (
        column.removesuffix("_us") + "_at"
        if column.endswith("_us") and column != "at_us"
        else column.removesuffix("_us")
    )


def _told(column: str, value: Any) -> Any:
    return text(from_us(value)) if column.endswith("_us") and value is not None else value


def write(ask: Callable[[int], dict[str, Any]], out: Path | None, as_csv: bool, said: Callable[[int], None]) -> int:
    """Write page after page as `ask` brings them; how many lines. `said` hears how far it is."""
    count = 0
    with _opened(out) as file:
        after: int | None = 0
        writer: csv.DictWriter[str] | None = None
        while after is not None:
            page = ask(after)
            for row in page["rows"]:
                if not as_csv:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    continue
                if writer is None:
                    writer = csv.DictWriter(file, list(row))
                    writer.writeheader()
                writer.writerow({name: _cell(value) for name, value in row.items()})
            count, after = count + len(page["rows"]), page["next"]
            said(count)
    return count


def _cell(value: Any) -> Any:
    """A value as a spreadsheet takes it: text that would be a formula there is quoted."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8", newline="") as file:
        yield file
