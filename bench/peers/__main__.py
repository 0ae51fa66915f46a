"""`make bench-peers`: the same answers read by Homeward and by karrio's parser, each in its own environment."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.read import payloads
from carriers.contract import Payload, Source
from carriers.ups import reading as ups
from carriers.usps import reading as usps

COUNT, ROUNDS = 40, 9


def main() -> None:
    """Answers a second of both, and how many times less ours costs. The argument is the other environment's Python."""
    made = payloads(COUNT)
    with tempfile.TemporaryDirectory() as folder:
        for name, bodies in made.items():
            for number, body in enumerate(bodies):
                (Path(folder) / f"{name}-{number:03}.json").write_bytes(body)
        script = Path(__file__).parent / "karrio_parse.py"
        done = subprocess.run([sys.argv[1], str(script), folder], capture_output=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    result: dict[str, object] = {"bench": "peers", "peer": "karrio"}
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
    print(json.dumps(result))


if __name__ == "__main__":
    main()
