"""What the two stand-ins know of labels beside the ordinary return: others to buy, to give back, to find, to refuse."""

import base64
import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from tests.talk_ups import DETAILS, RECOVERY, SHIP, VOID, electronic, outbound, over_the_border, several
from tests.talk_usps import HAZARDOUS, INSURED, LABEL, REPRINT, RETURN, VENDOR, described
from tests.talk_usps import outbound as usps_outbound
from tests.walk import Caller, street, ups_label, usps_label


async def buy(caller: Caller, request: Any) -> tuple[int, Any]:
    answer = await caller.http.post(SHIP, headers=caller.ups, json=request)
    told = answer.json()
    return answer.status_code, told["ShipmentResponse"]["ShipmentResults"] if answer.status_code == 200 else told


async def recover(caller: Caller, **wanted: object) -> Any:
    body = {
        "LabelRecoveryRequest": {"Request": {}, "LabelSpecification": {"LabelImageFormat": {"Code": "PDF"}}, **wanted}
    }
    return (await caller.http.post(RECOVERY, headers=caller.ups, json=body)).json().get("LabelRecoveryResponse")


def by_reference(reference: str, account: str = "W95789") -> dict[str, object]:
    return {"ReferenceValues": {"ReferenceNumber": {"Value": reference}, "ShipperNumber": account}}


# ----------------------------------------------------------------------------------------------------------------- UPS


async def test_an_electronic_return_label_gives_a_link_and_needs_somebody_to_send_it_to() -> None:
    """Source: facts/ups.md 2.1, 2.6: LabelDelivery is required, the surcharge is 350; a printed one is 250."""
    async with street() as (_, caller):
        _, results = await buy(caller, electronic())
        assert results["LabelURL"].startswith("https://")
        assert results["ShipmentCharges"]["ItemizedCharges"][0]["Code"] == "350"
        assert (await buy(caller, ups_label()))[1]["ShipmentCharges"]["ItemizedCharges"][0]["Code"] == "250"
        bare = electronic()
        bare["ShipmentRequest"]["Shipment"]["ShipmentServiceOptions"] = {}
        assert (await buy(caller, bare))[0] == 400


async def test_a_label_that_goes_out_needs_no_return_service_and_sets_out_as_an_order() -> None:
    """Source: facts/ups.md 2: PNG was seen on these; the journey is one that goes out."""
    async with street() as (town, caller):
        request = outbound()
        request["ShipmentRequest"]["LabelSpecification"]["LabelImageFormat"]["Code"] = "PNG"
        _, results = await buy(caller, request)
        number = results["ShipmentIdentificationNumber"]
        assert town.parcels[number].purpose == "order" and town.parcels[number].destination.city == "Amsterdam"
        picture = base64.b64decode(results["PackageResults"][0]["ShippingLabel"]["GraphicImage"])
        assert Image.open(io.BytesIO(picture)).format == "PNG"


async def test_several_packages_are_several_numbers_one_charge_and_one_shipment() -> None:
    """Source: facts/ups.md 2.10, 3.1: named by its first package; from the US a return has only one."""
    async with street() as (town, caller):
        _, results = await buy(caller, several())
        numbers = [each["TrackingNumber"] for each in results["PackageResults"]]
        assert len(set(numbers)) == 2 and results["ShipmentIdentificationNumber"] == numbers[0]
        assert [line.kind for line in town.ledger] == ["label", "charge", "label"]
        town.clock.turn(town.now() + timedelta(hours=1))
        path = f"/ups/api/track/v1/shipment/details/{numbers[0]}?count=1"
        (shipment,) = (await caller.http.get(path, headers=caller.ups)).json()["trackResponse"]["shipment"]
        assert [each["packageCount"] for each in shipment["package"]] == [2]
        two = ups_label(country="US")
        two["ShipmentRequest"]["Shipment"]["Package"] *= 2
        assert (await buy(caller, two))[0] == 400


