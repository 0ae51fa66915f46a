"""A label that is lost: the same one again, or it is void and the next one is bought; an unused one costs nothing.

The stored bytes are the label for as long as they are kept, so a lost one is handed out again. Only a label that
somebody else may hold (or a code instead of paper) is worth a new purchase: then the unused one is void and the next
generation of the same purchase is planned in one transaction, and both go through the protocol of what costs money.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from carriers.contract import Address, Away, Carrier, LabelFormat, LabelRequest
from fleet.clocks import from_us, to_us
from merchants.terms import Terms
from returns.addresses import proven
from returns.desk import label_bytes
from returns.eligibility import Courier
from returns.following import follow_parcel
from returns.forms import About, about_of, kept, sender_of
from returns.labels import settle
from returns.showing import return_view
from returns.states import BEFORE_THE_JOURNEY, ReturnState
from spending.brakes import Braked, tell_braked
from spending.buying import buy
from spending.intents import Intent, Till, new_reference, plan
from spending.machine import LabelState, State
from spending.voiding import UNVOIDED, end_here, plan_void, prove_unused, send_void
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.purchases import change_label, documents_of, find_purchase, labels_of, lock_label, purchase_of, strays
from store.returns import change_return, find_return, lock_return, lock_return_by_id, orders_of
from tracker.orders import Declined, Shelf, terms_for

UNUSED = frozenset({ReturnState.REGISTERED, ReturnState.LABEL_READY, ReturnState.CANCELLED})
"""States in which no parcel travels, and nothing is being bought."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """200 the same label, 201 another one, 202 another one is still being settled."""

    view: dict[str, Any]
    status: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller says of the lost label. `compromised`: somebody else may hold it, so it must not be used."""

    compromised: bool = False
    qr: bool = False  # a code for the counter instead of paper
    caller: str = ""
    key: str = ""  # of the call: the same key replaces once


@dataclass(frozen=True, slots=True)
class _Held:
    """The return as it is, with its newest purchase and that one's label."""

    row: Row
    about: About
    purchase: Row | None
    label: Row | None
    order_numbers: tuple[str, ...]
    has_bytes: bool
    repeated: bool  # this very call came before


async def replace_label(till: Till, shelf: Shelf, number: str, wanted: Wanted) -> Replaced:
    """Hand the label out again, or a new one instead of it. Raises Declined, CarrierError."""
    purchase_id, void_id = (
        _id(till, f"{use}:{number}:{wanted.caller}/{wanted.key}", wanted) for use in ("new", "void")
    )
    held = await till.store.read(lambda tx: _held(tx, number, purchase_id))
    if held.repeated:
        return await _finish(till, shelf, number, purchase_id)
    _may_change(held)
    if held.row["state"] == ReturnState.CANCELLED:
        raise Declined("return_cancelled", f"return {number} was given up, its items are free: register another one")
    live = held.label is not None and held.label["state"] == LabelState.LIVE
    if live and held.has_bytes and not wanted.compromised and wanted.qr in (False, held.about.qr):
        view = await till.store.read(lambda tx: return_view(tx, number))
        assert view is not None
        return Replaced(view, 200)
    terms = terms_for(shelf, held.row["merchant"], from_us(held.row["created_us"]))
    if live and terms.lost_label.answer == "waybill" and not wanted.qr:
        message = "this shop gives no second label: ask for waybill instructions, or void the label first"
        raise Declined("waybill_instead", message, term="lost_label.answer")
    carrier = till.carriers.get(terms.carrier)
    if carrier is None:
        raise Declined("carrier_unknown", f"{terms.carrier} is not connected, so no label can be bought")
    if live:
        await _unused(till, held)
    sender = sender_of(held.row, till.sealer)
    if sender is None:
        raise Declined("address_erased", "the address of this return was erased: register another one")
    intent = _intent(carrier, terms, held, await proven(till, carrier, sender), purchase_id, wanted)
    await _plan(till, number, held, intent, void_id, wanted)
    if await _is_planned(till, void_id):
        await send_void(till, void_id)
    return await _finish(till, shelf, number, purchase_id)


