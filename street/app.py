"""The street as a web application: both carriers under `/ups` and `/usps`, the control calls under `/street`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from carriers.ups.standin import Standin as Ups
from carriers.usps.standin import Standin as Usps
from street.control import Control, refusals
from street.faults import Handler, suffer
from street.pushes import Pusher
from street.town import Town


def build(town: Town) -> web.Application:
    """The application, its push loop included: it starts and stops with it."""
    pusher = Pusher(town)
    app = web.Application(middlewares=[refusals], client_max_size=4 * 1024 * 1024)
    app.add_routes(Control(town, pusher).routes())
    for carrier in (town.ups, town.usps):
        for method, path, operation, handler in carrier.routes():
            app.router.add_route(method, f"/{carrier.name}{path}", _counted(town, carrier, operation, handler))

    async def pushing(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(pusher.run(), name="street pushes")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        town.ledger.close()

    app.cleanup_ctx.append(pushing)
    return app


def _counted(town: Town, carrier: Ups | Usps, operation: str, handler: Handler) -> Handler:
    """The carrier's handler, counted, and broken when a fault waits for it."""

    async def counted(request: web.Request) -> web.StreamResponse:
        name = f"{carrier.name}.{operation}"
        town.calls[name] = town.calls.get(name, 0) + 1
        fault = town.faults.take(carrier.name, operation)
        return await (suffer(fault, request, handler, carrier) if fault else handler(request))

    return counted


@contextlib.asynccontextmanager
async def open_street(town: Town, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The street, serving while the block runs; gives its base URL. Port 0 takes any free one."""
    runner = web.AppRunner(build(town), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def serve(town: Town, port: int, host: str = "127.0.0.1", started: Callable[[str], None] | None = None) -> None:
    """Serve until cancelled; `started` is told the base URL."""
    async with open_street(town, port, host) as base:
        if started:
            started(base)
        await asyncio.Event().wait()
