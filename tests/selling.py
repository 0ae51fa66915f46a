"""A carrier that sells labels from a script and counts what it charges: the money's independent witness in tests."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from decimal import Decimal

from carriers.contract import (
    Abilities,
    Away,
    Bought,
    Label,
    LabelFormat,
    LabelRequest,
    Money,
    NotExecuted,
    Prepared,
    PurchaseOutcome,
    Refused,
    Rejected,
    Unknown,
)


@dataclass
class Seller:
    """What the next sends do, in order, then "sell": sell, reject, unreached, lose (charged, no answer), drop
    (neither), stall (charged when it is let go), break.

    `charges` is every label ever paid, with its reference.
    """

    script: list[str] = field(default_factory=list)
    name: str = "ups"
    title: str = "UPS"
    charges: list[tuple[str, str]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    looks: int = 0
    visible: bool = True  # whether looking finds what was charged
    away: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    abilities: Abilities = field(default_factory=Abilities)

    def prepare_label(self, request: LabelRequest) -> Prepared:
        if not request.ship_from.city:
            raise Refused("the sender's city is missing")
        body = f"{request.reference}|{request.ship_from.name}|{request.weight_kg}".encode()
        return Prepared("label", "POST", "/labels", {"x-reference": request.reference}, body, request.reference)

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        self.sent.append(prepared.body)
        self.entered.set()
        match self.script.pop(0) if self.script else "sell":
            case "sell":
                return Bought(self._charge(prepared.reference), b"{}")
            case "reject":
                return Rejected("120100", "the address is wrong", "req-1")
            case "unreached":
                return NotExecuted("no connection", 1.0)
            case "lose":
                self._charge(prepared.reference)
                return Unknown("read timeout")
            case "drop":
                return Unknown("reset by peer")
            case "stall":
                await self.gate.wait()
                return Bought(self._charge(prepared.reference))
            case other:
                raise RuntimeError(other)

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        self.looks += 1
        if self.away:
            raise Away("no answer")
        if not self.visible:
            return ()
        return tuple(label(number) for reference, number in self.charges if reference == prepared.reference)

    def _charge(self, reference: str) -> Label:
        digits = int(hashlib.sha256(f"{reference}{len(self.charges)}".encode()).hexdigest(), 16) % 10**10
        number = f"1Z999AA1{digits:010d}"
        self.charges.append((reference, number))
        return label(number)


def label(number: str) -> Label:
    documents = {LabelFormat.PDF: b"%PDF-1.7 " + number.encode(), LabelFormat.ZPL: b"^XA" + number.encode()}
    return Label(number, documents, Money(Decimal("7.95"), "EUR"), shipment_id=number)
