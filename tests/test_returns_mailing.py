"""Facts about the label by e-mail, with a real mail server: sent once, as asked for, and never lost on the way."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerts.ladder import _RULES
from cli.doctor import examine
from cli.settings import Misconfigured, read_settings
from returns.mailing import Asked, Letter, address, mails_view, queue, send_due
from returns.postbox import Postbox, Security, Undelivered
from returns.replacing import Wanted, replace_label
from store.engine import Store
from store.mails import forget_mails, mails_of
from store.outbox import said_about
from tests.doors import MONDAY, Doors, make_house, on_the_street, open_doors
from tests.test_returns_desk import Shop
from tracker.orders import Declined

SENDER = "returns@shop.example"
WORDS = Letter("Your label", "Hello Ada,\n\nhere it is.\n", "en")


@dataclass
class Catcher:
    """A mail server that keeps what it takes. The next messages end as scripted: take, 4xx, 5xx, rcpt5xx, hang up."""

    mails: list[EmailMessage] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    port: int = 0
    context: ssl.SSLContext | None = None

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]) -> str:
        if self.script[:1] == ["rcpt5xx"]:
            self.script.pop(0)
            return f"550 5.1.1 <{to}>: nobody of this name"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        end = self.script.pop(0) if self.script else "take"
        if end == "4xx":
            return "451 4.3.0 try later"
        if end == "5xx":
            return "554 5.7.1 we do not like it, ada@example.com"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.encrypted.append(session.ssl is not None)
        if end == "hang up":  # taken, and the answer is lost
            assert server.transport
            server.transport.abort()
        return "250 OK"

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, told: Any) -> AuthResult:
        assert isinstance(told, LoginPassword)
        self.logins.append(told.login.decode())
        return AuthResult(success=told.password == b"right", handled=False)


@asynccontextmanager
async def catching(catcher: Catcher, **options: Any) -> AsyncIterator[Catcher]:
    """A mail server on a port of its own."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(catcher, hostname="here", **options), "127.0.0.1", 0)
    catcher.port = server.sockets[0].getsockname()[1]
    try:
        yield catcher
    finally:
        server.close()


@pytest.fixture
async def mail() -> AsyncIterator[Catcher]:
    async with catching(Catcher()) as catcher:
        yield catcher


@pytest.fixture
async def shop(store: Store) -> Shop:
    return await Shop(store).order()


@pytest.fixture
async def here(sqlite_store: Store) -> Shop:
    return await Shop(sqlite_store).order()


def box(catcher: Catcher) -> Postbox:
    return Postbox("127.0.0.1", catcher.port, Security.NONE)


async def ask(shop: Shop, number: str, asked: Asked | None = None) -> dict[str, Any]:
    envelope = await address(shop.till, shop.shelf, number, asked or Asked())
    return envelope.known or await queue(shop.till, envelope, WORDS, SENDER)


async def labelled(shop: Shop) -> str:
    return str((await shop.register()).view["return_number"])


async def states(shop: Shop) -> list[str]:
    return [row["state"] for row in await shop.store.read(lambda tx: mails_of(tx, "return:1"))]


# ----------------------------------------------------------------------------------------------------------- sent once


async def test_policy_40_the_label_is_mailed_as_a_pdf_in_the_shops_name(shop: Shop, mail: Catcher) -> None:
    """To the customer, from the shop, with the very bytes of the label; recorded, and its content is gone."""
    number = await labelled(shop)
    assert (await ask(shop, number))["state"] == "due"
    await send_due(shop.till, box(mail))
    [sent] = mail.mails
    assert (sent["To"], str(sent["From"])) == ("ada@example.com", f"Boutique <{SENDER}>")
    assert sent["Subject"] == "Your label" and "here it is" in sent.get_body().get_content()  # type: ignore[union-attr]
    [paper] = sent.iter_attachments()
    assert (paper.get_filename(), paper.get_content_type()) == (f"{number}.pdf", "application/pdf")
    assert paper.get_content() == b"%PDF-1.7 " + shop.seller.charges[0][1].encode()
    [row] = await shop.store.read(lambda tx: mails_of(tx, "return:1"))
    assert (row["state"], row["sealed"], row["tries"]) == ("sent", None, 1)
    [view] = await shop.store.read(lambda tx: mails_view(tx, number))
    assert view["sent_at"] and view["message_id"] == sent["Message-ID"]
    assert not re.search(r"\bada\b", repr([dict(row), view]))  # within a digest it may stand


