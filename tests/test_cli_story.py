"""Stories for a person: the tries in one breath, what is due, what follows; in English at the command line."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cli.settings import read_settings
from cli.telling import sentences, story_call, story_lines
from cli.tracking import ask
from fleet.clocks import Clock
from store.engine import Store
from street.app import open_street
from street.clock import StoryClock
from street.town import Settings, Town
from tests.doors import MONDAY, Doors, make_house, on_the_street, open_doors
from tests.test_pages_states import start
from tracker.follow import AttemptStory, Follow, FollowKind, Message, ParcelStory, Tier, narrated

FRIDAY_EVENING = datetime(2026, 3, 6, 18, tzinfo=UTC)
TUESDAY, WEDNESDAY, THURSDAY = (date(2026, 3, day) for day in (3, 4, 5))


def tried(*days: date, most: int | None = 3, due: date | None = THURSDAY) -> Follow:
    attempts = tuple(AttemptStory(n, day, "recipient_absent") for n, day in enumerate(days, 1))
    said = tuple(Message("story.attempt", {"ordinal": a.ordinal, "day": a.day or "", "reason": ""}) for a in attempts)
    parcel = ParcelStory("out", "attempt_failed", "order", said, attempts, most, next_try=due)
    following = Message("next.another_attempt_on", {"day": THURSDAY})
    return Follow(FollowKind.ORDER, "B-1", "boutique-eu", Tier.FULL, "attempt_failed", (), (parcel,), following)


def test_two_tries_and_the_last_one_due_are_one_sentence() -> None:
    """As a person says it, days in the shop's calendar; what is said in it is not said twice."""
    assert sentences(narrated(tried(TUESDAY, WEDNESDAY))) == [
        "The driver tried on Tuesday 3 March and Wednesday 4 March; the third try is due Thursday 5 March; "
        "after that it goes back."
    ]


def test_a_try_that_is_not_the_last_promises_no_return() -> None:
    """The second of three; and where the carrier decides, no number is the last."""
    assert sentences(narrated(tried(TUESDAY, due=WEDNESDAY))) == [
        "The driver tried on Tuesday 3 March; the second try is due Wednesday 4 March."
    ]
    assert "goes back" not in sentences(narrated(tried(TUESDAY, WEDNESDAY, most=None)))[0]


def test_without_a_day_for_the_next_try_the_rest_is_said_as_it_is() -> None:
    """Only what is known: the tries, then what follows."""
    story = sentences(narrated(tried(TUESDAY, due=None)))
    assert story == ["The driver tried on Tuesday 3 March.", "The carrier tries again on Thursday 5 March."]


async def at(store: Store, doors: Doors, what: str, number: str) -> dict[str, Any]:
    house = doors.house
    parts: Any = SimpleNamespace(
        store=store, sealer=house.sealer, clock=house.clock, shelf=house.terms, carriers=house.carriers
    )
    return await story_call(parts, {"do": f"story.{what}", "number": number, "merchant": ""})


async def test_an_orders_story_is_told_from_the_database(sqlite_store: Store) -> None:
    """Two failed visits on the street: the command's sentence, and the same as keys in the JSON of both doors."""
    now = FRIDAY_EVENING
    async with on_the_street(now) as (town, carriers), open_doors(make_house(sqlite_store, carriers, now)) as doors:
        await doors.put_order("B-1")
        number = town.create("ups", "three_attempts_home", starts_at=start(3, 2)).number
        await doors.ship("B-1", number)
        told = await at(sqlite_store, doors, "order", "B-1")
        tries = told["lines"][0]
        assert tries == (
            "The driver tried on Thursday 5 March and Friday 6 March; the third try is due Monday 9 March; "
            "after that it goes back."
        ), told["lines"]
        assert "The carrier was asked on Friday 6 March at 19:00, next on " in told["lines"][-1]
        assert told["story"][0]["key"] == "story.tries_last_due"
        assert told["story"][0]["args"]["ordinal"] == "ordinal.3"
        body = {"order_number": "B-1", "email": "canary@example.com"}
        _, page, _ = await doors.call("POST", "/v1/follow/order", json=body)
        assert [said["key"] for said in page["story"]] == [said["key"] for said in told["story"]]
        _, coarse, _ = await doors.call("POST", "/v1/follow/order", json={"order_number": "B-1"})
        assert coarse["story"] == []
        assert (await at(sqlite_store, doors, "return", "R404"))["error"].startswith("no return R404")


async def test_a_number_is_asked_about_and_its_story_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`homeward track`: nothing is stored, and the answer begins with the story."""
    town = Town(StoryClock.starting(FRIDAY_EVENING), Settings())
    async with open_street(town) as url:
        number = town.create("ups", "three_attempts_home", starts_at=start(3, 2)).number
        for name in ("UPS_CLIENT_ID", "USPS_CLIENT_ID"):
            monkeypatch.delenv(name, raising=False)
        clock = Clock(FRIDAY_EVENING, 1.0, datetime.now(UTC).timestamp())
        settings = read_settings({}, data=tmp_path, street_url=url, clock=str(clock))
        answer = await ask(settings, "ups", number)
    assert "the third try is due" in answer["story"][0], answer["story"]
    assert not list(tmp_path.glob("*.db"))


def test_how_fresh_it_is_ends_the_story() -> None:
    """Asked when, next when; and that it is old, where it is."""
    old = replace(tried(TUESDAY), checked_at=MONDAY, stale=True)
    said = story_lines(old, ZoneInfo("Europe/Rome"))[-1]
    assert said == "(The carrier was asked on Monday 2 March at 10:00; this is older news than promised.)"
