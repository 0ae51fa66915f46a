"""Schema drift: an answer as a later version of the carrier might give it, still within what it promises."""

import json
from typing import Any

from aiohttp import web

WAYS = ("extra", "missing", "renamed", "numbers")


def drifted(answer: web.Response, optional: frozenset[str], countable: frozenset[str], only: str = "") -> web.Response:
    """The same answer with unknown keys, without or with renamed optional ones, with numbers for texts and back."""
    if only and only not in WAYS:
        raise ValueError(f"unknown way to drift {only!r}; known: {', '.join(WAYS)}")
    ways = frozenset({only} if only else WAYS)
    try:
        told = json.loads(answer.body if isinstance(answer.body, bytes) else b"")
    except ValueError:
        return answer
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    body = json.dumps(_changed(told, optional, countable, ways)).encode()
    return web.Response(body=body, status=answer.status, headers=headers)


def _changed(value: Any, optional: frozenset[str], countable: frozenset[str], ways: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_changed(each, optional, countable, ways) for each in value]
    if not isinstance(value, dict):
        return value
    changed: dict[str, Any] = {"newInThisVersion": {"since": 3, "note": None}} if "extra" in ways else {}
    for count, (key, each) in enumerate(value.items()):
        if key in optional and "missing" in ways and (count % 2 or "renamed" not in ways):
            continue
        name = f"{key}V2" if key in optional and "renamed" in ways else key
        each = _changed(each, optional, countable, ways)
        changed[name] = _other_type(each) if key in countable and "numbers" in ways else each
    return changed


def _other_type(value: Any) -> Any:
    """A number for a text of digits, a text for a number: leading zeros are lost on the way."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
