"""The service's memory while the street is busy and a million parcels are registered that do nothing."""

import asyncio
import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.sweep import TOGETHER, register, resident
from cli.demo import Child, scene
from cli.staging import Play, Stage
from store.engine import open_store
from store.migrate import migrate

PARCELS = 1_000_000
NEVER_US = 1_893_456_000_000_000  # 2030: long after the bench
MINUTES = 5.0
SPEED = 20_000.0
EVERY = 5.0  # seconds


def run(minutes: float = MINUTES, parcels: int = PARCELS) -> dict[str, Any]:
    """Megabytes at the start, half-way, at the end and at most. Goal: below 200, and flat."""
    return asyncio.run(_run(minutes, parcels))


async def _run(minutes: float, parcels: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="homeward-memory-"))
    try:
        await _register(folder / "data", parcels)
        async with scene(SPEED, folder) as on:
            playing = asyncio.create_task(_keep_busy(on.stage))
            samples = await _watch(on.service, minutes * 60)
            playing.cancel()
            staged = (await asyncio.gather(playing, return_exceptions=True))[0]
        if isinstance(staged, Exception):
            raise staged
        settled = samples[len(samples) // 4 :]  # the first quarter fills caches
        return {
            "registered": parcels,
            "minutes": minutes,
            "first_mb": samples[0],
            "middle_mb": settled[len(settled) // 2],
            "last_mb": samples[-1],
            "most_mb": max(samples),
            "growth_mb_per_hour": round((settled[-1] - settled[0]) / max(1, len(settled) - 1) * 3600 / EVERY, 1),
            "starts": on.service.starts,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _register(data: Path, parcels: int) -> None:
    """So many parcels that nothing is due of."""
    data.mkdir()
    url = f"sqlite:///{data / 'homeward.db'}"
    await migrate(url)
    store = await open_store(url)
    for first in range(0, parcels, TOGETHER):
        await register(store, range(first, first + TOGETHER), lambda _: NEVER_US)
    await store.close()


async def _keep_busy(stage: Stage) -> None:
    """One journey after the other, of both carriers, for as long as it is let."""
    plays = [play for play in await stage.programme(("plain",)) if play.purpose == "order"]
    for count, play in enumerate(itertools.cycle(plays)):
        await stage.put_on(Play(play.carrier, play.journey, play.purpose, "plain"), f"M-{count}")


async def _watch(service: Child, seconds: float) -> list[float]:
    samples, until = list[float](), time.monotonic() + seconds
    while time.monotonic() < until:
        assert service.process is not None
        if found := resident(service.process.pid):
            samples.append(found)
        await asyncio.sleep(EVERY)
    if not samples:
        raise AssertionError("this system does not tell a process's memory")
    return samples
