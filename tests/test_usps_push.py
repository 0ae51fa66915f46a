"""Pushes of USPS: proving them, and keeping the one subscription alive."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from carriers.contract import Forged, Push, Refused
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from carriers.usps.reading import signature, verify
from tests.official import PRESENT, Operation, complaints

# source: facts/usps.md 5.1, computed there
SECRET = "0123456789abcdef0123456789ABCDEF"
TIMESTAMP = "2026-06-01T15:04:05.678Z"
PAYLOAD = (
    '{"trackingNumber":"9202090123456700000015","statusCategory":"Delivery Attempt",'
    '"trackingEvents":[{"eventCode":"55"}]}'
)
HMAC = "3OE9TFBQNJy4Bi6GrUCzk5dauxGuubzwTXY6bYA/6ao="
NOW = datetime(2026, 6, 1, 15, 5, tzinfo=UTC)
BODY = json.dumps({"subscriptionId": "1", "timestamp": TIMESTAMP, "payload": PAYLOAD, "links": []}).encode()


def push(body: bytes = BODY, **headers: str) -> Push:
    return Push({name.replace("_", "-"): value for name, value in headers.items()}, body)


# ---------------------------------------------------------------------------------------------------------------- proof


def test_the_vector_of_the_facts_holds() -> None:
    """Base64 of HMAC-SHA256 over the decoded timestamp and payload, under either header."""
    assert signature(SECRET, TIMESTAMP, PAYLOAD) == HMAC
    verify(push(x_hmac=HMAC), [SECRET], NOW)
    verify(push(hmac_header=HMAC), [SECRET], NOW)


def test_the_decoded_strings_are_signed_not_the_raw_body() -> None:
    """Other spacing, other escapes, another order: the same push."""
    spaced = json.dumps({"payload": PAYLOAD, "timestamp": TIMESTAMP}, indent=3).replace("Delivery", "\\u0044elivery")
    verify(push(spaced.encode(), x_hmac=HMAC), [SECRET], NOW)


def test_two_secrets_hold_during_a_rotation() -> None:
    """The older one is accepted beside the newest."""
    verify(push(x_hmac=HMAC), ["f" * 32, SECRET], NOW)


@pytest.mark.parametrize("away", [timedelta(days=-9), timedelta(hours=1), timedelta(days=40)])
def test_late_is_not_forged(away: timedelta) -> None:
    """A push that was on its way for long is USPS's all the same; it is read by its events' own instants."""
    verify(push(x_hmac=HMAC), [SECRET], NOW + away)


@pytest.mark.parametrize(
    "forged",
    [
        push(),
        push(x_hmac=""),
        push(x_hmac=HMAC[:-2] + "A="),
        push(x_hmac=HMAC.lower()),
        push(x_hmac="é"),
        push(BODY.replace(b"55", b"01"), x_hmac=HMAC),
        push(BODY.replace(b"05.678", b"05.679"), x_hmac=HMAC),
        push(b"", x_hmac=HMAC),
        push(b"[]", x_hmac=HMAC),
        push(b"{}", x_hmac=HMAC),
        push(b'{"timestamp": 1, "payload": {}}', x_hmac=HMAC),
        push(b"[" * 50_000, x_hmac=HMAC),
        push(PAYLOAD.encode(), x_hmac=HMAC),
        # the body's own digest, as most carriers would sign
        push(x_hmac=signature(SECRET, "", BODY.decode())),
        # signed with nothing, which anybody can do
        push(x_hmac=signature("", TIMESTAMP, PAYLOAD)),
    ],
)
def test_a_forgery_is_refused(forged: Push) -> None:
    """Nothing, something else, another body, or no envelope at all: Forged and no other error."""
    for secrets in ([SECRET], [], [""], ["", SECRET[::-1]]):
        with pytest.raises(Forged):
            verify(forged, secrets, NOW)


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_no_changed_byte_of_what_is_signed_is_accepted(place: int, flip: int) -> None:
    """Each byte in turn: what is then accepted says the same timestamp and payload."""
    body = BODY[:place] + bytes([BODY[place] ^ flip]) + BODY[place + 1 :]
    try:
        verify(push(body, x_hmac=HMAC), [SECRET], NOW)
    except Forged:
        return
    said = json.loads(body)
    assert (said["timestamp"], said["payload"]) == (TIMESTAMP, PAYLOAD)


# --------------------------------------------------------------------------------------------------------- subscription

BASE = "https://apis.usps.com"
ALL = f"{BASE}/subscriptions-tracking/v3r2/subscriptions"
ID, SPARE = "019d0c5e-7a11-7c3e-9a55-2f8f4d8d9e11", "019d0c5e-7a11-7c3e-9a55-2f8f4d8d9e22"
LISTENER = "https://hooks.example.com/webhooks/usps"


def held(id: str = ID, status: str = "ENABLED", **more: Any) -> dict[str, Any]:
    filters = {"MID": "901234567", "trackingEventTypes": ["PACKAGE_DELAYED", "ALL_UPDATES"]}
    return {
        "subscriptionId": id,
        "listenerURL": LISTENER,
        "secret": SECRET,
        "status": status,
        "adminNotification": [{"email": "ops@example.com"}],
        "filterProperties": filters,
        "expirationTimestamp": "2027-06-01T00:00:00Z",
    } | more


@pytest.fixture
async def usps() -> AsyncIterator[Usps]:
    env = {
        "USPS_CLIENT_ID": "key",
        "USPS_CLIENT_SECRET": "hush",
        "USPS_MID": "901234567",
        "USPS_PUSH_SECRETS": f"{SECRET},{'f' * 32}",
        "USPS_LISTENER_URL": LISTENER,
        "USPS_ADMIN_EMAIL": "ops@example.com",
    }
    made = connect(Settings.from_env(env), budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    yield made
    await made.aclose()


@pytest.fixture
def wire() -> Any:
    with respx.mock(assert_all_called=False) as router:
        token = {"access_token": "A", "expires_in": "28799", "scope": "subscriptions"}
        router.post(f"{BASE}/oauth2/v3/token").mock(return_value=httpx.Response(200, json=token))
        yield router


def listed(wire: respx.MockRouter, *found: dict[str, Any]) -> None:
    answer = httpx.Response(200, json={"subscriptions": list(found)}) if found else httpx.Response(404, json={})
    wire.get(ALL, params={"MID": "901234567"}).mock(return_value=answer)


async def test_a_first_subscription_is_created(usps: Usps, wire: respx.MockRouter) -> None:
    """One for the Mailer ID, with the newest secret; numbers asked for are covered by it."""
    listed(wire)
    made = wire.post(ALL).mock(return_value=httpx.Response(201, json=held()))
    subscribed = await usps.subscribe(["9202090123456700000015"])
    assert subscribed.accepted == ("*",) and subscribed.until == datetime(2027, 6, 1, tzinfo=UTC)
    body = json.loads(made.calls[0].request.content)
    assert body == {
        "listenerURL": LISTENER,
        "secret": SECRET,
        "adminNotification": [{"email": "ops@example.com"}],
        "filterProperties": {"MID": "901234567", "trackingEventTypes": ["ALL_UPDATES", "PACKAGE_DELAYED"]},
    }
    assert not usps.abilities.push_by_number
    if PRESENT:
        operation = Operation("usps/subscriptions-tracking-v3r2.yaml", "post", "/subscriptions")
        assert complaints(operation, body) == []


def there_is(wire: respx.MockRouter, *found: dict[str, Any]) -> None:
    """What one subscription is, at each look at it, under ETags "1", "2" ..."""
    answers = [httpx.Response(200, json=one, headers={"ETag": f'"{tag}"'}) for tag, one in enumerate(found, 1)]
    wire.get(f"{ALL}/{found[0]['subscriptionId']}").mock(side_effect=answers)


async def test_one_that_works_is_left_alone(usps: Usps, wire: respx.MockRouter) -> None:
    """Asking every hour costs two calls: the list may be stale, the subscription itself is not."""
    listed(wire, held(), held("x", listenerURL="https://other.example.com"))
    there_is(wire, held())
    await usps.subscribe([])
    assert [call.request.method for call in wire.calls] == ["POST", "GET", "GET"]


async def test_a_suspension_that_the_list_hides_is_seen(usps: Usps, wire: respx.MockRouter, caplog: Any) -> None:
    """source: facts/usps.md 5: lists are cached; the reason of a suspension is said, the secret never."""
    listed(wire, held())
    off = held(status="SUSPENDED", statusReason="unable to reach listener")
    there_is(wire, off, off)
    put = wire.put(f"{ALL}/{ID}").mock(return_value=httpx.Response(200, json=held()))
    await usps.subscribe([])
    assert put.call_count == 1
    (record,) = [one for one in caplog.records if "found off" in one.message]
    assert (record.status, record.why) == ("SUSPENDED", "unable to reach listener")
    assert SECRET not in str([one.__dict__ for one in caplog.records])


async def test_one_that_usps_deleted_is_made_anew(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 5: after thirty idle days it may be gone, though a stale list still shows it."""
    listed(wire, held())
    wire.get(f"{ALL}/{ID}").mock(return_value=httpx.Response(404, json={}))
    made = wire.post(ALL).mock(return_value=httpx.Response(201, json=held(SPARE)))
    assert (await usps.subscribe([])).accepted == ("*",)
    assert made.call_count == 1


