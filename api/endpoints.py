"""The calls about outbound webhooks: where notices go, and every try to get them there."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from api.cursors import NO_ROW, Paged, cursor_at, row_of
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Asked, CarrierName, Instant, MerchantName, Told, example
from fleet.clocks import from_us, real_now
from store.audience import Audience
from store.endpoints import (
    DeliveryId,
    Endpoint,
    EndpointId,
    add_endpoint,
    find_endpoint,
    list_deliveries,
    list_endpoints,
    list_tries,
    remove_endpoint,
    rotate_secret,
    set_state,
)
from store.engine import Row, Tx
from webhooks.egress import Barred, judge
from webhooks.notices import TYPES
from webhooks.outbound import replay, replay_one, resume
from webhooks.signing import SECRET_BYTES, make_secret

TWO_SECRETS = timedelta(hours=24)
"""So long after a rotation the old secret signs too.  # source: design/faults-and-security.md (e), Outbound"""


def _known(name: str) -> str:
    if name not in TYPES:
        raise ValueError("not a type that is told")
    return name


EventType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(TYPES)})]

# --------------------------------------------------------------------------------------------------------------- asked


class AlertsIn(Asked):
    """Of the notices about alerts: from which severity on, of which shops and carriers. Empty: all of them."""

    model_config = Asked.model_config | example({"severity": "warning", "merchants": ["boutique-eu"], "carriers": []})

    severity: Literal["info", "warning", "critical"] = "info"
    merchants: Annotated[tuple[MerchantName, ...], Field(max_length=50)] = ()
    carriers: Annotated[tuple[CarrierName, ...], Field(max_length=50)] = ()

    def audience(self) -> Audience:
        return Audience(self.severity, tuple(sorted(set(self.merchants))), tuple(sorted(set(self.carriers))))


class EndpointIn(Asked):
    """Where notices go, and which."""

    model_config = Asked.model_config | example(
        {"url": "https://shop.example/webhooks/homeward", "events": ["order.shipped", "parcel.attempt_failed"]}
    )

    url: Annotated[str, Field(max_length=2000, pattern=r"^https?://")]
    events: Annotated[tuple[EventType, ...], Field(max_length=len(TYPES), description="None: every type")] = ()
    alerts: Annotated[AlertsIn, Field(description="Which alerts, where it hears of alerts")] = AlertsIn()


class ReplayIn(Asked):
    """What is to be sent again: everything said since an instant, or one notice."""

    model_config = Asked.model_config | example({"since": "2026-03-01T00:00:00Z"})

    since: Annotated[Instant | None, Field(description="Everything that was said since, in the order it was said")] = (
        None
    )
    notice_id: Annotated[
        str | None, Field(pattern=r"^msg_[a-z0-9]{26}$", description="This one, by its webhook-id")
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.since is None) == (self.notice_id is None):
            raise ValueError("either since or notice_id is expected")
        return self


class DeliveriesQuery(Paged):
    """Which deliveries."""

    endpoint: Annotated[int | None, Field(ge=1, le=NO_ROW, description="Only those to this endpoint")] = None
    state: Annotated[Literal["due", "done", "failed", "paused"] | None, Field(description="Only these")] = None


# ---------------------------------------------------------------------------------------------------------------- told


ENDPOINT: dict[str, Any] = {
    "id": 1,
    "url": "https://shop.example/webhooks/homeward",
    "events": ["order.shipped", "parcel.attempt_failed"],
    "alerts": {"severity": "info", "merchants": [], "carriers": []},
    "state": "active",
    "created_at": "2026-03-01T09:00:00Z",
    "failing_since": None,
    "old_secret_until": None,
    "hold_until": None,
}


class AlertsHeard(Told):
    """Which alerts an endpoint hears."""

    severity: str
    merchants: list[str]
    carriers: list[str]


