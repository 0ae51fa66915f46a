"""Buys USPS labels, finds, reprints and cancels them; answers are judged strictly, as money hangs on it."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
PAYMENT = "X-Payment-Authorization-Token"
# source: design/labels-never-twice.md, step 3
SENDING = httpx.Timeout(connect=5.0, write=10.0, read=60.0, pool=5.0)
HARD_SECONDS = 75.0
NOT_EXECUTED = frozenset({401, 429})
REFUSALS = frozenset({400, 402, 403, 422})
# source: facts/usps.md 2.8: not found (in 45 days). Any other refusal of a reprint means that there is a label.
MISSING = frozenset({"160378", "160185"})
# source: facts/usps.md 2.8: cancelled already; a return label, which costs nothing unless it is scanned
CANCELLED, A_RETURN = "160186", "160187"
ONE_A_DAY = 24 * 3600.0  # a refund is asked for once a day
COUNTER = "https://tools.usps.com/label-broker.htm"
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
    """What was asked for, out of the bytes that ask. `key` is the one an outbound label is cancelled by."""

    format: LabelFormat
    qr: bool
    is_return: bool
    to_zip: str
    mail_class: str
    key: str

    @classmethod
    def of(cls, prepared: Prepared) -> "Intent":
        is_return = prepared.path == shipment.RETURN_LABEL
        if not prepared.body:  # erased: the key is what is left to ask by
            return cls(LabelFormat.PDF, False, is_return, "", "", "" if is_return else prepared.headers[shipment.KEY])
        asked = msgspec.json.decode(prepared.body)
        picture = asked["imageInfo"]["imageType"]
        wanted = next((ours for ours, theirs in shipment.IMAGES.items() if theirs == picture), LabelFormat.PDF)
        return cls(
            wanted,
            picture == shipment.BROKER,
            is_return,
            asked["toAddress"]["ZIPCode"],
            asked["packageDescription"]["mailClass"],
            "" if is_return else prepared.headers[shipment.KEY],
        )

    @property
    def names(self) -> tuple[str, str]:
        """What its answer calls the metadata and the image.  # source: facts/usps.md 2.5"""
        return ("returnLabelMetadata", "returnLabelImage") if self.is_return else ("labelMetadata", "labelImage")


