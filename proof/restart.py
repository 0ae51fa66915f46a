"""Kills the service (SIGKILL, a real process) again and again while the street plays; then everything must be right.

The promise: nothing that a carrier was answered 200 for, or that the order service was answered 2xx for, is lost; every
conclusion equals the street's record; `order.shipped` and every other notice is said once.
"""

import asyncio
import contextlib
import random
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from cli.demo import CATCH_UP_SECONDS, compare, put_all_on, said_twice, scene, until_quiet

SPEED = 50_000.0
KILLS = 20


async def run(*, kills: int = 0, seed: int = 0, only: str = "", **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held."""
    wanted, dice = kills or KILLS, random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="homeward-restart-"))
    try:
        async with scene(SPEED, folder) as on:
            done = 0

            async def killer() -> None:
                nonlocal done
                while done < wanted:
                    await asyncio.sleep(dice.uniform(0.8, 2.2))
                    process = on.service.process
                    if process and process.returncode is None:
                        with contextlib.suppress(ProcessLookupError):
                            process.send_signal(signal.SIGKILL)
                            done += 1

            hunt = asyncio.create_task(killer())
            staged = await put_all_on(on.stage, only)
            await until_quiet(on)
            await hunt
            rows = await compare(on, staged, seconds=CATCH_UP_SECONDS * 3)
            shipped = Counter(
                notice["data"]["order_number"]
                for notice in on.receiver.heard.values()
                if notice["type"] == "order.shipped"
            )
            orders = {each.order_number for each in staged}
            wrong = [row for row in rows if not row["ok"]]
            twice = said_twice(on.receiver)
            once = all(shipped[number] == 1 for number in orders)
            return {
                "held": not wrong and not twice and once and not on.receiver.forged and not on.receiver.altered,
                "kills": done,
                "starts": on.service.starts,
                "parcels": len(rows),
                "wrong": len(wrong),
                "wrong_rows": [{k: row[k] for k in ("journey", "delivery", "truth", "concluded")} for row in wrong[:3]],
                "orders": len(orders),
                "orders_shipped_once": sum(shipped[number] == 1 for number in orders),
                "notices": len(on.receiver.heard),
                "notices_sent_again": on.receiver.repeated,
                "said_twice": len(twice),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
