"""The line to Redis: short deadlines and a breaker, so that a slow Redis slows nobody. What it holds may be lost."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

T = TypeVar("T")
Hear = Callable[[bytes], None]

DEADLINE = 0.1  # seconds for one command, all of it: what a caller may lose to a Redis that hangs
FAILURES = 2  # in a row, then nobody asks for a while
FIRST_REST, LONGEST_REST = 0.5, 5.0
KEPT = 10_000  # messages that wait to be sent; the oldest are dropped
PULSE = 1.0  # seconds between signs of life on the listening line
DEAF = 3.0  # without any, it is taken to be broken


class Lost(Exception):
    """Redis did not answer in time, or not with what was asked: do without it."""


class Wire:
    """One process's line to Redis. Made by `open_wire`. `prefix` keeps installations apart."""

    def __init__(self, url: str, prefix: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.prefix, self._url, self._monotonic = prefix, url, monotonic
        self._redis = _connect(url, DEADLINE)
        self._failures, self._rest, self._until = 0, 0.0, 0.0
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=KEPT)
        self._posted = asyncio.Event()
        self.hears = False  # whether what others publish reaches us

    @property
    def is_up(self) -> bool:
        """Whether the last calls were answered."""
        return not self._until

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    async def call(self, work: Callable[["Redis"], Awaitable[T]]) -> T:
        """What one command or script answers. Raises Lost: at once while Redis is known to be away."""
        now = self._monotonic()
        if self._until > now:
            raise Lost("resting")
        if self._until:
            self._until = now + self._rest  # this call tries it; the others wait for what it finds
        try:
            async with asyncio.timeout(DEADLINE):
                answer = await work(self._redis)
        except (RedisError, OSError, RuntimeError) as error:  # a TimeoutError is an OSError
            self._failed(error)
            raise Lost(type(error).__name__) from error
        if self._until:
            log.warning("redis back")
        self._failures, self._rest, self._until = 0, 0.0, 0.0
        return answer

    async def script(self, source: str, keys: Sequence[str], given: Sequence[str | bytes | int]) -> Any:
        """What a Lua script answers. Raises Lost."""
        return await self.call(lambda redis: redis.eval(source, len(keys), *keys, *given))

    def post(self, channel: str, message: bytes) -> None:
        """Publish without waiting; lost when Redis is."""
        self._waiting.append((channel, message))
        self._posted.set()

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures < FAILURES and not self._until:
            return
        if not self._until:
            log.warning("redis away", extra={"error": type(error).__name__})
        self._rest = min(max(self._rest * 2, FIRST_REST), LONGEST_REST)
        self._until = self._monotonic() + self._rest

    # --------------------------------------------------------------------------------------------------- its own tasks

    async def send_posted(self) -> None:
        """Send what was posted, many in one go, for ever."""
        while True:
            await self._posted.wait()
            self._posted.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                await self.call(partial(_publish, batch))
                await asyncio.sleep(0.005)  # a burst becomes one round trip
            except Lost:
                self._waiting.extendleft(reversed(batch[-KEPT + len(self._waiting) :]))
                self._posted.set()
                await asyncio.sleep(FIRST_REST)

    async def listen(self, channel: str, hear: Hear) -> None:
        """Hear what is published, for ever; whatever breaks is connected again."""
        rest = FIRST_REST
        while True:
            began = self._monotonic()
            try:
                await self._hear(channel, hear)
            except (RedisError, OSError, RuntimeError) as error:
                if self.hears:
                    log.warning("redis unheard", extra={"error": type(error).__name__})
            finally:
                self.hears = False
            rest = FIRST_REST if self._monotonic() - began > LONGEST_REST else min(rest * 2, LONGEST_REST)
            await asyncio.sleep(rest)

    async def _hear(self, channel: str, hear: Hear) -> None:
        redis = _connect(self._url, DEAF)
        try:
            async with redis.pubsub() as line:
                await line.subscribe(channel)
                last = asked = self._monotonic()
                while self._monotonic() - last < DEAF:
                    if self._monotonic() - asked > PULSE:
                        asked = self._monotonic()
                        await line.ping()
                    told = await line.get_message(ignore_subscribe_messages=False, timeout=PULSE)
                    if told is None:
                        continue
                    last = self._monotonic()
                    self.hears = True
                    if told["type"] == "message":
                        hear(told["data"])
                raise TimeoutError
        finally:
            await redis.aclose()

    async def aclose(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()


@contextlib.asynccontextmanager
async def open_wire(url: str, prefix: str, channel: str, hear: Hear) -> AsyncIterator[Wire]:
    """The line, with its sending and its listening under way. A Redis that is away is no reason not to start."""
    wire = Wire(url, prefix)
    tasks = [asyncio.create_task(wire.send_posted()), asyncio.create_task(wire.listen(wire.key(channel), hear))]
    try:
        yield wire
    finally:
        await _end(tasks)
        await wire.aclose()


async def _end(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Stop them. One cancellation is not enough: the driver loses it when a deadline of its own passes just then."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1.0)


def _connect(url: str, deadline: float) -> "Redis":
    """No retries inside the driver: the breaker is ours, and a call that waits is a door that waits."""
    pool = ConnectionPool.from_url(
        url,
        socket_timeout=deadline,
        socket_connect_timeout=deadline,
        max_connections=64,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis(connection_pool=pool)


async def _publish(batch: Sequence[tuple[str, bytes]], redis: "Redis") -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for channel, message in batch:
            pipe.publish(channel, message)
        await pipe.execute()


__all__ = ["Lost", "Wire", "open_wire"]
