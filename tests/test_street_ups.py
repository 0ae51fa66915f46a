"""UPS's stand-in over HTTP: tokens, labels, voids, recovery, tracking, subscriptions and pushes."""

import io
import json
from datetime import timedelta

import pytest
from PIL import Image

from carriers.ups.standin import check_digit
from tests.walk import HEADS, graphic, listening, street, until_quiet, until_sent, ups_label

SHIP, RECOVERY, DETAILS = "/ups/api/shipments/v2409/ship", "/ups/api/labels/v1/recovery", "/ups/api/track/v1/details"
SUBSCRIBE, TOKEN = "/ups/api/track/v2/subscription/standard/package", "/ups/security/v1/oauth/token"
FORM = {"grant_type": "client_credentials"}


def number_of(answer: dict[str, dict[str, dict[str, str]]]) -> str:
    return answer["ShipmentResponse"]["ShipmentResults"]["ShipmentIdentificationNumber"]


async def test_a_token_is_needed_counted_and_ends() -> None:
    """Source: facts/ups.md 1, 4.4: 10400 without Basic, 10401 wrong secret, 250002 no token, 251004 an old one."""
    async with street(ups_client_id="id", ups_client_secret="secret") as (town, caller):
        before = town.tokens["ups"].minted
        answer = await caller.http.post(TOKEN, auth=("id", "secret"), data=FORM)
        assert answer.json()["expires_in"] == "14399" and isinstance(answer.json()["issued_at"], str)
        assert town.tokens["ups"].minted == before + 1
        wrong = await caller.http.post(TOKEN, auth=("id", "other"), data=FORM)
        assert (wrong.status_code, wrong.json()["response"]["errors"][0]["code"]) == (401, "10401")
        assert (await caller.http.post(TOKEN, data=FORM)).json()["response"]["errors"][0]["code"] == "10400"
        nobody = await caller.http.get(f"{DETAILS}/1ZW957896800000000")
        assert (nobody.status_code, nobody.json()["response"]["errors"][0]["code"]) == (401, "250002")
        town.settings.token_seconds = 0.001
        short = (await caller.http.post(TOKEN, auth=("id", "secret"), data=FORM)).json()["access_token"]
        heads = caller.ups | {"Authorization": f"Bearer {short}"}
        old = await caller.http.get(f"{DETAILS}/1ZW957896800000000", headers=heads)
        assert (old.status_code, old.json()["response"]["errors"][0]["code"]) == (401, "251004")


async def test_a_label_is_a_number_an_image_a_charge_and_a_parcel() -> None:
    """The GIF lies on its side; the number has its check digit; the parcel sets out as a return."""
    async with street() as (town, caller):
        answer = await caller.http.post(SHIP, headers=caller.ups, json=ups_label("R1"))
        number = number_of(answer.json())
        assert number[17] == check_digit(number[2:17])
        image = Image.open(io.BytesIO(graphic(answer)))
        assert image.format == "GIF" and image.width > image.height
        assert town.parcels[number].journey.name == "return_delivered"
        assert town.parcels[number].destination.city == "Bentivoglio"
        assert [(line.kind, line.number, line.reference) for line in town.ledger] == [
            ("label", number, "R1"),
            ("charge", number, "R1"),
        ]


async def test_ups_has_no_idempotency_so_two_calls_are_two_labels() -> None:
    """Source: facts/ups.md 2.11: who asks twice pays twice, and finds both by the reference."""
    async with street() as (town, caller):
        numbers = [
            number_of((await caller.http.post(SHIP, headers=caller.ups, json=ups_label("R1"))).json()) for _ in range(2)
        ]
        assert len(set(numbers)) == 2 and sum(line.kind == "charge" for line in town.ledger) == 2
        found = {
            "LabelRecoveryRequest": {
                "Request": {},
                "ReferenceValues": {"ReferenceNumber": {"Value": "R1"}, "ShipperNumber": "W95789"},
            }
        }
        answer = (await caller.http.post(RECOVERY, headers=caller.ups, json=found)).json()["LabelRecoveryResponse"]
        assert [each["TrackingNumber"] for each in answer["TrackingCandidate"]] == numbers


