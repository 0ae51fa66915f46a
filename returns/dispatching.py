"""What leaves the warehouse because of a return: rejected goods go back, replacements go out, each with one label.

A wish for a label is a row, made in the transaction that wants it; the label is bought by the same protocol as any
other, its subject being the row: however often it is looked at, one is bought.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from carriers.contract import Address, LabelFormat, LabelRequest, Prepared, Refused
from fleet.clocks import from_us, to_us
from merchants.calendars import delivery_day_after, is_business_day, local_day
from merchants.terms import Outcome, Payer, Terms
from returns.accounts import parts_of
from returns.forms import about_of, kept, sender_of, wishes_of
from returns.settling import Ruling, Verdict, dispatch_charge, payer_of
from returns.showing import return_view
from returns.states import DECIDED, ReturnState, state_decided
from spending import points
from spending.brakes import Braked, tell_braked
from spending.buying import buy
from spending.intents import Intent, Till, hand_over, new_purchase_id, new_reference, plan, real_us
from spending.machine import State
from store.again import write_surely
from store.dispatches import (
    add_dispatch,
    change_dispatch,
    dispatches_of,
    due_dispatches,
    find_dispatch,
    lock_dispatch,
)
from store.engine import Row, Tx
from store.orders import find_order, load_parcel
from store.outbox import say
from store.parcels import parcel_by_id, register_parcel
from store.purchases import find_purchase, labels_of, purchase_of
from store.returns import change_return, lock_return, lock_return_by_id, orders_of
from tracker.lifecycle import Purpose
from tracker.orders import Declined, Shelf, contact_of, order_view, terms_for

RESEND, EXCHANGE = "resend", "exchange"
HELD = "what it was to replace was not accepted"


@dataclass(frozen=True, slots=True)
class Load:
    """What of one order rides on a dispatch."""

    order_id: int
    order_number: str
    items: tuple[dict[str, Any], ...]  # sku, quantity


@dataclass(frozen=True, slots=True)
class _Paper:
    """What a label is planned with: made before the transaction, so that a second run has the same."""

    purchase_id: str = field(default_factory=new_purchase_id)
    reference: str = field(default_factory=new_reference)


_loads = msgspec.json.Decoder(tuple[Load, ...])


def loads_of(row: Row) -> tuple[Load, ...]:
    return _loads.decode(row["loads"])


def subject_of(row: Row) -> str:
    return f"{row['kind']}:{row['id']}"


# ----------------------------------------------------------------------------------------------------- what is to leave


async def wish_exchanges(tx: Tx, till: Till, terms: Terms, row: Row, now: datetime) -> None:
    """The replacements of a return that was received: a parcel for each order, once.  # source: policy 59"""
    for order in await orders_of(tx, row["id"]):
        items = [
            {"sku": wish["exchange_for"] or wish["sku"], "quantity": wish["quantity"]}
            for wish in wishes_of(order["items"])
            if wish["gets"] == Outcome.EXCHANGE
        ]
        if items:
            load = Load(order["id"], order["number"], tuple(items))
            await _wish(tx, till, terms, row, EXCHANGE, f"{EXCHANGE}/{order['id']}", [load], now)


async def wish_resend(tx: Tx, till: Till, terms: Terms, row: Row, rulings: Sequence[Ruling], now: datetime) -> None:
    """What was not accepted goes back to the customer, all in one parcel.  # source: policies 55, 56"""
    loads = []
    for order in await orders_of(tx, row["id"]):
        items = tuple(
            {"sku": ruling.sku, "quantity": ruling.quantity}
            for ruling in rulings
            if (ruling.order_number, ruling.verdict) == (order["number"], Verdict.REJECTED)
        )
        if items:
            loads.append(Load(order["id"], order["number"], items))
    if loads:
        await _wish(tx, till, terms, row, RESEND, RESEND, loads, now)


