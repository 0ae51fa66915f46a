"""The bodies we send to UPS's Ship, Void and Label Recovery APIs, as exact bytes; pure."""

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from textwrap import wrap
from typing import Any

from carriers.contract import Address, LabelFormat, LabelRequest, Prepared, Refused
from carriers.ups.calls import encoded, headers
from carriers.ups.customs import EU, form

SHIP = "/api/shipments/v2409/ship"
SUBVERSION = "2205"
PRINT_RETURN_LABEL, ELECTRONIC_RETURN_LABEL = "9", "8"  # source: facts/ups.md 2.1
# Services that take no return.  # source: facts/ups.md 2.1
NEVER_ON_RETURNS = frozenset({"13", "59", "82", "83", "84", "85", "86", "C6", "C7", "C8"})
RETURN_AUTHORISATION, TRANSACTION, PURCHASE_ORDER = "RZ", "TN", "PO"  # source: facts/ups.md 2.5
# Only shipments that start here can be voided by API.  # source: facts/ups.md 3.1
VOID_ORIGINS = frozenset({"US", "PR", "CA"})
NO_VOID = (
    "UPS voids by API only what starts in the US, Puerto Rico or Canada: the label is void here, and an unused one is"
    " not billed where the contract says so; else ask UPS"
)
CUSTOMER_PACKAGING = "02"  # 24 and 25 are forbidden on returns  # source: facts/ups.md 2.4
POUNDS = Decimal("2.20462262")
CENTIMETRES_PER_INCH = Decimal("2.54")
# A reference belongs to the package on these lanes, to the shipment on all others.  # source: facts/ups.md 2.5
PACKAGE_REFERENCE_LANES = frozenset({("US", "US"), ("PR", "PR")})
IN_POUNDS = frozenset({"US", "PR"})
GROUND, STANDARD, SAVER = "03", "11", "65"  # source: facts/ups.md 2.4
# Which alphabet to print where a name is not Latin-1.  # source: facts/ups.md 2.6
ALPHABETS = {"PL": "pol", "CZ": "ces", "HU": "hun", "GR": "ell", "CY": "ell", "BG": "bul", "RO": "ron"}
# Lengths: facts/ups.md 2.2 to 2.5
STATE, POSTAL_CODE = 5, 9
STATES = frozenset({"US", "CA", "VN"})  # a state or province is required here  # source: facts/ups.md 2.2
HEAVIEST_KG = Decimal(70)
LONGEST_CM, GIRTH_CM = Decimal(270), Decimal(330)  # source: facts/ups.md 2.4
EMAIL = 50
NAME, LINE, LINES, CITY, PHONE, DESCRIPTION, PACKAGE_DESCRIPTION, REFERENCE = 35, 35, 3, 30, 15, 50, 35, 35

Json = dict[str, Any]


def prepare_label(request: LabelRequest, account: str) -> Prepared:
    """The purchase as bytes. The account holder is the warehouse: what cannot be delivered goes there.

    Raises Refused where UPS could only say no.  # source: facts/ups.md 2.2 to 2.9
    """
    _check(request)
    warehouse = request.ship_to if request.is_return else request.ship_from
    body = {"ShipmentRequest": _shipment_request(request, warehouse, account)}
    return Prepared("label", "POST", SHIP, _headers(request.purchase_id), encoded(body), request.reference)


def prepare_void(label_number: str, shipment_id: str) -> Prepared:
    """The void of a whole shipment: returns know no other.  # source: facts/ups.md 3.1"""
    shipment = shipment_id or label_number
    path = f"/api/shipments/v2409/void/cancel/{shipment.upper()}"
    return Prepared("void", "DELETE", path, _headers(shipment[-14:]), b"", label_number)


def by_reference(reference: str, account: str) -> Json:
    """A recovery of the label that carries our reference.  # source: facts/ups.md 3.2"""
    return _recovery({"ReferenceValues": {"ReferenceNumber": {"Value": reference}, "ShipperNumber": account}})


def by_number(number: str) -> Json:
    """A recovery of one label."""
    return _recovery({"TrackingNumber": number})


def _recovery(what: Json) -> Json:
    request = {"SubVersion": "1903", "TransactionReference": {"CustomerContext": "homeward"}}
    label = {"LabelImageFormat": {"Code": "PDF"}}
    return {"LabelRecoveryRequest": {"Request": request, "LabelSpecification": label, "Locale": "en_GB", **what}}


def _headers(call: str) -> Mapping[str, str]:
    return headers(call.replace("-", ""))


