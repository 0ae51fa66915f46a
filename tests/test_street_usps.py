"""USPS's stand-in over HTTP: tokens and scopes, labels and keys, tracking, subscriptions and signed pushes."""

import asyncio
import base64
import email
import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from carriers.usps.standin import check_digit
from tests.walk import ROLES, SECRET, listening, street, subscription, until_quiet, usps_label

LABEL, REPRINT, CANCEL = "/usps/labels/v3/return-label", "/usps/labels/v3/label-reprint", "/usps/labels/v3/label"
TRACK, SUBSCRIPTIONS = "/usps/tracking/v3r2/tracking", "/usps/subscriptions-tracking/v3r2/subscriptions"
TOKEN, PAYMENT = "/usps/oauth2/v3/token", "/usps/payments/v3/payment-authorization"
FLAT = {"Accept": "application/vnd.usps.labels+json"}
KEY = {"X-Idempotency-Key": "8be4df61-93ca-41d2-aa0d-00e098032b8c"}
CREDENTIALS = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}


async def test_a_token_shows_its_scopes_and_a_missing_one_is_named() -> None:
    """Source: facts/usps.md 1.1: an ungranted scope gives 200 and an empty scope; calls fail with text as `source`."""
    async with street(usps_client_id="id", usps_client_secret="secret") as (town, caller):
        answer = (await caller.http.post(TOKEN, json=CREDENTIALS)).json()
        assert {"labels", "payments", "tracking"} <= set(answer["scope"].split())
        refused = await caller.http.post(TOKEN, data=CREDENTIALS | {"client_secret": "no"})
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        empty = (await caller.http.post(TOKEN, json=CREDENTIALS | {"scope": "disputes"})).json()
        assert empty["scope"] == ""
        poor = {"Authorization": f"Bearer {empty['access_token']}"}
        answer = (await caller.http.post(TRACK, headers=poor, json=[{"trackingNumber": "94001112"}])).json()
        assert answer["error"]["errors"][0]["source"] == "Access Token"
        town.usps.forget_tokens()
        old = await caller.http.post(TRACK, headers=caller.usps, json=[{"trackingNumber": "94001112"}])
        assert (old.status_code, old.json()["error"]["message"]) == (401, "")


async def test_a_payment_token_names_its_roles_and_every_label_needs_one() -> None:
    """Source: facts/usps.md 1.2."""
    async with street() as (_, caller):
        for name, code in (("PAYER", "160228"), ("LABEL_OWNER", "160229")):
            roles = {"roles": [role for role in ROLES["roles"] if role["roleName"] != name]}
            refused = await caller.http.post(PAYMENT, headers=caller.usps, json=roles)
            assert refused.json()["error"]["errors"][0]["code"] == code
        assert (await caller.http.post(LABEL, headers=caller.usps, json=usps_label())).status_code == 401


async def test_a_label_is_flat_json_or_parts_as_asked() -> None:
    """Source: facts/usps.md 2.5: one JSON for the vendor's media type, else parts whose images are Base64 text."""
    async with street() as (town, caller):
        flat = (await caller.http.post(LABEL, headers=caller.paying | FLAT, json=usps_label())).json()
        number = flat["trackingNumber"]
        assert number.startswith("92020901234567") and check_digit(number[:-1]) == number[-1]
        assert base64.b64decode(flat["returnLabelImage"]).startswith(b"%PDF")
        assert town.parcels[number].is_return and town.parcels[number].destination.city == "Secaucus"
        parts = await caller.http.post(LABEL, headers=caller.paying, json=usps_label(imageType="PNG"))
        message = email.message_from_bytes(
            b"Content-Type: " + parts.headers["Content-Type"].encode() + b"\r\n\r\n" + parts.content
        )
        named = {
            part.get_param("name", header="content-disposition"): part.get_payload() for part in message.get_payload()
        }
        assert json.loads(named["returnLabelMetadata"])["postage"] == 6.85
        assert base64.b64decode(named["returnLabelImage"]).startswith(b"\x89PNG")


