"""How long the command line and the service take to be there, against an interpreter that only starts."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bench.shop import open_shop
from cli.demo import free_port
from cli.settings import environment

ROUNDS = 7
NOWHERE = "http://127.0.0.1:9"


def run() -> dict[str, Any]:
    """Seconds until `--help` is printed and until `serve` on an existing database is ready. Goals: 0.4 and 2.5."""
    folder = Path(tempfile.mkdtemp(prefix="homeward-start-"))
    try:
        open_shop(folder)
        floor = _median(lambda: _ended([sys.executable, "-c", "pass"]))
        shown = _median(lambda: _ended([sys.executable, "-m", "cli", "--help"]))
        ready = _median(lambda: _ready(folder))
        return {
            "help_seconds": shown,
            "ready_seconds": ready,
            "interpreter_seconds": floor,
            "help_times_the_floor": round(shown / floor, 1),
            "rounds": ROUNDS,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _median(measure: Callable[[], float]) -> float:
    measure()  # the files are in the page cache, the byte code is written
    return round(statistics.median(measure() for _ in range(ROUNDS)), 3)


def _ended(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _ready(folder: Path) -> float:
    """`serve` until /readyz answers 200; ended afterwards."""
    port = free_port()
    ours = ("UPS_", "USPS_", "HOMEWARD_", "PYTHONDONTWRITEBYTECODE")
    known = {k: v for k, v in environment().items() if not k.startswith(ours)}
    env = known | {
        "HOMEWARD_DATA": str(folder),
        "HOMEWARD_PORT": str(port),
        "HOMEWARD_STREET_URL": NOWHERE,
        "HOMEWARD_CARRIERS": "ups,usps",
        "UPS_CLIENT_ID": "bench", "UPS_CLIENT_SECRET": "bench", "UPS_ACCOUNT": "A1B2C3", "UPS_BASE_URL": NOWHERE,
        "USPS_CLIENT_ID": "bench", "USPS_CLIENT_SECRET": "bench", "USPS_BASE_URL": NOWHERE,
    }  # fmt: skip
    began = time.perf_counter()
    service = subprocess.Popen([sys.executable, "-m", "cli", "serve"], env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)  # fmt: skip
    try:
        while service.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                    return time.perf_counter() - began
            except httpx.TransportError:
                time.sleep(0.01)
        assert service.stderr is not None
        raise AssertionError(service.stderr.read().decode()[-2000:])
    finally:
        service.terminate()
        service.wait()
