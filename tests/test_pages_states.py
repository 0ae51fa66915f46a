"""Every state that a shopper can meet, in a real browser: its own words, no axe violation, pictures of it."""

import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from sqlalchemy import bindparam, update

from api.words import catalogues
from store.engine import Store, Tx
from store.schema import returns
from store.settings import forget_setting, put_setting
from store.statement import statement
from street.town import Town
from tests.browser import DESKTOP, PHONE, axe_violations, chromium
from tests.doors import CANARIES, Doors, make_house, on_the_street, open_doors

NOW = datetime(2026, 3, 12, 7, 28, tzinfo=UTC)  # Thursday morning; in Amsterdam the vans have just left
ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "build" / "pictures"
KEPT = ROOT / "docs" / "pictures"
KEPT_NAMES = {
    "follow-order", "follow-order-phone", "follow-order-it", "follow-order-de-phone", "going-home-fr", "lost-phone",
    "early", "delivered-es-phone", "return-label-ready", "return-checking-phone", "refused-phone", "dark-phone",
}  # fmt: skip
"""Kept in docs/pictures when the tests run with HOMEWARD_PICTURES=keep; all of them are made in build/."""
AHEAD = ["2026-03-11", "2026-03-16"]
SET_STATE = statement(update(returns).where(returns.c.number == bindparam("of")).values(state=bindparam("to")))
pytestmark = pytest.mark.browser


def start(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 9, 0, tzinfo=UTC)


# name, the street's journey and its start, what the page says (English), one word of it in German
ORDERS: dict[str, tuple[str, datetime | None, str, str]] = {
    "empty": ("", None, "The shop is preparing your order", "Der Shop bereitet Ihre Bestellung vor"),
    "early": (
        "delivered_first_time",
        NOW - timedelta(hours=1),
        "The carrier has not scanned the parcel yet",
        "noch nicht gescannt",
    ),
    "in_transit": ("delivered_first_time", start(3, 10), "Your parcel is on its way", "Ihr Paket ist unterwegs"),
    "out": ("delivered_first_time", start(3, 9), "is with the driver", "im Zustellfahrzeug"),
    "attempts": ("three_attempts_home", start(3, 5), "The carrier will try 1 more time", "noch 1 Mal"),
    "undeliverable": ("final_attempt_no_return_scan", start(3, 2), "could not be delivered", "nicht zugestellt werden"),
    "point": ("access_point_collected", start(3, 6), "waiting for you to collect it", "zur Abholung bereit"),
    "delayed": ("weather_delay", start(3, 9), "Your parcel is delayed", "Ihr Paket verspätet sich"),
    "customs": ("customs_hold", start(3, 2), "Your parcel is at customs", "beim Zoll"),
    "damaged": ("damaged", start(3, 2), "found damage", "einen Schaden"),
    "lost": ("lost", start(2, 20), "cannot find your parcel", "nicht finden"),
    "going_home": ("return_under_way", start(3, 5), "on its way back to the shop", "auf dem Rückweg zum Shop"),
    "home": ("three_attempts_home", start(2, 20), "came back to the shop's warehouse", "ins Lager des Shops zurück"),
    "delivered": ("delivered_first_time", start(3, 2), "Your parcel was delivered", "zugestellt"),
}
RETURNS = {
    "registered": ("Registered", "Angemeldet"),
    "label_pending": ("Your label is being made", "Ihr Etikett wird erstellt"),
    "label_ready": ("Your label is ready", "Ihr Etikett ist bereit"),
    "on_its_way": ("On its way to the warehouse", "Unterwegs zum Lager"),
    "received": ("Arrived at the warehouse", "Im Lager angekommen"),
    "checking": ("Being checked", "In Prüfung"),
    "accepted": ("Your refund of", "Ihre Erstattung von"),
    "rejected": ("Not accepted", "Nicht angenommen"),
    "sent_back": ("On its way back to you", "Auf dem Weg zurück zu Ihnen"),
    "exchanged": ("Your exchange is being shipped", "Ihr Umtausch wird"),
    "refunded": ("your refund was made", "Ihre Erstattung ist erfolgt"),
    "cancelled": ("it was cancelled", "wurde storniert"),
    "lost": ("Lost", "Verloren"),
    "bounced": ("Turned round on its way", "Unterwegs umgekehrt"),
}

