"""What is asked for against what the order, its parcels and its earlier returns say; refusals become errors here."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from carriers.contract import Address
from fleet.clocks import text
from merchants.terms import Outcome, Terms
from returns.eligibility import NamedDeadline, Way, Wish, alternatives, outcome_for, refusals, windows
from returns.forms import Asked
from returns.lines import line_of
from store.engine import Row, Tx
from store.orders import lock_order, parcels_of
from store.returns import returns_of
from tracker.orders import Declined


@dataclass(frozen=True, slots=True)
class Checked:
    """One order's part of a return, as the terms allow it: rows for `return_orders`, and every clock that runs."""

    order_id: int
    items: list[dict[str, Any]]
    clocks: list[dict[str, Any]]


async def hold_orders(tx: Tx, asked: Asked) -> list[Row]:
    """The orders as asked, each held until the transaction ends. Raises Declined for one that is not there."""
    rows: dict[str, Row] = {}
    # in one sequence for everybody, so that two returns over the same orders do not wait for each other
    for number, index in sorted((order.order_number, index) for index, order in enumerate(asked.orders)):
        row = await lock_order(tx, asked.merchant, number)
        if row is None:
            raise Declined("order_not_found", f"no order {number} of {asked.merchant}", f"/orders/{index}/order_number")
        rows[number] = row
    return [rows[order.order_number] for order in asked.orders]


async def check_order(
    tx: Tx, terms: Terms, asked: Asked, index: int, row: Row, sender: Address, now: datetime
) -> Checked:
    """One order's items against the order, its parcels, its earlier returns, and the terms. Raises Declined."""
    parcels, earlier = await parcels_of(tx, row["id"]), await returns_of(tx, row["id"])
    way = Way(asked.courier, sender.country)
    taken: Counter[str] = Counter()
    items: list[dict[str, Any]] = []
    clocks: list[dict[str, Any]] = []
    for place, wish in enumerate(asked.orders[index].items):
        pointer = f"/orders/{index}/items/{place}"
        line = line_of(terms, row, parcels, earlier, wish.sku, pointer)
        taken[wish.sku] += wish.quantity
        if wish.quantity < 1 or taken[wish.sku] > line.left:
            message = f"{line.left} of {wish.sku} can still come back, {taken[wish.sku]} are asked for"
            raise Declined("quantity_wrong", message, f"{pointer}/quantity")
        for refusal in refusals(terms, wish, line, way, now):
            can_do = [{"do": each.instead, "says": each.says} for each in alternatives(terms, wish, line, way, now)]
            raise Declined(refusal.code, refusal.message, pointer, refusal.term, can_do)
        gets = outcome_for(terms, wish, line.item)
        held = gets is Outcome.EXCHANGE and terms.exchange.hold_item  # source: policy 59
        items.append({**asdict(wish), "gets": gets, "held": held})
        clocks.extend(clock_view(row["number"], wish, window, terms) for window in windows(terms, wish, line))
    return Checked(row["id"], items, clocks)


def clock_view(order_number: str, wish: Wish, window: NamedDeadline, terms: Terms) -> dict[str, Any]:
    """A clock as it is kept and shown."""
    found = window.deadline
    return {
        "order_number": order_number,
        "sku": wish.sku,
        "term": window.term,
        "clock": found.clock,
        "fell_back": found.fell_back,
        "started": text(found.started) if found.started else None,
        "ends": text(found.ends) if found.ends else None,
        "ends_local": found.ends.astimezone(terms.zone).isoformat() if found.ends else None,
        "time_zone": terms.zone.key,
        "judged_by": window.judged_by,
        "scan": found.scan,
        "because": found.because,
    }
