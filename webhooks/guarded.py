"""The connection a notice goes out on: resolved once, every address judged, and connected to exactly that address."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from ipaddress import ip_address
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from webhooks.egress import Barred, Target, check, judge

OPEN = 1_000  # connections at once

_LOOKERS = ThreadPoolExecutor(64, thread_name_prefix="look-up")

Look = Callable[[str, int], Awaitable[list[str]]]
"""Name and port -> the addresses it has now."""

_target: ContextVar[Target | None] = ContextVar("target", default=None)


async def look_up(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    # threads of their own, for a name server that hangs holds its thread: the loop's few would soon be gone
    found = await asyncio.get_running_loop().run_in_executor(
        _LOOKERS, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    )
    return [str(each[4][0]) for each in found]


class Guard(httpx.AsyncBaseTransport):
    """A transport that connects nowhere that `egress` does not allow.

    The rules hold twice: over everything that the name resolves to, and over the very address of each new socket. So
    a name that answers otherwise the second time, or an address that no resolver saw, gains nothing.
    """

    def __init__(self, allowed: Collection[str], look: Look = look_up, https_port: int = 443) -> None:
        self._allowed, self._look, self._https_port = allowed, look, https_port
        self._inner = AiohttpTransport(client=self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, or raise ConnectError where the target is barred."""
        try:
            target = judge(str(request.url), self._allowed, self._https_port)
        except Barred as error:
            raise httpx.ConnectError(f"barred: {error}") from error
        token = _target.set(target)
        try:
            return await self._inner.handle_async_request(request)
        finally:
            _target.reset(token)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=OPEN, resolver=_Resolver(self._look), use_dns_cache=False, socket_factory=_socket
        )
        # no cookies from one receiver to the next, no proxy or .netrc from the environment
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


class _Resolver(AbstractResolver):
    """Asks once, and gives back only addresses that may be connected to: all of them, or none."""

    def __init__(self, look: Look) -> None:
        self._look = look

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        target = _target.get()
        found = list(dict.fromkeys(await self._look(host, port)))
        try:
            check([ip_address(each) for each in found], is_allowed=bool(target and target.is_allowed))
        except ValueError as error:
            raise OSError(errno.EACCES, f"barred: {error}") from None
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for each in found
        ]

    async def close(self) -> None:
        return None


def _socket(info: tuple[Any, ...]) -> socket.socket:
    """The socket for an address that is about to be connected to: the last gate."""
    family, kind, proto, _, where = info
    target = _target.get()
    try:
        check([ip_address(where[0])], is_allowed=bool(target and target.is_allowed))
    except ValueError as error:
        raise OSError(errno.EACCES, f"barred: {error}") from None
    made = socket.socket(family, kind, proto)
    made.setblocking(False)
    return made
