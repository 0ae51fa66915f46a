"""API keys: made once, shown once, kept as keyed hashes, and asked for at every door that has a scope."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.keys import PREFIX, SCOPES, first_key, issue, make_key
from api.routes import ROUTES
from store.engine import Store
from store.keys import list_keys, revoke_key
from tests.doors import Doors, make_house, open_doors
from tests.doors import make_key as issued


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store)) as doors:
        yield doors


def test_a_key_is_256_random_bits() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"hw_live_[A-Za-z0-9_-]{43}", key) for key in keys)


async def test_a_key_is_not_in_the_database(sqlite_store: Store, sqlite_url: str) -> None:
    """Only its keyed hash and its first characters are: neither file nor log of the database holds the key."""
    house = make_house(sqlite_store)
    key = await issued(house)
    await house.store.close()
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert key[:12].encode() in kept
    assert key[12:].encode() not in kept and key[8:].encode() not in kept


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer nonsense", f"Bearer {PREFIX}{'x' * 43}", "Basic aG93OmR5", "Bearer\u00e9"],
)
async def test_without_a_living_key_every_scoped_call_is_a_401(doors: Doors, header: str) -> None:
    """401 with WWW-Authenticate, whatever is wrong with the key and before anything else is looked at."""
    for route in ROUTES:
        if route.scope:
            path = re.sub(r"\{\w+\}", "anything", route.path)
            async with doors.client.request(route.method, path, headers={"Authorization": header}) as response:
                problem = await response.json()
                assert (response.status, problem["code"]) == (401, "unauthorized"), route.name
                assert response.headers["WWW-Authenticate"] == 'Bearer realm="homeward"'


async def test_a_key_does_only_what_its_scopes_say(doors: Doors) -> None:
    """Each scoped call is a 403 for a key with every other scope."""
    for route in ROUTES:
        if route.scope:
            key = await issued(doors.house, *(SCOPES.keys() - {route.scope}))
            path = re.sub(r"\{\w+\}", "anything", route.path)
            status, problem, _ = await doors.call(
                route.method, path, headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            )
            assert (status, problem["code"]) == (403, "missing_scope"), route.name
            assert key not in problem["detail"]


async def test_a_revoked_key_ends_at_once(doors: Doors) -> None:
    assert (await doors.call("GET", "/v1/parcels"))[0] == 200
    await doors.house.store.write(lambda tx: revoke_key(tx, 1, datetime.now(UTC)))
    assert (await doors.call("GET", "/v1/parcels"))[0] == 401


async def test_a_key_ends_when_it_was_to_end(store: Store) -> None:
    """Before its time it opens, afterwards nothing does; a second key beside it lives on: so keys are changed."""
    now = datetime.now(UTC)
    house = make_house(store)
    ended, living, lasting = [
        await store.write(
            lambda tx, ends=ends: issue(tx, house.sealer, name="x", scopes=["orders:read"], at=now, expires=ends)  # type: ignore[misc]
        )
        for ends in (now - timedelta(seconds=1), now + timedelta(hours=1), None)
    ]
    async with open_doors(house) as doors:
        for key, status in ((ended, 401), (living, 404), (lasting, 404)):
            headers = {"Authorization": f"Bearer {key}"}
            assert (await doors.call("GET", "/v1/orders/boutique-eu/B-404", headers=headers))[0] == status
    assert [key.expires_at is None for key in (await store.read(list_keys))[:3]] == [False, False, True]


async def test_the_first_start_makes_one_key_that_works(sqlite_store: Store) -> None:
    """One development key with every scope, and none on the next start; its use is noted."""
    house = make_house(sqlite_store)
    key = await first_key(house.store, house.sealer, datetime.now(UTC))
    assert key and await first_key(house.store, house.sealer, datetime.now(UTC)) is None
    async with open_doors(house) as doors:
        status, _, _ = await doors.call("GET", "/v1/endpoints", headers={"Authorization": f"Bearer {key}"})
        assert status == 200
    development = (await house.store.read(list_keys))[0]
    assert (development.name, development.scopes) == ("development", frozenset(SCOPES))
    assert development.used_at is not None


async def test_a_key_with_an_unknown_scope_is_not_made(sqlite_store: Store) -> None:
    house = make_house(sqlite_store)
    with pytest.raises(ValueError, match="no such scope: everything"):
        await house.store.write(
            lambda tx: issue(tx, house.sealer, name="x", scopes=["everything"], at=datetime.now(UTC))
        )


def test_every_scope_of_a_route_is_one_that_a_key_may_have() -> None:
    assert {route.scope for route in ROUTES if route.scope} == set(SCOPES)
