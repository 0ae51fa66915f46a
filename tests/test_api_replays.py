"""Idempotency-Key: one key is one intention, whatever is retried."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.routes import ROUTES
from store.endpoints import find_endpoint, list_endpoints
from store.engine import Store
from store.idempotency import begin
from tests.doors import Doors, make_house, make_key, open_doors

BODY = {"url": "https://shop.example/hooks", "events": ["order.shipped"]}


@pytest.fixture
async def doors(store: Store) -> AsyncIterator[Doors]:
    async with open_doors(make_house(store)) as doors:
        yield doors


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_the_same_request_again_gets_the_same_answer(doors: Doors) -> None:
    """Same key and body: the stored bytes with their status, marked as a replay, and nothing done twice."""
    first = await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one"))
    again = await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one"))
    assert (first[0], again[0]) == (201, 201)
    assert again[1] == first[1] and first[1]["secret"].startswith("whsec_")
    assert "Idempotent-Replayed" not in first[2] and again[2]["Idempotent-Replayed"] == "true"
    assert len(await doors.house.store.read(list_endpoints)) == 1


async def test_a_key_with_another_body_or_address_is_refused(doors: Doors) -> None:
    await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one"))
    status, problem, _ = await doors.call("POST", "/v1/endpoints", json=BODY | {"events": []}, headers=key("one"))
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


async def test_keys_belong_to_their_caller(doors: Doors) -> None:
    """Another API key with the same Idempotency-Key is another intention."""
    await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one"))
    other = {"Authorization": f"Bearer {await make_key(doors.house)}"}
    status, problem, headers = await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one") | other)
    assert (status, problem["code"]) == (409, "endpoint_exists")
    assert "Idempotent-Replayed" not in headers


async def test_while_the_first_is_running_the_second_is_a_409(doors: Doors) -> None:
    """Ten at once: one does the work, the others hear 409 or, once it is done, its answer."""
    answers = await asyncio.gather(
        *(doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one")) for _ in range(10))
    )
    made = [body for status, body, _ in answers if status == 201]
    assert made and all(body == made[0] for body in made)
    assert {(s, b["code"]) for s, b, _ in answers if s != 201} <= {(409, "idempotency_running")}
    assert len(await doors.house.store.read(list_endpoints)) == 1


async def test_a_refusal_is_forgotten(doors: Doors) -> None:
    """A request that was refused may be put right under the same key."""
    for _ in range(2):
        status, _, _ = await doors.call(
            "POST", "/v1/endpoints", json=BODY | {"url": "http://shop.example/x"}, headers=key("one")
        )
        assert status == 422
    await doors.call("POST", "/v1/endpoints", json=BODY)
    status, problem, _ = await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one"))
    assert (status, problem["code"]) == (409, "endpoint_exists")
    status, _, _ = await doors.call(
        "POST", "/v1/endpoints", json=BODY | {"url": "https://shop.example/2"}, headers=key("one")
    )
    assert status == 201


@pytest.mark.parametrize(("ago", "expected"), [(30, 409), (90, 201)])
async def test_a_request_that_died_is_done_by_the_next_one(doors: Doors, ago: int, expected: int) -> None:
    """The process was killed under it: a while later the same request does the work."""
    body = json.dumps(BODY).encode()
    digest = hashlib.sha256(b"POST /v1/endpoints\n" + body).hexdigest()
    died = datetime.now(UTC) - timedelta(seconds=ago)
    await doors.house.store.write(lambda tx: begin(tx, caller="key:1", key="died", body_digest=digest, at=died))
    headers = key("died") | {"Content-Type": "application/json"}
    status, _, _ = await doors.call("POST", "/v1/endpoints", data=body, headers=headers)
    assert status == expected


@pytest.mark.parametrize("value", ["", " ", "a b", "x" * 201, "\u00e9"])
async def test_a_key_that_cannot_be_one_is_refused(doors: Doors, value: str) -> None:
    status, problem, _ = await doors.call("POST", "/v1/endpoints", json=BODY, headers=key(value))
    assert (status, problem["code"]) == (400, "invalid_idempotency_key")


async def test_a_stored_answer_is_sealed(sqlite_store: Store, sqlite_url: str) -> None:
    """An answer that shows a secret once is not readable in the database."""
    async with open_doors(make_house(sqlite_store)) as doors:
        _, made, _ = await doors.call("POST", "/v1/endpoints", json=BODY, headers=key("one"))
        await doors.house.store.close()
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert made["secret"].encode() not in kept


async def test_a_secret_is_rotated_once_however_often_it_is_asked(doors: Doors) -> None:
    """The answer got lost and the call came again: the same new secret, and the old one still signs beside it."""
    _, made, _ = await doors.call("POST", "/v1/endpoints", json=BODY)
    path = f"/v1/endpoints/{made['id']}/rotate"
    first, again = [await doors.call("POST", path, headers=key("turn")) for _ in range(2)]
    assert first[1] == again[1] and again[2]["Idempotent-Replayed"] == "true"
    endpoint = await doors.house.store.read(lambda tx: find_endpoint(tx, made["id"]))
    assert endpoint and endpoint.old_secret
    assert doors.house.sealer.open(endpoint.old_secret).decode() == made["secret"]
    assert doors.house.sealer.open(endpoint.secret).decode() == first[1]["secret"]


# these change nothing the second time, only read, or belong to others' protocols
MAY_BE_REPEATED = {
    "/v1/parcels/{carrier}/{number}/refresh", "/v1/returns/{return_number}/cancel", "/v1/eligibility",
    "/v1/follow/order", "/v1/follow/return", "/v1/alerts/{alert_id}/ack", "/v1/channels/test",
    "/v1/endpoints/{endpoint_id}/disable", "/v1/endpoints/{endpoint_id}/resume",
    "/webhooks/{carrier}", "/webhooks/{carrier}/token",
}  # fmt: skip


def test_whatever_creates_or_spends_takes_a_key() -> None:
    """Every POST takes an Idempotency-Key but those that may be repeated as they are."""
    assert {route.path for route in ROUTES if route.method == "POST" and not route.idempotent} == MAY_BE_REPEATED
