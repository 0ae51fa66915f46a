"""Times two pieces of work in turn, several times, and gives the median of each and of their ratio."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def paired(path: Callable[[], object], floor: Callable[[], object], units: int, rounds: int = 9) -> dict[str, Any]:
    """Units a second of the path and of its floor, and how many times the floor's time the path takes."""
    path()
    floor()  # both warm
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(_seconds(path))
        fast.append(_seconds(floor))
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return {
        "per_second": round(units / statistics.median(slow)),
        "floor_per_second": round(units / statistics.median(fast)),
        "times_the_floor": round(statistics.median(ratios), 2),
        "ratio": round(1 / statistics.median(ratios), 4),
        "rounds": rounds,
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
