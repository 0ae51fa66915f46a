"""What a shopper prints: the label behind a link of 15 minutes, and the waybill that stands in for a lost one."""

from functools import partial
from typing import Any

from aiohttp import web

from api import tokens
from api.house import House
from api.links import opened_by
from api.manners import Handler
from api.pages import LOOKS, html, locale_of, papers_of, sorry
from api.sessions import recall
from api.waybill_pdf import draw_waybill
from api.words import render
from carriers.contract import LabelFormat
from returns.addresses import places_near
from returns.showing import label_document, return_view
from returns.waybills import Instructions, issue_waybill
from spending.machine import LabelState
from tracker.follow import Follow, FollowKind
from tracker.orders import Declined

MINUTES = 15
"""So long a label's address works.  # source: design/faults-and-security.md (e), "Label = money + address" """
USE = "label"
LARGEST = 2 * 1024 * 1024
_PNG = b"\x89PNG\r\n"
_STARTS = {
    "pdf": (b"%PDF-",),
    "png": (_PNG,),
    "qr": (_PNG,),
    "gif": (b"GIF87a", b"GIF89a"),
    "zpl": (b"^XA", b"\x10CT~~CD"),
}
_PICTURES = frozenset({"png", "gif", "qr"})


def label_address(house: House, number: str, format: str) -> str:
    """Where this label is found for the next minutes; the address says nothing about whose it is."""
    return "/label/" + tokens.make(house.sealer, USE, {"number": number, "format": format}, MINUTES * 60)


def label(house: House) -> Handler:
    """GET /label/{token}: the label's bytes, as they were bought."""

    async def give(request: web.Request) -> web.Response:
        facts = tokens.read(house.sealer, USE, request.match_info["token"])
        if facts is None:
            return sorry(request, FollowKind.RETURN, "label.expired")
        view = await house.store.read(lambda tx: return_view(tx, facts["number"]))
        if view is None or view["label"] is None or view["label"]["state"] != LabelState.LIVE:
            return sorry(request, FollowKind.RETURN, "label.expired")  # void since: nobody gets it from us
        try:
            document = await label_document(house.store, house.sealer, facts["number"], LabelFormat(facts["format"]))
        except Declined:  # purged
            return sorry(request, FollowKind.RETURN, "label.expired")
        if not looks_like(document.body, facts["format"]):
            raise ValueError("what is kept as a label is none")
        name = f'attachment; filename="label.{facts["format"]}"'
        headers = {"Content-Disposition": name, "Content-Type": document.media_type}
        return web.Response(body=document.body, headers=headers)

    return give


def looks_like(body: bytes, format: str) -> bool:
    """Whether these bytes begin as this format does, and are no larger than a label is."""
    return len(body) <= LARGEST and body.lstrip()[:16].startswith(_STARTS[format])


def print_label(house: House) -> Handler:
    """GET /follow/return/label: the label to open and print."""

    async def show(request: web.Request) -> web.Response:
        follow = await _return_with(house, request, "label")
        if follow is None:
            return sorry(request, FollowKind.RETURN, "form.session")
        view = await house.store.read(lambda tx: return_view(tx, follow.number))
        formats = view["label"]["formats"] if view and view["label"] else []
        addresses = {format: label_address(house, follow.number, format) for format in formats}
        pictures = {format: where for format, where in addresses.items() if format in _PICTURES}
        picture = pictures.get("qr") or next(iter(pictures.values()), "")
        places = await places_near(house.till, follow.number)
        code = "qr" in formats
        return _page(request, follow, "label.html", addresses=addresses, picture=picture, places=places, code=code)

    return show


def print_waybill(house: House) -> Handler:
    """GET /follow/return/waybill: what to write on a blank one, by the shop's terms."""

    async def show(request: web.Request) -> web.Response:
        follow = await _return_with(house, request, "waybill")
        if follow is None:
            return sorry(request, FollowKind.RETURN, "form.session")
        told = await _told(house, follow)
        if told is None:
            return sorry(request, FollowKind.RETURN, "form.session")
        return _page(request, follow, "waybill.html", told=told)

    return show


def waybill_pdf(house: House) -> Handler:
    """GET /follow/return/waybill.pdf: the same on a sheet of its own."""

    async def give(request: web.Request) -> web.Response:
        follow = await _return_with(house, request, "waybill")
        told = await _told(house, follow) if follow else None
        if follow is None or told is None:
            return sorry(request, FollowKind.RETURN, "form.session")
        locale = locale_of(request)
        shop = house.terms[follow.merchant][-1].look.name
        body = draw_waybill(told, shop, partial(_in, locale))
        name = f'attachment; filename="{follow.number}-waybill.pdf"'
        return web.Response(body=body, content_type="application/pdf", headers={"Content-Disposition": name})

    return give


async def _told(house: House, follow: Follow) -> Instructions | None:
    """The instructions; from the first look on the return waits for a number that nobody knows yet."""
    try:
        return await issue_waybill(house.till, house.terms, follow.number)
    except Declined:  # it moved since
        return None


def _in(locale: str, key: str, **arguments: Any) -> str:
    return render(key, locale, **arguments)


async def _return_with(house: House, request: web.Request, paper: str) -> Follow | None:
    """The return that this browser opened, if this paper belongs to it now."""
    grant = recall(request, house, FollowKind.RETURN)
    opened = await opened_by(house, grant) if grant else None
    return opened.story if opened and paper in papers_of(house, opened.story) else None


def _page(request: web.Request, follow: Follow, template: str, **context: Any) -> web.Response:
    look = request.app[LOOKS].of(follow.merchant)
    return html(template, locale_of(request), here=request.path, look=look, page="return", follow=follow, **context)
