"""Every planted bug is caught: the test that is said to catch it fails with the bug in place.

That it passes without is seen where it stands: it is a test of the suite like any other.
"""

import re
from pathlib import Path

import pytest

from tests.planted import PLANTED, Bug, Switch

ROOT = Path(__file__).parents[1]
SWITCHED = [bug for bug in PLANTED if bug.plant]


class Run:
    """A pytest run inside this one: the bug is there from before a test's fixtures until after them."""

    def __init__(self, plant: Switch | None = None) -> None:
        self._plant, self.outcomes = plant, dict[str, str]()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):  # type: ignore[no-untyped-def]
        with pytest.MonkeyPatch.context() as monkeypatch:
            if self._plant:
                self._plant(monkeypatch)
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            self.outcomes[report.nodeid] = report.outcome

    def of(self, *tests: str) -> dict[str, str]:
        pytest.main(["-q", "-p", "no:xdist", "-p", "no:randomly", "--no-header", *tests], plugins=[self])
        return self.outcomes


@pytest.mark.parametrize("bug", SWITCHED, ids=lambda bug: bug.name)
def test_the_suite_catches_a_planted_bug(bug: Bug, capfd: pytest.CaptureFixture[str]) -> None:
    """With the bug in the code its test fails."""
    assert Run(bug.plant).of(bug.caught_by) == {bug.caught_by: "failed"}, capfd.readouterr().out[-2000:]


def test_the_list_is_in_the_book_and_its_tests_are_there() -> None:
    """docs/planted-bugs.md has a row for each bug and its test, no other; every test that it names exists."""
    rows = re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|$", (ROOT / "docs/planted-bugs.md").read_text(), re.MULTILINE)
    assert rows == [(bug.name, bug.caught_by) for bug in PLANTED]
    for bug in PLANTED:
        file, _, test = bug.caught_by.partition("::")
        assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), bug.caught_by
