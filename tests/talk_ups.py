"""What a caller may ask of UPS's stand-in beside tracking, right by UPS's own files, and what is answered."""

from typing import Any

import httpx

from street.places import place
from street.town import Town
from tests.official import Operation
from tests.walk import Caller, ups_label

Json = dict[str, Any]
Answers = list[tuple[str, object]]

SHIP, RECOVERY = "/ups/api/shipments/v2409/ship", "/ups/api/labels/v1/recovery"
VOID, DETAILS = "/ups/api/shipments/v2409/void/cancel", "/ups/api/track/v1/details"
ALERT, ACCOUNT = "/ups/api/track/v2/subscription/standard/package", "/ups/api/track/v2/subscription/standard/account"
INTERCEPT, PICKUP = "/ups/api/deliveryintercept/v2", "/ups/api/pickupcreation/v2409/pickup"
PICKUPS = "/ups/api/shipments/v2409/pickup"
LOCATOR, ADDRESS = "/ups/api/locations/v3/search/availabilities/64?Locale=en_US", "/ups/api/addressvalidation/v2/3"
TRANSIT = "/ups/api/shipments/v1/transittimes"
HEADS = {"platformType": "XOLT", "inquiryType": "U", "Content-Type": "application/json"}

_SHIP, _VOID = "/shipments/{version}/ship", "/shipments/{version}/void/cancel/{shipmentidentificationnumber}"
_PICKUP, _PICKUPS = "/pickupcreation/{version}/pickup", "/shipments/{version}/pickup/{pickuptype}"
_FILES = {
    "ship": ("ups/Shipping.yaml", "post", _SHIP),
    "void": ("ups/Shipping.yaml", "delete", _VOID),
    "recovery": ("ups/Shipping.yaml", "post", "/labels/{version}/recovery"),
    "account": ("ups/UPSTrackAlert.yaml", "post", "/subscription/{type}/account"),
    "no account": ("ups/UPSTrackAlert.yaml", "delete", "/subscription/{type}/account"),
    "shipment": ("ups/Tracking.yaml", "get", "/track/v1/shipment/details/{inquiryNumber}"),
    "eligibility": ("ups/DeliveryIntercept.yaml", "get", "/eligibility/intercept/{tracking_number}"),
    "charges": ("ups/DeliveryIntercept.yaml", "post", "/charges/{tracking_number}"),
    "return": ("ups/DeliveryIntercept.yaml", "post", "/return/{tracking_number}"),
    "reschedule": ("ups/DeliveryIntercept.yaml", "post", "/reschedule/{tracking_number}"),
    "willcall": ("ups/DeliveryIntercept.yaml", "post", "/willcall/{tracking_number}"),
    "redirect": ("ups/DeliveryIntercept.yaml", "post", "/redirect/address/{tracking_number}"),
    "cancel": ("ups/DeliveryIntercept.yaml", "post", "/cancel/{tracking_number}"),
    "pickup": ("ups/Pickup.yaml", "post", _PICKUP),
    "pickup rate": ("ups/Pickup.yaml", "post", _PICKUPS),
    "pickup status": ("ups/Pickup.yaml", "get", _PICKUPS),
    "pickup cancel": ("ups/Pickup.yaml", "delete", "/shipments/{version}/pickup/{CancelBy}"),
    "locator": ("ups/Locator.yaml", "post", "/locations/{version}/search/availabilities/{reqOption}"),
    "address": ("ups/AddressValidation.yaml", "post", "/addressvalidation/{version}/{requestoption}"),
    "transit": ("ups/TimeInTransit.yaml", "post", "/shipments/{version}/transittimes"),
}


def at(name: str, status: str = "") -> Operation:
    """A call of the files: what is sent, or what is answered with this status."""
    file, method, path = _FILES[name]
    return Operation(file, method, path, status)


