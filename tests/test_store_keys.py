"""Facts about API keys, idempotency keys and settings as rows."""

from datetime import UTC, datetime, timedelta

from store.engine import Store
from store.idempotency import PATIENCE, Answered, Begun, OtherBody, Running, begin, finish, forget, purge
from store.keys import add_key, count_keys, find_key, list_keys, note_use, revoke_key
from store.settings import forget_setting, get_setting, put_setting, set_once

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


async def test_a_key_is_found_by_its_mark_until_it_is_revoked(store: Store) -> None:
    """A key is found by its keyed hash with its scopes; a revoked one is found no more but stays listed."""
    assert await store.read(count_keys) == 0
    number = await store.write(
        lambda tx: add_key(tx, mark="m1", hint="hw_abc", name="shop", scopes={"orders", "labels:buy"}, at=NOW)
    )
    await store.write(lambda tx: note_use(tx, number, NOW + timedelta(hours=1)))
    key = await store.read(lambda tx: find_key(tx, "m1"))
    assert key is not None
    assert (key.name, key.scopes, key.used_at) == ("shop", {"orders", "labels:buy"}, NOW + timedelta(hours=1))
    assert await store.read(lambda tx: find_key(tx, "m2")) is None
    assert await store.write(lambda tx: revoke_key(tx, number, NOW))
    assert not await store.write(lambda tx: revoke_key(tx, number, NOW))
    assert await store.read(lambda tx: find_key(tx, "m1")) is None
    assert [one.revoked_at for one in await store.read(list_keys)] == [NOW]
    assert await store.read(count_keys) == 0


async def _begin(store: Store, digest: str = "d", at: datetime = NOW) -> object:
    return await store.write(lambda tx: begin(tx, caller="c", key="k", body_digest=digest, at=at))


async def test_an_idempotency_key_does_its_work_once(store: Store) -> None:
    """The first request works, one meanwhile waits, a later one gets the answer, another body is told so."""
    begun = await _begin(store)
    assert isinstance(begun, Begun)
    assert await _begin(store) == Running()
    assert await _begin(store, "other") == OtherBody()
    assert await store.write(lambda tx: finish(tx, begun, status=201, answer=b"{}"))
    assert await _begin(store) == Answered(201, b"{}")
    assert await _begin(store, "other") == OtherBody()
    assert not await store.write(lambda tx: forget(tx, begun))
    assert await store.write(lambda tx: purge(tx, NOW + timedelta(days=1))) == 1
    assert isinstance(await _begin(store), Begun)


async def test_a_request_that_died_gives_its_key_up(store: Store) -> None:
    """After a minute another request takes the key over, and the first one's late answer is not kept."""
    first = await _begin(store)
    later = NOW + PATIENCE + timedelta(seconds=1)
    second = await _begin(store, at=later)
    assert isinstance(first, Begun) and isinstance(second, Begun)
    assert await _begin(store, at=later) == Running()
    assert not await store.write(lambda tx: finish(tx, first, status=201, answer=b"first"))
    assert await store.write(lambda tx: finish(tx, second, status=201, answer=b"second"))
    assert await _begin(store, at=later) == Answered(201, b"second")


async def test_a_request_that_failed_frees_its_key(store: Store) -> None:
    """What failed on our side may be tried again with the same key."""
    begun = await _begin(store)
    assert isinstance(begun, Begun)
    assert await store.write(lambda tx: forget(tx, begun))
    assert isinstance(await _begin(store), Begun)


async def test_settings(store: Store) -> None:
    """A setting holds the last value; one set once holds the first."""
    assert await store.read(lambda tx: get_setting(tx, "clock")) is None
    assert await store.write(lambda tx: set_once(tx, "clock", "a")) == "a"
    assert await store.write(lambda tx: set_once(tx, "clock", "b")) == "a"
    await store.write(lambda tx: put_setting(tx, "clock", "c"))
    assert await store.read(lambda tx: get_setting(tx, "clock")) == "c"
    await store.write(lambda tx: forget_setting(tx, "clock"))
    assert await store.read(lambda tx: get_setting(tx, "clock")) is None
