"""What `homeward doctor` asks of UPS: one harmless call per product, and what exactly is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from carriers.contract import Address, Busy, CarrierError, Check
from carriers.door import Door
from carriers.ups import handling, places, push, shipment
from carriers.ups.calls import encoded, headers
from carriers.ups.faults import complaint

# A number in UPS's own samples: whatever is known of it, asking proves credentials and product.
HARMLESS_NUMBER = "1Z999AA10123456784"
SOMEWHERE = Address("Doctor", ("1 Main St",), "New York", "10001", "US", "NY")
# What UPS says to a token it does not take, and to an app without the product.  # source: facts/ups.md 1
NOT_ADDED = frozenset({"250002", "250003", "251004", "UJ0001"})
NOT_ALLOWED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the app at developer.ups.com, what we need it for, and a call to it that changes nothing."""

    name: str
    needed: str
    method: str
    path: str
    api: str
    headers: Mapping[str, str] = field(default_factory=headers)
    body: Mapping[str, Any] | None = None


def products(account: str, country: str) -> tuple[Product, ...]:
    """Every product an account of this country can use.

    A refusal of the harmless content is as good as an answer: the product is there.
    """
    nobody = {"locale": "en_US", "countryCode": "US", "trackingNumberList": []}  # refused: it follows nothing
    label = shipment.by_reference("HOMEWARD-DOCTOR", account)
    every = (
        Product("Tracking", "to follow parcels", "GET", f"/api/track/v1/details/{HARMLESS_NUMBER}", "tracking"),
        Product("Track Alert", "to be told by push", "POST", push.PATH, push.API, body=nobody),
        Product("Shipping", "to buy, find and void labels", "POST", RECOVERY, "labels", body=label),
        Product(
            "Delivery Intercept", "to turn parcels round", "GET",
            f"{handling.INTERCEPTS}/eligibility/intercept/{HARMLESS_NUMBER}", handling.INTERCEPT,
            handling.intercept_headers(),
        ),
        Product(
            "Pickup", "to collect returns", "GET", handling.PENDING, handling.PICKUP,
            {**headers(), "AccountNumber": account},
        ),
        Product(
            "Locator", "to show access points", "POST", places.ACCESS_POINTS, places.LOCATOR,
            body=places.search(SOMEWHERE, 1),
        ),
        Product(
            "Address Validation", "to check US addresses", "POST", places.VALIDATE, places.VALIDATION,
            body=places.validation(SOMEWHERE),
        ),
    )  # fmt: skip
    left_out = (set() if country in handling.INTERCEPT_COUNTRIES else {handling.INTERCEPT}) | (
        set() if country in shipment.IN_POUNDS else {places.VALIDATION}
    )
    return tuple(product for product in every if product.api not in left_out)


RECOVERY = "/api/labels/v1/recovery"


async def proven(door: Door, account: str, country: str, push_secrets: Sequence[str], has_contact: bool) -> list[Check]:
    """Credentials first; without a token no product can be asked."""
    checks = [Check("push secrets", bool(push_secrets), _PUSHES[bool(push_secrets)])]
    if country in handling.INTERCEPT_COUNTRIES:
        checks.append(Check("intercept contact", has_contact, _CONTACT[has_contact]))
    try:
        await door.keeper.get()
    except CarrierError as error:
        return [*checks, Check("credentials", False, str(error))]
    checks.append(Check("credentials", True, f"a token was given by {door.http.base_url.host}"))
    return [*checks, *[await _asked(door, product) for product in products(account, country)]]


async def _asked(door: Door, product: Product) -> Check:
    content = None if product.body is None else encoded(product.body)
    try:
        response = await door.once(
            product.method, product.path, api=product.api, headers=product.headers, content=content
        )
    except Busy as error:
        return Check(product.name, False, f"not asked: {error}; run doctor again in a while")
    except CarrierError as error:
        return Check(product.name, False, str(error))
    code, words = complaint(response)
    said = f"{response.status_code} {code} {words}".strip()
    if response.status_code in NOT_ALLOWED and (code in NOT_ADDED or response.status_code == 403):
        add = f"add the product {product.name} to the app at developer.ups.com ({product.needed})"
        return Check(product.name, False, f"UPS answered {said}: {add}")
    if response.status_code == 404 and product.method == "POST":
        return Check(product.name, False, f"UPS answered {said}: nothing answers at {product.path}")
    if response.status_code == 429 or response.status_code >= 500:
        return Check(product.name, False, f"UPS answered {said}: run doctor again in a while")
    return Check(product.name, True, "it answers")


_PUSHES = {
    True: "pushes can be proven",
    False: "UPS_PUSH_SECRETS is empty, so every push is dropped: set what developer.ups.com/update-webhook was given",
}
_CONTACT = {
    True: "UPS knows whom to call back",
    False: "UPS_CONTACT_PHONE is empty, so no parcel can be turned round: set it and UPS_CONTACT_NAME",
}
