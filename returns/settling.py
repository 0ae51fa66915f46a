"""What a decided return, a lost one, or an undeliverable parcel comes to in money: line by line, with the reason. Pure.

A sum of one kind is what is paid of that kind: a refund, a store credit, or a charge on the original payment.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from merchants.terms import Outcome, Payer, Terms

CENT = Decimal("0.01")
NOTHING = Decimal(0)


class Verdict(StrEnum):
    """What the warehouse says of a piece: taken, not taken, or not in the box."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    MISSING = "missing"


class Pot(StrEnum):
    """What a line of money belongs to."""

    REFUND = "refund"  # to the original payment
    STORE_CREDIT = "store_credit"
    CHARGE = "charge"  # on the original payment, beside a refund


@dataclass(frozen=True, slots=True)
class Ruling:
    """The warehouse's word on so many of an order's item."""

    order_number: str
    sku: str
    quantity: int
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MoneyLine:
    """One line of the arithmetic. Without an amount it is owed, and what it comes to is not known yet."""

    order_number: str
    pot: Pot
    name: str
    amount: Decimal | None
    currency: str
    because: str
    term: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """So many of an item at what they cost, and what the customer gets for them."""

    sku: str
    quantity: int
    price: Decimal
    gets: Outcome

    @property
    def value(self) -> Decimal:
        return self.price * self.quantity


@dataclass(frozen=True, slots=True)
class Account:
    """An order as far as money goes: what its earlier returns settled, and whether they charged a free shipping."""

    order_number: str
    currency: str
    goods: Decimal
    discounts: Decimal
    shipping_paid: Decimal
    before: Decimal = NOTHING
    assessed: bool = False


def settle_order(terms: Terms, account: Account, accepted: Sequence[Piece]) -> list[MoneyLine]:
    """What the accepted pieces of one order come to. An exchange is goods against goods: no line."""
    lines: list[MoneyLine] = []
    before = account.before
    for pot, outcome in ((Pot.REFUND, Outcome.REFUND), (Pot.STORE_CREDIT, Outcome.STORE_CREDIT)):
        pieces = [piece for piece in accepted if piece.gets is outcome]
        if not pieces:
            continue
        part = [*_goods(account, pot, pieces), *_coupon(terms, account, pot, before, _value(pieces))]
        before += _value(pieces)
        assessed = account.assessed or any(line.name == "free_shipping" for line in lines)
        part += _shipping(terms, account, pot, assessed, whole=before >= account.goods)
        lines += [*part, *_floor(account, pot, part)]
    return lines


def reimbursement(terms: Terms, accounts: Iterable[Account]) -> Iterator[MoneyLine]:
    """The customer's own courier: once for a box, where shipping was paid.  # source: policy 45"""
    if terms.own_courier.reimburses != "standard_delivery":
        return
    for account in accounts:
        if account.shipping_paid > 0:
            cost = terms.own_courier.standard_cost
            amount = account.shipping_paid if cost is None else cost
            because = "sent by the customer's own courier: the cost of a standard delivery is given back"
            yield _line(account, Pot.REFUND, "own_courier", amount, because, "own_courier.reimburses")
            return


def dispatch_charge(terms: Terms, kind: str, order_number: str, price: Decimal | None, currency: str) -> MoneyLine:
    """What a parcel that leaves because of a return costs the customer.  # source: policies 56, 62"""
    term = "exchange.extra_shipping" if kind == "exchange" else "after_arrival.rejected_sent_back_by"
    what = "the replacement is shipped" if kind == "exchange" else "what was not accepted is sent back"
    known = f"the label cost {price} {currency}" if price is not None else "the carrier did not say what the label cost"
    return MoneyLine(order_number, Pot.CHARGE, kind, price, currency, f"{what} at the customer's cost: {known}", term)


def payer_of(terms: Terms, kind: str) -> Payer:
    """Who pays for a parcel that leaves because of a return."""
    return terms.exchange.extra_shipping if kind == "exchange" else terms.after_arrival.rejected_sent_back_by


