"""What a shop knows of an item that somebody wants to send back: how many are there, since when, exchanged before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from fleet.clocks import from_us
from merchants.terms import Outcome, Terms
from returns.clocks import Moments
from returns.eligibility import Line
from returns.forms import about_of, wishes_of
from returns.settling import Verdict
from returns.states import ReturnState
from store.engine import Row
from tracker.lifecycle import Leg, Purpose
from tracker.orders import Declined, Item, OrderFacts, counts_of, facts_of


def line_of(terms: Terms, row: Row, parcels: Sequence[Row], earlier: Sequence[Row], sku: str, pointer: str) -> Line:
    """The item as it is with the customer now. Raises Declined for one that is not."""
    facts, gone = facts_of(row), [each for each in earlier if each["state"] != ReturnState.CANCELLED]
    mine = [wish for each in gone for wish in wishes_of(each["items"])]
    item = next((item for item in facts.items if item.sku == sku), None) or _replacement(facts, mine, sku)
    if item is None:
        raise Declined("item_not_in_order", f"{sku} is not in order {row['number']}", f"{pointer}/sku")
    with_customer = [parcel for parcel in parcels if counts_of(parcel["items"])[sku] and parcel["leg"] == Leg.OUT]
    if not with_customer:
        raise Declined("item_not_shipped", f"{sku} has not shipped, or came back undelivered", f"{pointer}/sku")
    here = sum(counts_of(parcel["items"])[sku] for parcel in with_customer)
    sent = sum(int(wish["quantity"]) for wish in mine if wish["sku"] == sku)
    missing = sum(_missing(each, row["number"], sku) for each in gone)
    return Line(
        item,
        here - sent + missing,
        _exchangeable(terms, parcels, mine, sku),
        _moments(row, with_customer),
        facts.country,
    )


def _replacement(facts: OrderFacts, wishes: Sequence[Mapping[str, Any]], sku: str) -> Item | None:
    """What was sent in exchange is as good as the item it stands for: it can always be returned.  # policy 61"""
    for wish in wishes:
        if wish["exchange_for"] == sku and wish["gets"] == Outcome.EXCHANGE:
            was = next((item for item in facts.items if item.sku == wish["sku"]), None) or _replacement(
                facts, [each for each in wishes if each is not wish], wish["sku"]
            )
            return replace(was, sku=sku) if was else None
    return None


def _exchangeable(terms: Terms, parcels: Sequence[Row], wishes: Sequence[Mapping[str, Any]], sku: str) -> int:
    """How many pieces may still be exchanged: each one as often as the terms say, from the one that was ordered on."""
    times = terms.exchange.times_per_item
    ordered = sum(counts_of(parcel["items"])[sku] for parcel in parcels if parcel["purpose"] == Purpose.ORDER)
    exchanged = [wish for wish in wishes if wish["gets"] == Outcome.EXCHANGE]
    given = sum(int(wish["quantity"]) for wish in exchanged if wish["sku"] == sku)
    got = sum(int(wish["quantity"]) for wish in exchanged if wish["exchange_for"] == sku)
    return times * ordered + (times - 1) * got - given


def _missing(earlier: Row, order_number: str, sku: str) -> int:
    """What was announced and not in the box is still with the customer."""
    decided = about_of(earlier).decided
    return sum(
        ruling.quantity
        for ruling in (decided.rulings if decided else ())
        if (ruling.order_number, ruling.sku, ruling.verdict) == (order_number, sku, Verdict.MISSING)
    )


def _moments(row: Row, parcels: Sequence[Row]) -> Moments:
    """The order's moments, and those of the last parcel that carried the item: the customer has it since then."""
    told = [(msgspec.json.decode(parcel["conclusion"]), parcel["created_us"]) for parcel in parcels]
    delivered = [view for view, _ in told if view.get("delivered_at")]
    last = max(delivered, key=lambda view: str(view["delivered_at"])) if len(delivered) == len(told) else None
    return Moments(
        from_us(row["placed_us"]),
        from_us(max(created for _, created in told)),
        datetime.fromisoformat(last["delivered_at"]) if last else None,
        scan_at(last, last["delivered_at"]) if last else "",
    )


def scan_at(view: Mapping[str, Any], instant: str | None) -> str:
    """The event of a parcel's conclusion that says something happened then."""
    return next((str(event["id"]) for event in view.get("events", ()) if event["at"] == instant), "")
