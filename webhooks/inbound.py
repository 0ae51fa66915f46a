"""What carriers post to us: verified as each carrier does it, kept, answered 200; read later by the work loop."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from carriers.contract import Carrier, Forged, Payload, Push, Source, Unreadable
from store.engine import Store, Tx
from store.outbox import say
from tracker.ledger import Ledger

log = logging.getLogger(__name__)

BODY_LIMIT = 256 * 1024  # source: faults-and-security.md (e), cap for batches


async def receive(
    store: Store,
    ledger: Ledger,
    carriers: Mapping[str, Carrier],
    name: str,
    push: Push,
    *,
    now: datetime,
    real_now: datetime,
    wake: Callable[[], None],
) -> int:
    """The HTTP status a carrier hears: 200 once the bytes are durably kept, 401 forged, 404 not ours, 413 too big.

    Nothing of the body is believed or even parsed beyond what the proof needs: reading is the work loop's.
    """
    carrier = carriers.get(name)
    if carrier is None:
        return 404
    if len(push.body) > BODY_LIMIT:
        return 413
    try:
        carrier.verify(push, real_now)
    except (Forged, Unreadable) as error:
        log.warning("push refused", extra={"carrier": name, "why": type(error).__name__})
        why = str(error)
        await store.write(lambda tx: _report(tx, name, why, now))
        return 401
    await ledger.keep(Payload(name, Source.PUSH, push.body), now)
    wake()
    return 200


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
