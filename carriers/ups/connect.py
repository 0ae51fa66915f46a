"""UPS's settings, and connect(): the parts joined into one carrier."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from carriers import door
from carriers.contract import (
    Abilities,
    CarrierError,
    Check,
    Label,
    LabelFormat,
    LabelRequest,
    Payload,
    Prepared,
    PurchaseOutcome,
    Push,
    Readings,
    Recognised,
    Subscribed,
    VoidOutcome,
)
from carriers.door import Budget, Door, TokenKeeper
from carriers.ups import push, reading, shipment
from carriers.ups.auth import Credentials
from carriers.ups.faults import fault, fault_of_the_call
from carriers.ups.labels import Labels
from carriers.ups.tracking import Tracking

# A number in UPS's own samples: asking for it proves credentials and product, whatever it knows.
HARMLESS_NUMBER = "1Z999AA10123456784"


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
    push_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="What Track Alert must show us (credential, or bearer token, or client-id:token), newest first,"
        " separated by commas; every one listed is accepted.",
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
    "UPS_PUSH_SECRETS": "push_secrets",
}

ABILITIES = Abilities(
    batch=1,
    push_by_number=True,
    intercept="Not connected yet: order a Delivery Intercept at ups.com (within the US only); elsewhere UPS brings the"
    " parcel back by itself after its hold.",
    label_formats=(LabelFormat.PDF, LabelFormat.PNG, LabelFormat.GIF, LabelFormat.ZPL),
    push_lifetime=push.LIFETIME,
)


class Ups:
    """UPS as the contract wants it."""

    name = reading.CARRIER
    title = "UPS"
    abilities = ABILITIES

    def __init__(self, settings: Settings, http: httpx.AsyncClient, budget: Budget) -> None:
        self.settings = settings
        self._http = http
        self._keeper = TokenKeeper(Credentials(http, settings.client_id, settings.client_secret).fetch)
        numbers = Door(http, self._keeper, fault_of_the_call, budget)
        self._tracking = Tracking(numbers)
        self._subscriptions = push.Subscriptions(numbers, settings.country)
        self._labels = Labels(Door(http, self._keeper, fault, budget), self._tracking, settings.account)
        self._push_secrets = tuple(secret.get_secret_value() for secret in settings.push_secrets)

    def read(self, payload: Payload) -> Readings:
        return reading.read(payload)

    def verify(self, push: Push, now: datetime) -> None:
        reading.verify(push, self._push_secrets, now)

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

    async def check(self) -> list[Check]:
        """Credentials and the Tracking product, by harmless calls; and whether a push could be proven."""
        checks = [Check("UPS push secrets", bool(self._push_secrets), _PUSHES[bool(self._push_secrets)])]
        try:
            await self._keeper.get()
            checks.append(Check("UPS credentials", True, f"a token was given by {self.settings.base_url}"))
            await self._tracking.track([HARMLESS_NUMBER])
            checks.append(Check("UPS Tracking", True, "it answers"))
        except CarrierError as error:
            checks.append(Check("UPS credentials" if len(checks) == 1 else "UPS Tracking", False, str(error)))
        return checks

    async def aclose(self) -> None:
        await self._http.aclose()


_PUSHES = {
    True: "pushes can be proven",
    False: "UPS_PUSH_SECRETS is empty, so every push is dropped: set what developer.ups.com/update-webhook was given",
}


def connect(settings: Settings, *, budget: Budget, transport: httpx.AsyncBaseTransport | None = None) -> Ups:
    """UPS, ready to be asked. Makes no call yet."""
    return Ups(settings, door.client(settings.base_url, transport), budget)
