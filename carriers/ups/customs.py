"""The customs form of a UPS shipment: who needs one, and its JSON; pure."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from carriers.contract import CustomsLine, LabelRequest, Refused

Json = dict[str, Any]

EU = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
ONE_TERRITORY = (EU, frozenset({"US", "PR"}), frozenset({"IT", "SM"}), frozenset({"FR", "MC"}), frozenset({"CH", "LI"}))
INVOICE, PARTIAL_INVOICE = "01", "05"  # a return takes the second only  # source: facts/ups.md 2.7
LINE, LINES, INVOICE_NUMBER = 35, 3, 35
COMMODITY_CODE = range(6, 16)
PIECES = "PCS"


def crosses_a_customs_border(start: str, end: str) -> bool:
    """Goods in free circulation pass within one country and within the EU; all else needs a form."""
    return start != end and not any({start, end} <= territory for territory in ONE_TERRITORY)


def form(request: LabelRequest, sold_to: Mapping[str, Any]) -> Json:
    """`InternationalForms` for goods that cross a customs border; nothing for others.

    Raises Refused where the goods are not listed, or an invoice has no date.
    """
    if not crosses_a_customs_border(request.ship_from.country, request.ship_to.country):
        return {}
    if not request.customs:
        lane = f"{request.ship_from.country} to {request.ship_to.country}"
        raise Refused(f"{lane} crosses a customs border: the label needs its customs lines (what, how many, how much)")
    currencies = {line.value.currency for line in request.customs}
    if len(currencies) != 1:
        raise Refused(f"a customs form has one currency, not {', '.join(sorted(currencies))}")
    made: Json = {
        "FormType": [PARTIAL_INVOICE if request.is_return else INVOICE],
        "Product": [_product(line) for line in request.customs],
        "CurrencyCode": currencies.pop(),
        "ReasonForExport": "RETURN" if request.is_return else "SALE",
        "InvoiceNumber": (request.return_number or request.reference)[:INVOICE_NUMBER],
        # Its country is the receiver's.  # source: facts/ups.md 2.7
        "Contacts": {"SoldTo": _sold_to(sold_to)},
    }
    if not request.is_return:
        made["InvoiceDate"] = f"{_invoice_day(request):%Y%m%d}"
    return {"InternationalForms": made}


def _invoice_day(request: LabelRequest) -> date:
    if request.ship_day is None:
        raise Refused("an outbound label across a customs border needs ship_day: it is the invoice's date")
    return request.ship_day


def _product(line: CustomsLine) -> Json:
    code = "".join(filter(str.isalnum, line.commodity_code))
    if line.commodity_code and len(code) not in COMMODITY_CODE:
        raise Refused(f"a commodity code has 6 to 15 characters, {line.commodity_code!r} has {len(code)}")
    if not line.description.strip() or line.quantity < 1 or line.value.amount < 0:
        raise Refused("a customs line says what it is, how many (at least one) and what one is worth")
    pieces = [line.description[start : start + LINE] for start in range(0, LINE * LINES, LINE)]
    return {
        "Description": [piece for piece in pieces if piece.strip()],
        **({"CommodityCode": code} if code else {}),
        **({"OriginCountryCode": line.origin} if line.origin else {}),
        "Unit": {
            "Number": str(line.quantity),
            "Value": str(line.value.amount.quantize(Decimal("0.01"))),
            "UnitOfMeasurement": {"Code": PIECES},
        },
    }


def _sold_to(party: Mapping[str, Any]) -> Json:
    return {key: party[key] for key in ("Name", "AttentionName", "Phone", "Address") if key in party}
