"""`homeward bench`: every path measured against the floor beneath it, as `python -m bench` does."""

import importlib
import sys
from collections.abc import Sequence

# by name and not by import: benches stand on top of the house, commands beneath them


class NoBench(Exception):
    """There is no such bench; the message names those that there are."""


def names() -> dict[str, str]:
    """Every bench with what it measures."""
    found: dict[str, str] = importlib.import_module("bench.__main__").BENCHES
    return found


def measure(name: str, as_json: bool, minutes: float) -> None:
    """Run one bench, or `all`, and print its figures. Raises NoBench."""
    if name != "all" and name not in names():
        raise NoBench(f"no bench {name!r}; known: all, {', '.join(names())}")
    given: Sequence[str] = [name, *(["--json"] if as_json else []), *(["--minutes", str(minutes)] if minutes else [])]
    before, sys.argv = sys.argv, ["homeward bench", *given]
    try:
        importlib.import_module("bench.__main__").main()
    finally:
        sys.argv = before
