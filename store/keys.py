"""API keys: kept as keyed hashes only, so that nobody can read a key out of the database."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, func, insert, select, update

from fleet.clocks import from_us, to_us
from store.engine import Row, Source, Tx
from store.schema import api_keys
from store.statement import statement


class ApiKey(NamedTuple):
    """A key as it is known afterwards: its first characters, what it may do, when it was used and revoked.

    A tuple, for one is made for every call with a key: a frozen dataclass takes four times as long.
    """

    id: int
    hint: str
    name: str
    scopes: frozenset[str]
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None = None  # real time


_ADD = statement(
    insert(api_keys)
    .values({name: bindparam(name) for name in ("hash", "hint", "name", "scopes", "created_us", "expires_us")})
    .returning(api_keys.c.id)
)
FIND_KEY = statement(select(api_keys).where(api_keys.c.hash == bindparam("hash"), api_keys.c.revoked_us.is_(None)))
_ALL = statement(select(api_keys).order_by(api_keys.c.id))
_COUNT = statement(select(func.count().label("keys")).select_from(api_keys).where(api_keys.c.revoked_us.is_(None)))
_REVOKE = statement(
    update(api_keys)
    .where(api_keys.c.id == bindparam("id"), api_keys.c.revoked_us.is_(None))
    .values(revoked_us=bindparam("at_us"))
)
_USED = statement(update(api_keys).where(api_keys.c.id == bindparam("id")).values(used_us=bindparam("at_us")))


async def add_key(
    tx: Tx, *, mark: str, hint: str, name: str, scopes: Iterable[str], at: datetime, expires: datetime | None = None
) -> int:
    """Keep a key by its mark (`Sealer.mark(key)`); returns its number."""
    told, expires_us = msgspec.json.encode(sorted(scopes)).decode(), to_us(expires) if expires else None
    row = await tx.one(_ADD, hash=mark, hint=hint, name=name, scopes=told, created_us=to_us(at), expires_us=expires_us)
    assert row is not None
    return int(row["id"])


async def find_key(source: Source, mark: str) -> ApiKey | None:
    """The key with this mark, unless it was revoked. It may have ended: `expires_at`."""
    row = await source.one(FIND_KEY, hash=mark)
    return _key(row) if row else None


async def list_keys(tx: Tx) -> Sequence[ApiKey]:
    """Every key there ever was, oldest first."""
    return [_key(row) for row in await tx.all(_ALL)]


async def count_keys(tx: Tx) -> int:
    """How many keys live: none means a first start."""
    row = await tx.one(_COUNT)
    return int(row["keys"]) if row else 0


async def revoke_key(tx: Tx, key_id: int, at: datetime) -> bool:
    """End a key; False when there is none living with this number."""
    return bool(await tx.run(_REVOKE, id=key_id, at_us=to_us(at)))


async def note_use(tx: Tx, key_id: int, at: datetime) -> None:
    """Remember when a key was last used (not on every request: the caller spaces it)."""
    await tx.run(_USED, id=key_id, at_us=to_us(at))


_scopes = lru_cache(maxsize=256)(msgspec.json.Decoder(frozenset[str]).decode)  # many keys may do the same


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        hint=row["hint"],
        name=row["name"],
        scopes=_scopes(row["scopes"]),
        created_at=from_us(row["created_us"]),
        used_at=None if row["used_us"] is None else from_us(row["used_us"]),
        revoked_at=None if row["revoked_us"] is None else from_us(row["revoked_us"]),
        expires_at=None if row["expires_us"] is None else from_us(row["expires_us"]),
    )
