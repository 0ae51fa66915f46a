"""One order's or one return's story as a shopper may hear it: message keys with arguments, no wording and no I/O.

`tracker/lookup.py` writes it, `api` renders it in the reader's language. Allow-listed by construction: there is no
field for a name, a street, a phone, an e-mail or a signature. With tier `coarse` (the number alone) the fields that say
where, which number and who carries it stay None, and `api` drops them once more.

Message keys are families of words: `state.<word>`, `status.<leg>.<word>`, `step.<word>`, `event.<kind>`,
`reason.<word>`, `purpose.<word>`, and the sentences below. Every key has its words in `api/words/en.po`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias, Union

from carriers.contract import Money

# The sentences that lookup may say, with the names of their arguments; the words are in the catalogues of `api`.
SENTENCES: Mapping[str, tuple[str, ...]] = {
    # what is so: `ParcelStory.sentences`
    "story.unknown": (),
    "story.label_created": (),  # label made, nothing scanned
    "story.no_scan_yet": ("day",),  # shipped on {day} and still nothing scanned
    "story.accepted": (),
    "story.in_transit": (),
    "story.out_for_delivery": (),
    "story.available_for_pickup": (),
    "story.available_for_pickup_until": ("day",),
    "story.on_hold": (),
    "story.customs": (),
    "story.delayed": ("reason",),
    "story.attempt": ("ordinal", "day", "reason"),
    "story.attempt_inferred": ("ordinal",),  # the carrier implies it without a day
    "story.attempts_left": ("count",),
    "story.last_attempt_failed": (),
    "story.undeliverable": ("reason",),
    "story.delivered": ("day",),
    "story.going_back": ("reason",),
    "story.back_at_warehouse": ("day",),
    "story.late": ("day",),  # later than promised, {day} was the last promised day
    "story.lost": (),
    "story.damaged": (),
    "story.destroyed": (),
    "story.voided": (),
    "story.carrier_away": (),  # the carrier does not answer; this is the last we know
    "story.return_on_its_way": (),
    "story.return_received": ("day",),
    "story.return_bounced": (),
    "story.promise_left": ("count",),  # business days until the promised window ends
    "story.promise_today": (),
    "story.late_by": ("count",),  # business days after the promised window
    "story.return_checking": ("count",),  # business days that checking takes at most
    "story.stale": ("ago",),  # it was not asked for so long
    "story.further_number": ("number",),  # it travels home under another number
    # the same as a person would tell it: `narrated`
    "story.this_parcel": ("carrier", "number"),
    "story.tries": ("days",),
    "story.tries_due": ("days", "ordinal", "day"),  # {ordinal} is `ordinal.<n>`, "third"
    "story.tries_last_due": ("days", "ordinal", "day"),  # and after that it goes back
    # what happens next, and by when: `Follow.next`
    "next.being_prepared": (),
    "next.shipping_payment": (),
    "next.first_scan": (),
    "next.moving": (),
    "next.estimate": ("day",),
    "next.estimate_window": ("day", "start", "end"),
    "next.promised": ("start", "end"),
    "next.another_attempt": (),
    "next.another_attempt_on": ("day",),
    "next.collect": (),
    "next.collect_by": ("day",),
    "next.released": (),  # on hold or in customs
    "next.goes_back": (),  # undeliverable, no return scan yet
    "next.coming_back": (),
    "next.shop_decides": (),  # back at the warehouse, lost, damaged
    "next.nothing": (),  # delivered, cancelled: the end
    "next.cancelled": (),
    "next.label_pending": (),
    "next.hand_over": (),
    "next.hand_over_by": ("day",),
    "next.return_moving": (),
    "next.return_checked_by": ("start", "end"),
    "next.refund": (),
    "next.refunded": (),
    "next.refund_of": ("amount",),
    "next.store_credit": (),
    "next.store_credit_of": ("amount",),
    "next.refunded_of": ("amount",),
    "next.send_it": (),  # by a courier of the customer's own
    "next.loss_guaranteed": (),
    "next.loss_yours": (),
    "next.exchange": (),
    "next.sent_back": (),
    # what you can do: `Follow.can_do`
    "do.nothing": (),
    "do.be_there": (),
    "do.arrange_delivery": ("carrier",),  # ask the carrier for a day or a pick-up point
    "do.check_address": (),
    "do.collect": (),
    "do.contact_shop": (),
    "do.pay_shipping": (),
    "do.print_label": (),
    "do.hand_over": ("carrier",),
    "do.keep_it": (),  # changed your mind: do nothing
    "do.look_around": (),  # delivered and not found
}


class Tier(StrEnum):
    """How much the asker may see: the number alone, or the number with a proof (e-mail or postcode of the order)."""

    COARSE = "coarse"
    FULL = "full"


class FollowKind(StrEnum):
    ORDER = "order"
    RETURN = "return"


class StepState(StrEnum):
    DONE = "done"
    CURRENT = "current"
    TODO = "todo"
    PROBLEM = "problem"  # the step where it is now, and something is wrong


# A date is a day, an aware datetime the wall clock it should be read on, a timedelta "5 minutes", Money an amount as it
# is written in the language, several dates a list of days; a Message is rendered first, in the same language
# ({reason} in "story.attempt").
Arg: TypeAlias = Union[str, int, Decimal, date, datetime, timedelta, Money, tuple[date, ...], "Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """What to say, without the words. An argument named `count` chooses between singular and plural."""

    key: str
    args: Mapping[str, Arg] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One stop of the journey as it is drawn; rendered as `step.<key>`."""

    key: str
    state: StepState
    at: datetime | date | None = None


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One counted delivery attempt. `day` is None where the carrier only implied it."""

    ordinal: int
    day: date | None
    reason: str  # rendered as `reason.<word>`


@dataclass(frozen=True, slots=True)
class EventStory:
    """One thing that happened, on the wall clock of its place; `place` is city and country only, or empty."""

    at_local: datetime
    key: str
    args: Mapping[str, Arg] = field(default_factory=dict)
    place: str = ""


@dataclass(frozen=True, slots=True)
class ParcelStory:
    """One parcel. From `place` on: None unless the tier is full. `place` is the destination, city and country only."""

    leg: str
    status: str
    purpose: str
    sentences: tuple[Message, ...]
    attempts: tuple[AttemptStory, ...] = ()
    max_attempts: int | None = None
    estimate: date | None = None
    window: tuple[str, str] | None = None  # "HH:MM" local at the destination
    promised: tuple[date, date] | None = None
    next_try: date | None = None  # when the carrier tries again, while it does
    place: str | None = None
    number: str | None = None
    carrier: str | None = None  # the carrier's title, "UPS"
    tracking_url: str | None = None
    events: tuple[EventStory, ...] | None = None  # newest first


@dataclass(frozen=True, slots=True)
class Follow:
    """The whole answer. `checked_at` is when we last asked, `fresh_as_of` the newest thing known."""

    kind: FollowKind
    number: str
    merchant: str
    tier: Tier
    state: str  # rendered as `state.<word>`
    steps: tuple[Step, ...]
    parcels: tuple[ParcelStory, ...]
    next: Message
    can_do: tuple[Message, ...] = ()
    checked_at: datetime | None = None
    next_check_at: datetime | None = None
    stale: bool = False  # older news than promised for what the parcels are doing
    fresh_as_of: datetime | None = None
    estimate: date | None = None


def narrated(follow: Follow) -> tuple[Message, ...]:
    """The story as a person tells it, sentence by sentence: the tries in one breath, then what is so, and what next."""
    sentences: list[Message] = []
    next_said = False
    for parcel in follow.parcels:
        if parcel.number and len(follow.parcels) > 1:
            sentences.append(Message("story.this_parcel", {"carrier": parcel.carrier or "", "number": parcel.number}))
        tries = _tries(parcel)
        due = tries is not None and tries.key != "story.tries"
        next_said |= due
        sentences += [tries] if tries else []
        sentences += [s for s in parcel.sentences if s.key not in _IN_TRIES and not (due and s.key == _LEFT)]
    return (*sentences, *(() if next_said and follow.next.key in _TRIES_NEXT else (follow.next,)))


_LEFT = "story.attempts_left"
_IN_TRIES = frozenset({"story.attempt"})
_TRIES_NEXT = frozenset({"next.another_attempt", "next.another_attempt_on"})


def _tries(parcel: ParcelStory) -> Message | None:
    """The tries in one sentence: on which days, and when the next one is due."""
    days = tuple(attempt.day for attempt in parcel.attempts if attempt.day)
    if not days:
        return None
    if parcel.next_try is None:
        return Message("story.tries", {"days": days})
    following = max(attempt.ordinal for attempt in parcel.attempts) + 1
    is_last = parcel.max_attempts is not None and following >= parcel.max_attempts
    key = "story.tries_last_due" if is_last else "story.tries_due"
    return Message(key, {"days": days, "ordinal": Message(f"ordinal.{following}"), "day": parcel.next_try})
