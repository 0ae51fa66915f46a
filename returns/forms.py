"""What a return is made of: what is asked for, and what is kept of it in the clear and sealed."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from carriers.contract import Address
from returns.eligibility import Courier, Wish
from store.engine import Row
from store.sealing import Sealer


@dataclass(frozen=True, slots=True)
class OrderWishes:
    """What comes back of one order."""

    order_number: str
    items: tuple[Wish, ...]


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


@dataclass(frozen=True, slots=True)
class About:
    """What is kept of a return in the clear: nothing about a person."""

    courier: Courier
    asked: str  # digest of what was asked, so that a repetition is known as one
    clocks: tuple[dict[str, Any], ...] = ()
    followed: int = 0  # the last of its parcel's notices that it has followed
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """What is kept of a return only sealed."""

    address: Address


_about, _sender = msgspec.json.Decoder(About), msgspec.json.Decoder(Sender)


def about_of(row: Row) -> About:
    return _about.decode(row["return"])


def sender_of(row: Row, sealer: Sealer) -> Address | None:
    """Where a return is sent from; None once it was erased."""
    return _sender.decode(sealer.open(bytes(row["sealed"]))).address if row["sealed"] else None


def wishes_of(items: str) -> list[dict[str, Any]]:
    wishes: list[dict[str, Any]] = msgspec.json.decode(items)
    return wishes
