"""A return as the order service is shown it, the notices about it, and the stored label."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from carriers.contract import LabelFormat
from fleet.clocks import from_us, text
from returns.forms import about_of, wishes_of
from spending.machine import State
from store.engine import Row, Store, Tx
from store.outbox import say
from store.purchases import documents_of, formats_of, labels_of, purchase_of
from store.returns import find_return, orders_of, parcel_of
from store.sealing import Sealer
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
    parcel = await parcel_of(tx, row["parcel_id"])
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
        "clocks": list(about.clocks),
        "why": about.why,
        "created_at": text(from_us(row["created_us"])),
        "updated_at": text(from_us(row["updated_us"])),
        "version": row["version"],
    }


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
        "checked_at": text(from_us(row["checked_us"])) if row["checked_us"] is not None else None,
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
