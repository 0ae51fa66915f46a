"""How many calls a carrier's credential may make, shared by every process: one bucket per API in Redis.

Without Redis each process takes its share of the steady rate, with nothing saved up, so that all together never make
more calls than the rate. A bucket that Redis lost begins again with one call, not with a burst. Nobody's turn is kept
for him: a turn that Redis forgot would be one too many.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from carriers.contract import Busy
from fleet.budgets import LONGEST_WAIT, Quiet, Rate, rate_of
from fleet.wire import Lost, Wire

# One bucket as the instant (us) until which it is spoken for: each call speaks for seconds/calls more, and as much as
# `calls` may be spoken for in advance. ARGV: us a call, calls, doubt (1: calls were made that this bucket knows nothing
# of). Answers {0, calls left}, or {us until a call may be made, 0}.
TAKE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local each, calls = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = now + each * (calls - 1)
local spoken = tonumber(redis.call('GET', KEYS[1]))
if spoken == nil or (ARGV[3] == '1' and spoken < full) then spoken = full end
if spoken < now then spoken = now end
local wait = spoken + each - (now + each * calls)
if wait <= 0 then spoken = spoken + each end
redis.call('SET', KEYS[1], string.format('%.0f', spoken), 'PX', math.ceil((spoken - now) / 1000) + 86400000)
if wait > 0 then return {wait, 0} end
return {0, math.floor((now + each * calls - spoken) / each)}
"""


@dataclass(slots=True)
class SharedBudget:
    """One credential's budget in every process; the same calls as `fleet.budgets.Budget`.

    `processes` says how many share it now, `credential` names whose it is, `tell` tells the others of a pause.
    """

    rates: Mapping[str, Rate]
    wire: Wire
    credential: str
    processes: Callable[[], int] = lambda: 1
    tell: Callable[[str, float], None] = lambda api, seconds: None
    monotonic: Callable[[], float] = time.monotonic
    quiet: Quiet = field(default_factory=Quiet)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _left: dict[str, int] = field(default_factory=dict)
    _own: dict[str, float] = field(default_factory=dict)  # without Redis: when our own share allows the next call
    _lines: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def take(self, api: str) -> None:
        """Return when one call may be made. Raises Busy when the wait would be too long."""
        self.quiet.refuse(api)
        rate = rate_of(self.rates, api)
        if rate is None:
            return
        began = self.monotonic()
        async with self._lines[api]:  # one of us asks at a time, in the order of coming
            while wait := await self._try(api, rate):
                if self.monotonic() - began + wait > LONGEST_WAIT:
                    raise Busy(f"{api}: the budget is used up", retry_after=wait)
                await asyncio.sleep(wait)

    def hold(self, api: str, seconds: float) -> None:
        """Nobody calls this API for that long."""
        self.quiet.hold(api, seconds)
        self.tell(api, seconds)

    def met(self, api: str, outcome: str) -> None:
        """A call was made, and this came of it."""
        self.counts[api, outcome] += 1

    def left(self, api: str, most: int) -> int:
        """How many calls could be made right now, as Redis last said."""
        rate = rate_of(self.rates, api)
        if self.quiet.is_on(api):
            return 0
        return most if rate is None else min(most, self._left.get(api, int(rate.calls)))

    async def _try(self, api: str, rate: Rate) -> float:
        """0: the call may be made. Else in how many seconds to try again."""
        key, each = self.wire.key("budget", self.credential, api), round(rate.seconds / rate.calls * 1e6)
        given = (each, max(1, int(rate.calls)), int(api in self._own))
        try:
            wait, left = await self.wire.script(TAKE, (key,), given)
        except Lost:
            return self._try_own(api, rate)
        self._own.pop(api, None)
        self._left[api] = int(left)
        return float(wait) / 1e6

    def _try_own(self, api: str, rate: Rate) -> float:
        """The same of our own share."""
        now, each = self.monotonic(), rate.seconds / rate.calls * max(1, self.processes())
        at = self._own.setdefault(api, now + each)
        self._left[api] = 0
        if at > now:
            return at - now
        self._own[api] = now + each
        return 0.0
