"""What costs money: intents with their exact bytes, labels, and the sealed documents."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, and_, bindparam, case, cast, delete, func, literal, or_, select, update

from store.schema import dispatches, documents, labels, mentions, money, outbox, parcels, purchases, returns
from store.statement import statement
from store.unit import Row, Tx

_COLUMNS = (
    "id", "operation", "carrier", "subject", "generation", "reference", "state", "prepared", "body", "body_digest",
    "next_us", "created_us", "updated_us", "caller", "spend", "admitted_us", "audit_us",
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
            and_(purchases.c.state == "REFUND_PENDING", purchases.c.next_us <= bindparam("real_now")),
            and_(purchases.c.state == "SENDING", purchases.c.lease_us < bindparam("real_now")),
        )
    )
    .order_by(func.coalesce(purchases.c.next_us, purchases.c.lease_us), purchases.c.id)  # nobody waits for ever
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
                    "note",
                    "since_us",
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
    select(labels)
    .where(labels.c.purchase_id == bindparam("purchase_id"))
    .order_by(case((labels.c.state == "live", 0), else_=1), labels.c.id)
)
_NUMBERS_BOUGHT = statement(
    select(labels.c.number)
    .join(purchases, purchases.c.id == labels.c.purchase_id)
    .where(purchases.c.subject == bindparam("subject"))
    .order_by(labels.c.id)
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


_LABEL_BY_ID = statement(select(labels).where(labels.c.id == bindparam("id")).with_for_update())
_CHANGE_LABEL = statement(
    update(labels)
    .where(labels.c.id == bindparam("of"), labels.c.state == bindparam("was_state"))
    .values(
        state=bindparam("to_state"),
        note=bindparam("to_note"),
        since_us=bindparam("to_since"),
        ended_us=bindparam("to_ended"),
    )
)
_LABELS_IN = statement(
    select(labels)
    .where(labels.c.state == bindparam("state"), labels.c.since_us <= bindparam("until"))
    .order_by(labels.c.since_us, labels.c.id)
    .limit(bindparam("limit"))
)
_TOUCH_LABEL = statement(update(labels).where(labels.c.id == bindparam("of")).values(since_us=bindparam("to_since")))
_MONEY = statement(
    lambda insert: (
        insert(money)
        .values(
            {
                name: bindparam(f"{name}_")
                for name in ("label_id", "name", "kind", "amount", "currency", "note", "at_us")
            }
        )
        .on_conflict_do_nothing(index_elements=["label_id", "name"])
    )
)
_MONEY_OF = statement(select(money).where(money.c.label_id == bindparam("label_id")).order_by(money.c.id))
_SET_SPEND = statement(update(purchases).where(purchases.c.id == bindparam("of")).values(spend=bindparam("to_spend")))
_SPENT_ON = statement(
    select(func.coalesce(func.sum(purchases.c.spend), 0).label("spent")).where(
        purchases.c.subject == bindparam("subject")
    )
)
_SPENT_SINCE = statement(
    select(
        func.coalesce(func.sum(purchases.c.spend), 0).label("all"),
        func.coalesce(func.sum(case((purchases.c.caller == bindparam("caller"), purchases.c.spend), else_=0)), 0).label(
            "mine"
        ),
    ).where(purchases.c.admitted_us >= bindparam("since"))
)
_UNKNOWN = statement(select(func.count().label("n")).select_from(purchases).where(purchases.c.state == "UNKNOWN"))
_DOUBTS = statement(
    select(
        func.count().label("sent"),
        func.coalesce(func.sum(case((purchases.c.state == "UNKNOWN", 1), else_=0)), 0).label("unknown"),
    ).where(purchases.c.admitted_us >= bindparam("since"), purchases.c.sent_us.is_not(None))
)
_AUDITS = statement(
    select(purchases)
    .where(purchases.c.audit_us <= bindparam("real_now"))
    .order_by(purchases.c.audit_us)
    .limit(bindparam("limit"))
)
_SET_AUDIT = statement(
    update(purchases)
    .where(purchases.c.id == bindparam("of"), purchases.c.audit_us == bindparam("was"))
    .values(audit_us=bindparam("to_audit"))
)
_RESTART_AUDIT = statement(
    update(purchases).where(purchases.c.id == bindparam("of")).values(audit_us=bindparam("to_audit"))
)
_AUDIT_NOW = statement(
    update(purchases).where(purchases.c.audit_us > bindparam("real_now")).values(audit_us=bindparam("real_now"))
)
_UNKNOWN_NOW = statement(
    update(purchases)
    .where(purchases.c.state == "UNKNOWN", purchases.c.next_us > bindparam("real_now"))
    .values(next_us=bindparam("real_now"))
)
_OPEN = statement(
    select(purchases)
    .where(
        or_(
            purchases.c.state == "PLANNED",
            purchases.c.state == "SENDING",
            purchases.c.state == "UNKNOWN",
            purchases.c.state == "NEEDS_HUMAN",
        )
    )
    .order_by(purchases.c.created_us)
    .limit(bindparam("limit"))
)
_REFUNDS = statement(
    select(purchases)
    .where(purchases.c.state == "REFUND_PENDING")
    .order_by(purchases.c.created_us)
    .limit(bindparam("limit"))
)
_STRAYS = statement(
    select(labels.c.id, labels.c.carrier, labels.c.number, purchases.c.subject, parcels.c.id.label("parcel_id"))
    .join(purchases, purchases.c.id == labels.c.purchase_id)
    .join(parcels, and_(parcels.c.carrier == labels.c.carrier, parcels.c.number == labels.c.number))
    .outerjoin(returns, returns.c.parcel_id == parcels.c.id)
    .where(
        or_(labels.c.state == "voiding", labels.c.state == "voided", labels.c.state == "voided_here"),
        purchases.c.subject.like("return:%"),
        parcels.c.moved_us.is_not(None),
        parcels.c.status != "unknown",
        parcels.c.status != "label_created",
        parcels.c.status != "voided",
        returns.c.id.is_(None),
    )
    .order_by(labels.c.id)
    .limit(bindparam("limit"))
)
_ODD_LABELS = statement(
    select(labels, purchases.c.subject)
    .join(purchases, purchases.c.id == labels.c.purchase_id)
    .where(
        or_(
            labels.c.state == "held",
            labels.c.state == "surplus",
            labels.c.state == "voiding",
            labels.c.state == "used",
        )
    )
    .order_by(labels.c.id)
    .limit(bindparam("limit"))
)
_ALL = statement(
    select(
        purchases.c.id,
        purchases.c.reference,
        purchases.c.state,
        purchases.c.subject,
        select(func.count())
        .where(
            outbox.c.subject == purchases.c.subject,
            outbox.c.name == literal("purchase/", Text) + purchases.c.id + literal("/", Text) + purchases.c.state,
        )
        .scalar_subquery()
        .label("told"),
    )
    .where(purchases.c.operation == bindparam("operation"))
    .order_by(purchases.c.created_us)
)
_ALL_LABELS = statement(select(labels).order_by(labels.c.id))
_PURCHASE_COUNTS = statement(
    select(purchases.c.operation, purchases.c.state, func.count().label("n"))
    .group_by(purchases.c.operation, purchases.c.state)
    .order_by(purchases.c.operation, purchases.c.state)
)
_LABEL_COUNTS = statement(
    select(labels.c.state, func.count().label("n")).group_by(labels.c.state).order_by(labels.c.state)
)
_MONEY_LINES = statement(
    select(
        money.c.id, labels.c.carrier, labels.c.number, labels.c.state, purchases.c.subject, purchases.c.reference,
        money.c.kind, money.c.name, money.c.amount, money.c.currency, money.c.note, money.c.at_us,
    )
    .join(labels, labels.c.id == money.c.label_id)
    .join(purchases, purchases.c.id == labels.c.purchase_id)
    .where(money.c.id > bindparam("after"))
    .order_by(money.c.id)
    .limit(bindparam("limit"))
)  # fmt: skip
_BY_REFERENCE = statement(
    select(purchases)
    .where(
        purchases.c.reference == bindparam("reference"),
        purchases.c.carrier == bindparam("carrier"),
        purchases.c.operation == "label",
    )
    .limit(1)
)
_STRANGERS = statement(
    select(mentions.c.payload_id, mentions.c.number)
    .outerjoin(parcels, and_(parcels.c.carrier == mentions.c.carrier, parcels.c.number == mentions.c.number))
    .outerjoin(labels, and_(labels.c.carrier == mentions.c.carrier, labels.c.number == mentions.c.number))
    .where(
        mentions.c.carrier == bindparam("carrier"),
        mentions.c.payload_id > bindparam("after"),
        parcels.c.id.is_(None),
        labels.c.id.is_(None),
    )
    .order_by(mentions.c.payload_id, mentions.c.number)
    .limit(bindparam("limit"))
)
# source: issue 5: served until 30 days after the return ended or the label was voided
_PURGE_VOID = statement(
    delete(documents).where(
        documents.c.label_id.in_(
            select(labels.c.id).where(labels.c.ended_us.is_not(None), labels.c.ended_us < bindparam("before"))
        )
    )
)
_PURGE_ENDED = statement(
    delete(documents).where(
        documents.c.label_id.in_(
            select(labels.c.id)
            .join(purchases, purchases.c.id == labels.c.purchase_id)
            .join(returns, purchases.c.subject == literal("return:", Text) + cast(returns.c.id, Text))
            .where(returns.c.state == bindparam("state"), returns.c.updated_us < bindparam("before"))
        )
    )
)
_PURGE_DISPATCHED = statement(  # what left because of a return ends with it
    delete(documents).where(
        documents.c.label_id.in_(
            select(labels.c.id)
            .join(purchases, purchases.c.id == labels.c.purchase_id)
            .join(
                dispatches, purchases.c.subject == dispatches.c.kind + literal(":", Text) + cast(dispatches.c.id, Text)
            )
            .join(returns, returns.c.id == dispatches.c.return_id)
            .where(returns.c.state == bindparam("state"), returns.c.updated_us < bindparam("before"))
        )
    )
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


async def numbers_bought(tx: Tx, subject: str) -> list[str]:
    """The numbers of every label that was bought for a subject, void ones too."""
    return [row["number"] for row in await tx.all(_NUMBERS_BOUGHT, subject=subject)]


async def labels_of(tx: Tx, purchase_id: str) -> Sequence[Row]:
    """A purchase's labels: the live one first, then what should not be there."""
    return await tx.all(_LABELS, purchase_id=purchase_id)


