"""The door: Retry-After in both forms, repeats of what is safe, budgets held, and an outage told once each way."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from carriers.contract import Away, Busy, CarrierError, Refused
from carriers.door import (
    LONGEST_RETRY_AFTER,
    Circuit,
    Door,
    Resting,
    Token,
    TokenKeeper,
    Unlimited,
    client,
    never_left,
    retry_after,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Held(Unlimited):
    """A budget that counts who took and who asked for quiet."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.held: list[tuple[str, float]] = []

    async def take(self, api: str) -> None:
        self.taken.append(api)

    def hold(self, api: str, seconds: float) -> None:
        self.held.append((api, seconds))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fault(response: httpx.Response) -> CarrierError | None:
    wait = retry_after(response)
    match response.status_code:
        case 429:
            return Busy("busy", retry_after=wait)
        case status if status >= 500:
            return Away("away", retry_after=wait)
        case status if status >= 400:
            return Refused("no")
    return None


Answer = httpx.Response | Exception


def made(*answers: Answer, circuit: Circuit | None = None, **more: float) -> tuple[Door, Held, list[httpx.Request]]:
    """A door to a carrier that gives these answers in turn, the last one for ever."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        given = answers[min(len(asked), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return httpx.Response(given.status_code, headers=given.headers, content=given.content)

    async def fetch() -> Token:
        return Token("t", float("inf"))

    held = Held()
    http = client("https://carrier.test", httpx.MockTransport(answer))
    return (
        Door(http, TokenKeeper(fetch), fault, held, first_wait=more.get("first_wait", 0.0), circuit=circuit),
        held,
        asked,
    )


def after(text: str, date: datetime | None = None) -> httpx.Response:
    headers = {"Retry-After": text} | ({"Date": format_datetime(date, usegmt=True)} if date else {})
    return httpx.Response(503, headers=headers)


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        (after("17"), 17.0),
        (after(" 0 "), 0.0),
        (after("999999"), LONGEST_RETRY_AFTER),
        (after(format_datetime(NOW + timedelta(seconds=90), usegmt=True), NOW), 90.0),
        (after(format_datetime(NOW - timedelta(seconds=90), usegmt=True), NOW), 0.0),
        (after(format_datetime(NOW + timedelta(days=9), usegmt=True), NOW), LONGEST_RETRY_AFTER),
        (after("soon"), None),
        (after("-5"), None),
        (httpx.Response(503), None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(response: httpx.Response, seconds: float | None) -> None:
    """Seconds, or a date by the carrier's own clock; a past date is now; junk is nothing."""
    assert retry_after(response) == seconds


