"""What was about to be bought, in a file beside the database: a restored backup knows nothing of what came after it.

A line is on the disk before its first byte leaves. After a restore the lines that the database does not know are
entered again as purchases that wait for a person, and the audit asks the carrier for each by its reference or key: what
was bought is found, held, and told to ops. Nothing of them is ever sent again.
"""

import base64
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fleet.clocks import to_us
from spending.intents import Claim, Till, claim_of, hand_over, real_us, say_unknown
from spending.machine import LabelState, State
from store.again import write_surely
from store.engine import Tx
from store.purchases import add_purchase, change_label, find_purchase, labels_of
from store.sealing import Sealer, Unsealable

T = TypeVar("T")

KEPT_SECONDS = 7 * 86_400.0
"""So long after a send a backup of the time before it may be restored; then the address in it is gone from here too."""
WHY = "bought after the backup was taken that this database was restored from: void it, unless its parcel travels"


class Line(msgspec.Struct):
    """One send. `prepared` and `body` are as the database keeps them: the body holds an address."""

    id: str
    carrier: str
    operation: str
    subject: str
    caller: str
    prepared: str
    body: str
    digest: str
    reference: str
    sent: float


@dataclass(frozen=True, slots=True)
class Journal:
    """The file, sealed line by line."""

    path: Path
    sealer: Sealer

    def note(self, claim: Claim) -> None:
        """Write one send down; on the disk when this returns. Raises OSError."""
        intent, prepared = claim.intent, claim.intent.prepared
        kept = {
            "operation": prepared.operation,
            "method": prepared.method,
            "path": prepared.path,
            "headers": dict(prepared.headers),
            "reference": prepared.reference,
            "about": dict(intent.about),
            "most": None if intent.most is None else str(intent.most),
        }
        line = Line(
            id=intent.id,
            carrier=intent.carrier,
            operation=prepared.operation,
            subject=intent.subject,
            caller=intent.caller,
            prepared=msgspec.json.encode(kept).decode(),
            body=base64.b64encode(prepared.body).decode(),
            digest=hashlib.sha256(prepared.body).hexdigest(),
            reference=prepared.reference,
            sent=claim.sent,
        )
        sealed = base64.b64encode(self.sealer.seal(msgspec.json.encode(line)))
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, sealed + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)

    def room(self) -> int:
        """Bytes that the disk has left beside the database: none where nothing can be written at all."""
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            return shutil.disk_usage(self.path.parent).free
        except OSError:
            return 0

    def lines(self) -> Iterator[Line]:
        """Every line that can be read: one that a crash cut short was never sent."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for raw in file:
                with suppress(Unsealable, ValueError, msgspec.MsgspecError):
                    yield msgspec.json.decode(self.sealer.open(base64.b64decode(raw, validate=False)), type=Line)

    def forget_before(self, sent: float) -> int:
        """Drop what is older; how many lines. The file is replaced whole, so a crash keeps the old one."""
        if not self.path.exists():
            return 0
        young, old = list[bytes](), 0
        with self.path.open("rb") as file:
            for raw in file:
                with suppress(Unsealable, ValueError, msgspec.MsgspecError):
                    line = msgspec.json.decode(self.sealer.open(base64.b64decode(raw)), type=Line)
                    if line.sent >= sent:
                        young.append(raw)
                    else:
                        old += 1
        if old:
            fresh = self.path.with_name(self.path.name + ".new")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines(young)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self.path)
        return old


async def reconciled(till: Till, journal: Journal, reconcile: Callable[[Till], Awaitable[T]]) -> T:
    """Reconcile, with what the database has forgotten."""
    journal.forget_before(till.real() - KEPT_SECONDS)
    recalled = await recall(till, journal)
    found = await reconcile(till)
    await hold_recalled(till, recalled)
    return found


async def recall(till: Till, journal: Journal) -> list[str]:
    """Enter again what the database does not know of: the ids. The audit that follows asks the carriers for them."""
    found: list[str] = []
    for line in journal.lines():
        if await write_surely(till.store, partial(_enter, till=till, line=line)):
            found.append(line.id)
    return found


async def hold_recalled(till: Till, ids: list[str]) -> list[str]:
    """Whatever the audit found for them is held and told to ops: the numbers."""
    held: list[str] = []
    for id in ids:
        held += await write_surely(till.store, partial(_hold, till=till, id=id))
    return held


async def _enter(tx: Tx, till: Till, line: Line) -> bool:
    if await find_purchase(tx, line.id) is not None:
        return False
    now, real = to_us(till.clock.now()), real_us(till.real())
    body = base64.b64decode(line.body)
    values: dict[str, Any] = {
        "id": line.id,
        "operation": line.operation,
        "carrier": line.carrier,
        "subject": f"restored:{line.id}",  # numbers of rows are given out again: whose it was, nobody can say
        "generation": 1,
        "reference": line.reference,
        "state": State.NEEDS_HUMAN,
        "prepared": line.prepared,
        "body": till.sealer.seal(body),
        "body_digest": line.digest,
        "next_us": None,
        "created_us": now,
        "updated_us": now,
        "caller": line.caller,
        "spend": 0,
        "admitted_us": real_us(line.sent),
        "audit_us": real,
    }
    await add_purchase(tx, values)
    return True


async def _hold(tx: Tx, till: Till, id: str) -> list[str]:
    row = await find_purchase(tx, id)
    if row is None or row["state"] != State.BOUGHT:
        return []
    held = []
    for label in await labels_of(tx, id):
        if label["state"] == LabelState.LIVE:
            since = real_us(till.real())
            await change_label(tx, label["id"], LabelState.LIVE, LabelState.HELD, note=WHY, since_us=since)
            held.append(str(label["number"]))
    claim = claim_of(row, till)
    await say_unknown(tx, till, claim, State.NEEDS_HUMAN, replace(claim.record, why=WHY))
    await hand_over(tx, till, id)
    return held