ANSWERS: dict[str, Operation] = {
    "ups label, electronic": at("ship", "200"),
    "ups label, outbound": at("ship", "200"),
    "ups label, several packages": at("ship", "200"),
    "ups label, with customs form": at("ship", "200"),
    "ups recovery, two matches": at("recovery", "200"),
    "ups track, shipment": at("shipment", "200"),
    "ups subscribe account": at("account", "200"),
    "ups subscribe account refused": at("account", "400"),
    "ups unsubscribe account": at("no account", "200"),
    "ups intercept eligibility": at("eligibility", "200"),
    "ups intercept eligibility refused": at("eligibility", "400"),
    "ups intercept not ours": at("eligibility", "401"),
    "ups intercept charges": at("charges", "200"),
    "ups intercept charges refused": at("charges", "400"),
    "ups intercept return": at("return", "200"),
    "ups intercept return refused": at("return", "400"),
    "ups intercept return failed": at("return", "200"),
    "ups intercept reschedule": at("reschedule", "200"),
    "ups intercept will call": at("willcall", "200"),
    "ups intercept redirect": at("redirect", "200"),
    "ups intercept cancel": at("cancel", "200"),
    "ups pickup": Operation("ups/Pickup.yaml", "post", _PICKUP, "200", schema="PICKUPCreationResponseWrapper"),
    "ups pickup refused": at("pickup", "400"),
    "ups pickup rate": at("pickup rate", "200"),
    "ups pickup status": at("pickup status", "200"),
    "ups pickup status refused": at("pickup status", "400"),
    "ups pickup cancel": at("pickup cancel", "200"),
    "ups pickup cancel refused": at("pickup cancel", "400"),
    "ups locator": at("locator", "200"),
    "ups locator, unclear": at("locator", "200"),
    "ups locator refused": at("locator", "400"),
    "ups address": at("address", "200"),
    "ups address refused": at("address", "400"),
    "ups transit": at("transit", "200"),
    "ups transit refused": at("transit", "400"),
}

# --------------------------------------------------------------------------------------------- requests that are right


def _changed(reference: str, country: str = "NL", **shipment: object) -> Json:
    request = ups_label(reference, country)
    request["ShipmentRequest"]["Shipment"] |= shipment
    return request


def electronic(reference: str = "R-ERL") -> Json:
    """A label that UPS sends by e-mail."""
    delivery = {"LabelDelivery": {"EMail": {"EMailAddress": "c@example.com"}, "LabelLinksIndicator": ""}}
    return _changed(reference, ReturnService={"Code": "8"}, ShipmentServiceOptions=delivery)


def outbound(reference: str = "R-OUT", country: str = "NL") -> Json:
    """From the warehouse to a customer; no return service, nobody else to ship from."""
    request = _changed(reference, country)
    shipment = request["ShipmentRequest"]["Shipment"]
    shipment["ShipTo"] = shipment.pop("ShipFrom")
    del shipment["ReturnService"]
    return request


def several(reference: str = "R-TWO") -> Json:
    request = _changed(reference)
    request["ShipmentRequest"]["Shipment"]["Package"] *= 2
    return request


def over_the_border(reference: str = "R-CH") -> Json:
    """Zurich to Bologna: the partial invoice comes back as a picture. Source: facts/ups.md 2.7."""
    address = {"AddressLine": ["Bahnhofstrasse 4"], "City": "Zurich", "PostalCode": "8001", "CountryCode": "CH"}
    request = _changed(reference)
    shipment = request["ShipmentRequest"]["Shipment"]
    shipment["ShipFrom"]["Address"] = address
    unit = {"Number": "1", "Value": "120.00", "UnitOfMeasurement": {"Code": "PCS"}}
    product = {"Description": ["Shoes"], "CommodityCode": "640399", "OriginCountryCode": "IT", "Unit": unit}
    form = {
        "FormType": ["05"],
        "Product": [product],
        "CurrencyCode": "CHF",
        "ReasonForExport": "RETURN",
        "InvoiceNumber": "R-CH",
        "InvoiceDate": "20260304",
    }
    shipment["ShipmentServiceOptions"] = {"InternationalForms": form}
    return request


CONTACT = {
    "name": "Returns desk",
    "telephone": "+14155550100",
    "emailAddress": "ops@example.com",
    "displayPhoneNumber": False,
}


def intercept(kind: str, **more: object) -> Json:
    return {"requestType": kind, "requesterContactInfo": CONTACT, "specialInstructions": None, **more}


SEND_BACK = intercept("RS", reasonForReturn="KV")
NEW_ADDRESS = {
    "addressLine1": "1 Dock Rd",
    "city": "Secaucus",
    "state": "NJ",
    "postalCode": "07094",
    "countryCode": "US",
}
PERSON = {**NEW_ADDRESS, "firstName": "Ann", "phoneNumber": "+14155550100"}
CHARGES = {
    "clientIP": "10.0.0.1",
    "ratingRequest": [{"fromAddress": PERSON, "toAddress": PERSON, "trackInfo": {"interceptOption": "RS"}}],
}


