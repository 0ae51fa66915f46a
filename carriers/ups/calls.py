"""What every call to UPS has in common: its headers, its JSON, and lists that may come as one object."""

import json
import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# Fourteen hex digits fit every API: Delivery Intercept takes at most 14, Ship at most 32.  # source: facts/ups.md 0
_LENGTH = 14


def headers(trans_id: str = "") -> Mapping[str, str]:
    """The headers of one call; `trans_id` names a call that may be sent again as it is."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "transId": (trans_id or secrets.token_hex(_LENGTH // 2))[:_LENGTH],
        "transactionSrc": "homeward",
    }


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as exact bytes: the same content always gives the same."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def many(held: list[T] | T | None) -> list[T]:
    """A list, whatever came: one object for one element, nothing for none.  # source: facts/ups.md 0"""
    return held if isinstance(held, list) else [] if held is None else [held]
