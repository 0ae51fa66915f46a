"""What USPS demands of a label request, and what it refuses. Source: facts/usps.md 2.3, 2.6, 2.9, 2.10."""

import re
import uuid
from dataclasses import dataclass

from carriers.usps.standin.answers import No, object_of, unlike_schema
from carriers.usps.standin.town import Json

RETURN_CLASSES = {
    "USPS_GROUND_ADVANTAGE_RETURN_SERVICE",
    "PRIORITY_MAIL_RETURN_SERVICE",
    "PRIORITY_MAIL_EXPRESS_RETURN_SERVICE",
    "FIRST-CLASS_PACKAGE_RETURN_SERVICE",
    "GROUND_RETURN_SERVICE",
}
OUTBOUND_CLASSES = {
    "PARCEL_SELECT",
    "USPS_CONNECT_LOCAL",
    "USPS_GROUND_ADVANTAGE",
    "PRIORITY_MAIL_EXPRESS",
    "PRIORITY_MAIL",
    "FIRST-CLASS_PACKAGE_SERVICE",
    "LIBRARY_MAIL",
    "MEDIA_MAIL",
}
# source: facts/usps.md 2.1: the return's class follows the outbound one.
RETURN_OF = {
    "PRIORITY_MAIL_EXPRESS": "PRIORITY_MAIL_EXPRESS_RETURN_SERVICE",
    "PRIORITY_MAIL": "PRIORITY_MAIL_RETURN_SERVICE",
}
CATEGORIES = {"MACHINABLE", "NONSTANDARD", "FLATS", "LETTERS", "IRREGULAR", "NON_MACHINABLE"}
BROKER, NO_IMAGE = "LABEL_BROKER", "NONE"
IMAGES = {
    "PDF": ("pdf", "application/pdf"),
    "PNG": ("png", "image/png"),
    "GIF": ("gif", "image/gif"),
    "JPG": ("jpg", "image/jpg"),
    "TIFF": ("tiff", "image/tiff"),
    "ZPL203DPI": ("zpl", "application/octet-stream"),
    "ZPL300DPI": ("zpl", "application/octet-stream"),
}
LABEL_TYPES = {"4X6LABEL", "4X5LABEL", "4X4LABEL", "6X4LABEL", "2X7LABEL"}
HAZMAT = frozenset({*range(810, 833), 857})
LABEL_DELIVERY, INSURANCE = 415, {930, 931}
# source: facts/usps.md 2.6
EXTRAS = frozenset({365, 415, *range(480, 490), *HAZMAT, *range(910, 914), *range(920, 926), 930, 931, 934, 955, 957})
EXTRAS |= {981, 986, 991}
MILITARY = {"AA", "AE", "AP"}
TEM = "tem"
ZIP4_UNKNOWN = "0000"  # on the street no such add-on exists


@dataclass(frozen=True, slots=True)
class Image:
    """What is drawn, in which form."""

    kind: str
    label: str
    receipt: str
    broker_pdf: bool
    with_return: bool


def checked_return(body: bytes, key: str, environment: str) -> Json:
    wanted = _shaped(body, key)
    description = wanted["packageDescription"]
    if "mailingDate" in description:
        raise unlike_schema("mailingDate", "packageDescription.mailingDate")
    if description["mailClass"] not in RETURN_CLASSES:
        raise No("Not a return mail class", code="160196")
    if (wanted.get("imageInfo") or {}).get("imageType") == "EPL300DPI":
        raise No("This image type is not available", code="160214")
    _check_image(wanted, environment)
    return wanted