async def hold_exchanges(tx: Tx, row: Row, rulings: Sequence[Ruling]) -> None:
    """A replacement that has no label yet does not leave for an order of which nothing was accepted."""
    taken = {ruling.order_number for ruling in rulings if ruling.verdict is Verdict.ACCEPTED}
    for each in await dispatches_of(tx, row["id"]):
        waits = each["kind"] == EXCHANGE and each["next_us"] is not None
        if waits and not taken & {load.order_number for load in loads_of(each)}:
            await change_dispatch(tx, each["id"], parcel_id=None, why=HELD, next_us=None)


async def _wish(
    tx: Tx, till: Till, terms: Terms, row: Row, kind: str, name: str, loads: Sequence[Load], now: datetime
) -> None:
    await add_dispatch(
        tx,
        return_id=row["id"],
        name=name,
        kind=kind,
        loads=msgspec.json.encode(loads).decode(),
        payer=payer_of(terms, kind),
        next_us=real_us(till.real()),
        created_us=to_us(now),
    )


# ----------------------------------------------------------------------------------------------------------- the labels


async def ship_out(till: Till, shelf: Shelf, limit: int = 20) -> int:
    """Buy a label for everything that waits for one; how many were looked at."""
    due = await till.store.read(lambda tx: due_dispatches(tx, real_us(till.real()), limit))
    for dispatch_id in due:
        await ship_one(till, shelf, dispatch_id)
    return len(due)


async def ship_one(till: Till, shelf: Shelf, dispatch_id: int) -> None:
    """The label of one dispatch: planned once, bought, and its parcel followed. A brake puts it off."""
    paper, now = _Paper(), till.clock.now()

    async def unit(tx: Tx) -> str | None:
        found = await find_dispatch(tx, dispatch_id)
        parent = await lock_return_by_id(tx, found["return_id"]) if found else None
        row = await lock_dispatch(tx, dispatch_id)  # after its return, as everybody does
        if parent is None or row is None:
            return None
        made = await purchase_of(tx, subject_of(row), "label")
        if row["next_us"] is None:
            return made["id"] if made and made["id"] == paper.purchase_id else None
        if made and made["state"] != State.REJECTED:  # one is open, or was bought: never a second one
            await change_dispatch(tx, dispatch_id, parcel_id=row["parcel_id"], why=row["why"], next_us=None)
            return None
        return await _plan(tx, till, shelf, parent, row, made["generation"] + 1 if made else 1, paper, now)

    try:
        purchase_id = await write_surely(till.store, unit)
    except Braked as braked:
        await _put_off(till, dispatch_id, braked)
        return
    if purchase_id:
        points.crash_point("plan.after")
        await buy(till, purchase_id)
        await settle_dispatch(till, shelf, purchase_id)
        points.crash_point("issue.after")


async def _plan(
    tx: Tx, till: Till, shelf: Shelf, parent: Row, row: Row, generation: int, paper: _Paper, now: datetime
) -> str | None:
    """The intent to buy, or why there can be none: then a person is told. Raises Braked."""
    terms = terms_for(shelf, parent["merchant"], from_us(parent["created_us"]))
    try:
        prepared = await _prepare(tx, till, terms, parent, row, paper, now)
    except Refused as error:
        await _give_up(tx, parent, row, str(error), now)
        return None
    about = {"merchant": parent["merchant"], "return_number": parent["number"]}
    await plan(tx, till, Intent(paper.purchase_id, terms.carrier, subject_of(row), generation, prepared, about))
    await change_dispatch(tx, row["id"], parcel_id=None, why="", next_us=None)
    return paper.purchase_id


async def _prepare(tx: Tx, till: Till, terms: Terms, parent: Row, row: Row, paper: _Paper, now: datetime) -> Prepared:
    if terms.carrier not in till.carriers:
        raise Refused(f"{terms.carrier} is not connected")
    loads = loads_of(row)
    address = await _address(tx, till, parent, row["kind"], loads)
    if address is None:
        raise Refused("the address was erased")
    request = LabelRequest(
        purchase_id=paper.purchase_id,
        reference=paper.reference,
        ship_from=terms.warehouse.address,
        ship_to=address,
        weight_kg=about_of(parent).weight_kg or terms.label.weight_kg,
        description="Order",
        format=LabelFormat(terms.label.format),
        is_return=False,
        order_numbers=tuple(load.order_number for load in loads),
        ship_day=_ship_day(terms, now),
    )
    return till.carriers[terms.carrier].prepare_label(request)


