"""Orders as the order service states them, and "it shipped": said exactly once per order, whatever is retried."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from carriers.contract import Address
from fleet.clocks import from_us, text, to_us
from merchants.calendars import add_business_days
from merchants.terms import Terms, terms_on
from store.again import write_surely
from store.engine import Row, Store, Tx
from store.homecomings import homecomings_of
from store.orders import (
    add_order,
    change_order,
    find_order,
    load_parcel,
    lock_order,
    owners_of,
    parcels_of,
    set_shipped,
)
from store.outbox import say
from store.parcels import parcel_by_id, register_parcel
from store.returns import returns_of
from store.sealing import Sealer
from tracker.freshness import freshness
from tracker.lifecycle import Leg, Purpose, Status

Shelf = Mapping[str, Sequence[Terms]]
"""Every shop's terms by name, oldest version first."""


class Declined(Exception):
    """A call that cannot be done as asked: `pointer` is a JSON Pointer into its body, `term` the term that decides,
    `instead` what can be done: a word and a sentence each."""

    def __init__(
        self, code: str, message: str, pointer: str = "", term: str = "", instead: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.pointer, self.term, self.instead = code, message, pointer, term, instead


class OrderState(StrEnum):
    BEING_PREPARED = "being_prepared"
    HELD_FOR_SHIPPING_PAYMENT = "held_for_shipping_payment"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELLED = "cancelled"


_BEFORE_SHIPPING = frozenset({OrderState.BEING_PREPARED, OrderState.HELD_FOR_SHIPPING_PAYMENT})


@dataclass(frozen=True, slots=True)
class Item:
    """A line of an order."""

    sku: str
    quantity: int
    price: Decimal
    category: str = ""
    sale: bool = False
    final_sale: bool = False
    discontinued: bool = False
    replacement_in_stock: bool = True


@dataclass(frozen=True, slots=True)
class ItemCount:
    """So many of a line: in a parcel, or coming back."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the order service states it."""

    merchant: str
    number: str
    placed_at: datetime
    ship_to: Address
    email: str
    currency: str
    items: tuple[Item, ...]
    state: OrderState = OrderState.BEING_PREPARED
    shipping_paid: Decimal = Decimal(0)
    discounts: Decimal = Decimal(0)
    promise: tuple[date, date] | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is kept of an order in the clear: nothing about a person."""

    currency: str
    items: tuple[Item, ...]
    shipping_paid: Decimal
    discounts: Decimal
    promise: tuple[date, date] | None
    language: str
    country: str  # of delivery
    region: str


@dataclass(frozen=True, slots=True)
class Contact:
    """What is kept of an order only sealed."""

    ship_to: Address
    email: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gives back; `created` is False when it changed nothing new."""

    view: dict[str, Any]
    created: bool


_facts, _contact, _counts = (
    msgspec.json.Decoder(OrderFacts),
    msgspec.json.Decoder(Contact),
    msgspec.json.Decoder(tuple[ItemCount, ...]),
)


def terms_for(shelf: Shelf, merchant: str, at: datetime) -> Terms:
    """A shop's terms in force at an instant. Raises Declined for an unknown shop."""
    if merchant not in shelf:
        raise Declined("merchant_unknown", f"no terms for {merchant}; known: {', '.join(sorted(shelf))}")
    return terms_on(merchant, at.date(), shelf)


def facts_of(row: Row) -> OrderFacts:
    return _facts.decode(row["order"])


def contact_of(row: Row, sealer: Sealer) -> Contact | None:
    """The sealed part of an order; None once it was erased."""
    return _contact.decode(sealer.open(bytes(row["sealed"]))) if row["sealed"] else None


def counts_of(items: str) -> Counter[str]:
    """How many of each line a row's `items` holds."""
    counter: Counter[str] = Counter()
    for item in _counts.decode(items):
        counter[item.sku] += item.quantity
    return counter


def email_proof(sealer: Sealer, email: str) -> str:
    """The mark of an e-mail address however it is written."""
    return sealer.mark("email:" + unicodedata.normalize("NFKC", email).strip().casefold())


def postcode_proof(sealer: Sealer, postcode: str) -> str:
    """The mark of a postcode however it is written; of a nine-digit ZIP the first five digits."""
    plain = re.sub(r"[^0-9A-Z]", "", unicodedata.normalize("NFKC", postcode).upper())
    if re.fullmatch(r"\d{9}", plain):
        plain = plain[:5]
    return sealer.mark("postcode:" + plain)


# ----------------------------------------------------------------------------------------------------------- the calls


async def put_order(store: Store, sealer: Sealer, shelf: Shelf, order: Order, now: datetime) -> Answer:
    """Register or update an order. Raises Declined."""
    terms_for(shelf, order.merchant, now)
    _check_order(order)
    values = _values(order, sealer, now)

    async def unit(tx: Tx) -> Answer:
        created = await add_order(tx, values)
        if not created:
            row = await lock_order(tx, order.merchant, order.number)
            assert row is not None
            await _check_change(tx, row, order)
            state = _state_kept(row, order.state)
            await change_order(tx, row["id"], values | {"state": state})
        return Answer(await _view(tx, order.merchant, order.number), created)

    return await write_surely(store, unit)


async def ship(
    store: Store,
    sealer: Sealer,
    shelf: Shelf,
    *,
    merchant: str,
    number: str,
    carrier: str,
    tracking_number: str,
    items: tuple[ItemCount, ...] = (),
    service: str = "",
    express: bool = False,
    now: datetime,
) -> Answer:
    """It shipped: the parcel, what it carries, the order's state and the notice, in one transaction. Raises Declined.

    No `items` means everything that has not shipped yet. The same call again changes nothing and answers the same.
    """

    async def unit(tx: Tx) -> Answer:
        row = await lock_order(tx, merchant, number)
        if row is None:
            raise Declined("order_not_found", f"no order {number} of {merchant}")
        loads = await parcels_of(tx, row["id"])
        if same := next((p for p in loads if (p["carrier"], p["number"]) == (carrier, tracking_number)), None):
            _check_repetition(same, items)
            return Answer(await _view(tx, merchant, number), False)
        _check_may_ship(row)
        carried = _carried(facts_of(row), loads, items)
        shipment = _shipment(row, sealer, terms_for(shelf, merchant, now), service, express, now)
        await _enter_parcel(tx, row, carrier, tracking_number, shipment, carried, now)
        await _say_shipped(tx, row, carrier, tracking_number, carried, now)
        return Answer(await _view(tx, merchant, number), True)

    return await write_surely(store, unit)


async def order_view(tx: Tx, merchant: str, number: str) -> dict[str, Any] | None:
    """The order with its parcels, attempts, returns, and why, for the order service; None for no such order."""
    row = await find_order(tx, merchant, number)
    if row is None:
        return None
    loads = await parcels_of(tx, row["id"])
    facts = facts_of(row)
    homes = {home["parcel_id"]: home_view(home) for home in await homecomings_of(tx, row["id"])}
    return {
        "merchant": merchant,
        "order_number": number,
        "state": state_now(row, loads),
        "placed_at": text(from_us(row["placed_us"])),
        "shipped_at": text(from_us(row["shipped_us"])) if row["shipped_us"] is not None else None,
        "currency": facts.currency,
        "shipping_paid": str(facts.shipping_paid),
        "discounts": str(facts.discounts),
        "promise": [day.isoformat() for day in facts.promise] if facts.promise else None,
        "country": facts.country,
        "items": [{**asdict(item), "price": str(item.price)} for item in facts.items],
        "parcels": [parcel_view(parcel) | {"home": homes.get(parcel["id"])} for parcel in loads],
        "returns": [await _return_line(tx, line) for line in await returns_of(tx, row["id"])],
        "version": row["version"],
    }


def state_now(row: Row, loads: Sequence[Row]) -> OrderState:
    """The order's state, as its parcels have made it since it shipped."""
    state = OrderState(row["state"])
    # an order whose lines have not all shipped is not delivered, however far its first parcel got
    journeys = {(Leg(p["leg"]), Status(p["status"])) for p in loads if p["purpose"] == Purpose.ORDER}
    if state is OrderState.SHIPPED and journeys == {(Leg.OUT, Status.DELIVERED)}:
        return OrderState.DELIVERED
    if state is OrderState.SHIPPED and journeys == {(Leg.BACK, Status.DELIVERED)}:
        return OrderState.RETURNED
    return state


def parcel_view(row: Row) -> dict[str, Any]:
    """A parcel of an order in short: the whole truth is the parcel's own call."""
    told = msgspec.json.decode(row["conclusion"])
    kept = ("attempts", "estimated_delivery", "delivered_at", "returned_at", "return_to_warehouse", "because")
    return {
        "carrier": row["carrier"],
        "number": row["number"],
        "purpose": row["purpose"],
        "leg": row["leg"],
        "status": row["status"],
        "items": msgspec.json.decode(row["items"]),
        **{name: told.get(name) for name in kept},
        "further_numbers": told.get("further_numbers") or [],
        **freshness(row),
    }


def home_view(row: Row) -> dict[str, Any]:
    """An undeliverable parcel that the warehouse has again: since when, why, and what it comes to."""
    settled: dict[str, Any] = msgspec.json.decode(row["settlement"])
    return {"received_at": text(from_us(row["received_us"])), "received_by": row["teller"], **settled}


def promised(facts: OrderFacts, terms: Terms, shipped: date, express: bool) -> tuple[date, date] | None:
    """The window a shopper was promised: the order's own, else the terms' from the shipping day; None without either.

    source: policies 10 to 14: business days at home, calendar days abroad, territories are domestic.
    """
    if facts.promise:
        return facts.promise
    promise, home = terms.promise, not terms.promise.domestic or facts.country in terms.promise.domestic
    window = promise.international if not home else promise.expedited if express else promise.standard
    if window is None:
        return None
    if window.days == "calendar":
        return shipped + timedelta(days=window.min), shipped + timedelta(days=window.max)
    first, last = (
        add_business_days(shipped, count, promise.days, promise.holidays) for count in (window.min, window.max)
    )
    return first, last


# ------------------------------------------------------------------------------------------------------------- inside


def _check_order(order: Order) -> None:
    if not order.items:
        raise Declined("order_empty", "an order has at least one item", "/items")
    seen: set[str] = set()
    for index, item in enumerate(order.items):
        if item.sku in seen:
            raise Declined("item_twice", f"{item.sku} is listed twice", f"/items/{index}/sku")
        if item.quantity < 1:
            raise Declined("quantity_wrong", "a quantity is 1 or more", f"/items/{index}/quantity")
        seen.add(item.sku)
    if order.promise and order.promise[0] > order.promise[1]:
        raise Declined("promise_wrong", "the promised window ends before it begins", "/promise")


def _values(order: Order, sealer: Sealer, now: datetime) -> dict[str, Any]:
    facts = OrderFacts(
        order.currency, order.items, order.shipping_paid, order.discounts, order.promise, order.language,
        order.ship_to.country, order.ship_to.region,
    )  # fmt: skip
    return {
        "merchant": order.merchant,
        "number": order.number,
        "state": order.state,
        "order": msgspec.json.encode(facts).decode(),
        "sealed": sealer.seal(msgspec.json.encode(Contact(order.ship_to, order.email))),
        "proof_email": email_proof(sealer, order.email) if order.email else "",
        "proof_postcode": postcode_proof(sealer, order.ship_to.postal_code) if order.ship_to.postal_code else "",
        "placed_us": to_us(order.placed_at.astimezone(UTC)),
        "created_us": to_us(now),
        "updated_us": to_us(now),
    }


async def _check_change(tx: Tx, row: Row, order: Order) -> None:
    """What has shipped stays in the order."""
    if row["shipped_us"] is not None and order.state is OrderState.CANCELLED:
        raise Declined("order_already_shipped", "an order that has shipped cannot be cancelled", "/state")
    shipped = _loaded(await parcels_of(tx, row["id"]))
    stated = Counter({item.sku: item.quantity for item in order.items})
    for sku, quantity in shipped.items():
        if stated[sku] < quantity:
            raise Declined("item_already_shipped", f"{quantity} of {sku} have shipped, the order states {stated[sku]}")


def _state_kept(row: Row, stated: OrderState) -> OrderState:
    """An order service that is behind does not undo the shipping."""
    return OrderState(row["state"]) if row["shipped_us"] is not None and stated in _BEFORE_SHIPPING else stated


def _check_may_ship(row: Row) -> None:
    match OrderState(row["state"]):
        case OrderState.HELD_FOR_SHIPPING_PAYMENT:
            raise Declined("order_held", "the shipping of this order has not been paid: state another state first")
        case OrderState.CANCELLED:
            raise Declined("order_cancelled", "this order was cancelled")
        case _:
            return


def _check_repetition(load: Row, items: Sequence[ItemCount]) -> None:
    if items and _total(items) != counts_of(load["items"]):
        raise Declined("parcel_items_differ", "this parcel was registered with other items", "/items")


def _total(items: Iterable[ItemCount]) -> Counter[str]:
    total: Counter[str] = Counter()
    for item in items:
        total[item.sku] += item.quantity
    return total


def _loaded(loads: Iterable[Row]) -> Counter[str]:
    return sum((counts_of(p["items"]) for p in loads if p["purpose"] == Purpose.ORDER), Counter[str]())


def _carried(facts: OrderFacts, loads: Sequence[Row], items: Sequence[ItemCount]) -> tuple[ItemCount, ...]:
    """What the new parcel carries: what is stated, or all that has not shipped yet."""
    left = Counter({item.sku: item.quantity for item in facts.items})
    left.subtract(_loaded(loads))
    if not items:
        rest = tuple(ItemCount(sku, quantity) for sku, quantity in left.items() if quantity > 0)
        if not rest:
            raise Declined("nothing_left_to_ship", "every item of this order has shipped", "/items")
        return rest
    for index, item in enumerate(items):
        if item.sku not in left:
            raise Declined("item_not_in_order", f"{item.sku} is not in this order", f"/items/{index}/sku")
        if item.quantity < 1 or item.quantity > left[item.sku]:
            found = f"{left[item.sku]} of {item.sku} have not shipped yet, the parcel states {item.quantity}"
            raise Declined("quantity_wrong", found, f"/items/{index}/quantity")
        left[item.sku] -= item.quantity
    return tuple(items)


def _shipment(row: Row, sealer: Sealer, terms: Terms, service: str, express: bool, now: datetime) -> str:
    """What we know of the parcel before any carrier speaks: two places, no name and no street."""
    contact = contact_of(row, sealer)
    known: dict[str, Any] = {"origin": terms.warehouse.address.place, "service": service, "express": express}
    if window := promised(facts_of(row), terms, now.astimezone(terms.zone).date(), express):
        known["promised"] = window[1]
    if contact:
        known["destination"] = contact.ship_to.place
    return msgspec.json.encode(known).decode()


async def _enter_parcel(
    tx: Tx, row: Row, carrier: str, number: str, shipment: str, carried: tuple[ItemCount, ...], now: datetime
) -> None:
    """The parcel's row and its items. Whoever was first with a number has it."""
    parcel_id = await register_parcel(
        tx,
        merchant=row["merchant"],
        carrier=carrier,
        number=number,
        purpose=Purpose.ORDER,
        shipment=shipment,
        now_us=to_us(now),
    )
    parcel = await parcel_by_id(tx, parcel_id)
    assert parcel is not None
    is_ours = (parcel["merchant"], parcel["purpose"]) == (row["merchant"], Purpose.ORDER)
    if not is_ours or any(owner != row["id"] for owner in await owners_of(tx, parcel_id)):
        taken = f"{carrier} {number} is already the number of another parcel"
        raise Declined("tracking_number_taken", taken, "/tracking_number")
    await load_parcel(tx, row["id"], parcel_id, msgspec.json.encode(carried).decode())


async def _say_shipped(
    tx: Tx, row: Row, carrier: str, number: str, carried: tuple[ItemCount, ...], now: datetime
) -> None:
    """`order.shipped` for the first parcel, `parcel.shipped` for every further one."""
    ordered = Counter({item.sku: item.quantity for item in facts_of(row).items})
    whole = not ordered - _loaded(await parcels_of(tx, row["id"]))
    state = OrderState.SHIPPED if whole else OrderState.PARTLY_SHIPPED
    shipped_us = row["shipped_us"] if row["shipped_us"] is not None else to_us(now)
    await set_shipped(tx, row["id"], state=state, shipped_us=shipped_us, updated_us=to_us(now))
    view = await _view(tx, row["merchant"], row["number"])
    data = {
        "merchant": row["merchant"],
        "order_number": row["number"],
        "parcel": {"carrier": carrier, "number": number, "items": carried},
        "order": view,
    }
    is_first = await say(tx, subject=f"order:{row['id']}", name="shipped", type="order.shipped", at=now, data=data)
    if not is_first:
        name = f"parcel/{carrier}/{number}"
        await say(tx, subject=f"order:{row['id']}", name=name, type="parcel.shipped", at=now, data=data)


async def _view(tx: Tx, merchant: str, number: str) -> dict[str, Any]:
    view = await order_view(tx, merchant, number)
    assert view is not None
    return view


async def _return_line(tx: Tx, line: Row) -> dict[str, Any]:
    parcel = await parcel_by_id(tx, line["parcel_id"])
    return {
        "return_number": line["number"],
        "state": line["state"],
        "items": msgspec.json.decode(line["items"]),
        "parcel": {name: parcel[name] for name in ("carrier", "number", "leg", "status")} if parcel else None,
    }
