"""The public look-up behind both pages and both JSON calls: wrong, unknown and locked are one answer."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from api.house import House
from api.kept import Kept
from api.manners import Meter
from api.sessions import Grant
from store.outbox import say
from tracker.follow import Follow, FollowKind, ParcelStory, Tier
from tracker.lookup import Asked, follow_order, follow_return

_NOBODY = "nobody@invalid"  # nobody's e-mail: RFC 2606


@dataclass(frozen=True, slots=True)
class Question:
    """What a shopper typed, trimmed. `repr` shows nothing of it."""

    kind: FollowKind
    number: str
    email: str = ""
    postcode: str = ""
    merchant: str = ""

    def __repr__(self) -> str:
        return f"Question({self.kind.value})"


async def look_up(house: House, question: Question, network: str, meter: Meter, kept: Kept) -> Follow | None:
    """The story, or None: nothing of this number, a wrong proof and a lock are one and the same to whoever asks.

    A refusal always does the same work and never comes sooner than the house's floor.
    """
    started = time.monotonic()
    allowed = may_ask(house, question, network)
    if allowed and (known := kept.find(question)):
        return cast(Follow, known)
    since = kept.since()
    # behind a lock a right proof is asked as a wrong one: it must not cost more either
    found = await _ask(house, question if allowed else replace(question, email=_NOBODY, postcode=""), None)
    if found is None or not allowed:
        house.failures.failed(_name(question), network)
        meter.refused.labels(question.kind.value).inc()
        if house.failures.alarmed:
            meter.alarmed.inc()
            await _alarm(house, meter)
        await asyncio.sleep(max(0.0, house.refused_lookup_seconds - (time.monotonic() - started)))
        return None
    story = found if found.tier is Tier.FULL else coarse(found)
    kept.keep(question, story, since)
    return story


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


async def look_again(house: House, grant: Grant) -> Follow | None:
    """The story that was opened before, as it is now. Nothing is guessed here, so nothing is counted or locked."""
    found = await _ask(house, Question(grant.kind, grant.number, merchant=grant.merchant), grant.tier)
    return found if found is None or found.tier is Tier.FULL else coarse(found)


async def _ask(house: House, question: Question, granted: Tier | None) -> Follow | None:
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
    follow = follow_order if question.kind is FollowKind.ORDER else follow_return
    return await house.store.read(lambda tx: follow(tx, asked))


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
