"""`homeward erase ORDER|RETURN`: personal data out of the database, its log and its free pages; the figures stay."""

from collections.abc import Mapping
from typing import Any

from cli.wiring import Parts
from store.engine import Tx
from store.erasing import forget_order, forget_payloads, forget_return, is_buying, returns_on
from store.lookups import orders_named, parcel_row, parcels_on_order, return_named
from store.sqlite import SqliteStore


class NotNow(Exception):
    """It cannot be erased now; the message says why."""


async def erase_call(parts: Parts, call: Mapping[str, Any]) -> dict[str, Any]:
    """One command: `erase.order`, `erase.return`."""
    match call:
        case {"do": "erase.order" | "erase.return" as what, "number": str(number), "merchant": str(merchant)}:
            pass
        case _:
            return {"error": f"no command {call.get('do')!r}"}

    async def unit(tx: Tx) -> dict[str, int] | None:
        if what == "erase.order":
            return await _order(tx, number, merchant)
        return await _return(tx, number)

    try:
        gone = await parts.store.write(unit)
    except NotNow as error:
        return {"error": str(error)}
    if gone is None:
        return {"error": f"no {what.removeprefix('erase.')} {number}"}
    if isinstance(parts.store, SqliteStore):
        await parts.store.empty_log()  # what was overwritten still stands in the log until then
    told = ", ".join(f"{count} {name}" for name, count in gone.items())
    return {"erased": number, **gone, "lines": [f"{number}: personal data erased ({told}); numbers and money stay"]}


async def _order(tx: Tx, number: str, merchant: str) -> dict[str, int] | None:
    found = [row for row in await orders_named(tx, number) if merchant in ("", row["merchant"])]
    if len(found) > 1:
        shops = ", ".join(sorted(row["merchant"] for row in found))
        raise NotNow(f"several shops have an order {number}: say which with --merchant ({shops})")
    if not found:
        return None
    row = found[0]
    gone = {"orders": 1, "returns": 0, "payloads": 0, "papers": 0}
    for parcel in await parcels_on_order(tx, row["id"]):
        gone["payloads"] += await forget_payloads(tx, parcel["carrier"], parcel["number"])
    for each in await returns_on(tx, row["id"]):
        for name, count in (await _return(tx, str(each["number"])) or {}).items():
            gone[name] += count
    await forget_order(tx, row["id"], row["merchant"], row["number"])
    return gone


async def _return(tx: Tx, number: str) -> dict[str, int] | None:
    row = await return_named(tx, number)
    if row is None:
        return None
    if await is_buying(tx, row["id"]):
        raise NotNow(f"a purchase for return {number} is still open: settle it first (homeward labels reconcile)")
    parcel = await parcel_row(tx, row["parcel_id"]) if row["parcel_id"] is not None else None
    payloads = await forget_payloads(tx, parcel["carrier"], parcel["number"]) if parcel else 0
    papers = await forget_return(tx, row["id"], row["merchant"], row["number"])
    return {"returns": 1, "payloads": payloads, "papers": papers}
