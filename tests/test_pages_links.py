"""Signed links, remembered look-ups, label links and shops' looks: what opens, for how long, and what it shows."""

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from api import tokens
from api.colours import AA, TEXTS, contrast, night_palette, palette
from api.look import Looks
from api.papers import looks_like
from merchants.terms import shipped
from store.engine import Store
from store.schema import links
from store.statement import statement
from street.town import Town
from tests.doors import CANARIES, Doors, make_house, make_key, on_the_street, open_doors
from tests.test_pages_states import NOW, a_return, link, start

LINKS = statement(select(links))


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(NOW) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store, street[1], NOW)) as doors:
        yield doors


async def page(doors: Doors, path: str) -> tuple[int, str]:
    async with doors.client.get(path) as response:
        return response.status, await response.text()


async def test_a_link_becomes_a_cookie_and_its_token_is_kept_as_a_hash(doors: Doors, sqlite_store: Store) -> None:
    """128 bits; the address it leads to says nothing; the database cannot open it; another order stays closed."""
    await doors.put_order("B-1")
    await doors.put_order("B-2")
    path = await link(doors, order_number="B-1")
    token = path.rpartition("/")[2]
    assert len(token) == 22
    rows = await sqlite_store.read(lambda tx: tx.all(LINKS))
    assert [row["hash"] for row in rows] == [hashlib.sha256(token.encode()).hexdigest()]
    async with doors.client.get(path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/follow/order/now")
        assert response.headers["Referrer-Policy"] == "no-referrer"
        cookie = response.cookies["hw_order"]
        assert cookie["httponly"] and cookie["path"] == "/follow" and "B-1" not in cookie.value
    status, html = await page(doors, "/follow/order/now")
    assert status == 200 and "Order B-1" in html and not [canary for canary in CANARIES if canary in html]
    assert (await page(doors, "/follow/return/now"))[0] == 404


async def test_a_revoked_or_old_link_opens_nothing_also_where_it_is_open(
    doors: Doors, sqlite_store: Store, street: tuple[Town, dict[str, Any]]
) -> None:
    """Revoked: at once, in open browsers too. Thirty days after delivery it is over; a day before it is not."""
    await doors.put_order("B-1")
    await doors.ship("B-1", street[0].create("ups", "delivered_first_time", starts_at=start(3, 2)).number)
    body = {"merchant": "boutique-eu", "order_number": "B-1"}
    _, made, _ = await doors.call("POST", "/v1/links", json=body)
    assert (await page(doors, made["path"]))[0] == 200
    for days, status in ((22, 200), (24, 404)):  # it was delivered a week before
        async with open_doors(make_house(sqlite_store, street[1], NOW + timedelta(days=days))) as later:
            assert (await page(later, made["path"]))[0] == status, days
    assert (await doors.call("DELETE", f"/v1/links/{made['id']}"))[0] == 204
    assert (await page(doors, "/follow/order/now"))[0] == 404
    status, html = await page(doors, made["path"])
    assert status == 404 and "no longer valid" in html
    assert (await doors.call("DELETE", f"/v1/links/{made['id']}"))[0] == 404


async def test_links_need_their_scope_and_an_order(doors: Doors) -> None:
    weak = await make_key(doors.house, "orders:read")
    body = {"merchant": "boutique-eu", "order_number": "B-404"}
    assert (await doors.call("POST", "/v1/links", json=body))[0] == 422
    assert (await doors.call("POST", "/v1/links", json={"merchant": "boutique-eu"}))[0] == 422
    status, _, _ = await doors.call("POST", "/v1/links", json=body, headers={"Authorization": f"Bearer {weak}"})
    assert status == 403


async def test_a_label_is_behind_a_link_of_fifteen_minutes(
    doors: Doors, street: tuple[Town, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes as the API gives, as an attachment; after 15 minutes, changed, or for another use: nothing."""
    number = await a_return(doors, street[0])
    await page(doors, await link(doors, return_number=number))
    status, html = await page(doors, "/follow/return/label")
    addresses = re.findall(r'href="(/label/[^"]+)"', html)
    assert status == 200 and addresses and number not in addresses[0]
    async with doors.client.get(addresses[0]) as response:
        body = await response.read()
        assert response.status == 200 and response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["Cache-Control"] == "no-store"
    format = "gif" if body.startswith(b"GIF") else "pdf"
    assert body == (await doors.call("GET", f"/v1/returns/{number}/label?format={format}"))[1]
    assert (await page(doors, addresses[0][:-2] + "xx"))[0] == 404
    session = next(cookie.value for cookie in doors.client.session.cookie_jar if cookie.key == "hw_return")
    assert (await page(doors, f"/label/{session}"))[0] == 404
    real = tokens.time.time
    monkeypatch.setattr(tokens.time, "time", lambda: real() + 15 * 60 + 1)
    assert (await page(doors, addresses[0]))[0] == 404


async def test_a_waybill_says_what_to_write(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """By the shop's terms: service, payer, account, the warehouse's address, and the return's number."""
    number = await a_return(doors, street[0])
    await page(doors, await link(doors, return_number=number))
    status, html = await page(doors, "/follow/return/waybill")
    assert status == 200 and number in html
    for words in ("Standard", "Receiver", "W95789", "Interporto di Bologna", "40010 Bentivoglio (BO)"):
        assert words in html


async def test_the_number_alone_prints_nothing(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """A return looked up without a proof has no label, no waybill and no link to them."""
    number = await a_return(doors, street[0])
    async with doors.client.post("/follow/return", data={"number": number}) as response:
        html = await response.text()
        assert response.status == 200 and "/follow/return/label" not in html
    assert (await page(doors, "/follow/return/now"))[0] == 200
    for paper in ("label", "waybill"):
        assert (await page(doors, f"/follow/return/{paper}"))[0] == 404


async def test_updates_are_only_for_whoever_opened_the_story(doors: Doors) -> None:
    """Without a cookie 204 (the browser does not come back); with it a stream that says only a version."""
    await doors.put_order("B-1")
    for query in ("", "?page=order", "?page=nonsense"):
        async with doors.client.get(f"/follow/events{query}") as response:
            assert response.status == 204
    await page(doors, await link(doors, order_number="B-1"))
    async with doors.client.get("/follow/events?page=order") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        told = (await response.content.readuntil(b"\n\n")).decode()
        assert re.fullmatch(r"event: story\ndata: [0-9a-f]{16}\n\n", told)


async def test_a_shop_looks_like_itself(doors: Doors) -> None:
    """Its name and its style on its own pages; another shop's or an unknown one gets ours."""
    status, html = await page(doors, "/follow/order?shop=boutique-eu")
    style = re.search(r'href="(/look/boutique-eu\.[0-9a-f]{12}\.css)"', html)
    assert status == 200 and style and ">Boutique<" in html
    async with doors.client.get(style[1]) as response:
        assert response.content_type == "text/css" and "--accent" in await response.text()
        assert "immutable" in response.headers["Cache-Control"]
    assert "/look/" not in (await page(doors, "/follow/order?shop=nobody"))[1]
    assert (await page(doors, "/look/boutique-eu.css"))[0] == 404


COLOUR = st.integers(0, 0xFFFFFF).map(lambda n: f"#{n:06x}")


@settings(max_examples=300, deadline=None)
@given(COLOUR, COLOUR, COLOUR)
def test_every_look_keeps_wcag_aa(paper: str, ink: str, accent: str) -> None:
    """Whatever three colours a shop states, every text has 4.5 to 1 on everything it may stand on, day and night."""
    for colours in (palette(paper, ink, accent), night_palette(accent)):
        for text, behind in TEXTS.items():
            for back in behind:
                assert contrast(colours[text], colours[back]) >= AA, (text, back)
        assert contrast(colours["strong-line"], colours["card"]) >= 3


def test_contrast_is_what_wcag_says() -> None:
    """Black on white is 21, the same colour 1, and #777777 on white just fails."""
    assert round(contrast("#000000", "#ffffff"), 2) == 21.0
    assert contrast("#123456", "#123456") == 1.0
    assert 4.4 < contrast("#777777", "#ffffff") < 4.5


def test_a_logo_lies_beside_the_terms_and_is_a_picture(tmp_path: Any) -> None:
    """A file elsewhere, too large, or of another kind is not served."""
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "logo.txt").write_text("x")
    (tmp_path / "large.png").write_bytes(b"x" * 300_000)
    terms = shipped()["boutique-eu"][-1]
    for name, served in (("logo.svg", True), ("logo.txt", False), ("../x/logo.svg", False), ("large.png", False)):
        look = terms.look.model_copy(update={"logo": name})
        found = Looks({"shop": [terms.model_copy(update={"look": look})]}, tmp_path).of("shop")
        assert found is not None and bool(found.logo) is served, name


@pytest.mark.parametrize(
    ("body", "format", "is_one"),
    [
        (b"%PDF-1.4 x", "pdf", True), (b"<html>", "pdf", False), (b"GIF89a", "gif", True), (b"^XA^FO", "zpl", True),
        (b"\x89PNG\r\n\x1a\n", "png", True), (b"%PDF-" + b"x" * 3_000_000, "pdf", False), (b"", "png", False),
    ],
)  # fmt: skip
def test_a_label_begins_as_its_format_does(body: bytes, format: str, is_one: bool) -> None:
    assert looks_like(body, format) is is_one
