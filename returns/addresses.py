"""Asks the carrier about an address: is it one, before a label is bought for it; and who near it takes parcels.

Both are kept for a day, sealed and under a keyed mark: USPS allows 60 such questions in an hour. Neither holds anything
up: a carrier that is away, busy or not able to say leaves the address as it was given, for the purchase of the label
judges it too.
"""

import asyncio
import logging
from dataclasses import replace
from typing import TypeVar

import msgspec

from carriers.contract import Address, AddressVerdict, Carrier, CarrierError, DropOff, Place, Refused
from returns.forms import about_of, sender_of
from spending.intents import Till, real_us
from store.answers import find_answer, keep_answer, purge_answers
from store.engine import Row, Tx
from store.purchases import purchase_of
from store.returns import find_return
from tracker.orders import Declined

log = logging.getLogger(__name__)

DAY = 86_400.0
SOON = 300.0  # a carrier that did not say is not asked again before
CHECK_SECONDS, PAGE_SECONDS = 8.0, 3.0  # real: a caller waits that long, a shopper's page this long
MOST_PLACES = 3

T = TypeVar("T")


async def proven(till: Till, carrier: Carrier, address: Address) -> Address:
    """The address as the label is bought for it, with its ZIP+4 where there is one. Raises Declined for none."""
    if carrier.abilities.address_check:
        return address
    verdict = await _verdict(till, carrier, address)
    if verdict is None or verdict.verdict == "valid":
        return _with_zip4(address, verdict) if verdict else address
    unclear = verdict.verdict == "ambiguous"
    code = "address_unclear" if unclear else "address_unknown"
    what = "add what is missing (an apartment, a house number)" if unclear else "correct it, or state another one"
    said = f"{carrier.title}: {verdict.note}" if verdict.note else f"{carrier.title} does not find it"
    raise Declined(code, f"{said}; {what}", "/from_address")


async def drop_offs(till: Till, carrier: Carrier, place: Place, *, prints_labels: bool) -> tuple[DropOff, ...]:
    """The nearest places that take parcels; none where the carrier does not say within a moment. Never raises."""
    if carrier.abilities.drop_offs or not place.postal_code:
        return ()
    question = f"drop_offs:{carrier.name}:{prints_labels}:{place.country}:{place.postal_code}:{place.city}"
    kept = await _kept(till, question, tuple[DropOff, ...])
    if kept is not None:
        return kept
    near = Address("", (place.city,) if place.city else (), place.city, place.postal_code, place.country, place.region)
    try:
        async with asyncio.timeout(PAGE_SECONDS):
            found = await carrier.drop_offs(near, MOST_PLACES, prints_labels)
    except (CarrierError, TimeoutError) as error:
        log.info("no drop-off points", extra={"carrier": carrier.name, "kind": type(error).__name__})
        await _keep(till, question, (), SOON)
        return ()
    await _keep(till, question, found, DAY)
    return found


async def places_near(till: Till, number: str) -> tuple[DropOff, ...]:
    """Where the parcel of a return can be handed over near its sender; none where nobody says."""

    async def unit(tx: Tx) -> tuple[Row | None, Row | None]:
        row = await find_return(tx, number)
        purchase = await purchase_of(tx, f"return:{row['id']}", "label") if row else None
        return row, purchase

    row, purchase = await till.store.read(unit)
    sender = sender_of(row, till.sealer) if row else None
    if row is None or purchase is None or sender is None or purchase["carrier"] not in till.carriers:
        return ()
    carrier = till.carriers[purchase["carrier"]]
    return await drop_offs(till, carrier, sender.place, prints_labels=about_of(row).qr)


async def forget_stale(till: Till) -> int:
    """A sweep: drop what was kept for a day."""
    return await till.store.write(lambda tx: purge_answers(tx, real_us(till.real())))


async def _verdict(till: Till, carrier: Carrier, address: Address) -> AddressVerdict | None:
    """None where the carrier cannot say now, or not for this country."""
    question = f"address:{carrier.name}:" + msgspec.json.encode(replace(address, phone="", email="")).decode()
    kept = await _kept(till, question, AddressVerdict)
    if kept is not None:
        return kept
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            verdict = await carrier.check_address(address)
    except (CarrierError, TimeoutError) as error:
        if not isinstance(error, Refused):
            log.warning("an address was not checked", extra={"carrier": carrier.name, "kind": type(error).__name__})
        return None
    await _keep(till, question, verdict, DAY)
    return verdict


def _with_zip4(address: Address, verdict: AddressVerdict) -> Address:
    """The street stays as it was written; the ZIP is the carrier's."""
    if not verdict.zip4:
        return address
    written = verdict.candidates[0].postal_code if verdict.candidates else address.postal_code
    return replace(address, postal_code=f"{written[:5]}-{verdict.zip4}")


async def _kept(till: Till, question: str, shape: type[T]) -> T | None:
    mark, now = till.sealer.mark(question), real_us(till.real())
    sealed = await till.store.read(lambda tx: find_answer(tx, mark, now))
    return None if sealed is None else msgspec.json.decode(till.sealer.open(sealed), type=shape)


async def _keep(till: Till, question: str, answer: object, seconds: float) -> None:
    mark, until = till.sealer.mark(question), real_us(till.real() + seconds)
    sealed = till.sealer.seal(msgspec.json.encode(answer))
    await till.store.write(lambda tx: keep_answer(tx, mark, sealed, until))