async def documents_of(tx: Tx, label_id: int) -> Sequence[Row]:
    return await tx.all(_DOCUMENTS, label_id=label_id)


async def formats_of(tx: Tx, label_id: int) -> list[str]:
    return [row["format"] for row in await tx.all(_FORMATS, label_id=label_id)]


async def lock_label(tx: Tx, label_id: int) -> Row | None:
    """The label, held until the transaction ends."""
    return await tx.one(_LABEL_BY_ID, id=label_id)


async def label_by_number(tx: Tx, carrier: str, number: str) -> Row | None:
    return await tx.one(_LABEL_BY_NUMBER, carrier=carrier, number=number)


async def change_label(
    tx: Tx, label_id: int, was: str, to: str, *, note: str, since_us: int, ended_us: int | None = None
) -> bool:
    """Change the state of a label that is still as it was read."""
    changed = await tx.run(
        _CHANGE_LABEL, of=label_id, was_state=was, to_state=to, to_note=note, to_since=since_us, to_ended=ended_us
    )
    return bool(changed)


async def labels_in(tx: Tx, state: str, until_us: int, limit: int) -> Sequence[Row]:
    """Labels that have been in this state since then or longer, the longest first."""
    return await tx.all(_LABELS_IN, state=state, until=until_us, limit=limit)


