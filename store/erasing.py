"""Forgets a person: sealed fields, proofs, the carriers' raw words, papers, mails, postcodes; and what is over."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table, bindparam, delete, exists, func, or_, select, update

from store.mails import forget_mails
from store.pickups import forget_pickups
from store.schema import (
    carrier_answers,
    dispatches,
    documents,
    labels,
    links,
    mails,
    mentions,
    order_parcels,
    orders,
    parcel_links,
    parcels,
    payloads,
    purchases,
    return_orders,
    returns,
    sightings,
    told,
    unidentified,
)
from store.statement import Statement, statement
from store.unidentified import forget_marks
from store.unit import Row, Tx

_FORGET_ORDER = statement(
    update(orders).where(orders.c.id == bindparam("of")).values(sealed=None, proof_email="", proof_postcode="")
)
_FORGET_RETURN = statement(update(returns).where(returns.c.id == bindparam("of")).values(sealed=None))
_RETURNS_ON = statement(
    select(returns)
    .join(return_orders, return_orders.c.return_id == returns.c.id)
    .where(return_orders.c.order_id == bindparam("of"))
)
_DISPATCHES = statement(
    select(dispatches.c.id, dispatches.c.kind, dispatches.c.parcel_id).where(dispatches.c.return_id == bindparam("of"))
)
_FURTHER = statement(
    select(parcels)
    .join(parcel_links, parcel_links.c.further_id == parcels.c.id)
    .where(parcel_links.c.parcel_id == bindparam("of"))
)
_FORGET_PAYLOADS = statement(
    delete(payloads).where(
        payloads.c.id.in_(
            select(mentions.c.payload_id).where(
                mentions.c.carrier == bindparam("carrier"), mentions.c.number == bindparam("number")
            )
        )
    )
)
_OPEN = statement(
    select(purchases.c.id).where(
        purchases.c.subject == bindparam("subject"),
        or_(
            purchases.c.state == "PLANNED",
            purchases.c.state == "SENDING",
            purchases.c.state == "UNKNOWN",
            purchases.c.state == "BOUGHT",
            purchases.c.state == "NEEDS_HUMAN",
        ),
    )
)
_FORGET_BODIES = statement(
    update(purchases).where(purchases.c.subject == bindparam("of")).values(body=bindparam("empty"))
)
_FORGET_PAPERS = statement(
    delete(documents).where(
        documents.c.label_id.in_(
            select(labels.c.id)
            .join(purchases, purchases.c.id == labels.c.purchase_id)
            .where(purchases.c.subject == bindparam("of"))
        )
    )
)
_FORGET_LINKS = statement(
    delete(links).where(
        links.c.kind == bindparam("kind"),
        links.c.merchant == bindparam("merchant"),
        links.c.number == bindparam("number"),
    )
)
_FORGET_WORDS = statement(update(mails).where(mails.c.subject == bindparam("subject")).values(detail=""))
_FORGET_ANSWERS = statement(delete(carrier_answers))


async def returns_on(tx: Tx, order_id: int) -> list[dict[str, Any]]:
    """The returns that ride on an order: id, number, merchant, parcel_id."""
    rows = await tx.all(_RETURNS_ON, of=order_id)
    return [{name: row[name] for name in ("id", "number", "merchant", "parcel_id")} for row in rows]


async def dispatches_on(tx: Tx, return_id: int) -> Sequence[Row]:
    """What left the warehouse because of a return: id, kind, parcel_id (or null)."""
    return await tx.all(_DISPATCHES, of=return_id)


async def further_parcels(tx: Tx, parcel_id: int) -> Sequence[Row]:
    """The parcels that this one travelled on as."""
    return await tx.all(_FURTHER, of=parcel_id)


async def is_buying(tx: Tx, subject: str) -> bool:
    """Whether a purchase for this is still open: its bytes are needed to find out what the carrier holds."""
    return await tx.one(_OPEN, subject=subject) is not None


async def forget_order(tx: Tx, order_id: int, merchant: str, number: str) -> None:
    """Address, contact and proofs are gone, and what stood on boxes; what was sold stays."""
    await tx.run(_FORGET_ORDER, of=order_id)
    await tx.run(_FORGET_LINKS, kind="order", merchant=merchant, number=number)
    await forget_marks(tx, number)
    await tx.run(_FORGET_ANSWERS)  # kept for a day, and by marks that name nobody: all of them


async def forget_return(tx: Tx, return_id: int, merchant: str, number: str) -> int:
    """Address, request bytes, papers, mails and collections are gone; numbers and money stay. How many papers."""
    await tx.run(_FORGET_RETURN, of=return_id)
    await tx.run(_FORGET_LINKS, kind="return", merchant=merchant, number=number)
    await forget_mails(tx, f"return:{return_id}")
    await tx.run(_FORGET_WORDS, subject=f"return:{return_id}")
    await forget_pickups(tx, return_id)
    return await forget_papers(tx, f"return:{return_id}")


async def forget_papers(tx: Tx, subject: str) -> int:
    """The bytes that were sent to buy a label, and the label itself. How many papers."""
    await tx.run(_FORGET_BODIES, of=subject, empty=b"")
    return await tx.run(_FORGET_PAPERS, of=subject)


async def forget_payloads(tx: Tx, carrier: str, number: str) -> int:
    """What a carrier sent about a parcel is gone, also where it speaks of others; the sightings stay. How many."""
    return await tx.run(_FORGET_PAYLOADS, carrier=carrier, number=number)


# ------------------------------------------------------------------------------------------------------------ postcodes


def _texts(table: Table, column: str, key: str) -> tuple[str, Statement, Statement]:
    """A JSON column of one parcel's rows: its name, what reads it, what writes one of them."""
    return (
        column,
        statement(select(table.c.id, table.c[column]).where(table.c[key] == bindparam("of"))),
        statement(update(table).where(table.c.id == bindparam("row")).values({column: bindparam("text")})),
    )