def _ship_day(terms: Terms, now: datetime) -> date:
    """Today, where the warehouse works; else its next day."""
    today, house = local_day(now, terms.zone), terms.warehouse
    is_open = is_business_day(today, house.days, house.holidays)
    return today if is_open else delivery_day_after(today, house.days, house.holidays)


async def _address(tx: Tx, till: Till, parent: Row, kind: str, loads: Sequence[Load]) -> Address | None:
    """Goods go back to where they were sent from, a replacement to the original order's address."""
    if kind == RESEND:
        return sender_of(parent, till.sealer)
    order = await find_order(tx, parent["merchant"], loads[0].order_number)
    contact = contact_of(order, till.sealer) if order else None
    return contact.ship_to if contact else None


async def retry(till: Till, shelf: Shelf, number: str) -> dict[str, Any]:
    """Try again for what could have no label: its cause was set right. Nothing else is touched. Raises Declined."""

    async def unit(tx: Tx) -> list[int]:
        parent = await lock_return(tx, number)
        if parent is None:
            raise Declined("return_not_found", f"no return {number}")
        waiting: list[int] = []
        for row in await dispatches_of(tx, parent["id"]):
            if row["parcel_id"] is None and row["next_us"] is None and row["why"] not in ("", HELD):
                await change_dispatch(tx, row["id"], parcel_id=None, why=row["why"], next_us=real_us(till.real()))
                waiting.append(row["id"])
        return waiting

    for dispatch_id in await write_surely(till.store, unit):
        await ship_one(till, shelf, dispatch_id)
    view = await till.store.read(lambda tx: return_view(tx, number))
    assert view is not None
    return view


async def _put_off(till: Till, dispatch_id: int, braked: Braked) -> None:
    later = real_us(till.real() + till.pace.scaled(braked.retry_after))

    async def unit(tx: Tx) -> str:
        row = await lock_dispatch(tx, dispatch_id)
        assert row is not None
        if row["next_us"] is not None:
            await change_dispatch(tx, dispatch_id, parcel_id=None, why=braked.message, next_us=later)
        return subject_of(row)

    await tell_braked(till, braked, "", await write_surely(till.store, unit))


async def _give_up(tx: Tx, parent: Row, row: Row, why: str, now: datetime) -> None:
    """No label can be had: a person sends it by hand."""
    await change_dispatch(tx, row["id"], parcel_id=None, why=why, next_us=None)
    data = {
        "merchant": parent["merchant"],
        "return_number": parent["number"],
        "order_numbers": [load.order_number for load in loads_of(row)],
        "kind": row["kind"],
        "why": why,
    }
    name = f"{row['name']}/no_label/{why}"
    await say(tx, subject=f"return:{parent['id']}", name=name, type="ops.dispatch_impossible", at=now, data=data)


# ---------------------------------------------------------------------------------------------------- what they brought


async def settle_dispatch(till: Till, shelf: Shelf, purchase_id: str) -> None:
    """Hand an ended purchase to its dispatch, once: its parcel is on the orders and followed, or a person is told."""
    now = till.clock.now()

    async def unit(tx: Tx) -> None:
        purchase = await find_purchase(tx, purchase_id)
        found = await find_dispatch(tx, int(purchase["subject"].partition(":")[2])) if purchase else None
        if purchase is None or found is None:
            return
        parent = await lock_return_by_id(tx, found["return_id"])
        row = await lock_dispatch(tx, found["id"])
        state = await hand_over(tx, till, purchase_id)
        if parent is None or row is None or state is None:
            return
        if state is State.ISSUED:
            await _issue(tx, till, shelf, parent, row, purchase_id, now)
        else:
            outcome = msgspec.json.decode(purchase["outcome"])
            why = " ".join(part for part in (outcome["code"], outcome["why"]) if part)
            await _give_up(tx, parent, row, why or "the carrier refused the label", now)

    await write_surely(till.store, unit)