_PIECE = {"order_number": "B-3000", "sku": "COAT-42", "quantity": 1, "verdict": "accepted"}
WAREHOUSE: dict[str, tuple[str, dict[str, Any]]] = {
    "received": ("received", {}),
    "accepted": ("outcome", {"items": [_PIECE]}),
}
"""What the warehouse says before a state: then there is money to speak of."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(NOW) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store, street[1], NOW)) as doors:
        yield doors


async def link(doors: Doors, **what: str) -> str:
    """A signed link's address."""
    status, made, _ = await doors.call("POST", "/v1/links", json={"merchant": "boutique-eu", **what})
    assert status == 201, made
    return str(made["path"])


async def order(doors: Doors, town: Town, name: str, **changes: Any) -> str:
    """An order in this state; its link."""
    journey, started, _, _ = ORDERS[name]
    number = f"B-{2000 + list(ORDERS).index(name)}"
    await doors.put_order(number, **{"promise": AHEAD} | changes)
    if journey and started:
        await doors.ship(number, town.create("ups", journey, starts_at=started).number)
    return await link(doors, order_number=number)


async def a_return(doors: Doors, town: Town) -> str:
    """A return whose label is ready; its number."""
    await doors.put_order("B-3000")
    await doors.ship("B-3000", town.create("ups", "delivered_first_time", starts_at=start(3, 2)).number)
    items = [{"sku": "COAT-42", "reason": "size"}]
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": "B-3000", "items": items}]}
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    assert status == 201, made
    return str(made["return_number"])


async def open_tab(browser: Browser, doors: Doors, size: Any, locale: str = "en", **options: Any) -> Page:
    home = str(doors.client.make_url("/"))
    context = await browser.new_context(viewport=size, base_url=home, locale=locale, **options)
    page = await context.new_page()
    page.set_default_timeout(8000)
    return page


async def picture(page: Page, name: str) -> None:
    """A picture of the whole page, in build/ and, where it belongs to the documentation, in docs/."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    shot = await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    if name in KEPT_NAMES and os.environ.get("HOMEWARD_PICTURES") == "keep":
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{name}.png").write_bytes(shot)


async def text_of(page: Page) -> str:
    return re.sub(r"\s+", " ", await page.locator("main").inner_text())


VIEWS: list[Any] = [
    pytest.param(DESKTOP, "en", True, id="desktop-en"),
    pytest.param(PHONE, "de", False, id="phone-de-without-javascript"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "locale", "javascript"), VIEWS)
async def test_every_state_of_an_order_has_its_own_words(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]], size: Any, locale: str, javascript: bool
) -> None:
    """Fourteen states, each in its words; axe finds nothing; nothing sticks out; nobody's name or street is there."""
    page = await open_tab(browser, doors, size, locale, java_script_enabled=javascript)
    twin = page if javascript else await open_tab(browser, doors, size, locale)  # axe itself needs JavaScript
    seen = set()
    for name, (_, _, english, german) in ORDERS.items():
        path = await order(doors, street[0], name)
        await page.goto(path)
        assert page.url.endswith("/follow/order/now")  # the token has left the address
        told = await text_of(page)
        assert (english if locale == "en" else german) in told, (name, told)
        seen.add(told)
        if twin is not page:
            await twin.goto(path)
        assert await axe_violations(twin) == [], name
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert not [canary for canary in CANARIES if canary in await page.content()]
        await picture(page, f"order-{name}-{locale}")
    assert len(seen) == len(ORDERS)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "locale", "javascript"), VIEWS)
