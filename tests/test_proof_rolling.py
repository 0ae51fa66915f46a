"""The rig for rolling upgrades holds, a short run of it, and finds a release that takes away what older ones read."""

import pytest

from proof import rolling

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


async def test_processes_are_replaced_under_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web and a worker restart in turn while callers call, a newer schema is added between: no call fails."""
    monkeypatch.setattr(rolling, "WORKERS", ("work1",))
    told = await rolling.run(kills=2, seed=1)
    assert told["held"] and told["restarts"] == 2 and told["failed"] == told["lost"] == 0, told
    assert told["orders"] >= rolling.LANES and told["calls"] > 4 * rolling.LANES, told


async def test_a_release_that_takes_away_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a newer release renames a column under the one that serves. The rig does not hold."""
    monkeypatch.setattr(rolling, "WORKERS", ())
    monkeypatch.setattr(rolling, "ADDITIONS", ("ALTER TABLE orders RENAME COLUMN placed_us TO placed_at_us",))
    told = await rolling.run(kills=1)
    assert not told["held"] and told["failed"] > 0 and told["lost"] == 0, told
