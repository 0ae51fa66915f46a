"""What a caller may ask of USPS's stand-in beside tracking, right by USPS's own files, and what is answered."""

from typing import Any
from uuid import uuid4

from street.town import Town
from tests.official import Operation
from tests.walk import Caller, subscription, usps_label

Json = dict[str, Any]
Answers = list[tuple[str, object]]

RETURN, LABEL, REPRINT = "/usps/labels/v3/return-label", "/usps/labels/v3/label", "/usps/labels/v3/label-reprint"
PICKUP = "/usps/pickup/v3/carrier-pickup"
ADDRESSES, LOCATIONS = "/usps/addresses/v3", "/usps/locations/v3"
ACCOUNT = "/usps/payments/v3/payment-account/1000000001"
VENDOR = "application/vnd.usps.labels+json"

_LABELS, _PICKUP, _ADDRESSES, _LOCATIONS, _PAYMENTS = (
    f"usps/{name}.yaml" for name in ("labels-v3", "carrier-pickup-v3", "addresses-v3", "locations-v3", "payments-v3")
)
_SUBSCRIPTIONS = "usps/subscriptions-tracking-v3r2.yaml"
_ONE = "/carrier-pickup/{confirmationNumber}"

ANSWERS: dict[str, Operation] = {
    "usps label, outbound": Operation(_LABELS, "post", "/label", "200", VENDOR),
    "usps label, outbound, refused": Operation(_LABELS, "post", "/label", "400"),
    "usps label, with return": Operation(_LABELS, "post", "/label", "200", VENDOR),
    "usps label, broker": Operation(_LABELS, "post", "/return-label", "200", VENDOR),
    "usps label, extras and fees": Operation(_LABELS, "post", "/return-label", "200", VENDOR),
    "usps label, hazmat refused": Operation(_LABELS, "post", "/return-label", "400"),
    "usps reprint, outbound": Operation(
        _LABELS, "post", "/label-reprint", "200", schema="LabelReprintDomesticOutboundResponse"
    ),
    "usps reprint by number": Operation(
        _LABELS, "post", "/label-reprint/{trackingNumber}", "200", schema="LabelReprintDomesticOutboundResponse"
    ),
    "usps subscription changed": Operation(_SUBSCRIPTIONS, "put", "/subscriptions/{subscriptionId}", "200"),
    "usps cancel": Operation(_LABELS, "delete", "/label/{trackingNumber}", "200"),
    "usps cancel by key": Operation(_LABELS, "delete", "/label", "200"),
    "usps account": Operation(_PAYMENTS, "get", "/payment-account/{account-number}", "200"),
    "usps account unknown": Operation(_PAYMENTS, "get", "/payment-account/{account-number}", "404"),
    "usps pickup eligibility": Operation(_PICKUP, "get", "/carrier-pickup/eligibility", "200"),
    "usps pickup eligibility refused": Operation(_PICKUP, "get", "/carrier-pickup/eligibility", "400"),
    "usps pickup": Operation(_PICKUP, "post", "/carrier-pickup", "200"),
    "usps pickup refused": Operation(_PICKUP, "post", "/carrier-pickup", "400"),
    "usps pickup read": Operation(_PICKUP, "get", _ONE, "200"),
    "usps pickup changed": Operation(_PICKUP, "put", _ONE, "200"),
    "usps pickup gone": Operation(_PICKUP, "get", _ONE, "400"),
    "usps address": Operation(_ADDRESSES, "get", "/address", "200"),
    "usps address refused": Operation(_ADDRESSES, "get", "/address", "400"),
    "usps address unknown": Operation(_ADDRESSES, "get", "/address", "404"),
    "usps city and state": Operation(_ADDRESSES, "get", "/city-state", "200"),
    "usps city and state refused": Operation(_ADDRESSES, "get", "/city-state", "400"),
    "usps zip code": Operation(_ADDRESSES, "get", "/zipcode", "200"),
    "usps post offices": Operation(_LOCATIONS, "get", "/post-office-locations", "200"),
    "usps post offices refused": Operation(_LOCATIONS, "get", "/post-office-locations", "400"),
    "usps drop-off sites": Operation(_LOCATIONS, "get", "/dropoff-locations", "200"),
}

