"""The pages' own files, named by their content so that a browser may keep them for good."""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    body: bytes
    content_type: str
    address: str


@cache
def files() -> dict[str, StaticFile]:
    """Every file by its plain name: page.css is served at /static/page.<hash>.css."""
    found = {}
    for path in sorted(FOLDER.iterdir()):
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:12]
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found[path.name] = StaticFile(body, kind, f"/static/{path.stem}.{digest}{path.suffix}")
    return found


def address(name: str) -> str:
    """Where a file is served. Raises KeyError for a file that is not there."""
    return files()[name].address


async def serve(request: web.Request) -> web.Response:
    """GET /static/{name}"""
    wanted = request.path
    for file in files().values():
        if file.address == wanted:
            return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=FOREVER)
    raise web.HTTPNotFound
