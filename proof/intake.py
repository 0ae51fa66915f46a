"""Kills the service (SIGKILL, a real process) while carriers push: each push that heard 200 is there after the restart.

Pushes come faster than they are read. What heard no 200 is sent again, as a carrier does, and lies there once.
"""

import asyncio
import contextlib
import hashlib
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from cli.demo import Child, _answers, bare_environment, free_port
from cli.wiring import PUSH_SECRET

KILLS = 5
SENDERS = 16


async def run(*, kills: int = 0, seed: int = 0, parcels: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held."""
    dice, folder = random.Random(seed), Path(tempfile.mkdtemp(prefix="homeward-intake-"))
    port = free_port()
    child = Child(["serve", "--port", str(port)], _environment(folder), folder / "service.log")
    sent, acked, waits, downs = 0, set[str](), list[float](), list[float]()
    stop = asyncio.Event()

    async def sender(number: int) -> None:
        nonlocal sent
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20.0) as http:
            count = 0
            while not stop.is_set():
                count += 1
                body = _body(number, count)
                sent += 1
                if await _post(http, body, stop, waits):
                    acked.add(hashlib.sha256(body).hexdigest())

    try:
        await child.start()
        await _answers(f"http://127.0.0.1:{port}/readyz", child)
        watch = asyncio.create_task(child.watch())
        senders = [asyncio.create_task(sender(n)) for n in range(SENDERS)]
        began = time.monotonic()
        for _round in range(kills or KILLS):
            before = len(acked)
            await asyncio.sleep(dice.uniform(0.5, 2.0))
            while len(acked) < before + 50:
                await asyncio.sleep(0.05)
            assert child.process is not None
            down, at = time.monotonic(), len(acked)
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGKILL)
            while len(acked) <= at + SENDERS:
                await asyncio.sleep(0.02)
            downs.append(time.monotonic() - down)
        stop.set()
        await asyncio.gather(*senders)
        seconds = time.monotonic() - began
        child.stopping = True
        assert child.process is not None
        child.process.send_signal(signal.SIGKILL)  # the last one, and nobody tidies up after it
        await child.process.wait()
        await watch
        kept, rows = _kept(folder / "data" / "homeward.db")
        waits.sort()
        return {
            "held": acked <= kept and rows == len(kept),
            "kills": len(downs) + 1,
            "sent": sent,
            "events_acknowledged": len(acked),
            "events_lost": len(acked - kept),
            "rows_doubled": rows - len(kept),
            "per_second": round(len(acked) / seconds),
            "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 1) if waits else 0.0,
            "recovery_seconds": [round(each, 1) for each in downs],
        }
    finally:
        await child.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _post(http: httpx.AsyncClient, body: bytes, stop: asyncio.Event, waits: list[float]) -> bool:
    """Send it until it is acknowledged, as a carrier does. False: it was given up because the rig ends."""
    while True:
        began = time.monotonic()
        with contextlib.suppress(httpx.HTTPError):
            answer = await http.post(
                "/webhooks/ups", content=body, headers={"credential": PUSH_SECRET, "content-type": "application/json"}
            )
            if answer.status_code == 200:
                waits.append(time.monotonic() - began)
                return True
        if stop.is_set():
            return False
        await asyncio.sleep(0.05)


def _body(sender: int, count: int) -> bytes:
    return (
        f'{{"trackingNumber":"1Z5338FF01{sender:03d}{count:05d}","localActivityDate":"20260303",'
        f'"localActivityTime":"120100","gmtActivityDate":"20260303","gmtActivityTime":"110100",'
        f'"activityLocation":{{"city":"Amsterdam","country":"NL"}},'
        f'"activityStatus":{{"type":"I","code":"AR","description":"Arrived at Facility"}}}}'
    ).encode()


def _environment(folder: Path) -> dict[str, str]:
    return bare_environment() | {
        "HOMEWARD_DATA": str(folder / "data"),
        "UPS_BASE_URL": "http://127.0.0.1:9",  # nobody is there: nothing but pushes
        "UPS_CLIENT_ID": "id",
        "UPS_CLIENT_SECRET": "secret",
        "UPS_ACCOUNT": "A1B2C3",
        "UPS_PUSH_SECRETS": PUSH_SECRET,
        "PYTHONUNBUFFERED": "1",
    }


def _kept(path: Path) -> tuple[set[str], int]:
    connection = sqlite3.connect(path)
    rows = [row[0] for row in connection.execute("SELECT digest FROM payloads WHERE source = 'push'")]
    connection.close()
    return set(rows), len(rows)
