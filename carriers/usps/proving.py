"""What `homeward doctor` asks of USPS: one harmless call per product, and what exactly is missing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carriers.contract import Busy, CarrierError, Check, NotFound, Refused
from carriers.door import Door, TokenKeeper
from carriers.usps import auth, faults, handling, labels, places, push, shipment, tracking

# In the form of a label of nobody: whatever USPS says of it, asking proves credentials and product.
HARMLESS_NUMBER = "9400111206206406260787"
SOMEWHERE = {"streetAddress": "475 Lenfant Plz SW", "city": "Washington", "state": "DC", "ZIPCode": "20260"}
PORTAL = "under My Apps in the USPS developer portal (https://developers.usps.com)"
NOT_ALLOWED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Product:
    """An API the app needs a scope for, what we need it for, and a call to it that costs and changes nothing."""

    name: str
    scope: str
    needed: str
    method: str
    path: str
    api: str
    request: Mapping[str, Any] = field(default_factory=dict)
    pays: bool = False  # the call must carry the payment authorization


PRODUCTS = (
    Product(
        "Tracking", "tracking", "to follow parcels", "POST", tracking.PATH, tracking.API,
        {"json": [{"trackingNumber": HARMLESS_NUMBER}]},
    ),
    # A label that is nobody's cannot be printed: the refusal says that the product is there.
    Product(
        "Labels", "labels", "to buy and cancel labels", "POST", f"{shipment.REPRINT}/{HARMLESS_NUMBER}", labels.API,
        {"json": {"imageInfo": {"imageType": "PDF", "labelType": shipment.LABEL_SIZE}}}, pays=True,
    ),
    Product(
        "Carrier Pickup", "pickup", "to collect returns", "GET", f"{handling.PICKUPS}/eligibility", handling.API,
        {"params": SOMEWHERE},
    ),
    Product(
        "Addresses", "addresses", "to check addresses before a label", "GET", places.ADDRESS_PATH, places.ADDRESSES,
        {"params": SOMEWHERE},
    ),
    Product(
        "Locations", "locations", "to show post offices", "GET", places.OFFICES_PATH, places.LOCATIONS,
        {"params": {"ZIPCode": SOMEWHERE["ZIPCode"], "limit": 1}},
    ),
)  # fmt: skip
SCOPES = {product.scope: product.needed for product in PRODUCTS} | {
    "payments": "to pay for labels",
    "subscriptions-tracking": "to be told by push",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the doctor looks at."""

    door: Door
    payment: TokenKeeper
    pushes: push.Pushes
    listener: push.Listener | None
    account: str


async def proven(parts: Parts) -> list[Check]:
    """Credentials first; without a token no product can be asked."""
    try:
        token = await parts.door.keeper.get()
    except CarrierError as error:
        return [Check("USPS credentials", False, str(error))]
    missing = auth.lacking(token.scopes, SCOPES) if token.scopes else []
    checks = [
        Check("USPS credentials", True, f"a token was given by {parts.door.http.base_url.host}"),
        Check("USPS scopes", not missing, _lacking(missing) if missing else "every scope is granted"),
        await _checked("USPS payment", lambda: _paying(parts)),
        await _checked("USPS account", lambda: _account(parts)),
    ]
    for product in PRODUCTS:
        checks.append(await _asked(parts, product, product.scope in missing))
    return [*checks, await _checked("USPS pushes", lambda: _pushing(parts))]


def _lacking(missing: list[str]) -> str:
    return f"missing: {', '.join(f'{scope} ({SCOPES[scope]})' for scope in missing)}; ask for them {PORTAL}"


async def _checked(name: str, ask: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await ask()
    except Busy as error:
        return Check(name, False, f"not asked: {error}; run doctor again in a while")
    except CarrierError as error:
        return Check(name, False, str(error))


async def _paying(parts: Parts) -> Check:
    await parts.payment.get()
    return Check(
        "USPS payment",
        True,
        "payment is authorized; whether the CRID is enrolled in USPS Ship Returns only a label tells (160304)",
    )


async def _account(parts: Parts) -> Check:
    """Whether the account that pays is there and holds enough for a label."""
    if not parts.account:
        return Check("USPS account", False, "USPS_EPS_ACCOUNT is empty, so no label can be bought: set it")
    query = {"accountType": "EPS", "amount": 25}
    response = await parts.door.ask("GET", f"{auth.ACCOUNT_PATH}/{parts.account}", api=auth.PAYMENTS, params=query)
    enough = b'"sufficientFunds":false' not in response.content.replace(b" ", b"")
    detail = "it has funds" if enough else "it holds less than 25 USD: add funds in the Business Customer Gateway"
    return Check("USPS account", enough, detail)


async def _asked(parts: Parts, product: Product, lacks_scope: bool) -> Check:
    name = f"USPS {product.name}"
    try:
        headers = {labels.PAYMENT: (await parts.payment.get()).value} if product.pays else {}
        response = await parts.door.once(
            product.method, product.path, api=product.api, headers=headers, **product.request
        )
    except Busy as error:
        return Check(name, False, f"not asked: {error}; run doctor again in a while")
    except CarrierError as error:
        return Check(name, False, f"not asked: {error}")
    status, said = response.status_code, faults.complaint(response.content)
    if response.is_success:
        return Check(name, True, "it answers")
    words = f"USPS answered {status}: {said or 'without a reason'}"
    if status in NOT_ALLOWED:
        scope = "" if not lacks_scope else f", whose scope {product.scope} is missing"
        return Check(name, False, f"{words}: add the product {product.name}{scope} ({product.needed}) {PORTAL}")
    if status == 429 or status >= 500:
        return Check(name, False, f"{words}: run doctor again in a while")
    if said is None:
        return Check(name, False, f"{words}: nothing of USPS's answers at {product.path}")
    # It was asked nonsense and said so: it is there.
    return Check(name, True, "it answers")


async def _pushing(parts: Parts) -> Check:
    """Every state of every subscription of our Mailer ID that posts to us."""
    if parts.listener is None:
        needed = "USPS_LISTENER_URL, USPS_PUSH_SECRETS, USPS_ADMIN_EMAIL and USPS_MID"
        return Check("USPS pushes", False, f"not set up, parcels are followed by asking: set {needed}")
    try:
        held = await parts.pushes.list(parts.listener.mid)
    except NotFound:
        held = []
    except Refused as error:
        add = f"add the product Subscriptions - Tracking ({SCOPES['subscriptions-tracking']}) {PORTAL}"
        return Check("USPS pushes", False, f"{error}: {add}")
    mine = [one for one in held if one.get("listenerURL") == parts.listener.url]
    if not mine:
        return Check("USPS pushes", True, "no subscription yet: it is made when the service runs")
    states = ", ".join(f"{one.get('status')} {one.get('statusReason') or ''}".strip() for one in mine)
    return Check("USPS pushes", any(one.get("status") == push.ENABLED for one in mine), states)
