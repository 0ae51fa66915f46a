"""What a customer writes on a carrier's blank waybill when the label is lost, by the shop's terms.

The parcel then arrives under a number that nobody here knows; the return keeps when and with which account it was told.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from fleet.clocks import from_us, to_us
from merchants.terms import Terms
from returns.eligibility import Courier
from returns.forms import Waybill, about_of, kept
from returns.states import BEFORE_THE_JOURNEY
from spending.intents import Till
from store.again import write_surely
from store.engine import Row, Tx
from store.returns import change_return, find_return, lock_return
from tracker.orders import Declined, Shelf, terms_for


@dataclass(frozen=True, slots=True)
class Instructions:
    """The fields of the waybill. `to` are the lines of the warehouse's address; source: policies 46 and 47."""

    number: str  # the return's, to be written as reference
    merchant: str
    carrier: str
    service: str
    payer: str
    account: str
    to: tuple[str, ...]
    issued_at: datetime


async def issue_waybill(till: Till, shelf: Shelf, number: str) -> Instructions:
    """Give the instructions; the return remembers the first time. Raises Declined where terms or state forbid it."""
    now = till.clock.now()

    async def unit(tx: Tx) -> Instructions:
        row = await lock_return(tx, number)
        if row is None:
            raise Declined("return_not_found", f"no return {number}")
        terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
        about = about_of(row)
        if terms.lost_label.answer != "waybill":
            raise Declined("waybill_not_offered", "this shop gives a new label instead", term="lost_label.answer")
        if about.courier is not Courier.PREPAID:
            raise Declined("waybill_not_offered", "the customer sends it by a courier of his own", term="own_courier")
        if about.waybill is None:
            if row["state"] not in BEFORE_THE_JOURNEY:
                raise Declined("return_under_way", f"return {number} is {row['state']}")
            lost = terms.lost_label
            about = replace(about, waybill=Waybill(now, lost.account, lost.service, number))
            await change_return(
                tx, row["id"], state=row["state"], about=kept(about), parcel_id=row["parcel_id"], updated_us=to_us(now)
            )
        return instructions(till, terms, row, about.waybill or Waybill(now, "", "", number))

    return await write_surely(till.store, unit)


async def waybill_of(till: Till, shelf: Shelf, number: str) -> Instructions:
    """The instructions as they were given. Raises Declined where none were."""
    row = await till.store.read(lambda tx: find_return(tx, number))
    if row is None:
        raise Declined("return_not_found", f"no return {number}")
    about = about_of(row)
    if about.waybill is None:
        raise Declined("waybill_unknown", "no waybill instructions were given for this return")
    terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
    return instructions(till, terms, row, about.waybill)


def instructions(till: Till, terms: Terms, row: Row, waybill: Waybill) -> Instructions:
    carrier = till.carriers.get(terms.carrier)
    to = terms.warehouse.address
    town = f"{to.postal_code} {to.city}" + (f" ({to.region})" if to.region else "")
    return Instructions(
        number=row["number"],
        merchant=row["merchant"],
        carrier=carrier.title if carrier else terms.carrier.upper(),
        service=waybill.service,
        payer=terms.lost_label.payer,
        account=waybill.account,
        to=tuple(line for line in (to.company, to.name, *to.lines, town, to.country) if line),
        issued_at=waybill.issued_at,
    )
