"""A return by a courier of the customer's own: at his risk, followed where the number is one that we can read."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from carriers.contract import Address
from fleet.clocks import from_us, to_us
from merchants.terms import Terms
from returns.eligibility import Courier
from returns.forms import About, OwnCourier, OwnParcel, about_of, kept, sender_of
from returns.showing import return_view
from returns.states import BEFORE_THE_JOURNEY
from spending.intents import Till
from store.again import write_surely
from store.engine import Row, Tx
from store.parcels import parcel_by_id, register_parcel
from store.returns import change_return, lock_return, lock_return_by_parcel
from tracker.lifecycle import Purpose
from tracker.orders import Declined, Shelf, terms_for


def own_courier(terms: Terms, given: OwnParcel) -> OwnCourier:
    """The courier as the customer gave it, with what the terms say of risk and cost."""
    return OwnCourier(given.carrier.strip(), given.number.strip(), terms.own_courier.risk, terms.own_courier.reimburses)


async def carry(till: Till, shelf: Shelf, number: str, given: OwnParcel) -> dict[str, Any]:
    """The customer tells the number later, or a better one. The same again changes nothing. Raises Declined."""
    now = till.clock.now()

    async def unit(tx: Tx) -> dict[str, Any]:
        row = await lock_return(tx, number)
        if row is None:
            raise Declined("return_not_found", f"no return {number}")
        about, terms = about_of(row), terms_for(shelf, row["merchant"], from_us(row["created_us"]))
        if about.courier is not Courier.OWN:
            raise Declined("courier_prepaid", f"return {number} travels with the shop's label")
        own = own_courier(terms, given)
        if own != about.own:
            if row["parcel_id"] is not None and row["state"] not in BEFORE_THE_JOURNEY:
                raise Declined("return_under_way", f"return {number} is {row['state']} under its number already")
            sender = sender_of(row, till.sealer)
            await follow_own(tx, till, terms, row, replace(about, own=own), sender, now)
        view = await return_view(tx, number)
        assert view is not None
        return view

    return await write_surely(till.store, unit)


async def follow_own(
    tx: Tx, till: Till, terms: Terms, row: Row, about: About, sender: Address | None, now: datetime
) -> None:
    """Keep what the customer said; a number of a carrier that we can read becomes a parcel to follow."""
    assert about.own is not None
    parcel_id = None
    if found := readable(till, about.own):
        carrier, number = found
        parcel_id = await register_parcel(
            tx,
            merchant=row["merchant"],
            carrier=carrier,
            number=number,
            purpose=Purpose.RETURN,
            shipment=_shipment(terms, sender),
            now_us=to_us(now),
        )
        await _must_be_free(tx, row, parcel_id, number)
    if parcel_id != row["parcel_id"]:
        about = replace(about, followed=0)  # another parcel counts its notices from one
    await change_return(
        tx, row["id"], state=row["state"], about=kept(about), parcel_id=parcel_id, updated_us=to_us(now)
    )


def readable(till: Till, own: OwnCourier) -> tuple[str, str] | None:
    """Which connected carrier the number is of: the named one, else the one that is sure to know such numbers."""
    named = own.carrier.casefold()
    if not own.number:
        return None
    for name, carrier in till.carriers.items():
        found = carrier.recognise(own.number) if named in ("", name, carrier.title.casefold()) else None
        if found and (named or not found.warning):
            return name, found.number
    return None


async def _must_be_free(tx: Tx, row: Row, parcel_id: int, number: str) -> None:
    parcel, other = await parcel_by_id(tx, parcel_id), await lock_return_by_parcel(tx, parcel_id)
    assert parcel is not None
    is_return = (parcel["merchant"], parcel["purpose"]) == (row["merchant"], Purpose.RETURN)
    if not is_return or (other is not None and other["id"] != row["id"]):
        taken = f"{number} is already the number of another parcel"
        raise Declined("tracking_number_taken", taken, "/tracking_number")


def _shipment(terms: Terms, sender: Address | None) -> str:
    """What we know of the parcel before any carrier speaks: two places, no name and no street."""
    known: dict[str, Any] = {"destination": terms.warehouse.address.place}
    if sender:
        known["origin"] = sender.place
    return msgspec.json.encode(known).decode()
