"""What stops buying: spend caps, too much that is unknown, no room on the disk, and the switch that a person turns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal
from typing import Protocol

import msgspec

from fleet.clocks import Clock, text
from store.engine import Store, Tx
from store.outbox import say
from store.purchases import doubts, spent_on, spent_since
from store.settings import forget_setting, get_setting, put_setting

STOPPED = "spending.stopped"
BRAKED = "spending.braked"
TURN = "spending.turn"
HOUR = 3600.0
SUBJECT = "spending"


class Braked(Exception):
    """Nothing may be bought now. `code` never changes; `retry_after` is in seconds."""

    def __init__(self, code: str, message: str, retry_after: float = 60.0) -> None:
        super().__init__(message)
        self.code, self.message, self.retry_after = code, message, retry_after


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be spent, and how much may be unknown, before nothing more is bought.

    source: design/labels-never-twice.md, protocol 1 and 9.
    """

    label: Decimal = Decimal(60)  # a label that costs more is held
    per_return: Decimal = Decimal(180)
    per_key: Decimal = Decimal(2000)  # in an hour
    per_hour: Decimal = Decimal(5000)
    unknown: int = 20
    rate: float = 0.02  # of what was sent in the window
    rate_of: int = 50  # sent at least, so that one alone is no rate
    window: float = 600.0
    free_bytes: int = 64 * 1024 * 1024

    @classmethod
    def parse(cls, given: str) -> "Limits":
        """`label=60,return=180,key=2000,hour=5000`, any of them; amounts in the label's currency. Raises ValueError."""
        names = {"label": "label", "return": "per_return", "key": "per_key", "hour": "per_hour"}
        found: dict[str, Decimal] = {}
        for part in filter(None, (part.strip() for part in given.split(","))):
            name, _, amount = part.partition("=")
            if name not in names or not amount.replace(".", "", 1).isdigit():
                raise ValueError(f"expected label=, return=, key= or hour= and an amount, found {part!r}")
            found[names[name]] = Decimal(amount)
        return cls(**found)  # type: ignore[arg-type]


class Braking(Protocol):
    """What the brakes look at: the till."""

    @property
    def store(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def limits(self) -> Limits: ...
    def real(self) -> float: ...
    def free(self) -> int: ...


def hundredths(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value(ROUND_UP))


# ---------------------------------------------------------------------------------------------------------- admission


async def admit(tx: Tx, till: Braking, subject: str, caller: str) -> int:
    """Reserve the most that a label may cost; the hundredths reserved. Raises Braked: then nothing is kept.

    One admission at a time: the row of the turn is held, so that two together cannot pass a cap.
    """
    await put_setting(tx, TURN, subject)
    if brake := await brake_on(tx, till):
        raise brake
    limits, wanted = till.limits, hundredths(till.limits.label)
    if await spent_on(tx, subject) + wanted > hundredths(limits.per_return):
        raise Braked("spend_cap_return", f"one return may cost {limits.per_return} at most", HOUR)
    everybody, mine = await spent_since(tx, _us(till.real() - HOUR), caller)
    if caller and mine + wanted > hundredths(limits.per_key):
        raise Braked("spend_cap_key", f"one API key may spend {limits.per_key} in an hour", HOUR / 4)
    if everybody + wanted > hundredths(limits.per_hour):
        raise Braked("spend_cap_hour", f"no more than {limits.per_hour} may be spent in an hour", HOUR / 4)
    return wanted


async def brake_on(tx: Tx, till: Braking) -> Braked | None:
    """What stops everybody now, if anything does."""
    if stopped := await get_setting(tx, STOPPED):
        return Braked("buying_stopped", f"buying was stopped: {msgspec.json.decode(stopped).get('why') or 'no reason'}")
    limits = till.limits
    if till.free() < limits.free_bytes:
        return Braked("disk_full", "what would be bought cannot be kept: the disk is full, or takes no writing")
    unknown, sent, late = await doubts(tx, _us(till.real() - limits.window))
    if unknown > limits.unknown:
        return Braked("unknown_purchases", f"{unknown} purchases are unknown; {limits.unknown} are allowed")
    if sent >= limits.rate_of and late > limits.rate * sent:
        minutes = round(limits.window / 60)
        return Braked("unknown_purchases", f"{late} of {sent} purchases of the last {minutes} minutes are unknown")
    return None


# ---------------------------------------------------------------------------------------------------------- the switch


async def stop(store: Store, by: str, why: str, now: datetime) -> bool:
    """Nothing is bought from now on, also after a restart, until `start`. False: it was stopped already."""

    async def unit(tx: Tx) -> bool:
        if await get_setting(tx, STOPPED):
            return False
        told = {"by": by, "why": why, "at": text(now)}
        await put_setting(tx, STOPPED, msgspec.json.encode(told).decode())
        await _say(tx, f"stopped/{now.isoformat()}", "ops.buying_stopped", now, {**told, "code": "buying_stopped"})
        return True

    return await store.write(unit)


async def start(store: Store, by: str, now: datetime) -> bool:
    """Buying goes on. False: it was not stopped."""

    async def unit(tx: Tx) -> bool:
        if not await get_setting(tx, STOPPED):
            return False
        await forget_setting(tx, STOPPED)
        await _say(tx, f"started/{now.isoformat()}", "ops.buying_started", now, {"by": by, "code": "buying_stopped"})
        return True

    return await store.write(unit)


async def is_stopped(tx: Tx) -> bool:
    return await get_setting(tx, STOPPED) is not None


# -------------------------------------------------------------------------------------------------------- told to ops


async def tell_braked(till: Braking, braked: Braked, caller: str, subject: str) -> None:
    """A purchase was refused: ops hear a cap of one return or key once an hour; `mind` tells of the other brakes."""
    if braked.code not in ("spend_cap_return", "spend_cap_key", "spend_cap_hour"):
        return
    now = till.clock.now()
    about = {"spend_cap_return": subject, "spend_cap_key": caller, "spend_cap_hour": ""}[braked.code]
    name = f"{braked.code}/{about}/{round(till.real() // HOUR)}"
    data = {"code": braked.code, "about": about, "why": braked.message}
    await till.store.write(lambda tx: _say(tx, name, "ops.spend_cap", now, data))


async def mind(till: Braking) -> None:
    """A sweep: ops hear once that a brake took hold, and once that it let go. (The switch tells of itself.)"""
    now = till.clock.now()

    async def unit(tx: Tx) -> None:
        found, known = await brake_on(tx, till), await get_setting(tx, BRAKED)
        code = found.code if found and found.code != "buying_stopped" else None
        if code == known:
            return
        at = round(till.real() * 1000)
        if known:
            await forget_setting(tx, BRAKED)
            await _say(tx, f"released/{known}/{at}", "ops.buying_released", now, {"code": known})
        if found and code:
            await put_setting(tx, BRAKED, code)
            await _say(tx, f"braked/{code}/{at}", "ops.buying_braked", now, {"code": code, "why": found.message})

    if await till.store.read(lambda tx: _may_change(tx, till)):
        await till.store.write(unit)


async def _may_change(tx: Tx, till: Braking) -> bool:
    found = await brake_on(tx, till)
    code = found.code if found and found.code != "buying_stopped" else None
    return code != await get_setting(tx, BRAKED)


async def _say(tx: Tx, name: str, type: str, now: datetime, data: Mapping[str, str]) -> None:
    await say(tx, subject=SUBJECT, name=name, type=type, at=now, data=dict(data))


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
