"""What UPS demands of a shipment before it makes a label, and what it refuses. Only 120100, 121100 and 111210 are codes
that our sources name; 120000 stands for the others."""

import re
from collections.abc import Sequence

from carriers.ups.standin.answers import No, lacks, listed, path
from carriers.ups.standin.town import Json

WRONG = "120000"
EU = {
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT",
    "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
}  # fmt: skip
AMERICAN = frozenset({"US", "PR"})
STATES = frozenset({"US", "CA", "VN"})  # source: facts/ups.md 2.2: these need a state
RETURNS = {"2", "3", "5", "8", "9", "10"}  # source: facts/ups.md 2.1
PRINTED, ELECTRONIC = "9", "8"
NOT_ON_RETURNS = {"13", "59", "82", "83", "84", "85", "86", "C6", "C7", "C8"}  # source: facts/ups.md 2.1
# source: facts/ups.md 2.4: which services start where, and 11 from the US only to Canada and Mexico.
SERVICES = {
    "EU": {"11", "65", "07", "08", "54", "70", "74", "17", "72"},
    "US": {"03", "02", "12", "01", "13", "14", "59", "11", "07", "08", "54", "65"},
    "CA": {"11", "02", "13", "01", "12", "14", "65", "07", "08", "54", "70"},
}
SUBVERSIONS = {"1601", "1607", "1701", "1707", "1801", "1807", "2108", "2205"}  # source: facts/ups.md 2.9
IMPERIAL = AMERICAN  # source: facts/ups.md 2.4: the units suit the shipper's country
OPTIONS_NOT_ON_RETURNS = ("COD", "DeliveryConfirmation", "ShipperReleaseIndicator")  # source: facts/ups.md 2.6


def country(party: object) -> str:
    return str(path(party, "Address", "CountryCode") or "")


def checked_shipment(wanted: Json, account: str) -> Json:
    """The shipment with its `ShipFrom`, or UPS's refusal."""
    shipment = wanted.get("Shipment")
    if not isinstance(shipment, dict):
        raise No(WRONG, "Shipment is missing")
    version = str(path(wanted, "Request", "SubVersion") or "2205")
    if version not in SUBVERSIONS:
        raise No(WRONG, f"Unknown SubVersion {version}")
    number = path(shipment, "Shipper", "ShipperNumber")
    if not isinstance(number, str) or not re.fullmatch(r"[0-9A-Z]{6}", number) or number != (account or number):
        raise No("120100", "Missing or invalid shipper number")
    returned = "ReturnService" in shipment
    if not returned:
        shipment = {"ShipFrom": shipment.get("Shipper"), **shipment}
    for who in ("Shipper", "ShipFrom", "ShipTo"):
        _check_party(who, shipment.get(who) or {})
    packages = listed(shipment.get("Package")) or [{}]
    _check_service(shipment)
    _check_packages(shipment, packages)
    _check_payment(shipment, returned)
    if returned:
        _check_return(shipment, packages)
        _check_delivery(wanted, shipment, version)
    _check_border(shipment, returned)
    _check_references(shipment, packages)
    return shipment


def _check_party(who: str, party: Json) -> None:
    """Source: facts/ups.md 2.2: the lengths that each field may have."""
    address = party.get("Address") or {}
    lines = listed(address.get("AddressLine"))
    if not party.get("Name") or not lines or lacks(address, "City", "CountryCode"):
        raise No(WRONG, f"{who} needs a name, address lines, a city and a country")
    if len(lines) > 3 or any(len(str(line)) > 35 for line in lines) or len(str(party["Name"])) > 35:
        raise No(WRONG, f"{who}: three address lines of 35 and a name of 35 at most")
    if len(str(address["City"])) > 30 or len(str(address.get("PostalCode", ""))) > 9:
        raise No(WRONG, f"{who}: a city of 30 and a postal code of 9 at most")
    if country(party) in STATES and not address.get("StateProvinceCode"):
        raise No(WRONG, f"{who}: the state is required in {country(party)}")
    if len(str(path(party, "Phone", "Number") or "")) > 15:
        raise No(WRONG, f"{who}: a telephone number of 15 at most")


