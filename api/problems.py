"""Every error a caller can get: its code, its status and its title, written as problem+json (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

CONTENT_TYPE = "application/problem+json"


class Sort(NamedTuple):
    """What a code means: the HTTP status, and the title that never changes."""

    status: int
    title: str


CODES: Mapping[str, Sort] = {
    # the request itself
    "malformed_json": Sort(400, "The body is not JSON that can be accepted"),
    "invalid_query": Sort(400, "A query parameter is not as documented"),
    "invalid_cursor": Sort(400, "The cursor is not one that this list gave out"),
    "invalid_idempotency_key": Sort(400, "The Idempotency-Key is not 1 to 200 visible ASCII characters"),
    "invalid_path": Sort(400, "A name in the address is not as documented"),
    "bad_request": Sort(400, "The request cannot be understood"),
    "unauthorized": Sort(401, "An API key is needed"),
    "token_call_expected": Sort(400, "This is not a call for a token"),
    "push_refused": Sort(401, "The push did not prove that it is the carrier's"),
    "missing_scope": Sort(403, "The API key may not do this"),
    "unknown_route": Sort(404, "Nothing answers at this address"),
    "method_not_allowed": Sort(405, "This address does not answer to that method"),
    "too_slow": Sort(408, "The body did not arrive in time"),
    "body_too_large": Sort(413, "The body is larger than this address accepts"),
    "unsupported_media_type": Sort(415, "The body has to be application/json, without Content-Encoding"),
    "invalid_body": Sort(422, "The body is not as documented"),
    # asking twice
    "idempotency_key_reused": Sort(422, "This Idempotency-Key was used with another body"),
    "idempotency_running": Sort(409, "The first request with this Idempotency-Key is still running"),
    "rate_limited": Sort(429, "This key calls too often: wait"),
    # what is asked for
    "merchant_unknown": Sort(404, "No shop of this name has terms here"),
    "carrier_unknown": Sort(404, "No carrier of this name is connected"),
    "order_not_found": Sort(404, "No such order"),
    "return_not_found": Sort(404, "No such return"),
    "parcel_unknown": Sort(404, "No such parcel"),
    "label_unknown": Sort(404, "There is no label in this format"),
    "parcel_label_unknown": Sort(404, "There is no such label of a parcel that leaves the warehouse"),
    "alert_unknown": Sort(404, "No such alert"),
    "unidentified_unknown": Sort(404, "No such unidentified parcel"),
    "unidentified_decided": Sort(409, "It was decided about before"),
    "owner_unclear": Sort(422, "Whose it is has to be one return or one parcel"),
    "box_empty": Sort(422, "There is nothing to go by"),
    "number_known": Sort(409, "The number is a parcel's that is followed"),
    "number_decided": Sort(409, "The number was decided about before"),
    "not_a_parcel_home": Sort(422, "This parcel does not come home by itself"),
    "mute_unknown": Sort(404, "No such mute holds"),
    "channel_unknown": Sort(422, "No channel has this name"),
    "endpoint_unknown": Sort(404, "No such endpoint"),
    "link_unknown": Sort(404, "No such link"),
    "notice_unknown": Sort(422, "No such notice"),
    "endpoint_exists": Sort(409, "This URL is an endpoint already"),
    "lookup_refused": Sort(404, "Nothing is found for these details"),
    "number_impossible": Sort(422, "This cannot be a tracking number of that carrier"),
    # what an order's own state does not allow
    "order_empty": Sort(422, "An order has at least one item"),
    "item_twice": Sort(422, "An item is listed twice"),
    "item_not_in_order": Sort(422, "The order has no such item"),
    "quantity_wrong": Sort(422, "The quantity is not possible"),
    "promise_wrong": Sort(422, "The promised window is not possible"),
    "nothing_left_to_ship": Sort(409, "Every item of the order has shipped"),
    "order_already_shipped": Sort(409, "The order has shipped"),
    "item_already_shipped": Sort(409, "The item has shipped"),
    "order_held": Sort(409, "The order is held until its shipping is paid"),
    "order_cancelled": Sort(409, "The order was cancelled"),
    "parcel_items_differ": Sort(409, "The parcel was registered with other items"),
    "tracking_number_taken": Sort(409, "The tracking number is another parcel's"),
    # what a return's terms do not allow: `term` names the one that says so
    "return_empty": Sort(422, "A return has at least one order with at least one item"),
    "order_twice": Sort(422, "An order is listed twice"),
    "item_not_shipped": Sort(422, "The item is not with the customer"),
    "address_erased": Sort(422, "The order's address was erased"),
    "never_returnable": Sort(422, "The item never comes back"),
    "contact_us": Sort(422, "The item comes back only after contact with the shop"),
    "other_country": Sort(422, "A return does not ship from this country"),
    "return_window_over": Sort(422, "It is too late"),
    "outcome_not_offered": Sort(422, "The shop does not offer this outcome"),
    "exchange_used_up": Sort(422, "The item was exchanged before"),
    "label_not_paid": Sort(422, "The shop does not pay for this label"),
    "own_courier_not_allowed": Sort(422, "The shop takes no other courier"),
    "address_unclear": Sort(422, "The carrier cannot tell which address is meant"),
    "address_unknown": Sort(422, "The carrier does not know the address"),
    "nothing_billed": Sort(409, "Nothing that we paid for travels under this number"),
    "surcharge_differs": Sort(409, "The surcharge was told with another amount"),
    "pickup_impossible": Sort(422, "Nothing can be collected then"),
    "pickup_refused": Sort(422, "The carrier does not collect it"),
    "pickup_booked": Sort(409, "A collection is booked for another day"),
    "pickup_unknown": Sort(404, "No collection was asked for"),
    "pickup_over": Sort(409, "The collection cannot be called off any more"),
    "mail_not_set_up": Sort(409, "No mail server is set up"),
    "email_needed": Sort(422, "An e-mail address is needed"),
    "label_impossible": Sort(422, "The carrier makes no such label"),
    "label_refused": Sort(422, "The carrier refused the label"),
    "return_cancelled": Sort(409, "The return was given up"),
    "label_pending": Sort(409, "The label is still being settled"),
    "waybill_instead": Sort(422, "The shop gives waybill instructions for a lost label"),
    "waybill_not_offered": Sort(422, "The shop gives no waybill instructions"),
    "waybill_unknown": Sort(404, "No waybill instructions were given for this return"),
    "return_under_way": Sort(409, "The return is under way"),
    # what a return's own state does not allow
    "return_not_received": Sort(409, "The return was not received yet"),
    "return_not_decided": Sort(409, "Nothing was decided about the return yet"),
    "outcome_decided": Sort(409, "The return was decided otherwise"),
    "outcome_incomplete": Sort(422, "Not every piece of the return is decided"),
    "item_not_in_return": Sort(422, "The return has no such item"),
    "nothing_owed": Sort(409, "Nothing of the return was accepted"),
    "refund_known": Sort(409, "The return was refunded under another reference or amount"),
    "courier_prepaid": Sort(409, "The return travels with the shop's label"),
    "instant_ahead": Sort(422, "The instant lies ahead"),
    "parcel_of_return": Sort(409, "The parcel is a customer's return"),
    # what stops buying for now, whoever asks
    "spend_cap_return": Sort(422, "The return has cost as much as one may"),
    "spend_cap_key": Sort(429, "The API key has spent what it may in an hour"),
    "spend_cap_hour": Sort(503, "As much was spent as may be in an hour"),
    "unknown_purchases": Sort(503, "Too many purchases are unknown"),
    "buying_stopped": Sort(503, "Buying was stopped by a person"),
    "disk_full": Sort(503, "There is no room to keep what would be bought"),
    # what stands behind us
    "carrier_busy": Sort(429, "The quota at the carrier is used up: wait"),
    "carrier_refused": Sort(502, "The carrier refused the question"),
    "carrier_away": Sort(503, "The carrier does not answer"),
    "not_ready": Sort(503, "The service is not ready"),
    "internal": Sort(500, "Something broke on our side"),
}


# What a "no such ..." code is about: it is a 404 where the address names that, else the body is what is wrong.
_NAMED_IN_ADDRESS = {
    "merchant_unknown": "merchant",
    "carrier_unknown": "carrier",
    "order_not_found": "order_number",
    "return_not_found": "return_number",
    "parcel_unknown": "number",
    "label_unknown": "return_number",
}


def status_of(code: str, parameters: Sequence[str]) -> int:
    """The status of a code at an address with these names in it."""
    named = _NAMED_IN_ADDRESS.get(code)
    return CODES[code].status if named is None or named in parameters else 422


@dataclass(slots=True)
class Problem(Exception):
    """An error on its way to the caller. `pointer` is a JSON Pointer into the body, `errors` are further findings,
    `term` the shop's term that says so, `instead` what can be done: a word and a sentence each.

    A code that is not in CODES (a term that refused a return names itself) brings its own `status` and `title`.
    """

    code: str
    detail: str = ""
    pointer: str | None = None
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    term: str = ""
    instead: Sequence[Mapping[str, str]] = ()
    status: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        sort = CODES.get(self.code)
        self.status = self.status or (sort.status if sort else 422)
        self.title = self.title or (sort.title if sort else self.code.replace("_", " ").capitalize())

    def body(self, request_id: str) -> bytes:
        """The problem document."""
        document: dict[str, object] = {
            "type": f"/docs#problem-{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail or self.title,
            "code": self.code,
            "request_id": request_id,
        }
        if self.pointer is not None:
            document["pointer"] = self.pointer
        if self.term:
            document["term"] = self.term
        if self.instead:
            document["instead"] = [dict(each) for each in self.instead]
        if self.errors:
            document["errors"] = list(self.errors)
        return json.dumps(document, ensure_ascii=False).encode()
