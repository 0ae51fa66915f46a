"""The OpenAPI document as a page people read: rendered here, without scripts and without asking anybody else."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from api.manners import Handler
from api.pages import html
from api.problems import CODES

Json = Mapping[str, Any]


def docs(described: Callable[[], Json]) -> Handler:
    """GET /docs"""

    async def show(request: web.Request) -> web.Response:
        document = await asyncio.to_thread(described)
        groups = _groups(document)
        return html("docs.html", "en", page="docs", document=document, groups=groups, problems=CODES, **_FORMATS)

    return show


def _groups(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    """Operations by their tag: method, path, operation."""
    found: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return found


def kind(schema: Json) -> str:
    """A schema in a few words: "string (date-time)", "list of AttemptOut", "integer or null"."""
    if ref := schema.get("$ref"):
        return str(ref).rpartition("/")[2]
    if options := schema.get("anyOf"):
        return " or ".join(kind(option) for option in options)
    if values := schema.get("enum"):
        return "one of " + ", ".join(map(str, values))
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        if places := schema.get("prefixItems"):
            return "[" + ", ".join(kind(place) for place in places) + "]"
        return f"list of {kind(schema.get('items', {}))}"
    named = str(schema.get("type", "anything"))
    return f"{named} ({schema['format']})" if "format" in schema else named


def limits(schema: Json) -> str:
    """What a value must keep to, in a few words."""
    told = {
        "minLength": "at least {} characters", "maxLength": "at most {} characters", "pattern": "as {}",
        "minimum": "at least {}", "maximum": "at most {}", "minItems": "at least {}", "maxItems": "at most {} of them",
        "default": "default {}",
    }  # fmt: skip
    return "; ".join(words.format(schema[name]) for name, words in told.items() if schema.get(name) not in (None, ""))


def pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_FORMATS: dict[str, Any] = {"kind": kind, "limits": limits, "pretty": pretty}
