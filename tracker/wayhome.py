"""A parcel's case: its way back to the warehouse, what we did about it, its deadlines, and its money (all pure).

The evidence says how far a parcel is (policy.py); what we ordered or left to the carrier is a fact of our own that no
carrier tells. Both together are the case, so that concluding again from the same facts gives the same case.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from merchants.terms import Terms
from tracker.lifecycle import HomeReason


class CaseState(StrEnum):
    """How far a parcel is on its way back to the warehouse."""

    EXPECTED = "expected"
    REQUESTED = "requested"
    LEFT_TO_CARRIER = "left_to_carrier"
    UNDER_WAY = "under_way"
    ARRIVED = "arrived"
    CANCELLED = "cancelled"


OPEN = frozenset({CaseState.EXPECTED, CaseState.REQUESTED, CaseState.LEFT_TO_CARRIER, CaseState.UNDER_WAY})
"""Where the parcel is still to come home."""


class Step(StrEnum):
    """What we did about it."""

    ASKING = "asking"  # an order to turn it round is being bought
    REQUESTED = "requested"  # the carrier took the order
    LEFT_TO_CARRIER = "left_to_carrier"  # we ask nobody: the carrier returns it by itself, or ops see to it


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a case's money. No amount: nobody said."""

    name: str  # "intercept", "leg_out", ...
    kind: str  # price | surcharge | refund
    amount: Decimal | None
    currency: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """What we did, and when; `withdrawn` is when the order was no longer in force, `money` what it cost."""

    step: Step
    at: datetime
    why: str = ""
    purchase_id: str = ""
    withdrawn: datetime | None = None
    money: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A day that has passed at `at`, after which the carrier sends the parcel back unless somebody takes it."""

    at: datetime
    rule: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """The parcel's way back to the warehouse: one per parcel that is not itself a return.

    `opened` is when it was first to be expected; `returns_by` when the carrier should have turned it round;
    `overdue_at` when it should have been home.
    """

    state: CaseState
    reason: HomeReason
    since: datetime
    evidence: tuple[str, ...]
    opened: datetime | None = None
    deed: Deed | None = None
    returns_by: Deadline | None = None
    overdue_at: datetime | None = None
    overdue: bool = False
    money: tuple[Line, ...] = ()


def lived(case: Case, deed: Deed | None, returns_by: Deadline | None, terms: Terms, now: datetime) -> Case:
    """The case that the evidence makes, with what we did about it, its deadlines and its money."""
    state, since = case.state, case.since
    if state is CaseState.EXPECTED and deed and deed.step is not Step.ASKING:
        is_asked = deed.step is Step.REQUESTED and deed.withdrawn is None
        state, since = CaseState.REQUESTED if is_asked else CaseState.LEFT_TO_CARRIER, max(deed.at, since)
    overdue_at = None
    if state in OPEN:
        overdue_at = (case.opened or case.since) + timedelta(days=terms.return_to_warehouse.overdue_days)
    found = replace(
        case,
        state=state,
        since=since,
        deed=deed,
        returns_by=returns_by if case.state is CaseState.EXPECTED else None,
        overdue_at=overdue_at,
        overdue=overdue_at is not None and overdue_at <= now,
    )
    return replace(found, money=tuple(_money(found, terms)))


# --------------------------------------------------------------------------------------------------------------- money


def _money(case: Case, terms: Terms) -> Iterator[Line]:
    """What the case costs: both legs and a refusal where the terms say what they are, and what we paid for an order.

    Nothing of it is owed before the parcel is back.  # source: product.md 1, "undeliverable came back"
    """
    costs, currency = terms.undeliverable.costs, terms.shop.currency
    if costs and case.state is not CaseState.CANCELLED:
        yield Line("leg_out", "price", costs.out, currency, "the way to the customer, by the terms")
        yield Line("leg_back", "price", costs.back, currency, "the way back, by the terms")
        if case.reason is HomeReason.REFUSED and costs.refusal_surcharge:
            note = "the carrier's surcharge for a refused parcel, by the terms"
            yield Line("refusal", "surcharge", costs.refusal_surcharge, currency, note)
    if case.deed:
        yield from case.deed.money


def totals(lines: tuple[Line, ...]) -> dict[str, Decimal]:
    """The sum in each currency; a refund takes away. What nobody said counts as nothing."""
    found: dict[str, Decimal] = {}
    for line in lines:
        if line.amount is not None:
            sign = -1 if line.kind == "refund" else 1
            found[line.currency] = found.get(line.currency, Decimal(0)) + sign * line.amount
    return found


def arithmetic(lines: tuple[Line, ...]) -> list[str]:
    """The sums as a person checks them: "8.95 leg out + 8.95 leg back = 17.90 USD"."""
    sentences = []
    for currency, total in totals(lines).items():
        said = [line for line in lines if line.currency == currency and line.amount is not None]
        terms = [
            f"{'-' if line.kind == 'refund' else '+'} {line.amount} {line.name.replace('_', ' ')}" for line in said
        ]
        sentences.append(f"{' '.join(terms).removeprefix('+ ')} = {total} {currency}")
    sentences += [
        f"{line.name.replace('_', ' ')}: the carrier did not say what it costs" for line in lines if line.amount is None
    ]
    return sentences