async def test_a_label_is_found_by_its_reference_once_the_index_knows() -> None:
    """Recovery and tracking by reference see it only after the lag that is set."""
    found = {
        "LabelRecoveryRequest": {
            "Request": {},
            "LabelSpecification": {"LabelImageFormat": {"Code": "PDF"}},
            "ReferenceValues": {"ReferenceNumber": {"Value": "R1"}, "ShipperNumber": "W95789"},
        }
    }
    async with street(index_lag=3600.0) as (town, caller):
        number = number_of((await caller.http.post(SHIP, headers=caller.ups, json=ups_label("R1"))).json())
        assert (await caller.http.post(RECOVERY, headers=caller.ups, json=found)).status_code == 400
        town.settings.index_lag = 0.0
        answer = (await caller.http.post(RECOVERY, headers=caller.ups, json=found)).json()["LabelRecoveryResponse"]
        assert answer["LabelResults"]["TrackingNumber"] == number
        town.clock.turn(town.now() + timedelta(hours=1))
        tracked = await caller.http.get("/ups/api/track/v1/reference/details/R1", headers=caller.ups)
        assert tracked.json()["trackResponse"]["shipment"][0]["package"][0]["trackingNumber"] == number


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("Shipment", "Package", 0, "Description"), ""),
        (("Shipment", "Shipper", "ShipperNumber"), "123"),
        (("Shipment", "ShipFrom", "Name"), ""),
        (("Shipment", "Service", "Code"), "59"),
        (
            ("Shipment", "PaymentInformation", "ShipmentCharge", 0),
            {"Type": "01", "BillReceiver": {"AccountNumber": "W95789"}},
        ),
        (("LabelSpecification", "LabelImageFormat", "Code"), "PDF"),
        (("Shipment", "Package", 0, "ReferenceNumber"), [{"Code": "RZ", "Value": "R1"}]),
    ],
)
async def test_a_wrong_label_request_is_refused_and_costs_nothing(where: tuple[str | int, ...], value: object) -> None:
    """Source: facts/ups.md 2: what a return must have, and where its reference belongs."""
    request = ups_label()
    inner = request["ShipmentRequest"]
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    async with street() as (town, caller):
        answer = await caller.http.post(SHIP, headers=caller.ups, json=request)
        assert answer.status_code == 400 and answer.json()["response"]["errors"][0]["code"]
        assert list(town.ledger) == [] and not town.parcels


async def test_a_reference_on_an_american_lane_belongs_to_the_package() -> None:
    """Source: facts/ups.md 2.5."""
    async with street() as (_, caller):
        assert (await caller.http.post(SHIP, headers=caller.ups, json=ups_label(country="US"))).status_code == 200
        wrong = ups_label(country="US")
        wrong["ShipmentRequest"]["Shipment"]["ReferenceNumber"] = [{"Code": "RZ", "Value": "R1"}]
        assert (await caller.http.post(SHIP, headers=caller.ups, json=wrong)).status_code == 400


async def test_only_american_labels_can_be_voided_and_twice_is_once() -> None:
    """Source: facts/ups.md 3.1."""
    async with street() as (town, caller):
        american = number_of((await caller.http.post(SHIP, headers=caller.ups, json=ups_label(country="US"))).json())
        european = number_of((await caller.http.post(SHIP, headers=caller.ups, json=ups_label("R2"))).json())
        void = "/ups/api/shipments/v2409/void/cancel"
        for _ in range(2):
            answer = await caller.http.delete(f"{void}/{american}", headers=caller.ups)
            assert answer.json()["VoidShipmentResponse"]["SummaryResult"]["Status"]["Code"] == "1"
        assert [line.kind for line in town.ledger if line.number == american] == ["label", "charge", "void", "refund"]
        refused = await caller.http.delete(f"{void}/{european}", headers=caller.ups)
        assert refused.json()["response"]["errors"][0]["code"] == "190102"
        tracked = (await caller.http.get(f"{DETAILS}/{american}", headers=caller.ups)).json()
        assert tracked["trackResponse"]["shipment"][0]["package"][0]["currentStatus"]["code"] == "007"
        assert town.record()[0]["status"] == "voided"


