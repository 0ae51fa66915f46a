"""`make bench-peers`: Homeward beside karrio, each in its own environment: the same answers read, and one parcel asked
for over HTTP with a key.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx

from bench.loading import again, load, serving
from bench.lookup import ask_parcels, serve_house
from bench.read import payloads
from bench.shop import open_shop
from carriers.contract import Payload, Source
from carriers.ups import reading as ups
from carriers.usps import reading as usps

COUNT, ROUNDS = 40, 9
SECONDS = 5.0


def main() -> None:
    """What both do in a second, and how many times less ours costs. The argument is the other environment's Python."""
    print(json.dumps({"bench": "peers", "peer": "karrio"} | _read(sys.argv[1]) | _asked(sys.argv[1])))


def _read(python: str) -> dict[str, object]:
    """Answers of carriers read in a second."""
    made = payloads(COUNT)
    with tempfile.TemporaryDirectory() as folder:
        for name, bodies in made.items():
            for number, body in enumerate(bodies):
                (Path(folder) / f"{name}-{number:03}.json").write_bytes(body)
        script = Path(__file__).parent / "karrio_parse.py"
        done = subprocess.run([python, str(script), folder], capture_output=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    result: dict[str, object] = {}
    for name, reading in (("ups", ups), ("usps", usps)):
        answers = [
            Payload(name, Source.POLL, body, reading.read(Payload(name, Source.POLL, body)).numbers)
            for body in made[name]
        ]
        rounds = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for answer in answers:
                reading.read(answer)
            rounds.append((time.perf_counter() - began) / COUNT)
        ours = statistics.median(rounds)
        result |= {
            f"{name}_per_second": round(1 / ours),
            f"{name}_peer_per_second": round(1 / theirs[name]),
            f"{name}_times_less": round(theirs[name] / ours, 1),
        }
    return result


def _asked(python: str) -> dict[str, object]:
    """A parcel asked for over HTTP in a second: ours from memory and read from SQLite, its tracker by id."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = _trackers(python, Path(folder))
        shop = open_shop(Path(folder) / "shop")
        result: dict[str, object] = {"tracker_get_per_second": round(theirs, 1)}
        for name, kept in (("kept", True), ("sqlite", False)):
            with serving(serve_house, shop, kept) as house:
                sources = [again(request) for request in ask_parcels(shop)]
                load(house, sources, 1.0)
                ours = load(house, sources, SECONDS).per_second
            result |= {
                f"parcel_get_{name}_per_second": round(ours),
                f"parcel_get_{name}_times": round(ours / theirs, 1),
            }
        return result


def _trackers(python: str, folder: Path) -> float:
    """Answers a second of karrio's server, four callers at once, each on a connection that stays open."""
    script = Path(__file__).parent / "karrio_serve.py"
    unlimited = {f"{who}_RATE_LIMIT": "1000000000/minute" for who in ("ANON", "USER", "CARRIER_REQUEST")}
    settings = unlimited | {
        "DJANGO_SETTINGS_MODULE": "karrio.server.settings", "SECRET_KEY": "s" * 50, "DEBUG_MODE": "False",
        "DATABASE_ENGINE": "sqlite3", "DATABASE_NAME": str(folder / "karrio.sqlite3"), "LOG_LEVEL": "ERROR",
        "WORK_DIR": str(folder), "LOG_DIR": str(folder),
    }  # fmt: skip
    with subprocess.Popen(
        [python, str(script)],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it logs every signal that it registers
        text=True,
    ) as server:
        assert server.stdout
        try:
            told = json.loads(next(line for line in server.stdout if line.startswith("{")))
            with httpx.Client(base_url=f"http://127.0.0.1:{told['port']}", trust_env=False) as http:
                ask = partial(http.get, told["path"], headers={"Authorization": f"Token {told['token']}"}, timeout=30)
                _until_open(ask)
                with ThreadPoolExecutor(4) as callers:
                    counts = callers.map(lambda _: _count(ask), range(4))
                    return sum(counts) / SECONDS
        finally:
            server.terminate()


def _until_open(ask: Callable[[], httpx.Response]) -> None:
    for _ in range(300):
        with suppress(httpx.TransportError):
            answer = ask()
            if not answer.is_success or len(answer.json()["events"]) == 0:
                raise AssertionError(answer.text)
            return
        time.sleep(0.1)
    raise AssertionError("karrio's server did not open")


def _count(ask: Callable[[], httpx.Response]) -> int:
    until, done = time.perf_counter() + SECONDS, 0
    while time.perf_counter() < until:
        ask().raise_for_status()
        done += 1
    return done


if __name__ == "__main__":
    main()
