"""May these items come back, and for what: each refusal names the shop's term that says so. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from merchants.terms import Outcome, ReturnReason, ReturnWindow, Terms
from returns.clocks import Deadline, Moments, deadline
from tracker.orders import Item


class Courier(StrEnum):
    PREPAID = "prepaid"
    OWN = "own"


_SHOPS_FAULT = frozenset({ReturnReason.DEFECT, ReturnReason.WRONG_ITEM})


@dataclass(frozen=True, slots=True)
class Wish:
    """One item that a customer wants to send back. `condition` is what the form asked, in the shop's own words."""

    sku: str
    quantity: int
    reason: ReturnReason
    outcome: Outcome = Outcome.REFUND
    condition: str = ""
    exchange_for: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of the item a wish is about. `left` have arrived and not been sent back yet."""

    item: Item
    left: int
    exchanged: int
    moments: Moments
    bought_in: str  # the country of delivery


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    message: str
    term: str


@dataclass(frozen=True, slots=True)
class NamedDeadline:
    """A window by the name of its term."""

    term: str
    deadline: Deadline


def windows(terms: Terms, wish: Wish, line: Line) -> list[NamedDeadline]:
    """Every clock that runs for this wish."""
    named: list[tuple[str, ReturnWindow | None]] = [
        ("returns.contact", terms.returns.contact),
        ("returns.send", terms.returns.send),
        ("exchange.window", terms.exchange.window if wish.outcome is Outcome.EXCHANGE else None),
    ]
    return [NamedDeadline(term, deadline(window, line.moments, terms.zone)) for term, window in named if window]


def refusals(
    terms: Terms, wish: Wish, line: Line, *, courier: Courier, from_country: str, now: datetime
) -> Iterator[Refusal]:
    """Every term that stands against it, the plainest first."""
    yield from _never(terms, line.item)
    yield from _place(terms, line, from_country)
    for window in windows(terms, wish, line):
        # a window judged by the acceptance scan is lost already when it is over before anything was handed over
        if window.deadline.is_over(now):
            yield Refusal("return_window_over", f"it is too late: {window.deadline.because}", window.term)
    yield from _exchange(terms, wish, line)
    yield from _payer(terms, wish, courier)


def outcome_for(terms: Terms, wish: Wish, item: Item) -> Outcome:
    """What the customer gets once the return is accepted."""
    rows = terms.outcome
    outcome = wish.outcome
    if outcome not in rows.choices:
        outcome = rows.defect_or_wrong_item if wish.reason in _SHOPS_FAULT else rows.first
    if outcome is Outcome.EXCHANGE and item.discontinued and wish.reason not in _SHOPS_FAULT:
        outcome = rows.discontinued
    if outcome is Outcome.EXCHANGE and not item.replacement_in_stock:
        outcome = rows.out_of_stock
    return outcome


def _never(terms: Terms, item: Item) -> Iterator[Refusal]:
    for never in terms.returns.never:
        if never.category.casefold() == item.category.casefold():
            code = "contact_us" if never.answer == "contact_us" else "never_returnable"
            words = "needs contact with the shop first" if code == "contact_us" else "never comes back"
            yield Refusal(code, f"{item.sku}: {item.category} {words}", "returns.never")
    if item.final_sale and not terms.returns.final_sale:
        yield Refusal("never_returnable", f"{item.sku} was sold as final sale", "returns.final_sale")
    if item.sale and not terms.returns.sale:
        yield Refusal("never_returnable", f"{item.sku} was bought on sale", "returns.sale")


def _place(terms: Terms, line: Line, from_country: str) -> Iterator[Refusal]:
    if terms.returns.from_country == "same" and from_country != line.bought_in:
        message = f"a return ships from the country it was bought in ({line.bought_in}), not from {from_country}"
        yield Refusal("other_country", message, "returns.from_country")
    home = {terms.shop.country, *terms.promise.domestic}
    if terms.returns.from_country == "shop" and from_country not in home:
        message = f"a return ships from {terms.shop.country}, not from {from_country}"
        yield Refusal("other_country", message, "returns.from_country")


def _exchange(terms: Terms, wish: Wish, line: Line) -> Iterator[Refusal]:
    offered = {*terms.outcome.choices, outcome_for(terms, wish, line.item)}
    if wish.outcome not in offered:
        message = f"{wish.outcome} is not offered for {wish.sku}; offered: {', '.join(sorted(offered))}"
        yield Refusal("outcome_not_offered", message, "outcome.choices")
    if wish.outcome is Outcome.EXCHANGE and line.exchanged >= terms.exchange.times_per_item:
        message = f"{wish.sku} was exchanged before; it can still be returned"
        yield Refusal("exchange_used_up", message, "exchange.times_per_item")


def _payer(terms: Terms, wish: Wish, courier: Courier) -> Iterator[Refusal]:
    if courier is Courier.PREPAID and wish.reason not in terms.label.shop_pays_for:
        paid = ", ".join(terms.label.shop_pays_for)
        message = f"the shop pays for a label only for: {paid}; send it by a courier of your own"
        yield Refusal("label_not_paid", message, "label.shop_pays_for")
    if courier is Courier.OWN and not terms.own_courier.allowed:
        yield Refusal("own_courier_not_allowed", "this shop takes no other courier", "own_courier.allowed")
