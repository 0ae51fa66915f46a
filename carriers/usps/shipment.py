"""The body we send to USPS's return-label API, as exact bytes; pure (source: facts/usps.md 2.3)."""

import re
from decimal import ROUND_UP, Decimal
from typing import Any

import msgspec

from carriers.contract import Address, LabelFormat, LabelRequest, Prepared, Refused
from carriers.usps import zones

RETURN_LABEL = "/labels/v3/return-label"
FLAT_JSON = "application/vnd.usps.labels+json"  # else the answer is multipart, whatever else is accepted  # facts 2.5
KEY = "X-Idempotency-Key"

GROUND = "USPS_GROUND_ADVANTAGE_RETURN_SERVICE"
CLASSES = frozenset({GROUND, "PRIORITY_MAIL_RETURN_SERVICE", "PRIORITY_MAIL_EXPRESS_RETURN_SERVICE"})
IMAGES = {
    LabelFormat.PDF: "PDF",
    LabelFormat.PNG: "PNG",
    LabelFormat.GIF: "GIF",
    LabelFormat.ZPL: "ZPL203DPI",
}
LABEL_SIZE = "4X6LABEL"

KG_PER_POUND, CM_PER_INCH, HUNDREDTH = Decimal("0.45359237"), Decimal("2.54"), Decimal("0.01")
MOST_POUNDS = Decimal(70)
STREET, CITY, NAME, REFERENCE = 50, 28, 50, 30
ZIP = re.compile(r"([0-9]{5})(?:-?([0-9]{4}))?")
MILITARY = frozenset({"AA", "AE", "AP"})
# They may be written as countries; other states' letters are other countries' (DE, CA, IN).
TERRITORIES = frozenset({"PR", "VI", "GU", "MP", "AS", "FM", "MH", "PW"})

Json = dict[str, Any]
Size = tuple[Decimal, Decimal, Decimal]


def prepare_label(request: LabelRequest, usual_size: Size) -> Prepared:
    """The purchase as bytes; the same request gives the same bytes. Raises Refused where USPS could only say no."""
    if not request.is_return:
        raise Refused("USPS: only return labels are bought here", code="service")
    image = IMAGES.get(request.format)
    if image is None:
        raise Refused(f"USPS: no return label is bought as {request.format} here", code="format")
    body = {
        "imageInfo": {"imageType": image, "labelType": LABEL_SIZE, "receiptOption": "NONE"},
        "fromAddress": _address("ship_from", request.ship_from),
        "toAddress": _address("ship_to", request.ship_to),
        "packageDescription": _package(request, usual_size),
    }
    headers = {"Content-Type": "application/json", "Accept": FLAT_JSON, KEY: request.purchase_id}
    return Prepared("label", "POST", RETURN_LABEL, headers, msgspec.json.encode(body), request.reference)


def prepare_void(label_number: str) -> Prepared:
    """Nothing to send: USPS does not cancel return labels.  # source: facts/usps.md 2.8 (160187)"""
    return Prepared("void", "NONE", "", {}, b"", label_number)


def _package(request: LabelRequest, usual_size: Size) -> Json:
    length, width, height = _inches(request.size_cm or usual_size)
    return {
        "mailClass": _mail_class(request.service),
        "rateIndicator": "SP",
        "processingCategory": "MACHINABLE",
        "weightUOM": "lb",
        "weight": _pounds(request.weight_kg),
        "dimensionsUOM": "in",
        "length": length,
        "width": width,
        "height": height,
        "customerReference": _references(request),
    }


def _mail_class(service: str) -> str:
    mail_class = service.strip().upper() or GROUND
    if mail_class not in CLASSES:
        raise Refused(f"USPS has no return service {service!r}; it has {', '.join(sorted(CLASSES))}", code="service")
    return mail_class


def _pounds(kg: Decimal) -> float:
    """Pounds are the only unit of weight; rounded up, so that nothing is declared too light."""
    pounds = (kg / KG_PER_POUND).quantize(HUNDREDTH, ROUND_UP)
    if not 0 < pounds <= MOST_POUNDS:
        raise Refused(f"USPS takes parcels of up to {MOST_POUNDS} pounds, not {pounds}", code="weight")
    return float(pounds)


def _inches(size_cm: Size) -> tuple[float, float, float]:
    """Length is the longest side."""
    if min(size_cm) <= 0:
        raise Refused("USPS: every side of a parcel needs a length above zero", code="size")
    inches = sorted(((side / CM_PER_INCH).quantize(HUNDREDTH, ROUND_UP) for side in size_cm), reverse=True)
    return float(inches[0]), float(inches[1]), float(inches[2])


def _references(request: LabelRequest) -> list[Json]:
    """What the warehouse reads, printed; and ours, by which the label is recognised."""
    printed = request.return_number or next(iter(request.order_numbers), "")
    shown = [{"referenceNumber": printed[:REFERENCE], "printReferenceNumber": True}] if printed else []
    return [*shown, {"referenceNumber": request.reference[:REFERENCE], "printReferenceNumber": False}]


# ------------------------------------------------------------------------------------------------------------ addresses


def _address(who: str, address: Address) -> Json:
    """A US address; phone and e-mail are left out, as nothing here needs them."""
    if address.country not in ("US", "", *TERRITORIES):
        raise Refused(f"USPS labels are for addresses in the US: {who} is in {address.country}", code="address")
    lines = [line.strip() for line in address.lines if line.strip()]
    zip_code = ZIP.fullmatch(address.postal_code.strip())
    if not lines or zip_code is None:
        raise Refused(f"USPS: {who} needs a street and a ZIP of five digits (or ZIP+4)", code="address")
    said = {
        **_addressee(who, address),
        "streetAddress": _within(who, "street", lines[0], STREET),
        "city": _within(who, "city", address.city.strip(), CITY),
        "state": _state(who, address),
        "ZIPCode": zip_code[1],
    }
    if more := ", ".join(lines[1:]):
        said["secondaryAddress"] = _within(who, "second street line", more, STREET)
    if zip_code[2]:
        said["ZIPPlus4"] = zip_code[2]
    return said


def _state(who: str, address: Address) -> str:
    state = address.region.strip().upper() or (address.country if address.country in TERRITORIES else "")
    if state in MILITARY:
        # source: facts/usps.md 2.9 (160193)
        raise Refused(f"USPS: {who} is a military address, which needs a customs form: ask USPS", code="military")
    if state not in zones.BY_STATE:
        raise Refused(f"USPS: {who} needs a two-letter US state, not {address.region!r}", code="address")
    return state


def _addressee(who: str, address: Address) -> Json:
    """First and last name, or a firm: one is always required. A name of one word is printed as a firm."""
    first, _, last = address.name.strip().rpartition(" ")
    firm = address.company.strip()
    said: Json = {}
    if first and last:
        said = {"firstName": _within(who, "name", first.strip(), NAME), "lastName": _within(who, "name", last, NAME)}
    elif not firm:
        firm = last
    if firm:
        said["firm"] = _within(who, "company", firm, NAME)
    if not said:
        raise Refused(f"USPS: {who} needs a name or a company", code="address")
    return said


def _within(who: str, what: str, text: str, most: int) -> str:
    if not 0 < len(text) <= most:
        raise Refused(f"USPS: the {what} of {who} needs 1 to {most} characters", code="address")
    return text
