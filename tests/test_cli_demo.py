"""The whole service as processes: the demo, kill -9 in its middle, the two halves on PostgreSQL, one writer."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli import serving
from cli.demo import free_port
from cli.settings import Misconfigured, Settings
from street.app import open_street
from street.clock import StoryClock
from street.town import Town

ROOT = Path(__file__).parent.parent
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("UPS_", "USPS_", "HOMEWARD_", "DATABASE_"))}


@contextmanager
def homeward(*arguments: str, log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A homeward process of this test's own."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments], cwd=ROOT, env=CLEAN | env, stdout=out, stderr=out
        )
    try:
        yield process
    except BaseException:
        print(f"{' '.join(arguments)}: code {process.poll()}, its log ends\n{log.read_text()[-3000:]}")
        raise
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer of `what`, asked again until then."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except (httpx.HTTPError, OSError):
            pass
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_demo_ends_with_every_conclusion_right() -> None:
    """`homeward demo --json`: every journey in every delivery at both carriers equals the street's record; exit 0."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "demo", "--json"], cwd=ROOT, env=CLEAN, capture_output=True, timeout=240
    )
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-2000:])
    result = json.loads(done.stdout)
    assert result["right"] == result["parcels"] >= 140
    assert {row["delivery"] for row in result["rows"]} >= {"plain", "doubled", "reordered", "late"}
    assert result["said_twice"] == []
    pages = result["pages"]
    assert pages["wrong"] == [] and pages["right"] == pages["opened"] >= 60 and pages["states"] >= 7


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_lost_or_said_twice() -> None:
    """The restart rig with a few kills: every conclusion right, every order.shipped once."""
    done = subprocess.run(
        [sys.executable, "-m", "proof", "restart", "--kills", "5", "--json"],
        cwd=ROOT, env=CLEAN, capture_output=True, timeout=280,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, result
    assert result["kills"] == 5 and result["starts"] >= 5


@pytest.mark.slow
@pytest.mark.postgres
async def test_web_and_work_are_the_two_halves_on_one_postgresql(postgres_url: str, tmp_path: Path) -> None:
    """An order that `web` registers is followed by `work`: the two share nothing but the database."""
    await asyncio.to_thread(_two_halves, postgres_url, tmp_path)


def _two_halves(url: str, folder: Path) -> None:
    port, street = free_port(), free_port()
    clock = f"2026-03-02T06:00:00Z@50000@{time.time()}"
    env = {
        "DATABASE_URL": url,
        "HOMEWARD_DATA": str(folder / "data"),
        "HOMEWARD_STREET_URL": f"http://127.0.0.1:{street}",
        "HOMEWARD_CLOCK": clock,
        "HOMEWARD_BUDGET": "off",
    }
    log = folder / "web.log"
    with (
        homeward("sandbox", "--port", str(street), "--clock", clock, log=folder / "street.log"),
        homeward("web", "--port", str(port), log=log, **env),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        until(lambda: http.get("/readyz").status_code == 200)
        key = until(lambda: next((w for w in log.read_text().split() if w.startswith("hw_live_")), ""))
        http.headers["Authorization"] = f"Bearer {key}"
        with homeward("work", log=folder / "work.log", **env):
            asked = {"carrier": "ups", "journey": "three_attempts_home"}
            number = until(lambda: httpx.post(f"http://127.0.0.1:{street}/street/parcels", json=asked).json()["number"])
            order = {
                "placed_at": "2026-03-02T06:00:00Z",
                "ship_to": {
                    "name": "Ann Example", "lines": ["Damrak 1"], "city": "Amsterdam", "postal_code": "1012LG",
                    "country": "NL",
                },
                "email": "ann@example.com",
                "currency": "EUR",
                "items": [{"sku": "A", "quantity": 1, "price": "10.00"}],
            }  # fmt: skip
            assert http.put("/v1/orders/boutique-eu/A-1", json=order).status_code == 201
            shipped = {"carrier": "ups", "tracking_number": number}
            assert http.post("/v1/orders/boutique-eu/A-1/parcels", json=shipped).status_code == 201

            def home() -> bool:
                parcel = http.get(f"/v1/parcels/ups/{number}").json()
                return (parcel["leg"], parcel["status"]) == ("back", "delivered")

            until(home, 90)


async def test_a_street_that_opens_after_us_is_waited_for(tmp_path: Path) -> None:
    """Both are started together, and on a busy machine the street is the slower one."""
    port = free_port()
    settings = Settings(data=tmp_path)
    pointing = asyncio.create_task(serving._point_street(f"http://127.0.0.1:{port}", settings))
    await asyncio.sleep(0.5)
    assert not pointing.done()
    town = Town(StoryClock.parse(settings.clock))
    async with open_street(town, port):
        await pointing
    assert town.settings.ups_webhook_url == f"{settings.url}/webhooks/ups"


async def test_no_street_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STREET_SECONDS", 0.2)
    with pytest.raises(Misconfigured, match=r"HOMEWARD_STREET_URL=.*start one with homeward sandbox"):
        await serving._point_street(f"http://127.0.0.1:{free_port()}", Settings(data=tmp_path))


def test_a_half_alone_on_sqlite_says_what_to_do(tmp_path: Path) -> None:
    """SQLite has one writer: `web` and `work` ask for PostgreSQL, a second `serve` names the lock."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "work", "--data", str(tmp_path)],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1 and b"DATABASE_URL=postgresql" in done.stderr


def test_terms_that_name_no_calendar_of_holidays_are_not_worked_by(tmp_path: Path) -> None:
    """The service ends and says which term is wrong, before a parcel is judged by it."""
    shops = tmp_path / "shops"
    shops.mkdir()
    for shop in (ROOT / "merchants").glob("*.toml"):
        (shops / shop.name).write_text(shop.read_text().replace('holidays = "US"', 'holidays = "XX"'))
    settings = {"HOMEWARD_MERCHANTS": str(shops), "HOMEWARD_PORT": str(free_port())}
    command = [sys.executable, "-m", "cli", "serve", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, cwd=ROOT, env=CLEAN | settings, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"boutique-us" in done.stderr and b"promise.holidays: no calendar of holidays for 'XX'" in done.stderr


def test_keys_are_made_and_revoked_without_a_running_service(tmp_path: Path) -> None:
    """`homeward keys` opens the database itself when no service runs."""

    def keys(*arguments: str) -> Any:
        command = [sys.executable, "-m", "cli", "keys", *arguments, "--json", "--data", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, env=CLEAN, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert keys("make", "orders", "--scopes", "orders:write,orders:read")["key"].startswith("hw_live_")
    made = keys("list")["keys"]
    assert [(key["name"], key["revoked"]) for key in made] == [("orders", False)]
    keys("revoke", str(made[0]["id"]))
    assert keys("list")["keys"][0]["revoked"]
