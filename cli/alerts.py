"""`homeward alerts`: what is open, who is told and whether that works, what is muted."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from alerts import muting
from alerts.desk import acknowledge, open_alerts
from api.channels import channels_now, mute_now, mutes_now, try_channels
from api.house import House
from api.problems import Problem
from cli.wiring import Parts
from fleet.clocks import text

Answer = dict[str, Any]
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOST = 500


async def alerts_call(parts: Parts, call: Mapping[str, Any]) -> Answer:
    """One `alerts.*` command; `lines` is what a person reads."""
    from cli.serving import house_of  # it imports this file's caller

    house = house_of(parts, None)
    try:
        match call:
            case {"do": "alerts.list"}:
                return await _list(house)
            case {"do": "alerts.ack", "id": int(id), "by": str(by)}:
                return await _ack(house, id, by)
            case {"do": "alerts.channels"}:
                return await _channels(house)
            case {"do": "alerts.test", "channel": str(channel)}:
                return await _test(house, channel)
            case {"do": "alerts.mutes"}:
                return await _mutes(house)
            case {"do": "alerts.mute", "pattern": str(pattern), "until": str(until), "by": str(by), "why": str(why)}:
                made = await mute_now(house, pattern, _until(until, house.clock.now()), by, why)
                return {"mute": _plain(made), "lines": [f"{made.id}: {pattern} is silent until {text(made.until)}"]}
            case {"do": "alerts.unmute", "id": int(id)}:
                if not await muting.unmute(house.store, id, house.clock.now()):
                    return {"error": f"no mute {id} holds"}
                return {"lifted": id, "lines": [f"mute {id} holds no longer"]}
            case _:
                return {"error": f"no command {call.get('do')!r}"}
    except (Problem, ValueError) as error:
        return {"error": error.detail or error.title if isinstance(error, Problem) else str(error)}


async def _list(house: House) -> Answer:
    page = await open_alerts(house.store, limit=MOST, now=house.clock.now())
    rows = [
        {
            "id": alert.id,
            "key": alert.key,
            "severity": alert.severity,
            "title": alert.title,
            "action": alert.action,
            "opened_at": text(alert.opened_at),
            "acked_by": alert.acked_by,
            "muted_until": text(alert.muted_until) if alert.muted_until else None,
        }
        for alert in page.alerts
    ]
    lines = []
    for row in rows:
        seen = f", seen by {row['acked_by']}" if row["acked_by"] else ""
        muted = f", muted until {row['muted_until']}" if row["muted_until"] else ""
        lines += [f"{row['id']:>5}  {row['severity']:<8}  {row['title']}", f"{'':17}{row['action']}"]
        lines += [f"{'':17}since {row['opened_at']}, {row['key']}{seen}{muted}"]
    return {"alerts": rows, "lines": lines or ["nothing is open"]}


async def _ack(house: House, id: int, by: str) -> Answer:
    alert = await acknowledge(house.store, id, by or "command line", house.clock.now())
    if alert is None:
        return {"error": f"no alert {id}"}
    return {"id": id, "lines": [f"{id}: seen by {alert.acked_by or by}"]}


async def _channels(house: House) -> Answer:
    found = (await channels_now(house)).channels
    lines = []
    for each in found:
        of = ", ".join([*each.merchants, *each.carriers]) or "everything"
        digest = f", digest at {each.digest} {each.time_zone}" if each.digest else ""
        waits = f", {each.due} wait ({each.trouble})" if each.due else ""
        lines.append(f"{each.name:<16} {each.service:<10} {each.severity} and graver of {of}{digest}{waits}")
    return {"channels": [_plain(each) for each in found], "lines": lines or ["no channels: see docs/alerts.md"]}


async def _test(house: House, channel: str) -> Answer:
    results = (await try_channels(house, channel)).results
    lines = [f"{'ok  ' if each.ok else 'FAIL'}  {each.channel:<16} {each.detail}".rstrip() for each in results]
    answer: Answer = {"results": [_plain(each) for each in results], "lines": lines or ["no channels"]}
    if any(not each.ok for each in results):
        answer["error"] = "\n".join(lines)
    return answer


async def _mutes(house: House) -> Answer:
    found = (await mutes_now(house)).mutes
    lines = [f"{each.id:>4}  {each.pattern}  until {text(each.until)}  {each.by}  {each.why}" for each in found]
    return {"mutes": [_plain(each) for each in found], "lines": lines or ["nothing is muted"]}


def _until(asked: str, now: datetime) -> datetime:
    """`8h`, `3d`, `1w` from now, or an RFC 3339 instant. Raises ValueError."""
    if span := _SPAN.fullmatch(asked):
        return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        at = datetime.fromisoformat(asked)
        if at.tzinfo is None:
            raise ValueError
    except ValueError:
        wanted = "a span such as 8h or 3d, or an instant such as 2026-03-05T06:00:00Z"
        raise ValueError(f"expected {wanted}, found {asked!r}") from None
    return at


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")
