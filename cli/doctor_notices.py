"""The doctor about what we tell: channels that ops hear, endpoints that callers hear, and whether it arrives."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from alerts.channels import Channel, ChannelsError
from alerts.teller import Teller
from carriers.contract import Check
from cli.settings import Misconfigured, Settings
from cli.wiring import Parts, environment_of, read_channels_file, read_terms
from fleet.clocks import text
from merchants.terms import TermsError
from store.endpoints import count_owed, list_endpoints
from store.engine import Store, Tx
from store.tellings import standing
from webhooks.egress import Barred, judge, read_allowed
from webhooks.egress import check as check_addresses
from webhooks.guarded import look_up

NAME_SECONDS = 5.0
"""So long a name server may take: notices wait longer, the doctor does not."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of everybody we tell: endpoints as `homeward webhooks list` has them, and channels."""

    endpoints: tuple[Mapping[str, Any], ...] = ()
    channels: Mapping[str, Mapping[str, Any]] | None = None  # by name: how many messages wait, and why


async def doctor_call(parts: Parts, call: Mapping[str, Any]) -> Answer:
    """`doctor.look`, in the running service."""
    if call.get("do") != "doctor.look":
        return {"error": f"no command {call.get('do')!r}"}
    return await look(parts.store)


async def look(store: Store) -> Answer:
    """Everybody we tell, and what waits to be told."""

    async def unit(tx: Tx) -> Answer:
        owed = {row["endpoint_id"]: row["owed"] for row in await count_owed(tx)}
        endpoints = [
            {
                "id": each.id,
                "url": each.url,
                "state": each.state,
                "failing_since": text(each.failing_since) if each.failing_since else "",
                "owed": owed.get(each.id, 0),
            }
            for each in await list_endpoints(tx)
        ]
        channels = {row["channel"]: {"due": row["due"], "why": row["detail"]} for row in await standing(tx)}
        return {"endpoints": endpoints, "channels": channels}

    return await store.read(unit)


def standing_of(answer: Answer) -> Standing:
    """What `look` answered."""
    return Standing(tuple(answer["endpoints"]), answer["channels"])


async def notices(settings: Settings, found: Standing) -> AsyncIterator[Check]:
    """A line for each channel and each endpoint; nothing is sent."""
    async for line in _channels(settings, found.channels or {}):
        yield line
    if not found.endpoints:
        yield Check("webhooks", True, "no endpoint: POST /v1/endpoints says where notices go")
    for endpoint in found.endpoints:
        yield await _endpoint(endpoint, read_allowed(settings.allow_private))


async def _channels(settings: Settings, waiting: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[Check]:
    try:
        channels = read_channels_file(settings, environment_of(settings), read_terms(settings))
    except (Misconfigured, TermsError) as error:
        yield Check("channels", False, str(error))
        return
    if not channels:
        yield Check("channels", True, "none: ops hear of alerts on /ops alone (docs/alerts.md)")
    for name, channel in channels.items():
        yield await _channel(name, channel, waiting.get(name, {}))


async def _channel(name: str, channel: Channel, waiting: Mapping[str, Any]) -> Check:
    """Whether its URL is one that can be told by, and what it has not taken yet."""
    teller = Teller({name: channel})
    try:
        await teller.check()
    except ChannelsError as error:
        return Check(f"channel {name}", False, str(error))
    finally:
        await teller.aclose()
    if waiting.get("due") and waiting.get("why"):
        return Check(f"channel {name}", False, f"{waiting['due']} messages wait: {waiting['why']}")
    hears = f"{channel.service}, {channel.audience.severity} and graver"
    return Check(f"channel {name}", True, f"{hears}; try it: homeward alerts test {name}")


async def _endpoint(endpoint: Mapping[str, Any], allowed: Iterable[str]) -> Check:
    """Whether notices may go there, get there, and have got there."""
    name, url, owed = f"endpoint {endpoint['id']}", str(endpoint["url"]), int(endpoint["owed"])
    if why := await _barred(url, frozenset(allowed)):
        return Check(name, False, f"{url}: {why}")
    if endpoint["state"] != "active":
        again = f"homeward webhooks resume {endpoint['id']}"
        return Check(name, False, f"{url} is {endpoint['state']}, {owed} notices are held: {again}")
    if since := endpoint["failing_since"]:
        return Check(name, False, f"{url}: nothing arrived since {since}, {owed} notices wait")
    return Check(name, True, f"{url}, {owed} notices wait" if owed else url)


async def _barred(url: str, allowed: frozenset[str]) -> str:
    """Why no notice can go to this URL: by its words, or by the addresses that its name has now. "" when one can."""
    try:
        target = judge(url, allowed)
        addresses = await asyncio.wait_for(look_up(target.host, target.port), NAME_SECONDS)
        check_addresses([ip_address(each) for each in addresses], is_allowed=target.is_allowed)
    except Barred as error:
        return str(error)
    except TimeoutError:
        return f"its name server did not answer within {NAME_SECONDS:.0f} s"
    except OSError:
        return "its name has no address"
    return ""
