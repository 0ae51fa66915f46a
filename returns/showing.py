"""A return as the order service is shown it, the notices about it, and the stored label."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from carriers.contract import LabelFormat
from fleet.clocks import from_us, text
from merchants.terms import Judged
from returns.clocks import in_time
from returns.forms import About, Decision, Loss, Receipt, Refund, about_of, wishes_of
from returns.lines import scan_at
from returns.settling import MoneyLine, totals
from spending.machine import State
from store.dispatches import dispatches_of
from store.engine import Row, Store, Tx
from store.outbox import say
from store.parcels import parcel_by_id
from store.pickups import pickups_of
from store.purchases import (
    documents_of,
    find_purchase,
    formats_of,
    label_by_number,
    labels_of,
    numbers_bought,
    purchase_of,
)
from store.returns import find_return, orders_of
from store.sealing import Sealer
from tracker.freshness import freshness
from tracker.orders import Declined

MEDIA_TYPES = {
    LabelFormat.PDF: "application/pdf",
    LabelFormat.PNG: "image/png",
    LabelFormat.GIF: "image/gif",
    LabelFormat.ZPL: "application/zpl",
    LabelFormat.QR: "image/png",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A label as it was bought: the same bytes every time."""

    body: bytes
    media_type: str
    digest: str


async def return_view(tx: Tx, number: str) -> dict[str, Any] | None:
    """The return as the order service is shown it; None for no such return."""
    row = await find_return(tx, number)
    if row is None:
        return None
    about = about_of(row)
    parcel = await parcel_by_id(tx, row["parcel_id"])
    return {
        "return_number": number,
        "merchant": row["merchant"],
        "state": row["state"],
        "courier": about.courier,
        "orders": [
            {"order_number": order["number"], "items": wishes_of(order["items"])}
            for order in await orders_of(tx, row["id"])
        ],
        "label": await _label_view(tx, row["id"]),
        "parcel": _parcel_view(parcel) if parcel else None,
        "own_courier": _own_view(about, parcel),
        "waybill": _waybill_view(about),
        "pickup": await pickup_shown(tx, row["id"]),
        "clocks": [_clock_view(clock, row, parcel) for clock in about.clocks],
        "received": _receipt_view(about.received),
        "checked_between": _checked_between(about),
        "decision": _decision_view(about.decided),
        "money": money_view(about.money),
        "refund": _refund_view(about.refund),
        "loss": _loss_view(about.loss),
        "dispatches": [_dispatch_view(each) for each in await dispatches_of(tx, row["id"])],
        "why": about.why,
        "created_at": text(from_us(row["created_us"])),
        "updated_at": text(from_us(row["updated_us"])),
        "version": row["version"],
    }


async def own_labels(tx: Tx, return_id: int) -> frozenset[str]:
    """The numbers of the labels that the shop bought for a return."""
    return frozenset(await numbers_bought(tx, f"return:{return_id}"))


def money_view(lines: Sequence[MoneyLine]) -> dict[str, Any]:
    """The arithmetic, and what each pot comes to."""
    return {
        "lines": [
            {
                "order_number": line.order_number,
                "pot": line.pot,
                "name": line.name,
                "amount": str(line.amount) if line.amount is not None else None,
                "currency": line.currency,
                "because": line.because,
                "term": line.term,
            }
            for line in lines
        ],
        "totals": {pot: str(total) for pot, total in totals(lines).items()},
    }


def _own_view(about: About, parcel: Row | None) -> dict[str, Any] | None:
    """Another courier, as the customer gave it; `followed` says whether its number is one we can read."""
    own = about.own
    if own is None:
        return None
    return {
        "carrier": own.carrier,
        "number": own.number,
        "followed": parcel is not None,
        "risk": own.risk,
        "reimburses": own.reimburses,
    }


def _clock_view(clock: Mapping[str, Any], row: Row, parcel: Row | None) -> dict[str, Any]:
    """A clock, and whether what it asks for happened in time: by which scan, where a scan decides."""
    told = msgspec.json.decode(parcel["conclusion"]) if parcel else {}
    accepted, ends = told.get("accepted_at"), clock["ends"]
    judged = Judged(clock.get("judged_by", Judged.REGISTRATION))
    return {
        "ends_local": None,
        "time_zone": "",
        **clock,
        "judged_by": judged,
        "in_time": in_time(
            datetime.fromisoformat(ends) if ends else None,
            judged,
            from_us(row["created_us"]),
            datetime.fromisoformat(accepted) if accepted else None,
        ),
        "judged_scan": scan_at(told, accepted) if accepted and judged is Judged.ACCEPTANCE else "",
    }


def _receipt_view(receipt: Receipt | None) -> dict[str, Any] | None:
    if receipt is None:
        return None
    return {"at": text(receipt.at), "by": receipt.teller, "scan": receipt.scan, "note": receipt.note}


def _checked_between(about: About) -> list[str] | None:
    """The days between which it is decided, once it arrived."""
    return [day.isoformat() for day in about.checked_between] if about.checked_between else None


def _decision_view(decided: Decision | None) -> dict[str, Any] | None:
    if decided is None:
        return None
    return {
        "at": text(decided.at),
        "note": decided.note,
        "items": [
            {
                "order_number": ruling.order_number,
                "sku": ruling.sku,
                "quantity": ruling.quantity,
                "verdict": ruling.verdict,
                "reason": ruling.reason,
            }
            for ruling in decided.rulings
        ],
    }


