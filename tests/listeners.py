"""Real listeners for what leaves the house to people: an SMTP server, and an HTTP server that takes JSON."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP


@dataclass
class Mailbox:
    """An SMTP server that keeps what it is sent."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 kept"

    @property
    def url(self) -> str:
        """As Apprise writes it."""
        return f"mailto://127.0.0.1:{self.port}?from=homeward@example.com&to=ops@example.com&mode=insecure"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    def text(self, n: int = -1) -> str:
        body = self.mails[n].get_body(("plain", "html"))
        assert body is not None
        return str(body.get_content())


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, loop=loop, hostname="localhost"), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()


@dataclass
class Chat:
    """An HTTP server that takes JSON as chat services do, answers as it is told, and keeps what it heard."""

    url: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)
    tries: int = 0
    status: int = 200
    hang: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        self.tries += 1
        if self.hang:
            await self.hang.wait()
        if self.status == 200:
            self.heard.append(await request.json())
        return web.Response(status=self.status)

    @property
    def titles(self) -> list[str]:
        return [str(one["title"]) for one in self.heard]


@asynccontextmanager
async def chat() -> AsyncIterator[Chat]:
    heard = Chat()
    app = web.Application()
    app.router.add_post("/{tail:.*}", heard.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    heard.url = f"json://user:password-canary@127.0.0.1:{runner.addresses[0][1]}/token-canary"
    try:
        yield heard
    finally:
        await runner.cleanup()
