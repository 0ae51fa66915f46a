"""What can go wrong on the street on demand, beside the faults that every label test knows."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from street.faults import Fault
from tests.walk import Caller, listening, street, subscription, until_quiet, until_sent

TRACK, DETAILS = "/usps/tracking/v3r2/tracking", "/ups/api/track/v1/details"
SUBSCRIPTIONS = "/usps/subscriptions-tracking/v3r2/subscriptions"


async def batch(caller: Caller, *numbers: str) -> httpx.Response:
    return await caller.http.post(TRACK, headers=caller.usps, json=[{"trackingNumber": number} for number in numbers])


async def test_a_whole_batch_can_be_mixed_once() -> None:
    """Source: facts/usps.md 3.5: a 207 in which the last number is not found."""
    async with street() as (town, caller):
        numbers = [town.create("usps", "delivered_first_time").number for _ in range(2)]
        town.clock.turn(town.ends_at or town.now())
        town.faults.add(Fault("usps", "track", "207"))
        mixed = await batch(caller, *numbers)
        assert mixed.status_code == 207 and [each["statusCode"] for each in mixed.json()] == ["200", "404"]
        assert (await batch(caller, *numbers)).status_code == 200


async def test_a_call_can_time_out_without_having_been_heard() -> None:
    """Nothing was done: unlike `charged_then_timeout`."""
    async with street() as (town, caller):
        town.faults.add(Fault("ups", "subscribe", "timeout", seconds=0.1))
        body = {"locale": "en_US", "trackingNumberList": ["1ZW957896800000000"]}
        with pytest.raises(httpx.TransportError):
            await caller.http.post("/ups/api/track/v2/subscription/standard/package", headers=caller.ups, json=body)
        assert not town.ups.alerts.followed


@pytest.mark.parametrize("carrier", ["ups", "usps"])
@pytest.mark.parametrize("status", [502, 503])
async def test_a_carrier_breaks_in_the_way_that_is_asked(carrier: str, status: int) -> None:
    """Any status above 500, in the carrier's own form."""
    async with street() as (town, caller):
        town.faults.add(Fault(carrier, "*", "500", status=status))
        path, heads = (
            (f"{DETAILS}/1ZW957896800000000", caller.ups) if carrier == "ups" else (SUBSCRIPTIONS, caller.usps)
        )
        answer = await caller.http.get(path, headers=heads)
        assert answer.status_code == status and isinstance(answer.json(), dict)


def keys(value: Any) -> set[str]:
    if isinstance(value, list):
        return {key for each in value for key in keys(each)}
    return {key for name, each in value.items() for key in {name} | keys(each)} if isinstance(value, dict) else set()


@pytest.mark.parametrize(
    ("only", "appears", "goes"),
    [
        ("extra", "newInThisVersion", ""),
        ("missing", "", "slic"),
        ("renamed", "slicV2", "slic"),
        ("numbers", "", ""),
    ],
)
async def test_the_schema_drifts_one_way_at_a_time(only: str, appears: str, goes: str) -> None:
    """Unknown keys come, optional ones go or change their names, texts become numbers: what is required stays."""
    async with street() as (town, caller):
        parcel = town.create("ups", "three_attempts_home")
        town.clock.turn(parcel.telling.ends_at)
        path = f"{DETAILS}/{parcel.number}"
        plain = (await caller.http.get(path, headers=caller.ups)).json()
        town.faults.add(Fault("ups", "track", "drift", only=only))
        other = (await caller.http.get(path, headers=caller.ups)).json()
        assert other != plain and (not appears or appears in keys(other)) and (not goes or goes not in keys(other))
        activity = other["trackResponse"]["shipment"][0]["package"][0]["activity"]
        assert len(activity) == len(parcel.telling.scans)
        statuses = {type(each["status"]["statusCode"]) for each in activity}
        assert statuses == ({int} if only == "numbers" else {str})
        assert (await caller.http.get(path, headers=caller.ups)).json() == plain