async def test_asked_many_times_it_is_sent_once_and_again_when_that_is_said(shop: Shop, mail: Catcher) -> None:
    """At once and later: one mail. `again` sends one more; the same key of a call is the same mail."""
    number = await labelled(shop)
    await asyncio.gather(*(ask(shop, number) for _ in range(4)))
    await asyncio.gather(*(send_due(shop.till, box(mail)) for _ in range(3)))
    assert (await ask(shop, number))["state"] == "sent"
    await send_due(shop.till, box(mail))
    assert len(mail.mails) == 1
    for key in ("k-1", "k-1", "k-2"):
        await ask(shop, number, Asked(again=True, key=key))
    await ask(shop, number, Asked(to="other@example.org"))
    await send_due(shop.till, box(mail))
    assert [sent["To"] for sent in mail.mails] == ["ada@example.com"] * 3 + ["other@example.org"]
    assert len({sent["Message-ID"] for sent in mail.mails}) == 4


async def test_another_label_is_another_mail(here: Shop, mail: Catcher) -> None:
    """A label that was replaced is mailed without being asked for `again`; the old one is mailed no more."""
    from tests.test_returns_replacing import giving_new_labels

    giving_new_labels(here)
    number = await labelled(here)
    await ask(here, number)
    await replace_label(here.till, here.shelf, number, Wanted(compromised=True))
    await ask(here, number)
    await send_due(here.till, box(mail))
    papers = [next(iter(sent.iter_attachments())).get_content() for sent in mail.mails]
    assert papers[-1].endswith(here.seller.charges[1][1].encode()) and len(papers) == 2


# ------------------------------------------------------------------------------------------------- nothing is lost


async def test_a_server_that_is_away_is_tried_again(here: Shop, mail: Catcher) -> None:
    """No connection, then 451, then taken: the same bytes and Message-ID; waits grow; nothing is said meanwhile."""
    number = await labelled(here)
    kept = await ask(here, number)
    nobody = Postbox("127.0.0.1", 1, Security.NONE)
    assert await send_due(here.till, nobody) == 1
    assert await send_due(here.till, nobody) == 0  # not due yet
    mail.script = ["4xx"]
    here.real += 31
    await send_due(here.till, box(mail))
    here.real += 31
    assert await send_due(here.till, box(mail)) == 0  # the wait has doubled
    here.real += 31
    await send_due(here.till, box(mail))
    [sent] = mail.mails
    assert sent["Message-ID"] == kept["message_id"] and await states(here) == ["sent"]
    assert not [word for word in await here.said() if word.startswith("ops.")]


async def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_id(here: Shop, mail: Catcher) -> None:
    """At least once: the server took it and hung up; the second one has the same id, date and bytes."""
    number = await labelled(here)
    await ask(here, number)
    mail.script = ["hang up"]
    await send_due(here.till, box(mail))
    assert await states(here) == ["due"]
    here.real += 31
    await send_due(here.till, box(mail))
    one, two = mail.mails
    assert one.as_bytes() == two.as_bytes() and await states(here) == ["sent"]


async def test_a_sender_that_died_is_followed_by_another(here: Shop, mail: Catcher) -> None:
    """Nobody takes a mail that is being sent; after the lease somebody does."""

    class Dies:
        async def deliver(self, sender: str, to: str, message: bytes) -> None:
            raise SystemExit

    await ask(here, await labelled(here))
    with pytest.raises(SystemExit):
        await send_due(here.till, Dies())
    assert await send_due(here.till, box(mail)) == 0 and await states(here) == ["sending"]
    here.real += 181
    await send_due(here.till, box(mail))
    assert len(mail.mails) == 1 and await states(here) == ["sent"]


@pytest.mark.parametrize(("end", "why"), [("rcpt5xx", "the recipient: 550 5.1.1"), ("5xx", "the message: 554 5.7.1")])
async def test_what_is_refused_for_good_is_told_to_ops_once(here: Shop, mail: Catcher, end: str, why: str) -> None:
    """Not tried again; the server's code without its words, which hold the address; over when a later one is sent."""
    number = await labelled(here)
    await ask(here, number)
    mail.script = [end]
    await send_due(here.till, box(mail))
    here.real += 7200
    assert await send_due(here.till, box(mail)) == 0 and await states(here) == ["failed"]
    notices = await here.store.read(lambda tx: said_about(tx, "return:1"))
    told = [row for row in notices if row["type"] == "ops.mail_failed"]
    assert len(told) == 1 and why in told[0]["data"] and "ada" not in told[0]["data"]
    await ask(here, number, Asked(again=True))
    await send_due(here.till, box(mail))
    assert (await here.said())[-1] == "ops.mail_sent" and {"ops.mail_failed", "ops.mail_sent"} <= _RULES.keys()


