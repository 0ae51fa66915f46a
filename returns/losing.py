"""Whether a return that is lost is the shop's loss or the customer's, and what proves it. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from carriers.contract import Kind
from merchants.terms import Payer, Terms
from returns.forms import Loss, Teller

_PROVES_NOTHING = frozenset({Kind.LABEL_CREATED, Kind.VOIDED, Kind.LOST, Kind.EXCEPTION, Kind.UNKNOWN})
"""What a carrier can say of a parcel that it never had in its hands."""


def loss_of(
    terms: Terms, number: str, view: Mapping[str, Any], own_labels: Collection[str], teller: Teller, since: datetime
) -> Loss:
    """Who bears it. The shop guarantees what travelled with its own label, proved by a scan of that number.

    `view` is the parcel's conclusion, `own_labels` the numbers of the labels the shop bought for this return.
    source: policies 39, 44, 49
    """
    handled = next((event for event in view.get("events", ()) if event["kind"] not in _PROVES_NOTHING), None)
    proven = number in own_labels and handled is not None
    term = "loss.own_label" if proven else "loss.other"
    bearer = terms.loss.own_label if proven else terms.loss.other
    return Loss(
        teller=teller,
        since=since,
        guaranteed=bearer is Payer.SHOP,
        bearer=bearer,
        term=term,
        number=number,
        accepted_at=datetime.fromisoformat(handled["at"]) if handled else None,
        scan=str(handled["id"]) if handled else "",
        because=_because(terms, number, proven, number in own_labels, bearer, teller),
    )


def _because(terms: Terms, number: str, proven: bool, is_ours: bool, bearer: Payer, teller: Teller) -> str:
    said = {
        Teller.SILENCE: f"no scan came for {terms.loss.silent_days} days",
        Teller.CARRIER: "the carrier says that it is lost",
    }[teller]
    label = (
        f"the shop's own label {number} was scanned by the carrier"
        if proven
        else f"no scan proves that the shop's label {number} was handed over"
        if is_ours
        else f"{number} is no label of the shop's"
    )
    who = "the shop guarantees the refund" if bearer is Payer.SHOP else "the loss is the customer's"
    return f"{said}; {label}: {who}"
