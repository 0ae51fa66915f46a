"""`homeward replay` and `codes`: what the kept bytes say today, in the running service or in this process."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cli.wiring import Parts
from store.payloads import list_unknown_codes, payload_named
from tracker.replay import replay, settle_codes


async def ledger_call(parts: Parts, call: Mapping[str, Any]) -> dict[str, Any]:
    """One command about the ledger: `ledger.replay`, `ledger.codes`."""
    match call:
        case {"do": "ledger.replay", "carrier": str(carrier), "number": str(number)}:
            return await _replay(parts, carrier, number)
        case {"do": "ledger.codes"}:
            return await _codes(parts)
        case _:
            return {"error": f"no command {call.get('do')!r}"}


async def _replay(parts: Parts, carrier: str, number: str) -> dict[str, Any]:
    async def quiet(_: int) -> None:
        return None

    found = await replay(parts.ledger, parts.clock.now(), quiet, carrier=carrier, number=number)
    if number and not found:
        return {"error": f"no parcel {carrier} {number}"}
    known = [] if number else await settle_codes(parts.ledger, parts.clock.now())
    changed = [each for each in found if each.changed]
    lines = [f"{e.carrier} {e.number}: {e.was} -> {e.now} (from {e.source})" for e in changed]
    stale = sum(each.source == "sightings" for each in found)
    lines.append(f"{len(found)} parcels replayed, {len(changed)} changed, {stale} from sightings: their bytes are gone")
    lines += [f"{its} {code} is in the table now" for its, code in known]
    return {
        "parcels": len(found),
        "codes_known": [{"carrier": its, "code": code} for its, code in known],
        "changed": [asdict(each) for each in changed],
        "from_sightings": stale,
        "lines": lines,
    }


async def _codes(parts: Parts) -> dict[str, Any]:
    async def unit(tx: Any) -> list[dict[str, Any]]:
        rows = []
        for row in await list_unknown_codes(tx):
            sample = await payload_named(tx, row["digest"])
            body = bytes(sample["body"]).decode(errors="replace") if sample else ""
            rows.append({name: row[name] for name in ("carrier", "code", "words", "first_day", "last_day")})
            rows[-1] |= {"count": int(row["count"]), "digest": row["digest"], "sample": body[:2000]}
        return rows

    rows = await parts.store.read(unit)
    lines = [
        f"{r['carrier']:<5} {r['code']:<10} {r['count']:>6}x  {r['first_day']} to {r['last_day']}  {r['words']}"
        for r in rows
    ]
    return {"codes": rows, "lines": lines or ["every code that came is in the tables"]}
