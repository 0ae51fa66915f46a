"""Every answer has the same manners: a request id, headers, problems instead of crashes, a log without data."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from api import app as doors_app
from api.ready import ALWAYS
from store.engine import Store, StoreError
from store.migrate import Schema, check
from tests.doors import CANARIES, Doors, make_house, open_doors


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store)) as doors:
        yield doors


async def test_a_sane_request_id_is_kept_and_any_other_replaced(doors: Doors) -> None:
    """The caller's own X-Request-Id comes back; one that could forge a log line or is too long does not."""
    _, _, headers = await doors.call("GET", "/healthz", headers={"X-Request-Id": "shop-7f3a.1_b"})
    assert headers["X-Request-Id"] == "shop-7f3a.1_b"
    for bad in ("x", "a b c d e f g h", "a" * 65, '"},{"forged":1'):
        _, _, headers = await doors.call("GET", "/healthz", headers={"X-Request-Id": bad})
        assert headers["X-Request-Id"] != bad and len(headers["X-Request-Id"]) == 24


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/follow/order", "/openapi.json", "/healthz", "/nowhere", "/v1/parcels"]
)
async def test_every_answer_has_the_security_headers(doors: Doors, path: str) -> None:
    """Pages, JSON and errors alike."""
    async with doors.client.get(path) as response:
        for name, value in ALWAYS.items():
            if name != "Cache-Control":
                assert response.headers[name] == value, name


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "unknown_route"),
        ("DELETE", "/v1/parcels", 405, "method_not_allowed"),
        ("GET", "/v1/orders/boutique-eu/B-404", 404, "order_not_found"),
        ("GET", "/v1/orders/BAD!/B-404", 400, "invalid_path"),
        ("GET", "/v1/parcels/ups/1Z5338FF0107231059", 404, "carrier_unknown"),
        ("GET", "/v1/parcels?limit=0", 400, "invalid_query"),
        ("GET", "/v1/parcels?colour=red", 400, "invalid_query"),
        ("GET", "/v1/parcels?limit=1&limit=2", 400, "invalid_query"),
        ("GET", "/v1/parcels?cursor=nonsense", 400, "invalid_cursor"),
        ("POST", "/v1/alerts/1/ack", 404, "alert_unknown"),
        ("DELETE", "/v1/endpoints/9", 404, "endpoint_unknown"),
    ],
)
async def test_errors_are_problems(doors: Doors, method: str, path: str, status: int, code: str) -> None:
    """application/problem+json with the code, the status of the answer and the request's id."""
    body = {"json": {}} if method == "POST" else {}
    found, problem, headers = await doors.call(method, path, **body)
    assert (found, problem["code"], problem["status"]) == (status, code, status)
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == headers["X-Request-Id"]
    assert problem["type"] == f"/docs#problem-{code}" and problem["title"] and problem["detail"]


async def test_405_says_what_is_allowed(doors: Doors) -> None:
    _, _, headers = await doors.call("DELETE", "/v1/endpoints")
    assert headers["Allow"] == "GET, HEAD, POST"


