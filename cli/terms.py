"""`homeward terms check`, `diff` and `simulate`: what is wrong, what differs, what the kept history would become."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.explaining import CARRIERS, Usage, reading, reading_under
from cli.settings import Settings
from cli.wiring import read_terms
from merchants.terms import Terms, TermsError, load, load_all, shipped, without_calendar
from store.engine import open_store
from tracker.ledger import Ledger
from tracker.whatif import Trial, simulate


def checked(folder: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Of each file, or of each shop of the service: what it is, and `faults`, key by key."""
    if files:
        return [_checked_file(path) for path in files]
    try:
        shelf = load_all(folder)
    except TermsError as error:
        return [{"terms": str(folder), "versions": [], "faults": str(error).splitlines()}]
    return [
        {
            "terms": name,
            "versions": [terms.version for terms in versions],
            "faults": [f"{name}: {fault}" for terms in versions for fault in without_calendar(terms)],
        }
        for name, versions in shelf.items()
    ]


def _checked_file(path: Path) -> dict[str, Any]:
    try:
        terms = load(path)
    except TermsError as error:
        return {"terms": str(path), "versions": [], "faults": str(error).splitlines()}
    return {
        "terms": str(path),
        "versions": [terms.version],
        "says": f"{terms.name} {terms.version}, in force from {terms.effective_from}",
        "faults": [f"{path.name}: {fault}" for fault in without_calendar(terms)],
    }


def terms_named(settings: Settings, name: str) -> Terms:
    """Terms by file or by name (the newest version). Raises Usage and TermsError."""
    if name.endswith(".toml"):
        return load(Path(name))
    shelf = {**shipped(), **read_terms(settings)}
    if name not in shelf:
        raise Usage(f"no terms {name!r}; expected a .toml file or one of: {', '.join(sorted(shelf))}")
    return shelf[name][-1]


def diff(one: Terms, other: Terms) -> list[dict[str, Any]]:
    """Every term that differs, by its dotted key."""
    before, after = (dict(_flat(each.model_dump(mode="json", by_alias=True))) for each in (one, other))
    keys = sorted(before.keys() | after.keys())
    return [{"key": k, "was": before.get(k), "is": after.get(k)} for k in keys if before.get(k) != after.get(k)]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for n, inner in enumerate(value):
            yield from _flat(inner, f"{key}[{n}]")
    else:
        yield key, value


async def what_if(settings: Settings, file: str, codes: str, since: str, as_json: bool) -> dict[str, Any]:
    """The parcels whose outcome would change under new terms or a new code table (`CARRIER=FILE.csv`).

    Reads only, beside a running service.
    """
    trial = _trial(file, codes)
    try:
        start = datetime.fromisoformat(since) if since else datetime(1970, 1, 1, tzinfo=UTC)
    except ValueError:
        raise Usage(f"--since: expected a day or an instant such as 2026-03-01, found {since!r}") from None
    start = start.replace(tzinfo=start.tzinfo or UTC)
    store = await open_store(settings.database, lock=False)
    try:
        ledger = Ledger(store, {name: reading(name) for name in CARRIERS}, read_terms(settings))
        with _bar(as_json) as report:
            found = await simulate(ledger, trial, start, settings.story.now(), report)
    finally:
        await store.close()
    return {
        "terms": f"{trial.terms.name} {trial.terms.version}" if trial.terms else None,
        "codes": codes or None,
        "from_sightings": found.from_sightings,
        "parcels": found.parcels,
        "events": found.events,
        "changed": len(found.changes),
        "changes": [asdict(change) for change in found.changes],
    }


def _trial(file: str, codes: str) -> Trial:
    """What is tried out. Raises Usage and TermsError."""
    if not (file or codes):
        raise Usage("new terms (a .toml file), --codes CARRIER=FILE.csv, or both are expected")
    carrier, _, table = codes.partition("=")
    if codes and not (carrier and table):
        raise Usage(f"--codes: expected CARRIER=FILE.csv, found {codes!r}")
    readings = {carrier: reading_under(carrier, table)} if codes else {}
    return Trial(load(Path(file)) if file else None, readings)


@contextmanager
def _bar(as_json: bool) -> Iterator[Any]:
    """A progress bar on a terminal; nothing for machines."""
    if as_json or not sys.stderr.isatty():

        async def quiet(parcels: int, events: int, total: int) -> None:
            return None

        yield quiet
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("concluding", total=None)

        async def show(parcels: int, events: int, total: int) -> None:
            bar.update(task, completed=parcels, total=total, description=f"{events} events concluded twice")

        yield show
