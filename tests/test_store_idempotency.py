"""Idempotency keys in the store: what a dead process left running."""

from datetime import UTC, datetime

from store.engine import Store
from store.idempotency import Begun, Running, begin, forget_running

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


async def test_a_call_that_died_with_its_process_is_taken_up_at_once_by_the_next(store: Store) -> None:
    """Running keeps others out; once a new sole process has forgotten the dead, the same key works again."""

    async def ask() -> object:
        return await store.write(lambda tx: begin(tx, caller="key:1", key="k", body_digest="d", at=NOW))

    assert isinstance(await ask(), Begun)
    assert isinstance(await ask(), Running)
    assert await store.write(forget_running) == 1
    assert isinstance(await ask(), Begun)
