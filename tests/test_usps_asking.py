"""Tokens, payment authorization and tracking at USPS, against its HTTP as the facts give it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from carriers.contract import Away, Busy, Payload, Refused, Source
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from tests.official import PRESENT, Operation, complaints

BASE = "https://apis.usps.com"
TOKEN, PAYMENT, TRACK = (
    f"{BASE}/oauth2/v3/token",
    f"{BASE}/payments/v3/payment-authorization",
    f"{BASE}/tracking/v3r2/tracking",
)
NUMBERS = [f"92020901234567{serial:08d}" for serial in range(80)]
ENV = {
    "USPS_CLIENT_ID": "key",
    "USPS_CLIENT_SECRET": "hush-hush",
    "USPS_CRID": "12345678",
    "USPS_MID": "901234567",
    "USPS_EPS_ACCOUNT": "1000000001",
}


def granted(**more: Any) -> httpx.Response:
    said = {
        "access_token": "A1",
        "token_type": "Bearer",
        "expires_in": 28799,
        "scope": "addresses labels payments tracking",
    }
    return httpx.Response(200, json=said | more)


def refused(status: int, code: str, detail: str, **more: Any) -> httpx.Response:
    error = {
        "code": str(status),
        "message": "",
        "errors": [{"status": str(status), "code": code, "detail": detail, **more}],
    }
    return httpx.Response(status, json={"apiVersion": "/x", "error": error})


@pytest.fixture
async def usps() -> AsyncIterator[Usps]:
    made = connect(Settings.from_env(ENV), budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    made._tracking._door._first_wait = 0.001
    made._labels._door._first_wait = 0.001
    yield made
    await made.aclose()


@pytest.fixture
def wire() -> Any:
    with respx.mock(assert_all_called=False) as router:
        router.post(TOKEN).mock(return_value=granted())
        yield router


# --------------------------------------------------------------------------------------------------------------- tokens


async def test_one_token_for_many_askers(usps: Usps, wire: respx.MockRouter) -> None:
    """Fifty at once fetch one token, as JSON, asking for no scope; the second wave has it already."""
    await asyncio.gather(*(usps._keeper.get() for _ in range(50)))
    await usps._keeper.get()
    (call,) = wire.calls
    assert json.loads(call.request.content) == {
        "grant_type": "client_credentials",
        "client_id": "key",
        "client_secret": "hush-hush",
    }


@pytest.mark.parametrize("expires", [28799, "28799", 28799.0])
async def test_a_lifetime_is_a_number_or_a_text(expires: object, usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 1.1: renewed when less than ten minutes are left."""
    wire.post(TOKEN).mock(return_value=granted(expires_in=expires))
    now = asyncio.get_running_loop().time()
    token = await usps._keeper.get()
    assert 28799 - 600 - 5 < token.good_until - now <= 28799 - 600 + 5
    assert token.scopes == {"addresses", "labels", "payments", "tracking"}
    assert "A1" not in repr(token)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (granted(scope=""), Refused, "My Apps"),
        (httpx.Response(401, json={"error": "invalid_client", "error_description": "No."}), Refused, "invalid_client"),
        (httpx.Response(401, text="<html>no</html>"), Refused, "USPS_CLIENT_ID"),
        (httpx.Response(400, json={"error": "invalid_request"}), Refused, "invalid_request"),
        (httpx.Response(429, headers={"Retry-After": "7"}), Busy, "busy"),
        (httpx.Response(503, text="down"), Away, "503"),
        (httpx.Response(200, text="<html>maintenance</html>"), Away, "no JSON"),
        (httpx.ReadTimeout("slow"), Away, "ReadTimeout"),
    ],
)
async def test_no_token_says_what_to_do(
    answer: Any, error: type, words: str, usps: Usps, wire: respx.MockRouter
) -> None:
    """Fix the credentials, wait, or try later; the secret is in no message."""
    side = {"side_effect": answer} if isinstance(answer, Exception) else {"return_value": answer}
    wire.post(TOKEN).mock(**side)
    with pytest.raises(error, match=words) as caught:
        await usps._keeper.get()
    assert "hush" not in str(caught.value)
    if error is Busy:
        assert caught.value.retry_after == 7


