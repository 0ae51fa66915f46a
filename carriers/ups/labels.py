"""Buys a UPS label, finds it again by our reference, voids it; answers are judged strictly, as money hangs on it."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx
import msgspec

from carriers.contract import (
    Away,
    Bought,
    Kind,
    Label,
    LabelFormat,
    Money,
    NotFound,
    Prepared,
    PurchaseOutcome,
    Refused,
    Rejected,
    Unknown,
    Unreadable,
    Voided,
    VoidOutcome,
)
from carriers.door import Door
from carriers.ups import shipment
from carriers.ups.calls import encoded, headers, many
from carriers.ups.image import upright
from carriers.ups.reading import read
from carriers.ups.sending import refusal, send
from carriers.ups.tracking import Tracking

API = "labels"
RECOVERY = "/api/labels/v1/recovery"
# No code for "no such label" is in our sources, so its words decide; all else is no miss.  # source: facts/ups.md 14
NO_LABEL_WORDS = ("not found", "no label", "no shipment", "no record", "no package", "no match", "unable to locate")


class _Amount(msgspec.Struct, rename="pascal"):
    currency_code: str = ""
    monetary_value: str = ""


class _Total(msgspec.Struct, rename="pascal"):
    total_charge: _Amount | None = None
    total_charges: _Amount | None = None


class _Coded(msgspec.Struct, rename="pascal"):
    code: str = ""
    description: str = ""


class _Image(msgspec.Struct, rename="pascal"):
    graphic_image: str = ""
    image_format: _Coded | None = None
    label_image_format: _Coded | None = None


class _Package(msgspec.Struct, rename="pascal"):
    tracking_number: str = ""
    shipping_label: _Image | None = None
    label_image: _Image | None = None


class _Transaction(msgspec.Struct, rename="pascal"):
    customer_context: str | None = None


class _Response(msgspec.Struct, rename="pascal"):
    response_status: _Coded
    alert: list[_Coded] | _Coded | None = None
    transaction_reference: _Transaction | str | None = None


class _Results(msgspec.Struct, rename="pascal"):
    shipment_identification_number: str
    # A single element comes as an object before v2403, and in UPS's own samples.  # source: facts/ups.md 0
    package_results: list[_Package] | _Package
    shipment_charges: _Total | None = None
    negotiated_rate_charges: _Total | None = None


class _Shipped(msgspec.Struct, rename="pascal"):
    response: _Response
    shipment_results: _Results


class _ShipAnswer(msgspec.Struct, rename="pascal"):
    shipment_response: _Shipped


class _Recovered(msgspec.Struct, rename="pascal"):
    label_results: list[_Package] | _Package | str | None = None
    tracking_candidate: list[_Package] | _Package | None = None
    shipment_identification_number: str = ""


class _RecoveryAnswer(msgspec.Struct, rename="pascal"):
    label_recovery_response: _Recovered


class _Summary(msgspec.Struct, rename="pascal"):
    status: _Coded


class _Void(msgspec.Struct, rename="pascal"):
    summary_result: _Summary


class _VoidAnswer(msgspec.Struct, rename="pascal"):
    void_shipment_response: _Void


class Labels:
    """The Ship, Void and Label Recovery APIs of one account."""

    def __init__(self, door: Door, tracking: Tracking, account: str) -> None:
        self._door, self._tracking, self._account = door, tracking, account

    # ------------------------------------------------------------------------------------------------------------- buy

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        """Send the prepared bytes once and say what is proven; never raises but for cancellation."""
        response = await send(self._door, prepared, API)
        if not isinstance(response, httpx.Response):
            return response
        if not response.is_success:
            return refusal(response)
        return await asyncio.to_thread(bought, response.content, prepared.reference)

    # ------------------------------------------------------------------------------------------------------------ find

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        """Labels under this purchase's reference, by Label Recovery and by Track by reference: a miss needs both.

        Raises Busy, Away, Refused.
        """
        results = await self._recover(shipment.by_reference(prepared.reference, self._account))
        pictured = {one.tracking_number for one in results if one.label_image}
        tracked = await self._tracked(prepared.reference)
        for number in dict.fromkeys([*(one.tracking_number for one in results), *tracked]):
            if number not in pictured:
                results += await self._recover(shipment.by_number(number)) or [_Package(number)]
        return await asyncio.to_thread(_labels, results)

    async def _recover(self, body: Mapping[str, Any]) -> list[_Package]:
        """What Label Recovery holds: results with a picture, or candidates with a number only."""
        try:
            response = await self._door.ask("POST", RECOVERY, api=API, headers=headers(), content=encoded(body))
        except NotFound:
            return []
        except Refused as error:
            if any(words in str(error).lower() for words in NO_LABEL_WORDS):
                return []
            raise
        try:
            answer = msgspec.json.decode(response.content, type=_RecoveryAnswer).label_recovery_response
        except msgspec.MsgspecError as error:
            raise Away("UPS answered Label Recovery with something unreadable") from error
        results = answer.label_results if not isinstance(answer.label_results, str) else None  # an empty text for none
        found = many(results) + many(answer.tracking_candidate)
        return [one for one in found if _named(one, answer.shipment_identification_number)]

    async def _tracked(self, reference: str) -> list[str]:
        """Numbers that carry the reference and are not voided."""
        try:
            readings = read(await self._tracking.numbers_of(reference, self._account))
        except Unreadable as error:
            raise Away("UPS answered Track by reference with something unreadable") from error
        gone = {event.number for event in readings.events if event.kind is Kind.VOIDED}
        return [told.number for told in readings.told if told.found and told.number not in gone]

    # ------------------------------------------------------------------------------------------------------------ void

    async def void(self, prepared: Prepared) -> VoidOutcome:
        """Send the prepared void once. Voiding twice is safe at UPS.  # source: facts/ups.md 3.1"""
        response = await send(self._door, prepared, API)
        if not isinstance(response, httpx.Response):
            return response
        return voided(response.content, prepared.reference) if response.is_success else refusal(response)


