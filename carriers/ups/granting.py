"""The tokens that UPS fetches from us before it pushes (Track Alert v2), and their proof; pure, nothing is kept.

UPS acts as a client of our own OAuth server: it asks with the client id and secret that were entered in its portal, and
shows the token with every push. A token is signed with that secret, so any process can check it.
# source: facts/ups.md 6.2; UPSTrackAlert.yaml, clientOauth2
"""

import base64
import binascii
import hmac
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from urllib.parse import parse_qs

from carriers.contract import Forged, Push, Unreadable

# As short as a token of ours has to be: nothing in the facts asks for more, and UPS asks again when one has ended.
LIFE_SECONDS = 900
CREDENTIALS = "client_credentials"


def grant(asked: Push, secrets: Sequence[str], now: datetime) -> bytes:
    """The JSON answer to UPS's token call.

    Raises Unreadable where it asks for something else, Forged unless it shows one of our `client-id:client-secret`.
    """
    try:
        form = parse_qs(asked.body.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise Unreadable("expected a form with grant_type") from error
    if form.get("grant_type") != [CREDENTIALS]:
        raise Unreadable(f"expected grant_type={CREDENTIALS}")
    shown = _basic(asked) or (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
    found = None
    for client, secret in _clients(secrets):
        if _same(shown[0], client) & _same(shown[1], secret):
            found = client, secret
    if found is None:
        raise Forged("UPS: a token was asked for without our credentials")
    expires = int(now.timestamp()) + LIFE_SECONDS
    answer = {
        "access_token": _token(*found, expires),
        "token_type": "Bearer",
        "expires_in": str(LIFE_SECONDS),
        "issued_at": str(int(now.timestamp()) * 1000),
        "client_id": found[0],
        "status": "approved",
    }
    return json.dumps(answer).encode()


def was_granted(token: str, client: str, secrets: Sequence[str], now: datetime) -> bool:
    """Whether we gave this token to this client and it still holds."""
    expires = token.split(".")[1] if token.count(".") == 2 else ""
    if not (expires.isascii() and expires.isdecimal()) or len(expires) > 12 or int(expires) <= now.timestamp():
        return False
    proven = False
    for ours, secret in _clients(secrets):
        proven |= _same(client, ours) & _same(token, _token(ours, secret, int(expires)))
    return proven


def _token(client: str, secret: str, expires: int) -> str:
    told = f"homeward push token\n{client}\n{expires}".encode()
    name = base64.urlsafe_b64encode(client.encode()).decode().rstrip("=")
    return f"{name}.{expires}.{hmac.new(secret.encode(), told, sha256).hexdigest()}"


def _clients(secrets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of our secrets that name a client; both halves are there."""
    for secret in secrets:
        client, _, key = secret.partition(":")
        if client and key:
            yield client, key


def _basic(asked: Push) -> tuple[str, str] | None:
    scheme, _, held = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client, _, secret = base64.b64decode(held.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return client, secret


def _same(one: str, other: str) -> bool:
    """Constant time, whatever the lengths."""
    return hmac.compare_digest(sha256(one.encode()).digest(), sha256(other.encode()).digest())
