"""Compares what we hold with what the carrier holds, both ways, and settles what can be settled.

source: design/labels-never-twice.md, protocol 8: every intent is asked for again at 24 hours and at 7 days, by its
reference or key, and what the account's pushes speak of is compared with what is ours.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec

from carriers.contract import Busy, CarrierError, Label, Payload, Refused, Source, Unreadable
from fleet.clocks import from_us, text
from spending import points
from spending.buying import conclude, keep, say_purchased
from spending.intents import INTERCEPT, VOID, Claim, Till, claim_of, move, real_us
from spending.intercepting import close_intercept
from spending.machine import After, LabelState, State, next_audit
from spending.resolving import resolve
from spending.voiding import close_void, is_voiding, void, void_surplus
from store.again import write_surely
from store.cases import case_money_lines
from store.engine import Row, Tx
from store.outbox import say
from store.payloads import get_payload
from store.purchases import (
    change_label,
    counts,
    due_audits,
    find_purchase,
    hurry,
    label_by_number,
    labels_of,
    lock_purchase,
    money_lines,
    odd_labels,
    open_purchases,
    pending_refunds,
    purchase_by_reference,
    set_audit,
    strangers,
)
from store.settings import get_setting, put_setting

PAGE = 500


@dataclass(slots=True)
class Found:
    """What a sweep found. `orphans` the carrier alone had, `ghosts` only we have, `dear` cost something else."""

    asked: int = 0  # purchases that the carrier was asked about
    unanswered: int = 0
    orphans: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    dear: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


async def reconcile(till: Till, limit: int = 50) -> Found:
    """The sweep: settle what is open, ask for what is due, void what is too many, compare what pushes speak of."""
    found = Found()
    await resolve(till, limit)
    await audit(till, found, limit)
    for name in till.carriers:
        await _compare_pushes(till, name, found)
    await void_surplus(till, limit)
    return found


async def reconcile_now(till: Till) -> Found:
    """The same for everything, whether it is due or not: every purchase of the last days is asked for again."""
    real = real_us(till.real())
    await till.store.write(lambda tx: hurry(tx, real))
    whole = Found()
    while True:
        found = await reconcile(till)
        whole.asked += found.asked
        whole.unanswered += found.unanswered
        for name in ("orphans", "ghosts", "dear", "strangers"):
            getattr(whole, name).extend(getattr(found, name))
        if found.asked == 0 or found.unanswered:
            return whole


# ------------------------------------------------------------------------------------------------ ours -> the carrier's


async def audit(till: Till, found: Found, limit: int) -> None:
    """Ask about every purchase that is due. One that cannot be asked about holds up no other."""
    rows = await till.store.read(lambda tx: due_audits(tx, real_us(till.real()), limit))
    mine = [row for row in rows if row["carrier"] in till.carriers]
    ends = await asyncio.gather(*(_ask_again(till, row, found) for row in mine), return_exceptions=True)
    if errors := [end for end in ends if isinstance(end, Exception)]:
        raise ExceptionGroup("purchases could not be asked about", errors)


async def _ask_again(till: Till, row: Row, found: Found) -> None:
    """One purchase: what does the carrier hold under its name now?"""
    claim = claim_of(row, till)
    found.asked += 1
    if claim.state is State.CANCELLED and not claim.sends:
        await _asked(till, row, claim)
        return
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            labels = await till.carriers[claim.intent.carrier].find(claim.intent.prepared)
    except Refused:
        await _asked(till, row, claim)  # it holds the label and prints it no more: that is an answer
        return
    except (CarrierError, TimeoutError) as error:
        found.unanswered += 1
        if isinstance(error, Busy):
            return
        await till.store.write(lambda tx: _ask_later(tx, till, row))
        return
    points.crash_point("audit.after_find")
    await _compare(till, claim, labels, found)
    await _asked(till, row, claim)


async def _compare(till: Till, claim: Claim, labels: Sequence[Label], found: Found) -> None:
    mine = await till.store.read(lambda tx: labels_of(tx, claim.intent.id))
    known = {row["number"] for row in mine}
    if orphans := [label.number for label in labels if label.number not in known]:
        found.orphans += orphans
        await keep(till, claim, labels)
    theirs = {label.number: label for label in labels}
    for row in mine:
        label = theirs.get(row["number"])
        if row["state"] == LabelState.LIVE and label is None and claim.state is State.ISSUED:
            found.ghosts.append(row["number"])
            why = "the carrier shows nothing under our reference"
            await _say(till, claim, row["number"], "ops.label_ghost", f"ghost/{row['number']}", why)
        if label and label.price and row["price"] and str(label.price.amount) != row["price"]:
            found.dear.append(row["number"])
            why = f"bought for {row['price']} {row['currency']}, and the carrier now says {label.price}"
            await _say(
                till, claim, row["number"], "ops.label_price", f"price/{row['number']}/{label.price.amount}", why
            )


async def _asked(till: Till, row: Row, claim: Claim) -> None:
    wait = next_audit(till.pace, till.real() - (claim.sent or claim.admitted))
    at = None if wait is None else real_us(till.real() + wait)
    await till.store.write(lambda tx: set_audit(tx, row["id"], row["audit_us"], at))


async def _ask_later(tx: Tx, till: Till, row: Row) -> bool:
    return await set_audit(
        tx, row["id"], row["audit_us"], real_us(till.real() + till.pace.scaled(till.pace.backoff_most))
    )


async def _say(till: Till, claim: Claim, number: str, type: str, name: str, why: str) -> None:
    data = {
        **claim.intent.about,
        "purchase_id": claim.intent.id,
        "carrier": claim.intent.carrier,
        "number": number,
        "why": why,
    }
    now = till.clock.now()
    await till.store.write(lambda tx: say(tx, subject=claim.intent.subject, name=name, type=type, at=now, data=data))


# ------------------------------------------------------------------------------------------------ the carrier's -> ours


async def _compare_pushes(till: Till, carrier: str, found: Found) -> None:
    """Numbers that the carrier's payloads speak of and nobody here knows: with a reference of ours they are adopted."""
    setting = f"spending.compared.{carrier}"
    rows = await till.store.read(partial(_unheard, carrier=carrier, setting=setting))
    met: dict[int, set[str]] = {}
    for row in rows:
        met.setdefault(row["payload_id"], set()).add(row["number"])
    for payload_id, numbers in met.items():
        await _meet(till, carrier, payload_id, numbers, found)
    if met:
        await till.store.write(lambda tx: put_setting(tx, setting, str(max(met))))


