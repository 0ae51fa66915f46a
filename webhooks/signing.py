"""Signs a notice as the Standard Webhooks specification says: three headers, one secret for each endpoint (pure)."""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
SECRET_BYTES = 32


def make_secret(random: bytes) -> str:
    """The secret in the form that receivers' libraries read, from random bytes."""
    if len(random) < SECRET_BYTES:
        raise ValueError(f"{SECRET_BYTES} random bytes are needed for a secret")
    return PREFIX + base64.b64encode(random).decode()


def sign(secret: str, notice_id: str, seconds: int, body: bytes, *older: str) -> dict[str, str]:
    """The headers that prove to the receiver who sent these bytes, and when. Raises ValueError for a malformed secret.

    The signed text is the id, the unix time of this try and the body, joined by dots. Id and body never change; the
    time is each try's own, because receivers refuse old ones. Older secrets that still hold sign too, side by side.
    """
    signed = f"{notice_id}.{seconds}.".encode() + body
    signatures = " ".join(f"v1,{_signature(one, signed)}" for one in (secret, *older))
    return {"webhook-id": notice_id, "webhook-timestamp": str(seconds), "webhook-signature": signatures}


def _signature(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not key:
        raise ValueError(f"a webhook secret looks like {PREFIX}<base64>")
    return key
