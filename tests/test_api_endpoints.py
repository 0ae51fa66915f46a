"""Where notices go, what is owed and what ops see, through the doors."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alerts import desk
from store.engine import Store
from store.outbox import say
from tests.doors import MONDAY, Doors, make_house, open_doors
from webhooks.outbound import client, deliver, spread


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store)) as doors:
        yield doors


async def test_an_endpoint_shows_its_secret_once(doors: Doors) -> None:
    """In the answer that made it, and never again."""
    body = {"url": "https://shop.example/hooks", "events": ["order.shipped", "parcel.delivered", "order.shipped"]}
    status, made, _ = await doors.call("POST", "/v1/endpoints", json=body)
    assert status == 201 and made["secret"].startswith("whsec_")
    status, listed, _ = await doors.call("GET", "/v1/endpoints")
    assert listed == {"endpoints": [{name: value for name, value in made.items() if name != "secret"}]}
    assert listed["endpoints"][0]["events"] == ["order.shipped", "parcel.delivered"]
    status, body, _ = await doors.call("DELETE", f"/v1/endpoints/{made['id']}")
    assert (status, body) == (204, b"")
    assert (await doors.call("GET", "/v1/endpoints"))[1] == {"endpoints": []}
    assert (await doors.call("DELETE", f"/v1/endpoints/{made['id']}"))[0] == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hooks",
        "ftp://shop.example/hooks",
        "https://",
        "https:///hooks",
        "https://user:pass@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:port/",
        "https://shop.example/\u00fc",
        "http://127.0.0.1.shop.example/",
        "http://10.0.0.1/",
        "https://[::1/",
        "javascript:alert(1)",
        "https://shop.example/" + "a" * 2000,
    ],
)
async def test_a_url_that_notices_may_not_go_to_is_refused(doors: Doors, url: str) -> None:
    status, problem, _ = await doors.call("POST", "/v1/endpoints", json={"url": url})
    assert (status, problem["code"], problem["pointer"]) == (422, "invalid_body", "/url")


@pytest.mark.parametrize("event", ["order.eaten", "ops.push_forged", ""])
async def test_only_types_that_leave_the_house_can_be_asked_for(doors: Doors, event: str) -> None:
    body = {"url": "https://shop.example/hooks", "events": [event]}
    status, problem, _ = await doors.call("POST", "/v1/endpoints", json=body)
    assert (status, problem["pointer"]) == (422, "/events/0")


async def _closed(request: web.Request) -> web.Response:
    return web.Response(status=503, text="closed for lunch")


async def _say_delivered(doors: Doors) -> None:
    for n in range(3):
        await doors.house.store.write(
            lambda tx, n=n: say(
                tx, subject="parcel:1", name=f"n{n}", type="parcel.delivered", at=MONDAY, data={"merchant": "x"}
            )
        )


async def test_deliveries_show_every_try(doors: Doors) -> None:
    """Newest first, in pages, with each try's status and first bytes; narrowed by endpoint and state."""
    store = doors.house.store
    receiver = web.Application()
    receiver.router.add_post("/hooks", _closed)
    async with TestServer(receiver) as server, client(allowed={"127.0.0.1"}) as http:
        await doors.call("POST", "/v1/endpoints", json={"url": f"http://127.0.0.1:{server.port}/hooks"})
        await _say_delivered(doors)
        await spread(store, lambda: datetime.now(UTC))
        await deliver(store, doors.house.sealer, http, lambda: datetime.now(UTC))
    _, first, _ = await doors.call("GET", "/v1/deliveries", params={"limit": "2"})
    _, second, _ = await doors.call("GET", "/v1/deliveries", params={"limit": "2", "cursor": first["next_cursor"]})
    assert [d["id"] for d in first["deliveries"] + second["deliveries"]] == [3, 2, 1]
    assert second["next_cursor"] is None
    one = first["deliveries"][0]
    assert (one["type"], one["state"], one["tries"][0]["status"]) == ("parcel.delivered", "due", 503)
    assert one["tries"][0]["answer"] == "closed for lunch" and one["next_at"]
    for query, count in (({"endpoint": "1"}, 3), ({"endpoint": "2"}, 0), ({"state": "due"}, 3), ({"state": "done"}, 0)):
        _, page, _ = await doors.call("GET", "/v1/deliveries", params=query)
        assert len(page["deliveries"]) == count, query


