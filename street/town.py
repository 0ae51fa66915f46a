"""The simulated town: its parcels, what truly became of them, and the two carriers' stand-ins that speak of them."""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from carriers.ups.standin import Standin as Ups
from carriers.usps.standin import Standin as Usps
from street.clock import StoryClock
from street.drawing import draw
from street.faults import Faults
from street.journeys import JOURNEYS, RECALLED, Journey, journey, visit_days
from street.ledger import Ledger
from street.places import CUSTOMERS, NOWHERE, USUAL, WAREHOUSES, Place, place
from street.queue import Queue
from street.telling import Delivery, Scan, Telling, recall, resume, tell
from street.tokens import Tokens
from street.variants import Variant

PAID_BY = frozenset({"pickup", "dropoff"})  # the first scan in the carrier's hands
PURPOSES = ("order", "return", "resend", "exchange")


@dataclass(slots=True)
class Settings:
    """What can be set, from the start or over `POST /street/settings`. Empty credentials let anybody in."""

    ups_account: str = ""
    ups_client_id: str = ""
    ups_client_secret: str = ""
    ups_webhook_url: str = ""
    ups_webhook_credential: str = ""
    ups_webhook_token_url: str = ""  # where UPS gets the token that it shows to the webhook; empty: it shows none
    ups_webhook_client_id: str = ""
    ups_webhook_client_secret: str = ""
    ups_products: str = (
        "shipping tracking track-alert delivery-intercept pickup locator address-validation time-in-transit"
    )
    usps_client_id: str = ""
    usps_client_secret: str = ""
    usps_scopes: str = "addresses labels locations payments pickup subscriptions-tracking tracking"
    usps_mid: str = "901234567"
    usps_environment: str = "production"  # or "tem", which knows no Label Broker
    usps_reprint_until_mailing: bool = False  # at story speed the day of mailing is over in a second
    usps_listener_url: str = ""  # who is told while nobody has subscribed
    usps_listener_secret: str = ""
    token_seconds: float = 0.0  # 0: as long as the carrier's tokens last
    index_lag: float = 0.0  # real seconds until a label can be found by its reference
    push_all: bool = False  # push of UPS numbers that nobody subscribed to
    suspend_after: int = 0  # failed pushes in a row until USPS suspends a subscription; 0: never
    intercept_after_final: bool = False  # a parcel may be asked back after its last failed attempt too
    intercept_careless: bool = False  # whatever is ordered is taken and charged: twice, and of parcels that have ended
    next_journeys: list[dict[str, str]] = field(
        default_factory=list
    )  # {"journey", "delivery"} for labels bought, in turn

    def change(self, values: Mapping[str, Any]) -> None:
        """Set some. Raises ValueError for a name or a type that is not there."""
        types = {each.name: type(getattr(self, each.name)) for each in fields(self)}
        for name, value in values.items():
            wanted = types.get(name)
            if wanted is None:
                raise ValueError(f"no setting {name!r}; known: {', '.join(types)}")
            if not isinstance(value, (int, float) if wanted is float else wanted):
                raise ValueError(f"{name} must be {wanted.__name__}")
        for name, value in values.items():
            setattr(self, name, value)


@dataclass(slots=True)
class Parcel:
    """One parcel in the town; the telling is fixed from the start."""

    number: str
    journey: Journey
    delivery: Delivery
    purpose: str
    origin: Place
    destination: Place
    starts_at: datetime
    seed: int
    telling: Telling
    references: tuple[str, ...] = ()
    made_at: float = 0.0  # monotonic
    voided: Scan | None = None
    before_recall: Telling | None = None  # what would have happened, had the sender not asked for it back
    charge: tuple[str, str, str] | None = (
        None  # amount, currency, reference: due with the first scan in the carrier's hands
    )

    @property
    def is_return(self) -> bool:
        return self.purpose == "return"

    @property
    def scheduled(self) -> date:
        return self.telling.scheduled

    def seen(self, now: datetime) -> list[Scan]:
        """What the carrier's systems know by now, as a poll lists it."""
        if self.voided:
            return [self.voided, *(scan for scan in self.telling.scans if scan.word == "label")]
        return [scan for scan in self.telling.scans if scan.visible_at <= now]


