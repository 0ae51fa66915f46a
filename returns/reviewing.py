"""Time makes conclusions about returns too: lost in silence, waiting too long in the warehouse, a label never used."""

from dataclasses import replace
from datetime import datetime

import msgspec

from fleet.clocks import from_us, text, to_us
from merchants.terms import Terms
from returns.accounts import settle_loss
from returns.arrival import become, charges
from returns.clocks import silent_until
from returns.forms import About, Loss, Teller, about_of
from returns.losing import loss_of
from returns.showing import own_labels, tell_return
from returns.states import DECIDABLE, ReturnState
from spending.intents import Till
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.parcels import parcel_by_id
from store.returns import due_returns, lock_return_by_id, orders_of, set_review
from tracker.orders import Shelf, terms_for

_UNUSED = frozenset({ReturnState.REGISTERED, ReturnState.LABEL_READY})


async def review(till: Till, shelf: Shelf, limit: int = 100) -> int:
    """Look at every return whose time has come; how many."""
    now = till.clock.now()
    due = await till.store.read(lambda tx: due_returns(tx, to_us(now), limit))
    for return_id in due:
        await review_one(till, shelf, return_id)
    return len(due)


async def review_one(till: Till, shelf: Shelf, return_id: int) -> None:
    """One return whose time has come; nothing for one that somebody looked at meanwhile."""
    now = till.clock.now()

    async def unit(tx: Tx) -> None:
        row = await lock_return_by_id(tx, return_id)
        if row is None or row["review_us"] is None or row["review_us"] > to_us(now):
            return
        terms, about = terms_for(shelf, row["merchant"], from_us(row["created_us"])), about_of(row)
        await set_review(tx, return_id, None)
        if row["state"] in _UNUSED:  # policy 48: silent; used after all, it goes on
            await become(tx, row, ReturnState.CANCELLED, about, now)
        elif row["state"] == ReturnState.ON_ITS_WAY:
            await _silent(tx, terms, row, about, now)
        elif row["state"] in DECIDABLE and about.received:
            await _say_dwelling(tx, terms, row, about, now)

    await write_surely(till.store, unit)


async def lose(tx: Tx, terms: Terms, row: Row, about: About, loss: Loss, name: str, now: datetime) -> None:
    """It is lost: whose loss it is, by which proof, and what is refunded where the shop guarantees it."""
    if about.refund is None:
        owed = await settle_loss(tx, terms, row) if loss.guaranteed else []
        about = replace(about, loss=loss, money=(*charges(about), *owed))
    await become(tx, row, ReturnState.LOST, about, now)
    await set_review(tx, row["id"], None)
    await tell_return(tx, row["number"], name, "return.lost", now)


async def _silent(tx: Tx, terms: Terms, row: Row, about: About, now: datetime) -> None:
    """Nothing was heard for long: lost. A scan that changed no status puts it off."""
    parcel = await parcel_by_id(tx, row["parcel_id"])
    if parcel is None or parcel["moved_us"] is None:
        return
    last = from_us(parcel["moved_us"])
    if (until := silent_until(terms, last)) > now:
        await set_review(tx, row["id"], to_us(until))
        return
    view = msgspec.json.decode(parcel["conclusion"])
    loss = loss_of(terms, parcel["number"], view, await own_labels(tx, row["id"]), Teller.SILENCE, last)
    await lose(tx, terms, row, about, loss, f"lost/silent/{text(last)}", now)


async def _say_dwelling(tx: Tx, terms: Terms, row: Row, about: About, now: datetime) -> None:
    """Ops hear once that it lies in the warehouse longer than the terms say.  # source: policy 53"""
    assert about.received is not None
    data = {
        "merchant": row["merchant"],
        "return_number": row["number"],
        "order_numbers": [order["number"] for order in await orders_of(tx, row["id"])],
        "received_at": text(about.received.at),
        "max_business_days": terms.after_arrival.max_business_days,
    }
    name = f"dwelling/{text(about.received.at)}"
    await say(tx, subject=f"return:{row['id']}", name=name, type="ops.return_dwelling", at=now, data=data)
