"""Bugs to plant: switches that exist in tests only, each to see a check of the suite fail.

The first ones go into a buyer's process, for the rigs that kill it; `PLANTED` holds those that a test of the suite is
run with (tests/test_planted_bugs.py), most of them a few words of a function written otherwise.
"""

import ast
import asyncio
import importlib
import inspect
import random
import textwrap
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import Field, SecretStr

import returns.desk
import returns.dispatching
import spending.buying
import spending.intercepting
import spending.resolving
import spending.voiding
import tracker.homecoming
from carriers.contract import Charge, Rejected, Unknown
from spending import points
from spending.intents import claim_of, new_reference, state_of
from spending.machine import Proof, State
from store.purchases import find_purchase

_send, _intercept = spending.buying.send, spending.intercepting.send
_plan, _change = returns.dispatching.plan, returns.dispatching.change_dispatch
_purchase_of = returns.dispatching.purchase_of


def call_before_intent() -> None:
    """The carrier is called first, and what was intended is written down after its answer."""

    async def buy(till, purchase_id):
        row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
        if row is None or row["state"] != State.PLANNED:
            return await state_of(till, purchase_id)
        outcome = await _send(till, claim_of(row, till))
        points.crash_point("buy.after_send")
        claim = await spending.buying.begin(till, purchase_id)
        if claim is None:
            return await state_of(till, purchase_id)
        return await spending.buying._settle(till, claim, outcome)

    returns.desk.buy = spending.resolving.buy = buy


def new_key_on_retry() -> None:
    """A second send goes under a name of its own."""

    async def send(till, claim):
        if claim.sends > 1:
            claim = _with(claim, _renamed(claim.intent.prepared))
        return await _send(till, claim)

    spending.buying.send = send


def rebuilt_bytes() -> None:
    """A second send says the same in other bytes."""

    async def send(till, claim):
        if claim.sends > 1:
            prepared = claim.intent.prepared
            claim = _with(claim, replace(prepared, body=prepared.body.replace(b'":', b'": ', 1)))
        return await _send(till, claim)

    spending.buying.send = send


def server_error_is_rejected() -> None:
    """5xx is taken for the carrier's no."""

    async def send(till, claim):
        outcome = await _send(till, claim)
        if isinstance(outcome, Unknown) and "answered 5" in outcome.why:
            return Rejected("500", outcome.why)
        return outcome

    spending.buying.send = send


def retry_on_read_timeout() -> None:
    """No answer in time: send it again at once."""

    async def send(till, claim):
        outcome = await _send(till, claim)
        if isinstance(outcome, Unknown) and "answered" not in outcome.why:
            return await _send(till, claim)
        return outcome

    spending.buying.send = send


def void_without_proof() -> None:
    """A label that is one too many is voided without asking who travels with it."""

    async def prove(till, label):
        await asyncio.sleep(0)
        return Proof.VOID

    spending.voiding.prove = prove


def wish_closed_late() -> None:
    """A replacement's wish is closed when its parcel is there, not with the plan of its label: it is planned anew."""

    async def nothing_made(tx, subject, operation):
        await _purchase_of(tx, subject, operation)

    async def plan(tx, till, intent):
        await _plan(tx, till, replace(intent, generation=random.randrange(1 << 30)))

    async def change(tx, dispatch_id, *, parcel_id, why, next_us):
        if parcel_id is not None:
            await _change(tx, dispatch_id, parcel_id=parcel_id, why=why, next_us=next_us)

    returns.dispatching.purchase_of = nothing_made
    returns.dispatching.plan, returns.dispatching.change_dispatch = plan, change


