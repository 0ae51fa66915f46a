"""API keys: made, shown once, kept as keyed hashes, and asked for at the door."""

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from aiohttp import web

from api.house import House
from api.kept import Kept
from api.problems import Problem
from api.route import Caller
from store.engine import Store, Tx
from store.keys import ApiKey, add_key, count_keys, find_key, note_use
from store.sealing import Sealer

SCOPES = {
    "orders:write": "register orders and say that they shipped",
    "orders:read": "read orders",
    "parcels:read": "read parcels",
    "parcels:refresh": "ask a carrier now, within its quota",
    "returns:write": "register and cancel returns: this buys labels",
    "returns:read": "read returns",
    "labels:read": "fetch a label: it holds an address and is worth money",
    "webhooks:admin": "register, read and remove webhook endpoints",
    "links:write": "make and end signed links to the follow pages",
    "ops": "read and acknowledge alerts",
}
"""What a key may be allowed to do."""

NOBODY = Caller("", frozenset())
PREFIX = "hw_live_"

_KEY = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
_HINT = len(PREFIX) + 4
_NOTED_EVERY = timedelta(minutes=1)


def make_key() -> str:
    """A new key: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


async def issue(
    tx: Tx, sealer: Sealer, *, name: str, scopes: Iterable[str], at: datetime, expires: datetime | None = None
) -> str:
    """A new key, returned once and kept only as its mark; it ends at `expires`. Raises ValueError for an unknown scope.

    To change a key, make a second one: both live until the first ends or is revoked.
    """
    wanted = frozenset(scopes)
    if unknown := wanted - SCOPES.keys():
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}; known are {', '.join(SCOPES)}")
    key = make_key()
    hint = key[:_HINT]
    await add_key(tx, mark=sealer.mark(key), hint=hint, name=name, scopes=wanted, at=at, expires=expires)
    return key


async def first_key(store: Store, sealer: Sealer, at: datetime) -> str | None:
    """The development key of a first start, with every scope; None where keys exist."""

    async def unit(tx: Tx) -> str | None:
        if await count_keys(tx):
            return None
        return await issue(tx, sealer, name="development", scopes=SCOPES, at=at)

    return await store.write(unit)


async def authenticate(house: House, kept: Kept, request: web.Request, scope: str) -> Caller:
    """Whoever holds the key in `Authorization: Bearer`. Raises Problem without a living key, or without the scope."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    found = await _find(house, kept, key.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise Problem(
            "unauthorized", "send Authorization: Bearer <key>", headers={"WWW-Authenticate": 'Bearer realm="homeward"'}
        )
    if scope not in found.scopes:
        raise Problem("missing_scope", f"the key {found.hint}... lacks {scope}")
    return Caller(f"key:{found.id}", found.scopes)


async def _find(house: House, kept: Kept, key: str) -> ApiKey | None:
    """The living key. It is looked up by its keyed hash, so how long that takes says nothing about any key."""
    if not _KEY.fullmatch(key):
        return None
    mark = house.sealer.mark(key)
    known: ApiKey | None = kept.find(("key", mark))
    if known is not None:
        return known if _lives(known) else None
    since = kept.since()
    if found := await living_key(house, mark):
        kept.keep(("key", mark), found, since)
    return found


def _lives(key: ApiKey) -> bool:
    return key.expires_at is None or datetime.now(UTC) < key.expires_at


async def living_key(house: House, mark: str) -> ApiKey | None:
    """The living key with this mark, its use noted."""
    found = await find_key(house.store, mark)
    if found is None or not _lives(found):
        return None
    now = datetime.now(UTC)
    if found.used_at is None or now - found.used_at > _NOTED_EVERY:
        key_id = found.id
        await house.store.write(lambda tx: note_use(tx, key_id, now))
    return found
