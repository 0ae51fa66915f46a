"""Purchases in virtual time over the very decisions that buying makes: late arrivals, index lag, lost answers, crashes.

What a kill rig does not see: whether the quiet time is long enough. A request that its sender has given up may still be
executed minutes later, and what was executed can be found only after a while; without the quiet time it is sent again.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from carriers.contract import NotExecuted, Rejected, Unknown
from spending.machine import (
    CLOSED,
    PROVABLE,
    After,
    LabelState,
    Pace,
    Proof,
    Record,
    State,
    after_death,
    after_nothing_found,
    after_send,
    may_void,
    next_audit,
    sort_labels,
    to_send,
)

PURCHASES = 100_000
DAY = 86_400.0
LATEST = 600.0  # a request may be executed so long after it was sent
LAG = 240.0  # and be found by its reference so long after that
STALL = 7_200.0  # the rare one that no quiet time covers


class Kind(StrEnum):
    """What a carrier is like to whoever buys."""

    REFERENCE = "reference"  # finds by reference, voids
    UNVOIDABLE = "unvoidable"  # finds by reference, does not void
    KEY = "key"  # remembers keys, as was proved


# of a thousand sends
FATES = {"answered": 700, "lost": 90, "late": 80, "dropped": 60, "unreached": 60, "stalled": 1}
CRASH = 0.02  # at each step between two commits
REFUSED = 0.03  # of purchases, whenever they are sent
UNANSWERED = 0.05  # of looks and voids


@dataclass(slots=True)
class Made:
    """A label at the carrier."""

    number: str
    at: float
    seen_from: float
    voided: bool = False


@dataclass(slots=True)
class Kept:
    """A label in our book."""

    state: LabelState
    since: float


@dataclass(slots=True)
class Life:
    """One purchase: the carrier's side, what we have kept, and when somebody looks at it again."""

    dice: random.Random
    pace: Pace
    kind: Kind
    refused: bool
    now: float = 0.0
    # the carrier
    arrivals: list[float] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    stalled: bool = False
    # our book
    state: State = State.PLANNED
    record: Record = field(default_factory=Record)
    sends: int = 0
    sent: float = 0.0
    labels: dict[str, Kept] = field(default_factory=dict)
    due: float | None = 0.0
    audit: float | None = None
    crashes: int = 0
    misses: int = 0

    # ------------------------------------------------------------------------------------------------------ carrier

    def arrive(self, until: float) -> None:
        """The carrier executes what has reached it by then."""
        for at in sorted(a for a in self.arrivals if a <= until):
            if self.refused or (self.kind is Kind.KEY and self.made):
                continue
            self.made.append(Made(f"L{len(self.made)}", at, at + self.dice.uniform(0, LAG)))
        self.arrivals = [a for a in self.arrivals if a > until]

    def found(self) -> list[str]:
        """What a look finds now. A key finds at once: it is not an index."""
        keyed = self.kind is Kind.KEY
        return [m.number for m in self.made if not m.voided and (keyed or m.seen_from <= self.now)]

    # -------------------------------------------------------------------------------------------------------- buyer

    def crash(self) -> bool:
        """The process dies here: whatever it knew and had not kept is gone."""
        dies = self.dice.random() < CRASH
        self.crashes += dies
        return dies

    def send(self) -> None:
        self.state, self.record, self.sends, self.sent = State.SENDING, to_send(self.record), self.sends + 1, self.now
        self.due = self.now + self.pace.lease
        wait = next_audit(self.pace, 0.0)
        self.audit = None if wait is None else self.now + wait
        if self.crash():
            return
        ended, fate = self._leave()
        if self.crash():
            return
        self.arrive(ended)
        self.now = ended
        mine = [m for m in self.made if m.at <= ended]
        if fate == "unreached":
            self.settle(after_send(self.pace, self.record, self.sends, NotExecuted("no connection")))
        elif fate == "answered" and self.refused:
            self.settle(after_send(self.pace, self.record, self.sends, Rejected("1", "the address is wrong")))
        elif fate == "answered":
            self.keep([mine[0 if self.kind is Kind.KEY else -1].number])
        else:
            self.settle(after_send(self.pace, self.record, self.sends, Unknown("no answer")))

    def _leave(self) -> tuple[float, str]:
        """The request leaves: when its sender knows as much as he will, and how it ended."""
        fate = self.dice.choices(list(FATES), list(FATES.values()))[0]
        if fate == "stalled" and self.kind is Kind.UNVOIDABLE:
            fate = "late"  # a double that cannot be voided would survive: the limit that is stated openly
        took = self.dice.uniform(0.2, 5.0)
        gives_up = self.now + self.pace.deadline
        match fate:
            case "unreached":
                return self.now + 1.0, fate
            case "dropped":
                return gives_up, fate
            case "late":
                self.arrivals.append(self.now + self.dice.uniform(0, LATEST))
                return gives_up, fate
            case "stalled":
                self.stalled = True
                self.arrivals.append(self.now + self.pace.quiet + self.dice.uniform(LAG, STALL))
                return gives_up, fate
        self.arrivals.append(self.now + took)
        return (self.now + took, fate) if fate == "answered" else (gives_up, fate)

    def settle(self, after: After) -> None:
        self.state, self.record, self.sends = after.state, after.record, after.sends
        self.due = None if after.wait is None or after.state in CLOSED else self.now + after.wait

    def keep(self, numbers: list[str]) -> None:
        known = {number: str(kept.state) for number, kept in self.labels.items()}
        sorted = sort_labels(numbers, known, self.state in PROVABLE)
        if self.state in PROVABLE and sorted.own in numbers:
            self.labels.setdefault(sorted.own, Kept(LabelState.LIVE, self.now))
            self.state, self.due = State.ISSUED, None
        for number in sorted.surplus:
            self.labels[number] = Kept(LabelState.SURPLUS, self.now)

    def look(self) -> None:
        self.due = self.now + self.pace.lease
        if self.crash():
            return
        if self.dice.random() < UNANSWERED:
            self.due = self.now + self.pace.look_again
            return
        found = self.found()
        if self.crash():
            return
        if found:
            self.keep(found)
            return
        self.misses += 1
        pace = self.pace.where_keys_are_kept() if self.kind is Kind.KEY else self.pace
        after = after_nothing_found(pace, self.record, self.sends, self.now - self.sent)
        if after.state is State.SENDING:
            self.record = after.record
            self.send()
        else:
            self.settle(after)

    def take_up(self) -> None:
        match self.state:
            case State.PLANNED:
                self.send()
            case State.SENDING:
                self.settle(after_death(self.record, self.sends))
            case _:
                self.look()

    def ask_again(self) -> None:
        """The audit: whatever the carrier holds under our name is kept."""
        if self.dice.random() < UNANSWERED or self.crash():
            self.audit = self.now + self.pace.backoff_most
            return
        if found := self.found():
            self.keep(found)
        wait = next_audit(self.pace, self.now - self.sent)
        self.audit = None if wait is None else self.now + wait

    def void(self, number: str) -> None:
        """A label that is one too many, once it is old enough. The intent and its retries come to this: sent again."""
        kept = self.labels[number]
        live = next((n for n, k in self.labels.items() if k.state is LabelState.LIVE), "")
        if self.kind is not Kind.REFERENCE:
            kept.state = LabelState.VOIDED_HERE
            return
        age = self.now - kept.since
        proof = may_void(number, live, self.state in CLOSED, age, self.pace.quiet, self.found(), False)
        retry = self.now - self.pace.quiet + self.pace.look_again
        if proof is not Proof.VOID or self.crash() or self.dice.random() < UNANSWERED:
            kept.since = retry
            return
        next(m for m in self.made if m.number == number).voided = True
        if self.crash():  # the carrier has voided it, and nobody wrote it down: voiding twice is safe
            kept.since = retry
        kept.state = LabelState.VOIDED

    def live(self) -> None:
        """From the intent until nothing is due any more."""
        self.audit = next_audit(self.pace, 0.0)
        while True:
            surplus = [(k.since + self.pace.quiet, n) for n, k in self.labels.items() if k.state is LabelState.SURPLUS]
            times = [(self.due, ""), (self.audit, "audit"), *surplus]
            at, what = min(((t, w) for t, w in times if t is not None), default=(None, ""))
            if at is None or at > 30 * DAY:
                break
            self.now = max(self.now, at)
            self.arrive(self.now)
            if what == "audit":
                self.ask_again()
            elif what:
                self.void(what)
            else:
                self.take_up()
        self.arrive(60 * DAY)


