"""The doctor's lines about what we tell, and the command line as it is promised: every verb, `--json` everywhere."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli import doctor_notices
from cli.__main__ import app
from cli.control import listen, socket_of
from cli.doctor import examine
from cli.settings import Settings, read_settings
from cli.wiring import open_parts
from store import endpoints as shelf
from store.endpoints import EndpointId
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import say
from store.tellings import add_telling, settle, take
from webhooks.outbound import spread

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
CHANNELS = """
[desk]
url = "json://ops:hush@127.0.0.1:9/?method=POST"
severity = "critical"
[pager]
url = "json://127.0.0.1:9/"
"""


@dataclass
class Names:
    """A name server: what each name is, and what was asked."""

    addresses: dict[str, list[str]] = field(default_factory=dict)

    async def __call__(self, host: str, port: int) -> list[str]:
        if host == "slow.example":
            await asyncio.sleep(3600)
        if host not in self.addresses:
            raise OSError(host)
        return self.addresses[host]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names({"shop.example": ["93.184.215.14"], "inside.example": ["93.184.215.14", "10.0.0.7"]})
    monkeypatch.setattr(doctor_notices, "look_up", found)
    monkeypatch.setattr(doctor_notices, "NAME_SECONDS", 0.05)
    return found


def settings_of(folder: Path, **given: str) -> Settings:
    return read_settings({"HOMEWARD_DATA": str(folder), "HOMEWARD_KEY": ""} | given)


async def lines(settings: Settings) -> dict[str, tuple[bool, str]]:
    """What the doctor says, by name."""
    return {check.name: (check.ok, check.detail) for check in await examine(settings)}


async def fill(store: Store) -> None:
    """Endpoints in every state; one message that a channel did not take."""

    async def unit(tx: Tx) -> None:
        for host in ("shop", "inside", "slow", "nowhere", "failing", "gone"):
            url = f"https://{'shop' if host in ('failing', 'gone') else host}.example/{host}"
            await shelf.add_endpoint(tx, url=url, secret=b"x", events=(), at=NOW)
        await shelf.failed(tx, EndpointId(5), at=NOW, limit=NOW - timedelta(days=5), probe_at=NOW)
        await shelf.set_state(tx, EndpointId(6), "disabled")
        await say(tx, subject="alert:1", name="raised", type="alert.raised", at=NOW, data={})
        said = {"channel": "pager", "subject": "alert:1", "what": "raised", "state": "due"}
        await add_telling(tx, outbox_id=1, at=NOW, **said)
        told = await take(tx, "pager", now=NOW, lease_until=NOW + timedelta(minutes=1))
        assert told
        await settle(tx, told, at=NOW, next_at=NOW + timedelta(hours=1), detail="connection refused")

    await store.write(unit)
    await spread(store, lambda: datetime.now(UTC))


async def test_the_doctor_says_who_is_not_told(tmp_path: Path, names: Names) -> None:
    """A line for each channel and endpoint: barred, without an address, failing, disabled, untaken; no secret."""
    settings = settings_of(tmp_path)
    await migrate(settings.database)
    store = await open_store(settings.database)
    await fill(store)
    await store.close()
    (tmp_path / "channels.toml").write_text(CHANNELS)
    found = await lines(settings)
    assert found["endpoint 1"] == (True, "https://shop.example/shop, 1 notices wait")
    assert found["endpoint 2"] == (False, "https://inside.example/inside: an address that is not public")
    assert found["endpoint 3"][0] is False and "name server did not answer" in found["endpoint 3"][1]
    assert found["endpoint 4"] == (False, "https://nowhere.example/nowhere: its name has no address")
    assert found["endpoint 5"][0] is False and "nothing arrived since 2026-03-02T08:00:00Z" in found["endpoint 5"][1]
    assert found["endpoint 6"][0] is False and "homeward webhooks resume 6" in found["endpoint 6"][1]
    assert found["channel desk"] == (True, "json, critical and graver; try it: homeward alerts test desk")
    assert found["channel pager"] == (False, "1 messages wait: connection refused")
    assert "hush" not in repr(found)


async def test_the_doctor_of_an_empty_house_changes_nothing(tmp_path: Path, names: Names) -> None:
    """No database yet: no endpoint, no channel, both said; and there is still no database afterwards."""
    found = await lines(settings_of(tmp_path))
    assert found["webhooks"][0] and "POST /v1/endpoints" in found["webhooks"][1]
    assert found["channels"][0] and "docs/alerts.md" in found["channels"][1]
    assert not (tmp_path / "homeward.db").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[desk]\nurl = "nonsense://x"', "not a URL that is known"),
        ('[desk]\nurl = "json://${NO_SUCH_NAME}"', "NO_SUCH_NAME is not in the environment"),
        ("[desk", "not TOML"),
    ],
)
async def test_channels_that_cannot_be_read_are_a_line(tmp_path: Path, names: Names, text: str, why: str) -> None:
    """The start would stop there: the doctor says it before."""
    (tmp_path / "channels.toml").write_text(text)
    told = await lines(settings_of(tmp_path))
    assert [detail for name, (ok, detail) in told.items() if name.startswith("channel") and not ok and why in detail]


async def test_beside_a_running_service_the_doctor_asks_it(tmp_path: Path, names: Names) -> None:
    """The file is the service's: its endpoints are told through the socket."""
    settings = settings_of(tmp_path)
    async with open_parts(settings, {}) as parts:
        await parts.store.write(
            lambda tx: shelf.add_endpoint(tx, url="https://shop.example/", secret=b"x", events=(), at=NOW)
        )
        server = await listen(socket_of(settings), parts)
        found = await lines(settings)
        server.close()
    assert found["endpoint 1"] == (True, "https://shop.example/") and "notices" not in found