def checked_outbound(body: bytes, key: str, environment: str) -> Json:
    """Source: facts/usps.md 2.1 for the label with a return in the same answer."""
    wanted = _shaped(body, key)
    description, image = wanted["packageDescription"], wanted.get("imageInfo") or {}
    if "mailingDate" not in description or not re.match(r"\d{4}-\d{2}-\d{2}", str(description["mailingDate"])):
        raise unlike_schema("mailingDate", "packageDescription.mailingDate")
    if description["mailClass"] not in OUTBOUND_CLASSES:
        raise unlike_schema("mailClass", "packageDescription.mailClass")
    if "destinationEntryFacilityType" not in description:
        raise unlike_schema("destinationEntryFacilityType", "packageDescription.destinationEntryFacilityType")
    if image.get("returnLabel"):
        if image.get("imageType") == BROKER or "customsForm" in wanted or LABEL_DELIVERY in _extras(description):
            raise No("A return label cannot come with this request", code="160134")
        if not wanted["fromAddress"].get("ZIPPlus4"):
            raise No("The from address needs its ZIP+4", code="160134")
    _check_image(wanted, environment)
    return wanted


def _shaped(body: bytes, key: str) -> Json:
    if key:
        try:
            uuid.UUID(key)
        except ValueError as wrong:
            raise unlike_schema("X-Idempotency-Key is not a UUID") from wrong
    wanted = object_of(body.decode())
    allowed = {
        "imageInfo",
        "toAddress",
        "fromAddress",
        "senderAddress",
        "returnAddress",
        "packageDescription",
        "customsForm",
    }
    missing = {"toAddress", "fromAddress", "packageDescription"} - set(wanted)
    if missing or set(wanted) - allowed:
        raise unlike_schema(f"{sorted(missing or set(wanted) - allowed)}")
    for who in ("toAddress", "fromAddress", "returnAddress", "senderAddress"):
        if who in wanted:
            _check_address(who, wanted[who])
    _check_zip(wanted)
    _check_description(wanted["packageDescription"])
    return wanted


def _check_address(who: str, address: Json) -> None:
    rules = {"streetAddress": r".{1,50}", "city": r".{1,28}", "state": r"[A-Z]{2}", "ZIPCode": r"\d{5}"}
    for name, rule in rules.items():
        if not re.fullmatch(rule, str(address.get(name, ""))):
            raise unlike_schema(f"{who}.{name}", f"{who}.{name}")
    if address.get("ZIPPlus4") and not re.fullmatch(r"\d{4}", str(address["ZIPPlus4"])):
        raise unlike_schema(f"{who}.ZIPPlus4", f"{who}.ZIPPlus4")
    if not address.get("firm") and not (address.get("firstName") and address.get("lastName")):
        raise No(f"{who}: a firm or a first and last name", code="160075")
    if not re.fullmatch(r"\+?[1-9][0-9]{7,14}|[0-9]{6,15}|", str(address.get("phone", ""))):
        raise unlike_schema(f"{who}.phone", f"{who}.phone")


def _check_zip(wanted: Json) -> None:
    """Source: facts/usps.md 2.3: the ZIP+4 of the destination is looked up when it is not given; APO needs customs."""
    to = wanted["toAddress"]
    if to.get("ZIPPlus4") == ZIP4_UNKNOWN:
        raise No("The ZIP+4 of the address is invalid", code="160263", source={"parameter": "toAddress.ZIPPlus4"})
    if not to.get("ZIPPlus4") and (to.get("ignoreBadAddress") or not re.search(r"\d", str(to["streetAddress"]))):
        raise No("The ZIP+4 of the address was not found", code="160183", source={"parameter": "toAddress"})
    if MILITARY & {to["state"], wanted["fromAddress"]["state"]} and "customsForm" not in wanted:
        raise No("A customs form is required for this ZIP Code", code="160193")


def _extras(description: Json) -> list[object]:
    extras = description.get("extraServices") or []
    if not isinstance(extras, list) or len(extras) > 5:
        raise unlike_schema("extraServices", "packageDescription.extraServices")
    return extras


