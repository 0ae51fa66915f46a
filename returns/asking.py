"""May these items come back: each one's answer, by which term, clock and scan, and what would be possible instead."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from fleet.clocks import text
from merchants.terms import Outcome, ReturnReason, Terms
from returns.checking import clock_view
from returns.clocks import in_time
from returns.eligibility import (
    Alternative,
    Courier,
    Line,
    Refusal,
    Way,
    Wish,
    alternatives,
    outcome_for,
    refusals,
    windows,
)
from returns.lines import line_of
from store.engine import Row, Store, Tx
from store.orders import find_order, parcels_of
from store.returns import returns_of
from tracker.orders import Declined, Shelf, facts_of, terms_for


@dataclass(frozen=True, slots=True)
class Question:
    """Some items of one order: what the customer wants for each. No items: everything in it."""

    order_number: str
    items: tuple[Wish, ...] = ()


async def ask(
    store: Store,
    shelf: Shelf,
    merchant: str,
    questions: Sequence[Question],
    *,
    courier: Courier,
    from_country: str,
    now: datetime,
) -> dict[str, Any]:
    """The answers, item by item; nothing is registered. Raises Declined for a shop or an order that is not there."""
    terms = terms_for(shelf, merchant, now)

    async def unit(tx: Tx) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for index, question in enumerate(questions):
            row = await find_order(tx, merchant, question.order_number)
            if row is None:
                message = f"no order {question.order_number} of {merchant}"
                raise Declined("order_not_found", message, f"/orders/{index}/order_number")
            parcels, earlier = await parcels_of(tx, row["id"]), await returns_of(tx, row["id"])
            way = Way(courier, from_country or facts_of(row).country)
            wishes = question.items or tuple(_everything(terms, row))
            answers += [_answer(terms, row, parcels, earlier, wish, way, now) for wish in wishes]
        return answers

    return {
        "merchant": merchant,
        "terms": f"{terms.name} {terms.version}",
        "time_zone": terms.zone.key,
        "at": text(now),
        "items": await store.read(unit),
    }


def _everything(terms: Terms, row: Row) -> Sequence[Wish]:
    """Every item of an order, for what the shop gives first."""
    return [Wish(item.sku, item.quantity, ReturnReason.OTHER, terms.outcome.first) for item in facts_of(row).items]


def _answer(
    terms: Terms, row: Row, parcels: Sequence[Row], earlier: Sequence[Row], wish: Wish, way: Way, now: datetime
) -> dict[str, Any]:
    try:
        line = line_of(terms, row, parcels, earlier, wish.sku, "")
    except Declined as declined:
        return _told(row, wish, [Refusal(declined.code, str(declined), declined.term)], left=0)
    found = list(refusals(terms, wish, line, way, now))
    if wish.quantity > line.left:
        message = f"{line.left} of {wish.sku} can still come back, {wish.quantity} are asked for"
        found.insert(0, Refusal("quantity_wrong", message, ""))
    clocks = [
        clock_view(row["number"], wish, window, terms)
        | {"in_time": in_time(window.deadline.ends, window.judged_by, now, None), "judged_scan": ""}
        for window in windows(terms, wish, line)
    ]
    instead = alternatives(terms, wish, line, way, now) if line.left else []
    return _told(row, wish, found, left=line.left, clocks=clocks, instead=instead, gives=_gives(terms, wish, line, way))


def _gives(terms: Terms, wish: Wish, line: Line, way: Way) -> dict[str, Any]:
    """What the customer gets, and who pays for the way."""
    is_paid = wish.reason in terms.label.shop_pays_for and way.courier is Courier.PREPAID
    gets = outcome_for(terms, wish, line.item)
    extra = terms.exchange.extra_shipping if gets is Outcome.EXCHANGE else None
    return {
        "gets": gets,
        "label_paid_by": "shop" if is_paid else "customer",
        "label_by": terms.label.by if is_paid else "",
        "risk": terms.loss.own_label if is_paid else terms.loss.other,
        "reimburses": terms.own_courier.reimburses if way.courier is Courier.OWN else "nothing",
        "extra_shipping_paid_by": extra,
    }


def _told(
    row: Row,
    wish: Wish,
    found: Sequence[Refusal],
    *,
    left: int,
    clocks: Sequence[Mapping[str, Any]] = (),
    instead: Sequence[Alternative] = (),
    gives: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "order_number": row["number"],
        "sku": wish.sku,
        "quantity": wish.quantity,
        "left": max(0, left),
        "eligible": not found,
        "refusals": [asdict(refusal) for refusal in found],
        "clocks": list(clocks),
        "instead": [{"do": each.instead, "says": each.says} for each in instead],
        **(gives or {}),
    }
