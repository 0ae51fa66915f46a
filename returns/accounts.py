"""A return's orders as money sees them: what was bought, what earlier returns settled, what the customer gets now."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from merchants.terms import Outcome, Terms
from returns.eligibility import Courier
from returns.forms import about_of, settlement_of, wishes_of
from returns.settling import (
    NOTHING,
    Account,
    MoneyLine,
    Piece,
    Pot,
    Ruling,
    Verdict,
    reimbursement,
    settle_order,
)
from store.engine import Row, Tx
from store.homecomings import homecomings_of
from store.returns import orders_of, returns_of
from tracker.orders import OrderFacts, facts_of

_PAID = (Pot.REFUND, Pot.STORE_CREDIT)


@dataclass(frozen=True, slots=True)
class Part:
    """One order's part of a return: its account, and the pieces that the warehouse accepted."""

    account: Account
    pieces: tuple[Piece, ...]


async def parts_of(tx: Tx, row: Row, rulings: Sequence[Ruling]) -> list[Part]:
    """A return, order by order, under what the warehouse says."""
    parts: list[Part] = []
    for order in await orders_of(tx, row["id"]):
        earlier = [each for each in await returns_of(tx, order["id"]) if each["id"] != row["id"]]
        further = [line for each in await homecomings_of(tx, order["id"]) for line in settlement_of(each).money.lines]
        parts.append(Part(account_of(order, earlier, further), tuple(_accepted(order, earlier, rulings))))
    return parts


def settle_return(terms: Terms, courier: Courier, parts: Sequence[Part]) -> list[MoneyLine]:
    """What the accepted pieces of every order come to."""
    lines = [line for part in parts for line in settle_order(terms, part.account, part.pieces)]
    if courier is Courier.OWN:
        lines += reimbursement(terms, [part.account for part in parts if part.pieces])
    return lines


async def settle_loss(tx: Tx, terms: Terms, row: Row) -> list[MoneyLine]:
    """What is refunded for a return that is lost at the shop's risk: everything that was in it."""
    everything = [
        Ruling(order["number"], wish["sku"], wish["quantity"], Verdict.ACCEPTED)
        for order in await orders_of(tx, row["id"])
        for wish in wishes_of(order["items"])
    ]
    lines: list[MoneyLine] = []
    for part in await parts_of(tx, row, everything):
        refunded = [replace(piece, gets=Outcome.REFUND) for piece in part.pieces]
        lines += settle_order(terms, part.account, refunded)
    return lines


def account_of(order: Row, earlier: Iterable[Row], further: Iterable[MoneyLine] = ()) -> Account:
    """An order's account; `earlier` are its other returns, `further` what was settled for it elsewhere."""
    facts = facts_of(order)
    settled = [*(line for each in earlier for line in about_of(each).money), *further]
    mine = [line for line in settled if line.order_number == order["number"] and line.pot in _PAID]
    return Account(
        order_number=order["number"],
        currency=facts.currency,
        goods=sum((item.price * item.quantity for item in facts.items), NOTHING),
        discounts=facts.discounts,
        shipping_paid=facts.shipping_paid,
        before=sum((line.amount or NOTHING for line in mine if line.name.startswith("item/")), NOTHING),
        assessed=any(line.name in ("free_shipping", "leg_out") for line in mine),
    )


def price_of(facts: OrderFacts, wishes: Sequence[Mapping[str, Any]], sku: str) -> Decimal:
    """What a piece cost: a replacement is worth what it stands for."""
    for item in facts.items:
        if item.sku == sku:
            return item.price
    was = next((wish["sku"] for wish in wishes if wish["exchange_for"] == sku), None)
    return price_of(facts, [wish for wish in wishes if wish["exchange_for"] != sku], was) if was else NOTHING


def _accepted(order: Row, earlier: Iterable[Row], rulings: Iterable[Ruling]) -> Iterator[Piece]:
    """The accepted pieces of one order. The same item may be wished back for different things."""
    facts, wishes = facts_of(order), wishes_of(order["items"])
    history = [wish for each in earlier for wish in wishes_of(each["items"])]
    left = {(n, wish["sku"]): wish["quantity"] for n, wish in enumerate(wishes)}
    for ruling in rulings:
        if (ruling.order_number, ruling.verdict) != (order["number"], Verdict.ACCEPTED):
            continue
        wanted = ruling.quantity
        for place, wish in enumerate(wishes):
            count = min(wanted, left[place, wish["sku"]]) if wish["sku"] == ruling.sku else 0
            if count:
                wanted, left[place, wish["sku"]] = wanted - count, left[place, wish["sku"]] - count
                yield Piece(wish["sku"], count, price_of(facts, history, wish["sku"]), Outcome(wish["gets"]))
