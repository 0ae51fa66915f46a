"""What carriers told us, byte for byte, and which numbers each payload speaks of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, exists, func, or_, select, update

from store.schema import mentions, parcels, payloads, sightings, subscriptions, unknown_codes
from store.statement import one_of, statement
from store.unit import Row, Tx

Name = tuple[str, str, str]
"""A payload's carrier, source and digest."""

_KEEP = statement(
    lambda insert: (
        insert(payloads)
        .values(
            {
                name: bindparam(name)
                for name in ("carrier", "source", "digest", "body", "asked", "status", "received_us")
            }
        )
        .on_conflict_do_nothing(index_elements=["carrier", "source", "digest"])
        .returning(payloads.c.id, payloads.c.read_us)
    )
)
_KEEP_MINE = statement(
    lambda insert: (
        insert(payloads)
        .values(
            {
                name: bindparam(name)
                for name in ("carrier", "source", "digest", "body", "asked", "status", "received_us", "lease_us")
            }
            | {"tries": 1}
        )
        .on_conflict_do_nothing(index_elements=["carrier", "source", "digest"])
        .returning(payloads.c.id)
    )
)
_KEEP_PUSH = statement(
    lambda insert: (
        insert(payloads)
        .values({name: bindparam(name) for name in ("carrier", "source", "digest", "body", "received_us", "late")})
        .on_conflict_do_nothing(index_elements=["carrier", "source", "digest"])
    )
)
_FIND = statement(
    select(payloads.c.id, payloads.c.read_us).where(
        payloads.c.carrier == bindparam("carrier"),
        payloads.c.source == bindparam("source"),
        payloads.c.digest == bindparam("digest"),
    )
)
_READ_BEFORE = statement(
    select(payloads.c.digest).where(
        payloads.c.carrier == bindparam("carrier"),
        payloads.c.source == bindparam("source"),
        one_of(payloads.c.digest, "digests", str),
        payloads.c.read_us.is_not(None),
    )
)
_GET = statement(select(payloads).where(payloads.c.id == bindparam("id")))
_UNREAD = statement(
    select(payloads.c.id)
    .where(
        payloads.c.read_us.is_(None),
        or_(payloads.c.lease_us.is_(None), payloads.c.lease_us < bindparam("real_now")),
        payloads.c.tries >= bindparam("least_tries"),
    )
    .order_by(payloads.c.id)
    .limit(bindparam("limit"))
)
_MARK = statement(
    update(payloads)
    .where(payloads.c.id == bindparam("of"), payloads.c.read_us.is_(None))
    .values(read_us=bindparam("at"), error=bindparam("why"))
)
_MARK_ALL = statement(
    update(payloads)
    .where(one_of(payloads.c.id, "ids"), payloads.c.read_us.is_(None))
    .values(read_us=bindparam("at"), error="")
)
_TAKE = statement(
    update(payloads)
    .where(
        payloads.c.id == bindparam("of"),
        payloads.c.read_us.is_(None),
        or_(payloads.c.lease_us.is_(None), payloads.c.lease_us < bindparam("real_now")),
    )
    .values(tries=payloads.c.tries + 1, lease_us=bindparam("until"))
)
_fresh = (
    select(payloads.c.id)
    .where(
        payloads.c.read_us.is_(None),
        or_(payloads.c.lease_us.is_(None), payloads.c.lease_us < bindparam("real_now")),
        payloads.c.tries == 0,
    )
    .order_by(payloads.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte("fresh")
)
_TAKE_FRESH = statement(
    update(payloads)
    .where(payloads.c.id == _fresh.c.id)
    .values(tries=payloads.c.tries + 1, lease_us=bindparam("until"))
    .returning(payloads)
)
_STILL_UNREAD = statement(
    select(payloads.c.id)
    .where(one_of(payloads.c.id, "ids"), payloads.c.read_us.is_(None))
    .order_by(payloads.c.id)
    .with_for_update()
)
_FREE = statement(update(payloads).where(payloads.c.read_us.is_(None)).values(lease_us=None))
_MENTION = statement(
    lambda insert: (
        insert(mentions)
        .values(payload_id=bindparam("payload_id"), carrier=bindparam("carrier"), number=bindparam("number"))
        .on_conflict_do_nothing()
    )
)
_MENTIONING = statement(
    select(payloads)
    .join(mentions, mentions.c.payload_id == payloads.c.id)
    .where(
        mentions.c.carrier == bindparam("carrier"),
        mentions.c.number == bindparam("number"),
        mentions.c.payload_id != bindparam("but"),
    )
    .order_by(payloads.c.id)
)
_ALL_MENTIONING = statement(
    select(payloads, mentions.c.number.label("of_number"))
    .join(mentions, mentions.c.payload_id == payloads.c.id)
    .where(
        mentions.c.carrier == bindparam("carrier"),
        one_of(mentions.c.number, "numbers", str),
        ~one_of(mentions.c.payload_id, "but"),
    )
    .order_by(payloads.c.id)
)
_COUNT_CODE = statement(
    lambda insert: (
        insert(unknown_codes)
        .values(
            carrier=bindparam("carrier"),
            code=bindparam("code"),
            day=bindparam("day"),
            words=bindparam("words"),
            count=1,
            payload_digest=bindparam("payload_digest"),
        )
        .on_conflict_do_update(index_elements=["carrier", "code", "day"], set_={"count": unknown_codes.c.count + 1})
    )
)
_AGAIN = statement(
    update(payloads).where(payloads.c.error != "").values(read_us=None, error="", tries=0, lease_us=None)
)
_KNOWN_NOW = statement(
    delete(unknown_codes).where(
        unknown_codes.c.carrier == bindparam("of_carrier"), unknown_codes.c.code == bindparam("of_code")
    )
)
_CODES = statement(
    select(
        unknown_codes.c.carrier,
        unknown_codes.c.code,
        func.min(unknown_codes.c.day).label("first_day"),
        func.max(unknown_codes.c.day).label("last_day"),
        func.sum(unknown_codes.c.count).label("count"),
        func.max(unknown_codes.c.words).label("words"),
        func.max(unknown_codes.c.payload_digest).label("digest"),
    )
    .group_by(unknown_codes.c.carrier, unknown_codes.c.code)
    .order_by(unknown_codes.c.carrier, unknown_codes.c.code)
)
_LAST_PUSH = statement(
    select(func.max(payloads.c.received_us).label("us")).where(
        payloads.c.carrier == bindparam("carrier"), payloads.c.source == "push"
    )
)
# what polls told of parcels that should have been pushed: events between the last push and a while ago
_NEWS = statement(
    select(func.count(func.distinct(sightings.c.event_id)).label("n"))
    .join(parcels, parcels.c.id == sightings.c.parcel_id)
    .where(
        parcels.c.carrier == bindparam("carrier"),
        sightings.c.source == "poll",
        sightings.c.at_us > bindparam("after_us"),
        sightings.c.at_us > parcels.c.created_us,  # what was there before is history: no push brings it
        sightings.c.at_us < bindparam("before_us"),
        sightings.c.received_us > bindparam("after_us"),
        exists().where(
            subscriptions.c.carrier == parcels.c.carrier,
            subscriptions.c.state == "active",
            or_(subscriptions.c.number == parcels.c.number, subscriptions.c.number == "*"),
        ),
    )
)
_BY_DIGEST = statement(select(payloads).where(payloads.c.digest == bindparam("digest")).limit(1))


async def keep_payload(
    tx: Tx, *, carrier: str, source: str, digest: str, body: bytes, asked: str, status: int, received_us: int
) -> Row:
    """Keep the bytes, once: the row (`id`, `read_us`) that holds them, new or already there."""
    row = await tx.one(
        _KEEP,
        carrier=carrier,
        source=source,
        digest=digest,
        body=body,
        asked=asked,
        status=status,
        received_us=received_us,
    ) or await tx.one(_FIND, carrier=carrier, source=source, digest=digest)
    assert row is not None
    return row


async def keep_pushes(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep pushes in the order in which they came, each once. `late` is 0, or so many seconds it was too old."""
    await tx.many(_KEEP_PUSH, rows)


async def keep_mine(
    tx: Tx,
    *,
    carrier: str,
    source: str,
    digest: str,
    body: bytes,
    asked: str,
    status: int,
    received_us: int,
    until_us: int,
) -> int | None:
    """Keep the bytes, ours to read until then (real time); their row. None: the same were there before."""
    row = await tx.one(
        _KEEP_MINE,
        carrier=carrier,
        source=source,
        digest=digest,
        body=body,
        asked=asked,
        status=status,
        received_us=received_us,
        lease_us=until_us,
    )
    return None if row is None else int(row["id"])


async def read_before(tx: Tx, names: Iterable[Name]) -> set[Name]:
    """Those of these payloads that were kept and read before."""
    digests: dict[tuple[str, str], list[str]] = {}
    for carrier, source, digest in names:
        digests.setdefault((carrier, source), []).append(digest)
    found: set[Name] = set()
    for (carrier, source), these in digests.items():
        rows = await tx.all(_READ_BEFORE, carrier=carrier, source=source, digests=_json(these))
        found.update((carrier, source, row["digest"]) for row in rows)
    return found


async def last_push_us(tx: Tx, carrier: str) -> int | None:
    """When the newest push of a carrier came."""
    row = await tx.one(_LAST_PUSH, carrier=carrier)
    return None if row is None else row["us"]


async def news_by_poll(tx: Tx, carrier: str, *, after_us: int, before_us: int) -> int:
    """How many events between these instants polls told, of parcels whose pushes are subscribed to."""
    row = await tx.one(_NEWS, carrier=carrier, after_us=after_us, before_us=before_us)
    return int(row["n"]) if row else 0


async def get_payload(tx: Tx, id: int) -> Row | None:
    return await tx.one(_GET, id=id)


async def unread_payloads(tx: Tx, limit: int, real_now_us: int, *, least_tries: int = 0) -> list[int]:
    """The oldest payloads that nobody has read yet, nor reads now, and that were tried so often."""
    rows = await tx.all(_UNREAD, limit=limit, real_now=real_now_us, least_tries=least_tries)
    return [row["id"] for row in rows]


async def free_payloads(tx: Tx) -> int:
    """Nobody reads; only where no other process can be at work."""
    return await tx.run(_FREE)


async def take_fresh(tx: Tx, limit: int, *, real_now_us: int, until_us: int) -> list[Row]:
    """Take the oldest payloads that nobody ever tried to read, until then (real time); each try is counted."""
    rows = await tx.all(_TAKE_FRESH, limit=limit, real_now=real_now_us, until=until_us)
    return sorted(rows, key=lambda row: int(row["id"]))


async def mark_all_read(tx: Tx, ids: Iterable[int], at_us: int) -> set[int]:
    """Those of these that nobody had read: this call was the one that did."""
    mine = [int(row["id"]) for row in await tx.all(_STILL_UNREAD, ids=_json(list(ids)))]
    await tx.run(_MARK_ALL, ids=_json(mine), at=at_us)
    return set(mine)


async def mark_read(tx: Tx, id: int, at_us: int, error: str = "") -> bool:
    """Whether this call was the one that read it."""
    return await tx.run(_MARK, of=id, at=at_us, why=error) == 1


async def take_payload(tx: Tx, id: int, *, real_now_us: int, until_us: int) -> bool:
    """Take an unread payload until then (real time); False when it was read, or somebody reads it.

    The try is counted before the work, so that a payload that kills its reader is seen to.
    """
    return await tx.run(_TAKE, of=id, real_now=real_now_us, until=until_us) == 1


async def mention_all(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Which payload (`payload_id`) speaks of which `carrier` and `number`."""
    await tx.many(_MENTION, rows)


async def all_mentioning(tx: Tx, carrier: str, numbers: Sequence[str], but: Sequence[int]) -> Sequence[Row]:
    """Every kept payload (but these) that speaks of one of the numbers, once for each (`of_number`), oldest first."""
    return await tx.all(_ALL_MENTIONING, carrier=carrier, numbers=_json(numbers), but=_json(but))


async def payloads_mentioning(tx: Tx, carrier: str, number: str, but: int | None = None) -> list[Row]:
    """Every kept payload that speaks of a number (but for this one), oldest first."""
    return list(await tx.all(_MENTIONING, carrier=carrier, number=number, but=-1 if but is None else but))


async def count_unknown_code(tx: Tx, *, carrier: str, code: str, day: str, words: str, payload_digest: str) -> None:
    await tx.run(_COUNT_CODE, carrier=carrier, code=code, day=day, words=words, payload_digest=payload_digest)


async def unread_again(tx: Tx) -> int:
    """Hand every payload that could not be read to the work loop once more; how many."""
    return await tx.run(_AGAIN)


async def list_unknown_codes(tx: Tx) -> list[Row]:
    """Every code nobody knew: since when, until when, how often, in which words, with a sample's digest."""
    return list(await tx.all(_CODES))


async def forget_unknown_code(tx: Tx, carrier: str, code: str) -> None:
    """The table knows it now."""
    await tx.run(_KNOWN_NOW, of_carrier=carrier, of_code=code)


async def payload_named(tx: Tx, digest: str) -> Row | None:
    return await tx.one(_BY_DIGEST, digest=digest)


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
