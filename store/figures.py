"""Counts for the figures page: how many, how old, in which state; each one statement over whole tables."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Text, bindparam, case, cast, exists, func, literal, select

from store.engine import Row, Tx
from store.schema import (
    alerts,
    deliveries,
    endpoints,
    outbox,
    parcel_links,
    parcels,
    payloads,
    purchases,
    tellings,
    unknown_codes,
)
from store.statement import statement

_STATEMENTS = {
    "parcels": statement(
        select(
            parcels.c.carrier,
            parcels.c.leg,
            parcels.c.status,
            func.count().label("n"),
            func.min(func.coalesce(parcels.c.checked_us, parcels.c.created_us)).label("oldest_us"),
        )
        .where(parcels.c.next_poll_us.is_not(None))
        .group_by(parcels.c.carrier, parcels.c.leg, parcels.c.status)
    ),
    "stale": statement(
        select(parcels.c.carrier, func.sum(case((parcels.c.stale_us <= bindparam("now"), 1), else_=0)).label("n"))
        .where(parcels.c.next_poll_us.is_not(None))
        .group_by(parcels.c.carrier)
    ),
    "cases": statement(
        select(parcels.c.carrier, func.count().label("n"))
        .where(
            parcels.c.ended_us.is_(None),
            ~exists().where(parcel_links.c.further_id == parcels.c.id),
            parcels.c.purpose != "return",
            (parcels.c.leg == "back") | (parcels.c.status == "undeliverable"),
        )
        .group_by(parcels.c.carrier)
    ),
    "pushes": statement(
        select(
            payloads.c.carrier,
            func.max(payloads.c.received_us).label("last_us"),
            func.sum(case((payloads.c.late > 0, 1), else_=0)).label("late"),
        )
        .where(payloads.c.source == "push")
        .group_by(payloads.c.carrier)
    ),
    "unread": statement(select(func.count().label("n")).select_from(payloads).where(payloads.c.read_us.is_(None))),
    "purchases": statement(
        select(purchases.c.carrier, purchases.c.operation, purchases.c.state, func.count().label("n")).group_by(
            purchases.c.carrier, purchases.c.operation, purchases.c.state
        )
    ),
    "deliveries": statement(
        select(
            deliveries.c.endpoint_id,
            endpoints.c.state.label("endpoint_state"),
            func.count().label("n"),
            func.min(outbox.c.spread_us).label("oldest_us"),
        )
        .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(deliveries.c.state == "due")
        .group_by(deliveries.c.endpoint_id, endpoints.c.state)
    ),
    "failed": statement(
        select(deliveries.c.endpoint_id, func.count().label("n"))
        .where(deliveries.c.state == "failed")
        .group_by(deliveries.c.endpoint_id)
    ),
    "notices": statement(select(outbox.c.type, func.count().label("n")).group_by(outbox.c.type)),
    "attempts": statement(  # a name is leg/attempt/ordinal; the subject is the parcel
        select(parcels.c.carrier, outbox.c.name, func.count().label("n"))
        .join(parcels, outbox.c.subject == literal("parcel:", Text) + cast(parcels.c.id, Text))
        .where(outbox.c.type == "parcel.attempt_failed")
        .group_by(parcels.c.carrier, outbox.c.name)
    ),
    "tellings": statement(
        select(tellings.c.channel, tellings.c.state, func.count().label("n"))
        .where((tellings.c.state == "due") | (tellings.c.state == "held"))
        .group_by(tellings.c.channel, tellings.c.state)
    ),
    "codes": statement(
        select(unknown_codes.c.carrier, func.sum(unknown_codes.c.count).label("n")).group_by(unknown_codes.c.carrier)
    ),
    "alerts": statement(
        select(alerts.c.severity, func.count().label("n"))
        .where(alerts.c.cleared_us.is_(None))
        .group_by(alerts.c.severity)
    ),
}


async def figures(tx: Tx, now_us: int) -> Mapping[str, Sequence[Row]]:
    """Every count by the name of its statement; instants as they are stored (`_us`). `now_us` is story time."""
    return {
        name: await (tx.all(counts, now=now_us) if name == "stale" else tx.all(counts))
        for name, counts in _STATEMENTS.items()
    }
