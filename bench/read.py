"""Reading: answers of 20 events into readings, both carriers, against `json.loads` of the same bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from statistics import median
from typing import Any

from bench.pairing import paired
from carriers.contract import Payload, Reads, Source
from carriers.ups import reading as ups
from carriers.usps import reading as usps
from cli.settling import settle_down

EVENTS, PARCELS, SEED = 20, 200, 7
START = datetime(2026, 3, 2, 7, tzinfo=UTC)
EUROPE = (
    ("Amsterdam", "", "1012LG", "NL"), ("Utrecht", "", "3511", "NL"), ("Eindhoven", "", "", "NL"),
    ("Koeln", "", "50667", "DE"), ("Herne-Boernig", "", "", "DE"), ("Neu Wulmstorf", "", "", "DE"),
    ("Bologna", "", "40100", "IT"), ("Bentivoglio", "BO", "40010", "IT"), ("Milano", "", "", "IT"),
)  # fmt: skip
AMERICA = (
    ("RENO", "NV", "89501"), ("SPARKS", "NV", "89431"), ("SACRAMENTO", "CA", "95814"), ("SECAUCUS", "NJ", "07094"),
    ("JERSEY CITY", "NJ", "07302"), ("NEWARK", "NJ", "07102"), ("KANSAS CITY", "MO", "64106"), ("OMAHA", "NE", "68102"),
)  # fmt: skip
UPS_STATUSES = (
    ("M", "MP", "003", "Shipper created a label, UPS has not received the package yet. "),
    ("I", "OR", "005", "Origin Scan"), ("I", "DP", "005", "Departed from Facility"),
    ("I", "AR", "005", "Arrived at Facility"), ("I", "OT", "021", "Out For Delivery Today"),
    ("X", "48", "022", "The receiver was not available for delivery. We'll make a second attempt the next business"
                       " day."),
    ("X", "KX", "023", "We missed you again. A final attempt will be made."),
    ("I", "YP", "071", "Processing at UPS Facility"), ("D", "FS", "011", "DELIVERED"),
)  # fmt: skip
USPS_EVENTS = (
    ("GX", "Shipping Label Created, USPS Awaiting Item"), ("03", "USPS picked up item"),
    ("10", "Processed Through Facility"), ("T1", "Departed USPS Regional Facility"),
    ("L1", "Arrived at USPS Regional Facility"), ("07", "Arrived at Post Office"), ("OF", "Out for Delivery"),
    ("55", "Delivery Attempted - No Access to Delivery Location"), ("01", "Delivered, Front Door/Porch"),
)  # fmt: skip


def _ups(number: int, random: Random) -> bytes:
    """A Track answer as UPS sends it: newest first.  # source: facts/ups.md 4.1, 4.6"""
    name, activity = f"1Z5338FF01{number:08d}", []
    for step in reversed(range(EVENTS)):
        at = START + timedelta(hours=3 * step, seconds=random.randrange(3600))
        local = at + timedelta(hours=1)
        city, region, postal, country = random.choice(EUROPE)
        kind, code, status, words = random.choice(UPS_STATUSES)
        address = {"city": city.upper(), "stateProvince": region, "postalCode": postal, "countryCode": country,
                   "country": country}  # fmt: skip
        activity.append(
            {
                "location": {"address": address, "slic": "1234"},
                "status": {"type": kind, "description": words, "code": code, "statusCode": status},
                "date": f"{local:%Y%m%d}", "time": f"{local:%H%M%S}", "gmtDate": f"{at:%Y%m%d}",
                "gmtOffset": "+01:00", "gmtTime": f"{at:%H:%M:%S}",
            }
        )  # fmt: skip
    package = {
        "trackingNumber": name,
        "currentStatus": {"description": "In transit", "code": "005"},
        "deliveryDate": [{"type": "SDD", "date": "20260309"}],
        "deliveryTime": {"type": "EOD"},
        "packageCount": 1,
        "referenceNumber": [{"type": "SHIPMENT", "number": f"R{number:026d}"}],
        "service": {"code": "011", "description": "UPS Standard"},
        "activity": activity,
    }
    return json.dumps({"trackResponse": {"shipment": [{"inquiryNumber": name, "package": [package]}]}}).encode()


