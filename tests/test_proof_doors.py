"""The proofs of the doors, each in a small share: they hold, and their counts are of something."""

import pytest

from proof import deliveries, egress, lookup_abuse, slow_senders
from store.engine import Store
from tests.doors import make_house, open_doors


async def test_no_notice_goes_into_our_own_network() -> None:
    """More than five hundred URLs, rebinding names and redirects: no connection at any canary."""
    counts = await egress.run()
    assert counts["held"], counts
    assert counts["urls"] >= 500 and counts["barred_by_their_addresses"] >= 30 and counts["redirects"] == 60


async def test_a_receiver_that_is_down_for_ten_days_gets_everything() -> None:
    """And it is paused, and nobody else waits for it."""
    counts = await deliveries.run(examples=1)
    assert counts["held"], counts
    assert counts["tries_refused"] > 30 and counts["delivered_to_the_dead_in_the_end"] == counts["notices"]


async def test_every_refusal_does_the_same_work(sqlite_store: Store) -> None:
    """Unknown, wrong, the number alone where it opens nothing, and locked with a right proof: as many statements and
    hashes each."""
    async with open_doors(make_house(sqlite_store, terms=lookup_abuse.closed())) as doors:
        for n in range(1000, 1006):
            await doors.put_order(f"B-{n}")
        work = await lookup_abuse._work(doors)
    assert len(work) == 12 and lookup_abuse.same_work(work), work
    assert all(hashes >= 2 and statements >= 1 for statements, hashes in work.values())


@pytest.mark.slow
async def test_slow_senders_are_cut_off() -> None:
    """Every kind of slow, idle or too big sender is closed in time, while healthy calls go on."""
    counts = await slow_senders.run(examples=2)
    assert counts["held"], counts
    assert counts["kinds"] >= 15 and counts["healthy_calls"] > 40
    assert counts["one_address"]["opened"] == 2 * counts["one_address"]["may_hold"]
