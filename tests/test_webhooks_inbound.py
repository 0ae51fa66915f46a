"""Facts about what carriers post to us: our tokens, forgeries, replays, late ones, bombs, and feeds fallen silent."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carriers.contract import Carrier, Payload, Source
from carriers.door import Unlimited
from carriers.ups.connect import Settings as UpsSettings
from carriers.ups.connect import connect as connect_ups
from carriers.usps.connect import Settings as UspsSettings
from carriers.usps.connect import connect as connect_usps
from carriers.usps.reading import signature
from fleet.clocks import to_us
from store.engine import Store, Tx
from store.outbox import said_about
from store.parcels import add_sightings, find_parcel, set_subscription, want_subscription
from store.payloads import get_payload
from tests.doors import MONDAY, Doors, make_house, open_doors
from webhooks.silence import LAG, listen

SECRET = "0123456789abcdef0123456789ABCDEF"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EVENT = {
    "trackingNumber": "1Z5338FF0107231059", "localActivityDate": "20260302", "localActivityTime": "100000",
    "activityStatus": {"type": "I", "code": "DP", "description": "Departed"},
}  # fmt: skip


def carriers() -> dict[str, Carrier]:
    """Both, with two credentials of ours that are being exchanged."""
    ups = UpsSettings(client_id="a", client_secret="b", account="A1B2C3", push_secrets=("new:fresh", "old:stale", "v1"))  # type: ignore[arg-type]
    env = {
        "USPS_CLIENT_ID": "a", "USPS_CLIENT_SECRET": "b", "USPS_CRID": "12345678", "USPS_MID": "901234567",
        "USPS_MANIFEST_MID": "901234567", "USPS_EPS_ACCOUNT": "1000000001", "USPS_PUSH_SECRETS": SECRET,
        "USPS_LISTENER_URL": "https://x.example/webhooks/usps", "USPS_ADMIN_EMAIL": "ops@example.com",
    }  # fmt: skip
    return {
        "ups": connect_ups(ups, budget=Unlimited()),
        "usps": connect_usps(UspsSettings.from_env(env), budget=Unlimited()),
    }


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    both = carriers()
    async with open_doors(make_house(sqlite_store, both)) as doors:
        yield doors
    for carrier in both.values():
        await carrier.aclose()


async def post(doors: Doors, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with doors.client.post(path, data=body, headers=sent) as response:
        return response.status, json.loads(await response.read() or b"{}")


def basic(client: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


@pytest.mark.parametrize(("client", "secret"), [("new", "fresh"), ("old", "stale")])
async def test_ups_fetches_a_token_and_pushes_with_it(doors: Doors, client: str, secret: str) -> None:
    """Each of two credentials gets a token; a push with it and its client id is kept, with another id it is not."""
    form = b"grant_type=client_credentials"
    status, told = await post(doors, "/webhooks/ups/token", form, Authorization=basic(client, secret), **FORM)
    assert status == 200 and told["token_type"] == "Bearer"
    bearer = f"Bearer {told['access_token']}"
    body = json.dumps(EVENT).encode()
    assert (await post(doors, "/webhooks/ups", body, Authorization=bearer, x_api_key=client))[0] == 200
    for headers in ({"x_api_key": "other"}, {}):
        assert (await post(doors, "/webhooks/ups", body, Authorization=bearer, **headers))[0] == 401


async def test_strangers_get_no_token(doors: Doors) -> None:
    """Wrong credentials 401 and ops hear of it; another grant, another carrier, another type, too much: refused."""
    form = b"grant_type=client_credentials"
    for client, secret in (("new", "stale"), ("", ""), ("v1", ""), ("new", "")):
        assert (await post(doors, "/webhooks/ups/token", form, Authorization=basic(client, secret), **FORM))[0] == 401
    right = basic("new", "fresh")
    assert (await post(doors, "/webhooks/ups/token", b"grant_type=password", Authorization=right, **FORM))[0] == 400
    assert (await post(doors, "/webhooks/usps/token", form, Authorization=right, **FORM))[0] == 404
    assert (await post(doors, "/webhooks/ups/token", form, Authorization=right))[0] == 415
    assert (await post(doors, "/webhooks/ups/token", form + b"&x=" + b"y" * 9999, Authorization=right, **FORM))[
        0
    ] == 413
    said = await doors.house.store.read(lambda tx: said_about(tx, "carrier:ups"))
    assert [row["type"] for row in said] == ["ops.push_forged"], "told once an hour, however many come"


def usps_push(at: datetime, **changes: str) -> tuple[bytes, str]:
    payload = json.dumps({"trackingNumber": "9200190221582780000000", "events": []})
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope = {"subscriptionId": "s", "subscriptionType": "TRACKING", "timestamp": stamp, "payload": payload}
    return json.dumps(envelope | changes).encode(), signature(SECRET, stamp, payload)


async def test_every_changed_byte_is_refused(doors: Doors) -> None:
    """Of a signed push, no byte of what is signed and none of the signature can be changed; nothing is kept."""
    body, mac = usps_push(datetime.now(UTC))
    start, end = body.index(b'"timestamp"') + 14, len(body) - 2
    for n in range(start, end, 3):
        forged = body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :]
        status, _ = await post(doors, "/webhooks/usps", forged, x_hmac=mac)
        assert status == 401, (n, forged)
    for n in range(0, len(mac) - 2, 5):
        other = mac[:n] + ("A" if mac[n] != "A" else "B") + mac[n + 1 :]
        assert (await post(doors, "/webhooks/usps", body, x_hmac=other))[0] == 401
    assert await doors.house.ledger.read_all(MONDAY) == 0, "nothing was kept"
    assert (await post(doors, "/webhooks/usps", body, x_hmac=mac))[0] == 200
    assert (await post(doors, "/webhooks/usps", body, x_hmac=mac))[0] == 200, "a genuine replay changes nothing"
    assert await doors.house.ledger.read_all(MONDAY) == 1


async def test_a_late_push_is_kept_and_marked(doors: Doors) -> None:
    """A genuine push from yesterday is kept and marked with its age; one in time is not."""
    for hours in (0, 24):
        body, mac = usps_push(datetime.now(UTC) - timedelta(hours=hours))
        assert (await post(doors, "/webhooks/usps", body, x_hmac=mac))[0] == 200
        kept = await doors.house.ledger.keep(Payload("usps", Source.PUSH, body), MONDAY)
        row = await doors.house.store.read(lambda tx, id=kept.id: get_payload(tx, id))
        assert row is not None and abs(row["late"] - hours * 3600) < 60


async def test_what_is_too_much_is_refused_before_it_is_believed(doors: Doors) -> None:
    """Size by carrier, depth, type and compression: 413, 400, 415, whatever credential is shown; 404 for no carrier."""
    assert (await post(doors, "/webhooks/ups", b'"' + b"x" * 65_536 + b'"', credential="v1"))[0] == 413
    assert (await post(doors, "/webhooks/ups", b"[" * 40 + b"]" * 40, credential="v1"))[0] == 400
    assert (await post(doors, "/webhooks/ups", b"{}", credential="v1", Content_Type="text/plain"))[0] == 415
    bomb = gzip.compress(b"0" * 10_000_000)
    assert (await post(doors, "/webhooks/ups", bomb, credential="v1", Content_Encoding="gzip"))[0] == 415
    assert (await post(doors, "/webhooks/nobody", b"{}"))[0] == 404
    body, mac = usps_push(datetime.now(UTC), links="x" * 100_000)
    assert (await post(doors, "/webhooks/usps", body, x_hmac=mac))[0] == 200, "a batch may be bigger than one event"
    body, mac = usps_push(datetime.now(UTC), links="x" * 300_000)
    assert (await post(doors, "/webhooks/usps", body, x_hmac=mac))[0] == 413


async def test_a_feed_that_falls_silent_is_told_once(doors: Doors) -> None:
    """Polls bring what no push told, for longer than a push may take: told once; a push that comes later ends it."""
    store, carriers = doors.house.store, doors.house.carriers
    await doors.put_order()
    number = EVENT["trackingNumber"]
    body = {"carrier": "ups", "tracking_number": number}
    assert (await doors.call("POST", "/v1/orders/boutique-eu/B-1001/parcels", json=body))[0] == 201
    at = MONDAY + timedelta(hours=1)

    async def polled(tx: Tx) -> None:
        parcel = await find_parcel(tx, "ups", number)
        assert parcel is not None
        for n in range(3):
            us = to_us(at + timedelta(minutes=n))
            told = {"teller": f"t{n}", "payload_digest": "d", "received_us": us, "at_us": us, "event": "{}"}
            await add_sightings(tx, [{"parcel_id": parcel["id"], "event_id": f"e{n}", "source": "poll", **told}])

    async def subscribed(tx: Tx) -> None:
        await want_subscription(tx, "ups", number, to_us(MONDAY))
        await set_subscription(tx, "ups", number, state="active", renew_us=to_us(at + timedelta(days=9)), tries=0)

    await store.write(polled)
    late = at + LAG + timedelta(hours=1)
    assert await listen(store, carriers, late) == (), "nobody asked for pushes of it"
    await store.write(subscribed)
    assert await listen(store, carriers, at + timedelta(hours=1)) == (), "a push may still come"
    for n in range(3):
        assert await listen(store, carriers, late + timedelta(hours=n)) == ("ups",)
    await doors.house.ledger.keep(Payload("ups", Source.PUSH, b"{}"), late + timedelta(hours=4))
    assert await listen(store, carriers, late + timedelta(hours=5)) == ()
    said = await store.read(lambda tx: said_about(tx, "carrier:ups"))
    assert [row["type"] for row in said] == ["ops.push_silent", "ops.push_heard"]
