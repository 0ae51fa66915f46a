"""The street is an independent witness: what it says comes from no other file of ours."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = {
    "street": ("street", "carriers.ups.standin", "carriers.usps.standin"),
    "carriers/ups/standin": ("carriers.ups.standin",),
    "carriers/usps/standin": ("carriers.usps.standin",),
}
OURS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}


def imported(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("folder", PLACES)
def test_a_witness_imports_only_its_own(folder: str) -> None:
    """Not the adapters, not the contract, not the tracker: only itself (and the street its stand-ins)."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files and "carriers" in OURS
    for file in files:
        ours = {name for name in imported(file) if name.split(".")[0] in OURS}
        assert all(name.startswith(PLACES[folder]) for name in ours), (file, ours)
