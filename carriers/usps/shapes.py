"""The bytes of a USPS tracking answer or push as typed structs: strict and fast first, forgiving after any surprise.

The strict reading knows every key of the published schemas and refuses any other, so a key in another case, a number
for a string or a new field never passes unseen: it sends the payload to the forgiving reading, which costs more and
gives the same structs.  # source: facts/usps.md 3.1, 3.2, 3.3, 5
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from carriers.contract import Unreadable
from carriers.usps import wording


class Scan(Struct, gc=False):
    """One entry of `trackingEvents`. Signer, firm and codes we do not use are left in the kept bytes."""

    code: str | None = field(name="eventCode", default=None)
    words: str | None = field(name="eventType", default=None)
    stamp: str | None = field(name="eventTimestamp", default=None)  # a date-time, or a bare date
    at: datetime | None = field(name="GMTTimestamp", default=None)
    offset: str | None = field(name="GMTOffset", default=None)
    city: str | None = field(name="eventCity", default=None)
    state: str | None = field(name="eventState", default=None)
    zip_code: str | None = field(name="eventZIPCode", default=None)
    zip_v3: str | None = field(name="eventZIP", default=None)
    country: str | None = field(name="eventCountry", default=None)


class Expectation(Struct, gc=False):
    """When USPS expects to deliver: an object of its own in v3r2, top-level keys in v3."""

    expected: str | None = field(name="expectedDeliveryDate", default=None)
    predicted: str | None = field(name="predictedDeliveryDate", default=None)
    guaranteed: str | None = field(name="guaranteedDeliveryDate", default=None)
    window_start: str | None = field(name="predictedDeliveryWindowStartTime", default=None)
    window_end: str | None = field(name="predictedDeliveryWindowEndTime", default=None)
    modified: str | None = field(name="deliveryDateModifiedIndicator", default=None)


class Item(Struct, gc=False):
    """What is said of one number: found, with its scans, or not found, with the error."""

    number: str | None = field(name="trackingNumber", default=None)
    scans: list[Scan] | None = field(name="trackingEvents", default=None)
    scan: Scan | None = field(name="trackingEvent", default=None)
    summaries: list[str] | None = field(name="eventSummaries", default=None)
    expectation: Expectation | None = field(name="deliveryDateExpectation", default=None)
    expected_v3: str | None = field(name="expectedDeliveryTimeStamp", default=None)
    expected_summary: str | None = field(name="expectedDeliveryDate", default=None)
    predicted_v3: str | None = field(name="predictedDeliveryDate", default=None)
    predicted_old: str | None = field(name="predictedDeliveryTimeStamp", default=None)
    guaranteed_v3: str | None = field(name="guaranteedDeliveryTimeStamp", default=None)
    guaranteed_summary: str | None = field(name="guaranteedDeliveryDate", default=None)
    window_start: str | None = field(name="predictedDeliveryWindowStartTime", default=None)
    window_end: str | None = field(name="predictedDeliveryWindowEndTime", default=None)
    return_date: str | None = field(name="returnDateNotice", default=None)
    mail_class: str | None = field(name="mailClass", default=None)
    category: str | None = field(name="statusCategory", default=None)
    summary: str | None = field(name="statusSummary", default=None)
    origin_city: str | None = field(name="originCity", default=None)
    origin_state: str | None = field(name="originState", default=None)
    origin_zip: str | None = field(name="originZIPCode", default=None)
    origin_zip_v3: str | None = field(name="originZIP", default=None)
    origin_country: str | None = field(name="originCountry", default=None)
    destination_city: str | None = field(name="destinationCity", default=None)
    destination_state: str | None = field(name="destinationState", default=None)
    destination_zip: str | None = field(name="destinationZIPCode", default=None)
    destination_zip_v3: str | None = field(name="destinationZIP", default=None)
    destination_country: str | None = field(name="destinationCountry", default=None)
    destination_country_v3: str | None = field(name="destinationCountryCode", default=None)
    associated: str | None = field(name="associatedTrackingNumber", default=None)
    original: str | None = field(name="originalTrackingNumber", default=None)
    other_label: str | None = field(name="associatedLabel", default=None)
    references: list[str] | None = field(name="customerReferenceNumber", default=None)
    status_code: str | None = field(name="statusCode", default=None)
    error: dict[str, Any] | None = None


# Every key of the schemas: first those of a v3r2 answer, in the order in which USPS writes them as far as that is known
# (a key is looked for from where the last one was found), then what we read of the others, then what nobody reads of
# them.  # source: facts/usps.md 3.2
_KEYS = {
    Scan: (
        """
        eventCode eventType eventTimestamp GMTTimestamp GMTOffset eventCity eventState eventZIPCode eventCountry
        actionCode reasonCode CODAmountDue eventPartner firm recipientName veriPoint
        eventZIP
        """,
        "name authorizedAgent barcodeInputMethod containers eSOL scanEventExtractEventName",
    ),
    Expectation: (
        """
        expectedDeliveryDate predictedDeliveryDate predictedDeliveryWindowStartTime predictedDeliveryWindowEndTime
        guaranteedDeliveryDate guaranteedDetails endOfDay predictedDeliverySource
        deliveryDateModifiedIndicator
        """,
        "",
    ),
    Item: (
        """
        apiVersion statusCode error trackingNumber associatedTrackingNumber mailClass mailClassCode mailType
        mailingDate originCity originState originZIPCode originCountry destinationCity destinationState
        destinationZIPCode destinationCountry services serviceTypeCode status statusCategory statusSummary
        uniqueTrackingID kahalaIndicator deliveryDateExpectation servicesEligibility trackingEvents links
        trackingEvent eventSummaries originZIP destinationZIP destinationCountryCode associatedLabel
        originalTrackingNumber customerReferenceNumber expectedDeliveryDate expectedDeliveryTimeStamp
        predictedDeliveryDate predictedDeliveryTimeStamp predictedDeliveryWindowStartTime
        predictedDeliveryWindowEndTime guaranteedDeliveryDate guaranteedDeliveryTimeStamp returnDateNotice
        """,
        """
        additionalInfo ADPScripting archiveRestoreInfo carrierRelease editedLabelId emailEnabled endOfDay
        eSOFEligible expectedDeliveryTime expectedDeliveryType guaranteedDetails itemShape approximateIntakeDate
        mailPieceIntakeDate uniqueTrackingId uniqueMailPieceId uniqueMailPieceID onTime proofOfDeliveryEnabled
        relatedReturnReceiptID redeliveryEnabled enabledNotificationRequests restoreEnabled RRAMenabled RRAMEnabled
        RREEnabled tableCode trackingProofOfDeliveryEnabled valueofArticle accessControl
        extendRetentionPurchasedCode extendRetentionExtraServiceCodeOptions addressStandardizedCode
        addressServiceParticipantCode ancillaryServiceEndorsement deliveryAddress destinationZIPCodePlus4
        electronicFileNumber impbComplianceReportCode logisticsManagerMailerID mailerID mailerName
        mailOwnerMailerID postalCode productWeight startTheClockTimestamp
        """,
    ),
}


def _strict(base: type[Struct], is_v3r2: bool, **types: Any) -> Any:
    """Our fields and the keys that nobody reads, in the order of the keys, and no key besides."""
    ours = {f.encode_name: f for f in msgspec.structs.fields(base)}
    usual, others = _KEYS[base]
    made: list[tuple[str, Any, Any]] = []
    for key in (usual if is_v3r2 else usual + others).split():
        f = ours.pop(key, None)
        made.append((f.name, types.get(f.name, f.type), field(name=key, default=None)) if f else (key, Raw, Raw()))
    if ours:
        raise ValueError(f"no place among the keys: {', '.join(ours)}")
    return msgspec.defstruct(f"Strict{base.__name__}", made, forbid_unknown_fields=True, gc=False)


def _whole(is_v3r2: bool) -> Any:
    scan: Any = _strict(Scan, is_v3r2)
    expectation: Any = _strict(Expectation, is_v3r2)
    return _strict(Item, is_v3r2, scans=list[scan] | None, scan=scan | None, expectation=expectation | None)


_V3R2: Any = _whole(True)
_OLDER: Any = _whole(False)
BOM = b"\xef\xbb\xbf"
# A list is an answer of v3r2; one object is an answer of v3, or inside a push.
_MANY, _ONE = msgspec.json.Decoder(list[_V3R2]), msgspec.json.Decoder(_OLDER)
_ANY = msgspec.json.Decoder()


class _Named(Struct, gc=False):
    """An item as far as its number."""

    number: str = field(name="trackingNumber")


_APART, _NAMED = msgspec.json.Decoder(list[Raw]), msgspec.json.Decoder(_Named)

# ------------------------------------------------------------------------------------------------------------ forgiving


def _names(shape: type[Struct]) -> dict[str, str]:
    """Wire name in lower case -> ours: keys drift in case.  # source: facts/usps.md 3.3"""
    return {f.encode_name.lower(): f.name for f in msgspec.structs.fields(shape)}


