"""The one page a carrier author reads: the words every carrier's folder speaks, and the calls it answers.

A carrier is one folder (`carriers/ups`, `carriers/usps`). It turns its own JSON into `Readings`, knows how to ask where
a parcel is, and how to buy, find and void a label. It knows nothing of shops, orders or what we conclude.

Nouns first, then the errors, then the calls, in the order of the data's path.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

# ---------------------------------------------------------------------------------------------------------------- words


class Kind(StrEnum):
    """What happened to a parcel, carrier-neutral."""

    LABEL_CREATED = "label_created"
    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    ATTEMPT_FAILED = "attempt_failed"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    DELIVERED_TO_ACCESS_POINT = "delivered_to_access_point"
    DELIVERED = "delivered"
    EXCEPTION = "exception"
    CUSTOMS = "customs"
    REFUSED = "refused"
    BAD_ADDRESS = "bad_address"
    UNCLAIMED = "unclaimed"
    RETURNING_TO_SENDER = "returning_to_sender"
    RETURNED_TO_SENDER = "returned_to_sender"
    FORWARDED = "forwarded"
    DAMAGED = "damaged"
    LOST = "lost"
    VOIDED = "voided"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why. A carrier sets at most one per event, row by row in its table; `None` where its words do not say."""

    # a failed attempt
    RECIPIENT_ABSENT = "recipient_absent"
    BUSINESS_CLOSED = "business_closed"
    NO_ACCESS = "no_access"
    NO_SECURE_LOCATION = "no_secure_location"
    SIGNATURE_OR_ID_MISSING = "signature_or_id_missing"
    PAYMENT_DUE = "payment_due"
    UNSPECIFIED = "unspecified"
    # looks like an attempt and is none
    NOT_ATTEMPTED = "not_attempted"
    RESCHEDULED = "rescheduled"
    HELD_AT_REQUEST = "held_at_request"
    WEATHER_OR_VEHICLE = "weather_or_vehicle"
    # final dispositions
    REFUSED = "refused"
    INSUFFICIENT_ADDRESS = "insufficient_address"
    MOVED = "moved"
    UNCLAIMED = "unclaimed"
    PROHIBITED = "prohibited"
    RECALLED_BY_SHIPPER = "recalled_by_shipper"
    # loss
    LOST = "lost"
    DAMAGED = "damaged"
    DESTROYED = "destroyed"


NOT_AN_ATTEMPT = frozenset(
    {Reason.NOT_ATTEMPTED, Reason.RESCHEDULED, Reason.HELD_AT_REQUEST, Reason.WEATHER_OR_VEHICLE}
)


class Effect(StrEnum):
    """How much an event may change: a scan anything, a filler never re-opens an ended parcel, an update nothing."""

    SCAN = "scan"
    FILLER = "filler"
    UPDATE = "update"


class Mark(StrEnum):
    """What an event says beside its kind."""

    COLLECTION = "collection"  # a failed try to collect a return from a customer: never a delivery attempt
    RETURN_WITHDRAWN = "return_withdrawn"  # a return or intercept under way was cancelled
    CORRECTION = "correction"  # an earlier delivery scan was entered in error


class Precision(StrEnum):
    """How exact an event's instant is, and therefore what of it belongs to the event's identity."""

    SECOND = "second"
    MINUTE = "minute"
    DAY = "day"


# Every event asks for these: taken from its class, a member costs eight times as much (docs/decisions/0073).
_DAY, _MINUTE = Precision.DAY, Precision.MINUTE


class Source(StrEnum):
    """Who spoke first: we asked (poll) or the carrier posted (push)."""

    POLL = "poll"
    PUSH = "push"


# ---------------------------------------------------------------------------------------------------------------- nouns

_encode = msgspec.json.Encoder().encode  # writes an instant in a fifth of the time that isoformat takes


def _plain(text: str) -> str:
    """Letters and digits only, lower case, without accents: for comparing places and words."""
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", " ", bare.lower()).strip()


@lru_cache(maxsize=8192)  # of the same few towns, over and over
def _shown(city: str, region: str, country: str) -> str:
    return ", ".join(filter(None, (city, region, country)))


