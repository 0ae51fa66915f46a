"""Whom to tell of a weakness: /.well-known/security.txt (RFC 9116)."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from api.house import House
from api.manners import Handler

PATH = "/.well-known/security.txt"
GOOD_FOR = timedelta(days=180)  # RFC 9116 2.5.5 recommends less than a year


def security_txt(house: House) -> Handler:
    """GET /.well-known/security.txt; 404 where nobody is named: a wrong address is worse than none."""

    async def show(request: web.Request) -> web.StreamResponse:
        if not house.security_contact:
            raise web.HTTPNotFound
        expires = (datetime.now(UTC) + GOOD_FOR).replace(hour=0, minute=0, second=0)
        contact = house.security_contact
        lines = [
            f"Contact: {contact if ':' in contact else f'mailto:{contact}'}",
            f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
            "Preferred-Languages: en, it, fr, de, es",
        ]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", charset="utf-8")

    return show
