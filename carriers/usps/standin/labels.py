"""USPS's labels: for returns and for what goes out, the same again by key, printed again, cancelled or disputed."""

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from carriers.usps.standin.answers import No, answer, object_of
from carriers.usps.standin.orders import (
    BROKER,
    IMAGES,
    LABEL_DELIVERY,
    NO_IMAGE,
    RETURN_OF,
    Image,
    checked_outbound,
    checked_return,
    image_of,
)
from carriers.usps.standin.prices import price
from carriers.usps.standin.town import Json, Route, Town
from carriers.usps.standin.words import check_digit

API = "/labels/v3"
VENDOR = "application/vnd.usps.labels+json"
REPRINTS = 3  # source: facts/usps.md 2.8
CENTRAL = ZoneInfo("America/Chicago")
MANIFEST = timedelta(days=1, minutes=30)  # source: facts/usps.md 2.3: 00:30 Central on the day after creation
REFUNDABLE = timedelta(days=30)  # source: facts/usps.md 2.8, a reseller's word
# source: facts/usps.md 7: 020 occurs on returns, 001 and 055 are known from samples.
RETURN_STC, GROUND_STC, PRIORITY_STC = "020", "001", "055"


@dataclass(slots=True)
class Sold:
    """A label that was bought here, and what was asked for it."""

    number: str
    metadata: Json
    lines: tuple[str, ...]
    key: str
    body: bytes
    image: Image
    made_at: datetime
    is_return: bool
    mailed: bool  # printed by USPS and posted: no image
    manifested_at: datetime
    reprints: int = 0
    ended: str = ""  # CANCELED or DISPUTED
    dispute: str = ""
    partner: "Sold | None" = None  # the return label that came with it

    @property
    def prefix(self) -> str:
        return "returnLabel" if self.is_return else "label"


