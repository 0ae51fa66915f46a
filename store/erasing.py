"""Forgets a person: sealed fields, proofs, the carriers' raw words and papers of an order or a return."""

from sqlalchemy import bindparam, delete, or_, select, update

from store.schema import (
    documents,
    labels,
    links,
    mentions,
    orders,
    payloads,
    purchases,
    return_orders,
    returns,
)
from store.statement import statement
from store.unit import Tx

_FORGET_ORDER = statement(
    update(orders).where(orders.c.id == bindparam("of")).values(sealed=None, proof_email="", proof_postcode="")
)
_FORGET_RETURN = statement(update(returns).where(returns.c.id == bindparam("of")).values(sealed=None))
_RETURNS_ON = statement(
    select(returns)
    .join(return_orders, return_orders.c.return_id == returns.c.id)
    .where(return_orders.c.order_id == bindparam("of"))
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


async def returns_on(tx: Tx, order_id: int) -> list[dict[str, object]]:
    """The returns that ride on an order: id, number, merchant, parcel_id."""
    rows = await tx.all(_RETURNS_ON, of=order_id)
    return [{name: row[name] for name in ("id", "number", "merchant", "parcel_id")} for row in rows]


async def is_buying(tx: Tx, return_id: int) -> bool:
    """Whether a purchase for this return is still open: its bytes are needed to find out what the carrier holds."""
    return await tx.one(_OPEN, subject=f"return:{return_id}") is not None


async def forget_order(tx: Tx, order_id: int, merchant: str, number: str) -> None:
    """Address, contact and proofs are gone; what was sold stays."""
    await tx.run(_FORGET_ORDER, of=order_id)
    await tx.run(_FORGET_LINKS, kind="order", merchant=merchant, number=number)


async def forget_return(tx: Tx, return_id: int, merchant: str, number: str) -> int:
    """Address, request bytes and papers are gone; numbers and money stay. How many papers."""
    await tx.run(_FORGET_RETURN, of=return_id)
    await tx.run(_FORGET_BODIES, of=f"return:{return_id}", empty=b"")
    await tx.run(_FORGET_LINKS, kind="return", merchant=merchant, number=number)
    return await tx.run(_FORGET_PAPERS, of=f"return:{return_id}")


async def forget_payloads(tx: Tx, carrier: str, number: str) -> int:
    """What a carrier sent about a parcel is gone, also where it speaks of others; the sightings stay. How many."""
    return await tx.run(_FORGET_PAYLOADS, carrier=carrier, number=number)
