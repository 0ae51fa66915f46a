"""Gets and renews what a USPS call must carry: the OAuth token, and the payment authorization for labels."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from carriers.contract import Away, Busy, Refused, Unreadable
from carriers.door import Budget, Door, Token, retry_after
from carriers.usps import faults, shapes

TOKEN_PATH = "/oauth2/v3/token"  # noqa: S105 (a path)
PAYMENTS = "payments"  # the API's name in budgets
PAYMENT_PATH, ACCOUNT_PATH = "/payments/v3/payment-authorization", "/payments/v3/payment-account"

# The spec and live tokens name the same scope differently.  # source: facts/usps.md 1.1
SYNONYMS = {
    "tracking": {"tracking"},
    "labels": {"labels"},
    "payments": {"payments"},
    "subscriptions-tracking": {"subscriptions-tracking", "subscriptions"},
    "pickup": {"pickup", "carrier-pickup"},
    "addresses": {"addresses"},
    "locations": {"locations"},
}
NO_SCOPE = (
    "USPS gave a token without any scope: the app is not approved for the APIs it asks for. Open My Apps in the USPS "
    "developer portal and request tracking, labels, payments and subscriptions-tracking"
)
# source: facts/usps.md 1.1: refresh when less than ten minutes are left; 1.2: a payment token lives 8 hours, renew at 7
MARGIN, PAYMENT_LIFE = 600.0, 7 * 3600.0


def lacking(scopes: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Which of the wanted scopes a token does not have, under any of their names."""
    held = set(scopes)
    return [scope for scope in wanted if not SYNONYMS.get(scope, {scope}) & held]


class TokenDesk:
    """Where OAuth tokens are fetched."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        client_id: str,
        client_secret: SecretStr,
        budget: Budget,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http, self._id, self._secret = http, client_id, client_secret
        self._budget, self._monotonic = budget, monotonic

    async def fetch(self) -> Token:
        """A new token. Raises Refused (credentials, scopes), Busy, Away.

        No scope is asked for: then the token has every scope of the app.  # source: facts/usps.md 1.1
        """
        await self._budget.take("oauth")
        grant = {"grant_type": "client_credentials", "client_id": self._id}
        grant["client_secret"] = self._secret.get_secret_value()
        try:
            response = await self._http.post(TOKEN_PATH, json=grant)
        except httpx.HTTPError as error:
            # Without the cause: an Away that carries one tells of the call that was to use the token.
            raise Away(f"no token: no answer from USPS ({type(error).__name__})") from None
        return self._token(response)

    def _token(self, response: httpx.Response) -> Token:
        if response.status_code == 429:
            seconds = retry_after(response) or faults.QUIET
            self._budget.hold("oauth", seconds)
            raise Busy("USPS is busy: no token now", code="429", retry_after=seconds)
        if response.status_code >= 500 or response.status_code == 408:
            raise Away(f"no token: USPS answered {response.status_code}")
        if not response.is_success:
            said = faults.complaint(response.content) or faults.Complaint(str(response.status_code), "no reason given")
            words = str(said).replace(self._secret.get_secret_value(), "(secret)")  # should it be quoted back
            raise Refused(
                f"USPS gave no token: {words}; check USPS_CLIENT_ID and USPS_CLIENT_SECRET",
                code=said.code,
                request_id=faults.request_id(response),
            )
        return self._parsed(_object(response))

    def _parsed(self, said: Mapping[str, Any]) -> Token:
        value, scope = said.get("access_token"), said.get("scope")
        if not isinstance(value, str) or not value:
            raise Away("no token: USPS's answer holds none")
        if isinstance(scope, str) and not scope.strip():
            raise Refused(NO_SCOPE, code="empty_scope")
        life = _seconds(said.get("expires_in"))
        good_until = self._monotonic() + life - min(MARGIN, life / 10)
        return Token(value, good_until, frozenset(scope.split()) if isinstance(scope, str) else frozenset())


class PaymentDesk:
    """Where payment authorizations are fetched: one for the payer and label owner of these settings."""

    def __init__(
        self, door: Door, roles: list[dict[str, str]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._door, self._roles, self._monotonic = door, roles, monotonic

    async def fetch(self) -> Token:
        """A new authorization; asking twice costs nothing. Raises Refused, Busy, Away."""
        if not self._roles:
            raise Refused("labels need USPS_CRID, USPS_MID and USPS_EPS_ACCOUNT", code="settings")
        response = await self._door.ask("POST", PAYMENT_PATH, api=PAYMENTS, json={"roles": self._roles})
        value = _object(response).get("paymentAuthorizationToken")
        if not isinstance(value, str) or not value:
            # source: facts/usps.md 1.2: a refusal was seen with status 200 and no error envelope
            said = faults.complaint(response.content)
            raise Refused(f"USPS authorized no payment: {said or 'no reason given'}", code="payment")
        return Token(value, self._monotonic() + PAYMENT_LIFE)


def roles(crid: str, mid: str, manifest_mid: str, account: str) -> list[dict[str, str]]:
    """Who pays and whose label it is; empty where the settings do not say.  # source: facts/usps.md 1.2"""
    if not (crid and mid and account):
        return []
    owner = {"CRID": crid, "MID": mid, "manifestMID": manifest_mid or mid}
    return [
        {"roleName": "PAYER", **owner, "accountType": "EPS", "accountNumber": account},
        {"roleName": "LABEL_OWNER", **owner},
    ]


def _object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a success; a proxy's page in its place is an outage."""
    try:
        said = shapes.json(response.content)
    except Unreadable:
        said = None
    if not isinstance(said, dict):
        raise Away("USPS answered with something that is no JSON object")
    return said


def _seconds(value: object) -> float:
    """`expires_in`, a number or a string; an hour where it is neither.  # source: facts/usps.md 1.1"""
    try:
        return max(float(str(value)), 0.0)
    except ValueError:
        return 3600.0
