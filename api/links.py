"""Signed links: 128 random bits, kept as a hash, for one order or return; in the browser they become a cookie."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from api.house import House
from api.lookups import Opened, look_again
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.sessions import Grant
from api.shapes import Asked, Instant, Told, example
from fleet.clocks import from_us, to_us
from store.engine import Row, Tx
from store.links import add_link, find_link, journey_ended_us, revoke_link
from store.lookups import return_named
from store.orders import find_order
from tracker.follow import FollowKind, Tier

AFTER_THE_END = timedelta(days=30)
"""So long a link works after the journey ended.  # source: design/faults-and-security.md (e), rule 1"""
LONGEST = timedelta(days=365)
"""So long at most, when nothing ever ends."""


class LinkIn(Asked):
    """Exactly one of the two numbers."""

    model_config = Asked.model_config | example({"merchant": "boutique-eu", "order_number": "B-1001"})

    merchant: Annotated[str, Field(min_length=1, max_length=63)]
    order_number: Annotated[str, Field(max_length=64)] = ""
    return_number: Annotated[str, Field(max_length=64)] = ""


class LinkMade(Told):
    """A link for one shopper. The address is shown this once: put it into the e-mail."""

    model_config = Told.model_config | example(
        {
            "id": 7,
            "path": "/follow/link/5JtSZ1mZ0tJ8mJ9Yy3mHkA",
            "kind": "order",
            "number": "B-1001",
            "ends_at": "2027-03-01T09:30:00Z",
        }
    )

    id: int
    path: str = Field(description="To be put behind the address at which shoppers reach the pages")
    kind: str
    number: str
    ends_at: Instant = Field(description="At the latest; 30 days after the journey ended if that is sooner")


async def make(call: Call[Nothing, LinkIn]) -> Answer:
    """POST /v1/links"""
    body, house = call.body, call.house
    if bool(body.order_number) == bool(body.return_number):
        raise Problem("invalid_body", "give order_number or return_number, one of them", pointer="/order_number")
    kind = FollowKind.ORDER if body.order_number else FollowKind.RETURN
    number = body.order_number or body.return_number
    token, now = secrets.token_urlsafe(16), house.clock.now()

    async def unit(tx: Tx) -> int:
        await _subject(tx, kind, body.merchant, number)
        return await add_link(
            tx,
            hash=hash_of(token),
            kind=kind.value,
            merchant=body.merchant,
            number=number,
            created_us=to_us(now),
            ends_us=to_us(now + LONGEST),
        )

    link_id = await house.store.write(unit)
    made = LinkMade(id=link_id, path=f"/follow/link/{token}", kind=kind.value, number=number, ends_at=now + LONGEST)
    return Answer(made, 201)


async def revoke(call: Call[Nothing, Nothing]) -> Answer:
    """DELETE /v1/links/{link_id}"""
    link_id, now = int(call.path["link_id"]), call.house.clock.now()
    if not await call.house.store.write(lambda tx: revoke_link(tx, link_id, to_us(now))):
        raise Problem("link_unknown")
    return Answer(status=204)


async def open_link(house: House, token: str) -> Grant | None:
    """What a link opens; None for one that is unknown, over or revoked."""
    return await grant_of(house, hash_of(token))


async def grant_of(house: House, hash: str) -> Grant | None:
    """The same for a link that became a cookie before: a revoked one opens nothing any more."""
    now = house.clock.now()

    async def unit(tx: Tx) -> Grant | None:
        link = await find_link(tx, hash)
        if link is None or now >= from_us(link["ends_us"]) or await _is_over(tx, link, now):
            return None
        return Grant(FollowKind(link["kind"]), link["merchant"], link["number"], Tier.FULL, hash)

    return await house.store.read(unit)


async def opened_by(house: House, grant: Grant) -> Opened | None:
    """What a grant opens now; None when its link is over, or the order is gone."""
    if grant.link and await grant_of(house, grant.link) is None:
        return None
    return await look_again(house, grant)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def _subject(tx: Tx, kind: FollowKind, merchant: str, number: str) -> int:
    """The row of the order or return. Raises Problem."""
    if kind is FollowKind.ORDER:
        row = await find_order(tx, merchant, number)
        if row is None:
            raise Problem("order_not_found", status=422, pointer="/order_number")
    else:
        row = await return_named(tx, number)
        if row is None or row["merchant"] != merchant:
            raise Problem("return_not_found", status=422, pointer="/return_number")
    return int(row["id"])


async def _is_over(tx: Tx, link: Row, now: datetime) -> bool:
    kind = FollowKind(link["kind"])
    try:
        subject = await _subject(tx, kind, link["merchant"], link["number"])
    except Problem:
        return True
    ended_us = await journey_ended_us(tx, kind.value, subject)
    return ended_us is not None and now > from_us(ended_us) + AFTER_THE_END