def pickup(day: str = "20260306", method: str = "00", **more: object) -> Json:
    address = {
        "CompanyName": "A Customer",
        "ContactName": "A Customer",
        "AddressLine": ["Damrak 1"],
        "City": "Amsterdam",
        "PostalCode": "1012LG",
        "CountryCode": "NL",
        "ResidentialIndicator": "Y",
        "Phone": {"Number": "31200000000"},
    }
    piece = {"ServiceCode": "011", "Quantity": "1", "DestinationCountryCode": "IT", "ContainerCode": "01"}
    wanted = {
        "Request": {"TransactionReference": {"CustomerContext": "pu-1"}},
        "RatePickupIndicator": "N",
        "Shipper": {"Account": {"AccountNumber": "W95789", "AccountCountryCode": "IT"}},
        "PickupDateInfo": {"PickupDate": day, "ReadyTime": "0900", "CloseTime": "1700"},
        "PickupAddress": address,
        "AlternateAddressIndicator": "Y",
        "PickupPiece": [piece],
        "OverweightIndicator": "N",
        "PaymentMethod": method,
        **more,
    }
    return {"PickupCreationRequest": wanted}


RATE: Json = {
    "PickupRateRequest": {
        "Request": {},
        "PickupAddress": {
            "City": "Amsterdam",
            "PostalCode": "1012LG",
            "CountryCode": "NL",
            "ResidentialIndicator": "Y",
        },
        "AlternateAddressIndicator": "Y",
        "ServiceDateOption": "02",
    }
}
NEAR: Json = {
    "LocatorRequest": {
        "Request": {"RequestAction": "Locator"},
        "OriginAddress": {
            "AddressKeyFormat": {
                "AddressLine": "Damrak 1",
                "PoliticalDivision2": "Amsterdam",
                "PoliticalDivision1": "NH",
                "PostcodePrimaryLow": "1012LG",
                "CountryCode": "NL",
            }
        },
        "Translate": {"Locale": "en_US"},
        "UnitOfMeasurement": {"Code": "KM"},
        "LocationSearchCriteria": {"MaximumListSize": "3", "SearchRadius": "5"},
    }
}
STREET: Json = {
    "XAVRequest": {
        "AddressKeyFormat": {
            "AddressLine": ["10 Elm St"],
            "PoliticalDivision2": "Reno",
            "PoliticalDivision1": "NV",
            "PostcodePrimaryLow": "89501",
            "CountryCode": "US",
        }
    }
}
DAYS: Json = {
    "originCountryCode": "NL",
    "originPostalCode": "1012LG",
    "destinationCountryCode": "IT",
    "destinationPostalCode": "40010",
    "weight": 1.5,
    "weightUnitOfMeasure": "KGS",
    "shipDate": "2026-03-06",
    "billType": "03",
}
FOLLOW_ACCOUNT: Json = {"locale": "en_US", "shipperAccountNumber": "W95789", "subAccountType": ["Outbound"]}

REQUESTS: list[tuple[str, Operation, object]] = [
    ("ups label, electronic", at("ship"), electronic()),
    ("ups label, outbound", at("ship"), outbound()),
    ("ups label, several packages", at("ship"), several()),
    ("ups label, with customs form", at("ship"), over_the_border()),
    ("ups subscribe account", at("account"), FOLLOW_ACCOUNT),
    ("ups intercept return", at("return"), SEND_BACK),
    ("ups intercept charges", at("charges"), CHARGES),
    ("ups pickup rate", at("pickup rate"), RATE),
    ("ups address", at("address"), STREET),
]

# -------------------------------------------------------------------------------------------------------- the talking


async def talk(caller: Caller, town: Town) -> Answers:
    """One of everything. The parcel within the US is under way, so that it can be turned round."""
    return [
        *await _labels(caller),
        *await _accounts(caller),
        *await _intercept(caller, town),
        *await _pickups(caller),
        *await _near(caller),
    ]


