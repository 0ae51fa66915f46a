"""The figures that Prometheus reads: counted in the database when asked, at most every few seconds."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.house import House
from fleet.clocks import to_us
from store.engine import Row
from store.figures import Said, figures, said_since

FRESH = 10.0  # seconds for which an answer is given again: who asks more often costs nothing
MOST = 1_000_000  # calls left where a carrier's API has no limit

Found = Mapping[str, Sequence[Row]]


class Figures(Collector):
    """A collector over the house: `refresh` counts, `collect` shows what was counted."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._found: Found = {}
        self._said = Said()
        self._at = float("-inf")
        house.registry.register(self)

    async def refresh(self) -> None:
        """Count again, unless it was done just now. Raises StoreError."""
        if time.monotonic() - self._at > FRESH:
            now_us = to_us(self._house.clock.now())
            store, carriers = self._house.store, sorted(self._house.carriers)
            self._found = await store.read(lambda tx: figures(tx, now_us, carriers))
            self._said = await store.read(lambda tx: said_since(tx, self._said))
            self._at = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is shown. Parcels' ages are in story time, deliveries' in real time."""
        yield from self._calls()
        if not self._found:
            return
        story, real = to_us(self._house.clock.now()), to_us(datetime.now(UTC))
        yield from self._parcels(story)
        yield from self._pushes(story)
        yield from self._notices(real)
        counted = (
            ("purchases", "Purchases by state", ("carrier", "operation", "state"), "purchases"),
            ("parcels_stale", "Parcels whose news is older than promised", ("carrier",), "stale"),
            ("cases_open", "Parcels that come back or must", ("carrier",), "cases"),
            ("unknown_codes", "Events whose code nobody knows", ("carrier",), "codes"),
            ("alerts_open", "Open alerts", ("severity",), "alerts"),
            ("alert_messages", "Messages that wait for a channel", ("channel", "state"), "tellings"),
        )
        for name, says, labels, found in counted:
            yield _gauge(name, says, labels, self._found[found])

    def _calls(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "homeward_carrier_calls", "Calls to carriers", labels=["carrier", "operation", "outcome"]
        )
        left = GaugeMetricFamily(
            "homeward_carrier_quota_left", "Calls that may be made now", labels=["carrier", "operation"]
        )
        for carrier, budget in self._house.budgets.items():
            for (operation, outcome), count in budget.counts.items():
                calls.add_metric([carrier, operation, outcome], count)
            for operation in {operation for operation, _ in budget.counts} | set(budget.rates):
                left.add_metric([carrier, operation], budget.left(operation, MOST))
        yield calls
        yield left

    def _parcels(self, now: int) -> Iterator[Metric]:
        labels = ("carrier", "leg", "status")
        yield _gauge("parcels", "Parcels that are followed", labels, self._found["parcels"])
        yield _ages("parcels_oldest_check_seconds", "Age of the oldest answer", labels, self._found["parcels"], now)

    def _pushes(self, now: int) -> Iterator[Metric]:
        rows = self._found["pushes"]
        yield _ages("push_age_seconds", "Since the last push", ("carrier",), rows, now, "last_us")
        yield _gauge("pushes_late", "Pushes that came long after they were sent", ("carrier",), rows, "late")
        yield _gauge("payloads_unread", "Payloads that wait to be read", (), self._found["unread"])

    def _notices(self, now: int) -> Iterator[Metric]:
        notices = CounterMetricFamily("homeward_notices", "Everything that was said, attempts too", labels=["type"])
        for type, count in self._said.notices.items():
            notices.add_metric([type], count)
        yield notices
        attempts = CounterMetricFamily(
            "homeward_attempts", "Delivery attempts that failed", labels=["carrier", "ordinal"]
        )
        counts: Counter[tuple[str, str]] = Counter()
        for (carrier, name), count in self._said.attempts.items():
            counts[carrier, name.rpartition("/")[2]] += count
        for (carrier, ordinal), count in counts.items():
            attempts.add_metric([carrier, ordinal], count)
        yield attempts
        labels, rows = ("endpoint_id", "endpoint_state"), self._found["deliveries"]
        yield _gauge("deliveries_owed", "Notices owed to an endpoint", labels, rows)
        yield _ages("delivery_lag_seconds", "Age of the oldest notice that is owed", labels, rows, now)
        yield _gauge(
            "deliveries_failed", "Notices that were tried for thirty days", ("endpoint_id",), self._found["failed"]
        )


FIGURES = web.AppKey("figures", Figures)


def _gauge(name: str, says: str, labels: Sequence[str], rows: Sequence[Row], column: str = "n") -> Metric:
    gauge = GaugeMetricFamily(f"homeward_{name}", says, labels=labels)
    for row in rows:
        gauge.add_metric([str(row[label]) for label in labels], float(row[column] or 0))
    return gauge


def _ages(
    name: str, says: str, labels: Sequence[str], rows: Sequence[Row], now: int, column: str = "oldest_us"
) -> Metric:
    gauge = GaugeMetricFamily(f"homeward_{name}", says, labels=labels)
    for row in rows:
        if row[column] is not None:
            gauge.add_metric([str(row[label]) for label in labels], max(0.0, (now - row[column]) / 1e6))
    return gauge