async def _unheard(tx: Tx, carrier: str, setting: str) -> Sequence[Row]:
    return await strangers(tx, carrier, int(await get_setting(tx, setting) or 0), PAGE)


async def _meet(till: Till, carrier: str, payload_id: int, numbers: set[str], found: Found) -> None:
    row = await till.store.read(lambda tx: get_payload(tx, payload_id))
    if row is None:
        return
    asked = tuple(msgspec.json.decode(row["asked"]))
    payload = Payload(carrier, Source(row["source"]), bytes(row["body"]), asked, row["status"])
    try:
        readings = till.carriers[carrier].read(payload)
    except Unreadable:
        return
    for told in readings.told:
        if told.number not in numbers:
            continue
        purchase = await _purchase_named(till, carrier, told.references)
        if purchase is None:
            found.strangers.append(told.number)
            continue
        found.orphans.append(told.number)
        claim = claim_of(purchase, till)
        labels = (Label(told.number, {}, None, told.number),)
        await keep(till, claim, labels)


async def _purchase_named(till: Till, carrier: str, references: Sequence[str]) -> Row | None:
    for reference in references:
        if row := await till.store.read(partial(_named, carrier=carrier, reference=reference)):
            return row
    return None


async def _named(tx: Tx, carrier: str, reference: str) -> Row | None:
    return await purchase_by_reference(tx, carrier, reference)


# ------------------------------------------------------------------------------------------------------- for a person


