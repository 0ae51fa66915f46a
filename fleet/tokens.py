"""Carrier tokens shared by every process: fetched by one while the others wait, sealed in Redis, lost without harm."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.wire import Lost, Wire

Fetch = Callable[[], Awaitable[tuple[str, float]]]

TURN = 15.0  # seconds that whoever fetches may take; then the next one may
LOOK = 0.1  # seconds between looks of those who wait
LEAST = 5.0  # seconds of life that are worth sharing

_DROP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class _Kept(msgspec.Struct):
    token: str
    until: float  # by the clock on the wall: processes share no other


@dataclass(frozen=True, slots=True)
class TokenShelf:
    """Where tokens lie: `seal` and `open` keep them from whoever can read Redis."""

    wire: Wire
    seal: Callable[[bytes], bytes]
    open: Callable[[bytes], bytes]
    wall: Callable[[], float] = time.time

    async def get(self, name: str, stale: str, fetch: Fetch) -> tuple[str, float]:
        """A token and the seconds it lives: another process's, or a new one. Never `stale`. Raises what `fetch` does.

        While Redis is away each process fetches its own.
        """
        key, turn = (self.wire.key(what, credential_of(name)) for what in ("token", "fetching"))
        mine, until = secrets.token_hex(8), self.wall() + TURN
        try:
            while self.wall() < until:
                if found := await self._look(key, stale):
                    return found
                if await self._take_turn(turn, mine):
                    try:
                        return await self._look(key, stale) or await self._fetch(key, fetch)
                    finally:
                        await self._quietly(lambda redis: redis.eval(_DROP, 1, turn, mine))
                await asyncio.sleep(LOOK)
        except Lost:
            pass
        return await fetch()

    async def _look(self, key: str, stale: str) -> tuple[str, float] | None:
        raw: Any = await self.wire.call(lambda redis: redis.get(key))
        if raw is None:
            return None
        try:
            kept = msgspec.json.decode(self.open(raw), type=_Kept)
        except Exception:  # another installation's key, or not ours at all: as if nothing were there
            return None
        left = kept.until - self.wall()
        return (kept.token, left) if kept.token != stale and left > LEAST else None

    async def _take_turn(self, turn: str, mine: str) -> bool:
        return bool(await self.wire.call(lambda redis: redis.set(turn, mine, nx=True, px=round(TURN * 1000))))

    async def _fetch(self, key: str, fetch: Fetch) -> tuple[str, float]:
        token, seconds = await fetch()
        if seconds > LEAST:
            sealed = self.seal(msgspec.json.encode(_Kept(token, self.wall() + seconds)))
            await self._quietly(lambda redis: redis.set(key, sealed, px=round(seconds * 1000)))
        return token, seconds

    async def _quietly(self, work: Callable[..., Awaitable[object]]) -> None:
        try:
            await self.wire.call(work)
        except Lost:
            return


def credential_of(*parts: str) -> str:
    """A credential's name in keys: tells nothing of it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