async def test_an_endpoint_is_disabled_resumed_and_rotated(doors: Doors) -> None:
    """Its state is what was asked for; a rotation shows a new secret once and says how long the old one signs too."""
    _, made, _ = await doors.call("POST", "/v1/endpoints", json={"url": "https://shop.example/hooks"})
    at = f"/v1/endpoints/{made['id']}"
    assert (await doors.call("POST", f"{at}/disable"))[1]["state"] == "disabled"
    assert (await doors.call("POST", f"{at}/resume"))[1]["state"] == "active"
    status, rotated, _ = await doors.call("POST", f"{at}/rotate")
    assert status == 200 and rotated["secret"] != made["secret"]
    until = datetime.fromisoformat(rotated["old_secret_until"].replace("Z", "+00:00"))
    assert timedelta(hours=23, minutes=59) < until - datetime.now(UTC) <= timedelta(hours=24)
    (listed,) = (await doors.call("GET", "/v1/endpoints"))[1]["endpoints"]
    assert "secret" not in listed and listed["old_secret_until"] == rotated["old_secret_until"]
    for call in ("disable", "resume", "rotate"):
        assert (await doors.call("POST", f"/v1/endpoints/99/{call}"))[0] == 404


async def test_replay_by_time_and_by_id(doors: Doors) -> None:
    """Everything since an instant, or one notice; both or neither is refused, and so is what nobody said."""
    store = doors.house.store
    await doors.call("POST", "/v1/endpoints", json={"url": "https://shop.example/hooks"})
    await _say_delivered(doors)
    await spread(store, lambda: datetime.now(UTC))
    at = "/v1/endpoints/1/replay"
    assert (await doors.call("POST", at, json={"since": "2026-03-02T09:00:00Z"}))[1] == {"notices": 3}
    assert (await doors.call("POST", at, json={"since": "2026-03-02T09:00:01Z"}))[1] == {"notices": 0}
    notice = (await doors.call("GET", "/v1/deliveries"))[1]["deliveries"][0]
    assert notice["detail"] == "replay"
    assert (await doors.call("POST", at, json={"notice_id": notice["notice_id"]}))[1] == {"notices": 1}
    status, problem, _ = await doors.call("POST", at, json={"notice_id": "msg_" + "a" * 26})
    assert (status, problem["code"]) == (422, "notice_unknown")
    for body in ({}, {"since": "2026-03-02T09:00:00Z", "notice_id": notice["notice_id"]}):
        assert (await doors.call("POST", at, json=body))[0] == 422
    assert (await doors.call("POST", "/v1/endpoints/9/replay", json={"since": "2026-03-02T09:00:00Z"}))[0] == 404


async def test_alerts_are_listed_and_acknowledged(doors: Doors) -> None:
    """Open ones, newest first; acknowledging names who saw it, and the first name stays."""
    store = doors.house.store
    for digest in ("aa", "bb", "cc"):
        data = {"carrier": "ups", "digest": digest, "source": "push", "error": "not JSON"}
        await store.write(
            lambda tx, digest=digest, data=data: say(
                tx,
                subject="payload:ups",
                name=f"unreadable/{digest}",
                type="ops.payload_unreadable",
                at=MONDAY,
                data=data,
            )
        )
    data = {"carrier": "ups", "error": "no answer", "down": True}
    await store.write(
        lambda tx: say(tx, subject="carrier:ups", name="away/1", type="ops.carrier_away", at=MONDAY, data=data)
    )
    await desk.sweep(store, MONDAY)
    _, page, _ = await doors.call("GET", "/v1/alerts")
    ids = [alert["id"] for alert in page["alerts"]]
    assert ids == sorted(ids, reverse=True) and len(ids) >= 2 and page["next_cursor"] is None
    away = next(alert for alert in page["alerts"] if alert["carrier"] == "ups" and "away" in alert["rung"])
    assert away["title"] and away["action"] and away["acked_at"] is None
    for by in ("anna", "bruno"):
        status, seen, _ = await doors.call("POST", f"/v1/alerts/{away['id']}/ack", json={"by": by})
        assert (status, seen["acked_by"]) == (200, "anna") and seen["acked_at"]
    seen_ids, cursor = [], ""
    while cursor is not None:
        _, page, _ = await doors.call("GET", "/v1/alerts", params={"limit": "1", "cursor": cursor})
        seen_ids += [alert["id"] for alert in page["alerts"]]
        cursor = page["next_cursor"]
    assert seen_ids == ids
