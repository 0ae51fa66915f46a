"""One suite for every carrier: what `carriers/contract.py` promises, on every folder that has a reading.py.

A new carrier adds nothing here: its payloads lie in tests/fixtures/<name>/, named as the SOURCES.md there says:
`<what>.json` an answer, `<what>.push.json` a push (its events stand in `<what>.json` too, where that exists),
`<what>.<status>.json` an answer with that HTTP status, `unreadable_*` must be refused, `unknown_code*` holds a code
that is in no table. tests/fixtures/accounts/<name>.json holds an environment that connects (its secrets begin with
"canary") and the answers of the calls that fetch tokens. The toy carrier of tests/toy_carrier stands beside them.
"""

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carriers.contract import (
    Abilities,
    Address,
    Away,
    Busy,
    Carrier,
    CarrierError,
    Check,
    Event,
    Forged,
    Intercepted,
    Kind,
    LabelRequest,
    NotExecuted,
    Payload,
    PickupRequest,
    Precision,
    Prepared,
    Push,
    Readings,
    Refused,
    Rejected,
    Source,
    Unknown,
    Unreadable,
)
from carriers.door import Unlimited

ROOT = Path(__file__).parent.parent
REAL = sorted(path.parent.name for path in (ROOT / "carriers").glob("*/reading.py"))
TOY = "toy"
CARRIERS = [*REAL, TOY]
PACKAGES = {name: f"carriers.{name}" for name in REAL} | {TOY: "tests.toy_carrier"}
FOLDERS = {name: ROOT / "tests" / "fixtures" / name for name in REAL} | {
    TOY: ROOT / "tests" / "toy_carrier" / "fixtures"
}
ACCOUNTS = {name: ROOT / "tests" / "fixtures" / "accounts" / f"{name}.json" for name in REAL} | {
    TOY: ROOT / "tests" / "toy_carrier" / "account.json"
}
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
ASKED = "ASKED123456789"
STATUS = re.compile(r"\.(\d{3})\.")
FIXTURES = [(name, path) for name in CARRIERS for path in sorted(FOLDERS[name].iterdir()) if path.name != "SOURCES.md"]
READABLE = [(name, path) for name, path in FIXTURES if not path.name.startswith("unreadable_")]
UNREADABLE = [(name, path) for name, path in FIXTURES if path.name.startswith("unreadable_")]
GARBAGE = [
    b"",
    b" ",
    b"\x00\xff\xfe",
    b"<html>busy</html>",
    b"null",
    b"42",
    b'"text"',
    b"{",
    b"[" * 20_000,
    b"\x80" * 9,
]


def named(cases: list[tuple[str, Path]]) -> dict[str, Any]:
    return {"argvalues": cases, "ids": [f"{name}/{path.name}" for name, path in cases]}


def reading_of(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGES[name]}.reading")


def payload_of(name: str, path: Path) -> Payload:
    source = Source.PUSH if ".push." in path.name else Source.POLL
    status = STATUS.search(path.name)
    asked = () if source is Source.PUSH else (ASKED,)
    return Payload(name, source, path.read_bytes(), asked, int(status[1]) if status else 200)


def readings_of(name: str, path: Path) -> Readings:
    readings: Readings = reading_of(name).read(payload_of(name, path))
    return readings


def test_there_are_carriers_and_each_has_payloads_with_their_sources() -> None:
    """A carrier without fixtures would pass everything below unseen."""
    assert CARRIERS
    for name in CARRIERS:
        folder = FOLDERS[name]
        assert (folder / "SOURCES.md").read_text(encoding="utf-8").strip()
        assert len(list(folder.iterdir())) > 10, f"{name} has hardly any fixtures"
        assert any(path.name.startswith("unknown_code") for path in folder.iterdir()), f"{name}: no unknown code"
        assert any(path.name.endswith(".push.json") for path in folder.iterdir()), f"{name}: no push"


@pytest.mark.parametrize(("name", "path"), **named(READABLE))
def test_a_payload_is_read_into_sound_events(name: str, path: Path) -> None:
    """Whatever a carrier sends says something, with aware UTC instants, its own local day and an identity."""
    readings = readings_of(name, path)
    assert readings.events or readings.told
    for event in readings.events:
        check_event(name, event)
    for told in readings.told:
        assert told.number
        assert told.newest is None or told.newest.utcoffset() == timedelta()
        assert all(isinstance(one, str) and one for one in (*told.references, *told.alternates, *told.fields.values()))


