"""Where pushes wait for the next commit: what came while one was under way is kept with one statement."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from carriers.contract import Payload
from fleet.clocks import to_us
from store.again import write_surely
from store.engine import Store, StoreError, Tx
from store.payloads import keep_pushes

_Lying: TypeAlias = tuple[dict[str, Any], asyncio.Future[None]]
"""A push's row, and who waits until it is kept."""


class Letterbox:
    """Keeps pushes in commits that they share, and wakes whoever reads them once for each commit (docs/decisions/0072).

    One unit waits for the store at a time. It takes what lies here when it is run, not when it was asked for.
    """

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._lying: list[_Lying] = []
        self._emptyings: set[asyncio.Task[None]] = set()

    async def keep(self, payload: Payload, *, now: datetime, late: int) -> None:
        """Return once the bytes are durable: then the carrier may hear 200. `late`: so many seconds too old."""
        row = {
            "carrier": payload.carrier,
            "source": payload.source,
            "digest": payload.digest,
            "body": payload.body,
            "received_us": to_us(now),
            "late": late,
        }
        kept = asyncio.get_running_loop().create_future()
        self._lying.append((row, kept))
        if len(self._lying) == 1:  # in a task of its own: a carrier that hangs up ends its own waiting, nobody else's
            emptying = asyncio.create_task(self._empty())
            self._emptyings.add(emptying)
            emptying.add_done_callback(self._emptyings.discard)
        await kept

    async def _empty(self) -> None:
        mine: list[_Lying] = []

        async def unit(tx: Tx) -> None:
            mine.extend(self._take())  # run again, it keeps those of the first time as well
            await keep_pushes(tx, [row for row, _ in mine])

        try:
            await write_surely(self._store, unit)
        except Exception as error:
            mine += self._take()  # where it was never run
            if isinstance(error, StoreError) or len(mine) == 1:  # it is the same for everybody
                _tell(mine, error)
                return
            await asyncio.gather(*(self._keep_alone(one) for one in mine))  # one that is too big costs no other
        else:
            _tell(mine)
        self._wake()

    async def _keep_alone(self, one: _Lying) -> None:
        try:
            await write_surely(self._store, lambda tx: keep_pushes(tx, [one[0]]))
        except Exception as error:
            _tell([one], error)
        else:
            _tell([one])

    def _take(self) -> Sequence[_Lying]:
        taken, self._lying = self._lying, []
        return taken


def _tell(waiting: Sequence[_Lying], error: Exception | None = None) -> None:
    for _, kept in waiting:
        if kept.done():  # its carrier hung up
            continue
        if error is None:
            kept.set_result(None)
        else:
            kept.set_exception(error)
