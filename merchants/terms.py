"""A shop's terms: everything a shop may decide, as typed data read from `merchants/*.toml`, and nothing else.

The numbers in `source: policy N` comments are the lines of the shops' own texts that a term carries.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from carriers.contract import Address
from merchants.calendars import holidays

SHIPPED = Path(__file__).parent
"""Where the two shipped examples live."""

DEFAULTS = {"ups": "boutique-eu", "usps": "boutique-us"}
"""The shipped example of each carrier."""

# ---------------------------------------------------------------------------------------------------------------- words


class ClockName(StrEnum):
    """Which moment starts a clock: delivery to the customer, the purchase, the customer's receipt, or the shipping."""

    DELIVERED = "delivered"
    PURCHASED = "purchased"
    RECEIVED = "received"
    SHIPPED = "shipped"


class Judged(StrEnum):
    """Which moment must be inside a window: the registration of the return, or the carrier's acceptance scan."""

    REGISTRATION = "registration"
    ACCEPTANCE = "acceptance"


class ReturnReason(StrEnum):
    """Why a customer sends an item back."""

    CHANGED_MIND = "changed_mind"
    SIZE = "size"
    COLOUR = "colour"
    NOT_AS_DESCRIBED = "not_as_described"
    DEFECT = "defect"
    WRONG_ITEM = "wrong_item"
    OTHER = "other"


class Outcome(StrEnum):
    """What a customer gets for a return."""

    REFUND = "refund"
    EXCHANGE = "exchange"
    STORE_CREDIT = "store_credit"


class Payer(StrEnum):
    SHOP = "shop"
    CUSTOMER = "customer"


_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _weekday(word: object) -> object:
    """A weekday's English name as its number, Monday = 0; anything else is left for the type to refuse."""
    if isinstance(word, str):
        if word.lower() not in _WEEK:
            raise ValueError("expected a day of the week: " + ", ".join(_WEEK))
        return _WEEK.index(word.lower())
    return word


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected a time zone of the IANA database, such as Europe/Rome") from error


