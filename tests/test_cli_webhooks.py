"""`homeward webhooks`, as a process: list, replay, resume; by itself when no service runs."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store import endpoints as shelf
from store.engine import Tx, open_store
from store.migrate import migrate
from store.outbox import say
from webhooks.outbound import spread

ROOT = Path(__file__).parents[1]
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


async def _prepare(url: str) -> None:
    await migrate(url)
    store = await open_store(url)

    async def unit(tx: Tx) -> None:
        number = await shelf.add_endpoint(tx, url="https://shop.example/", secret=b"x", events=(), at=AT)
        assert number == 1 and await shelf.set_state(tx, number, "disabled")
        for name in "ab":
            await say(tx, subject="parcel:1", name=name, type="parcel.delivered", at=AT, data={})

    await store.write(unit)
    await spread(store, lambda: datetime.now(UTC))
    await store.close()


@pytest.fixture
def homeward(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    asyncio.run(_prepare(f"sqlite:///{tmp_path / 'homeward.db'}"))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HOMEWARD_", "UPS_", "USPS_", "DATABASE_"))}
    env["HOMEWARD_DATA"] = str(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", "webhooks", *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    return run


def test_webhooks_by_hand(homeward: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """What is owed is listed; resumed once; replayed since an instant; wrong calls say what is wrong."""
    (row,) = json.loads(homeward("list", "--json").stdout)["endpoints"]
    assert (row["id"], row["state"], row["owed"]) == (1, "disabled", 2)
    assert "was disabled, now active" in homeward("resume", "1").stdout
    assert "2 notices are sent again" in homeward("replay", "1", "--since", "2026-03-02T08:00:00Z").stdout
    for wrong in (("replay", "9", "--since", "2026-03-02T08:00:00Z"), ("replay", "1"), ("replay", "1", "--since", "x")):
        failed = homeward(*wrong)
        assert failed.returncode and failed.stderr.startswith("homeward: "), wrong
