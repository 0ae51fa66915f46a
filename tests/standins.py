"""One of everything that the stand-ins say, by the operation to which it belongs, and where life differs from it."""

import asyncio
from collections import defaultdict
from functools import cache
from typing import Any

from tests import talk_ups, talk_usps
from tests.official import Deviation, Operation
from tests.walk import ROLES, Caller, listening, street, subscription, ups_label, usps_label, walked

Json = dict[str, Any]

# ----------------------------------------------------------------------------------------------------------- operations

UPS_TRACK, UPS_ALERT, UPS_SHIP, UPS_TOKEN = (
    "ups/Tracking.yaml",
    "ups/UPSTrackAlert.yaml",
    "ups/Shipping.yaml",
    "ups/OAuthClientCredentials.yaml",
)
TRACK, TRACK_OLD, LABELS, PAYMENTS, TOKEN, SUBSCRIPTIONS = (
    f"usps/{name}.yaml"
    for name in ("tracking-v3r2", "tracking-v3", "labels-v3", "payments-v3", "oauth2-v3", "subscriptions-tracking-v3r2")
)
VENDOR = "application/vnd.usps.labels+json"

# What a stand-in answers or pushes: name -> where its shape is written down. Bodies are collected under these names.
ANSWERS: dict[str, Operation] = {
    "ups token": Operation(UPS_TOKEN, "post", "/security/v1/oauth/token", "200"),
    "ups token refused": Operation(UPS_TOKEN, "post", "/security/v1/oauth/token", "401"),
    "ups label": Operation(UPS_SHIP, "post", "/shipments/{version}/ship", "200"),
    "ups label refused": Operation(UPS_SHIP, "post", "/shipments/{version}/ship", "400"),
    "ups label busy": Operation(UPS_SHIP, "post", "/shipments/{version}/ship", "429"),
    "ups void": Operation(UPS_SHIP, "delete", "/shipments/{version}/void/cancel/{shipmentidentificationnumber}", "200"),
    "ups void refused": Operation(
        UPS_SHIP, "delete", "/shipments/{version}/void/cancel/{shipmentidentificationnumber}", "400"
    ),
    "ups recovery": Operation(UPS_SHIP, "post", "/labels/{version}/recovery", "200"),
    "ups recovery refused": Operation(UPS_SHIP, "post", "/labels/{version}/recovery", "400"),
    "ups track": Operation(UPS_TRACK, "get", "/track/v1/details/{inquiryNumber}", "200"),
    "ups track nothing": Operation(UPS_TRACK, "get", "/track/v1/details/{inquiryNumber}", "200"),
    "ups track refused": Operation(UPS_TRACK, "get", "/track/v1/details/{inquiryNumber}", "400"),
    "ups track by reference": Operation(UPS_TRACK, "get", "/track/v1/reference/details/{referenceNumber}", "200"),
    "ups subscribe": Operation(UPS_ALERT, "post", "/subscription/{type}/package", "200"),
    "ups subscribe refused": Operation(UPS_ALERT, "post", "/subscription/{type}/package", "400"),
    "ups subscribe unauthorised": Operation(UPS_ALERT, "post", "/subscription/{type}/package", "401"),
    "ups push": Operation(UPS_ALERT, "post", "TrackingEvent"),
    "usps token": Operation(TOKEN, "post", "/token", "200", schema="ProviderAccessTokenResponse"),
    "usps token refused": Operation(TOKEN, "post", "/token", "401"),
    "usps payment": Operation(PAYMENTS, "post", "/payment-authorization", "200"),
    "usps payment refused": Operation(PAYMENTS, "post", "/payment-authorization", "400"),
    "usps label": Operation(LABELS, "post", "/return-label", "200", VENDOR),
    "usps label refused": Operation(LABELS, "post", "/return-label", "400"),
    "usps label unauthorised": Operation(LABELS, "post", "/return-label", "401"),
    "usps label busy": Operation(LABELS, "post", "/return-label", "429"),
    "usps reprint": Operation(LABELS, "post", "/label-reprint", "200", schema="LabelReprintDomesticReturnResponse"),
    "usps cancel refused": Operation(LABELS, "delete", "/label/{trackingNumber}", "400"),
    "usps track": Operation(TRACK, "post", "/tracking", "200"),
    "usps track nothing": Operation(TRACK, "post", "/tracking", "404"),
    # The 207 schema is a oneOf whose failure half admits everything: each item is held against the half it claims.
    "usps track mixed, found": Operation(TRACK, "post", "/tracking", "207", schema="SuccessResponse"),
    "usps track mixed, not found": Operation(TRACK, "post", "/tracking", "207", schema="FailureResponse"),
    "usps track, older": Operation(TRACK_OLD, "get", "/tracking/{trackingNumber}", "200", schema="TrackingDetails"),
    "usps track, older, summary": Operation(
        TRACK_OLD, "get", "/tracking/{trackingNumber}", "200", schema="TrackingSummary"
    ),
    "usps track, older, refused": Operation(TRACK_OLD, "get", "/tracking/{trackingNumber}", "400"),
    "usps subscribe": Operation(SUBSCRIPTIONS, "post", "/subscriptions", "201"),
    "usps subscribe refused": Operation(SUBSCRIPTIONS, "post", "/subscriptions", "400"),
    "usps subscriptions": Operation(SUBSCRIPTIONS, "get", "/subscriptions", "200"),
    "usps subscription": Operation(SUBSCRIPTIONS, "get", "/subscriptions/{subscriptionId}", "200"),
    "usps push": Operation(SUBSCRIPTIONS, "post", "/notifications"),
    "usps push, inside": Operation(SUBSCRIPTIONS, "post", "/notifications", schema="TrackingSubscriptionNotification"),
    **talk_ups.ANSWERS,
    **talk_usps.ANSWERS,
}

