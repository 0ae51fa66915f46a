"""A kept answer is never an old one, and never somebody else's; given again it is the same to the byte."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.kept import MOST, Kept
from api.ready import ALWAYS, made_ready
from fleet.clocks import Clock
from store.engine import Store, Tx, open_store
from store.keys import revoke_key
from store.settings import put_setting
from street.town import Town
from tests.doors import MONDAY, Doors, make_house, make_key, on_the_street, open_doors

FRIDAY = MONDAY + timedelta(days=11)


async def _change(tx: Tx) -> None:
    await put_setting(tx, "anything", datetime.now(UTC).isoformat())


# ------------------------------------------------------------------------------------------------------ what is kept


async def test_nothing_outlives_a_commit(sqlite_store: Store) -> None:
    """Whatever was committed: what was read before it is found no more, and not kept when it comes late."""
    kept = Kept(sqlite_store, Clock.real(), timedelta(minutes=1))
    since = kept.since()
    kept.keep("a", 1, since)
    assert kept.find("a") == 1 and kept.find("b") is None
    await sqlite_store.write(_change)
    assert kept.find("a") is None
    kept.keep("late", 2, since)  # read before that commit
    assert kept.find("late") is None
    kept.keep("b", 3, kept.since())
    kept.keep("later", 2, since)
    assert kept.find("later") is None and kept.find("b") == 3 and kept.find("a") is None and kept.find("late") is None


async def test_a_second_of_the_story_is_the_longest(sqlite_store: Store) -> None:
    """In a story that runs a million times as fast nothing is kept that long; the time decides answers too."""
    kept = Kept(sqlite_store, Clock(MONDAY, 1_000_000.0, datetime.now(UTC).timestamp()))
    kept.keep("a", 1, kept.since())
    await asyncio.sleep(0.002)
    assert kept.find("a") is None
    kept = Kept(sqlite_store, Clock.real(), timedelta())
    kept.keep("a", 1, kept.since())
    assert kept.find("a") is None


async def test_only_so_many_are_kept(sqlite_store: Store) -> None:
    kept = Kept(sqlite_store, Clock.real(), timedelta(minutes=1))
    for number in range(MOST * 3):
        kept.keep(number, number, kept.since())
    assert sum(kept.find(number) is not None for number in range(MOST * 3)) <= MOST
    assert kept.find(MOST * 3 - 1) == MOST * 3 - 1


@pytest.mark.postgres
async def test_where_others_commit_too_nothing_is_kept(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    try:
        kept = Kept(store, Clock.real(), timedelta(minutes=1))
        kept.keep("a", 1, kept.since())
        assert kept.since() is None and kept.find("a") is None
    finally:
        await store.close()


# ------------------------------------------------------------------------------------------------------- at the doors


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(FRIDAY) as opened:
        yield opened


@pytest.fixture
async def shipped(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[tuple[Doors, str]]:
    """Open doors, and the address of a parcel whose answer is kept."""
    async with open_doors(make_house(sqlite_store, street[1], FRIDAY, calls_per_minute=1000)) as doors:
        await doors.put_order()
        number = street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number
        await doors.ship("B-1001", number)
        path = f"/v1/parcels/ups/{number}"
        for _ in range(3):  # the first may note that the key was used
            assert (await doors.call("GET", path))[0] == 200
        yield doors, path


async def test_a_kept_answer_is_for_who_may_have_it(shipped: tuple[Doors, str]) -> None:
    """A key without the scope, no key and a revoked key get none of it, the moment after another key did."""
    doors, path = shipped
    other = await make_key(doors.house, "orders:read")
    ending = await make_key(doors.house, "parcels:read")
    held = {"Authorization": f"Bearer {ending}"}
    for _ in range(3):
        assert (await doors.call("GET", path))[0] == 200
        assert (await doors.call("GET", path, headers=held))[0] == 200
    assert (await doors.call("GET", path, headers={"Authorization": f"Bearer {other}"}))[0] == 403
    assert (await doors.call("GET", path, headers={"Authorization": ""}))[0] == 401
    await doors.house.store.write(lambda tx: revoke_key(tx, 3, FRIDAY))
    assert (await doors.call("GET", path, headers=held))[0] == 401
    assert (await doors.call("GET", path))[0] == 200


async def test_a_kept_answer_is_counted_and_named_like_any_other(shipped: tuple[Doors, str]) -> None:
    """Its caller has one call less, and each one has its own request id."""
    doors, path = shipped
    found = [(await doors.call("GET", path))[2] for _ in range(3)]
    left = [int(headers["RateLimit-Remaining"]) for headers in found]
    assert left == [left[0], left[0] - 1, left[0] - 2]
    assert len({headers["X-Request-Id"] for headers in found}) == 3
    _, _, headers = await doors.call("GET", path, headers={"X-Request-Id": "shop-7f3a.1_b"})
    assert headers["X-Request-Id"] == "shop-7f3a.1_b"


async def test_a_number_is_found_however_it_is_written(shipped: tuple[Doors, str]) -> None:
    """As it is kept, in small letters or with blanks; what can be no number of the carrier's is told apart."""
    doors, path = shipped
    number = path.rpartition("/")[2]
    for written in (number, number.lower(), f"{number[:6]} {number[6:]}"):
        status, parcel, _ = await doors.call("GET", f"/v1/parcels/ups/{written}")
        assert (status, parcel["number"]) == (200, number), written
    for wrong, code in (("1Z5338FF0107231059", "parcel_unknown"), ("HELLO", "number_impossible")):
        assert (await doors.call("GET", f"/v1/parcels/ups/{wrong}"))[1]["code"] == code


