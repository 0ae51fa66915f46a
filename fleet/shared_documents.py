"""Documents shared by every process over Redis: sealed there, and lost without harm."""

import contextlib
from collections.abc import Callable
from typing import Any

from fleet.documents import Documents
from fleet.wire import Lost, Wire

LIFE = 120.0  # seconds: a name has its minute in it

Seal = Callable[[bytes], bytes]


class SharedDocuments(Documents):
    """As `Documents`; what one process made another finds. `open` raises ValueError for what `seal` did not seal."""

    def __init__(self, edition: bytes, wire: Wire, seal: Seal, open: Seal) -> None:
        super().__init__(edition)
        self._wire, self._seal, self._open = wire, seal, open

    async def _look(self, name: bytes) -> bytes | None:
        try:
            found: Any = await self._wire.call(lambda redis: redis.get(self._key(name)))
            return None if found is None else self._open(found)
        except (Lost, ValueError):
            return None

    async def _share(self, name: bytes, document: bytes) -> bytes:
        sealed = self._seal(document)
        with contextlib.suppress(Lost):
            await self._wire.call(lambda redis: redis.set(self._key(name), sealed, px=round(LIFE * 1000)))
        return document

    def _key(self, name: bytes) -> str:
        return self._wire.key("document", name.hex())
