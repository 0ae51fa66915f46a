"""After a return arrived: received, decided piece by piece, refunded; and what leaves because of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from fleet.clocks import from_us, to_us
from merchants.arrivals import checking_days, checking_ends
from merchants.terms import Terms
from returns.accounts import parts_of, settle_return
from returns.dispatching import hold_exchanges, ship_one, state_now, wish_exchanges, wish_resend
from returns.forms import About, Decision, Receipt, Refund, Teller, about_of, kept, wishes_of
from returns.settling import MoneyLine, Pot, Ruling, Verdict, totals
from returns.showing import return_view, tell_return
from returns.states import DECIDABLE, DECIDED, MOVED_BY_SCANS, ReturnState, state_decided
from spending.intents import Till
from store.again import write_surely
from store.dispatches import dispatches_of
from store.engine import Row, Tx
from store.returns import change_return, lock_return, orders_of, set_review
from tracker.orders import Declined, Shelf, terms_for


@dataclass(frozen=True, slots=True)
class Paid:
    """Money went back. Without an amount: what the lines come to."""

    reference: str
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What the warehouse says of a return; `paid`, where money went back already."""

    rulings: tuple[Ruling, ...]
    note: str = ""
    paid: Paid | None = None


async def receive(till: Till, shelf: Shelf, number: str, *, at: datetime | None = None, note: str = "") -> Any:
    """The warehouse has it in its hands, scan or none: received, and being checked from now on. Raises Declined."""
    now = till.clock.now()
    arrived = at or now
    if arrived > now:
        raise Declined("instant_ahead", "it cannot have arrived later than now", "/at")

    async def unit(tx: Tx) -> list[int]:
        row = await _held(tx, number)
        if row["state"] in MOVED_BY_SCANS or row["state"] == ReturnState.LABEL_PENDING:
            terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
            receipt = Receipt(arrived, Teller.WAREHOUSE, note=note)
            row = await enter_receipt(tx, till, terms, row, about_of(row), receipt, "received/warehouse", now)
            await become(tx, row, ReturnState.CHECKING, about_of(row), now)
            await tell_return(tx, number, "checking", "return.checking", now)
        return await _waiting(tx, row)

    return await _and_ship(till, shelf, number, await write_surely(till.store, unit))


async def enter_receipt(
    tx: Tx, till: Till, terms: Terms, row: Row, about: About, receipt: Receipt, name: str, now: datetime
) -> Row:
    """Received: said once under this name, its clock set, its replacements wished for. The row as it is then."""
    was = about.received
    # what a scan said stands: the warehouse's word only confirms it
    receipt = replace(was, note=receipt.note or was.note) if was and row["state"] == ReturnState.RECEIVED else receipt
    about = replace(not_lost(about), received=receipt, checked_between=checking_days(terms, receipt.at))
    is_news = row["state"] != ReturnState.RECEIVED
    await become(tx, row, ReturnState.RECEIVED, about, now)
    await set_review(tx, row["id"], to_us(checking_ends(terms, receipt.at)))
    if is_news:
        await tell_return(tx, row["number"], name, "return.received", now)
    await wish_exchanges(tx, till, terms, row, now)
    return await _held(tx, row["number"])


async def decide(till: Till, shelf: Shelf, number: str, decided: Decided) -> Any:
    """The warehouse's word on every piece, once: money, notices, and what goes back. Raises Declined."""
    now = till.clock.now()

    async def unit(tx: Tx) -> list[int]:
        row = await _held(tx, number)
        about = about_of(row)
        if about.decided:
            if _told_apart(about.decided.rulings) != _told_apart(decided.rulings):
                raise Declined("outcome_decided", f"return {number} was decided otherwise before")
            if decided.paid:
                await _pay(tx, row, decided.paid, now)
            return await _waiting(tx, row)
        if row["state"] not in DECIDABLE:
            raise Declined("return_not_received", f"return {number} is {row['state']}: say first that it was received")
        await _check_whole(tx, row, decided.rulings)
        terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
        await _enter_decision(tx, till, terms, row, about, decided, now)
        if decided.paid:
            await _pay(tx, await _held(tx, number), decided.paid, now)
        await _tell_decision(tx, number, decided, now)
        return await _waiting(tx, await _held(tx, number))

    return await _and_ship(till, shelf, number, await write_surely(till.store, unit))


async def refund(till: Till, number: str, paid: Paid) -> Any:
    """Money went back under this reference, once. Raises Declined."""
    now = till.clock.now()

    async def unit(tx: Tx) -> Any:
        await _pay(tx, await _held(tx, number), paid, now)
        return await _view(tx, number)

    return await write_surely(till.store, unit)


def not_lost(about: About) -> About:
    """It is not lost, or no longer: nothing is owed for a loss, unless it was paid."""
    return replace(about, loss=None, money=about.money if about.refund else charges(about))


def charges(about: About) -> tuple[MoneyLine, ...]:
    """What was charged for parcels that left: it stands, whatever becomes of the return."""
    return tuple(line for line in about.money if line.pot is Pot.CHARGE)


# -------------------------------------------------------------------------------------------------------------- inside


