"""What changed, told to whoever waits for it: in this process, and to the others where they share a Redis.

A message only says that something is worth a look; what is true is in the database, and who hears nothing looks anyway.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

READ = "wake:read"
"""The subject that wakes the work loop: a payload was kept."""


class News:
    """The subjects ("parcel:7", "order:3") that somebody in this process waits for, and those who wait.

    `reliable` says whether what other processes change is heard here too.
    """

    def __init__(self, *, alone: bool = True) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._always: list[tuple[str, Callable[[], None]]] = []
        self.reliable: Callable[[], bool] = lambda: alone
        self.pass_on: Callable[[Collection[str]], None] = lambda subjects: None

    def tell(self, subjects: Collection[str]) -> None:
        """These changed, and it is committed: everybody who waits wakes, here and in the other processes."""
        self.hear(subjects)
        self.pass_on(subjects)

    def hear(self, subjects: Iterable[str]) -> None:
        """The same, told by another process."""
        for subject in subjects:
            for event in self._waiting.get(subject, ()):
                event.set()
            for wanted, wake in self._always:
                if wanted == subject:
                    wake()

    def always(self, subject: str, wake: Callable[[], None]) -> None:
        """Call this each time, from now on."""
        self._always.append((subject, wake))

    @contextlib.contextmanager
    def waiting(self, subjects: Collection[str]) -> Iterator[asyncio.Event]:
        """An event that is set when one of them changes."""
        event = asyncio.Event()
        for subject in subjects:
            self._waiting[subject].add(event)
        try:
            yield event
        finally:
            for subject in subjects:
                self._waiting[subject].discard(event)
                if not self._waiting[subject]:
                    del self._waiting[subject]


def written(kind: str, what: object, sender: str) -> bytes:
    """A message between processes."""
    return json.dumps([sender, kind, what], separators=(",", ":")).encode()


def understood(message: bytes, mine: str) -> tuple[str, object] | None:
    """Its kind and content; None for our own, and for what is none."""
    try:
        sender, kind, what = json.loads(message)
    except (ValueError, TypeError):
        return None
    return None if sender == mine else (kind, what)