# Answered by a status alone, as the files say; the talk below looks at it.
EMPTY = (
    Operation(_PICKUP, "delete", _ONE, "200"),
    Operation(_SUBSCRIPTIONS, "delete", "/subscriptions/{subscriptionId}", "204"),
)

# --------------------------------------------------------------------------------------------- requests that are right


def outbound(reference: str = "A-1001", **image: object) -> Json:
    """From the warehouse to a customer."""
    request = usps_label(reference, **image)
    request["toAddress"], request["fromAddress"] = request["fromAddress"], request["toAddress"]
    request["fromAddress"]["ZIPPlus4"] = "1234"
    request["packageDescription"] |= {
        "mailClass": "USPS_GROUND_ADVANTAGE",
        "mailingDate": "2026-03-05",
        "destinationEntryFacilityType": "NONE",
    }
    return request


def described(**description: object) -> Json:
    request = usps_label("RMA-2")
    request["packageDescription"] |= description
    return request


INSURED = described(extraServices=[921, 930], packageOptions={"packageValue": 120}, length=24)
HAZARDOUS = described(mailClass="PRIORITY_MAIL_RETURN_SERVICE", extraServices=[831])


def pickup(day: str = "2026-03-06", street: str = "10 Elm St") -> Json:
    address = {"streetAddress": street, "city": "Reno", "state": "NV", "ZIPCode": "89501"}
    where = {"firstName": "Ann", "lastName": "Lee", "address": address, "contact": [{"email": "ann@example.com"}]}
    return {
        "pickupDate": day,
        "pickupAddress": where,
        "packages": [{"packageType": "RETURNS", "packageCount": 1}],
        "estimatedWeight": 2,
        "pickupLocation": {"packageLocation": "FRONT_DOOR"},
    }


REQUESTS: list[tuple[str, Operation, object]] = [
    ("usps label, outbound", Operation(_LABELS, "post", "/label"), outbound()),
    ("usps label, with return", Operation(_LABELS, "post", "/label"), outbound(returnLabel=True)),
    ("usps label, broker", Operation(_LABELS, "post", "/return-label"), usps_label(imageType="LABEL_BROKER")),
    ("usps label, extras and fees", Operation(_LABELS, "post", "/return-label"), INSURED),
    ("usps pickup", Operation(_PICKUP, "post", "/carrier-pickup"), pickup()),
]

# --------------------------------------------------------------------------------------------------------- the talking


async def talk(caller: Caller, town: Town) -> Answers:
    """One of everything."""
    return [
        *await _labels(caller),
        *await _pickups(caller),
        *await _places(caller),
        *await _subscriptions(caller),
    ]


async def _labels(caller: Caller) -> Answers:
    http, paying, key = caller.http, caller.paying | {"Accept": VENDOR}, {"X-Idempotency-Key": str(uuid4())}
    sent = await http.post(LABEL, headers=paying | key, json=outbound())
    other = (await http.post(LABEL, headers=paying, json=outbound("A-1002"))).json()["trackingNumber"]
    again = await http.post(f"{REPRINT}/{sent.json()['trackingNumber']}", headers=paying, json={})
    broker = usps_label("RMA-QR", imageType="LABEL_BROKER", includeLabelBrokerPDF=True)
    return [
        ("usps label, outbound", sent.json()),
        ("usps label, outbound, refused", (await http.post(LABEL, headers=paying, json=usps_label())).json()),
        ("usps label, with return", (await http.post(LABEL, headers=paying, json=outbound(returnLabel=True))).json()),
        ("usps label, broker", (await http.post(RETURN, headers=paying, json=broker)).json()),
        ("usps label, extras and fees", (await http.post(RETURN, headers=paying, json=INSURED)).json()),
        ("usps label, hazmat refused", (await http.post(RETURN, headers=paying, json=HAZARDOUS)).json()),
        ("usps reprint, outbound", (await http.post(REPRINT, headers=paying | key, json={})).json()),
        ("usps reprint by number", again.json()),
        ("usps cancel", (await http.delete(f"{LABEL}/{other}", headers=paying)).json()),
        ("usps cancel by key", (await http.delete(LABEL, headers=paying | key)).json()),
        ("usps account", (await http.get(f"{ACCOUNT}?accountType=EPS&amount=25", headers=caller.usps)).json()),
        ("usps account unknown", (await http.get(f"{ACCOUNT}X?accountType=EPS", headers=caller.usps)).json()),
    ]


