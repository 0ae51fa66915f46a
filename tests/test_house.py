"""The house rules that can be checked: names, imports, purity, docstrings, settings in the README."""

import ast
import re
from pathlib import Path

import pytest

from alerts.ladder import _RULES
from cli.settings import _NAMES

ROOT = Path(__file__).parent.parent
ROOMS = (
    "alerts", "api", "bench", "carriers", "cli", "fleet", "merchants", "proof", "returns", "spending", "store",
    "street", "tracker", "webhooks",
)  # fmt: skip
FILES = [
    file
    for room in ROOMS
    for file in sorted((ROOT / room).rglob("*.py"))
    if "__pycache__" not in file.parts and "versions" not in file.parts
]
CODE = [file for file in FILES if file.name != "__init__.py"]
FORBIDDEN = {"utils", "util", "common", "core", "base", "helpers", "helper", "manager", "managers", "services", "misc"}
PURE = (
    "carriers/ups/reading.py", "carriers/ups/codes.py", "carriers/usps/reading.py", "carriers/usps/codes.py",
    "merchants/calendars.py", "tracker/lifecycle.py", "tracker/policy.py", "tracker/explain.py", "tracker/follow.py",
    "returns/clocks.py", "webhooks/egress.py", "webhooks/notices.py", "webhooks/schedule.py", "alerts/ladder.py",
    "alerts/channels.py",
    "spending/machine.py", "tracker/matching.py",
)  # fmt: skip
# Opened by name or only when needed, each with its reason in the code beside it.
LATE_IMPORTS = {"store/migrate.py"}


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@pytest.mark.parametrize("file", CODE, ids=name)
def test_a_file_says_on_top_what_lives_there(file: Path) -> None:
    """Every module begins with one sentence."""
    docstring = ast.get_docstring(tree(file))
    assert docstring and docstring.split("\n\n")[0].rstrip().endswith((".", "?", ":")), name(file)


def test_no_room_or_file_has_a_name_that_says_nothing() -> None:
    """Rooms are things in the trade: never utils, common, core, base, helpers, manager, services."""
    found = [name(file) for file in FILES if {file.stem, *file.relative_to(ROOT).parts} & FORBIDDEN]
    assert found == []


def test_the_environment_is_read_only_in_cli() -> None:
    """`os.environ` and `os.getenv` stand in cli alone."""
    found = [
        name(f) for f in FILES if re.search(r"os\.(environ|getenv)", f.read_text()) and not name(f).startswith("cli/")
    ]
    assert found == []


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_defines_no_async(path: str) -> None:
    """Decisions are values: what can be computed waits for nothing."""
    found = [node.name for node in ast.walk(tree(ROOT / path)) if isinstance(node, ast.AsyncFunctionDef)]
    assert found == []


def test_a_pure_module_reads_no_clock() -> None:
    """No `now()` in pure code: time is an argument."""
    clocks = re.compile(r"(datetime\.now|date\.today|time\.time|time\.monotonic|utcnow)\(")
    found = [path for path in PURE if clocks.search((ROOT / path).read_text())]
    assert found == []


def test_imports_stand_on_top() -> None:
    """No import inside a function, except in commands (a fast --help) and where a carrier is opened by name."""
    found = []
    for file in FILES:
        if name(file).startswith(("cli/", "bench/", "proof/")) or name(file) in LATE_IMPORTS:
            continue
        for node in ast.walk(tree(file)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found += [name(file) for inner in ast.walk(node) if isinstance(inner, (ast.Import, ast.ImportFrom))]
    assert found == []


def test_nothing_prints_outside_cli() -> None:
    """Only commands, benches and proofs speak to a terminal."""
    found = [
        name(file)
        for file in FILES
        if not name(file).startswith(("cli/", "bench/", "proof/"))
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


@pytest.mark.parametrize("setting", sorted(_NAMES.values()))
def test_every_setting_is_in_the_readme(setting: str) -> None:
    """What can be set is written down where people look."""
    assert f"`{setting}`" in (ROOT / "README.md").read_text()


def test_lock_files_hold_versions_and_hashes_only() -> None:
    """No registry's address in a file, and every requirement with its hash."""
    for lock in ROOT.glob("requirements*.txt"):
        text = lock.read_text()
        assert "://" not in text, lock.name
        assert not re.search(r"^[a-z].*==[^\\]*$", text, re.M), f"{lock.name}: a requirement without a hash"


def test_no_path_of_a_machine_is_in_the_house() -> None:
    """What is committed speaks of the project alone."""
    mark = "/" + "work/"
    text_files = [
        f for f in ROOT.rglob("*") if f.suffix in {".py", ".md", ".toml", ".sh", ".html", ".css", ".csv", ".yaml"}
    ]
    found = [
        name(f)
        for f in text_files
        if not {".venv", "data", "build", ".git", ".mypy_cache", ".ruff_cache"} & set(f.relative_to(ROOT).parts)
        and mark in f.read_text(errors="ignore")
    ]
    assert found == []


def test_whatever_ops_are_told_has_a_step_on_the_ladder() -> None:
    """Every internal notice that the code says becomes an alert, or clears one."""
    said = {word for file in CODE for word in re.findall(r'type="(ops\.[a-z_]+)"', file.read_text())}
    assert said and said - set(_RULES) == set()