def test_a_retry_after_date_without_a_date_counts_from_our_clock() -> None:
    """Near enough where the carrier does not state its own time."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (retry_after(after(soon)) or 0) <= 60


async def test_a_safe_call_is_repeated_and_one_that_spends_is_not() -> None:
    """Three tries for a question; once is once."""
    door, _, asked = made(httpx.Response(503))
    with pytest.raises(Away):
        await door.ask("GET", "/x", api="track")
    assert len(asked) == 3
    door, _, asked = made(httpx.Response(503))
    assert (await door.once("POST", "/x", api="label")).status_code == 503
    assert len(asked) == 1


async def test_a_short_wait_is_waited_and_a_long_one_is_the_callers() -> None:
    """Retry-After is honoured here up to five seconds; beyond, the error carries it and the API is held."""
    door, held, asked = made(httpx.Response(503, headers={"Retry-After": "1"}), httpx.Response(200))
    began = time.monotonic()
    await door.ask("GET", "/x", api="track")
    assert len(asked) == 2 and time.monotonic() - began >= 1.0 and held.held == [("track", 1.0)]
    door, held, asked = made(httpx.Response(503, headers={"Retry-After": "120"}))
    with pytest.raises(Away) as caught:
        await door.ask("GET", "/x", api="track")
    assert (len(asked), caught.value.retry_after, held.held) == (1, 120.0, [("track", 120.0)])


async def test_a_busy_carrier_is_held_whoever_asked() -> None:
    """A 429 to a purchase holds the API as one to a question does, and each sending takes from the budget."""
    for spends in (False, True):
        door, held, asked = made(httpx.Response(429, headers={"Retry-After": "30"}))
        if spends:
            await door.once("POST", "/x", api="labels")
        else:
            with pytest.raises(Busy):
                await door.ask("GET", "/x", api="labels")
        assert (held.held, len(asked)) == ([("labels", 30.0)], 1)
    door, held, _ = made(httpx.Response(503, headers={"Retry-After": "30"}))
    await door.once("POST", "/x", api="labels")
    assert held.held == [("labels", 30.0)], "a 503 that names a time is believed too"
    door, held, asked = made(httpx.Response(401), httpx.Response(200))
    await door.ask("GET", "/x", api="track")
    assert len(asked) == 2 and held.taken == ["track", "track"], "the second sending counts too"


@pytest.mark.parametrize("failure", [httpx.Response(500), httpx.ConnectError("x")], ids=["500", "no connection"])
async def test_an_outage_stops_the_calls_until_one_is_answered(failure: Answer) -> None:
    """After eight failures in a row nobody calls; one call tries after a rest that grows; an answer ends it."""
    clock = Clock()
    circuit = Circuit("Carrier", monotonic=clock)
    answers: list[Answer] = [failure] * 9 + [httpx.Response(200)]
    door, _, asked = made(*answers, circuit=circuit)

    async def ask() -> bool:
        try:
            return (await door.once("GET", "/x", api="track")).is_success
        except Away as error:
            assert "carrier" in str(error).lower()
            return False

    for _ in range(20):
        await ask()
    assert len(asked) == 8 and circuit.away and circuit.down
    with pytest.raises(Away, match="is away") as caught:
        await door.once("GET", "/x", api="track")
    assert 0 < (caught.value.retry_after or 0) <= 5 and never_left(caught.value.__cause__)
    assert isinstance(caught.value.__cause__, Resting)
    clock.now += 6
    assert not await ask() and len(asked) == 9, "one call tries it"
    clock.now += 6
    assert not await ask() and len(asked) == 9, "and the rest has doubled"
    clock.now += 6
    assert await ask() and await ask() and len(asked) == 11
    assert circuit.away == "" and circuit.answers == 2


async def test_one_api_that_fails_leaves_the_others_open() -> None:
    """Labels are bought while tracking is down; the carrier is back only when every API answers."""
    circuit = Circuit("Carrier", failures=2)
    for api in ("track", "locator"):
        for _ in range(2):
            circuit.failed(api, f"{api}: no answer")
    assert circuit.away == "track: no answer"
    circuit.enter("labels")
    circuit.answered("labels")
    circuit.answered("track")
    assert circuit.away == "track: no answer"
    with pytest.raises(Away):
        circuit.enter("locator")
    circuit.answered("locator")
    assert circuit.away == ""


async def test_a_resting_api_is_not_asked_again_by_the_repeats() -> None:
    """The repeats of a safe call stop where the circuit is open."""
    circuit = Circuit("Carrier", failures=1, first_rest=1.0)
    door, _, asked = made(httpx.Response(503), circuit=circuit)
    with pytest.raises(Away):
        await door.ask("GET", "/x", api="track")
    assert len(asked) == 1


async def test_answers_that_are_no_outage_do_not_count() -> None:
    """Refusals and 429 come from a carrier that is there."""
    for status in (400, 404, 429):
        circuit = Circuit("Carrier", failures=1)
        door, _, _ = made(httpx.Response(status), circuit=circuit)
        await door.once("GET", "/x", api="track")
        assert circuit.away == ""


async def test_credentials_refused_too_often_are_known_and_stop_no_call() -> None:
    """A carrier that answers 403, or 401 to a new token, is there: it is asked on, and ops are to know why."""
    for status in (401, 403):
        circuit = Circuit("Carrier", failures=2)
        door, _, _ = made(*[httpx.Response(status)] * 8, httpx.Response(200), circuit=circuit)
        await door.once("GET", "/x", api="track")
        assert circuit.away == "", "one refusal may be about one parcel"
        for _ in range(3):
            await door.once("GET", "/x", api="track")
        assert str(status) in circuit.away and not circuit.down
        while (await door.once("GET", "/x", api="track")).status_code == status:
            pass
        assert circuit.away == ""


async def test_no_redirect_is_followed_and_no_proxy_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carrier that redirects would be given our token elsewhere; a proxy in the environment would see it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    door, _, asked = made(httpx.Response(302, headers={"Location": "https://elsewhere.test/"}))
    assert (await door.once("GET", "/x", api="track")).status_code == 302
    assert len(asked) == 1 and not door.http.trust_env and not door.http.follow_redirects
    assert door.http.timeout.connect == 5.0 and door.http.timeout.read == 30.0
