"""`python -m bench NAME [--json]`: one path measured against the floor beneath it, both in the same run, as a ratio."""

import argparse
import importlib
import json
import platform
import sys

BENCHES = {
    "read": "20-event answers into readings, both carriers, against json.loads of the same bytes",
    "ledger": "1,000 kept answers of 12 events into rows, against the same rows put in by the raw driver",
    "polls": "one worker asks carriers that answer in 200 ms, against the same calls with answers merely loaded",
    "polling": "staleness under one quota: who is due by value, against round-robin",
    "sweep": "finding what is due among 10,000 to 1,000,000 parcels, against the same among 10,000",
    "lookup": "look-ups over HTTP, from memory, SQLite and PostgreSQL, and the page, against bare handlers",
    "intake": "pushes verified and durably kept, against a handler that only inserts them",
    "start": "`--help` and a ready service, against an interpreter that only starts",
    "memory": "the service's memory while the street is busy, a million parcels registered",
    "fold": "events folded into parcels, against a bare loop over the same events",
}
"""Every bench by name: a module here with `def run() -> dict` whose answer has the two figures and their ratio."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="?", help="a bench, or `all`")
    parser.add_argument("--list", action="store_true", help="list the benches")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--minutes", type=float, help="how long `memory` watches (default 5)")
    asked = parser.parse_args()
    if asked.list or not asked.name:
        for name, what in BENCHES.items():
            print(f"{name:<14} {what}")
        raise SystemExit(0 if asked.list else 2)
    if asked.name != "all" and asked.name not in BENCHES:
        print(f"no bench {asked.name!r}; known: {', '.join(BENCHES)}", file=sys.stderr)
        raise SystemExit(2)
    for name in list(BENCHES) if asked.name == "all" else [asked.name]:
        given = {"minutes": asked.minutes} if name == "memory" and asked.minutes else {}
        measured = importlib.import_module(f"bench.{name}").run(**given)
        result = {"bench": name, "python": platform.python_version(), **measured}
        if asked.json:
            print(json.dumps(result))
        else:
            print(name)
            for key, value in result.items():
                print(f"  {key:<28} {value}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
