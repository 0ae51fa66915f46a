"""USPS's settings, and connect(): the parts joined into one carrier."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from carriers import contract, door
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
from carriers.usps import auth, faults, labels, push, reading, shipment, tracking

SECRET_LENGTH = 32  # source: facts/usps.md 5
NEEDED_SCOPES = ("tracking", "labels", "payments")


class Settings(BaseModel):
    """How USPS is reached, and who we are there. Read once; secrets are never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    client_id: str = Field(min_length=1, description="Consumer Key of the app made in the USPS developer portal.")
    client_secret: SecretStr = Field(min_length=1, description="Consumer Secret of that app.")
    crid: str = Field(
        default="",
        pattern=r"^([0-9A-Za-z]{2,18})?$",
        description="Customer Registration ID of the payer, enrolled in USPS Ship Returns. Labels need it.",
    )
    mid: str = Field(
        default="",
        pattern=r"^([0-9]{6}|[0-9]{9})?$",
        description="Mailer ID of the label owner, 6 or 9 digits: labels carry it, and pushes are subscribed for it.",
    )
    manifest_mid: str = Field(
        default="",
        pattern=r"^([0-9]{6}|[0-9]{9})?$",
        description="Mailer ID that labels are manifested under; the Mailer ID itself when left out.",
    )
    eps_account: str = Field(
        default="", description="Number of the Enterprise Payment System account that pays. Labels need it."
    )
    base_url: str = Field(
        default="https://apis.usps.com",
        pattern=r"^https?://",
        description="Where USPS is; https://apis-tem.usps.com is its test system, the street has its own address.",
    )
    push_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets of the push subscription, exactly 32 characters each, newest first, separated by commas; "
        "every one listed is accepted, the newest is given to USPS.",
    )
    listener_url: str = Field(
        default="", max_length=200, description="Where USPS posts pushes: our /webhooks/usps as the internet sees it."
    )
    admin_email: str = Field(
        default="", max_length=50, description="Where USPS writes when the subscription is in trouble."
    )
    parcel_cm: tuple[Decimal, Decimal, Decimal] = Field(
        default=(Decimal(35), Decimal(25), Decimal(12)),
        description="Sides of a return parcel in cm, for returns that state none: USPS prices by size and weight.",
    )

    @field_validator("push_secrets")
    @classmethod
    def _of_length(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(secret.get_secret_value()) != SECRET_LENGTH for secret in secrets):
            raise ValueError(f"each secret needs exactly {SECRET_LENGTH} characters")
        return secrets

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """The settings in these environment variables. Raises ValueError naming what is missing or wrong, no value."""
        held: dict[str, object] = {
            name: value for variable, name in SETTINGS.items() if (value := environment.get(variable, "").strip())
        }
        for name in ("push_secrets", "parcel_cm"):
            if name in held:
                held[name] = tuple(part.strip() for part in str(held[name]).split(",") if part.strip())
        try:
            return cls.model_validate(held)
        except ValidationError as error:
            names = {name: variable for variable, name in SETTINGS.items()}
            wrong = [f"{names[str(one['loc'][0])]}: {one['msg']}" for one in error.errors(include_input=False)]
            raise ValueError(f"USPS is not set up: {'; '.join(wrong)}") from None

    @property
    def listener(self) -> push.Listener | None:
        """Where pushes go, when everything for it is set."""
        if not (self.listener_url and self.push_secrets and self.admin_email and self.mid):
            return None
        return push.Listener(self.listener_url, self.push_secrets[0], self.admin_email, self.mid)


SETTINGS = {f"USPS_{name.upper()}": name for name in Settings.model_fields}

ABILITIES = Abilities(
    batch=tracking.BATCH,
    push_by_number=False,
    # source: facts/usps.md 6.2
    intercept="USPS takes no intercept by API: ask for a Package Intercept in the Business Customer Gateway "
    "(https://gateway.usps.com), or at https://www.usps.com/manage/package-intercept.htm for numbers that do not begin "
    "with 92 or 93; it costs a fee and is not sure. Undelivered parcels come back by themselves after their hold.",
    void_return=labels.NOT_VOIDED,
    label_formats=(LabelFormat.PDF, LabelFormat.PNG, LabelFormat.GIF, LabelFormat.ZPL),
    # It has no end, but is suspended and deleted silently: looked at every hour.  # source: facts/usps.md 5
    push_lifetime=timedelta(hours=1),
)


