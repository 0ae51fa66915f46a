"""What happens to the calls of a rig that spends: the carrier charges, and then often does not say so.

Each rig's carrier runs in a process of its own. Beside the street's ledger, which is on disk before any answer, every
send is written down with its fate.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from street.app import build
from street.town import Town

LOST = frozenset({"charged_never_answers", "charged_500", "charged_broken", "charged_late", "killed"})
"""Fates of sends that cost money and whose answer is lost."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Send:
    """A call that spends: what it is for, in words for the book, and what it meets when nothing is decided yet.

    `fates` says how often it ends how; `own` are those that only this rig's carrier knows. `naive`: never killed over.
    """

    told: Mapping[str, str]
    fates: Mapping[str, int]
    own: Callable[[str, Handler, web.Request], Awaitable[web.StreamResponse]]
    fixed: str = ""  # its fate whatever the dice say
    naive: bool = False
    instead: Mapping[str, str] | None = None  # fates that cannot be met here, and what is met instead


class Misfortune:
    """What happens to a call, decided by dice of its own. `sending` says which calls spend, and on what."""

    def __init__(
        self,
        town: Town,
        folder: Path,
        args: Mapping[str, Any],
        trouble: Mapping[str, int],
        sending: Callable[[web.Request, bytes], Send | None],
    ) -> None:
        self.town, self.dice = town, random.Random(args["seed"])
        self.deadline, self.quiet = args["deadline"], args["quiet"]
        self.doomed: int | None = None  # the buyer that is killed at the next charge, before it has its answer
        self.calm = False
        self._trouble, self._sending = trouble, sending
        self._book = (folder / "sends.jsonl").open("a", encoding="utf-8")

    async def meet(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/rig/doom":
            self.doomed = int(request.query["pid"])
            return web.Response()
        if request.path == "/rig/calm":
            self.calm = True
            return web.Response()
        send = self._sending(request, await request.read())
        return await (self._ask(request, handler) if send is None else self._send(send, request, handler))

    def note(self, **told: str) -> None:
        self._book.write(json.dumps({**told, "at": self.town.now().isoformat()}) + "\n")
        self._book.flush()

    async def _ask(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        match "answered" if "token" in request.path or self.calm else self._throw(self._trouble):
            case "500":
                return _failed()
            case "reset":
                return broken_off(request)
            case "slow":
                await asyncio.sleep(self.deadline * 1.2)
        return await handler(request)

    async def _send(self, send: Send, request: web.Request, handler: Handler) -> web.StreamResponse:
        fate = "answered" if self.calm else self._throw(send.fates)
        fate = (send.instead or {}).get(fate, fate)
        if self.doomed and not send.naive:
            fate = "killed"
        fate = send.fixed or fate
        self.note(**send.told, fate=fate)
        match fate:
            case "500":
                return _failed()
            case "html":
                return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
            case "429":
                headers = {"Retry-After": "0"}
                return web.Response(status=429, text="{}", content_type="application/json", headers=headers)
            case "reset":
                return broken_off(request)
            case "late":  # it lands long after the caller has given up
                await asyncio.sleep(self.dice.uniform(self.deadline, self.quiet / 2))
        answer = await send.own(fate, handler, request)
        match fate:
            case "killed":
                self._kill()
                return broken_off(request)
            case "charged_never_answers":
                await asyncio.sleep(self.deadline * 1.5)
                return broken_off(request)
            case "charged_late":  # charged at once, answered after the caller's deadline
                await asyncio.sleep(self.deadline * self.dice.uniform(0.9, 1.5))
            case "charged_500":
                return _failed()
            case "charged_broken":
                whole = cast(bytes, cast(web.Response, answer).body)
                return web.Response(body=whole[: min(200, len(whole) // 2)], content_type="application/json")
        return answer

    def _kill(self) -> None:
        doomed, self.doomed = self.doomed, None
        if doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(doomed, signal.SIGKILL)

    def _throw(self, of: Mapping[str, int]) -> str:
        return self.dice.choices(list(of), list(of.values()))[0]


def broken_off(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _failed() -> web.Response:
    return web.Response(status=500, text="{}", content_type="application/json")


async def serve(town: Town, misfortune: Misfortune, folder: Path) -> None:
    """Serve the town with its misfortune until the process is killed; write its address into a file."""
    app = build(town)

    @web.middleware
    async def meet(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await misfortune.meet(request, handler)

    app.middlewares.insert(0, meet)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (folder / "address.part").write_text(f"http://127.0.0.1:{runner.addresses[0][1]}")
    (folder / "address.part").rename(folder / "address")
    await asyncio.Event().wait()
