"""The ops desk: who gets in, what it shows, what it does; in a real browser."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Page
from sqlalchemy import Text, bindparam, insert, select

from alerts.channels import TRIAL, Channel
from alerts.desk import sweep
from alerts.teller import Teller
from api.charts import by_day, in_spans
from fleet.budgets import Budget, Rate
from fleet.clocks import real_now
from store.audience import Audience
from store.engine import Store, Tx
from store.keys import list_keys, revoke_key
from store.outbox import say
from store.schema import parcels
from store.statement import statement
from street.town import Town
from tests import listeners
from tests.browser import DESKTOP, PHONE, axe_violations, chromium
from tests.doors import Doors, make_house, make_key, on_the_street, open_doors
from tests.test_pages_states import picture
from webhooks.outbound import client, deliver, spread

_COPIED = [column for column in parcels.c if column.name not in ("id", "number")]
ANOTHER = statement(  # a parcel just like the one at risk
    insert(parcels).from_select(
        ["number", *(column.name for column in _COPIED)],
        select(bindparam("of", type_=Text), *_COPIED).where(parcels.c.status == "attempt_failed").limit(1),
    )
)
NOW = datetime(2026, 3, 12, 7, 20, tzinfo=UTC)


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(NOW) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    """A desk with something on it: two failed attempts, a parcel on its way back, an alert, a silent carrier."""
    async with open_doors(make_house(sqlite_store, street[1], NOW)) as doors:
        for number, journey, day in (("B-1", "three_attempts_home", 5), ("B-2", "return_under_way", 4)):
            await doors.put_order(number)
            starts = datetime(2026, 3, day, 9, tzinfo=UTC)
            await doors.ship(number, street[0].create("ups", journey, starts_at=starts).number)
        away = {"carrier": "ups", "error": "no answer"}
        await sqlite_store.write(
            lambda tx: say(tx, subject="carrier:ups", name="away/1", type="ops.carrier_away", at=NOW, data=away)
        )
        await sweep(sqlite_store, NOW)
        yield doors


async def enter(doors: Doors, page: Page, key: str) -> None:
    await page.goto(str(doors.client.make_url("/ops")))
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Open the desk").click()


_SIDEWAYS = """() => [...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth)
  .map(each => each.textContent.trim().slice(0, 40))"""
_NARROW = """() => [...document.querySelectorAll('.wide td > div')].filter(
  each => each.textContent.trim() && each.getBoundingClientRect().width < 100).map(each => each.textContent)"""
_UNNAMED = """() => [...document.querySelectorAll('.wide td')].filter(
  each => each.textContent.trim() && !getComputedStyle(each, '::before').content.includes(each.dataset.head))
  .map(each => each.textContent)"""


async def tables_fit(page: Page, size: dict[str, int]) -> None:
    """On a phone nobody scrolls sideways: each cell stands under its column's name, wide enough to be read."""
    if size == PHONE:
        assert await page.locator(".wide td").count() > 5
        for wrong in (_SIDEWAYS, _NARROW, _UNNAMED):
            assert await page.evaluate(wrong) == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_ops_see_what_to_do_and_say_that_they_have(doors: Doors, size: Any) -> None:
    """A key opens it; alerts with what to do next; acknowledged; a parcel with its ledger and raw payloads; charts."""
    async with chromium() as browser:
        context = await browser.new_context(viewport=size)
        page = await context.new_page()
        page.set_default_timeout(8000)
        await enter(doors, page, "hw_live_" + "x" * 43)
        assert "does not open" in await page.get_by_role("alert").inner_text()
        assert await axe_violations(page) == []
        await enter(doors, page, doors.key)
        text = await page.locator("main").inner_text()
        assert "delivery attempt 2 of 3 failed" in text and "Act before the next delivery day" in text
        assert "it was refused" in text.lower() or "refused" in text
        assert await page.locator("svg.chart rect").count() >= 3
        assert await axe_violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        before = await page.get_by_role("button", name="I have seen it").count()
        await page.get_by_role("button", name="I have seen it").first.click()
        assert await page.get_by_role("button", name="I have seen it").count() == before - 1
        assert "seen by key:1" in await page.locator("main").inner_text()
        number = next(iter(doors.house.carriers)) and (await doors.call("GET", "/v1/risks"))[1]["parcels"][0]["number"]
        await page.get_by_label("Find a parcel").fill(f" {number.lower()} ")
        await page.get_by_role("button", name="Show it").click()
        assert page.url.endswith(f"/ops/parcels/ups/{number}")
        assert "Attempt ledger: 2 of 3" in await page.locator("main").inner_text()
        assert await page.locator("details pre").count() >= 1
        assert await axe_violations(page) == []
        await tables_fit(page, size)
        await page.goto(str(doors.client.make_url("/ops")))
        await page.get_by_role("button", name="Leave").click()
        assert await page.get_by_label("API key").count() == 1


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_every_noun_of_the_desk_with_its_buttons(
    street: tuple[Town, dict[str, Any]], sqlite_store: Store, size: Any
) -> None:
    """Quota and ages, what to do next, a home-coming, an endpoint that is down, channels with a test, mutes."""
    async with listeners.mailbox() as box, chromium() as browser:
        channels = {
            "desk": Channel("desk", box.url, Audience("info")),
            "dead": Channel("dead", "json://127.0.0.1:1/", Audience("info")),
        }
        budgets = {"ups": Budget({"*": Rate(8, 1), "tracking": Rate(60, 3600)})}
        house = make_house(sqlite_store, street[1], NOW, teller=Teller(channels), budgets=budgets)
        async with open_doors(house) as doors:
            await a_busy_day(doors, street[0])
            page = await (await browser.new_context(viewport=size)).new_page()
            page.set_default_timeout(8000)
            await enter(doors, page, doors.key)
            told = " ".join((await page.locator("main").inner_text()).split())
            for words in (
                "tracking: 60 of 60 in 3600 s", "all: 8 of 8 in 1 s", "Reach the customer before the next delivery day",
                "Parcels by days until they were home", "4 to 7: 1", "500", "desk (mailto)", "endpoint:1 (webhook)",
            ):  # fmt: skip
                assert words in told, (words, told)
            assert await axe_violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await tables_fit(page, size)
            await picture(page, f"ops-{size['width']}")
            await page.get_by_role("button", name=re.compile("^Test ?: desk")).click()
            assert "desk: it was taken" in await page.get_by_role("status").inner_text()
            assert box.subjects == [TRIAL.title]
            await page.get_by_role("button", name=re.compile("^Test ?: dead")).click()
            assert "dead: it did not work" in await page.get_by_role("status").inner_text()
            assert await axe_violations(page) == []
            muting = page.locator(
                "form", has=page.get_by_role("button", name=re.compile("^Mute ?: ups does not answer"))
            )
            await muting.get_by_role("combobox").select_option("8 hours")
            await muting.get_by_role("button").click()
            assert "muted until 2026-03-12 15:2" in await page.locator("main").inner_text()
            (mute,) = (await doors.call("GET", "/v1/mutes"))[1]["mutes"]
            assert (mute["pattern"], mute["by"]) == ("carrier:ups/away", "key:1")
            await page.get_by_role("button", name="Hear it again").click()
            assert (await doors.call("GET", "/v1/mutes"))[1]["mutes"] == []
            owed = (await doors.call("GET", "/v1/deliveries?state=due"))[1]["deliveries"]
            assert owed[0]["tries"]
            await page.get_by_role("button", name=re.compile(f"^Send now ?: {owed[0]['notice_id']}")).click()
            again = (await doors.call("GET", "/v1/deliveries"))[1]["deliveries"]
            assert [each["detail"] for each in again if each["id"] == owed[0]["id"]] == ["replay"]
            boxes = page.locator("section", has=page.locator("#unidentified"))
            assert "%: parcel UPS 1Z" in await boxes.inner_text() and "dock 3" in await boxes.inner_text()
            await boxes.get_by_role("button", name=re.compile("^It is this one")).first.click()
            await boxes.get_by_role("button", name=re.compile("^It is nobody's")).click()
            assert "is known" in await boxes.inner_text()
            told_of = (await doors.call("GET", "/v1/unidentified?state=all"))[1]["unidentified"]
            assert {each["state"]: each["decided_by"] for each in told_of} == {"matched": "key:1", "dismissed": "key:1"}
            await page.get_by_label("Since which day: endpoint 1").fill("2026-03-01")
            await page.get_by_role("button", name=re.compile("^Replay ?: http")).click()
            again = (await doors.call("GET", "/v1/deliveries"))[1]["deliveries"]
            assert {each["detail"] for each in again} == {"replay"}