async def _pickups(caller: Caller) -> Answers:
    http, usps = caller.http, caller.usps
    eligible = f"{PICKUP}/eligibility?streetAddress=10+Elm+St&ZIPCode=89501"
    made = await http.post(PICKUP, headers=usps, json=pickup())
    one = f"{PICKUP}/{made.json()['confirmationNumber']}"
    told: Answers = [
        ("usps pickup eligibility", (await http.get(eligible, headers=usps)).json()),
        ("usps pickup eligibility refused", (await http.get(f"{PICKUP}/eligibility", headers=usps)).json()),
        ("usps pickup", made.json()),
        ("usps pickup refused", (await http.post(PICKUP, headers=usps, json=pickup())).json()),
    ]
    read = await http.get(one, headers=usps)
    later = {"pickupDate": "2026-03-07", "carrierPickupRequest": pickup("2026-03-07")}
    changed = await http.put(one, headers=usps | {"If-Match": read.headers["ETag"]}, json=later)
    told += [("usps pickup read", read.json()), ("usps pickup changed", changed.json())]
    gone = await http.delete(one, headers=usps | {"If-Match": changed.headers["ETag"]})
    assert (gone.status_code, gone.content) == (200, b"")
    return [*told, ("usps pickup gone", (await http.get(one, headers=usps)).json())]


async def _subscriptions(caller: Caller) -> Answers:
    http, usps, every = caller.http, caller.usps, "/usps/subscriptions-tracking/v3r2/subscriptions"
    wanted = subscription("https://hooks.example.com/changed")
    made = await http.post(every, headers=usps, json=wanted)
    one = f"{every}/{made.json()['subscriptionId']}"
    id = made.json()["subscriptionId"]
    change = {**wanted, "subscriptionId": id, "secret": wanted["secret"][::-1], "status": "ENABLED"}
    changed = await http.put(one, headers=usps | {"If-Match": made.headers["ETag"]}, json=change)
    tag = changed.headers.get("ETag") or (await http.get(one, headers=usps)).headers["ETag"]
    gone = await http.delete(one, headers=usps | {"If-Match": tag})
    assert (gone.status_code, gone.content) == (204, b"")
    return [("usps subscription changed", changed.json())]


async def _places(caller: Caller) -> Answers:
    async def ask(path: str) -> Any:
        return (await caller.http.get(path, headers=caller.usps)).json()

    elm = "streetAddress=10+Elm+St&city=Reno&state=NV"
    return [
        ("usps address", await ask(f"{ADDRESSES}/address?{elm}&ZIPCode=89501")),
        ("usps address refused", await ask(f"{ADDRESSES}/address?streetAddress=10+Elm+St")),
        ("usps address unknown", await ask(f"{ADDRESSES}/address?streetAddress=Nowhere&city=Reno&state=NV")),
        ("usps city and state", await ask(f"{ADDRESSES}/city-state?ZIPCode=89501")),
        ("usps city and state refused", await ask(f"{ADDRESSES}/city-state?ZIPCode=00000")),
        ("usps zip code", await ask(f"{ADDRESSES}/zipcode?{elm}")),
        ("usps post offices", await ask(f"{LOCATIONS}/post-office-locations?ZIPCode=89501&radius=5")),
        ("usps post offices refused", await ask(f"{LOCATIONS}/post-office-locations")),
        ("usps drop-off sites", await ask(f"{LOCATIONS}/dropoff-locations?destinationZIPCode=89501")),
    ]
