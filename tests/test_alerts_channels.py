"""Facts about the channels of ops, with a real SMTP server and a real HTTP one behind Apprise."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from alerts import muting
from alerts.channels import TRIAL, Channel, ChannelsError, message_of, read_channels
from alerts.desk import acknowledge, open_alerts, sweep
from alerts.digest import summarise
from alerts.teller import Teller, without_secrets
from alerts.tellings import tell, wait_after
from merchants.terms import shipped
from store.audience import Audience
from store.engine import Store
from store.tellings import standing
from tests.listeners import Chat, Mailbox, chat, mailbox
from tests.test_alerts_desk import NOW, attempt
from tests.test_alerts_desk import tell as said


@dataclass
class Tower:
    """The channels of an installation, told by hand; its clocks can be turned."""

    store: Store
    teller: Teller
    story: datetime = NOW
    ahead: timedelta = field(default_factory=timedelta)

    def real(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def work(self) -> int:
        """What the work loop does: judge, then tell every channel."""
        channels = self.teller.channels
        await sweep(self.store, self.story, channels.values(), self.real)
        told = [
            await tell(self.store, self.teller, channel, now=self.story, real_now=self.real)
            for channel in channels.values()
        ]
        return sum(told)


@asynccontextmanager
async def tower(store: Store, *channels: Channel, deadline: float = 30.0) -> AsyncIterator[Tower]:
    teller = Teller({channel.name: channel for channel in channels}, "https://homeward.example", deadline)
    yield Tower(store, teller)
    await teller.aclose()


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
async def room() -> AsyncIterator[Chat]:
    async with chat() as room:
        yield room


def channel(name: str, url: str, severity: str = "info", **audience: tuple[str, ...]) -> Channel:
    return Channel(name, url, Audience(severity, **audience))


async def test_ops_are_told_when_it_opens_grows_and_ends(store: Store, box: Mailbox, room: Chat) -> None:
    """One message each for the opening, each graver step and the end, by e-mail and by JSON, with what to do next."""
    async with tower(store, channel("mail", box.url), channel("room", room.url)) as on:
        for count in (1, 2, 3, 3):
            await attempt(store, count)
            await on.work()
        await said(store, "parcel.delivered", "delivered", parcel={"status": "delivered"})
        await on.work()
        assert await on.work() == 0, "nothing is told twice"
    titles = [
        "[info] UPS 1Z1 (order A1): delivery attempt 1 of 3 failed",
        "[warning] UPS 1Z1 (order A1): delivery attempt 2 of 3 failed",
        "[critical] UPS 1Z1 (order A1): delivery attempt 3 of 3 failed",
        "[over] UPS 1Z1 (order A1): delivery attempt 3 of 3 failed",
    ]
    assert box.subjects == titles and room.titles == titles
    assert [one["type"] for one in room.heard] == ["info", "warning", "failure", "success"]
    assert "What to do next: Act before the next delivery day" in box.text(1)
    assert "https://homeward.example/ops" in box.text(1)


async def test_each_channel_hears_its_severity_shops_and_carriers(sqlite_store: Store, room: Chat) -> None:
    """A filter lets an alert through or not; what ended is told to whoever was told that it began."""
    channels = [
        channel("all", room.url + "/all"),
        channel("grave", room.url + "/grave", "critical"),
        channel("us", room.url + "/us", merchants=("boutique-us",)),
        channel("eu", room.url + "/eu", merchants=("boutique-eu",), carriers=("ups",)),
        channel("usps", room.url + "/usps", carriers=("usps",)),
    ]
    async with tower(sqlite_store, *channels) as on:
        await attempt(sqlite_store, 1)
        await on.work()
        assert room.tries == 2, "all and eu"
        await attempt(sqlite_store, 3)
        await on.work()
        assert room.tries == 5, "and grave"
        await said(sqlite_store, "ops.carrier_away", "away/1", "carrier:usps", merchant="", carrier="usps", error="x")
        await on.work()
        assert room.tries == 9, "all, grave, us (it is about every shop), usps; not eu"
        await said(sqlite_store, "parcel.delivered", "delivered", parcel={"status": "delivered"})
        await on.work()
        assert room.tries == 12 and room.titles[-3:] == [room.titles[-1]] * 3


async def test_one_outage_is_one_message(sqlite_store: Store, box: Mailbox) -> None:
    """A thousand failed polls of one carrier are one e-mail, and its return another."""
    async with tower(sqlite_store, channel("mail", box.url)) as on:
        for n in range(1000):
            await said(sqlite_store, "ops.carrier_away", f"away/{n}", "carrier:ups", error="no answer")
        await on.work()
        await said(sqlite_store, "ops.carrier_back", "back/1", "carrier:ups")
        await on.work()
    assert box.subjects == ["[critical] ups does not answer: no answer", "[over] ups does not answer: no answer"]


async def test_a_dead_channel_drops_nothing_and_delays_nobody(store: Store, box: Mailbox, room: Chat) -> None:
    """It is tried again, later each time, one message at a time; once it lives it is told everything."""
    room.status = 500
    async with tower(store, channel("dead", room.url), channel("mail", box.url)) as on:
        for parcel in range(4):
            await attempt(store, 2, f"parcel:{parcel}")
        await on.work()
        assert len(box.subjects) == 4 and room.tries == 1
        await on.work()
        assert room.tries == 1, "it rests"
        (dead,) = [row for row in await store.read(standing) if row["channel"] == "dead"]
        assert (dead["due"], dead["tries"]) == (4, 1) and "500" in dead["detail"]
        for _ in range(8):
            on.ahead += timedelta(minutes=6)
            await on.work()
        assert room.tries == 9, "one try each time"
        room.status = 200
        on.ahead += timedelta(hours=2)
        await on.work()
        assert len(room.heard) == 4 and room.tries == 13
        assert await on.work() == 0


async def test_a_channel_that_hangs_keeps_nobody_waiting(sqlite_store: Store, box: Mailbox, room: Chat) -> None:
    """A deadline ends the wait; until the thread is free again nothing more is tried there; the other one is told."""
    room.hang = asyncio.Event()
    hanging = channel("hanging", room.url + "?rto=60")
    async with tower(sqlite_store, hanging, channel("mail", box.url), deadline=0.3) as on:
        await attempt(sqlite_store, 2)
        await on.work()
        assert box.subjects and room.tries == 1
        on.ahead += timedelta(minutes=10)
        await on.work()
        assert room.tries == 1
        details = {row["channel"]: row["detail"] for row in await sqlite_store.read(standing)}
        assert "hangs" in details["hanging"]
        room.hang.set()
        for _ in range(50):
            await asyncio.sleep(0.05)
            on.ahead += timedelta(minutes=30)
            await on.work()
            if len(room.heard) >= 2:
                break
        assert len(room.heard) == 2, "the one that hung, and the try after it: told rather twice than never"


async def test_a_message_that_chokes_a_channel_lets_the_others_pass(sqlite_store: Store, room: Chat) -> None:
    """The least tried goes first."""
    async with tower(sqlite_store, channel("room", room.url)) as on:
        room.status = 500
        await attempt(sqlite_store, 1, "parcel:1")
        await on.work()
        await attempt(sqlite_store, 1, "parcel:2")
        room.status = 200
        on.ahead += timedelta(minutes=6)
        assert await on.work() == 2


async def test_what_is_muted_is_held_and_told_later_when_it_is_still_so(store: Store, room: Chat) -> None:
    """A mute by pattern: nothing is told until its time; then what is still open is told once, what ended never."""
    async with tower(store, channel("room", room.url)) as on:
        made = await muting.mute(
            store, "parcel:*/delivery", until=NOW + timedelta(hours=8), by="anna", why="strike", now=NOW
        )
        for parcel in ("parcel:1", "parcel:2"):
            await attempt(store, 1, parcel)
            await attempt(store, 2, parcel)
        await said(store, "parcel.delivered", "delivered", "parcel:2", parcel={"status": "delivered"})
        await said(store, "ops.carrier_away", "away/1", "carrier:ups", error="x")
        await on.work()
        assert room.titles == ["[critical] ups does not answer: x"]
        shown = (await open_alerts(store, now=NOW)).alerts
        assert {alert.key: alert.muted_until for alert in shown} == {
            "parcel:1/delivery": made.until,
            "carrier:ups/away": None,
        }
        on.story += timedelta(hours=8, minutes=1)
        await on.work()
        assert room.titles[1:] == ["[warning] UPS 1Z1 (order A1): delivery attempt 2 of 3 failed"]
        assert await on.work() == 0


async def test_a_mute_can_be_lifted_and_holds_what_waits(sqlite_store: Store, room: Chat) -> None:
    """One key; what a dead channel still owes is held too; lifting lets it go; an unknown mute is False."""
    async with tower(sqlite_store, channel("room", room.url)) as on:
        room.status = 500
        await attempt(sqlite_store, 2)
        await on.work()
        room.status = 200
        key = (await open_alerts(sqlite_store)).alerts[0].key
        made = await muting.mute(sqlite_store, key, until=NOW + timedelta(days=1), by="anna", why="known", now=NOW)
        on.ahead += timedelta(hours=1)
        assert await on.work() == 0 and room.heard == []
        assert [each.by for each in await muting.mutes(sqlite_store, NOW)] == ["anna"]
        assert await muting.unmute(sqlite_store, made.id, NOW)
        assert not await muting.unmute(sqlite_store, made.id, NOW)
        assert await on.work() == 1
        assert await muting.mutes(sqlite_store, NOW) == []


async def test_an_alert_that_was_told_and_ends_while_muted_is_told_to_be_over_afterwards(
    sqlite_store: Store, room: Chat
) -> None:
    """Nobody goes on believing that it is open."""
    async with tower(sqlite_store, channel("room", room.url)) as on:
        await attempt(sqlite_store, 2)
        await on.work()
        await muting.mute(sqlite_store, "*", until=NOW + timedelta(hours=1), by="", why="", now=NOW)
        await said(sqlite_store, "parcel.delivered", "delivered", parcel={"status": "delivered"})
        await on.work()
        assert len(room.heard) == 1
        on.story += timedelta(hours=2)
        await on.work()
        assert room.titles[1:] == ["[over] UPS 1Z1 (order A1): delivery attempt 2 of 3 failed"]


async def test_what_is_over_when_it_was_seen_is_told_to_be_over(sqlite_store: Store, room: Chat) -> None:
    """An acknowledgement that ends an alert reaches the channels, whichever process it was made in."""
    async with tower(sqlite_store, channel("room", room.url)) as on:
        await said(sqlite_store, "ops.unknown_code", "code/1", "code:ups/X/ZZ", code="X/ZZ", words="New")
        await on.work()
        (alert,) = (await open_alerts(sqlite_store)).alerts
        await acknowledge(sqlite_store, alert.id, "anna", NOW)
        await on.work()
    assert [title.split("]")[0] for title in room.titles] == ["[warning", "[over"]


async def test_a_day_has_one_digest_whatever_restarts(store: Store, box: Mailbox) -> None:
    """At eight in Rome and not before, once, also when another process or a new start looks; the next day again."""
    daily = Channel("daily", box.url, Audience("critical"), time(8), ZoneInfo("Europe/Rome"))
    async with tower(store, daily) as on:
        for count in (1, 2, 3):
            await attempt(store, count)
        await on.work()
        early = datetime(2026, 3, 4, 6, 59, tzinfo=UTC)  # 7:59 in Rome
        assert await summarise(store, [daily], early) == 0
        later = early + timedelta(minutes=1)
        assert sorted(await asyncio.gather(*(summarise(store, [daily], later) for _ in range(3)))) == [0, 0, 1]
        assert await summarise(store, [daily], later + timedelta(hours=9)) == 0
        await on.work()
        assert box.subjects[1:] == ["[2026-03-04] Homeward: 1 critical open"]
        assert "3 alerts were raised and 0 ended" in box.text() and "delivery attempt 3 of 3 failed" in box.text()
        assert await summarise(store, [daily], later + timedelta(days=1)) == 1
        await said(store, "parcel.delivered", "delivered", parcel={"status": "delivered"})
        await on.work()
        assert await summarise(store, [daily], later + timedelta(days=2)) == 1
        await on.work()
    assert box.subjects[-1] == "[2026-03-06] Homeward: nothing is open"


async def test_a_trial_says_whether_a_channel_works_and_never_a_secret(room: Chat, box: Mailbox) -> None:
    """An empty answer when it does, else why not; nothing of the URL but its host is in it, in a repr or in a log."""
    works, closed = channel("works", box.url), channel("closed", "json://user:password-canary@127.0.0.1:1/token-canary")
    teller = Teller({"works": works, "closed": closed, "room": channel("room", room.url)})
    assert await teller.say(works, TRIAL) == "" and box.subjects == [TRIAL.title]
    room.status = 401
    for name in ("closed", "room"):
        why = await teller.say(teller.channels[name], TRIAL)
        assert why and "canary" not in why, why
    assert "canary" not in repr(closed) and "canary" not in repr(teller.channels)
    url = "json://u:pass%40word@hooks.example/token-canary"
    assert without_secrets("no hooks.example/token-canary for pass%40word", url) == "no hooks.example/... for ..."
    assert "pass" not in without_secrets("pass@word", url)
    await teller.aclose()


GOOD = """
[desk]
url = "mailtos://ops:${MAIL_PASSWORD}@mail.example.com?to=ops@example.com"
severity = "warning"
shops = ["boutique-eu"]
carriers = ["ups"]
digest = "08:00"

