"""What a stranger sends is either JSON in its strictest sense and as documented, or refused: never a 500."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.bodies import DEPTH, checked, parse
from api.follow import FollowOrderIn
from api.orders import OrderIn
from api.problems import Problem
from store.engine import Store
from tests.doors import ORDER, Doors, make_house, open_doors

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store)) as doors:
        yield doors


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nothing",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b'{"a": "x\\u0000y"}',
        b'{"\\u0000": 1}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
        b'{"a":' * 100_000,
        b'{"a": 1} {"b": 2}',
    ],
)
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    """No NaN, no infinity, no key twice, no half character, no NUL, no bottomless nesting, nothing after the end."""
    with pytest.raises(Problem) as refused:
        parse(body)
    assert (refused.value.code, refused.value.status) == ("malformed_json", 400)


def test_brackets_and_escapes_inside_strings_are_no_depth_and_no_nul() -> None:
    """Text that looks like nesting, or spells out an escape, is text."""
    text = {"a": "[{" * 1000 + '\\"' + "\\u0000", "b": "\\"}
    assert parse(json.dumps(text).encode()) == text


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b'[{"'])
def test_no_body_takes_long_to_refuse(unit: bytes) -> None:
    """The largest body of the nastiest shape is refused in well under a second: one pass, whatever is sent."""
    started = time.perf_counter()
    with pytest.raises(Problem):
        parse(b'"' + unit * (256 * 1024 // len(unit)))
    assert time.perf_counter() - started < 1.0


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_value_or_a_problem(body: bytes) -> None:
    try:
        parse(body)
    except Problem as problem:
        assert problem.status == 400


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([*OrderIn.model_fields, "x"]), inner, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_any_value_is_an_order_or_a_problem(value: object) -> None:
    """Whatever JSON is sent as an order, nothing but a Problem comes of it."""
    try:
        checked(OrderIn, json.dumps(value).encode())
    except Problem as problem:
        assert problem.code in ("invalid_body", "malformed_json")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"currency": "euro"}, "/currency"),
        ({"placed_at": "2026-03-01T09:30:00"}, "/placed_at"),
        ({"placed_at": 1772357400}, "/placed_at"),
        ({"items": []}, "/items"),
        ({"items": [ORDER["items"][0] | {"quantity": 0}]}, "/items/0/quantity"),
        ({"items": [ORDER["items"][0] | {"quantity": "1"}]}, "/items/0/quantity"),
        ({"ship_to": ORDER["ship_to"] | {"country": "Netherlands"}}, "/ship_to/country"),
        ({"colour": "red"}, "/colour"),
        ({"shipping_paid": "-1"}, "/shipping_paid"),
        ({"promise": ["2026-03-06"]}, "/promise/1"),
    ],
)
async def test_a_wrong_field_is_pointed_at(doors: Doors, change: dict[str, object], pointer: str) -> None:
    """422 with a JSON Pointer to the field, and without repeating what was sent."""
    status, problem, _ = await doors.call("PUT", "/v1/orders/boutique-eu/B-1", json=ORDER | change)
    assert (status, problem["code"], problem["pointer"]) == (422, "invalid_body", pointer)
    assert "canary" not in json.dumps(problem).lower()


def test_a_pointer_escapes_its_two_special_characters() -> None:
    with pytest.raises(Problem) as refused:
        checked(FollowOrderIn, b'{"order_number": "1", "a/b~c": 1}')
    assert refused.value.pointer == "/a~1b~0c"


async def test_an_oversize_body_is_refused_at_its_header_and_on_the_way(doors: Doors) -> None:
    """413 whether the size is stated or found out."""
    big = b'{"order_number": "' + b"B" * 300_000 + b'"}'

    async def unstated() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 10_000):
            yield big[start : start + 10_000]

    for body in (big, unstated()):
        status, problem, _ = await doors.call("POST", "/v1/follow/order", data=body, headers=JSON)
        assert (status, problem["code"]) == (413, "body_too_large")


async def test_a_stated_size_is_refused_before_anything_is_read(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever announces too much hears 413 at once, without sending it and without being waited for."""
    monkeypatch.setattr("api.bodies.DEADLINE", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.client.port)
    head = (
        "POST /v1/follow/order HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999\r\n\r\n"
    )
    writer.write(head.encode())
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_only_plain_json_is_taken(doors: Doors) -> None:
    """Another type, or a compressed body (a gzip bomb), is a 415."""
    body = b'{"order_number": "B-1"}'
    for data, headers in (
        (body, {"Content-Type": "text/plain"}),
        (body, {"Content-Type": "application/x-www-form-urlencoded"}),
        (gzip.compress(body), JSON | {"Content-Encoding": "gzip"}),
        (gzip.compress(b" " * 50_000_000), JSON | {"Content-Encoding": "gzip"}),
    ):
        status, problem, _ = await doors.call("POST", "/v1/follow/order", data=data, headers=headers)
        assert (status, problem["code"]) == (415, "unsupported_media_type")
    status, _, _ = await doors.call(
        "POST", "/v1/follow/order", data=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert status == 404