def check_event(name: str, event: Event) -> None:
    assert event.carrier == name
    assert event.number and event.id
    assert event.at.utcoffset() == timedelta()
    assert isinstance(event.words, str) and isinstance(event.code, str)
    if event.local is not None and event.precision is not Precision.DAY:
        assert event.local.tzinfo is not None
        assert event.local == event.at, "the wall time is the same instant"
        assert event.local.date() == event.day
    assert not event.final or event.ordinal, "a final attempt has its number"
    assert event.known or event.kind is Kind.UNKNOWN, "what nobody knows is called unknown"


@pytest.mark.parametrize(("name", "path"), **named(READABLE))
def test_reading_is_deterministic(name: str, path: Path) -> None:
    """The same bytes always give the same readings; a payload that came twice tells the same events."""
    first, again = readings_of(name, path), readings_of(name, path)
    assert first == again
    assert [event.id for event in first.events] == [event.id for event in again.events]


@pytest.mark.parametrize(("name", "path"), **named(READABLE))
def test_the_newest_instant_told_is_that_of_the_newest_event(name: str, path: Path) -> None:
    """What is told is ordered by the newest event of its payload, so that instant must be right."""
    readings = readings_of(name, path)
    for told in readings.told:
        newest = max((event.at for event in readings.events if event.number == told.number), default=None)
        assert told.newest == newest


@pytest.mark.parametrize(("name", "path"), **named([one for one in READABLE if one[1].name.startswith("unknown_code")]))
def test_an_unknown_code_is_kept_in_the_carriers_words(name: str, path: Path) -> None:
    """A code in no table becomes an event all the same: kind unknown, not known, code and words untouched."""
    unknown = [event for event in readings_of(name, path).events if not event.known]
    assert unknown
    body = path.read_text(encoding="utf-8")
    for event in unknown:
        assert event.kind is Kind.UNKNOWN and event.reason is None and event.ordinal is None
        assert event.code or event.words
        assert all(part in body for part in event.code.split("/"))
        assert not event.words or json.dumps(event.words, ensure_ascii=False)[1:-1] in body


PAIRS = [
    (name, path)
    for name, path in READABLE
    if ".push." in path.name and path.with_name(path.name.replace(".push.", ".")).exists()
]


@pytest.mark.parametrize(("name", "path"), **named(PAIRS))
def test_the_same_scan_by_push_and_by_poll_is_one_event(name: str, path: Path) -> None:
    """A push and the answer of the same name tell the same events: same ids, same meaning."""
    pushed = readings_of(name, path).events
    polled = {event.id: event for event in readings_of(name, path.with_name(path.name.replace(".push.", "."))).events}
    assert pushed
    for event in pushed:
        assert event.id in polled
        twin = polled[event.id]
        assert (event.number, event.day, event.kind, event.ordinal) == (twin.number, twin.day, twin.kind, twin.ordinal)


def test_every_carrier_has_a_pair() -> None:
    """The test above must have something to compare, for each carrier."""
    assert {name for name, _ in PAIRS} == set(CARRIERS)


@pytest.mark.parametrize(("name", "path"), **named(UNREADABLE))
def test_what_is_no_payload_of_this_carrier_is_unreadable(name: str, path: Path) -> None:
    """It raises Unreadable, with a message that says something."""
    with pytest.raises(Unreadable, match=r"\w{3}"):
        readings_of(name, path)


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("source", list(Source))
def test_garbage_is_unreadable(name: str, source: Source, body: bytes) -> None:
    """Bytes that are nothing raise Unreadable and no other error."""
    with pytest.raises(Unreadable):
        reading_of(name).read(Payload(name, source, body, (ASKED,)))


WITH_A_BODY = [one for one in READABLE if one[1].stat().st_size > 20]