# -------------------------------------------------------------------------------------------------------- on the wire


async def _raw(doors: Doors, *requests: bytes) -> bytes:
    """What comes back for these bytes until the other side closes or is silent for long."""
    server = doors.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"".join(requests))
    got = b""
    try:
        async with asyncio.timeout(5):
            while piece := await reader.read(65536):
                got += piece
    finally:
        writer.close()
    return got


def _parts(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    """First line, headers and body. Each header is there once."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = [line.split(": ", 1) for line in lines]
    assert len({name.lower() for name, _ in fields}) == len(fields), "a header twice"
    return first, {name.lower(): value for name, value in fields}, body


async def test_one_answer_whoever_writes_it(shipped: tuple[Doors, str]) -> None:
    """In one piece for a connection that stays open, by aiohttp for HTTP/1.0, a last request and HEAD: the same."""
    doors, path = shipped

    def asked(method: str = "GET", version: str = "1.1", *more: str) -> bytes:
        lines = [f"{method} {path} HTTP/{version}", "Host: x", f"Authorization: Bearer {doors.key}", *more, "", ""]
        return "\r\n".join(lines).encode()

    last = asked("GET", "1.1", "Connection: close")
    several = await _raw(doors, asked(), asked(), last)
    length = int(_parts(several)[1]["content-length"])
    answers, rest = [], several
    while rest:
        head, _, after = rest.partition(b"\r\n\r\n")
        answers.append(_parts(head + b"\r\n\r\n" + after[:length]))
        rest = after[length:]
    assert len(answers) == 3
    old = _parts(await _raw(doors, asked("GET", "1.0")))
    headless = _parts((await _raw(doors, asked("HEAD"), last)).removesuffix(answers[2][2]))
    assert headless[2].startswith(b"HTTP/1.1 200 OK\r\n"), "the next answer begins where its head ends"
    mine = {"date", "x-request-id", "ratelimit-remaining", "ratelimit-reset", "connection"}

    def same(headers: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name not in mine}

    first, headers, body = answers[0]
    assert first == "HTTP/1.1 200 OK" and len(body) == length and body.startswith(b"{")
    assert same(headers).items() >= {n.lower(): v for n, v in ALWAYS.items() if n != "Cache-Control"}.items()
    assert {"date", "x-request-id", "etag", "ratelimit-limit"} <= headers.keys()
    assert headers["cache-control"] == "private, no-cache" and headers["content-type"] == "application/json"
    for other in (answers[1], answers[2], old, headless):
        assert same(other[1]) == same(headers)
    assert body == answers[1][2] == answers[2][2] == old[2]
    assert "connection" not in headers and answers[2][1]["connection"] == "close"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=c", "a\nb", "a\r"])
def test_a_header_cannot_end_its_line(value: str) -> None:
    """Whatever a handler puts into a header: no second one comes of it."""
    with pytest.raises(ValueError, match="more than one line"):
        made_ready("GET", 200, b"{}", "application/json", {"Vary": value})
