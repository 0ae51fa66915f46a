"""Counts for the figures page: how many, how old, in which state; nothing that takes longer with every day's history.

What is over is found by no scan: partial indexes hold what is not, and what was said is counted once and then added to.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, cast, exists, func, literal_column, select

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

OPEN_DELIVERY: ColumnElement[bool] = literal_column("deliveries.state <> 'done'")
"""In these words, because a partial index is only used where its own condition is asked for."""

# an expression, so that no index of all parcels by carrier looks better than the small ones of those that are open
_CARRIER = parcels.c.carrier.concat(literal_column("''")).label("carrier")

_STATEMENTS = {
    "parcels": statement(
        select(
            _CARRIER,
            parcels.c.leg,
            parcels.c.status,
            func.count().label("n"),
            func.min(func.coalesce(parcels.c.checked_us, parcels.c.created_us)).label("oldest_us"),
        )
        .where(parcels.c.next_poll_us.is_not(None))
        .group_by(_CARRIER, parcels.c.leg, parcels.c.status)
    ),
    "stale": statement(
        select(_CARRIER, func.sum(case((parcels.c.stale_us <= bindparam("now"), 1), else_=0)).label("n"))
        .where(parcels.c.next_poll_us.is_not(None))
        .group_by(_CARRIER)
    ),
    "cases": statement(
        select(_CARRIER, func.count().label("n"))
        .where(
            parcels.c.ended_us.is_(None),
            ~exists().where(parcel_links.c.further_id == parcels.c.id),
            parcels.c.purpose != "return",
            (parcels.c.leg == "back") | (parcels.c.status == "undeliverable"),
        )
        .group_by(_CARRIER)
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
        .where(OPEN_DELIVERY, deliveries.c.state == "due")
        .group_by(deliveries.c.endpoint_id, endpoints.c.state)
    ),
    "failed": statement(
        select(deliveries.c.endpoint_id, func.count().label("n"))
        .where(OPEN_DELIVERY, deliveries.c.state == "failed")
        .group_by(deliveries.c.endpoint_id)
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


_LAST_PUSH = statement(
    select(func.max(payloads.c.received_us).label("last_us")).where(
        payloads.c.carrier == bindparam("carrier"), payloads.c.source == "push"
    )
)
_LATE = statement(
    select(func.count().label("late"))
    .select_from(payloads)
    .where(literal_column("payloads.late > 0"), payloads.c.carrier == bindparam("carrier"))
)

# ---------------------------------------------------------------------------------------------------- what was said

_NEWEST = statement(select(func.max(outbox.c.id).label("id")))
_SAID = statement(select(outbox.c.type, func.count().label("n")).group_by(outbox.c.type))
_SAID_BETWEEN = statement(
    select(outbox.c.type, func.count().label("n"))
    .where(outbox.c.id > bindparam("after"), outbox.c.id <= bindparam("until"))
    .group_by(outbox.c.type)
)
_PARCEL_ID = case(  # the subject of an attempt is its parcel; nothing else is to be read as a number
    (outbox.c.type == "parcel.attempt_failed", cast(func.substr(outbox.c.subject, len("parcel:") + 1), BigInteger)),
    else_=0,
)
_ATTEMPT = select(parcels.c.carrier, outbox.c.name, func.count().label("n")).select_from(
    outbox.join(parcels, parcels.c.id == _PARCEL_ID)
)  # a name is leg/attempt/ordinal
_ATTEMPTS = statement(
    _ATTEMPT.where(outbox.c.type == "parcel.attempt_failed").group_by(parcels.c.carrier, outbox.c.name)
)
_ATTEMPTS_BETWEEN = statement(
    _ATTEMPT.where(outbox.c.id > bindparam("after"), outbox.c.id <= bindparam("until")).group_by(
        parcels.c.carrier, outbox.c.name
    )
)


@dataclass(frozen=True, slots=True)
class Said:
    """What was said up to a row of the outbox: by type, and failed attempts by carrier and name."""

    upto: int = 0
    newest: int = 0  # the newest row at the last look: what came before it has been committed by the next one
    notices: Mapping[str, int] = field(default_factory=dict)
    attempts: Mapping[tuple[str, str], int] = field(default_factory=dict)


async def said_since(tx: Tx, before: Said) -> Said:
    """What was said up to now; only what came since is looked at, but for the first time.

    Rows are numbered before they are committed: a look counts no further than the newest row of the look before it.
    """
    row = await tx.one(_NEWEST)
    newest = int(row["id"] or 0) if row else 0
    if not before.newest:
        until, said, tried = newest, await tx.all(_SAID), await tx.all(_ATTEMPTS)
    else:
        until, between = before.newest, {"after": before.upto, "until": before.newest}
        said, tried = await tx.all(_SAID_BETWEEN, **between), await tx.all(_ATTEMPTS_BETWEEN, **between)
    notices, attempts = Counter(before.notices), Counter(before.attempts)
    notices.update({each["type"]: int(each["n"]) for each in said})
    attempts.update({(each["carrier"], str(each["name"])): int(each["n"]) for each in tried})
    return Said(until, newest, notices, attempts)


async def figures(tx: Tx, now_us: int, carriers: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """Every count by the name of its statement; instants as they are stored (`_us`). `now_us` is story time."""
    counted = {
        name: await (tx.all(counts, now=now_us) if name == "stale" else tx.all(counts))
        for name, counts in _STATEMENTS.items()
    }
    return counted | {"pushes": [row for name in carriers if (row := await _pushes(tx, name)) is not None]}


async def _pushes(tx: Tx, carrier: str) -> Row | None:
    """When a carrier's last push came, and how many came late; None where it never pushed."""
    last, late = await tx.one(_LAST_PUSH, carrier=carrier), await tx.one(_LATE, carrier=carrier)
    if last is None or late is None or last["last_us"] is None:
        return None
    return {"carrier": carrier, "last_us": last["last_us"], "late": late["late"]}
