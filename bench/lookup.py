"""Look-ups over HTTP against bare aiohttp handlers under the same load: one that knows the bytes, one that makes the
same reads on the raw driver and decodes and encodes the same JSON."""

import hmac
import json
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
from aiohttp import web

from api.app import build, runner
from api.kept import KEPT, Kept
from bench.loading import again, compared, serve_forever, serving
from bench.own_postgres import own_postgres
from bench.shop import EMAIL, Shop, environment, open_shop
from cli.logs import configure
from cli.serving import house_of
from cli.settings import sealing_key
from cli.settling import settle_down
from cli.wiring import open_parts
from store.engine import POSTGRES, sqlite_path
from store.keys import FIND_KEY
from store.lookups import ORDER_PARCELS, ORDERS_OR_NOBODY
from store.postgres import plain
from store.sealing import Sealer
from store.settings import GET_SETTING
from store.shown import SHOWN
from store.statement import Statement

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


_KEPT = (("parcel", "bytes"), ("follow", "bytes"), ("page", "bytes"))
_READ = (("parcel", "reads"), ("follow", "reads"), ("page", "bytes"))
"""What is asked, against which floor: answered from memory, and with nothing kept."""


def run() -> dict[str, Any]:
    """Answers a second as a share of the floor's. Goals: kept 0.60, read 0.75, page 0.20."""
    folder = Path(tempfile.mkdtemp(prefix="homeward-lookup-"))
    try:
        shop = open_shop(folder / "shop")
        measured = {f"kept_{k}": v for k, v in _measured(shop, _KEPT, kept=True).items()}
        measured |= {f"sqlite_{k}": v for k, v in _measured(shop, _READ, kept=False).items()}
        with own_postgres(folder / "pg") as url:
            if url.startswith(POSTGRES):
                found = _measured(open_shop(folder / "pg-shop", url), _READ, kept=False)
                return measured | {f"postgresql_{k}": v for k, v in found.items()}
            return measured | {"postgresql": url}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(shop: Shop, pairs: Sequence[tuple[str, str]], *, kept: bool) -> dict[str, Any]:
    requests = {"parcel": ask_parcels(shop), "follow": _follow(shop), "page": _page(shop)}
    with serving(serve_house, shop, kept) as house:
        answers = {name: _answer(house.port, each[0]) for name, each in requests.items()}
        with serving(serve_bytes, answers) as floor, serving(serve_reads, shop, answers["follow"]) as reads:
            floors = {"bytes": floor, "reads": reads}
            return {
                name: compared(house, floors[what], [again(each) for each in requests[name]]) for name, what in pairs
            }


# ------------------------------------------------------------------------------------------------------------ requests


def _request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask_parcels(shop: Shop) -> list[bytes]:
    """Each parcel asked for with the key."""
    return [_request("GET", f"/v1/parcels/ups/{n}", Authorization=f"Bearer {shop.key}") for n in shop.numbers]


def _follow(shop: Shop) -> list[bytes]:
    return [
        _request(
            "POST",
            "/v1/follow/order",
            json.dumps({"order_number": order, "email": EMAIL}).encode(),
            Content_Type="application/json",
        )
        for order in shop.orders
    ]


def _page(shop: Shop) -> list[bytes]:
    return [
        _request(
            "POST",
            "/follow/order",
            f"number={order}&email={EMAIL.replace('@', '%40')}".encode(),
            Content_Type="application/x-www-form-urlencoded",
        )
        for order in shop.orders
    ]


def _answer(port: int, request: bytes) -> bytes:
    """The body of the answer to the first of these requests. Raises HTTPStatusError."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    with httpx.Client(trust_env=False) as http:
        answer = http.request(method, f"http://127.0.0.1:{port}{path}", content=body, headers=headers)
        answer.raise_for_status()
        return answer.content


# ------------------------------------------------------------------------------------------------------------- servers


def serve_house(pipe: Connection, shop: Shop, kept: bool) -> None:
    """The real doors on the shop's database; `kept` False: nothing is answered from memory."""

    async def start(stack: AsyncExitStack) -> int:
        configure(shop.settings.log)
        parts = await stack.enter_async_context(open_parts(shop.settings, environment()))
        house = house_of(parts, None)
        app = build(house)
        if not kept:
            app[KEPT] = Kept(house.store, house.clock, timedelta())
        settle_down()
        return await listen(app)

    serve_forever(pipe, start)


