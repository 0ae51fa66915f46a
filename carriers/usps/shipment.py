"""What we send to USPS's Labels API, to a customer and back, as exact bytes; pure (source: facts/usps.md 2.3)."""

import re
from decimal import ROUND_UP, Decimal
from typing import Any

import msgspec

from carriers.contract import Address, LabelFormat, LabelRequest, Prepared, Refused
from carriers.usps import zones

RETURN_LABEL, LABEL, REPRINT = "/labels/v3/return-label", "/labels/v3/label", "/labels/v3/label-reprint"
FLAT_JSON = "application/vnd.usps.labels+json"  # else the answer is multipart, whatever else is accepted  # facts 2.5
KEY = "X-Idempotency-Key"

GROUND, OUTBOUND_GROUND = "USPS_GROUND_ADVANTAGE_RETURN_SERVICE", "USPS_GROUND_ADVANTAGE"
# Our usual service first.
RETURN_CLASSES = (GROUND, "PRIORITY_MAIL_RETURN_SERVICE", "PRIORITY_MAIL_EXPRESS_RETURN_SERVICE")
OUTBOUND_CLASSES = (OUTBOUND_GROUND, "PRIORITY_MAIL", "PRIORITY_MAIL_EXPRESS")
IMAGES = {
    LabelFormat.PDF: "PDF",
    LabelFormat.PNG: "PNG",
    LabelFormat.GIF: "GIF",
    LabelFormat.ZPL: "ZPL203DPI",
}
BROKER = "LABEL_BROKER"  # a code; the PDF of the label comes with it  # source: facts/usps.md 2.7
LABEL_SIZE = "4X6LABEL"

KG_PER_POUND, CM_PER_INCH, HUNDREDTH = Decimal("0.45359237"), Decimal("2.54"), Decimal("0.01")
MOST_POUNDS = Decimal(70)
STREET, CITY, NAME, REFERENCE = 50, 28, 50, 30
ZIP = re.compile(r"([0-9]{5})(?:-?([0-9]{4}))?")
NUMBER = re.compile(r"[0-9A-Z]{4,34}")
MILITARY = frozenset({"AA", "AE", "AP"})
# They may be written as countries; other states' letters are other countries' (DE, CA, IN).
TERRITORIES = frozenset({"PR", "VI", "GU", "MP", "AS", "FM", "MH", "PW"})
NO_HAZMAT = (
    "USPS: dangerous goods are not sent here: they need their own service, marks and packaging, agreed with USPS; "
    "then set USPS_HAZMAT_SERVICE"
)

Json = dict[str, Any]
Size = tuple[Decimal, Decimal, Decimal]


def prepare_label(request: LabelRequest, usual_size: Size, hazmat_service: int = 0) -> Prepared:
    """The purchase as bytes; the same request gives the same bytes. Raises Refused where USPS could only say no."""
    package = _package(request, usual_size) | (_direct(request) if not request.is_return else {})
    if request.is_dangerous:
        package |= _hazmat(package["mailClass"], hazmat_service)
    body = {
        "imageInfo": _image_info(request),
        "fromAddress": _address("ship_from", request.ship_from),
        "toAddress": _address("ship_to", request.ship_to),
        "packageDescription": package,
    }
    headers = {"Content-Type": "application/json", "Accept": FLAT_JSON, KEY: request.purchase_id}
    path = RETURN_LABEL if request.is_return else LABEL
    return Prepared("label", "POST", path, headers, msgspec.json.encode(body), request.reference)


def prepare_void(label_number: str, bought_under: str) -> Prepared:
    """To cancel an outbound label, by its number or else by the key it was bought under.

    Without a key it is a return label: USPS does not cancel those, so nothing is sent.  # source: facts/usps.md 2.8
    """
    if not bought_under:
        return Prepared("void", "NONE", "", {}, b"", label_number)
    accept = {"Accept": "application/json"}
    if not label_number:
        return Prepared("void", "DELETE", LABEL, {**accept, KEY: bought_under}, b"", bought_under)
    return Prepared("void", "DELETE", f"{LABEL}/{checked(label_number)}", accept, b"", label_number)


