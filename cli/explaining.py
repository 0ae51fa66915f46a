"""`homeward explain`: raw carrier payloads in, the service's conclusion out. No database, no network."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from carriers.contract import Payload, Reading, Unreadable
from merchants.terms import Terms, default_for, load, shipped, terms_on
from tracker.explain import explained
from tracker.lifecycle import Purpose, Shipment, Sighting, Telling, fold
from tracker.policy import conclude

CARRIERS = ("ups", "usps")


class Usage(Exception):
    """The command was called wrongly; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Told:
    """Everything the files say of one number."""

    sightings: list[Sighting]
    tellings: list[Telling]


def reading(carrier: str) -> Reading:
    """The pure half of a carrier, by the name of its folder."""
    if carrier not in CARRIERS:
        raise Usage(f"no carrier {carrier!r}; expected one of: {', '.join(CARRIERS)}")
    module: Reading = importlib.import_module(f"carriers.{carrier}.reading")
    return module


def reading_under(carrier: str, file: str) -> Reading:
    """The pure half of a carrier as it would be with this file in place of its `codes.csv`.

    Its modules are imported once more, apart from those in use, and given the other table. Raises Usage.
    """
    reading(carrier)
    within = f"carriers.{carrier}."
    in_use = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(within)}
    try:
        codes: Any = importlib.import_module(f"{within}codes")
        try:
            table = codes.load(Path(file))
        except (OSError, ValueError, KeyError) as error:
            raise Usage(f"{file}: not a code table such as carriers/{carrier}/codes.csv: {error}") from None
        for name in ("TABLE", "TABLES"):
            if hasattr(codes, name):
                setattr(codes, name, table)
        module: Reading = importlib.import_module(f"{within}reading")
        return module
    finally:
        for name in [name for name in sys.modules if name.startswith(within)]:
            del sys.modules[name]
        sys.modules.update(in_use)
        for name, held in in_use.items():  # a package also holds its modules as attributes
            parent, _, leaf = name.rpartition(".")
            setattr(sys.modules[parent], leaf, held)


def terms_for(carrier: str, name: str, now: datetime) -> Terms:
    """The terms by name or by file; without either the carrier's shipped example."""
    if not name:
        return default_for(carrier)
    if name.endswith(".toml"):
        return load(Path(name))
    if name not in shipped():
        raise Usage(f"no terms {name!r}; expected a .toml file or one of: {', '.join(sorted(shipped()))}")
    return terms_on(name, now.date())


def explain(
    carrier: str, files: Sequence[str], *, terms: str = "", purpose: str = "order", now: datetime
) -> dict[str, Any]:
    """The conclusion about each number the files speak of (product.md section 6). Raises Usage and TermsError."""
    if purpose not in list(Purpose):
        raise Usage(f"no purpose {purpose!r}; expected one of: {', '.join(Purpose)}")
    read = reading(carrier)
    judged_by = terms_for(carrier, terms, now)
    numbers: dict[str, Told] = {}
    unread: list[dict[str, str]] = []
    for file in files:
        try:
            body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            enter(read, Payload(carrier, read.source_of(body), body), numbers)
        except OSError as error:
            unread.append({"file": file, "error": f"cannot be opened: {error.strerror}"})
        except Unreadable as error:
            unread.append({"file": file, "error": str(error)})
    home = judged_by.warehouse.address.place
    views = []
    for number, told in sorted(numbers.items()):
        known = Shipment(carrier, number, Purpose(purpose), warehouse=home)
        views.append(to_builtins(explained(conclude(fold(told.sightings, told.tellings, known), judged_by, now))))
    if len(views) == 1:
        return {**views[0], "unread": unread}
    return {"parcels": views, "unread": unread}


def enter(read: Reading, payload: Payload, numbers: dict[str, Told]) -> None:
    """Add what one payload says. Raises Unreadable."""
    readings = read.read(payload)
    for number in readings.numbers:
        numbers.setdefault(number, Told([], []))
    for event in readings.events:
        numbers[event.number].sightings.append(Sighting(event, payload.source, payload.digest))
    for told in readings.told:
        numbers[told.number].tellings.append(Telling(told, payload.digest))


def lines(answer: dict[str, Any]) -> list[str]:
    """The answer for a terminal."""
    out: list[str] = []
    for parcel in answer.get("parcels", [answer] if "number" in answer else []):
        attempts = parcel["attempts"]
        limit = attempts["max"] if attempts["max"] is not None else "no fixed number"
        out += [f"{parcel['carrier'].upper()} {parcel['number']}: {parcel['status']} (leg {parcel['leg']})"]
        out += [f"  {sentence}" for sentence in parcel["because"]]
        out += [f"  attempts: {attempts['count']} of {limit}"]
        out += [f"    {row['because']}" for row in attempts["ledger"]]
        out += [f"  {e['at']}  {e['kind']:<24} {e['code']:<8} {e['words']}" for e in parcel["events"]]
        out.append("")
    out += [f"could not read {item['file']}: {item['error']}" for item in answer["unread"]]
    return out