# ---------------------------------------------------------------------------------------------------------- the judging


def bought(body: bytes, reference: str) -> Bought | Unknown:
    """A 2xx answer to a purchase: Bought when it parses and is ours, else Unknown."""
    try:
        answer = msgspec.json.decode(body, type=_ShipAnswer).shipment_response
    except msgspec.MsgspecError:
        return Unknown("UPS answered a success that cannot be read")
    echoed = answer.response.transaction_reference
    context = echoed.customer_context if isinstance(echoed, _Transaction) else None
    results, packages = answer.shipment_results, many(answer.shipment_results.package_results)
    if answer.response.response_status.code != "1":
        return Unknown(f"UPS answered 200 with status {answer.response.response_status.code!r}")
    if context is not None and context != reference:
        return Unknown("UPS answered another purchase's context")
    if len(packages) != 1 or not packages[0].tracking_number:
        return Unknown(f"UPS answered a success with {len(packages)} packages")
    documents, warnings = _documents(packages[0].shipping_label)
    if not documents:
        return Unknown("UPS answered a success without a label that can be read")
    alerts = tuple(f"{one.code} {one.description}".strip() for one in many(answer.response.alert))
    label = Label(
        packages[0].tracking_number,
        documents,
        _price(results),
        results.shipment_identification_number,
        warnings=(*alerts, *warnings),
    )
    return Bought(label, body)


def voided(body: bytes, number: str) -> VoidOutcome:
    """A 2xx answer to a void. The test system wraps its values in carriage returns.  # source: facts/ups.md 3.1"""
    try:
        status = msgspec.json.decode(body, type=_VoidAnswer).void_shipment_response.summary_result.status
    except msgspec.MsgspecError:
        return Unknown("UPS answered a void that cannot be read")
    code = status.code.replace("&#xD;", "").strip()
    if code == "1":
        return Voided(number, status.description.replace("&#xD;", "").strip())
    return (
        Rejected(code, status.description or "UPS did not void it") if code == "0" else Unknown(f"void status {code!r}")
    )


def _price(results: _Results) -> Money | None:
    """What it costs this account: the negotiated charge where there is one.  # source: facts/ups.md 2.10"""
    negotiated, listed = results.negotiated_rate_charges, results.shipment_charges
    amount = (negotiated and (negotiated.total_charge or negotiated.total_charges)) or (listed and listed.total_charges)
    if not amount:
        return None
    try:
        return Money(Decimal(amount.monetary_value), amount.currency_code)
    except InvalidOperation:
        return None


def _documents(image: _Image | None) -> tuple[Mapping[LabelFormat, bytes], tuple[str, ...]]:
    """The label as UPS drew it, and for its sideways GIF an upright PDF and PNG. A picture nobody can turn is kept."""
    if image is None or not image.graphic_image:
        return {}, ()
    coded = image.image_format or image.label_image_format
    try:
        drawn = base64.b64decode("".join(image.graphic_image.split()), validate=True)
        own = LabelFormat((coded.code if coded else "GIF").strip().lower())
    except (binascii.Error, ValueError):
        return {}, ()
    if own not in (LabelFormat.GIF, LabelFormat.PNG):
        return {own: drawn}, ()
    try:
        png, pdf = upright(drawn)
    except ValueError as error:
        return {own: drawn}, (str(error),)
    return {own: drawn, LabelFormat.PDF: pdf, LabelFormat.PNG: png}, ()


def _labels(results: list[_Package]) -> tuple[Label, ...]:
    """One label per number; what was recovered with a picture beats a number alone."""
    found: dict[str, Label] = {}
    for result in results:
        documents, warnings = _documents(result.label_image)
        if documents or result.tracking_number not in found:
            # The shipment is named by its only package's number.  # source: facts/ups.md 2.10
            label = Label(result.tracking_number, documents, None, result.tracking_number, warnings=warnings)
            found[result.tracking_number] = label
    return tuple(found.values())


def _named(package: _Package, shipment_number: str) -> bool:
    """Whether a result says whose label it is; where it does not, the shipment's number is its own."""
    package.tracking_number = package.tracking_number or shipment_number
    return bool(package.tracking_number)
