"""The rigs for many machines hold, each a short run of it, and each finds what is planted in it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proof.__main__ import LARGE, RIGS, ROUND, share_of, summed, table

ROOT = Path(__file__).parents[1]


def prove(name: str, *options: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "proof", name, "--json", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.postgres
def test_two_webs_and_three_workers_survive_each_others_death() -> None:
    """Each is killed once under load, Redis is flushed, connections cut: all right, nothing twice, nothing stuck."""
    told = prove("replicas", "--parcels", "24")
    assert told["held"] and told["kills"] == 5, told


@pytest.mark.slow
def test_an_acknowledged_push_survives_a_kill() -> None:
    """Three kills while sixteen senders push: what heard 200 is there, once."""
    told = prove("intake", "--kills", "3")
    assert told["held"] and told["kills"] == 4 and told["events_lost"] == 0, told


@pytest.mark.parametrize(("planted", "held"), [((), True), (("synchronous=NORMAL",), False)])
def test_an_acknowledged_commit_survives_a_power_loss(planted: tuple[str, ...], held: bool) -> None:
    """Sixty power losses: none loses what was acknowledged; the rig sees it when commits are not synced."""
    done = subprocess.run(
        [sys.executable, "-m", "proof.power_loss", "60", "1", *planted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot be watched" in done.stderr:
        pytest.skip(f"POWER LOSS SKIPPED: {done.stderr.splitlines()[-1]}")
    told = json.loads(done.stdout)
    assert told["held"] is held and told["corrupt"] == 0 and told["power_losses"] == 60, told


def test_a_long_soak_takes_what_the_promises_name() -> None:
    """Ten minutes: the small shares; two hours: 5,000 kills and a million parcels; what was asked for goes before."""
    nothing = {"kills": 0, "parcels": 0, "purchases": 0, "examples": 0, "first": 0, "seed": 3}
    assert share_of("purchase", 10, nothing) == {"kills": 200} and share_of("egress", 600, nothing) == {}
    assert share_of("purchase", 120, nothing) == {"kills": 5_000}
    assert share_of("simulation", 120, nothing) == {"parcels": 1_000_000}
    assert share_of("restart", 120, nothing) == {"kills": 8} and share_of("purchase", 120, nothing | {"kills": 7}) == {}
    assert ROUND.keys() | LARGE.keys() <= RIGS.keys()


def test_the_soak_table_adds_up_what_the_rigs_tell() -> None:
    """Kills, faults, events, doubled and stuck are sums; recovery and memory the worst; a broken rig is named."""
    told = [
        {"proof": "replicas", "held": True, "seconds": 60.0, "kills": 5, "faults": {"redis flushed": 2}, "parcels": 30,
         "effects_doubled": 0, "stuck": 0, "takeover_seconds": [3.0, 21.5], "worst_memory_mb": 190},
        {"proof": "replicas", "held": False, "seconds": 50.0, "kills": 5, "faults": {"redis flushed": 3}, "parcels": 30,
         "effects_doubled": 1, "stuck": 2, "takeover_seconds": [], "worst_memory_mb": 180},
        {"proof": "intake", "held": True, "seconds": 9.0, "kills": 3, "events_acknowledged": 900, "events_lost": 0},
    ]  # fmt: skip
    found = summed(told)
    assert found["kills"] == 13 and found["faults"] == {"redis flushed": 5} and found["parcels"] == 60
    assert found["events acknowledged"] == 900 and found["effects doubled"] == 1 and found["stuck"] == 2
    assert found["broken"] == ["replicas"] and found["worst recovery, seconds"] == 21.5
    assert found["worst memory, MB"] == 190 and found["runs"] == {"replicas": 2, "intake": 1}
    shown = table(told)
    assert "| together | NO | 13 | 60 | 900 |" in shown and "5 redis flushed" in shown


def test_what_the_book_of_faults_names_is_there() -> None:
    """docs/faults.md has all thirty faults, and every test file and rig that it names exists."""
    book = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", book, re.MULTILINE)] == list(range(1, 31))
    files = set(re.findall(r"`(test_\w+\.py)", book)) - {"test_x.py"}
    rigs = set(re.findall(r"`proof ([a-z-]+)`", book))
    assert len(files) > 30 and len(rigs) > 12
    assert [name for name in files if not (ROOT / "tests" / name).exists()] == []
    assert rigs <= RIGS.keys()
