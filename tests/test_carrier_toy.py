"""A third carrier is one folder: the toy passes the suite, touches no other room, and ten planted faults are seen."""

import ast
import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import tests.test_carrier_contract as suite
from carriers.contract import (
    Event,
    Kind,
    Payload,
    Push,
    Readings,
    Refused,
    Rejected,
    Source,
    Told,
    Unreadable,
)  # fmt: skip
from tests.toy_carrier import connect, reading

HERE = Path(__file__).parent / "toy_carrier"
READ, VERIFY, BUY, PREPARE, TRACK = (
    reading.read, reading.verify, connect.Toy.buy, connect.Toy.prepare_label, connect.Toy.track,
)  # fmt: skip


def cases_of(check: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The arguments with which a check of the suite runs for the toy carrier, as pytest would give them."""
    choices = []
    for mark in getattr(check, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        values = mark.args[1] if len(mark.args) > 1 else mark.kwargs["argvalues"]
        names = [one.strip() for one in names.split(",")] if isinstance(names, str) else names
        choices.append([dict(zip(names, value if len(names) > 1 else (value,), strict=True)) for value in values])
    for chosen in product(*choices):
        given = {name: value for one in chosen for name, value in one.items()}
        if given.get("name", given.get("carrier")) == suite.TOY:
            yield given


def checks() -> dict[str, Callable[..., Any]]:
    found = {name: held for name, held in vars(suite).items() if name.startswith("test_")}
    return {name: held for name, held in found.items() if list(cases_of(held))}


def failures(only: str = "") -> set[str]:
    """The checks of the suite (or this one of them) that the toy carrier fails."""
    failed = set()
    for name, check in checks().items():
        if only not in ("", name):
            continue
        for given in cases_of(check):
            try:
                done = check(**given)
                if inspect.isawaitable(done):
                    asyncio.run(done)  # type: ignore[arg-type]
            except (Exception, pytest.fail.Exception, BaseExceptionGroup):
                failed.add(name)
                break
    return failed


def test_the_toy_carrier_passes_the_whole_suite() -> None:
    """Every check that is made per carrier, in this process and without pytest's help."""
    assert len(checks()) >= 18, sorted(checks())
    assert failures() == set()


def test_the_toy_carrier_is_one_folder_and_knows_only_the_contract_and_the_door() -> None:
    """Four files; nothing of any other room, of the other carriers, or of the tests is imported."""
    files = {path.name for path in HERE.glob("*.py")}
    assert files == {"__init__.py", "codes.py", "reading.py", "connect.py"}
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                root = node.module.split(".")[0]
                assert root not in {"alerts", "api", "cli", "fleet", "merchants", "returns", "spending", "store"}
                assert root not in {"street", "tracker", "webhooks"}
                assert root != "carriers" or node.module in {"carriers.contract", "carriers.door"}


# ---------------------------------------------------------------------------------------------------------- ten faults


def _events(change: Callable[[Event], Event]) -> Callable[[Payload], Readings]:
    def read(payload: Payload) -> Readings:
        readings = READ(payload)
        return structs.replace(readings, events=tuple(map(change, readings.events)))

    return read


def _local_for_utc(payload: Payload) -> Readings:
    """Wall time taken for UTC."""
    return _events(lambda event: structs.replace(event, at=event.local))(payload)


def _default_kind(payload: Payload) -> Readings:
    """A code nobody knows is taken for a scan under way."""
    return _events(lambda event: event if event.known else structs.replace(event, kind=Kind.IN_TRANSIT))(payload)


def _order_of_arrival(payload: Payload) -> Readings:
    """What is told is dated by the first scan listed."""
    readings = READ(payload)
    at = readings.events[-1].at if readings.events else None
    return structs.replace(readings, told=tuple(structs.replace(told, newest=at) for told in readings.told))


def _key_error(payload: Payload) -> Readings:
    """Missing fields and garbage raise whatever they raise."""
    json.loads(payload.body)["parcel"]
    return READ(payload)


def _garbage_is_nothing(payload: Payload) -> Readings:
    """What cannot be read is passed over in silence."""
    try:
        return READ(payload)
    except Unreadable:
        return Readings((), tuple(Told(number, found=False) for number in payload.asked))


def _seconds_of_push(payload: Payload) -> Readings:
    """A push is dated by another clock, so that it becomes an event of its own."""
    if payload.source is Source.POLL:
        return READ(payload)
    return _events(lambda event: structs.replace(event, code=f"push-{event.code}"))(payload)


def _empty_secret_proves(push: Push, secrets: Any, now: Any) -> None:
    """Nothing configured lets everybody in."""
    if any(secrets):
        VERIFY(push, secrets, now)


async def _buys_again(self: connect.Toy, prepared: Any) -> Any:
    """A purchase in doubt is sent once more."""
    first = await BUY(self, prepared)
    return await BUY(self, prepared) if type(first).__name__ == "Unknown" else first


async def _doubt_is_no(self: connect.Toy, prepared: Any) -> Any:
    """A purchase without an answer is taken for refused."""
    outcome = await BUY(self, prepared)
    return Rejected("", "no") if type(outcome).__name__ == "Unknown" else outcome


def _secret_in_bytes(self: connect.Toy, request: Any) -> Any:
    """The stored request holds the key."""
    prepared = PREPARE(self, request)
    return replace(prepared, headers={**prepared.headers, "Authorization": self._settings.key.get_secret_value()})


async def _everything_is_refused(self: connect.Toy, numbers: Any) -> Any:
    """Whatever goes wrong is called a refusal, so nobody asks again."""
    try:
        return await TRACK(self, numbers)
    except Exception as error:
        raise Refused("no") from error


FAULTS: dict[Callable[..., Any], tuple[Any, str, str]] = {
    _local_for_utc: (reading, "read", "test_a_payload_is_read_into_sound_events"),
    _default_kind: (reading, "read", "test_an_unknown_code_is_kept_in_the_carriers_words"),
    _order_of_arrival: (reading, "read", "test_the_newest_instant_told_is_that_of_the_newest_event"),
    _key_error: (reading, "read", "test_garbage_is_unreadable"),
    _garbage_is_nothing: (reading, "read", "test_half_a_payload_is_unreadable"),
    _seconds_of_push: (reading, "read", "test_the_same_scan_by_push_and_by_poll_is_one_event"),
    _empty_secret_proves: (reading, "verify", "test_a_forged_push_is_refused"),
    _buys_again: (connect.Toy, "buy", "test_a_purchase_in_trouble_says_what_is_proven"),
    _doubt_is_no: (connect.Toy, "buy", "test_a_purchase_in_trouble_says_what_is_proven"),
    _secret_in_bytes: (connect.Toy, "prepare_label", "test_a_label_is_prepared_alike_each_time_and_holds_no_secret"),
    _everything_is_refused: (connect.Toy, "track", "test_a_question_in_trouble_raises_what_to_do_next"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
def test_a_planted_fault_is_seen(fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one that a carrier's author could make; the check named beside it fails."""
    place, name, check = FAULTS[fault]
    monkeypatch.setattr(place, name, fault)
    assert failures(check) == {check}


def test_there_are_at_least_ten_faults_and_no_two_are_one() -> None:
    """Ten, at five places or more of the suite."""
    assert len(FAULTS) >= 10 and len({check for _, _, check in FAULTS.values()}) >= 5
