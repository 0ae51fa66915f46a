"""`python -m proof NAME [--json]`: one rig that tries to break one promise; exits 0 only if the promise held."""

import argparse
import asyncio
import importlib
import json
import sys
import time

RIGS = {
    "restart": "kill -9 of the service in the middle of a demo: nothing lost, nothing said twice",
    "purchase": "kill -9 of the buyer at every point of a purchase: one live paid label or a clean refusal, never two",
    "purchase-simulation": "purchases in virtual time: late arrivals, index lag, crashes; no double survives",
    "journeys": "simulated journeys that use every row of both carriers' tables: conclusions equal the street's record",
    "convergence": "any order and repetition of payloads gives the same parcel",
    "egress": "five hundred URLs into our own network: no notice connects to any of it",
    "deliveries": "a receiver down for ten virtual days beside healthy ones: all delivered, nobody slowed",
    "slow-senders": "slow heads, slow bodies, idle sockets, bombs: all cut off while others are served",
    "lookup-abuse": "a hundred thousand guesses from ten thousand addresses: nothing disclosed, ops alarmed",
    "api-fuzz": "requests made from the API's own document, valid and not: no 5xx, every answer as documented",
}
"""Every rig by name: a module here with `async def run(**options) -> dict` whose answer has `held` and its counts."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("name", nargs="?", help="a rig, or `all`")
    parser.add_argument("--list", action="store_true", help="list the rigs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--minutes", type=float, default=0.0, help="with `all`: go round until so long is over")
    parser.add_argument("--kills", type=int, default=0, help="how often to kill (0: the rig's own number)")
    parser.add_argument("--examples", type=int, default=0, help="how many examples (0: the rig's own number)")
    parser.add_argument("--purchases", type=int, default=0, help="how many purchases (0: the rig's own number)")
    parser.add_argument("--parcels", type=int, default=0, help="how many parcels (0: the rig's own number)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of what is random")
    asked = parser.parse_args()
    if asked.list or not asked.name:
        for name, promise in RIGS.items():
            print(f"{name:<20} {promise}")
        raise SystemExit(0 if asked.list else 2)
    if asked.name != "all" and asked.name not in RIGS:
        print(f"no rig {asked.name!r}; known: {', '.join(RIGS)}", file=sys.stderr)
        raise SystemExit(2)
    options = {name: getattr(asked, name) for name in ("kills", "examples", "purchases", "parcels", "seed")}
    until, held = time.monotonic() + asked.minutes * 60, True
    names = list(RIGS) if asked.name == "all" else [asked.name]
    while True:
        for name in names:
            held &= _run(name, options, asked.json)
        options["seed"] += 1
        if time.monotonic() >= until:
            raise SystemExit(0 if held else 1)


def _run(name: str, options: dict[str, int], as_json: bool) -> bool:
    """One rig, its counts printed; whether the promise held."""
    began = time.monotonic()
    result = asyncio.run(importlib.import_module(f"proof.{name.replace('-', '_')}").run(**options))
    result = {"proof": name, **result, "seconds": round(time.monotonic() - began, 1)}
    if as_json:
        print(json.dumps(result))
    else:
        print(f"{name}: {'held' if result['held'] else 'BROKEN'}")
        for key, value in result.items():
            print(f"  {key:<24} {value}")
    sys.stdout.flush()
    return bool(result["held"])


if __name__ == "__main__":
    main()
