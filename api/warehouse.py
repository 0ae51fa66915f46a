"""The calls about what comes back: may it, was it received, what was decided, what was paid, who carries it."""

from typing import Annotated, Any

from pydantic import Field

from api.house import House
from api.parcels import recognised_at
from api.returns import ClockOut, LabelQuery, ReturnOut
from api.route import Answer, Call, Nothing
from api.settlements import HomeOut, InsteadOut, RefusalOut
from api.shapes import (
    Amount,
    Asked,
    CountryCode,
    Instant,
    MerchantName,
    OrderNumber,
    Quantity,
    Sku,
    Told,
    aged,
    example,
)
from merchants.terms import Outcome, ReturnReason
from returns.arrival import Decided, Paid, decide, receive, refund
from returns.asking import Question, ask
from returns.carrying import carry
from returns.dispatching import retry
from returns.eligibility import Courier, Wish
from returns.forms import OwnParcel
from returns.homecoming import Hands, receive_parcel
from returns.settling import Ruling, Verdict
from returns.showing import dispatch_document
from tracker.lifecycle import HomeReason

# --------------------------------------------------------------------------------------------------------------- asked

Note = Annotated[str, Field(max_length=500)]
Reference = Annotated[str, Field(min_length=1, max_length=100)]


class WishAsked(Asked):
    """An item, and what the customer wants for it. Without reason and outcome: what the shop gives first."""

    sku: Sku
    quantity: Quantity = 1
    reason: ReturnReason = ReturnReason.OTHER
    outcome: Outcome = Outcome.REFUND


class OrderAsked(Asked):
    """Some items of an order; none named: everything in it."""

    order_number: OrderNumber
    items: Annotated[tuple[WishAsked, ...], Field(max_length=200)] = ()


class EligibilityIn(Asked):
    """What may come back. Without a country it is sent from where the order went."""

    model_config = Asked.model_config | example(
        {
            "merchant": "boutique-eu",
            "orders": [
                {
                    "order_number": "B-1001",
                    "items": [{"sku": "COAT-42", "quantity": 1, "reason": "size", "outcome": "exchange"}],
                }
            ],
            "courier": "prepaid",
        }
    )

    merchant: MerchantName
    orders: Annotated[tuple[OrderAsked, ...], Field(min_length=1, max_length=20)]
    courier: Courier = Courier.PREPAID
    from_country: CountryCode | None = None


class ReceivedIn(Asked):
    """It is in the warehouse. Without an instant: now."""

    model_config = Asked.model_config | example({"at": "2026-03-12T08:30:00Z", "note": "box damaged, goods fine"})

    at: Instant | None = None
    note: Note = ""


class ParcelReceivedIn(ReceivedIn):
    """An undeliverable parcel is in the warehouse. The reason is needed only where the carrier told none."""

    model_config = Asked.model_config | example({"at": "2026-03-12T08:30:00Z", "reason": "refused"})

    reason: HomeReason | None = None


class RulingIn(Asked):
    """The warehouse's word on so many of an item; the same item may be accepted in part."""

    order_number: OrderNumber
    sku: Sku
    quantity: Quantity = 1
    verdict: Verdict
    reason: Annotated[str, Field(max_length=200)] = ""


class RefundIn(Asked):
    """Money went back. Without an amount: what the lines of the return come to."""

    model_config = Asked.model_config | example({"reference": "refund-8812", "amount": "240.00"})

    reference: Reference
    amount: Amount | None = None


class OutcomeIn(Asked):
    """The warehouse's word on every piece of a return, once. `refund`, where the money went back already."""

    model_config = Asked.model_config | example(
        {"items": [{"order_number": "B-1001", "sku": "COAT-42", "quantity": 1, "verdict": "accepted"}]}
    )

    items: Annotated[tuple[RulingIn, ...], Field(min_length=1, max_length=500)]
    note: Note = ""
    refund: RefundIn | None = None


class TrackingIn(Asked):
    """The customer's own courier and its number, as far as they are known: any carrier, or none."""

    model_config = Asked.model_config | example({"carrier": "DHL", "tracking_number": "JJD0099999999"})

    carrier: Annotated[str, Field(max_length=60)] = ""
    tracking_number: Annotated[str, Field(max_length=64)] = ""


# ---------------------------------------------------------------------------------------------------------------- told


class EligibleOut(Told):
    """One item's answer. `refusals` name the terms that stand against it, `instead` what the terms allow."""

    order_number: str
    sku: str
    quantity: int
    left: int
    eligible: bool
    refusals: list[RefusalOut]
    clocks: list[ClockOut]
    instead: list[InsteadOut]
    gets: str | None = None
    label_paid_by: str | None = None
    label_by: str | None = None
    risk: str | None = None
    reimburses: str | None = None
    extra_shipping_paid_by: str | None = None


