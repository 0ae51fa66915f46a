"""The forms in which USPS answers and refuses, and how its stand-in reads a request."""

import json
from collections.abc import Mapping

from aiohttp import web

from carriers.usps.standin.town import Json


class No(Exception):
    """USPS's refusal of a request. Anything beyond status, code and detail is optional there, and so it is here."""

    def __init__(
        self, detail: str, *, status: int = 400, code: str = "", title: str = "Bad Request", source: object = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.title, self.source = status, code, title, source


def unlike_schema(reason: str, parameter: str = "") -> No:
    """What the gateway says to a request that its schema does not take. Source: facts/usps.md 2.10."""
    source = {"parameter": parameter} if parameter else None
    detail = f"OASValidation of the request failed with reason: {reason}"
    return No(detail, title="openapi_validation_error", source=source)


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def error(api: str, status: int, message: str, *errors: Json) -> Json:
    return {"apiVersion": api, "error": {"code": str(status), "message": message, "errors": list(errors)}}


def refusal(api: str, no: No) -> web.Response:
    told = {
        "status": str(no.status),
        "code": no.code,
        "title": no.title,
        "detail": str(no),
        "source": no.source or {"parameter": ""},
    }
    return answer(error(api, no.status, no.title, told), no.status)


def object_of(text: str) -> Json:
    try:
        value = json.loads(text or "{}")
    except ValueError as wrong:
        raise unlike_schema("not JSON") from wrong
    if not isinstance(value, dict):
        raise unlike_schema("not an object")
    return value


def fresh(request: web.Request, etag: str) -> None:
    """The tag that a change needs. Source: facts/usps.md 5, 6.1: 412 when it is stale."""
    if request.headers.get("If-Match", "").strip('"') != etag:
        raise No("The ETag is stale", status=412, title="Precondition Failed")
