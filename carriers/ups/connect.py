"""UPS's settings, and connect(): the parts joined into one carrier."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from carriers import door
from carriers.contract import (
    Abilities,
    Address,
    AddressVerdict,
    Charge,
    Check,
    DropOff,
    Eligibility,
    InterceptOutcome,
    Label,
    LabelFormat,
    LabelRequest,
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
    Subscribed,
    VoidOutcome,
)
from carriers.door import Budget, Circuit, Door, TokenKeeper, TokenShelf
from carriers.ups import granting, handling, places, push, reading, shipment
from carriers.ups.auth import Credentials
from carriers.ups.faults import fault, fault_of_the_call
from carriers.ups.labels import Labels
from carriers.ups.proving import proven
from carriers.ups.tracking import Tracking


class Settings(BaseModel):
    """How UPS is reached. Read once; secrets are never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    client_id: str = Field(min_length=1, description="Client id of the app made at developer.ups.com.")
    client_secret: SecretStr = Field(min_length=1, description="Client secret of that app.")
    account: str = Field(
        pattern=r"^[0-9A-Z]{6}$", description="UPS account number, six characters: it pays for return labels."
    )
    base_url: str = Field(
        default="https://onlinetools.ups.com",
        pattern=r"^https?://",
        description="Where UPS is; https://wwwcie.ups.com is its test system, the street has an address of its own.",
    )
    country: str = Field(
        default="US",
        pattern=r"^[A-Z]{2}$",
        description="Country of the account, stated in Track Alert subscriptions.",
    )
    contact_name: str = Field(
        default="", max_length=30, description="Who asks UPS to turn a parcel round, for it to call back."
    )
    contact_phone: str = Field(
        default="", pattern=r"^$|^\+[0-9 ]{6,20}$", description="That person's telephone, with + and country code."
    )
    contact_email: str = Field(default="", max_length=50, description="That person's e-mail address, where UPS writes.")
    push_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="What Track Alert must show us, newest first, separated by commas."
        " client-id:client-secret: UPS fetches a token of ours with it (version 2). A bare secret: UPS repeats it"
        " as it is (version 1).",
    )

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """The settings in these environment variables. Raises ValueError naming what is missing or wrong, no value."""
        held: dict[str, object] = {
            name: value for variable, name in SETTINGS.items() if (value := environment.get(variable, "").strip())
        }
        if "push_secrets" in held:
            held["push_secrets"] = tuple(part.strip() for part in str(held["push_secrets"]).split(",") if part.strip())
        try:
            return cls.model_validate(held)
        except ValidationError as error:
            names = {name: variable for variable, name in SETTINGS.items()}
            wrong = [f"{names[str(one['loc'][0])]}: {one['msg']}" for one in error.errors(include_input=False)]
            raise ValueError(f"UPS is not set up: {'; '.join(wrong)}") from None


SETTINGS = {
    "UPS_CLIENT_ID": "client_id",
    "UPS_CLIENT_SECRET": "client_secret",
    "UPS_ACCOUNT": "account",
    "UPS_BASE_URL": "base_url",
    "UPS_COUNTRY": "country",
    "UPS_CONTACT_NAME": "contact_name",
    "UPS_CONTACT_PHONE": "contact_phone",
    "UPS_CONTACT_EMAIL": "contact_email",
    "UPS_PUSH_SECRETS": "push_secrets",
}


def able_in(country: str) -> Abilities:
    """What UPS can do for an account of this country."""
    return Abilities(
        batch=1,
        push_by_number=True,
        intercept="" if country in handling.INTERCEPT_COUNTRIES else handling.NO_INTERCEPT,
        void_return="" if country in shipment.VOID_ORIGINS else shipment.NO_VOID,
        address_check="" if country in shipment.IN_POUNDS else places.NO_VALIDATION,
        label_formats=(LabelFormat.PDF, LabelFormat.PNG, LabelFormat.GIF, LabelFormat.ZPL),
        push_lifetime=push.LIFETIME,
    )


