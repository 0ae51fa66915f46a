"""How often a key may call: what is left is told with every answer, and a key that calls too often waits."""

import pytest

from api.problems import Problem
from api.rates import Rates
from store.engine import Store
from tests.doors import make_house, make_key, open_doors


async def test_a_key_that_calls_too_often_waits_and_another_does_not(sqlite_store: Store) -> None:
    """Three calls a minute: the fourth is 429 with Retry-After; public doors and other keys are not touched."""
    async with open_doors(make_house(sqlite_store, calls_per_minute=3)) as doors:
        for left in ("2", "1", "0"):
            status, _, headers = await doors.call("GET", "/v1/parcels")
            assert (status, headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == (200, "3", left)
        status, problem, headers = await doors.call("GET", "/v1/parcels")
        assert (status, problem["code"]) == (429, "rate_limited")
        assert 1 <= int(headers["Retry-After"]) <= 60 and headers["RateLimit-Remaining"] == "0"
        other = await make_key(doors.house, "parcels:read")
        assert (await doors.call("GET", "/v1/parcels", headers={"Authorization": f"Bearer {other}"}))[0] == 200
        assert (await doors.call("GET", "/healthz"))[0] == 200


def test_a_minute_later_it_may_call_again() -> None:
    now = [1000.0]
    rates = Rates(1, lambda: now[0])
    rates.take("key:1")
    with pytest.raises(Problem):
        rates.take("key:1")
    now[0] += 61
    assert rates.take("key:1")["RateLimit-Remaining"] == "0"


def test_without_a_limit_nothing_is_said() -> None:
    assert Rates(0).take("key:1") == {}


def test_who_stays_away_is_forgotten_and_who_calls_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many keys take no more room than so many; one that is in its minute keeps its count."""
    monkeypatch.setattr("api.rates.MANY", 10)
    now = [1000.0]
    rates = Rates(5, lambda: now[0])
    for number in range(100):
        rates.take(f"key:{number}")
        now[0] += 30
        assert rates.take("key:busy")["RateLimit-Remaining"] == ("4" if number % 2 == 0 else "3"), number
    assert len(rates._windows) <= 10
