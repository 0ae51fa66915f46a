"""Guesses order numbers, e-mails and postcodes from thousands of addresses: nothing is disclosed, ops hear of it.

In-process, through the same look-up that both doors use, so that the guesses are many; a smaller share goes through the
real doors, where unknown, wrong and locked must not be told apart by size, headers or time.
"""

import math
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import bindparam, insert

from alerts.desk import open_alerts, sweep
from api.house import House
from api.kept import Kept
from api.lookups import Question, look_up
from api.manners import Meter
from fleet.clocks import to_us
from merchants.terms import Terms, shipped
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.schema import return_orders, returns
from store.sealing import Sealer
from store.statement import statement
from tests.doors import Doors, make_house, open_doors
from tracker.follow import FollowKind

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
GUESSES = 100_000
ADDRESSES = 10_000
ORDERS = 200
SAMPLES = 1500
_RETURN = statement(
    insert(returns).values(
        id=bindparam("of"), merchant="boutique-eu", number="R1", state="registered", created_us=to_us(START),
        updated_us=to_us(START),
    )
)  # fmt: skip
_RIDES = statement(insert(return_orders).values(return_id=bindparam("of"), order_id=bindparam("of")))
LIMIT = 4.5
"""Welch's t above which two populations count as told apart.  # source: design/faults-and-security.md (e)"""