async def test_a_mail_is_given_up_after_eighteen_hours(here: Shop) -> None:
    """Then ops hear of it, once."""
    await ask(here, await labelled(here))
    nobody = Postbox("127.0.0.1", 1, Security.NONE)
    tries = 0
    for _ in range(60):
        tries += await send_due(here.till, nobody)
        here.real += 1800
    assert (tries, await states(here)) == (24, ["failed"])
    assert (await here.said()).count("ops.mail_failed") == 1


async def test_what_was_erased_is_not_sent(here: Shop, mail: Catcher) -> None:
    """Erased while it was due: nobody gets it, and nothing of the recipient is left."""
    await ask(here, await labelled(here))
    await here.store.write(lambda tx: forget_mails(tx, "return:1"))
    await send_due(here.till, box(mail))
    [row] = await here.store.read(lambda tx: mails_of(tx, "return:1"))
    assert (mail.mails, row["state"], row["sealed"], row["to_mark"]) == ([], "erased", None, "")


@pytest.mark.parametrize("to", ["nobody", "a@b\r\nBcc: c@d", "a b@example.com", "a@", "<a@b.c>"])
async def test_an_address_that_is_none_is_refused(here: Shop, to: str) -> None:
    """Nothing that could be a header or two recipients."""
    with pytest.raises(Declined) as caught:
        await address(here.till, here.shelf, await labelled(here), Asked(to=to))
    assert (caught.value.code, caught.value.pointer) == ("email_needed", "/to")


# -------------------------------------------------------------------------------------------------- the way is closed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(plain + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_starttls_is_demanded_and_the_login_goes_through_it(certificate: Path) -> None:
    """Encrypted before the password; a server without STARTTLS, or whom nobody vouches for, gets nothing."""
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    serving.load_cert_chain(certificate)
    trusting.load_verify_locations(certificate)
    catcher = Catcher()
    message = b"Subject: a\r\n\r\nb\r\n"
    options = {"tls_context": serving, "require_starttls": True, "authenticator": catcher.login, "auth_required": True}
    async with catching(catcher, **options):
        good = Postbox("127.0.0.1", catcher.port, Security.STARTTLS, "shop", "right", trusting)
        await good.deliver(SENDER, "ada@example.com", message)
        assert (catcher.encrypted, catcher.logins) == ([True], ["shop"])
        for bad in (replace(good, context=None), replace(good, password="wrong")):
            with pytest.raises(Undelivered) as caught:
                await bad.deliver(SENDER, "ada@example.com", message)
            assert not caught.value.final and "wrong" not in str(caught.value)
    async with catching(Catcher()) as plain:
        with pytest.raises(Undelivered):
            await Postbox("127.0.0.1", plain.port, Security.STARTTLS).deliver(SENDER, "ada@example.com", message)
        assert plain.mails == []


def test_a_mail_server_is_one_line() -> None:
    """Schemes, ports, a password with an escape; its repr shows none; anything else is refused."""
    one = Postbox.parse("smtps://shop%40a:p%2Fw@mail.example")
    assert (one.port, one.security, one.user, one.password) == (465, Security.TLS, "shop@a", "p/w")
    assert "p/w" not in repr(one)
    assert Postbox.parse("smtp://mail.example").security is Security.STARTTLS
    assert Postbox.parse("smtp+plain://localhost:2525").port == 2525
    for bad in ("mail.example", "http://mail.example", "smtp://", "smtp://a:b@c:d", "smtp://a/b?tls=off"):
        with pytest.raises(ValueError, match="expected"):
            Postbox.parse(bad)


