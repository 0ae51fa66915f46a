"""Tokens that only we can make and read: a use, a few facts and an end, sealed; nothing of them shows in an address."""

import base64
import binascii
import time
from collections.abc import Mapping

import msgspec

from store.sealing import Sealer, Unsealable

LONGEST = 2048
"""Characters of a token that are looked at."""


def make(sealer: Sealer, use: str, facts: Mapping[str, str], seconds: float) -> str:
    """A token for one use, for so long (real time)."""
    plain = msgspec.json.encode({"use": use, "until": int(time.time() + seconds), "facts": dict(facts)})
    return base64.urlsafe_b64encode(sealer.seal(plain)).rstrip(b"=").decode()


def read(sealer: Sealer, use: str, token: str) -> dict[str, str] | None:
    """Its facts; None for a token that is over, for another use, or not ours."""
    if not 0 < len(token) <= LONGEST:
        return None
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        told = msgspec.json.decode(sealer.open(sealed), type=_Told)
    except (binascii.Error, ValueError, Unsealable, msgspec.DecodeError):
        return None
    return told.facts if told.use == use and told.until >= time.time() else None


class _Told(msgspec.Struct):
    use: str
    until: int
    facts: dict[str, str]