class Place(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where, as far as the carrier says. `country` is ISO 3166 alpha-2; every field may be empty."""

    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""

    def __bool__(self) -> bool:
        return bool(self.city or self.postal_code)

    def __str__(self) -> str:
        return _shown(self.city, self.region, self.country)

    def is_same(self, other: "Place") -> bool:
        """The same town: by postal code when both state one (five characters of it), else by city, region, country."""
        if not self or not other or (self.country and other.country and self.country != other.country):
            return False
        if self.postal_code and other.postal_code:
            mine, theirs = (_plain(p.postal_code).replace(" ", "")[:5] for p in (self, other))
            return mine == theirs
        if self.region and other.region and _plain(self.region) != _plain(other.region):
            return False
        return bool(self.city) and _plain(self.city) == _plain(other.city)


@dataclass(frozen=True, slots=True)
class Payload:
    """The exact bytes a carrier posted or answered (about many parcels: those about one). One noun for push, poll and
    replay.

    `asked` are the numbers a poll asked for (an answer may not repeat them); `status` is the HTTP status of an answer.
    """

    carrier: str
    source: Source
    body: bytes
    asked: tuple[str, ...] = ()
    status: int = 200

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hex: the payload's name in evidence (`payload:<digest>#field`)."""
        return hashlib.sha256(self.body).hexdigest()


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that happened to one parcel, as one payload tells it.

    `at` is an aware UTC instant; `local` the wall time at the scan's place (aware where the offset is known); `day` the
    carrier's local day. `code` is the carrier's own with all that decides its meaning ("X/48", "55"), `words` its words
    untouched. `ordinal` is the attempt number the carrier states (the last try is its own number, with `final`).
    `known` is False when neither code nor words are in the carrier's table and nothing else decided.

    A struct where all else is a dataclass: an answer has twenty of them, and making one costs a fifth.
    `msgspec.structs.replace` changes a field.
    """

    carrier: str
    number: str
    at: datetime
    local: datetime | None
    day: date
    kind: Kind
    code: str
    words: str
    place: Place = Place()
    reason: Reason | None = None
    ordinal: int | None = None
    final: bool = False
    effect: Effect = Effect.SCAN
    marks: frozenset[Mark] = frozenset()
    precision: Precision = Precision.SECOND
    known: bool = True

    @property
    def id(self) -> str:
        """The event's identity within its parcel: instant and code, or the normalised words where there is no code.

        Place and wording are not identity: push and poll differ in both. USPS instants differ in seconds between push
        and poll, so a minute-precise event is named by its minute.  # source: facts/usps.md 3.3, product.md section 2
        """
        if self.precision is _DAY:
            when = self.day.isoformat()
        else:
            when = f"{_encode(self.at)[1 : 17 if self.precision is _MINUTE else 20].decode()}Z"
        return f"{self.code or '~' + _plain(self.words).replace(' ', '-')}@{when}"


class Milestone(msgspec.Struct, frozen=True, gc=False):
    """A step of the journey as the carrier draws it; `at` is the instant of the scan that reached it."""

    code: str
    words: str
    reached: bool
    current: bool = False
    at: datetime | None = None


class Told(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a payload says of a number without it being an event.

    `newest` is the instant of the newest event for this number in the same payload: what is told is ordered by it and
    never by arrival. `return_by` is the day after which the carrier sends the parcel back (USPS), `pickup_by` the last
    day at an access point (UPS); `fields` names the carrier's own field for each of ours, as evidence.
    """

    number: str
    newest: datetime | None = None
    found: bool = True
    estimate: date | None = None
    rescheduled: bool = False
    window: tuple[str, str] | None = None  # "HH:MM" local at the destination
    return_by: date | None = None
    pickup_by: date | None = None
    origin: Place = Place()
    destination: Place = Place()
    references: tuple[str, ...] = ()
    alternates: tuple[str, ...] = ()
    service: str = ""
    express: bool | None = None
    status: str = ""  # the latest numeric or category status, for display only
    warnings: tuple[str, ...] = ()
    milestones: tuple[Milestone, ...] = ()  # oldest first, those to come last; they decide nothing, scans do
    fields: Mapping[str, str] = msgspec.field(default_factory=dict)


class Readings(msgspec.Struct, frozen=True, gc=False):
    """Everything a payload says: events and what is told, for one number or many."""

    events: tuple[Event, ...] = ()
    told: tuple[Told, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(t.number for t in self.told), *(e.number for e in self.events)]))


