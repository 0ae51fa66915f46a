"""The town itself: its clock, its control calls, its faults, its book, and pushes to a listener that dies."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from street.app import open_street
from street.clock import StoryClock
from street.journeys import JOURNEYS
from street.ledger import Ledger
from street.town import Settings, Town
from tests.walk import (
    SECRET,
    START,
    listening,
    street,
    subscription,
    until_quiet,
    until_sent,
    ups_label,
    usps_label,
    walked,
)

SHIP, LABEL = "/ups/api/shipments/v2409/ship", "/usps/labels/v3/return-label"


def test_a_clock_reads_what_it_writes_and_only_turns_forward() -> None:
    """One line of text, shared with the service."""
    clock = StoryClock.parse("2026-03-02T08:00:00Z@3600@1772438400.0")
    assert str(clock) == "2026-03-02T08:00:00Z@3600@1772438400.0"
    clock = StoryClock.starting(START, 86400)
    assert str(StoryClock.parse(str(clock))) == str(clock)
    clock.turn(START + timedelta(days=9))
    assert START + timedelta(days=9) <= clock.now() < START + timedelta(days=10)
    with pytest.raises(ValueError, match="forward"):
        clock.turn(START)
    clock.run(0.001)
    assert clock.now() - clock.now() < timedelta(seconds=1)
    assert abs(StoryClock.parse("").now() - datetime.now(UTC)) < timedelta(seconds=2)
    for wrong in ("2026-03-02T08:00:00Z", "2026-03-02T08:00:00@1@0", "2026-03-02T08:00:00Z@0@0"):
        with pytest.raises(ValueError, match="clock"):
            StoryClock.parse(wrong)


async def test_the_street_is_ruled_over_http() -> None:
    """Parcels made, clock turned and sped up, settings changed; what cannot be is a problem that says why."""
    async with street() as (town, caller):
        http = caller.http
        asked = {
            "carrier": "usps",
            "journey": "return_delivered",
            "delivery": "late",
            "number": "9202090123456700000015",
            "origin": "denver",
            "destination": {"city": "Newark", "region": "NJ", "postal_code": "07102", "country": "US"},
            "starts_at": "2026-03-05T00:00:00Z",
        }
        made = await http.post("/street/parcels", json=asked)
        assert (
            made.status_code == 201 and made.json()["number"] == asked["number"] and made.json()["purpose"] == "return"
        )
        assert made.json()["ends_at"] > asked["starts_at"]
        assert [each["number"] for each in (await http.get("/street/parcels")).json()["parcels"]] == [asked["number"]]
        for wrong in (
            asked,
            {"carrier": "dhl", "journey": "lost"},
            {"carrier": "ups", "journey": "lost", "delivery": "sideways"},
            {"carrier": "ups", "journey": "lost", "purpose": "return"},
            {"carrier": "ups", "journey": "lost", "colour": "red"},
        ):
            refused = await http.post("/street/parcels", json=wrong)
            assert refused.status_code == 400 and refused.json()["title"], wrong
        assert (await http.get("/street/quiet")).json()["quiet"] is False
        clock = (await http.post("/street/clock", json={"jump_seconds": 40 * 86400, "speed": 60})).json()
        assert clock["speed"] == 60 and clock["now"] > "2026-04-12"
        assert (await http.post("/street/clock", json={"to": "2026-01-01T00:00:00Z"})).status_code == 400
        await until_sent(town)
        assert (await http.get("/street/quiet")).json()["quiet"] is True
        assert (await http.post("/street/settings", json={"ups_webhook_url": "http://127.0.0.1:1/"})).status_code == 200
        for change in ({"colour": "red"}, {"push_all": "yes"}):
            assert (await http.post("/street/settings", json=change)).status_code == 400
        assert (
            await http.post("/street/faults", json={"carrier": "ups", "operation": "ship", "fault": "rain"})
        ).status_code == 400


def test_the_record_is_the_truth_of_the_scripts() -> None:
    """Every parcel of the walk stands in the record as its outcome says, whatever the delivery."""
    walk = walked()
    assert len(walk.record) == len(JOURNEYS) * 5
    for number, parcel in walk.parcels.items():
        truth, outcome = walk.record[number], parcel.journey.outcome
        assert (truth["leg"], truth["status"]) == (outcome.leg, outcome.status)
        assert truth["attempts"]["count"] == len(outcome.visits) == len(truth["attempts"]["days"])
        case = truth["return_to_warehouse"]
        assert case == (outcome.case and {"state": outcome.case, "reason": outcome.reason})
        assert truth["bounced"] == (parcel.journey.name == "return_bounces")
        assert bool(truth["delivered_at"]) == truth["delivered"]
        assert bool(truth["returned_at"]) == (outcome.ended_by == "home")
    three = next(
        truth
        for truth in walk.record.values()
        if truth["journey"] == "three_attempts_home" and truth["carrier"] == "ups"
    )
    assert three["attempts"] == {"count": 3, "final": True, "days": ["2026-03-09", "2026-03-10", "2026-03-11"]}
    assert three["return_to_warehouse"] == {"state": "arrived", "reason": "failed_delivery_attempts"}


@pytest.mark.parametrize("carrier", ["ups", "usps"])
@pytest.mark.parametrize(
    ("fault", "labels"),
    [
        ("429", 0),
        ("500", 0),
        ("reset", 0),
        ("html", 0),
        ("expired_token", 0),
        ("charged_then_500", 1),
        ("charged_then_timeout", 1),
        ("truncated", 1),
        ("latency", 1),
    ],
)
async def test_a_fault_breaks_one_call_and_the_book_tells_what_was_bought(
    carrier: str, fault: str, labels: int
) -> None:
    """Each fault in the carrier's own words, used up by one call; what was charged is in the book, answer or none."""
    async with street() as (town, caller):

        async def buy() -> str:
            try:
                if carrier == "ups":
                    answer = await caller.http.post(SHIP, headers=caller.ups, json=ups_label())
                else:
                    answer = await caller.http.post(LABEL, headers=caller.paying, json=usps_label())
            except httpx.TransportError as error:
                return type(error).__name__
            return f"{answer.status_code} {answer.headers['Content-Type'].split(';')[0]}"

        operation = {"ups": "ship", "usps": "label"}[carrier]
        body = {
            "carrier": carrier,
            "operation": operation,
            "fault": fault,
            "seconds": 0.1,
            "retry_after": "7" if carrier == "usps" else None,
        }
        assert (await caller.http.post("/street/faults", json=body)).status_code == 200
        said, good = await buy(), {"ups": "200 application/json", "usps": "200 multipart/form-data"}[carrier]
        expected = {
            "429": "429 application/json",
            "500": "500 application/json",
            "charged_then_500": "500 application/json",
            "html": "502 text/html",
            "expired_token": "401 application/json",
            "latency": good,
        }
        assert said == expected.get(fault, said)
        if fault not in expected:
            assert said in {"RemoteProtocolError", "ReadError"}
        assert sum(line.kind == "label" for line in town.ledger) == labels
        await caller.sign_in()
        assert await buy() == good, "the next call is whole again"


