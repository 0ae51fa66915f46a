"""Every setting of an installation: read once from the environment and `.env`, checked, frozen. Secrets never print."""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from cli.keeping import read_keep
from fleet.clocks import Clock
from merchants.terms import SHIPPED
from returns.postbox import Postbox
from spending.brakes import Limits
from store.sealing import KEY_BYTES

PREFIX = "HOMEWARD_"


class Misconfigured(Exception):
    """The service cannot start like this; the message names the setting and what was expected."""


class Settings(BaseModel):
    """The settings, each with a sentence of help.

    In the environment they are written in capitals after HOMEWARD_, but for DATABASE_URL and REDIS_URL.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Annotated[Path, Field(description="Folder for the database, the key and the lock.")] = Path("data")
    database_url: Annotated[
        str, Field(description="sqlite:///FILE or postgresql+asyncpg://...; empty: a SQLite file in the data folder.")
    ] = ""
    redis_url: Annotated[
        str,
        Field(description="redis://... shared by several processes; empty: each is on its own. Nothing true is in it."),
    ] = ""
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port to listen on.")] = 8080
    public_url: Annotated[
        str, Field(description="Where carriers and shoppers reach this service, https://...; empty: host and port.")
    ] = ""
    merchants: Annotated[
        Path, Field(description="Folder of the shops' terms (*.toml); empty: the two shipped examples.")
    ] = Path()
    key: Annotated[
        SecretStr,
        Field(description="32 bytes in base64 that seal personal data at rest; empty: made in the data folder."),
    ] = SecretStr("")
    clock: Annotated[
        str, Field(description="Story clock START@SPEED@ANCHOR for rehearsals; empty: the clock on the wall.")
    ] = ""
    street_url: Annotated[
        str, Field(description="A simulated street that already runs (homeward sandbox); empty: one is started.")
    ] = ""
    street_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of the simulated street; 0: the service's port + 1.")
    ] = 0
    carriers: Annotated[
        str, Field(description="Carriers to speak to, by folder, separated by commas; empty: those with credentials.")
    ] = ""
    proxies: Annotated[
        int, Field(ge=0, le=5, description="How many reverse proxies of yours stand before the service.")
    ] = 0
    allow_private: Annotated[
        str,
        Field(description="Hosts (HOST or HOST:PORT, commas between) on private addresses that notices may go to."),
    ] = ""
    desk_header: Annotated[
        str,
        Field(description="A header with the user's name, set by your reverse proxy: opens /ops without a key."),
    ] = ""
    security_contact: Annotated[
        str, Field(description="Whom to tell of a weakness: an address for /.well-known/security.txt; empty: no file.")
    ] = ""
    calls_per_minute: Annotated[
        int, Field(ge=0, description="Calls that one API key may make in a minute; 0: as many as it likes.")
    ] = 60_000
    pace: Annotated[
        float,
        Field(gt=0, le=1, description="Scales every delay of a label's purchase; below 1 for rehearsals only."),
    ] = 1.0
    log: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="How much goes to the log (JSON lines on stderr)."),
    ] = "warning"
    sockets: Annotated[
        int,
        Field(ge=0, description="Sockets that one network may hold open; 0, or behind a proxy: as many as it likes."),
    ] = 256
    keep: Annotated[
        str,
        Field(description="Days to keep what is over: addresses, payloads (raw answers and pushes), links, answers."),
    ] = "addresses=150,payloads=90,links=30,answers=30"
    drain: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds from a SIGTERM, in which /readyz says no, until the doors close."),
    ] = 0.0
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="A port of its own for /metrics, /healthz and /readyz; 0: none.")
    ] = 0
    channels: Annotated[
        Path,
        Field(description="File of the channels that ops are told through; empty: channels.toml in the data folder."),
    ] = Path()
    budget: Annotated[
        str,
        Field(description="Calls a carrier allows, CARRIER.API=CALLS/SECONDS separated by commas; `off`: no limit."),
    ] = "ups.*=8/1,usps.*=60/3600,usps.labels=10/1,usps.payments=10/1"

    spend: Annotated[
        str,
        Field(description="Most to spend: on a label, a return, and in an hour by one API key and by all."),
    ] = "label=60,return=180,key=2000,hour=5000"

    smtp_url: Annotated[
        SecretStr,
        Field(
            description="Mail server for labels by e-mail: smtps://USER:PASSWORD@HOST:465, smtp://...:587 (STARTTLS), "
            "or smtp+plain://HOST for a relay on this machine; empty: no label is mailed."
        ),
    ] = SecretStr("")
    mail_from: Annotated[
        str, Field(pattern=r"^$|^[^@\s<>]+@[^@\s<>]+$", description="The address that mails to shoppers come from.")
    ] = ""

    @field_validator("smtp_url")
    @classmethod
    def _is_a_server(cls, given: SecretStr) -> SecretStr:
        if given.get_secret_value():
            Postbox.parse(given.get_secret_value())
        return given

    @field_validator("keep")
    @classmethod
    def _can_be_kept(cls, given: str) -> str:
        read_keep(given)
        return given

    @field_validator("spend")
    @classmethod
    def _can_be_read(cls, given: str) -> str:
        Limits.parse(given)
        return given

    @property
    def keeping(self) -> dict[str, int]:
        return read_keep(self.keep)

    @property
    def terms_folder(self) -> Path:
        return self.merchants if self.merchants != Path() else SHIPPED

    @property
    def channels_file(self) -> Path:
        return self.channels if self.channels != Path() else self.data / "channels.toml"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'homeward.db'}"

    @property
    def url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def postbox(self) -> Postbox | None:
        """The mail server; None where no label is mailed. It takes a server and an address to write from."""
        url = self.smtp_url.get_secret_value()
        return Postbox.parse(url) if url and self.mail_from else None

    @property
    def story(self) -> Clock:
        return Clock.parse(self.clock)


_PLAIN = {"database_url", "redis_url"}
_NAMES = {name: ("" if name in _PLAIN else PREFIX) + name.upper() for name in Settings.model_fields}


def environment(file: Path = Path(".env")) -> dict[str, str]:
    """The process's environment over what a `.env` file beside it says."""
    return {**{k: v for k, v in dotenv_values(file).items() if v is not None}, **os.environ}


def read_settings(env: Mapping[str, str], **given: object) -> Settings:
    """The settings from an environment; `given` (options of the command line) win. Raises Misconfigured."""
    found: dict[str, object] = {name: env[var] for name, var in _NAMES.items() if env.get(var)}
    unknown = sorted(k for k in env if k.startswith(PREFIX) and k not in _NAMES.values() and k not in _ELSEWHERE)
    if unknown:
        raise Misconfigured(f"no setting {unknown[0]}; known: {', '.join(sorted(_NAMES.values()))}")
    try:
        settings = Settings.model_validate(found | {k: v for k, v in given.items() if v is not None})
        Clock.parse(settings.clock)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise Misconfigured(f"{_NAMES[str(fault['loc'][0])]}: {fault['msg']}") from None
    except ValueError as error:
        raise Misconfigured(f"{_NAMES['clock']}: {error}") from None
    return settings


_ELSEWHERE = {"HOMEWARD_CONFORMANCE", "HOMEWARD_PLANTED"}


def sealing_key(settings: Settings) -> bytes:
    """The installation's key: from the setting, else from its own file in the data folder, made on first use (0600)."""
    if text := settings.key.get_secret_value():
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise Misconfigured(f"HOMEWARD_KEY: expected {KEY_BYTES} bytes in base64")
        return key
    path = settings.data / "homeward.key"
    if not path.exists():
        settings.data.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    return path.read_bytes()
