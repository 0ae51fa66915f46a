"""UPS's labels: bought with a shipment, found again by number or reference, voided."""

import base64
import json
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from aiohttp import web

from carriers.ups.standin.answers import SUCCESS, No, answer, listed, object_of, path, success
from carriers.ups.standin.shipments import ELECTRONIC, EU, PRINTED, checked_shipment, country, references
from carriers.ups.standin.town import Json, Route, Town
from carriers.ups.standin.words import check_digit

# source: facts/ups.md 2.6: GIF and ZPL; PNG was seen on labels that go out; PDF is not offered by Ship.
FORMATS = {"GIF": "gif", "ZPL": "zpl", "PNG": "png"}
VOIDABLE = {"US", "PR", "CA"}  # source: facts/ups.md 3.1
# source: facts/ups.md 3.1: what third parties claim; the files name no window.
VOID_RETURN, VOID_OUTBOUND = timedelta(days=1), timedelta(days=90)
RECOVERABLE = timedelta(days=30)  # source: facts/ups.md 2.11
CURRENCIES = {"US": "USD", "PR": "USD", "CA": "CAD", "GB": "GBP", "CH": "CHF", "PL": "PLN", "SE": "SEK", "DK": "DKK"}
# What the street charges: list price and what the account pays, for the first kilogram or pound, by service. Made up.
PRICES = {"11": ("9.10", "5.70"), "03": ("9.10", "5.70"), "65": ("24.40", "15.20"), "07": ("31.00", "19.90")}
OTHER_PRICE = ("18.30", "11.40")
SURCHARGES = {PRINTED: ("250", "Print Return Label"), ELECTRONIC: ("350", "Electronic Return Label")}


@dataclass(slots=True)
class Sold:
    """One package of a shipment that was bought here."""

    number: str
    shipment: str
    lines: tuple[str, ...]
    account: str
    country: str
    to_country: str
    to_postal_code: str
    made_at: datetime
    returned: bool
    form: bool
    voided: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    listed: Decimal
    options: Decimal
    negotiated: Decimal
    currency: str

    def money(self, value: Decimal) -> Json:
        return {"CurrencyCode": self.currency, "MonetaryValue": f"{value:.2f}"}


