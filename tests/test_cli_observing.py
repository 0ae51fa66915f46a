"""What an operator sees of a running house: traces, figures after a day, and a log that says nothing of people."""

import asyncio
import gzip
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from api import manners
from api.keys import SCOPES, issue
from cli import logs
from cli.demo import free_port
from cli.serving import _open_doors
from cli.settings import Settings
from cli.tracing import ENDPOINT, open_traces
from cli.wiring import PUSH_SECRET, Parts, open_parts, street_environment
from fleet.budgets import Budget
from fleet.clocks import Clock
from street.app import open_street
from street.clock import StoryClock
from street.town import Town
from tests.doors import CANARIES, ORDER

NOW = datetime(2026, 3, 12, 7, 20, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "fixtures" / "ups"
NUMBER_CANARY = "B-CANARY-4711"


class Collector:
    """A real OTLP/HTTP receiver: it keeps every span it is sent, and every byte."""

    def __init__(self) -> None:
        self.url, self.spans, self.raw, self.headers = "", list[Any](), b"", dict[str, str]()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.raw += body
        self.headers = dict(request.headers)
        told = ExportTraceServiceRequest.FromString(body)
        self.spans += [span for one in told.resource_spans for each in one.scope_spans for span in each.spans]
        self.resource = {
            each.key: each.value.string_value for one in told.resource_spans for each in one.resource.attributes
        }
        return web.Response(body=b"", content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    heard = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", heard.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    heard.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield heard
    await runner.cleanup()


@asynccontextmanager
async def a_day(
    folder: Path, env: dict[str, str], role: str = "serve"
) -> AsyncIterator[tuple[Parts, httpx.AsyncClient]]:
    """A house on a street, doors open on a real port, and an order that failed twice, by polls."""
    clock = Clock(NOW, 1.0, datetime.now(UTC).timestamp())
    town = Town(StoryClock.parse(str(clock)))
    port = free_port()
    settings = Settings(data=folder, clock=str(clock), port=port, metrics_port=free_port())
    async with AsyncExitStack() as stack:
        street = await stack.enter_async_context(open_street(town, 0))
        environment = street_environment(street, settings.url) | env
        parts = await stack.enter_async_context(open_parts(settings, environment))
        await _open_doors(stack, parts, None, role)
        key = await parts.store.write(
            lambda tx: issue(tx, parts.sealer, name="test", scopes=tuple(SCOPES), at=datetime.now(UTC))
        )
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=settings.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=20
            )
        )
        if role != "work":
            await _story(http, town)
        sweeps = parts.sweeps()
        for _ in range(3):
            for name in ("poll:ups", "read", "review", "alerts", "spread", "deliver"):
                await sweeps[name][1]()
        yield parts, http


async def _story(http: httpx.AsyncClient, town: Town) -> None:
    (await http.post("/v1/endpoints", json={"url": "https://shop.invalid/"})).raise_for_status()
    (await http.put(f"/v1/orders/boutique-eu/{NUMBER_CANARY}", json=ORDER)).raise_for_status()
    starts = datetime(2026, 3, 5, 9, tzinfo=UTC)
    number = town.create("ups", "three_attempts_home", starts_at=starts).number
    shipped = {"carrier": "ups", "tracking_number": number}
    (await http.post(f"/v1/orders/boutique-eu/{NUMBER_CANARY}/parcels", json=shipped)).raise_for_status()
    (await http.post(f"/v1/parcels/ups/{number}/refresh")).raise_for_status()
    gone = town.create("ups", "return_under_way", starts_at=starts).number
    (await http.put("/v1/orders/boutique-eu/B-2", json=ORDER)).raise_for_status()
    shipped = {"carrier": "ups", "tracking_number": gone}
    (await http.post("/v1/orders/boutique-eu/B-2/parcels", json=shipped)).raise_for_status()
    (await http.post(f"/v1/parcels/ups/{gone}/refresh")).raise_for_status()
    done = town.create("ups", "delivered_first_time", starts_at=datetime(2026, 3, 2, 9, tzinfo=UTC)).number
    (await http.put("/v1/orders/boutique-eu/B-3", json=ORDER)).raise_for_status()
    shipped = {"carrier": "ups", "tracking_number": done}
    (await http.post("/v1/orders/boutique-eu/B-3/parcels", json=shipped)).raise_for_status()
    (await http.post(f"/v1/parcels/ups/{done}/refresh")).raise_for_status()
    asked = {
        "merchant": "boutique-eu",
        "orders": [{"order_number": "B-3", "items": [{"sku": "COAT-42", "reason": "size"}]}],
    }
    (await http.post("/v1/returns", json=asked)).raise_for_status()
    body = {"order_number": NUMBER_CANARY, "email": "canary@example.com"}
    (await http.post("/v1/follow/order", json=body)).raise_for_status()


