"""`homeward doctor --carrier usps`: a line for each thing a merchant must have arranged, and what is missing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx

from carriers.contract import Check
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect

BASE = "https://apis.usps.com"
EVERY = "addresses labels payments tracking subscriptions locations carrier-pickup"
LISTENER = "https://hooks.example.com/usps"
TOKEN, PAYMENT = f"{BASE}/oauth2/v3/token", f"{BASE}/payments/v3/payment-authorization"
ACCOUNT = f"{BASE}/payments/v3/payment-account/1000000001"
TRACK, OFFICES = f"{BASE}/tracking/v3r2/tracking", f"{BASE}/locations/v3/post-office-locations"
ADDRESS, PICKUP = f"{BASE}/addresses/v3/address", f"{BASE}/pickup/v3/carrier-pickup/eligibility"
SUBSCRIPTIONS = f"{BASE}/subscriptions-tracking/v3r2/subscriptions"
LINES = {
    f"USPS {name}"
    for name in (
        "credentials", "scopes", "payment", "account", "Tracking", "Labels", "Carrier Pickup", "Addresses",
        "Locations", "pushes",
    )
}  # fmt: skip


def granted(scope: str = EVERY) -> httpx.Response:
    return httpx.Response(200, json={"access_token": "A1", "expires_in": 28799, "scope": scope})


def refused(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": str(status), "errors": [{"code": code, "detail": detail}]}})


@pytest.fixture
async def usps() -> AsyncIterator[Usps]:
    env = {
        "USPS_CLIENT_ID": "key",
        "USPS_CLIENT_SECRET": "hush-hush",
        "USPS_CRID": "12345678",
        "USPS_MID": "901234567",
        "USPS_EPS_ACCOUNT": "1000000001",
        "USPS_PUSH_SECRETS": "hush" * 8,
        "USPS_LISTENER_URL": LISTENER,
        "USPS_ADMIN_EMAIL": "ops@example.com",
    }
    made = connect(Settings.from_env(env), budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    yield made
    await made.aclose()


@pytest.fixture
def wire() -> Any:
    """All is well: nobody's label cannot be printed, nobody's number is not found, and that is as good as an answer."""
    with respx.mock(assert_all_called=False) as router:
        router.post(TOKEN).mock(return_value=granted())
        router.post(PAYMENT).mock(return_value=httpx.Response(200, json={"paymentAuthorizationToken": "P1"}))
        router.get(ACCOUNT).mock(return_value=httpx.Response(200, json={"sufficientFunds": True}))
        router.post(TRACK).mock(return_value=refused(404, "150006", "not yet available"))
        router.post(url__startswith=f"{BASE}/labels/").mock(return_value=refused(400, "160378", "not found"))
        router.get(PICKUP).mock(return_value=httpx.Response(200, json={}))
        router.get(ADDRESS).mock(return_value=httpx.Response(200, json={}))
        router.get(OFFICES).mock(return_value=httpx.Response(200, json={}))
        router.get(SUBSCRIPTIONS).mock(return_value=httpx.Response(404, json={}))
        yield router


async def lines(usps: Usps) -> dict[str, Check]:
    checks = await usps.check()
    assert not [one for one in checks if "hush" in one.detail]
    return {one.name: one for one in checks}


async def test_all_is_well_and_nothing_was_bought_or_changed(usps: Usps, wire: respx.MockRouter) -> None:
    """Every line, by calls of which none creates, changes or deletes; the label asked for again is nobody's."""
    said = await lines(usps)
    assert set(said) == LINES and all(one.ok for one in said.values()), said
    posts = {call.request.url.path for call in wire.calls if call.request.method != "GET"}
    assert posts == {
        "/oauth2/v3/token",
        "/payments/v3/payment-authorization",
        "/tracking/v3r2/tracking",
        "/labels/v3/label-reprint/9400111206206406260787",
    }
    assert "160304" in said["USPS payment"].detail, "what no harmless call can prove is said"


