"""Look-ups over HTTP against bare aiohttp handlers under the same load: one that knows the bytes, one that makes the
same reads on the raw driver and decodes and encodes the same JSON."""

import hmac
import json
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
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
from store.postgres import plain
from store.sealing import Sealer

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
    requests = {"parcel": _parcel(shop), "follow": _follow(shop), "page": _page(shop)}
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


def _parcel(shop: Shop) -> list[bytes]:
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


Rows = Callable[..., Awaitable[Sequence[Any]]]
"""`rows(sql, *values)` on a raw driver; parameters are written $1, $2."""
Reading = Callable[[], AbstractAsyncContextManager[Rows]]
"""One transaction that only reads."""


@asynccontextmanager
async def _driver(url: str) -> AsyncIterator[Reading]:
    """Reads in one transaction, on sqlite3 or asyncpg with nothing between."""
    if url.startswith(POSTGRES):
        pool = await asyncpg.create_pool(plain(url), min_size=16, max_size=16, reset=_leave)

        @asynccontextmanager
        async def reading() -> AsyncIterator[Rows]:
            async with pool.acquire() as found, found.transaction(isolation="repeatable_read", readonly=True):
                yield found.fetch

        yield reading
        await pool.close()
        return
    database = sqlite3.connect(f"{sqlite_path(url).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    database.row_factory = sqlite3.Row

    async def rows(sql: str, *values: Any) -> Sequence[Any]:
        return database.execute(sql.replace("$", "?"), values).fetchall()

    @asynccontextmanager
    async def reading_file() -> AsyncIterator[Rows]:
        database.execute("BEGIN")
        yield rows
        database.execute("ROLLBACK")

    yield reading_file
    database.close()


async def _leave(connection: Any) -> None:
    """The session is as it was."""


def serve_reads(pipe: Connection, shop: Shop, followed: bytes) -> None:
    """Handlers that make the same reads and marks, and decode and encode as much JSON: no house around them."""
    mark = Sealer(sealing_key(shop.settings)).mark
    story = msgspec.json.decode(followed)

    async def start(stack: AsyncExitStack) -> int:
        reading = await stack.enter_async_context(_driver(shop.settings.database))

        async def parcel(request: web.Request) -> web.StreamResponse:
            async with reading() as rows:
                (caller,) = await rows(
                    "SELECT * FROM api_keys WHERE hash = $1 AND revoked_us IS NULL",
                    mark(request.headers["Authorization"].partition(" ")[2]),
                )
            if "parcels:read" not in msgspec.json.decode(caller["scopes"]):
                raise web.HTTPForbidden
            async with reading() as rows:
                (row,) = await rows("SELECT * FROM parcels WHERE carrier = $1 AND number = $2", "ups",
                                    request.match_info["number"])  # fmt: skip
                orders = await rows(
                    "SELECT orders.number FROM orders JOIN order_parcels ON order_parcels.order_id = orders.id"
                    " WHERE order_parcels.parcel_id = $1", row["id"])  # fmt: skip
                returned = await rows("SELECT number FROM returns WHERE parcel_id = $1", row["id"])
            view = msgspec.json.decode(row["conclusion"]) | {
                "merchant": row["merchant"],
                "order_numbers": [order["number"] for order in orders],
                "return_number": returned[0]["number"] if returned else None,
                "registered_at": row["created_us"],
                "checked_at": row["checked_us"],
            }
            return web.Response(body=msgspec.json.encode(view), content_type="application/json")

        async def follow(request: web.Request) -> web.StreamResponse:
            asked = msgspec.json.decode(await request.read())
            proofs = mark("email:" + asked["email"]), mark("postcode:")
            async with reading() as rows:
                (order,) = await rows("SELECT * FROM orders WHERE number = $1 ORDER BY id LIMIT 20",
                                      asked["order_number"])  # fmt: skip
                if not hmac.compare_digest(proofs[0], order["proof_email"]):
                    raise web.HTTPForbidden
                parcels = await rows(
                    "SELECT parcels.* FROM parcels JOIN order_parcels ON order_parcels.parcel_id = parcels.id"
                    " WHERE order_parcels.order_id = $1 ORDER BY parcels.id", order["id"])  # fmt: skip
                await rows("SELECT value FROM settings WHERE name = $1", "away:ups")
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