async def _labels(caller: Caller) -> Answers:
    http, ups = caller.http, caller.ups

    async def buy(request: Json) -> Json:
        answer = await http.post(SHIP, headers=ups, json=request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    two = await buy(several())
    for _ in range(2):
        await buy(ups_label("R-SAME"))
    found = {"ReferenceNumber": {"Value": "R-SAME"}, "ShipperNumber": "W95789"}
    recovered = await http.post(
        RECOVERY, headers=ups, json={"LabelRecoveryRequest": {"Request": {}, "ReferenceValues": found}}
    )
    number = two["ShipmentResponse"]["ShipmentResults"]["ShipmentIdentificationNumber"]
    return [
        ("ups label, electronic", await buy(electronic())),
        ("ups label, outbound", await buy(outbound())),
        ("ups label, several packages", two),
        ("ups label, with customs form", await buy(over_the_border())),
        ("ups recovery, two matches", recovered.json()),
        (
            "ups track, shipment",
            (await http.get(f"/ups/api/track/v1/shipment/details/{number}", headers=ups)).json(),
        ),
    ]


async def _accounts(caller: Caller) -> Answers:
    http, ups = caller.http, caller.ups
    one = f"{ACCOUNT}?shipper_account_number=W95789"
    return [
        ("ups subscribe account", (await http.post(ACCOUNT, headers=ups, json=FOLLOW_ACCOUNT)).json()),
        ("ups subscribe account refused", (await http.post(ACCOUNT, headers=ups, json={"locale": "en_US"})).json()),
        ("ups unsubscribe account", (await http.delete(one, headers=ups)).json()),
    ]


def american(town: Town) -> str:
    """A parcel on its way within the US."""
    parcel = town.create(
        "ups",
        "delivered_first_time",
        origin=place({"city": "Secaucus", "region": "NJ", "postal_code": "07094", "country": "US", "name": "Shop"}),
        destination=place("reno"),
        starts_at=town.now().replace(hour=0),
    )
    return parcel.number


async def _intercept(caller: Caller, town: Town) -> Answers:
    http, heads = caller.http, caller.ups | HEADS
    told: Answers = []

    async def ask(name: str, path: str, number: str, body: Json | None = None) -> httpx.Response:
        call = f"{INTERCEPT}/{path}/{number}"
        answer = await (http.get(call, headers=heads) if body is None else http.post(call, headers=heads, json=body))
        told.append((f"ups intercept {name}", answer.json()))
        return answer

    for _ in range(12):  # each parcel keeps to one form of the answer: all forms are to be met
        number = american(town)
        await ask("eligibility", "eligibility/intercept", number)
        await ask("charges", "charges", number, CHARGES)
        await ask("return", "return", number, SEND_BACK)
        await ask("return failed", "return", number, SEND_BACK)
        await ask("cancel", "cancel", number, intercept("RS"))
        await ask("will call", "willcall", number, intercept("WC"))
        await ask("cancel", "cancel", number, intercept("WC"))
        await ask(
            "redirect", "redirect/address", number, intercept("AA", newDeliveryAddress={"addressInfo": NEW_ADDRESS})
        )
        await ask("cancel", "cancel", number, intercept("AA"))
        await ask("reschedule", "reschedule", number, intercept("FD", deliveryDate="20260310"))
    await ask("not ours", "eligibility/intercept", "1ZZZZZZZ6800000000")
    await ask(
        "return refused",
        "return",
        number,
        {key: each for key, each in SEND_BACK.items() if key != "specialInstructions"},
    )
    await ask("charges refused", "charges", number, {"ratingRequest": []})
    await ask("eligibility refused", "eligibility/intercept", "1Z0")
    return told


async def _pickups(caller: Caller) -> Answers:
    http, ups = caller.http, caller.ups
    made = (await http.post(PICKUP, headers=ups, json=pickup("20260304", method="01", RatePickupIndicator="Y"))).json()
    prn, mine = made["PickupCreationResponse"]["PRN"], {"AccountNumber": "W95789"}
    return [
        ("ups pickup", made),
        ("ups pickup refused", (await http.post(PICKUP, headers=ups, json=pickup("20250101"))).json()),
        ("ups pickup rate", (await http.post(f"{PICKUPS}/oncall", headers=ups, json=RATE)).json()),
        ("ups pickup status", (await http.get(f"{PICKUPS}/oncall", headers=ups | mine)).json()),
        ("ups pickup status refused", (await http.get(f"{PICKUPS}/oncall", headers=ups)).json()),
        ("ups pickup cancel", (await http.delete(f"{PICKUPS}/02", headers=ups | {"Prn": prn})).json()),
        ("ups pickup cancel refused", (await http.delete(f"{PICKUPS}/02", headers=ups | {"Prn": prn})).json()),
    ]


async def _near(caller: Caller) -> Answers:
    http, ups = caller.http, caller.ups
    unclear = {
        "LocatorRequest": NEAR["LocatorRequest"] | {"OriginAddress": {"AddressKeyFormat": {"CountryCode": "NL"}}}
    }
    abroad = {"XAVRequest": {"AddressKeyFormat": {"CountryCode": "IT"}}}
    return [
        ("ups locator", (await http.post(LOCATOR, headers=ups, json=NEAR)).json()),
        ("ups locator, unclear", (await http.post(LOCATOR, headers=ups, json=unclear)).json()),
        ("ups locator refused", (await http.post(LOCATOR, headers=ups, json={"LocatorRequest": {}})).json()),
        ("ups address", (await http.post(ADDRESS, headers=ups, json=STREET)).json()),
        ("ups address refused", (await http.post(ADDRESS, headers=ups, json=abroad)).json()),
        ("ups transit", (await http.post(TRANSIT, headers=ups, json=DAYS)).json()),
        ("ups transit refused", (await http.post(TRANSIT, headers=ups, json={})).json()),
    ]