async def test_every_state_of_a_return_has_its_own_words(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]], size: Any, locale: str, javascript: bool
) -> None:
    """Fourteen states, each in its words; axe finds nothing; a label can be printed only while it waits."""
    number = await a_return(doors, street[0])
    page = await open_tab(browser, doors, size, locale, java_script_enabled=javascript)
    twin = page if javascript else await open_tab(browser, doors, size, locale)
    path = await link(doors, return_number=number)
    for state, (english, german) in RETURNS.items():
        if state in WAREHOUSE:
            call, said = WAREHOUSE[state]
            status, answer, _ = await doors.call("POST", f"/v1/returns/{number}/{call}", json=said)
            assert status == 200, answer
        await doors.house.store.write(lambda tx, to=state: tx.run(SET_STATE, of=number, to=to))  # type: ignore[misc]
        await page.goto(path)
        told = await text_of(page)
        assert (english if locale == "en" else german) in told, (state, told)
        if twin is not page:
            await twin.goto(path)
        assert await axe_violations(twin) == [], state
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state
        assert await page.locator(".papers a").count() == (2 if state == "label_ready" else 0)
        await picture(page, f"return-{state}-{locale}")


@pytest.mark.slow
async def test_forms_refusals_and_papers_have_no_axe_violation(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """Both forms, a refusal, an ended link, a forgotten look-up, the label's and the waybill's print view."""
    number = await a_return(doors, street[0])
    path = await link(doors, return_number=number)
    for locale, size in (("it", PHONE), ("fr", DESKTOP), ("es", PHONE)):
        page = await open_tab(browser, doors, size, locale)
        for address in ("/follow/order", "/follow/return?shop=boutique-eu", "/follow/link/x", "/follow/order/now"):
            await page.goto(address)
            assert await axe_violations(page) == [], (address, locale)
        await page.goto(path)
        for paper in ("/follow/return/label", "/follow/return/waybill"):
            await page.goto(paper)
            assert number in await text_of(page)
            assert await axe_violations(page) == [], (paper, locale)
            await picture(page, f"{paper.rpartition('/')[2]}-{locale}")
    assert "W95789" in await text_of(page) and "Interporto di Bologna" in await text_of(page)
    page = await open_tab(browser, doors, PHONE)
    await page.goto("/follow/order")
    await page.get_by_label("Order number").fill("B-404")
    await page.get_by_role("button", name="Show where it is").click()
    assert await axe_violations(page) == []
    await picture(page, "refused-phone")


@pytest.mark.slow
async def test_pictures_for_the_documentation(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """An order with two failed attempts: desktop and phone, several languages, by night; and other states."""
    town = street[0]
    paths = {name: await order(doors, town, name) for name in ("attempts", "going_home", "lost", "early", "delivered")}
    number = await a_return(doors, town)
    back = await link(doors, return_number=number)
    shots: list[tuple[str, str, Any, str, dict[str, Any]]] = [
        ("follow-order", paths["attempts"], DESKTOP, "en", {}),
        ("follow-order-phone", paths["attempts"], PHONE, "en", {}),
        ("follow-order-it", paths["attempts"], DESKTOP, "it", {}),
        ("follow-order-de-phone", paths["attempts"], PHONE, "de", {}),
        ("dark-phone", paths["attempts"], PHONE, "en", {"color_scheme": "dark"}),
        ("going-home-fr", paths["going_home"], DESKTOP, "fr", {}),
        ("lost-phone", paths["lost"], PHONE, "en", {}),
        ("early", paths["early"], DESKTOP, "en", {}),
        ("delivered-es-phone", paths["delivered"], PHONE, "es", {}),
        ("return-label-ready", back, DESKTOP, "en", {}),
        ("return-checking-phone", back, PHONE, "en", {}),
    ]
    for name, path, size, locale, options in shots:
        if name == "return-checking-phone":
            status, told, _ = await doors.call("POST", f"/v1/returns/{number}/received", json={})
            assert status == 200, told
            await doors.house.store.write(lambda tx: tx.run(SET_STATE, of=number, to="checking"))
        page = await open_tab(browser, doors, size, locale, **options)
        await page.goto(path)
        if name.startswith(("follow-order", "dark")):
            assert await page.locator(".attempts li.made").count() == 2
            assert await page.locator(".attempts li").count() == 3
        assert await axe_violations(page) == [], name
        await picture(page, name)
        assert (PICTURES / f"{name}.png").stat().st_size < 400_000
        await page.context.close()


async def test_what_is_late_early_or_old_says_so(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]], sqlite_store: Store
) -> None:
    """Business days left and over, a silent carrier, an answer of two days ago, a parcel nobody scanned."""
    path = await order(doors, street[0], "in_transit")
    page = await open_tab(browser, doors, DESKTOP)
    await page.goto(path)
    assert "The promised time ends in 2 business days." in await text_of(page)  # Friday and Monday
    late = await order(doors, street[0], "attempts", promise=["2026-03-04", "2026-03-06"])
    await page.goto(late)
    told = await text_of(page)
    assert "the last promised day was Friday, March 6" in told and "It is 4 business days late." in told
    await sqlite_store.write(lambda tx: put_setting(tx, "away:ups", "1"))
    await page.goto(path)
    assert "The carrier does not answer at the moment" in await text_of(page)
    await sqlite_store.write(lambda tx: put_setting(tx, "away:usps", "1"))
    early = await order(doors, street[0], "early")
    async with open_doors(make_house(sqlite_store, street[1], NOW + timedelta(days=2))) as later:
        other = await open_tab(browser, later, DESKTOP)
        await other.goto(early)
        told = await text_of(other)
        assert "the carrier has not scanned it yet" in told and "handed over on Thursday, March 12" in told