async def void_label(till: Till, number: str, why: str = "the shop asked for it") -> dict[str, Any]:
    """Nobody gets the label any more, and the carrier voids it where it can. Raises Declined, CarrierError."""
    void_id = str(uuid.uuid4())
    held = await till.store.read(lambda tx: _held(tx, number, void_id))
    if held.label is None:
        raise Declined("label_unknown", f"return {number} has no label")
    if held.label["state"] == LabelState.LIVE:
        _may_change(held)
        await _unused(till, held)
        label, now = held.label, till.clock.now()

        async def unit(tx: Tx) -> None:
            row, now_label = await _same(tx, number, held), await lock_label(tx, label["id"])
            if now_label is None or now_label["state"] != LabelState.LIVE:
                return  # kept by the commit that nobody answered for, or by somebody else
            if row is None:
                raise Declined("label_pending", f"return {number} was changed meanwhile: look at it, and ask again")
            await _void(tx, till, label, void_id, why)
            state = ReturnState.REGISTERED if row["state"] == ReturnState.LABEL_READY else ReturnState(row["state"])
            await _change(tx, row, state, about_of(row), now)

        await write_surely(till.store, unit)
        if await _is_planned(till, void_id):
            await send_void(till, void_id)
    view = await till.store.read(lambda tx: return_view(tx, number))
    assert view is not None
    return view


# --------------------------------------------------------------------------------------------------------------- facts


async def _held(tx: Tx, number: str, purchase_id: str) -> _Held:
    row = await find_return(tx, number)
    if row is None:
        raise Declined("return_not_found", f"no return {number}")
    about = about_of(row)
    purchase = await purchase_of(tx, f"return:{row['id']}", "label")
    label = next(iter(await labels_of(tx, purchase["id"])), None) if purchase else None
    orders = tuple(order["number"] for order in await orders_of(tx, row["id"]))
    has_bytes = bool(label and await documents_of(tx, label["id"]))
    repeated = await find_purchase(tx, purchase_id) is not None
    return _Held(row, about, purchase, label, orders, has_bytes, repeated)


def _may_change(held: _Held) -> None:
    """Raises Declined where the label cannot be given up: none was bought, it is being bought, or it travels."""
    state, number = ReturnState(held.row["state"]), held.row["number"]
    if held.about.courier is not Courier.PREPAID:
        raise Declined("label_unknown", "the customer sends it by a courier of his own: there is no label")
    if state is ReturnState.LABEL_PENDING:
        raise Declined("label_pending", f"the label of return {number} is still being settled: ask again later")
    if state not in UNUSED:
        raise Declined("return_under_way", f"return {number} is {state}: its label is in use")


async def _unused(till: Till, held: _Held) -> None:
    """Void only on proof: the carrier has told of no parcel that travels with it."""
    assert held.label is not None
    try:
        unused = await prove_unused(till, held.label)
    except TimeoutError as error:
        raise Away("no answer before the deadline") from error
    if not unused:
        raise Declined("return_under_way", "the carrier has scanned a parcel with this label: it is in use")


# ------------------------------------------------------------------------------------------------------------- changes


def _intent(carrier: Carrier, terms: Terms, held: _Held, sender: Address, purchase_id: str, wanted: Wanted) -> Intent:
    number = held.row["number"]
    request = LabelRequest(
        purchase_id=purchase_id,
        reference=new_reference(),
        ship_from=sender,
        ship_to=terms.warehouse.address,
        weight_kg=held.about.weight_kg or terms.label.weight_kg,
        description=terms.label.description,
        service=terms.label.service,
        format=LabelFormat(terms.label.format),
        is_return=True,
        order_numbers=held.order_numbers,
        return_number=number,
        qr=wanted.qr or held.about.qr,
    )
    about = {"merchant": held.row["merchant"], "return_number": number}
    generation = held.purchase["generation"] + 1 if held.purchase else 1
    subject = f"return:{held.row['id']}"
    return Intent(purchase_id, terms.carrier, subject, generation, label_bytes(carrier, request), about, wanted.caller)


async def _plan(till: Till, number: str, held: _Held, intent: Intent, void_id: str, wanted: Wanted) -> None:
    """The old label is void here, and the new one is planned: both or neither."""
    now = till.clock.now()

    async def unit(tx: Tx) -> None:
        if await find_purchase(tx, intent.id):
            return  # kept by the commit that nobody answered for
        row = await _same(tx, number, held)
        if row is None:
            raise Declined("label_pending", f"return {number} was changed meanwhile: look at it, and ask again")
        if held.label is not None and held.label["state"] in UNVOIDED:
            await _void(tx, till, held.label, void_id, "another label stands in for it")
        await plan(tx, till, intent)
        about = replace(about_of(row), qr=wanted.qr or held.about.qr, why="")
        await _change(tx, row, ReturnState.LABEL_PENDING, about, now)

    try:
        await write_surely(till.store, unit)
    except Braked as braked:
        await tell_braked(till, braked, wanted.caller, f"return:{number}")
        raise Declined(braked.code, braked.message) from braked


