"""`homeward webhooks`: where notices go, what is owed there, sent again; in the running service or in this process."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cli.wiring import Parts
from fleet.clocks import real_now, text
from store.endpoints import Endpoint, EndpointId, count_owed, list_endpoints
from store.engine import Tx
from webhooks.outbound import replay, replay_one, resume

Answer = dict[str, Any]


async def webhooks_call(parts: Parts, call: Mapping[str, Any]) -> Answer:
    """One `webhooks.*` command; `lines` is what a person reads."""
    match call:
        case {"do": "webhooks.list"}:
            return await _list(parts)
        case {"do": "webhooks.replay", "endpoint": int(endpoint), "since": str(since), "id": str(notice_id)}:
            return await _replay(parts, EndpointId(endpoint), since, notice_id)
        case {"do": "webhooks.resume", "endpoint": int(endpoint)}:
            was = await resume(parts.store, EndpointId(endpoint), real_now, parts.clock.now())
            if was is None:
                return {"error": f"no endpoint {endpoint}"}
            return {"was": was, "lines": [f"endpoint {endpoint} was {was}" + (", now active" * (was != "active"))]}
        case _:
            return {"error": f"no command {call.get('do')!r}"}


async def _list(parts: Parts) -> Answer:
    async def unit(tx: Tx) -> tuple[list[Endpoint], dict[int, int]]:
        return list(await list_endpoints(tx)), {row["endpoint_id"]: row["owed"] for row in await count_owed(tx)}

    endpoints, owed = await parts.store.read(unit)
    rows = [
        {
            "id": each.id,
            "url": each.url,
            "events": list(each.events),
            "state": each.state,
            "failing_since": text(each.failing_since) if each.failing_since else None,
            "hold_until": text(each.hold_until) if each.hold_until else None,
            "owed": owed.get(each.id, 0),
        }
        for each in endpoints
    ]
    lines = [
        f"{r['id']:>4}  {r['state']:<8} {r['owed']:>6} owed  {r['url']}"
        + (f"  nothing arrived since {r['failing_since']}" if r["failing_since"] else "")
        + (f"  wants rest until {r['hold_until']}" if r["hold_until"] else "")
        for r in rows
    ]
    return {"endpoints": rows, "lines": lines or ["no endpoints"]}


async def _replay(parts: Parts, endpoint: EndpointId, since: str, notice_id: str) -> Answer:
    if notice_id:
        if not await replay_one(parts.store, endpoint, notice_id, real_now):
            return {"error": f"no endpoint {endpoint}, or no notice {notice_id}"}
        return {"notices": 1, "lines": [f"{notice_id} is sent again"]}
    try:
        at = datetime.fromisoformat(since)
        if at.tzinfo is None:
            raise ValueError
    except ValueError:
        return {"error": f"--since: expected an RFC 3339 instant such as 2026-03-05T12:00:00Z, found {since!r}"}
    count = await replay(parts.store, endpoint, at, real_now)
    if count is None:
        return {"error": f"no endpoint {endpoint}"}
    return {"notices": count, "lines": [f"{count} notices are sent again"]}
