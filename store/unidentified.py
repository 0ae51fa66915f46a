"""Numbers that nobody registered: noted, judged, waiting for a person, and what they turned out to be."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, update

from store.schema import (
    cases,
    concluded,
    order_parcels,
    orders,
    parcel_links,
    parcels,
    return_orders,
    returns,
    unidentified,
)
from store.statement import statement
from store.unit import Row, Tx

UNDECIDED = ("new", "open", "elsewhere")
"""States in which nobody has said yet whose it is."""

_undecided = or_(*(unidentified.c.state == state for state in UNDECIDED))

_NOTE = statement(
    lambda insert: (
        ins := insert(unidentified).values(
            carrier=bindparam("carrier"),
            number=bindparam("number"),
            source=bindparam("source"),
            told_by=bindparam("told_by"),
            created_us=bindparam("now_us"),
            updated_us=bindparam("now_us"),
            due_us=bindparam("due_us"),
        )
    ).on_conflict_do_update(
        index_elements=["carrier", "number"],
        set_={
            "due_us": func.coalesce(unidentified.c.due_us, ins.excluded.due_us),
            "told_by": case((unidentified.c.told_by == "", ins.excluded.told_by), else_=unidentified.c.told_by),
        },
        where=_undecided,
    )
)
_KEY_IN = statement(
    lambda insert: (
        insert(unidentified)
        .values(
            {
                name: bindparam(name)
                for name in ("carrier", "number", "merchant", "order_number", "name_mark", "note", "clue", "due_us")
            }
            | {"source": "keyed", "created_us": bindparam("now_us"), "updated_us": bindparam("now_us")}
        )
        .on_conflict_do_nothing()
        .returning(unidentified.c.id)
    )
)
_KEY_OVER = statement(
    update(unidentified)
    .where(unidentified.c.id == bindparam("of"))
    .values(
        {
            name: bindparam(f"to_{name}")
            for name in ("merchant", "order_number", "name_mark", "note", "clue", "due_us", "updated_us")
        }
        | {"source": "keyed"}
    )
)
_BY_NUMBER = statement(
    select(unidentified).where(
        unidentified.c.carrier == bindparam("carrier"), unidentified.c.number == bindparam("number")
    )
)
_GET = statement(select(unidentified).where(unidentified.c.id == bindparam("id")))
_LOCK = statement(select(unidentified).where(unidentified.c.id == bindparam("id")).with_for_update())
_DUE = statement(
    select(unidentified.c.id)
    .where(unidentified.c.due_us <= bindparam("now"))
    .order_by(unidentified.c.due_us)
    .limit(bindparam("limit"))
)
_JUDGED = statement(
    update(unidentified)
    .where(unidentified.c.id == bindparam("of"))
    .values(
        state=bindparam("to_state"),
        merchant=bindparam("to_merchant"),
        clue=bindparam("to_clue"),
        candidates=bindparam("to_candidates"),
        updated_us=bindparam("to_updated"),
        due_us=bindparam("to_due"),
    )
)
_ASKED = statement(update(unidentified).where(unidentified.c.id == bindparam("of")).values(asked_us=bindparam("at")))
_DECIDED = statement(
    update(unidentified)
    .where(unidentified.c.id == bindparam("of"))
    .values(
        state=bindparam("to_state"),
        outcome=bindparam("to_outcome"),
        decided_by=bindparam("to_by"),
        updated_us=bindparam("to_updated"),
        due_us=None,
        note=None,  # a decided row needs no word about a person
        name_mark="",
    )
)
_PAGE = statement(
    select(unidentified)
    .where(
        unidentified.c.id < bindparam("before"),
        or_(
            unidentified.c.state == bindparam("state"),
            and_(bindparam("state") == "all", unidentified.c.state != "elsewhere"),
        ),
        or_(
            bindparam("text") == "",
            unidentified.c.order_number == bindparam("text"),
            unidentified.c.number == bindparam("text"),
            unidentified.c.name_mark == bindparam("mark"),
            unidentified.c.candidates.like(bindparam("inside"), escape="\\"),
        ),
    )
    .order_by(unidentified.c.id.desc())
    .limit(bindparam("limit"))
)
_FORGET_OLD = statement(
    delete(unidentified).where(
        or_(unidentified.c.state == "elsewhere", unidentified.c.state == "known"),
        unidentified.c.updated_us < bindparam("before"),
    )
)
_FORGET_MARKS = statement(
    update(unidentified).where(unidentified.c.order_number == bindparam("number")).values(note=None, name_mark="")
)

# what a number may turn out to be
_CASES = statement(
    select(parcels, concluded)
    .join(cases, cases.c.parcel_id == parcels.c.id)
    .where(
        parcels.c.created_us >= bindparam("since_us"),
        or_(
            cases.c.state == "expected",
            cases.c.state == "requested",
            cases.c.state == "left_to_carrier",
            cases.c.state == "under_way",
        ),
    )
    .order_by(parcels.c.id.desc())
    .limit(bindparam("limit"))
)
_WAYBILLS = statement(
    select(returns)
    .where(
        returns.c.created_us >= bindparam("since_us"),
        or_(
            returns.c.state == "registered",
            returns.c.state == "label_pending",
            returns.c.state == "label_ready",
            returns.c.state == "cancelled",
        ),
        returns.c["return"].like('%"waybill":{%'),
    )
    .order_by(returns.c.id.desc())
    .limit(bindparam("limit"))
)
_ORDERS_OF_PARCEL = statement(
    select(orders.c.number, orders.c.sealed)
    .join(order_parcels, order_parcels.c.order_id == orders.c.id)
    .where(order_parcels.c.parcel_id == bindparam("parcel_id"))
    .order_by(orders.c.number)
)
_ORDERS_OF_RETURN = statement(
    select(orders.c.number, orders.c.sealed)
    .join(return_orders, return_orders.c.order_id == orders.c.id)
    .where(return_orders.c.return_id == bindparam("return_id"))
    .order_by(orders.c.number)
)

# a parcel that travels home under a number of its own
_LINK = statement(
    lambda insert: (
        insert(parcel_links)
        .values(
            {name: bindparam(f"{name}_") for name in ("further_id", "parcel_id", "since_us", "by", "score", "because")}
        )
        .on_conflict_do_nothing()
    )
)
_KNOWN = statement(update(parcels).where(parcels.c.id == bindparam("of")).values(shipment=bindparam("to_shipment")))
_FURTHER = statement(
    select(
        parcels.c.carrier, parcels.c.number, parcels.c.leg, parcels.c.status,
        parcel_links.c.since_us, parcel_links.c.by, parcel_links.c.score, parcel_links.c.because,
    )
    .join(parcel_links, parcel_links.c.further_id == parcels.c.id)
    .where(parcel_links.c.parcel_id == bindparam("parcel_id"))
    .order_by(parcel_links.c.since_us, parcels.c.id)
)  # fmt: skip
_FIRST = statement(
    select(parcels.c.id, parcels.c.carrier, parcels.c.number)
    .join(parcel_links, parcel_links.c.parcel_id == parcels.c.id)
    .where(parcel_links.c.further_id == bindparam("further_id"))
)

# ------------------------------------------------------------------------------------------------- numbers nobody knows


async def note_number(
    tx: Tx, *, carrier: str, number: str, source: str, now_us: int, due_us: int, told_by: str = ""
) -> None:
    """A carrier spoke of a number that is not registered: judge it then. What was decided about it stays decided."""
    await tx.run(_NOTE, carrier=carrier, number=number, source=source, told_by=told_by, now_us=now_us, due_us=due_us)


async def key_in(tx: Tx, values: dict[str, Any], now_us: int) -> int | None:
    """What a person read off a box: the row's id. None: this number was decided about before.

    `values`: carrier, number (or None), merchant, order_number, name_mark, note (sealed, or None), clue.
    """
    added = await tx.one(_KEY_IN, **values, now_us=now_us, due_us=now_us)
    if added is not None:
        return int(added["id"])
    row = await tx.one(_BY_NUMBER, carrier=values["carrier"], number=values["number"])
    if row is None or row["state"] not in UNDECIDED:
        return None
    over = {f"to_{name}": value for name, value in values.items() if name not in ("carrier", "number")}
    await tx.run(_KEY_OVER, of=row["id"], **over, to_due_us=now_us, to_updated_us=now_us)
    return int(row["id"])


async def get_unidentified(tx: Tx, id: int) -> Row | None:
    return await tx.one(_GET, id=id)


async def lock_unidentified(tx: Tx, id: int) -> Row | None:
    """The row, held until the transaction ends."""
    return await tx.one(_LOCK, id=id)


async def due_unidentified(tx: Tx, now_us: int, limit: int) -> list[int]:
    """What has to be judged now, the longest due first."""
    return [row["id"] for row in await tx.all(_DUE, now=now_us, limit=limit)]


async def note_asked(tx: Tx, id: int, at_us: int) -> None:
    """Its carrier was asked about it: once is enough."""
    await tx.run(_ASKED, of=id, at=at_us)


async def judged(
    tx: Tx, id: int, *, state: str, merchant: str, clue: str, candidates: str, now_us: int, due_us: int | None
) -> None:
    """It was looked at, and waits (open) until it is looked at again, or does not concern us (elsewhere)."""
    await tx.run(
        _JUDGED,
        of=id,
        to_state=state,
        to_merchant=merchant,
        to_clue=clue,
        to_candidates=candidates,
        to_updated=now_us,
        to_due=due_us,
    )


async def know_of(tx: Tx, id: int, *, now_us: int) -> None:
    """It was registered meanwhile: nothing to find out."""
    await tx.run(_DECIDED, of=id, to_state="known", to_outcome="{}", to_by="", to_updated=now_us)


async def decided(tx: Tx, id: int, *, state: str, outcome: str, by: str, now_us: int) -> None:
    """It was matched or dismissed; what was written about a person is gone."""
    await tx.run(_DECIDED, of=id, to_state=state, to_outcome=outcome, to_by=by, to_updated=now_us)


async def unidentified_page(
    tx: Tx, *, state: str = "open", text: str = "", mark: str = "", before: int = 2**62, limit: int = 50
) -> Sequence[Row]:
    """Rows in a state ("all": every one that concerns us; open: what waits for a person), newest first.

    `text` finds the number, the order number on the box, or a candidate's order or return; `mark` the name on the box.
    """
    quoted = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await tx.all(
        _PAGE, state=state, text=text, mark=mark or "-", inside=f'%"{quoted}"%', before=before, limit=limit
    )


async def forget_old(tx: Tx, before_us: int) -> int:
    """Drop what never concerned us and has not been heard of since; how many."""
    return await tx.run(_FORGET_OLD, before=before_us)


async def forget_marks(tx: Tx, order_number: str) -> int:
    """What was written about a person on boxes of this order is gone; how many boxes."""
    return await tx.run(_FORGET_MARKS, number=order_number)


# ----------------------------------------------------------------------------------------------- what they may turn out


async def open_cases(tx: Tx, since_us: int, limit: int) -> Sequence[Row]:
    """Parcels that go back to a warehouse or must, and are not there yet, newest first."""
    return await tx.all(_CASES, since_us=since_us, limit=limit)


async def open_waybills(tx: Tx, since_us: int, limit: int) -> Sequence[Row]:
    """Returns that travel under a waybill whose number nobody knows, newest first."""
    return await tx.all(_WAYBILLS, since_us=since_us, limit=limit)


async def orders_on_parcel(tx: Tx, parcel_id: int) -> Sequence[Row]:
    """`number` and `sealed` of each order that rides on a parcel."""
    return await tx.all(_ORDERS_OF_PARCEL, parcel_id=parcel_id)


async def orders_on_return(tx: Tx, return_id: int) -> Sequence[Row]:
    """`number` and `sealed` of each order that rides on a return."""
    return await tx.all(_ORDERS_OF_RETURN, return_id=return_id)


# ------------------------------------------------------------------------------------------------------ further numbers


async def link_parcel(
    tx: Tx, *, further_id: int, parcel_id: int, shipment: str, since_us: int, by: str, score: str, because: str
) -> None:
    """This number is that parcel's way home; `shipment` is what we know of the parcel from now on, the number too."""
    await tx.run(
        _LINK,
        further_id_=further_id,
        parcel_id_=parcel_id,
        since_us_=since_us,
        by_=by,
        score_=score,
        because_=because,
    )
    await tx.run(_KNOWN, of=parcel_id, to_shipment=shipment)


async def further_of(tx: Tx, parcel_id: int) -> Sequence[Row]:
    """The numbers under which a parcel travels home, oldest first."""
    return await tx.all(_FURTHER, parcel_id=parcel_id)


async def first_of(tx: Tx, further_id: int) -> Row | None:
    """The parcel (`id`, `carrier`, `number`) that travels home under this one's number."""
    return await tx.one(_FIRST, further_id=further_id)
