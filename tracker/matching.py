"""Whose is a number that nobody registered: what is known of it held against each parcel or return it may be. Pure.

Each thing that speaks for a candidate has a weight, the chance that it is right if nothing else were known; together
they miss only when each of them misses. What contradicts divides the rest. Every reason is a sentence.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from carriers.contract import Place

# How far one of these alone is to be trusted. What a carrier or a person states outweighs what merely fits.
WEIGHTS: Mapping[str, float] = {
    "alternate_number": 0.95,  # the carrier itself says that both are one
    "reference": 0.95,  # our own mark, or the first number, stands on it
    "order_number": 0.75,  # several parcels of an order bear it
    "name": 0.6,
    "account": 0.5,
    "origin": 0.5,
    "destination": 0.4,
    "window": 0.3,
}
# What is left of a score when this speaks against the candidate.
AGAINST: Mapping[str, float] = {
    "other_destination": 0.0,  # it goes somewhere else
    "too_early": 0.1,  # it travelled before there was anything to come home
    "too_late": 0.5,
    "other_origin": 0.6,  # people also post from elsewhere
    "other_carrier": 0.7,
    "other_order": 0.2,  # the box names another order
}
SHOWN = 0.3
"""A candidate below this is not worth a person's look."""


class CandidateKind(StrEnum):
    CASE = "case"  # a parcel that could not be delivered and comes home
    RETURN = "return"  # a customer's return under a waybill whose number nobody knows


