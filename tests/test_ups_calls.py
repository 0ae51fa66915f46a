"""Asking UPS: the token (once, renewed, once more after a 401), tracking, subscriptions, the check, the settings."""

import asyncio
import json
import traceback
from base64 import b64decode
from datetime import UTC, datetime

import httpx
import pytest

from carriers.contract import Away, Busy, NotFound, Push, Refused
from carriers.ups.connect import Settings
from carriers.ups.faults import fault
from tests.ups import NOTHING, NUMBER, SUBSCRIBE, TOKEN, Street, errors, token

DETAILS = f"/api/track/v1/details/{NUMBER}"


@pytest.fixture
def street() -> Street:
    return Street()


# --------------------------------------------------------------------------------------------------------------- tokens


async def test_one_token_is_fetched_however_many_ask(street: Street) -> None:
    """Eight calls at once, one token: UPS asks for exactly this."""
    street.get(DETAILS, return_value=httpx.Response(200, json=NOTHING))
    await asyncio.gather(*(street.ups.track([NUMBER]) for _ in range(8)))
    assert street.token.call_count == 1
    call = street.token.calls[0].request
    assert b64decode(call.headers["authorization"].removeprefix("Basic ")) == b"id:hush"
    assert call.content == b"grant_type=client_credentials"
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_token_is_renewed_before_it_ends(street: Street) -> None:
    """A token that lives no second is fetched for every call; one of four hours is kept."""
    street.token.mock(
        side_effect=[httpx.Response(200, json=token("short", "0")), httpx.Response(200, json=token("long"))]
    )
    details = street.get(DETAILS, return_value=httpx.Response(200, json=NOTHING))
    for _ in range(3):
        await street.ups.track([NUMBER])
    assert [call.request.headers["authorization"] for call in details.calls] == [
        "Bearer short",
        "Bearer long",
        "Bearer long",
    ]


async def test_a_refused_token_is_fetched_anew_once(street: Street) -> None:
    """250002 may be a token that ended early: one new token, one more try, the same question."""
    details = street.get(DETAILS)
    details.mock(side_effect=[httpx.Response(401, json=errors("250002")), httpx.Response(200, json=NOTHING)])
    (payload,) = await street.ups.track([NUMBER])
    assert (payload.status, street.token.call_count, details.call_count) == (200, 2, 2)
    assert details.calls[1].request.headers["authorization"] == "Bearer token-2"


async def test_a_token_refused_twice_says_what_to_do(street: Street) -> None:
    """The same code stands for a product missing from the app, so the message says to look there."""
    street.get(DETAILS, return_value=httpx.Response(401, json=errors("250002", "Invalid Authentication")))
    with pytest.raises(Refused, match=r"developer\.ups\.com") as caught:
        await street.ups.track([NUMBER])
    assert caught.value.code == "250002"
    assert street.token.call_count == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json=errors("10401", "Invalid client id")), Refused),
        (httpx.Response(400, json=errors("10400")), Refused),
        (httpx.Response(403, json=errors("", "Blocked Merchant")), Refused),
        (httpx.Response(404), Refused),
        (httpx.Response(429, json=errors("10429")), Busy),
        (httpx.Response(503, text="<html>"), Away),
        (httpx.Response(200, text="<html>"), Away),
        (httpx.Response(200, json=token("x", "soon")), Away),
    ],
    ids=["401", "400", "403", "404", "429", "503", "html", "no number"],
)
async def test_no_token_is_named_by_what_to_do_next(
    street: Street, answer: httpx.Response, error: type[Exception]
) -> None:
    """Credentials are to be fixed, limits to be waited for, outages to be sat out; and no secret is in the traces."""
    street.router.post(TOKEN).mock(return_value=answer)
    with pytest.raises(error) as caught:
        await street.ups._keeper.get()
    assert "hush" not in "".join(traceback.format_exception(caught.value))


# ------------------------------------------------------------------------------------------------------------- tracking


async def test_a_parcel_is_asked_for_in_english_and_answered_in_bytes(street: Street) -> None:
    """One call per number, its exact bytes, and headers that UPS demands (a transId of at most 14)."""
    body = json.dumps(NOTHING, indent=3).encode()
    details = street.get(DETAILS, return_value=httpx.Response(200, content=body))
    (payload,) = await street.ups.track([NUMBER])
    assert (payload.body, payload.asked, payload.status) == (body, (NUMBER,), 200)
    call = details.calls[0].request
    assert call.url.params["locale"] == "en_US" and call.url.params["returnMilestones"] == "true"
    assert 3 <= len(call.headers["transid"]) <= 14 and call.headers["transactionsrc"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json=errors("404")),
        httpx.Response(404, headers={"errorcode": "404", "errordescription": "Not Found"}),
        httpx.Response(400, json=errors("TV1002", "Invalid inquiry number")),
    ],
    ids=["json", "empty", "malformed"],
)
async def test_a_number_unknown_to_ups_is_an_answer(street: Street, answer: httpx.Response) -> None:
    """Not an error: the payload is kept and reads as nothing found."""
    street.get(DETAILS, return_value=answer)
    (payload,) = await street.ups.track([NUMBER])
    (told,) = street.ups.read(payload).told
    assert (told.number, told.found) == (NUMBER, False)


