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
    Rejected,
    Subscribed,
    VoidOutcome,
)
from carriers.door import Budget, Circuit, Door, TokenKeeper, TokenShelf
from carriers.usps import auth, faults, handling, labels, places, proving, push, reading, shipment, tracking

SECRET_LENGTH = 32  # source: facts/usps.md 5


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
    return_dates: bool = Field(
        default=False,
        description="Ask USPS's older tracking API too for the day on which a waiting parcel goes back: one more call "
        "for each such parcel and look, and USPS may end that API.",
    )
    hazmat_service: int = Field(
        default=0,
        ge=0,
        le=999,
        description="Extra service under which dangerous goods may be sent, as agreed with USPS (for example 831); "
        "0 refuses their labels.",
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
        newest, rotating = self.push_secrets[0], len(self.push_secrets) > 1
        return push.Listener(self.listener_url, newest, self.admin_email, self.mid, rotating)


SETTINGS = {f"USPS_{name.upper()}": name for name in Settings.model_fields}

ABILITIES = Abilities(
    batch=tracking.BATCH,
    push_by_number=False,
    push_limit=256 * 1024,  # one push may hold many events  # source: facts/usps.md 5.1
    intercept=handling.NO_INTERCEPT,
    void_return=labels.NOT_VOIDED,
    electronic="USPS mails no label: send it yourself.",
    qr="",
    label_formats=(LabelFormat.PDF, LabelFormat.PNG, LabelFormat.GIF, LabelFormat.ZPL, LabelFormat.QR),
    # It has no end, but is suspended and deleted silently: looked at every hour.  # source: facts/usps.md 5
    push_lifetime=timedelta(hours=1),
)


class Usps:
    """USPS as the contract wants it."""

    name = "usps"
    title = "USPS"
    abilities = ABILITIES

    def __init__(
        self, settings: Settings, http: httpx.AsyncClient, budget: Budget, tokens: TokenShelf | None = None
    ) -> None:
        self.settings = settings
        self._http = http
        fetch = auth.TokenDesk(http, settings.client_id, settings.client_secret, budget).fetch
        whose = f"usps {settings.base_url} {settings.client_id}"
        self._keeper = TokenKeeper(fetch, shelf=tokens, name=whose)
        self.circuit = Circuit(self.title)
        calls = Door(http, self._keeper, faults.fault, budget, circuit=self.circuit)
        follows = Door(http, self._keeper, tracking.fault, budget, circuit=self.circuit)
        roles = auth.roles(settings.crid, settings.mid, settings.manifest_mid, settings.eps_account)
        payer = f"{whose} payment {settings.crid} {settings.mid} {settings.eps_account}"
        self._payment = TokenKeeper(auth.PaymentDesk(calls, roles).fetch, shelf=tokens, name=payer)
        self._tracking = tracking.Tracking(follows, settings.return_dates)
        self._pushes = push.Pushes(calls, settings.listener)
        self._labels = labels.Labels(calls, self._payment)
        self._pickups = handling.Pickups(calls, settings.admin_email)
        self._places = places.Places(calls)
        self._parts = proving.Parts(calls, self._payment, self._pushes, settings.listener, settings.eps_account)
        self._push_secrets = tuple(secret.get_secret_value() for secret in settings.push_secrets)

    def read(self, payload: Payload) -> Readings:
        return reading.read(payload)

    def verify(self, push: Push, now: datetime) -> None:
        reading.verify(push, self._push_secrets, now)

    def stated_at(self, push: Push) -> datetime | None:
        return reading.stated_at(push)

    def recognise(self, text: str) -> Recognised | None:
        return reading.recognise(text)

    def tracking_url(self, number: str) -> str:
        return f"https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"  # source: facts/usps.md 9

    def prepare_label(self, request: LabelRequest) -> Prepared:
        return shipment.prepare_label(request, self.settings.parcel_cm, self.settings.hazmat_service)

    def prepare_void(self, label_number: str, shipment_id: str) -> Prepared:
        return shipment.prepare_void(label_number, shipment_id)

    def prepare_intercept(self, number: str, reason: str | None) -> Prepared:
        raise Refused(handling.NO_INTERCEPT, code="intercept")

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

    async def reprint(self, number: str, wanted: LabelFormat, *, is_return: bool) -> tuple[Label, ...]:
        """A label's picture again, by its number: same-day, up to three times. Raises Refused, Busy, Away."""
        return await self._labels.reprint(number, wanted, is_return=is_return)

    # ------------------------------------------------------------------------------------ turning round: not by any API

    async def intercept_eligibility(self, number: str) -> Eligibility:
        return Eligibility(False, handling.NO_INTERCEPT)

    async def intercept_charge(self, number: str, ends: tuple[Address, Address] | None = None) -> Charge:
        return Charge(None, handling.NO_INTERCEPT)

    async def intercept(self, prepared: Prepared) -> InterceptOutcome:
        return Rejected("intercept", handling.NO_INTERCEPT)

    async def cancel_intercept(self, number: str) -> None:
        raise Refused(handling.NO_INTERCEPT, code="intercept")

    # ----------------------------------------------------------------------------------------------- pickups and places

    async def book_pickup(self, wanted: PickupRequest) -> PickupBooked:
        return await self._pickups.book(wanted)

    async def change_pickup(self, confirmation: str, wanted: PickupRequest) -> PickupBooked:
        """Another day, place or number of parcels. Raises NotFound, Refused, Busy, Away."""
        return await self._pickups.change(confirmation, wanted)

    async def pickup_state(self, confirmation: str) -> PickupState:
        return await self._pickups.state(confirmation)

    async def cancel_pickup(self, confirmation: str) -> None:
        await self._pickups.cancel(confirmation)

    async def drop_offs(self, address: Address, limit: int, prints_labels: bool = False) -> tuple[DropOff, ...]:
        """Post offices nearby; with `prints_labels`, those that print a label from a code at the counter."""
        return await self._places.offices(address, limit, places.LABEL_BROKER if prints_labels else "")

    async def check_address(self, address: Address) -> AddressVerdict:
        return await self._places.check(address)

    async def check(self) -> list[Check]:
        """Credentials, scopes, products, payment and the subscription, by calls that cost and change nothing."""
        return await proving.proven(self._parts)

    async def aclose(self) -> None:
        await self._http.aclose()


def connect(
    settings: Settings,
    *,
    budget: Budget,
    tokens: TokenShelf | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Usps:
    """USPS, ready to be asked. Makes no call yet. With a `tokens` shelf its tokens are shared with other processes."""
    return Usps(settings, door.client(settings.base_url, transport), budget, tokens)


def _conforms(usps: Usps) -> contract.Carrier:
    """Checked by the type checker: this is what the contract asks for."""
    return usps


_READING: contract.Reading = reading
