"""Bearer tokens that a carrier gave out: counted, checked, and ended in real time."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Given:
    owner: str
    scope: str
    good_until: float


class Tokens:
    """`minted` counts every token ever given, so that a storm of renewals can be seen."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._given: dict[str, Given] = {}
        self._monotonic = monotonic
        self.minted = 0

    def mint(self, owner: str, scope: str, seconds: float) -> str:
        self.minted += 1
        value = secrets.token_urlsafe(24)
        self._given[value] = Given(owner, scope, self._monotonic() + seconds)
        return value

    def scope(self, value: str) -> str | None:
        """What the token may do, or None when it is unknown or has ended."""
        given = self._given.get(value)
        return given.scope if given and given.good_until > self._monotonic() else None

    def owner(self, value: str) -> str:
        given = self._given.get(value)
        return given.owner if given else ""

    def forget(self) -> None:
        """Every token ends now."""
        self._given = {value: Given(given.owner, given.scope, 0.0) for value, given in self._given.items()}