class EndpointOut(Told):
    """An endpoint. Its secret was shown when it was made, and never is again."""

    model_config = Told.model_config | example(ENDPOINT)

    id: int
    url: str
    events: list[str]
    alerts: AlertsHeard
    state: str = Field(
        description="active; paused: nothing arrived for five days; disabled: it said 410, or a person did"
    )
    created_at: Instant
    failing_since: Instant | None = Field(default=None, description="Nothing arrived since")
    old_secret_until: Instant | None = Field(
        default=None, description="The secret before this one signs too until then"
    )
    hold_until: Instant | None = Field(
        default=None, description="It asked to be left alone until then (429 or 503 with Retry-After)"
    )


class EndpointMade(EndpointOut):
    """A new endpoint with its secret: keep it, it is not shown again."""

    model_config = Told.model_config | example(
        {**ENDPOINT, "secret": "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="}
    )

    secret: str


class EndpointsOut(Told):
    """Every endpoint."""

    model_config = Told.model_config | example({"endpoints": []})

    endpoints: list[EndpointOut]


class ReplayOut(Told):
    """How many notices are sent again."""

    model_config = Told.model_config | example({"notices": 14})

    notices: int


class TryOut(Told):
    """One sending. Status 0: no answer came."""

    at: Instant
    status: int
    took_ms: int
    answer: str = Field(description="The first 200 bytes of the answer")
    detail: str = Field(default="", description="Why no answer came")


class DeliveryOut(Told):
    """One notice owed to one endpoint."""

    id: int
    endpoint: int
    notice_id: str
    type: str
    state: str
    next_at: Instant | None
    done_at: Instant | None
    detail: str
    tries: list[TryOut]


class DeliveriesOut(Told):
    """A page of deliveries, newest first."""

    model_config = Told.model_config | example(
        {
            "deliveries": [
                {
                    "id": 12,
                    "endpoint": 1,
                    "notice_id": "msg_x7k2m9qx4tb3c5d6e7f8g9h2j4",
                    "type": "order.shipped",
                    "state": "done",
                    "next_at": None,
                    "done_at": "2026-03-02T16:00:01Z",
                    "detail": "",
                    "tries": [{"at": "2026-03-02T16:00:01Z", "status": 204, "took_ms": 41, "answer": "", "detail": ""}],
                }
            ],
            "next_cursor": None,
        }
    )

    deliveries: list[DeliveryOut]
    next_cursor: str | None


# --------------------------------------------------------------------------------------------------------------- calls