async def test_a_new_secret_is_told_once_where_usps_does_not_echo_it(usps: Usps, wire: respx.MockRouter) -> None:
    """While two secrets are accepted the newest is put, once in a life; both prove pushes meanwhile."""
    silent = {name: value for name, value in held().items() if name != "secret"}
    listed(wire, silent)
    there_is(wire, *[silent] * 4)
    put = wire.put(f"{ALL}/{ID}").mock(return_value=httpx.Response(200, json=silent))
    await usps.subscribe([])
    await usps.subscribe([])
    assert put.call_count == 1 and json.loads(put.calls[0].request.content)["secret"] == SECRET
    if PRESENT:
        operation = Operation("usps/subscriptions-tracking-v3r2.yaml", "put", "/subscriptions/{subscriptionId}")
        assert complaints(operation, json.loads(put.calls[0].request.content)) == []


async def test_a_secret_that_is_quoted_back_is_hushed(usps: Usps, wire: respx.MockRouter) -> None:
    """A gateway may repeat what it did not like."""
    listed(wire)
    error = {"code": "400", "errors": [{"code": "OAS", "detail": f"secret {SECRET} is no good"}]}
    wire.post(ALL).mock(return_value=httpx.Response(400, json={"error": error}, headers={"X-Request-ID": "r-1"}))
    with pytest.raises(Refused, match="is no good") as caught:
        await usps.subscribe([])
    assert SECRET not in str(caught.value) and caught.value.request_id == "r-1"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("there", [held(status="SUSPENDED"), held(status="DISABLED"), held(secret="f" * 32)])
