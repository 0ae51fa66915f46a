"""Traces over OTLP, when OTEL_EXPORTER_OTLP_ENDPOINT names a collector: spans of calls, of sweeps, of carriers.

Without it nothing of OpenTelemetry is loaded. A span holds names of ours and figures, never a value that somebody sent:
routes as they are documented, sweeps, carriers, operations, statuses, and of an error its type.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from aiohttp import web

from api.manners import Handler, route_of
from fleet.budgets import Rate, Spending

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_NAME = "OTEL_SERVICE_NAME"
IDLE_MS = 50
"""A sweep that found nothing and took no longer is not told."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})

Sweep = Callable[[], Awaitable[object]]

_begun: ContextVar[int] = ContextVar("begun", default=0)


class Traces:
    """A tracer and what sends its spans, in batches and in a thread of its own."""

    def __init__(self, provider: Any, api: Any) -> None:
        self._provider, self._api = provider, api
        self._tracer = provider.get_tracer("homeward", version("homeward"))

    def middleware(self) -> Any:
        """For the doors: a span for each call, by its route; a caller's own trace goes on in it."""

        @web.middleware
        async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
            method, route = request.method if request.method in _METHODS else "other", route_of(request)
            given = self._api.extract({"traceparent": request.headers.get("traceparent", "")})
            with self._span(f"{method} {route}", self._api.SERVER, given) as span:
                response = await handler(request)
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= 500:
                    span.set_status(self._api.error(str(response.status)))
            return response

        return trace

    def sweep(self, name: str, sweep: Sweep) -> Sweep:
        """The same sweep, with a span for each run that found something, took long or failed."""

        async def traced() -> object:
            began = time.monotonic()
            with self._span(f"sweep {name}", self._api.INTERNAL) as span:
                span.set_attribute("homeward.sweep", name)
                found = await sweep()
                count = found if isinstance(found, int) else len(found) if isinstance(found, tuple | list) else 0
                span.set_attribute("homeward.found", count)
                if not count and (time.monotonic() - began) * 1000 < IDLE_MS:
                    span.set_attribute("homeward.idle", True)
            return found

        return traced

    def budget(self, carrier: str, budget: Spending) -> Spending:
        """The same budget, with a span for each call that is made on it."""
        return _TracedBudget(carrier, budget, self)

    def called(self, carrier: str, operation: str, outcome: str) -> None:
        """A call to a carrier has ended just now: it began when its turn had come."""
        span = self._tracer.start_span(f"{carrier} {operation}", kind=self._api.CLIENT, start_time=_begun.get() or None)
        span.set_attribute("homeward.carrier", carrier)
        span.set_attribute("homeward.operation", operation)
        span.set_attribute("homeward.outcome", outcome)
        if outcome == "none" or outcome.startswith("5"):
            span.set_status(self._api.error(outcome))
        span.end()

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _span(self, name: str, kind: Any, given: Any = None) -> Any:
        return _Within(self._tracer, self._api, name, kind, given)


@dataclass(slots=True)
class _Within:
    """A span around a block. Of an error it tells the type alone: a message may hold what must not be told."""

    tracer: Any
    api: Any
    name: str
    kind: Any
    given: Any
    opened: Any = None
    span: Any = None

    def __enter__(self) -> Any:
        self.opened = self.tracer.start_as_current_span(
            self.name, context=self.given, kind=self.kind, record_exception=False, set_status_on_exception=False
        )
        self.span = self.opened.__enter__()
        return self.span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if kind is not None:
            self.span.set_attribute("error.type", kind.__name__)
            self.span.set_status(self.api.error(kind.__name__))
        self.opened.__exit__(None, None, None)


@dataclass(slots=True)
class _TracedBudget:
    """A budget that tells of each call made on it."""

    carrier: str
    inner: Spending
    traces: Traces

    @property
    def rates(self) -> Mapping[str, Rate]:
        return self.inner.rates

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        return self.inner.counts

    async def take(self, api: str) -> None:
        await self.inner.take(api)
        _begun.set(time.time_ns())

    def hold(self, api: str, seconds: float) -> None:
        self.inner.hold(api, seconds)

    def met(self, api: str, outcome: str) -> None:
        self.inner.met(api, outcome)
        self.traces.called(self.carrier, api, outcome)

    def left(self, api: str, most: int) -> int:
        return self.inner.left(api, most)


def open_traces(env: Mapping[str, str]) -> Traces | None:
    """What the environment names; None where it names no collector, and then nothing is loaded."""
    endpoint = env.get(ENDPOINT, "")
    if not endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    class Told(BatchSpanProcessor):
        """Everything but sweeps that found nothing."""

        def on_end(self, span: ReadableSpan) -> None:
            if not (span.attributes or {}).get("homeward.idle"):
                super().on_end(span)

    class Api:
        """What of OpenTelemetry the rest of this file names."""

        SERVER, CLIENT, INTERNAL = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL
        extract = staticmethod(TraceContextTextMapPropagator().extract)

        @staticmethod
        def error(why: str) -> Status:
            return Status(StatusCode.ERROR, why)

    resource = Resource.create({"service.name": env.get(_NAME) or "homeward", "service.version": version("homeward")})
    provider = TracerProvider(resource=resource)
    sender = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", headers=_headers(env.get(_HEADERS, "")))
    provider.add_span_processor(Told(sender))
    return Traces(provider, Api)


def _headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, as OpenTelemetry writes them."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}
