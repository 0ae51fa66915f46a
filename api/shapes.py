"""Parts that the models of several calls share: codes, numbers, instants as JSON writes them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, WithJsonSchema

from carriers.contract import Address


def _utc(at: datetime) -> datetime:
    if not 1990 <= at.year <= 2200:  # nothing shipped before, and clocks that far ahead are wrong
        raise ValueError("an instant between 1990 and 2200 is expected")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Sku = Annotated[str, Field(min_length=1, max_length=100)]
Quantity = Annotated[int, Field(ge=1, le=10_000)]
Amount = Annotated[
    Decimal,
    Field(ge=0, le=10_000_000, decimal_places=3),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 10_000_000, "multipleOf": 0.001},
                {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,3})?$"},
            ],
            "description": "An amount of money; as a string it is exact",
        }
    ),
]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166 alpha-2")]
CarrierName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", examples=["ups", "usps"])]
MerchantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
OrderNumber = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-.0-~]+$")]


class Asked(BaseModel):
    """Something a caller sends: nothing but what is documented."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """Something we answer: an allow-list, whatever more the rooms behind know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def example(value: dict[str, Any]) -> ConfigDict:
    """A model's configuration with the example that the document shows."""
    return ConfigDict(json_schema_extra={"examples": [value]})


class Fresh(Told):
    """How fresh an answer about a parcel is."""

    checked_at: Instant | None = Field(description="When its carrier was asked last")
    next_check_at: Instant | None = Field(None, description="When it is asked next; null: no more")
    stale: bool = Field(False, description="Whether this is older news than promised for what the parcel is doing")
    stale_after: Instant | None = Field(None, description="From when on it is, unless the carrier is heard before")


def aged(view: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A view with `stale` said wherever something in it states `stale_after`."""
    told = {name: _aged(value, now) for name, value in view.items()}
    if "stale_after" in told:
        after = told["stale_after"]
        told["stale"] = (
            after is not None and (datetime.fromisoformat(after) if isinstance(after, str) else after) <= now
        )
    return told


def _aged(value: Any, now: datetime) -> Any:
    if isinstance(value, Mapping):
        return aged(value, now)
    return [_aged(each, now) for each in value] if isinstance(value, list) else value


class AddressIn(Asked):
    """A postal address. It is kept sealed and never shown again."""

    name: Text
    lines: Annotated[tuple[Text, ...], Field(min_length=1, max_length=3)]
    city: Text
    postal_code: Annotated[str, Field(max_length=16)] = ""
    country: CountryCode
    region: Annotated[str, Field(max_length=16)] = ""
    company: Annotated[str, Field(max_length=200)] = ""
    phone: Annotated[str, Field(pattern=r"^[0-9]{0,20}$")] = ""
    email: Annotated[str, Field(max_length=254)] = ""

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


class ItemCountIn(Asked):
    """So many of one line of the order."""

    sku: Sku
    quantity: Quantity


class ItemCountOut(Told):
    sku: str
    quantity: int
