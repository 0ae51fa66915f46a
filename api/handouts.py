"""The calls about a return's papers and how they change hands: replaced, void, instead of one, mailed, collected."""

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from api.parcels import recognised_at
from api.problems import Problem
from api.returns import PickupOut, ReturnOut
from api.route import Answer, Call, Nothing
from api.shapes import AddressIn, Amount, Asked, CurrencyCode, Instant, Told, aged, example
from api.waybill_pdf import draw_waybill
from api.words import FALLBACK, catalogues, choose, render
from carriers.contract import LabelFormat
from merchants.calendars import local_day
from returns.collecting import Wanted as WantedPickup
from returns.collecting import book, call_off, look
from returns.homecoming import restate_costs
from returns.mailing import Asked as AskedMail
from returns.mailing import Envelope, Letter, address, mails_view, queue
from returns.replacing import Wanted, replace_label, void_label
from returns.waybills import Instructions, issue_waybill, waybill_of
from spending.surcharges import Surcharge, Unplaced, bill

# --------------------------------------------------------------------------------------------------------------- asked

WallTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["09:00"])]


class ReplaceIn(Asked):
    """A label that is lost. The same one is handed out again unless it must not be used any more."""

    model_config = Asked.model_config | example({"compromised": False, "qr": False})

    compromised: Annotated[
        bool, Field(description="Somebody else may hold it: it is void, and another one is bought in its place")
    ] = False
    qr: Annotated[bool, Field(description="A code that the carrier's counter prints from, instead of paper")] = False


class MailIn(Asked):
    """To whom, and in which language. Else: the order's e-mail; Accept-Language, then the shop's first language."""

    model_config = Asked.model_config | example({"language": "it"})

    to: Annotated[str, Field(max_length=254)] = ""
    language: Annotated[str, Field(pattern=r"^([a-z]{2})?$", description="en, it, fr, de, es")] = ""
    again: Annotated[bool, Field(description="Although it was sent to this address before")] = False


class PickupIn(Asked):
    """When somebody is there to hand it over, on the wall clock of the place. Else: where it is sent from."""

    model_config = Asked.model_config | example({"day": "2026-03-12", "ready": "09:00", "close": "17:00"})

    day: date
    ready: WallTime
    close: WallTime
    address: AddressIn | None = None
    note: Annotated[str, Field(max_length=200, description="Where it lies, for the driver")] = ""


class SurchargeIn(Asked):
    """What the carrier billed on top for this parcel; `name` says which, once."""

    model_config = Asked.model_config | example({"name": "refusal", "amount": "12.50", "currency": "USD"})

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["refusal", "address_correction"])]
    amount: Amount
    currency: CurrencyCode
    note: Annotated[str, Field(max_length=200)] = ""


# ---------------------------------------------------------------------------------------------------------------- told


class SurchargeOut(Told):
    model_config = Told.model_config | example(
        {
            "carrier": "ups",
            "number": "1Z5338FF0107231059",
            "name": "refusal",
            "amount": "12.50",
            "currency": "USD",
            "note": "",
        }
    )

    carrier: str
    number: str
    name: str
    amount: Decimal
    currency: str
    note: str


_MAIL: dict[str, Any] = {
    "state": "due",
    "label_number": "1Z5338FF9107231052",
    "message_id": "<0f6b2a@shop.example>",
    "language": "it",
    "tries": 0,
    "detail": "",
    "asked_at": "2026-03-10T10:00:00Z",
    "sent_at": None,
}


class MailOut(Told):
    """A mail with a label. To whom it went is not told."""

    model_config = Told.model_config | example(_MAIL)

    state: Literal["due", "sending", "sent", "failed", "erased"]
    label_number: str
    message_id: str
    language: str
    tries: int
    detail: str = Field(description="Why it was not taken, as the mail server's code")
    asked_at: Instant
    sent_at: Instant | None


class MailsOut(Told):
    """Every mail of a return, oldest first."""

    model_config = Told.model_config | example({"items": [_MAIL]})

    items: list[MailOut]


class WaybillOut(Told):
    """What the customer writes on a carrier's blank waybill. As a page: /follow/return/waybill; as a PDF: GET."""

    model_config = Told.model_config | example(
        {
            "return_number": "R7K2M4QX4TB",
            "carrier": "UPS",
            "service": "Standard",
            "payer": "Receiver",
            "account": "W95789",
            "reference": "R7K2M4QX4TB",
            "to": ["Boutique Europe", "Returns department", "Interporto di Bologna", "40010 Bentivoglio (BO)", "IT"],
            "issued_at": "2026-03-10T10:00:00Z",
        }
    )

    return_number: str
    carrier: str
    service: str
    payer: str
    account: str
    reference: str = Field(description="To be written as reference: the return's number")
    to: list[str]
    issued_at: Instant = Field(description="When it was told for the first time")


def _waybill(told: Instructions) -> WaybillOut:
    fields: dict[str, Any] = {name: getattr(told, name) for name in ("carrier", "service", "payer", "account")}
    return WaybillOut(
        return_number=told.number, reference=told.number, to=list(told.to), issued_at=told.issued_at, **fields
    )


# --------------------------------------------------------------------------------------------------------------- words


