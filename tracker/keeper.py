"""Push subscriptions: asked for when a parcel is registered, renewed in time, let go when its journey ends."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from carriers.contract import Carrier, CarrierError
from fleet.clocks import Clock, to_us
from store.engine import Row, Store, Tx
from store.parcels import (
    NEVER_US,
    due_subscriptions,
    find_parcel,
    find_subscription,
    set_subscription,
    want_subscription,
)

log = logging.getLogger(__name__)

ACCOUNT = "*"
_BATCH = 100  # source: facts/ups.md 6.1, more than 100 numbers and the whole call fails
_EARLY = timedelta(days=2)  # renewed so long before the carrier lets it lapse
_ACCOUNT_CHECK = timedelta(hours=1)  # source: facts/usps.md 5, a SUSPENDED subscription is only seen by looking
_AGAIN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Keeper:
    store: Store
    clock: Clock

    async def sweep(self, carrier: Carrier) -> int:
        """Ask one carrier for the pushes that are wanted or about to lapse; how many were asked for."""
        now = self.clock.now()
        if not carrier.abilities.push_by_number:
            await self._want_account(carrier, now)
        due = await self.store.read(lambda tx: due_subscriptions(tx, carrier.name, to_us(now), _BATCH))
        wanted = [row for row in due if await self._is_wanted(carrier, row, now)]
        if not wanted:
            return 0
        numbers = [row["number"] for row in wanted]
        try:
            answer = await carrier.subscribe(numbers)
        except CarrierError as error:
            log.warning("no subscription", extra={"carrier": carrier.name, "error": str(error)})
            await self._settle(carrier, wanted, accepted=frozenset(), now=now)
            return 0
        await self._settle(carrier, wanted, accepted=frozenset(answer.accepted), now=now)
        return len(answer.accepted)

    async def _want_account(self, carrier: Carrier, now: datetime) -> None:
        """The account's one subscription. Looked up first: a sweep every second must not write each time."""
        if await self.store.read(lambda tx: find_subscription(tx, carrier.name, ACCOUNT)) is None:
            await self.store.write(lambda tx: want_subscription(tx, carrier.name, ACCOUNT, to_us(now)))

    async def _is_wanted(self, carrier: Carrier, row: Row, now: datetime) -> bool:
        """A number whose journey is over, or that an account's subscription covers, needs none of its own."""
        if carrier.abilities.push_by_number:
            parcel = await self.store.read(lambda tx: find_parcel(tx, carrier.name, row["number"]))
            if parcel is not None and parcel["next_poll_us"] is not None:
                return True
        elif row["number"] == ACCOUNT:
            return True
        await self.store.write(
            lambda tx: set_subscription(
                tx, carrier.name, row["number"], state="ended", renew_us=NEVER_US, tries=row["tries"]
            )
        )
        return False

    async def _settle(self, carrier: Carrier, rows: list[Row], accepted: frozenset[str], now: datetime) -> None:
        lifetime = carrier.abilities.push_lifetime
        renew = now + (lifetime - _EARLY if lifetime else _ACCOUNT_CHECK)

        async def unit(tx: Tx) -> None:
            for row in rows:
                got = row["number"] in accepted
                again = now + _AGAIN * min(2 ** row["tries"], 64)
                await set_subscription(
                    tx,
                    carrier.name,
                    row["number"],
                    state="active" if got else "refused",
                    renew_us=to_us(renew if got else again),
                    tries=0 if got else row["tries"] + 1,
                )

        await self.store.write(unit)
