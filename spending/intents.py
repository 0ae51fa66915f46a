"""Intents to spend: what is kept before a carrier is called, and how it changes under a fence.

source: design/labels-never-twice.md, protocol 2. Leases and delays are real time; rows are dated in story time.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import uuid4

import msgspec

from carriers.contract import Carrier, Prepared
from fleet.clocks import Clock, to_us
from spending import points
from spending.brakes import Limits, admit
from spending.machine import Pace, Record, State, next_audit
from store.engine import Row, Store, Tx
from store.outbox import say
from store.purchases import add_purchase, find_purchase, lock_purchase, move_purchase, set_spend
from store.sealing import Sealer

LABEL, VOID, INTERCEPT = "label", "void", "intercept"
"""What is bought: a label, its end, a parcel turned round."""


def _endless() -> int:
    return 1 << 62


def _nowhere(claim: "Claim") -> None:
    """No journal is kept: tests, and tools that buy nothing."""


@dataclass(frozen=True, slots=True)
class Till:
    """What buying needs: where intents are kept, who sells, how long to wait and how much may be spent.

    `real` is the clock of leases; `free` says how many bytes the disk has left; `note` writes down, beside the
    database, what is about to be sent.
    """

    store: Store
    sealer: Sealer
    carriers: Mapping[str, Carrier]
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    real: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    limits: Limits = field(default_factory=Limits)
    free: Callable[[], int] = _endless
    note: "Callable[[Claim], None]" = _nowhere


@dataclass(frozen=True, slots=True)
class Intent:
    """Something to be bought: exact bytes under a name of our own. `about` goes with every notice."""

    id: str
    carrier: str
    subject: str  # "return:12"
    generation: int
    prepared: Prepared
    about: Mapping[str, str]
    caller: str = ""  # whose API key asked: the spend caps count by it
    most: Decimal | None = None  # what it may cost; set when it is planned


@dataclass(frozen=True, slots=True)
class Claim:
    """A purchase as it was read or taken: nobody else changed it while its state and fence are these."""

    intent: Intent
    state: State
    fence: int
    sends: int
    sent: float
    record: Record
    admitted: float = 0.0


def new_purchase_id() -> str:
    """A UUID4: it is also the key under which USPS remembers the purchase."""
    return str(uuid4())


def new_reference() -> str:
    """R and 26 letters and digits: our mark at the carrier, unique in the account."""
    return "R" + base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=")


async def plan(tx: Tx, till: Till, intent: Intent) -> None:
    """Keep the intent with its exact bytes, in the transaction of whoever wants it. Raises Braked for what costs.

    A void saves money: no brake holds it.
    """
    points.crash_point("plan.before")
    prepared, now_us, real = intent.prepared, to_us(till.clock.now()), till.real()
    is_void = prepared.operation == VOID
    spend = 0 if is_void else await admit(tx, till, intent.subject, intent.caller)
    audit = next_audit(till.pace, 0.0) if prepared.operation == LABEL else None
    kept = {
        "operation": prepared.operation,
        "method": prepared.method,
        "path": prepared.path,
        "headers": dict(prepared.headers),
        "reference": prepared.reference,
        "about": dict(intent.about),
        "most": None if is_void else str(till.limits.label),
    }
    await add_purchase(
        tx,
        {
            "id": intent.id,
            "operation": prepared.operation,
            "carrier": intent.carrier,
            "subject": intent.subject,
            "generation": intent.generation,
            "reference": prepared.reference,
            "state": State.PLANNED,
            "prepared": msgspec.json.encode(kept).decode(),
            "body": till.sealer.seal(prepared.body),  # it holds the customer's address
            "body_digest": hashlib.sha256(prepared.body).hexdigest(),
            # whoever planned it sends it at once; the sweep only when that one died
            "next_us": real_us(real + till.pace.scaled(till.pace.looks[0])),
            "created_us": now_us,
            "updated_us": now_us,
            "caller": intent.caller,
            "spend": spend,
            "admitted_us": real_us(real),
            "audit_us": None if audit is None else real_us(real + audit),
        },
    )


async def give_up(tx: Tx, till: Till, purchase_id: str) -> bool:
    """Cancel a purchase of which nothing has reached the carrier. False: it may have."""
    row = await lock_purchase(tx, purchase_id)
    if row is None or row["state"] != State.PLANNED:
        return False
    return await move(tx, till, claim_of(row, till), State.CANCELLED)


async def hand_over(tx: Tx, till: Till, purchase_id: str) -> State | None:
    """Take an ended purchase for good, once: BOUGHT becomes ISSUED. None: not ended, or handed over before."""
    row = await lock_purchase(tx, purchase_id)
    if row is None or row["next_us"] is None or row["state"] not in (State.BOUGHT, State.REJECTED):
        return None
    state = State.ISSUED if row["state"] == State.BOUGHT else State.REJECTED
    claim = claim_of(row, till)
    return state if await move(tx, till, claim, state, sends=claim.sends, sent=claim.sent) else None


async def state_of(till: Till, purchase_id: str) -> State:
    row = await till.store.read(lambda tx: find_purchase(tx, purchase_id))
    if row is None:
        raise LookupError(f"no purchase {purchase_id}")
    return State(row["state"])


def label_id_of(claim: Claim) -> int:
    """The row of the label that a void is about."""
    return int(claim.intent.subject.removeprefix("label:"))


def claim_of(row: Row, till: Till) -> Claim:
    kept = msgspec.json.decode(row["prepared"])
    sealed = bytes(row["body"])
    body = till.sealer.open(sealed) if sealed else b""  # erased: nothing of it is open, and it is never sent again
    if sealed and hashlib.sha256(body).hexdigest() != row["body_digest"]:
        raise ValueError(f"the bytes of purchase {row['id']} are not those that were planned")
    prepared = Prepared(kept["operation"], kept["method"], kept["path"], kept["headers"], body, kept["reference"])
    most = kept.get("most")
    intent = Intent(
        id=row["id"],
        carrier=row["carrier"],
        subject=row["subject"],
        generation=row["generation"],
        prepared=prepared,
        about=kept["about"],
        caller=row["caller"],
        most=Decimal(most) if most else None,
    )
    record = msgspec.json.decode(row["outcome"], type=Record)
    sent, admitted = ((row[name] or 0) / 1e6 for name in ("sent_us", "admitted_us"))
    return Claim(intent, State(row["state"]), row["fence"], row["attempt"], sent, record, admitted)


async def move(
    tx: Tx,
    till: Till,
    claim: Claim,
    state: State,
    record: Record | None = None,
    *,
    sends: int | None = None,
    sent: float = 0.0,
    lease: float | None = None,
    next_at: float | None = None,
) -> bool:
    """Change a purchase that is still as claimed; the fence moves with every change."""
    moved = await move_purchase(
        tx,
        claim.intent.id,
        claim.state,
        claim.fence,
        {
            "state": state,
            "fence": claim.fence + 1,
            "attempt": claim.sends if sends is None else sends,
            "lease": None if lease is None else real_us(lease),
            "sent": real_us(sent) if sent else None,
            "next": None if next_at is None else real_us(next_at),
            "outcome": msgspec.json.encode(record or claim.record).decode(),
            "updated": to_us(till.clock.now()),
        },
    )
    if moved and state in (State.REJECTED, State.CANCELLED):
        await set_spend(tx, claim.intent.id, 0)
    return moved


async def taken(tx: Tx, till: Till, claim: Claim, lease: float) -> Claim | None:
    """The claim under a fence of our own, due for nobody else before the lease is over. None: somebody was first."""
    if not await move(tx, till, claim, claim.state, sends=claim.sends, sent=claim.sent, next_at=lease):
        return None
    return replace(claim, fence=claim.fence + 1)


async def say_unknown(tx: Tx, till: Till, claim: Claim, state: State, record: Record) -> None:
    """Ops hear once that a purchase is unknown, and once that it needs a person."""
    await say(
        tx,
        subject=claim.intent.subject,
        name=f"purchase/{claim.intent.id}/{state}",
        type="ops.purchase_unknown",
        at=till.clock.now(),
        data={
            **claim.intent.about,
            "operation": claim.intent.prepared.operation,
            "purchase_id": claim.intent.id,
            "carrier": claim.intent.carrier,
            "reference": claim.intent.prepared.reference,
            "state": state,
            "why": record.why,
        },
    )


def real_us(seconds: float) -> int:
    return round(seconds * 1_000_000)