async def test_a_customs_border_needs_form_05_and_gives_its_picture() -> None:
    """Source: facts/ups.md 2.7: the only form a return takes; the picture comes with the label and again later."""
    async with street() as (_, caller):
        _, results = await buy(caller, over_the_border())
        assert base64.b64decode(results["Form"]["Image"]["GraphicImage"]).startswith(b"%PDF")
        found = await recover(caller, TrackingNumber=results["ShipmentIdentificationNumber"])
        assert found["LabelResults"]["Form"]["Image"]["GraphicImage"]
        for form in ({"FormType": ["01"]}, {"Product": []}, {"CurrencyCode": ""}):
            request = over_the_border()
            request["ShipmentRequest"]["Shipment"]["ShipmentServiceOptions"]["InternationalForms"] |= form
            assert (await buy(caller, request))[0] == 400, form
        bare = over_the_border()
        del bare["ShipmentRequest"]["Shipment"]["ShipmentServiceOptions"]
        assert (await buy(caller, bare))[0] == 400


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("Package", 0, "PackageWeight", "UnitOfMeasurement", "Code"), "LBS"),
        (("Package", 0, "PackageWeight", "Weight"), "1.2345"),
        (("Package", 0, "Packaging", "Code"), "24"),
        (("Package", 0, "PackageServiceOptions"), {"HazMat": [{}]}),
        (("Package", 0, "PackageServiceOptions"), {"DeliveryConfirmation": {"DCISType": "1"}}),
        (
            ("Package", 0, "Dimensions"),
            {"UnitOfMeasurement": {"Code": "IN"}, "Length": "1", "Width": "1", "Height": "1"},
        ),
        (
            ("Package", 0, "Dimensions"),
            {"UnitOfMeasurement": {"Code": "CM"}, "Length": "271", "Width": "1", "Height": "1"},
        ),
        (("ReturnService", "Code"), "7"),
        (("ShipFrom",), None),
        (("ShipFrom", "Phone"), None),
        (("Service", "Code"), "03"),
        (("PaymentInformation", "ShipmentCharge", 0, "BillShipper", "AccountNumber"), "A1B2C3"),
        (("PaymentInformation", "ShipmentCharge", 0, "Type"), "02"),
        (("ReferenceNumber", 0, "Value"), "x" * 36),
        (("ShipTo", "Address", "AddressLine"), ["x" * 36]),
    ],
)
async def test_ups_refuses_what_it_would_refuse(where: tuple[str | int, ...], value: object) -> None:
    """Source: facts/ups.md 2.1 to 2.8: units, sizes, packagings, options, payers, parties, services, references."""
    request = ups_label()
    inner = request["ShipmentRequest"]["Shipment"]
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    async with street() as (town, caller):
        assert (await buy(caller, request))[0] == 400 and list(town.ledger) == []


async def test_a_void_has_its_window_and_whole_returns_only() -> None:
    """Source: facts/ups.md 3.1: a day for returns, 90 days for what goes out; no single packages of a return."""
    async with street() as (town, caller):
        returned = (await buy(caller, ups_label("R1", "US")))[1]["ShipmentIdentificationNumber"]
        sent = (await buy(caller, outbound("R2", "US")))[1]["ShipmentIdentificationNumber"]
        named = await caller.http.delete(f"{VOID}/{returned}?trackingnumber={returned}", headers=caller.ups)
        placeholder = await caller.http.delete(f"{VOID}/{sent}?trackingnumber=string", headers=caller.ups)
        assert named.status_code == placeholder.status_code == 400
        town.clock.turn(town.now() + timedelta(days=2))
        late = await caller.http.delete(f"{VOID}/{returned}", headers=caller.ups)
        assert late.json()["response"]["errors"][0]["code"] == "190102"
        assert (await caller.http.delete(f"{VOID}/{sent}", headers=caller.ups)).status_code == 200
        town.clock.turn(town.now() + timedelta(days=90))
        assert (await caller.http.delete(f"{VOID}/{sent}", headers=caller.ups)).status_code == 200, "voided already"


async def test_recovery_looks_back_thirty_days_and_only_for_its_own_shipper() -> None:
    """Source: facts/ups.md 2.11, 3.2. Tracking by reference looks back 14 days unless it is told otherwise."""
    async with street() as (town, caller):
        number = (await buy(caller, ups_label("R1")))[1]["ShipmentIdentificationNumber"]
        assert (await recover(caller, **by_reference("R1")))["ShipmentIdentificationNumber"] == number
        assert await recover(caller, **by_reference("R1", "A1B2C3")) is None
        town.clock.turn(town.now() + timedelta(days=20))
        path = "/ups/api/track/v1/reference/details/R1"
        (none,) = (await caller.http.get(path, headers=caller.ups)).json()["trackResponse"]["shipment"]
        (one,) = (await caller.http.get(f"{path}?fromPickUpDate=20260301", headers=caller.ups)).json()["trackResponse"][
            "shipment"
        ]
        assert none["warnings"] and one["package"][0]["trackingNumber"] == number
        town.clock.turn(town.now() + timedelta(days=11))
        assert await recover(caller, **by_reference("R1")) is None


