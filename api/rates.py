"""How often a key may call: so many calls in each minute, told with every answer, kept in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from api.problems import Problem

MINUTE = 60.0
MANY = 10_000


@dataclass(slots=True)
class _Window:
    """A minute of one key: when it ends, and how many calls were made in it."""

    ends: float
    calls: int = 0


class Rates:
    """Counts calls by key. `per_minute` 0: no limit, and no headers."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most, self._monotonic = per_minute, monotonic
        self._windows: dict[str, _Window] = {}

    def take(self, caller: str) -> dict[str, str]:
        """One more call: the headers that say what is left. Raises Problem when nothing is."""
        if not self._most:
            return {}
        now = self._monotonic()
        window = self._windows.get(caller)
        if window is None or window.ends <= now:
            if len(self._windows) >= MANY:  # as many as keys that call: this only forgets who stays away
                self._windows = {name: each for name, each in self._windows.items() if each.ends > now}
            window = self._windows[caller] = _Window(now + MINUTE)
        window.calls += 1
        reset = max(1, round(window.ends - now))
        headers = {
            "RateLimit-Limit": str(self._most),
            "RateLimit-Remaining": str(max(0, self._most - window.calls)),
            "RateLimit-Reset": str(reset),
        }
        if window.calls > self._most:
            detail = f"this key may make {self._most} calls a minute; the next minute begins in {reset} s"
            raise Problem("rate_limited", detail, headers={**headers, "Retry-After": str(reset)})
        return headers