async def _issue(tx: Tx, till: Till, shelf: Shelf, parent: Row, row: Row, purchase_id: str, now: datetime) -> None:
    """The parcel rides on its orders, costs whom the terms say, and is told of as shipped."""
    label = (await labels_of(tx, purchase_id))[0]
    terms = terms_for(shelf, parent["merchant"], from_us(parent["created_us"]))
    loads = loads_of(row)
    address = await _address(tx, till, parent, row["kind"], loads)
    known: dict[str, Any] = {"origin": terms.warehouse.address.place}
    if address:
        known["destination"] = address.place
    parcel_id = await register_parcel(
        tx,
        merchant=parent["merchant"],
        carrier=label["carrier"],
        number=label["number"],
        purpose=Purpose(row["kind"]),
        shipment=msgspec.json.encode(known).decode(),
        now_us=to_us(now),
    )
    parcel = await parcel_by_id(tx, parcel_id)
    assert parcel is not None
    if (parcel["merchant"], parcel["purpose"]) != (parent["merchant"], row["kind"]):
        why = f"{label['carrier']} sold a label whose number {label['number']} is another parcel's"
        await _give_up(tx, parent, row, why, now)
        return
    await change_dispatch(tx, row["id"], parcel_id=parcel_id, why="", next_us=None)
    for load in loads:
        await load_parcel(tx, load.order_id, parcel_id, msgspec.json.encode(load.items).decode())
    await _count(tx, terms, parent, row, label, now)
    for load in loads:
        await _say_shipped(tx, parent["merchant"], load, label, row["kind"], now)


async def _count(tx: Tx, terms: Terms, parent: Row, row: Row, label: Row, now: datetime) -> None:
    """What it costs the customer is a line of the return's money, and the return is sent back or exchanged now."""
    about = about_of(parent)
    if row["payer"] == Payer.CUSTOMER:
        price = Decimal(label["price"]) if label["price"] else None
        load = loads_of(row)[0]
        line = dispatch_charge(terms, row["kind"], load.order_number, price, label["currency"])
        about = replace(about, money=(*about.money, line))
    state = await state_now(tx, parent, about.refund is not None)
    await change_return(
        tx, parent["id"], state=state, about=kept(about), parcel_id=parent["parcel_id"], updated_us=to_us(now)
    )


async def state_now(tx: Tx, parent: Row, refunded: bool) -> ReturnState:
    """The state of a return once the warehouse has decided; before that it is what it was."""
    decided = about_of(parent).decided
    if decided is None or parent["state"] not in DECIDED:
        return ReturnState(parent["state"])
    leaving = await dispatches_of(tx, parent["id"])
    parts = await parts_of(tx, parent, decided.rulings)
    return state_decided(
        [ruling.verdict for ruling in decided.rulings],
        [piece.gets for part in parts for piece in part.pieces],
        resent=_has_left(leaving, RESEND),
        exchanged=_has_left(leaving, EXCHANGE),
        refunded=refunded,
    )


def _has_left(leaving: Sequence[Row], kind: str) -> bool:
    mine = [row for row in leaving if row["kind"] == kind]
    return bool(mine) and all(row["parcel_id"] is not None for row in mine)


async def _say_shipped(tx: Tx, merchant: str, load: Load, label: Row, kind: str, now: datetime) -> None:
    """`parcel.shipped` of the order: the shop sends its shipping confirmation.  # source: policy 60"""
    view = await order_view(tx, merchant, load.order_number)
    data: Mapping[str, Any] = {
        "merchant": merchant,
        "order_number": load.order_number,
        "parcel": {"carrier": label["carrier"], "number": label["number"], "purpose": kind, "items": load.items},
        "order": view,
    }
    name = f"parcel/{label['carrier']}/{label['number']}"
    await say(tx, subject=f"order:{load.order_id}", name=name, type="parcel.shipped", at=now, data=data)
