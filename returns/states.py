"""A return's states, and how its parcel's journey and the warehouse move them: pure."""

from collections.abc import Collection
from enum import StrEnum

from merchants.terms import Outcome
from returns.settling import Verdict
from tracker.lifecycle import Leg, Status


class ReturnState(StrEnum):
    REGISTERED = "registered"
    LABEL_PENDING = "label_pending"
    LABEL_READY = "label_ready"
    ON_ITS_WAY = "on_its_way"
    RECEIVED = "received"
    CHECKING = "checking"
    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"
    SENT_BACK = "sent_back"
    EXCHANGED = "exchanged"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    LOST = "lost"
    BOUNCED = "bounced"


BEFORE_THE_JOURNEY = frozenset({ReturnState.REGISTERED, ReturnState.LABEL_PENDING, ReturnState.LABEL_READY})
MOVED_BY_SCANS = BEFORE_THE_JOURNEY | {
    ReturnState.ON_ITS_WAY,
    ReturnState.RECEIVED,
    ReturnState.BOUNCED,
    ReturnState.LOST,
    ReturnState.CANCELLED,  # "I keep it", and then the parcel was sent after all
}
"""From here the warehouse has spoken: no scan undoes that."""

DECIDABLE = frozenset({ReturnState.RECEIVED, ReturnState.CHECKING})
DECIDED = frozenset(
    {
        ReturnState.ACCEPTED,
        ReturnState.PARTLY_ACCEPTED,
        ReturnState.REJECTED,
        ReturnState.SENT_BACK,
        ReturnState.EXCHANGED,
        ReturnState.REFUNDED,
    }
)

_NOTHING_YET = frozenset({Status.UNKNOWN, Status.LABEL_CREATED, Status.VOIDED})
_GONE = frozenset({Status.LOST, Status.DESTROYED})


def state_after(current: ReturnState, leg: Leg, status: Status) -> tuple[ReturnState, str | None]:
    """The return's state once its parcel is so, and the notice that says it (None: it is so already)."""
    if current not in MOVED_BY_SCANS or status in _NOTHING_YET:
        return current, None
    if status in _GONE:
        state = ReturnState.LOST
    elif leg is Leg.BACK:
        state = ReturnState.BOUNCED
    elif status is Status.DELIVERED:
        state = ReturnState.RECEIVED
    else:
        state = ReturnState.ON_ITS_WAY
    return (current, None) if state is current else (state, f"return.{state}")


def state_decided(
    verdicts: Collection[Verdict], gets: Collection[Outcome], *, resent: bool, exchanged: bool, refunded: bool
) -> ReturnState:
    """The state that follows from the warehouse's word on every piece, and from what has left since.

    `gets` is what the customer gets for the accepted pieces; `resent` and `exchanged`: it is on its way to him.
    """
    if refunded:
        return ReturnState.REFUNDED
    if Verdict.ACCEPTED not in verdicts:
        return ReturnState.SENT_BACK if resent else ReturnState.REJECTED
    if set(verdicts) != {Verdict.ACCEPTED}:
        return ReturnState.PARTLY_ACCEPTED
    return ReturnState.EXCHANGED if exchanged and set(gets) == {Outcome.EXCHANGE} else ReturnState.ACCEPTED