async def list_all(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/endpoints"""
    found = await call.house.store.read(list_endpoints)
    return Answer(EndpointsOut(endpoints=[EndpointOut(**_shown(endpoint)) for endpoint in found]))


async def make(call: Call[Nothing, EndpointIn]) -> Answer:
    """POST /v1/endpoints"""
    house, body = call.house, call.body
    try:
        judge(body.url, house.allowed)
    except Barred as error:
        raise Problem("invalid_body", str(error), "/url") from None
    secret = make_secret(secrets.token_bytes(SECRET_BYTES))
    sealed = house.sealer.seal(secret.encode())
    now, alerts = datetime.now(UTC), body.alerts.audience()
    made = await house.store.write(
        lambda tx: add_endpoint(tx, url=body.url, secret=sealed, events=set(body.events), at=now, alerts=alerts)
    )
    if made is None:
        raise Problem("endpoint_exists", pointer="/url")
    endpoint = Endpoint(made, body.url, sealed, tuple(sorted(set(body.events))), "active", now, alerts=alerts)
    return Answer(EndpointMade(**_shown(endpoint), secret=secret), 201)


async def remove(call: Call[Nothing, Nothing]) -> Answer:
    """DELETE /v1/endpoints/{endpoint_id}"""
    endpoint_id = EndpointId(int(call.path["endpoint_id"]))
    if not await call.house.store.write(lambda tx: remove_endpoint(tx, endpoint_id)):
        raise Problem("endpoint_unknown")
    return Answer(status=204)


async def rotate(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/endpoints/{endpoint_id}/rotate"""
    endpoint_id = EndpointId(int(call.path["endpoint_id"]))
    secret = make_secret(secrets.token_bytes(SECRET_BYTES))
    sealed, until = call.house.sealer.seal(secret.encode()), datetime.now(UTC) + TWO_SECRETS

    async def unit(tx: Tx) -> Endpoint | None:
        await rotate_secret(tx, endpoint_id, new=sealed, old_until=until)
        return await find_endpoint(tx, endpoint_id)

    endpoint = _there(await call.house.store.write(unit))
    return Answer(EndpointMade(**_shown(endpoint), secret=secret))


async def pause(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/endpoints/{endpoint_id}/disable"""
    endpoint_id = EndpointId(int(call.path["endpoint_id"]))

    async def unit(tx: Tx) -> Endpoint | None:
        await set_state(tx, endpoint_id, "disabled")
        return await find_endpoint(tx, endpoint_id)

    return Answer(EndpointOut(**_shown(_there(await call.house.store.write(unit)))))


async def go_on(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/endpoints/{endpoint_id}/resume"""
    house, endpoint_id = call.house, EndpointId(int(call.path["endpoint_id"]))
    await resume(house.store, endpoint_id, real_now, house.clock.now())
    endpoint = await house.store.read(lambda tx: find_endpoint(tx, endpoint_id))
    return Answer(EndpointOut(**_shown(_there(endpoint))))


async def again(call: Call[Nothing, ReplayIn]) -> Answer:
    """POST /v1/endpoints/{endpoint_id}/replay"""
    endpoint_id, store = EndpointId(int(call.path["endpoint_id"])), call.house.store
    _there(await store.read(lambda tx: find_endpoint(tx, endpoint_id)))
    if call.body.notice_id is not None:
        if not await replay_one(store, endpoint_id, call.body.notice_id, real_now):
            raise Problem("notice_unknown", pointer="/notice_id")
        return Answer(ReplayOut(notices=1))
    assert call.body.since is not None  # the model takes one of them
    return Answer(ReplayOut(notices=await replay(store, endpoint_id, call.body.since, real_now) or 0))


async def deliveries(call: Call[DeliveriesQuery, Nothing]) -> Answer:
    """GET /v1/deliveries"""
    query = call.query
    before = row_of(query.cursor, NO_ROW)

    async def unit(tx: Tx) -> tuple[list[DeliveryOut], bool]:
        rows = await list_deliveries(
            tx,
            before=before,
            limit=query.limit + 1,
            endpoint_id=EndpointId(query.endpoint) if query.endpoint is not None else None,
            state=query.state,
        )
        page = [_delivery(row, await list_tries(tx, DeliveryId(row["id"]))) for row in rows[: query.limit]]
        return page, len(rows) > query.limit

    page, more = await call.house.store.read(unit)
    return Answer(DeliveriesOut(deliveries=page, next_cursor=cursor_at(page[-1].id) if more else None))


# -------------------------------------------------------------------------------------------------------------- inside


def _there(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise Problem("endpoint_unknown")
    return endpoint


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint without its secret."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "alerts": AlertsHeard(
            severity=endpoint.alerts.severity,
            merchants=list(endpoint.alerts.merchants),
            carriers=list(endpoint.alerts.carriers),
        ),
        "state": endpoint.state,
        "created_at": endpoint.created_at,
        "failing_since": endpoint.failing_since,
        "old_secret_until": endpoint.old_until,
        "hold_until": endpoint.hold_until,
    }


def _delivery(row: Row, sent: Sequence[Row]) -> DeliveryOut:
    return DeliveryOut(
        id=row["id"],
        endpoint=row["endpoint_id"],
        notice_id=row["notice_id"],
        type=row["type"],
        state=row["shown"],
        next_at=_instant(row["next_us"]),
        done_at=_instant(row["done_us"]),
        detail=row["detail"],
        tries=[
            TryOut(
                at=from_us(one["at_us"]),
                status=one["status"],
                took_ms=one["took_ms"],
                answer=one["answer"],
                detail=one["detail"],
            )
            for one in sent
        ],
    )


def _instant(us: int | None) -> datetime | None:
    return from_us(us) if us is not None else None