# Where the carriers' own answers break their own files. Each must be met at least once, or it is struck from this list.
# Where a file contradicts itself, so that nothing could be right: these hold for requests too.
FILE_FAULTS = (
    Deviation(
        "usps/carrier-pickup-v3.yaml",
        r"contact/\*: .* is valid under each of",
        "the two kinds of contact both admit any object, so that none is just one of them",
    ),
    Deviation(
        "ups/Pickup.yaml",
        r"ServiceDateOption: '0[123]' is too long",
        "one sign by its length, two by the values that it names",
    ),
    Deviation(
        "ups/Pickup.yaml", r"PickupDate: '\d{8}' is too long", "four signs by its length, eight by the format it names"
    ),
    Deviation("ups/Pickup.yaml", r"TotalWeight/Weight: .* is too short", "facts/ups.md 0: as long as it needs to be"),
    Deviation(
        "ups/Locator.yaml", r"RequestAction: 'Locator' is too short", "thirteen signs, and the one value has seven"
    ),
    Deviation(
        UPS_SHIP,
        r"LabelRecoveryRequest: '(TrackingNumbers|ReferenceValues)' is a required property",
        "facts/ups.md 3.2: both are marked required, and only one of them can be sent",
    ),
    Deviation(
        UPS_SHIP, r"LabelImageFormat/Code: '(PDF|GIF|ZPL)' is too short", "four signs, and the values have three"
    ),
)
NULLS = r"(event(City|State|ZIPCode|ZIP|Country)|GMTTimestamp|GMTOffset): None (is not of type|for not nullable)"
DEVIATIONS = (
    *FILE_FAULTS,
    Deviation(
        "ups/DeliveryIntercept.yaml",
        r"^\.: ('(transactionId|statusCode|success)' is a required property|.*'response' was unexpected)",
        "facts/ups.md 7.1: flat, or inside `response`",
    ),
    Deviation(
        "ups/Pickup.yaml",
        r"(ChargeAmount|GrandTotalOfAllCharge): .* is too short",
        "facts/ups.md 0: an amount is as long as it needs to be",
    ),
    Deviation(
        "ups/TimeInTransit.yaml",
        r"is greater than the maximum of 1",
        "the file writes as a number's maximum how often the field occurs",
    ),
    Deviation(
        "ups/TimeInTransit.yaml",
        r"emsResponse/shipDate: .* is too long",
        "eight signs by its length, ten by the format that it names",
    ),
    Deviation(
        "usps/carrier-pickup-v3.yaml",
        r"^\.: 'contact' is a required property",
        "the question has no contact that the answer could repeat",
    ),
    Deviation(
        UPS_SHIP, r"BillingWeight/Weight: .* is too short", "facts/ups.md 2.10: a weight is as long as it needs to be"
    ),
    Deviation(
        UPS_SHIP, r"LabelResults: .*'array'", "facts/ups.md 0 and 3.2: before v2403 a single element is an object"
    ),
    Deviation(UPS_ALERT, r": '' (is too short|does not match)", "facts/ups.md 6.2: empty strings are common"),
    Deviation(UPS_ALERT, r"trackingNumber: ' 1Z", "facts/ups.md 6.2: a leading blank has been seen"),
    Deviation(UPS_ALERT, r"postalCode: '.+' does not match", "the file knows only American postal codes"),
    Deviation(TRACK, NULLS, "facts/usps.md 3.2 and 3.3: nulls where nothing is known"),
    Deviation(SUBSCRIPTIONS, NULLS, "facts/usps.md 3.2 and 3.3: nulls where nothing is known"),
    Deviation(TRACK_OLD, NULLS, "facts/usps.md 3.2 and 3.3: nulls where nothing is known"),
    Deviation(TRACK_OLD, r"(RREEnabled|redeliveryEnabled): '", "facts/usps.md 3.3: booleans as text"),
    Deviation(TRACK_OLD, r"services: ", "facts/usps.md 3.3: text or list"),
    Deviation(TRACK_OLD, r"mailClass: ", "facts/usps.md 3.3: HTML in text"),
    Deviation(TRACK_OLD, r"eventTimestamp: .* is not a 'date-time'", "facts/usps.md 3.3: some events have a date only"),
)


