"""What USPS tells of a parcel: the item of the batch call, the older call's answer, and the inside of a push."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from carriers.usps.standin.town import Json, Parcel, Scan
from carriers.usps.standin.words import AT_FACILITY, DATE_ONLY, said


def _head(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    """What both versions and the pushes say about the parcel itself."""
    newest = max(scans, key=lambda scan: (scan.at, scan.order))
    _, text, category = said(parcel, newest)
    head: Json = {
        "trackingNumber": parcel.number,
        "mailClass": "USPS Ground Advantage<SUP>&#153;</SUP>",  # source: facts/usps.md 3.3
        "mailType": "DM",
        "originCity": parcel.origin.city.upper(),
        "destinationCity": parcel.destination.city.upper(),
        "services": ["USPS Tracking<SUP>&#174;</SUP>"],
        "serviceTypeCode": parcel.number[2:5],
        "status": text,
        "statusCategory": category,
        "statusSummary": _summary_line(parcel, newest),
        "kahalaIndicator": False,
    }
    for side, place in (("origin", parcel.origin), ("destination", parcel.destination)):
        if place.country == "US":
            head[f"{side}State"] = place.region
    return head


def _summary_line(parcel: Parcel, scan: Scan) -> str:
    _, text, _ = said(parcel, scan)
    where = ", ".join(part for part in (scan.place.city.upper(), scan.place.region) if part)
    when = f"{scan.local:%I:%M %p} on {scan.local:%B} {scan.local.day}, {scan.local.year}".lstrip("0")
    if scan.word.startswith("miss"):
        back = (
            f" If you do not claim it, it goes back on {scan.keep:%B} {scan.keep.day}, {scan.keep.year}."
            if scan.keep
            else ""
        )
        return f"We attempted to deliver your item at {when} in {where} and a notice was left.{back}"
    if scan.word == "reminder" and scan.keep:
        back = f"{scan.keep:%B} {scan.keep.day}, {scan.keep.year}"
        return f"This is a reminder to schedule redelivery before your item is returned on {back}."
    return f"{text} at {when}{f' in {where}' if where else ''}."


def _expected(parcel: Parcel, scans: Sequence[Scan]) -> str:
    return f"{max([parcel.scheduled, *(scan.again for scan in scans if scan.again)])}"


def detail(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    """One item of the batch call, and of a push."""
    told = _head(parcel, scans) | {
        "mailClassCode": "RG",
        "mailingDate": f"{parcel.starts_at:%Y-%m-%d}",
        "uniqueTrackingID": str(parcel.seed),
        "deliveryDateExpectation": {"expectedDeliveryDate": _expected(parcel, scans)},
        "servicesEligibility": {
            "RREEnabled": False,
            "proofOfDeliveryEnabled": False,
            "trackingProofOfDeliveryEnabled": False,
        },
        "trackingEvents": [_event(parcel, scan) for scan in scans],
    }
    for side, place in (("origin", parcel.origin), ("destination", parcel.destination)):
        if place.country == "US":
            told[f"{side}ZIPCode"] = place.postal_code
        else:
            told[f"{side}Country"] = place.country
    return told


def _event(parcel: Parcel, scan: Scan) -> Json:
    code, text, _ = said(parcel, scan)
    event: Json = {"eventType": f"{text} " if scan.echo else text, "actionCode": "", "reasonCode": ""}
    if code:
        event["eventCode"] = code
    if scan.word in DATE_ONLY:
        event |= {"eventTimestamp": f"{scan.local:%Y-%m-%d}", "GMTTimestamp": None, "GMTOffset": None}
    else:
        # source: facts/usps.md 3.3: tellings of one scan differ in seconds, never in the minute.
        second = (scan.at.second + 17) % 60 if scan.echo else scan.at.second
        local, gmt = scan.local.replace(second=second), scan.at.replace(second=second)
        event |= {
            "eventTimestamp": local.isoformat(),
            "GMTTimestamp": f"{gmt:%Y-%m-%dT%H:%M:%SZ}",
            "GMTOffset": _offset(local, parcel.seed),
        }
    at_facility = scan.word in AT_FACILITY or not scan.place.postal_code
    event |= {
        "eventCity": scan.place.city.upper() or None,
        "eventState": None if at_facility or scan.place.country != "US" else scan.place.region,
        "eventZIPCode": None if at_facility or scan.place.country != "US" else scan.place.postal_code,
        "eventCountry": None if scan.place.country in {"US", ""} else scan.place.country,
    }
    if scan.word in {"deliver", "home"}:
        event["recipientName"] = "R CEIVER"
    return event


def _offset(local: datetime, seed: int) -> str:
    """Source: facts/usps.md 3.3: "-7:00" and "-07:00" both occur."""
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours = f"{abs(minutes) // 60:02d}" if seed % 2 else f"{abs(minutes) // 60}"
    return f"{'-' if minutes < 0 else '+'}{hours}:{abs(minutes) % 60:02d}"


def older(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    """The v3 answer. Source: facts/usps.md 3.1, 3.3: other keys, booleans as text, wall time with a bogus Z."""
    told = _head(parcel, scans) | {
        "mailPieceIntakeDate": f"{parcel.starts_at:%Y-%m-%dT%H:%M:%SZ}",
        "uniqueMailPieceID": str(parcel.seed),
        "mailType": "DOMESTIC_MAIL",
        "originZIP": parcel.origin.postal_code,
        "destinationZIP": parcel.destination.postal_code,
        "services": "USPS Tracking<SUP>&reg;</SUP>",
        "expectedDeliveryTimeStamp": f"{_expected(parcel, scans)}T00:00:00Z",
        "RREEnabled": "false",
        "RRAMEnabled": "false",
        "redeliveryEnabled": "true" if any(scan.word.startswith("miss") for scan in scans) else "false",
        "accessControl": "FREE",
    }
    if kept := [scan.keep for scan in scans if scan.keep]:
        told["returnDateNotice"] = f"{max(kept)}"
    events = []
    for scan in scans:
        event = _event(parcel, scan)
        event["eventZIP"] = event.pop("eventZIPCode")
        event["eventTimestamp"] = (
            event["eventTimestamp"] if scan.word in DATE_ONLY else f"{scan.local:%Y-%m-%dT%H:%M:%SZ}"
        )
        if name := event.pop("recipientName", None):
            event["name"] = name
        events.append(event)
    return told | {"trackingEvents": events}


def summary(parcel: Parcel, scans: Sequence[Scan]) -> Json:
    lines = [f"{said(parcel, scan)[1]}, {scan.local:%m/%d/%Y, %I:%M %p}, {scan.place.city.upper()}" for scan in scans]
    return {"trackingNumber": parcel.number, "expectedDeliveryDate": _expected(parcel, scans), "eventSummaries": lines}


def pushed(parcel: Parcel, scan: Scan) -> Json:
    """The inner object of a push: usually just the new event. Source: facts/usps.md 5."""
    told = detail(parcel, [scan])
    event = told["trackingEvents"][0]
    if event["GMTTimestamp"]:  # source: facts/usps.md 3.3: push and poll differ in seconds
        second = (scan.at.second + 31) % 60
        event["GMTTimestamp"] = f"{scan.at.replace(second=second):%Y-%m-%dT%H:%M:%SZ}"
        event["eventTimestamp"] = scan.local.replace(second=second).isoformat()
    return told
