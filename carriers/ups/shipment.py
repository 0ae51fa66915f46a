"""The bodies we send to UPS's Ship, Void and Label Recovery APIs, as exact bytes; pure."""

import json
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from textwrap import wrap
from typing import Any

from carriers.contract import Address, LabelFormat, LabelRequest, Prepared, Refused
from carriers.ups.calls import headers

SHIP = "/api/shipments/v2409/ship"
SUBVERSION = "2205"
PRINT_RETURN_LABEL = "9"  # source: facts/ups.md 2.1
RETURN_AUTHORISATION = "RZ"  # source: facts/ups.md 2.5
PURCHASE_ORDER = "PO"
CUSTOMER_PACKAGING = "02"  # 24 and 25 are forbidden on returns  # source: facts/ups.md 2.4
POUNDS = Decimal("2.20462262")
CENTIMETRES_PER_INCH = Decimal("2.54")
# A reference belongs to the package on these lanes, to the shipment on all others.  # source: facts/ups.md 2.5
PACKAGE_REFERENCE_LANES = frozenset({("US", "US"), ("PR", "PR")})
IN_POUNDS = frozenset({"US", "PR"})
EU = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
GROUND, STANDARD, SAVER = "03", "11", "65"  # source: facts/ups.md 2.4
# Which alphabet to print where a name is not Latin-1.  # source: facts/ups.md 2.6
ALPHABETS = {"PL": "pol", "CZ": "ces", "HU": "hun", "GR": "ell", "CY": "ell", "BG": "bul", "RO": "ron"}
# Lengths: facts/ups.md 2.2 to 2.5
STATE, POSTAL_CODE = 5, 9
NAME, LINE, LINES, CITY, PHONE, DESCRIPTION, PACKAGE_DESCRIPTION, REFERENCE = 35, 35, 3, 30, 15, 50, 35, 35

Json = dict[str, Any]


def prepare_label(request: LabelRequest, account: str) -> Prepared:
    """The purchase as bytes. The account holder is the warehouse: what cannot be delivered goes there.

    Raises Refused where UPS could only say no.  # source: facts/ups.md 2.2 to 2.9
    """
    warehouse = request.ship_to if request.is_return else request.ship_from
    body = {"ShipmentRequest": _shipment_request(request, warehouse, account)}
    return Prepared("label", "POST", SHIP, _headers(request.purchase_id), _bytes(body), request.reference)


def prepare_void(label_number: str, shipment_id: str) -> Prepared:
    """The void of a whole shipment: returns know no other.  # source: facts/ups.md 3.1"""
    shipment = shipment_id or label_number
    path = f"/api/shipments/v2409/void/cancel/{shipment.upper()}"
    return Prepared("void", "DELETE", path, _headers(shipment[-14:]), b"", label_number)


def by_reference(reference: str, account: str) -> bytes:
    """A recovery of the label that carries our reference.  # source: facts/ups.md 3.2"""
    return _recovery({"ReferenceValues": {"ReferenceNumber": {"Value": reference}, "ShipperNumber": account}})


def by_number(number: str) -> bytes:
    """A recovery of one label."""
    return _recovery({"TrackingNumber": number})


def _recovery(what: Json) -> bytes:
    request = {"SubVersion": "1903", "TransactionReference": {"CustomerContext": "homeward"}}
    label = {"LabelImageFormat": {"Code": "PDF"}}
    return _bytes(
        {"LabelRecoveryRequest": {"Request": request, "LabelSpecification": label, "Locale": "en_GB", **what}}
    )


def _headers(call: str) -> Mapping[str, str]:
    return headers(call.replace("-", ""))