@pytest.mark.parametrize(("name", "path"), **named([one for one in WITH_A_BODY if ".404." not in one[1].name]))
def test_half_a_payload_is_unreadable(name: str, path: Path) -> None:
    """A connection that broke in the middle leaves nothing to believe."""
    payload = payload_of(name, path)
    with pytest.raises(Unreadable):
        reading_of(name).read(replace(payload, body=payload.body[: len(payload.body) // 2]))


JUNK = st.sampled_from(
    [None, True, 0, -1, 7.5, "", " ", "x", "99999999", "\u0000", [], {}, [None], [{}], {"a": []}, "9" * 40]
)


@pytest.mark.parametrize("carrier", CARRIERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_field_may_hold_anything(carrier: str, data: st.DataObject) -> None:
    """With one field of a payload replaced by junk it is read, or Unreadable: never another error."""
    mine = [one for one in WITH_A_BODY if one[0] == carrier]
    name, path = data.draw(st.sampled_from(mine), label="payload")
    body = json.loads(path.read_bytes())
    target = data.draw(st.sampled_from(list(places(body))), label="place")
    replaced = with_value(body, target, data.draw(JUNK, label="junk"))
    payload = replace(payload_of(name, path), body=json.dumps(replaced).encode())
    try:
        readings: Readings = reading_of(name).read(payload)
    except Unreadable:
        return
    for event in readings.events:
        assert event.number and event.id and event.at.utcoffset() == timedelta()


def places(value: Any, here: tuple[Any, ...] = ()) -> Any:
    """Every place in a JSON value, as a path of keys."""
    if here:
        yield here
    for key, held in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(held, (*here, key))


def with_value(value: Any, place: tuple[Any, ...], junk: Any) -> Any:
    if not place:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = with_value(copy[place[0]], place[1:], junk)
    return copy


@pytest.mark.parametrize("secrets", [(), ("",), ("right",), ("right", "older")], ids=str)
@pytest.mark.parametrize("name", CARRIERS)
def test_a_forged_push_is_refused(name: str, secrets: tuple[str, ...]) -> None:
    """A push that shows nothing, or something else, is Forged; also when no secret (or an empty one) is configured."""
    body = next(path for carrier, path in READABLE if carrier == name and ".push." in path.name).read_bytes()
    shown = ["", "wrong", "right ", "Bearer", "Bearer wrong", "Basic cmlnaHQ=", "sha256=00", "\u00e9"]
    headers = ["credential", "authorization", "x-api-key", "x-signature", "x-hmac", "signature"]
    pushes = [
        Push({}, body),
        *(Push({header: value}, body) for header in headers for value in shown if value != "right "),
    ]
    for push in pushes:
        with pytest.raises(Forged):
            reading_of(name).verify(push, secrets, NOW)


@pytest.mark.parametrize("name", CARRIERS)
def test_recognise_knows_its_own_numbers_and_no_nonsense(name: str) -> None:
    """Numbers in the fixtures are recognised as they are written; what cannot be a number is None."""
    recognise = reading_of(name).recognise
    mine = {event.number for carrier, path in READABLE if carrier == name for event in readings_of(name, path).events}
    for number in mine:
        assert recognise(f" {number.lower()} ").number == number
    for nonsense in ("", " ", "hello", "123", "../../etc", "1Z", "1Z\u00e999AA10123456784", "x" * 500, "0" * 500):
        assert recognise(nonsense) is None


@pytest.mark.parametrize("name", CARRIERS)
def test_connect_gives_a_carrier(name: str) -> None:
    """`connect()` returns a class with everything the Carrier protocol asks, named after its folder."""
    connect = importlib.import_module(f"{PACKAGES[name]}.connect")
    made = get_type_hints(connect.connect)["return"]
    wanted = {one for one in vars(Carrier) if not one.startswith("_")} | set(Carrier.__annotations__)
    assert not {one for one in wanted if not hasattr(made, one)}
    assert made.name == name and made.title
    assert isinstance(made.abilities, Abilities)


@pytest.mark.parametrize("name", CARRIERS)
def test_settings_are_told_apart_and_described(name: str) -> None:
    """Each setting has an environment variable of its carrier and a sentence of help; what is missing is named."""
    connect = importlib.import_module(f"{PACKAGES[name]}.connect")
    fields = connect.Settings.model_fields
    assert set(connect.SETTINGS.values()) == set(fields)
    assert all(variable.startswith(f"{name.upper()}_") for variable in connect.SETTINGS)
    assert all(field.description for field in fields.values())
    assert connect.Settings.model_config.get("frozen")
    with pytest.raises(ValueError, match=f"{name.upper()}_"):
        connect.Settings.from_env({})


# ------------------------------------------------------------------------------------------------- the half that asks

ANN = Address("Ann Lee", ("10 Elm St",), "Reno", "89501", "US", "NV", phone="17755550100")
DOCK = Address("Inbound", ("1 Dock Rd",), "Secaucus", "07094", "US", "NJ", "Shop Inc", "12015550100")
LABEL = LabelRequest(
    purchase_id="3f2b8c1e-9d4a-4c6b-8f00-112233445566",
    reference="R" + "A1" * 13,
    ship_from=ANN,
    ship_to=DOCK,
    weight_kg=Decimal("1.5"),
    description="Footwear",
    size_cm=(Decimal(30), Decimal(20), Decimal(10)),
    return_number="RMA-1",
)
PICKUP = PickupRequest(ANN, date(2026, 3, 10), time(9), time(17))


@dataclass(slots=True)
class Wire(httpx.AsyncBaseTransport):
    """Answers the calls for tokens as they should be, and everything else with one trouble."""

    tokens: Mapping[str, Any]
    trouble: httpx.Response | Exception
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (answer := self.tokens.get(request.url.path)) is not None:
            return httpx.Response(200, json=answer)
        self.sent.append((request.method, request.content))
        if isinstance(self.trouble, Exception):
            raise self.trouble
        return httpx.Response(self.trouble.status_code, headers=self.trouble.headers, content=self.trouble.content)


def connected(name: str, trouble: httpx.Response | Exception) -> tuple[Carrier, Wire]:
    """The carrier with its account, and the wire that it is on."""
    account = json.loads(ACCOUNTS[name].read_bytes())
    connect = importlib.import_module(f"{PACKAGES[name]}.connect")
    wire = Wire(account["answers"], trouble)
    settings = connect.Settings.from_env(account["environment"])
    carrier: Carrier = connect.connect(settings, budget=Unlimited(), transport=wire)
    return carrier, wire


def number_of(name: str) -> str:
    return next(
        event.number for carrier, path in READABLE if carrier == name for event in readings_of(name, path).events
    )


BUSY = httpx.Response(429, headers={"Retry-After": "17"})
TROUBLES = {
    "429": (BUSY, Busy),
    "503": (httpx.Response(503), Away),
    "403": (httpx.Response(403), Refused),
    "no connection": (httpx.ConnectError("canary"), Away),
    "no answer": (httpx.ReadTimeout("canary"), Away),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("name", CARRIERS)
async def test_a_question_in_trouble_raises_what_to_do_next(name: str, trouble: str) -> None:
    """Busy with its wait, Away, Refused: never another error, and never a secret in what it says."""
    answer, error = TROUBLES[trouble]
    carrier, _ = connected(name, answer)
    with pytest.raises(error) as caught:
        await carrier.track([number_of(name)])
    assert "canary" not in str(caught.value)
    assert trouble != "429" or caught.value.retry_after == 17.0
    await carrier.aclose()


@pytest.mark.parametrize(
    ("trouble", "outcome"),
    [
        (BUSY, NotExecuted),
        (httpx.Response(401), NotExecuted),
        (httpx.ConnectError("canary"), NotExecuted),
        (httpx.ReadTimeout("canary"), Unknown),
        (httpx.Response(503), Unknown),
        (httpx.Response(200, content=b"<html>busy</html>"), Unknown),
        (httpx.Response(200, content=b"{}"), Unknown),
        (ValueError("canary"), Unknown),
    ],
    ids=["429", "401", "no connection", "no answer", "503", "html", "nothing", "bug"],
)
@pytest.mark.parametrize("name", CARRIERS)
async def test_a_purchase_in_trouble_says_what_is_proven(
    name: str, trouble: httpx.Response | Exception, outcome: type
) -> None:
    """It raises nothing, and it is sent once (twice after a 401) as the very bytes that were prepared."""
    carrier, wire = connected(name, trouble)
    prepared = carrier.prepare_label(LABEL)
    found = await carrier.buy(prepared)
    assert type(found) is outcome, found
    assert "canary" not in str(found)
    again = 2 if isinstance(trouble, httpx.Response) and trouble.status_code == 401 else 1
    assert wire.sent == [(prepared.method, prepared.body)] * again
    await carrier.aclose()


@pytest.mark.parametrize("name", CARRIERS)
async def test_a_label_is_prepared_alike_each_time_and_holds_no_secret(name: str) -> None:
    """The same request gives the same bytes, which are stored: so no secret is in them, and our reference is."""
    carrier, _ = connected(name, httpx.Response(503))
    prepared = carrier.prepare_label(LABEL)
    assert isinstance(prepared, Prepared) and prepared == carrier.prepare_label(LABEL)
    assert prepared.operation == "label" and prepared.reference == LABEL.reference
    assert LABEL.reference.encode() in prepared.body
    assert b"canary" not in prepared.body and "canary" not in str(prepared.headers)
    assert "authorization" not in {header.lower() for header in prepared.headers}
    with pytest.raises(Refused, match=r"\w{3}"):
        carrier.prepare_label(replace(LABEL, is_dangerous=True))
    await carrier.aclose()


@pytest.mark.parametrize("name", CARRIERS)
async def test_what_a_carrier_cannot_do_it_says_before_anything_is_sent(name: str) -> None:
    """The ability says why not and what to do instead; a question is answered with it, all else raises Refused."""
    carrier, wire = connected(name, httpx.Response(503))
    number, abilities = number_of(name), carrier.abilities
    if abilities.intercept:
        with pytest.raises(Refused):
            carrier.prepare_intercept(number, None)
        eligible, charge = await carrier.intercept_eligibility(number), await carrier.intercept_charge(number)
        assert (eligible.possible, eligible.why, charge.total) == (False, abilities.intercept, None) and charge.note
    calls = [
        (abilities.intercept, lambda: carrier.cancel_intercept(number)),
        (abilities.pickup, lambda: carrier.book_pickup(PICKUP)),
        (abilities.pickup, lambda: carrier.pickup_state("1")),
        (abilities.pickup, lambda: carrier.cancel_pickup("1")),
        (abilities.drop_offs, lambda: carrier.drop_offs(ANN, 3)),
        (abilities.address_check, lambda: carrier.check_address(ANN)),
    ]
    for why, call in calls:
        if why:
            with pytest.raises(Refused) as caught:
                await call()
            assert len(str(caught.value)) > 20, "it says what to do instead"
    assert wire.sent == []
    await carrier.aclose()


@pytest.mark.parametrize("name", CARRIERS)
async def test_what_a_carrier_can_do_is_asked_of_it(name: str) -> None:
    """Each call that the abilities allow goes out, and in trouble raises one of the errors (never another)."""
    carrier, wire = connected(name, httpx.Response(403))
    number, abilities = number_of(name), carrier.abilities
    calls = [
        (abilities.intercept, lambda: carrier.intercept_eligibility(number)),
        (abilities.intercept, lambda: carrier.cancel_intercept(number)),
        (abilities.pickup, lambda: carrier.book_pickup(PICKUP)),
        (abilities.drop_offs, lambda: carrier.drop_offs(ANN, 3)),
        (abilities.address_check, lambda: carrier.check_address(ANN)),
    ]
    for why, call in calls:
        if not why:
            wire.sent.clear()
            with pytest.raises(CarrierError):
                await call()
            assert wire.sent
    if not abilities.intercept:
        outcome = await carrier.intercept(carrier.prepare_intercept(number, None))
        assert not isinstance(outcome, Intercepted) and isinstance(outcome, Rejected | NotExecuted | Unknown)
    await carrier.aclose()


@pytest.mark.parametrize("trouble", [httpx.Response(403), httpx.Response(503), httpx.ConnectError("canary")], ids=str)
@pytest.mark.parametrize("name", CARRIERS)
async def test_the_doctor_always_gets_lines(name: str, trouble: httpx.Response | Exception) -> None:
    """`check` raises nothing: each line has a name, a verdict, and what to do where it does not work."""
    carrier, _ = connected(name, trouble)
    checks = await carrier.check()
    assert checks and all(isinstance(check, Check) and check.name for check in checks)
    failed = [check for check in checks if not check.ok]
    assert failed and all(len(check.detail) > 10 and "canary" not in check.detail for check in failed)
    await carrier.aclose()