async def test_an_answer_of_two_days_ago_is_called_old(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]], sqlite_store: Store
) -> None:
    """When nobody could ask for long, the page says how old its answer is."""
    path = await order(doors, street[0], "in_transit")
    async with open_doors(make_house(sqlite_store, street[1], NOW + timedelta(days=2))) as later:
        page = await open_tab(browser, later, DESKTOP)
        await page.goto(path)
        assert "the last answer is 2 days old" in await text_of(page)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "locale", "javascript"), VIEWS)
async def test_wrong_away_and_old_have_their_own_words(
    browser: Browser,
    doors: Doors,
    street: tuple[Town, dict[str, Any]],
    sqlite_store: Store,
    size: Any,
    locale: str,
    javascript: bool,
) -> None:
    """Details that open nothing, a carrier that does not answer, an answer of two days ago: each said, axe content."""
    words = {
        "en": (
            "We found nothing for these details",
            "The carrier does not answer at the moment",
            "the last answer is 2 days",
        ),
        "de": ("Zu diesen Angaben haben wir nichts gefunden", "antwortet", "Die letzte Antwort ist 2 Tage"),
    }[locale]
    page = await open_tab(browser, doors, size, locale, java_script_enabled=javascript)
    twin = page if javascript else await open_tab(browser, doors, size, locale)  # axe itself needs JavaScript
    path = await order(doors, street[0], "in_transit")
    for each in (page, twin) if twin is not page else (page,):
        await each.goto("/follow/order")
        await each.locator("input[name=number]").fill("B-404")
        await each.locator("main form button[type=submit]").click()
    await _says(page, twin, words[0], f"order-wrong-{locale}")
    await sqlite_store.write(lambda tx: put_setting(tx, "away:ups", "1"))
    for each in {page, twin}:
        await each.goto(path)
    await _says(page, twin, words[1], f"order-away-{locale}")
    await sqlite_store.write(lambda tx: forget_setting(tx, "away:ups"))
    async with open_doors(make_house(sqlite_store, street[1], NOW + timedelta(days=2))) as later:
        page = await open_tab(browser, later, size, locale, java_script_enabled=javascript)
        twin = page if javascript else await open_tab(browser, later, size, locale)
        for each in {page, twin}:
            await each.goto(path)
        await _says(page, twin, words[2], f"order-old-{locale}")


async def _says(page: Page, twin: Page, words: str, name: str) -> None:
    assert words in await text_of(page), (name, await text_of(page))
    assert await axe_violations(twin) == [], name
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    await picture(page, name)