async def a_busy_day(doors: Doors, town: Town) -> None:
    """Something of everything: a failing endpoint, a parcel that came home, one at risk, an open alert."""
    store = doors.house.store
    async with listeners.chat() as dead:
        dead.status = 500
        url = "http://" + dead.url.partition("@")[2]
        status, _, _ = await doors.call("POST", "/v1/endpoints", json={"url": url})
        assert status == 201
        for number, journey, day in (("B-1", "three_attempts_home", 5), ("B-2", "three_attempts_home", 1)):
            await doors.put_order(number)
            starts = datetime(2026, 3 if day > 1 else 2, day if day > 1 else 20, 9, tzinfo=UTC)
            await doors.ship(number, town.create("ups", journey, starts_at=starts).number)
        away = {"carrier": "ups", "error": "no answer"}
        await store.write(
            lambda tx: say(tx, subject="carrier:ups", name="away/1", type="ops.carrier_away", at=NOW, data=away)
        )
        await doors.put_order("B-3")
        starts = datetime(2026, 3, 4, 9, tzinfo=UTC)
        await doors.ship("B-3", town.create("ups", "return_under_way", starts_at=starts).number)
        for box in ({"order_number": "B-3", "name": "canary wilhelmina"}, {"note": "dock 3"}):
            status, _, _ = await doors.call("POST", "/v1/unidentified", json=box)
            assert status == 201
        await sweep(store, NOW)
        await spread(store, real_now)
        async with client(allowed={"127.0.0.1"}) as http:
            await deliver(store, doors.house.sealer, http, real_now)


