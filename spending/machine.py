"""The states of something that costs money, what follows from a send or a look, and when to look again: pure.

A send ends in one of three ways, bought, rejected or unknown, and only proof turns unknown into another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from carriers.contract import LabelFormat, NotExecuted, Rejected, Unknown


class State(StrEnum):
    PLANNED = "PLANNED"  # the bytes are kept, nothing has reached the carrier
    SENDING = "SENDING"  # kept before the first byte leaves: somebody may be sending
    UNKNOWN = "UNKNOWN"  # sent, and nobody can say whether the carrier acted
    BOUGHT = "BOUGHT"  # proved; the label is kept
    ISSUED = "ISSUED"  # handed to whom it was bought for
    REJECTED = "REJECTED"  # the carrier said no, and holds nothing under our name
    NEEDS_HUMAN = "NEEDS_HUMAN"  # no more looking and sending by itself
    CANCELLED = "CANCELLED"  # given up before anything reached the carrier
    VOIDED = "VOIDED"  # of a void: the carrier says it is void
    REFUND_PENDING = "REFUND_PENDING"  # of a void: it is void, and its price was asked back
    VOID_FAILED = "VOID_FAILED"  # of a void: the carrier does not void it


PROVABLE = frozenset({State.SENDING, State.UNKNOWN, State.NEEDS_HUMAN})
"""Where a label that turns up settles the purchase."""
CLOSED = frozenset({State.ISSUED, State.REJECTED, State.CANCELLED, State.VOIDED, State.VOID_FAILED})


class LabelState(StrEnum):
    LIVE = "live"  # the purchase's label
    HELD = "held"  # bought, but not what was meant: a person looks before anybody gets it
    SURPLUS = "surplus"  # one too many: to be voided once that is proved to be safe
    VOIDING = "voiding"  # the intent to void it is kept
    VOIDED = "voided"  # the carrier says so
    VOIDED_HERE = "voided_here"  # the carrier does not void it: nobody gets it, its number stays watched
    USED = "used"  # one too many, and a parcel travels with it: a person looks


@dataclass(frozen=True, slots=True)
class Pace:
    """Every delay of the protocol in real seconds, scaled by one factor so that rigs run it fast.

    source: design/labels-never-twice.md, protocol 3, 6 and 8.
    """

    factor: float = 1.0
    deadline: float = 75.0  # of one send
    lease: float = 120.0  # of whoever sends or looks
    looks: tuple[float, ...] = (15.0, 60.0, 300.0, 900.0)  # after the send
    quiet: float = 900.0  # a look that finds nothing counts only after this
    look_again: float = 60.0  # once the looks above are used up
    misses: int = 2  # that count, before the same bytes are sent again
    resends: int = 2  # then a person decides
    keys_kept: bool = False  # proved: the same bytes under the same key buy nothing twice
    papers: int = 8  # looks for the bytes of a label whose number is known
    voids: int = 8  # sends of one void, then a person decides
    backoff: float = 5.0  # after a send that never reached the carrier; doubles
    backoff_most: float = 900.0
    audits: tuple[float, ...] = (86_400.0, 604_800.0)  # after the last send: what does the carrier hold now

    def scaled(self, seconds: float) -> float:
        return seconds * self.factor

    def where_keys_are_kept(self) -> "Pace":
        """The pace where the carrier is proved to remember our key: sending again is as safe as looking.

        No quiet time; the second resend waits for two misses, the third for three: the looks space them.
        """
        return replace(self, quiet=0.0, resends=6, keys_kept=True)


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
    refused: bool = False  # the last send was, while an earlier one was still open


@dataclass(frozen=True, slots=True)
class After:
    """What follows. `wait` is in seconds as they pass; None: nobody takes it up by himself."""

    state: State
    record: Record
    sends: int
    wait: float | None


# ------------------------------------------------------------------------------------------------------- after a send


def after_send(pace: Pace, record: Record, sends: int, outcome: Rejected | NotExecuted | Unknown) -> After:
    """What a send without a label means. `sends` counts this one.  # source: design/labels-never-twice.md, step 4"""
    match outcome:
        case Rejected():
            said = replace(record, why=outcome.message, code=outcome.code, request_id=outcome.request_id, unreached=0)
            if sends <= 1:
                return After(State.REJECTED, said, sends, 0.0)
            # An earlier send is still open. The refusal may be about its success (a key used with other bytes):
            # then the carrier holds a label, and looking finds it; else the refusal stands once the looks count.
            return After(State.UNKNOWN, replace(said, refused=True, looks=0, misses=0), sends, next_look(pace, 0.0))
        case NotExecuted():
            return _after_nothing_sent(pace, record, sends, outcome)
        case Unknown():
            return After(State.UNKNOWN, replace(record, why=outcome.why, unreached=0), sends, next_look(pace, 0.0))
        case _:
            assert_never(outcome)


def _after_nothing_sent(pace: Pace, record: Record, sends: int, outcome: NotExecuted) -> After:
    """This send never reached the carrier: it does not count, and the same bytes go again later."""
    record = replace(record, why=outcome.why, unreached=record.unreached + 1)
    wait = backoff(pace, record.unreached, outcome.retry_after)
    if sends <= 1:
        return After(State.PLANNED, record, 0, wait)
    # an earlier send is still open: the looks that allowed this one allow the next
    return After(State.UNKNOWN, replace(record, misses=max(pace.misses, sends)), sends - 1, wait)