@dataclass(frozen=True, slots=True)
class Push:
    """An HTTP request a carrier made to us: headers, found by their names in lower case, and the exact body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Recognised:
    """A tracking number as its carrier writes it, and a warning when something about it is odd (a bad check digit)."""

    number: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. `lines` are street lines; `region` is a state or province code; `phone` digits only."""

    name: str
    lines: tuple[str, ...]
    city: str
    postal_code: str
    country: str
    region: str = ""
    company: str = ""
    phone: str = ""
    email: str = ""

    @property
    def place(self) -> Place:
        return Place(self.city, self.region, self.postal_code, self.country)


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class LabelFormat(StrEnum):
    PDF = "pdf"
    PNG = "png"
    GIF = "gif"
    ZPL = "zpl"
    QR = "qr"  # a PNG that a counter scans and prints the label from


@dataclass(frozen=True, slots=True)
class CustomsLine:
    """One kind of goods in a parcel that crosses a customs border. `value` is that of one unit, `origin` a country."""

    description: str
    quantity: int
    value: Money
    commodity_code: str = ""
    origin: str = ""
    weight_kg: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """What a label is bought for. `purchase_id` is a UUID4, `reference` our mark at the carrier (27 characters).

    `electronic_to` is the e-mail address to which the carrier itself mails the label; `qr` asks for a code that a
    counter prints the label from; `customs` lists the goods where a customs border is crossed.
    """

    purchase_id: str
    reference: str
    ship_from: Address
    ship_to: Address
    weight_kg: Decimal
    description: str
    service: str = ""
    size_cm: tuple[Decimal, Decimal, Decimal] | None = None
    format: LabelFormat = LabelFormat.PDF
    is_return: bool = True
    order_numbers: tuple[str, ...] = ()
    return_number: str = ""
    ship_day: date | None = None
    electronic_to: str = ""
    customs: tuple[CustomsLine, ...] = ()
    is_dangerous: bool = False
    qr: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that spends, ready to send and safe to store: exact bytes, no secret in it. Sent as it is, always."""

    operation: str  # "label", "void", "intercept"
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    reference: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label as bought. `documents` maps a format to the bytes; the first one is the carrier's own."""

    number: str
    documents: Mapping[LabelFormat, bytes]
    price: Money | None
    shipment_id: str = ""
    service: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bought:
    label: Label
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Voided:
    """Nobody can use it. `pending` names the request for its price that the carrier has yet to decide."""

    number: str
    note: str = ""
    pending: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The carrier said no, in an answer we could read: nothing was bought."""

    code: str
    message: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """The request never reached the carrier's business (no connection, 401, 429): the same bytes may be sent again."""

    why: str
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the carrier acted: only looking can settle it."""

    why: str


@dataclass(frozen=True, slots=True)
class Intercepted:
    """The carrier took the order to turn a parcel round. It is a promise to try: the scans tell whether it was done."""

    number: str
    note: str = ""


PurchaseOutcome: TypeAlias = Bought | Rejected | NotExecuted | Unknown
VoidOutcome: TypeAlias = Voided | Rejected | NotExecuted | Unknown
InterceptOutcome: TypeAlias = Intercepted | Rejected | NotExecuted | Unknown


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a parcel under way can be turned round now. `already`: such an order is in force; `why` is the carrier's.

    `reasons` are the codes the carrier accepts as a reason here; empty where it states none.
    """

    possible: bool
    why: str = ""
    reasons: tuple[str, ...] = ()
    already: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """What something would cost, or did; None where the carrier does not say."""

    total: Money | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PickupRequest:
    """A collection at an address: its local day and the hours between which somebody is there to hand it over.

    `numbers` are the parcels' tracking numbers: a pre-paid return's pays for its collection where the carrier allows.
    """

    address: Address
    day: date
    ready: time
    close: time
    pieces: int = 1
    numbers: tuple[str, ...] = ()
    weight_kg: Decimal = Decimal(1)
    note: str = ""


