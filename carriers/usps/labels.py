"""Buys a USPS return label, finds it again by its key; answers are judged strictly, as money hangs on it."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from email import policy
from email.message import Message
from email.parser import BytesParser
from typing import Any, Final

import httpx
import msgspec

from carriers.contract import (
    Away,
    Bought,
    Busy,
    CarrierError,
    Label,
    LabelFormat,
    Money,
    NotExecuted,
    NotFound,
    Prepared,
    PurchaseOutcome,
    Refused,
    Rejected,
    Unknown,
    Voided,
    VoidOutcome,
)
from carriers.door import Door, Token, TokenKeeper, never_left, retry_after
from carriers.usps import faults, numbers, shipment

API = "labels"
REPRINT = "/labels/v3/label-reprint"
PAYMENT = "X-Payment-Authorization-Token"
# source: design/labels-never-twice.md, step 3
SENDING = httpx.Timeout(connect=5.0, write=10.0, read=60.0, pool=5.0)
HARD_SECONDS = 75.0
NOT_EXECUTED = frozenset({401, 429})
REFUSALS = frozenset({400, 402, 403, 422})
# source: facts/usps.md 2.8: not found (in 45 days). Any other refusal of a reprint means that there is a label.
MISSING = frozenset({"160378", "160185"})
MOST_BYTES = 2 * 1024 * 1024
MAGIC: Final = {
    LabelFormat.PDF: (b"%PDF-",),
    LabelFormat.PNG: (b"\x89PNG\r\n\x1a\n",),
    LabelFormat.GIF: (b"GIF8",),
}
NOT_VOIDED = (
    "USPS does not cancel return labels and charges none that is never scanned: it is void on our side only, "
    "and its number stays watched"
)


class Unlike(ValueError):
    """An answer that cannot be the label we asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What was asked for, out of the bytes that ask."""

    format: LabelFormat
    to_zip: str
    mail_class: str
    image_info: Mapping[str, Any]

    @classmethod
    def of(cls, prepared: Prepared) -> "Intent":
        asked = msgspec.json.decode(prepared.body)
        image = asked["imageInfo"]
        wanted = next(ours for ours, theirs in shipment.IMAGES.items() if theirs == image["imageType"])
        return cls(wanted, asked["toAddress"]["ZIPCode"], asked["packageDescription"]["mailClass"], image)


class Labels:
    """The Labels API of one payer."""

    def __init__(self, door: Door, payment: TokenKeeper) -> None:
        self._door, self._payment = door, payment

    # ------------------------------------------------------------------------------------------------------------- buy

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        """Send the prepared bytes once and say what is proven; never raises but for cancellation."""
        payment = await self._authorized()
        if not isinstance(payment, Token):
            return payment
        response = await self._send(prepared, payment)
        if not isinstance(response, httpx.Response):
            return response
        if response.status_code == 401:
            self._payment.drop(payment)
        if not response.is_success:
            return self._refusal(response)
        try:
            return Bought(label(response, Intent.of(prepared)), response.content)
        except Unlike as error:
            return Unknown(f"USPS answered {response.status_code}, but {error}")

    async def _authorized(self) -> Token | NotExecuted | Rejected:
        """What every label call must carry. Without it nothing can have been bought."""
        try:
            await self._door.keeper.get()
        except CarrierError as error:
            return NotExecuted(f"no token: {error}", error.retry_after or 0.0)
        try:
            return await self._payment.get()
        except Refused as error:
            return Rejected(error.code, f"no payment authorization: {error}", error.request_id)
        except CarrierError as error:
            return NotExecuted(f"no payment authorization: {error}", error.retry_after or 0.0)

    async def _send(self, prepared: Prepared, payment: Token) -> httpx.Response | NotExecuted | Unknown:
        """The answer, or what its absence proves.  # source: design/labels-never-twice.md, step 4"""
        try:
            async with asyncio.timeout(HARD_SECONDS):
                return await self._door.once(
                    prepared.method,
                    prepared.path,
                    api=API,
                    headers={**prepared.headers, PAYMENT: payment.value},
                    content=prepared.body,
                    timeout=SENDING,
                )
        except Away as error:
            why, cause = str(error), error.__cause__
            # Without a cause it was the renewal of the token that failed, after a 401.
            return NotExecuted(why) if cause is None or never_left(cause) else Unknown(why)
        except CarrierError as error:  # the budget, or a token refused a moment later: nothing was executed
            return NotExecuted(str(error), error.retry_after or 0.0)
        except Exception as error:  # whatever it is, it proves nothing about the money
            return Unknown(f"{type(error).__name__} while USPS was asked")

    def _refusal(self, response: httpx.Response) -> Rejected | NotExecuted | Unknown:
        """An answer that is no success.  # source: design/labels-never-twice.md, step 4"""
        status, said = response.status_code, faults.complaint(response.content)
        text = f"USPS answered {status}: {said or 'without a reason'}"
        if status in NOT_EXECUTED:
            wait = (retry_after(response) or faults.QUIET) if status == 429 else 0.0
            if wait:
                self._door.budget.hold(API, wait)
            return NotExecuted(text, wait)
        if status in REFUSALS and said:
            return Rejected(said.code, said.message)
        return Unknown(text)

    # ------------------------------------------------------------------------------------------------------------ find

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        """The label bought under this purchase's key, by a reprint: three are allowed, so nothing here asks twice.

        Raises Busy, Away, Refused; Refused also where USPS holds the label but prints it no more.
        """
        intent = Intent.of(prepared)
        payment = await self._payment.get()
        response = await self._door.once(
            "POST",
            REPRINT,
            api=API,
            headers={**prepared.headers, PAYMENT: payment.value},
            content=msgspec.json.encode({"imageInfo": _reprintable(intent.image_info)}),
        )
        if response.status_code == 401:
            self._payment.drop(payment)
        error = faults.fault(response)
        if isinstance(error, NotFound) or (isinstance(error, Refused) and error.code in MISSING):
            return ()
        if error:
            if isinstance(error, Busy):
                self._door.budget.hold(API, error.retry_after or faults.QUIET)
            raise error
        try:
            return (label(response, intent),)
        except Unlike as unlike:
            raise Away(f"USPS answered a reprint, but {unlike}") from None

    # ------------------------------------------------------------------------------------------------------------ void

    async def void(self, prepared: Prepared) -> VoidOutcome:
        """No call: see NOT_VOIDED."""
        return Voided(prepared.reference, NOT_VOIDED)


