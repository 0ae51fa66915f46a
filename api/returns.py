"""The calls about returns: registered (which buys the label), read, the label fetched, given up."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.settlements import (
    CheckedBetween,
    DecisionOut,
    DispatchOut,
    LossOut,
    MoneyOut,
    OwnCourierOut,
    ReceiptOut,
    RefundOut,
)
from api.shapes import AddressIn, Asked, Fresh, Instant, MerchantName, OrderNumber, Quantity, Sku, Told, aged, example
from carriers.contract import LabelFormat
from merchants.terms import Outcome, ReturnReason
from returns.desk import cancel, register
from returns.eligibility import Courier, Wish
from returns.forms import Asked as AskedReturn
from returns.forms import OrderWishes, OwnParcel
from returns.showing import label_document, return_view
from returns.states import ReturnState

# --------------------------------------------------------------------------------------------------------------- asked


class WishIn(Asked):
    """One item that comes back. `exchange_for` is the sku wanted instead."""

    sku: Sku
    quantity: Quantity = 1
    reason: ReturnReason
    outcome: Outcome = Outcome.REFUND
    condition: Annotated[str, Field(max_length=200)] = ""
    exchange_for: Annotated[str, Field(max_length=100)] = ""


class OrderWishesIn(Asked):
    """What comes back of one order."""

    order_number: OrderNumber
    items: Annotated[tuple[WishIn, ...], Field(min_length=1, max_length=200)]


RETURN_ASKED: dict[str, Any] = {
    "merchant": "boutique-eu",
    "orders": [
        {
            "order_number": "B-1001",
            "items": [{"sku": "COAT-42", "quantity": 1, "reason": "size", "outcome": "refund"}],
        }
    ],
    "courier": "prepaid",
}


class OwnParcelIn(Asked):
    """The customer's own courier, where it is known already: any carrier or none, with or without a number."""

    carrier: Annotated[str, Field(max_length=60)] = ""
    tracking_number: Annotated[str, Field(max_length=64)] = ""


class ReturnIn(Asked):
    """A return for one or several orders. Without a from-address it is sent from where the first order went."""

    model_config = Asked.model_config | example(RETURN_ASKED)

    merchant: MerchantName
    orders: Annotated[tuple[OrderWishesIn, ...], Field(min_length=1, max_length=20)]
    courier: Courier = Courier.PREPAID
    own_courier: OwnParcelIn | None = None
    from_address: AddressIn | None = None
    weight_kg: Annotated[Decimal, Field(gt=0, le=70, decimal_places=3)] | None = None
    qr: Annotated[
        bool, Field(description="The customer has no printer: also a code that the carrier's counter prints from")
    ] = False


class LabelQuery(Asked):
    """Which document."""

    format: Annotated[LabelFormat, Field(description="The document's format")] = LabelFormat.PDF


# ---------------------------------------------------------------------------------------------------------------- told


class WishOut(Told):
    sku: str
    quantity: int
    reason: str
    outcome: str = Field(description="What was asked for")
    condition: str
    exchange_for: str
    gets: str = Field(description="What the customer gets once it is accepted")
    held: bool = Field(default=False, description="The terms keep its replacement for the customer from now on")


class OrderWishesOut(Told):
    order_number: str
    items: list[WishOut]


class LabelOut(Told):
    """The label. Its bytes are at `/v1/returns/{return_number}/label`."""

    carrier: str
    number: str
    state: str
    formats: list[str]
    price: str | None
    currency: str | None


class ReturnParcelOut(Fresh):
    carrier: str
    number: str
    leg: str
    status: str
    estimated_delivery: date | None
    accepted_at: Instant | None
    delivered_at: Instant | None
    because: list[str] | None


class WaybillShown(Told):
    """A blank waybill was to be filled in instead of the lost label: the parcel comes under a number nobody knows."""

    issued_at: Instant
    account: str
    service: str
    reference: str


class PickupOut(Told):
    """A collection at the customer's door: when, and how far. Where is not told."""

    model_config = Told.model_config | example(
        {
            "carrier": "ups",
            "day": "2026-03-12",
            "window": "09:00-17:00",
            "state": "booked",
            "confirmation": "2929602E9CP",
            "words": "",
            "price": None,
            "currency": None,
            "checked_at": None,
        }
    )

    carrier: str
    day: date
    window: str
    state: Literal["wanted", "booked", "dispatched", "done", "not_done", "refused", "cancelling", "cancelled"]
    confirmation: str = Field(description="The carrier's; empty until it is booked")
    words: str = Field(description="The carrier's own")
    price: str | None
    currency: str | None
    checked_at: Instant | None