async def test_a_request_whose_sender_gave_up_still_arrives() -> None:
    """A slow carrier buys the label after its caller has stopped waiting: the late arrival that recovery must find."""
    async with street() as (town, caller):
        fault = {"carrier": "ups", "operation": "ship", "fault": "latency", "seconds": 1.0}
        await caller.http.post("/street/faults", json=fault)
        with pytest.raises(httpx.ReadTimeout):
            await caller.http.post(SHIP, headers=caller.ups, json=ups_label(), timeout=httpx.Timeout(5, read=0.1))
        assert list(town.ledger) == []
        async with asyncio.timeout(10):
            while not list(town.ledger):
                await asyncio.sleep(0.05)
        assert [line.kind for line in town.ledger] == ["label", "charge"]


async def test_429_carries_retry_after_only_when_asked() -> None:
    """Source: facts/ups.md 11: UPS sends none of itself."""
    async with street() as (_, caller):
        for retry_after in (None, "5"):
            fault = {"carrier": "ups", "operation": "*", "fault": "429", "retry_after": retry_after}
            await caller.http.post("/street/faults", json=fault)
            answer = await caller.http.get("/ups/api/track/v1/details/1ZW957896800000000", headers=caller.ups)
            assert answer.headers.get("Retry-After") == retry_after


