"""What UPS tells of a parcel: the Track answer's package and activity, and the Track Alert event."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from carriers.ups.standin.town import Json, Parcel, Place, Scan
from carriers.ups.standin.words import AT_A_DOOR, said


def nothing(number: str) -> Json:
    return {"inquiryNumber": number, "warnings": [{"code": "TW0001", "message": "Tracking Information Not Found"}]}


# What UPS draws of a journey: its code and words, and the words of ours that reach it.
MILESTONES = (
    ("1", "Label Created", {"label"}),
    ("2", "Shipped/Pickup", {"pickup", "dropoff", "origin"}),
    ("3", "In Transit", {"depart", "hub", "arrive"}),
    ("4", "Out for Delivery", {"out"}),
    ("5", "Delivered", AT_A_DOOR),
)


def milestones(scans: Sequence[Scan]) -> list[Json]:
    """Source: Tracking.yaml, Milestones: oldest first; what is reached names the activity (0 is the newest)."""
    reached = [next((i for i, scan in enumerate(scans) if scan.word in words), None) for _, _, words in MILESTONES]
    latest = max((step for step, index in enumerate(reached) if index is not None), default=None)
    told: list[Json] = []
    for step, (code, text, _) in enumerate(MILESTONES):
        one: Json = {"code": code, "description": text, "current": step == latest, "state": "INCOMPLETE"}
        if (index := reached[step]) is not None:
            one |= {"state": "COMPLETE", "category": text.upper(), "linkedActivity": str(index)}
        told.append(one)
    return told


def package(parcel: Parcel, scans: Sequence[Scan], draws_milestones: bool = False) -> Json:
    newest = max(scans, key=lambda scan: (scan.at, scan.order))
    kind, _, status, text = said(parcel, newest)
    # source: facts/ups.md 4.1: in practice `code` holds the three-digit status, and type and statusCode may be missing.
    current: Json = {"description": text, "code": status}
    if parcel.seed % 3 == 0:
        current |= {"type": kind, "statusCode": status, "simplifiedTextDescription": text.split(".")[0]}
    told: Json = {
        "trackingNumber": parcel.number,
        "deliveryDate": _delivery_dates(parcel, scans),
        "deliveryTime": _delivery_time(scans),
        "activity": [_activity(parcel, scan) for scan in scans],
        "currentStatus": current,
        "packageAddress": [
            _package_address("ORIGIN", parcel.origin),
            _package_address("DESTINATION", parcel.destination),
        ],
        "service": {"code": "518", "levelCode": "011", "description": "UPS Standard"},
        "weight": {"unitOfMeasurement": "KGS", "weight": "1.50"},
        "packageCount": 1,
    }
    if parcel.references:
        told["referenceNumber"] = [{"type": "SHIPMENT", "number": reference} for reference in parcel.references]
    if keep := next((scan.keep for scan in scans if scan.keep), None):
        told["accessPointInformation"] = {"pickupByDate": f"{keep:%Y%m%d}"}
    if draws_milestones:
        told["milestones"] = milestones(scans)
    if any(scan.word in {"deliver", "home"} for scan in scans):
        told["deliveryInformation"] = {"location": "Front Desk", "receivedBy": "R. CEIVER"}
    return told


def _delivery_dates(parcel: Parcel, scans: Sequence[Scan]) -> list[Json]:
    dates = [{"type": "SDD", "date": f"{parcel.scheduled:%Y%m%d}"}]
    if moved := [scan.again for scan in scans if scan.again]:
        dates.append({"type": "RDD", "date": f"{max(moved):%Y%m%d}"})
    if handed := next((scan for scan in scans if scan.word in AT_A_DOOR), None):
        dates.append({"type": "DEL", "date": f"{handed.local:%Y%m%d}"})
    return dates


def _delivery_time(scans: Sequence[Scan]) -> Json:
    handed = next((scan for scan in scans if scan.word in AT_A_DOOR), None)
    return {"type": "DEL", "endTime": f"{handed.local:%H%M%S}"} if handed else {"type": "EOD"}


def _package_address(kind: str, place: Place) -> Json:
    address = {
        "city": place.city.upper(),
        "stateProvince": place.region,
        "countryCode": place.country,
        "country": place.country,
    }
    return {"type": kind, "name": place.name, "address": address}


def _activity(parcel: Parcel, scan: Scan) -> Json:
    kind, code, status, text = said(parcel, scan)
    address: Json = {"country": scan.place.country, "countryCode": scan.place.country}
    if scan.word != "label":
        address["city"] = scan.place.city.title() if scan.echo else scan.place.city.upper()
    if scan.place.region and not scan.echo:
        address["stateProvince"] = scan.place.region
    # source: facts/ups.md 4.4: the same scan can come again with another text.
    words: Json = {"type": kind, "code": code, "description": f"{text}." if scan.echo else text}
    if not scan.echo or status != "013":
        words["statusCode"] = status
    return {
        "location": {"address": address, "slic": f"{parcel.seed % 9000 + 1000}"},
        "status": words,
        "date": f"{scan.local:%Y%m%d}",
        "time": f"{scan.local:%H%M%S}",
        # source: facts/ups.md 4.2: colons in gmtTime and gmtOffset, against the schema's example.
        "gmtDate": f"{scan.at:%Y%m%d}",
        "gmtTime": f"{scan.at:%H:%M:%S}",
        "gmtOffset": _offset(scan.local, ":"),
        "logicalScan": scan.word in {"label", "void"},
    }


def _offset(local: datetime, sign: str) -> str:
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{sign}{abs(minutes) % 60:02d}"


def pushed(parcel: Parcel, scan: Scan) -> Json:
    """A Track Alert event. Source: facts/ups.md 6.2: empty strings, a dot in the offset, a number or text as status."""
    kind, code, status, text = said(parcel, scan)
    handed = scan.word in AT_A_DOOR
    return {
        # source: facts/ups.md 6.2: a leading blank has been seen.
        "trackingNumber": f" {parcel.number}" if parcel.seed % 5 == 0 else parcel.number,
        "localActivityDate": f"{scan.local:%Y%m%d}",
        "localActivityTime": f"{scan.local:%H%M%S}",
        "activityLocation": {
            "city": scan.place.city,
            "stateProvince": scan.place.region,
            "postalCode": scan.place.postal_code if handed else "",
            "country": scan.place.country,
        },
        "activityStatus": {
            "type": kind,
            "code": code,
            "description": text,
            "descriptionCode": int(status) if parcel.seed % 4 == 0 else status,
        },
        "scheduledDeliveryDate": f"{scan.again or parcel.scheduled:%Y%m%d}",
        "actualDeliveryDate": f"{scan.local:%Y%m%d}" if handed else "",
        "actualDeliveryTime": f"{scan.local:%H%M%S}" if handed else "",
        "gmtActivityDate": f"{scan.at:%Y%m%d}",
        "gmtActivityTime": f"{scan.at:%H%M%S}",
        "gmtOffset": _offset(scan.local, "."),
        "deliveryStartTime": "",
        "deliveryEndTime": "",
        "deliveryTimeDescription": "end of day",
        "deliveryPhoto": "",
        "alternateTrackingNumber": "",
        "receivedBy": "",
    }
