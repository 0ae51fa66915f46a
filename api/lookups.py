"""The public look-up behind both pages and both JSON calls: wrong, unknown and locked are one answer."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import cast

from msgspec import Struct, structs

from api.house import House
from api.kept import Kept
from api.manners import Meter
from api.sessions import Grant
from fleet.clocks import to_us
from store.outbox import say
from tracker.follow import Follow, FollowKind, ParcelStory, Tier
from tracker.lookup import Asked, Found, find, tell

MINUTE = 60_000_000  # microseconds
_NOBODY = "nobody@invalid"  # nobody's e-mail: RFC 2606


class Question(Struct, frozen=True):
    """What a shopper typed, trimmed. `repr` shows nothing of it."""

    kind: FollowKind
    number: str
    email: str = ""
    postcode: str = ""
    merchant: str = ""

    def __repr__(self) -> str:
        return f"Question({self.kind.value})"


class Opened:
    """What a look-up opened: its story, told when somebody wants it, and the digest of all that it is told from."""

    def __init__(self, found: Found, asked: Asked) -> None:
        self._found, self._asked = found, asked
        # another one when anything that was read changed, and with every minute: the time decides words too
        self.digest = found.digest() + str(to_us(asked.now) // MINUTE).encode()

    @property
    def grant(self) -> Grant:
        """What this opens, to be remembered."""
        row = self._found.row
        return Grant(self._found.kind, row["merchant"], row["number"], self._found.tier)

    @cached_property
    def story(self) -> Follow:
        told = tell(self._found, self._asked)
        return told if told.tier is Tier.FULL else coarse(told)


async def look_up(house: House, question: Question, network: str, meter: Meter, kept: Kept) -> Opened | None:
    """What may be shown, or None: nothing of this number, a wrong proof and a lock are one and the same to the asker.

    A refusal always does the same work and never comes sooner than the house's floor.
    """
    started = time.monotonic()
    allowed = may_ask(house, question, network)
    if allowed and (known := kept.find(question)):
        return cast(Opened, known)
    since = kept.since()
    # behind a lock a right proof is asked as a wrong one: it must not cost more either
    opened = await _ask(house, question if allowed else structs.replace(question, email=_NOBODY, postcode=""), None)
    if opened is None or not allowed:
        house.failures.failed(_name(question), network)
        meter.refused.labels(question.kind.value).inc()
        if house.failures.alarmed:
            meter.alarmed.inc()
            await _alarm(house, meter)
        await asyncio.sleep(max(0.0, house.refused_lookup_seconds - (time.monotonic() - started)))
        return None
    kept.keep(question, opened, since)
    return opened


def may_ask(house: House, question: Question, network: str) -> bool:
    """Whether nobody guessed too often: at this number, from this network, or with so weak a proof at all."""
    weak = bool(question.postcode and not question.email)
    return house.failures.allowed(_name(question), network, weak=weak)


def _name(question: Question) -> str:
    return f"{question.kind.value}:{question.number}"


async def _alarm(house: House, meter: Meter) -> None:
    """Many networks guess at once: ops hear it, once an hour."""
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    if meter.alarm_told == hour:
        return
    meter.alarm_told = hour
    now, data = house.clock.now(), {"hour": hour}
    await house.store.write(
        lambda tx: say(tx, subject="lookups", name=f"guessed/{hour}", type="ops.lookups_guessed", at=now, data=data)
    )


async def look_again(house: House, grant: Grant) -> Opened | None:
    """What was opened before, as it is now. Nothing is guessed here, so nothing is counted or locked."""
    return await _ask(house, Question(grant.kind, grant.number, merchant=grant.merchant), grant.tier)


async def _ask(house: House, question: Question, granted: Tier | None) -> Opened | None:
    asked = Asked(
        number=question.number,
        email=question.email,
        postcode=question.postcode,
        merchant=question.merchant,
        now=house.clock.now(),
        sealer=house.sealer,
        shelf=house.terms,
        couriers=house.carriers,
        granted=granted,
    )
    found = await house.store.read(lambda tx: find(tx, question.kind, asked))
    return Opened(found, asked) if found else None


def coarse(follow: Follow) -> Follow:
    """What the number alone may show: the status and the dates. Once more here, whatever was put in."""
    return replace(follow, parcels=tuple(_coarse_parcel(parcel) for parcel in follow.parcels))


def _coarse_parcel(parcel: ParcelStory) -> ParcelStory:
    return ParcelStory(
        leg=parcel.leg,
        status=parcel.status,
        purpose=parcel.purpose,
        sentences=(),
        estimate=parcel.estimate,
        window=parcel.window,
        promised=parcel.promised,
    )
