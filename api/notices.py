"""What every outbound webhook type says, for the document: a sentence and an example each."""

from typing import Any

from api.parcels import PARCEL_EXAMPLE
from webhooks.notices import TYPES

SAYS = {
    "order.shipped": "The first parcel of an order shipped. Said once per order: payment may be captured on it.",
    "parcel.shipped": "A further parcel of an order shipped.",
    "parcel.status_changed": "A parcel's leg or status changed.",
    "parcel.late": "A parcel is later than promised.",
    "parcel.attempt_failed": "A delivery attempt failed and was counted.",
    "parcel.attempt_corrected": "The count or the day of an attempt told before was wrong: this is what is so.",
    "parcel.delivered": "A parcel was delivered to its destination.",
    "return_to_warehouse.expected": "A parcel cannot be delivered and is expected back at the warehouse.",
    "return_to_warehouse.requested": "The carrier was asked to bring a parcel back.",
    "return_to_warehouse.under_way": "A parcel is on its way back to the warehouse.",
    "return_to_warehouse.arrived": "A parcel is back at the warehouse, the carrier says.",
    "return_to_warehouse.received": "It was received there, by its scan or by hand: reason and money are settled.",
    "return_to_warehouse.cancelled": "A parcel no longer comes back: it was delivered after all.",
    "return.registered": "A return was registered.",
    "return.label_ready": "A return's label is there.",
    "return.on_its_way": "A return was accepted by the carrier.",
    "return.received": "A return arrived at the warehouse.",
    "return.checking": "The warehouse checks a return.",
    "return.accepted": "A return was accepted.",
    "return.rejected": "A return was rejected.",
    "return.bounced": "A return turned round on its way.",
    "return.lost": "A return was lost on its way.",
    "label.purchased": "A label was bought.",
    "label.voided": "A label was voided.",
    "alert.raised": "An alert for operations was raised.",
    "alert.cleared": "An alert for operations is over.",
}


def _data(type: str) -> dict[str, Any]:
    subject = type.partition(".")[0]
    parcel = {"carrier": "ups", "number": "1Z5338FF0107231059"}
    match subject:
        case "order":
            named = {"order_number": "B-1001", "parcel": parcel, "order": {"state": "shipped"}}
        case "return" | "label":
            named = {"return_number": "R7K2M9QX4T", "state": type.partition(".")[2], **parcel}
        case "alert":
            named = {"alert": {"key": "parcel:7", "rung": "attempt_2", "severity": "warning"}}
        case _:
            named = {**parcel, "order_numbers": ["B-1001"], "parcel": PARCEL_EXAMPLE}
    return {"sequence": 3, "merchant": "boutique-eu", **named}


def webhooks() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every type that leaves the house. Raises KeyError for one that nothing is said of."""
    return {
        type: (SAYS[type], {"type": type, "timestamp": "2026-03-03T12:01:00Z", "data": _data(type)})
        for type in sorted(TYPES)
    }
