"""What an export reads: whole tables, page by page, and of each only what names no person."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, bindparam, select

from store.schema import cases, concluded, labels, money, orders, outbox, parcels, returns
from store.statement import Statement, statement
from store.unit import Row, Tx


def _paged(clause: Select[tuple[object, ...]]) -> Statement:
    first = clause.selected_columns[0]
    return statement(clause.where(first > bindparam("after")).order_by(first).limit(bindparam("limit")))


_KINDS: Mapping[str, Statement] = {
    "orders": _paged(
        select(
            orders.c.id, orders.c.merchant, orders.c.number, orders.c.state, orders.c.placed_us, orders.c.shipped_us,
            orders.c.created_us, orders.c.updated_us,
        )
    ),
    "parcels": _paged(
        select(
            parcels.c.id, parcels.c.merchant, parcels.c.carrier, parcels.c.number, parcels.c.purpose, parcels.c.leg,
            parcels.c.status, parcels.c.created_us, parcels.c.moved_us, parcels.c.ended_us, concluded,
        )
    ),
    "returns": _paged(
        select(
            returns.c.id, returns.c.merchant, returns.c.number, returns.c.state, parcels.c.carrier,
            parcels.c.number.label("tracking_number"), returns.c.created_us, returns.c.updated_us,
        ).outerjoin(parcels, parcels.c.id == returns.c.parcel_id)
    ),
    "money": _paged(
        select(
            money.c.id, labels.c.carrier, labels.c.number.label("label"), parcels.c.number.label("parcel"),
            money.c.name, money.c.kind, money.c.amount, money.c.currency, money.c.note, money.c.at_us,
        )
        .outerjoin(labels, labels.c.id == money.c.label_id)
        .outerjoin(cases, cases.c.parcel_id == money.c.case_id)
        .outerjoin(parcels, parcels.c.id == cases.c.parcel_id)
    ),
    "notices": _paged(
        select(
            outbox.c.id, outbox.c.notice_id, outbox.c.subject, outbox.c.type, outbox.c.sequence, outbox.c.at_us,
            outbox.c.data,
        )
    ),
}  # fmt: skip
KINDS = tuple(_KINDS)


async def export_page(tx: Tx, kind: str, after: int, limit: int) -> Sequence[Row]:
    """Rows of a kind in the order of their ids, after this one. Raises KeyError for no such kind."""
    return await tx.all(_KINDS[kind], after=after, limit=limit)
