"""The ops desk's pages: behind a key with the scope `ops`, or a user name that a trusted reverse proxy states."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from alerts.desk import acknowledge, open_alerts
from api import tokens
from api.bodies import read_bytes
from api.charts import Series, by_day, stacked
from api.desk import (
    carriers_now,
    cases_now,
    codes_now,
    figures_now,
    payloads_of,
    purchases_now,
    risks_now,
    waiting_now,
)
from api.house import House
from api.keys import living_key
from api.manners import CALLER, Handler
from api.pages import FORM, FORM_CAP, html
from api.parcels import parcel_now, recognised_at
from api.problems import Problem
from api.sessions import is_secure
from store.endpoints import list_deliveries

COOKIE = "hw_ops"
SECONDS = 12 * 3600
ROWS = 50

Page = Callable[[House, web.Request, str], Awaitable[web.StreamResponse]]


def open_desk(app: web.Application, house: House) -> None:
    """Every address of the desk."""
    app.router.add_get("/ops", _behind(house, _desk))
    app.router.add_post("/ops/login", _login(house))
    app.router.add_post("/ops/logout", _behind(house, _logout))
    app.router.add_post("/ops/alerts/{alert_id}/ack", _behind(house, _ack))
    app.router.add_get("/ops/parcels/{carrier}/{number}", _behind(house, _parcel))
    app.router.add_post("/ops/find", _behind(house, _find))


# ------------------------------------------------------------------------------------------------------------ who asks


def _behind(house: House, page: Page) -> Handler:
    """A page for ops only: everybody else gets the form that asks for a key."""

    async def show(request: web.Request) -> web.StreamResponse:
        who = await _who(house, request)
        if who is None:
            return html("ops_login.html", "en", 401, page="ops", wrong=False)
        if request.method == "POST" and not _from_here(request):
            return html("ops_login.html", "en", 403, page="ops", wrong=False)
        request[CALLER] = who
        return await page(house, request, who)

    return show


async def _who(house: House, request: web.Request) -> str | None:
    """The name a trusted proxy states, or the holder of a living key in the cookie; None: nobody."""
    if house.desk_header and house.proxies and (name := request.headers.get(house.desk_header, "").strip()):
        return f"proxy:{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    facts = tokens.read(house.sealer, COOKIE, request.cookies.get(COOKIE, ""))
    key = await living_key(house, facts["mark"]) if facts else None  # revoked since: no more desk
    return f"key:{key.id}" if key and "ops" in key.scopes else None


def _from_here(request: web.Request) -> bool:
    """Whether a form of our own was sent: browsers say where a POST comes from."""
    site, origin = request.headers.get("Sec-Fetch-Site", ""), request.headers.get("Origin", "")
    if site:
        return site == "same-origin"
    return origin.partition("://")[2] == request.host if origin else False


def _login(house: House) -> Handler:
    """POST /ops/login"""

    async def enter(request: web.Request) -> web.StreamResponse:
        try:
            fields = await _fields(request)
        except Problem as problem:
            return html("ops_login.html", "en", problem.status, page="ops", wrong=True)
        mark = house.sealer.mark(fields.get("key", "").strip())
        key = await living_key(house, mark)
        if key is None or "ops" not in key.scopes or not _from_here(request):
            return html("ops_login.html", "en", 401, page="ops", wrong=True)
        response = _to("/ops")
        token = tokens.make(house.sealer, COOKIE, {"mark": mark}, SECONDS)
        response.set_cookie(
            COOKIE,
            token,
            max_age=SECONDS,
            path="/ops",
            httponly=True,
            secure=is_secure(request, house),
            samesite="Strict",
        )
        return response

    return enter


async def _logout(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/logout"""
    response = _to("/ops")
    response.del_cookie(COOKIE, path="/ops")
    return response


# --------------------------------------------------------------------------------------------------------------- pages


async def _desk(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """GET /ops"""
    alerts = await open_alerts(house.store, limit=ROWS)
    deliveries = await house.store.read(lambda tx: list_deliveries(tx, limit=ROWS))
    figures = await figures_now(house)
    last = house.clock.now().date()
    charts = []
    for title, name in (
        ("Failed attempts per day, by reason", "reason"),
        ("Failed attempts per day, by carrier", "carrier"),
    ):
        counts: dict[Any, int] = {}
        for each in figures.failed:
            key = (each.day, getattr(each, name).replace("_", " "))
            counts[key] = counts.get(key, 0) + each.count
        columns, series = by_day(counts, figures.since.date(), last)
        charts.append((title, stacked(title, columns, series), [(each.name, sum(each.values)) for each in series]))
    spread = list(figures.attempts.items())
    title = "Parcels by failed attempts"
    drawn = stacked(title, [n for n, _ in spread], [Series("parcels", [count for _, count in spread])])
    charts.append((title, drawn, [(f"{n} failed", count) for n, count in spread]))
    return html(
        "ops.html",
        "en",
        page="ops",
        alerts=alerts.alerts,
        more_alerts=alerts.next is not None,
        risks=(await risks_now(house)).parcels,
        cases=(await cases_now(house)).cases,
        waiting=(await waiting_now(house)).returns,
        purchases=(await purchases_now(house)).purchases,
        codes=(await codes_now(house)).codes,
        carriers=(await carriers_now(house)).carriers,
        failing=[row for row in deliveries if row["tries"] and row["shown"] != "done"],
        charts=charts,
        now=house.clock.now(),
    )


async def _ack(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/alerts/{alert_id}/ack"""
    found = request.match_info["alert_id"]
    if found.isdecimal() and len(found) < 19:
        await acknowledge(house.store, int(found), who, house.clock.now())
    return _to("/ops")


async def _find(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/find: to a parcel's page, by its number."""
    fields = await _fields(request)
    number = "".join(fields.get("number", "").split()).upper()
    for name in sorted(house.carriers):
        try:
            carrier, known = recognised_at(house, name, number)
            await parcel_now(house, carrier, known, None)
        except Problem:
            continue
        return _to(f"/ops/parcels/{carrier}/{known}")
    return html("ops_parcel.html", "en", 404, page="ops", parcel=None, payloads=[], now=house.clock.now())


async def _parcel(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """GET /ops/parcels/{carrier}/{number}: the whole ledger and the raw payloads."""
    try:
        carrier, number = recognised_at(house, request.match_info["carrier"], request.match_info["number"])
        parcel = await parcel_now(house, carrier, number, None)
    except Problem:
        return html("ops_parcel.html", "en", 404, page="ops", parcel=None, payloads=[], now=house.clock.now())
    kept = (await payloads_of(house, carrier, number)).payloads
    return html("ops_parcel.html", "en", page="ops", parcel=parcel, payloads=kept, now=house.clock.now())


async def _fields(request: web.Request) -> dict[str, str]:
    body = await read_bytes(request, FORM, FORM_CAP)
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=8, errors="strict"))
    except ValueError:
        raise Problem("bad_request", "not a form") from None


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