async def test_missing_scopes_are_named_with_what_they_are_for(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 1.1: an app without tracking gets a token all the same; synonyms count as the scope."""
    wire.post(TOKEN).mock(return_value=granted("labels payments subscriptions pickup addresses"))
    wire.post(TRACK).mock(return_value=refused(401, "", "Insufficient OAuth scope."))
    said = await lines(usps)
    assert said["USPS scopes"].detail.startswith("missing: tracking (to follow parcels), locations (")
    assert "https://developers.usps.com" in said["USPS scopes"].detail
    assert not said["USPS Tracking"].ok and "whose scope tracking is missing" in said["USPS Tracking"].detail
    assert said["USPS Labels"].ok


@pytest.mark.parametrize(
    ("url", "answer", "line", "words"),
    [
        (TRACK, refused(403, "403", "no agreement"), "USPS Tracking", "add the product Tracking (to follow parcels)"),
        (TRACK, httpx.Response(503), "USPS Tracking", "in a while"),
        (TRACK, httpx.Response(429), "USPS Tracking", "in a while"),
        (TRACK, httpx.Response(404, text="<html>"), "USPS Tracking", "nothing of USPS's answers at"),
        (TRACK, httpx.ConnectError("no"), "USPS Tracking", "no answer"),
        (PAYMENT, refused(400, "100007", "Trust balance too low"), "USPS payment", "Trust balance"),
        (PAYMENT, refused(400, "100007", "Trust balance too low"), "USPS Labels", "not asked: "),
        (ACCOUNT, httpx.Response(200, json={"sufficientFunds": False}), "USPS account", "add funds"),
        (ACCOUNT, refused(404, "404", "no such account"), "USPS account", "no such account"),
        (PICKUP, refused(403, "403", "no"), "USPS Carrier Pickup", "add the product Carrier Pickup (to collect"),
        (ADDRESS, refused(401, "", "no"), "USPS Addresses", "add the product Addresses"),
        (OFFICES, refused(401, "", "no"), "USPS Locations", "add the product Locations"),
        (SUBSCRIPTIONS, refused(403, "403", "no"), "USPS pushes", "add the product Subscriptions - Tracking"),
    ],
)
async def test_what_is_missing_is_said_on_its_line_alone(
    url: str, answer: Any, line: str, words: str, usps: Usps, wire: Any
) -> None:
    """And the other lines still stand."""
    method = wire.post if url in (TRACK, PAYMENT) else wire.get
    method(url).mock(side_effect=[answer] * 3)
    said = await lines(usps)
    assert not said[line].ok and words in said[line].detail, said[line]
    assert set(said) == LINES and said["USPS credentials"].ok


@pytest.mark.parametrize(("state", "ok"), [("ENABLED", True), ("SUSPENDED", False), ("DISABLED", False)])
async def test_the_state_of_our_subscription(state: str, ok: bool, usps: Usps, wire: respx.MockRouter) -> None:
    """Ours alone: another system's under the same Mailer ID proves nothing."""
    held = {"subscriptionId": "1", "listenerURL": LISTENER, "status": state, "statusReason": "unable to reach"}
    others = {"subscriptionId": "2", "listenerURL": "https://other.example.com", "status": "ENABLED"}
    found = json.dumps({"subscriptions": [held, others]}).encode()
    wire.get(SUBSCRIPTIONS).mock(return_value=httpx.Response(200, content=found))
    said = (await lines(usps))["USPS pushes"]
    assert said.ok is ok and state in said.detail


async def test_without_settings_it_names_the_variables(wire: respx.MockRouter) -> None:
    """Credentials alone follow parcels; the rest says what to set."""
    settings, transport = Settings(client_id="k", client_secret="hush"), httpx.AsyncHTTPTransport(verify=False)
    poor = connect(settings, budget=Unlimited(), transport=transport)
    said = await lines(poor)
    assert "USPS_CRID" in said["USPS payment"].detail and "USPS_EPS_ACCOUNT" in said["USPS account"].detail
    assert "USPS_LISTENER_URL" in said["USPS pushes"].detail and said["USPS Tracking"].ok
    await poor.aclose()


async def test_without_a_token_there_is_one_line(usps: Usps, wire: respx.MockRouter) -> None:
    """Nothing else can be asked; a secret that is quoted back is not shown."""
    wrong = {"error": "invalid_client", "error_description": "hush-hush is wrong"}
    wire.post(TOKEN).mock(return_value=httpx.Response(401, json=wrong))
    said = await lines(usps)
    assert set(said) == {"USPS credentials"} and "USPS_CLIENT_ID" in said["USPS credentials"].detail