async def accept(till: Till, carrier: str, number: str) -> bool:
    """A person has looked at a label that was held: it is the purchase's label after all."""

    async def unit(tx: Tx) -> bool:
        label = await label_by_number(tx, carrier, number)
        if label is None or label["state"] != LabelState.HELD:
            return False
        row = await lock_purchase(tx, label["purchase_id"])
        assert row is not None
        claim, real = claim_of(row, till), till.real()
        await change_label(tx, label["id"], LabelState.HELD, LabelState.LIVE, note="", since_us=real_us(real))
        await move(tx, till, claim, State.BOUGHT, sends=claim.sends, sent=claim.sent, next_at=real)
        await say_purchased(tx, till, claim, label)
        return True

    return await write_surely(till.store, unit)


async def refuse(till: Till, carrier: str, number: str, by: str) -> State | None:
    """A person wants a label void that is held, or was too many and is not used."""
    label = await till.store.read(lambda tx: label_by_number(tx, carrier, number))
    if label is None or label["state"] not in (LabelState.HELD, LabelState.SURPLUS):
        return None
    return await void(till, label["id"], f"refused by {by}")


async def close(till: Till, purchase_id: str, why: str) -> State | None:
    """A person ends a purchase: the carrier is asked once more, and what it holds decides. None: it waits for nobody.

    Raises CarrierError when the carrier does not answer.
    """
    row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
    if row is None or row["state"] != State.NEEDS_HUMAN:
        return None
    claim = claim_of(row, till)
    if row["operation"] == INTERCEPT:
        return await close_intercept(till, claim, why)
    if row["operation"] == VOID:
        return await close_void(till, claim, why)
    if found := await till.carriers[claim.intent.carrier].find(claim.intent.prepared):
        return await keep(till, claim, found)
    return await conclude(till, claim, After(State.REJECTED, replace(claim.record, why=why), claim.sends, 0.0))


async def again(till: Till, purchase_id: str) -> bool:
    """A person lets a purchase be looked for and sent again, with the same bytes: its resends count anew."""
    row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
    if row is None or row["state"] != State.NEEDS_HUMAN:
        return False
    claim = claim_of(row, till)
    if row["operation"] == VOID and not await is_voiding(till, claim):
        return False
    record = replace(claim.record, looks=0, misses=0, refused=False)
    return await conclude(till, claim, After(State.UNKNOWN, record, 1, 0.0)) is State.UNKNOWN


async def shown(till: Till) -> dict[str, Any]:
    """Everything open and odd, the counts, and every line of money."""

    async def unit(tx: Tx) -> dict[str, Any]:
        purchases, labels = await counts(tx)
        return {
            "purchases": {f"{row['operation']}.{row['state']}": row["n"] for row in purchases},
            "labels": {row["state"]: row["n"] for row in labels},
            "open": [_open_view(row) for row in await open_purchases(tx, PAGE)],
            "refunds": [_open_view(row) for row in await pending_refunds(tx, PAGE)],
            "odd_labels": [_odd_view(row) for row in await odd_labels(tx, PAGE)],
            "money": await _money(tx),
        }

    return await till.store.read(unit)


def _open_view(row: Row) -> dict[str, Any]:
    outcome = msgspec.json.decode(row["outcome"])
    return {
        **{name: row[name] for name in ("id", "operation", "carrier", "subject", "reference", "state")},
        "sends": row["attempt"],
        "why": outcome.get("why", ""),
        "since": text(from_us(row["created_us"])),
    }


def _odd_view(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("carrier", "number", "state", "note", "subject", "price", "currency")}


async def _money(tx: Tx) -> list[dict[str, Any]]:
    """Every line, a page at a time: of labels, then of parcels that were turned round."""
    lines: list[dict[str, Any]] = []
    after = 0
    while page := await money_lines(tx, after, PAGE):
        after = page[-1]["id"]
        lines += [{**{name: line[name] for name in _MONEY}, "at": text(from_us(line["at_us"]))} for line in page]
    after = 0
    while page := await case_money_lines(tx, after, PAGE):
        after = page[-1]["id"]
        lines += [_of_a_case(line) for line in page]
    return lines


def _of_a_case(line: Row) -> dict[str, Any]:
    own = {"subject": f"parcel:{line['parcel_id']}", "reference": line["number"], "at": text(from_us(line["at_us"]))}
    return {**{name: line[name] for name in _MONEY if name not in own}, **own}


_MONEY = ("carrier", "number", "state", "subject", "reference", "kind", "name", "amount", "currency", "note")
