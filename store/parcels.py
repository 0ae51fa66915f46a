"""Parcels, what was sighted and told of them, the last conclusion, and when to look again."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    null,
    or_,
    select,
    update,
)

from store.schema import (
    concluded,
    conclusions,
    order_parcels,
    orders,
    parcel_links,
    parcels,
    returns,
    sightings,
    subscriptions,
    told,
)
from store.statement import one_of, statement
from store.unit import Row, Tx


def _smaller(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whichever is first: what is kept must not depend on the order of arrival."""
    return case((one < other, one), else_=other)


_REGISTER = statement(
    lambda insert: insert(parcels)
    .values(
        {
            name: bindparam(name)
            for name in (
                "carrier", "number", "merchant", "purpose", "shipment", "created_us", "next_poll_us", "review_us",
            )
        }
    )
    .on_conflict_do_nothing(index_elements=["carrier", "number"])
)  # fmt: skip
_WANT = statement(
    lambda insert: (
        insert(subscriptions)
        .values(
            carrier=bindparam("carrier"), number=bindparam("number"), state="wanted", renew_us=bindparam("renew_us")
        )
        .on_conflict_do_nothing()
    )
)
_BY_NUMBER = statement(
    select(parcels, concluded).where(parcels.c.carrier == bindparam("carrier"), parcels.c.number == bindparam("number"))
)
_LOCK_BY_NUMBER = statement(
    select(parcels)
    .where(parcels.c.carrier == bindparam("carrier"), parcels.c.number == bindparam("number"))
    .with_for_update()
)
_LOCK_MANY = statement(
    select(parcels)
    .where(parcels.c.carrier == bindparam("carrier"), one_of(parcels.c.number, "numbers", str))
    .order_by(parcels.c.number)
    .with_for_update()
)
_LOCK = statement(select(parcels).where(parcels.c.id == bindparam("id")).with_for_update())
_BY_ID = statement(select(parcels, concluded).where(parcels.c.id == bindparam("id")))
_SIGHT = statement(
    lambda insert: (
        ins := insert(sightings).values(
            {
                name: bindparam(name)
                for name in (
                    "parcel_id", "event_id", "teller", "source", "payload_digest", "received_us", "at_us", "event",
                )
            }
        )
    ).on_conflict_do_update(
        index_elements=["parcel_id", "event_id", "teller"],
        set_={"received_us": ins.excluded.received_us, "payload_digest": ins.excluded.payload_digest},
        where=or_(
            ins.excluded.received_us < sightings.c.received_us,
            and_(
                ins.excluded.received_us == sightings.c.received_us,
                ins.excluded.payload_digest < sightings.c.payload_digest,
            ),
        ),
    )
)  # fmt: skip
_TELL = statement(
    lambda insert: (
        ins := insert(told).values(
            {name: bindparam(name) for name in ("parcel_id", "teller", "payload_digest", "received_us", "told")}
        )
    ).on_conflict_do_update(
        index_elements=["parcel_id", "teller"],
        set_={
            "received_us": _smaller(ins.excluded.received_us, told.c.received_us),
            "payload_digest": _smaller(ins.excluded.payload_digest, told.c.payload_digest),
        },
        where=or_(ins.excluded.received_us < told.c.received_us, ins.excluded.payload_digest < told.c.payload_digest),
    )
)
_FORGET_SIGHTINGS = statement(
    delete(sightings).where(
        sightings.c.parcel_id == bindparam("parcel_id"), sightings.c.payload_digest == bindparam("digest")
    )
)
_FORGET_TOLD = statement(
    delete(told).where(told.c.parcel_id == bindparam("parcel_id"), told.c.payload_digest == bindparam("digest"))
)
_SIGHTED = (
    sightings.c.event_id, sightings.c.source, sightings.c.payload_digest, sightings.c.received_us, sightings.c.event,
)  # fmt: skip
_SIGHTINGS_OF_ALL = statement(
    select(*_SIGHTED, cast(null(), BigInteger).label("linked_us"), sightings.c.parcel_id.label("of_parcel"))
    .where(one_of(sightings.c.parcel_id, "ids"))
    .union_all(
        select(*_SIGHTED, parcel_links.c.since_us.label("linked_us"), parcel_links.c.parcel_id.label("of_parcel"))
        .join(parcel_links, parcel_links.c.further_id == sightings.c.parcel_id)
        .where(one_of(parcel_links.c.parcel_id, "ids"))
    )
)
_TOLD_OF_ALL = statement(
    select(told.c.parcel_id.label("of_parcel"), told.c.teller, told.c.payload_digest, told.c.received_us, told.c.told)
    .where(one_of(told.c.parcel_id, "ids"))
    .order_by(told.c.id)
)
_SAVE = statement(
    update(parcels)
    .where(parcels.c.id == bindparam("of"))
    .values(
        leg=bindparam("to_leg"),
        status=bindparam("to_status"),
        version=parcels.c.version + 1,
        moved_us=bindparam("to_moved"),
        ended_us=bindparam("to_ended"),
        review_us=bindparam("to_review"),
        next_poll_us=bindparam("to_next_poll"),
        stale_us=bindparam("to_stale"),
    )
)
_CONCLUSIONS = statement(select(conclusions).where(one_of(conclusions.c.parcel_id, "ids")))
_CONCLUDE = statement(
    lambda insert: (
        ins := insert(conclusions).values(parcel_id=bindparam("of"), conclusion=bindparam("conclusion"))
    ).on_conflict_do_update(index_elements=["parcel_id"], set_={"conclusion": ins.excluded.conclusion})
)
_RESCHEDULE = statement(
    update(parcels)
    .where(parcels.c.id == bindparam("of"))
    .values(review_us=bindparam("to_review"), next_poll_us=bindparam("to_next_poll"), stale_us=bindparam("to_stale"))
)
_CHECKED = statement(
    update(parcels)
    .where(parcels.c.id == bindparam("of"), parcels.c.fence == bindparam("was_fence"))
    .values(
        checked_us=bindparam("to_checked"),
        next_poll_us=bindparam("to_next_poll"),
        stale_us=bindparam("to_stale"),
        lease_us=None,
    )
)
_TURNS = statement(
    select(
        parcels.c.id, parcels.c.merchant, parcels.c.status, parcels.c.purpose, parcels.c.created_us, parcels.c.moved_us
    ).where(one_of(parcels.c.id, "ids"))
)
_NOTE_CHECKED = statement(
    update(parcels)
    .where(parcels.c.carrier == bindparam("of_carrier"), parcels.c.number == bindparam("of_number"))
    .values(checked_us=bindparam("to_checked"), stale_us=bindparam("to_stale"))
)
_RELEASE = statement(
    update(parcels)
    .where(parcels.c.id == bindparam("of"), parcels.c.fence == bindparam("was_fence"))
    .values(next_poll_us=bindparam("to_next_poll"), lease_us=None)
)
_RENEW = statement(
    update(parcels)
    .where(parcels.c.id == bindparam("of"), parcels.c.fence == bindparam("was_fence"), parcels.c.lease_us.is_not(None))
    .values(lease_us=bindparam("until"))
)
_OVERDUE = statement(  # by the index of what is due: what is not due is not stale
    select(func.count().label("n")).where(
        parcels.c.carrier == bindparam("of_carrier"),
        parcels.c.next_poll_us <= bindparam("before"),
        parcels.c.stale_us <= bindparam("now"),
    )
)
_FREE_PARCELS = statement(update(parcels).where(parcels.c.lease_us.is_not(None)).values(lease_us=None))
_due = (
    select(parcels.c.id)
    .where(
        parcels.c.carrier == bindparam("of_carrier"),
        parcels.c.next_poll_us <= bindparam("now"),
        or_(parcels.c.lease_us.is_(None), parcels.c.lease_us < bindparam("real_now")),
    )
    .order_by(parcels.c.next_poll_us)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM_DUE = statement(
    update(parcels)
    .where(parcels.c.id == _due.c.id)
    .values(lease_us=bindparam("until"), fence=parcels.c.fence + 1)
    .returning(parcels.c.id, parcels.c.number, parcels.c.merchant, parcels.c.fence, parcels.c.next_poll_us)
)
_REVIEWS = statement(
    select(parcels.c.id)
    .where(parcels.c.review_us <= bindparam("now"))
    .order_by(parcels.c.review_us)
    .limit(bindparam("limit"))
)
_LOCK_DUE_REVIEW = statement(
    select(parcels)
    .where(parcels.c.id == bindparam("id"), parcels.c.review_us <= bindparam("now"))
    .with_for_update(skip_locked=True)
)
_ORDER_NUMBERS = statement(
    select(orders.c.number)
    .join(order_parcels, order_parcels.c.order_id == orders.c.id)
    .where(order_parcels.c.parcel_id == bindparam("parcel_id"))
    .order_by(orders.c.number)
)
_ORDER_NUMBERS_OF_ALL = statement(
    select(order_parcels.c.parcel_id, orders.c.number)
    .join(orders, orders.c.id == order_parcels.c.order_id)
    .where(one_of(order_parcels.c.parcel_id, "ids"))
    .order_by(orders.c.number)
)
_RETURN_NUMBERS_OF_ALL = statement(
    select(returns.c.parcel_id, returns.c.number).where(one_of(returns.c.parcel_id, "ids"))
)
_LIST = statement(
    select(parcels, concluded)
    .where(
        parcels.c.id > bindparam("after"),
        or_(bindparam("merchant") == "", parcels.c.merchant == bindparam("merchant")),
        or_(bindparam("status") == "", parcels.c.status == bindparam("status")),
        or_(bindparam("leg") == "", parcels.c.leg == bindparam("leg")),
    )
    .order_by(parcels.c.id)
    .limit(bindparam("limit"))
)
_COUNT_SINCE = statement(
    select(func.count().label("n")).where(
        parcels.c.created_us >= bindparam("since_us"),
        or_(bindparam("merchant") == "", parcels.c.merchant == bindparam("merchant")),
    )
)
_DUE_SUBSCRIPTIONS = statement(
    select(subscriptions)
    .where(subscriptions.c.carrier == bindparam("carrier"), subscriptions.c.renew_us <= bindparam("now"))
    .order_by(subscriptions.c.renew_us)
    .limit(bindparam("limit"))
)
_SUBSCRIPTION = statement(
    select(subscriptions.c.state).where(
        subscriptions.c.carrier == bindparam("carrier"), subscriptions.c.number == bindparam("number")
    )
)
_SUBSCRIBED = statement(
    update(subscriptions)
    .where(subscriptions.c.carrier == bindparam("of_carrier"), subscriptions.c.number == bindparam("of_number"))
    .values(state=bindparam("to_state"), renew_us=bindparam("to_renew"), tries=bindparam("to_tries"))
)
_FRESHNESS = statement(
    select(
        parcels.c.carrier,
        parcels.c.status,
        func.count().label("parcels"),
        func.min(parcels.c.checked_us).label("oldest_us"),
    )
    .where(parcels.c.ended_us.is_(None))
    .group_by(parcels.c.carrier, parcels.c.status)
)

NEVER_US = 2**62  # a renewal that never comes: the parcel's journey is over


async def register_parcel(
    tx: Tx, *, merchant: str, carrier: str, number: str, purpose: str, shipment: str, now_us: int
) -> int:
    """The parcel's row, new (and due for a first look) or already there: the caller compares merchant and purpose."""
    added = await tx.run(
        _REGISTER,
        carrier=carrier,
        number=number,
        merchant=merchant,
        purpose=purpose,
        shipment=shipment,
        created_us=now_us,
        next_poll_us=now_us,
        review_us=now_us,
    )
    if added:
        await tx.run(_WANT, carrier=carrier, number=number, renew_us=now_us)
    row = await tx.one(_BY_NUMBER, carrier=carrier, number=number)
    assert row is not None
    return int(row["id"])


async def find_parcel(tx: Tx, carrier: str, number: str) -> Row | None:
    return await tx.one(_BY_NUMBER, carrier=carrier, number=number)


async def parcel_by_id(tx: Tx, id: int | None) -> Row | None:
    """The parcel; None for no number, too: a return may have no parcel yet."""
    return await tx.one(_BY_ID, id=id) if id is not None else None


async def lock_parcel(tx: Tx, carrier: str, number: str) -> Row | None:
    """The parcel, held until the transaction ends: conclusions about it are drawn one after the other."""
    return await tx.one(_LOCK_BY_NUMBER, carrier=carrier, number=number)


async def lock_parcel_by_id(tx: Tx, id: int) -> Row | None:
    return await tx.one(_LOCK, id=id)


async def add_sightings(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Tellings of events, each with every column. The same telling again is the row of its first time."""
    await tx.many(_SIGHT, rows)


async def lock_parcels(tx: Tx, carrier: str, numbers: Sequence[str]) -> Sequence[Row]:
    """Those of a carrier's numbers that are registered, held until the transaction ends."""
    return await tx.all(_LOCK_MANY, carrier=carrier, numbers=_json(numbers))


async def add_all_told(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """What was told beside events, each with every column. The same again is the row of its first time."""
    await tx.many(_TELL, rows)


async def sightings_of_all(tx: Tx, parcel_ids: Sequence[int]) -> Sequence[Row]:
    """What was seen of these parcels (`of_parcel`): under its own number (`linked_us` null), and under those it was
    linked to then.
    """
    return await tx.all(_SIGHTINGS_OF_ALL, ids=_json(parcel_ids))


async def told_of_all(tx: Tx, parcel_ids: Sequence[int]) -> Sequence[Row]:
    """What was told of these parcels (`of_parcel`) beside events, in the order in which it was."""
    return await tx.all(_TOLD_OF_ALL, ids=_json(parcel_ids))


async def conclusions_of(tx: Tx, parcel_ids: Sequence[int]) -> dict[int, str]:
    """What was concluded of these parcels last, as JSON; "{}" where nothing was.

    For whoever holds their rows. It is not read by the statement that waits for them: on PostgreSQL that one would see
    the row as somebody else left it, and the conclusion as it was before.
    """
    rows = await tx.all(_CONCLUSIONS, ids=_json(parcel_ids))
    return dict.fromkeys(parcel_ids, "{}") | {row["parcel_id"]: row["conclusion"] for row in rows}


async def save_conclusions(tx: Tx, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> None:
    """What was concluded of many parcels, each as JSON (`texts`), and what follows for its row: `of` (the parcel),
    `to_leg`, `to_status`, and the instants `to_moved`, `to_ended`, `to_review`, `to_next_poll`, `to_stale`.
    """
    await tx.many(_SAVE, rows)
    await tx.many(_CONCLUDE, [{"of": row["of"], "conclusion": text} for row, text in zip(rows, texts, strict=True)])
    for row in rows:
        tx.touch(f"parcel:{row['of']}")


async def reschedule_all(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Nothing new is known; only when to look again: `of`, `to_review`, `to_next_poll`, `to_stale`."""
    await tx.many(_RESCHEDULE, rows)


async def claim_due_polls(
    tx: Tx, carrier: str, *, now_us: int, real_now_us: int, lease_until_us: int, limit: int
) -> list[tuple[Row, int]]:
    """Parcels due for a poll, each with the fence under which it is ours until the lease ends."""
    rows = await tx.all(
        _CLAIM_DUE, of_carrier=carrier, now=now_us, real_now=real_now_us, until=lease_until_us, limit=limit
    )
    return [(row, row["fence"]) for row in sorted(rows, key=lambda row: (row["next_poll_us"], row["id"]))]


async def renew(tx: Tx, claimed: Sequence[tuple[Row, int]], until_us: int) -> None:
    """Whoever claimed these is still at them. What was asked about, or claimed by somebody else, stays as it is."""
    await tx.many(_RENEW, [{"of": row["id"], "was_fence": fence, "until": until_us} for row, fence in claimed])


async def free_parcels(tx: Tx) -> int:
    """Nobody polls; only where no other process can be at work."""
    return await tx.run(_FREE_PARCELS)


async def turns_of(tx: Tx, parcel_ids: Sequence[int]) -> Sequence[Row]:
    """Of each parcel what decides when it is asked about next."""
    return await tx.all(_TURNS, ids=_json(parcel_ids))


async def checked(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """The carrier was asked: `of`, `was_fence`, `to_checked`, `to_next_poll`, `to_stale`. Who lost the lease meanwhile
    changes nothing: somebody else has the parcel now."""
    await tx.many(_CHECKED, rows)


async def note_checked(tx: Tx, carrier: str, number: str, *, checked_us: int, stale_us: int | None) -> None:
    """The carrier was asked out of turn; when it is due again stays as it was."""
    await tx.run(_NOTE_CHECKED, of_carrier=carrier, of_number=number, to_checked=checked_us, to_stale=stale_us)


async def overdue(tx: Tx, carrier: str, *, now_us: int, before_us: int) -> int:
    """How many parcels of a carrier are older news than promised: of those due for a poll until `before_us`."""
    row = await tx.one(_OVERDUE, of_carrier=carrier, now=now_us, before=before_us)
    return int(row["n"]) if row else 0


async def release(tx: Tx, id: int, fence: int, *, next_poll_us: int) -> None:
    """The carrier did not answer: try again then."""
    await tx.run(_RELEASE, of=id, was_fence=fence, to_next_poll=next_poll_us)


async def lock_due_review(tx: Tx, id: int, now_us: int) -> Row | None:
    """The parcel if it is still due for a review and nobody else is at it, held until the transaction ends."""
    return await tx.one(_LOCK_DUE_REVIEW, id=id, now=now_us)


async def due_reviews(tx: Tx, now_us: int, limit: int) -> list[int]:
    return [row["id"] for row in await tx.all(_REVIEWS, now=now_us, limit=limit)]


async def order_numbers_of(tx: Tx, parcel_id: int) -> list[str]:
    return [row["number"] for row in await tx.all(_ORDER_NUMBERS, parcel_id=parcel_id)]


async def order_numbers_of_all(tx: Tx, parcel_ids: Sequence[int]) -> dict[int, list[str]]:
    """The orders that these parcels are of; a parcel of none is left out."""
    found: dict[int, list[str]] = {}
    for row in await tx.all(_ORDER_NUMBERS_OF_ALL, ids=_json(parcel_ids)):
        found.setdefault(row["parcel_id"], []).append(row["number"])
    return found


async def return_numbers_of_all(tx: Tx, parcel_ids: Sequence[int]) -> dict[int, str]:
    """The returns that these parcels are of; a parcel of none is left out."""
    return {row["parcel_id"]: row["number"] for row in await tx.all(_RETURN_NUMBERS_OF_ALL, ids=_json(parcel_ids))}


async def list_parcels(
    tx: Tx, *, after: int = 0, limit: int = 50, merchant: str = "", status: str = "", leg: str = ""
) -> Sequence[Row]:
    """Parcels in the order of their ids, from `after` (exclusive)."""
    return await tx.all(_LIST, after=after, limit=limit, merchant=merchant, status=status, leg=leg)


async def count_parcels(tx: Tx, merchant: str, since_us: int) -> int:
    """How many parcels of a shop (of every one: "") were registered since."""
    row = await tx.one(_COUNT_SINCE, merchant=merchant, since_us=since_us)
    return int(row["n"]) if row else 0


async def want_subscription(tx: Tx, carrier: str, number: str, now_us: int) -> None:
    await tx.run(_WANT, carrier=carrier, number=number, renew_us=now_us)


async def find_subscription(tx: Tx, carrier: str, number: str) -> Row | None:
    return await tx.one(_SUBSCRIPTION, carrier=carrier, number=number)


async def due_subscriptions(tx: Tx, carrier: str, now_us: int, limit: int) -> Sequence[Row]:
    return await tx.all(_DUE_SUBSCRIPTIONS, carrier=carrier, now=now_us, limit=limit)


async def set_subscription(tx: Tx, carrier: str, number: str, *, state: str, renew_us: int, tries: int) -> None:
    await tx.run(_SUBSCRIBED, of_carrier=carrier, of_number=number, to_state=state, to_renew=renew_us, to_tries=tries)


async def freshness(tx: Tx) -> Sequence[Row]:
    """How many live parcels each carrier has in each status, and the oldest check among them."""
    return await tx.all(_FRESHNESS)


async def forget_tellings(tx: Tx, parcel_id: int, payload_digest: str) -> None:
    """What one payload told of a parcel, gone: before it tells it again."""
    await tx.run(_FORGET_SIGHTINGS, parcel_id=parcel_id, digest=payload_digest)
    await tx.run(_FORGET_TOLD, parcel_id=parcel_id, digest=payload_digest)


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
