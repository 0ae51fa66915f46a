"""The purchase rig holds, and breaks on every planted bug."""

import pytest

from proof.purchase import RARE, run
from spending.points import NAMES
from tests.planted import BUGS


@pytest.mark.slow
async def test_killed_two_hundred_times_nothing_is_paid_twice_and_nothing_lost():
    """SIGKILL at every named point and at any time: one live paid label or a clean refusal; the naive buyer doubles."""
    result = await run(kills=200, seed=2)
    assert result["held"], str(result)
    assert result["kills"] >= 200 and result["naive_doubles"] > 0 and result["answers_lost_after_charging"] > 0
    assert {name for name in NAMES if not name.startswith(RARE)} <= result["kills_at"].keys(), result["kills_at"]


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
async def test_the_rig_sees_a_planted_bug(bug):
    """With the bug in the buyer the very same rig says that the promise is broken, and why: not by being slow alone."""
    for seed in range(5, 8):  # what it hits is chance: where one life in twenty-five hit nothing, another will
        result = await run(kills=30, seed=seed, plant=bug, seconds=8)
        if set(result["examples"]) - {"stuck"}:
            break
    assert not result["held"]
    assert set(result["examples"]) - {"stuck"}, result
