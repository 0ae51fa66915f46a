"""What costs money: intents with their exact bytes, labels, and the sealed documents."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, or_, select, update

from store.schema import documents, labels, purchases
from store.statement import statement
from store.unit import Row, Tx

_COLUMNS = (
    "id", "operation", "carrier", "subject", "generation", "reference", "state", "prepared", "body", "body_digest",
    "next_us", "created_us", "updated_us",
)  # fmt: skip

_ADD = statement(lambda insert: insert(purchases).values({name: bindparam(f"{name}_") for name in _COLUMNS}))
_FIND = statement(select(purchases).where(purchases.c.id == bindparam("id")))
_LOCK = statement(select(purchases).where(purchases.c.id == bindparam("id")).with_for_update())
_OF = statement(
    select(purchases)
    .where(purchases.c.subject == bindparam("subject"), purchases.c.operation == bindparam("operation"))
    .order_by(purchases.c.generation.desc())
    .limit(1)
)
_MOVE = statement(
    update(purchases)
    .where(
        purchases.c.id == bindparam("of"),
        purchases.c.state == bindparam("was_state"),
        purchases.c.fence == bindparam("was_fence"),
    )
    .values(
        state=bindparam("to_state"),
        fence=bindparam("to_fence"),
        attempt=bindparam("to_attempt"),
        lease_us=bindparam("to_lease"),
        sent_us=bindparam("to_sent"),
        next_us=bindparam("to_next"),
        outcome=bindparam("to_outcome"),
        updated_us=bindparam("to_updated"),
    )
)
_DUE = statement(
    select(purchases)
    .where(
        or_(
            and_(purchases.c.state == "PLANNED", purchases.c.next_us <= bindparam("real_now")),
            and_(purchases.c.state == "UNKNOWN", purchases.c.next_us <= bindparam("real_now")),
            and_(purchases.c.state == "SENDING", purchases.c.lease_us < bindparam("real_now")),
        )
    )
    .order_by(purchases.c.created_us)
    .limit(bindparam("limit"))
)
_ENDED = statement(
    select(purchases.c.id, purchases.c.subject)
    .where(
        or_(
            and_(purchases.c.state == "BOUGHT", purchases.c.next_us.is_not(None)),
            and_(purchases.c.state == "REJECTED", purchases.c.next_us.is_not(None)),
        ),
        purchases.c.operation == bindparam("operation"),
    )
    .order_by(purchases.c.created_us)
    .limit(bindparam("limit"))
)
_LABEL = statement(
    lambda insert: (
        insert(labels)
        .values(
            {
                name: bindparam(f"{name}_")
                for name in (
                    "purchase_id",
                    "carrier",
                    "number",
                    "shipment_id",
                    "state",
                    "price",
                    "currency",
                    "bought_us",
                )
            }
        )
        .on_conflict_do_nothing(index_elements=["carrier", "number"])
    )
)
_DOCUMENT = statement(
    lambda insert: (
        insert(documents)
        .values({name: bindparam(f"{name}_") for name in ("label_id", "format", "sealed", "digest", "size")})
        .on_conflict_do_nothing()
    )
)
_LABELS = statement(
    select(labels).where(labels.c.purchase_id == bindparam("purchase_id")).order_by(labels.c.state, labels.c.id)
)
_LABEL_BY_NUMBER = statement(
    select(labels).where(labels.c.carrier == bindparam("carrier"), labels.c.number == bindparam("number"))
)
_DOCUMENTS = statement(
    select(documents.c.format, documents.c.sealed, documents.c.digest, documents.c["size"])
    .where(documents.c.label_id == bindparam("label_id"))
    .order_by(documents.c.format)
)
_FORMATS = statement(
    select(documents.c.format).where(documents.c.label_id == bindparam("label_id")).order_by(documents.c.format)
)


async def add_purchase(tx: Tx, values: dict[str, Any]) -> None:
    """The intent. One lives per subject, operation and generation: a second one is an error of the database."""
    await tx.run(_ADD, **{f"{name}_": values[name] for name in _COLUMNS})


async def find_purchase(tx: Tx, purchase_id: str) -> Row | None:
    return await tx.one(_FIND, id=purchase_id)


async def lock_purchase(tx: Tx, purchase_id: str) -> Row | None:
    """The purchase, held until the transaction ends."""
    return await tx.one(_LOCK, id=purchase_id)


async def purchase_of(tx: Tx, subject: str, operation: str) -> Row | None:
    """The newest purchase of this kind for a subject."""
    return await tx.one(_OF, subject=subject, operation=operation)


async def move_purchase(tx: Tx, purchase_id: str, was_state: str, was_fence: int, to: dict[str, Any]) -> bool:
    """Change a purchase that is still as it was read; False when somebody else changed it first."""
    named = {f"to_{name}": value for name, value in to.items()}
    return bool(await tx.run(_MOVE, of=purchase_id, was_state=was_state, was_fence=was_fence, **named))


async def due_purchases(tx: Tx, real_now_us: int, limit: int) -> Sequence[Row]:
    """Open purchases to take up: planned or unknown and due, or sent by a process whose lease ran out."""
    return await tx.all(_DUE, real_now=real_now_us, limit=limit)


async def ended_purchases(tx: Tx, operation: str, limit: int) -> Sequence[Row]:
    """The oldest purchases that ended and were not handed over yet: `id` and `subject`."""
    return await tx.all(_ENDED, operation=operation, limit=limit)


async def add_label(tx: Tx, values: dict[str, Any]) -> Row:
    """The label's row, new or already there."""
    await tx.run(_LABEL, **{f"{name}_": value for name, value in values.items()})
    row = await tx.one(_LABEL_BY_NUMBER, carrier=values["carrier"], number=values["number"])
    assert row is not None
    return row


async def add_document(tx: Tx, label_id: int, *, format: str, sealed: bytes, digest: str, size: int) -> None:
    """A label's document. The first bytes kept for a format are kept for good."""
    await tx.run(_DOCUMENT, label_id_=label_id, format_=format, sealed_=sealed, digest_=digest, size_=size)


async def labels_of(tx: Tx, purchase_id: str) -> Sequence[Row]:
    """A purchase's labels: the live one first, then what should not be there."""
    return await tx.all(_LABELS, purchase_id=purchase_id)


async def documents_of(tx: Tx, label_id: int) -> Sequence[Row]:
    return await tx.all(_DOCUMENTS, label_id=label_id)


async def formats_of(tx: Tx, label_id: int) -> list[str]:
    return [row["format"] for row in await tx.all(_FORMATS, label_id=label_id)]