def _check_description(description: Json) -> None:
    missing = {"mailClass", "weight", "length", "width", "height", "processingCategory"} - set(description)
    if missing:
        raise unlike_schema(f"{sorted(missing)}", "packageDescription")
    if ("rateIndicator" in description) == ("shape" in description and "packagingType" in description):
        raise No("Either rateIndicator or shape and packagingType", code="160284")
    if description["processingCategory"] not in CATEGORIES:
        raise unlike_schema("processingCategory", "packageDescription.processingCategory")
    if not all(
        isinstance(description[name], (int, float)) and description[name] > 0
        for name in ("weight", "length", "width", "height")
    ):
        raise unlike_schema("weight and dimensions are numbers above zero", "packageDescription")
    if description.get("weightUOM", "lb") != "lb" or description.get("dimensionsUOM", "in") != "in":
        raise unlike_schema("pounds and inches only", "packageDescription")
    long, wide, high = sorted((description[name] for name in ("length", "width", "height")), reverse=True)
    if description["weight"] > 70 or long + 2 * (wide + high) > 130:
        raise No("The weight is above 70 lb, or length and girth above 130 in", code="160042")
    references = description.get("customerReference") or []
    if len(references) > 4 or not all(1 <= len(str(each.get("referenceNumber", ""))) <= 30 for each in references):
        raise unlike_schema("customerReference: up to 4 of 1 to 30 characters", "packageDescription.customerReference")
    _check_extras(description)


def _check_extras(description: Json) -> None:
    """Source: facts/usps.md 2.6, 2.9."""
    extras = _extras(description)
    if not all(isinstance(each, int) for each in extras):
        raise unlike_schema("extraServices", "packageDescription.extraServices")
    if not set(extras) <= EXTRAS:
        raise No("The mail class and these extra services are unsupported", code="160010")
    options = description.get("packageOptions") or {}
    if set(extras) & INSURANCE and not options.get("packageValue"):
        raise No("The item value is needed", code="030024")
    hazardous = set(extras) & HAZMAT
    if len(hazardous) > 1:
        raise No("Only one hazardous material service", code="160261")
    if hazardous and (description.get("rateIndicator") or "SP") not in {"SP", "CP", "DR", "DN", "OS"}:
        raise No("USPS-produced packaging is not for hazardous materials", code="160279")
    by_air = description["mailClass"].startswith("PRIORITY")
    if (hazardous or options.get("contentType") == "HAZMAT") and by_air:
        raise No("Hazardous materials travel by ground only", code="160010")
    if options.get("contentType") == "HAZMAT" and not hazardous:
        raise No("Hazardous materials need their extra service", code="160010")


def _check_image(wanted: Json, environment: str) -> None:
    """Source: facts/usps.md 2.3, 2.7, 9: what does not go together, and what the test environment does not do."""
    info = image_of(wanted)
    if info.label not in LABEL_TYPES:
        raise unlike_schema("imageInfo.labelType", "imageInfo.labelType")
    if info.kind == BROKER:
        if environment == TEM:
            raise No("Label Broker is not available in this environment", code="160124")
        if info.label not in {"4X6LABEL", "6X4LABEL"} or info.receipt != "NONE":
            raise No("Label Broker takes 4X6LABEL or 6X4LABEL and no receipt", code="160007")
    elif info.kind != NO_IMAGE and info.kind not in IMAGES:
        raise No("This image type is not available", code="160214")
    if info.label == "2X7LABEL" and info.kind.startswith("ZPL"):
        raise No("This label size is not available in ZPL", code="160214")
    if LABEL_DELIVERY in _extras(wanted["packageDescription"]) and environment == TEM:
        raise No("Label delivery is not available in this environment", code="160125")


def image_of(wanted: Json) -> Image:
    info = wanted.get("imageInfo") or {}
    if not isinstance(info, dict):
        raise unlike_schema("imageInfo", "imageInfo")
    return Image(
        str(info.get("imageType") or "PDF"),
        str(info.get("labelType") or "4X6LABEL"),
        str(info.get("receiptOption") or "NONE"),
        bool(info.get("includeLabelBrokerPDF")),
        bool(info.get("returnLabel")),
    )