async def _enter_decision(
    tx: Tx, till: Till, terms: Terms, row: Row, about: About, decided: Decided, now: datetime
) -> None:
    """Who gets what, each with its arithmetic; what was not accepted goes back."""
    parts = await parts_of(tx, row, decided.rulings)
    lines = [*charges(about), *settle_return(terms, about.courier, parts)]
    about = replace(about, decided=Decision(now, decided.rulings, decided.note), money=tuple(lines))
    verdicts = [ruling.verdict for ruling in decided.rulings]
    gets = [piece.gets for part in parts for piece in part.pieces]
    state = state_decided(verdicts, gets, resent=False, exchanged=False, refunded=False)
    await become(tx, row, state, about, now)
    await set_review(tx, row["id"], None)
    await hold_exchanges(tx, row, decided.rulings)
    await wish_resend(tx, till, terms, row, decided.rulings, now)
    await become(tx, row, await state_now(tx, await _held(tx, row["number"]), refunded=False), about, now)


async def _tell_decision(tx: Tx, number: str, decided: Decided, now: datetime) -> None:
    verdicts = {ruling.verdict for ruling in decided.rulings}
    if Verdict.ACCEPTED in verdicts:
        await tell_return(tx, number, "accepted", "return.accepted", now)
    if verdicts != {Verdict.ACCEPTED}:
        await tell_return(tx, number, "rejected", "return.rejected", now)


async def _pay(tx: Tx, row: Row, paid: Paid, now: datetime) -> None:
    """Money went back, once: for what was accepted, or for a loss that the shop guarantees. Raises Declined."""
    about, number = about_of(row), row["number"]
    if known := about.refund:
        if (known.reference, known.amount) != (paid.reference, paid.amount or known.amount):
            message = f"return {number} was refunded under {known.reference}: {known.amount}"
            raise Declined("refund_known", message, "/reference")
        return
    if not (row["state"] in DECIDED or (about.loss and about.loss.guaranteed)):
        raise Declined("return_not_decided", f"return {number} is {row['state']}: nothing is owed for it yet")
    if about.decided and not any(ruling.verdict is Verdict.ACCEPTED for ruling in about.decided.rulings):
        raise Declined("nothing_owed", f"nothing of return {number} was accepted")
    await become(tx, row, ReturnState.REFUNDED, replace(about, refund=_refund(about, paid, now)), now)
    await set_review(tx, row["id"], None)


async def _check_whole(tx: Tx, row: Row, rulings: Sequence[Ruling]) -> None:
    """Every piece on the return is decided, and nothing else. Raises Declined."""
    wanted: Counter[tuple[str, str]] = Counter()
    for order in await orders_of(tx, row["id"]):
        for wish in wishes_of(order["items"]):
            wanted[order["number"], wish["sku"]] += wish["quantity"]
    told: Counter[tuple[str, str]] = Counter()
    for index, ruling in enumerate(rulings):
        key = (ruling.order_number, ruling.sku)
        told[key] += ruling.quantity
        if key not in wanted:
            message = f"{ruling.sku} of order {ruling.order_number} is not on this return"
            raise Declined("item_not_in_return", message, f"/items/{index}/sku")
        if told[key] > wanted[key]:
            message = f"{wanted[key]} of {ruling.sku} are on this return, {told[key]} are decided"
            raise Declined("quantity_wrong", message, f"/items/{index}/quantity")
    if left := wanted - told:
        first = ", ".join(f"{count} of {sku} of order {number}" for (number, sku), count in sorted(left.items()))
        raise Declined("outcome_incomplete", f"not decided yet: {first}", "/items")


def _refund(about: About, paid: Paid, now: datetime) -> Refund:
    sums = totals(about.money)
    owed = sums.get(Pot.REFUND, Decimal(0)) + sums.get(Pot.STORE_CREDIT, Decimal(0))
    currency = next((line.currency for line in about.money), "")
    return Refund(paid.reference, owed if paid.amount is None else paid.amount, currency, now)


def _told_apart(rulings: Sequence[Ruling]) -> Counter[tuple[str, str, str]]:
    """What is said of how many pieces, in whatever order and however split."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for ruling in rulings:
        counts[ruling.order_number, ruling.sku, ruling.verdict] += ruling.quantity
    return counts


async def become(tx: Tx, row: Row, state: ReturnState, about: About, now: datetime) -> None:
    await change_return(
        tx, row["id"], state=state, about=kept(about), parcel_id=row["parcel_id"], updated_us=to_us(now)
    )


async def _held(tx: Tx, number: str) -> Row:
    row = await lock_return(tx, number)
    if row is None:
        raise Declined("return_not_found", f"no return {number}")
    return row


async def _waiting(tx: Tx, row: Row) -> list[int]:
    """What leaves because of it and waits for its label."""
    return [each["id"] for each in await dispatches_of(tx, row["id"]) if each["next_us"] is not None]


async def _and_ship(till: Till, shelf: Shelf, number: str, waiting: Sequence[int]) -> Any:
    """Its labels are bought at once where that is due; whatever stops here is taken up by the sweep."""
    for dispatch_id in waiting:
        await ship_one(till, shelf, dispatch_id)
    return await till.store.read(lambda tx: _view(tx, number))


async def _view(tx: Tx, number: str) -> dict[str, Any]:
    view = await return_view(tx, number)
    assert view is not None
    return view