class Labels:
    """`payer` gives the MID for which the caller may make labels."""

    def __init__(self, town: Town, payer: Callable[[web.Request], str]) -> None:
        self.town, self.payer = town, payer
        self.sold: dict[str, Sold] = {}
        self.by_key: dict[str, Sold] = {}
        self._serial = secrets.randbelow(10_000_000)

    def routes(self) -> list[Route]:
        return [
            ("POST", f"{API}/return-label", "label", "labels", self.return_label),
            ("POST", f"{API}/label", "label_outbound", "labels", self.outbound),
            ("POST", f"{API}/label-reprint", "reprint", "labels", self.reprint),
            ("POST", f"{API}/label-reprint/{{number}}", "reprint", "labels", self.reprint),
            ("DELETE", f"{API}/label", "cancel", "labels", self.cancel),
            ("DELETE", f"{API}/label/{{number}}", "cancel", "labels", self.cancel),
        ]

    def number(self, mid: str, service: str = RETURN_STC) -> str:
        """A new 22-digit number under this MID."""
        self._serial = (self._serial + 1) % 10_000_000
        body = f"92{service}{mid}{self._serial:07d}" if len(mid) == 9 else f"93{service}{mid}{self._serial:010d}"
        return body + check_digit(body)

    # ---------------------------------------------------------------------------------------------------------- buying

    async def return_label(self, request: web.Request) -> web.Response:
        return await self._buy(request, checked_return, is_return=True)

    async def outbound(self, request: web.Request) -> web.Response:
        return await self._buy(request, checked_outbound, is_return=False)

    async def _buy(
        self, request: web.Request, check: Callable[[bytes, str, str], Json], *, is_return: bool
    ) -> web.Response:
        mid, body = self.payer(request), await request.read()
        key = request.headers.get("X-Idempotency-Key", "")
        sold = self.by_key.get(key) if key else None
        if sold and (sold.body, sold.is_return) != (body, is_return):
            # What USPS does here is stated nowhere (facts/usps.md 2.4): refusing charges nothing and shows the mistake.
            raise No("The idempotency key was used with another request", code="160999")
        wanted = check(body, key, self.town.settings.usps_environment)
        if sold is None:
            sold = self._sell(mid, key, body, wanted, is_return=is_return)
            if sold.image.with_return and not is_return:
                sold.partner = self._sell(mid, "", b"", _turned(wanted), is_return=True)
        return self._answer(request, sold)

    def _sell(self, mid: str, key: str, body: bytes, wanted: Json, *, is_return: bool) -> Sold:
        description, to = wanted["packageDescription"], wanted["toAddress"]
        service = GROUND_STC if "GROUND" in description["mailClass"] else PRIORITY_STC
        number = self.number(mid, RETURN_STC if is_return else service)
        references = tuple(str(each.get("referenceNumber", "")) for each in description.get("customerReference") or [])
        cost, image, now = price(description), image_of(wanted), self.town.now()
        sold = Sold(
            number,
            _metadata(number, wanted, is_return, now) | cost.told(),
            (*_lines(wanted), *references),
            key,
            body,
            image,
            now,
            is_return,
            LABEL_DELIVERY in (description.get("extraServices") or []),
            _manifested(now, bool((description.get("packageOptions") or {}).get("immediateManifest"))),
        )
        if image.kind == BROKER:
            sold.metadata["labelBrokerID"] = f"LB{int(number[-9:-1]):08d}"
        self.sold[number] = sold
        if key:
            self.by_key[key] = sold
        # source: facts/usps.md 2.2: a return is paid when it is first scanned, not when the label is made.
        self.town.ship(
            "usps",
            number,
            is_return=is_return,
            origin=_place(wanted["fromAddress"]),
            destination=_place(to),
            references=references,
            amount=f"{cost.total:.2f}",
            currency="USD",
            key=key,
            charged=not is_return,
        )
        return sold

    # ----------------------------------------------------------------------------------------------------- the answer

    def _answer(self, request: web.Request, sold: Sold) -> web.Response:
        images = self._images(sold, sold.image)
        if VENDOR in request.headers.get("Accept", ""):
            flat: Json = {**sold.metadata, **{name: text for name, (_, text) in images.items()}}
            if sold.partner:
                more = self._images(sold.partner, sold.image)
                flat["returnLabel"] = {**sold.partner.metadata, **{name: text for name, (_, text) in more.items()}}
            return _vendor(flat)
        parts = [_part(f"{sold.prefix}Metadata", sold.metadata), *_files(images)]
        if sold.partner:
            parts.append(_part("returnLabelMetadata", sold.partner.metadata))
            parts += _files(self._images(sold.partner, sold.image))
        return _multipart(parts)

    def _images(self, sold: Sold, image: Image) -> dict[str, tuple[str, str]]:
        """Name -> (media type, Base64). Source: facts/usps.md 2.5, 2.7: where the QR code stands."""
        if image.kind == NO_IMAGE or sold.mailed:
            return {}
        name = f"{sold.prefix}Image"
        if image.kind == BROKER:
            code = ("image/png", self._drawn("qr", sold, str(sold.metadata["labelBrokerID"])))
            if not image.broker_pdf:
                return {name: code}
            return {name: ("application/pdf", self._drawn("pdf", sold)), "labelBrokerQR": code}
        kind, media = IMAGES[image.kind]
        images = {name: (media, self._drawn(kind, sold))}
        if image.receipt == "SEPARATE_PAGE":
            receipt = "returnReceiptImage" if sold.is_return else "receiptImage"
            images[receipt] = (media, self._drawn(kind, sold, "RECEIPT"))
        return images

    def _drawn(self, kind: str, sold: Sold, *more: str) -> str:
        return base64.b64encode(self.town.draw(kind, sold.number, (*more, *sold.lines), sideways=False)).decode()

    # ---------------------------------------------------------------------------------------------------- printed again

    async def reprint(self, request: web.Request) -> web.Response:
        """By number or by the key of the purchase, three times; until the day of mailing when so set.

        Source: facts/usps.md 2.8: the codes 160378 to 160382; which of the last four says what is not stated there.
        """
        self.payer(request)
        sold = self._sold(request)
        if sold is None:
            raise No("Label not found", code="160378", source={"parameter": "trackingNumber"})
        if sold.reprints >= REPRINTS:
            raise No("The label was reprinted three times", code="160379")
        if sold.ended:
            raise No("The label was cancelled or disputed", code="160380")
        if self.town.settings.usps_reprint_until_mailing and self.town.now() >= sold.manifested_at:
            raise No("The mailing date has passed", code="160381")
        image = str((object_of(await request.text()).get("imageInfo") or {}).get("imageType") or "PDF")
        if image not in IMAGES:
            raise No("This image type cannot be reprinted", code="160214")
        sold.reprints += 1
        again = {"reprintNumber": sold.reprints, "reprintLimit": REPRINTS}
        drawn = self._images(sold, Image(image, sold.image.label, "NONE", False, False))
        if VENDOR in request.headers.get("Accept", ""):
            texts = {name: text for name, (_, text) in drawn.items()}
            printed = _vendor({f"{sold.prefix}Metadata": sold.metadata, **texts, "reprintInfo": again})
        else:
            parts = [_part(f"{sold.prefix}Metadata", sold.metadata), *_files(drawn), _part("reprintInfo", again)]
            printed = _multipart(parts)
        return _keyed(request, printed)

    def _sold(self, request: web.Request) -> Sold | None:
        number, key = request.match_info.get("number"), request.headers.get("X-Idempotency-Key", "")
        return self.sold.get(number) if number else self.by_key.get(key)

    # -------------------------------------------------------------------------------------------------------- cancelled

    async def cancel(self, request: web.Request) -> web.Response:
        """Before the manifest it is cancelled, after it a refund is asked for. Source: facts/usps.md 2.8."""
        self.payer(request)
        sold, where = self._sold(request), {"parameter": "trackingNumber"}
        if sold is None:
            raise No("Order not found", code="160185", source=where)
        if sold.is_return:
            raise No("Return labels cannot be cancelled", code="160187", source=where)
        if sold.ended == "CANCELED":
            raise No("The label was cancelled already", code="160186", source=where)
        if sold.ended:
            raise No("A refund was already submitted today", code="160301", source=where)
        known, now = self.town.seen(sold.number), self.town.now()
        travelled = known is not None and any(scan.word in {"pickup", "dropoff"} for scan in known[1])
        if travelled or now - sold.made_at > REFUNDABLE:
            raise No("The label cannot be refunded here", code="160276", source=where)
        told: Json = {"trackingNumber": sold.number}
        if now < sold.manifested_at:
            sold.ended = "CANCELED"
            self.town.void("usps", sold.number)
        else:
            sold.ended = "DISPUTED"
            told["disputeId"] = f"{now.toordinal() % 1_000_000:06d}"  # one for each day
            self.town.book("usps", "dispute", sold.number, reference=told["disputeId"])
        return _keyed(request, answer(told | {"status": sold.ended}))


