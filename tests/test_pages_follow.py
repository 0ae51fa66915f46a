"""The pages as a shopper sees them: in a real browser, on a phone and on a desktop, with JavaScript off."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from store.engine import Store
from street.town import Town
from tests.browser import DESKTOP, PHONE, chromium
from tests.doors import CANARIES, MONDAY, Doors, make_house, on_the_street, open_doors

FRIDAY = MONDAY + timedelta(days=11)
pytestmark = pytest.mark.browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(FRIDAY) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store, street[1], FRIDAY)) as doors:
        yield doors


async def going_home(doors: Doors, town: Town) -> str:
    """An order whose parcel was tried three times and is on its way back; its tracking number."""
    await doors.put_order()
    number = town.create("ups", "three_attempts_home", starts_at=MONDAY).number
    await doors.ship("B-1001", number)
    return number


async def open_page(browser: Browser, doors: Doors, path: str, size: dict[str, int], **options: Any) -> Page:
    context = await browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        java_script_enabled=False,
        base_url=str(doors.client.make_url("/")),
        **options,
    )
    page = await context.new_page()
    page.set_default_timeout(5000)
    await page.goto(path)
    return page


async def look_up(page: Page, number: str, email: str = "", postcode: str = "") -> None:
    await page.get_by_label(re.compile("(Order|Return) number")).fill(number)
    await page.get_by_label("E-mail of the order").fill(email)
    await page.get_by_label("Postcode of the delivery address").fill(postcode)
    await page.get_by_role("button", name="Show where it is").click()


async def fits(page: Page) -> bool:
    """Nothing sticks out to the side, so nobody scrolls sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_a_shopper_follows_a_parcel_home(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]], size: dict[str, int]
) -> None:
    """With the e-mail: the journey with where it is now, three attempts with days and reasons, both legs, the link."""
    number = await going_home(doors, street[0])
    page = await open_page(browser, doors, "/follow/order", size)
    await look_up(page, "B-1001", email="canary@example.com")
    text = await page.locator("main").inner_text()
    assert await page.locator("h1").inner_text() == "On its way back to the shop"
    current = page.locator(".journey [aria-current=step]")
    assert await current.count() == 1 and "On its way back" in await current.inner_text()
    assert await page.locator(".attempts li.made").count() == 3
    for attempt in await page.locator(".attempts li.made").all():
        assert re.search(r"(Mon|Tues|Wednes|Thurs|Fri)day, March \d+", await attempt.inner_text())
    assert "On the way back" in await page.locator(".legs [aria-current=true]").inner_text()
    assert "What happens next" in text and "What you can do" in text and "Amsterdam, NL" in text and number in text
    link = page.get_by_role("link", name="Track it at UPS")
    assert number in (await link.get_attribute("href") or "")
    assert "noopener" in (await link.get_attribute("rel") or "")
    await page.get_by_text("Everything that happened").click()
    assert await page.locator(".events li").count() > 5 and await page.locator(".events li").first.is_visible()
    assert not [canary for canary in CANARIES if canary in await page.content()]
    assert await fits(page)
    assert page.url.endswith("/follow/order")  # nothing of the order in an address


