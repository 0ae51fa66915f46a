"""Sends what the API's own document allows and forbids: no answer of 5xx, and every answer as documented."""

import asyncio
import re
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from store.engine import open_store
from store.migrate import migrate
from tests.doors import MONDAY, make_house, on_the_street, open_doors

EXAMPLES = 25
# Left out: a body may fit its schema and still be refused (an unknown order, an item twice, the character NUL).
LEFT_OUT = "positive_data_acceptance"


async def run(*, examples: int = 0, seed: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held."""
    friday = MONDAY + timedelta(days=11)
    with tempfile.TemporaryDirectory(prefix="homeward-fuzz-") as folder:
        url = f"sqlite:///{Path(folder) / 'homeward.db'}"
        await migrate(url)
        store = await open_store(url)
        try:
            async with (
                on_the_street(friday) as (town, carriers),
                open_doors(make_house(store, carriers, friday)) as doors,
            ):
                await doors.put_order()
                await doors.ship("B-1001", town.create("ups", "delivered_first_time", starts_at=MONDAY).number)
                process = await asyncio.create_subprocess_exec(
                    Path(sys.executable).parent / "st",
                    "run",
                    str(doors.client.make_url("/openapi.json")),
                    *("--header", f"Authorization: Bearer {doors.key}", "--seed", str(seed)),
                    *("--max-examples", str(examples or EXAMPLES), "--phases", "examples,coverage,fuzzing"),
                    *("--exclude-checks", LEFT_OUT, "--continue-on-failure", "--no-color"),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=folder,
                )
                told = (await process.communicate())[0].decode()
                metrics = (await doors.call("GET", "/metrics"))[1].decode()
        finally:
            await store.close()
    statuses, calls = _counted(metrics)
    server = sum(count for status, count in statuses.items() if status.startswith("5") and status != "503")
    return {
        "held": process.returncode == 0 and server == 0,
        "requests": sum(statuses.values()),
        "addresses": calls,
        "statuses": dict(sorted(statuses.items())),
        "server_errors": server,
        "failures": told[-2000:] if process.returncode else "",
    }


def _counted(metrics: str) -> tuple[Counter[str], int]:
    """Answers by status, and how many addresses gave them."""
    statuses: Counter[str] = Counter()
    routes = set()
    for line in metrics.splitlines():
        if line.startswith("homeward_http_requests_total{"):
            status, route = (re.search(rf'{name}="([^"]*)"', line) for name in ("status", "route"))
            if status and route:
                statuses[status[1]] += int(float(line.rpartition(" ")[2]))
                routes.add(route[1])
    return statuses, len(routes)