async def test_a_number_cannot_leave_its_place_in_the_address(street: Street) -> None:
    """What was typed is quoted: it names a parcel and never another call."""
    anything = street.router.get(url__startswith="https://ups.test/api/track/").mock(return_value=httpx.Response(404))
    await street.ups.track(["../../shipments/x?y=1"])
    assert anything.calls[0].request.url.raw_path.startswith(b"/api/track/v1/details/..%2F..%2Fshipments%2Fx%3Fy%3D1?")


async def test_a_busy_carrier_is_held_for_everybody(street: Street) -> None:
    """429 comes without Retry-After: we keep quiet for a while of our own; where there is one, it counts."""
    street.get(DETAILS, side_effect=[httpx.Response(429, json=errors("10429"))])
    with pytest.raises(Busy):
        await street.ups.track([NUMBER])
    street.get(DETAILS, return_value=httpx.Response(429, headers={"Retry-After": "17"}))
    with pytest.raises(Busy) as caught:
        await street.ups.track([NUMBER])
    assert caught.value.retry_after == 17
    assert street.budget.held == [("tracking", 5.0), ("tracking", 17.0)]


async def test_an_outage_is_tried_again_a_few_times(street: Street) -> None:
    """A 500 may pass: asking where a parcel is can be repeated."""
    details = street.get(DETAILS, side_effect=[httpx.Response(500, text="oops"), httpx.Response(200, json=NOTHING)])
    (payload,) = await street.ups.track([NUMBER])
    assert (payload.status, details.call_count) == (200, 2)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, errors("VSS300"), Refused),
        (405, {}, Refused),
        (302, {}, Refused),
        (401, errors("UJ0001"), Refused),
        (403, {}, Refused),
        (404, {}, NotFound),
        (400, errors("TV1002"), NotFound),
        (408, {}, Away),
        (429, {}, Busy),
        (500, errors("10004"), Away),
        (503, {}, Away),
        (400, {"errors": [{"errorCode": "710", "errorMessage": "flat"}]}, Refused),
    ],
)
def test_an_answer_is_named_by_what_the_caller_does_next(status: int, body: object, error: type[Exception]) -> None:
    """One table for all of UPS's errors, whatever shape they come in."""
    found = fault(httpx.Response(status, json=body))
    assert type(found) is error


def test_an_empty_error_takes_its_words_from_the_headers() -> None:
    """A wrong path answers nothing but two headers."""
    found = fault(httpx.Response(405, headers={"errorcode": "405", "errordescription": "Method Not Allowed"}))
    assert found is not None and found.code == "405" and "Method Not Allowed" in str(found)


# -------------------------------------------------------------------------------------------------------- subscriptions


def numbers(count: int) -> list[str]:
    return [f"1Z5338FF01{index:08d}" for index in range(count)]


def takes_all(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"validTrackingNumbers": json.loads(request.content)["trackingNumberList"]})


async def test_subscriptions_go_by_the_hundred(street: Street) -> None:
    """101 in one call and UPS would refuse them all."""
    subscribe = street.post(SUBSCRIBE, side_effect=takes_all)
    done = await street.ups.subscribe(numbers(201))
    assert done.accepted == tuple(numbers(201)) and done.refused == ()
    sent = [json.loads(call.request.content) for call in subscribe.calls]
    assert [len(body["trackingNumberList"]) for body in sent] == [100, 100, 1]
    assert {(body["locale"], body["countryCode"]) for body in sent} == {("en_US", "US")}
    assert "destination" not in sent[0], "version 2 takes no address"


async def test_what_ups_does_not_take_is_told(street: Street) -> None:
    """Listed as invalid, listed nowhere, or never sent because it cannot be subscribed to: refused all the same."""
    one, two, three = numbers(3)
    street.post(
        SUBSCRIBE,
        return_value=httpx.Response(200, json={"validTrackingNumbers": [one], "invalidTrackingNumbers": [two]}),
    )
    done = await street.ups.subscribe([one, two, three, "123456789012", one])
    assert (done.accepted, done.refused) == ((one,), (two, three, "123456789012"))


async def test_not_one_valid_number_is_an_answer(street: Street) -> None:
    """VSS210 speaks of the numbers; any other 400 of the call."""
    refusal = errors("VSS210") | {"invalidTrackingNumbers": numbers(1)}
    street.post(SUBSCRIBE, return_value=httpx.Response(400, json=refusal))
    assert (await street.ups.subscribe(numbers(1))).refused == tuple(numbers(1))
    street.post(SUBSCRIBE, return_value=httpx.Response(400, json=errors("VSS300") | {"invalidTrackingNumbers": []}))
    with pytest.raises(Refused, match="VSS300"):
        await street.ups.subscribe(numbers(1))
    street.post(SUBSCRIBE, return_value=httpx.Response(404))
    with pytest.raises(Refused):
        await street.ups.subscribe(numbers(1))


