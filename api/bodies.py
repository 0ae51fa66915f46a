"""Bytes a stranger sent -> a checked model: size, type, depth, and JSON in its strictest sense (RFC 7493)."""

import asyncio
import json
import math
import re
from collections.abc import Mapping
from typing import NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from api.problems import Problem

CAP = 256 * 1024
DEPTH = 32
DEADLINE = 10.0  # seconds for a whole body to arrive  # source: design/faults-and-security.md, fault 15

M = TypeVar("M", bound=BaseModel)

# One pass whatever is sent: a string without an end is taken whole, or each of its quotes would start a new search.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


async def read_bytes(request: web.Request, media_type: str, cap: int = CAP) -> bytes:
    """The body, when it is of this type, not compressed, at most `cap` bytes, and arrives in time. Raises Problem."""
    if request.content_type != media_type or request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem("unsupported_media_type", f"send {media_type}, not {request.content_type}")
    if (request.content_length or 0) > cap:
        raise Problem("body_too_large", f"at most {cap} bytes")
    try:
        if request.content.is_eof():  # all of it is here: nothing to wait for
            body = await request.read()
        else:
            async with asyncio.timeout(DEADLINE):
                body = await request.read()
    except TimeoutError:
        raise Problem("too_slow", f"the body has to arrive within {DEADLINE:g} seconds") from None
    except web.HTTPRequestEntityTooLarge:
        raise Problem("body_too_large", f"at most {cap} bytes") from None
    if len(body) > cap:
        raise Problem("body_too_large", f"at most {cap} bytes")
    return body


def _depth(body: bytes) -> int:
    deepest = now = 0
    for found in _BRACKETS.finditer(_STRINGS.sub(b"", body)):
        now += 1 if found.group() in b"[{" else -1
        deepest = max(deepest, now)
    return deepest


def refuse_deep(body: bytes) -> None:
    """Raise Problem for JSON that is nested too deep, without reading it."""
    if body.count(b"{") + body.count(b"[") > DEPTH and _depth(body) > DEPTH:
        raise Problem("malformed_json", f"nested deeper than {DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names the same key twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is out of range")
    return value


_READER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_refuse_twice
)  # made once: making one costs as much as reading a short body
_WRITER = json.JSONEncoder(ensure_ascii=False)


def parse(body: bytes) -> object:
    """The JSON value. Raises Problem for no JSON, too deep, NaN, a key twice, NUL or half a character."""
    refuse_deep(body)
    try:
        value: object = _READER.decode(body.decode())
        # only as \u... can NUL or half a character be written: raw, neither is JSON or UTF-8
        text = _WRITER.encode(value) if b"\\u" in body else ""
        text.encode()  # a lone surrogate fails here
    except (ValueError, RecursionError) as error:
        detail = "it holds half a character" if isinstance(error, UnicodeEncodeError) else str(error)
        raise Problem("malformed_json", detail) from None
    if _NUL.search(text):
        raise Problem("malformed_json", "it holds the character NUL")
    return value


def pointer(location: tuple[int | str, ...]) -> str:
    """A JSON Pointer (RFC 6901) to where pydantic found something."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _findings(error: ValidationError) -> list[dict[str, str]]:
    return [{"pointer": pointer(found["loc"]), "detail": found["msg"]} for found in error.errors(include_input=False)]


def checked(model: type[M], body: bytes) -> M:
    """The body as this model. Raises Problem with a pointer to the first thing that is wrong, and a list of all."""
    parse(body)
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        findings = _findings(error)
        first = findings[0]
        raise Problem("invalid_body", first["detail"], first["pointer"], findings[1:20]) from None


def checked_query(model: type[M], query: Mapping[str, str]) -> M:
    """Query parameters as this model; each name at most once. Raises Problem."""
    if len(set(query)) != len(query):
        raise Problem("invalid_query", "a parameter is given twice")
    try:
        return model.model_validate_strings(dict(query))
    except ValidationError as error:
        first = _findings(error)[0]
        raise Problem("invalid_query", f"{first['pointer'].lstrip('/')}: {first['detail']}") from None