_SCAN, _EXPECTATION, _ITEM = _names(Scan), _names(Expectation), _names(Item)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _texts(value: object) -> list[str] | None:
    """A list of strings, or one string where a list belongs.  # source: facts/usps.md 3.3"""
    values = value if isinstance(value, list) else [value]
    return [text for each in values if (text := _text(each))] or None


def _folded(said: Mapping[str, object], names: Mapping[str, str]) -> dict[str, Any]:
    """Our names for its keys, in any case; what is null or unknown is left out, the first of two wins."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        if (name := names.get(key.lower())) and value is not None:
            found.setdefault(name, value)
    return found


def _scan(said: object) -> Scan:
    if not isinstance(said, dict):
        raise Unreadable("an entry of trackingEvents is not an object")
    found: dict[str, Any] = {name: _text(value) for name, value in _folded(said, _SCAN).items()}
    if gmt := found.pop("at", None):
        found["at"] = wording.instant(gmt)
    for name, digits in (("code", 2), ("zip_code", 5), ("zip_v3", 5)):
        # A code or ZIP that came as a number has lost its leading zero.
        if (text := found.get(name)) and text.isdigit():
            found[name] = text.zfill(digits)
    return Scan(**found)


def _scans(said: object) -> list[Scan]:
    return [_scan(each) for each in (said if isinstance(said, list) else [said])]


def _expectation(said: object) -> Expectation | None:
    if not isinstance(said, dict):
        return None
    return Expectation(**{name: _text(value) for name, value in _folded(said, _EXPECTATION).items()})


def _item(said: object) -> Item:
    if not isinstance(said, dict):
        raise Unreadable("a tracking answer holds something that is no object")
    found = _folded(said, _ITEM)
    item = Item(expectation=_expectation(found.pop("expectation", None)))
    if "scans" in found:
        item.scans = _scans(found.pop("scans"))
    if "scan" in found:
        item.scan = _scan(found.pop("scan"))
    error = found.pop("error", None)
    item.error = error if isinstance(error, dict) or error is None else {"message": _text(error) or ""}
    item.references, item.summaries = _texts(found.pop("references", None)), _texts(found.pop("summaries", None))
    for name, value in found.items():
        setattr(item, name, _text(value))
    return item


# --------------------------------------------------------------------------------------------------------------- asking


def json(text: bytes | str) -> Any:
    """Any JSON, or Unreadable: also for nesting without end."""
    try:
        return _ANY.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None


def inner(payload: str) -> list[Item]:
    """The JSON inside a push. USPS's own example leaves its backslashes in: then unescape once.  # facts/usps.md 5"""
    try:
        return items(payload.encode())
    except Unreadable:
        unescaped = payload.strip().replace('\\"', '"').replace("\\\\", "\\")
        if unescaped == payload:
            raise
    return items(unescaped.encode())


def items(body: bytes) -> list[Item]:
    """Every item of a tracking answer: a list, a bare object, an error answer, or what a push envelope holds."""
    body = body.removeprefix(BOM)
    try:
        return _MANY.decode(body) if body[:1] == b"[" else [_ONE.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # the forgiving reading says what is wrong, if anything is
    said = json(body)
    if isinstance(said, dict) and "payload" in said:
        return _pushed(said["payload"])
    if isinstance(said, dict) and "challenge" in said:
        return []  # asked for when a subscription is made; says nothing of a parcel.  # source: facts/usps.md 5
    return [_item(each) for each in (said if isinstance(said, list) else [said])]


def apart(body: bytes) -> list[tuple[str, bytes]]:
    """A list's items, each with its number and its own bytes; none where one of them has no number."""
    try:
        return [(_NAMED.decode(item).number, bytes(item)) for item in _APART.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _pushed(payload: object) -> list[Item]:
    if isinstance(payload, str):
        return inner(payload)
    if isinstance(payload, dict):
        return [_item(payload)]
    raise Unreadable("a push without a payload string")
