"""Sees to parcels that cannot be delivered: has the carrier turn them round, or leaves them to it; once per parcel.

What is decided here is kept in the parcel's case; what costs goes through spending. The evidence says the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from carriers.contract import Address, Carrier, CarrierError, Charge, Prepared, Refused
from fleet.clocks import to_us
from spending import points
from spending.brakes import Braked, brake_on, tell_braked
from spending.intents import INTERCEPT, Intent, Till, claim_of, hand_over, new_purchase_id, plan, real_us
from spending.intercepting import IN_FORCE, order
from spending.machine import State
from store.again import write_surely
from store.cases import (
    act_on_case,
    add_case_money,
    claim_cases,
    due_cases,
    find_case,
    money_of_case,
    rest_case,
    withdraw_case,
)
from store.engine import Row, Tx
from store.orders import find_order
from store.outbox import say
from store.parcels import lock_parcel_by_id, order_numbers_of, parcel_by_id
from store.purchases import ended_purchases, find_purchase, purchase_of
from tracker.ledger import SOON_US, Ledger
from tracker.orders import contact_of
from tracker.wayhome import CaseState, Step

LEASE_SECONDS = 240.0
"""Whoever took a case has so long to see to it (real time, as every delay here, and scaled with the purchases')."""
ASK_SECONDS = 120.0
AGAIN_SECONDS, AGAIN_MOST = 30.0, 900.0
WITHDRAWALS = 20  # tries to call an order off; then it is told as it stands
GONE = (CaseState.CANCELLED, "")
"""States in which nobody wants the parcel turned round any more."""


class Asker(Protocol):
    """What is needed of the poller."""

    async def ask_now(self, carrier: Carrier, number: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Homecoming:
    """Who sees to the cases of one installation."""

    till: Till
    ledger: Ledger
    poller: Asker

    async def sweep(self, limit: int = 20) -> int:
        """Hand over what was bought, then see to every case that is due; how many. Costs what is due, no more."""
        ended = await self.till.store.read(lambda tx: ended_purchases(tx, INTERCEPT, limit))
        real = self.till.real()
        waiting = await self.till.store.read(lambda tx: due_cases(tx, real_us(real), limit))
        work: list[Callable[[], Awaitable[None]]] = [
            partial(self._hand_over, row["id"], row["subject"]) for row in ended
        ]
        if waiting:
            until = real_us(real + self.till.pace.scaled(LEASE_SECONDS))
            mine = await self.till.store.write(lambda tx: claim_cases(tx, real_us(real), until, limit))
            work += [partial(self._see_to, case) for case in mine]
        ends = await asyncio.gather(*(one() for one in work), return_exceptions=True)
        if errors := [end for end in ends if isinstance(end, Exception)]:
            raise ExceptionGroup("cases could not be seen to", errors)
        return len(work)

    async def _see_to(self, case: Row) -> None:
        row = await self.till.store.read(lambda tx: parcel_by_id(tx, case["parcel_id"]))
        if row is None:
            return
        try:
            if case["state"] == CaseState.EXPECTED and not case["step"]:
                await self._decide(row)
            elif case["state"] in GONE and case["step"] == Step.REQUESTED and case["withdrawn_us"] is None:
                await self._withdraw(row, case)
            else:
                await self._rest(row["id"], None)
        except (CarrierError, TimeoutError) as error:
            wait = getattr(error, "retry_after", None) or min(AGAIN_SECONDS * 2.0 ** (case["tries"] - 1), AGAIN_MOST)
            await self._rest(row["id"], wait)

    async def _rest(self, parcel_id: int, seconds: float | None) -> None:
        at = None if seconds is None else real_us(self.till.real() + self.till.pace.scaled(seconds))
        await self.till.store.write(lambda tx: rest_case(tx, parcel_id, at))

    # ------------------------------------------------------------------------------------------------- to turn it round

    async def _decide(self, row: Row) -> None:
        """Order it or leave it, after a fresh look. Raises CarrierError when the carrier does not answer."""
        carrier = self.till.carriers.get(row["carrier"])
        if carrier is None or (why := self._forbidden(row, carrier)):
            await self._leave(row["id"], why if carrier else f"{row['carrier']} is not connected", carrier)
            return
        if braked := await self.till.store.read(lambda tx: brake_on(tx, self.till)):
            await self._rest(row["id"], braked.retry_after)
            return
        try:
            async with asyncio.timeout(self.till.pace.scaled(ASK_SECONDS)):
                found = await self._afresh(carrier, row)
        except Refused as error:
            await self._leave(row["id"], str(error), carrier)
            return
        match found:
            case None:
                await self._rest(row["id"], None)  # it is no longer to be expected: concluded already
            case str(why):
                await self._leave(row["id"], why, carrier)
            case prepared, charge:
                await self._order(row["id"], prepared, charge)

    def _forbidden(self, row: Row, carrier: Carrier) -> str:
        """Why nobody may ask for it, before anybody is asked; empty where somebody may."""
        if carrier.abilities.intercept:
            return carrier.abilities.intercept
        if not self.ledger.terms(row).return_to_warehouse.intercept:
            return "the shop's terms leave it to the carrier"
        return ""

    async def _afresh(self, carrier: Carrier, row: Row) -> tuple[Prepared, Charge] | str | None:
        """The carrier's own word on where the parcel is and what can be done now: what would be sent, and its price.

        Nothing: it no longer waits to be turned round. A sentence: why it cannot be. Raises CarrierError.
        """
        await self.poller.ask_now(carrier, row["number"])
        points.crash_point("read.after")
        case = await self.till.store.read(lambda tx: find_case(tx, row["id"]))
        if case is None or case["state"] != CaseState.EXPECTED:
            return None
        now = await self.till.store.read(lambda tx: self.ledger.conclusion(tx, row, self.till.clock.now()))
        eligible = await carrier.intercept_eligibility(row["number"])
        if eligible.already:
            await self._already(row["id"], eligible.why)
            return None
        if not eligible.possible:
            return eligible.why
        charge = await carrier.intercept_charge(row["number"], await self._ends(row))
        most = self.till.limits.label
        if charge.total and charge.total.amount > most:
            return f"it would cost {charge.total}, and {most} is the most it may cost"
        return carrier.prepare_intercept(row["number"], now.case.reason if now.case else None), charge

    async def _ends(self, row: Row) -> tuple[Address, Address] | None:
        """The warehouse, and the address of the order that rides on the parcel, while that is kept."""

        async def unit(tx: Tx) -> Address | None:
            for number in await order_numbers_of(tx, row["id"]):
                order = await find_order(tx, row["merchant"], number)
                contact = contact_of(order, self.till.sealer) if order else None
                if contact:
                    return contact.ship_to
            return None

        there = await self.till.store.read(unit)
        return (self.ledger.terms(row).warehouse.address, there) if there else None

    async def _order(self, parcel_id: int, prepared: Prepared, charge: Charge) -> None:
        """The intent and the case's step in one commit, then the send."""
        purchase_id = new_purchase_id()
        try:
            planned = await write_surely(
                self.till.store,
                partial(self._plan, purchase_id=purchase_id, id=parcel_id, prepared=prepared, charge=charge),
            )
        except Braked as braked:
            await tell_braked(self.till, braked, "", f"parcel:{parcel_id}")
            await self._rest(parcel_id, braked.retry_after)
            return
        if not planned:
            return
        points.crash_point("plan.after")
        if await order(self.till, purchase_id) in (State.BOUGHT, State.REJECTED):
            await self._hand_over(purchase_id, f"parcel:{parcel_id}")

    async def _plan(self, tx: Tx, *, purchase_id: str, id: int, prepared: Prepared, charge: Charge) -> bool:
        row, case = await lock_parcel_by_id(tx, id), await find_case(tx, id)
        assert row is not None and case is not None
        before = await purchase_of(tx, f"parcel:{id}", INTERCEPT)
        if before is not None:  # kept by the commit that nobody answered for, or ordered by somebody else
            return bool(before["id"] == purchase_id)
        if case["state"] != CaseState.EXPECTED or case["step"]:
            await rest_case(tx, id, None)
            return False
        now, total = self.till.clock.now(), charge.total
        about = {
            "merchant": row["merchant"],
            "number": row["number"],
            "asked_at": now.isoformat(),
            "price": str(total.amount) if total else "",
            "currency": total.currency if total else "",
            "price_note": charge.note,
        }
        await plan(tx, self.till, Intent(purchase_id, row["carrier"], f"parcel:{id}", 1, prepared, about))
        await self._act(tx, row, Step.ASKING, "", purchase_id, now)
        return True

    async def _act(self, tx: Tx, row: Row, step: Step, why: str, purchase_id: str, now: datetime) -> dict[str, Any]:
        """What we did, and what now follows, in one transaction."""
        case = await find_case(tx, row["id"])
        # what was ordered for a parcel that nobody wants back any more is called off next
        gone = step is Step.REQUESTED and case is not None and case["state"] in GONE
        await act_on_case(
            tx,
            row["id"],
            step=step,
            acted_us=to_us(now),
            why=why,
            purchase_id=purchase_id,
            next_us=SOON_US if gone else None,
        )
        return await self.ledger.conclude(tx, row, now)

    # ----------------------------------------------------------------------------------------------------- how it ended

    async def _hand_over(self, purchase_id: str, subject: str) -> None:
        """A purchase that ended becomes the case's step, its cost a line of money, once."""

        async def unit(tx: Tx) -> None:
            row = await lock_parcel_by_id(tx, int(subject.removeprefix("parcel:")))
            state = await hand_over(tx, self.till, purchase_id)
            purchase = await find_purchase(tx, purchase_id)
            if row is None or state is None or purchase is None:
                return
            claim, now = claim_of(purchase, self.till), self.till.clock.now()
            record, about = claim.record, claim.intent.about
            if state is State.ISSUED:
                note = " ".join(filter(None, ["asked of the carrier", about["price_note"]]))
                await add_case_money(
                    tx,
                    row["id"],
                    name="intercept",
                    kind="price",
                    amount=about["price"],
                    currency=about["currency"],
                    note=note,
                    at_us=to_us(now),
                )
                await self._act(tx, row, Step.REQUESTED, "", purchase_id, now)
            elif record.code == IN_FORCE:
                await self._act(tx, row, Step.REQUESTED, record.why, purchase_id, now)
            else:
                await self._left(tx, row, record.why, purchase_id, now)

        await self.till.store.write(unit)
        points.crash_point("case.after_hand_over")

    async def _already(self, parcel_id: int, why: str) -> None:
        """Somebody ordered it elsewhere: nothing is bought."""

        async def unit(tx: Tx) -> None:
            row, case = await lock_parcel_by_id(tx, parcel_id), await find_case(tx, parcel_id)
            if row is not None and case is not None and not case["step"]:
                await self._act(tx, row, Step.REQUESTED, why, "", self.till.clock.now())

        await self.till.store.write(unit)

    async def _leave(self, parcel_id: int, why: str, carrier: Carrier | None) -> None:
        """Nothing is ordered: the carrier returns it by itself, and ops may ask it by hand."""

        async def unit(tx: Tx) -> None:
            row, case = await lock_parcel_by_id(tx, parcel_id), await find_case(tx, parcel_id)
            if row is None or case is None or case["step"] or case["state"] != CaseState.EXPECTED:
                await rest_case(tx, parcel_id, None)
                return
            await self._left(tx, row, why, "", self.till.clock.now())

        await self.till.store.write(unit)

    async def _left(self, tx: Tx, row: Row, why: str, purchase_id: str, now: datetime) -> None:
        """The step, and a task for ops with the carrier's own page, while the parcel still waits to be turned round."""
        view = await self._act(tx, row, Step.LEFT_TO_CARRIER, why, purchase_id, now)
        case = view["return_to_warehouse"]
        if not case or case["state"] != CaseState.LEFT_TO_CARRIER:
            return
        carrier = self.till.carriers.get(row["carrier"])
        data = {
            "merchant": row["merchant"],
            "carrier": row["carrier"],
            "number": row["number"],
            "purpose": row["purpose"],
            "order_numbers": await order_numbers_of(tx, row["id"]),
            "why": why,
            "link": carrier.tracking_url(row["number"]) if carrier else None,
            "parcel": view,
        }
        subject = f"parcel:{row['id']}"
        await say(tx, subject=subject, name="case/left_to_carrier", type="ops.left_to_carrier", at=now, data=data)

    # -------------------------------------------------------------------------------------------- not needed any more

    async def _withdraw(self, row: Row, case: Row) -> None:
        """Delivered after all, or never to go back: what is in force is called off where it can be.

        Raises CarrierError when the carrier does not answer.
        """
        carrier, note = self.till.carriers.get(row["carrier"]), "the carrier is not connected"
        is_off = case["state"] == CaseState.CANCELLED
        try:
            async with asyncio.timeout(self.till.pace.scaled(ASK_SECONDS)):
                if carrier is not None and (await carrier.intercept_eligibility(row["number"])).already:
                    await carrier.cancel_intercept(row["number"])
                    is_off, note = True, "the order was called off"
                elif carrier is not None:
                    note = "no order was in force any more"
        except Refused as error:
            note = f"the order could not be called off: {error}"
        except (CarrierError, TimeoutError):
            if case["tries"] < WITHDRAWALS:
                raise
            note = "the carrier did not say whether the order was called off"

        async def unit(tx: Tx) -> None:
            parcel, now = await lock_parcel_by_id(tx, row["id"]), self.till.clock.now()
            assert parcel is not None
            await withdraw_case(tx, row["id"], withdrawn_us=to_us(now), why=note)
            if is_off:
                await _give_back(tx, row["id"], now)
            await self.ledger.conclude(tx, parcel, now)

        await self.till.store.write(unit)


async def _give_back(tx: Tx, parcel_id: int, now: datetime) -> None:
    """An order that was not carried out is not charged.  # source: facts/ups.md 7.2"""
    for line in await money_of_case(tx, parcel_id):
        if line["name"] == "intercept":
            await add_case_money(
                tx,
                parcel_id,
                name="intercept_refund",
                kind="refund",
                amount=line["amount"],
                currency=line["currency"],
                note="not carried out: it is not charged",
                at_us=to_us(now),
            )
