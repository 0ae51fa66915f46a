"""Endpoints that want our notices, the deliveries owed to each, and every try of a delivery."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NewType

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)  # fmt: skip

from fleet.clocks import from_us, to_us
from store.audience import EVERYTHING, Audience, read_audience
from store.engine import Row, Tx
from store.schema import deliveries, endpoints, outbox, tries
from store.statement import Statement, statement

EndpointId = NewType("EndpointId", int)
DeliveryId = NewType("DeliveryId", int)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where notices go. Secrets are sealed; `events` are the types it wants (none: every one).

    In real time: the older secret signs too until `old_until`, nothing arrived since `failing_since`, and while it is
    paused one notice is tried at `probe_at`; it asked to be left alone until `hold_until`.
    """

    id: EndpointId
    url: str
    secret: bytes
    events: tuple[str, ...]
    state: str
    created_at: datetime
    old_secret: bytes | None = None
    old_until: datetime | None = None
    failing_since: datetime | None = None
    probe_at: datetime | None = None
    alerts: Audience = EVERYTHING
    hold_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that was claimed: what to send, which try this is, and the lease that the result must name."""

    id: DeliveryId
    tries: int
    lease_us: int
    notice_id: str
    type: str
    at_us: int
    sequence: int
    data: str


# ------------------------------------------------------------------------------------------------------------ endpoints

_ADD = statement(
    lambda insert: (
        insert(endpoints)
        .values({name: bindparam(name) for name in ("url", "secret", "events", "alerts", "created_us")})
        .on_conflict_do_nothing()
        .returning(endpoints.c.id)
    )
)
_ENDPOINTS = statement(select(endpoints).order_by(endpoints.c.id))
_ENDPOINT = statement(select(endpoints).where(endpoints.c.id == bindparam("id")))
_REMOVE = statement(delete(endpoints).where(endpoints.c.id == bindparam("id")))
_SET_STATE = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"), endpoints.c.state != bindparam("state"))
    .values(state=bindparam("state"))
)
_ROTATE = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"))
    .values(secret=bindparam("new"), old_secret=endpoints.c.secret, old_until_us=bindparam("until_us"))
)
_FAILING = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"), endpoints.c.failing_us.is_(None))
    .values(failing_us=bindparam("at_us"))
)
_PAUSE = statement(
    update(endpoints)
    .where(
        endpoints.c.id == bindparam("id"),
        endpoints.c.state == "active",
        endpoints.c.failing_us <= bindparam("since_us"),
    )
    .values(state="paused", probe_us=bindparam("probe_us"))
)
_HOLD = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"), (endpoints.c.hold_us.is_(None)) | (endpoints.c.hold_us < bindparam("us")))
    .values(hold_us=bindparam("us"))
)
_TAKE_PROBE = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"), endpoints.c.state == "paused", endpoints.c.probe_us <= bindparam("at_us"))
    .values(probe_us=bindparam("next_us"))
)
_HEARD = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"), endpoints.c.state == "active", endpoints.c.failing_us.is_not(None))
    .values(failing_us=None)
)
_REOPEN = statement(
    update(endpoints)
    .where(endpoints.c.id == bindparam("id"), endpoints.c.state == bindparam("was"))
    .values(state="active", failing_us=None, probe_us=None, hold_us=None)
)
_RELEASE = statement(
    update(deliveries)
    .where(deliveries.c.endpoint_id == bindparam("id"), deliveries.c.state == "due")
    .values(next_us=bindparam("at_us"), tries=0)
)


async def add_endpoint(
    tx: Tx, *, url: str, secret: bytes, events: Iterable[str], at: datetime, alerts: Audience = EVERYTHING
) -> EndpointId | None:
    """A new endpoint with its sealed secret; None when this URL has one already."""
    row = await tx.one(
        _ADD,
        url=url,
        secret=secret,
        events=msgspec.json.encode(sorted(events)).decode(),
        alerts=msgspec.json.encode(alerts).decode(),
        created_us=to_us(at),
    )
    return EndpointId(row["id"]) if row else None


async def list_endpoints(tx: Tx) -> Sequence[Endpoint]:
    """Every endpoint, oldest first."""
    return [_endpoint(row) for row in await tx.all(_ENDPOINTS)]


async def find_endpoint(tx: Tx, endpoint_id: EndpointId) -> Endpoint | None:
    """One endpoint, or None."""
    row = await tx.one(_ENDPOINT, id=endpoint_id)
    return _endpoint(row) if row else None


async def remove_endpoint(tx: Tx, endpoint_id: EndpointId) -> bool:
    """Forget an endpoint and everything owed to it; False when there is none."""
    return bool(await tx.run(_REMOVE, id=endpoint_id))


async def set_state(tx: Tx, endpoint_id: EndpointId, state: str) -> bool:
    """Make it `active` or `disabled` (what is owed is held meanwhile); False when nothing changed."""
    return bool(await tx.run(_SET_STATE, id=endpoint_id, state=state))


async def rotate_secret(tx: Tx, endpoint_id: EndpointId, *, new: bytes, old_until: datetime) -> bool:
    """A new sealed secret; the one it had signs too until then. False when there is no such endpoint."""
    return bool(await tx.run(_ROTATE, id=endpoint_id, new=new, until_us=to_us(old_until)))


async def failed(tx: Tx, endpoint_id: EndpointId, *, at: datetime, limit: datetime, probe_at: datetime) -> bool:
    """A try failed. True when nothing arrived since `limit`: it is paused from now on, and tried at `probe_at`."""
    await tx.run(_FAILING, id=endpoint_id, at_us=to_us(at))
    return bool(await tx.run(_PAUSE, id=endpoint_id, since_us=to_us(limit), probe_us=to_us(probe_at)))


async def hold(tx: Tx, endpoint_id: EndpointId, until: datetime) -> None:
    """Nothing at all is tried there before then (real time): it asked for that."""
    await tx.run(_HOLD, id=endpoint_id, us=to_us(until))


async def take_probe(tx: Tx, endpoint_id: EndpointId, *, at: datetime, next_at: datetime) -> bool:
    """Whether it is this caller's turn to try a paused endpoint; the next turn comes at `next_at`."""
    return bool(await tx.run(_TAKE_PROBE, id=endpoint_id, at_us=to_us(at), next_us=to_us(next_at)))


