"""How arrivals, decisions, money and losses look to a caller: parts of the answers about what comes back."""

from datetime import date

from pydantic import Field

from api.shapes import Instant, ItemCountOut, Told


class MoneyLineOut(Told):
    """One line of the arithmetic. `amount` is null where it is owed and not known yet."""

    order_number: str
    pot: str = Field(description="refund, store_credit, or charge: on the original payment")
    name: str
    amount: str | None
    currency: str
    because: str
    term: str


class MoneyOut(Told):
    """Line by line, and what each pot comes to."""

    lines: list[MoneyLineOut]
    totals: dict[str, str]


class ReceiptOut(Told):
    """At the warehouse: since when, by whose word (scan, warehouse), and by which event."""

    at: Instant
    by: str
    scan: str
    note: str


class RulingOut(Told):
    order_number: str
    sku: str
    quantity: int
    verdict: str
    reason: str


class DecisionOut(Told):
    """What the warehouse said of each piece."""

    at: Instant
    note: str
    items: list[RulingOut]


class RefundOut(Told):
    """Money that went back, under the reference of whoever paid it."""

    reference: str
    amount: str
    currency: str
    at: Instant


class LossOut(Told):
    """Lost: who says so (carrier, silence), who bears it by which term, and the scan that proves it."""

    said_by: str
    since: Instant
    guaranteed: bool
    bearer: str
    term: str
    number: str
    accepted_at: Instant | None
    scan: str
    because: str


class OwnCourierOut(Told):
    """Another courier, as the customer gave it; `followed`: its number is one that we can read."""

    carrier: str
    number: str
    followed: bool
    risk: str
    reimburses: str


class DispatchLoadOut(Told):
    order_number: str
    items: list[ItemCountOut]


class DispatchParcelOut(Told):
    carrier: str
    number: str
    leg: str
    status: str


class DispatchOut(Told):
    """A parcel that leaves the warehouse because of a return: rejected goods (resend), or a replacement (exchange)."""

    kind: str
    orders: list[DispatchLoadOut]
    payer: str
    parcel: DispatchParcelOut | None
    why: str = Field(description="Why there is no label yet")


class HomeOut(Told):
    """An undeliverable parcel that is home again: its receipt is what money follows from."""

    received_at: Instant
    received_by: str
    reason: str
    outcome: str
    term: str
    note: str
    costs: list[MoneyLineOut] = Field(description="Each leg and surcharge: as billed, else as the terms reckon it")
    money: MoneyOut


class RefusalOut(Told):
    code: str
    message: str
    term: str


class InsteadOut(Told):
    """What the customer can do: a word that never changes, and a sentence."""

    do: str
    says: str


CheckedBetween = tuple[date, date]