async def test_the_same_key_and_body_is_the_same_label_and_one_line_in_the_book() -> None:
    """Source: facts/usps.md 2.4; another body under the key is refused, another key is another label."""
    async with street() as (town, caller):
        heads = caller.paying | FLAT | KEY
        answers = await asyncio.gather(*(caller.http.post(LABEL, headers=heads, json=usps_label()) for _ in range(5)))
        assert len({answer.json()["trackingNumber"] for answer in answers}) == 1
        assert [line.kind for line in town.ledger] == ["label"] and next(iter(town.ledger)).key == KEY[
            "X-Idempotency-Key"
        ]
        assert (await caller.http.post(LABEL, headers=heads, json=usps_label("RMA-2"))).status_code == 400
        await caller.http.post(LABEL, headers=caller.paying | FLAT, json=usps_label())
        assert [line.kind for line in town.ledger] == ["label", "label"]


async def test_a_return_label_is_charged_by_its_first_scan_and_once() -> None:
    """Source: facts/usps.md 2.2: scan-based payment; a label never used costs nothing."""
    unused = [{"journey": "label_never_used", "carrier": "usps"}]
    async with street(next_journeys=unused) as (town, caller):
        never = (await caller.http.post(LABEL, headers=caller.paying | FLAT, json=usps_label("A"))).json()[
            "trackingNumber"
        ]
        used = (await caller.http.post(LABEL, headers=caller.paying | FLAT, json=usps_label("B"))).json()[
            "trackingNumber"
        ]
        assert not any(line.kind == "charge" for line in town.ledger)
        await until_quiet(town)
        town.settle()
        assert [line.number for line in town.ledger if line.kind == "charge"] == [used] and never != used


async def test_a_label_is_printed_again_by_its_key_three_times_and_never_cancelled() -> None:
    """Source: facts/usps.md 2.8."""
    async with street() as (_, caller):
        heads = caller.paying | FLAT | KEY
        assert (await caller.http.post(REPRINT, headers=heads, json={})).json()["error"]["errors"][0][
            "code"
        ] == "160378"
        number = (await caller.http.post(LABEL, headers=heads, json=usps_label())).json()["trackingNumber"]
        for count in (1, 2, 3):
            again = (await caller.http.post(REPRINT, headers=heads, json={})).json()
            assert (
                again["returnLabelMetadata"]["trackingNumber"] == number
                and again["reprintInfo"]["reprintNumber"] == count
            )
        assert (await caller.http.post(f"{REPRINT}/{number}", headers=heads, json={})).status_code == 400
        for path in (CANCEL, f"{CANCEL}/{number}"):
            refused = await caller.http.delete(path, headers=heads)
            assert refused.json()["error"]["errors"][0]["code"] == "160187"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("mailingDate",), "2026-01-01"),
        (("fromAddress", "ZIPCode"), "8950"),
        (("fromAddress", "lastName"), ""),
        (("packageDescription", "mailClass"), "PRIORITY_MAIL"),
        (("packageDescription", "weight"), 71),
        (("packageDescription", "shape"), "RECTANGULAR"),
        (("fromAddress", "phone"), "+1 (555) 1234"),
        (("imageInfo", "imageType"), "LABEL_BROKER"),
    ],
)
async def test_a_wrong_label_request_is_refused_and_costs_nothing(where: tuple[str, ...], value: object) -> None:
    """Source: facts/usps.md 2.3, 2.10."""
    request = usps_label()
    if where[-1] == "shape":
        request["packageDescription"]["packagingType"] = "VARIABLE"
    inner = request
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    async with street(usps_environment="tem") as (town, caller):
        assert (await caller.http.post(LABEL, headers=caller.paying | FLAT, json=request)).status_code == 400
        assert list(town.ledger) == []


async def test_a_batch_is_whole_mixed_or_nothing() -> None:
    """Source: facts/usps.md 3.1, 3.5: 200, 207, 404; 35 at once; no property but the three."""
    async with street() as (town, caller):
        one, other = (town.create("usps", "delivered_first_time").number for _ in range(2))
        town.clock.turn(town.ends_at or town.now())
        nobody = "9400111206206406260787"

        async def ask(*numbers: str) -> tuple[int, object]:
            answer = await caller.http.post(
                TRACK, headers=caller.usps, json=[{"trackingNumber": number} for number in numbers]
            )
            return answer.status_code, answer.json()

        status, items = await ask(one, other)
        assert status == 200 and [item["trackingNumber"] for item in items] == [one, other]
        status, items = await ask(one, nobody)
        assert status == 207 and [item["statusCode"] for item in items] == ["200", "404"]
        status, item = await ask(nobody)
        assert status == 404 and item["error"]["errors"][0]["code"] == "150006"
        assert (await ask(*[one] * 36))[0] == 400
        wrong = [{"trackingNumber": one, "expand": "DETAIL"}]
        assert (await caller.http.post(TRACK, headers=caller.usps, json=wrong)).status_code == 400


