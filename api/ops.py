"""The ops desk's pages: behind a key with the scope `ops`, or a user name that a trusted reverse proxy states."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any

from aiohttp import web
from markupsafe import Markup

from alerts.desk import open_alerts
from api import ops_forms, tokens
from api.channels import TrialLine, channels_now, mutes_now
from api.charts import Series, by_day, in_spans, stacked
from api.desk import (
    FiguresOut,
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
from api.ops_forms import SPANS, fields_of
from api.pages import html
from api.parcels import parcel_now, recognised_at
from api.problems import Problem
from api.sessions import is_secure
from api.unidentified import open_now
from store.endpoints import count_owed, failing_deliveries, list_endpoints
from store.engine import Row, Tx

COOKIE = "hw_ops"
SECONDS = 12 * 3600
ROWS = 50

Page = Callable[[House, web.Request, str], Awaitable[web.StreamResponse]]


def open_desk(app: web.Application, house: House) -> None:
    """Every address of the desk."""
    app.router.add_get("/ops", _behind(house, _desk))
    app.router.add_post("/ops/login", _login(house))
    app.router.add_post("/ops/logout", _behind(house, _logout))
    app.router.add_post("/ops/alerts/{row}/ack", _behind(house, ops_forms.ack))
    app.router.add_post("/ops/mutes", _behind(house, ops_forms.mute))
    app.router.add_post("/ops/mutes/{row}/lift", _behind(house, ops_forms.unmute))
    app.router.add_post("/ops/channels/test", _behind(house, _test))
    app.router.add_post("/ops/unidentified/find", _behind(house, _look_for))
    app.router.add_post("/ops/unidentified/{row}/match", _behind(house, ops_forms.whose))
    app.router.add_post("/ops/unidentified/{row}/dismiss", _behind(house, ops_forms.nobodys))
    app.router.add_post("/ops/endpoints/{row}/replay", _behind(house, ops_forms.send_again))
    app.router.add_post("/ops/endpoints/{row}/resume", _behind(house, ops_forms.go_on))
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
            fields = await fields_of(request)
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
    return await _shown(house)


async def _look_for(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/unidentified/find: the desk, with the boxes that have this on them. Posted: a name is in no address."""
    return await _shown(house, sought=(await ops_forms.fields_of(request)).get("sought", "").strip()[:100])


async def _test(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/channels/test: the desk, with what came of it."""
    try:
        return await _shown(house, (await ops_forms.tried(house, request)).results)
    except Problem as problem:
        return await _shown(house, [TrialLine(channel="", ok=False, detail=problem.detail or problem.title)])


async def _shown(house: House, trials: Sequence[TrialLine] = (), sought: str = "") -> web.Response:
    now = house.clock.now()
    alerts = await open_alerts(house.store, limit=ROWS, now=now)
    endpoints, failing = await house.store.read(_endpoints)
    risks, cases = await risks_now(house, limit=ROWS), await cases_now(house, limit=ROWS)
    return html(
        "ops.html",
        "en",
        page="ops",
        alerts=alerts.alerts,
        more_alerts=alerts.next is not None,
        spans=list(SPANS),
        mutes=(await mutes_now(house)).mutes,
        channels=(await channels_now(house)).channels,
        trials=trials,
        risks=risks.parcels,
        cases=cases.cases,
        more={name for name, page in (("risks", risks), ("cases", cases)) if page.next_cursor},
        waiting=(await waiting_now(house)).returns,
        unidentified=await open_now(house, ROWS, sought),
        sought=sought,
        purchases=(await purchases_now(house)).purchases,
        codes=(await codes_now(house)).codes,
        carriers=(await carriers_now(house)).carriers,
        endpoints=endpoints,
        failing=failing,
        charts=charts_of(await figures_now(house), now.date()),
        age=age,
        now=now,
    )


async def _endpoints(tx: Tx) -> tuple[list[dict[str, Any]], Sequence[Row]]:
    """Every endpoint with what is owed to it, and the notices that do not arrive."""
    owed = {row["endpoint_id"]: row["owed"] for row in await count_owed(tx)}
    rows = [
        {
            "id": each.id,
            "url": each.url,
            "state": each.state,
            "failing_since": each.failing_since,
            "hold_until": each.hold_until,
            "owed": owed.get(each.id, 0),
        }
        for each in await list_endpoints(tx)
    ]
    return rows, await failing_deliveries(tx, ROWS)


def charts_of(figures: FiguresOut, last: date) -> list[tuple[str, Markup, list[tuple[str, int]]]]:
    """Each chart's title, its drawing, and its numbers."""
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
    spread = [(f"{n} failed", count) for n, count in figures.attempts.items()]
    home = in_spans({each.days: each.count for each in figures.time_to_return})
    for title, counted in (("Parcels by failed attempts", spread), ("Parcels by days until they were home", home)):
        drawn = stacked(title, [name for name, _ in counted], [Series("parcels", [count for _, count in counted])])
        charts.append((title, drawn, [(name, count) for name, count in counted if count]))
    return charts


def age(seconds: int | None) -> str:
    """How long ago, in a word or two."""
    if seconds is None:
        return "never"
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


async def _find(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/find: to a parcel's page, by its number."""
    fields = await fields_of(request)
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


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
