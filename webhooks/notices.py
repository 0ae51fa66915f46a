"""What we tell and who hears it: the public types, and the exact bytes of a notice (pure)."""

from collections.abc import Collection

import msgspec

from fleet.clocks import from_us, text
from store.audience import EVERYTHING, Audience

# source: design/product.md section 3, "What it is told". Types that begin with "ops." never leave the house.
TYPES = frozenset(
    {
        "order.shipped", "parcel.shipped", "parcel.status_changed", "parcel.late", "parcel.attempt_failed",
        "parcel.attempt_corrected", "parcel.delivered", "return_to_warehouse.expected",
        "return_to_warehouse.requested", "return_to_warehouse.under_way", "return_to_warehouse.arrived",
        "return_to_warehouse.received",
        "return_to_warehouse.cancelled", "return.registered", "return.label_ready", "return.on_its_way",
        "return.received", "return.checking", "return.accepted", "return.rejected", "return.bounced", "return.lost",
        "label.purchased", "label.voided", "alert.raised", "alert.cleared",
    }
)  # fmt: skip


def is_public(type: str) -> bool:
    """Whether a notice of this type may leave the house."""
    return type in TYPES


def is_wanted(type: str, events: Collection[str]) -> bool:
    """Whether an endpoint that asked for `events` (none: everything) hears this type."""
    return is_public(type) and (not events or type in events)


def is_heard(type: str, data: str, audience: Audience) -> bool:
    """Whether a notice about an alert is for this audience; every other notice is."""
    if not type.startswith("alert.") or audience == EVERYTHING:
        return True
    return audience.hears_notice(msgspec.json.decode(data))


def body(type: str, at_us: int, sequence: int, data: str) -> bytes:
    """The bytes of a notice, from its outbox row: the same row gives the same bytes, at every try.

    `sequence` counts the notices about one subject, so that a receiver can tell which is newer.
    """
    fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    numbered = {"sequence": sequence} | {name: value for name, value in fields.items() if name != "sequence"}
    return msgspec.json.encode({"type": type, "timestamp": text(from_us(at_us)), "data": numbered})