def _usps(number: int, random: Random, bare: bool = False) -> bytes:
    """A v3r2 answer as USPS sends it, in a list of one; at times its oldest event is a bare date.

    source: facts/usps.md 3.2, 3.3
    """
    events: list[dict[str, Any]] = []
    for step in reversed(range(EVENTS)):
        at = START + timedelta(hours=3 * step, seconds=random.randrange(3600))
        local = at.astimezone(timezone(timedelta(hours=-5)))
        city, state, zip_code = random.choice(AMERICA)
        code, words = random.choice(USPS_EVENTS)
        events.append(
            {
                "eventCode": code, "eventType": words, "eventTimestamp": local.isoformat(timespec="seconds"),
                "GMTTimestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "GMTOffset": "-05:00", "eventCity": city,
                "eventState": state, "eventZIPCode": zip_code, "eventCountry": None,
            }
        )  # fmt: skip
    if bare:
        oldest = events[-1]
        oldest |= {"eventTimestamp": oldest["eventTimestamp"][:10], "GMTTimestamp": None, "GMTOffset": None}
    item = {
        "trackingNumber": f"94001112062064{number:08d}",
        "mailClass": "USPS Ground Advantage<SUP>&#153;</SUP>", "mailClassCode": "UA", "mailType": "DM",
        "mailingDate": "2026-03-02", "originCity": "SECAUCUS", "originState": "NJ", "originZIPCode": "07094",
        "destinationCity": "RENO", "destinationState": "NV", "destinationZIPCode": "89501",
        "services": ["USPS Tracking<SUP>&#174;</SUP>"], "serviceTypeCode": "020",
        "status": "In Transit to Next Facility", "statusCategory": "In Transit",
        "statusSummary": f"Your item departed a facility in {city}, {state} on March 4, 2026 at {number % 12}:15 pm.",
        "uniqueTrackingID": f"7{number:06d}", "kahalaIndicator": False,
        "deliveryDateExpectation": {"expectedDeliveryDate": "2026-03-09"},
        "servicesEligibility": {"RREEnabled": False, "proofOfDeliveryEnabled": False,
                                "trackingProofOfDeliveryEnabled": False},
        "trackingEvents": events,
    }  # fmt: skip
    return json.dumps([item]).encode()


def _measured(name: str, carrier: Reads, bodies: list[bytes]) -> dict[str, Any]:
    # a poll asks for the number that its answer speaks of
    payloads = [
        Payload(name, Source.POLL, body, carrier.read(Payload(name, Source.POLL, body)).numbers) for body in bodies
    ]

    def read() -> int:
        return sum(len(carrier.read(payload).events) for payload in payloads)

    def loaded() -> int:
        return sum(len(json.loads(body)) for body in bodies)

    assert read() == EVENTS * len(bodies), f"{name}: an event was lost"
    return paired(read, loaded, len(bodies), rounds=31) | {"bytes": round(median(map(len, bodies)))}


def payloads(count: int = PARCELS) -> dict[str, list[bytes]]:
    """So many answers of each carrier, the same at every call."""
    random = Random(SEED)
    return {
        "ups": [_ups(number, random) for number in range(count)],
        "usps": [_usps(number, random) for number in range(count)],
    }


def run() -> dict[str, Any]:
    """Answers read a second, answers merely loaded, and how many times the loading takes: goals 1.5 and 1.0."""
    settle_down()  # garbage is looked for as in the service, for both sides
    bodies = payloads()
    made = {"ups": _measured("ups", ups, bodies["ups"]), "usps": _measured("usps", usps, bodies["usps"])}
    bare = [_usps(number, Random(number), bare=True) for number in range(PARCELS)]
    made["usps_with_a_bare_date"] = _measured("usps", usps, bare)
    return {f"{carrier}_{key}": value for carrier, each in made.items() for key, value in each.items()} | {
        "events": EVENTS
    }