async def test_what_is_long_over_is_known_no_more() -> None:
    """Source: facts/ups.md 4, facts/usps.md 3.3: after 120 days."""
    async with street() as (town, caller):
        parcels = [town.create(carrier, "delivered_first_time") for carrier in ("ups", "usps")]
        town.clock.turn(town.now() + timedelta(days=140))
        answer = (await caller.http.get(f"{DETAILS}/{parcels[0].number}", headers=caller.ups)).json()
        assert "warnings" in answer["trackResponse"]["shipment"][0]
        body = [{"trackingNumber": parcels[1].number}]
        assert (
            await caller.http.post("/usps/tracking/v3r2/tracking", headers=caller.usps, json=body)
        ).status_code == 404


async def test_an_app_without_the_product_is_told_250002() -> None:
    """Source: facts/ups.md 1: the same code as for a wrong token."""
    async with street(ups_products="tracking") as (_, caller):
        answer = await caller.http.post(SHIP, headers=caller.ups, json=ups_label())
        assert (answer.status_code, answer.json()["response"]["errors"][0]["code"]) == (401, "250002")
        assert (await caller.http.get(f"{DETAILS}/1ZW957896800000000", headers=caller.ups)).status_code == 200


# ---------------------------------------------------------------------------------------------------------------- USPS


async def test_what_goes_out_is_charged_at_once_and_given_back_when_cancelled() -> None:
    """Source: facts/usps.md 2.8: CANCELED before the manifest; once more is 160186; by key as well as by number."""
    async with street() as (town, caller):
        heads = caller.paying | {"Accept": VENDOR, "X-Idempotency-Key": str(uuid4())}
        bought = (await caller.http.post(LABEL, headers=heads, json=usps_outbound())).json()
        assert base64.b64decode(bought["labelImage"]).startswith(b"%PDF") and bought["constructCode"]
        told = (await caller.http.delete(LABEL, headers=heads)).json()
        assert told == {"trackingNumber": bought["trackingNumber"], "status": "CANCELED"}
        kinds = [(line.kind, line.amount) for line in town.ledger]
        assert kinds == [("label", "6.85"), ("charge", "6.85"), ("void", ""), ("refund", "6.85")]
        again = await caller.http.delete(f"{LABEL}/{bought['trackingNumber']}", headers=heads)
        assert again.json()["error"]["errors"][0]["code"] == "160186"
        printed = await caller.http.post(REPRINT, headers=heads, json={})
        assert printed.json()["error"]["errors"][0]["code"] == "160380"


async def test_after_the_manifest_a_cancel_is_a_dispute_and_after_a_scan_nothing() -> None:
    """Source: facts/usps.md 2.8: DISPUTED with an id; the same label again that day is refused."""
    async with street(next_journeys=[{"journey": "delivered_first_time", "carrier": "usps"}]) as (town, caller):
        heads, at_once = caller.paying | {"Accept": VENDOR}, usps_outbound("A-2")
        at_once["packageDescription"]["packageOptions"] = {"immediateManifest": True}
        number = (await caller.http.post(LABEL, headers=heads, json=at_once)).json()["trackingNumber"]
        travelled = (await caller.http.post(LABEL, headers=heads, json=usps_outbound("A-3"))).json()["trackingNumber"]
        told = (await caller.http.delete(f"{LABEL}/{number}", headers=heads)).json()
        assert told["status"] == "DISPUTED" and told["disputeId"]
        assert (await caller.http.delete(f"{LABEL}/{number}", headers=heads)).status_code == 400
        assert [line.kind for line in town.ledger if line.number == number] == ["label", "charge", "dispute"]
        town.clock.turn(town.now() + timedelta(days=2))
        refused = await caller.http.delete(f"{LABEL}/{travelled}", headers=heads)
        assert refused.json()["error"]["errors"][0]["code"] == "160276"


