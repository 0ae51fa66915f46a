"""Facts about deliveries that last: paused and held, tried once a day, resumed, replayed, signed by two secrets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from store import endpoints as shelf
from store.endpoints import EndpointId
from store.engine import Store
from store.outbox import said_about
from tests.test_webhooks_outbound import SEALER, SECRET, STORY, Hands, Receiver, listen, states, tell
from tests.test_webhooks_outbound import receiver as receiver
from webhooks.outbound import READ, client, deliver, replay_one, resume, spread
from webhooks.signing import make_secret

NEWER = make_secret(bytes(range(1, 33)))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(allowed={"127.0.0.1"}) as http:
        yield http


async def _state(store: Store, number: EndpointId) -> str:
    endpoint = await store.read(lambda tx: shelf.find_endpoint(tx, number))
    assert endpoint is not None
    return endpoint.state


async def _down_for_days(store: Store, http: httpx.AsyncClient, now: Hands, days: int) -> int:
    """A receiver that answers 500 is tried twice a day; how many tries were made."""
    tries = 0
    for _ in range(days * 2):
        tries += await deliver(store, SEALER, http, now)
        now.ahead += timedelta(hours=12, minutes=1)
    return tries


async def test_five_days_of_failure_pause_and_nothing_is_dropped(
    store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """Paused after five days: one try a day, all held; the first that arrives lets all of it out, ops know of both."""
    now = Hands()
    number = await listen(store, receiver.url)
    receiver.answer = lambda request: web.Response(status=500)
    await tell(store, *"abc")
    await spread(store, now)
    await _down_for_days(store, http, now, 4)
    assert await _state(store, number) == "active"
    await _down_for_days(store, http, now, 2)
    assert await _state(store, number) == "paused"
    assert {row["shown"] for row in await store.read(lambda tx: shelf.list_deliveries(tx, state="paused"))} == {
        "paused"
    }
    tries = await _down_for_days(store, http, now, 4)
    assert 3 <= tries <= 4, "one a day"
    await tell(store, "later")
    await spread(store, now)
    receiver.answer = lambda request: web.Response(status=204)
    now.ahead += timedelta(days=1, minutes=1)
    assert await deliver(store, SEALER, http, now) == 1, "one notice first"
    assert await _state(store, number) == "active"
    assert await deliver(store, SEALER, http, now) == 3, "then all that was held"
    assert {state for state, _, _ in await states(store)} == {"done"}
    assert len({(headers["webhook-id"], content) for _, headers, content in receiver.got}) == 4
    said = [row["type"] for row in await store.read(lambda tx: said_about(tx, f"endpoint:{number}"))]
    assert said == ["ops.endpoint_paused", "ops.endpoint_back"]


async def test_one_bad_notice_does_not_block_a_paused_endpoint(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """The notice tried at a paused endpoint is the one that was tried least: what a receiver chokes on waits."""
    now = Hands()
    number = await listen(sqlite_store, receiver.url)
    receiver.answer = lambda request: web.Response(status=500)
    await tell(sqlite_store, "bad")
    await spread(sqlite_store, now)
    await _down_for_days(sqlite_store, http, now, 6)
    assert await _state(sqlite_store, number) == "paused"
    bad = receiver.ids()[0]
    receiver.answer = lambda request: web.Response(status=500 if request.headers["webhook-id"] == bad else 204)
    await tell(sqlite_store, "good")
    await spread(sqlite_store, now)
    now.ahead += timedelta(days=1, minutes=1)
    await deliver(sqlite_store, SEALER, http, now)
    assert await _state(sqlite_store, number) == "active"
    assert sorted(state for state, _, _ in await states(sqlite_store)) == ["done", "due"]


async def test_an_arrival_ends_the_count_of_days(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """Four days of failure, one arrival, four days of failure: never paused."""
    now = Hands()
    number = await listen(sqlite_store, receiver.url)
    for name in "ab":
        receiver.answer = lambda request: web.Response(status=500)
        await tell(sqlite_store, name)
        await spread(sqlite_store, now)
        await _down_for_days(sqlite_store, http, now, 4)
        assert await _state(sqlite_store, number) == "active"
        receiver.answer = lambda request: web.Response(status=204)
        now.ahead += timedelta(days=1, hours=6)
        assert await deliver(sqlite_store, SEALER, http, now) == 1


async def test_a_person_resumes(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """After a 410 nothing goes out until somebody resumes it; then what was held is due at once."""
    now = Hands()
    number = await listen(store, receiver.url)
    receiver.answer = lambda request: web.Response(status=410)
    await tell(store, "a")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    now.ahead += timedelta(days=2)
    assert await deliver(store, SEALER, http, now) == 0, "disabled, not paused: no daily try"
    receiver.answer = lambda request: web.Response(status=204)
    assert await resume(store, number, now, STORY) == "disabled"
    assert await deliver(store, SEALER, http, now) == 1
    assert await resume(store, EndpointId(99), now, STORY) is None


async def test_two_secrets_sign_for_a_day(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """After a rotation the old and the new secret both verify what comes, until its time; then the new one alone."""
    now = Hands()
    number = await listen(store, receiver.url)
    until = now() + timedelta(minutes=1)
    assert await store.write(
        lambda tx: shelf.rotate_secret(tx, number, new=SEALER.seal(NEWER.encode()), old_until=until)
    )
    await tell(store, "a")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    _, headers, content = receiver.got[-1]
    assert Webhook(SECRET).verify(content, headers) == Webhook(NEWER).verify(content, headers)
    now.ahead += timedelta(minutes=2)
    await tell(store, "b")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    _, headers, content = receiver.got[-1]
    assert headers["webhook-signature"].count("v1,") == 1
    with pytest.raises(WebhookVerificationError, match="No matching"):
        Webhook(SECRET).verify(content, headers)


async def test_one_notice_is_sent_again(store: Store, receiver: Receiver, http: httpx.AsyncClient) -> None:
    """By its id: the same id, the same bytes; what never leaves the house does not leave it so either."""
    now = Hands()
    number = await listen(store, receiver.url)
    await tell(store, "a", "b")
    await tell(store, "secret", type="ops.unknown_code", subject="code:x")
    await spread(store, now)
    await deliver(store, SEALER, http, now)
    notice_id = receiver.ids()[0]
    assert await replay_one(store, number, notice_id, now)
    assert await deliver(store, SEALER, http, now) == 1
    again = [
        (headers["webhook-id"], content) for _, headers, content in receiver.got if headers["webhook-id"] == notice_id
    ]
    assert len(again) == 2 and len(set(again)) == 1
    (ours,) = await store.read(lambda tx: said_about(tx, "code:x"))
    for unknown in ("msg_" + "a" * 26, ours["notice_id"]):
        assert not await replay_one(store, number, unknown, now)
    assert not await replay_one(store, EndpointId(99), notice_id, now)


async def test_of_a_long_answer_only_the_beginning_is_read(
    sqlite_store: Store, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """Fifty thousand bytes are read, two hundred kept; the rest stays with the receiver."""
    now, sent = Hands(), 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while sent < 200 * READ:
                await response.write(b"x" * 10_000)
                sent += 10_000
        except ConnectionError:
            pass
        return response

    receiver.answer = endless
    await listen(sqlite_store, receiver.url)
    await tell(sqlite_store, "a")
    await spread(sqlite_store, now)
    assert await deliver(sqlite_store, SEALER, http, now) == 1
    assert await states(sqlite_store) == [("done", 1, 200)]
    assert sent < 200 * READ, "it was not read to its end"
    (row,) = await sqlite_store.read(lambda tx: shelf.list_deliveries(tx))
    (sent_once,) = await sqlite_store.read(lambda tx: shelf.list_tries(tx, row["id"]))
    assert len(sent_once["answer"]) == 200


@pytest.mark.parametrize(
    "junk", [b"SMTP 220 hello\r\n\r\n", b"HTTP/1.1 20x OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nA" + b"b" * 99999]
)
async def test_an_answer_that_is_no_http_is_a_try(sqlite_store: Store, http: httpx.AsyncClient, junk: bytes) -> None:
    """Whatever a receiver answers, the try is kept and tried again; nothing breaks on our side."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(junk)
        await writer.drain()
        writer.close()

    now = Hands()
    server = await asyncio.start_server(one, "127.0.0.1", 0)
    async with server:
        await listen(sqlite_store, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await tell(sqlite_store, "a")
        await spread(sqlite_store, now)
        assert await deliver(sqlite_store, SEALER, http, now) == 1
    assert await states(sqlite_store) == [("due", 1, 0)]
