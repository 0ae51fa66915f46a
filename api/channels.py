"""The calls about channels and mutes: where ops are told, whether that works, and what nobody wants to hear now."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from alerts import muting
from alerts.channels import TRIAL
from alerts.muting import Mute
from api.house import House
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Asked, Instant, Told, example
from fleet.clocks import from_us, real_now
from store.endpoints import Endpoint, EndpointId, list_endpoints
from store.engine import Row, Tx
from store.tellings import standing
from webhooks.notices import is_wanted
from webhooks.trial import try_out

LONGEST = timedelta(days=366)
_ENDPOINT = "endpoint:"

# --------------------------------------------------------------------------------------------------------------- asked


class TrialIn(Asked):
    """Which channel is tried out. Without a name: every one, and every endpoint that hears of alerts."""

    model_config = Asked.model_config | example({"channel": "desk"})

    channel: Annotated[
        str,
        Field(
            pattern=r"^(|[a-z][a-z0-9-]{0,31}|endpoint:[1-9][0-9]{0,17})$",
            description="A channel's name, or endpoint:ID",
        ),
    ] = ""


class MuteIn(Asked):
    """Which alerts are silent, and until when."""

    model_config = Asked.model_config | example(
        {"pattern": "carrier:ups/*", "until": "2026-03-05T06:00:00Z", "why": "announced maintenance", "by": "anna"}
    )

    pattern: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[ -~]+$",
            description="An alert's key, or a pattern of keys: * stands for anything",
        ),
    ]
    until: Instant
    why: Annotated[str, Field(max_length=200)] = ""
    by: Annotated[str, Field(max_length=100, description="Without it, the key's name")] = ""


# ---------------------------------------------------------------------------------------------------------------- told


class ChannelLine(Told):
    """A channel, or an endpoint that hears of alerts. Its URL is never shown."""

    name: str
    service: str = Field(description="mailto, slack, json, ...; webhook for an endpoint")
    severity: str
    merchants: list[str]
    carriers: list[str]
    digest: str | None = Field(default=None, description="The local hour of the day's summary")
    time_zone: str | None = None
    due: int = Field(default=0, description="Messages that wait to be told")
    held: int = Field(default=0, description="Messages that are muted now")
    tries: int = Field(default=0, description="The most tries of one that waits")
    last_told_at: Instant | None = None
    next_at: Instant | None = None
    trouble: str = Field(default="", description="Why the last try failed")


class ChannelsOut(Told):
    """Where ops are told."""

    model_config = Told.model_config | example(
        {
            "channels": [
                {
                    "name": "desk",
                    "service": "mailtos",
                    "severity": "warning",
                    "merchants": ["boutique-eu"],
                    "carriers": [],
                    "digest": "08:00",
                    "time_zone": "Europe/Rome",
                    "due": 0,
                    "held": 0,
                    "tries": 0,
                    "last_told_at": "2026-03-04T12:01:00Z",
                    "next_at": None,
                    "trouble": "",
                }
            ]
        }
    )

    channels: list[ChannelLine]


class TrialLine(Told):
    channel: str
    ok: bool
    detail: str = Field(description="Why it did not work; for an endpoint, that its notice is on its way")


class TrialOut(Told):
    """What came of it."""

    model_config = Told.model_config | example({"results": [{"channel": "desk", "ok": True, "detail": ""}]})

    results: list[TrialLine]


MUTE_EXAMPLE: dict[str, Any] = {
    "id": 3,
    "pattern": "carrier:ups/*",
    "until": "2026-03-05T06:00:00Z",
    "why": "announced maintenance",
    "by": "anna",
    "since": "2026-03-04T18:00:00Z",
}


class MuteOut(Told):
    """Alerts that nobody hears of until then. They are kept and shown."""

    model_config = Told.model_config | example(MUTE_EXAMPLE)

    id: int
    pattern: str
    until: Instant
    why: str
    by: str
    since: Instant


class MutesOut(Told):
    """The mutes that hold."""

    model_config = Told.model_config | example({"mutes": [MUTE_EXAMPLE]})

    mutes: list[MuteOut]


# --------------------------------------------------------------------------------------------------------------- calls


async def list_channels(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/channels"""
    return Answer(await channels_now(call.house))


async def test(call: Call[Nothing, TrialIn]) -> Answer:
    """POST /v1/channels/test"""
    return Answer(await try_channels(call.house, call.body.channel))