class ClockOut(Told):
    """A deadline: which term, which clock, from which scan, and until when."""

    order_number: str
    sku: str
    term: str
    clock: str
    fell_back: bool
    started: Instant | None
    ends: Instant | None
    ends_local: str | None = Field(default=None, description="The first instant that is too late, on the shop's clock")
    time_zone: str = ""
    judged_by: str = Field(default="registration", description="registration, or acceptance: the carrier's own scan")
    in_time: bool | None = Field(default=None, description="null: it has not happened, or nobody can say yet")
    judged_scan: str = ""
    scan: str
    because: str


class ReturnOut(Told):
    """A return: its state, label, parcel and clocks. Nothing about a person."""

    model_config = Told.model_config | example(
        {
            "return_number": "R7K2M4QX4TB",
            "merchant": "boutique-eu",
            "state": "label_ready",
            "courier": "prepaid",
            "orders": [
                {
                    "order_number": "B-1001",
                    "items": [
                        {
                            "sku": "COAT-42",
                            "quantity": 1,
                            "reason": "size",
                            "outcome": "refund",
                            "condition": "",
                            "exchange_for": "",
                            "gets": "refund",
                        }
                    ],
                }
            ],
            "label": {
                "carrier": "ups",
                "number": "1Z5338FF9107231052",
                "state": "live",
                "formats": ["pdf"],
                "price": "9.80",
                "currency": "EUR",
            },
            "parcel": None,
            "clocks": [],
            "why": "",
            "created_at": "2026-03-10T10:00:00Z",
            "updated_at": "2026-03-10T10:00:02Z",
            "version": 1,
        }
    )

    return_number: str
    merchant: str
    state: ReturnState
    courier: Courier
    orders: list[OrderWishesOut]
    label: LabelOut | None
    parcel: ReturnParcelOut | None
    waybill: WaybillShown | None = None
    pickup: PickupOut | None = None
    own_courier: OwnCourierOut | None = None
    clocks: list[ClockOut]
    received: ReceiptOut | None = None
    checked_between: CheckedBetween | None = Field(default=None, description="The days on which it is decided")
    decision: DecisionOut | None = None
    money: MoneyOut = MoneyOut(lines=[], totals={})
    refund: RefundOut | None = None
    loss: LossOut | None = None
    dispatches: list[DispatchOut] = Field(default=[], description="What leaves the warehouse because of it")
    why: str
    created_at: Instant
    updated_at: Instant
    version: int


# --------------------------------------------------------------------------------------------------------------- calls


async def make(call: Call[Nothing, ReturnIn]) -> Answer:
    """POST /v1/returns"""
    house, body = call.house, call.body
    key = call.request.headers.get("Idempotency-Key", "")
    asked = AskedReturn(
        merchant=body.merchant,
        orders=tuple(
            OrderWishes(order.order_number, tuple(Wish(**wish.model_dump()) for wish in order.items))
            for order in body.orders
        ),
        courier=body.courier,
        from_address=body.from_address.address() if body.from_address else None,
        weight_kg=body.weight_kg,
        qr=body.qr,
        own=OwnParcel(body.own_courier.carrier, body.own_courier.tracking_number) if body.own_courier else OwnParcel(),
        # the desk's own guard: after a crash between buying and answering, the same key is still the same return
        key=f"{call.caller.name}/{key}" if key else "",
        caller=call.caller.name,
    )
    registered = await register(house.till, house.terms, asked)
    house.wake()
    view = ReturnOut.model_validate(aged(registered.view, house.clock.now()))
    return Answer(view, registered.status, headers={"Location": f"/v1/returns/{view.return_number}"})


async def show(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}"""
    number = call.path["return_number"]
    view = await call.house.store.read(lambda tx: return_view(tx, number))
    if view is None:
        raise Problem("return_not_found")
    return Answer(ReturnOut.model_validate(aged(view, call.house.clock.now())))


async def label(call: Call[LabelQuery, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}/label"""
    number = call.path["return_number"]
    document = await label_document(call.house.store, call.house.sealer, number, call.query.format)
    name = f'attachment; filename="{number}.{call.query.format}"'
    return Answer(document.body, content_type=document.media_type, headers={"Content-Disposition": name})


async def give_up(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/returns/{return_number}/cancel"""
    view = await cancel(call.house.till, call.path["return_number"])
    return Answer(ReturnOut.model_validate(aged(view, call.house.clock.now())))
