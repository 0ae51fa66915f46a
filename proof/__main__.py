"""`python -m proof NAME [--json]`: one rig that tries to break one promise; exits 0 only if the promise held."""

import argparse
import asyncio
import importlib
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

RIGS = {
    "restart": "kill -9 of the service in the middle of a demo: nothing lost, nothing said twice",
    "replicas": "two webs and three workers on PostgreSQL and Redis, killed in turn: all right, nothing twice or stuck",
    "rolling": "every process restarted in turn under traffic, a newer schema added meanwhile: no call fails",
    "intake": "kill -9 of the service while carriers push: every push that heard 200 is there after the restart",
    "power-loss": "the power goes at random moments: every acknowledged commit is on the disk, and the disk is sound",
    "purchase": "kill -9 of the buyer at every point of a purchase: one live paid label or a clean refusal, never two",
    "simulation": "the pure core in virtual time, three faults and more a parcel: nothing lost, doubled or stuck",
    "purchase-simulation": "purchases in virtual time: late arrivals, index lag, crashes; no double survives",
    "one-intercept": "kill -9 while parcels are asked back: one order each, none for a parcel that had moved on",
    "one-intercept-race": "two workers on PostgreSQL race on a third attempt and die: one case, one notice, one order",
    "journeys": "simulated journeys that use every row of both carriers' tables: conclusions equal the street's record",
    "convergence": "any order and repetition of payloads gives the same parcel",
    "egress": "five hundred URLs into our own network: no notice connects to any of it",
    "deliveries": "a receiver down for ten virtual days beside healthy ones: all delivered, nobody slowed",
    "slow-senders": "slow heads, slow bodies, idle sockets, bombs: all cut off while others are served",
    "lookup-abuse": "a hundred thousand guesses from ten thousand addresses: nothing disclosed, ops alarmed",
    "api-fuzz": "requests made from the API's own document, valid and not: no 5xx, every answer as documented",
}
"""Every rig by name: a module here with `async def run(**options) -> dict` whose answer has `held` and its counts."""