class Usps:
    """USPS as the contract wants it."""

    name = "usps"
    title = "USPS"
    abilities = ABILITIES

    def __init__(self, settings: Settings, http: httpx.AsyncClient, budget: Budget) -> None:
        self.settings = settings
        self._http = http
        self._keeper = TokenKeeper(auth.TokenDesk(http, settings.client_id, settings.client_secret, budget).fetch)
        calls = Door(http, self._keeper, faults.fault, budget)
        roles = auth.roles(settings.crid, settings.mid, settings.manifest_mid, settings.eps_account)
        self._payment = TokenKeeper(auth.PaymentDesk(calls, roles).fetch)
        self._tracking = tracking.Tracking(Door(http, self._keeper, tracking.fault, budget))
        self._pushes = push.Pushes(calls, settings.listener)
        self._labels = labels.Labels(calls, self._payment)
        self._push_secrets = tuple(secret.get_secret_value() for secret in settings.push_secrets)

    def read(self, payload: Payload) -> Readings:
        return reading.read(payload)

    def verify(self, push: Push, now: datetime) -> None:
        reading.verify(push, self._push_secrets, now)

    def recognise(self, text: str) -> Recognised | None:
        return reading.recognise(text)

    def tracking_url(self, number: str) -> str:
        return f"https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"  # source: facts/usps.md 9

    def prepare_label(self, request: LabelRequest) -> Prepared:
        return shipment.prepare_label(request, self.settings.parcel_cm)

    def prepare_void(self, label_number: str, shipment_id: str) -> Prepared:
        return shipment.prepare_void(label_number)

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        return await self._tracking.track(numbers)

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        return await self._pushes.subscribe(numbers)

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        return await self._labels.buy(prepared)

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        return await self._labels.find(prepared)

    async def void(self, prepared: Prepared) -> VoidOutcome:
        return await self._labels.void(prepared)

    async def check(self) -> list[Check]:
        """Credentials, scopes, payment and the subscription, by calls that cost and change nothing."""
        try:
            token = await self._keeper.get()
        except CarrierError as error:
            return [Check("USPS credentials", False, str(error))]
        missing = auth.lacking(token.scopes, NEEDED_SCOPES)
        granted = f"missing: {', '.join(missing)}; ask for them under My Apps" if missing else "tracking and labels"
        return [
            Check("USPS credentials", True, f"a token was given by {self.settings.base_url}"),
            Check("USPS scopes", not missing, granted),
            await self._check_payment(),
            await self._check_pushes(),
        ]

    async def _check_payment(self) -> Check:
        try:
            await self._payment.get()
        except CarrierError as error:
            return Check("USPS payment", False, str(error))
        return Check("USPS payment", True, "labels are authorized")

    async def _check_pushes(self) -> Check:
        if self.settings.listener is None:
            needed = "USPS_LISTENER_URL, USPS_PUSH_SECRETS, USPS_ADMIN_EMAIL and USPS_MID"
            return Check("USPS pushes", False, f"not set up, parcels are followed by asking: set {needed}")
        try:
            held = await self._pushes.list(self.settings.mid)
        except CarrierError as error:
            return Check("USPS pushes", False, str(error))
        states = ", ".join(str(each.get("status")) for each in held)
        ok = not held or "ENABLED" in states
        return Check("USPS pushes", ok, states or "no subscription yet: it is made when the service runs")

    async def aclose(self) -> None:
        await self._http.aclose()


def connect(settings: Settings, *, budget: Budget, transport: httpx.AsyncBaseTransport | None = None) -> Usps:
    """USPS, ready to be asked. Makes no call yet."""
    return Usps(settings, door.client(settings.base_url, transport), budget)


def _conforms(usps: Usps) -> contract.Carrier:
    """Checked by the type checker: this is what the contract asks for."""
    return usps


_READING: contract.Reading = reading