async def heard(tx: Tx, endpoint_id: EndpointId, at: datetime) -> bool:
    """Something arrived. True when the endpoint was paused: everything that was held for it is due now."""
    await tx.run(_HEARD, id=endpoint_id)
    return await reopen(tx, endpoint_id, "paused", at)


async def reopen(tx: Tx, endpoint_id: EndpointId, was: str, at: datetime) -> bool:
    """Make a `paused` or `disabled` endpoint active; what was held is due at once, its schedule from the beginning."""
    if not await tx.run(_REOPEN, id=endpoint_id, was=was):
        return False
    await tx.run(_RELEASE, id=endpoint_id, at_us=to_us(at))
    return True


def _endpoint(row: Row) -> Endpoint:
    return Endpoint(
        row["id"],
        row["url"],
        row["secret"],
        tuple(msgspec.json.decode(row["events"], type=list[str])),
        row["state"],
        from_us(row["created_us"]),
        row["old_secret"],
        _instant(row["old_until_us"]),
        _instant(row["failing_us"]),
        _instant(row["probe_us"]),
        read_audience(row["alerts"]),
        _instant(row["hold_us"]),
    )


def _instant(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)


# ----------------------------------------------------------------------------------------------------------- deliveries

# in these words, because a partial index is only used where its own condition is asked for
_OPEN: ColumnElement[bool] = literal_column("deliveries.state <> 'done'")