def checked(number: str) -> str:
    """A tracking number that may stand in a path."""
    if not NUMBER.fullmatch(number):
        raise Refused("USPS: that is no tracking number", code="number")
    return number


def _image_info(request: LabelRequest) -> Json:
    said: Json = {"imageType": "", "labelType": LABEL_SIZE, "receiptOption": "NONE"}
    if request.qr or request.format is LabelFormat.QR:
        if not request.is_return:
            raise Refused("USPS: a code for the counter is for returns only", code="format")
        return said | {"imageType": BROKER, "includeLabelBrokerPDF": True}
    return said | {"imageType": IMAGES[request.format]}


def _package(request: LabelRequest, usual_size: Size) -> Json:
    length, width, height = _inches(request.size_cm or usual_size)
    mail_class = _mail_class(request)
    return {
        "mailClass": mail_class,
        # source: facts/usps.md 2.3: a single piece, which Express calls otherwise
        "rateIndicator": "PA" if "EXPRESS" in mail_class else "SP",
        "processingCategory": "MACHINABLE",
        "weightUOM": "lb",
        "weight": _pounds(request.weight_kg),
        "dimensionsUOM": "in",
        "length": length,
        "width": width,
        "height": height,
        "customerReference": _references(request),
    }


def _direct(request: LabelRequest) -> Json:
    """What a label to a customer states beside: the day it is handed over, and that USPS brings it all the way."""
    if request.ship_day is None:
        raise Refused("USPS: a label to a customer needs the day it is handed over", code="ship_day")
    return {"mailingDate": request.ship_day.isoformat(), "destinationEntryFacilityType": "NONE"}


def _hazmat(mail_class: str, service: int) -> Json:
    """Refused unless a service was agreed; then on the ground only.  # source: facts/usps.md 2.9"""
    if not service:
        raise Refused(NO_HAZMAT, code="hazmat")
    if mail_class not in (GROUND, OUTBOUND_GROUND):
        raise Refused("USPS: dangerous goods go by Ground Advantage only", code="hazmat")
    return {"extraServices": [service], "packageOptions": {"contentType": "HAZMAT"}}


def _mail_class(request: LabelRequest) -> str:
    classes = RETURN_CLASSES if request.is_return else OUTBOUND_CLASSES
    mail_class = request.service.strip().upper() or classes[0]
    if mail_class not in classes:
        kind = "return service" if request.is_return else "service"
        raise Refused(f"USPS has no {kind} {request.service!r}; it has {', '.join(sorted(classes))}", code="service")
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
    """A US address with whom it is; phone and e-mail are left out, as nothing here needs them."""
    return {**_addressee(who, address), **postal(who, address)}


def postal(who: str, address: Address, *, needs_zip: bool = True) -> Json:
    """Street, city, state and ZIP as every USPS API takes them. Raises Refused."""
    if address.country not in ("US", "", *TERRITORIES):
        raise Refused(f"USPS labels are for addresses in the US: {who} is in {address.country}", code="address")
    lines = [line.strip() for line in address.lines if line.strip()]
    zip_code = ZIP.fullmatch(address.postal_code.strip())
    if not lines or (zip_code is None and (needs_zip or address.postal_code.strip())):
        raise Refused(f"USPS: {who} needs a street and a ZIP of five digits (or ZIP+4)", code="address")
    said = {
        "streetAddress": _within(who, "street", lines[0], STREET),
        "city": _within(who, "city", address.city.strip(), CITY),
        "state": _state(who, address),
    }
    if more := ", ".join(lines[1:]):
        said["secondaryAddress"] = _within(who, "second street line", more, STREET)
    if zip_code:
        said["ZIPCode"] = zip_code[1]
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
