"""The toy carrier's settings, and connect(): the parts joined. It cannot turn round, collect, or check an address."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from carriers.contract import (
    Abilities,
    Address,
    AddressVerdict,
    Away,
    Bought,
    Busy,
    CarrierError,
    Charge,
    Check,
    DropOff,
    Eligibility,
    InterceptOutcome,
    Label,
    LabelFormat,
    LabelRequest,
    Money,
    NotExecuted,
    Payload,
    PickupBooked,
    PickupRequest,
    PickupState,
    Prepared,
    PurchaseOutcome,
    Push,
    Readings,
    Recognised,
    Refused,
    Rejected,
    Source,
    Subscribed,
    Unknown,
    VoidOutcome,
)
from carriers.door import Budget, Door, Token, TokenKeeper, TokenShelf, client, never_left, retry_after
from tests.toy_carrier import reading

NO = "The toy carrier cannot do this by API: ring its bell instead."
ABILITIES = Abilities(intercept=NO, void_return=NO, pickup=NO, drop_offs=NO, address_check=NO, electronic=NO)
HARMLESS = "TOY00000000"
HEADERS = {"Content-Type": "application/json"}


class Settings(BaseModel):
    """How the toy carrier is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: SecretStr = Field(min_length=1, description="The key it gave us: it is shown with every call.")
    push_secret: SecretStr = Field(default=SecretStr(""), description="What it signs its pushes with.")

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Raises ValueError naming what is missing, no value."""
        held = {name: environment[variable] for variable, name in SETTINGS.items() if environment.get(variable)}
        try:
            return cls.model_validate(held)
        except ValidationError as error:
            raise ValueError(f"TOY_KEY and the rest are not set up: {error.error_count()} wrong") from None


SETTINGS = {"TOY_KEY": "key", "TOY_PUSH_SECRET": "push_secret"}


def fault(response: httpx.Response) -> CarrierError | None:
    """An answer that is no success, by what the caller does next."""
    said, wait = f"toy answered {response.status_code}", retry_after(response)
    match response.status_code:
        case status if status < 300 or status == 404:
            return None
        case 429:
            return Busy(said, retry_after=wait or 1.0)
        case status if status >= 500:
            return Away(said, retry_after=wait)
    return Refused(said)


class Toy:
    """The toy carrier as the contract wants it."""

    name = reading.CARRIER
    title = "Toy"
    abilities = ABILITIES

    def __init__(self, settings: Settings, http: httpx.AsyncClient, budget: Budget) -> None:
        self._settings = settings
        self._door = Door(http, TokenKeeper(self._key), fault, budget, first_wait=0.01)

    async def _key(self) -> Token:
        return Token(self._settings.key.get_secret_value(), float("inf"))

    # ------------------------------------------------------------------------------------------------------------ pure

    def read(self, payload: Payload) -> Readings:
        return reading.read(payload)

    def verify(self, push: Push, now: datetime) -> None:
        reading.verify(push, (self._settings.push_secret.get_secret_value(),), now)

    def recognise(self, text: str) -> Recognised | None:
        return reading.recognise(text)

    def tracking_url(self, number: str) -> str:
        return f"https://toy.example/{number}"

    def prepare_label(self, request: LabelRequest) -> Prepared:
        if request.is_dangerous:
            raise Refused("no dangerous toys")
        lines = {"to": request.ship_to.lines, "from": request.ship_from.lines, "mark": request.reference}
        return Prepared("label", "POST", "/labels", HEADERS, json.dumps(lines).encode(), request.reference)

    def prepare_void(self, label_number: str, shipment_id: str) -> Prepared:
        raise Refused(NO)

    def prepare_intercept(self, number: str, reason: str | None) -> Prepared:
        raise Refused(NO)

    # ------------------------------------------------------------------------------------------------------------ asks

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        payloads = []
        for number in numbers:
            answer = await self._door.ask("GET", f"/parcels/{number}", api="tracking")
            payloads.append(Payload(self.name, Source.POLL, answer.content, (number,), answer.status_code))
        return payloads

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        return Subscribed((), tuple(numbers))

    async def intercept_eligibility(self, number: str) -> Eligibility:
        return Eligibility(False, NO)

    async def intercept_charge(self, number: str, ends: tuple[Address, Address] | None = None) -> Charge:
        return Charge(None, NO)

    async def pickup_state(self, confirmation: str) -> PickupState:
        raise Refused(NO)

    async def drop_offs(self, address: Address, limit: int, prints_labels: bool = False) -> tuple[DropOff, ...]:
        raise Refused(NO)

    async def check_address(self, address: Address) -> AddressVerdict:
        raise Refused(NO)

    async def check(self) -> list[Check]:
        try:
            await self.track([HARMLESS])
        except CarrierError as error:
            return [Check("tracking", False, str(error))]
        return [Check("tracking", True, "it answers")]

    # ---------------------------------------------------------------------------------------------------------- spends

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        try:
            answer = await self._door.once("POST", prepared.path, api="labels", headers=HEADERS, content=prepared.body)
        except Away as error:
            return NotExecuted(str(error)) if never_left(error.__cause__) else Unknown(str(error))
        except CarrierError as error:
            return NotExecuted(str(error), error.retry_after or 0.0)
        except Exception as error:  # whatever it is, it proves nothing about the money
            return Unknown(type(error).__name__)
        if answer.status_code in (401, 429):
            return NotExecuted(f"toy answered {answer.status_code}", retry_after(answer) or 0.0)
        if 400 <= answer.status_code < 500:
            return Rejected(str(answer.status_code), "toy said no")
        try:
            bought = json.loads(answer.content)
            label = Label(bought["number"], {LabelFormat.PDF: b"%PDF-toy"}, Money(Decimal(bought["price"]), "EUR"))
        except (ValueError, KeyError, TypeError, ArithmeticError):
            return Unknown("toy answered something else")
        return Bought(label) if answer.is_success else Unknown(f"toy answered {answer.status_code}")

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        answer = await self._door.ask("GET", f"/labels/{prepared.reference}", api="labels")
        if answer.status_code == 404:
            return ()
        return (Label(json.loads(answer.content)["number"], {LabelFormat.PDF: b"%PDF-toy"}, None),)

    async def void(self, prepared: Prepared) -> VoidOutcome:
        return Rejected("", NO)

    async def intercept(self, prepared: Prepared) -> InterceptOutcome:
        return Rejected("", NO)

    async def cancel_intercept(self, number: str) -> None:
        raise Refused(NO)

    async def book_pickup(self, wanted: PickupRequest) -> PickupBooked:
        raise Refused(NO)

    async def cancel_pickup(self, confirmation: str) -> None:
        raise Refused(NO)

    async def aclose(self) -> None:
        await self._door.aclose()


def connect(
    settings: Settings,
    *,
    budget: Budget,
    tokens: TokenShelf | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Toy:
    """The toy carrier, ready to be asked. Makes no call yet."""
    return Toy(settings, client("https://toy.example", transport), budget)