_OWE = statement(
    lambda insert: (
        insert(deliveries)
        .values(endpoint_id=bindparam("endpoint_id"), outbox_id=bindparam("outbox_id"), next_us=bindparam("at_us"))
        .on_conflict_do_nothing()
    )
)
_OWE_AGAIN = statement(
    lambda insert: (
        insert(deliveries)
        .values(endpoint_id=bindparam("endpoint_id"), outbox_id=bindparam("outbox_id"), next_us=bindparam("at_us"))
        .on_conflict_do_update(
            index_elements=["endpoint_id", "outbox_id"],
            set_={"state": "due", "tries": 0, "next_us": bindparam("at_us"), "done_us": None, "detail": "replay"},
        )
    )
)
_DUE = statement(
    select(
        deliveries.c.id, deliveries.c.tries, outbox.c.notice_id, outbox.c.type, outbox.c.at_us, outbox.c.sequence,
        outbox.c.data,
    )
    .join(outbox, outbox.c.id == deliveries.c.outbox_id)
    .where(
        deliveries.c.endpoint_id == bindparam("endpoint_id"),
        deliveries.c.state == "due",
        deliveries.c.next_us <= bindparam("now_us"),
    )
    .order_by(deliveries.c.next_us, deliveries.c.id)
    .limit(bindparam("limit"))
    .with_for_update(of=deliveries, skip_locked=True)
)  # fmt: skip
_IS_DUE = statement(
    select(deliveries.c.id)
    .where(
        deliveries.c.endpoint_id == bindparam("endpoint_id"),
        deliveries.c.state == "due",
        deliveries.c.next_us <= bindparam("now_us"),
    )
    .limit(1)
)
_LEAST_TRIED = statement(
    select(
        deliveries.c.id, deliveries.c.tries, outbox.c.notice_id, outbox.c.type, outbox.c.at_us, outbox.c.sequence,
        outbox.c.data,
    )
    .join(outbox, outbox.c.id == deliveries.c.outbox_id)
    .where(deliveries.c.endpoint_id == bindparam("endpoint_id"), deliveries.c.state == "due")
    .order_by(deliveries.c.tries, deliveries.c.id)
    .limit(1)
)  # fmt: skip
# the try is counted before it is made: one that kills its process is not tried for ever
_CLAIM = statement(
    update(deliveries)
    .where(deliveries.c.id == bindparam("id"))
    .values(next_us=bindparam("lease_us"), tries=deliveries.c.tries + 1)
)
_SETTLE = statement(
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("id"), deliveries.c.state == "due", deliveries.c.next_us == bindparam("lease_us")
    )
    .values(
        state=bindparam("state"), next_us=bindparam("next_us"), done_us=bindparam("done_us"),
        status=bindparam("status"), detail=bindparam("detail"),
    )
)  # fmt: skip
_TRY = statement(  # unless the endpoint was removed while we tried
    insert(tries).from_select(
        ["delivery_id", "at_us", "status", "took_ms", "answer", "detail"],
        select(
            deliveries.c.id,
            *(bindparam(name, type_=BigInteger) for name in ("at_us", "status", "took_ms")),
            *(bindparam(name, type_=Text) for name in ("answer", "detail")),
        ).where(deliveries.c.id == bindparam("delivery_id")),
    )
)
_TRIES = statement(select(tries).where(tries.c.delivery_id == bindparam("delivery_id")).order_by(tries.c.id))


_NAMED = statement(
    select(outbox.c.id, outbox.c.type).where(
        outbox.c.notice_id == bindparam("notice_id"), outbox.c.spread_us.is_not(None)
    )
)


async def notice_named(tx: Tx, notice_id: str) -> Row | None:
    """A notice that went out, by its webhook-id: `id` and `type` of its outbox row."""
    return await tx.one(_NAMED, notice_id=notice_id)


async def owe(tx: Tx, endpoint_id: EndpointId, outbox_id: int, at: datetime) -> bool:
    """Owe an endpoint a notice, at once (real time); False when it is owed already."""
    return bool(await tx.run(_OWE, endpoint_id=endpoint_id, outbox_id=outbox_id, at_us=to_us(at)))


async def owe_again(tx: Tx, endpoint_id: EndpointId, outbox_id: int, at: datetime) -> None:
    """Owe it whether or not it was delivered before: the same notice with the same id."""
    await tx.run(_OWE_AGAIN, endpoint_id=endpoint_id, outbox_id=outbox_id, at_us=to_us(at))


async def claim_due(
    tx: Tx, endpoint_id: EndpointId, *, now: datetime, lease_until: datetime, limit: int
) -> Sequence[Owed]:
    """Take what is due for an endpoint until the lease ends; nobody else gets it before."""
    lease_us = to_us(lease_until)
    rows = await tx.all(_DUE, endpoint_id=endpoint_id, now_us=to_us(now), limit=limit)
    return await _claimed(tx, rows, lease_us)


async def ready(tx: Tx, endpoint_id: EndpointId, now: datetime) -> Endpoint | None:
    """The endpoint as it is now, when it gets notices and one is due: a look that takes nothing."""
    if await tx.one(_IS_DUE, endpoint_id=endpoint_id, now_us=to_us(now)) is None:
        return None
    endpoint = await find_endpoint(tx, endpoint_id)
    is_held = endpoint is not None and endpoint.hold_until is not None and endpoint.hold_until > now
    return endpoint if endpoint is not None and endpoint.state == "active" and not is_held else None


async def claim_least_tried(tx: Tx, endpoint_id: EndpointId, lease_until: datetime) -> Sequence[Owed]:
    """Take the one that was tried least, due or not: a paused endpoint is tried with it, so that no bad one blocks."""
    return await _claimed(tx, await tx.all(_LEAST_TRIED, endpoint_id=endpoint_id), to_us(lease_until))


async def _claimed(tx: Tx, rows: Sequence[Row], lease_us: int) -> list[Owed]:
    if rows:
        await tx.many(_CLAIM, [{"id": row["id"], "lease_us": lease_us} for row in rows])
    return [
        Owed(
            row["id"], row["tries"] + 1, lease_us, row["notice_id"], row["type"], row["at_us"], row["sequence"],
            row["data"],
        )
        for row in rows
    ]  # fmt: skip


