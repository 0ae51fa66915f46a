"""What every call to UPS carries in its headers."""

import secrets
from collections.abc import Mapping

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
