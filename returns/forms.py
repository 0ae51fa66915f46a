"""What a return is made of: what is asked for, and what is kept of it in the clear and sealed."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from carriers.contract import Address
from merchants.terms import Payer
from returns.eligibility import Courier, Wish
from returns.settling import MoneyLine, Pot, Ruling
from store.engine import Row
from store.sealing import Sealer


class Teller(StrEnum):
    """Who says that something arrived or is lost."""

    SCAN = "scan"
    WAREHOUSE = "warehouse"
    CARRIER = "carrier"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class OrderWishes:
    """What comes back of one order."""

    order_number: str
    items: tuple[Wish, ...]


@dataclass(frozen=True, slots=True)
class OwnParcel:
    """A courier of the customer's choice and its number, as far as they are known: either may be empty."""

    carrier: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A return as it is asked for. The same `key` of the same shop is the same return, however often it is asked."""

    merchant: str
    orders: tuple[OrderWishes, ...]
    courier: Courier = Courier.PREPAID
    from_address: Address | None = None  # where it is sent from; the order's address where not stated
    weight_kg: Decimal | None = None
    key: str = ""
    caller: str = ""  # whose API key asks: it spends
    own: OwnParcel = OwnParcel()
    qr: bool = False  # a code that a counter prints the label from


@dataclass(frozen=True, slots=True)
class OwnCourier:
    """A return by a courier of the customer's: as the customer gave it, and what the terms say of risk and cost."""

    carrier: str
    number: str
    risk: Payer
    reimburses: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """It is at the warehouse: since when, who says so, and by which event."""

    at: datetime
    teller: Teller
    scan: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """It is lost: who says so, who bears it by which term, and the scan that proves which label travelled."""

    teller: Teller
    since: datetime
    guaranteed: bool
    bearer: Payer
    term: str
    number: str
    accepted_at: datetime | None
    scan: str
    because: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the warehouse said of each item."""

    at: datetime
    rulings: tuple[Ruling, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """What was paid back, under the reference of whoever paid."""

    reference: str
    amount: Decimal
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Waybill:
    """What the customer was told to write on a carrier's blank waybill instead of a lost label, and when."""

    issued_at: datetime
    account: str
    service: str
    reference: str  # what is to be written on it as reference: the return's number


@dataclass(frozen=True, slots=True)
class About:
    """What is kept of a return in the clear: nothing about a person."""

    courier: Courier
    asked: str  # digest of what was asked, so that a repetition is known as one
    clocks: tuple[dict[str, Any], ...] = ()
    followed: int = 0  # the last of its parcel's notices that it has followed
    why: str = ""
    own: OwnCourier | None = None
    received: Receipt | None = None
    checked_between: tuple[date, date] | None = None  # the days on which it is decided, once it arrived
    decided: Decision | None = None
    loss: Loss | None = None
    money: tuple[MoneyLine, ...] = ()
    refund: Refund | None = None
    waybill: Waybill | None = None  # instructions for a blank one were given: it arrives under a number nobody knows
    qr: bool = False
    weight_kg: Decimal | None = None  # as it was stated, for a label that replaces the first


@dataclass(frozen=True, slots=True)
class Sums:
    """The arithmetic, and what each pot comes to."""

    lines: tuple[MoneyLine, ...]
    totals: dict[Pot, Decimal]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a parcel that came home undelivered comes to: why it did, what each leg cost, and the lines of money."""

    reason: str
    outcome: str
    term: str
    costs: tuple[MoneyLine, ...]
    money: Sums
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """What is kept of a return only sealed."""

    address: Address


_about, _sender, _settlement = (
    msgspec.json.Decoder(About),
    msgspec.json.Decoder(Sender),
    msgspec.json.Decoder(Settlement),
)


def about_of(row: Row) -> About:
    return _about.decode(row["return"])


def kept(about: About) -> str:
    """As it is stored."""
    return msgspec.json.encode(about).decode()


def sender_of(row: Row, sealer: Sealer) -> Address | None:
    """Where a return is sent from; None once it was erased."""
    return _sender.decode(sealer.open(bytes(row["sealed"]))).address if row["sealed"] else None


def settlement_of(row: Row) -> Settlement:
    return _settlement.decode(row["settlement"])


def wishes_of(items: str) -> list[dict[str, Any]]:
    wishes: list[dict[str, Any]] = msgspec.json.decode(items)
    return wishes