async def test_a_number_nobody_knows_is_an_answer() -> None:
    """Source: facts/ups.md 4.4: 200 with a warning; an empty body for a path that is not there."""
    async with street() as (_, caller):
        answer = await caller.http.get(f"{DETAILS}/1ZW957896800000000", headers=caller.ups)
        assert answer.status_code == 200
        assert answer.json()["trackResponse"]["shipment"][0]["warnings"][0]["code"] == "TW0001"
        nowhere = await caller.http.get("/ups/api/nowhere", headers=caller.ups)
        assert (nowhere.status_code, nowhere.content) == (404, b"") and nowhere.headers["errorcode"]


async def test_a_poll_shows_only_what_the_carrier_knows_by_then() -> None:
    """Nothing before it is visible; newest first; everything at the end."""
    async with street() as (town, caller):
        parcel = town.create("ups", "three_attempts_home")

        async def count() -> int:
            answer = (await caller.http.get(f"{DETAILS}/{parcel.number}", headers=caller.ups)).json()["trackResponse"][
                "shipment"
            ][0]
            activity = answer["package"][0]["activity"] if "package" in answer else []
            instants = [each["gmtDate"] + each["gmtTime"] for each in activity]
            assert instants == sorted(instants, reverse=True)
            return len(activity)

        assert await count() == 0
        town.clock.turn(town.now() + timedelta(days=3))
        assert 0 < await count() < len(parcel.journey.steps)
        town.clock.turn(parcel.telling.ends_at)
        assert await count() == len(parcel.journey.steps)


async def test_pushes_come_to_subscribers_for_fourteen_days() -> None:
    """Source: facts/ups.md 6.1, 6.2: only to subscribers, for 14 days; a credential, an agent, no signature."""
    async with listening() as listener, street(ups_webhook_credential="s3cret") as (town, caller):
        town.settings.ups_webhook_url = listener.url
        followed = town.create("ups", "access_point_unclaimed_back")
        town.create("ups", "delivered_first_time")
        body = {"locale": "en_US", "countryCode": "US", "trackingNumberList": [followed.number]}
        assert (await caller.http.post(SUBSCRIBE, headers=caller.ups, json=body)).json()["validTrackingNumbers"] == [
            followed.number
        ]
        town.clock.turn(town.now() + timedelta(days=13))
        await until_sent(town)
        heard = len(listener.posts)
        assert 0 < heard < len(followed.telling.pushes)
        await until_quiet(town)
        assert len(listener.posts) == heard
        for headers, told in listener.posts:
            assert headers["credential"] == "s3cret" and headers["User-Agent"] == "UPSPubSubTrackingService"
            assert json.loads(told)["trackingNumber"].strip() == followed.number


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"locale": ""}, "VSS300"),
        ({"locale": "it_IT"}, "VSS310"),
        ({"trackingNumberList": []}, "VSS200"),
        ({"trackingNumberList": ["no"]}, "VSS210"),
        ({"trackingNumberList": ["1ZW957896800000000"] * 101}, "VSS220"),
    ],
)
async def test_a_wrong_subscription_is_refused(change: dict[str, object], code: str) -> None:
    """Source: facts/ups.md 6.4."""
    body = {"locale": "en_US", "countryCode": "US", "trackingNumberList": ["1ZW957896800000000"]} | change
    async with street() as (_, caller):
        answer = await caller.http.post(SUBSCRIBE, headers=caller.ups, json=body)
        assert (answer.status_code, answer.json()["response"]["errors"][0]["code"]) == (400, code)
        bare = {key: value for key, value in caller.ups.items() if key not in HEADS}
        answer = await caller.http.post(SUBSCRIBE, headers=bare, json=body)
        assert answer.json()["response"]["errors"][0]["code"] == "VSS002"
