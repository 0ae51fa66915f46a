"""How many sockets one network may hold open at our doors: aiohttp itself counts none."""

import asyncio
from collections import Counter
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from fleet.failures import network_of


class Crowd:
    """The open sockets of each network (an IPv4 address, an IPv6 /64): one over its limit is closed at once.

    Closed without a word: whoever holds so many is no browser, and an answer would cost what is to be saved.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()
        self._whose: dict[RequestHandler, str] = {}
        self.refused = 0

    def enter(self, handler: RequestHandler, address: str) -> bool:
        """Whether this socket may stay."""
        network = network_of(address)
        self._whose[handler] = network
        self._open[network] += 1
        if self._open[network] <= self._limit:
            return True
        self.refused += 1
        return False

    def leave(self, handler: RequestHandler) -> None:
        network = self._whose.pop(handler, None)
        if network is not None:
            self._open[network] -= 1
            if not self._open[network]:
                del self._open[network]


class Doorway(web.AppRunner):
    """A runner whose server lets one network hold only so many sockets; 0: as many as it likes.

    Behind a reverse proxy every socket is the proxy's: there it is the proxy that has to count.
    """

    def __init__(self, app: web.Application, *, sockets: int = 0, **given: Any) -> None:
        super().__init__(app, **given)
        self.crowd = Crowd(sockets) if sockets else None

    async def setup(self) -> None:
        await super().setup()
        if self.crowd and self.server:
            _mind(self.server, self.crowd)


def _mind(server: web.Server, crowd: Crowd) -> None:
    """Ask the crowd about each socket; the server itself goes on as before."""
    made, lost = server.connection_made, server.connection_lost

    def connection_made(handler: RequestHandler, transport: asyncio.Transport) -> None:
        made(handler, transport)
        peer = transport.get_extra_info("peername")
        if not crowd.enter(handler, str(peer[0]) if isinstance(peer, tuple) else ""):
            transport.abort()

    def connection_lost(handler: RequestHandler, exc: BaseException | None = None) -> None:
        crowd.leave(handler)
        lost(handler, exc)

    server.connection_made = connection_made  # type: ignore[method-assign]
    server.connection_lost = connection_lost  # type: ignore[method-assign]
