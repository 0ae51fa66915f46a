"""Cases: a parcel's way back to the warehouse, what we did about it, what it cost, and when to look at it."""

from collections.abc import Sequence

from sqlalchemy import bindparam, func, select, update

from store.schema import cases, money, parcels
from store.statement import statement
from store.unit import Row, Tx

_NOTE = statement(
    lambda insert: (
        insert(cases)
        .values(parcel_id=bindparam("of"), state=bindparam("to_state"), next_us=bindparam("to_next"))
        .on_conflict_do_update(
            index_elements=["parcel_id"],
            set_={"state": bindparam("to_state"), "next_us": bindparam("to_next"), "tries": 0},
        )
    )
)
_FIND = statement(select(cases).where(cases.c.parcel_id == bindparam("of")))
_waiting = (
    select(cases.c.parcel_id)
    .where(cases.c.next_us <= bindparam("real_now"))
    .order_by(cases.c.next_us)
    .limit(bindparam("limit"))
)
_DUE = statement(_waiting)
_taken = _waiting.with_for_update(skip_locked=True).cte("taken")
_CLAIM = statement(
    update(cases)
    .where(cases.c.parcel_id == _taken.c.parcel_id)
    .values(next_us=bindparam("until"), tries=cases.c.tries + 1)
    .returning(cases.c.parcel_id, cases.c.state, cases.c.step, cases.c.withdrawn_us, cases.c.tries)
)
_REST = statement(update(cases).where(cases.c.parcel_id == bindparam("of")).values(next_us=bindparam("to_next")))
_ACT = statement(
    update(cases)
    .where(cases.c.parcel_id == bindparam("of"))
    .values(
        step=bindparam("to_step"),
        acted_us=bindparam("to_acted"),
        why=bindparam("to_why"),
        purchase_id=bindparam("to_purchase"),
        next_us=bindparam("to_next"),
        tries=0,
    )
)
_WITHDRAW = statement(
    update(cases)
    .where(cases.c.parcel_id == bindparam("of"))
    .values(withdrawn_us=bindparam("to_withdrawn"), why=bindparam("to_why"), next_us=None)
)
_ADD_MONEY = statement(
    lambda insert: (
        insert(money)
        .values({name: bindparam(name) for name in ("case_id", "name", "kind", "amount", "currency", "note", "at_us")})
        .on_conflict_do_nothing(index_elements=["case_id", "name"])
    )
)
_MONEY = statement(select(money).where(money.c.case_id == bindparam("of")).order_by(money.c.id))
_MONEY_LINES = statement(
    select(
        money.c.id, parcels.c.carrier, parcels.c.number, cases.c.state, cases.c.parcel_id,
        money.c.kind, money.c.name, money.c.amount, money.c.currency, money.c.note, money.c.at_us,
    )
    .join(cases, cases.c.parcel_id == money.c.case_id)
    .join(parcels, parcels.c.id == cases.c.parcel_id)
    .where(money.c.id > bindparam("after"))
    .order_by(money.c.id)
    .limit(bindparam("limit"))
)  # fmt: skip
_COUNTS = statement(select(cases.c.state, cases.c.step, func.count().label("n")).group_by(cases.c.state, cases.c.step))


async def note_case(tx: Tx, parcel_id: int, state: str, next_us: int | None) -> None:
    """What was concluded of the parcel's case, which is made when it is the first time: one for each parcel."""
    await tx.run(_NOTE, of=parcel_id, to_state=state, to_next=next_us)


async def find_case(tx: Tx, parcel_id: int) -> Row | None:
    return await tx.one(_FIND, of=parcel_id)


async def due_cases(tx: Tx, real_now_us: int, limit: int) -> list[int]:
    """Parcels whose case waits for somebody, without taking them."""
    return [row["parcel_id"] for row in await tx.all(_DUE, real_now=real_now_us, limit=limit)]


async def claim_cases(tx: Tx, real_now_us: int, until_us: int, limit: int) -> Sequence[Row]:
    """Cases that are due, each put off until then: whoever took them has so long."""
    return await tx.all(_CLAIM, real_now=real_now_us, until=until_us, limit=limit)


async def rest_case(tx: Tx, parcel_id: int, next_us: int | None) -> None:
    """When somebody looks at it again; None: only when something new is concluded."""
    await tx.run(_REST, of=parcel_id, to_next=next_us)


async def act_on_case(
    tx: Tx, parcel_id: int, *, step: str, acted_us: int, why: str, purchase_id: str, next_us: int | None = None
) -> None:
    """What we did about it."""
    await tx.run(
        _ACT, of=parcel_id, to_step=step, to_acted=acted_us, to_why=why, to_purchase=purchase_id, to_next=next_us
    )


async def withdraw_case(tx: Tx, parcel_id: int, *, withdrawn_us: int, why: str) -> None:
    """The order to bring it back is no longer in force."""
    await tx.run(_WITHDRAW, of=parcel_id, to_withdrawn=withdrawn_us, to_why=why)


async def add_case_money(
    tx: Tx, parcel_id: int, *, name: str, kind: str, amount: str, currency: str, note: str, at_us: int
) -> None:
    """A line of money. The first line of a name is kept for good."""
    await tx.run(
        _ADD_MONEY, case_id=parcel_id, name=name, kind=kind, amount=amount, currency=currency, note=note, at_us=at_us
    )


async def money_of_case(tx: Tx, parcel_id: int) -> Sequence[Row]:
    return await tx.all(_MONEY, of=parcel_id)


async def case_money_lines(tx: Tx, after: int, limit: int) -> Sequence[Row]:
    """Every case's lines of money, a page at a time."""
    return await tx.all(_MONEY_LINES, after=after, limit=limit)


async def count_cases(tx: Tx) -> Sequence[Row]:
    """Cases by what was concluded and what we did."""
    return await tx.all(_COUNTS)
