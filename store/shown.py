"""What an answer about one parcel shows, in one statement: the parcel's row and the numbers it belongs to."""

from typing import NamedTuple

from sqlalchemy import bindparam, func, literal_column, select

from store.schema import concluded, homecomings, order_parcels, orders, parcels, returns
from store.statement import statement
from store.unit import Row, Source

_ORDERS = (
    select(func.aggregate_strings(orders.c.number, literal_column("' '")))  # type: ignore[arg-type]  # any text will do
    .join(order_parcels, order_parcels.c.order_id == orders.c.id)
    .where(order_parcels.c.parcel_id == parcels.c.id)
    .scalar_subquery()
)
_RETURN = select(func.min(returns.c.number)).where(returns.c.parcel_id == parcels.c.id).scalar_subquery()
_HOME = select(homecomings.c.parcel_id).where(homecomings.c.parcel_id == parcels.c.id).scalar_subquery()
SHOWN = statement(
    select(
        parcels,
        concluded,
        _ORDERS.label("order_numbers"),
        _RETURN.label("return_number"),
        _HOME.label("home_id"),
    ).where(parcels.c.carrier == bindparam("carrier"), parcels.c.number == bindparam("number"))
)


class Shown(NamedTuple):
    """A parcel's row, the orders and the return it is of, and whether the warehouse has it again."""

    row: Row
    order_numbers: list[str]
    return_number: str | None
    home: bool


async def find_shown(source: Source, carrier: str, number: str) -> Shown | None:
    row = await source.one(SHOWN, carrier=carrier, number=number)
    if row is None:
        return None
    numbers: str = row["order_numbers"] or ""
    return Shown(row, sorted(numbers.split(" ")) if numbers else [], row["return_number"], row["home_id"] is not None)