async def test_a_return_in_the_same_answer_travels_back_and_costs_nothing_yet() -> None:
    """Source: facts/usps.md 2.1, 2.5: nested under `returnLabel`, in the class that follows."""
    async with street() as (town, caller):
        heads = caller.paying | {"Accept": VENDOR}
        bought = (await caller.http.post(LABEL, headers=heads, json=usps_outbound(returnLabel=True))).json()
        back = bought["returnLabel"]
        assert town.parcels[back["trackingNumber"]].destination.city == "Secaucus" and back["returnLabelImage"]
        assert [(line.kind, line.number) for line in town.ledger] == [
            ("label", bought["trackingNumber"]),
            ("charge", bought["trackingNumber"]),
            ("label", back["trackingNumber"]),
        ]


@pytest.mark.parametrize("with_pdf", [False, True])
async def test_a_label_broker_code_is_a_picture_of_its_own(with_pdf: bool) -> None:
    """Source: facts/usps.md 2.7: a PNG where the label stands, or beside a PDF; an id for the counter."""
    async with street() as (_, caller):
        request = usps_label(imageType="LABEL_BROKER", includeLabelBrokerPDF=with_pdf)
        told = (await caller.http.post(RETURN, headers=caller.paying | {"Accept": VENDOR}, json=request)).json()
        code = base64.b64decode(told["labelBrokerQR" if with_pdf else "returnLabelImage"])
        assert Image.open(io.BytesIO(code)).format == "PNG" and 0 < len(told["labelBrokerID"]) <= 10
        assert base64.b64decode(told["returnLabelImage"]).startswith(b"%PDF" if with_pdf else b"\x89PNG")
        wrong = usps_label(imageType="LABEL_BROKER", labelType="4X4LABEL")
        refused = await caller.http.post(RETURN, headers=caller.paying, json=wrong)
        assert refused.json()["error"]["errors"][0]["code"] == "160007"


async def test_the_price_is_postage_and_extras_and_fees() -> None:
    """Source: facts/usps.md 2.5, 9: postage alone is too little; what is charged is the sum."""
    async with street() as (town, caller):
        told = (await caller.http.post(RETURN, headers=caller.paying | {"Accept": VENDOR}, json=INSURED)).json()
        parts = [each["price"] for each in (*told["extraServices"], *told["fees"])]
        assert parts == [0, 3.65, 2.6, 4.0] and told["postage"] == 6.85
        assert [line.amount for line in town.ledger] == ["17.10"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (HAZARDOUS, "160010"),
        (described(extraServices=[831, 828]), "160261"),
        (described(extraServices=[831], rateIndicator="FB"), "160279"),
        (described(extraServices=[930]), "030024"),
        (described(packageOptions={"contentType": "HAZMAT"}), "160010"),
        (described(length=100, width=20, height=20), "160042"),
        (usps_label(imageType="EPL300DPI"), "160214"),
        (usps_label(imageType="ZPL203DPI", labelType="2X7LABEL"), "160214"),
    ],
)
async def test_usps_refuses_what_it_would_refuse(request_: dict[str, Any], code: str) -> None:
    """Source: facts/usps.md 2.6, 2.9, 2.10."""
    async with street() as (town, caller):
        answer = await caller.http.post(RETURN, headers=caller.paying, json=request_)
        assert answer.json()["error"]["errors"][0]["code"] == code and list(town.ledger) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"streetAddress": "Nowhere"}, "160183"),
        ({"ZIPPlus4": "0000"}, "160263"),
        ({"ignoreBadAddress": True}, "160183"),
        ({"state": "AE"}, "160193"),
    ],
)
async def test_usps_looks_at_where_a_label_goes(change: dict[str, Any], code: str) -> None:
    """Source: facts/usps.md 2.3, 2.9: the ZIP+4 is looked up; a military address needs customs."""
    async with street() as (_, caller):
        request = usps_label()
        request["toAddress"] |= change
        answer = await caller.http.post(RETURN, headers=caller.paying, json=request)
        assert answer.json()["error"]["errors"][0]["code"] == code


async def test_a_reprint_ends_with_the_day_of_mailing_when_so_set() -> None:
    """Source: facts/usps.md 2.8: practically the same day."""
    async with street(usps_reprint_until_mailing=True) as (town, caller):
        heads = caller.paying | {"Accept": VENDOR}
        number = (await caller.http.post(RETURN, headers=heads, json=usps_label())).json()["trackingNumber"]
        assert (await caller.http.post(f"{REPRINT}/{number}", headers=heads, json={})).status_code == 200
        town.clock.turn(town.now() + timedelta(days=1))
        assert (await caller.http.post(f"{REPRINT}/{number}", headers=heads, json={})).status_code == 400