# -------------------------------------------------------------------------------------------------------------- traces


async def test_a_collector_is_told_of_calls_sweeps_and_carriers(tmp_path: Path, collector: Collector) -> None:
    """Spans by route, sweep and operation, carriers' calls within what made them; nobody's data in any byte of it."""
    env = {ENDPOINT: collector.url, "OTEL_SERVICE_NAME": "homeward-eu", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=abc"}
    parent = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with a_day(tmp_path, env) as (parts, http):
        (await http.get("/healthz", headers={"traceparent": f"00-{parent}-00f067aa0ba902b7-01"})).raise_for_status()
        assert (await http.get(f"/v1/orders/boutique-eu/{NUMBER_CANARY}X")).status_code == 404
        assert parts.traces is not None
        await asyncio.to_thread(parts.traces._provider.force_flush)
    spans = {span.name: span for span in collector.spans}
    assert collector.resource["service.name"] == "homeward-eu" and collector.headers["x-key"] == "abc"
    refresh = spans["POST /v1/parcels/{carrier}/{number}/refresh"]
    attributes = {each.key: each.value for each in refresh.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    calls = [span for span in collector.spans if span.name == "ups tracking"]
    assert calls and {each.key for each in calls[0].attributes} == {
        "homeward.carrier", "homeward.operation", "homeward.outcome",
    }  # fmt: skip
    requests = {span.span_id for span in collector.spans if span.name.startswith("POST /v1/parcels")}
    assert any(call.parent_span_id in requests for call in calls), "a carrier's call belongs to what made it"
    assert all(0 < call.start_time_unix_nano <= call.end_time_unix_nano for call in calls)
    assert "sweep alerts" in spans
    health = [span for span in collector.spans if span.name == "GET /healthz"]
    assert health[0].trace_id.hex() == parent
    told = [*CANARIES, NUMBER_CANARY, "canary", "Amsterdam", "1015"]
    assert not [canary for canary in told if canary.encode() in collector.raw]
    assert not [each for each in (*map(_said, collector.spans), str(collector.resource)) if "1Z" in each]


def _said(span: Any) -> str:
    """A span as text, without its ids: random bytes, which may well be "1Z"."""
    said = type(span).FromString(span.SerializeToString())
    for name in ("trace_id", "span_id", "parent_span_id"):
        said.ClearField(name)
    return str(said)


async def test_an_error_is_told_by_its_type_alone(collector: Collector) -> None:
    """A message may hold what must not be told; a sweep that found nothing is not told at all."""
    traces = open_traces({ENDPOINT: collector.url + "/"})
    assert traces is not None

    async def fails() -> object:
        raise ValueError("canary@example.com cannot be read")

    async def finds_nothing() -> object:
        return 0

    with pytest.raises(ValueError, match="canary"):
        await traces.sweep("fails", fails)()
    await traces.sweep("idle", finds_nothing)()
    await asyncio.to_thread(traces.close)
    (span,) = collector.spans
    assert span.name == "sweep fails" and span.status.message == "ValueError" and b"canary" not in collector.raw


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    """The start does not pay for what is not used."""
    assert open_traces({}) is None
    code = (
        "import sys; import cli.wiring, cli.serving; from cli.tracing import open_traces; open_traces({}); "
        "sys.exit(any(name.startswith('opentelemetry.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_traced_budget_is_the_same_budget() -> None:
    """What it allows and counts is the inner one's."""
    traces = open_traces({ENDPOINT: "http://127.0.0.1:1"})
    assert traces is not None
    inner = Budget({})
    traced = traces.budget("ups", inner)
    await traced.take("tracking")
    traced.met("tracking", "200")
    traced.hold("labels", 60.0)
    assert traced.counts == inner.counts == {("tracking", "200"): 1}
    assert traced.left("labels", 10) == inner.left("labels", 10) == 0 and traced.rates == {}


# ------------------------------------------------------------------------------------------------------------- figures


async def _samples(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"{url}/metrics")).raise_for_status().text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(one.labels.values())] = one.value
    return found


async def test_every_figure_that_was_promised_is_there_after_a_day(tmp_path: Path) -> None:
    """Freshness, calls, quota, label intents, webhook lag both ways, unknown codes, attempts, open cases, alerts."""
    async with a_day(tmp_path, {}) as (parts, http):
        push = {"credential": PUSH_SECRET, "content-type": "application/json"}
        known = (await http.get("/v1/parcels")).json()["parcels"][0]["number"]
        body = (FIXTURES / "unknown_code.push.json").read_bytes().replace(b"1Z5338FF0107231059", known.encode())
        assert (await http.post("/webhooks/ups", headers=push, content=body)).status_code == 200
        await parts.sweeps()["read"][1]()
        doors, own = (
            await _samples(parts.settings.url),
            await _samples(f"http://127.0.0.1:{parts.settings.metrics_port}"),
        )
    assert any(
        labels[:1] == ("ups",) and value >= 0
        for labels, value in doors["homeward_parcels_oldest_check_seconds"].items()
    )
    assert {labels[2] for labels in doors["homeward_parcels_oldest_check_seconds"]} >= {"attempt_failed", "in_transit"}
    calls = doors["homeward_carrier_calls_total"]
    assert calls[("ups", "tracking", "200")] >= 3 and any(labels[1] == "labels" for labels in calls)
    assert doors["homeward_carrier_quota_left"][("ups", "*")] >= 1
    assert any(labels[:2] == ("ups", "label") for labels in doors["homeward_purchases"])
    assert any(value >= 0 for value in doors["homeward_delivery_lag_seconds"].values())
    assert doors["homeward_push_age_seconds"][("ups",)] >= 0
    assert doors["homeward_attempts_total"][("ups", "1")] >= 1 and doors["homeward_attempts_total"][("ups", "2")] >= 1
    assert doors["homeward_cases_open"][("ups",)] == 1
    assert doors["homeward_alerts_open"]
    assert doors["homeward_unknown_codes"][("ups",)] == 1 and doors["homeward_payloads_unread"] == {(): 0.0}
    assert "homeward_http_requests_total" in own and own["homeward_attempts_total"] == doors["homeward_attempts_total"]


async def test_the_work_role_has_its_figures_on_a_port_of_its_own(tmp_path: Path) -> None:
    """Health and figures, and nothing else: no page, no call, no desk."""
    async with a_day(tmp_path, {}, role="work") as (parts, http):
        own = f"http://127.0.0.1:{parts.settings.metrics_port}"
        assert "homeward_carrier_quota_left" in await _samples(own)
        assert (await http.get(f"{own}/healthz")).status_code == 200
        assert (await http.get(f"{own}/readyz")).status_code == 200
        for path in ("/", "/ops", "/v1/parcels", "/docs", "/follow/order"):
            assert (await http.get(own + path)).status_code == 404
        with pytest.raises(httpx.ConnectError):
            await http.get("/healthz")


# ---------------------------------------------------------------------------------------------------------------- logs


@pytest.fixture
def lines() -> Any:
    """What is logged, as a program reads it; the loggers as they were afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    logs.configure("debug")
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()
    vars(manners.log).pop("bind", None)  # it keeps how it was first used


def test_only_fields_that_are_allowed_are_logged(lines: Any) -> None:
    """An order number, an address, a body or a header that somebody logs by mistake never appears."""
    extra = {
        "carrier": "ups",
        "order_number": NUMBER_CANARY,
        "email": "canary@example.com",
        "street": "Canarystraat 77",
    }
    logging.getLogger("somewhere").warning("push refused", extra=extra)
    structlog.get_logger("api").warning("request", status=200, postcode="1015 CJ canary", route="/v1/orders/{n}")
    logging.getLogger("library").warning("no answer for %s at %s", "canary@example.com", "Canarystraat 77")
    logging.getLogger("careless").warning("cannot read", extra={"why": "canary@example.com at 1Z5338FF0107231059"})
    first, second, third, fourth = lines()
    assert first["event"] == "push refused" and first["carrier"] == "ups" and set(first) <= logs.ALLOWED
    assert second["status"] == 200 and second["event"] == "request" and set(second) <= logs.ALLOWED
    assert third["event"] == "no answer for %s at %s" and fourth["why"] == "[...] at [...]"
    assert "canary" not in json.dumps(lines()).lower()


def test_an_exception_in_the_log_says_where_and_not_what(lines: Any) -> None:
    """Its type and its places; its words may hold a person's."""
    try:
        raise ValueError("no such address: Canarystraat 77, canary@example.com")
    except ValueError:
        logging.getLogger("cli.serving").exception("sweep failed", extra={"sweep": "read"})
    (line,) = lines()
    assert line["sweep"] == "read" and "ValueError" in line["exception"] and "test_cli_observing" in line["exception"]
    assert "canary" not in json.dumps(line).lower()


async def test_a_day_at_every_level_logs_nobody(tmp_path: Path, lines: Any) -> None:
    """Orders, look-ups, polls and alerts at the most talkative level: no name, street, e-mail, number or key."""
    async with a_day(tmp_path, {}) as (_, http):
        await http.post("/v1/follow/order", json={"order_number": NUMBER_CANARY, "email": "nobody.canary@example.com"})
        await http.get("/follow/order?number=" + NUMBER_CANARY)
        key = http.headers["Authorization"].removeprefix("Bearer ")
    told = json.dumps(lines())
    assert len(lines()) > 20
    assert not [mark for mark in (*CANARIES, NUMBER_CANARY, "nobody.canary", key, "1ZW") if mark in told]