class Labels:
    """The Labels API of one payer."""

    def __init__(self, door: Door, payment: TokenKeeper) -> None:
        self._door, self._payment = door, payment

    # ------------------------------------------------------------------------------------------------------------- buy

    async def buy(self, prepared: Prepared) -> PurchaseOutcome:
        """Send the prepared bytes once and say what is proven; never raises but for cancellation."""
        response = await self._sent(prepared)
        if not isinstance(response, httpx.Response):
            return response
        if not response.is_success:
            return self._refusal(response)
        try:
            return Bought(label(response, Intent.of(prepared)), response.content)
        except Unlike as error:
            return Unknown(f"USPS answered {response.status_code}, but {error}")

    async def _sent(self, prepared: Prepared) -> httpx.Response | NotExecuted | Rejected | Unknown:
        """The answer to prepared bytes sent once under a payment authorization, or what its absence proves."""
        payment = await self._authorized()
        if not isinstance(payment, Token):
            return payment
        response = await self._send(prepared, payment)
        if isinstance(response, httpx.Response) and response.status_code == 401:
            self._payment.drop(payment)
        return response

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
            return Rejected(said.code, said.message, faults.request_id(response))
        return Unknown(text)

    # ------------------------------------------------------------------------------------------------------------ find

    async def find(self, prepared: Prepared) -> tuple[Label, ...]:
        """The label bought under this purchase's key, by a reprint: three are allowed, so nothing here asks twice.

        Raises Busy, Away, Refused; Refused also where USPS holds the label but prints it no more.
        """
        key = {shipment.KEY: prepared.headers[shipment.KEY]}
        return await self._reprint(shipment.REPRINT, key, replace(Intent.of(prepared), qr=False))

    async def reprint(self, number: str, wanted: LabelFormat, *, is_return: bool) -> tuple[Label, ...]:
        """A label's picture again by its number: up to three times, until its mailing day.  # facts/usps.md 2.8

        Raises Busy, Away, Refused.
        """
        intent = Intent(wanted, False, is_return, "", "", "")
        if wanted not in shipment.IMAGES:
            raise Refused(f"USPS prints no label again as {wanted}", code="format")
        return await self._reprint(f"{shipment.REPRINT}/{shipment.checked(number)}", {}, intent)

    async def _reprint(self, path: str, key: Mapping[str, str], intent: Intent) -> tuple[Label, ...]:
        payment = await self._payment.get()
        response = await self._door.once(
            "POST",
            path,
            api=API,
            headers={"Content-Type": "application/json", "Accept": shipment.FLAT_JSON, **key, PAYMENT: payment.value},
            content=msgspec.json.encode({"imageInfo": _printed(intent)}),
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
        """Cancel an outbound label, or ask its price back; for a return label no call: see NOT_VOIDED."""
        if not prepared.path:
            return Voided(prepared.reference, NOT_VOIDED)
        response = await self._sent(prepared)
        if not isinstance(response, httpx.Response):
            return response
        return _cancelled(response, prepared) if response.is_success else self._kept(response, prepared)

    def _kept(self, response: httpx.Response, prepared: Prepared) -> VoidOutcome:
        said = faults.complaint(response.content)
        if said and response.status_code in REFUSALS:
            if said.code == CANCELLED:
                return Voided(prepared.reference, "it was cancelled before")
            if said.code == A_RETURN:
                return Voided(prepared.reference, NOT_VOIDED)
            if "already" in said.message.lower() and "today" in said.message.lower():
                # source: facts/usps.md 2.8: one refund request for a label and day
                return NotExecuted(f"USPS answered {response.status_code}: {said}", ONE_A_DAY)
        return self._refusal(response)


def _printed(intent: Intent) -> dict[str, str]:
    """A reprint knows no receipts and no codes.  # source: facts/usps.md 2.8"""
    return {"imageType": shipment.IMAGES[intent.format], "labelType": shipment.LABEL_SIZE}


def _cancelled(response: httpx.Response, prepared: Prepared) -> Voided | Unknown:
    """CANCELED before the label was manifested; DISPUTED after: its price was asked back.  # facts/usps.md 2.8"""
    try:
        said = _object(response.content)
    except Unlike as error:
        return Unknown(f"USPS answered {response.status_code}, but {error}")
    number, id = str(said.get("trackingNumber") or prepared.reference), str(said.get("disputeId") or "without a number")
    match said.get("status"):
        case "CANCELED":
            return Voided(number, "cancelled: it is not charged")
        case "DISPUTED":
            return Voided(number, f"its price was asked back (dispute {id})", pending=id)
    return Unknown(f"USPS answered {response.status_code}, but not whether the label is cancelled")


# ---------------------------------------------------------------------------------------------------------- the judging

_JSON = msgspec.json.Decoder(float_hook=Decimal)


def label(response: httpx.Response, intent: Intent) -> Label:
    """The label in a success, when it is the one we asked for. Raises Unlike."""
    said = _parts(response, intent)
    number = said.metadata.get("trackingNumber")
    recognised = numbers.recognise(number) if isinstance(number, str) else None
    if recognised is None or recognised.warning:
        raise Unlike("it names no tracking number that holds")
    _same_destination(said.metadata, intent)
    return Label(
        recognised.number,
        _documents(said, intent),
        _price(said.metadata),
        shipment_id=intent.key,
        service=intent.mail_class,
        warnings=_at_the_counter(said.metadata, intent),
    )


def _documents(said: "Said", intent: Intent) -> dict[LabelFormat, bytes]:
    """The label as asked for; or the code for the counter, and the label beside it.  # source: facts/usps.md 2.7"""
    if not intent.qr:
        return {intent.format: _drawn(said.image, intent.format)}
    if not said.code:
        return {LabelFormat.QR: _drawn(said.image, LabelFormat.PNG)}
    code = {LabelFormat.QR: _drawn(said.code, LabelFormat.PNG)}
    return code | ({LabelFormat.PDF: _drawn(said.image, LabelFormat.PDF)} if said.image else {})


def _at_the_counter(metadata: Mapping[str, Any], intent: Intent) -> tuple[str, ...]:
    """Where the customer may print without a code.  # source: facts/usps.md 2.7"""
    id = str(metadata.get("labelBrokerID") or "")
    return (f"also at {COUNTER}?LabelID={id}&zip={intent.to_zip}",) if intent.qr and id.isalnum() else ()


def _drawn(image: str, wanted: LabelFormat) -> bytes:
    drawn = _image(image)
    if not _is(wanted, drawn):
        raise Unlike(f"its label is no {wanted}")
    return drawn


def _same_destination(metadata: Mapping[str, Any], intent: Intent) -> None:
    """The routing code, or else the address, must lead where we asked.  # source: facts/usps.md 2.5"""
    routing, address = str(metadata.get("routingInformation") or ""), metadata.get("labelAddress")
    led = routing[3:8] if routing.startswith("420") else ""
    if not led and isinstance(address, dict):
        led = str(address.get("ZIPCode") or "")
    if led and intent.to_zip and led != intent.to_zip:
        raise Unlike(f"its label goes to {led}, not to {intent.to_zip}")


def _image(image: str) -> bytes:
    """Always Base64, ZPL too, whatever an encoding header says.  # source: facts/usps.md 2.5"""
    if not image:
        raise Unlike("it holds no label")
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


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer holds: metadata, the Base64 of the label, and that of a code for the counter."""

    metadata: Mapping[str, Any]
    image: str
    code: str


def _parts(response: httpx.Response, intent: Intent) -> Said:
    """What is in an answer: flat JSON, nested (a reprint) or multipart. Raises Unlike."""
    media = response.headers.get("content-type", "")
    metadata, image = intent.names
    if media.lower().startswith("multipart/"):
        parts = _from_multipart(media, response.content)
        said: Mapping[str, Any] = _object((parts.get(metadata) or "").encode())
    else:
        parts = _object(response.content)
        nested = parts.get(metadata)
        said = nested if isinstance(nested, dict) else parts
    # The spec names the image of a code for returns as that of an outbound label.  # source: facts/usps.md 2.7
    drawn = _text(parts.get(image)) or (_text(parts.get("labelImage")) if intent.qr else "")
    return Said(said, drawn, _text(parts.get("labelBrokerQR")) if intent.qr else "")


def _from_multipart(media: str, body: bytes) -> dict[str, Any]:
    """What USPS sends unless flat JSON is accepted: its parts by name.  # source: facts/usps.md 2.5"""
    whole = BytesParser(policy=policy.compat32).parsebytes(f"Content-Type: {media}\r\n\r\n".encode() + body)
    if whole.defects or not whole.is_multipart():
        raise Unlike("its parts cannot be told apart")
    return {_name(part): _text(part.get_payload()) for part in whole.get_payload() if isinstance(part, Message)}


def _name(part: Message) -> str:
    return str(part.get_param("name", "", header="content-disposition"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unlike("it cannot be read") from None
    if not isinstance(said, dict):
        raise Unlike("it is no JSON object")
    return said
