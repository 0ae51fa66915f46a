"""The channels that ops are told through: what `channels.toml` says, and what a message says (pure).

A file and not a call: a channel's URL holds a password or a token and says where our data goes. Both are the operator's
(docs/decisions/0020). A secret may stand in the environment: `${NAME}` in a URL is replaced by it.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from merchants.terms import Terms
from store.audience import Audience

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


_UTC = ZoneInfo("UTC")


class ChannelsError(ValueError):
    """The channels cannot be read; the message names the channel and what was expected, and never a secret."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where ops are told, and of what. `digest` is the local hour of a day's summary (none: no summary)."""

    name: str
    url: str = field(repr=False)
    audience: Audience
    digest: time | None = None
    zone: ZoneInfo = _UTC

    @property
    def service(self) -> str:
        """What kind it is, as far as it can be shown: mailto, slack, json."""
        return self.url.partition("://")[0]


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is told. `mood` is info, warning, failure or success, as chat services colour it."""

    title: str
    body: str
    mood: str = "info"


TRIAL = Message("[test] Homeward can be heard", "Somebody asked whether this channel works. It does.")


class _Entry(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, Field(min_length=4, max_length=2000)]
    severity: Literal["info", "warning", "critical"] = "warning"
    shops: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()
    digest: time | None = None
    time_zone: str = ""

    @field_validator("digest", mode="before")
    @classmethod
    def _hour(cls, given: object) -> object:
        if isinstance(given, str) and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", given):
            raise ValueError('expected a local time such as "08:00"')
        return given


def read_channels(
    text: str, environment: Mapping[str, str], shelf: Mapping[str, Sequence[Terms]]
) -> dict[str, Channel]:
    """The channels of a file by name. Raises ChannelsError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ChannelsError(f"not TOML: {error}") from None
    return {name: _channel(name, table, environment, shelf) for name, table in tables.items()}


def _channel(name: str, table: object, environment: Mapping[str, str], shelf: Mapping[str, Sequence[Terms]]) -> Channel:
    if not _NAME.fullmatch(name):
        raise ChannelsError(f"{name}: a name of small letters, digits and dashes is expected")
    try:
        entry = _Entry.model_validate(table)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ChannelsError(f"{name}.{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}") from None
    if unknown := sorted(set(entry.shops) - set(shelf)):
        raise ChannelsError(f"{name}.shops: no shop {unknown[0]}; known: {', '.join(sorted(shelf))}")
    audience = Audience(entry.severity, tuple(sorted(entry.shops)), tuple(sorted(entry.carriers)))
    return Channel(name, _filled(name, entry.url, environment), audience, entry.digest, _zone(name, entry, shelf))


def _filled(name: str, url: str, environment: Mapping[str, str]) -> str:
    """The URL with what stands in the environment."""
    for wanted in _FROM_ENVIRONMENT.findall(url):
        if not environment.get(wanted):
            raise ChannelsError(f"{name}.url: {wanted} is not in the environment")
    return _FROM_ENVIRONMENT.sub(lambda found: environment[found[1]], url)


def _zone(name: str, entry: _Entry, shelf: Mapping[str, Sequence[Terms]]) -> ZoneInfo:
    """The zone in which a digest's hour is meant: the one stated, else the first named shop's, else UTC."""
    try:
        if entry.time_zone:
            return ZoneInfo(entry.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ChannelsError(f"{name}.time_zone: no such zone; expected one such as Europe/Rome") from None
    return shelf[entry.shops[0]][-1].zone if entry.shops else _UTC


# ------------------------------------------------------------------------------------------------------------- wording

_MOODS = {"info": "info", "warning": "warning", "critical": "failure"}


def message_of(type: str, data: Mapping[str, Any], url: str) -> Message:
    """What a channel is told of a notice: only what an alert holds, never a name, a street or an e-mail."""
    if type == "ops.digest":
        return Message(str(data["title"]), "\n".join([*map(str, data["lines"]), "", f"{url}/ops"]), "info")
    alert = data["alert"]
    severity = str(alert["severity"])
    about = ", ".join(str(part) for part in (data.get("merchant"), data.get("carrier")) if part)
    since = f"since {alert['opened_at']}" + (f" ({about})" if about else "")
    if type == "alert.cleared":
        return Message(f"[over] {alert['title']}", f"Nothing to do any more: {since}.\n{url}/ops", "success")
    body = f"What to do next: {alert['action']}\n\n{severity}, {since}.\n{url}/ops"
    return Message(f"[{severity}] {alert['title']}", body, _MOODS.get(severity, "failure"))