@pytest.mark.parametrize(("kind", "change"), [("lost", -1), ("doubled", 1), ("late", 0), ("reordered", 0)])
async def test_a_push_is_lost_doubled_late_or_reordered_by_itself(kind: str, change: int) -> None:
    """One push of many; a late and a reordered one come behind what followed them."""
    async with listening() as listener, street(usps_listener_url=listener.url, usps_listener_secret="s") as (town, _):
        parcel = town.create("usps", "delivered_first_time")
        town.faults.add(Fault("usps", "push", kind, seconds=86400))
        town.clock.turn(parcel.telling.ends_at)
        await until_sent(town)
        town.clock.turn(town.now() + timedelta(days=2))
        await until_quiet(town)
        told = [json.loads(json.loads(body)["payload"])["trackingEvents"][0]["eventType"] for _, body in listener.posts]
        assert len(told) == len(parcel.telling.pushes) + change
        first = sorted(parcel.telling.pushes, key=lambda push: push.due)[0].scan.word
        assert first == "label" and (told[0].startswith("Shipping Label")) == (kind == "doubled")


async def test_ups_shows_a_token_of_the_listeners_own_server_and_its_client_id() -> None:
    """Source: facts/ups.md 6.2: one token for many pushes; after a 401 it asks for another."""
    minted, posts, refuse = [], [], [True]

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "client_credentials" and request.headers["Authorization"].startswith("Basic ")
        minted.append(f"t{len(minted)}")
        return web.json_response({"access_token": minted[-1], "token_type": "Bearer", "expires_in": 3600})

    async def hook(request: web.Request) -> web.Response:
        posts.append((request.headers["Authorization"], request.headers["x-api-key"], "credential" in request.headers))
        return web.Response(status=401 if refuse and refuse.pop() else 200)

    app = web.Application()
    app.add_routes([web.post("/token", token), web.post("/hook", hook)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = {"ups_webhook_client_id": "ups", "ups_webhook_client_secret": "x", "push_all": True}
    urls = {"ups_webhook_url": f"{base}/hook", "ups_webhook_token_url": f"{base}/token"}
    try:
        async with street(**settings, **urls) as (town, _):
            parcel = town.create("ups", "delivered_first_time")
            await until_quiet(town)
    finally:
        await runner.cleanup()
    assert len(posts) == len(parcel.telling.pushes) and minted == ["t0", "t1"]
    assert posts[0] == ("Bearer t0", "ups", False) and set(posts[1:]) == {("Bearer t1", "ups", False)}


async def test_an_account_is_told_of_what_goes_out_and_not_of_returns() -> None:
    """Source: facts/ups.md 6.1: without an end, until it is taken back."""
    account = "/ups/api/track/v2/subscription/standard/account"
    async with listening() as listener, street() as (town, caller):
        town.settings.ups_webhook_url = listener.url
        wanted = {"locale": "en_US", "shipperAccountNumber": "W95789"}
        assert (await caller.http.post(account, headers=caller.ups, json=wanted)).json() == {"expiryDate": "9999-12-31"}
        out, _ = town.create("ups", "unclaimed"), town.create("ups", "return_delivered")
        await until_quiet(town)
        heard = [json.loads(body)["trackingNumber"].strip() for _, body in listener.posts]
        assert set(heard) == {out.number} and len(heard) == len(out.telling.pushes)
        gone = f"{account}?shipper_account_number=W95789"
        await caller.sign_in()
        assert (await caller.http.delete(gone, headers=caller.ups)).status_code == 200
        assert (await caller.http.delete(gone, headers=caller.ups)).status_code == 400


async def test_a_subscription_that_hears_nothing_for_thirty_days_is_gone() -> None:
    """Source: facts/usps.md 5; and its filter cannot be changed, only its listener, secret and status."""
    async with street() as (town, caller):
        wanted = subscription("https://example.com/usps")
        made = await caller.http.post(SUBSCRIPTIONS, headers=caller.usps, json=wanted)
        one = f"{SUBSCRIPTIONS}/{made.json()['subscriptionId']}"
        other = wanted | {"filterProperties": {"MID": "123456"}}
        heads = caller.usps | {"If-Match": made.headers["ETag"]}
        assert (await caller.http.put(one, headers=heads, json=other)).status_code == 400
        town.clock.turn(town.now() + timedelta(days=29))
        assert (await caller.http.get(one, headers=caller.usps)).status_code == 200
        town.clock.turn(town.now() + timedelta(days=2))
        assert (await caller.http.get(one, headers=caller.usps)).status_code == 404