async def look_later(tx: Tx, label_id: int, since_us: int) -> None:
    """Let the label's time in its state begin anew."""
    await tx.run(_TOUCH_LABEL, of=label_id, to_since=since_us)


async def add_money(
    tx: Tx, label_id: int, *, name: str, kind: str, amount: str, currency: str, note: str, at_us: int
) -> None:
    """A line of money. The first line of a name is kept for good."""
    await tx.run(
        _MONEY, label_id_=label_id, name_=name, kind_=kind, amount_=amount, currency_=currency, note_=note, at_us_=at_us
    )


async def money_of(tx: Tx, label_id: int) -> Sequence[Row]:
    return await tx.all(_MONEY_OF, label_id=label_id)


async def money_lines(tx: Tx, after: int, limit: int) -> Sequence[Row]:
    return await tx.all(_MONEY_LINES, after=after, limit=limit)


async def set_spend(tx: Tx, purchase_id: str, hundredths: int) -> None:
    """What a purchase counts for under the spend caps."""
    await tx.run(_SET_SPEND, of=purchase_id, to_spend=hundredths)


async def spent_on(tx: Tx, subject: str) -> int:
    row = await tx.one(_SPENT_ON, subject=subject)
    return int(row["spent"]) if row else 0


async def spent_since(tx: Tx, since_us: int, caller: str) -> tuple[int, int]:
    """Hundredths spent since then: by everybody, and by this caller."""
    row = await tx.one(_SPENT_SINCE, since=since_us, caller=caller)
    return (int(row["all"]), int(row["mine"])) if row else (0, 0)


