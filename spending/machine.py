"""The states of something that costs money, what follows from a look, and when to look again: pure.

A send ends in one of three ways, bought, rejected or unknown, and only proof turns unknown into another.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    PLANNED = "PLANNED"  # the bytes are kept, nothing has reached the carrier
    SENDING = "SENDING"  # kept before the first byte leaves: somebody may be sending
    UNKNOWN = "UNKNOWN"  # sent, and nobody can say whether the carrier acted
    BOUGHT = "BOUGHT"  # proved; the label is kept
    ISSUED = "ISSUED"  # handed to whom it was bought for
    REJECTED = "REJECTED"  # the carrier said no to bytes that were sent once
    NEEDS_HUMAN = "NEEDS_HUMAN"  # no more looking and sending by itself
    CANCELLED = "CANCELLED"  # given up before anything reached the carrier


PROVABLE = frozenset({State.SENDING, State.UNKNOWN, State.NEEDS_HUMAN})
"""Where a label that turns up settles the purchase."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Every delay of the protocol in real seconds, scaled by one factor so that rigs run it fast.

    source: design/labels-never-twice.md, protocol 3 and 6.
    """

    factor: float = 1.0
    deadline: float = 75.0  # of one send
    lease: float = 120.0  # of whoever sends or looks
    looks: tuple[float, ...] = (15.0, 60.0, 300.0, 900.0)  # after the send
    quiet: float = 900.0  # a look that finds nothing counts only after this
    look_again: float = 60.0  # once the looks above are used up
    misses: int = 2  # that count, before the same bytes are sent again
    resends: int = 2  # then a person decides
    backoff: float = 5.0  # after a send that never reached the carrier; doubles
    backoff_most: float = 900.0

    def scaled(self, seconds: float) -> float:
        return seconds * self.factor


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of the sends and looks so far: the row's `outcome`."""

    why: str = ""
    code: str = ""
    request_id: str = ""
    number: str = ""
    looks: int = 0  # since the last send
    misses: int = 0  # of those, the ones that count
    unreached: int = 0  # sends in a row that never reached the carrier


def next_look(pace: Pace, since_sent: float) -> float:
    """Seconds from now until the next look, `since_sent` seconds after the send."""
    later = [at for at in map(pace.scaled, pace.looks) if at > since_sent]
    return min(later) - since_sent if later else pace.scaled(pace.look_again)


def after_miss(pace: Pace, record: Record, since_sent: float) -> Record:
    """A look found nothing: that counts only when the carrier had its time."""
    counts = since_sent >= pace.scaled(pace.quiet)
    return replace(record, looks=record.looks + 1, misses=record.misses + counts)


def after_looks(pace: Pace, record: Record, sends: int) -> State:
    """What follows from the looks so far: look again, send the same bytes again, or ask a person."""
    if record.misses < pace.misses:
        return State.UNKNOWN
    return State.SENDING if sends <= pace.resends else State.NEEDS_HUMAN


def backoff(pace: Pace, unreached: int, asked_for: float = 0.0) -> float:
    """Seconds to wait after so many sends in a row that never reached the carrier."""
    return max(asked_for, pace.scaled(min(pace.backoff * 2.0 ** min(unreached - 1, 16), pace.backoff_most)))
