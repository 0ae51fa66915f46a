"""Mutation testing of the pure modules: so many mutants of each, drawn with a seed, and how many the tests kill.

The work is mutmut's, in a copy of the tree under build/mutants. Prints a table, and the mutants that live.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build/mutants"
LEFT_OUT = {".venv", "build", ".git", "data", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis", "mutants"}
MODULES = {
    "tracker/lifecycle.py": ("tracker_lifecycle", "tracker_model", "tracker_terms", "tracker_wayhome"),
    "tracker/policy.py": ("tracker_lifecycle", "tracker_model", "tracker_terms", "tracker_wayhome"),
    "returns/clocks.py": ("returns_clocks",),
    "webhooks/signing.py": ("webhooks_signing",),
    "webhooks/schedule.py": ("webhooks_signing",),
    "carriers/ups/reading.py": ("ups_reading", "ups_meaning"),
    "carriers/usps/reading.py": ("usps_reading", "usps_push"),
    "spending/machine.py": ("spending_buying", "spending_voiding"),
}
"""What is mutated, and the tests that are to kill it."""
CONFIG = """
[tool.mutmut]
source_paths = {rooms}
only_mutate = {modules}
also_copy = {others}
pytest_add_cli_args = ["-p", "no:xdist", "-m", "not slow and not postgres and not browser"]
pytest_add_cli_args_test_selection = {tests}
track_dependencies = false
use_git_change_detection = false
"""
KILLED, NO_TEST = {1, 3}, {5, 33}
"""mutmut's marks: tests failed (or could not run); no test comes by."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="mutants of each module, 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0, help="no longer than that")
    parser.add_argument("--modules", default="", help="only those whose path contains this")
    asked = parser.parse_args()
    modules = {name: tests for name, tests in MODULES.items() if asked.modules in name}
    _copy(modules)
    began = time.monotonic()
    _mutmut(["no.such.mutant"], asked.minutes)  # writes the mutants, finds out which test comes by which function
    names = [name for module in modules for name in _drawn(module, asked.each, asked.seed)]
    _mutmut(names, asked.minutes - (time.monotonic() - began) / 60)
    print(_table(list(modules), set(names)))


def _copy(modules: dict[str, tuple[str, ...]]) -> None:
    """The tree, without what is made; mutmut's own cache of an earlier run goes."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(ROOT, COPY, ignore=lambda _, names: LEFT_OUT & {*names})
    rooms = sorted({name.partition("/")[0] for name in modules})
    others = sorted(each.name for each in COPY.iterdir() if each.name not in {*rooms, "tests", "pyproject.toml"})
    tests = sorted({f"tests/test_{test}.py" for tests in modules.values() for test in (*tests, "machines_mutants")})
    given = {"rooms": rooms, "modules": list(modules), "others": others, "tests": tests}
    with (COPY / "pyproject.toml").open("a") as file:
        file.write(CONFIG.format(**{name: json.dumps(value) for name, value in given.items()}))


def _mutmut(names: list[str], minutes: float) -> None:
    command = [sys.executable, "-m", "mutmut", "run", *names]
    try:
        subprocess.run(command, cwd=COPY, timeout=max(60.0, minutes * 60), capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        print("the time is over: what was not tried is not counted", file=sys.stderr)


def _verdicts(module: str) -> dict[str, int | None]:
    """Of each mutant of a module how the tests ended; None: not tried."""
    found: dict[str, int | None] = json.loads((COPY / f"mutants/{module}.meta").read_text())["exit_code_by_key"]
    return found


def _drawn(module: str, each: int, seed: int) -> list[str]:
    names = sorted(_verdicts(module))
    return names if not each else random.Random(f"{seed}/{module}").sample(names, min(each, len(names)))


def _table(modules: list[str], names: set[str]) -> str:
    lines, living, sums = (
        ["| module | mutants | tried | killed | score |", "| --- | --: | --: | --: | --: |"],
        [],
        [0, 0, 0],
    )
    for module in modules:
        found = _verdicts(module)
        tried = {name: code for name, code in found.items() if name in names and code is not None}
        killed = [name for name, code in tried.items() if code != 0 and code not in NO_TEST]
        living += sorted(tried.keys() - {*killed})
        sums = [was + now for was, now in zip(sums, (len(found), len(tried), len(killed)), strict=True)]
        lines.append(_row(module, len(found), len(tried), len(killed)))
    lines += [_row("together", *sums), "", "alive:", *(f"  {name}" for name in living)]
    return "\n".join(lines)


def _row(name: str, count: int, tried: int, killed: int) -> str:
    return f"| {name} | {count} | {tried} | {killed} | {killed / tried if tried else 0:.0%} |"


if __name__ == "__main__":
    main()