async def run(*, purchases: int = 0, seed: int = 0, quiet: float | None = None, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held. `quiet` is another quiet time than the protocol's, to see it fail."""
    dice, pace = random.Random(seed), Pace() if quiet is None else replace(Pace(), quiet=quiet)
    counts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    kinds = list(Kind)
    for _number in range(purchases or PURCHASES):
        life = Life(dice, pace, dice.choice(kinds), dice.random() < REFUSED)
        life.live()
        ends[life.state] += 1
        _judge(life, counts)
    faults = ("surviving_doubles", "lost", "stuck", "doubles_within_the_quiet_time", "void_label_issued")
    return {
        "held": not any(counts[name] for name in faults),
        "purchases": sum(ends.values()),
        "ends": dict(ends),
        **{name: counts[name] for name in faults},
        "doubles_beyond_the_quiet_time": counts["doubles_beyond"],
        "voided": counts["voided"],
        "crashes": counts["crashes"],
        "resends": counts["resends"],
        "looks_that_missed": counts["misses"],
        "quiet_seconds": pace.quiet,
    }


def _judge(life: Life, counts: Counter[str]) -> None:
    paid = [m.number for m in life.made if not m.voided]
    own = [n for n, k in life.labels.items() if k.state is LabelState.LIVE]
    doubled = len(life.made) > 1
    counts["doubles_beyond"] += doubled and life.stalled
    counts["doubles_within_the_quiet_time"] += doubled and not life.stalled
    counts["voided"] += len(life.made) - len(paid)
    counts["crashes"] += life.crashes
    counts["misses"] += life.misses
    counts["resends"] += max(0, life.sends - 1)
    counts["surviving_doubles"] += len(paid) > 1
    match life.state:
        case State.ISSUED:
            counts["void_label_issued"] += bool(own) and own[0] not in paid
            counts["lost"] += not own
        case State.REJECTED:
            counts["lost"] += bool(paid)
        case State.NEEDS_HUMAN:
            pass  # in the human queue, with an alert
        case _:
            counts["stuck"] += 1
    counts["stuck"] += any(k.state in (LabelState.SURPLUS, LabelState.VOIDING) for k in life.labels.values())