async def run(*, examples: int = 0, seed: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held."""
    guesses, dice = examples or GUESSES, random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="homeward-abuse-") as folder:
        url = f"sqlite:///{Path(folder) / 'homeward.db'}"
        await migrate(url)
        store = await open_store(url)
        try:
            house = make_house(store, now=START, terms=closed())
            async with open_doors(house) as doors:
                for n in range(ORDERS):
                    await doors.put_order(f"B-{1000 + n}")
                meter = Meter(replace(house, registry=type(house.registry)()).registry)
                disclosed, alarm_after = 0, 0
                for n in range(guesses):
                    found = await look_up(
                        house,
                        _guess(dice),
                        f"198.51.{n % ADDRESSES // 250}.{n % 250}",
                        meter,
                        Kept(house.store, house.clock),
                    )
                    disclosed += found is not None
                    if not alarm_after and house.failures.alarmed:
                        alarm_after = n + 1
                await sweep(store, house.clock.now())
                alerts = [each.rung for each in (await open_alerts(store)).alerts]
                apart = await _told_apart(doors, dice)
                work = await _work(doors)
        finally:
            await store.close()
    worst = max(abs(value) for value in apart["t"].values())
    held = (
        same_work(work)
        and not disclosed
        and "lookups_guessed" in alerts
        and not apart["sizes"]
        and not apart["headers"]
        and worst < LIMIT
    )
    return {
        "held": held,
        "guesses": guesses,
        "addresses": min(guesses, ADDRESSES),
        "disclosed": disclosed,
        "alarm_after_guesses": alarm_after,
        "alert": "lookups_guessed" in alerts,
        "statements_and_hashes": {name: list(counts) for name, counts in work.items()},
        "samples": SAMPLES,
        "sizes_that_differ": apart["sizes"],
        "headers_that_differ": apart["headers"],
        **{f"t_{name}": round(value, 2) for name, value in apart["t"].items()},
    }


def closed() -> dict[str, list[Terms]]:
    """The strict shop: the number alone opens nothing, so every answer at all would be a disclosure."""
    return {
        name: [
            each.model_copy(update={"lookup": each.lookup.model_copy(update={"number_alone": False})})
            for each in versions
        ]
        for name, versions in shipped().items()
    }


def _guess(dice: random.Random) -> Question:
    """A number that exists half of the time, with a proof that is wrong: what an attacker has."""
    number = f"B-{dice.randrange(1000, 1000 + 2 * ORDERS)}"
    if dice.random() < 0.5:
        return Question(FollowKind.ORDER, number, email=f"{dice.randrange(10**9)}@example.com")
    return Question(FollowKind.ORDER, number, postcode=f"{dice.randrange(1000, 10_000)} XY")


async def _told_apart(doors: Doors, dice: random.Random) -> dict[str, Any]:
    """Unknown, wrong and locked through the real door, interleaved: sizes, headers, and Welch's t of the times."""
    house = doors.house
    fresh = replace(
        house, failures=type(house.failures)(_generous()), refused_lookup_seconds=0.0, registry=type(house.registry)()
    )
    asked = {"unknown": "B-9001", "wrong": "B-1001", "wrong_too": "B-1002"}
    times: dict[str, list[float]] = {name: [] for name in asked}
    shapes: dict[str, set[tuple[int, int]]] = {name: set() for name in asked}
    headers: dict[str, set[str]] = {name: set() for name in asked}
    async with open_doors(fresh) as other:
        for _ in range(SAMPLES):
            for name in dice.sample(list(asked), len(asked)):
                body = {"order_number": asked[name], "email": "nobody@example.com"}
                began = time.perf_counter()
                async with other.client.post("/v1/follow/order", json=body) as response:
                    text = await response.text()
                times[name].append(time.perf_counter() - began)
                shapes[name].add((response.status, len(re.sub(r'"request_id": "\w+"', "", text))))
                headers[name].add(_without_volatile(response.headers))
    return {
        "sizes": len(set.union(*shapes.values())) - 1,
        "headers": len(set.union(*headers.values())) - 1,
        "t": {
            "wrong": welch(_middle(times["unknown"]), _middle(times["wrong"])),
            "wrong_too": welch(_middle(times["unknown"]), _middle(times["wrong_too"])),
        },
    }


class _Counted:
    """A store or a sealer that counts what is asked of it."""

    def __init__(self, inner: Any, counts: Counter[str]) -> None:
        self._inner, self._counts = inner, counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def mark(self, text: str) -> str:
        self._counts["hashes"] += 1
        return str(self._inner.mark(text))

    async def read(self, unit: Any) -> Any:
        async def counted(tx: Any) -> Any:
            return await unit(_Counted(tx, self._counts))

        return await self._inner.read(counted)

    async def all(self, statement: Any, **params: Any) -> Any:
        self._counts["statements"] += 1
        return await self._inner.all(statement, **params)

    async def one(self, statement: Any, **params: Any) -> Any:
        self._counts["statements"] += 1
        return await self._inner.one(statement, **params)


async def _work(doors: Doors) -> dict[str, tuple[int, int]]:
    """Statements and hashes of each refusal: unknown, wrong, the number alone, and behind a lock."""
    counts: Counter[str] = Counter()
    store = _Counted(doors.house.store, counts)
    house = replace(
        doors.house,
        store=cast(Store, store),
        sealer=cast(Sealer, _Counted(doors.house.sealer, counts)),
        failures=type(doors.house.failures)(),
        refused_lookup_seconds=0.0,
        registry=type(doors.house.registry)(),
    )
    meter, right = Meter(house.registry), "canary@example.com"
    locked = Question(FollowKind.ORDER, "B-1003", email="x@example.com")
    for _ in range(20):  # until it is locked
        await look_up(house, locked, "198.51.100.1", meter, Kept(house.store, house.clock))
    asked = {
        "unknown": Question(FollowKind.ORDER, "B-9001", email=right),
        "unknown_alone": Question(FollowKind.ORDER, "B-9001"),
        "unknown_postcode": Question(FollowKind.ORDER, "B-9002", postcode="1015 CJ"),
        "wrong": Question(FollowKind.ORDER, "B-1001", email="x@example.com"),
        "wrong_postcode": Question(FollowKind.ORDER, "B-1002", postcode="9999 XX"),
        "known_alone": Question(FollowKind.ORDER, "B-1004"),
        "locked_wrong": locked,
        "locked_right": Question(FollowKind.ORDER, "B-1003", email=right),
    }
    back = {
        "unknown": Question(FollowKind.RETURN, "R9001", email=right),
        "unknown_alone": Question(FollowKind.RETURN, "R9001"),
        "wrong": Question(FollowKind.RETURN, "R1", email="x@example.com"),
        "known_alone": Question(FollowKind.RETURN, "R1"),
    }
    await doors.house.store.write(_a_return)
    return {
        **await _counted(house, meter, asked, counts),
        **{f"return_{name}": found for name, found in (await _counted(house, meter, back, counts)).items()},
    }


async def _counted(
    house: House, meter: Meter, asked: Mapping[str, Question], counts: Counter[str]
) -> dict[str, tuple[int, int]]:
    work = {}
    for n, (name, question) in enumerate(asked.items()):
        counts.clear()
        if await look_up(house, question, f"198.51.101.{n}", meter, Kept(house.store, house.clock)) is not None:
            raise AssertionError(f"{name} was answered")
        work[name] = (counts["statements"], counts["hashes"])
    return work


def same_work(work: Mapping[str, tuple[int, int]]) -> bool:
    """Every refusal of an order costs the same, and every refusal of a return."""
    kinds = [{cost for name, cost in work.items() if name.startswith("return_") is back} for back in (False, True)]
    return all(len(costs) == 1 for costs in kinds)


async def _a_return(tx: Tx) -> None:
    """A return of the first order, as its row."""
    await tx.run(_RETURN, of=1)
    await tx.run(_RIDES, of=1)


def _generous() -> Any:
    from fleet.failures import Limits

    return Limits(per_number=10**9, per_network=10**9, everybody=10**9)


def _without_volatile(headers: Mapping[str, str]) -> str:
    return repr(
        sorted((name, value) for name, value in headers.items() if name not in ("Date", "X-Request-Id", "X-Request-ID"))
    )


def _middle(samples: list[float]) -> list[float]:
    """Without the slowest tenth: what the machine did meanwhile is not what the door says."""
    return sorted(samples)[: len(samples) * 9 // 10]


def welch(one: list[float], other: list[float]) -> float:
    """Welch's t of two samples."""
    spread = math.sqrt(statistics.variance(one) / len(one) + statistics.variance(other) / len(other))
    return (statistics.fmean(one) - statistics.fmean(other)) / spread if spread else 0.0
