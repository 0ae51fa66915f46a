"""What the ops desk reads: parcels at risk, cases, returns that wait, news of each carrier, failed attempts."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, bindparam, exists, func, literal_column, or_, select

from store.schema import concluded, outbox, parcel_links, parcels, payloads, returns
from store.statement import statement
from store.unit import Row, Tx

_AT_RISK = statement(
    select(parcels, concluded)
    .where(
        parcels.c.ended_us.is_(None),
        parcels.c.id < bindparam("before"),
        parcels.c.leg == "out",
        or_(
            parcels.c.status == "attempt_failed",
            parcels.c.status == "available_for_pickup",
            parcels.c.status == "on_hold",
            parcels.c.status == "undeliverable",
        ),
    )
    .order_by(parcels.c.id.desc())
    .limit(bindparam("limit"))
)
# in these words, because a partial index is only used where its own condition is asked for
_HOME: ColumnElement[bool] = literal_column("(parcels.leg = 'back' OR parcels.status = 'undeliverable')")
_CASES = statement(
    select(parcels, concluded)
    .where(
        parcels.c.purpose != "return",
        ~exists().where(parcel_links.c.further_id == parcels.c.id),  # another parcel's way home: that one is the case
        parcels.c.id < bindparam("before"),
        _HOME,
    )
    .order_by(parcels.c.id.desc())
    .limit(bindparam("limit"))
)
_WAITING = statement(
    select(returns)
    .where(
        or_(returns.c.state == "received", returns.c.state == "checking"), returns.c.updated_us < bindparam("until_us")
    )
    .order_by(returns.c.updated_us)
    .limit(bindparam("limit"))
)
_NEWEST_PAYLOAD = statement(
    select(func.max(payloads.c.received_us).label("received_us")).where(
        payloads.c.carrier == bindparam("carrier"), payloads.c.source == bindparam("source")
    )
)
_ATTEMPTS = statement(
    select(outbox.c.subject, outbox.c.at_us, outbox.c.data)
    .where(outbox.c.type == "parcel.attempt_failed", outbox.c.at_us >= bindparam("since_us"))
    .order_by(outbox.c.at_us.desc(), outbox.c.id.desc())
    .limit(bindparam("limit"))
)


_HOMECOMINGS = statement(
    select(outbox.c.data)
    .where(outbox.c.type == "return_to_warehouse.arrived", outbox.c.at_us >= bindparam("since_us"))
    .order_by(outbox.c.at_us.desc(), outbox.c.id.desc())
    .limit(bindparam("limit"))
)


async def at_risk(tx: Tx, before: int, limit: int) -> Sequence[Row]:
    """Parcels on their way out that somebody must look after, newest first."""
    return await tx.all(_AT_RISK, before=before, limit=limit)


async def cases(tx: Tx, before: int, limit: int) -> Sequence[Row]:
    """Parcels that come back to the warehouse, or are about to, newest first."""
    return await tx.all(_CASES, before=before, limit=limit)


async def waiting_returns(tx: Tx, until_us: int, limit: int) -> Sequence[Row]:
    """Returns that arrived and have not been settled since, longest first."""
    return await tx.all(_WAITING, until_us=until_us, limit=limit)


async def newest_payload_us(tx: Tx, carrier: str, source: str) -> int | None:
    """When a carrier's newest answer or push came."""
    row = await tx.one(_NEWEST_PAYLOAD, carrier=carrier, source=source)
    return int(row["received_us"]) if row and row["received_us"] is not None else None


async def failed_attempts(tx: Tx, since_us: int, limit: int) -> Sequence[Row]:
    """Every failed attempt that was told since, newest first."""
    return await tx.all(_ATTEMPTS, since_us=since_us, limit=limit)


async def homecomings(tx: Tx, since_us: int, limit: int) -> Sequence[Row]:
    """What was told of every parcel that came back to the warehouse since (`data`), newest first."""
    return await tx.all(_HOMECOMINGS, since_us=since_us, limit=limit)