class Town:
    """Everything on the street. One town, one clock, two carriers; no I/O but the ledger's file."""

    def __init__(self, clock: StoryClock, settings: Settings | None = None, ledger_path: Path | None = None) -> None:
        self.clock, self.settings = clock, settings or Settings()
        self.ledger, self.faults, self.queue = Ledger(ledger_path), Faults(), Queue()
        self.parcels: dict[str, Parcel] = {}
        self.calls: dict[str, int] = {}
        self.tokens = {"ups": Tokens(), "usps": Tokens()}
        self.ups, self.usps = Ups(self, self.tokens["ups"]), Usps(self, self.tokens["usps"])
        self._by_reference: dict[tuple[str, str], list[str]] = {}

    def now(self) -> datetime:
        return self.clock.now()

    # ----------------------------------------------------------------------------------------------------- parcels come

    def create(
        self,
        carrier: str,
        name: str,
        *,
        delivery: str = Delivery.PLAIN,
        purpose: str = "",
        number: str = "",
        starts_at: datetime | None = None,
        origin: Place | None = None,
        destination: Place | None = None,
        references: tuple[str, ...] = (),
        variant: Variant | None = None,
    ) -> Parcel:
        """A parcel sets out on a journey. Raises ValueError for what cannot be."""
        script = variant.script() if variant else journey(carrier, name)
        purpose = purpose or ("return" if script.is_return else "order")
        if purpose not in PURPOSES or (purpose == "return") != script.is_return:
            raise ValueError(f"{name} is no journey for the purpose {purpose!r}")
        number = number or self._number(carrier)
        if number in self.parcels:
            raise ValueError(f"{number} is on the street already")
        seed = zlib.crc32(number.encode())
        warehouse, customer = (
            WAREHOUSES[carrier],
            CUSTOMERS[script.destination or USUAL[carrier][len(self.parcels) % len(USUAL[carrier])]],
        )
        usual = (customer, warehouse) if script.is_return else (warehouse, customer)
        start, origin, destination = starts_at or self.now(), origin or usual[0], destination or usual[1]
        telling = tell(script, Delivery(delivery), start, origin, destination, seed)
        telling = variant.tell(telling) if variant else telling
        parcel = Parcel(
            number,
            script,
            Delivery(delivery),
            purpose,
            origin,
            destination,
            start,
            seed,
            telling,
            references,
            time.monotonic(),
        )
        self.parcels[number] = parcel
        for reference in references:
            self._by_reference.setdefault((carrier, reference), []).append(number)
        for push in telling.pushes:
            self.queue.add(push.due, number, push.scan)
        return parcel

    def _number(self, carrier: str) -> str:
        return (
            self.ups.number(self.settings.ups_account or "W95789")
            if carrier == "ups"
            else self.usps.number(self.settings.usps_mid)
        )

    def ship(
        self,
        carrier: str,
        number: str,
        *,
        is_return: bool,
        origin: Mapping[str, str],
        destination: Mapping[str, str],
        references: tuple[str, ...],
        amount: str,
        currency: str,
        key: str = "",
        charged: bool = True,
    ) -> None:
        """A label was bought: the book says so, and its parcel sets out on the next journey in turn."""
        usual = {"journey": "return_delivered" if is_return else "delivered_first_time"}
        asked = next((each for each in self.settings.next_journeys if self._suits(carrier, each, is_return)), None)
        if asked:
            self.settings.next_journeys.remove(asked)
        plan = {**usual, **(asked or {})}
        parcel = self.create(
            carrier,
            plan["journey"],
            delivery=plan.get("delivery", Delivery.PLAIN),
            number=number,
            references=references,
            origin=place(origin),
            destination=place(destination),
        )
        reference = references[0] if references else ""
        self.ledger.add(
            self.now(), carrier, "label", number, reference=reference, key=key, amount=amount, currency=currency
        )
        if charged and amount:
            self.ledger.add(
                self.now(), carrier, "charge", number, reference=reference, key=key, amount=amount, currency=currency
            )
        elif amount:
            parcel.charge = (amount, currency, reference)

    def ask_back(self, number: str, amount: str, currency: str) -> None:
        """The sender wants it back: from now on the parcel's journey leads home, and that is paid when it turns."""
        parcel = self.parcels[number]
        parcel.before_recall = parcel.telling
        self._retell(parcel, recall(parcel.telling, self.now(), parcel.origin, parcel.destination, parcel.delivery))
        parcel.charge = (amount, currency, "intercept")

    def let_go(self, number: str) -> None:
        """The sender thinks better of it, before the parcel has turned: it goes on as if nothing had been asked."""
        parcel = self.parcels[number]
        if parcel.before_recall is None:
            raise ValueError(f"nobody asked {number} back")
        self._retell(parcel, resume(parcel.telling, parcel.before_recall, self.now(), parcel.delivery))
        parcel.before_recall, parcel.charge = None, None

    def _retell(self, parcel: Parcel, telling: Telling) -> None:
        parcel.telling = telling
        self.queue.drop(parcel.number)
        for push in telling.pushes:
            self.queue.add(push.due, parcel.number, push.scan)

    def book(
        self, carrier: str, kind: str, number: str, *, reference: str = "", amount: str = "", currency: str = ""
    ) -> None:
        """A line in the carrier's book that is no label: an intercept, a pickup, what they cost."""
        self.ledger.add(self.now(), carrier, kind, number, reference=reference, amount=amount, currency=currency)

    @staticmethod
    def _suits(carrier: str, asked: Mapping[str, str], is_return: bool) -> bool:
        script = JOURNEYS.get((carrier, asked.get("journey", "")))
        return script is not None and script.is_return == is_return and asked.get("carrier", carrier) == carrier

    def void(self, carrier: str, number: str) -> None:
        """The label is void: the parcel never travels, and what was charged is given back."""
        parcel, now = self.parcels[number], self.now()
        parcel.voided = Scan("void", now, now.astimezone(parcel.origin.clock), parcel.origin, now, 99)
        self.queue.drop(number)
        self.ledger.add(now, carrier, "void", number)
        charge = next((line for line in self.ledger if line.number == number and line.kind == "charge"), None)
        if charge:
            self.ledger.add(now, carrier, "refund", number, amount=charge.amount, currency=charge.currency)

    # -------------------------------------------------------------------------------------------- what the carriers ask

    def seen(self, number: str) -> tuple[Parcel, Sequence[Scan]] | None:
        parcel = self.parcels.get(number)
        return (parcel, parcel.seen(self.now())) if parcel else None

    def referred(self, carrier: str, reference: str) -> list[str]:
        """The numbers bought under a reference, once the carrier's index knows of them."""
        ready = time.monotonic() - self.settings.index_lag
        return [
            number
            for number in self._by_reference.get((carrier, reference), [])
            if self.parcels[number].made_at <= ready
        ]

    def draw(self, image_format: str, number: str, lines: Sequence[str], sideways: bool) -> bytes:
        return draw(image_format, number, lines, sideways=sideways)

    # ----------------------------------------------------------------------------------------------------- time goes on

    def settle(self) -> None:
        """Write down the charges that have come due: a label paid by its first scan in the carrier's hands."""
        now = self.now()
        for parcel in self.parcels.values():
            if parcel.charge and any(
                scan.word in (PAID_BY if parcel.before_recall is None else {"recalled"}) and scan.visible_at <= now
                for scan in parcel.telling.scans
            ):
                amount, currency, reference = parcel.charge
                parcel.charge = None
                self.ledger.add(
                    now,
                    parcel.journey.carrier,
                    "charge",
                    parcel.number,
                    reference=reference,
                    amount=amount,
                    currency=currency,
                )

    @property
    def ends_at(self) -> datetime | None:
        """When the last parcel has been told to its end; None on an empty street."""
        return max((parcel.telling.ends_at for parcel in self.parcels.values() if not parcel.voided), default=None)

    @property
    def quiet(self) -> bool:
        """Everything that will be told has been told, and every push has been sent or lost."""
        return self.queue.idle and (self.ends_at is None or self.ends_at <= self.now())

    def record(self) -> list[dict[str, Any]]:
        """The truth, parcel by parcel, from the outcomes alone."""
        return [_truth(parcel) for parcel in self.parcels.values()]