class EligibilityOut(Told):
    """May these items come back: item by item, by which version of the terms, in the shop's time zone."""

    model_config = Told.model_config | example(
        {
            "merchant": "boutique-eu",
            "terms": "boutique-eu 2026-01-01",
            "time_zone": "Europe/Rome",
            "at": "2026-03-10T10:00:00Z",
            "items": [
                {
                    "order_number": "B-1001",
                    "sku": "COAT-42",
                    "quantity": 1,
                    "left": 1,
                    "eligible": False,
                    "refusals": [
                        {
                            "code": "exchange_used_up",
                            "message": "COAT-42 was exchanged before; it can still be returned",
                            "term": "exchange.times_per_item",
                        }
                    ],
                    "clocks": [],
                    "instead": [{"do": "refund", "says": "ask for a refund"}],
                    "gets": "exchange",
                    "label_paid_by": "shop",
                    "label_by": "self_service",
                    "risk": "shop",
                    "reimburses": "nothing",
                    "extra_shipping_paid_by": "shop",
                }
            ],
        }
    )

    merchant: str
    terms: str
    time_zone: str
    at: Instant
    items: list[EligibleOut]


class HomecomingOut(HomeOut):
    """An undeliverable parcel that the warehouse has again."""

    model_config = Told.model_config | example(
        {
            "merchant": "boutique-us",
            "carrier": "usps",
            "number": "9400100000000000000000",
            "order_numbers": ["A-1"],
            "received_at": "2026-03-12T08:30:00Z",
            "received_by": "warehouse",
            "reason": "refused",
            "outcome": "store_credit_less_shipping",
            "term": "undeliverable.outcome",
            "note": "",
            "costs": [],
            "money": {"lines": [], "totals": {}},
        }
    )

    merchant: str
    carrier: str
    number: str
    order_numbers: list[str]


# --------------------------------------------------------------------------------------------------------------- calls


async def eligibility(call: Call[Nothing, EligibilityIn]) -> Answer:
    """POST /v1/eligibility"""
    house, body = call.house, call.body
    told = await ask(
        house.store,
        house.terms,
        body.merchant,
        [
            Question(order.order_number, tuple(Wish(**wish.model_dump()) for wish in order.items))
            for order in body.orders
        ],
        courier=body.courier,
        from_country=body.from_country or "",
        now=house.clock.now(),
    )
    return Answer(EligibilityOut.model_validate(told))


async def received(call: Call[Nothing, ReceivedIn]) -> Answer:
    """POST /v1/returns/{return_number}/received"""
    house = call.house
    return _told(house, await receive(house.till, house.terms, _number(call), at=call.body.at, note=call.body.note))


async def outcome(call: Call[Nothing, OutcomeIn]) -> Answer:
    """POST /v1/returns/{return_number}/outcome"""
    house, body = call.house, call.body
    rulings = tuple(
        Ruling(item.order_number, item.sku, item.quantity, item.verdict, item.reason) for item in body.items
    )
    paid = body.refund
    decided = Decided(rulings, body.note, Paid(paid.reference, paid.amount) if paid else None)
    return _told(house, await decide(house.till, house.terms, _number(call), decided))


async def refunded(call: Call[Nothing, RefundIn]) -> Answer:
    """POST /v1/returns/{return_number}/refund"""
    paid = Paid(call.body.reference, call.body.amount)
    return _told(call.house, await refund(call.house.till, _number(call), paid))


async def retried(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/returns/{return_number}/dispatches/retry"""
    return _told(call.house, await retry(call.house.till, call.house.terms, _number(call)))


async def tracking(call: Call[Nothing, TrackingIn]) -> Answer:
    """PUT /v1/returns/{return_number}/tracking"""
    given = OwnParcel(call.body.carrier, call.body.tracking_number)
    view = await carry(call.house.till, call.house.terms, _number(call), given)
    call.house.wake()
    return _told(call.house, view)


async def parcel_received(call: Call[Nothing, ParcelReceivedIn]) -> Answer:
    """POST /v1/parcels/{carrier}/{number}/received"""
    house, body = call.house, call.body
    carrier, number = recognised_at(house, call.path["carrier"], call.path["number"])
    hands = Hands(body.at, body.reason, body.note)
    return Answer(HomecomingOut.model_validate(await receive_parcel(house.till, house.terms, carrier, number, hands)))


async def parcel_label(call: Call[LabelQuery, Nothing]) -> Answer:
    """GET /v1/parcels/{carrier}/{number}/label"""
    house = call.house
    carrier, number = recognised_at(house, call.path["carrier"], call.path["number"])
    document = await dispatch_document(house.store, house.sealer, carrier, number, call.query.format)
    name = f'attachment; filename="{number}.{call.query.format}"'
    return Answer(document.body, content_type=document.media_type, headers={"Content-Disposition": name})


def _number(call: Call[Any, Any]) -> str:
    return call.path["return_number"]


def _told(house: House, view: dict[str, Any]) -> Answer:
    return Answer(ReturnOut.model_validate(aged(view, house.clock.now())))
