"""A carrier that sells labels from a script and counts what it charges: the money's independent witness in tests."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from carriers.contract import (
    Abilities,
    Address,
    AddressVerdict,
    Away,
    Bought,
    CarrierError,
    Event,
    Kind,
    Label,
    LabelFormat,
    LabelRequest,
    Money,
    NotExecuted,
    Payload,
    Prepared,
    PurchaseOutcome,
    Readings,
    Recognised,
    Refused,
    Rejected,
    Source,
    Told,
    Unknown,
    Voided,
    VoidOutcome,
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
    spent_reprints: bool = False  # looking is refused: there is a label, and it is not shown
    prices: list[str] = field(default_factory=list)  # of the next labels
    papers: list[dict[LabelFormat, bytes]] = field(default_factory=list)  # of the next labels looked for
    voids: list[str] = field(default_factory=list)  # the script of the next voids: void, refuse, lose, drop, unreached
    voided: list[str] = field(default_factory=list)
    asked_void: list[str] = field(default_factory=list)
    scanned: set[str] = field(default_factory=set)
    requests: list[LabelRequest] = field(default_factory=list)  # every label that was prepared
    verdicts: list[AddressVerdict | CarrierError] = field(default_factory=list)  # of the next addresses; then valid
    checked: list[Address] = field(default_factory=list)

    def prepare_label(self, request: LabelRequest) -> Prepared:
        if not request.ship_from.city:
            raise Refused("the sender's city is missing")
        self.requests.append(request)
        body = f"{request.reference}|{request.ship_from.name}|{request.weight_kg}".encode()
        return Prepared("label", "POST", "/labels", {"x-reference": request.reference}, body, request.reference)

    def recognise(self, text: str) -> Recognised | None:
        bare = text.replace(" ", "").upper()
        return Recognised(bare) if self.name == "ups" and re.fullmatch(r"1Z[0-9A-Z]{16}", bare) else None

    async def check_address(self, address: Address) -> AddressVerdict:
        self.checked.append(address)
        verdict = self.verdicts.pop(0) if self.verdicts else AddressVerdict("valid")
        if isinstance(verdict, CarrierError):
            raise verdict
        return verdict

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
        if self.spent_reprints:
            raise Refused("reprinted three times", code="160379")
        if not self.visible:
            return ()
        held = [n for reference, n in self.charges if reference == prepared.reference and n not in self.voided]
        return tuple(label(number, self.papers.pop(0) if self.papers else None) for number in held)

    def prepare_void(self, number: str, shipment_id: str) -> Prepared:
        path = "" if self.abilities.void_return else f"/void/{number}"
        return Prepared("void", "DELETE", path, {}, b"", number)

    async def void(self, prepared: Prepared) -> VoidOutcome:
        self.asked_void.append(prepared.reference)
        match self.voids.pop(0) if self.voids else "void":
            case "void":
                self.voided.append(prepared.reference)
                return Voided(prepared.reference)
            case "dispute":
                self.voided.append(prepared.reference)
                return Voided(prepared.reference, "its price was asked back (dispute D-1)", pending="D-1")
            case "refuse":
                return Rejected("190102", "no shipment within the void period")
            case "lose":
                self.voided.append(prepared.reference)
                return Unknown("read timeout")
            case "unreached":
                return NotExecuted("no connection", 1.0)
            case _:
                return Unknown("reset by peer")

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        if self.away:
            raise Away("no answer")
        return [Payload(self.name, Source.POLL, number.encode()) for number in numbers]

    def read(self, payload: Payload) -> Readings:
        """The body is a number, or a number and a reference."""
        number, _, reference = payload.body.decode().partition(" ")
        at = datetime(2026, 3, 2, 9, tzinfo=UTC)
        kinds = [Kind.LABEL_CREATED]
        kinds += [Kind.PICKED_UP] if number in self.scanned else []
        kinds += [Kind.VOIDED] if number in self.voided else []
        events = tuple(Event(self.name, number, at, at, at.date(), kind, f"T/{kind}", str(kind)) for kind in kinds)
        return Readings(events, (Told(number, at, references=(reference,) if reference else ()),))

    def _charge(self, reference: str) -> Label:
        digits = int(hashlib.sha256(f"{reference}{len(self.charges)}".encode()).hexdigest(), 16) % 10**10
        number = f"1Z999AA1{digits:010d}"
        self.charges.append((reference, number))
        price = self.prices.pop(0) if self.prices else PRICE
        return label(number, price=price)

    @property
    def live(self) -> list[str]:
        """The numbers that are paid and not void."""
        return [number for _, number in self.charges if number not in self.voided]


PRICE = "7.95"


def label(number: str, documents: dict[LabelFormat, bytes] | None = None, *, price: str = PRICE) -> Label:
    if documents is None:
        documents = {LabelFormat.PDF: b"%PDF-1.7 " + number.encode(), LabelFormat.ZPL: b"^XA" + number.encode()}
    return Label(number, documents, Money(Decimal(price), "EUR"), shipment_id=number)