async def test_pushes_are_signed_over_the_two_strings() -> None:
    """Source: facts/usps.md 5.1: Base64 of HMAC-SHA256 over timestamp and payload; the stamp is real time."""
    async with listening() as listener, street() as (town, caller):
        made = await caller.http.post(SUBSCRIPTIONS, headers=caller.usps, json=subscription(listener.url))
        assert made.status_code == 201 and made.headers["ETag"]
        parcel = town.create("usps", "three_attempts_home")
        await until_quiet(town)
        assert len(listener.posts) == len(parcel.telling.pushes)
        for headers, body in listener.posts:
            told = json.loads(body)
            message = (told["timestamp"] + told["payload"]).encode()
            assert headers["X-HMAC"] == base64.b64encode(hmac.digest(SECRET.encode(), message, hashlib.sha256)).decode()
            assert told["subscriptionId"] == made.json()["subscriptionId"]


async def test_a_subscription_is_changed_only_with_its_etag() -> None:
    """Source: facts/usps.md 5: If-Match, used once; 412 when stale; no second one for a URL and MID; gone is 404."""
    async with street() as (_, caller):
        wanted, url = subscription("https://example.com/usps"), SUBSCRIPTIONS
        made = await caller.http.post(url, headers=caller.usps, json=wanted)
        one, etag = f"{url}/{made.json()['subscriptionId']}", made.headers["ETag"]
        twice = await caller.http.post(url, headers=caller.usps, json=wanted)
        assert made.json()["subscriptionId"] in twice.json()["error"]["errors"][0]["detail"]
        changed = await caller.http.put(
            one, headers=caller.usps | {"If-Match": etag}, json=wanted | {"status": "DISABLED"}
        )
        assert changed.json()["status"] == "DISABLED"
        assert (await caller.http.put(one, headers=caller.usps | {"If-Match": etag}, json=wanted)).status_code == 412
        fresh = (await caller.http.get(one, headers=caller.usps)).headers["ETag"]
        assert (await caller.http.delete(one, headers=caller.usps | {"If-Match": fresh})).status_code == 204
        assert (await caller.http.get(one, headers=caller.usps)).status_code == 404
        assert (await caller.http.get(f"{url}?MID=901234567", headers=caller.usps)).status_code == 404
        for change in ({"secret": "short"}, {"listenerURL": "http://example.com"}, {"filterProperties": {"MID": "1"}}):
            assert (await caller.http.post(url, headers=caller.usps, json=wanted | change)).status_code == 400


async def test_an_unreachable_listener_is_suspended_when_so_set() -> None:
    """Source: facts/usps.md 5: SUSPENDED with a reason; ENABLED again by hand; what was missed is not told again."""
    async with street(suspend_after=3) as (town, caller):
        made = await caller.http.post(SUBSCRIPTIONS, headers=caller.usps, json=subscription("http://127.0.0.1:9/hook"))
        town.create("usps", "delivered_first_time")
        await until_quiet(town)
        one = (await caller.http.get(f"{SUBSCRIPTIONS}/{made.json()['subscriptionId']}", headers=caller.usps)).json()
        assert one["status"] == "SUSPENDED" and one["statusReason"]


async def test_the_older_call_knows_the_return_date() -> None:
    """Source: facts/usps.md 3.1: `returnDateNotice` is only there."""
    async with street() as (town, caller):
        parcel = town.create("usps", "unclaimed")
        town.clock.turn(parcel.telling.ends_at - timedelta(days=8))
        answer = await caller.http.get(f"/usps/tracking/v3/tracking/{parcel.number}?expand=DETAIL", headers=caller.usps)
        if answer.status_code == 401:
            await caller.sign_in()
            answer = await caller.http.get(
                f"/usps/tracking/v3/tracking/{parcel.number}?expand=DETAIL", headers=caller.usps
            )
        visit = next(scan for scan in parcel.telling.scans if scan.word == "miss")
        assert answer.json()["returnDateNotice"] == f"{visit.local.date() + timedelta(days=15)}"
