"""What is sealed at rest: AES-256-GCM for fields and documents, keyed marks for finding what must not be read."""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES = 32
_NONCE_BYTES = 12
_MAKE = b"\x01"  # the first byte of everything sealed: how it was done


class Unsealable(ValueError):
    """Bytes that this key did not seal, or that were changed since."""


class Sealer:
    """Seals and marks with one installation's key. Neither `repr` nor an error shows it."""

    __slots__ = ("_cipher", "_marking")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the sealing key has {len(key)} bytes; {KEY_BYTES} are needed")
        # one key for each use, so that a mark never says anything about a seal
        self._cipher = AESGCM(_derive(key, b"homeward seal"))
        self._marking = _derive(key, b"homeward mark")

    def seal(self, plain: bytes) -> bytes:
        """Make byte, fresh nonce, and the sealed bytes with their tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return _MAKE + nonce + self._cipher.encrypt(nonce, plain, _MAKE)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed. Raises Unsealable."""
        if sealed[:1] != _MAKE:
            raise Unsealable("these bytes were not sealed by Homeward")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, _MAKE)
        except (InvalidTag, ValueError):
            raise Unsealable("sealed with another key, or changed since: check HOMEWARD_KEY") from None

    def mark(self, text: str) -> str:
        """A keyed hash (HMAC-SHA256, hex): the same text gives the same mark; nobody without the key can make it."""
        return hmac.digest(self._marking, text.encode(), "sha256").hex()


def _derive(key: bytes, use: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=use).derive(key)
