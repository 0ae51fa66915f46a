"""The doors, put together: one application with every route, the document made from the same table, and the pages."""

import asyncio
import json
import logging
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

from aiohttp import web

from api import live
from api.bodies import CAP
from api.docs_page import docs
from api.figures import FIGURES, Figures
from api.house import House
from api.kept import KEPT, Kept
from api.look import Looks
from api.manners import METER, Meter, manners
from api.notices import webhooks
from api.openapi import document
from api.ops import open_desk
from api.pages import LOOKS, again, answering, asking, following, index
from api.papers import label, print_label, print_waybill, waybill_pdf
from api.rates import Rates
from api.route import AnyRoute
from api.routes import PARAMETERS, ROUTES
from api.security_txt import PATH, security_txt
from api.serving import RATES, served
from api.sockets import Doorway
from api.static_files import serve
from tracker.follow import FollowKind

# aiohttp counts this from the first moment of a connection, and from each answer to the next whole request head: so it
# is the deadline for slow heads as well as for idle connections.  # source: design/faults-and-security.md, fault 15
KEEPALIVE = 10.0
# After a refusal the rest of a body is read for so long before the socket is closed; aiohttp's own 10 s come on top of
# the body's deadline.
LINGER = 2.0
# A head that cannot be parsed is quoted in aiohttp's own log, secrets and all. Crashes are told by `manners`.
_UNHEARD = logging.getLogger("api.sockets")
_UNHEARD.setLevel(logging.CRITICAL)


def build(house: House) -> web.Application:
    """Every door of the house."""
    app = web.Application(middlewares=[manners], client_max_size=CAP)
    app[METER] = Meter(house.registry)
    app[RATES] = Rates(house.calls_per_minute)
    app[KEPT] = Kept(house.store, house.clock)
    app[FIGURES] = Figures(house)
    _serve(app, house, ROUTES)
    app.router.add_get("/openapi.json", _openapi)
    app.router.add_get("/docs", docs(described_api))
    app.router.add_get("/", index)
    _open_pages(app, house)
    open_desk(app, house)
    app.router.add_get("/static/{name}", serve)
    app.router.add_get(PATH, security_txt(house))
    return app


def build_watch(house: House, beside: web.Application | None = None) -> web.Application:
    """The house's health and figures alone, for a port of its own; those of the doors `beside` it are in them."""
    app = web.Application(middlewares=[manners], client_max_size=CAP)
    app[METER] = beside[METER] if beside else Meter(house.registry)
    app[KEPT] = beside[KEPT] if beside else Kept(house.store, house.clock)
    app[FIGURES] = beside[FIGURES] if beside else Figures(house)
    _serve(app, house, [route for route in ROUTES if route.group == "health"])
    return app


def _serve(app: web.Application, house: House, routes: Iterable[AnyRoute]) -> None:
    for route in sorted(routes, key=lambda route: not route.kept):  # what is asked most is looked for first
        handler = served(house, route)
        if route.straight:
            handler = route.straight(house, handler)
        if route.method == "GET":
            app.router.add_get(route.path, handler)
        else:
            app.router.add_route(route.method, route.path, handler)


def _open_pages(app: web.Application, house: House) -> None:
    """What shoppers open."""
    looks = app[LOOKS] = Looks(house.terms, house.looks)
    live.prepare(app)
    for kind in FollowKind:
        app.router.add_get(f"/follow/{kind.value}", asking(house, kind))
        app.router.add_post(f"/follow/{kind.value}", answering(house, kind))
        app.router.add_get(f"/follow/{kind.value}/now", again(house, kind))
    app.router.add_get("/follow/events", live.events(house), allow_head=False)
    app.router.add_get("/follow/link/{token}", following(house))
    app.router.add_get("/follow/return/label", print_label(house))
    app.router.add_get("/follow/return/waybill", print_waybill(house))
    app.router.add_get("/follow/return/waybill.pdf", waybill_pdf(house))
    app.router.add_get("/label/{token}", label(house))
    app.router.add_get("/look/{name}", looks.serve())


def runner(app: web.Application, sockets: int = 0) -> web.AppRunner:
    """The application ready for a site: no access log (ours is allow-listed), and a deadline for slow senders.

    `sockets` is how many one network may hold open; 0: as many as it likes.
    """
    return Doorway(
        app,
        sockets=sockets,
        access_log=None,
        logger=_UNHEARD,
        keepalive_timeout=KEEPALIVE,
        lingering_time=LINGER,
        handle_signals=False,
    )


@cache
def described_api() -> dict[str, Any]:
    """The OpenAPI document, made when it is first asked for: it takes a fifth of the time that all the rest needs."""
    parameters = {name: parameter.documented() for name, parameter in PARAMETERS.items()}
    return document(ROUTES, parameters, webhooks(), version("homeward"))


@cache
def _described_bytes() -> bytes:
    return json.dumps(described_api(), ensure_ascii=False).encode()


async def _openapi(request: web.Request) -> web.StreamResponse:
    body = await asyncio.to_thread(_described_bytes)
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "private, no-cache"})