# -------------------------------------------------------------------------------------------------------------- payment


async def test_one_payment_authorization_serves_for_hours(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 1.2: not one per label; payer and label owner with all their ids."""
    route = wire.post(PAYMENT).mock(return_value=httpx.Response(200, json={"paymentAuthorizationToken": "P1"}))
    tokens = await asyncio.gather(*(usps._payment.get() for _ in range(20)))
    assert {token.value for token in tokens} == {"P1"} and route.call_count == 1
    assert tokens[0].good_until - asyncio.get_running_loop().time() == pytest.approx(7 * 3600, abs=5)
    body = json.loads(route.calls[0].request.content)
    owner = {"CRID": "12345678", "MID": "901234567", "manifestMID": "901234567"}
    assert body == {
        "roles": [
            {"roleName": "PAYER", **owner, "accountType": "EPS", "accountNumber": "1000000001"},
            {"roleName": "LABEL_OWNER", **owner},
        ]
    }
    if PRESENT:
        assert complaints(Operation("usps/payments-v3.yaml", "post", "/payment-authorization"), body) == []


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            httpx.Response(200, json={"body": "CRID isn't enrolled in USPS Ship Outbound", "roles": []}),
            Refused,
            "enrolled",
        ),
        (refused(400, "100007", "Trust balance too low"), Refused, "Trust balance"),
        (refused(400, "100005", "Card could not be validated"), Away, "validated"),
        (httpx.Response(200, text="<html>"), Away, "no JSON"),
    ],
)
async def test_no_payment_is_told_apart(answer: httpx.Response, error: type, words: str, usps: Usps, wire: Any) -> None:
    """An answer without the token is a refusal, even with 200; a card that cannot be checked now may be later."""
    wire.post(PAYMENT).mock(return_value=answer)
    with pytest.raises(error, match=words):
        await usps._payment.get()


async def test_labels_need_their_settings() -> None:
    """Tracking alone works with credentials only."""
    poor = connect(Settings(client_id="k", client_secret="s"), budget=Unlimited())
    with pytest.raises(Refused, match="USPS_CRID"):
        await poor._payment.get()
    await poor.aclose()


# ------------------------------------------------------------------------------------------------------------- tracking


@pytest.mark.parametrize("status", [200, 207, 404])
async def test_an_answer_is_kept_as_it_came(status: int, usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 3.5: not found is an answer, not an error; bytes, status and what was asked are kept."""
    body = b'[ {"trackingNumber" : "9202090123456700000015"} ]'
    route = wire.post(TRACK).mock(return_value=httpx.Response(status, content=body))
    answers = await usps.track([NUMBERS[0]])
    assert answers == [Payload("usps", Source.POLL, body, (NUMBERS[0],), status)]
    sent = json.loads(route.calls[0].request.content)
    assert sent == [{"trackingNumber": NUMBERS[0]}]
    if PRESENT:
        assert complaints(Operation("usps/tracking-v3r2.yaml", "post", "/tracking"), sent) == []


async def test_thirty_five_numbers_are_asked_at_once(usps: Usps, wire: respx.MockRouter) -> None:
    """Eighty numbers are three calls, in their order, each number once."""
    route = wire.post(TRACK).mock(return_value=httpx.Response(200, content=b"[]"))
    answers = await usps.track([*NUMBERS, NUMBERS[0]])
    assert [len(one.asked) for one in answers] == [35, 35, 10]
    assert [number for one in answers for number in one.asked] == NUMBERS and route.call_count == 3
    assert usps.abilities.batch == 35


async def test_an_answer_about_many_is_kept_by_parcel(usps: Usps, wire: respx.MockRouter) -> None:
    """Each parcel's bytes as they came, and each reads as the whole did of it."""
    items = [json.dumps(json.loads(body)[0], indent=3).encode() for body in (WAITING, DELIVERED)]
    missing = b'{"statusCode": "404", "trackingNumber": "9202090123456700000000", "error": {"message": "none"}}'
    body = b"[\n  %b ,\n%b, %b ]" % (*items, missing)
    numbers = [number_in(WAITING), number_in(DELIVERED), NUMBERS[0]]
    wire.post(TRACK).mock(return_value=httpx.Response(207, content=body))
    answers = await usps.track(numbers)
    assert answers == [
        Payload("usps", Source.POLL, b"[%b]" % item, (number,), 207)
        for number, item in zip(numbers, [*items, missing], strict=True)
    ]
    whole, apart = usps.read(Payload("usps", Source.POLL, body, tuple(numbers), 207)), [*map(usps.read, answers)]
    assert len(whole.told) == 3 and len(whole.events) > 2
    assert whole.told == tuple(told for each in apart for told in each.told)
    assert whole.events == tuple(event for each in apart for event in each.events)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"trackingNumber":"9202090123456700000000"}]',  # speaks of one, not of the other
        b'[{"trackingNumber":"9202090123456700000000"},{"trackingNumber":"9202090123456700000000"}]',
        b'[{"trackingNumber":"9202090123456700000000"},{"trackingNumber":"9400111206206412345678"}]',
        b'[{"trackingNumber":"9202090123456700000000"},{"error":{"message":"no number"}}]',
        b'[{"trackingNumber":"9202090123456700000000"},{"trackingNumber":9202090123456700000001}]',
        b'[{"trackingNumber":"9202090123456700000000"},null]',
        b'{"error":{"message":"none of these"}}',
        b'[{"trackingNumber":"9202090123456700000000"},{"trackingNumber":"920209012345670000000',
        b"\xff\xfe[]",
    ],
)
async def test_what_does_not_speak_once_of_each_is_kept_whole(body: bytes, usps: Usps, wire: respx.MockRouter) -> None:
    """Nothing that was said is lost with a cut."""
    wire.post(TRACK).mock(return_value=httpx.Response(200, content=body))
    assert await usps.track(NUMBERS[:2]) == [Payload("usps", Source.POLL, body, tuple(NUMBERS[:2]))]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([httpx.Response(429, headers={"Retry-After": "30"})], Busy),
        ([httpx.Response(429)], Busy),
        ([refused(400, "150000", "bad")], Refused),
        ([refused(403, "403", "no agreement")], Refused),
        ([refused(401, "", "Insufficient OAuth scope.", source="Access Token")] * 2, Refused),
        ([httpx.Response(404, text="<html>nowhere</html>")] * 3, Away),
        ([httpx.Response(503)] * 3, Away),
        ([httpx.ConnectError("no")] * 3, Away),
    ],
)
async def test_what_is_no_answer_is_raised(answers: list[Any], error: type, usps: Usps, wire: respx.MockRouter) -> None:
    """Named by what to do next; a source that is text instead of an object breaks nothing."""
    route = wire.post(TRACK).mock(side_effect=answers)
    with pytest.raises(error) as caught:
        await usps.track([NUMBERS[0]])
    assert route.call_count == len(answers)
    if error is Busy:
        assert caught.value.retry_after in (30, 60)