async def doubts(tx: Tx, since_us: int) -> tuple[int, int, int]:
    """How many purchases are unknown now; of those admitted since then, how many were sent and are unknown."""
    now, late = await tx.one(_UNKNOWN), await tx.one(_DOUBTS, since=since_us)
    assert now is not None and late is not None
    return int(now["n"]), int(late["sent"]), int(late["unknown"])


async def due_audits(tx: Tx, real_now_us: int, limit: int) -> Sequence[Row]:
    """Purchases about which the carrier is to be asked again."""
    return await tx.all(_AUDITS, real_now=real_now_us, limit=limit)


async def set_audit(tx: Tx, purchase_id: str, was_us: int, audit_us: int | None) -> bool:
    """When to ask again (None: no more); False when somebody else has set it meanwhile."""
    return bool(await tx.run(_SET_AUDIT, of=purchase_id, was=was_us, to_audit=audit_us))


async def restart_audit(tx: Tx, purchase_id: str, audit_us: int | None) -> None:
    """Something was sent: whatever was asked before, it is asked again after this send."""
    await tx.run(_RESTART_AUDIT, of=purchase_id, to_audit=audit_us)


async def hurry(tx: Tx, real_now_us: int) -> int:
    """Make every audit and every look at an unknown purchase due now."""
    return await tx.run(_AUDIT_NOW, real_now=real_now_us) + await tx.run(_UNKNOWN_NOW, real_now=real_now_us)


async def open_purchases(tx: Tx, limit: int) -> Sequence[Row]:
    return await tx.all(_OPEN, limit=limit)


async def pending_refunds(tx: Tx, limit: int) -> Sequence[Row]:
    """Voids whose price was asked back and is not decided."""
    return await tx.all(_REFUNDS, limit=limit)


async def strays(tx: Tx, limit: int) -> Sequence[Row]:
    """Void labels of returns with which a parcel travels after all, and that parcel, which is no return's."""
    return await tx.all(_STRAYS, limit=limit)


async def odd_labels(tx: Tx, limit: int) -> Sequence[Row]:
    """Labels that are neither live nor void, with the subject they were bought for."""
    return await tx.all(_ODD_LABELS, limit=limit)


async def counts(tx: Tx) -> tuple[Sequence[Row], Sequence[Row]]:
    """Purchases by operation and state; labels by state."""
    return await tx.all(_PURCHASE_COUNTS), await tx.all(_LABEL_COUNTS)


async def all_purchases(tx: Tx, operation: str) -> Sequence[Row]:
    """Every purchase of a kind, and in `told` whether ops were told of the state it is in."""
    return await tx.all(_ALL, operation=operation)


async def all_labels(tx: Tx) -> Sequence[Row]:
    return await tx.all(_ALL_LABELS)


async def purchase_by_reference(tx: Tx, carrier: str, reference: str) -> Row | None:
    return await tx.one(_BY_REFERENCE, carrier=carrier, reference=reference)


async def strangers(tx: Tx, carrier: str, after_payload: int, limit: int) -> Sequence[Row]:
    """Numbers that payloads after this one speak of and that are no parcel and no label of ours."""
    return await tx.all(_STRANGERS, carrier=carrier, after=after_payload, limit=limit)


async def purge_void_documents(tx: Tx, before_us: int) -> int:
    """Drop the documents of labels that were void before then."""
    return await tx.run(_PURGE_VOID, before=before_us)


async def purge_documents_of_returns(tx: Tx, state: str, before_us: int) -> int:
    """Drop the label documents of returns that have been in this state since before then."""
    return sum([await tx.run(purge, state=state, before=before_us) for purge in (_PURGE_ENDED, _PURGE_DISPATCHED)])
