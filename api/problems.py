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
    "alert_unknown": Sort(404, "No such alert"),
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
    "label_impossible": Sort(422, "The carrier makes no such label"),
    "label_refused": Sort(422, "The carrier refused the label"),
    "return_under_way": Sort(409, "The return is under way"),
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
    `term` the shop's term that says so.

    A code that is not in CODES (a term that refused a return names itself) brings its own `status` and `title`.
    """

    code: str
    detail: str = ""
    pointer: str | None = None
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    term: str = ""
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
        if self.errors:
            document["errors"] = list(self.errors)
        return json.dumps(document, ensure_ascii=False).encode()