def _manifested(now: datetime, at_once: bool) -> datetime:
    """Source: facts/usps.md 2.3, 2.8: one manifested at once can only be refunded."""
    if at_once:
        return now
    midnight = now.astimezone(CENTRAL).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + MANIFEST


def _turned(wanted: Json) -> Json:
    """The return that comes with an outbound label: the other way round, in the class that follows."""
    description = {key: each for key, each in wanted["packageDescription"].items() if key != "extraServices"}
    returned = RETURN_OF.get(str(description["mailClass"]), "USPS_GROUND_ADVANTAGE_RETURN_SERVICE")
    back = {"toAddress": wanted["fromAddress"], "fromAddress": wanted["toAddress"]}
    return wanted | back | {"packageDescription": description | {"mailClass": returned}}


def _metadata(number: str, wanted: Json, is_return: bool, now: datetime) -> Json:
    to, description = wanted["toAddress"], wanted["packageDescription"]
    hidden = {"email", "phone", "ignoreBadAddress"}
    address = {name: str(value).upper() for name, value in to.items() if name not in hidden}
    address.setdefault("ZIPPlus4", "1234")
    told: Json = {
        "labelAddress": address,
        "routingInformation": f"420{to['ZIPCode']}{address['ZIPPlus4']}",
        "trackingNumber": number,
        "SKU": "DUXR0XXXXC03010",
        "zone": "03",
        "serviceTypeCode": number[2:5],
        "mailingDate": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "weightUOM": "lb",
        "weight": description["weight"],
        "dimensionalWeight": 0,
        "labelBrokerID": "",
        "bannerText": "USPS RETURNS" if is_return else "USPS TRACKING # USPS Ship",
        "retailDistributionCode": "01",
        "links": [{"rel": ["Tracking URL"], "href": f"https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"}],
    }
    if not is_return:  # source: facts/usps.md 2.5: no construct code and no commitment for returns
        told["constructCode"] = "C01"
        told["commitment"] = {"name": "3 Days", "scheduleDeliveryDate": f"{now.date() + timedelta(days=4)}"}
    return told


def _name(address: Json) -> str:
    return str(address.get("firm") or f"{address.get('firstName', '')} {address.get('lastName', '')}")


def _lines(wanted: Json) -> list[str]:
    lines = []
    for word, who in (("FROM", "fromAddress"), ("TO", "toAddress")):
        address = wanted[who]
        town = f"{address['city']} {address['state']} {address['ZIPCode']}"
        lines += [word, _name(address), str(address["streetAddress"]), town]
    return lines


def _place(address: Json) -> dict[str, str]:
    return {
        "city": str(address["city"]),
        "region": str(address["state"]),
        "postal_code": str(address["ZIPCode"]),
        "country": "US",
        "name": _name(address),
    }


def _keyed(request: web.Request, answer: web.Response) -> web.Response:
    if key := request.headers.get("X-Idempotency-Key"):
        answer.headers["X-Idempotency-Key"] = key
    return answer


def _vendor(flat: Json) -> web.Response:
    return web.Response(body=json.dumps(flat).encode(), headers={"Content-Type": VENDOR})


def _part(name: str, told: Json) -> tuple[str, str, str]:
    return f'form-data; name="{name}"', "application/json", json.dumps(told)


def _files(images: dict[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    endings = {media: kind for kind, media in IMAGES.values()}
    return [
        (f'attachment; name="{name}"; filename="{name}.{endings.get(media, "bin")}"', media, text)
        for name, (media, text) in images.items()
    ]


def _multipart(parts: Sequence[tuple[str, str, str]]) -> web.Response:
    """Source: facts/usps.md 2.5: every part is text, images in Base64 whatever the part's headers say."""
    boundary = secrets.token_hex(16)
    body = "".join(
        f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {media}\r\n\r\n{text}\r\n"
        for disposition, media, text in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return web.Response(body=f"{body}--{boundary}--\r\n".encode(), headers=headers)