def _check(request: LabelRequest) -> None:
    """What UPS would refuse, or charge a fine for, said before any money."""
    if request.is_dangerous:  # whether UPS takes them back at all is not known  # source: facts/ups.md 2.8
        raise Refused("dangerous goods are not sent with a label of ours: they need a contract and trained hands")
    if request.qr:
        raise Refused("UPS gives no code to print a label from by API: send the label, or let UPS mail it")
    if request.electronic_to and not request.is_return:
        raise Refused("UPS mails labels of returns only")
    if len(request.electronic_to) > EMAIL or (request.electronic_to and "@" not in request.electronic_to):
        raise Refused(f"UPS mails a label to an e-mail address of at most {EMAIL} characters")
    if request.is_return and request.service in NEVER_ON_RETURNS:
        raise Refused(f"UPS takes no returns with service {request.service}")
    if not 0 < request.weight_kg <= HEAVIEST_KG:
        raise Refused(f"UPS takes parcels of up to {HEAVIEST_KG} kg; this one has {request.weight_kg}")
    if request.size_cm:
        length, width, height = sorted(request.size_cm, reverse=True)
        if height <= 0 or length > LONGEST_CM or length + 2 * (width + height) > GIRTH_CM:
            raise Refused(f"UPS takes parcels up to {LONGEST_CM} cm long and {GIRTH_CM} cm in length and girth")


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
        **_return_service(request),
        "Shipper": {**_party(warehouse, warehouse, crossing), "ShipperNumber": account},
        "ShipFrom": _party(request.ship_from, warehouse, crossing),
        "ShipTo": _party(request.ship_to, warehouse, crossing),
        # The receiver cannot pay the transport of a return.  # source: facts/ups.md 2.3
        "PaymentInformation": {"ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]},
        "ShipmentRatingOptions": {"NegotiatedRatesIndicator": ""},
        "Service": {"Code": request.service or fitting_service(*lane)},
        "Package": [package],
    }
    if options := _options(request, shipment["ShipTo"]):
        shipment["ShipmentServiceOptions"] = options
    if request.ship_day:
        shipment["ShipmentDate"] = f"{request.ship_day:%Y%m%d}"
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


def _return_service(request: LabelRequest) -> Json:
    """A label to print, or one that UPS mails; nothing for a parcel that goes out."""
    if not request.is_return:
        return {}
    return {"ReturnService": {"Code": ELECTRONIC_RETURN_LABEL if request.electronic_to else PRINT_RETURN_LABEL}}


def _options(request: LabelRequest, receiver: Json) -> Json:
    """Where UPS mails the label, and the customs form.  # source: facts/ups.md 2.6, 2.7"""
    mailed = {"LabelDelivery": {"EMail": {"EMailAddress": request.electronic_to}}} if request.electronic_to else {}
    return {**mailed, **form(request, receiver)}


def _references(request: LabelRequest) -> list[Json]:
    """Ours, by which the label is found again, then what the warehouse reads: the first two are printed."""
    theirs = request.return_number or next(iter(request.order_numbers), "")
    printed = [{"Code": PURCHASE_ORDER, "Value": theirs[:REFERENCE]}] if theirs else []
    ours = RETURN_AUTHORISATION if request.is_return else TRANSACTION
    return [{"Code": ours, "Value": request.reference}, *printed]


def postal_code(address: Address) -> str:
    """Without spaces; ZIP+4 as nine digits."""
    code = address.postal_code.replace(" ", "")
    return code.replace("-", "") if address.country in IN_POUNDS else code


def _party(address: Address, warehouse: Address, crossing: bool) -> Json:
    """A name and address within UPS's lengths. A phone is required across a border: the warehouse's stands in."""
    phone = "".join(filter(str.isdigit, address.phone or (warehouse.phone if crossing else "")))[:PHONE]
    if crossing and not phone:
        raise Refused("UPS wants a phone number across a border, and neither the sender nor the warehouse has one")
    if address.country in STATES and not 1 <= len(address.region) <= STATE:
        raise Refused(f"UPS wants a state or province in {address.country}, and {address.region!r} is none")
    return {
        "Name": (address.company or address.name)[:NAME],
        "AttentionName": address.name[:NAME] or address.company[:NAME],
        **({"Phone": {"Number": phone}} if phone else {}),
        "Address": {
            "AddressLine": _lines(address),
            "City": address.city[:CITY],
            **({"StateProvinceCode": address.region} if 1 <= len(address.region) <= STATE else {}),
            "PostalCode": postal_code(address)[:POSTAL_CODE],
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


def fitting_service(start: str, end: str) -> str:
    """The plain service of a lane: Ground in the US, Standard within a country and the EU, Saver elsewhere."""
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
