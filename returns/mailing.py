"""The label by e-mail: asked for, kept as it will be sent, handed to the mail server, recorded.

A mail is sent once, but at least once: a try whose end nobody knows is made again, with the same bytes under the same
Message-ID. A label that comes twice does no harm; one that never comes leaves a customer with a parcel and no way home.
"""

import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Protocol

import msgspec

from carriers.contract import LabelFormat
from fleet.clocks import from_us, text, to_us
from merchants.terms import Terms
from returns.forms import about_of, sender_of
from returns.postbox import Undelivered
from returns.showing import Document, label_document
from returns.states import ReturnState
from spending.intents import Till, real_us
from spending.machine import LabelState, State
from store.again import write_surely
from store.engine import Row, Tx
from store.mails import add_mail, due_mails, end_mail, find_mail, mails_of, take_mail
from store.orders import find_order
from store.outbox import say
from store.purchases import formats_of, labels_of, purchase_of
from store.returns import find_return, lock_return_by_id, orders_of
from tracker.orders import Declined, Shelf, contact_of, terms_for

log = logging.getLogger(__name__)

LEASE = 180.0  # real seconds; longer than a delivery can take
FIRST_WAIT, LONGEST_WAIT, TRIES = 30.0, 3600.0, 24  # about eighteen hours
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Carries(Protocol):
    """Whoever takes a message to its recipient. Raises Undelivered."""

    async def deliver(self, sender: str, to: str, message: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A mail as it is asked for. Without `to` it goes to the order's e-mail. `again`: although it was sent before."""

    to: str = ""
    again: bool = False
    caller: str = ""
    key: str = ""  # of the call: the same key is the same mail


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a mail is made of, but for its words."""

    subject: str  # "return:12"
    name: str
    to: str
    terms: Terms
    carrier: str
    return_number: str
    label_number: str
    deadline: datetime | None  # until when it has to be handed over
    papers: tuple[tuple[LabelFormat, Document], ...]
    known: dict[str, Any] | None  # it was asked for before: this is what became of it


@dataclass(frozen=True, slots=True)
class Letter:
    """The words, in the shopper's language."""

    subject: str
    text: str
    language: str


class _Sealed(msgspec.Struct):
    """What is kept of a mail only sealed, and only until it was sent."""

    sender: str
    to: str
    message: bytes


# ------------------------------------------------------------------------------------------------------------ asked for


async def address(till: Till, shelf: Shelf, number: str, asked: Asked) -> Envelope:
    """What is to be mailed, and to whom. Raises Declined."""
    if asked.to and not _MAILBOX.fullmatch(asked.to):
        raise Declined("email_needed", "that is no e-mail address", "/to")

    async def unit(tx: Tx) -> tuple[Row, Row, list[str], str]:
        row = await find_return(tx, number)
        if row is None:
            raise Declined("return_not_found", f"no return {number}")
        label = await usable_label(tx, row)
        to = asked.to or await _usual(tx, till, row)
        return row, label, await formats_of(tx, label["id"]), to

    row, label, formats, to = await till.store.read(unit)
    if not _MAILBOX.fullmatch(to):
        raise Declined("email_needed", "nobody knows where to mail it: state an e-mail address", "/to")
    to_mark = till.sealer.mark(f"mail:{to.casefold()}")
    time = "1"
    if asked.again:
        time = till.sealer.mark(f"mail:{asked.caller}/{asked.key}")[:16] if asked.key else secrets.token_hex(8)
    subject, name = f"return:{row['id']}", f"label/{label['number']}/{to_mark[:16]}/{time}"
    known = await till.store.read(lambda tx: find_mail(tx, subject, name))
    ends = [datetime.fromisoformat(clock["ends"]) for clock in about_of(row).clocks if clock.get("ends")]
    carrier = till.carriers.get(label["carrier"])
    return Envelope(
        subject=subject,
        name=name,
        to=to,
        terms=terms_for(shelf, row["merchant"], from_us(row["created_us"])),
        carrier=carrier.title if carrier else label["carrier"].upper(),
        return_number=number,
        label_number=label["number"],
        deadline=min(ends, default=None),
        papers=tuple(
            [(each, await label_document(till.store, till.sealer, number, each)) for each in _chosen(formats)]
        ),
        known=mail_view(known) if known else None,
    )


async def usable_label(tx: Tx, row: Row) -> Row:
    """The label of a return that can be used now. Raises Declined."""
    purchase = await purchase_of(tx, f"return:{row['id']}", "label")
    if row["state"] == ReturnState.LABEL_PENDING:
        raise Declined("label_pending", "the label is still being settled: ask again later")
    label = next(iter(await labels_of(tx, purchase["id"])), None) if purchase else None
    if purchase is None or label is None or (purchase["state"], label["state"]) != (State.ISSUED, LabelState.LIVE):
        raise Declined("label_unknown", "there is no label that can be used")
    if row["state"] != ReturnState.LABEL_READY:
        raise Declined("return_under_way", f"the return is {row['state']}: its label is not needed any more")
    return label


async def _usual(tx: Tx, till: Till, row: Row) -> str:
    """The e-mail of the address it is sent from, else of the first order; empty once they were erased."""
    sender = sender_of(row, till.sealer)
    if sender and sender.email:
        return sender.email
    for order in await orders_of(tx, row["id"]):
        found = await find_order(tx, row["merchant"], order["number"])
        if found and (contact := contact_of(found, till.sealer)) and contact.email:
            return contact.email
    return ""


def _chosen(formats: list[str]) -> list[LabelFormat]:
    """The PDF, and the code for the counter where there is one; else a picture. Raises Declined where none is there."""
    mailed = [each for each in (LabelFormat.PDF, LabelFormat.QR) if each in formats]
    mailed = mailed or [each for each in (LabelFormat.PNG, LabelFormat.GIF) if each in formats][:1]
    if not mailed:
        raise Declined("label_unknown", f"no format that can be mailed; there is: {', '.join(formats) or 'none'}")
    return mailed


async def queue(till: Till, envelope: Envelope, letter: Letter, sender: str) -> dict[str, Any]:
    """Keep the mail as it will be sent; the same name again changes nothing. What is known of it then."""
    message_id = f"<{secrets.token_hex(16)}@{sender.rpartition('@')[2]}>"
    message = compose(envelope, letter, sender, message_id, datetime.now(UTC))
    sealed = till.sealer.seal(msgspec.msgpack.encode(_Sealed(sender, envelope.to, message)))
    real, now = till.real(), till.clock.now()

    async def unit(tx: Tx) -> dict[str, Any]:
        values = {
            "subject": envelope.subject,
            "name": envelope.name,
            "state": "due",
            "message_id": message_id,
            "to_mark": till.sealer.mark(f"mail:{envelope.to.casefold()}"),
            "number": envelope.label_number,
            "language": letter.language,
            "sealed": sealed,
            "next_us": real_us(real),
            "created_us": to_us(now),
        }
        await add_mail(tx, values)
        row = await find_mail(tx, envelope.subject, envelope.name)
        assert row is not None
        return mail_view(row)

    return await write_surely(till.store, unit)


def compose(envelope: Envelope, letter: Letter, sender: str, message_id: str, at: datetime) -> bytes:
    """The whole message."""
    look, warehouse = envelope.terms.look, envelope.terms.warehouse
    message = EmailMessage(policy=SMTP)
    message["From"] = Mailbox(look.name, addr_spec=sender)
    message["To"] = envelope.to
    if warehouse.email:
        message["Reply-To"] = warehouse.email
    message["Subject"] = letter.subject
    message["Date"] = at
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # nobody's out-of-office answers it
    message.set_content(letter.text, cte="quoted-printable")
    message["Content-Language"] = letter.language  # of the text: what is set before it is taken off again
    for format, document in envelope.papers:
        kind, _, part = document.media_type.partition("/")
        name = f"{envelope.return_number}.png" if format is LabelFormat.QR else f"{envelope.return_number}.{format}"
        message.add_attachment(document.body, maintype=kind, subtype=part, filename=name)
    return message.as_bytes()


async def mails_view(tx: Tx, number: str) -> list[dict[str, Any]]:
    """Every mail of a return, oldest first. Raises Declined for no such return."""
    row = await find_return(tx, number)
    if row is None:
        raise Declined("return_not_found", f"no return {number}")
    return [mail_view(each) for each in await mails_of(tx, f"return:{row['id']}")]


def mail_view(row: Row) -> dict[str, Any]:
    """A mail as the caller is shown it: never to whom it went."""
    return {
        **{name: row[name] for name in ("state", "message_id", "language", "tries", "detail")},
        "label_number": row["number"],
        "asked_at": text(from_us(row["created_us"])),
        "sent_at": text(from_us(row["sent_us"])) if row["sent_us"] is not None else None,
    }


# ----------------------------------------------------------------------------------------------------------------- sent


async def send_due(till: Till, box: Carries, limit: int = 20) -> int:
    """A sweep: send what is due; how many were tried. One after the other: a mail server likes no crowds."""
    rows = await till.store.read(lambda tx: due_mails(tx, real_us(till.real()), limit))
    for row in rows:
        await _send(till, box, row)
    return len(rows)


async def _send(till: Till, box: Carries, row: Row) -> None:
    tries, lease = row["tries"], real_us(till.real() + LEASE)
    if not await till.store.write(lambda tx: take_mail(tx, row["id"], tries, lease)):
        return
    if row["sealed"] is None:  # erased meanwhile
        await _end(till, row, "erased", "its content was erased")
        return
    kept = msgspec.msgpack.decode(till.sealer.open(bytes(row["sealed"])), type=_Sealed)
    try:
        await box.deliver(kept.sender, kept.to, kept.message)
    except Undelivered as error:
        log.warning("a mail was not taken", extra={"mail": row["id"], "why": error.why})
        final = error.final or tries + 1 >= TRIES
        await _end(till, row, "failed" if final else "due", error.why)
        return
    await _end(till, row, "sent", "")


async def _end(till: Till, row: Row, state: str, detail: str) -> None:
    now, tries = till.clock.now(), row["tries"] + 1
    wait = min(FIRST_WAIT * 2.0 ** min(tries - 1, 16), LONGEST_WAIT)
    next_us = real_us(till.real() + till.pace.scaled(wait)) if state == "due" else None
    sent_us = to_us(now) if state == "sent" else None

    async def unit(tx: Tx) -> None:
        if not await end_mail(tx, row["id"], tries, state=state, next_us=next_us, detail=detail, sent_us=sent_us):
            return
        if state == "failed":
            await _say(tx, row, "failed", "ops.mail_failed", now, detail)
        elif state == "sent" and any(each["state"] == "failed" for each in await mails_of(tx, row["subject"])):
            await _say(tx, row, "sent", "ops.mail_sent", now, "")

    await write_surely(till.store, unit)


async def _say(tx: Tx, row: Row, what: str, type: str, now: datetime, why: str) -> None:
    about = await lock_return_by_id(tx, int(row["subject"].removeprefix("return:")))
    assert about is not None
    data = {"merchant": about["merchant"], "return_number": about["number"], "why": why}
    await say(tx, subject=row["subject"], name=f"mail/{row['id']}/{what}", type=type, at=now, data=data)