async def test_the_number_alone_shows_status_and_dates(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """No number, no link, no place, no attempts; and how to see more."""
    number = await going_home(doors, street[0])
    page = await open_page(browser, doors, "/follow/order", PHONE)
    await look_up(page, "B-1001")
    html = await page.content()
    assert await page.locator("h1").inner_text() == "On its way back to the shop"
    assert number not in html and "Amsterdam" not in html and "ups.com" not in html
    assert await page.locator(".attempts, .events").count() == 0
    assert "with the e-mail or postcode of the order" in html
    assert await fits(page)


async def test_a_refusal_keeps_what_was_typed_and_says_what_to_do(browser: Browser, doors: Doors) -> None:
    """An alert that a screen reader hears, the number still in its field, the proof not."""
    page = await open_page(browser, doors, "/follow/order", PHONE)
    await look_up(page, 'B-"><b>404', email="who@example.com")
    assert "We found nothing for these details" in await page.get_by_role("alert").inner_text()
    assert await page.get_by_label("Order number").input_value() == 'B-"><b>404'
    assert "who@example.com" not in await page.content()
    assert await page.locator("main b").count() == 0


async def test_pages_ask_nobody_else_and_break_no_policy(browser: Browser, doors: Doors) -> None:
    """Every request goes to us, nothing is blocked by our own policy, there is one h1, a main and no script."""
    home = str(doors.client.make_url("/"))
    asked: list[str] = []
    complaints: list[str] = []
    for size in (PHONE, DESKTOP):
        context = await browser.new_context(viewport=size, base_url=home)  # type: ignore[arg-type]
        page = await context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path in ("/", "/follow/order", "/follow/return", "/docs"):
            response = await page.goto(path)
            assert response and response.status == 200
            assert await page.locator("h1").count() == 1 and await page.locator("main#content").count() == 1
            assert await page.locator("script").count() == 0
            width = await page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth")
            assert width != "none"  # our style is on
            assert await fits(page), (path, size)
    assert len(asked) >= 12 and all(url.startswith(home) for url in asked)
    assert complaints == []


async def test_the_pages_work_by_keyboard(browser: Browser, doors: Doors) -> None:
    """The first Tab shows the way past the menu; the form is filled and sent with the keyboard alone."""
    await doors.put_order()
    page = await open_page(browser, doors, "/follow/order", DESKTOP)
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    box = await skip.bounding_box()
    assert box and box["y"] >= 0
    await page.get_by_label("Order number").focus()
    await page.keyboard.type("B-1001")
    async with page.expect_navigation():  # a click waits for what it brings, a key does not
        await page.keyboard.press("Enter")
    assert await page.locator("h1").inner_text() == "Being prepared"


async def test_text_has_the_contrast_that_wcag_aa_asks_for(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """At least 4.5 to 1 between every text and what is behind it, in light and in dark, on form, refusal and story."""
    await going_home(doors, street[0])
    schemes: tuple[Any, ...] = ("light", "dark")
    for scheme in schemes:
        page = await open_page(browser, doors, "/follow/order", PHONE, color_scheme=scheme)
        found = await page.evaluate(CONTRASTS)
        await look_up(page, "B-404")
        found += await page.evaluate(CONTRASTS)
        await look_up(page, "B-1001", email="canary@example.com")
        found += await page.evaluate(CONTRASTS)
        assert len(found) > 60
        assert not [(text, ratio) for text, ratio in found if ratio < 4.5]


CONTRASTS = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = e => {
    for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; }
  };
  const out = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('.hidden-text, .skip')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    out.push([e.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)]);
  }
  return out;
}"""


async def test_a_return_is_followed(browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """From the label on: what to do with it, and by whom it travels."""
    await doors.put_order()
    await doors.ship("B-1001", street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number)
    asked = {
        "merchant": "boutique-eu",
        "orders": [{"order_number": "B-1001", "items": [{"sku": "COAT-42", "reason": "size"}]}],
    }
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    assert status == 201
    page = await open_page(browser, doors, "/follow/return", PHONE)
    await look_up(page, made["return_number"].lower(), postcode="1015 cj")
    assert await page.locator("h1").inner_text() == "Your label is ready"
    text = await page.locator("main").inner_text()
    assert made["return_number"] in text and "hand the parcel to the carrier" in text
    assert await fits(page)


async def test_pages_may_not_be_kept_indexed_or_framed(doors: Doors) -> None:
    """`no-store`, `noindex`, `no-referrer`, no frames, and nothing inline: on the form and on the story."""
    await doors.put_order()
    for method, data in (("GET", None), ("POST", {"number": "B-1001"}), ("POST", {"number": "B-404"})):
        async with doors.client.request(method, "/follow/order", data=data) as response:
            html = await response.text()
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            assert not re.search(r'<script(?! src="/static/)|<style|\sstyle=|\son\w+=', html)
            assert not re.search(r'(src|href|action)="(?!/|#)', html)


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"number=" + b"9" * 5000, {}, 413),
        (b"number=B-1", {"Content-Type": "application/json"}, 415),
        (b"number=%ff%fe", {}, 400),
        (b"&".join([b"a=1"] * 50), {}, 400),
        (b"number=" + b"9" * 65, {}, 404),
        (b"number=%00", {}, 404),
        (b"", {}, 404),
    ],
)
async def test_a_page_answers_nonsense_with_a_page(
    doors: Doors, data: bytes, headers: dict[str, str], status: int
) -> None:
    """Never a 500, never JSON: the form again, with words."""
    sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    async with doors.client.post("/follow/order", data=data, headers=sent) as response:
        html = await response.text()
        assert (response.status, response.content_type) == (status, "text/html")
        assert 'role="alert"' in html and "<form" in html
