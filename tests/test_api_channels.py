"""The calls, the commands and the webhooks of alerts: channels tried out, mutes, and who hears which alert."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.channels import TRIAL, Channel
from alerts.desk import sweep
from alerts.teller import Teller
from cli import wiring
from cli.control import Unable, ask_or_do
from cli.settings import Misconfigured, Settings
from cli.wiring import open_parts, read_channels_file, street_environment
from fleet.clocks import real_now
from store.audience import Audience
from store.engine import Store
from store.outbox import say
from tests.doors import MONDAY, Doors, make_house, open_doors
from tests.listeners import Chat, Mailbox, chat, mailbox
from tests.test_webhooks_outbound import Receiver
from tests.test_webhooks_outbound import receiver as receiver
from webhooks.outbound import client, deliver, spread

LATER = (MONDAY + timedelta(hours=3)).isoformat().replace("+00:00", "Z")


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
async def room() -> AsyncIterator[Chat]:
    async with chat() as room:
        yield room


@pytest.fixture
async def doors(sqlite_store: Store, box: Mailbox, room: Chat) -> AsyncIterator[Doors]:
    teller = Teller({"mail": Channel("mail", box.url, Audience()), "room": Channel("room", room.url, Audience())})
    async with open_doors(make_house(sqlite_store, teller=teller)) as doors:
        yield doors


async def away(store: Store, carrier: str = "ups") -> None:
    data = {"carrier": carrier, "error": "no answer"}
    await store.write(
        lambda tx: say(tx, subject=f"carrier:{carrier}", name="away/1", type="ops.carrier_away", at=MONDAY, data=data)
    )
    await sweep(store, MONDAY)


async def test_channels_are_listed_and_tried_out(doors: Doors, box: Mailbox, room: Chat) -> None:
    """Names, kinds and filters, never a URL; a test of one or all says what came of it; an unknown name is refused."""
    status, told, _ = await doors.call("GET", "/v1/channels")
    assert status == 200 and "canary" not in str(told)
    assert [(each["name"], each["service"]) for each in told["channels"]] == [("mail", "mailto"), ("room", "json")]
    room.status = 500
    status, told, _ = await doors.call("POST", "/v1/channels/test", json={})
    assert status == 200 and "canary" not in str(told)
    assert {each["channel"]: each["ok"] for each in told["results"]} == {"mail": True, "room": False}
    assert box.subjects == [TRIAL.title]
    assert (await doors.call("POST", "/v1/channels/test", json={"channel": "mail"}))[0] == 200
    assert len(box.subjects) == 2
    status, problem, _ = await doors.call("POST", "/v1/channels/test", json={"channel": "nobody"})
    assert (status, problem["code"], problem["pointer"]) == (422, "channel_unknown", "/channel")


async def test_a_mute_is_made_seen_and_lifted(doors: Doors, sqlite_store: Store) -> None:
    """By pattern until a time to come; shown at the alert; lifted once."""
    await away(sqlite_store)
    asked = {"pattern": "carrier:*", "until": LATER, "why": "known"}
    status, made, _ = await doors.call("POST", "/v1/mutes", json=asked)
    assert status == 201 and made["by"] == "key:1" and made["until"] == LATER
    (alert,) = (await doors.call("GET", "/v1/alerts"))[1]["alerts"]
    assert alert["muted_until"] == LATER
    assert (await doors.call("GET", "/v1/mutes"))[1]["mutes"] == [made]
    assert (await doors.call("DELETE", f"/v1/mutes/{made['id']}"))[0] == 204
    assert (await doors.call("DELETE", f"/v1/mutes/{made['id']}"))[0] == 404
    assert (await doors.call("GET", "/v1/alerts"))[1]["alerts"][0]["muted_until"] is None
    for until in ("2020-01-01T00:00:00Z", "2150-01-01T00:00:00Z"):
        status, problem, _ = await doors.call("POST", "/v1/mutes", json=asked | {"until": until})
        assert (status, problem["pointer"]) == (422, "/until")


async def test_an_endpoint_hears_the_alerts_it_asked_for(doors: Doors, sqlite_store: Store, receiver: Receiver) -> None:
    """By severity, shop and carrier, signed as every notice; everything else it hears as before."""
    filters: dict[str, Any] = {
        "all": {},
        "ups": {"carriers": ["ups"]},
        "usps": {"carriers": ["usps"]},
        "grave": {"severity": "critical", "merchants": ["boutique-eu"]},
    }
    for name, alerts in filters.items():
        body = {"url": f"{receiver.url}/{name}", "events": ["alert.raised", "order.shipped"], "alerts": alerts}
        status, made, _ = await doors.call("POST", "/v1/endpoints", json=body)
        assert status == 201, made
        assert made["alerts"]["carriers"] == alerts.get("carriers", [])
    await away(sqlite_store)
    data = {
        "merchant": "boutique-us",
        "parcel": {"attempts": {"count": 1}},
        "attempt": {"ordinal": 1},
        "carrier": "ups",
    }
    await sqlite_store.write(
        lambda tx: say(tx, subject="parcel:1", name="a", type="parcel.attempt_failed", at=MONDAY, data=data)
    )
    await sqlite_store.write(
        lambda tx: say(tx, subject="order:1", name="shipped", type="order.shipped", at=MONDAY, data={})
    )
    await sweep(sqlite_store, MONDAY)
    await spread(sqlite_store, real_now)
    async with client(allowed={"127.0.0.1"}) as http:
        await deliver(sqlite_store, doors.house.sealer, http, real_now)
    heard = {name: len(receiver.ids(f"/{name}")) for name in filters}
    assert heard == {"all": 3, "ups": 3, "usps": 1, "grave": 2}
    replayed = (await doors.call("POST", "/v1/endpoints/3/replay", json={"since": "2026-01-01T00:00:00Z"}))[1]
    assert replayed == {"notices": 1}


async def test_a_trial_goes_to_one_endpoint_alone(
    doors: Doors, sqlite_store: Store, receiver: Receiver, box: Mailbox
) -> None:
    """Signed, tried and kept like any other notice; no other endpoint, no channel and no alert comes of it."""
    for name in ("one", "other"):
        await doors.call("POST", "/v1/endpoints", json={"url": f"{receiver.url}/{name}"})
    status, told, _ = await doors.call("POST", "/v1/channels/test", json={"channel": "endpoint:1"})
    assert status == 200 and told["results"][0]["ok"]
    await sweep(sqlite_store, MONDAY, doors.house.teller.channels.values())
    await spread(sqlite_store, real_now)
    async with client(allowed={"127.0.0.1"}) as http:
        await deliver(sqlite_store, doors.house.sealer, http, real_now)
    assert len(receiver.ids("/one")) == 1 and receiver.ids("/other") == [] and box.mails == []
    assert (await doors.call("GET", "/v1/alerts"))[1]["alerts"] == []
    assert {each["due"] for each in (await doors.call("GET", "/v1/channels"))[1]["channels"]} == {0}


# ------------------------------------------------------------------------------------------------- the command line


@dataclass
class Line:
    """`homeward alerts ...` on a data folder of its own, without a running service."""

    settings: Settings

    async def __call__(self, do: str, **call: Any) -> dict[str, Any]:
        return await ask_or_do(self.settings, {"do": f"alerts.{do}", **call})


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr("cli.control.environment_of", lambda settings: STREET)
    return Line(Settings(data=tmp_path))


STREET = street_environment("http://127.0.0.1:1", "http://127.0.0.1:1")


async def test_the_same_from_the_command_line(line: Line, box: Mailbox) -> None:
    """List, acknowledge, mute for a span, unmute, channels, test: one that does not work is an error."""
    (line.settings.data / "channels.toml").write_text(
        f'[mail]\nurl = "{box.url}"\nseverity = "info"\ndigest = "08:00"\n'
    )
    async with open_parts(line.settings, STREET) as parts:
        await away(parts.store)
    (alert,) = (await line("list"))["alerts"]
    assert "does not answer" in alert["title"] and alert["key"] == "carrier:ups/away"
    assert (await line("ack", id=alert["id"], by="anna"))["lines"] == ["1: seen by anna"]
    made = (await line("mute", pattern="carrier:ups/*", until="8h", by="anna", why="x"))["mute"]
    assert (await line("mutes"))["mutes"] == [made] and (await line("list"))["alerts"][0]["muted_until"]
    assert (await line("unmute", id=made["id"]))["lifted"] == made["id"]
    (told,) = (await line("channels"))["lines"]
    assert told.startswith("mail") and "digest at 08:00 UTC" in told
    assert (await line("test", channel=""))["results"][0]["ok"] and box.subjects == [TRIAL.title]
    for call in (
        {"do": "mute", "pattern": "x", "until": "soon", "by": "", "why": ""},
        {"do": "unmute", "id": 99},
        {"do": "ack", "id": 99, "by": ""},
        {"do": "test", "channel": "nobody"},
        {"do": "nothing"},
    ):
        with pytest.raises(Unable):
            await line(**call)  # type: ignore[arg-type]
    (line.settings.data / "channels.toml").write_text('[mail]\nurl = "json://127.0.0.1:1/token-canary"\n')
    with pytest.raises(Unable) as error:
        await line("test", channel="mail")
    assert "canary" not in str(error.value)


async def test_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    """What cannot be read, what no service knows, a named file that is not there: said before anything is opened."""
    settings = Settings(data=tmp_path)
    assert read_channels_file(settings, {}, wiring.read_terms(settings)) == {}
    with pytest.raises(Misconfigured, match="no file"):
        read_channels_file(settings.model_copy(update={"channels": tmp_path / "x.toml"}), {}, {})
    for text in ("[desk]\n", '[desk]\nurl = "nosuch://secret-canary"\n'):
        (tmp_path / "channels.toml").write_text(text)
        with pytest.raises(Misconfigured, match=r"desk\.url") as error:
            async with open_parts(settings, STREET):
                pass
        assert "canary" not in str(error.value)


async def test_each_channel_has_a_sweep_of_its_own(tmp_path: Path) -> None:
    """So that a dead one delays no other, whatever its thread does."""
    (tmp_path / "channels.toml").write_text('[a]\nurl = "json://127.0.0.1:1/"\n[b]\nurl = "json://127.0.0.1:1/"\n')
    async with open_parts(Settings(data=tmp_path), STREET) as parts:
        sweeps = replace(parts).sweeps()
        assert {"tell:a", "tell:b", "digest"} <= set(sweeps)
        assert await sweeps["tell:a"][1]() == 0
