"""What a carrier billed on top of a label, or of a parcel's way home: told by the shop from the bill, once per name.

source: policy 26. A line never changes; what came by mistake is answered by another line with a name of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fleet.clocks import to_us
from store.again import write_surely
from store.cases import add_case_money, find_case, money_of_case, note_case
from store.engine import Row, Store, Tx
from store.homecomings import find_homecoming
from store.parcels import find_parcel
from store.purchases import add_money, label_by_number, money_of


@dataclass(frozen=True, slots=True)
class Surcharge:
    """`name` says which: refusal, address_correction, oversize."""

    carrier: str
    number: str
    name: str
    amount: Decimal
    currency: str
    note: str = ""


class Unplaced(Exception):
    """It cannot be kept: `code` never changes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


async def bill(store: Store, told: Surcharge, now: datetime) -> bool:
    """Keep it with the parcel's way home, else with the label that we bought. True: it is new. Raises Unplaced."""
    amount, note, at_us = str(told.amount), told.note or "billed by the carrier", to_us(now)

    async def unit(tx: Tx) -> bool:
        parcel = await find_parcel(tx, told.carrier, told.number)
        label = await label_by_number(tx, told.carrier, told.number)
        if parcel is not None and await _goes_home(tx, parcel["id"]):
            # the name under which the terms' own figure would stand: what was billed comes instead of it
            if there := _named(await money_of_case(tx, parcel["id"]), told.name):
                return _same(there, told)
            await add_case_money(
                tx, parcel["id"], name=told.name, kind="surcharge", amount=amount, currency=told.currency, note=note,
                at_us=at_us,
            )  # fmt: skip
            return True
        if label is None:
            raise Unplaced("nothing_billed", "it has no label of ours and is not on its way home")
        name = f"surcharge/{told.name}"
        if there := _named(await money_of(tx, label["id"]), name):
            return _same(there, told)
        await add_money(
            tx, label["id"], name=name, kind="surcharge", amount=amount, currency=told.currency, note=note, at_us=at_us
        )
        return True

    return await write_surely(store, unit)


async def _goes_home(tx: Tx, parcel_id: int) -> bool:
    """Whether it is on its way back or was received; one that came back without a scan has no case until now."""
    if await find_case(tx, parcel_id):
        return True
    if await find_homecoming(tx, parcel_id) is None:
        return False
    await note_case(tx, parcel_id, "", None)  # nothing is concluded of it: it holds the money
    return True


def _named(lines: Sequence[Row], name: str) -> Row | None:
    return next((line for line in lines if line["name"] == name), None)


def _same(there: Row, told: Surcharge) -> bool:
    """False: it was told before, exactly so. Raises Unplaced for another amount."""
    if Decimal(there["amount"] or 0) != told.amount or there["currency"] != told.currency:
        found = f"{there['amount']} {there['currency']}"
        raise Unplaced("surcharge_differs", f"{told.name} stands there with {found}: lines of money never change")
    return False