@dataclass(frozen=True, slots=True)
class Clue:
    """What is known of an unregistered number, or of a box without one. `first` is its first scan's instant."""

    carrier: str = ""
    number: str = ""
    references: tuple[str, ...] = ()
    alternates: tuple[str, ...] = ()
    origin: Place = Place()
    destination: Place = Place()
    first: datetime | None = None
    account: str = ""
    order_number: str = ""
    name_mark: str = ""
    told_by: str = ""  # "carrier number" of the parcel whose carrier told this number


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the number may be. `origin` is where it would be sent from, `since` when it can have begun."""

    kind: CandidateKind
    id: int
    merchant: str
    name: str  # the return's number, or the parcel's "carrier number"
    carrier: str
    warehouse: Place
    since: datetime
    days: int  # so long after `since` it may still begin to move
    number: str = ""
    alternates: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    order_numbers: tuple[str, ...] = ()
    account: str = ""
    origin: Place = Place()
    name_marks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for a candidate or against it: its rule, its weight, and a sentence to read aloud."""

    rule: str
    weight: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Score:
    """How sure it is, 0 to 1, and why."""

    value: float
    reasons: tuple[Reason, ...]

    @property
    def because(self) -> tuple[str, ...]:
        return tuple(reason.sentence for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Ranked:
    candidate: Candidate
    score: Score


def score(clue: Clue, candidate: Candidate) -> Score:
    """How likely the number is this candidate's."""
    for_it = tuple(_for(clue, candidate))
    against = tuple(_against(clue, candidate))
    missed = kept = 1.0
    for reason in for_it:
        missed *= 1 - reason.weight
    for reason in against:
        kept *= reason.weight
    return Score(round((1 - missed) * kept, 3), (*for_it, *against))


def rank(clue: Clue, candidates: Iterable[Candidate], most: int = 5) -> tuple[Ranked, ...]:
    """The likeliest candidates that are worth a look, best first; of two alike the newer."""
    ranked = (Ranked(candidate, score(clue, candidate)) for candidate in candidates)
    worth = [each for each in ranked if each.score.value >= SHOWN]
    worth.sort(key=lambda each: (-each.score.value, -each.candidate.since.timestamp(), each.candidate.name))
    return tuple(worth[:most])


def sure(ranked: Sequence[Ranked], threshold: float, lead: float) -> Ranked | None:
    """The candidate that needs no person: at or above the threshold, the next one `lead` times likelier wrong."""
    if not ranked or ranked[0].score.value < threshold:
        return None
    wrong = [1 - each.score.value for each in ranked[:2]]
    return ranked[0] if len(wrong) == 1 or wrong[1] >= lead * wrong[0] else None


def plain_name(name: str) -> str:
    """A person's name however it is written: without accents, case, punctuation and order."""
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    return " ".join(sorted(re.sub(r"[^\w]+", " ", bare.casefold()).split()))


# -------------------------------------------------------------------------------------------------- what speaks for it


def _for(clue: Clue, candidate: Candidate) -> Iterator[Reason]:
    if (clue.number and _has(candidate.alternates, clue.number)) or _has(clue.alternates, candidate.number):
        yield _reason("alternate_number", "The carrier says that both numbers are one parcel.")
    elif clue.told_by and clue.told_by == f"{candidate.carrier} {candidate.number}":
        yield _reason("alternate_number", f"The carrier told this number as another one of {candidate.name}.")
    ours = [each for each in (*candidate.references, candidate.number) if _has(clue.references, each)]
    if ours:
        yield _reason("reference", f"Our own reference {ours[0]} stands on it.")
    orders = [each for each in candidate.order_numbers if _has((clue.order_number, *clue.references), each)]
    if orders:
        yield _reason("order_number", f"The order number {orders[0]} stands on it.")
    if clue.name_mark and clue.name_mark in candidate.name_marks:
        yield _reason("name", "The name on the box is the customer's.")
    if candidate.account and _bears(clue, candidate.account):
        yield _reason("account", f"It is charged to the account {candidate.account}, as the waybill says.")
    if clue.origin and clue.origin.is_same(candidate.origin):
        yield _reason("origin", f"It was sent from where the parcel was: {clue.origin}.")
    if clue.destination and clue.destination.is_same(candidate.warehouse):
        yield _reason("destination", f"It goes to the warehouse in {clue.destination}.")
    if clue.first and candidate.since <= clue.first <= _until(candidate):
        yield _reason("window", f"It began to move after {_day(candidate.since)}, when it could.")


def _against(clue: Clue, candidate: Candidate) -> Iterator[Reason]:
    if clue.destination and candidate.warehouse and not clue.destination.is_same(candidate.warehouse):
        yield _doubt("other_destination", f"It goes to {clue.destination}, not to the warehouse.")
    if clue.first and clue.first < candidate.since:
        yield _doubt("too_early", f"It moved before {_day(candidate.since)}, when there was nothing to come home yet.")
    elif clue.first and clue.first > _until(candidate):
        yield _doubt("too_late", f"It began to move more than {candidate.days} days after {_day(candidate.since)}.")
    if clue.origin and candidate.origin and not clue.origin.is_same(candidate.origin):
        yield _doubt("other_origin", f"It was sent from {clue.origin}, and the parcel was in {candidate.origin}.")
    if clue.carrier and candidate.carrier and clue.carrier != candidate.carrier:
        yield _doubt("other_carrier", f"It travels with {clue.carrier}, not with {candidate.carrier}.")
    if clue.order_number and candidate.order_numbers and not _has(candidate.order_numbers, clue.order_number):
        yield _doubt(
            "other_order", f"The box says order {clue.order_number}, and this is {candidate.order_numbers[0]}."
        )


def _bears(clue: Clue, account: str) -> bool:
    """Stated by whoever keyed it in, as a reference, or inside the number, as carriers build theirs."""
    return _has((clue.account, *clue.references), account) or (len(account) >= 6 and account in clue.number)


def _has(texts: Iterable[str], wanted: str) -> bool:
    """Whether one of these is the wanted text, however it is spaced and written."""
    return bool(wanted) and any(text and _squeezed(text) == _squeezed(wanted) for text in texts)


def _squeezed(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.casefold())


def _until(candidate: Candidate) -> datetime:
    return candidate.since + timedelta(days=candidate.days)


def _day(at: datetime) -> str:
    return f"{at:%A} {at.day} {at:%B %Y}"


def _reason(rule: str, sentence: str) -> Reason:
    return Reason(rule, WEIGHTS[rule], sentence)


def _doubt(rule: str, sentence: str) -> Reason:
    return Reason(rule, AGAINST[rule], sentence)