# ------------------------------------------------------------------------------------------------------------ the cases


@cache
def collected() -> dict[str, list[object]]:
    """Every body the stand-ins gave, by the name of its operation."""
    bodies: dict[str, list[object]] = defaultdict(list)
    walk = walked()
    for number, parcel in walk.parcels.items():
        carrier = parcel.journey.carrier
        bodies[f"{carrier} track"].append(walk.polls[number])
        bodies["ups push" if carrier == "ups" else "usps push, inside"] += walk.pushes[number]
    bodies["usps track, older"] += walk.older.values()
    bodies["usps push"] += [envelope for _, envelope in walk.envelopes]
    for name, body in asyncio.run(_conversation()):
        bodies[name].append(body)
    return bodies


async def _conversation() -> list[tuple[str, object]]:
    """One of everything else: what is bought, asked and refused."""
    async with listening() as listener, street() as (town, caller):
        known = town.create("usps", "delivered_first_time").number
        town.create("ups", "delivered_first_time", references=("R1",))
        town.clock.turn(town.ends_at or town.now())
        await caller.sign_in()
        told = [*await _with_ups(caller), *await _with_usps(caller, known, listener.url)]
    async with street() as (town, caller):
        return [*told, *await talk_ups.talk(caller, town), *await talk_usps.talk(caller, town)]


async def _with_ups(caller: Caller) -> list[tuple[str, object]]:
    http, ups = caller.http, caller.ups
    form, ship, recovery = (
        {"grant_type": "client_credentials"},
        "/ups/api/shipments/v2409/ship",
        "/ups/api/labels/v1/recovery",
    )
    alert, details = "/ups/api/track/v2/subscription/standard/package", "/ups/api/track/v1/details"
    bought = (await http.post(ship, headers=ups, json=ups_label("R2", "US"))).json()
    number = bought["ShipmentResponse"]["ShipmentResults"]["ShipmentIdentificationNumber"]
    again = {
        "LabelRecoveryRequest": {
            "Request": {},
            "LabelSpecification": {"LabelImageFormat": {"Code": "PDF"}},
            "TrackingNumber": number,
        }
    }
    unknown = {"LabelRecoveryRequest": {"Request": {}, "TrackingNumber": "1Z0"}}
    wanted = {"locale": "en_US", "countryCode": "US", "trackingNumberList": [number, "1Z1234567$8"]}
    recovered = await http.post(recovery, headers=ups, json=again)
    refused = ups_label()
    del refused["ShipmentRequest"]["Shipment"]["Package"][0]["Description"]
    void = f"/ups/api/shipments/v2409/void/cancel/{number}"
    answers = [
        ("ups token", await http.post("/ups/security/v1/oauth/token", auth=("id", "secret"), data=form)),
        ("ups token refused", await http.post("/ups/security/v1/oauth/token", auth=("id", ""), data=form)),
        ("ups label refused", await http.post(ship, headers=ups, json=refused)),
        ("ups recovery", recovered),
        ("ups recovery refused", await http.post(recovery, headers=ups, json=unknown)),
        ("ups void", await http.delete(void, headers=ups)),
        ("ups void refused", await http.delete(void.replace(number, "1Z" + "0" * 16), headers=ups)),
        ("ups track nothing", await http.get(f"{details}/1ZW957896800000000", headers=ups)),
        ("ups track refused", await http.get(f"{details}/1Z0", headers=ups)),
        ("ups track by reference", await http.get("/ups/api/track/v1/reference/details/R1", headers=ups)),
        ("ups subscribe", await http.post(alert, headers=ups, json=wanted)),
        ("ups subscribe refused", await http.post(alert, headers=ups, json=wanted | {"trackingNumberList": ["no"]})),
        ("ups subscribe unauthorised", await http.post(alert, json=wanted)),
    ]
    await http.post("/street/faults", json={"carrier": "ups", "operation": "ship", "fault": "429"})
    answers.append(("ups label busy", await http.post(ship, headers=ups, json=ups_label())))
    return [("ups label", bought), *((name, answer.json()) for name, answer in answers)]


