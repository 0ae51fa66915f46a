"""Answers kept for a moment: while the database has not changed at all, the same question has the same answer.

It saves the reading and the rendering when many ask the same (a shop that polls, a shopper who reloads), and can never
be wrong about what is in the database. Where a store cannot say whether it changed (PostgreSQL), nothing is kept.
"""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from fleet.clocks import Clock
from store.engine import Store

LONGEST = timedelta(seconds=1)
"""No longer than this, in the story's time: what time it is decides some answers too."""
MOST = 1_000  # answers of some 10 kB each


class Kept:
    """What was answered lately, by whatever decides it (the question, the language, who may see it).

    All of it was read after the same commit: with the next one none of it holds any more. With a `longest` of nothing,
    nothing is kept.
    """

    def __init__(self, store: Store, clock: Clock, longest: timedelta = LONGEST) -> None:
        self._store, self._clock, self._longest = store, clock, longest
        self._answers: dict[Hashable, tuple[datetime, Any]] = {}
        self._as_of: int | None = None

    def find(self, name: Hashable) -> Any | None:
        """The answer to the same, where nothing was committed since it was read."""
        found = self._answers.get(name)
        if found is None or self._store.commits != self._as_of or self._clock.now() >= found[0]:
            return None
        return found[1]

    def since(self) -> int | None:
        """To be asked before the reading begins, and handed to `keep` after it."""
        return self._store.commits

    def keep(self, name: Hashable, answer: Any, since: int | None) -> None:
        if since is None or since != self._store.commits or not self._longest:
            return
        if since != self._as_of or len(self._answers) >= MOST:
            self._answers.clear()
            self._as_of = since
        self._answers[name] = (self._clock.now() + self._longest, answer)


KEPT = web.AppKey("kept", Kept)
