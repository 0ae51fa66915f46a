"""Facts that nothing else would notice: when sweeps run, what is said with a commit, what compares, what shows."""

import asyncio
import hmac
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import carriers.ups.connect
import carriers.usps.connect
from api.follow import FollowOut
from carriers.contract import Forged, Push
from carriers.ups import reading as ups
from carriers.usps import reading as usps
from cli.serving import WorkLoop
from fleet.news import News
from spending import points
from spending.buying import buy
from store.engine import Store
from tests.doors import make_house, open_doors
from tests.selling import Seller
from tests.test_spending_buying import Hands, labels, planned, said, till_of


class Killed(Exception):
    """The process ends here."""


class Parts:
    """As much of an installation as the work loop looks at: one sweep that counts."""

    def __init__(self) -> None:
        self.news, self.runs = News(), 0

    def sweeps(self) -> dict[str, tuple[float, Any]]:
        return {"read": (3600.0, self._sweep)}

    async def _sweep(self) -> None:
        self.runs += 1


async def test_a_sweep_that_is_late_is_done_once_and_never_left_out() -> None:
    """Hours late, as after a machine's sleep: one run that makes up for all of them."""
    parts = Parts()
    loop = WorkLoop(parts)  # type: ignore[arg-type]
    loop.start()
    try:
        scheduler = loop._scheduler
        job = scheduler.get_job("read")
        job.modify(next_run_time=datetime.now(UTC) - timedelta(hours=2.5))
        async with asyncio.timeout(5):
            while scheduler.get_job("read").next_run_time < datetime.now(UTC):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert parts.runs == 1
    finally:
        await loop.stop()


async def test_sweeps_know_no_summer_time() -> None:
    """From one run to the next it is always as long, over both changes of the clocks in a year."""
    loop = WorkLoop(Parts())  # type: ignore[arg-type]
    loop.start()
    try:
        (job,) = loop._scheduler.get_jobs()
        for change in (datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC)):
            runs = [change]
            while runs[-1] < change + timedelta(days=3):
                runs.append(job.trigger.get_next_fire_time(runs[-1], runs[-1]))
            assert {(after - before).total_seconds() for before, after in pairwise(runs)} == {3600.0}
    finally:
        await loop.stop()


async def test_who_dies_right_after_the_commit_has_said_it(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label and its notice are one commit: a process that dies behind it leaves both, or neither."""

    def dies(point: str) -> None:
        if point == "settle.after":
            raise Killed

    till = till_of(sqlite_store, Seller(), Hands())
    id = await planned(till)
    monkeypatch.setattr(points, "crash_point", dies)
    with pytest.raises(Killed):
        await buy(till, id)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:  # whatever it still meant to do died with it
        task.cancel()
    assert [state for _, state in await labels(till, id)] == ["live"]
    assert [type for type, _ in await said(till)] == ["label.purchased"]


def test_what_proves_a_push_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each secret of each carrier is compared by the one function that takes as long wherever two texts differ."""
    compared: list[int] = []
    same = hmac.compare_digest

    def counting(one: Any, other: Any) -> bool:
        compared.append(1)
        return same(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    body = json.dumps({"timestamp": "2026-03-03T09:00:00Z", "payload": "{}"}).encode()
    for carrier, header in ((usps, {"x-hmac": "forged"}), (ups, {"credential": "forged"})):
        compared.clear()
        with pytest.raises(Forged):
            carrier.verify(Push(header, body), ["a" * 32, "b" * 32], datetime.now(UTC))
        assert len(compared) >= 2, carrier.__name__


PUBLIC = {
    "FollowOut": "kind number tier state state_text steps parcels story next can_do estimate checked_at next_check_at "
    "stale fresh_as_of",
    "StepOut": "key text state at",
    "ParcelTold": "leg status status_text purpose estimate window promised sentences attempts max_attempts place "
    "number carrier tracking_url events",
    "AttemptTold": "ordinal day reason text",
    "EventTold": "at_local key text place",
    "Said": "key args text",
}
"""All that a public answer has room for: never a name, a street, a phone, an e-mail, a signature, a photo, a label."""


def test_a_public_answer_has_room_for_nobody() -> None:
    """Of the look-up's answer and everything in it, the fields are those of the list and no others."""
    seen: dict[str, str] = {}

    def walk(model: type[BaseModel]) -> None:
        seen[model.__name__] = " ".join(model.model_fields)
        for field in model.model_fields.values():
            waiting = [field.annotation]
            while waiting:
                kind = waiting.pop()
                waiting += get_args(kind)
                if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in seen:
                    walk(kind)

    walk(FollowOut)
    assert seen == PUBLIC


def test_no_setting_shows_a_secret() -> None:
    """Neither a repr nor an error over them: of both carriers' settings."""
    bird = "kanarienvogel-0123456789-0123456"
    found = [
        carriers.ups.connect.Settings(client_id="i", client_secret=bird, account="A1B2C3", push_secrets=(bird,)),  # type: ignore[arg-type]
        carriers.usps.connect.Settings.model_construct(client_secret=carriers.usps.connect.SecretStr(bird)),
    ]
    assert bird not in repr(found) and bird not in str([each.model_dump() for each in found])


async def test_doors_that_are_about_to_close_say_so_and_still_serve(sqlite_store: Store) -> None:
    """A balancer sends nobody new, and whoever comes all the same is served."""
    leaving = False
    async with open_doors(make_house(sqlite_store, leaving=lambda: leaving)) as doors:
        assert (await doors.call("GET", "/readyz"))[0] == 200
        leaving = True
        status, told, headers = await doors.call("GET", "/readyz")
        assert status == 503 and "doors is about to close" in told["detail"] and headers["Retry-After"]
        assert (await doors.call("GET", "/healthz"))[0] == 200
        await doors.put_order("B-1")