async def _same(tx: Tx, number: str, held: _Held) -> Row | None:
    """The return, held until the transaction ends; None when somebody changed it since it was read."""
    row = await lock_return(tx, number)
    return row if row is not None and row["version"] == held.row["version"] else None


async def _void(tx: Tx, till: Till, label: Row, void_id: str, why: str) -> None:
    """By an intent of its own, or here alone where the carrier does not void it."""
    carrier = till.carriers[label["carrier"]]
    cannot = carrier.abilities.void_return
    if cannot or not carrier.prepare_void(label["number"], label["shipment_id"]).path:
        await end_here(tx, till, label["id"], f"{why}. {cannot}".strip())
    else:
        await plan_void(tx, till, label["id"], void_id, why)


async def _change(tx: Tx, row: Row, state: ReturnState, about: About, now: datetime) -> None:
    await change_return(
        tx, row["id"], state=state, about=kept(about), parcel_id=row["parcel_id"], updated_us=to_us(now)
    )


async def _is_planned(till: Till, void_id: str) -> bool:
    row = await till.store.read(lambda tx: find_purchase(tx, void_id))
    return row is not None and row["state"] == State.PLANNED


async def _finish(till: Till, shelf: Shelf, number: str, purchase_id: str) -> Replaced:
    """Send what is planned, hand over what ended, and say how far it is."""
    await buy(till, purchase_id)
    await settle(till, shelf, purchase_id)
    view = await till.store.read(lambda tx: return_view(tx, number))
    assert view is not None
    if view["state"] == ReturnState.REGISTERED and view["why"]:
        raise Declined("label_refused", view["why"])
    return Replaced(view, 202 if view["state"] == ReturnState.LABEL_PENDING else 201)


def _id(till: Till, what: str, wanted: Wanted) -> str:
    """A UUID4 for this call: the same for the same key, so that a repetition after a crash is known as one."""
    if not wanted.key:
        return str(uuid.uuid4())
    return str(uuid.UUID(bytes=bytes.fromhex(till.sealer.mark(what))[:16], version=4))


# ----------------------------------------------------------------------------------------- void, and used after all


async def follow_strays(till: Till, shelf: Shelf, limit: int = 20) -> int:
    """A sweep: a label that stood void travels: ops hear it once, and a return that still waits goes on with it."""
    rows = await till.store.read(lambda tx: strays(tx, limit))
    for row in rows:
        if await write_surely(till.store, partial(_go_on, till=till, stray=row)):
            await follow_parcel(till, shelf, row["parcel_id"])
    return len(rows)


async def _go_on(tx: Tx, till: Till, stray: Row) -> bool:
    """Whether the return follows this parcel from now on."""
    label, row = await lock_label(tx, stray["id"]), await lock_return_by_id(tx, int(stray["subject"].split(":")[1]))
    if label is None or row is None or label["state"] == LabelState.USED:
        return False
    now, why = till.clock.now(), "it was void, and a parcel travels with it"
    since_us, ended_us = round(till.real() * 1e6), label["ended_us"]
    await change_label(tx, label["id"], label["state"], LabelState.USED, note=why, since_us=since_us, ended_us=ended_us)
    about = {"merchant": row["merchant"], "return_number": row["number"], "carrier": label["carrier"]}
    data = {**about, "purchase_id": label["purchase_id"], "number": label["number"], "why": why}
    name = f"used/{label['number']}"
    await say(tx, subject=stray["subject"], name=name, type="ops.label_used", at=now, data=data)
    if row["state"] not in BEFORE_THE_JOURNEY and row["state"] != ReturnState.CANCELLED:
        return False
    mine = kept(replace(about_of(row), followed=0))
    await change_return(
        tx, row["id"], state=row["state"], about=mine, parcel_id=stray["parcel_id"], updated_us=to_us(now)
    )
    return True
