"""The one table of what we answer: the router and the OpenAPI document are both made from it."""

import re
from dataclasses import dataclass
from typing import Any

from api import alerts, endpoints, follow, health, inbound, orders, parcels, returns
from api.cursors import Paged
from api.route import AnyRoute, Nothing, Reply, Route


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name in an address: what it may look like."""

    pattern: str
    description: str
    example: str

    def accepts(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None

    def documented(self) -> dict[str, Any]:
        return {
            "description": self.description,
            "schema": {"type": "string", "pattern": f"^{self.pattern}$"},
            "example": self.example,
        }


_NUMBER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ROW = r"[1-9][0-9]{0,17}"

PARAMETERS = {
    "merchant": Parameter(r"[a-z0-9][a-z0-9-]{0,62}", "A shop's name, as its terms are named", "boutique-eu"),
    "order_number": Parameter(_NUMBER, "The shop's own order number: letters, digits, dot, dash, underscore", "B-1001"),
    "return_number": Parameter(_NUMBER, "A return's number, as it was given when registered", "R7K2M9QX4T"),
    "carrier": Parameter(r"[a-z][a-z0-9_]{0,31}", "A carrier's name: ups, usps", "ups"),
    "number": Parameter(r"[A-Za-z0-9 -]{4,64}", "A tracking number", "1Z5338FF0107231059"),
    "alert_id": Parameter(_ROW, "An alert's id", "5"),
    "endpoint_id": Parameter(_ROW, "An endpoint's id", "1"),
}

_SHIP_ERRORS = (
    "order_not_found", "carrier_unknown", "number_impossible", "order_held", "order_cancelled", "parcel_items_differ",
    "nothing_left_to_ship", "item_not_in_order", "quantity_wrong", "tracking_number_taken",
)  # fmt: skip
_PUT_ERRORS = (
    "merchant_unknown", "order_empty", "item_twice", "quantity_wrong", "promise_wrong", "order_already_shipped",
    "item_already_shipped",
)  # fmt: skip
_RETURN_ERRORS = (
    "merchant_unknown", "order_not_found", "return_empty", "order_twice", "item_not_in_order", "item_not_shipped",
    "quantity_wrong", "address_erased", "never_returnable", "contact_us", "other_country", "return_window_over",
    "outcome_not_offered", "exchange_used_up", "label_not_paid", "own_courier_not_allowed", "carrier_unknown",
    "label_impossible", "label_refused", "spend_cap_return", "spend_cap_key", "spend_cap_hour", "unknown_purchases",
    "buying_stopped", "disk_full",
)  # fmt: skip
_NAMED_PARCEL = ("carrier_unknown", "number_impossible", "parcel_unknown")

ROUTES: tuple[AnyRoute, ...] = (
    # ---- orders
    Route(
        "put_order",
        "PUT",
        "/v1/orders/{merchant}/{order_number}",
        orders.register,
        "Register or update an order",
        "orders",
        {200: Reply("Updated.", orders.OrderOut), 201: Reply("Registered.", orders.OrderOut)},
        Nothing,
        orders.OrderIn,
        scope="orders:write",
        errors=_PUT_ERRORS,
        description="The whole order as it is now. What has shipped stays in it; an order service that is behind does "
        "not undo the shipping.",
    ),
    Route(
        "get_order",
        "GET",
        "/v1/orders/{merchant}/{order_number}",
        orders.show,
        "The order with its parcels, attempts, returns, and why",
        "orders",
        {200: Reply("The order.", orders.OrderOut)},
        Nothing,
        Nothing,
        scope="orders:read",
        errors=("order_not_found",),
    ),
    Route(
        "ship_parcel",
        "POST",
        "/v1/orders/{merchant}/{order_number}/parcels",
        orders.shipped,
        "It shipped: follow this parcel",
        "orders",
        {
            200: Reply("This parcel was registered before: nothing changed.", orders.OrderOut),
            201: Reply("Registered, and told by webhook.", orders.OrderOut),
        },
        Nothing,
        orders.ParcelIn,
        scope="orders:write",
        errors=_SHIP_ERRORS,
        idempotent=True,
        description="Exactly one `order.shipped` goes out per order, whatever is retried; a further parcel says "
        "`parcel.shipped`.",
    ),
    # ---- parcels
    Route(
        "list_parcels",
        "GET",
        "/v1/parcels",
        parcels.list_page,
        "Parcels, oldest first",
        "parcels",
        {200: Reply("A page.", parcels.ParcelsOut)},
        parcels.ParcelsQuery,
        Nothing,
        scope="parcels:read",
    ),
    Route(
        "get_parcel",
        "GET",
        "/v1/parcels/{carrier}/{number}",
        parcels.show,
        "The whole truth about a parcel, now or as it was known then",
        "parcels",
        {200: Reply("The parcel.", parcels.ParcelOut)},
        parcels.ParcelQuery,
        Nothing,
        scope="parcels:read",
        errors=_NAMED_PARCEL,
    ),
    Route(
        "refresh_parcel",
        "POST",
        "/v1/parcels/{carrier}/{number}/refresh",
        parcels.refresh,
        "Ask the carrier now, within its quota",
        "parcels",
        {200: Reply("The parcel, as the carrier tells it now.", parcels.ParcelOut)},
        Nothing,
        Nothing,
        scope="parcels:refresh",
        errors=(*_NAMED_PARCEL, "carrier_busy", "carrier_away", "carrier_refused"),
    ),
    # ---- returns
    Route(
        "make_return",
        "POST",
        "/v1/returns",
        returns.make,
        "Register a return for one or several orders; buys the label when the terms say so",
        "returns",
        {
            201: Reply("Registered, with its label where there is one.", returns.ReturnOut),
            202: Reply("Registered; whether the label was bought is still being settled.", returns.ReturnOut),
        },
        Nothing,
        returns.ReturnIn,
        scope="returns:write",
        errors=_RETURN_ERRORS,
        idempotent=True,
        description="A refusal names the shop's term that says so. With an Idempotency-Key the same return is "
        "registered once and its label bought once, whatever is retried or killed.",
    ),
    Route(
        "get_return",
        "GET",
        "/v1/returns/{return_number}",
        returns.show,
        "A return: state, label, parcel, clocks",
        "returns",
        {200: Reply("The return.", returns.ReturnOut)},
        Nothing,
        Nothing,
        scope="returns:read",
        errors=("return_not_found",),
    ),
    Route(
        "get_label",
        "GET",
        "/v1/returns/{return_number}/label",
        returns.label,
        "The label as it was bought, always the same bytes",
        "returns",
        {200: Reply("The document.", types=("application/pdf", "image/png", "image/gif", "application/zpl"))},
        returns.LabelQuery,
        Nothing,
        scope="labels:read",
        errors=("return_not_found", "label_unknown"),
    ),
    Route(
        "cancel_return",
        "POST",
        "/v1/returns/{return_number}/cancel",
        returns.give_up,
        "The customer keeps it: nothing is said, an unused label ends by itself",
        "returns",
        {200: Reply("Given up.", returns.ReturnOut)},
        Nothing,
        Nothing,
        scope="returns:write",
        errors=("return_not_found", "return_under_way"),
    ),
    # ---- what shoppers ask
    Route(
        "follow_order",
        "POST",
        "/v1/follow/order",
        follow.order,
        "An order's story as a shopper may hear it",
        "follow",
        {200: Reply("The story, in the language of Accept-Language.", follow.FollowOut)},
        Nothing,
        follow.FollowOrderIn,
        errors=("lookup_refused",),
        description="Unknown number, wrong proof and locked are one answer. Failures are counted by number, by network "
        "and in all.",
    ),
    Route(
        "follow_return",
        "POST",
        "/v1/follow/return",
        follow.return_,
        "A return's story as a shopper may hear it",
        "follow",
        {200: Reply("The story, in the language of Accept-Language.", follow.FollowOut)},
        Nothing,
        follow.FollowReturnIn,
        errors=("lookup_refused",),
    ),
    # ---- what ops see
    Route(
        "list_alerts",
        "GET",
        "/v1/alerts",
        alerts.list_page,
        "Open alerts, newest first",
        "alerts",
        {200: Reply("A page.", alerts.AlertsOut)},
        Paged,
        Nothing,
        scope="ops",
    ),
    Route(
        "ack_alert",
        "POST",
        "/v1/alerts/{alert_id}/ack",
        alerts.ack,
        "Somebody has seen it",
        "alerts",
        {200: Reply("Acknowledged; the first name stays.", alerts.AlertOut)},
        Nothing,
        alerts.AckIn,
        scope="ops",
        errors=("alert_unknown",),
    ),
    # ---- webhooks out
    Route(
        "list_endpoints",
        "GET",
        "/v1/endpoints",
        endpoints.list_all,
        "Where notices go",
        "webhook endpoints",
        {200: Reply("Every endpoint.", endpoints.EndpointsOut)},
        Nothing,
        Nothing,
        scope="webhooks:admin",
    ),
    Route(
        "make_endpoint",
        "POST",
        "/v1/endpoints",
        endpoints.make,
        "Have notices sent to a URL",
        "webhook endpoints",
        {201: Reply("Made. The secret is shown this once.", endpoints.EndpointMade)},
        Nothing,
        endpoints.EndpointIn,
        scope="webhooks:admin",
        errors=("endpoint_exists",),
        idempotent=True,
    ),
    Route(
        "remove_endpoint",
        "DELETE",
        "/v1/endpoints/{endpoint_id}",
        endpoints.remove,
        "Send no more to an endpoint, and forget what is owed to it",
        "webhook endpoints",
        {204: Reply("Gone.")},
        Nothing,
        Nothing,
        scope="webhooks:admin",
        errors=("endpoint_unknown",),
    ),
    Route(
        "rotate_secret",
        "POST",
        "/v1/endpoints/{endpoint_id}/rotate",
        endpoints.rotate,
        "A new secret; for 24 hours the old one signs too",
        "webhook endpoints",
        {200: Reply("Rotated. The new secret is shown this once.", endpoints.EndpointMade)},
        Nothing,
        Nothing,
        scope="webhooks:admin",
        errors=("endpoint_unknown",),
    ),
    Route(
        "disable_endpoint",
        "POST",
        "/v1/endpoints/{endpoint_id}/disable",
        endpoints.pause,
        "Send nothing for now: what is owed is held",
        "webhook endpoints",
        {200: Reply("Disabled.", endpoints.EndpointOut)},
        Nothing,
        Nothing,
        scope="webhooks:admin",
        errors=("endpoint_unknown",),
    ),
    Route(
        "resume_endpoint",
        "POST",
        "/v1/endpoints/{endpoint_id}/resume",
        endpoints.go_on,
        "Send again: everything that was held goes out at once",
        "webhook endpoints",
        {200: Reply("Active.", endpoints.EndpointOut)},
        Nothing,
        Nothing,
        scope="webhooks:admin",
        errors=("endpoint_unknown",),
    ),
    Route(
        "replay_endpoint",
        "POST",
        "/v1/endpoints/{endpoint_id}/replay",
        endpoints.again,
        "Send again what was said since an instant, or one notice",
        "webhook endpoints",
        {200: Reply("They are due now, under the same ids and with the same bytes.", endpoints.ReplayOut)},
        Nothing,
        endpoints.ReplayIn,
        scope="webhooks:admin",
        errors=("endpoint_unknown", "notice_unknown"),
    ),
    Route(
        "list_deliveries",
        "GET",
        "/v1/deliveries",
        endpoints.deliveries,
        "Notices owed, and every try, newest first",
        "webhook endpoints",
        {200: Reply("A page.", endpoints.DeliveriesOut)},
        endpoints.DeliveriesQuery,
        Nothing,
        scope="webhooks:admin",
    ),
    # ---- webhooks in
    Route(
        "take_push",
        "POST",
        "/webhooks/{carrier}",
        inbound.push,
        "What a carrier posts to us",
        "carriers",
        {200: Reply("The bytes are kept; they are read later.", inbound.TakenOut)},
        Nothing,
        Nothing,
        errors=("push_refused", "carrier_unknown"),
        raw=True,
        description="Verified as each carrier does it, in constant time. The body is the carrier's own.",
    ),
    # ---- how we are
    Route(
        "healthz",
        "GET",
        "/healthz",
        health.healthz,
        "The process answers",
        "health",
        {200: Reply("It does.", health.HealthOut)},
        Nothing,
        Nothing,
    ),
    Route(
        "readyz",
        "GET",
        "/readyz",
        health.readyz,
        "It can do its work",
        "health",
        {200: Reply("It can.", health.ReadyOut)},
        Nothing,
        Nothing,
        errors=("not_ready",),
    ),
    Route(
        "metrics",
        "GET",
        "/metrics",
        health.metrics,
        "Figures for Prometheus",
        "health",
        {200: Reply("Prometheus' text format.", types=("text/plain",))},
        Nothing,
        Nothing,
    ),
)
