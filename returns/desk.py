"""The returns desk: a return is registered against the shop's terms, gets its label, and can be given up."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from carriers.contract import Address, Carrier, LabelFormat, LabelRequest, Prepared, Refused
from fleet.clocks import to_us
from merchants.terms import Terms
from returns.addresses import proven
from returns.carrying import follow_own, own_courier
from returns.checking import check_order, hold_orders
from returns.clocks import unused_until
from returns.eligibility import Courier
from returns.forms import About, Asked, Sender, about_of
from returns.labels import settle
from returns.showing import return_view, tell_return
from returns.states import BEFORE_THE_JOURNEY, ReturnState
from spending import points
from spending.brakes import Braked, tell_braked
from spending.buying import buy
from spending.intents import Intent, Till, give_up, new_purchase_id, new_reference, plan
from spending.machine import State
from store.again import write_surely
from store.engine import Row, Tx, Unit
from store.purchases import purchase_of
from store.returns import add_return, change_return, find_return, join_order, lock_return
from tracker.orders import Declined, Shelf, contact_of, terms_for


@dataclass(frozen=True, slots=True)
class Registered:
    """`status` is what the answer to the call is: 201 ready, 202 the label is still being settled."""

    view: dict[str, Any]
    status: int


@dataclass(frozen=True, slots=True)
class _Paper:
    """What a label is planned with: made before the transaction, so that a second run has the same."""

    number: str
    purchase_id: str = field(default_factory=new_purchase_id)
    reference: str = field(default_factory=new_reference)


class _Unproven(Exception):
    """The terms allow the return; whether its address is one has to be asked first, outside the transaction."""

    def __init__(self, address: Address) -> None:
        super().__init__("an address is to be checked")
        self.address = address


async def register(till: Till, shelf: Shelf, asked: Asked) -> Registered:
    """Register a return and get its label where the terms say so. Raises Declined, naming the term that refuses."""
    now = till.clock.now()
    terms = terms_for(shelf, asked.merchant, now)
    carrier = _carrier(till, terms, asked)
    digest = till.sealer.mark("asked:" + msgspec.json.encode(asked).decode())
    paper = _Paper(_number(till, asked))
    known: dict[Address, Address] = {}  # addresses as given -> as the carrier writes them

    async def unit(tx: Tx) -> str | None:
        """The purchase to make, if any; the return itself may have been there before."""
        if row := await find_return(tx, paper.number):
            return await _repeated(tx, row, digest)
        return await _enter(tx, till, terms, asked, carrier, paper, digest, now, known)

    try:
        purchase_id = await _entered(till, carrier, unit, known)
    except Braked as braked:
        await tell_braked(till, braked, asked.caller, f"return:{paper.number}")
        raise Declined(braked.code, braked.message) from braked
    if purchase_id:
        points.crash_point("plan.after")
        await buy(till, purchase_id)
        await settle(till, shelf, purchase_id)
        points.crash_point("issue.after")
    return await till.store.read(lambda tx: _answer(tx, paper.number))


async def _entered(
    till: Till, carrier: Carrier | None, unit: Unit[str | None], known: dict[Address, Address]
) -> str | None:
    """The unit, run again whenever it finds an address that nobody has checked: refusals by the terms come first."""
    while True:
        try:
            return await write_surely(till.store, unit)
        except _Unproven as unproven:
            assert carrier is not None
            known[unproven.address] = await proven(till, carrier, unproven.address)


def _carrier(till: Till, terms: Terms, asked: Asked) -> Carrier | None:
    if not asked.orders or not all(order.items for order in asked.orders):
        raise Declined("return_empty", "a return has at least one order with at least one item", "/orders")
    if len({order.order_number for order in asked.orders}) != len(asked.orders):
        raise Declined("order_twice", "an order is listed twice", "/orders")
    if asked.courier is Courier.OWN:
        return None
    if terms.carrier not in till.carriers:
        raise Declined("carrier_unknown", f"{terms.carrier} is not connected, so no label can be bought")
    return till.carriers[terms.carrier]


def _number(till: Till, asked: Asked) -> str:
    """R and ten letters and digits, not to be guessed; the same for the same key."""
    mark = till.sealer.mark(f"return:{asked.merchant}:{asked.key}") if asked.key else secrets.token_hex(16)
    return "R" + base64.b32encode(bytes.fromhex(mark))[:10].decode()


async def _repeated(tx: Tx, row: Row, digest: str) -> str | None:
    if about_of(row).asked != digest:
        raise Declined("idempotency_key_reused", "this key was used for another return")
    purchase = await purchase_of(tx, f"return:{row['id']}", "label")
    return purchase["id"] if purchase and purchase["state"] == State.PLANNED else None


async def _enter(
    tx: Tx,
    till: Till,
    terms: Terms,
    asked: Asked,
    carrier: Carrier | None,
    paper: _Paper,
    digest: str,
    now: datetime,
    known: Mapping[Address, Address],
) -> str | None:
    """The return, what comes back, the notice, and the intent to buy its label: all or nothing."""
    orders = await hold_orders(tx, asked)
    sender = _from(asked, orders[0], till)
    parts = [await check_order(tx, terms, asked, n, row, sender, now) for n, row in enumerate(orders)]
    if carrier and sender not in known:
        raise _Unproven(sender)
    mail = _electronic(carrier, terms, sender, orders[0], till) if carrier else ""
    prepared = _prepare(carrier, terms, asked, paper, known[sender], mail) if carrier else None
    clocks = tuple(clock for part in parts for clock in part.clocks)
    own = own_courier(terms, asked.own) if asked.courier is Courier.OWN else None
    about = About(asked.courier, digest, clocks, qr=asked.qr, weight_kg=asked.weight_kg, own=own)
    state = ReturnState.LABEL_PENDING if prepared else ReturnState.REGISTERED
    added = await add_return(tx, _values(till, terms, asked, paper, state, about, sender, now))
    row = await lock_return(tx, paper.number)
    assert row is not None
    if not added:  # the same key at the same moment
        return await _repeated(tx, row, digest)
    for part in parts:
        await join_order(tx, row["id"], part.order_id, msgspec.json.encode(part.items).decode())
    if own:
        await follow_own(tx, till, terms, row, about, sender, now)
    await tell_return(tx, paper.number, "registered", "return.registered", now)
    if prepared is None:
        return None
    notice = {"merchant": asked.merchant, "return_number": paper.number}
    subject = f"return:{row['id']}"
    await plan(tx, till, Intent(paper.purchase_id, terms.carrier, subject, 1, prepared, notice, asked.caller))
    return paper.purchase_id


def _values(
    till: Till,
    terms: Terms,
    asked: Asked,
    paper: _Paper,
    state: ReturnState,
    about: About,
    sender: Address,
    now: datetime,
) -> dict[str, Any]:
    return {
        "merchant": asked.merchant,
        "number": paper.number,
        "state": state,
        "return": msgspec.json.encode(about).decode(),
        "sealed": till.sealer.seal(msgspec.json.encode(Sender(sender))),
        "review_us": to_us(unused_until(terms, now)),
        "created_us": to_us(now),
        "updated_us": to_us(now),
    }


def _from(asked: Asked, order: Row, till: Till) -> Address:
    """Where the parcel is sent from: as stated, or where the first order went."""
    if asked.from_address:
        return asked.from_address
    contact = contact_of(order, till.sealer)
    if contact is None:
        raise Declined("address_erased", "the order's address was erased: state a from-address", "/from_address")
    return contact.ship_to


def _electronic(carrier: Carrier, terms: Terms, sender: Address, order: Row, till: Till) -> str:
    """Where the carrier mails the label itself, by terms that say so; empty: it does not."""
    if terms.label.by != "carrier_email":
        return ""
    if carrier.abilities.electronic:
        raise Declined("label_impossible", carrier.abilities.electronic, term="label.by")
    contact = contact_of(order, till.sealer)
    mail = sender.email or (contact.email if contact else "")
    if not mail:
        raise Declined("email_needed", "nobody knows where to mail the label: state an e-mail", "/from_address/email")
    return mail


def _prepare(carrier: Carrier, terms: Terms, asked: Asked, paper: _Paper, sender: Address, mail: str) -> Prepared:
    request = LabelRequest(
        purchase_id=paper.purchase_id,
        reference=paper.reference,
        ship_from=sender,
        ship_to=terms.warehouse.address,
        weight_kg=asked.weight_kg or terms.label.weight_kg,
        description=terms.label.description,
        service=terms.label.service,
        format=LabelFormat(terms.label.format),
        is_return=True,
        order_numbers=tuple(order.order_number for order in asked.orders),
        return_number=paper.number,
        electronic_to=mail,
        qr=asked.qr,
    )
    return label_bytes(carrier, request)


def label_bytes(carrier: Carrier, request: LabelRequest) -> Prepared:
    """The purchase as bytes. Raises Declined where the carrier makes no such label."""
    if request.qr and carrier.abilities.qr:
        raise Declined("label_impossible", carrier.abilities.qr, "/qr")
    try:
        return carrier.prepare_label(request)
    except Refused as error:
        raise Declined("label_impossible", f"{carrier.title} makes no such label: {error}", "/from_address") from error


async def _answer(tx: Tx, number: str) -> Registered:
    view = await return_view(tx, number)
    assert view is not None
    if view["state"] == ReturnState.CANCELLED and view["why"]:
        raise Declined("label_refused", view["why"], "/from_address")
    return Registered(view, 202 if view["state"] == ReturnState.LABEL_PENDING else 201)


async def cancel(till: Till, number: str) -> dict[str, Any]:
    """ "I keep it": nothing to do, nothing is said, an unused label ends by itself. Raises Declined."""
    now = till.clock.now()

    async def unit(tx: Tx) -> dict[str, Any]:
        row = await lock_return(tx, number)
        if row is None:
            raise Declined("return_not_found", f"no return {number}")
        if row["state"] != ReturnState.CANCELLED:
            if row["state"] not in BEFORE_THE_JOURNEY:
                raise Declined("return_under_way", f"return {number} is {row['state']}: it can be given up no more")
            await change_return(
                tx,
                row["id"],
                state=ReturnState.CANCELLED,
                about=row["return"],
                parcel_id=row["parcel_id"],
                updated_us=to_us(now),
            )
            purchase = await purchase_of(tx, f"return:{row['id']}", "label")
            if purchase:
                await give_up(tx, till, purchase["id"])
        view = await return_view(tx, number)
        assert view is not None
        return view

    return await write_surely(till.store, unit)