async def settle(
    tx: Tx,
    owed: Owed,
    *,
    state: str,
    at: datetime,
    next_at: datetime | None,
    status: int,
    took_ms: int,
    answer: str,
    detail: str,
) -> bool:
    """Keep how a try ended. False when the lease was over and somebody else holds the delivery; the try is kept."""
    await tx.run(
        _TRY, delivery_id=owed.id, at_us=to_us(at), status=status, took_ms=took_ms, answer=answer, detail=detail
    )
    return bool(
        await tx.run(
            _SETTLE,
            id=owed.id,
            lease_us=owed.lease_us,
            state=state,
            next_us=None if next_at is None else to_us(next_at),
            done_us=to_us(at) if state == "done" else None,
            status=status,
            detail=detail,
        )
    )


async def list_tries(tx: Tx, delivery_id: DeliveryId) -> Sequence[Row]:
    """Every try of a delivery, oldest first: at_us, status (0: no answer), took_ms, answer, detail (why none)."""
    return await tx.all(_TRIES, delivery_id=delivery_id)


# ------------------------------------------------------------------------------------------------------------- listings


# what is due at an endpoint that gets nothing is held
_SHOWN = case((and_(deliveries.c.state == "due", endpoints.c.state != "active"), "paused"), else_=deliveries.c.state)


# an expression, so that an index of the few that are open looks better than walking all of them in their order
_BY_HAND = deliveries.c.id + literal_column("0")


def _listing(*conditions: Any, order: Any = deliveries.c.id) -> Statement:
    clause: Select[Any] = (
        select(
            deliveries, _SHOWN.label("shown"), outbox.c.notice_id, outbox.c.type, outbox.c.subject, outbox.c.sequence
        )
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(order < bindparam("before"), *conditions)
        .order_by(order.desc())
        .limit(bindparam("limit"))
    )
    return statement(clause)


_OF_ENDPOINT = deliveries.c.endpoint_id == bindparam("endpoint_id")
_OF_ENDPOINT_BY_HAND = deliveries.c.endpoint_id + literal_column("0") == bindparam("endpoint_id")
_IN_STATE = bindparam("state") == _SHOWN
# of an endpoint or of all; in any state, in one that is done, or in one that is open: few beside those that are done
_LISTINGS = {
    (of_endpoint, state): _listing(*([owner] if of_endpoint else []), *conditions, order=order)
    for of_endpoint in (False, True)
    for state, order, owner, conditions in (
        ("", deliveries.c.id, _OF_ENDPOINT, ()),
        ("done", deliveries.c.id, _OF_ENDPOINT, (_IN_STATE,)),
        ("open", _BY_HAND, _OF_ENDPOINT_BY_HAND, (_OPEN, _IN_STATE)),
    )
}


_OWED = statement(
    select(deliveries.c.endpoint_id, func.count().label("owed"), func.min(deliveries.c.next_us).label("next_us"))
    .where(_OPEN, deliveries.c.state == "due")
    .group_by(deliveries.c.endpoint_id)
)


async def count_owed(tx: Tx) -> Sequence[Row]:
    """For each endpoint with something due or held: endpoint_id, owed (how many), next_us (the first)."""
    return await tx.all(_OWED)


_UNDELIVERED = statement(
    select(
        deliveries.c.id, deliveries.c.endpoint_id, deliveries.c.tries, deliveries.c.next_us, deliveries.c.status,
        deliveries.c.detail, _SHOWN.label("shown"), outbox.c.notice_id, outbox.c.type,
    )
    .join(outbox, outbox.c.id == deliveries.c.outbox_id)
    .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
    .where(_OPEN, (deliveries.c.state == "failed") | (deliveries.c.tries > 0))
    .order_by(_BY_HAND.desc())
    .limit(bindparam("limit"))
)  # fmt: skip


async def failing_deliveries(tx: Tx, limit: int) -> Sequence[Row]:
    """Notices that were tried and did not arrive, newest first."""
    return await tx.all(_UNDELIVERED, limit=limit)


async def list_deliveries(
    tx: Tx, *, before: int = 2**62, limit: int = 50, endpoint_id: EndpointId | None = None, state: str | None = None
) -> Sequence[Row]:
    """Deliveries, newest first, of one endpoint or in one state if asked; the last row's id is the next `before`.

    `shown` is the state as it is told: due, done, failed, or paused for what is held.
    """
    asked = {name: value for name, value in (("endpoint_id", endpoint_id), ("state", state)) if value is not None}
    listing = _LISTINGS[endpoint_id is not None, "" if state is None else "done" if state == "done" else "open"]
    return await tx.all(listing, before=before, limit=limit, **asked)