def _reprintable(image_info: Mapping[str, Any]) -> dict[str, Any]:
    """A reprint knows no receipts.  # source: facts/usps.md 2.8"""
    return {name: value for name, value in image_info.items() if name in ("imageType", "labelType")}


# ---------------------------------------------------------------------------------------------------------- the judging

_JSON = msgspec.json.Decoder(float_hook=Decimal)


def label(response: httpx.Response, intent: Intent) -> Label:
    """The label in a success, when it is the one we asked for. Raises Unlike."""
    metadata, image = _parts(response)
    number = metadata.get("trackingNumber")
    recognised = numbers.recognise(number) if isinstance(number, str) else None
    if recognised is None or recognised.warning:
        raise Unlike("it names no tracking number that holds")
    _same_destination(metadata, intent)
    drawn = _image(image)
    if not _is(intent.format, drawn):
        raise Unlike(f"its label is no {intent.format}")
    return Label(recognised.number, {intent.format: drawn}, _price(metadata), service=intent.mail_class)


def _same_destination(metadata: Mapping[str, Any], intent: Intent) -> None:
    """The routing code, or else the address, must lead where we asked.  # source: facts/usps.md 2.5"""
    routing, address = str(metadata.get("routingInformation") or ""), metadata.get("labelAddress")
    led = routing[3:8] if routing.startswith("420") else ""
    if not led and isinstance(address, dict):
        led = str(address.get("ZIPCode") or "")
    if led and led != intent.to_zip:
        raise Unlike(f"its label goes to {led}, not to {intent.to_zip}")


def _image(image: str) -> bytes:
    """Always Base64, ZPL too, whatever an encoding header says.  # source: facts/usps.md 2.5"""
    try:
        drawn = base64.b64decode("".join(image.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Unlike("its label is no Base64") from None
    if not 0 < len(drawn) <= MOST_BYTES:
        raise Unlike(f"its label has {len(drawn)} bytes")
    return drawn


def _is(wanted: LabelFormat, drawn: bytes) -> bool:
    return b"^XA" in drawn if wanted is LabelFormat.ZPL else drawn.startswith(MAGIC[wanted])


def _price(metadata: Mapping[str, Any]) -> Money | None:
    """Postage is the base alone: extras and fees come on top.  # source: facts/usps.md 2.5"""
    postage = _amount(metadata.get("postage"))
    if postage is None:
        return None
    parts = (metadata.get("extraServices"), metadata.get("fees"))
    more = [each for part in parts if isinstance(part, list) for each in part if isinstance(each, dict)]
    return Money(sum((_amount(each.get("price")) or Decimal() for each in more), postage), "USD")


def _amount(value: object) -> Decimal | None:
    return Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None


# ------------------------------------------------------------------------------------------------------------ two media


def _parts(response: httpx.Response) -> tuple[Mapping[str, Any], str]:
    """Metadata and Base64 image of an answer, flat JSON, nested (a reprint) or multipart. Raises Unlike."""
    media = response.headers.get("content-type", "")
    if media.lower().startswith("multipart/"):
        return _from_multipart(media, response.content)
    said = _object(response.content)
    nested = said.get("returnLabelMetadata")
    return (nested if isinstance(nested, dict) else said), _base64(said.get("returnLabelImage"))


def _from_multipart(media: str, body: bytes) -> tuple[Mapping[str, Any], str]:
    """What USPS sends unless flat JSON is accepted.  # source: facts/usps.md 2.5"""
    whole = BytesParser(policy=policy.compat32).parsebytes(f"Content-Type: {media}\r\n\r\n".encode() + body)
    if whole.defects or not whole.is_multipart():
        raise Unlike("its parts cannot be told apart")
    parts = {_name(part): part.get_payload() for part in whole.get_payload() if isinstance(part, Message)}
    metadata = parts.get("returnLabelMetadata")
    return _object(metadata.encode() if isinstance(metadata, str) else b""), _base64(parts.get("returnLabelImage"))


def _name(part: Message) -> str:
    return str(part.get_param("name", "", header="content-disposition"))


def _base64(image: object) -> str:
    if not isinstance(image, str) or not image:
        raise Unlike("it holds no label")
    return image


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unlike("it cannot be read") from None
    if not isinstance(said, dict):
        raise Unlike("it is no JSON object")
    return said