_PLACES = (
    _texts(parcels, "shipment", "id"),
    _texts(sightings, "event", "parcel_id"),
    _texts(told, "told", "parcel_id"),
)
_CLUES = statement(
    select(unidentified.c.id, unidentified.c.clue).where(
        unidentified.c.carrier == bindparam("carrier"), unidentified.c.number == bindparam("number")
    )
)
_CLUE = statement(update(unidentified).where(unidentified.c.id == bindparam("row")).values(clue=bindparam("text")))


async def forget_postcodes(tx: Tx, parcel: Row, stays: Callable[[str], bool]) -> int:
    """Every postcode of a parcel's scans and places but those that stay (the warehouses'). How many rows held one.

    Town and country stay: the same scans must tell the same story when they are judged again.
    """
    changed = 0
    for column, reads, writes in _PLACES:
        for row in await tx.all(reads, of=parcel["id"]):
            changed += await _without(tx, writes, row["id"], row[column], stays)
    for row in await tx.all(_CLUES, carrier=parcel["carrier"], number=parcel["number"]):
        changed += await _without(tx, _CLUE, row["id"], row["clue"], stays)
    return changed


async def _without(tx: Tx, writes: Statement, row_id: int, text: str, stays: Callable[[str], bool]) -> int:
    if '"postal' not in text:
        return 0
    found = msgspec.json.decode(text)
    left = _blanked(found, stays)
    if left == found:
        return 0
    await tx.run(writes, row=row_id, text=msgspec.json.encode(left).decode())
    return 1


def _blanked(value: Any, stays: Callable[[str], bool]) -> Any:
    if isinstance(value, dict):
        return {
            name: ("" if name == "postal_code" and not stays(str(each)) else _blanked(each, stays))
            for name, each in value.items()
        }
    return [_blanked(each, stays) for each in value] if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------------------------ retention

_LIVE = or_(  # ended lately; or never ended, and heard of in twice the time
    parcels.c.ended_us > bindparam("cut_us"),
    parcels.c.ended_us.is_(None) & (func.coalesce(parcels.c.moved_us, parcels.c.created_us) > bindparam("long_us")),
)
_ORDERS_OVER = statement(
    select(orders.c.id, orders.c.merchant, orders.c.number)
    .where(
        or_(orders.c.sealed.is_not(None), orders.c.proof_email != "", orders.c.proof_postcode != ""),
        orders.c.updated_us < bindparam("cut_us"),
        orders.c.id > bindparam("after"),
        ~exists(
            select(parcels.c.id)
            .join(order_parcels, order_parcels.c.parcel_id == parcels.c.id)
            .where(order_parcels.c.order_id == orders.c.id, _LIVE)
        ),
        ~exists(
            select(returns.c.id)
            .join(return_orders, return_orders.c.return_id == returns.c.id)
            .where(return_orders.c.order_id == orders.c.id, returns.c.updated_us >= bindparam("cut_us"))
        ),
        ~exists(
            select(parcels.c.id)
            .join(returns, returns.c.parcel_id == parcels.c.id)
            .join(return_orders, return_orders.c.return_id == returns.c.id)
            .where(return_orders.c.order_id == orders.c.id, _LIVE)
        ),
    )
    .order_by(orders.c.id)
    .limit(bindparam("limit"))
)
_PAYLOADS_OVER = statement(
    select(payloads.c.id)
    .where(
        payloads.c.received_us < bindparam("cut_us"),
        payloads.c.read_us.is_not(None),
        ~exists(
            select(parcels.c.id)
            .join(mentions, (mentions.c.carrier == parcels.c.carrier) & (mentions.c.number == parcels.c.number))
            .where(mentions.c.payload_id == payloads.c.id, _LIVE)
        ),
    )
    .order_by(payloads.c.id)
    .limit(bindparam("limit"))
)
_DROP_PAYLOAD = statement(delete(payloads).where(payloads.c.id == bindparam("of")))
_LINKS_OVER = statement(
    delete(links).where(or_(links.c.ends_us < bindparam("cut_us"), links.c.revoked_us < bindparam("cut_us")))
)


async def orders_over(tx: Tx, *, cut_us: int, long_us: int, after: int, limit: int) -> Sequence[Row]:
    """Orders (id, merchant, number) that still hold a person and are over since the cut: their parcels and returns."""
    return await tx.all(_ORDERS_OVER, cut_us=cut_us, long_us=long_us, after=after, limit=limit)


async def drop_payloads(tx: Tx, *, cut_us: int, long_us: int, limit: int) -> int:
    """Drop raw payloads whose parcels are all over since the cut; how many."""
    rows = await tx.all(_PAYLOADS_OVER, cut_us=cut_us, long_us=long_us, limit=limit)
    await tx.many(_DROP_PAYLOAD, [{"of": row["id"]} for row in rows])
    return len(rows)


async def drop_links(tx: Tx, cut_us: int) -> int:
    """Drop links that ended or were revoked before the cut; how many."""
    return await tx.run(_LINKS_OVER, cut_us=cut_us)


def kept_postcodes(postcodes: Collection[str]) -> Callable[[str], bool]:
    """Whether a postcode is one of these, however it is written (an empty one stays as it is)."""
    plain = {_plain(each) for each in postcodes}
    return lambda postcode: not postcode or _plain(postcode) in plain


def _plain(postcode: str) -> str:
    return "".join(each for each in postcode.upper() if each.isalnum())[:5]
