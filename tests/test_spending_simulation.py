"""The simulation in virtual time holds, and breaks when the quiet time is taken away."""

import pytest

from proof.purchase_simulation import run


async def test_no_double_survives_in_virtual_time():
    """Late arrivals, index lag, lost answers, crashes: no double survives, nothing is lost or stuck."""
    result = await run(purchases=20_000, seed=1)
    assert result["held"], result
    assert result["crashes"] > 100 and result["resends"] > 100 and result["looks_that_missed"] > 1000
    assert result["doubles_beyond_the_quiet_time"] > 0 and result["voided"] > 0


@pytest.mark.parametrize("quiet", [0.0, 120.0])
async def test_without_the_quiet_time_the_simulation_breaks(quiet):
    """The planted bug that a kill rig does not see: what was given up arrives, and was bought again meanwhile."""
    result = await run(purchases=20_000, seed=1, quiet=quiet)
    assert not result["held"]
    assert result["doubles_within_the_quiet_time"] > 0


async def test_the_same_seed_gives_the_same_run():
    """A failure is a seed."""
    assert await run(purchases=500, seed=7) == await run(purchases=500, seed=7)