async def list_mutes(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/mutes"""
    return Answer(await mutes_now(call.house))


async def mute(call: Call[Nothing, MuteIn]) -> Answer:
    """POST /v1/mutes"""
    body = call.body
    made = await mute_now(call.house, body.pattern, body.until, body.by or call.caller.name, body.why)
    return Answer(made, 201)


async def unmute(call: Call[Nothing, Nothing]) -> Answer:
    """DELETE /v1/mutes/{mute_id}"""
    if not await muting.unmute(call.house.store, int(call.path["mute_id"]), call.house.clock.now()):
        raise Problem("mute_unknown")
    return Answer(status=204)


# ------------------------------------------------------------------------------------- the same, for the desk and `cli`


async def channels_now(house: House) -> ChannelsOut:
    async def unit(tx: Tx) -> tuple[dict[str, Row], list[Endpoint]]:
        return {row["channel"]: row for row in await standing(tx)}, list(await list_endpoints(tx))

    rows, endpoints = await house.store.read(unit)
    lines = []
    for name, channel in house.teller.channels.items():
        row = rows.get(name)
        lines.append(
            ChannelLine(
                name=name,
                service=channel.service,
                severity=channel.audience.severity,
                merchants=list(channel.audience.merchants),
                carriers=list(channel.audience.carriers),
                digest=f"{channel.digest:%H:%M}" if channel.digest else None,
                time_zone=channel.zone.key if channel.digest else None,
                **_standing(row),
            )
        )
    return ChannelsOut(channels=lines + [_listener(each) for each in endpoints if _hears(each)])


async def try_channels(house: House, name: str) -> TrialOut:
    """Tell one channel, or all, that somebody asked. Raises Problem for a name that is none."""
    known = [line.name for line in (await channels_now(house)).channels]
    if name and name not in known:
        raise Problem("channel_unknown", f"known: {', '.join(known) or 'none'}", "/channel")
    return TrialOut(results=[await _try(house, each) for each in known if name in ("", each)])


async def mutes_now(house: House) -> MutesOut:
    found = await muting.mutes(house.store, house.clock.now())
    return MutesOut(mutes=[_mute(each) for each in found])


async def mute_now(house: House, pattern: str, until: datetime, by: str, why: str) -> MuteOut:
    """Mute until a story time. Raises Problem for one that is over or far away."""
    now = house.clock.now()
    if not now < until <= now + LONGEST:
        raise Problem("invalid_body", "a time to come, at most a year ahead, is expected", "/until")
    return _mute(await muting.mute(house.store, pattern, until=until, by=by, why=why, now=now))


# -------------------------------------------------------------------------------------------------------------- inside


async def _try(house: House, name: str) -> TrialLine:
    if name.startswith(_ENDPOINT):
        endpoint_id = EndpointId(int(name.removeprefix(_ENDPOINT)))
        there = await try_out(house.store, endpoint_id, real_now, house.clock.now())
        return TrialLine(channel=name, ok=there, detail="its notice is on its way: look at its deliveries")
    why = await house.teller.say(house.teller.channels[name], TRIAL)
    return TrialLine(channel=name, ok=not why, detail=why)


def _hears(endpoint: Endpoint) -> bool:
    return is_wanted("alert.raised", endpoint.events) and endpoint.state != "disabled"


def _listener(endpoint: Endpoint) -> ChannelLine:
    return ChannelLine(
        name=f"{_ENDPOINT}{endpoint.id}",
        service="webhook",
        severity=endpoint.alerts.severity,
        merchants=list(endpoint.alerts.merchants),
        carriers=list(endpoint.alerts.carriers),
    )


def _standing(row: Row | None) -> dict[str, Any]:
    """How far a channel is with what it is to be told."""
    if row is None:
        return {}
    return {
        "due": int(row["due"]),
        "held": int(row["held"]),
        "tries": int(row["tries"]),
        "last_told_at": _instant(row["last_us"]),
        "next_at": _instant(row["next_us"]),
        "trouble": row["detail"],
    }


def _mute(found: Mute) -> MuteOut:
    return MuteOut(**{name: getattr(found, name) for name in MuteOut.model_fields})


def _instant(us: int | None) -> datetime | None:
    return from_us(us) if us is not None else None