ROUND = {
    "restart": {"kills": 8},
    "replicas": {"parcels": 30},
    "intake": {"kills": 3},
    "power-loss": {"kills": 100},
    "purchase": {"kills": 200},
    "simulation": {"parcels": 6_000},
    "purchase-simulation": {"purchases": 20_000},
    "one-intercept": {"kills": 24},
    "one-intercept-race": {"kills": 8},
    "journeys": {"parcels": 4_000},
    "convergence": {"examples": 800},
    "lookup-abuse": {"examples": 20_000},
    "api-fuzz": {"examples": 5},
}
"""With `all`, so much of each in a round, each round with another seed."""
LARGE = {
    "purchase": {"kills": 5_000},
    "simulation": {"parcels": 1_000_000},
    "purchase-simulation": {"purchases": 100_000},
    "journeys": {"parcels": 100_000},
    "convergence": {"examples": 10_000},
    "lookup-abuse": {"examples": 100_000},
}
LARGE_FROM = 120.0  # minutes
"""Whoever has the time gets what the promises name."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("name", nargs="?", help="a rig, or `all`")
    parser.add_argument("--list", action="store_true", help="list the rigs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--minutes", type=float, default=0.0, help="with `all`: rounds until so long is over")
    parser.add_argument("--kills", type=int, default=0, help="how often to kill (0: the rig's own number)")
    parser.add_argument("--examples", type=int, default=0, help="how many examples (0: the rig's own number)")
    parser.add_argument("--purchases", type=int, default=0, help="how many purchases (0: the rig's own number)")
    parser.add_argument("--parcels", type=int, default=0, help="how many parcels (0: the rig's own number)")
    parser.add_argument("--first", type=int, default=0, help="the serial to begin with (a failure names its own)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of what is random")
    parser.add_argument("--beside", default="", help="rolling: the folder of another build, to and from which it goes")
    asked = parser.parse_args()
    if asked.list or not asked.name:
        for name, promise in RIGS.items():
            print(f"{name:<20} {promise}")
        raise SystemExit(0 if asked.list else 2)
    if asked.name != "all" and asked.name not in RIGS:
        print(f"no rig {asked.name!r}; known: {', '.join(RIGS)}", file=sys.stderr)
        raise SystemExit(2)
    names = ("kills", "examples", "purchases", "parcels", "first", "seed", "beside")
    options = {name: getattr(asked, name) for name in names}
    until, held = time.monotonic() + asked.minutes * 60, True
    rigs = list(RIGS) if asked.name == "all" else [asked.name]
    told: list[dict[str, Any]] = []
    while True:
        for name in rigs:
            if len(told) >= len(rigs) and time.monotonic() >= until:
                break  # the first round is done whole, however long it takes
            given = options if asked.name != "all" else options | share_of(name, asked.minutes, options)
            told.append(_run(name, given, asked.json))
            held &= bool(told[-1]["held"])
        options["seed"] += 1
        if time.monotonic() >= until:
            break
    if asked.name == "all":
        print(json.dumps(summed(told)) if asked.json else table(told))
    raise SystemExit(0 if held else 1)


def share_of(name: str, minutes: float, asked: Mapping[str, int]) -> dict[str, int]:
    """How much of a rig belongs to one round of a soak, but for what was asked for."""
    share = ROUND.get(name, {}) | (LARGE.get(name, {}) if minutes >= LARGE_FROM else {})
    return {each: value for each, value in share.items() if not asked[each]}


def _run(name: str, options: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """One rig, its counts printed."""
    began = time.monotonic()
    try:
        result = asyncio.run(importlib.import_module(f"proof.{name.replace('-', '_')}").run(**options))
    except Exception as error:  # a rig that falls over has proved nothing; the others still run
        traceback.print_exc()
        result = {"held": False, "error": f"{type(error).__name__}: {error}"[:300]}
    result = {"proof": name, **result, "seconds": round(time.monotonic() - began, 1)}
    if as_json:
        print(json.dumps(result))
    else:
        print(f"{name}: {'held' if result['held'] else 'BROKEN'}")
        for key, value in result.items():
            print(f"  {key:<24} {value}")
    sys.stdout.flush()
    return result


# ------------------------------------------------------------------------------------------------------------ the table

SUMS = {
    "kills": ("kills",),
    "parcels": ("parcels", "orders", "purchases"),
    "events acknowledged": ("events_acknowledged", "acknowledged"),
    "acknowledged and lost": ("events_lost", "acknowledged_lost", "lost", "wrong"),
    "effects doubled": ("effects_doubled", "said_twice", "doubles", "doubled", "rows_doubled"),
    "stuck": ("stuck",),
}
"""What the table adds up, and what the rigs call it."""


def summed(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all rigs together: how often each ran, what is added up, faults by kind, the slowest and the largest."""
    faults, runs = Counter[str](), Counter[str]()
    for one in told:
        runs[one["proof"]] += 1
        faults.update(one["faults"] if isinstance(one.get("faults"), dict) else {})
    times = [each for one in told for name in ("recovery_seconds", "takeover_seconds") for each in one.get(name, ())]
    return {
        "broken": sorted({one["proof"] for one in told if not one["held"]}),
        "runs": dict(runs),
        **{title: sum(_number(one, names) for one in told) for title, names in SUMS.items()},
        "faults": dict(faults),
        "worst recovery, seconds": max(times, default=0.0),
        "worst memory, MB": max((one.get("worst_memory_mb", 0) for one in told), default=0),
    }


def _number(one: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of these that the rig counts."""
    return next((one[name] for name in names if type(one.get(name)) is int), 0)


def table(told: Sequence[Mapping[str, Any]]) -> str:
    """One row a rig and run, and what they come to."""
    head = ("proof", "held", *SUMS, "seconds")
    rows = [
        (
            one["proof"],
            "yes" if one["held"] else "NO",
            *(str(_number(one, names)) for names in SUMS.values()),
            str(one["seconds"]),
        )
        for one in told
    ]
    all_ = summed(told)
    rows.append(
        (
            "together",
            "NO" if all_["broken"] else "yes",
            *(str(all_[title]) for title in SUMS),
            str(round(sum(one["seconds"] for one in told))),
        )
    )
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]
    faults = ", ".join(f"{count} {kind}" for kind, count in all_["faults"].items()) or "none beside the kills"
    return "\n".join(
        [
            *lines,
            "",
            f"faults: {faults}",
            f"worst recovery {all_['worst recovery, seconds']} s, worst memory {all_['worst memory, MB']} MB",
        ]
    )


if __name__ == "__main__":
    main()