class Labels:
    """Ship, void and recovery."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.sold: dict[str, Sold] = {}
        self._serial = secrets.randbelow(10_000_000)

    def routes(self) -> list[Route]:
        return [
            ("POST", "/api/shipments/{version}/ship", "ship", self.ship),
            ("DELETE", "/api/shipments/{version}/void/cancel/{id}", "void", self.void),
            ("POST", "/api/labels/{version}/recovery", "recovery", self.recovery),
        ]

    def number(self, account: str) -> str:
        """A new 1Z number of this account."""
        self._serial = (self._serial + 1) % 10_000_000
        body = f"{account}68{self._serial:07d}"
        return f"1Z{body}{check_digit(body)}"

    def packages(self, shipment: str) -> list[Sold]:
        return [each for each in self.sold.values() if each.shipment == shipment]

    # ----------------------------------------------------------------------------------------------------------- buying

    async def ship(self, request: web.Request) -> web.Response:
        wanted = object_of(await request.text(), "ShipmentRequest")
        shipment = checked_shipment(wanted, self.town.settings.ups_account)
        image = _image(wanted, shipment)
        sold = self._sell(shipment, price := _price(shipment))
        context = [] if image else [("120901", "The label is not part of the answer for this return service")]
        results: Json = {
            "ShipmentCharges": _charges(shipment, price),
            "NegotiatedRateCharges": {"TotalCharge": price.money(price.negotiated)},
            "BillingWeight": _weight(listed(shipment["Package"])),
            "ShipmentIdentificationNumber": sold[0].number,
            "PackageResults": [self._package(each, image, price) for each in sold],
        }
        if sold[0].form:
            results["Form"] = self._form(sold[0])
        if "LabelLinksIndicator" in (path(shipment, "ShipmentServiceOptions", "LabelDelivery") or {}):
            results["LabelURL"] = f"https://www.ups.com/uel/llp/{sold[0].number}/link/labelAll/en_US"
        alerts = (("120900", "User Id and Shipper Number combination is not qualified to receive every rate"), *context)
        return answer({"ShipmentResponse": {"Response": success(wanted, *alerts), "ShipmentResults": results}})

    def _sell(self, shipment: Json, price: Price) -> list[Sold]:
        packages = listed(shipment["Package"])
        account = str(path(shipment, "Shipper", "ShipperNumber"))
        known, numbers = references(shipment, packages), [self.number(account) for _ in packages]
        returned, to = "ReturnService" in shipment, shipment["ShipTo"]["Address"]
        sold = [
            Sold(
                number,
                numbers[0],
                _lines(shipment, known),
                account,
                country(shipment["ShipFrom"]),
                country(shipment["ShipTo"]),
                str(to.get("PostalCode", "")),
                self.town.now(),
                returned,
                bool(path(shipment, "ShipmentServiceOptions", "InternationalForms")),
            )
            for number in numbers
        ]
        for each in sold:
            self.sold[each.number] = each
            # The shipment is paid once, with its first package.
            amount = f"{price.negotiated:.2f}" if each.number == numbers[0] else ""
            self.town.ship(
                "ups",
                each.number,
                is_return=returned,
                origin=_address(shipment["ShipFrom"]),
                destination=_address(shipment["ShipTo"]),
                references=known,
                amount=amount,
                currency=price.currency if amount else "",
            )
        return sold

    def _package(self, sold: Sold, image: str, price: Price) -> Json:
        package: Json = {"TrackingNumber": sold.number, "ServiceOptionsCharges": price.money(price.options)}
        if image:
            drawn = self.town.draw(FORMATS[image], sold.number, sold.lines, FORMATS[image] == "gif")
            label: Json = {
                "ImageFormat": {"Code": image, "Description": image},
                "GraphicImage": base64.b64encode(drawn).decode(),
            }
            if image == "GIF":
                label["HTMLImage"] = base64.b64encode(b"<html><body>label</body></html>").decode()
            package["ShippingLabel"] = label
        return package

    def _form(self, sold: Sold) -> Json:
        drawn = self.town.draw("pdf", sold.number, ("INVOICE", *sold.lines), False)
        image = {"ImageFormat": {"Code": "PDF", "Description": "PDF"}, "GraphicImage": base64.b64encode(drawn).decode()}
        return {"Code": "01", "Description": "All Requested International Forms", "Image": image}

    # ---------------------------------------------------------------------------------------------------------- voiding

    async def void(self, request: web.Request) -> web.Response:
        number, named = request.match_info["id"].upper(), _named(request)
        packages = self.packages(number)
        if not packages or "STRING" in named or packages[0].country not in VOIDABLE:
            # source: facts/ups.md 3.1: 190102, also for what cannot be voided at all.
            raise No("190102", "No shipment found within the allowed void period")
        window = VOID_RETURN if packages[0].returned else VOID_OUTBOUND
        if not packages[0].voided and self.town.now() - packages[0].made_at > window:
            raise No("190102", "No shipment found within the allowed void period")
        if named and packages[0].returned:
            # source: facts/ups.md 3.1: single packages of a return cannot be voided; the code is ours.
            raise No("190103", "Package level void is not available for return services")
        chosen = [each for each in packages if not named or each.number in named]
        for each in chosen:
            if not each.voided:
                each.voided = True
                self.town.void("ups", each.number)
        whole = all(each.voided for each in packages)
        results = [
            {"TrackingNumber": each.number, "Status": {"Code": str(int(each.voided)), "Description": "Voided"}}
            for each in (chosen or packages)
        ]
        summary = {"Code": "1" if whole else "2", "Description": "Voided" if whole else "Partially Voided"}
        return answer(
            {
                "VoidShipmentResponse": {
                    "Response": SUCCESS,
                    "SummaryResult": {"Status": summary},
                    "PackageLevelResults": results,
                }
            }
        )

    # ---------------------------------------------------------------------------------------------------- finding again

    async def recovery(self, request: web.Request) -> web.Response:
        wanted = object_of(await request.text(), "LabelRecoveryRequest")
        if "Locale" in wanted and "Translate" in wanted:
            raise No("300301", "Either Locale or Translate")  # the sources name no codes here: all are ours
        found = self._found(wanted)
        if not found:
            raise No("300300", "No label found for this number or reference")
        results: Json = {"Response": success(wanted)}
        shipments = {each.shipment for each in found}
        if len(shipments) > 1:
            results["LabelResults"] = []
            results["TrackingCandidate"] = [_candidate(each) for each in found]
        else:
            results["ShipmentIdentificationNumber"] = found[0].shipment
            labels = [self._recovered(each, wanted) for each in found]
            # source: facts/ups.md 0, the array rule: before v2403 a single element comes as an object.
            results["LabelResults"] = labels if len(labels) > 1 else labels[0]
        return answer({"LabelRecoveryResponse": results})

    def _found(self, wanted: Json) -> list[Sold]:
        reference = str(path(wanted, "ReferenceValues", "ReferenceNumber", "Value") or "")
        if not reference:
            found = [self.sold[number] for number in [str(wanted.get("TrackingNumber", ""))] if number in self.sold]
            return [each for each in found if not each.voided]
        shipper = str(path(wanted, "ReferenceValues", "ShipperNumber") or "")
        numbers, since = self.town.referred("ups", reference), self.town.now() - RECOVERABLE
        known = [self.sold[number] for number in numbers if number in self.sold]
        return [each for each in known if not each.voided and each.account == shipper and each.made_at >= since]

    def _recovered(self, sold: Sold, wanted: Json) -> Json:
        image = str(path(wanted, "LabelSpecification", "LabelImageFormat", "Code") or "GIF").upper()
        kind = {**FORMATS, "PDF": "pdf"}.get(image, "gif")
        drawn = self.town.draw(kind, sold.number, sold.lines, kind == "gif")
        label: Json = {"LabelImageFormat": {"Code": image}, "GraphicImage": base64.b64encode(drawn).decode()}
        if image == "PDF" and sold.number != sold.shipment:
            label["GraphicImage"] = ""  # source: facts/ups.md 3.2: the PDF comes with the first package only
        if path(wanted, "LabelDelivery", "LabelLinkIndicator") is not None:
            label["URL"] = f"https://www.ups.com/uel/llp/{sold.number}/link/labelAll/en_US"
        result: Json = {"TrackingNumber": sold.number, "LabelImage": label}
        if sold.form and sold.number == sold.shipment:
            result["Form"] = {"Image": self._form(sold)["Image"]}
        return result


def _image(wanted: Json, shipment: Json) -> str:
    """The format asked for; "" where no label comes in the answer. Source: facts/ups.md 2.1, 2.6."""
    service = path(shipment, "ReturnService", "Code")
    specification = wanted.get("LabelSpecification") or {}
    if service not in {None, PRINTED, ELECTRONIC} or (service == ELECTRONIC and not specification):
        return ""
    image = str(path(specification, "LabelImageFormat", "Code") or "").upper()
    if image not in FORMATS or (image == "PNG" and service):
        raise No("120000", f"Label image format {image or 'missing'}: GIF or ZPL")
    stock = specification.get("LabelStockSize") or {}
    if stock and (stock.get("Width") != "4" or stock.get("Height") not in {"6", "8"}):
        raise No("120000", "The label stock is 4 wide and 6 or 8 high")
    return image


def _price(shipment: Json) -> Price:
    packages, payer = listed(shipment["Package"]), country(shipment["Shipper"])
    table, paid = map(Decimal, PRICES.get(str(path(shipment, "Service", "Code")), OTHER_PRICE))
    more = sum((max(Decimal(), Decimal(str(each["PackageWeight"]["Weight"])) - 2) for each in packages), Decimal())
    options = Decimal("0.50") if "ReturnService" in shipment else Decimal()
    count = len(packages)
    return Price(
        table * count + more,
        options,
        paid * count + more / 2 + options,
        CURRENCIES.get(payer, "EUR" if payer in EU else "USD"),
    )


def _charges(shipment: Json, price: Price) -> Json:
    charges: Json = {
        "TransportationCharges": price.money(price.listed),
        "ServiceOptionsCharges": price.money(price.options),
        "TotalCharges": price.money(price.listed + price.options),
    }
    surcharge = SURCHARGES.get(str(path(shipment, "ReturnService", "Code") or ""))
    if surcharge:  # source: facts/ups.md 2.1
        charges["ItemizedCharges"] = [
            {"Code": surcharge[0], "Description": surcharge[1], **price.money(price.options)},
        ]
    return charges


def _weight(packages: Sequence[Json]) -> Json:
    total = sum(Decimal(str(each["PackageWeight"]["Weight"])) for each in packages)
    unit = str(path(packages[0], "PackageWeight", "UnitOfMeasurement", "Code"))
    return {"UnitOfMeasurement": {"Code": unit}, "Weight": str(total)}


def _candidate(sold: Sold) -> Json:
    day = f"{sold.made_at:%Y%m%d}"
    return {
        "TrackingNumber": sold.number,
        "DestinationPostalCode": sold.to_postal_code,
        "DestinationCountryCode": sold.to_country,
        "PickupDateRange": {"BeginDate": day, "EndDate": day},
    }


def _named(request: web.Request) -> set[str]:
    """The packages in the query: one value, or a list as JSON. Source: facts/ups.md 3.1."""
    named: set[str] = set()
    for value in request.query.getall("trackingnumber", []):
        try:
            many = json.loads(value)
        except ValueError:
            many = value
        named |= {str(each).upper() for each in (many if isinstance(many, list) else [value])}
    return named


def _address(party: Json) -> dict[str, str]:
    address = party["Address"]
    return {
        "city": str(address["City"]),
        "region": str(address.get("StateProvinceCode", "")),
        "postal_code": str(address.get("PostalCode", "")),
        "country": str(address["CountryCode"]),
        "name": str(party["Name"]),
    }


def _lines(shipment: Json, known: Sequence[str]) -> tuple[str, ...]:
    lines = []
    for word, who in (("FROM", "ShipFrom"), ("TO", "ShipTo")):
        address = shipment[who]["Address"]
        lines += [word, str(shipment[who]["Name"]), *map(str, listed(address["AddressLine"]))]
        lines.append(f"{address.get('PostalCode', '')} {address['City']} {address['CountryCode']}")
    return tuple(
        "".join(sign for sign in line if sign in string.printable or ord(sign) > 160) for line in (*lines, *known)
    )