def _check_service(shipment: Json) -> None:
    code, start = str(path(shipment, "Service", "Code") or ""), country(shipment["ShipFrom"])
    region = "EU" if start in EU else "US" if start in AMERICAN else start
    if "ReturnService" in shipment and code in NOT_ON_RETURNS:
        raise No("121100", "The service is not available for returns")
    if not code or (region in SERVICES and code not in SERVICES[region]):
        raise No("121100", "The service is invalid from the selected origin")
    if region == "US" and code == "11" and country(shipment["ShipTo"]) not in {"CA", "MX"}:
        raise No("111210", "The service is unavailable between the selected locations")


def _check_packages(shipment: Json, packages: Sequence[Json]) -> None:
    unit, size = ("LBS", "IN") if country(shipment["Shipper"]) in IMPERIAL else ("KGS", "CM")
    for package in packages:
        if not path(package, "Packaging", "Code"):
            raise No(WRONG, "Every package needs a packaging code")
        if path(package, "PackageServiceOptions", "HazMat"):
            # source: facts/ups.md 2.8: it needs a contract, and nothing says that returns can have one.
            raise No(WRONG, "The account may not ship dangerous goods")
        weight = package.get("PackageWeight") or {}
        if path(weight, "UnitOfMeasurement", "Code") != unit:
            raise No(WRONG, f"The weight is to be in {unit}")
        if not re.fullmatch(r"[0-9.]{1,5}", str(weight.get("Weight", ""))) or float(weight["Weight"]) <= 0:
            raise No(WRONG, "The weight is a number above zero of five signs at most")
        if "Dimensions" in package:
            _check_size(package["Dimensions"], size)


def _check_size(dimensions: Json, unit: str) -> None:
    """Source: facts/ups.md 2.4: 108 in or 270 cm long; length and girth 165 in or 330 cm."""
    if path(dimensions, "UnitOfMeasurement", "Code") != unit:
        raise No(WRONG, f"The dimensions are to be in {unit}")
    try:
        long, wide, high = sorted((float(dimensions[name]) for name in ("Length", "Width", "Height")), reverse=True)
    except (KeyError, ValueError) as error:
        raise No(WRONG, "Length, width and height are numbers") from error
    most, around = (108, 165) if unit == "IN" else (270, 330)
    if long > most or long + 2 * (wide + high) > around:
        raise No(WRONG, "The package is too large")


def _check_payment(shipment: Json, returned: bool) -> None:
    """Source: facts/ups.md 2.3."""
    charges = listed(path(shipment, "PaymentInformation", "ShipmentCharge"))
    if not any(charge.get("Type") == "01" for charge in charges):
        raise No(WRONG, "The transportation charge needs somebody to bill")
    for charge in charges:
        if returned and charge.get("Type") == "01" and "BillReceiver" in charge:
            raise No(WRONG, "Missing or Invalid account number for Payment Details")
        payer = path(charge, "BillShipper", "AccountNumber")
        if payer is not None and payer != path(shipment, "Shipper", "ShipperNumber"):
            raise No(WRONG, "Missing or Invalid account number for Payment Details")
        if charge.get("Type") == "02" and not crosses_border(shipment):
            raise No(WRONG, "Duties and taxes are not billed on this lane")


def _check_return(shipment: Json, packages: Sequence[Json]) -> None:
    """Source: facts/ups.md 2.1, 2.4, 2.6."""
    if path(shipment, "ReturnService", "Code") not in RETURNS:
        raise No(WRONG, "Unknown return service")
    if not all(0 < len(str(package.get("Description") or "")) <= 35 for package in packages):
        raise No(WRONG, "Every package of a return needs a description of 35 at most")
    if len(packages) > (1 if country(shipment["ShipFrom"]) in AMERICAN else 20):
        raise No(WRONG, "Too many packages for a return from this origin")
    if any(path(package, "Packaging", "Code") in {"24", "25"} for package in packages):
        raise No(WRONG, "The packaging is not available for returns")
    options = [shipment.get("ShipmentServiceOptions") or {}]
    options += [package.get("PackageServiceOptions") or {} for package in packages]
    if any(name in option for option in options for name in OPTIONS_NOT_ON_RETURNS):
        raise No(WRONG, "The service option is not available for returns")


