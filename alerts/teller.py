"""Speaks to the channels through Apprise, which knows e-mail, chat and paging services: in threads, with a deadline."""

import asyncio
import importlib
import logging
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from alerts.channels import Channel, ChannelsError, Message

DEADLINE = 30.0
"""Seconds for one message. The services' own time-outs are shorter; what still hangs holds its own thread only."""
_LONGEST = 300

_log = logging.getLogger("apprise")


class Teller:
    """One thread for each channel: one that hangs keeps no other waiting. Apprise is loaded with the first message."""

    def __init__(self, channels: Mapping[str, Channel], url: str = "", deadline: float = DEADLINE) -> None:
        self.channels = channels
        self.url = url  # where the desk is: it stands under every message
        self._deadline = deadline
        self._hands = {name: ThreadPoolExecutor(1, f"channel-{name}") for name in channels}
        self._hanging: dict[str, asyncio.Future[str]] = {}

    async def say(self, channel: Channel, message: Message) -> str:
        """Tell a channel; "" when it took it, else why not. Never raises, and never says a secret."""
        hanging = self._hanging.get(channel.name)
        if hanging and not hanging.done():
            return "the try before this one still hangs"
        task = asyncio.get_running_loop().run_in_executor(self._hands[channel.name], _say, channel.url, message)
        self._hanging[channel.name] = task
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._deadline)
        except TimeoutError:
            return f"no end within {self._deadline:.0f} s"

    async def check(self) -> None:
        """Raise ChannelsError for a URL that no service can be told by."""
        if self.channels:
            await asyncio.to_thread(_check, tuple(self.channels.values()))

    async def aclose(self) -> None:
        for hand in self._hands.values():
            hand.shutdown(wait=False, cancel_futures=True)


def _say(url: str, message: Message) -> str:
    """In a thread: one message out."""
    _listen()
    _heard.words = ""
    try:
        service = _service(url)
        if service is None:
            return "not a URL that is known"
        arrived = service.notify(title=message.title, body=message.body, notify_type=message.mood)
    except Exception as error:  # a plug-in may raise whatever its library raises
        return type(error).__name__
    return "" if arrived else without_secrets(_heard.words or "it was not taken", url)


def _check(channels: tuple[Channel, ...]) -> None:
    _listen()
    for channel in channels:
        if _service(channel.url) is None:
            raise ChannelsError(f"{channel.name}.url: not a URL that is known ({channel.service}://...)")


def _service(url: str) -> Any:
    # by name and late: it takes as long to load as all the rest together, and most installations have no channel
    apprise = importlib.import_module("apprise")
    asset = apprise.AppriseAsset(app_id="Homeward", app_desc="Homeward", app_url="", async_mode=False)
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def without_secrets(words: str, url: str) -> str:
    """What a service said, without any part of its URL but the host."""
    _, _, rest = url.partition("://")
    host = re.split(r"[/?]", rest, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    parts = {part for text in (rest, unquote(rest)) for part in re.split(r"[/:@?&=,]", text)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) > 3 and part != host:
            words = words.replace(part, "...")
    return words[:_LONGEST]


class _Ear(logging.Handler):
    """Keeps the first warning of this thread's send: why it failed. Nothing of Apprise's own log goes further."""

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(_heard, "words", ""):
            _heard.words = record.getMessage()


_heard = threading.local()
_ear = _Ear(logging.WARNING)


def _listen() -> None:
    if _ear not in _log.handlers:
        _log.addHandler(_ear)
        _log.propagate = False
