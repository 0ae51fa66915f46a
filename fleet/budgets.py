"""How many calls a carrier's credential may make: per API. Real time."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiolimiter import AsyncLimiter

from carriers.contract import Busy

LONGEST_WAIT = 20.0
"""Seconds a call may wait for its turn; longer than that it is better done in a later sweep."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds."""

    calls: float
    seconds: float


class Spending(Protocol):
    """What a budget is to whoever calls carriers and shows figures; in this process, or shared by several."""

    @property
    def rates(self) -> Mapping[str, Rate]:
        """What each API allows."""

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Calls by API and outcome."""

    async def take(self, api: str) -> None:
        """Return when one call may be made. Raises Busy when the wait would be too long."""

    def hold(self, api: str, seconds: float) -> None:
        """Nobody calls this API for that long."""

    def met(self, api: str, outcome: str) -> None:
        """A call was made, and this came of it."""

    def left(self, api: str, most: int) -> int:
        """How many calls could be made right now, at most `most`."""


def rate_of(rates: Mapping[str, Rate], api: str) -> Rate | None:
    """An API's rate: its own, before that the one named "*"; without either it is free."""
    return rates.get(api) or rates.get("*")


@dataclass(slots=True)
class Quiet:
    """The APIs that nobody calls for a while, because the carrier asked for quiet."""

    monotonic: Callable[[], float] = time.monotonic
    _until: dict[str, float] = field(default_factory=dict)

    def hold(self, api: str, seconds: float) -> None:
        self._until[api] = max(self._until.get(api, 0.0), self.monotonic() + seconds)

    def is_on(self, api: str) -> bool:
        return self._until.get(api, 0.0) > self.monotonic()

    def refuse(self, api: str) -> None:
        """Raise Busy while it is on."""
        pause = self._until.get(api, 0.0) - self.monotonic()
        if pause > 0:
            raise Busy(f"{api}: the carrier asked for quiet", retry_after=pause)


@dataclass(slots=True)
class Budget:
    """One credential's budget: a bucket per API that fills steadily, and a pause where the carrier asked for quiet."""

    rates: Mapping[str, Rate]
    quiet: Quiet = field(default_factory=Quiet)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # calls by API and outcome
    _buckets: dict[str, AsyncLimiter] = field(default_factory=dict)

    async def take(self, api: str) -> None:
        """Return when one call may be made. Raises Busy when the wait would be too long."""
        self.quiet.refuse(api)
        bucket = self._bucket(api)
        if bucket is None:
            return
        if not bucket.has_capacity() and bucket.time_period / bucket.max_rate > LONGEST_WAIT:
            raise Busy(f"{api}: the budget is used up", retry_after=bucket.time_period / bucket.max_rate)
        await bucket.acquire()

    def hold(self, api: str, seconds: float) -> None:
        """Nobody calls this API for that long."""
        self.quiet.hold(api, seconds)

    def met(self, api: str, outcome: str) -> None:
        """A call was made, and this came of it."""
        self.counts[api, outcome] += 1

    def left(self, api: str, most: int) -> int:
        """How many calls could be made right now, at most `most`."""
        if self.quiet.is_on(api):
            return 0
        bucket = self._bucket(api)
        if bucket is None:
            return most
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if bucket.has_capacity(min(middle, bucket.max_rate)) else (low, middle - 1)
        return min(low, int(bucket.max_rate))

    def _bucket(self, api: str) -> AsyncLimiter | None:
        rate = rate_of(self.rates, api)
        if rate is None:
            return None
        return self._buckets.setdefault(api, AsyncLimiter(rate.calls, rate.seconds))