def _refund_view(refund: Refund | None) -> dict[str, Any] | None:
    if refund is None:
        return None
    return {
        "reference": refund.reference,
        "amount": str(refund.amount),
        "currency": refund.currency,
        "at": text(refund.at),
    }


def _loss_view(loss: Loss | None) -> dict[str, Any] | None:
    if loss is None:
        return None
    return {
        "said_by": loss.teller,
        "since": text(loss.since),
        "guaranteed": loss.guaranteed,
        "bearer": loss.bearer,
        "term": loss.term,
        "number": loss.number,
        "accepted_at": text(loss.accepted_at) if loss.accepted_at else None,
        "scan": loss.scan,
        "because": loss.because,
    }


def _dispatch_view(row: Row) -> dict[str, Any]:
    """What leaves the warehouse because of it."""
    parcel = {name: row[name] for name in ("carrier", "number", "leg", "status")}
    return {
        "kind": row["kind"],
        "orders": [
            {"order_number": load["order_number"], "items": load["items"]} for load in msgspec.json.decode(row["loads"])
        ],
        "payer": row["payer"],
        "parcel": parcel if row["parcel_id"] is not None else None,
        "why": row["why"],
    }


def _waybill_view(about: About) -> dict[str, Any] | None:
    """What the customer was told to write instead of the label."""
    told = about.waybill
    if told is None:
        return None
    fields = {name: getattr(told, name) for name in ("account", "service", "reference")}
    return {**fields, "issued_at": text(told.issued_at)}


def pickup_view(row: Row) -> dict[str, Any]:
    """A collection as it is shown on its return: when and how far, never where."""
    return {
        **{name: row[name] for name in ("carrier", "day", "window", "state", "confirmation", "words")},
        "price": row["price"] or None,
        "currency": row["currency"] or None,
        "checked_at": text(from_us(row["checked_us"])) if row["checked_us"] is not None else None,
    }


async def pickup_shown(tx: Tx, return_id: int) -> dict[str, Any] | None:
    """The newest collection of a return."""
    rows = await pickups_of(tx, return_id)
    return pickup_view(rows[-1]) if rows else None


async def _label_view(tx: Tx, return_id: int) -> dict[str, Any] | None:
    label = await _label(tx, return_id)
    if label is None:
        return None
    return {
        "carrier": label["carrier"],
        "number": label["number"],
        "state": label["state"],
        "formats": await formats_of(tx, label["id"]),
        "price": label["price"] or None,
        "currency": label["currency"] or None,
    }


async def _label(tx: Tx, return_id: int) -> Row | None:
    """The return's own label, once it was handed over."""
    purchase = await purchase_of(tx, f"return:{return_id}", "label")
    if purchase is None or purchase["state"] != State.ISSUED:
        return None
    return next(iter(await labels_of(tx, purchase["id"])), None)


def _parcel_view(row: Row) -> dict[str, Any]:
    told = msgspec.json.decode(row["conclusion"])
    kept = ("estimated_delivery", "accepted_at", "delivered_at", "because")
    return {
        **{name: row[name] for name in ("carrier", "number", "leg", "status")},
        **{name: told.get(name) for name in kept},
        **freshness(row),
    }


async def label_document(store: Store, sealer: Sealer, number: str, format: LabelFormat) -> Document:
    """The label as it was bought, the same bytes every time. Raises Declined."""

    async def unit(tx: Tx) -> Row:
        row = await find_return(tx, number)
        if row is None:
            raise Declined("return_not_found", f"no return {number}")
        label = await _label(tx, row["id"])
        documents = await documents_of(tx, label["id"]) if label else []
        for document in documents:
            if document["format"] == format:
                return document
        have = ", ".join(document["format"] for document in documents)
        raise Declined("label_unknown", f"there is no label as {format}; there is: {have or 'none yet'}")

    document = await store.read(unit)
    body = sealer.open(bytes(document["sealed"]))
    if hashlib.sha256(body).hexdigest() != document["digest"]:
        raise ValueError(f"the label of return {number} is not the one that was bought")
    return Document(body, MEDIA_TYPES[format], document["digest"])


async def dispatch_document(store: Store, sealer: Sealer, carrier: str, number: str, format: LabelFormat) -> Document:
    """The label of a parcel that leaves the warehouse, as it was bought. Raises Declined."""

    async def unit(tx: Tx) -> Row:
        label = await label_by_number(tx, carrier, number)
        purchase = await find_purchase(tx, label["purchase_id"]) if label else None
        is_ours = purchase is not None and purchase["subject"].partition(":")[0] in ("resend", "exchange")
        documents = await documents_of(tx, label["id"]) if label and is_ours else []
        for document in documents:
            if document["format"] == format:
                return document
        have = ", ".join(document["format"] for document in documents)
        raise Declined("parcel_label_unknown", f"there is no label as {format}; there is: {have or 'none'}")

    document = await store.read(unit)
    body = sealer.open(bytes(document["sealed"]))
    if hashlib.sha256(body).hexdigest() != document["digest"]:
        raise ValueError(f"the label {number} is not the one that was bought")
    return Document(body, MEDIA_TYPES[format], document["digest"])


async def tell_return(tx: Tx, number: str, name: str, type: str, now: datetime) -> bool:
    """Say something about a return, with its full state."""
    row = await find_return(tx, number)
    view = await return_view(tx, number)
    assert row is not None and view is not None
    data = {
        "merchant": row["merchant"],
        "return_number": number,
        "order_numbers": [order["order_number"] for order in view["orders"]],
        "return": view,
    }
    return await say(tx, subject=f"return:{row['id']}", name=name, type=type, at=now, data=data)