async def test_a_crash_is_a_500_without_its_message(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the answer nor the log holds what the exception said; both hold the request id."""

    class Broken:
        async def one(self, statement: object, **params: object) -> object:
            raise RuntimeError("secret canary@example.com")

    async with open_doors(make_house(sqlite_store)) as doors:
        object.__setattr__(doors.house, "store", Broken())
        with capture_logs() as logs:
            status, problem, _ = await doors.call("GET", "/v1/parcels")
    assert (status, problem["code"]) == (500, "internal")
    assert "canary" not in str(problem) and "canary" not in str(logs)
    crash = next(line for line in logs if line["event"] == "crash")
    assert crash["request_id"] == problem["request_id"] and crash["kind"] == "RuntimeError"
    assert any("keys.py" in place for place in crash["places"])


async def test_the_log_line_holds_the_route_and_nothing_that_was_asked(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    """Allow-listed fields; numbers, bodies and addresses of a request never reach the log."""
    caplog.set_level("INFO", "api")  # below it no line is made
    with capture_logs() as logs:
        await doors.put_order("B-7777")
        await doors.call("GET", "/v1/orders/boutique-eu/B-7777")
        await doors.call("POST", "/v1/follow/order", json={"order_number": "B-7777", "email": "canary@example.com"})
        await doors.call("GET", "/v1/parcels/ups/1Z5338FF0107231059")
    lines = [line for line in logs if line["event"] == "request"]
    assert len(lines) == 4
    allowed = {"event", "log_level", "request_id", "method", "route", "status", "ms", "caller"}
    assert {name for line in lines for name in line} == allowed
    assert lines[0]["route"] == "/v1/orders/{merchant}/{order_number}" and lines[0]["caller"] == "key:1"
    text = str(logs)
    assert not [canary for canary in (*CANARIES, "B-7777", "1Z5338FF", doors.key) if canary in text]


async def test_a_get_carries_an_etag_and_answers_304(doors: Doors) -> None:
    """If-None-Match with the tag, a weak form of it, or one of several: 304 without a body; after a change: 200."""
    await doors.put_order()
    path = "/v1/orders/boutique-eu/B-1001"
    _, first, headers = await doors.call("GET", path)
    tag = headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, body, again = await doors.call("GET", path, headers={"If-None-Match": given})
        assert (status, body, again["ETag"]) == (304, b"", tag)
    await doors.put_order(shipping_paid="12.00")
    status, changed, _ = await doors.call("GET", path, headers={"If-None-Match": tag})
    assert status == 200 and changed != first


async def test_metrics_count_requests_by_route(doors: Doors) -> None:
    await doors.call("GET", "/v1/orders/boutique-eu/B-404")
    _, body, headers = await doors.call("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    line = 'homeward_http_requests_total{method="GET",route="/v1/orders/{merchant}/{order_number}",status="404"} 1.0'
    assert line in body.decode()


async def test_ready_says_what_is_wrong(sqlite_store: Store) -> None:
    """Ready: the database takes writes and every loop is alive; else 503 with the reason. /healthz answers anyway."""
    house = make_house(sqlite_store, alive=lambda: {"polling": True, "outbox": False})
    async with open_doors(house) as doors:
        status, problem, headers = await doors.call("GET", "/readyz")
        assert (status, problem["code"], headers["Retry-After"]) == (503, "not_ready", "5")
        assert problem["detail"] == "loop:outbox is silent"
        assert (await doors.call("GET", "/healthz"))[0] == 200

    async def older() -> Schema:
        return Schema("0001", "0002")

    async with open_doors(make_house(sqlite_store, schema=older)) as doors:
        _, problem, _ = await doors.call("GET", "/readyz")
        assert problem["detail"] == "schema is at 0001 and wanted at 0002"

    class Full:
        async def write(self, unit: object) -> object:
            raise StoreError("disk full")

    async with open_doors(make_house(sqlite_store)) as doors:
        object.__setattr__(doors.house, "store", Full())
        _, problem, _ = await doors.call("GET", "/readyz")
        assert problem["detail"] == "database is not writable (StoreError)"


async def test_ready_looks_at_the_database_itself(sqlite_store: Store, sqlite_url: str) -> None:
    """With the store's own check of the schema: a migrated database is ready."""
    async with open_doors(make_house(sqlite_store, schema=lambda: check(sqlite_url))) as doors:
        status, told, _ = await doors.call("GET", "/readyz")
    assert (status, told["checks"]) == (200, {"database": "ok", "schema": "ok"})


async def test_a_slow_head_is_cut_off(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that sends its request head a byte at a time is closed at the deadline, and so is an idle one."""
    monkeypatch.setattr(doors_app, "KEEPALIVE", 0.3)
    runner = doors_app.runner(doors_app.build(make_house(sqlite_store)))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started = asyncio.get_running_loop().time()
        with pytest.raises((ConnectionError, AssertionError)):
            for byte in b"GET /healthz HTTP/1.1\r\nHost: slow\r\nX-Slow: " + b"a" * 400:
                writer.write(bytes([byte]))
                await writer.drain()
                assert not reader.at_eof()
                await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - started < 2.0
        writer.close()
    finally:
        await runner.cleanup()


async def test_a_slow_body_is_cut_off(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is a 408."""
    monkeypatch.setattr("api.bodies.DEADLINE", 0.2)

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"order_number": "'
        for _ in range(10):
            await asyncio.sleep(0.1)
            yield b"B"

    status, problem, _ = await doors.call(
        "POST", "/v1/follow/order", data=slowly(), headers={"Content-Type": "application/json"}
    )
    assert (status, problem["code"]) == (408, "too_slow")
