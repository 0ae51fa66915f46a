"""Documents that were made before, named by all that they are made from.

Another version has another name, so nothing is ever out of date and nothing has to be called back.
"""

import hashlib
from collections.abc import Callable

from cachetools import LRUCache

MOST = 1_000  # of some 5 kB each


class Documents:
    """Made once, found again. `edition` is what else decides a document: the program and the shops' terms."""

    def __init__(self, edition: bytes = b"") -> None:
        self._edition = edition
        self._here: LRUCache[tuple[str | bytes, ...], bytes] = LRUCache(MOST)

    async def made(self, *parts: str | bytes, make: Callable[[], bytes]) -> bytes:
        """The document of these parts: found, or made and kept. Raises what `make` does."""
        document: bytes | None = self._here.get(parts)
        if document is None:
            name = hashlib.blake2b(repr((self._edition, parts)).encode(), digest_size=20).digest()
            document = self._here[parts] = await self._look(name) or await self._share(name, make())
        return document

    async def _look(self, name: bytes) -> bytes | None:
        """Where others may have left it."""
        return None

    async def _share(self, name: bytes, document: bytes) -> bytes:
        """Leave it there; the document."""
        return document