def order_before_intent() -> None:
    """A parcel is asked back first, and what was intended is written down after the answer."""

    async def order(till, purchase_id):
        row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
        if row is None or row["state"] != State.PLANNED:
            return await state_of(till, purchase_id)
        outcome = await _intercept(till, claim_of(row, till))
        points.crash_point("intercept.after_send")
        claim = await spending.intercepting.begin(till, purchase_id)
        if claim is None:
            return await state_of(till, purchase_id)
        return await spending.intercepting._settle(till, claim, outcome)

    async def begin_again(till, claim):
        return await order(till, claim.intent.id)

    tracker.homecoming.order = spending.intercepting.order = order
    spending.intercepting._begin_again = begin_again


def blind_repeat() -> None:
    """No answer, or one that nobody can read: the order is sent again at once."""

    async def send(till, claim):
        outcome = await _intercept(till, claim)
        return await _intercept(till, claim) if isinstance(outcome, Unknown) else outcome

    spending.intercepting.send = send


def no_fresh_read() -> None:
    """A parcel is asked back by what was known of it when its attempt failed."""

    async def afresh(self, carrier, row):
        await asyncio.sleep(0)
        return carrier.prepare_intercept(row["number"], None), Charge(None)

    async def begin_again(till, claim):
        return await spending.intercepting.order(till, claim.intent.id)

    tracker.homecoming.Homecoming._afresh = afresh
    spending.intercepting._begin_again = begin_again


INTERCEPT_BUGS = (order_before_intent, blind_repeat, no_fresh_read)
BUGS = (
    call_before_intent,
    new_key_on_retry,
    rebuilt_bytes,
    server_error_is_rejected,
    retry_on_read_timeout,
    void_without_proof,
    wish_closed_late,
)


def _with(claim, prepared):
    return replace(claim, intent=replace(claim.intent, prepared=prepared))


def _renamed(prepared):
    """The same request under another reference, and another key where there is one."""
    other = new_reference()
    headers = {name: str(uuid.uuid4()) if "Key" in name else value for name, value in prepared.headers.items()}
    body = prepared.body.replace(prepared.reference.encode(), other.encode())
    return replace(prepared, headers=headers, body=body, reference=other)


# --------------------------------------------------------------------------------------------- into the suite's own run

Switch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug of the list, the test that catches it, and the switch that plants it for a run of that test.

    Without a switch the test plants it by itself: the rigs do, in their own processes.
    """

    name: str
    caught_by: str
    plant: Switch | None = None


def written(module: str, thing: str, *changes: tuple[str, str]) -> Switch:
    """The function, method or constant with these words of its source written otherwise."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        room = importlib.import_module(module)
        found: Any = room
        for part in thing.split("."):
            found = getattr(found, part)
        if not inspect.isfunction(found):
            monkeypatch.setattr(room, thing, eval(_otherwise(_constant(room, thing), changes), vars(room)))
            return
        made: dict[str, Any] = {}
        code = _otherwise(textwrap.dedent(inspect.getsource(found)), changes)
        exec(compile(code, room.__file__ or module, "exec"), vars(room) | {"__name__": module}, made)
        monkeypatch.setattr(found, "__code__", made[found.__name__].__code__)

    return plant


def both(*switches: Switch) -> Switch:
    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for switch in switches:
            switch(monkeypatch)

    return plant


def _otherwise(source: str, changes: tuple[tuple[str, str], ...]) -> str:
    for was, now in changes:
        assert source.count(was) == 1, f"the bug has no place any more: {was!r} is there {source.count(was)} times"
        source = source.replace(was, now)
    return source


def _constant(room: ModuleType, name: str) -> str:
    """The source of what a module's constant is set to."""
    text = Path(room.__file__ or "").read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(each, ast.Name) and each.id == name for each in targets):
            return ast.get_source_segment(text, node.value) or ""  # type: ignore[union-attr,arg-type]
    raise AssertionError(f"{room.__name__} has no {name}")


def _person_in_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = importlib.import_module("api.follow").FollowOut
    monkeypatch.setitem(model.model_fields, "received_by", Field(default=""))


def _secret_in_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretStr, "_display", lambda self: self.get_secret_value())


