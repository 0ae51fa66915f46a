"""The forms in which UPS answers and refuses, and how its stand-in picks a request apart."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from carriers.ups.standin.town import Json

SUCCESS = {"ResponseStatus": {"Code": "1", "Description": "Success"}}


class No(Exception):
    """UPS's refusal of a request: a status, a code and a sentence."""

    def __init__(self, code: str, message: str, status: int = 400, **more: object) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


def answer(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def errors(code: str, message: str, status: int, **more: object) -> web.Response:
    return answer(
        {**more, "response": {"errors": [{"code": code, "message": message}]}},
        status,
        {"errorcode": code, "errordescription": message},
    )


def success(wanted: Json, *alerts: tuple[str, str]) -> Json:
    """The `Response` part of a good answer: alerts are warnings, and the caller's context comes back."""
    context = str(path(wanted, "Request", "TransactionReference", "CustomerContext") or "")
    return {
        **SUCCESS,
        **({"Alert": [{"Code": code, "Description": text} for code, text in alerts]} if alerts else {}),
        **({"TransactionReference": {"CustomerContext": context}} if context else {}),
    }


def parsed(text: str, code: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise No(code, "The request is not JSON") from error
    if not isinstance(value, dict):
        raise No(code, "The request is not an object")
    return value


def object_of(text: str, key: str) -> Json:
    inner = parsed(text, "10007").get(key)
    if not isinstance(inner, dict):
        raise No("120000", f"{key} is missing")
    return inner


def path(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def listed(value: Any) -> list[Json]:
    """The elements of what may be one element or a list of them. Source: facts/ups.md 0, the array rule."""
    return [] if value is None else value if isinstance(value, list) else [value]


def lacks(value: Json, *names: str) -> str:
    """The first of these names under which nothing stands, or nothing."""
    return next((name for name in names if value.get(name) in (None, "", [], {})), "")
