"""What the street's USPS charges: postage by class and weight, extras, fees. All amounts are made up."""

from dataclasses import dataclass
from decimal import Decimal

from carriers.usps.standin.town import Json

GROUND, PRIORITY, EXPRESS = Decimal("6.85"), Decimal("9.25"), Decimal("31.40")
INCLUDED_POUNDS, MORE = Decimal(5), Decimal("1.10")
TRACKING = {"name": "USPS Tracking", "SKU": "DXTU0EXXXCX0000", "price": 0}
# source: facts/usps.md 2.6 for the codes, and for the price of 415.
EXTRAS = {
    415: ("USPS Label Delivery Service", Decimal("1.25")),
    921: ("Signature Confirmation", Decimal("3.65")),
    922: ("Adult Signature Required", Decimal("8.90")),
    923: ("Adult Signature Restricted Delivery", Decimal("9.15")),
    930: ("Insurance <= $500", Decimal("2.60")),
    931: ("Insurance > $500", Decimal("7.90")),
    955: ("Return Receipt", Decimal("3.90")),
}
LONG_INCHES, LONG_FEE = 22, Decimal("4.00")


@dataclass(frozen=True, slots=True)
class Price:
    """The three parts of what a label costs. Source: facts/usps.md 2.5: `postage` is the base only."""

    postage: Decimal
    extras: tuple[tuple[str, Decimal], ...]
    fees: tuple[tuple[str, Decimal], ...]

    @property
    def total(self) -> Decimal:
        return sum((price for _, price in (*self.extras, *self.fees)), self.postage)

    def told(self) -> Json:
        return {
            "postage": float(self.postage),
            "extraServices": [TRACKING, *_items(self.extras)],
            "fees": _items(self.fees),
        }


def price(description: Json) -> Price:
    mail_class, weight = str(description["mailClass"]), Decimal(str(description["weight"]))
    base = EXPRESS if "EXPRESS" in mail_class else PRIORITY if "PRIORITY" in mail_class else GROUND
    over = max(Decimal(), weight - INCLUDED_POUNDS)
    asked = [code for code in description.get("extraServices") or [] if code in EXTRAS]
    sides = [description[name] for name in ("length", "width", "height")]
    long = max(sides) > LONG_INCHES or description.get("hasNonstandardCharacteristics")
    return Price(
        base + (over * MORE).quantize(Decimal("0.01")),
        tuple(EXTRAS[code] for code in asked),
        (("Nonstandard Length Fee > 22 in", LONG_FEE),) if long else (),
    )


def _items(parts: tuple[tuple[str, Decimal], ...]) -> list[Json]:
    return [{"name": name, "SKU": "DXXX0XXXXXX0000", "price": float(price)} for name, price in parts]