def _letter(envelope: Envelope, language: str) -> Letter:
    """The mail's words, in the shopper's language; each line a message key."""

    def say(key: str, **arguments: Any) -> str:
        return render(key, language, **arguments)

    shop, carrier = envelope.terms.look.name, envelope.carrier
    has_code = any(format is LabelFormat.QR for format, _ in envelope.papers)
    day = envelope.deadline and local_day(envelope.deadline - timedelta(minutes=1), envelope.terms.zone)
    lines = [
        say("mail.hello"),
        say("mail.attached", number=envelope.return_number, shop=shop),
        say("print.code.lead") if has_code else say("print.label.lead"),
        say("mail.by", carrier=carrier, day=day) if day else say("mail.hand_over", carrier=carrier),
        say("mail.keep", number=envelope.label_number),
        f"{say('mail.bye')}\n{shop}",
    ]
    return Letter(say("mail.subject", number=envelope.return_number), "\n\n".join(lines) + "\n", language)


def _language(call: Call[Nothing, MailIn], envelope: Envelope) -> str:
    accepted = call.request.headers.get("Accept-Language", "")
    known = [call.body.language, choose(accepted) if accepted else ""]
    return next((each for each in (*known, *envelope.terms.shop.languages) if each in catalogues()), FALLBACK)


# --------------------------------------------------------------------------------------------------------------- calls


async def replace(call: Call[Nothing, ReplaceIn]) -> Answer:
    """POST /v1/returns/{return_number}/label/replace"""
    house = call.house
    key = call.request.headers.get("Idempotency-Key", "")
    wanted = Wanted(call.body.compromised, call.body.qr, call.caller.name, key)
    told = await replace_label(house.till, house.terms, call.path["return_number"], wanted)
    house.wake()
    return Answer(ReturnOut.model_validate(aged(told.view, house.clock.now())), told.status)


async def void(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/returns/{return_number}/label/void"""
    view = await void_label(call.house.till, call.path["return_number"])
    return Answer(ReturnOut.model_validate(aged(view, call.house.clock.now())))


async def tell_waybill(call: Call[Nothing, Nothing]) -> Answer:
    """POST /v1/returns/{return_number}/waybill"""
    return Answer(_waybill(await issue_waybill(call.house.till, call.house.terms, call.path["return_number"])))


async def draw(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}/waybill"""
    number = call.path["return_number"]
    told = await waybill_of(call.house.till, call.house.terms, number)
    shop = call.house.terms[told.merchant][-1].look.name
    body = draw_waybill(told, shop, lambda key, **arguments: render(key, call.locale, **arguments))
    name = f'attachment; filename="{number}-waybill.pdf"'
    headers = {"Content-Disposition": name, "Content-Language": call.locale, "Vary": "Accept-Language"}
    return Answer(body, content_type="application/pdf", headers=headers)


async def mail(call: Call[Nothing, MailIn]) -> Answer:
    """POST /v1/returns/{return_number}/label/email"""
    house, body = call.house, call.body
    asked = AskedMail(body.to, body.again, call.caller.name, call.request.headers.get("Idempotency-Key", ""))
    envelope = await address(house.till, house.terms, call.path["return_number"], asked)
    if envelope.known is not None:
        return Answer(MailOut.model_validate(envelope.known))
    if not house.mail_from:
        raise Problem("mail_not_set_up", "set HOMEWARD_SMTP_URL and HOMEWARD_MAIL_FROM")
    letter = _letter(envelope, _language(call, envelope))
    kept = await queue(house.till, envelope, letter, house.mail_from)
    house.wake()
    return Answer(MailOut.model_validate(kept), 202)


async def mails(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}/label/email"""
    number = call.path["return_number"]
    found = await call.house.store.read(lambda tx: mails_view(tx, number))
    return Answer(MailsOut(items=[MailOut.model_validate(each) for each in found]))


async def collect(call: Call[Nothing, PickupIn]) -> Answer:
    """POST /v1/returns/{return_number}/pickup"""
    house, body = call.house, call.body
    address = body.address.address() if body.address else None
    ready, close = time.fromisoformat(body.ready), time.fromisoformat(body.close)
    wanted = WantedPickup(body.day, ready, close, address, body.note)
    told = await book(house.till, house.terms, call.path["return_number"], wanted)
    house.wake()
    return Answer(PickupOut.model_validate(told.view), told.status)


async def collection(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/returns/{return_number}/pickup"""
    return Answer(PickupOut.model_validate(await look(call.house.till, call.path["return_number"])))


async def cancel_collection(call: Call[Nothing, Nothing]) -> Answer:
    """DELETE /v1/returns/{return_number}/pickup"""
    told = await call_off(call.house.till, call.path["return_number"])
    return Answer(PickupOut.model_validate(told.view), told.status)


async def surcharge(call: Call[Nothing, SurchargeIn]) -> Answer:
    """POST /v1/parcels/{carrier}/{number}/surcharges"""
    carrier, number = recognised_at(call.house, call.path["carrier"], call.path["number"])
    told = Surcharge(carrier, number, **call.body.model_dump())
    try:
        new = await bill(call.house.store, told, call.house.clock.now())
    except Unplaced as error:
        raise Problem(error.code, error.message) from error
    await restate_costs(call.house.till, call.house.terms, carrier, number)
    return Answer(SurchargeOut(carrier=carrier, number=number, **call.body.model_dump()), 201 if new else 200)