@dataclass(frozen=True, slots=True)
class PickupBooked:
    """A collection the carrier accepted, under its confirmation; `day` is the one it will come on."""

    confirmation: str
    day: date
    charge: Charge = Charge(None)


class PickupStage(StrEnum):
    """How far a collection is."""

    BOOKED = "booked"
    DISPATCHED = "dispatched"
    DONE = "done"
    NOT_DONE = "not_done"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PickupState:
    """How far a collection is, and the carrier's own words for it."""

    state: PickupStage
    words: str = ""


@dataclass(frozen=True, slots=True)
class DropOff:
    """A place that takes parcels. `hours` is a line per day; handed in by `until`, it leaves today."""

    name: str
    address: Address
    distance_km: Decimal | None = None
    hours: tuple[str, ...] = ()
    until: str = ""


@dataclass(frozen=True, slots=True)
class AddressVerdict:
    """What a carrier knows of an address. `candidates`: the address as the carrier writes it, or what may be meant."""

    verdict: Literal["valid", "ambiguous", "unknown"]
    candidates: tuple[Address, ...] = ()
    zip4: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The outcome of asking for pushes: which numbers (the account is "*") are followed until when, which not."""

    accepted: tuple[str, ...]
    refused: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `homeward doctor`: what was tried, whether it works, and what to do when it does not."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a carrier can and cannot do by API; where it cannot, why not and what to do instead.

    A call that the abilities rule out raises Refused with that reason and sends nothing.
    """

    batch: int = 1  # numbers in one tracking call
    push_by_number: bool = True  # False: one subscription covers the account
    push_limit: int = 64 * 1024  # bytes of one push; a carrier that pushes batches needs more
    intercept: str = ""  # empty: possible; else why not and what to do instead
    void_return: str = ""  # empty: possible; else why not
    pickup: str = ""  # likewise for book_pickup
    drop_offs: str = ""
    address_check: str = ""
    electronic: str = ""  # whether the carrier mails a label itself (`electronic_to`): likewise
    qr: str = "This carrier gives no code to print a label from: send the label itself."
    label_formats: tuple[LabelFormat, ...] = (LabelFormat.PDF,)
    push_lifetime: timedelta | None = None


# --------------------------------------------------------------------------------------------------------------- errors