_RIG = "tests/test_spending_kills.py::test_the_rig_sees_a_planted_bug[{}]"
_GUARDS = "tests/test_machines_guards.py::"
_UPS_ANSWERS = "tests/test_ups_labels.py::test_what_an_answer_proves[{}]"

PLANTED = (
    Bug("call before intent", _RIG.format("call_before_intent")),
    Bug(
        "intent not committed",
        "tests/test_spending_buying.py::test_the_row_is_sending_while_the_call_runs[sqlite]",
        written("spending.buying", "take_to_send", ("if not await move(", "if False and not await move(")),
    ),
    Bug(
        "quiet time of nothing",
        "tests/test_spending_simulation.py::test_without_the_quiet_time_the_simulation_breaks[0.0]",
    ),
    Bug("new key on retry", _RIG.format("new_key_on_retry")),
    Bug("rebuilt bytes on retry", _RIG.format("rebuilt_bytes")),
    Bug("5xx as rejected", _RIG.format("server_error_is_rejected")),
    Bug(
        "401 as unknown",
        _UPS_ANSWERS.format("401 twice"),
        written("carriers.ups.sending", "NOT_EXECUTED", ("401, ", "")),
    ),
    Bug("void without proof", _RIG.format("void_without_proof")),
    Bug(
        "no UNIQUE on the intercept",
        "tests/test_spending_intercept.py::test_one_lives_however_many_want_it[sqlite]",
        written("spending.intents", "plan", ("intent.generation", "hash(intent.id) % 10**9")),
    ),
    Bug(
        "count scans, not days",
        "tests/test_tracker_lifecycle.py::test_several_scans_of_one_day_are_one_attempt_with_evidence",
        written("tracker.lifecycle", "count_attempts", ("by_day.get(event.day) if event", "None if event")),
    ),
    Bug(
        "arrival order instead of event time",
        "tests/test_tracker_model.py::test_the_model_and_the_tracker_agree[ups-3]",
        written("tracker.lifecycle", "happenings", ("sorted(merged, key=", "list(merged) or sorted(merged, key=")),
    ),
    Bug(
        "ack before commit",
        "tests/test_store_engine.py::test_nobody_is_told_before_the_commit",
        written(
            "store.sqlite",
            "SqliteStore._commit",
            ("yield Aside(self._sync", "[each.resolve() for each in batch]; yield Aside(self._sync"),
        ),
    ),
    Bug(
        "NORMAL instead of FULL",
        "tests/test_proof_machines.py::test_an_acknowledged_commit_survives_a_power_loss[planted1-False]",
    ),
    Bug(
        "outbox after commit",
        _GUARDS + "test_who_dies_right_after_the_commit_has_said_it",
        written(
            "spending.buying",
            "_adopt",
            (
                "await say_purchased(tx, till, claim, row)",
                "async def later():\n"
                "        await asyncio.sleep(0.05)\n"
                "        await till.store.write(lambda tx: say_purchased(tx, till, claim, row))\n"
                "    asyncio.get_running_loop().create_task(later())",
            ),
        ),
    ),
    Bug(
        "id changes on retry",
        "tests/test_webhooks_outbound.py::test_every_try_has_the_same_id_and_bytes[sqlite]",
        written("webhooks.outbound", "_Sweep._try", ("owed.notice_id,", 'f"msg_{random.random()}",')),
    ),
    Bug(
        "lock elsewhere than in the database",
        "tests/test_webhooks_outbound.py::test_many_workers_send_once[sqlite]",
        both(
            written("store.endpoints", "_claimed", ("if rows:", "if False:")),
            written("webhooks.outbound", "SWEEP", ("30.0", "0.5")),  # it would go on until its sweep ends
        ),
    ),
    Bug(
        "no fence check",
        "tests/test_spending_buying.py::test_a_stalled_sender_cannot_end_somebody_elses_send[sqlite]",
        written("store.purchases", "_MOVE", ('c.fence == bindparam("was_fence")', 'c.fence >= bindparam("was_fence")')),
    ),
    Bug(
        "misfire grace of 1 s",
        _GUARDS + "test_a_sweep_that_is_late_is_done_once_and_never_left_out",
        written("cli.serving", "WorkLoop.__init__", ('"misfire_grace_time": None', '"misfire_grace_time": 1')),
    ),
    Bug(
        "cron in local time",
        _GUARDS + "test_sweeps_know_no_summer_time",
        written(
            "cli.serving",
            "WorkLoop.start",
            (
                "IntervalTrigger(seconds=seconds, timezone=UTC)",
                '__import__("apscheduler.triggers.cron").triggers.cron.CronTrigger('
                'hour=1, minute=30, timezone="America/New_York")',
            ),
        ),
    ),
    Bug(
        "HMAC over re-serialised JSON",
        "tests/test_usps_push.py::test_the_vector_of_the_facts_holds",
        written(
            "carriers.usps.reading",
            "verify",
            (
                "timestamp, payload = _envelope(push.body)",
                "timestamp, payload = _envelope(push.body)\n"
                '    payload = __import__("json").dumps(__import__("json").loads(payload))',
            ),
        ),
    ),
    Bug(
        "USPS HMAC over the raw body",
        "tests/test_usps_push.py::test_the_vector_of_the_facts_holds",
        written(
            "carriers.usps.reading",
            "verify",
            ("signature(each, timestamp, payload)", 'signature(each, "", push.body.decode())'),
        ),
    ),
    Bug(
        "== to compare secrets",
        _GUARDS + "test_what_proves_a_push_is_compared_in_constant_time",
        written(
            "carriers.usps.reading",
            "verify",
            (
                "hmac.compare_digest(signature(each, timestamp, payload).encode(), claimed)",
                "signature(each, timestamp, payload).encode() == claimed",
            ),
        ),
    ),
    Bug(
        "tolerance of old pushes off",
        "tests/test_webhooks_inbound.py::test_a_late_push_is_kept_and_marked",
        written("webhooks.inbound", "LATE", ("minutes=5", "days=999")),
    ),
    Bug(
        "redirects followed",
        "tests/test_webhooks_outbound.py::test_a_redirect_is_not_followed[sqlite]",
        written("webhooks.outbound", "client", ("follow_redirects=False", "follow_redirects=True")),
    ),
    Bug(
        "check, then resolve again",
        "tests/test_webhooks_egress.py::test_the_address_that_was_judged_is_the_one_connected_to",
        written(
            "webhooks.guarded",
            "_Resolver.resolve",
            ("return [\n", "found = await self._look(host, port)\n    return [\n"),
        ),
    ),
    Bug(
        "another text for another refusal",
        "tests/test_api_follow.py::test_wrong_unknown_and_locked_are_one_answer",
        written(
            "api.follow",
            "_answer",
            (
                'raise Problem("lookup_refused")',
                'raise Problem("lookup_refused", "" if may_ask(house, question, "198.51.100.1") else "too many tries")',
            ),
        ),
    ),
    Bug("a person in a public answer", _GUARDS + "test_a_public_answer_has_room_for_nobody", _person_in_the_answer),
    Bug("a secret in a repr", _GUARDS + "test_no_setting_shows_a_secret", _secret_in_repr),
    Bug("POST again after a read timeout", _RIG.format("retry_on_read_timeout")),
    Bug(
        "success:false taken as success",
        "tests/test_ups_handling.py::test_only_success_without_errors_is_an_order[false]",
        written("carriers.ups.handling", "intercepted", ("answer.success is True and not", "not")),
    ),
    Bug(
        "reference at the shipment within the US",
        "tests/test_ups_labels.py::test_our_reference_stands_where_ups_reads_it",
        written(
            "carriers.ups.shipment",
            "_shipment_request",
            ("(package if lane in PACKAGE_REFERENCE_LANES else shipment)", "(shipment)"),
        ),
    ),
)
"""Every bug of the list in the design's page on faults, in its order.  # source: design/faults-and-security.md (f)"""
