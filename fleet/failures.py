"""How often a look-up may fail before it is no longer answered: per number asked for, per client network, and in all.

Kept in memory and lost at a restart: it slows guessing, it decides nothing. Real time only (`time.monotonic`). Several
processes tell each other of each failure, so that guessing at many doors is counted as guessing at one.
"""

import hashlib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cachetools import TTLCache

HOUR = 3600.0
KEPT = 100_000  # numbers and networks remembered at most


@dataclass(slots=True)
class _Count:
    """Failures in a row; `until` is the second at which the lock (if any) opens."""

    failed: int = 0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Failures allowed: for one number (then locked an hour, doubling), for a network and for all in an hour."""

    per_number: int = 5
    per_network: int = 30
    everybody: int = 1000


class Failures:
    """Counts failed look-ups and says who may still ask. A lock is never told: it looks as if nothing was found."""

    def __init__(
        self, limits: Limits | None = None, monotonic: Callable[[], float] = time.monotonic, salt: bytes = b""
    ) -> None:
        self._limits, self._monotonic, self._salt = limits or Limits(), monotonic, salt
        self.tell: Callable[[str, str], None] = lambda number, network: None
        self._numbers: TTLCache[str, _Count] = TTLCache(KEPT, 24 * HOUR, monotonic)
        self._networks: TTLCache[str, _Count] = TTLCache(KEPT, HOUR, monotonic)
        self._all = _Count()

    def allowed(self, number: str, network: str, *, weak: bool) -> bool:
        """Whether this look-up may be answered. While everybody is guessed at, a `weak` proof opens nothing."""
        if not self._all.failed:  # nobody ever failed
            return True
        now = self._monotonic()
        if weak and self.alarmed:
            return False
        count = self._numbers.get(self._mark(number))
        if count and count.until > now:
            return False
        crowd = self._networks.get(self._mark(network))
        return not crowd or crowd.failed < self._limits.per_network

    def failed(self, number: str, network: str) -> None:
        """One more look-up that found nothing or proved nothing. A number's lock doubles with each further one."""
        marks = self._mark(number), self._mark(network)
        self.heard(*marks)
        self.tell(*marks)

    def heard(self, number: str, network: str) -> None:
        """The same, here or at another process's door; both by their marks."""
        now = self._monotonic()
        count = self._numbers.get(number) or _Count()
        count.failed += 1
        if over := max(0, count.failed - self._limits.per_number + 1):
            count.until = now + min(HOUR * 2 ** (over - 1), 24 * HOUR)
        self._numbers[number] = count
        crowd = self._networks.get(network)
        if crowd is None:  # set once: its hour runs from the first failure
            crowd = self._networks[network] = _Count()
        crowd.failed += 1
        if self._all.until <= now:
            self._all = _Count(until=now + HOUR)
        self._all.failed += 1

    def _mark(self, text: str) -> str:
        """What stands for a number or a network where processes tell each other."""
        return hashlib.blake2b(text.encode("utf-8", "replace"), key=self._salt, digest_size=12).hexdigest()

    @property
    def alarmed(self) -> bool:
        """More failures within the hour than all shoppers together make: many networks, one guess each."""
        return self._all.until > self._monotonic() and self._all.failed >= self._limits.everybody


@lru_cache(KEPT)
def network_of(address: str) -> str:
    """The network a client's address stands for: itself for IPv4, its /64 for IPv6, "" for what is no address."""
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ipaddress.ip_network((ip, 64), strict=False))