def _truth(parcel: Parcel) -> dict[str, Any]:
    outcome, script = parcel.journey.outcome, parcel.journey
    days = visit_days(script, parcel.starts_at.astimezone(parcel.origin.clock).date())
    if parcel.before_recall:
        seen = [scan for scan in parcel.telling.scans if scan.word.startswith("miss")]
        days = tuple(day for day in days if day is None or day in {scan.local.date() for scan in seen})
        outcome = replace(RECALLED, final=any(scan.word == "miss_final" for scan in seen))
    ended = next((scan for scan in parcel.telling.scans if scan.word == outcome.ended_by and not scan.echo), None)
    at = _text(ended.at) if ended else None
    status = "voided" if parcel.voided else outcome.status
    case = {"state": outcome.case, "reason": outcome.reason} if outcome.case and not parcel.voided else None
    return {
        "carrier": script.carrier,
        "number": parcel.number,
        "purpose": parcel.purpose,
        "journey": script.name,
        "delivery": parcel.delivery.value,
        "leg": outcome.leg if not parcel.voided else "out",
        "status": status,
        "attempts": {
            "count": len(days),
            "final": outcome.final,
            "days": [day.isoformat() if day else None for day in days],
        },
        "return_to_warehouse": case,
        "bounced": script.is_return and outcome.leg == "back",
        "delivered": outcome.leg == "out" and status == "delivered",
        "delivered_at": at if outcome.leg == "out" else None,
        "returned_at": at if outcome.leg == "back" else None,
        "starts_at": _text(parcel.starts_at),
        "ends_at": _text(parcel.telling.ends_at),
    }


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")


def describe(each: Place) -> dict[str, str]:
    """A place as JSON shows it."""
    return {} if each == NOWHERE else {part.name: getattr(each, part.name) for part in fields(each)}