# the state, and the sentence that it alone has
SENTENCES = {
    "empty": "next.being_prepared",
    "early": "story.label_created",
    "delayed": "story.delayed",
    "lost": "story.lost",
    "wrong": "form.refused.title",
    "away": "story.carrier_away",
    "old": "story.stale",
}


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["en", "it", "fr", "de", "es"])
async def test_each_state_speaks_each_language(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]], sqlite_store: Store, locale: str
) -> None:
    """Empty, early, delayed, lost, wrong, away, old: the catalogue's own sentence, no bare key, nothing of English."""
    paths = {name: await order(doors, street[0], name) for name in ("empty", "early", "delayed", "lost", "in_transit")}
    page = await open_tab(browser, doors, PHONE, locale, java_script_enabled=False)
    told = {}
    for name in ("empty", "early", "delayed", "lost"):
        await page.goto(paths[name])
        told[name] = await text_of(page)
    await page.goto("/follow/order")
    await page.locator("input[name=number]").fill("B-404")
    await page.locator("main form button[type=submit]").click()
    told["wrong"] = await text_of(page)
    await sqlite_store.write(lambda tx: put_setting(tx, "away:ups", "1"))
    await page.goto(paths["in_transit"])
    told["away"] = await text_of(page)
    await sqlite_store.write(lambda tx: forget_setting(tx, "away:ups"))
    async with open_doors(make_house(sqlite_store, street[1], NOW + timedelta(days=2))) as later:
        page = await open_tab(browser, later, PHONE, locale, java_script_enabled=False)
        await page.goto(paths["in_transit"])
        told["old"] = await text_of(page)
    assert await page.locator("html").get_attribute("lang") == locale
    for name, key in SENTENCES.items():
        assert sentence(key, locale) in told[name], (name, told[name])
        others = [each for each in SENTENCES if each != name and sentence(key, locale) in told[each]]
        assert others == [], (name, others)
        assert not re.search(r"\b(story|next|form|state|step)\.[a-z_]+|[{}]", told[name]), (name, told[name])
        if locale != "en":
            assert sentence(key, "en") not in told[name]


def sentence(key: str, locale: str) -> str:
    """The longest part of a catalogue's sentence that has no argument in it."""
    parts = re.split(r"\{\w+\}", catalogues()[locale].forms[key][0])
    return max((part.strip(" .:,") for part in parts), key=len)


async def test_an_open_page_keeps_itself_up_to_date(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """The state changes in an open page by itself, a screen reader hears it, and what was unfolded stays so."""
    number = await a_return(doors, street[0])
    complaints: list[str] = []
    page = await open_tab(browser, doors, PHONE)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(await link(doors, return_number=number))
    assert await page.locator("h1").inner_text() == "Your label is ready"
    await page.get_by_text("keeps itself up to date").wait_for()

    async def check(tx: Tx) -> None:
        await tx.run(SET_STATE, of=number, to="checking")
        tx.touch("return:1")

    await doors.house.store.write(check)
    await page.get_by_role("heading", name="Being checked").wait_for()
    assert "Being checked" in (await page.get_by_role("status").text_content() or "")
    assert complaints == []


async def test_a_language_is_chosen_on_the_page_and_kept(
    browser: Browser, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """Five languages under every page; the choice wins over the browser's and stays for the next page."""
    page = await open_tab(browser, doors, PHONE, "en", java_script_enabled=False)
    await page.goto(await order(doors, street[0], "delivered"))
    for name, heading in (("Italiano", "Consegnato"), ("Español", "Entregado"), ("Français", "Livrée")):
        await page.get_by_role("link", name=name).click()
        assert heading in await page.locator("h1").inner_text()
    assert await page.locator("html").get_attribute("lang") == "fr"
    await page.goto("/follow/return")
    assert await page.locator("h1").inner_text() == "Suivre votre retour"
    assert (await page.context.cookies())[0]["sameSite"] == "Lax"
    assert date(2026, 3, 2).isoformat() not in page.url