async def test_a_passing_outage_is_asked_again(usps: Usps, wire: respx.MockRouter) -> None:
    """Asking is safe to repeat."""
    wire.post(TRACK).mock(
        side_effect=[httpx.Response(503), httpx.ReadTimeout("slow"), httpx.Response(200, content=b"[]")]
    )
    assert len(await usps.track([NUMBERS[0]])) == 1


async def test_a_401_renews_the_token_once(usps: Usps, wire: respx.MockRouter) -> None:
    """The same bytes go again with a fresh token."""
    wire.post(TOKEN).mock(side_effect=[granted(), granted(access_token="A2")])
    route = wire.post(TRACK).mock(side_effect=[httpx.Response(401), httpx.Response(200, content=b"[]")])
    await usps.track([NUMBERS[0]])
    assert [one.request.headers["authorization"] for one in route.calls] == ["Bearer A1", "Bearer A2"]


OLDER = f"{BASE}/tracking/v3/tracking"
WAITING = (Path(__file__).parent / "fixtures" / "usps" / "attempted_no_access.json").read_bytes()
DELIVERED = (Path(__file__).parent / "fixtures" / "usps" / "delivered_front_door.json").read_bytes()


def number_in(body: bytes) -> str:
    return str(json.loads(body)[0]["trackingNumber"])


