"""What carriers post to us: verified as each carrier does it, kept, answered 200; read later by the work loop."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from carriers.contract import Carrier, Forged, Grants, Payload, Push, Source, States, Unreadable
from store.engine import Store, Tx
from store.outbox import say
from webhooks.letterbox import Letterbox

log = logging.getLogger(__name__)

LATE = timedelta(minutes=5)
"""A genuine push that is older is kept and marked: it may be a replay.  # source: faults-and-security.md (e)"""


class NotATokenCall(Exception):
    """What came to our token endpoint asks for something else; the message says what was expected."""


async def receive(
    store: Store,
    letterbox: Letterbox,
    carriers: Mapping[str, Carrier],
    name: str,
    push: Push,
    *,
    now: datetime,
    real_now: datetime,
) -> int:
    """The HTTP status a carrier hears: 200 once the bytes are durably kept, 401 forged, 404 not ours, 413 too big.

    Nothing of the body is believed or even parsed beyond what the proof needs: reading is the work loop's.
    """
    carrier = carriers.get(name)
    if carrier is None:
        return 404
    if len(push.body) > carrier.abilities.push_limit:
        return 413
    try:
        carrier.verify(push, real_now)
    except (Forged, Unreadable) as error:
        log.warning("push refused", extra={"carrier": name, "why": type(error).__name__})
        why = str(error)
        await store.write(lambda tx: _report(tx, name, why, now))
        return 401
    late = _late(carrier, push, real_now)
    if late:
        log.warning("push late", extra={"carrier": name, "seconds": late})
    await letterbox.keep(Payload(name, Source.PUSH, push.body), now=now, late=late)
    return 200


async def grant(
    store: Store, carriers: Mapping[str, Carrier], name: str, asked: Push, *, now: datetime, real_now: datetime
) -> bytes | None:
    """What our token endpoint answers a carrier that fetches a token before it pushes; None for a stranger.

    Raises KeyError for a carrier that fetches none, NotATokenCall for a call that is none.
    """
    carrier = carriers[name]
    if not isinstance(carrier, Grants):
        raise KeyError(name)
    try:
        return carrier.grant(asked, real_now)
    except Unreadable as error:
        raise NotATokenCall(str(error)) from None
    except Forged as error:
        log.warning("token refused", extra={"carrier": name, "why": type(error).__name__})
        why = str(error)
        await store.write(lambda tx: _report(tx, name, why, now))
        return None


@cache
def _states(carrier: type[Carrier]) -> bool:
    """Whether a carrier's pushes say when they were sent. Looking a protocol up costs more than proving a push."""
    return issubclass(carrier, States)


def _late(carrier: Carrier, push: Push, real_now: datetime) -> int:
    """Seconds since the carrier says that it sent this, where they are too many; 0 in time, or when it does not say."""
    if not _states(type(carrier)):
        return 0
    states: States = carrier  # type: ignore[assignment]
    stated = states.stated_at(push)
    return int((real_now - stated).total_seconds()) if stated and real_now - stated > LATE else 0


async def _report(tx: Tx, carrier: str, why: str, now: datetime) -> None:
    """Ops hear of forged pushes once an hour and carrier, however many come."""
    await say(
        tx,
        subject=f"carrier:{carrier}",
        name=f"forged/{now:%Y-%m-%dT%H}",
        type="ops.push_forged",
        at=now,
        data={"carrier": carrier, "error": why},
    )