async def test_a_box_is_found_by_what_stands_on_it(doors: Doors) -> None:
    """By the order number or the name, however it is written, without either in an address; and from here only."""
    home = {"Origin": str(doors.client.make_url("/")).rstrip("/")}
    for box in ({"order_number": "B-9", "name": "Wilhelmina Canary", "note": "dock 1"}, {"note": "dock 3"}):
        assert (await doors.call("POST", "/v1/unidentified", json=box))[0] == 201
    async with doors.client.post("/ops/login", data={"key": doors.key}, headers=home, allow_redirects=False) as entered:
        signed = home | {"Cookie": f"hw_ops={entered.cookies['hw_ops'].value}"}
    for sought, found in (
        ("B-9", ["dock 1"]), ("wilhelmina  CANARY", ["dock 1"]), ("", ["dock 1", "dock 3"]), ("nobody", []),
    ):  # fmt: skip
        async with doors.client.post("/ops/unidentified/find", data={"sought": sought}, headers=signed) as response:
            page = await response.text()
        assert [note for note in ("dock 1", "dock 3") if note in page] == found, sought
        assert ("No box that waits here has that on it" in page) is (sought == "nobody")
    async with doors.client.post("/ops/unidentified/find", data={"sought": "B-9"}) as response:
        assert response.status == 403 and "dock 1" not in await response.text()


async def test_nobody_gets_in_without_a_living_key_with_the_scope(doors: Doors, sqlite_store: Store) -> None:
    """No cookie, a key without `ops`, a forged cookie, a form from elsewhere, a key revoked since: the form again."""
    home = {"Origin": str(doors.client.make_url("/")).rstrip("/")}
    weak = await make_key(doors.house, "orders:read")
    for path in ("/ops", "/ops/parcels/ups/1Z5338FF0107231059"):
        async with doors.client.get(path, headers={"Cookie": "hw_ops=forged"}) as response:
            assert response.status == 401 and "B-1" not in await response.text()
    for data, headers in (({"key": weak}, home), ({"key": doors.key}, {"Origin": "https://evil.example"})):
        async with doors.client.post("/ops/login", data=data, headers=headers) as response:
            assert response.status == 401 and "hw_ops" not in response.cookies
    async with doors.client.post("/ops/login", data={"key": doors.key}, headers=home, allow_redirects=False) as entered:
        cookie = entered.cookies["hw_ops"]
        assert cookie["httponly"] and cookie["samesite"] == "Strict" and cookie["path"] == "/ops"
        assert doors.key not in cookie.value
    async with doors.client.get("/ops") as response:
        assert response.status == 200
        page = await response.text()
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        async with doors.client.post("/ops/alerts/1/ack", headers=headers) as response:
            assert response.status == 403
    first = (await sqlite_store.read(list_keys))[0]
    await sqlite_store.write(lambda tx: revoke_key(tx, first.id, NOW))
    async with doors.client.get("/ops") as response:
        assert response.status == 401


