"""Whatever the document allows or forbids is sent to the doors: no 5xx, and every answer is as documented."""

import asyncio
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from store.engine import Store
from tests.doors import MONDAY, make_house, on_the_street, open_doors

EXAMPLES = 10
# Left out: a body may fit its schema and still be refused (an unknown order, an item twice, the character NUL).
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.slow
async def test_no_request_breaks_the_doors(sqlite_store: Store, tmp_path: Path) -> None:
    """Over a thousand requests by schemathesis, valid and invalid, with a key that may do everything."""
    program = Path(sys.executable).parent / "st"
    if not program.exists() and not shutil.which("st"):
        pytest.skip("FUZZ SKIPPED: schemathesis is not installed")
    friday = MONDAY + timedelta(days=11)
    async with (
        on_the_street(friday) as (town, carriers),
        open_doors(make_house(sqlite_store, carriers, friday)) as doors,
    ):
        await doors.put_order()
        await doors.ship("B-1001", town.create("ups", "delivered_first_time", starts_at=MONDAY).number)
        process = await asyncio.create_subprocess_exec(
            program,
            "run",
            str(doors.client.make_url("/openapi.json")),
            *("--header", f"Authorization: Bearer {doors.key}"),
            *("--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing", "--seed", "7"),
            *("--exclude-checks", LEFT_OUT, "--continue-on-failure", "--no-color"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()[-6000:]
        metrics = (await doors.call("GET", "/metrics"))[1].decode()
    counted = [line for line in metrics.splitlines() if line.startswith("homeward_http_requests_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) > 1000
    assert not [line for line in counted if 'status="5' in line]
