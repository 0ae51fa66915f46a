"""The calls about outbound webhooks: where notices go, and every try to get them there."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from api.cursors import NO_ROW, Paged, cursor_at, row_of
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Asked, Instant, Told, example
from fleet.clocks import from_us
from store.endpoints import (
    DeliveryId,
    Endpoint,
    EndpointId,
    add_endpoint,
    list_deliveries,
    list_endpoints,
    list_tries,
    remove_endpoint,
)
from store.engine import Row, Tx
from webhooks.notices import TYPES
from webhooks.signing import SECRET_BYTES, make_secret

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _target(url: str) -> str:
    """An address notices may go to: https, or plain http to this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("not a URL") from error
    if not host or parts.username or parts.password or parts.fragment or not url.isascii() or not url.isprintable():
        raise ValueError("a URL with a host, without user, password or fragment is expected")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise ValueError("https is expected (http only to this machine)")
    return url


def _known(name: str) -> str:
    if name not in TYPES:
        raise ValueError("not a type that is told")
    return name


EventType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(TYPES)})]

# --------------------------------------------------------------------------------------------------------------- asked


class EndpointIn(Asked):
    """Where notices go, and which."""

    model_config = Asked.model_config | example(
        {"url": "https://shop.example/webhooks/homeward", "events": ["order.shipped", "parcel.attempt_failed"]}
    )

    url: Annotated[str, Field(max_length=2000, pattern=r"^https?://"), AfterValidator(_target)]
    events: Annotated[tuple[EventType, ...], Field(max_length=len(TYPES), description="None: every type")] = ()


class DeliveriesQuery(Paged):
    """Which deliveries."""

    endpoint: Annotated[int | None, Field(ge=1, le=NO_ROW, description="Only those to this endpoint")] = None
    state: Annotated[Literal["due", "done", "failed", "paused"] | None, Field(description="Only these")] = None


# ---------------------------------------------------------------------------------------------------------------- told


class EndpointOut(Told):
    """An endpoint. Its secret was shown when it was made, and never is again."""

    id: int
    url: str
    events: list[str]
    state: str
    created_at: Instant


class EndpointMade(EndpointOut):
    """A new endpoint with its secret: keep it, it is not shown again."""

    model_config = Told.model_config | example(
        {
            "id": 1,
            "url": "https://shop.example/webhooks/homeward",
            "events": ["order.shipped", "parcel.attempt_failed"],
            "state": "active",
            "created_at": "2026-03-01T09:00:00Z",
            "secret": "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=",
        }
    )

    secret: str


class EndpointsOut(Told):
    """Every endpoint."""

    model_config = Told.model_config | example({"endpoints": []})

    endpoints: list[EndpointOut]


class TryOut(Told):
    """One sending. Status 0: no answer came."""

    at: Instant
    status: int
    took_ms: int
    answer: str = Field(description="The first bytes of the answer")


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
                    "tries": [{"at": "2026-03-02T16:00:01Z", "status": 204, "took_ms": 41, "answer": ""}],
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
    secret = make_secret(secrets.token_bytes(SECRET_BYTES))
    sealed = house.sealer.seal(secret.encode())
    now = datetime.now(UTC)
    made = await house.store.write(
        lambda tx: add_endpoint(tx, url=body.url, secret=sealed, events=set(body.events), at=now)
    )
    if made is None:
        raise Problem("endpoint_exists", pointer="/url")
    endpoint = Endpoint(made, body.url, sealed, tuple(sorted(set(body.events))), "active", now)
    return Answer(EndpointMade(**_shown(endpoint), secret=secret), 201)


async def remove(call: Call[Nothing, Nothing]) -> Answer:
    """DELETE /v1/endpoints/{endpoint_id}"""
    endpoint_id = EndpointId(int(call.path["endpoint_id"]))
    if not await call.house.store.write(lambda tx: remove_endpoint(tx, endpoint_id)):
        raise Problem("endpoint_unknown")
    return Answer(status=204)


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


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint without its secret."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "state": endpoint.state,
        "created_at": endpoint.created_at,
    }


def _delivery(row: Row, sent: Sequence[Row]) -> DeliveryOut:
    return DeliveryOut(
        id=row["id"],
        endpoint=row["endpoint_id"],
        notice_id=row["notice_id"],
        type=row["type"],
        state=row["state"],
        next_at=_instant(row["next_us"]),
        done_at=_instant(row["done_us"]),
        detail=row["detail"],
        tries=[
            TryOut(at=from_us(one["at_us"]), status=one["status"], took_ms=one["took_ms"], answer=one["answer"])
            for one in sent
        ],
    )


def _instant(us: int | None) -> datetime | None:
    return from_us(us) if us is not None else None