async def test_a_trusted_proxy_may_say_who_it_is(doors: Doors, street: Any, sqlite_store: Store) -> None:
    """Only with the setting and a proxy of ours before us; the name itself is not kept."""
    header = {"X-Forwarded-User": "anna@example.com"}
    async with doors.client.get("/ops", headers=header) as response:
        assert response.status == 401
    house = make_house(sqlite_store, street[1], NOW, desk_header="X-Forwarded-User", proxies=1)
    async with open_doors(house) as behind, behind.client.get("/ops", headers=header) as response:
        assert response.status == 200 and "anna@" not in await response.text()


async def test_everything_on_the_desk_is_an_api_call(doors: Doors) -> None:
    """Risks, cases, waiting returns, purchases, codes, carriers, figures, payloads: with the scope `ops` alone."""
    weak = await make_key(doors.house, "orders:read", "parcels:read")
    _, risks, _ = await doors.call("GET", "/v1/risks")
    (line,) = risks["parcels"]
    assert risks["next_cursor"] is None
    paths = ["risks", "cases", "waiting", "purchases", "codes", "carriers", "figures", "channels", "mutes", "alerts"]
    paths.append(f"parcels/ups/{line['number']}/payloads")
    for path in paths:
        assert (await doors.call("GET", f"/v1/{path}"))[0] == 200
        assert (await doors.call("GET", f"/v1/{path}", headers={"Authorization": f"Bearer {weak}"}))[0] == 403
    assert line["attempts"] == 2
    _, cases, _ = await doors.call("GET", "/v1/cases")
    assert [(case["state"], case["reason"]) for case in cases["cases"]] == [("under_way", "refused")]
    _, figures, _ = await doors.call("GET", "/v1/figures")
    assert figures["attempts"] == {"2": 1}
    assert [(each["day"], each["carrier"], each["count"]) for each in figures["failed"]] == [
        ("2026-03-10", "ups", 1),
        ("2026-03-11", "ups", 1),
    ]
    _, carriers, _ = await doors.call("GET", "/v1/carriers")
    assert carriers["carriers"][0]["last_answer"] and carriers["carriers"][0]["following"] == 2


async def test_more_risks_than_a_page_are_all_there(doors: Doors) -> None:
    """The desk says that there are more; the call gives every one of them once, page by page."""
    house = doors.house

    async def many(tx: Tx) -> None:
        for n in range(120):
            await tx.run(ANOTHER, of=f"1ZMANY{n}")

    await house.store.write(many)
    seen, cursor = list[str](), ""
    while cursor is not None:
        _, page, _ = await doors.call("GET", f"/v1/risks?limit=50{f'&cursor={cursor}' if cursor else ''}")
        seen += [line["number"] for line in page["parcels"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 121
    async with doors.client.post(
        "/ops/login", data={"key": doors.key}, headers={"Sec-Fetch-Site": "same-origin"}
    ) as response:
        text = await response.text()
    assert "Parcels at risk (50+)" in text and "GET /v1/risks" in text


def test_days_home_are_counted_in_spans() -> None:
    """Every day belongs to one span, and nothing is lost."""
    spans = in_spans(dict.fromkeys(range(60), 1))
    assert sum(count for _, count in spans) == 60 and len(spans) == 6
    assert spans[0] == ("0 to 3", 4) and spans[-1] == ("over 30", 29)
    assert in_spans({}) == []


def test_a_chart_counts_everything_however_many_names() -> None:
    """Beyond six names the smallest are drawn together; nothing is lost."""
    day = NOW.date()
    counts = {(day, f"reason {n}"): n for n in range(1, 11)}
    columns, series = by_day(counts, day, day)
    assert len(columns) == 1 and len(series) == 6 and series[-1].name == "others"
    assert sum(value for each in series for value in each.values) == 55