def test_a_mail_server_that_is_none_stops_the_start_without_its_password() -> None:
    """The setting is named; the password is nowhere. Both settings together are a mail server, one alone is none."""
    with pytest.raises(Misconfigured) as caught:
        read_settings({"HOMEWARD_SMTP_URL": "ftp://shop:hush@mail.example"})
    assert "HOMEWARD_SMTP_URL" in str(caught.value) and "hush" not in str(caught.value)
    url = {"HOMEWARD_SMTP_URL": "smtps://shop:hush@mail.example"}
    assert read_settings(url).postbox is None
    whole = read_settings(url | {"HOMEWARD_MAIL_FROM": SENDER})
    assert whole.postbox and whole.postbox.password == "hush" and "hush" not in repr(whole)


async def test_the_doctor_knocks_and_sends_nothing(tmp_path: Path, mail: Catcher) -> None:
    """Lets us in, does not answer, half set up, not set up: each in a line."""

    async def told(**given: str) -> tuple[bool, str]:
        env = {"HOMEWARD_DATA": str(tmp_path), "HOMEWARD_KEY": ""} | {f"HOMEWARD_{k}": v for k, v in given.items()}
        [line] = [check for check in await examine(read_settings(env)) if check.name == "mail"]
        return line.ok, line.detail

    there = f"smtp+plain://127.0.0.1:{mail.port}"
    assert await told(SMTP_URL=there, MAIL_FROM=SENDER) == (True, "127.0.0.1 lets us in")
    ok, why = await told(SMTP_URL="smtp+plain://127.0.0.1:1", MAIL_FROM=SENDER)
    assert not ok and "does not answer" in why
    assert not (await told(SMTP_URL=there))[0] and (await told())[0]
    assert mail.mails == []


# ---------------------------------------------------------------------------------------------------- through the doors

FRIDAY = MONDAY + timedelta(days=11)


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    async with on_the_street(FRIDAY) as (town, carriers):
        house = make_house(sqlite_store, carriers, FRIDAY, mail_from=SENDER)
        async with open_doors(house) as doors:
            await doors.put_order()
            await doors.ship("B-1001", town.create("ups", "delivered_first_time", starts_at=MONDAY).number)
            yield doors


async def test_policy_40_49_the_agent_asks_and_the_customer_reads_in_his_language(doors: Doors, mail: Catcher) -> None:
    """202, then 200 with what became of it; Italian when that is stated, and no key is shown for a word."""
    wish = {"sku": "COAT-42", "quantity": 1, "reason": "size"}
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": "B-1001", "items": [wish]}]}
    _, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    path = f"/v1/returns/{made['return_number']}/label/email"
    for language in ("it", "fr", "de", "es", "en"):
        body = {"language": language, "again": True}
        status, told, _ = await doors.call("POST", path, json=body, headers={"Idempotency-Key": language})
        assert (status, told["state"], told["language"]) == (202, "due", language)
    assert "canary" not in str(told)
    await send_due(doors.house.till, box(mail))
    texts = [sent.get_body().get_content() for sent in mail.mails]  # type: ignore[union-attr]
    assert "in allegato" in texts[0] and "ci-joint" in texts[1] and "anbei" in texts[2] and "adjuntamos" in texts[3]
    assert all(made["return_number"] in each and "Boutique" in each and "mail." not in each for each in texts)
    assert all(made["label"]["number"] in each for each in texts)
    languages = [sent.get_body()["Content-Language"] for sent in mail.mails]  # type: ignore[union-attr,index]
    assert languages == ["it", "fr", "de", "es", "en"]
    [paper] = mail.mails[0].iter_attachments()
    assert paper.get_content().startswith(b"%PDF-")
    status, told, _ = await doors.call("GET", path)
    assert (status, [each["state"] for each in told["items"]]) == (200, ["sent"] * 5)


async def test_without_a_mail_server_it_is_said(doors: Doors) -> None:
    """409, naming the settings; an unknown return is a 404."""
    status, problem, _ = await doors.call("POST", "/v1/returns/RNOTTHERE/label/email", json={})
    assert (status, problem["code"]) == (404, "return_not_found")
    wish = {"sku": "COAT-42", "quantity": 1, "reason": "size"}
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": "B-1001", "items": [wish]}]}
    _, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    async with open_doors(replace(doors.house, mail_from="", registry=type(doors.house.registry)())) as mute:
        path = f"/v1/returns/{made['return_number']}/label/email"
        status, problem, _ = await mute.call("POST", path, json={})
        assert (status, problem["code"]) == (409, "mail_not_set_up") and "HOMEWARD_SMTP_URL" in problem["detail"]