[pager]
url = "json://pager.example.com/"
severity = "critical"
"""


def test_channels_are_read_from_a_file() -> None:
    """Filters, the digest's hour in the shop's zone, and a secret out of the environment."""
    found = read_channels(GOOD, {"MAIL_PASSWORD": "s3cret"}, shipped())
    desk, pager = found["desk"], found["pager"]
    assert desk.audience == Audience("warning", ("boutique-eu",), ("ups",)) and desk.service == "mailtos"
    assert (desk.digest, desk.zone) == (time(8), ZoneInfo("Europe/Rome")) and ":s3cret@" in desk.url
    assert pager.digest is None and pager.audience == Audience("critical")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[desk", "not TOML"),
        ("desk = 1", "desk"),
        ("[desk]\nseverity = 'info'", "desk.url"),
        ("[desk]\nurl = 'json://x'\nseverity = 'loud'", "desk.severity"),
        ("[desk]\nurl = 'json://x'\nshops = ['nobody']", "no shop nobody"),
        ("[desk]\nurl = 'json://x'\ndigest = '25:00'", "desk.digest"),
        ("[desk]\nurl = 'json://x'\ntime_zone = 'Mars/North'", "desk.time_zone"),
        ("[desk]\nurl = 'json://${NOT_THERE}'", "NOT_THERE is not in the environment"),
        ("[Desk]\nurl = 'json://x'", "small letters"),
        ("[desk]\nurl = 'json://secret-canary'\ncolour = 'red'", "desk.colour"),
    ],
)
def test_a_channel_that_cannot_be_read_is_named(text: str, says: str) -> None:
    """The start is stopped by a sentence that says where; a URL is never in it."""
    with pytest.raises(ChannelsError, match=says) as error:
        read_channels(text, {}, shipped())
    assert "canary" not in str(error.value)


async def test_a_url_that_no_service_knows_stops_the_start() -> None:
    """It is found out before anything is served."""
    teller = Teller({"odd": channel("odd", "nosuchservice://secret-canary")})
    with pytest.raises(ChannelsError, match=r"odd\.url") as error:
        await teller.check()
    assert "canary" not in str(error.value)


def test_apprise_is_loaded_only_when_there_is_a_channel() -> None:
    """It takes as long to load as all the rest: a start without channels does without."""
    code = "import sys; import cli.wiring, cli.serving; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_waits_grow_and_never_end() -> None:
    """Fifteen seconds at first, an hour in the end, for as long as it takes."""
    waits = [wait_after(tries) for tries in range(1, 1000)]
    assert waits[0] == timedelta(seconds=15) and waits == sorted(waits) and waits[-1] == timedelta(hours=1)


def test_a_message_says_nothing_but_what_the_alert_holds() -> None:
    """Whatever else is in a notice's data stays here."""
    data = {
        "alert": {"title": "T", "action": "A", "severity": "info", "opened_at": "2026-03-03T11:05:00Z"},
        "merchant": "m",
        "order_email": "canary@example.com",
    }
    message = message_of("alert.raised", data, "https://h")
    assert "canary" not in message.title + message.body and "m" in message.body
