"""What is asked for against what the order, its parcels and its earlier returns say; refusals become errors here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec

from carriers.contract import Address
from fleet.clocks import from_us, text
from merchants.terms import Outcome, Terms
from returns.clocks import Moments
from returns.eligibility import Line, NamedDeadline, Wish, outcome_for, refusals, windows
from returns.forms import Asked, wishes_of
from returns.states import ReturnState
from store.engine import Row, Tx
from store.orders import lock_order, parcels_of
from store.returns import returns_of
from tracker.lifecycle import Leg
from tracker.orders import Declined, counts_of, facts_of


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
    taken: Counter[str] = Counter()
    items: list[dict[str, Any]] = []
    clocks: list[dict[str, Any]] = []
    for place, wish in enumerate(asked.orders[index].items):
        pointer = f"/orders/{index}/items/{place}"
        line = _line(row, parcels, earlier, wish, pointer)
        taken[wish.sku] += wish.quantity
        if wish.quantity < 1 or taken[wish.sku] > line.left:
            message = f"{line.left} of {wish.sku} can still come back, {taken[wish.sku]} are asked for"
            raise Declined("quantity_wrong", message, f"{pointer}/quantity")
        for refusal in refusals(terms, wish, line, courier=asked.courier, from_country=sender.country, now=now):
            raise Declined(refusal.code, refusal.message, pointer, refusal.term)
        items.append({**asdict(wish), "gets": outcome_for(terms, wish, line.item)})
        clocks.extend(_clock(row["number"], wish, window) for window in windows(terms, wish, line))
    return Checked(row["id"], items, clocks)


def _line(row: Row, parcels: Sequence[Row], earlier: Sequence[Row], wish: Wish, pointer: str) -> Line:
    facts = facts_of(row)
    item = next((item for item in facts.items if item.sku == wish.sku), None)
    if item is None:
        raise Declined("item_not_in_order", f"{wish.sku} is not in order {row['number']}", f"{pointer}/sku")
    with_customer = [parcel for parcel in parcels if counts_of(parcel["items"])[wish.sku] and parcel["leg"] == Leg.OUT]
    if not with_customer:
        raise Declined("item_not_shipped", f"{wish.sku} has not shipped, or came back undelivered", f"{pointer}/sku")
    gone = [wishes_of(line["items"]) for line in earlier if line["state"] != ReturnState.CANCELLED]
    mine = [past for wishes in gone for past in wishes if past["sku"] == wish.sku]
    left = sum(counts_of(parcel["items"])[wish.sku] for parcel in with_customer) - sum(p["quantity"] for p in mine)
    exchanged = sum(past["outcome"] == Outcome.EXCHANGE for past in mine)
    return Line(item, left, exchanged, _moments(row, with_customer), facts.country)


def _moments(row: Row, parcels: Sequence[Row]) -> Moments:
    """The order's moments, and those of the last parcel that carried the item: the customer has it since then."""
    told = [(msgspec.json.decode(parcel["conclusion"]), parcel["created_us"]) for parcel in parcels]
    delivered = [view for view, _ in told if view.get("delivered_at")]
    last = max(delivered, key=lambda view: str(view["delivered_at"])) if len(delivered) == len(told) else None
    return Moments(
        from_us(row["placed_us"]),
        from_us(max(created for _, created in told)),
        datetime.fromisoformat(last["delivered_at"]) if last else None,
        _scan(last) if last else "",
    )


def _scan(view: Mapping[str, Any]) -> str:
    """The event that says it was delivered."""
    at = view["delivered_at"]
    return next((event["id"] for event in view.get("events", ()) if event["at"] == at), "")


def _clock(order_number: str, wish: Wish, window: NamedDeadline) -> dict[str, Any]:
    found = window.deadline
    return {
        "order_number": order_number,
        "sku": wish.sku,
        "term": window.term,
        "clock": found.clock,
        "fell_back": found.fell_back,
        "started": text(found.started) if found.started else None,
        "ends": text(found.ends) if found.ends else None,
        "scan": found.scan,
        "because": found.because,
    }