def settle_homecoming(
    terms: Terms, account: Account, pieces: Sequence[Piece], reason: str, surcharge: Decimal | None = None
) -> list[MoneyLine]:
    """An undeliverable parcel is home: its goods as a credit less shipping, or nothing where the shop decides.

    `surcharge` is what the carrier really took; the terms' own figure stands in.  # source: policies 25, 26
    """
    rows, costs = terms.undeliverable, terms.undeliverable.costs
    if rows.outcome != "store_credit_less_shipping" or costs is None:
        return []
    pot, term = Pot.STORE_CREDIT, "undeliverable.costs"
    part = [*_goods(account, pot, pieces), *_coupon(terms, account, pot, account.before, _value(pieces))]
    if account.shipping_paid == 0 and not account.assessed:
        part.append(_line(account, pot, "leg_out", -costs.out, "the way out was free, and is charged", term))
    elif account.shipping_paid > 0:
        paid = f"{account.shipping_paid} was paid for the way out, and is not given back"
        part.append(_line(account, pot, "leg_out", NOTHING, paid, term))
    part.append(_line(account, pot, "leg_back", -costs.back, "the way back to the warehouse", term))
    extra = surcharge if surcharge is not None else costs.refusal_surcharge if reason == "refused" else NOTHING
    if extra:
        part.append(_line(account, pot, "surcharge", -extra, f"the carrier's surcharge: {reason}", term))
    return [*part, *_floor(account, pot, part)]


def totals(lines: Iterable[MoneyLine]) -> dict[Pot, Decimal]:
    """The sum of each pot, of the lines whose amount is known."""
    found: dict[Pot, Decimal] = {}
    for line in lines:
        found[line.pot] = found.get(line.pot, NOTHING) + (line.amount or NOTHING)
    return found


def _value(pieces: Iterable[Piece]) -> Decimal:
    return sum((piece.value for piece in pieces), NOTHING)


def _goods(account: Account, pot: Pot, pieces: Sequence[Piece]) -> Iterator[MoneyLine]:
    for piece in pieces:
        yield _line(account, pot, f"item/{piece.sku}", piece.value, f"{piece.quantity} x {piece.sku} at {piece.price}")


def _coupon(terms: Terms, account: Account, pot: Pot, before: Decimal, value: Decimal) -> Iterator[MoneyLine]:
    """The share of the order's discount that these goods had; all shares together are exactly the discount."""
    if not terms.outcome.discounts_deducted or not account.discounts or not account.goods:
        return
    share = _share(account, before + value) - _share(account, before)
    because = f"of the discount of {account.discounts} on goods of {account.goods}, the share of {value}"
    yield _line(account, pot, "discount", -share, because, "outcome.discounts_deducted")


def _share(account: Account, value: Decimal) -> Decimal:
    discount = min(account.discounts, account.goods)
    return (discount * min(value, account.goods) / account.goods).quantize(CENT, ROUND_HALF_UP)


def _shipping(terms: Terms, account: Account, pot: Pot, assessed: bool, *, whole: bool) -> Iterator[MoneyLine]:
    """Shipping that was paid comes back where the terms say so and all goods did; one that was free may be charged."""
    if account.shipping_paid > 0:
        if terms.outcome.shipping_refunded and whole:
            because = "the whole order came back, and so does its shipping"
            yield _line(account, pot, "shipping", account.shipping_paid, because, "outcome.shipping_refunded")
        return
    if terms.outcome.free_shipping_assessed and not assessed and (costs := terms.undeliverable.costs):
        because = "the order was shipped free, and its shipping is charged on a return"
        yield _line(account, pot, "free_shipping", -costs.out, because, "outcome.free_shipping_assessed")


def _floor(account: Account, pot: Pot, part: Sequence[MoneyLine]) -> Iterator[MoneyLine]:
    """Deductions take no more than there is."""
    total = sum((line.amount or NOTHING for line in part), NOTHING)
    if total < 0:
        yield _line(account, pot, "floor", -total, "deductions take no more than there is")


def _line(account: Account, pot: Pot, name: str, amount: Decimal, because: str, term: str = "") -> MoneyLine:
    return MoneyLine(
        account.order_number, pot, name, amount.quantize(CENT, ROUND_HALF_UP), account.currency, because, term
    )