def _bytes(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _shipment_request(request: LabelRequest, warehouse: Address, account: str) -> Json:
    lane = (request.ship_from.country, request.ship_to.country)
    crossing = lane[0] != lane[1]
    references = _references(request)
    package: Json = {
        "Description": request.description[:PACKAGE_DESCRIPTION] or "Return",
        "Packaging": {"Code": CUSTOMER_PACKAGING},
        **_size(request, warehouse.country),
    }
    shipment: Json = {
        "Description": request.description[:DESCRIPTION] or "Return",
        **({"ReturnService": {"Code": PRINT_RETURN_LABEL}} if request.is_return else {}),
        "Shipper": {**_party(warehouse, warehouse, crossing), "ShipperNumber": account},
        "ShipFrom": _party(request.ship_from, warehouse, crossing),
        "ShipTo": _party(request.ship_to, warehouse, crossing),
        # The receiver cannot pay the transport of a return.  # source: facts/ups.md 2.3
        "PaymentInformation": {"ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]},
        "ShipmentRatingOptions": {"NegotiatedRatesIndicator": ""},
        "Service": {"Code": request.service or _service(*lane)},
        "Package": [package],
    }
    (package if lane in PACKAGE_REFERENCE_LANES else shipment)["ReferenceNumber"] = references
    return {
        "Request": {
            "RequestOption": "nonvalidate",
            "SubVersion": SUBVERSION,
            "TransactionReference": {"CustomerContext": request.reference},
        },
        "Shipment": shipment,
        "LabelSpecification": _label(request),
    }


def _references(request: LabelRequest) -> list[Json]:
    """Ours, by which the label is found again, then what the warehouse reads: the first two are printed."""
    theirs = request.return_number or next(iter(request.order_numbers), "")
    printed = [{"Code": PURCHASE_ORDER, "Value": theirs[:REFERENCE]}] if theirs else []
    return [{"Code": RETURN_AUTHORISATION, "Value": request.reference}, *printed]


def _party(address: Address, warehouse: Address, crossing: bool) -> Json:
    """A name and address within UPS's lengths. A phone is required across a border: the warehouse's stands in."""
    phone = "".join(filter(str.isdigit, address.phone or (warehouse.phone if crossing else "")))[:PHONE]
    if crossing and not phone:
        raise Refused("UPS wants a phone number across a border, and neither the sender nor the warehouse has one")
    return {
        "Name": (address.company or address.name)[:NAME],
        "AttentionName": address.name[:NAME] or address.company[:NAME],
        **({"Phone": {"Number": phone}} if phone else {}),
        "Address": {
            "AddressLine": _lines(address),
            "City": address.city[:CITY],
            **({"StateProvinceCode": address.region} if 1 <= len(address.region) <= STATE else {}),
            "PostalCode": address.postal_code.replace(" ", "")[:POSTAL_CODE],
            "CountryCode": address.country,
        },
    }


def _lines(address: Address) -> list[str]:
    """Street lines of at most 35 characters, broken between words; a street is never cut off silently."""
    lines = [part for line in address.lines for part in wrap(line, LINE)]
    if not 1 <= len(lines) <= LINES:
        raise Refused(f"UPS takes one to {LINES} street lines of {LINE} characters; this address needs {len(lines)}")
    return lines


def _size(request: LabelRequest, country: str) -> Json:
    """Weight and size in the units of the account holder's country.  # source: facts/ups.md 2.4"""
    american = country in IN_POUNDS
    weight = (request.weight_kg * (POUNDS if american else 1)).quantize(Decimal("0.1"), ROUND_UP)
    size: Json = {"PackageWeight": {"UnitOfMeasurement": {"Code": "LBS" if american else "KGS"}, "Weight": str(weight)}}
    if request.size_cm:
        by = CENTIMETRES_PER_INCH if american else Decimal(1)
        sides = sorted(
            (str((side / by).quantize(Decimal(1), ROUND_UP)) for side in request.size_cm), key=int, reverse=True
        )
        size["Dimensions"] = {
            "UnitOfMeasurement": {"Code": "IN" if american else "CM"},
            **dict(zip(("Length", "Width", "Height"), sides, strict=True)),
        }
    return size


def _service(start: str, end: str) -> str:
    if start in IN_POUNDS and end in IN_POUNDS:
        return GROUND
    return STANDARD if start == end or {start, end} <= EU or {start, end} == {"US", "CA"} else SAVER


def _label(request: LabelRequest) -> Json:
    """GIF for whatever is shown or printed on paper: UPS draws no PDF.  # source: facts/ups.md 2.6"""
    thermal = request.format is LabelFormat.ZPL
    names = f"{request.ship_from}{request.ship_to}"
    alphabet = ALPHABETS.get(request.ship_from.country) or ALPHABETS.get(request.ship_to.country)
    return {
        "LabelImageFormat": {"Code": "ZPL" if thermal else "GIF"},
        **({} if thermal else {"HTTPUserAgent": "Mozilla/4.5"}),
        "LabelStockSize": {"Height": "6", "Width": "4"},
        **({"CharacterSet": alphabet} if alphabet and not _is_latin_1(names) else {}),
    }


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
