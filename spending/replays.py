"""Whether a carrier was proved to remember our key on this account: only then is a look that missed enough to resend.

source: design/labels-never-twice.md, protocol 6: same key twice gave one tracking number.
"""

from dataclasses import dataclass

import msgspec

from carriers.contract import Bought
from fleet.clocks import text
from spending.buying import buy, keep
from spending.intents import Intent, Till, claim_of, plan
from spending.machine import Pace, State
from store.engine import Tx
from store.purchases import find_purchase, labels_of
from store.settings import get_setting, put_setting


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of sending one purchase twice."""

    proven: bool
    numbers: tuple[str, ...]
    why: str


def _setting(carrier: str) -> str:
    return f"spending.replays.{carrier}"


async def pace_for(tx: Tx, till: Till, carrier: str) -> Pace:
    """The pace of looks and resends at this carrier: without quiet time where replay was proved."""
    record = await get_setting(tx, _setting(carrier))
    if record and msgspec.json.decode(record)["proven"]:
        return till.pace.where_keys_are_kept()
    return till.pace


async def prove(till: Till, intent: Intent) -> Replay:
    """Buy this one label, send the very same bytes again, and remember whether one number came of both.

    It goes through the protocol like any purchase; a second label that comes of it is surplus and will be voided.
    """
    await till.store.write(lambda tx: plan(tx, till, intent))
    if await buy(till, intent.id) is not State.BOUGHT:
        return Replay(False, (), "the first send bought nothing: nothing is proved, try again")
    row = await till.store.read(lambda tx: find_purchase(tx, intent.id))
    assert row is not None
    again = await till.carriers[intent.carrier].buy(intent.prepared)
    if not isinstance(again, Bought):
        return Replay(False, (), f"the second send was not answered with a label: {again}")
    await keep(till, claim_of(row, till), (again.label,))
    labels = await till.store.read(lambda tx: labels_of(tx, intent.id))
    numbers = tuple(str(label["number"]) for label in labels)
    replay = Replay(len(numbers) == 1, numbers, "" if len(numbers) == 1 else "the same key bought two labels")
    told = {"proven": replay.proven, "numbers": list(numbers), "at": text(till.clock.now())}
    await till.store.write(lambda tx: put_setting(tx, _setting(intent.carrier), msgspec.json.encode(told).decode()))
    return replay
