"""One worker polls: parcels a second, and what a parcel costs of the processor, all in, with real calls and SQLite.

The carriers answer from a process of their own, each time after 200 ms (bench/answering.py); no budget. Measured
are `new` (every parcel is asked about for the first time and brings eight events), `moved` (every third parcel has one
event more: what a poll finds day by day) and `still` (nothing is new). The floor is the same calls through the same
client, with the answers merely loaded: what is left of the ratio is what keeping, reading, folding and judging cost.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import carriers.ups.reading
import carriers.usps.reading
from bench import answering
from carriers.contract import Carrier
from carriers.door import Unlimited, client
from carriers.ups import connect as ups
from carriers.usps import connect as usps
from cli.settling import settle_down
from fleet.clocks import Clock, to_us
from merchants.terms import shipped
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.parcels import register_parcel
from tracker.ledger import Ledger
from tracker.polling import AT_ONCE, Poller

PARCELS = {"ups": 1_000, "usps": 4_200}
ROUNDS = ("new", "moved", "moved", "moved", "moved", "moved", "still")
APART = timedelta(hours=13)  # story time between rounds: then everything is due again
START = answering.START + timedelta(days=3)
READINGS = {"ups": carriers.ups.reading, "usps": carriers.usps.reading}
NUMBERS = {"ups": answering.ups_number, "usps": answering.usps_number}
SHOPS = {"ups": "boutique-eu", "usps": "boutique-us"}


@contextmanager
def _carriers_apart() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.answering"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def _opened(base: str) -> dict[str, Carrier]:
    given = {
        "UPS_BASE_URL": f"{base}/ups", "UPS_CLIENT_ID": "c", "UPS_CLIENT_SECRET": "s", "UPS_ACCOUNT": "W95789",
        "USPS_BASE_URL": f"{base}/usps", "USPS_CLIENT_ID": "c", "USPS_CLIENT_SECRET": "s",
    }  # fmt: skip
    return {
        "ups": ups.connect(ups.Settings.from_env(given), budget=Unlimited()),
        "usps": usps.connect(usps.Settings.from_env(given), budget=Unlimited()),
    }


async def _register(store: Store, name: str) -> None:
    async def unit(tx: Tx) -> None:
        for index in range(PARCELS[name]):
            await register_parcel(
                tx, merchant=SHOPS[name], carrier=name, number=NUMBERS[name](index), purpose="order", shipment="{}",
                now_us=to_us(START),
            )  # fmt: skip

    await store.write(unit)


async def _floor(carrier: Carrier, name: str) -> None:
    """The same calls, as many at once, and the answers loaded."""
    numbers, turn = [NUMBERS[name](index) for index in range(PARCELS[name])], asyncio.Semaphore(AT_ONCE)

    async def one(batch: list[str]) -> None:
        async with turn:
            for payload in await carrier.track(batch):
                json.loads(payload.body)

    size = carrier.abilities.batch
    await asyncio.gather(*(one(numbers[first : first + size]) for first in range(0, len(numbers), size)))


async def _timed(work: Callable[[], Awaitable[object]], parcels: int) -> dict[str, float]:
    began, cpu = time.perf_counter(), time.process_time()
    await work()
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    return {"parcels_per_second": round(parcels / seconds, 1), "cpu_ms": round(spent / parcels * 1e3, 4)}


async def _measured(name: str, base: str, folder: Path) -> dict[str, Any]:
    url = f"sqlite:///{folder / name}.db"
    await migrate(url)
    store, carrier = await open_store(url), _opened(base)[name]
    await _register(store, name)
    ledger = Ledger(store, READINGS, shipped())
    parcels, result = PARCELS[name], dict[str, Any]()
    await _floor(carrier, name)  # connections open, everything warm
    result["floor"] = await _timed(lambda: _floor(carrier, name), parcels)
    found: dict[str, list[dict[str, float]]] = {}
    async with client(base) as http:
        for turn, what in enumerate(ROUNDS):
            poller = Poller(store, ledger, Clock(START + turn * APART, 1.0, time.time()))

            async def swept(poller: Poller = poller) -> None:
                asked = 0
                while count := await poller.sweep(carrier):
                    asked += count
                assert asked == parcels, f"{name}: {asked} of {parcels} asked about"

            if what == "moved":
                await http.post("/next")
            found.setdefault(what, []).append(await _timed(swept, parcels))
    for what, rounds in found.items():
        result[what] = sorted(rounds, key=lambda each: each["cpu_ms"])[len(rounds) // 2]
    result["cpu_times_the_floor"] = round(result["moved"]["cpu_ms"] / result["floor"]["cpu_ms"], 2)
    result["ratio"] = round(result["moved"]["parcels_per_second"] / result["floor"]["parcels_per_second"], 3)
    await carrier.aclose()
    await store.close()
    return result


async def _run() -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="homeward-polls-"))
    settle_down()
    try:
        with _carriers_apart() as base:
            return {name: await _measured(name, base, folder) for name in PARCELS}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run() -> dict[str, Any]:
    """By carrier: the floor and the three rounds, parcels a second and milliseconds of the processor for each."""
    return {"at_once": AT_ONCE, "latency_ms": round(answering.LATENCY * 1e3)} | asyncio.run(_run())