# source: design/product.md section 6
PROMISED = {
    "serve", "web", "work", "sandbox", "demo", "migrate", "doctor", "track", "explain", "replay", "terms check",
    "terms diff", "terms simulate", "labels reconcile", "webhooks replay", "keys make", "keys list", "keys revoke",
    "export", "bench", "erase", "alerts test",
}  # fmt: skip
ENDLESS = {"serve", "web", "work", "sandbox"}


def commands() -> dict[str, list[str]]:
    """Every verb with its options."""
    found: dict[str, list[str]] = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        for verb, each in inner.items() if inner else [("", command)]:
            found[f"{name} {verb}".strip()] = [option for param in each.params for option in param.opts]
    return found


def test_every_promised_verb_is_there_and_speaks_json() -> None:
    """What the design lists; and `--json` at everything that ends and answers."""
    found = commands()
    assert set(found) >= PROMISED
    without = {name for name, options in found.items() if "--json" not in options}
    assert without == ENDLESS


def test_bench_lists_and_measures() -> None:
    """Without a name the list; with one its figures; a name that is none is wrong usage."""
    run = CliRunner().invoke
    listed = json.loads(run(app, ["bench", "--json"]).stdout)
    assert "fold" in listed and "lookup" in listed
    measured = json.loads(run(app, ["bench", "fold", "--json"]).stdout)
    assert measured["bench"] == "fold" and measured["ratio"] > 0
    assert run(app, ["bench", "nope"]).exit_code == 2


def test_terms_check_says_what_is_wrong_to_machines_too(tmp_path: Path) -> None:
    """Each file with its faults; exit code 1 with any, 0 without."""
    run = CliRunner().invoke
    good = run(app, ["terms", "check", "--json"])
    assert good.exit_code == 0 and all(each["faults"] == [] for each in json.loads(good.stdout))
    (tmp_path / "bad.toml").write_text('name = "x"\n')
    bad = run(app, ["terms", "check", str(tmp_path / "bad.toml"), "--json"])
    assert bad.exit_code == 1 and json.loads(bad.stdout)[0]["faults"]
