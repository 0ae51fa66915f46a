"""The calls about orders: registered, updated, shipped, and read back with everything that followed."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from api.parcels import AttemptsOut, CaseOut, FurtherOut, carrier_of, recognised
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.settlements import HomeOut
from api.shapes import (
    AddressIn,
    Amount,
    Asked,
    CarrierName,
    CurrencyCode,
    Fresh,
    Instant,
    ItemCountIn,
    ItemCountOut,
    Quantity,
    Sku,
    Told,
    aged,
    example,
)
from tracker.orders import Item, ItemCount, Order, OrderState, order_view, put_order, ship

# --------------------------------------------------------------------------------------------------------------- asked


class ItemIn(Asked):
    """One line of an order."""

    sku: Sku
    quantity: Quantity
    price: Amount
    category: Annotated[str, Field(max_length=100)] = ""
    sale: bool = False
    final_sale: bool = False
    discontinued: bool = False
    replacement_in_stock: bool = True


ORDER_EXAMPLE: dict[str, Any] = {
    "placed_at": "2026-03-01T09:30:00Z",
    "state": "being_prepared",
    "ship_to": {
        "name": "A. Shopper",
        "lines": ["Keizersgracht 1"],
        "city": "Amsterdam",
        "postal_code": "1015 CJ",
        "country": "NL",
    },
    "email": "shopper@example.com",
    "currency": "EUR",
    "shipping_paid": "10.00",
    "discounts": "0",
    "promise": ["2026-03-04", "2026-03-06"],
    "items": [{"sku": "COAT-42", "quantity": 1, "price": "690.00", "category": "coats"}],
    "language": "nl",
}


class OrderIn(Asked):
    """An order as the order service states it. Address and e-mail are sealed; they prove a shopper's look-up."""

    model_config = Asked.model_config | example(ORDER_EXAMPLE)

    placed_at: Instant
    state: OrderState = OrderState.BEING_PREPARED
    ship_to: AddressIn
    email: Annotated[str, Field(max_length=254)] = ""
    currency: CurrencyCode
    shipping_paid: Amount = Decimal(0)
    discounts: Amount = Decimal(0)
    promise: tuple[date, date] | None = Field(None, description="First and last promised day, both included")
    items: Annotated[tuple[ItemIn, ...], Field(min_length=1, max_length=500)]
    language: Annotated[str, Field(pattern=r"^([a-z]{2}(-[A-Za-z0-9]{2,8})*)?$")] = ""


class ParcelIn(Asked):
    """It shipped. Without items: everything that has not shipped yet."""

    model_config = Asked.model_config | example(
        {
            "carrier": "ups",
            "tracking_number": "1Z5338FF0107231059",
            "items": [{"sku": "COAT-42", "quantity": 1}],
        }
    )

    carrier: CarrierName
    tracking_number: Annotated[str, Field(min_length=1, max_length=64)]
    items: Annotated[tuple[ItemCountIn, ...], Field(max_length=500)] = ()
    service: Annotated[str, Field(max_length=100)] = ""
    express: bool = False


# ---------------------------------------------------------------------------------------------------------------- told


class ItemOut(Told):
    sku: str
    quantity: int
    price: str
    category: str
    sale: bool
    final_sale: bool
    discontinued: bool
    replacement_in_stock: bool


class OrderParcelOut(Fresh):
    """A parcel of an order in short: the whole truth is at `/v1/parcels/{carrier}/{number}`."""

    carrier: str
    number: str
    purpose: str
    leg: str
    status: str
    items: list[ItemCountOut]
    attempts: AttemptsOut | None
    estimated_delivery: date | None
    delivered_at: Instant | None
    returned_at: Instant | None
    return_to_warehouse: CaseOut | None
    because: list[str] | None
    home: HomeOut | None = Field(default=None, description="Undeliverable, and in the warehouse again")
    further_numbers: list[FurtherOut] = Field(default_factory=list)


class OrderReturnParcelOut(Told):
    carrier: str
    number: str
    leg: str
    status: str


class OrderReturnOut(Told):
    return_number: str
    state: str
    items: list[ItemCountOut]
    parcel: OrderReturnParcelOut | None


class OrderOut(Told):
    """The order with its parcels, attempts, returns, and why. Nothing about a person."""

    model_config = Told.model_config | example(
        {
            "merchant": "boutique-eu",
            "order_number": "B-1001",
            "state": "being_prepared",
            "placed_at": "2026-03-01T09:30:00Z",
            "shipped_at": None,
            "currency": "EUR",
            "shipping_paid": "10.00",
            "discounts": "0",
            "promise": ["2026-03-04", "2026-03-06"],
            "country": "NL",
            "items": [
                {
                    "sku": "COAT-42",
                    "quantity": 1,
                    "price": "690.00",
                    "category": "coats",
                    "sale": False,
                    "final_sale": False,
                    "discontinued": False,
                    "replacement_in_stock": True,
                }
            ],
            "parcels": [],
            "returns": [],
            "version": 0,
            "warnings": [],
        }
    )

    merchant: str
    order_number: str
    state: OrderState
    placed_at: Instant
    shipped_at: Instant | None
    currency: str
    shipping_paid: str
    discounts: str
    promise: tuple[date, date] | None
    country: str
    items: list[ItemOut]
    parcels: list[OrderParcelOut]
    returns: list[OrderReturnOut]
    version: int
    warnings: list[str] = Field(default_factory=list)


# --------------------------------------------------------------------------------------------------------------- calls


async def register(call: Call[Nothing, OrderIn]) -> Answer:
    """PUT /v1/orders/{merchant}/{order_number}"""
    house, body = call.house, call.body
    order = Order(
        merchant=call.path["merchant"],
        number=call.path["order_number"],
        placed_at=body.placed_at,
        ship_to=body.ship_to.address(),
        email=body.email,
        currency=body.currency,
        items=tuple(Item(**item.model_dump()) for item in body.items),
        state=body.state,
        shipping_paid=body.shipping_paid,
        discounts=body.discounts,
        promise=body.promise,
        language=body.language,
    )
    answer = await put_order(house.store, house.sealer, house.terms, order, house.clock.now())
    return Answer(OrderOut.model_validate(aged(answer.view, house.clock.now())), 201 if answer.created else 200)


async def shipped(call: Call[Nothing, ParcelIn]) -> Answer:
    """POST /v1/orders/{merchant}/{order_number}/parcels"""
    house, body = call.house, call.body
    carrier = carrier_of(house, body.carrier, pointer="/carrier")
    number = recognised(carrier, body.tracking_number, pointer="/tracking_number")
    answer = await ship(
        house.store,
        house.sealer,
        house.terms,
        merchant=call.path["merchant"],
        number=call.path["order_number"],
        carrier=carrier.name,
        tracking_number=number.number,
        items=tuple(ItemCount(item.sku, item.quantity) for item in body.items),
        service=body.service,
        express=body.express,
        now=house.clock.now(),
    )
    house.wake()
    warnings = [number.warning] if number.warning else []
    view = aged(answer.view, house.clock.now()) | {"warnings": warnings}
    return Answer(OrderOut.model_validate(view), 201 if answer.created else 200)


async def show(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/orders/{merchant}/{order_number}"""
    merchant, number = call.path["merchant"], call.path["order_number"]
    view = await call.house.store.read(lambda tx: order_view(tx, merchant, number))
    if view is None:
        raise Problem("order_not_found")
    return Answer(OrderOut.model_validate(aged(view, call.house.clock.now())))
