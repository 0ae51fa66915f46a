"""How UPS says what happened on the street: one table from our words to its types, codes, statuses and sentences."""

import re
import zlib

from carriers.ups.standin.town import Parcel, Scan

# word -> (type, code, three-digit status, text). A parcel keeps to one of the wordings. Codes collide across types on
# purpose (I/DL and X/DL, I/OT and X/OT), and some statuses are the generic 013, where only the code tells.
# source: facts/ups_codes.csv, rows of these types and codes; the pairs with statuses: facts/ups.md 5.1, 5.4.
SAYS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "label": (("M", "MP", "003", "Billing data received, ready for UPS"),),
    "pickup": (("I", "PU", "038", "Pickup scan"), ("I", "PC", "038", "Picked up by package car")),
    "dropoff": (("I", "XD", "169", "Dropped off by the customer"), ("I", "PU", "038", "Pickup scan")),
    "collection_missed": (("X", "G4", "065", "Pickup attempted: the parcel was not ready"),),
    "origin": (("I", "OR", "005", "Origin scan"),),
    "depart": (("I", "DP", "005", "Departed from facility"),),
    "hub": (("I", "AR", "005", "Arrived at facility"), ("I", "HU", "005", "Hub scan")),
    "arrive": (("I", "AR", "005", "Arrived at facility"), ("I", "UL", "010", "Unload scan")),
    "prepare": (("I", "DS", "071", "Destination scan"), ("I", "YP", "071", "Preparing for delivery")),
    "load": (("I", "DL", "072", "Loaded for the driver"), ("I", "OD", "072", "Loaded on the delivery vehicle")),
    "out": (("I", "OT", "021", "Out for delivery"), ("I", "OF", "006", "Out for delivery")),
    "miss_first": (
        ("X", "48", "022", "The receiver was unavailable. A second attempt will be made the next business day"),
        ("X", "G3", "022", "The business was closed. A second attempt will be made the next business day"),
        ("X", "7L", "022", "The receiver was unavailable. A second attempt at the receiver's address follows"),
        ("X", "48", "013", "The receiver was unavailable. A second attempt will be made the next business day"),
    ),
    "miss_second": (
        ("X", "KX", "023", "We missed you again. The final attempt will be made the next business day"),
        ("X", "L1", "023", "The business was closed again. The final attempt will be made the next business day"),
        ("X", "KX", "013", "We missed you again. The final attempt will be made the next business day"),
    ),
    "miss_final": (
        ("X", "49", "024", "The receiver was unavailable at the time of the final attempt"),
        ("X", "AY", "024", "The business was closed at the time of the final attempt"),
        ("X", "49", "013", "The receiver was unavailable at the time of the final attempt"),
    ),
    "miss": (
        ("X", "C4", "013", "The receiver was unavailable at the delivery attempt"),
        ("X", "OH", "060", "Delivery attempted: nobody there to accept the parcel"),
        ("X", "GB", "145", "Delivery attempted"),
    ),
    "miss_same_visit": (
        ("X", "C4", "013", "The receiver was unavailable at the delivery attempt"),
        ("X", "GB", "060", "Delivery attempted"),
    ),
    "miss_to_point": (
        ("X", "5R", "057", "We were unable to deliver. The parcel is going to an Access Point"),
        ("X", "89", "057", "We were unable to deliver. The parcel is going to an Access Point"),
        ("X", "2X", "057", "We were unable to deliver. The parcel is going to an Access Point"),
        ("X", "6R", "057", "We were unable to deliver. The parcel is at an Access Point the next business day"),
    ),
    "miss_home": (("X", "55", "013", "The business was closed. Another attempt follows the next business day"),),
    "refuse": (
        ("X", "KR", "064", "Refused: the product was not wanted"),
        ("X", "AM", "064", "Refused: the receiver cancelled the order"),
        ("D", "53", "064", "The receiver refused"),
    ),
    "wrong_address": (
        ("X", "AA", "050", "The suite number is missing or wrong"),
        ("X", "AL", "029", "The postal code is wrong"),
        ("D", "50", "050", "Not delivered: the address is wrong"),
    ),
    "at_point": (
        ("X", "ZP", "040", "At the Access Point, waiting for the customer"),
        ("D", "2Q", "161", "Delivered to an Access Point"),
    ),
    "collected": (
        ("X", "FT", "011", "The receiver collected the parcel"),
        ("D", "2W", "011", "Collected at an Access Point"),
    ),
    "point_expired": (
        ("X", "3N", "035", "Not collected at the Access Point; it goes back"),
        ("X", "6C", "035", "Access Point hold time over"),
    ),
    "held": (
        ("X", "UE", "017", "Held at UPS for pickup, 5 business days"),
        ("X", "54", "017", "The receiver will collect at UPS"),
    ),
    "weather": (
        ("X", "7V", "051", "Emergency or weather delay"),
        ("X", "2A", "052", "Weather delay"),
        ("X", "DJ", "053", "Severe weather delay"),
    ),
    "rescheduled": (
        ("X", "14", "055", "Delivery rescheduled"),
        ("X", "TH", "055", "Delivery rescheduled"),
        ("D", "57", "013", "No delivery attempt on the planned day"),
    ),
    "delay": (("X", "07", "048", "Mis-sorted; a delay"), ("X", "CC", "049", "Operational delay")),
    "damage": (
        ("X", "13", "059", "Damaged; held at a hub"),
        ("X", "45", "059", "Damaged in transit"),
        ("D", "28", "059", "Damaged; held on the way"),
    ),
    "search": (("X", "F8", "129", "UPS is trying to verify the location"),),
    "lost": (("X", "S9", "068", "Sent to UPS lost and found"), ("X", "TJ", "068", "Sent to UPS lost and found")),
    "customs": (
        ("X", "71", "058", "Clearance data asked from the sender"),
        ("X", "OT", "058", "Clearance data asked from the sender"),
    ),
    "turn": (
        ("X", "DL", "035", "The parcel will be returned to the sender"),
        ("X", "KP", "035", "The parcel will be returned to the sender"),
        ("X", "UF", "036", "Return to the sender under way"),
        ("X", "O4", "013", "The parcel will be returned to the sender"),
    ),
    "home": (
        ("D", "FS", "011", "Delivered"),
        ("D", "F4", "034", "Returned to the sender"),
        ("D", "B0", "034", "Delivered to the original sender"),
        ("X", "UA", "034", "Returned to the sender"),
    ),
    "deliver": (("D", "FS", "011", "Delivered"), ("D", "F4", "011", "Delivered")),
    # A return that the sender asked for; source: facts/ups.md 7.4 for the codes and the statuses they come with.
    "asked_back": (
        ("X", "78", "119", "The sender asked for a delivery change"),
        ("X", "H6", "033", "A change was asked for; it is done when the parcel is back at the building"),
        ("X", "O1", "013", "The delivery change is in progress"),
    ),
    "recalled": (
        ("X", "CS", "118", "The shipper asked for the parcel back"),
        ("X", "I1", "035", "Returned at the sender's wish"),
    ),
    "withdrawn": (("X", "30", "114", "The request was cancelled"),),
    "corrected": (
        ("X", "9I", "028", "The address was corrected"),
        ("X", "AH", "028", "The address was corrected. The delivery is rescheduled"),
    ),
    "void": (("MV", "VP", "007", "Manifest cancelled, shipment voided"),),
}
AT_A_DOOR = frozenset({"deliver", "collected", "home"})

NUMBER = re.compile(r"1Z[0-9A-Z]{16}|1R[0-9A-Z]{14}|1R[0-9A-Z]{26}")


def check_digit(fifteen: str) -> str:
    """The 18th sign of a 1Z number from the 15 after `1Z`. Source: facts/ups.md 10.2."""
    values = [int(sign) if sign.isdigit() else (ord(sign) - 63) % 10 for sign in fifteen]
    return str(-(sum(values[::2]) + 2 * sum(values[1::2])) % 10)


def said(parcel: Parcel, scan: Scan) -> tuple[str, str, str, str]:
    """The wording to which this parcel keeps for a scan like this."""
    if scan.saying:
        kind, code, status, text = scan.saying
        return kind, code, status, text
    ways = SAYS[scan.word]
    return ways[(parcel.seed + zlib.crc32(scan.word.encode())) % len(ways)]
