"""USPS's doors: access tokens with scopes, and the payment token that every label needs."""

import re
import time
from decimal import Decimal, InvalidOperation

from aiohttp import web

from carriers.usps.standin.answers import No, answer, error, object_of, refusal
from carriers.usps.standin.town import Handler, Json, Route, Tokens, Town

# source: facts/usps.md 1.1: scope names vary between the spec and live tokens.
SYNONYMS = {
    "subscriptions-tracking": {"subscriptions-tracking", "subscriptions"},
    "carrier-pickup": {"carrier-pickup", "pickup"},
}
TOKEN_SECONDS, PAYMENT_SECONDS = 28799, 8 * 3600  # source: facts/usps.md 1.1, 1.2
FUNDS = Decimal("1000")  # what every account on the street holds
# role -> (what it must have, the code when it lacks it). source: facts/usps.md 1.2
ROLES = {
    "PAYER": {"CRID": "160219", "accountType": "160221"},
    "LABEL_OWNER": {"CRID": "160219", "MID": "160222", "manifestMID": "160223"},
    "RATE_HOLDER": {"CRID": "160219", "accountType": "160221"},
}
ACCOUNT_TYPES = {"EPS", "PERMIT", "METER", "OMAS"}


class Doors:
    """`starving`: the next token opens nothing."""

    def __init__(self, town: Town, tokens: Tokens) -> None:
        self.town, self.tokens, self.starving = town, tokens, False

    def routes(self) -> list[Route]:
        return [
            ("POST", "/payments/v3/payment-authorization", "payment", "payments", self.payment),
            ("GET", "/payments/v3/payment-account/{number}", "payment_account", "payments", self.account),
        ]

    def guarded(self, scope: str, handler: Handler) -> Handler:
        """A token with the scope first, then refusals in USPS's envelope. Source: facts/usps.md 1.1, 8."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            api = "/".join(request.path.removeprefix("/usps").split("/")[:3])
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            granted = self.tokens.scope(token)
            if granted is None:
                return answer(error(api, 401, ""), 401, {"WWW-Authenticate": "Bearer"})
            if not SYNONYMS.get(scope, {scope}) & set(granted.split()):
                # source: facts/usps.md 1.1: here `source` is text, not an object.
                wrong = {
                    "status": "401",
                    "title": "invalid_oauth_scope",
                    "detail": "Insufficient OAuth scope.",
                    "source": "Access Token",
                }
                return answer(error(api, 401, "Insufficient OAuth scope.", wrong), 401, {"WWW-Authenticate": "Bearer"})
            try:
                return await handler(request)
            except No as no:
                return refusal(api, no)

        return guarded

    async def token(self, request: web.Request) -> web.Response:
        try:
            asked = await request.json() if request.content_type == "application/json" else dict(await request.post())
        except ValueError:
            asked = {}
        if not isinstance(asked, dict) or set(asked) - {"grant_type", "client_id", "client_secret", "scope"}:
            return answer({"error": "invalid_request", "error_description": "Unknown property"}, 400)
        if asked.get("grant_type") != "client_credentials":
            return answer({"error": "unsupported_grant_type", "error_description": "Only client_credentials"}, 400)
        settings = self.town.settings
        owner, secret = str(asked.get("client_id", "")), str(asked.get("client_secret", ""))
        expected = (settings.usps_client_id or owner, settings.usps_client_secret or secret)
        if not owner or not secret or (owner, secret) != expected:
            return answer({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
        wanted = str(asked.get("scope") or settings.usps_scopes).split()
        # source: facts/usps.md 1.1: an ungranted scope still gives 200, with an empty scope.
        scope = "" if self.starving else " ".join(each for each in wanted if each in settings.usps_scopes.split())
        self.starving = False
        seconds = int(settings.token_seconds or TOKEN_SECONDS)
        return answer(
            {
                "access_token": self.tokens.mint(owner, scope, seconds),
                "token_type": "Bearer",
                "issued_at": int(time.time() * 1000),
                "expires_in": seconds,
                "status": "approved",
                "scope": scope,
                "issuer": "https://keyc.usps.com/realms/USPS",
                "client_id": owner,
                "application_name": "street",
                "api_products": "[Shipping Suite]",
            }
        )

    async def payment(self, request: web.Request) -> web.Response:
        roles = object_of(await request.text()).get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, dict) for role in roles):
            raise No("roles is required", code="160218")
        names = [role.get("roleName") for role in roles]
        for name, code in (("PAYER", "160228"), ("LABEL_OWNER", "160229")):  # source: facts/usps.md 1.2
            if name not in names:
                raise No(f"{name} is missing", code=code)
        if len(set(names)) < len(names):
            raise No("Duplicate role", code="160227")
        for role in roles:
            _check_role(role)
        mid = str(roles[names.index("LABEL_OWNER")]["MID"])
        seconds = self.town.settings.token_seconds or PAYMENT_SECONDS
        return answer({"paymentAuthorizationToken": self.tokens.mint(mid, "payment", seconds), "roles": roles})

    async def account(self, request: web.Request) -> web.Response:
        """Source: facts/usps.md 1.2: sufficientFunds only when an amount is named."""
        number, kind = request.match_info["number"], request.query.get("accountType", "")
        if kind not in {"EPS", "PERMIT"} or (kind == "PERMIT" and "permitZIPCode" not in request.query):
            raise No("accountType is EPS, or PERMIT with a permitZIPCode", code="160215")
        if not re.fullmatch(r"\d{6,10}", number):
            raise No("The account was not found", status=404, code="100001", title="Not Found")
        told: Json = {"accountType": kind, "accountNumber": number, "nonProfitStatus": False}
        if "amount" in request.query:
            try:
                told["sufficientFunds"] = Decimal(request.query["amount"]) <= FUNDS
            except InvalidOperation as wrong:
                raise No("amount is a number") from wrong
        return answer(told)

    def payer(self, request: web.Request) -> str:
        """The MID for which the payment token in the header was given."""
        token = request.headers.get("X-Payment-Authorization-Token", "")
        if self.tokens.scope(token) != "payment":
            raise No("The payment authorization token is missing, invalid or expired", status=401, title="Unauthorized")
        return self.tokens.owner(token)


def _check_role(role: Json) -> None:
    """Source: facts/usps.md 1.2."""
    name = str(role.get("roleName"))
    for key, code in ROLES.get(name, {"CRID": "160219"}).items():
        if not role.get(key):
            raise No(f"The {name} needs {key}", code=code)
    if not re.fullmatch(r".{2,18}", str(role["CRID"])):
        raise No("A CRID has 2 to 18 signs", code="160219")
    if "accountType" in role and role["accountType"] not in ACCOUNT_TYPES:
        raise No("Unknown account type", code="160221")
    if role.get("accountType") == "EPS" and not role.get("accountNumber"):
        raise No(f"The {name} needs an account number", code="160224")
    for key in ("MID", "manifestMID"):
        if key in role and not re.fullmatch(r"\d{6}|\d{9}", str(role[key])):
            raise No(f"{key}: 6 or 9 digits", code="160222")
