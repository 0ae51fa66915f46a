"""Facts about secrets: planted in every setting, they are in no log, no answer and no error over a whole run."""

import asyncio
import os
import sys
from pathlib import Path

import httpx
import pytest

from cli.demo import START, _development_key, free_port
from fleet.clocks import Clock

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
CANARY = "kanarienvogel"
SECRETS = {
    "UPS_CLIENT_ID": f"{CANARY}-ups-id",
    "UPS_CLIENT_SECRET": f"{CANARY}-ups-secret",
    "UPS_PUSH_SECRETS": f"{CANARY}-ups-push-0123456789",
    "UPS_ACCOUNT": "A1B2C3",
    "USPS_CLIENT_ID": f"{CANARY}-usps-id",
    "USPS_CLIENT_SECRET": f"{CANARY}-usps-secret",
    "USPS_PUSH_SECRETS": f"{CANARY}-usps-push-0123456789000"[:32].ljust(32, "x"),
    "USPS_CRID": "12345678",
    "USPS_MID": "901234567",
    "USPS_MANIFEST_MID": "901234567",
    "USPS_EPS_ACCOUNT": "9182736450",
    "USPS_ADMIN_EMAIL": f"{CANARY}@example.com",
    "HOMEWARD_KEY": "a2FuYXJpZW52b2dlbC1rYW5hcmllbnZvZ2VsLTEyMzQ=",  # base64 of the canary twice and 1234
}
PEOPLE = ("Wilhelmina Kanarienvogel", "Kanarienvogelstraat 77", "31209876543", "wilhelmina@kanarienvogel.example")
PLACES = "1015 CJ"


async def _life(http: httpx.AsyncClient, street: httpx.AsyncClient, key: str) -> list[str]:
    """An order, its parcel, its return with a label, look-ups right and wrong, forged pushes; every answer's text."""
    told: list[str] = []

    async def call(method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        answer = await http.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"} | headers)
        told.append(answer.text + str(answer.headers))
        return answer

    home = {
        "name": PEOPLE[0],
        "lines": [PEOPLE[1]],
        "city": "Amsterdam",
        "postal_code": PLACES,
        "country": "NL",
        "phone": PEOPLE[2],
    }
    parcel = (await street.post("/street/parcels", json={"carrier": "ups", "journey": "delivered_first_time"})).json()
    order = {
        "placed_at": parcel["starts_at"],
        "ship_to": home,
        "email": PEOPLE[3],
        "currency": "EUR",
        "items": [{"sku": "COAT", "quantity": 1, "price": "690.00", "category": "coats"}],
    }
    await call("PUT", "/v1/orders/boutique-eu/B-1", order)
    await call("POST", "/v1/orders/boutique-eu/B-1/parcels", {"carrier": "ups", "tracking_number": parcel["number"]})
    for _ in range(100):
        view = (await call("GET", f"/v1/parcels/ups/{parcel['number']}")).json()
        if view.get("status") == "delivered":
            break
        await asyncio.sleep(0.2)
    items = [{"sku": "COAT", "quantity": 1, "reason": "size", "outcome": "refund"}]
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": "B-1", "items": items}], "from_address": home}
    made = await call("POST", "/v1/returns", asked)
    assert made.status_code in (201, 202), made.text
    await call("POST", "/v1/follow/order", {"order_number": "B-1", "email": PEOPLE[3]})
    await call("POST", "/v1/follow/order", {"order_number": "B-1", "email": "wrong@example.com"})
    await call("POST", "/webhooks/ups", {"trackingNumber": "x"}, credential=SECRETS["UPS_PUSH_SECRETS"])
    await call("POST", "/webhooks/ups", {"trackingNumber": "x"}, credential=f"{CANARY}-forged")
    await call("POST", "/webhooks/usps", {"payload": "{", "timestamp": "1", "signature": f"{CANARY}-forged"})
    await call("GET", f"/v1/orders/{CANARY}/{CANARY}")
    await http.post("/v1/returns", json=asked, headers={"Authorization": "Bearer hw_live_" + CANARY.ljust(43, "k")})
    for path in (
        "orders/boutique-eu/B-1",
        "parcels",
        f"returns/{made.json()['return_number']}",
        "unidentified",
        "endpoints",
    ):
        assert (await call("GET", f"/v1/{path}")).status_code == 200, path
    for path in ("/metrics", "/readyz", "/openapi.json", "/ops", "/follow/order", "/follow/return"):
        told.append((await http.get(path)).text)
    return told


async def test_no_secret_and_no_person_is_in_a_log(tmp_path: Path) -> None:
    """A whole life with debug logs: every canary is where it belongs, and in no line of the log."""
    port, street_port = free_port(), free_port()
    street_url = f"http://127.0.0.1:{street_port}"
    strange = ("UPS_", "USPS_", "HOMEWARD_", "DATABASE_", "REDIS_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(strange)} | SECRETS
    env |= {
        "UPS_BASE_URL": f"{street_url}/ups",
        "USPS_BASE_URL": f"{street_url}/usps",
        "USPS_LISTENER_URL": f"http://127.0.0.1:{port}/webhooks/usps",
        "HOMEWARD_DATA": str(tmp_path / "data"),
        "HOMEWARD_LOG": "debug",
        "HOMEWARD_BUDGET": "off",
        "HOMEWARD_CLOCK": str(Clock(START, 60_000.0, __import__("time").time())),
        "PYTHONUNBUFFERED": "1",
    }
    processes = []
    log = tmp_path / "service.log"
    try:
        for arguments, file in (
            (["sandbox", "--port", str(street_port), "--clock", env["HOMEWARD_CLOCK"]], tmp_path / "street.log"),
            (["serve", "--port", str(port)], log),
        ):
            with file.open("wb") as out:
                processes.append(
                    await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "cli", *arguments, env=env, cwd=ROOT, stdout=out, stderr=out
                    )
                )
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
            httpx.AsyncClient(base_url=street_url, trust_env=False, timeout=30) as street,
        ):
            await _until_open(http, street)
            key = await _development_key(log)  # it is printed when the doors are open already
            told = await _life(http, street, key)
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in processes))
    lines = [line for line in log.read_text().splitlines() if key not in line]  # shown once, on purpose
    assert len(lines) > 50, "debug says something"
    sung = [line[:300] for line in lines for bird in (*SECRETS.values(), *PEOPLE, PLACES, CANARY) if bird in line]
    sung = [line for line in sung if "A1B2C3" not in line or CANARY in line]
    assert not sung, sung[:5]
    answers = "\n".join(told)
    assert not [bird for bird in SECRETS.values() if CANARY in bird and bird in answers]
    assert log.read_text().count(key) == 1


async def _until_open(*clients: httpx.AsyncClient) -> None:
    for client, path in zip(clients, ("/readyz", "/street/quiet"), strict=True):
        for _ in range(600):
            try:
                if (await client.get(path)).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
