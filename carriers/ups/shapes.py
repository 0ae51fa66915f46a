"""The JSON that UPS sends, as typed shapes: Track answers, Track Alert pushes and error bodies, what we read of them.

Bytes as documented are decoded in one pass. Anything else that is JSON (one object where a list belongs, numbers or
nulls where texts belong) is tidied first: UPS's own samples do all of that.  # source: facts/ups.md 0, 4.1, 6.2, 11
"""

from typing import Any

import msgspec

from carriers.contract import Unreadable


class _Shape(msgspec.Struct, rename="camel", gc=False):
    """Every field may be missing.  # source: facts/ups.md 4.1"""


class Address(_Shape):
    city: str | None = None
    state_province: str | None = None
    postal_code: str | None = None
    country: str | None = None
    country_code: str | None = None
    address_line1: str | None = None


class Location(_Shape):
    address: Address | None = None


class Status(_Shape):
    type: str | None = None
    code: str | None = None
    description: str | None = None
    simplified_text_description: str | None = None
    status_code: str | None = None
    description_code: str | None = None  # Track Alert's name for the three digits


class Activity(_Shape):
    date: str | None = None
    time: str | None = None
    gmt_date: str | None = None
    gmt_time: str | None = None
    gmt_offset: str | None = None
    location: Location | None = None
    status: Status | None = None
    logical_scan: bool | None = None


class DeliveryDate(_Shape):
    type: str | None = None
    date: str | None = None


class DeliveryTime(_Shape):
    type: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class AccessPoint(_Shape):
    pickup_by_date: str | None = None


class Numbered(_Shape):
    type: str | None = None
    number: str | None = None


class Service(_Shape):
    code: str | None = None
    description: str | None = None


class PackageAddress(_Shape):
    type: str | None = None
    address: Address | None = None


class Milestone(_Shape):
    code: str | None = None
    description: str | None = None
    state: str | None = None
    category: str | None = None
    current: bool | None = None
    linked_activity: str | None = None


class Package(_Shape):
    tracking_number: str | None = None
    current_status: Status | None = None
    activity: list[Activity] | None = None
    delivery_date: list[DeliveryDate] | None = None
    delivery_time: DeliveryTime | None = None
    access_point_information: AccessPoint | None = None
    alternate_tracking_number: list[Numbered] | None = None
    reference_number: list[Numbered] | None = None
    service: Service | None = None
    package_address: list[PackageAddress] | None = None
    milestones: list[Milestone] | None = None


class Complaint(_Shape):
    """A warning or an error: the code and message under one of the names in use."""

    code: str | None = None
    message: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.code or self.error_code, self.message or self.error_message) if part)


class Shipment(_Shape):
    inquiry_number: str | None = None
    package: list[Package] | None = None
    warnings: list[Complaint] | None = None


class TrackResponse(_Shape):
    shipment: list[Shipment] | None = None


class Response(_Shape):
    errors: list[Complaint] | None = None


class Body(_Shape):
    """Whatever came: an answer, a push or a complaint, told apart by what is there."""

    track_response: TrackResponse | None = None
    # Track Alert
    tracking_number: str | None = None
    local_activity_date: str | None = None
    local_activity_time: str | None = None
    gmt_activity_date: str | None = None
    gmt_activity_time: str | None = None
    gmt_offset: str | None = None
    activity_location: Address | None = None
    activity_status: Status | None = None
    scheduled_delivery_date: str | None = None
    actual_delivery_date: str | None = None
    delivery_start_time: str | None = None
    delivery_end_time: str | None = None
    alternate_tracking_number: str | None = None
    # complaints
    response: Response | None = None
    errors: list[Complaint] | None = None

    @property
    def complaints(self) -> list[Complaint]:
        return (self.response.errors if self.response else self.errors) or []


_LISTS = frozenset(
    {
        "activity", "deliveryDate", "errors", "milestones", "package", "packageAddress", "referenceNumber", "shipment",
        "warnings",
    }
)  # fmt: skip
_OBJECTS = frozenset(
    {
        "accessPointInformation", "activityLocation", "activityStatus", "address", "currentStatus", "deliveryTime",
        "location", "response", "service", "status", "trackResponse",
    }
)  # fmt: skip
_decoder = msgspec.json.Decoder(Body)


def parse(body: bytes) -> Body:
    """The bytes as a Body. Raises Unreadable for what is not a JSON object."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        return _parse_untidy(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"UPS: expected JSON, got {body[:40]!r}: {error}") from error


def _parse_untidy(body: bytes) -> Body:
    try:
        return msgspec.convert(_tidy(msgspec.json.decode(body)), Body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable(f"UPS: expected a JSON object as Track or Track Alert sends it: {error}") from error


def _tidy(value: Any, inside: str = "") -> Any:
    if not isinstance(value, dict):
        return value
    return {key: tidied for key, held in value.items() if (tidied := _fitting(key, held, inside)) is not None}


def _fitting(key: str, held: Any, inside: str) -> Any:
    """What the field `key` may hold, made from what it does hold; None where nothing of it can be used."""
    if key in _LISTS or (key == "alternateTrackingNumber" and inside == "package"):
        return [_tidy(one, key) for one in (held if isinstance(held, list) else [held]) if isinstance(one, dict)]
    if key in _OBJECTS:
        one = held[0] if isinstance(held, list) and held else held
        return _tidy(one, key) if isinstance(one, dict) else None
    if key == "logicalScan" or (key == "current" and inside == "milestones"):
        return held is True or str(held).lower() == "true"
    if isinstance(held, str):
        return held
    if isinstance(held, int | float) and not isinstance(held, bool):
        # a time that came as a number has lost its leading zeros
        return f"{held:06}" if key.lower().endswith("time") and isinstance(held, int) else str(held)
    return None