async def test_nothing_to_subscribe_asks_nothing(street: Street) -> None:
    """No number fits: no call."""
    subscribe = street.post(SUBSCRIBE, side_effect=takes_all)
    assert (await street.ups.subscribe(["9400111899560000000000"])).refused == ("9400111899560000000000",)
    assert not subscribe.called


# --------------------------------------------------------------------------------------------------- check and settings


PRODUCTS = ["Tracking", "Track Alert", "Shipping", "Delivery Intercept", "Pickup", "Locator", "Address Validation"]


async def test_check_asks_every_product_and_names_what_is_missing(street: Street) -> None:
    """A refused question proves the product; 250002 is a product to add, and the check says which and where."""
    street.router.route(host="ups.test", path__startswith="/api").mock(
        return_value=httpx.Response(400, json=errors("120100", "Missing"))
    )
    checks = {check.name: check for check in await street.ups.check()}
    assert list(checks) == ["push secrets", "intercept contact", "credentials", *PRODUCTS]
    assert [name for name, check in checks.items() if not check.ok] == ["push secrets", "intercept contact"]
    missing = Street(push_secrets=("s",), contact_name="Desk", contact_phone="+1 212 5550100")
    missing.router.post(path__startswith="/api/locations").mock(
        return_value=httpx.Response(401, json=errors("250002", "Invalid"))
    )
    missing.router.route(host="ups.test", path__startswith="/api").mock(return_value=httpx.Response(200, json={}))
    failed = [check for check in await missing.ups.check() if not check.ok]
    assert [check.name for check in failed] == ["Locator"]
    assert "add the product Locator" in failed[0].detail and "developer.ups.com" in failed[0].detail


async def test_check_asks_nothing_that_spends(street: Street) -> None:
    """No label, no void, no order to turn round, no collection, and nobody is subscribed."""
    asked = street.router.route(host="ups.test", path__startswith="/api")
    asked.mock(return_value=httpx.Response(200, json={}))
    await street.ups.check()
    sent = [(call.request.method, call.request.url.path, call.request.content) for call in asked.calls]
    assert len(sent) == len(PRODUCTS)
    for method, path, content in sent:
        assert method in ("GET", "POST")
        assert not any(word in path for word in ("/ship", "/void", "/return", "pickupcreation")) or method == "GET"
        assert "subscription" not in path or json.loads(content)["trackingNumberList"] == []


async def test_check_without_a_token_asks_no_product() -> None:
    """Wrong credentials are one line, not eight; an account outside the US is not asked for what it cannot have."""
    failed = Street(push_secrets=("s",))
    failed.router.post(TOKEN).mock(return_value=httpx.Response(401, json=errors("10401")))
    assert [(check.name, check.ok) for check in await failed.ups.check()] == [
        ("push secrets", True), ("intercept contact", False), ("credentials", False),
    ]  # fmt: skip
    italian = Street(country="IT")
    italian.router.route(host="ups.test", path__startswith="/api").mock(return_value=httpx.Response(200, json={}))
    names = [check.name for check in await italian.ups.check()]
    assert "Delivery Intercept" not in names and "intercept contact" not in names and "Address Validation" not in names


ENVIRONMENT = {"UPS_CLIENT_ID": "id", "UPS_CLIENT_SECRET": "hush", "UPS_ACCOUNT": "A1B2C3"}


def test_settings_come_from_the_environment() -> None:
    """Three are needed; the rest has a default; push secrets are a list, newest first."""
    settings = Settings.from_env(ENVIRONMENT | {"UPS_PUSH_SECRETS": "new, old,", "OTHER": "x"})
    assert settings.base_url == "https://onlinetools.ups.com"
    assert [secret.get_secret_value() for secret in settings.push_secrets] == ["new", "old"]
    assert "hush" not in repr(settings) and "old" not in repr(settings)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"UPS_ACCOUNT": ""}, "UPS_ACCOUNT"),
        ({"UPS_ACCOUNT": "toolongbyfar"}, "UPS_ACCOUNT"),
        ({"UPS_BASE_URL": "onlinetools.ups.com"}, "UPS_BASE_URL"),
        ({"UPS_CLIENT_SECRET": " "}, "UPS_CLIENT_SECRET"),
    ],
)
def test_wrong_settings_are_named_without_their_value(changed: dict[str, str], named: str) -> None:
    """The start stops, and says which variable, never what was in it."""
    with pytest.raises(ValueError, match=named) as caught:
        Settings.from_env(ENVIRONMENT | changed)
    told = "".join(traceback.format_exception(caught.value))
    assert "hush" not in told and "toolongbyfar" not in told


def test_the_account_proves_pushes_with_its_own_secrets(street: Street) -> None:
    """A push is proven by what the settings hold."""
    proven = Street(push_secrets=("new", "old")).ups
    proven.verify(Push({"credential": "old"}, b""), datetime.now(UTC))
    assert proven.tracking_url(NUMBER) == f"https://www.ups.com/track?tracknum={NUMBER}"
