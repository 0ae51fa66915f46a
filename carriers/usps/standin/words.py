"""How USPS says what happened on the street: one table from our words to its codes, texts and categories."""

import zlib

from carriers.usps.standin.town import Parcel, Scan

# word -> (event code, text, status category). A parcel keeps to one of the wordings; an empty code: none is sent.
# source: facts/usps_codes.csv; categories that mislead on purpose: facts/usps.md 3.4 (no access sits under Alert).
NEEDED = "Delivery Attempt: Action Needed"
SAYS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "label": (("GX", "Shipping Label Created, USPS Awaiting Item", "Pre-Shipment"),),
    "manifest": (("MA", "Pre-Shipment Info Sent to USPS, USPS Awaiting Item", "Pre-Shipment"),),
    "pickup": (
        ("03", "USPS in possession of item", "Accepted"),
        ("OA", "Accepted at USPS Origin Facility", "Accepted"),
    ),
    "dropoff": (("03", "USPS in possession of item", "Accepted"), ("VP", "USPS picked up item", "Accepted")),
    "origin": (("10", "Arrived at USPS Regional Origin Facility", "In Transit"),),
    "depart": (("T1", "Departed USPS Regional Facility", "In Transit"), ("EF", "Departed USPS Facility", "In Transit")),
    "filler": (("TL", "In Transit to Next Facility", "In Transit"),),
    "hub": (
        ("A1", "Arrived at USPS Regional Facility", "In Transit"),
        ("AE", "Arrived at USPS Facility", "In Transit"),
    ),
    "arrive": (("07", "Arrived at Post Office", "In Transit"),),
    "out": (
        ("OF", "Out for Delivery", "Out for Delivery"),
        ("OF", "Out for Delivery, Expected Delivery by 9:00pm", "Out for Delivery"),
    ),
    "miss": (
        ("55", "Notice Left (No Secure Location Available)", "Delivery Attempt"),
        ("56", "Notice Left (No Authorized Recipient Available)", NEEDED),
        ("53", "Notice Left (Receptacle Blocked)", NEEDED),
        ("54", "Notice Left (Receptacle Full/Item Oversized)", NEEDED),
        ("51", "Notice Left (Business Closed)", "Delivery Attempt"),
        ("30", "Delivery Attempted - No Access to Delivery Location", "Alert"),
    ),
    "miss_same_visit": (("02", "Notice Left", NEEDED),),
    "redelivery": (("VR", "Redelivery Scheduled", "In Transit"),),
    "held": (
        ("14", "Available for Pickup", "Available for Pickup"),
        ("16", "Available for Pickup", "Available for Pickup"),
    ),
    "reminder": (("VF", "Reminder to Schedule Redelivery of your item", NEEDED),),
    "unclaimed": (
        ("27", "Unclaimed/Being Returned to Sender", "Alert"),
        ("31", "Return to Sender / Not Picked Up", "Alert"),
    ),
    "refuse": (("04", "Refused", "Alert"),),
    "wrong_address": (
        ("22", "Insufficient Address", "Alert"),
        ("21", "No Such Number", "Alert"),
        ("23", "Moved, Left No Address", "Alert"),
        ("05", "Undeliverable as Addressed", "Alert"),
        ("25", "Addressee Unknown", "Alert"),
    ),
    "turn": (
        ("09", "Return to Sender", "Alert"),
        ("29", "Return to Sender (Other)", "Alert"),
        ("", "Return to Sender Processed", "Alert"),
    ),
    "home": (("01", "Delivered, To Original Sender", "Delivered"),),
    "deliver": (
        ("01", "Delivered, Front Door/Porch", "Delivered"),
        ("01", "Delivered, In/At Mailbox", "Delivered"),
        ("01", "Delivered, Left with Individual", "Accepted"),
    ),
    "forward": (("06", "Forwarded", "Alert"), ("", "Forward Processed", "Alert")),
    "weather": (("WX", "Weather Delay", "Alert"), ("", "Delivery Exception, Local Weather Delay", "Alert")),
    "rescheduled": (("71", "Rescheduled to Next Delivery Day", "Alert"),),
    "damage": (("12", "Visible Damage", "Alert"),),
    "search": (("VC", "Package Research Case Created", "Alert"),),
    "lost": (("33", "Sent to Mail Recovery Center", "Alert"),),
    "customs": (("ME", "Held by Import Customs", "Alert"), ("XB", "Item Held by Export Customs", "Alert")),
}
DATE_ONLY = frozenset({"manifest", "reminder"})  # source: facts/usps.md 3.3
AT_FACILITY = frozenset({"origin", "depart", "hub"})


def check_digit(digits: str) -> str:
    """MOD 10 over the digits before the last, weight 3 first from the right. Source: facts/usps.md 7."""
    return str(-sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits))) % 10)


def said(parcel: Parcel, scan: Scan) -> tuple[str, str, str]:
    if scan.saying:
        code, text, category = scan.saying
        return code, text, category
    if scan.word == "deliver" and parcel.is_return:
        return "01", "Delivered, Front Desk/Reception/Mail Room", "Delivered"
    ways = SAYS[scan.word]
    return ways[(parcel.seed + zlib.crc32(scan.word.encode())) % len(ways)]
