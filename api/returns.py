"""The calls about returns: registered (which buys the label), read, the label fetched, given up."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import AddressIn, Asked, Instant, MerchantName, OrderNumber, Quantity, Sku, Told, example
from carriers.contract import LabelFormat
from merchants.terms import Outcome, ReturnReason
from returns.desk import cancel, register
from returns.eligibility import Courier, Wish
from returns.forms import Asked as AskedReturn
from returns.forms import OrderWishes
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


class ReturnIn(Asked):
    """A return for one or several orders. Without a from-address it is sent from where the first order went."""

    model_config = Asked.model_config | example(RETURN_ASKED)

    merchant: MerchantName
    orders: Annotated[tuple[OrderWishesIn, ...], Field(min_length=1, max_length=20)]
    courier: Courier = Courier.PREPAID
    from_address: AddressIn | None = None
    weight_kg: Annotated[Decimal, Field(gt=0, le=70, decimal_places=3)] | None = None


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


class ReturnParcelOut(Told):
    carrier: str
    number: str
    leg: str
    status: str
    estimated_delivery: date | None
    accepted_at: Instant | None
    delivered_at: Instant | None
    because: list[str] | None
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
    clocks: list[ClockOut]
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
        # the desk's own guard: after a crash between buying and answering, the same key is still the same return
        key=f"{call.caller.name}/{key}" if key else "",
        caller=call.caller.name,
    )
    registered = await register(house.till, house.terms, asked)
    house.wake()
    view = ReturnOut.model_validate(registered.view)
    return Answer(view, registered.status, headers={"Location": f"/v1/returns/{view.return_number}"})


async def show(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}"""
    number = call.path["return_number"]
    view = await call.house.store.read(lambda tx: return_view(tx, number))
    if view is None:
        raise Problem("return_not_found")
    return Answer(ReturnOut.model_validate(view))


async def label(call: Call[LabelQuery, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}/label"""
    number = call.path["return_number"]
    document = await label_document(call.house.store, call.house.sealer, number, call.query.format)
    name = f'attachment; filename="{number}.{call.query.format}"'
    return Answer(document.body, content_type=document.media_type, headers={"Content-Disposition": name})


async def give_up(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/returns/{return_number}/cancel"""
    return Answer(ReturnOut.model_validate(await cancel(call.house.till, call.path["return_number"])))
