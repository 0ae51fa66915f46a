"""The rig for rolling upgrades holds, a short run of it, and finds a release that takes away what older ones read."""

import sys
from pathlib import Path

import pytest

from cli.demo import Child, bare_environment
from proof import rolling

ROOT = Path(__file__).parents[1]
PLANTED = "print('another build', __file__)"


async def test_another_build_runs_from_its_own_folder(tmp_path: Path) -> None:
    """What a process imports is that build's, not ours; without one it is ours."""
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__main__.py").write_text(PLANTED)
    child = Child(["--help"], bare_environment(), tmp_path / "log", tmp_path)
    for build, said in ((tmp_path, f"another build {tmp_path}"), (None, "Usage: python -m cli")):
        child.build = build
        await child.start()
        assert child.process and await child.process.wait() == 0
        assert said in (tmp_path / "log").read_text()
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "its own python"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    child.build = tmp_path
    await child.start()
    assert child.process and await child.process.wait() == 0
    assert "its own python" in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.postgres
async def test_processes_are_replaced_under_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web and a worker restart in turn while callers call, a newer schema is added between: no call fails."""
    monkeypatch.setattr(rolling, "WORKERS", ("work1",))
    told = await rolling.run(kills=2, seed=1, beside=str(ROOT))
    assert told["held"] and told["restarts"] == told["builds"] == 2 and told["failed"] == told["lost"] == 0, told
    assert told["orders"] >= rolling.LANES and told["calls"] > 4 * rolling.LANES, told


@pytest.mark.slow
@pytest.mark.postgres
async def test_a_release_that_takes_away_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a newer release renames a column under the one that serves. The rig does not hold."""
    monkeypatch.setattr(rolling, "WORKERS", ())
    monkeypatch.setattr(rolling, "ADDITIONS", ("ALTER TABLE orders RENAME COLUMN placed_us TO placed_at_us",))
    told = await rolling.run(kills=1)
    assert not told["held"] and told["failed"] > 0 and told["lost"] == 0, told
