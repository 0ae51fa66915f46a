"""How a shop looks on the pages: its name, its colours as a style of ours, its logo from the terms' folder."""

import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from api.colours import night_palette, palette
from api.manners import Handler
from api.static_files import FOREVER, StaticFile
from merchants.terms import SHIPPED, Terms

LARGEST_LOGO = 256 * 1024
_LOGOS = frozenset({"image/svg+xml", "image/png", "image/jpeg", "image/webp"})


@dataclass(frozen=True, slots=True)
class ShopLook:
    """A shop's name, and the addresses of its style and its logo ("": the name in letters)."""

    merchant: str
    name: str
    style: str
    logo: str = ""


class Looks:
    """Every shop's look by its name, and the files it needs by their address."""

    def __init__(self, shelf: Mapping[str, Sequence[Terms]], folder: Path = SHIPPED) -> None:
        self._looks: dict[str, ShopLook] = {}
        self._files: dict[str, StaticFile] = {}
        for merchant, versions in shelf.items():
            if versions:
                self._looks[merchant] = self._take(merchant, versions[-1], folder)

    def of(self, merchant: str) -> ShopLook | None:
        return self._looks.get(merchant)

    def serve(self) -> Handler:
        """GET /look/{name}"""

        async def show(request: web.Request) -> web.Response:
            if (file := self._files.get(request.path)) is None:
                raise web.HTTPNotFound
            return web.Response(body=file.body, content_type=file.content_type, headers=FOREVER)

        return show

    def _take(self, merchant: str, terms: Terms, folder: Path) -> ShopLook:
        look = terms.look
        style = self._keep(merchant, "css", stylesheet(look.paper, look.ink, look.accent).encode(), "text/css")
        return ShopLook(merchant, look.name, style, self._logo(merchant, look.logo, folder) if look.logo else "")

    def _logo(self, merchant: str, name: str, folder: Path) -> str:
        """The logo's address; "" for a file that is not beside the terms, too large, or no picture."""
        path, kind = folder / name, mimetypes.guess_type(name)[0] or ""
        if Path(name).name != name or kind not in _LOGOS or not path.is_file():
            return ""
        body = path.read_bytes()
        return self._keep(merchant, path.suffix[1:], body, kind) if len(body) <= LARGEST_LOGO else ""

    def _keep(self, merchant: str, suffix: str, body: bytes, kind: str) -> str:
        address = f"/look/{merchant}.{hashlib.sha256(body).hexdigest()[:12]}.{suffix}"
        self._files[address] = StaticFile(body, kind, address)
        return address


def stylesheet(paper: str, ink: str, accent: str) -> str:
    """The pages' custom properties in a shop's colours, by day and by night."""
    day, night = (_properties(colours) for colours in (palette(paper, ink, accent), night_palette(accent)))
    return f":root {{ {day} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {night} }} }}\n"


def _properties(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
