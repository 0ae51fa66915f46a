"""`homeward erase ORDER|RETURN`: personal data out of the database, its log and its free pages; the figures stay."""

from collections.abc import Mapping
from typing import Any

from cli.wiring import Parts
from returns.forgetting import Gone, NotNow, erase_order, erase_return
from store.engine import Tx
from store.sqlite import SqliteStore


async def erase_call(parts: Parts, call: Mapping[str, Any]) -> dict[str, Any]:
    """One command: `erase.order`, `erase.return`."""
    match call:
        case {"do": "erase.order" | "erase.return" as what, "number": str(number), "merchant": str(merchant)}:
            pass
        case _:
            return {"error": f"no command {call.get('do')!r}"}

    async def unit(tx: Tx) -> Gone | None:
        if what == "erase.order":
            return await erase_order(tx, number, merchant, parts.shelf)
        return await erase_return(tx, number, parts.shelf)

    try:
        gone = await parts.store.write(unit)
    except NotNow as error:
        return {"error": str(error)}
    if gone is None:
        return {"error": f"no {what.removeprefix('erase.')} {number}"}
    if isinstance(parts.store, SqliteStore):
        await parts.store.empty_log()  # what was overwritten still stands in the log until then
    told = ", ".join(f"{count} {name}" for name, count in gone.items())
    lines = [f"{number}: personal data erased ({told}); numbers and money stay"]
    if not isinstance(parts.store, SqliteStore):
        lines.append("PostgreSQL frees the space at its next vacuum; old backups and WAL archives are yours to expire")
    return {"erased": number, **gone, "lines": lines}
