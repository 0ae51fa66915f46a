"""An answer made ready: its head and body as they go on the wire, to which a request adds only what is its own."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from xxhash import xxh3_128_hexdigest

# source: design/faults-and-security.md, "Pages"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": PAGE_POLICY,
    "Cache-Control": "no-store",
    "Server": "homeward",
}


_FIRST_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Ready(NamedTuple):
    """A status, a body and what its head says; `tag` is empty where nobody may ask whether it changed.

    A tuple, for one is made for every answer: a frozen dataclass takes four times as long.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]  # but its tag and its length
    tag: str
    head: bytes


def made_ready(method: str, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> Ready:
    """The answer with its headers. Raises ValueError for one that would end its line."""
    tag = ""
    if method in ("GET", "HEAD") and status == 200:
        tag = f'"{xxh3_128_hexdigest(body)}"'  # which proves nothing and need not: a twentieth of sha256's time
    every, start = _start(status, content_type, bool(tag), tuple(headers.items()))
    own = f"ETag: {tag}\r\nContent-Length: {len(body)}\r\n" if tag else f"Content-Length: {len(body)}\r\n"
    return Ready(status, body, every, tag, start + own.encode())


@lru_cache(maxsize=256)
def _start(
    status: int, content_type: str, tagged: bool, headers: tuple[tuple[str, str], ...]
) -> tuple[Mapping[str, str], bytes]:
    """The headers of an answer of this sort, and its first lines with them: there are few sorts."""
    every = ALWAYS | dict(headers)
    if tagged:
        every["Cache-Control"] = "private, no-cache"
    if status != 204:
        every["Content-Type"] = content_type
    lines = "".join([f"{name}: {value}\r\n" for name, value in every.items()])
    if lines.count("\n") != len(every) or lines.count("\r") != len(every):
        raise ValueError(f"a header of more than one line: {', '.join(every)}")
    return every, (_FIRST_LINES[status] + lines).encode()


def given(request: web.Request, ready: Ready, request_id: str, own: Mapping[str, str]) -> web.StreamResponse:
    """The answer for this request, with the headers that are its own; a short one for who has it already."""
    if ready.tag and _matches(request.headers.get("If-None-Match", ""), ready.tag):
        kept = {name: value for name, value in ready.headers.items() if name != "Content-Type"}
        return web.Response(status=304, headers=CIMultiDict({**kept, "ETag": ready.tag, **own}))
    if ready.status == 204 or request.method == "HEAD" or request.version != HttpVersion11 or not request.keep_alive:
        tag = {"ETag": ready.tag} if ready.tag else {}
        body = None if ready.status == 204 else ready.body
        return web.Response(status=ready.status, body=body, headers=CIMultiDict({**ready.headers, **tag, **own}))
    return Given(ready, request_id, own)


def _matches(known: str, tag: str) -> bool:
    """Whether one of the tags the caller has is ours; weak or strong is the same here."""
    if not known:
        return False
    tags = [part.strip().removeprefix("W/") for part in known.split(",")]
    return tag in tags or tags == ["*"]


class Given(web.StreamResponse):
    """A ready answer as one piece, for a connection that stays open and whoever speaks HTTP/1.1: the rule.

    Making one costs a third of what a `web.Response` with as many headers does.
    """

    def __init__(self, ready: Ready, request_id: str, own: Mapping[str, str]) -> None:
        super().__init__(status=ready.status)
        mine = f"Date: {_date(int(time.time()))}\r\nX-Request-Id: {request_id}\r\n"
        if own:
            mine += "".join([f"{name}: {value}\r\n" for name, value in own.items()])
        self._wire = b"".join((ready.head, mine.encode(), b"\r\n", ready.body))
        self._writer: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        assert self._writer is not None and not data
        await self._writer.write_eof(self._wire)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