class CarrierError(Exception):
    """Something between us and a carrier. Subclasses are named by what the caller does next.

    `code` and `request_id` are the carrier's own; the message never holds a secret.
    """

    def __init__(self, message: str, *, code: str = "", request_id: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.request_id, self.retry_after = code, request_id, retry_after


class Refused(CarrierError):
    """Fix the request (or the credentials): asking again unchanged cannot help."""


class Busy(CarrierError):
    """Wait `retry_after` seconds, then ask again."""


class Away(CarrierError):
    """The carrier or the way to it is down: try later."""


class NotFound(CarrierError):
    """The carrier knows nothing of it yet: ask again later."""


class Forged(CarrierError):
    """A push that did not come from the carrier: drop it and tell ops."""


class Unreadable(ValueError):
    """A payload that is not what this carrier sends. The bytes stay kept; the message says what was expected."""


# ---------------------------------------------------------------------------------------------------------------- calls


class Reads(Protocol):
    """Whatever can read a payload: a carrier, or its pure half alone."""

    def read(self, payload: Payload) -> Readings: ...


class Reading(Protocol):
    """The pure half of a carrier, `carriers/<name>/reading.py`: no I/O, no clock, the same bytes give the same."""

    def read(self, payload: Payload) -> Readings:
        """Everything the payload says. Raises Unreadable for bytes not of this carrier, never for an unknown code."""

    def verify(self, push: Push, secrets: Sequence[str], now: datetime) -> None:
        """Raise Forged unless one of `secrets` (newest first) proves that the carrier sent it. Constant time."""

    def source_of(self, body: bytes) -> Source:
        """Whether these bytes are a push or a poll's answer, by their shape. Raises Unreadable where neither."""

    def recognise(self, text: str) -> Recognised | None:
        """The tracking number in `text` as this carrier writes it, or None when it cannot be one of its numbers."""


class Carrier(Protocol):
    """A carrier with its credentials and its connection, as `carriers/<name>/connect.py: connect()` returns it."""

    name: str
    title: str
    abilities: Abilities

    # pure
    def read(self, payload: Payload) -> Readings: ...
    def verify(self, push: Push, now: datetime) -> None: ...
    def recognise(self, text: str) -> Recognised | None: ...
    def tracking_url(self, number: str) -> str: ...
    def prepare_label(self, request: LabelRequest) -> Prepared: ...
    def prepare_void(self, label_number: str, shipment_id: str) -> Prepared: ...
    def prepare_intercept(self, number: str, reason: str | None) -> Prepared:
        """The order to turn a parcel round. `reason` is a Reason of ours, or one of `Eligibility.reasons`.

        Raises Refused where the carrier has none, saying what to do instead.
        """

    # asks
    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        """Where these parcels are: raw answers, each about one parcel where the carrier's answer can be cut, at most
        `abilities.batch` numbers in one call.

        Raises Refused, Busy, Away. A number the carrier does not know is an answer, not an error.
        """

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        """Ask for pushes of these numbers (or of the account). Raises Refused, Busy, Away."""

    async def intercept_eligibility(self, number: str) -> Eligibility:
        """Whether this parcel can be turned round now; never, with why, where the carrier has no such order.

        Raises Refused, Busy, Away.
        """

    async def intercept_charge(self, number: str, ends: tuple[Address, Address] | None = None) -> Charge:
        """What turning it round would cost; nothing known, with why, where it cannot be. Raises Refused, Busy, Away.

        `ends` are where it came from and where it goes, where the caller knows: a carrier may not tell whole addresses.
        """

    async def pickup_state(self, confirmation: str) -> PickupState:
        """How far a booked collection is. Raises Refused, Busy, Away."""

    async def drop_offs(self, address: Address, limit: int, prints_labels: bool = False) -> tuple[DropOff, ...]:
        """Places near this address that take parcels, nearest first; with `prints_labels`, those that print a label
        from a code, where the carrier knows codes. Raises Refused, Busy, Away.
        """

    async def check_address(self, address: Address) -> AddressVerdict:
        """What the carrier knows of this address. Raises Refused, Busy, Away."""

    async def check(self) -> list[Check]:
        """Prove credentials, scopes and products with harmless calls."""

    # spends: never retried inside
    async def buy(self, prepared: Prepared) -> PurchaseOutcome: ...
    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        """Labels that the carrier holds for this purchase's reference or key. Empty: none seen (yet).

        Raises Busy, Away, Refused.
        """

    async def void(self, prepared: Prepared) -> VoidOutcome: ...
    async def intercept(self, prepared: Prepared) -> InterceptOutcome: ...
    async def cancel_intercept(self, number: str) -> None:
        """Let the parcel go on. Sent once; raises Refused, Busy, Away (then ask the eligibility what is in force)."""

    async def book_pickup(self, wanted: PickupRequest) -> PickupBooked:
        """Book a collection. Sent once; raises Refused, Busy, Away."""

    async def cancel_pickup(self, confirmation: str) -> None:
        """Call a collection off. Cancelling twice is no error. Raises Refused, Busy, Away."""

    async def aclose(self) -> None: ...


@runtime_checkable
class Grants(Protocol):
    """A carrier that fetches a token of ours before it pushes: what our token endpoint answers it."""

    def grant(self, asked: Push, now: datetime) -> bytes:
        """JSON with the token. `now` is real time. Raises Unreadable for no such request, Forged for a stranger."""


class Answering(Protocol):
    """Whether a carrier answers. `away` says why it is taken to be away, empty while it is not."""

    @property
    def away(self) -> str: ...
    @property
    def down(self) -> bool:
        """False where it answers, but no longer to our credentials."""

    @property
    def answers(self) -> int:
        """How many answers came so far."""


@runtime_checkable
class Watched(Protocol):
    """A carrier whose door knows whether it answers, whatever it is asked for."""

    @property
    def circuit(self) -> Answering: ...


@runtime_checkable
class States(Protocol):
    """A carrier whose pushes say when they were sent."""

    def stated_at(self, push: Push) -> datetime | None:
        """When the carrier says that it sent this push; None where that cannot be read. Ask only what is verified."""