async def test_an_empty_scope_is_given_when_so_set() -> None:
    """Source: facts/usps.md 1.1: 200, and a token that opens nothing."""
    async with street() as (_, caller):
        await caller.http.post("/street/faults", json={"carrier": "usps", "operation": "token", "fault": "empty_scope"})
        body = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "s"}
        scopes = [(await caller.http.post("/usps/oauth2/v3/token", json=body)).json()["scope"] for _ in range(2)]
        assert scopes[0] == "" and scopes[1]


def test_the_book_is_on_the_disk_line_by_line(tmp_path: Path) -> None:
    """Each line is whole in the file before the call returns, and a second run goes on below."""
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        book = Ledger(path)
        book.add(START, "ups", "label", "1Z", reference="R1", amount="6.20", currency="EUR")
        assert json.loads(path.read_text().splitlines()[-1])["reference"] == "R1"
        book.close()
    assert len(path.read_text().splitlines()) == 2


async def test_a_dead_listener_loses_its_pushes_and_nothing_else() -> None:
    """The street goes on; what was not heard is not told again; the one that comes back hears the rest."""
    async with street() as (town, caller):
        async with listening() as listener:
            url, port = listener.url, int(listener.url.split(":")[2].split("/")[0])
            await caller.http.post(
                "/usps/subscriptions-tracking/v3r2/subscriptions", headers=caller.usps, json=subscription(url)
            )
            parcel = town.create("usps", "three_attempts_home")
            town.clock.turn(town.now() + timedelta(days=2))
            await until_sent(town)
            first = len(listener.posts)
        town.clock.turn(town.now() + timedelta(days=4))
        await until_sent(town)
        async with listening(port) as listener:
            await until_quiet(town)
            second = len(listener.posts)
        calls = (await caller.http.get("/street/calls")).json()
        assert first > 0 and second > 0 and calls["pushes"]["lost"] > 0
        assert first + second + calls["pushes"]["lost"] == len(parcel.telling.pushes)


async def test_pushes_of_one_parcel_keep_their_order() -> None:
    """In the plain delivery they come as they happened, however many are due at once."""
    async with (
        listening() as listener,
        street(usps_listener_url=listener.url, usps_listener_secret=SECRET) as (town, _),
    ):
        parcels = [town.create("usps", "unclaimed") for _ in range(20)]
        await until_quiet(town)
        heard: dict[str, list[str]] = {parcel.number: [] for parcel in parcels}
        for _, body in listener.posts:
            inner = json.loads(json.loads(body)["payload"])
            heard[inner["trackingNumber"]].append(inner["trackingEvents"][0]["eventType"])
        for parcel in parcels:
            assert len(heard[parcel.number]) == len(parcel.journey.steps)
            assert (
                heard[parcel.number][0].startswith("Shipping Label") and "Original Sender" in heard[parcel.number][-1]
            )


@pytest.mark.slow
async def test_two_hundred_parcels_at_five_days_a_second_lose_no_push() -> None:
    """Every push of every parcel arrives once, however fast the clock runs."""
    async with listening() as listener:
        town = Town(StoryClock.starting(START, 86400 * 5), Settings(push_all=True, ups_webhook_url=listener.url))
        names = [name for carrier, name in JOURNEYS if carrier == "ups"]
        for count in range(200):
            town.create("ups", names[count % len(names)])
        async with open_street(town), asyncio.timeout(120):
            while not town.quiet:
                await asyncio.sleep(0.05)
        assert len(listener.posts) == sum(len(parcel.telling.pushes) for parcel in town.parcels.values())
