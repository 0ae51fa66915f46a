"""`homeward unidentified`: what came home and nobody knows whose it is; whose a person says it is."""

from collections.abc import Mapping
from typing import Any

from cli.wiring import Parts
from returns.claiming import confirm, dismiss
from returns.identifying import Box, enter, unidentified_view
from store.engine import Row
from store.unidentified import get_unidentified, unidentified_page
from tracker.orders import Declined

BY = "command line"


async def unidentified_call(parts: Parts, call: Mapping[str, Any]) -> dict[str, Any]:
    """One command: `unidentified.list`, `.add`, `.match`, `.dismiss`."""
    try:
        match call:
            case {"do": "unidentified.list", "q": str(text), "state": str(state)}:
                return await _list(parts, text, state)
            case {"do": "unidentified.add", "box": dict(box)}:
                return await _shown(parts, await enter(parts.identifier, Box(**box), BY))
            case {"do": "unidentified.match", "id": int(id), "return": str(number)} if number:
                await confirm(parts.identifier, id, BY, return_number=number)
            case {"do": "unidentified.match", "id": int(id), "carrier": str(carrier), "number": str(number)}:
                await confirm(parts.identifier, id, BY, carrier=carrier, number=number)
            case {"do": "unidentified.dismiss", "id": int(id), "why": str(why)}:
                await dismiss(parts.identifier, id, BY, why)
            case _:
                return {"error": f"no command {call.get('do')!r}"}
    except Declined as error:
        return {"error": error.message}
    return await _shown(parts, int(call["id"]))


async def _list(parts: Parts, text: str, state: str) -> dict[str, Any]:
    mark = parts.identifier.name_mark(text)
    rows = await parts.store.read(lambda tx: unidentified_page(tx, state=state, text=text, mark=mark, limit=200))
    views = [_view(row, parts) for row in rows]
    lines = [line for view in views for line in _lines(view)]
    return {"unidentified": views, "lines": lines or ["nothing waits here"]}


async def _shown(parts: Parts, id: int) -> dict[str, Any]:
    row = await parts.store.read(lambda tx: get_unidentified(tx, id))
    assert row is not None
    view = _view(row, parts)
    return {**view, "lines": _lines(view)}


def _view(row: Row, parts: Parts) -> dict[str, Any]:
    """As the API shows it: a name on a box is never shown again."""
    view = unidentified_view(row, parts.sealer)
    return {name: value for name, value in view.items() if name != "name"}


def _lines(view: dict[str, Any]) -> list[str]:
    """For a terminal: the box, then its candidates with why."""
    number = view["number"] or "without a number"
    head = f"{view['id']:>4}  {view['state']:<9} {view['carrier'] or '?':<5} {number}"
    if view["order_number"]:
        head += f"  (order {view['order_number']} on the box)"
    lines = [head]
    if outcome := view["outcome"]:
        lines.append(f"      {outcome.get('kind') or ''} {outcome.get('name') or outcome.get('why') or ''}".rstrip())
    for each in view["candidates"] if view["state"] == "open" else []:
        parcel = each["parcel"]
        named = (
            f"return {each['return_number']}" if each["return_number"] else f"{parcel['carrier']} {parcel['number']}"
        )
        lines.append(f"      {each['score']:.2f}  {named}  {', '.join(each['order_numbers'])}")
        lines += [f"            {reason['sentence']}" for reason in each["reasons"]]
    return lines