async def test_a_suspension_is_undone_and_a_secret_renewed(there: dict[str, Any], usps: Usps, wire: Any) -> None:
    """source: facts/usps.md 5: PUT with the current ETag; a stale one is read again."""
    listed(wire, there)
    wire.get(f"{ALL}/{ID}").mock(
        side_effect=[httpx.Response(200, json=there, headers={"ETag": tag}) for tag in ('"0"', '"old"', '"new"')]
    )
    put = wire.put(f"{ALL}/{ID}").mock(side_effect=[httpx.Response(412, json={}), httpx.Response(200, json=held())])
    assert (await usps.subscribe([])).accepted == ("*",)
    assert [call.request.headers["if-match"] for call in put.calls] == ['"old"', '"new"']
    body = json.loads(put.calls[1].request.content)
    assert body["status"] == "ENABLED" and body["secret"] == SECRET


async def test_spare_ones_are_deleted(usps: Usps, wire: respx.MockRouter) -> None:
    """Two would push everything twice."""
    listed(wire, held(), held(SPARE))
    there_is(wire, held())
    wire.get(f"{ALL}/{SPARE}").mock(return_value=httpx.Response(200, json=held(SPARE), headers={"ETag": "t"}))
    gone = wire.delete(f"{ALL}/{SPARE}").mock(return_value=httpx.Response(204))
    await usps.subscribe([])
    assert gone.call_count == 1 and gone.calls[0].request.headers["if-match"] == "t"


def duplicate() -> httpx.Response:
    detail = f"A subscription for this URL and MID 901234567 exists: {ID}"
    return httpx.Response(400, json={"error": {"code": "400", "errors": [{"code": "190001", "detail": detail}]}})


async def test_a_duplicate_that_the_list_hides_is_taken_over(usps: Usps, wire: respx.MockRouter) -> None:
    """The list is cached: the refused create names it, and it is kept when it is what we want."""
    listed(wire)
    made = wire.post(ALL).mock(return_value=duplicate())
    wire.get(f"{ALL}/{ID}").mock(return_value=httpx.Response(200, json=held(), headers={"ETag": "t"}))
    assert (await usps.subscribe([])).accepted == ("*",)
    assert made.call_count == 1


async def test_a_duplicate_with_another_filter_makes_room(usps: Usps, wire: respx.MockRouter) -> None:
    """The filter cannot be edited: delete by ETag, then create."""
    listed(wire)
    made = wire.post(ALL).mock(side_effect=[duplicate(), httpx.Response(201, json=held(SPARE))])
    other = held(filterProperties={"MID": "901234567", "trackingEventTypes": ["DELIVERY_ACTIVITY"]})
    wire.get(f"{ALL}/{ID}").mock(return_value=httpx.Response(200, json=other, headers={"ETag": "t"}))
    gone = wire.delete(f"{ALL}/{ID}").mock(return_value=httpx.Response(204))
    assert (await usps.subscribe([])).accepted == ("*",)
    assert (gone.call_count, made.call_count) == (1, 2)


async def test_a_refusal_that_names_nothing_is_raised(usps: Usps, wire: respx.MockRouter) -> None:
    """And the secret is in no message."""
    listed(wire)
    wire.post(ALL).mock(return_value=httpx.Response(403, json={"error": {"message": "MID not yours", "code": "403"}}))
    with pytest.raises(Refused, match="MID not yours") as caught:
        await usps.subscribe([])
    assert SECRET not in str(caught.value)


async def test_without_a_listener_nothing_is_asked(wire: respx.MockRouter) -> None:
    """It says which settings are missing."""
    made = connect(Settings(client_id="k", client_secret="s"), budget=Unlimited())
    with pytest.raises(Refused, match="USPS_LISTENER_URL"):
        await made.subscribe([])
    assert not wire.calls
    await made.aclose()