def after_death(record: Record, sends: int) -> After:
    """Whoever sent it is gone: it may have reached the carrier."""
    why = "the sender ended without saying how the send ended"
    return After(State.UNKNOWN, replace(record, why=why), sends, 0.0)


# ------------------------------------------------------------------------------------------------------- after a look


def next_look(pace: Pace, since_sent: float) -> float:
    """Seconds from now until the next look, `since_sent` seconds after the send."""
    later = [at for at in map(pace.scaled, pace.looks) if at > since_sent]
    return min(later) - since_sent if later else pace.scaled(pace.look_again)


def after_miss(pace: Pace, record: Record, since_sent: float) -> Record:
    """A look found nothing: that counts only when the carrier had its time."""
    counts = since_sent >= pace.scaled(pace.quiet)
    return replace(record, looks=record.looks + 1, misses=record.misses + counts)


def after_looks(pace: Pace, record: Record, sends: int) -> State:
    """What follows from the looks so far: look again, send the same bytes again, take the refusal, or ask a person."""
    if record.number:  # a label is known: nothing is ever sent again, whatever the looks say
        return State.UNKNOWN if record.looks < pace.papers else State.NEEDS_HUMAN
    if record.misses < (sends if pace.keys_kept else pace.misses):
        return State.UNKNOWN
    if record.refused:
        return State.REJECTED
    return State.SENDING if sends <= pace.resends else State.NEEDS_HUMAN


def after_nothing_found(pace: Pace, record: Record, sends: int, since_sent: float) -> After:
    """A look of all sources found nothing. SENDING: the same bytes go again now."""
    record = after_miss(pace, record, since_sent)
    state = after_looks(pace, record, sends)
    wait = {State.UNKNOWN: next_look(pace, since_sent), State.REJECTED: 0.0}.get(state)
    return After(state, record, sends, wait)


def after_refused_look(pace: Pace, record: Record, sends: int) -> After:
    """The carrier will not show what it holds (USPS after three reprints): that is no miss, and no end of it.

    Where keys are kept the same bytes bring the label that is there; elsewhere a person looks.
    """
    record = replace(record, looks=record.looks + 1)
    if pace.keys_kept and sends <= pace.resends:
        return After(State.SENDING, record, sends, None)
    if record.looks >= pace.papers:
        return After(State.NEEDS_HUMAN, record, sends, None)
    return After(State.UNKNOWN, record, sends, pace.scaled(pace.look_again))


def to_send(record: Record) -> Record:
    """The record as a send begins: the looks so far were about the sends before it."""
    return replace(record, looks=0, misses=0, refused=False)


def backoff(pace: Pace, unreached: int, asked_for: float = 0.0) -> float:
    """Seconds to wait after so many sends in a row that never reached the carrier."""
    return max(asked_for, pace.scaled(min(pace.backoff * 2.0 ** min(unreached - 1, 16), pace.backoff_most)))


def next_audit(pace: Pace, since_sent: float) -> float | None:
    """Seconds from now until the carrier is asked again what it holds; None: it was asked often enough.

    Counted from the last send: what is sent late must not be asked for early only.
    """
    later = [at for at in map(pace.scaled, pace.audits) if at > since_sent]
    return min(later) - since_sent if later else None


# ------------------------------------------------------------------------------------------------------ labels, voids


@dataclass(frozen=True, slots=True)
class Sorted:
    """Of labels that are proved to exist: the purchase's own, and those that are too many."""

    own: str
    surplus: tuple[str, ...]


def sort_labels(found: Sequence[str], known: Mapping[str, str], provable: bool) -> Sorted:
    """Which of the labels found is the purchase's: the one it has, else the first the carrier names; the rest go.

    `known` are its labels by state: what was shown to the shopper stays, what is void or being voided stays so.
    """
    own = next((number for number, state in known.items() if state in (LabelState.LIVE, LabelState.HELD)), "")
    new = [number for number in dict.fromkeys(found) if number not in known]
    if not own and provable and new:
        own = new.pop(0)
    return Sorted(own, tuple(new))


class Proof(StrEnum):
    """May a label that is one too many be voided?"""

    VOID = "void"  # proved to be ours, unused, and not the one that is live
    WAIT = "wait"  # not proved yet
    USED = "used"  # a parcel travels with it


def may_void(
    number: str, live: str, closed: bool, age: float, quiet: float, ours: Collection[str], scanned: bool
) -> Proof:
    """Void only on proof: older than the quiet time, ours by its reference, in no live row, no physical scan.

    `ours` are the numbers that the carrier holds under our reference. The live label must be among them, so that the
    last label of a purchase is never voided; a purchase without one must be closed.
    source: design/labels-never-twice.md, step 7
    """
    if scanned:
        return Proof.USED
    if number == live or age < quiet or number not in ours:
        return Proof.WAIT
    safe = live in ours if live else closed
    return Proof.VOID if safe else Proof.WAIT


# -------------------------------------------------------------------------------------------------------------- paper

MOST_BYTES = 2 * 1024 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
_MAGIC = {LabelFormat.PDF: b"%PDF-", LabelFormat.GIF: b"GIF8"}  # whatever else is drawn is a PNG


def is_paper(format: LabelFormat, plain: bytes) -> bool:
    """Whether bytes are what their format says, and no larger than a label can be."""
    if not 0 < len(plain) <= MOST_BYTES:
        return False
    return b"^XA" in plain if format is LabelFormat.ZPL else plain.startswith(_MAGIC.get(format, _PNG))
