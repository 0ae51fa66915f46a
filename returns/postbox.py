"""Hands a message to the mail server: SMTP with TLS, one message per connection, and what its answer means."""

import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

SECONDS = 30.0  # for each answer of the server
_ENHANCED = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})\b")


class Security(StrEnum):
    """How the way to the server is closed."""

    TLS = "tls"  # from the first byte
    STARTTLS = "starttls"  # demanded: a server without it is not spoken to
    NONE = "none"  # for a relay on the same machine


_SCHEMES = {
    "smtps": (Security.TLS, 465),
    "smtp": (Security.STARTTLS, 587),
    "smtp+plain": (Security.NONE, 25),
}


class Undelivered(Exception):
    """The message was not taken, or nobody knows. `final`: it never will be. Says nothing about a person."""

    def __init__(self, why: str, *, final: bool) -> None:
        super().__init__(why)
        self.why, self.final = why, final


@dataclass(frozen=True, slots=True)
class Postbox:
    """A mail server and who we are there. `context` is for servers with a certificate authority of their own."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)
    context: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """`smtps://user:password@host:465`, `smtp://...:587` (STARTTLS), `smtp+plain://host`. Raises ValueError."""
        try:
            parts = urlsplit(url)
            security, usual = _SCHEMES[parts.scheme]
            port = parts.port or usual
        except (KeyError, ValueError):
            raise ValueError("expected smtps://, smtp:// or smtp+plain://, a host and a port") from None
        if not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("expected smtps://USER:PASSWORD@HOST:PORT and nothing after it")
        return cls(parts.hostname, port, security, unquote(parts.username or ""), unquote(parts.password or ""))

    async def knock(self) -> None:
        """Connect, log in and leave, as `homeward doctor` does. Raises Undelivered."""
        server = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user or None,
            password=self.password or None,
            use_tls=self.security is Security.TLS,
            start_tls=self.security is Security.STARTTLS,
            tls_context=self.context,
            timeout=SECONDS,
        )
        try:
            async with server:
                await server.noop()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise _undelivered(error) from None

    async def deliver(self, sender: str, to: str, message: bytes) -> None:
        """Return once the server has taken it. Raises Undelivered."""
        try:
            await aiosmtplib.send(
                message,
                sender=sender,
                recipients=[to],
                hostname=self.host,
                port=self.port,
                username=self.user or None,
                password=self.password or None,
                use_tls=self.security is Security.TLS,
                start_tls=self.security is Security.STARTTLS,
                tls_context=self.context,
                timeout=SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise _undelivered(error) from None  # its message may hold the recipient


def _undelivered(error: Exception) -> Undelivered:
    """A refusal of the recipient or of the message is final; whatever else may pass: no way, no log-in, not now."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[aiosmtplib.SMTPRecipientRefused() as one, *_]):
            return Undelivered(f"the recipient: {_code(one.code, one.message)}", final=one.code >= 500)
        case aiosmtplib.SMTPRecipientRefused():
            return Undelivered(f"the recipient: {_code(error.code, error.message)}", final=error.code >= 500)
        case aiosmtplib.SMTPDataError():
            return Undelivered(f"the message: {_code(error.code, error.message)}", final=error.code >= 500)
        case aiosmtplib.SMTPResponseException():
            return Undelivered(f"the mail server: {_code(error.code, error.message)}", final=False)
        case _:
            return Undelivered(f"the mail server does not answer ({type(error).__name__})", final=False)


def _code(code: int, words: str) -> str:
    """The server's numbers without its words, in which addresses stand."""
    found = _ENHANCED.match(words)
    return f"{code} {found[1]}" if found else str(code)