def _ascending(days: tuple[int, ...]) -> tuple[int, ...]:
    if list(days) != sorted(set(days)):
        raise ValueError("expected each day once, Monday first")
    return days


Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
HolidayCode = Annotated[str, Field(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Days = Annotated[int, Field(ge=0, le=3650)]
Positive = Annotated[int, Field(ge=1, le=3650)]
Amount = Annotated[Decimal, Field(ge=0, decimal_places=2)]
Weekday = Annotated[int, BeforeValidator(_weekday), Field(ge=0, le=6)]
Weekdays = Annotated[tuple[Weekday, ...], Field(min_length=1), AfterValidator(_ascending)]
Zone = Annotated[str, AfterValidator(_zone)]


_STATUSES = (
    "unknown", "label_created", "accepted", "in_transit", "out_for_delivery", "attempt_failed", "available_for_pickup",
    "on_hold", "undeliverable", "delivered", "lost", "destroyed", "voided",
)  # fmt: skip


def _status(word: str) -> str:
    if word not in _STATUSES:
        raise ValueError(f"expected what a parcel may be doing: {', '.join(_STATUSES)}")
    return word


StatusWord = Annotated[str, AfterValidator(_status)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


# ---------------------------------------------------------------------------------------------------------------- nouns


class Shop(_Section):
    """Where the shop is at home. `time_zone` is the one deadlines are told in."""

    country: Country
    time_zone: Zone
    currency: Currency
    languages: tuple[Language, ...] = Field(min_length=1)  # the first one is the fallback


class Look(_Section):
    """How the shop looks on the two pages."""

    name: str = Field(min_length=1)
    logo: str = ""  # a file beside the terms; empty: the name in letters
    ink: Colour
    paper: Colour
    accent: Colour


class Warehouse(_Section):
    """Where returns and undeliverable parcels go, and which days it works."""

    name: str = Field(min_length=1)
    company: str = ""
    lines: tuple[str, ...] = Field(min_length=1, max_length=3)
    city: str = Field(min_length=1)
    postal_code: str = Field(min_length=1)
    region: str = ""
    country: Country
    phone: Annotated[str, Field(pattern=r"^[0-9]*$")] = ""
    email: str = ""
    days: Weekdays
    holidays: HolidayCode = ""

    @property
    def address(self) -> Address:
        return Address(
            self.name,
            self.lines,
            self.city,
            self.postal_code,
            self.country,
            self.region,
            self.company,
            self.phone,
            self.email,
        )


class AttemptsFor(_Section):
    """What is otherwise for one carrier, or for one of its services; what is not stated is as for all."""

    carrier: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*)?$")] = ""  # empty: every carrier
    service: str = ""  # the carrier's own word for it; empty: every service
    max: Positive | Literal["carrier"] | None = None  # "carrier": its practice, no limit of the shop's
    days: Weekdays | None = None
    holidays: HolidayCode | None = None
    grace_days: Days | None = None
    hold_days: Positive | None = None
    hold_days_express: Positive | None = None
    hold_after_final_business_days: Positive | None = None

    @model_validator(mode="after")
    def _says_for_whom_and_what(self) -> "AttemptsFor":
        if not (self.carrier or self.service):
            raise ValueError("expected a carrier, a service or both")
        if not self.stated:
            raise ValueError("expected what is otherwise for it, such as max or days")
        return self

    @property
    def stated(self) -> dict[str, Any]:
        """What this changes."""
        told = {name: getattr(self, name) for name in type(self).model_fields if name not in ("carrier", "service")}
        return {
            name: None if value == "carrier" else value
            for name, value in told.items()
            if value is not None and (name != "holidays" or name in self.model_fields_set)
        }

    def covers(self, carrier: str, service: str) -> bool:
        """Whether this is about such a parcel. A service is compared without case."""
        return self.carrier in ("", carrier) and self.service.casefold() in ("", service.casefold())


class Attempts(_Section):
    """Delivery attempts: how many, on which days, and how long the carrier holds. Null: the carrier's practice."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, populate_by_name=True)

    max: Positive | None = None
    days: Weekdays  # a visit on another day counts and is marked off_calendar
    holidays: HolidayCode = ""  # a country (or country-region) of the holidays library; empty: none
    hold_days: Positive | None = None  # after the first failed attempt, calendar days
    hold_days_express: Positive | None = None
    hold_after_final_business_days: Positive | None = None
    grace_days: Days = 0  # a passed date or hold is waited for so many calendar days more
    for_: tuple[AttemptsFor, ...] = Field(default=(), alias="for")  # [[attempts.for]]: a later one wins


class ReturnToWarehouse(_Section):
    """What happens when a parcel cannot be delivered."""

    intercept: bool  # may we pay the carrier to turn it round, where it can
    overdue_days: Positive  # ops hear of a parcel not home so many days after it was expected back


class Window(_Section):
    """A span in business or calendar days, both ends included."""

    min: Days = 0
    max: Positive
    days: Literal["business", "calendar"]

    @model_validator(mode="after")
    def _ordered(self) -> "Window":
        if self.min > self.max:
            raise ValueError("expected min not above max")
        return self


class Promise(_Section):
    """When a shopper may expect the parcel, counted from the shipping day."""

    days: Weekdays  # what "business" means in the windows here
    holidays: HolidayCode = ""
    grace_days: Days = 0  # late is only what is so many calendar days past the window
    standard: Window | None = None
    expedited: Window | None = None
    international: Window | None = None
    domestic: tuple[Country, ...] = ()  # countries and territories that are not international


class Fallback(_Section):
    """Which moment starts a clock when its own scan never came: that moment plus some days."""

    clock: Literal[ClockName.SHIPPED, ClockName.PURCHASED]
    days: Days


class ReturnWindow(_Section):
    """One clock of a return: a length, its start, the fallback, and what must have happened before it runs out."""

    days: Positive | None = None  # to the end of the last local day
    hours: Positive | None = None  # to the minute
    clock: Literal[ClockName.DELIVERED, ClockName.PURCHASED, ClockName.RECEIVED]
    fallback: Fallback
    judged_by: Judged

    @model_validator(mode="after")
    def _one_length(self) -> "ReturnWindow":
        if (self.days is None) == (self.hours is None):
            raise ValueError("expected either days or hours")
        return self


class Never(_Section):
    """What never comes back: a category of items, and what the customer is told."""

    category: str = Field(min_length=1)
    answer: Literal["refused", "contact_us"] = "refused"


class Returns(_Section):
    """Which items may come back, until when, and from where. `contact` and `send` must both hold where stated."""

    contact: ReturnWindow | None = None
    send: ReturnWindow
    from_country: Literal["same", "shop"]  # same: where it was bought; shop: the shop's own country
    never: tuple[Never, ...] = ()
    sale: bool  # items on sale may come back
    final_sale: bool


class Exchange(_Section):
    """Size or colour against the same item."""

    kinds: tuple[Literal["size", "colour"], ...]
    times_per_item: Positive  # a further exchange is refused, a return is still allowed
    window: ReturnWindow
    hold_item: bool
    ships_when: Literal["return_received"]
    ships_to: Literal["original_address"]
    extra_shipping: Payer


class Outcomes(_Section):
    """What the customer gets. `first` unless one of the other rows holds."""

    choices: tuple[Outcome, ...] = Field(min_length=1)  # what the customer may ask for
    first: Outcome
    out_of_stock: Outcome
    discontinued: Outcome  # no exchange is possible
    defect_or_wrong_item: Outcome
    refund_to: Literal["original_payment"]
    shipping_refunded: bool
    free_shipping_assessed: bool  # a free shipping is charged when items come back
    discounts_deducted: bool


class Label(_Section):
    """Who pays for the return label, and what it is bought for."""

    shop_pays_for: tuple[ReturnReason, ...]
    by: Literal["self_service", "email_on_request", "carrier_email"]  # carrier_email: the carrier mails it itself
    format: Literal["pdf", "gif", "png", "zpl"] = "pdf"
    weight_kg: Annotated[Decimal, Field(gt=0, le=30)]  # where the order service states none
    description: Annotated[str, Field(min_length=1, max_length=35)]  # source: facts/ups.md 2.3, required on a return
    service: str = ""  # the carrier's own word; empty: the carrier's usual return service
    valid_days: Positive  # an unused label ends silently after so many days


class OwnCourier(_Section):
    """A return by a courier of the customer's choice."""

    allowed: bool
    risk: Payer
    reimburses: Literal["nothing", "standard_delivery"]
    standard_cost: Amount | None = None  # what a standard delivery costs; null: what the customer paid is given back
    number: Literal["optional", "keep"]


class LostLabel(_Section):
    """What a customer without the label does: fills a carrier's blank waybill, or gets a new label."""

    answer: Literal["waybill", "new_label"]
    service: str = ""
    payer: str = ""
    account: str = ""

    @model_validator(mode="after")
    def _waybill_is_whole(self) -> "LostLabel":
        if self.answer == "waybill" and not (self.service and self.payer and self.account):
            raise ValueError("expected service, payer and account for a waybill")
        return self


class Loss(_Section):
    """Who bears the loss of a return on its way."""

    own_label: Payer  # the shop's label travelled: proved by a scan of that number
    other: Payer
    silent_days: Positive = 20  # without any scan after the last one: it counts as lost


class AfterArrival(_Section):
    """How long the warehouse takes once a return arrived, in its business days, and what a rejection costs."""

    min_business_days: Positive
    max_business_days: Positive
    peak: tuple[tuple[str, str], ...] = ()  # "MM-DD" to "MM-DD", both included
    peak_factor: Annotated[Decimal, Field(ge=1, le=10)] = Decimal(1)
    rejected_sent_back_by: Payer

    @model_validator(mode="after")
    def _sound(self) -> "AfterArrival":
        if self.min_business_days > self.max_business_days:
            raise ValueError("expected min_business_days not above max_business_days")
        if any(not re.fullmatch(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", end) for span in self.peak for end in span):
            raise ValueError("expected spans of days as MM-DD, such as ['11-20', '01-10']")
        return self


class LegCosts(_Section):
    """What a parcel cost, where the carrier's bill does not say: for credits less shipping."""

    out: Amount
    back: Amount
    refusal_surcharge: Amount


class Undeliverable(_Section):
    """What follows when an undeliverable parcel is home again."""

    outcome: Literal["order_service_decides", "store_credit_less_shipping"]
    trigger: Literal["receipt"]  # nothing is owed before the parcel is back
    costs: LegCosts | None = None

    @model_validator(mode="after")
    def _costs_known(self) -> "Undeliverable":
        if self.outcome == "store_credit_less_shipping" and self.costs is None:
            raise ValueError("expected costs: a credit less shipping needs the cost of each leg")
        return self


class Lookup(_Section):
    """What a shopper may see with how little."""

    number_alone: bool  # an order number alone shows the coarse status and dates


class Polling(_Section):
    """How often to ask the carrier, in minutes by what the parcel is doing; a missing row is the house's own figure."""

    minutes: Mapping[StatusWord, Positive] = Field(default_factory=dict)


class Matching(_Section):
    """When a number that nobody registered is matched by itself, and when a person confirms it."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.85  # a score below it waits for a person
    lead: Annotated[float, Field(ge=1, le=1000)] = 3  # the next candidate is so many times likelier to be wrong
    days: Positive = 60  # so long after a case or a waybill began a number may still turn out to be its own


class Terms(_Section):
    """One version of one shop's terms."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    title: str = Field(min_length=1)
    version: str = Field(min_length=1)
    effective_from: date
    carrier: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]  # the carrier's folder
    shop: Shop
    look: Look
    warehouse: Warehouse
    attempts: Attempts
    return_to_warehouse: ReturnToWarehouse
    promise: Promise
    returns: Returns
    exchange: Exchange
    outcome: Outcomes
    label: Label
    own_courier: OwnCourier
    lost_label: LostLabel
    loss: Loss
    after_arrival: AfterArrival
    undeliverable: Undeliverable
    lookup: Lookup
    polling: Polling = Polling()
    matching: Matching = Matching()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.shop.time_zone)

    def judging(self, carrier: str, service: str) -> "Terms":
        """These terms as they judge a parcel of this carrier and service: with what is otherwise for it."""
        changes: dict[str, Any] = {}
        for each in self.attempts.for_:
            if each.covers(carrier, service):
                changes |= each.stated
        if not changes:
            return self
        return self.model_copy(update={"attempts": self.attempts.model_copy(update=changes)})

    def section_for(self, carrier: str, service: str) -> str:
        """Where in the file it stands what a parcel of this carrier and service is judged by."""
        found = [n for n, each in enumerate(self.attempts.for_) if each.covers(carrier, service)]
        return f"attempts.for[{found[-1]}]" if found else "attempts"

    @property
    def calendars(self) -> dict[str, str]:
        """Every calendar of holidays that these terms use, by its key."""
        own = {name: getattr(self, name).holidays for name in ("warehouse", "attempts", "promise")}
        others = {f"attempts.for[{n}]": each.holidays or "" for n, each in enumerate(self.attempts.for_)}
        return {f"{name}.holidays": code for name, code in {**own, **others}.items() if code}


class TermsError(Exception):
    """Terms that cannot be used. One line per fault: file, key, what was expected, what was found."""

    def __init__(self, file: str, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{file}: {key}: {fault}" if key else f"{file}: {fault}" for key, fault in faults))
        self.file, self.faults = file, tuple(faults)


# ---------------------------------------------------------------------------------------------------------------- verbs


def load(path: Path) -> Terms:
    """The terms in one file. Raises TermsError."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TermsError(path.name, [("", f"cannot be read: {error.strerror}")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TermsError(path.name, [("", f"expected TOML in UTF-8: {error}")]) from error
    try:
        return Terms.model_validate(data)
    except ValidationError as error:
        faults = [(_key(fault["loc"]), _fault(fault)) for fault in error.errors(include_url=False)]
        raise TermsError(path.name, faults) from error


def load_all(folder: Path) -> dict[str, list[Terms]]:
    """Every shop's terms in a folder by name, oldest version first. Raises TermsError."""
    shelf: dict[str, list[Terms]] = {}
    for path in sorted(folder.glob("*.toml")):
        terms = load(path)
        versions = shelf.setdefault(terms.name, [])
        for other in versions:
            for key in ("effective_from", "version"):
                if getattr(other, key) == getattr(terms, key):
                    found = f"expected one file for each version of {terms.name}, found {getattr(terms, key)} twice"
                    raise TermsError(path.name, [(key, found)])
        versions.append(terms)
    for versions in shelf.values():
        versions.sort(key=lambda terms: terms.effective_from)
    return shelf


def terms_on(name: str, day: date, shelf: Mapping[str, Sequence[Terms]] | None = None) -> Terms:
    """The version in force on a day; before the first version began, the first. Raises KeyError for an unknown shop."""
    versions = (shipped() if shelf is None else shelf)[name]
    return next((terms for terms in reversed(versions) if terms.effective_from <= day), versions[0])


@cache
def shipped() -> dict[str, list[Terms]]:
    """The examples that come with the service."""
    return load_all(SHIPPED)


def default_for(carrier: str) -> Terms:
    """The newest version of the carrier's shipped example. Raises KeyError for a carrier without one."""
    return shipped()[DEFAULTS[carrier]][-1]


def _key(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location)


def _fault(fault: Any) -> str:
    """What was expected and what was found, in one line."""
    match fault["type"]:
        case "missing":
            return "missing"
        case "extra_forbidden":
            return f"not a term; expected one of: {', '.join(_siblings(fault['loc']))}"
        case "value_error":
            return f"{fault['ctx']['error']}, found {fault['input']!r}"
        case _:
            expected = re.sub(r"<\w+\.\w+: ('[^']*')>", r"\1", fault["msg"])  # a word of an enum, without its class
            return f"{expected[0].lower()}{expected[1:]}, found {fault['input']!r}"


def without_calendar(terms: Terms) -> list[str]:
    """What names a calendar of holidays that there is none of: opens the library, which takes a third of a second."""
    faults = []
    for key, code in terms.calendars.items():
        try:
            holidays(code, terms.effective_from.year)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    return faults


def _siblings(location: Sequence[int | str]) -> list[str]:
    """The keys known where an unknown one was found."""
    section: Any = Terms
    for part in location[:-1]:
        if isinstance(part, str):
            named = {field.alias or name: field for name, field in section.model_fields.items()}
            section = _section(named[part].annotation)
    return [field.alias or name for name, field in section.model_fields.items()]


def _section(annotation: Any) -> Any:
    """The model inside an annotation: `Window | None` and `tuple[Never, ...]` hold one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(found for part in annotation.__args__ if (found := _section(part)))
