"""May these items come back, and for what: each refusal names the shop's term that says so, and what would do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from merchants.terms import Judged, Outcome, ReturnReason, ReturnWindow, Terms
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
    """What is known of the item a wish is about. `left` have arrived and not been sent back yet; of these,
    `exchangeable` were not exchanged as often as the terms allow."""

    item: Item
    left: int
    exchangeable: int
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
    judged_by: Judged


@dataclass(frozen=True, slots=True)
class Way:
    """How a return is to be made: by whom it travels, and from where."""

    courier: Courier
    from_country: str


class Instead(StrEnum):
    """What a customer whose wish is refused can do."""

    OWN_COURIER = "own_courier"
    PREPAID = "prepaid"
    REFUND = "refund"
    EXCHANGE = "exchange"
    STORE_CREDIT = "store_credit"
    SEND_FROM = "send_from"
    CONTACT_SHOP = "contact_shop"


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way that the terms allow. `says` is a sentence for people."""

    instead: Instead
    says: str


def windows(terms: Terms, wish: Wish, line: Line) -> list[NamedDeadline]:
    """Every clock that runs for this wish."""
    named: list[tuple[str, ReturnWindow | None]] = [
        ("returns.contact", terms.returns.contact),
        ("returns.send", terms.returns.send),
        ("exchange.window", terms.exchange.window if wish.outcome is Outcome.EXCHANGE else None),
    ]
    return [
        NamedDeadline(term, deadline(window, line.moments, terms.zone), window.judged_by)
        for term, window in named
        if window
    ]


def refusals(terms: Terms, wish: Wish, line: Line, way: Way, now: datetime) -> Iterator[Refusal]:
    """Every term that stands against it, the plainest first."""
    yield from _never(terms, line.item)
    yield from _place(terms, line, way.from_country)
    for window in windows(terms, wish, line):
        # a window judged by the acceptance scan is lost already when it is over before anything was handed over
        if window.deadline.is_over(now):
            yield Refusal("return_window_over", f"it is too late: {window.deadline.because}", window.term)
    yield from _exchange(terms, wish, line)
    yield from _payer(terms, wish, way.courier)


def alternatives(terms: Terms, wish: Wish, line: Line, way: Way, now: datetime) -> list[Alternative]:
    """What a refused customer can do: each other wish or way that nothing stands against, the smallest change first.

    Where nothing else would do, the shop is who is left to ask.
    """
    found = list(refusals(terms, wish, line, way, now))
    if not found:
        return []
    if any(refusal.code == "contact_us" for refusal in found):
        return [Alternative(Instead.CONTACT_SHOP, f"ask the shop how {wish.sku} can be sent back")]
    home = line.bought_in if terms.returns.from_country == "same" else terms.shop.country
    ways = [way, replace(way, courier=_other(way.courier))]
    ways += [replace(each, from_country=home) for each in ways if way.from_country != home]
    for tried in ways:
        wishes = [replace(wish, outcome=outcome) for outcome in Outcome]
        allowed = [each for each in wishes if not any(refusals(terms, each, line, tried, now))]
        if allowed:
            others = [each for each in allowed if each.outcome is wish.outcome] or allowed
            return list(_changes(wish, way, tried, list(dict.fromkeys(each.outcome for each in others))))
    return [Alternative(Instead.CONTACT_SHOP, f"the terms allow nothing else for {wish.sku}: ask the shop")]


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


def _other(courier: Courier) -> Courier:
    return Courier.OWN if courier is Courier.PREPAID else Courier.PREPAID


def _changes(wish: Wish, way: Way, tried: Way, outcomes: list[Outcome]) -> Iterator[Alternative]:
    """What is different about a wish and a way that are allowed, each as one thing to do."""
    if tried.from_country != way.from_country:
        yield Alternative(Instead.SEND_FROM, f"send it from {tried.from_country}")
    if tried.courier is not way.courier:
        word = "by a courier of your own" if tried.courier is Courier.OWN else "with the shop's label"
        yield Alternative(Instead.OWN_COURIER if tried.courier is Courier.OWN else Instead.PREPAID, f"send it {word}")
    for outcome in outcomes:
        if outcome is not wish.outcome:
            name = outcome.replace("_", " ")
            yield Alternative(Instead(outcome), f"ask for {'an' if name[0] in 'aeiou' else 'a'} {name}")


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
    if wish.outcome is Outcome.EXCHANGE and line.exchangeable < wish.quantity:
        message = f"{wish.sku} was exchanged before; it can still be returned"
        yield Refusal("exchange_used_up", message, "exchange.times_per_item")


def _payer(terms: Terms, wish: Wish, courier: Courier) -> Iterator[Refusal]:
    if courier is Courier.PREPAID and wish.reason not in terms.label.shop_pays_for:
        paid = ", ".join(terms.label.shop_pays_for)
        message = f"the shop pays for a label only for: {paid}; send it by a courier of your own"
        yield Refusal("label_not_paid", message, "label.shop_pays_for")
    if courier is Courier.OWN and not terms.own_courier.allowed:
        yield Refusal("own_courier_not_allowed", "this shop takes no other courier", "own_courier.allowed")