def _check_delivery(wanted: Json, shipment: Json, version: str) -> None:
    """Source: facts/ups.md 2.1, 2.6: who is to get the label, and in what form."""
    code, specified = path(shipment, "ReturnService", "Code"), bool(wanted.get("LabelSpecification"))
    delivery = path(shipment, "ShipmentServiceOptions", "LabelDelivery") or {}
    if code == ELECTRONIC and not (path(delivery, "EMail", "EMailAddress") or "LabelLinksIndicator" in delivery):
        raise No(WRONG, "An electronic return label needs a LabelDelivery")
    if code == PRINTED and "EMail" in delivery:
        raise No(WRONG, "A printed return label is not sent by e-mail")
    if not specified and (code == PRINTED or (code == ELECTRONIC and version >= "1707")):
        raise No(WRONG, "LabelSpecification is missing")


def crosses_border(shipment: Json) -> bool:
    """Whether a customs border lies between the two ends."""
    ends = {country(shipment["ShipFrom"]), country(shipment["ShipTo"])}
    return len(ends) > 1 and not ends <= EU and not ends <= AMERICAN


def _check_border(shipment: Json, returned: bool) -> None:
    """Source: facts/ups.md 2.2, 2.7: telephone and name where countries differ, a form where customs asks."""
    ends = {country(shipment["ShipFrom"]), country(shipment["ShipTo"])}
    form = path(shipment, "ShipmentServiceOptions", "InternationalForms")
    if len(ends) > 1:
        for who in ("ShipFrom", "ShipTo"):
            if not shipment[who].get("AttentionName") or not path(shipment[who], "Phone", "Number"):
                raise No(WRONG, f"{who}: attention name and telephone are required between countries")
        standard = ends <= EU and path(shipment, "Service", "Code") == "11"
        if not shipment.get("Description") and not standard:
            raise No(WRONG, "Shipment.Description is required between countries")
    if not crosses_border(shipment):
        return
    if not form:
        raise No(WRONG, "InternationalForms are required on this lane")
    types = [str(each) for each in listed(form.get("FormType"))]
    if returned and types != ["05"]:
        raise No(WRONG, "A return takes only form 05, the partial invoice")
    products = listed(form.get("Product"))
    if not products or any(lacks(each, "Description", "OriginCountryCode", "Unit") for each in products):
        raise No(WRONG, "Every product needs a description, an origin and a unit")
    if lacks(form, "CurrencyCode", "ReasonForExport"):
        raise No(WRONG, "The form needs a currency and a reason for export")


def _check_references(shipment: Json, packages: Sequence[Json]) -> None:
    """Source: facts/ups.md 2.5: at package level on US-US and PR-PR lanes, at shipment level on all others."""
    lane = {country(shipment["ShipFrom"]), country(shipment["ShipTo"])}
    domestic = lane in ({"US"}, {"PR"})
    wrong = "ReferenceNumber" in shipment if domestic else any("ReferenceNumber" in package for package in packages)
    if wrong:
        raise No(WRONG, f"Reference numbers belong to the {'package' if domestic else 'shipment'} on this lane")
    if any(not 1 <= len(reference) <= 35 for reference in references(shipment, packages)):
        raise No(WRONG, "A reference has 1 to 35 signs")


def references(shipment: Json, packages: Sequence[Json]) -> tuple[str, ...]:
    given = [
        *listed(shipment.get("ReferenceNumber")),
        *(each for package in packages for each in listed(package.get("ReferenceNumber"))),
    ]
    return tuple(str(each.get("Value", "")) for each in given)