def serve_bytes(pipe: Connection, answers: Mapping[str, bytes]) -> None:
    """Handlers that know their answer."""

    def fixed(body: bytes, content_type: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            await request.read()
            return web.Response(body=body, content_type=content_type)

        return handle

    async def start(stack: AsyncExitStack) -> int:
        app = web.Application()
        app.router.add_get("/v1/parcels/ups/{number}", fixed(answers["parcel"], "application/json"))
        app.router.add_post("/v1/follow/order", fixed(answers["follow"], "application/json"))
        app.router.add_post("/follow/order", fixed(answers["page"], "text/html"))
        return await listen(app)

    serve_forever(pipe, start)


Said = tuple[str, tuple[Any, ...]]
"""One of the house's own statements as a raw driver takes it, and the values that it always has, which come last."""
Rows = Callable[..., Awaitable[Sequence[Any]]]
"""`rows(said, *values)` on a raw driver."""


@dataclass(frozen=True, slots=True)
class _Driver:
    """sqlite3 or asyncpg with nothing between: one statement by itself, or several in a transaction that only reads."""

    one: Callable[..., Awaitable[Any]]
    reading: Callable[[], AbstractAsyncContextManager[Rows]]


@asynccontextmanager
async def _driver(url: str) -> AsyncIterator[_Driver]:
    if url.startswith(POSTGRES):
        pool = await asyncpg.create_pool(plain(url), min_size=16, max_size=16, reset=_leave)

        async def row(said: Said, *values: Any) -> Any:
            return await pool.fetchrow(said[0], *values, *said[1])

        @asynccontextmanager
        async def reading() -> AsyncIterator[Rows]:
            async with pool.acquire() as found, found.transaction(isolation="repeatable_read", readonly=True):

                async def rows(said: Said, *values: Any) -> Sequence[Any]:
                    answer: Sequence[Any] = await found.fetch(said[0], *values, *said[1])
                    return answer

                yield rows

        yield _Driver(row, reading)
        await pool.close()
        return
    database = sqlite3.connect(f"{sqlite_path(url).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    database.row_factory = sqlite3.Row

    async def rows_of_file(said: Said, *values: Any) -> Sequence[Any]:
        return database.execute(said[0], (*values, *said[1])).fetchall()

    async def row_of_file(said: Said, *values: Any) -> Any:
        return database.execute(said[0], (*values, *said[1])).fetchone()

    @asynccontextmanager
    async def reading_file() -> AsyncIterator[Rows]:
        database.execute("BEGIN")
        yield rows_of_file
        database.execute("ROLLBACK")

    yield _Driver(row_of_file, reading_file)
    database.close()


async def _leave(connection: Any) -> None:
    """The session is as it was."""


def serve_reads(pipe: Connection, shop: Shop, followed: bytes) -> None:
    """Handlers that run the same statements, make the same marks, and decode and encode as much JSON: no house around
    them. Each statement by itself, or together where one answer needs several, sees a state of its own.
    """
    mark = Sealer(sealing_key(shop.settings)).mark
    story = msgspec.json.decode(followed)

    def said(statement: Statement) -> Said:
        compiled = statement.postgres if shop.settings.database.startswith(POSTGRES) else statement.sqlite
        return compiled.sql, tuple(compiled.fixed.values())

    key, shown, orders = said(FIND_KEY), said(SHOWN), said(ORDERS_OR_NOBODY)
    on_order, setting = said(ORDER_PARCELS), said(GET_SETTING)

    async def start(stack: AsyncExitStack) -> int:
        driver = await stack.enter_async_context(_driver(shop.settings.database))

        async def parcel(request: web.Request) -> web.StreamResponse:
            caller = await driver.one(key, mark(request.headers["Authorization"].partition(" ")[2]))
            if "parcels:read" not in msgspec.json.decode(caller["scopes"]):
                raise web.HTTPForbidden
            row = await driver.one(shown, "ups", request.match_info["number"])
            view = msgspec.json.decode(row["conclusion"]) | {
                "merchant": row["merchant"],
                "order_numbers": row["order_numbers"].split(" "),
                "return_number": row["return_number"],
                "registered_at": row["created_us"],
                "checked_at": row["checked_us"],
            }
            return web.Response(body=msgspec.json.encode(view), content_type="application/json")

        async def follow(request: web.Request) -> web.StreamResponse:
            asked = msgspec.json.decode(await request.read())
            proofs = mark("email:" + asked["email"]), mark("postcode:")
            async with driver.reading() as rows:
                (order,) = await rows(orders, asked["order_number"])
                if not hmac.compare_digest(proofs[0], order["proof_email"]):
                    raise web.HTTPForbidden
                parcels = await rows(on_order, order["id"])
                await rows(setting, "away:ups")
            known = [msgspec.json.decode(parcel["conclusion"])["status"] for parcel in parcels]
            facts = msgspec.json.decode(order["order"])
            view = story | {"number": order["number"], "state": known[0], "currency": facts["currency"]}
            return web.Response(body=msgspec.json.encode(view), content_type="application/json")

        app = web.Application()
        app.router.add_get("/v1/parcels/ups/{number}", parcel)
        app.router.add_post("/v1/follow/order", follow)
        return await listen(app)

    serve_forever(pipe, start)


async def listen(app: web.Application) -> int:
    """The application open on a port of its own; the port."""
    doors = runner(app)
    await doors.setup()
    site = web.TCPSite(doors, "127.0.0.1", 0)
    await site.start()
    return int(doors.addresses[0][1])
