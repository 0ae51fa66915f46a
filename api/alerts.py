"""The calls about alerts: what ops must see, and that somebody has."""

from typing import Annotated, Any

from pydantic import Field

from alerts.desk import Alert, acknowledge, open_alerts
from api.cursors import NO_ROW, Paged, cursor_at, row_of
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Asked, Instant, Told, example


class AckIn(Asked):
    """Who has seen it. Without a name, the key's."""

    model_config = Asked.model_config | example({"by": "anna"})

    by: Annotated[str, Field(max_length=100)] = ""


ALERT_EXAMPLE: dict[str, Any] = {
    "id": 5,
    "key": "parcel:7/attempts",
    "rung": "attempt_2",
    "severity": "warning",
    "title": "Second failed attempt: ups 1Z5338FF0107231059",
    "action": "Get in touch with the customer before the next delivery day.",
    "merchant": "boutique-eu",
    "carrier": "ups",
    "data": {"number": "1Z5338FF0107231059"},
    "count": 1,
    "opened_at": "2026-03-04T12:01:00Z",
    "acked_at": None,
    "acked_by": "",
    "cleared_at": None,
    "muted_until": None,
}


class AlertOut(Told):
    """Something ops must see, and what to do next."""

    model_config = Told.model_config | example(ALERT_EXAMPLE)

    id: int
    key: str
    rung: str
    severity: str
    title: str
    action: str
    merchant: str
    carrier: str
    data: dict[str, Any]
    count: int
    opened_at: Instant
    acked_at: Instant | None
    acked_by: str
    cleared_at: Instant | None
    muted_until: Instant | None


class AlertsOut(Told):
    """Open alerts, newest first."""

    model_config = Told.model_config | example({"alerts": [ALERT_EXAMPLE], "next_cursor": None})

    alerts: list[AlertOut]
    next_cursor: str | None


async def list_page(call: Call[Paged, Nothing]) -> Answer:
    """GET /v1/alerts"""
    before = row_of(call.query.cursor, NO_ROW)
    house = call.house
    page = await open_alerts(house.store, before=before, limit=call.query.limit, now=house.clock.now())
    following = None if page.next is None else cursor_at(page.next)
    return Answer(AlertsOut(alerts=[_shown(alert) for alert in page.alerts], next_cursor=following))


async def ack(call: Call[Nothing, AckIn]) -> Answer:
    """POST /v1/alerts/{alert_id}/ack"""
    by = call.body.by or call.caller.name
    alert = await acknowledge(call.house.store, int(call.path["alert_id"]), by, call.house.clock.now())
    if alert is None:
        raise Problem("alert_unknown")
    return Answer(_shown(alert))


def _shown(alert: Alert) -> AlertOut:
    return AlertOut(
        **{name: getattr(alert, name) for name in AlertOut.model_fields if name != "data"}, data=dict(alert.data)
    )