async def _with_usps(caller: Caller, known: str, listener: str) -> list[tuple[str, object]]:
    http, usps, paying = caller.http, caller.usps, caller.paying | {"Accept": VENDOR}
    label, tracking, subscriptions = (
        "/usps/labels/v3/return-label",
        "/usps/tracking/v3r2/tracking",
        "/usps/subscriptions-tracking/v3r2/subscriptions",
    )
    key = {"X-Idempotency-Key": "8be4df61-93ca-41d2-aa0d-00e098032b8c"}
    form = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "s"}
    bought = (await http.post(label, headers=paying | key, json=usps_label())).json()
    mixed = (
        await http.post(
            tracking, headers=usps, json=[{"trackingNumber": known}, {"trackingNumber": "9400111206206406260787"}]
        )
    ).json()
    made = await http.post(subscriptions, headers=usps, json=subscription(listener))
    answers = [
        ("usps token", await http.post("/usps/oauth2/v3/token", json=form)),
        ("usps token refused", await http.post("/usps/oauth2/v3/token", json=form | {"client_secret": ""})),
        ("usps payment", await http.post("/usps/payments/v3/payment-authorization", headers=usps, json=ROLES)),
        (
            "usps payment refused",
            await http.post("/usps/payments/v3/payment-authorization", headers=usps, json={"roles": []}),
        ),
        ("usps label refused", await http.post(label, headers=paying, json={"toAddress": {}})),
        ("usps label unauthorised", await http.post(label, json=usps_label())),
        ("usps reprint", await http.post("/usps/labels/v3/label-reprint", headers=paying | key, json={})),
        ("usps cancel refused", await http.delete(f"/usps/labels/v3/label/{bought['trackingNumber']}", headers=paying)),
        (
            "usps track nothing",
            await http.post(tracking, headers=usps, json=[{"trackingNumber": "9400111206206406260787"}]),
        ),
        ("usps track, older, summary", await http.get(f"/usps/tracking/v3/tracking/{known}", headers=usps)),
        (
            "usps track, older, refused",
            await http.get("/usps/tracking/v3/tracking/9400111206206406260787", headers=usps),
        ),
        ("usps subscribe", made),
        ("usps subscribe refused", await http.post(subscriptions, headers=usps, json=subscription(listener))),
        ("usps subscriptions", await http.get(f"{subscriptions}?MID=901234567", headers=usps)),
        ("usps subscription", await http.get(f"{subscriptions}/{made.json()['subscriptionId']}", headers=usps)),
    ]
    await http.post(
        "/street/faults", json={"carrier": "usps", "operation": "label", "fault": "429", "retry_after": "30"}
    )
    answers.append(("usps label busy", await http.post(label, headers=paying, json=usps_label())))
    both = [("usps track mixed, found", mixed[0]), ("usps track mixed, not found", mixed[1]), ("usps label", bought)]
    return [*both, *((name, answer.json()) for name, answer in answers)]