@pytest.fixture
async def curious() -> AsyncIterator[Usps]:
    env = ENV | {"USPS_RETURN_DATES": "true"}
    made = connect(Settings.from_env(env), budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    yield made
    await made.aclose()


async def test_a_waiting_parcels_return_date_is_asked_where_it_is_wished(curious: Usps, wire: Any) -> None:
    """source: facts/usps.md 3.1: only the older API has it; only a parcel that waits is asked for, by one call."""
    both = [number_in(WAITING), number_in(DELIVERED)]
    body = json.dumps([*json.loads(WAITING), *json.loads(DELIVERED)]).encode()
    wire.post(TRACK).mock(return_value=httpx.Response(200, content=body))
    said = {"trackingNumber": both[0], "trackingEvents": [], "returnDateNotice": "2026-03-20"}
    older = wire.get(f"{OLDER}/{both[0]}").mock(return_value=httpx.Response(200, json=said))
    waiting, delivered, more = await curious.track(both)
    assert [waiting.asked, delivered.asked] == [(number,) for number in both]
    assert [json.dumps(json.loads(each)).encode() for each in (WAITING, DELIVERED)] == [waiting.body, delivered.body]
    assert older.calls[0].request.url.params["expand"] == "DETAIL"
    assert more.asked == (both[0],) and str(curious.read(more).told[0].return_by) == "2026-03-20"


@pytest.mark.parametrize(
    "answer",
    [
        refused(400, "OAS", "OASValidation failed"),
        httpx.Response(404, json={}),
        httpx.Response(429),
        httpx.Response(403),
    ],
)
async def test_without_the_older_api_nothing_is_lost(answer: httpx.Response, curious: Usps, wire: Any) -> None:
    """It may be retired any day: the batch stands, whatever the older API says."""
    wire.post(TRACK).mock(return_value=httpx.Response(200, content=WAITING))
    older = wire.get(f"{OLDER}/{number_in(WAITING)}").mock(return_value=answer)
    (batch,) = await curious.track([number_in(WAITING)])
    assert batch.body == WAITING and older.called


async def test_by_default_the_older_api_is_not_asked(usps: Usps, wire: respx.MockRouter) -> None:
    """It costs a call for every parcel."""
    wire.post(TRACK).mock(return_value=httpx.Response(200, content=WAITING))
    assert len(await usps.track([number_in(WAITING)])) == 1


# ------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"USPS_CLIENT_ID": ""}, "USPS_CLIENT_ID"),
        ({"USPS_MID": "12"}, "USPS_MID"),
        ({"USPS_PUSH_SECRETS": "too-short-hush"}, "USPS_PUSH_SECRETS"),
        ({"USPS_BASE_URL": "ftp://x"}, "USPS_BASE_URL"),
        ({"USPS_PARCEL_CM": "30,20"}, "USPS_PARCEL_CM"),
    ],
)
def test_wrong_settings_name_the_variable_and_no_value(change: dict[str, str], named: str) -> None:
    """A secret that is wrong is still a secret."""
    with pytest.raises(ValueError, match=named) as caught:
        Settings.from_env(ENV | change)
    assert "hush" not in str(caught.value)


def test_settings_from_the_environment() -> None:
    """Lists are separated by commas; what is not set has its default; secrets are not shown."""
    secrets = "a" * 32, "b" * 32
    made = Settings.from_env(ENV | {"USPS_PUSH_SECRETS": ", ".join(secrets), "USPS_PARCEL_CM": "30,20,10.5"})
    assert [one.get_secret_value() for one in made.push_secrets] == list(secrets)
    assert [str(one) for one in made.parcel_cm] == ["30", "20", "10.5"]
    assert made.base_url == BASE and made.listener is None
    assert "hush" not in repr(made) and "aaaa" not in repr(made)
