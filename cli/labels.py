"""`homeward labels`: what was bought and paid, settled with the carriers; the switch; what a person decides."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from carriers.contract import CarrierError, LabelRequest
from cli.wiring import Parts
from fleet.clocks import text
from merchants.terms import Terms
from spending.brakes import Braked, start, stop
from spending.intents import Intent, new_purchase_id, new_reference
from spending.journal import reconciled
from spending.machine import State
from spending.reconciling import accept, again, close, reconcile_now, refuse, shown
from spending.refunds import refunded
from spending.replays import prove

Answer = dict[str, Any]

BY = "command line"


async def labels_call(parts: Parts, call: Mapping[str, Any]) -> Answer:
    """One `labels.*` command; `lines` is what a person reads."""
    match call:
        case {"do": "labels.reconcile"}:
            return await _reconcile(parts)
        case {"do": "labels.stop", "why": str(why)}:
            done = await stop(parts.store, BY, why, parts.clock.now())
            return {"stopped": True, "lines": ["buying is stopped" if done else "buying was stopped already"]}
        case {"do": "labels.start"}:
            done = await start(parts.store, BY, parts.clock.now())
            return {"stopped": False, "lines": ["buying goes on" if done else "buying was not stopped"]}
        case {"do": "labels.accept", "carrier": str(carrier), "number": str(number)}:
            if not await accept(parts.till, carrier, number):
                return {"error": f"no label {number} of {carrier} is held"}
            return {"accepted": number, "lines": [f"{number} is handed over"]}
        case {"do": "labels.void", "carrier": str(carrier), "number": str(number)}:
            state = await refuse(parts.till, carrier, number, BY)
            if state is None:
                return {"error": f"no label {number} of {carrier} is held or one too many"}
            return {"void": state, "lines": [f"{number}: the void is {state}"]}
        case {"do": "labels.refunded", "carrier": str(carrier), "number": str(number), "amount": str(amount)}:
            return await _refunded(parts, carrier, number, amount)
        case {"do": "labels.close", "id": str(id), "why": str(why)}:
            return await _close(parts, id, why)
        case {"do": "labels.retry", "id": str(id)}:
            if not await again(parts.till, id):
                return {"error": f"no purchase {id} waits for a person"}
            return {"retried": id, "lines": [f"{id} is looked for, and then sent again with the same bytes"]}
        case {"do": "labels.prove", "carrier": str(carrier)}:
            return await _prove(parts, carrier)
        case _:
            return {"error": f"no command {call.get('do')!r}"}


async def _refunded(parts: Parts, carrier: str, number: str, amount: str) -> Answer:
    if not amount.replace(".", "", 1).isdecimal():
        return {"error": f"expected an amount such as 7.95, or 0 where it was refused, found {amount!r}"}
    if not await refunded(parts.till, carrier, number, Decimal(amount), BY):
        return {"error": f"no price of label {number} of {carrier} was asked back and is open"}
    return {"refunded": number, "amount": amount, "lines": [f"{number}: {amount} came back"]}


async def _close(parts: Parts, id: str, why: str) -> Answer:
    try:
        state = await close(parts.till, id, why)
    except CarrierError as error:
        return {"error": f"{id} stays open, for the carrier does not say what it holds: {error}"}
    if state is None:
        return {"error": f"no purchase {id} waits for a person"}
    words = _ENDS.get(state, "the carrier holds its label, and it is kept")
    return {"closed": id, "state": state, "lines": [f"{id} is {state}: {words}"]}


_ENDS = {
    State.REJECTED: "nothing was bought",
    State.VOIDED: "the carrier says that its label is void",
    State.VOID_FAILED: "nobody gets its label, whose number stays watched",
}


async def _reconcile(parts: Parts) -> Answer:
    found = await reconciled(parts.till, parts.journal, reconcile_now)
    view = await shown(parts.till)
    answer: Answer = {
        "asked": found.asked,
        "unanswered": found.unanswered,
        "orphans": found.orphans,
        "ghosts": found.ghosts,
        "price_differs": found.dear,
        "strangers": found.strangers,
        "at": text(parts.clock.now()),
        **view,
    }
    return answer | {"lines": _lines(answer)}


def _lines(answer: Answer) -> list[str]:
    asked, unanswered = answer["asked"], answer["unanswered"]
    lines = [f"asked the carriers about {asked} purchases; {unanswered} were not answered"]
    for name in ("orphans", "ghosts", "price_differs", "strangers"):
        if answer[name]:
            lines.append(f"{name.replace('_', ' ')}: {', '.join(answer[name])}")
    for name in ("purchases", "labels"):
        lines.append(f"{name}: " + (", ".join(f"{count} {state}" for state, count in answer[name].items()) or "none"))
    for row in answer["open"]:
        what = f"{row['operation']} {row['carrier']} {row['reference']}"
        lines.append(f"open: {what} for {row['subject']} is {row['state']}: {row['why']}")
    for row in answer["refunds"]:
        lines.append(f"refund: {row['carrier']} {row['reference']} is not decided since {row['since']}: {row['why']}")
    for row in answer["odd_labels"]:
        lines.append(f"label: {row['carrier']} {row['number']} for {row['subject']} is {row['state']}: {row['note']}")
    for line in answer["money"]:
        amount = f"{line['amount']} {line['currency']}" if line["amount"] else "not stated"
        lines.append(f"money: {line['carrier']} {line['number']} {line['kind']} {amount} {line['note']}".rstrip())
    return lines


async def _prove(parts: Parts, carrier: str) -> Answer:
    """Buy one label from the warehouse to itself, send the same bytes again, and remember what came of it."""
    terms = next((terms[-1] for terms in parts.shelf.values() if terms[-1].carrier == carrier), None)
    if terms is None or carrier not in parts.carriers:
        return {"error": f"{carrier} is not connected, or no shop sends with it"}
    try:
        replay = await prove(parts.till, _probe(parts, terms))
    except (Braked, CarrierError) as error:
        return {"error": f"nothing was proved: {error}"}
    words = "remembers our keys" if replay.proven else f"is not proved to remember our keys: {replay.why}"
    told = {"carrier": carrier, "proven": replay.proven, "numbers": list(replay.numbers), "why": replay.why}
    return {**told, "lines": [f"{carrier} {words}"]}


def _probe(parts: Parts, terms: Terms) -> Intent:
    purchase_id, home = new_purchase_id(), terms.warehouse.address
    request = LabelRequest(
        purchase_id, new_reference(), home, home, terms.label.weight_kg, "Proof of replay", terms.label.service
    )
    prepared = parts.carriers[terms.carrier].prepare_label(request)
    return Intent(purchase_id, terms.carrier, f"proof:{purchase_id}", 1, prepared, {"merchant": terms.name})