class Ups:
    """UPS as the contract wants it."""

    name = reading.CARRIER
    title = "UPS"
    abilities = able_in("US")

    def __init__(
        self, settings: Settings, http: httpx.AsyncClient, budget: Budget, tokens: TokenShelf | None = None
    ) -> None:
        self.settings = settings
        self.abilities = able_in(settings.country)
        self.circuit = Circuit(self.title)
        self._http = http
        fetch = Credentials(http, settings.client_id, settings.client_secret).fetch
        self._keeper = TokenKeeper(fetch, shelf=tokens, name=f"ups {settings.base_url} {settings.client_id}")
        plain = Door(http, self._keeper, fault, budget, circuit=self.circuit)
        numbers = Door(http, self._keeper, fault_of_the_call, budget, circuit=self.circuit)
        intercepts = Door(http, self._keeper, handling.fault_of_an_intercept, budget, circuit=self.circuit)
        self._tracking = Tracking(numbers)
        self._subscriptions = push.Subscriptions(numbers, settings.country)
        self._labels = Labels(plain, self._tracking, settings.account)
        self._intercepts = handling.Intercepts(intercepts, self._tracking)
        self._pickups = handling.Pickups(plain, settings.account, settings.country)
        self._places = places.Places(plain)
        self._plain = plain
        phone = settings.contact_phone
        self._contact = handling.Contact(settings.contact_name, phone, settings.contact_email) if phone else None
        self._push_secrets = tuple(secret.get_secret_value() for secret in settings.push_secrets)

    def read(self, payload: Payload) -> Readings:
        return reading.read(payload)

    def verify(self, push: Push, now: datetime) -> None:
        reading.verify(push, self._push_secrets, now)

    def grant(self, asked: Push, now: datetime) -> bytes:
        """The token UPS fetches before it pushes. Raises Forged, Unreadable."""
        return granting.grant(asked, self._push_secrets, now)

    def recognise(self, text: str) -> Recognised | None:
        return reading.recognise(text)

    def tracking_url(self, number: str) -> str:
        return f"https://www.ups.com/track?tracknum={number}"  # source: facts/ups.md 13

    def prepare_label(self, request: LabelRequest) -> Prepared:
        return shipment.prepare_label(request, self.settings.account)

    def prepare_void(self, label_number: str, shipment_id: str) -> Prepared:
        return shipment.prepare_void(label_number, shipment_id)

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        return await self._tracking.track(numbers)

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        return await self._subscriptions.subscribe(numbers)

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        return await self._labels.buy(prepared)

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        return await self._labels.find(prepared)

    async def void(self, prepared: Prepared) -> VoidOutcome:
        return await self._labels.void(prepared)

    def prepare_intercept(self, number: str, reason: str | None) -> Prepared:
        if self.abilities.intercept:
            raise Refused(self.abilities.intercept)
        return handling.prepare_intercept(number, reason, self._contact)

    async def intercept_eligibility(self, number: str) -> Eligibility:
        if self.abilities.intercept:
            return Eligibility(False, self.abilities.intercept)
        return await self._intercepts.eligibility(number)

    async def intercept_charge(self, number: str, ends: tuple[Address, Address] | None = None) -> Charge:
        if self.abilities.intercept:
            return Charge(None, self.abilities.intercept)
        return await self._intercepts.charge(number, self._contact, ends)

    async def intercept(self, prepared: Prepared) -> InterceptOutcome:
        return await self._intercepts.order(prepared)

    async def cancel_intercept(self, number: str) -> None:
        if self.abilities.intercept:
            raise Refused(self.abilities.intercept)
        await self._intercepts.cancel(number, self._contact)

    async def book_pickup(self, wanted: PickupRequest) -> PickupBooked:
        return await self._pickups.book(wanted)

    async def pickup_state(self, confirmation: str) -> PickupState:
        return await self._pickups.state(confirmation)

    async def cancel_pickup(self, confirmation: str) -> None:
        await self._pickups.cancel(confirmation)

    async def drop_offs(self, address: Address, limit: int, prints_labels: bool = False) -> tuple[DropOff, ...]:
        return await self._places.drop_offs(address, limit)

    async def check_address(self, address: Address) -> AddressVerdict:
        return await self._places.check_address(address)

    async def check(self) -> list[Check]:
        """Credentials and every product, by harmless calls; what intercepts and pushes still need."""
        mine = self.settings
        return await proven(self._plain, mine.account, mine.country, self._push_secrets, self._contact is not None)

    async def aclose(self) -> None:
        await self._http.aclose()


def connect(
    settings: Settings,
    *,
    budget: Budget,
    tokens: TokenShelf | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Ups:
    """UPS, ready to be asked. Makes no call yet. With a `tokens` shelf its token is shared with other processes."""
    return Ups(settings, door.client(settings.base_url, transport), budget, tokens)
