"""Return labels at USPS: the exact request, every answer judged, found again by its key."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from carriers.contract import (
    Address,
    Away,
    Bought,
    Busy,
    LabelFormat,
    LabelRequest,
    Money,
    NotExecuted,
    Refused,
    Rejected,
    Unknown,
    Voided,
)
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect
from tests.official import PRESENT, Operation, complaints

BASE = "https://apis.usps.com"
BUY, REPRINT = f"{BASE}/labels/v3/return-label", f"{BASE}/labels/v3/label-reprint"
TOKEN, PAYMENT = f"{BASE}/oauth2/v3/token", f"{BASE}/payments/v3/payment-authorization"
KEY = "6f1c9f0e-7c0a-4b0e-9a55-2f8f4d8d9e11"
NUMBER = "9202090123456700000015"
MONDAY = date(2026, 3, 2)
PDF = b"%PDF-1.4 a label"
ANN = Address(
    "Ann Marie Lee", ("10 Elm St", "Apt 4"), "Reno", "89501-1234", "US", "NV", phone="7755550100", email="a@b.c"
)
DOCK = Address("", ("500 Dock Rd",), "Sparks", "89431", "US", "NV", company="Returns DC 1")
REQUEST = LabelRequest(
    purchase_id=KEY,
    reference="R" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ship_from=ANN,
    ship_to=DOCK,
    weight_kg=Decimal("0.7"),
    description="clothing",
    return_number="US-2026-000123",
    size_cm=(Decimal(10), Decimal(30), Decimal(20)),
)
METADATA = {
    "labelAddress": {"firm": "RETURNS DC 1", "city": "SPARKS", "state": "NV", "ZIPCode": "89431"},
    "routingInformation": "420894311234",
    "trackingNumber": NUMBER,
    "postage": 6.85,
    "extraServices": [{"name": "USPS Tracking", "price": 0}, {"name": "Signature", "price": 3.45}],
    "fees": [{"name": "Nonstandard", "price": 4}],
}


def drawn(picture: bytes = PDF) -> str:
    return base64.b64encode(picture).decode()


def flat(**more: Any) -> httpx.Response:
    body = json.dumps({**METADATA, "returnLabelImage": drawn(), **more}).encode()
    return httpx.Response(200, content=body, headers={"Content-Type": "application/vnd.usps.labels+json"})


def multipart(newline: str = "\r\n", end: str = "--B--") -> httpx.Response:
    parts = [
        'Content-Disposition: form-data; name="returnLabelMetadata"\nContent-Type: application/json\n\n'
        + json.dumps(METADATA),
        "Content-Type: application/pdf\nContent-Encoding: gzip\nContent-Transfer-Encoding: binary\n"
        f'Content-Disposition: attachment; name="returnLabelImage"; filename="label.pdf"\n\n{drawn()}',
    ]
    text = "".join(f"--B\n{part}\n" for part in parts) + end + "\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    return httpx.Response(200, content=text.replace("\n", newline).encode(), headers=headers)


def refused(status: int, code: str, detail: str = "no") -> httpx.Response:
    error = {"code": str(status), "errors": [{"code": code, "detail": detail, "source": {"parameter": "x"}}]}
    return httpx.Response(status, json={"apiVersion": "/labels/v3", "error": error})


@pytest.fixture
async def usps() -> AsyncIterator[Usps]:
    env = {
        "USPS_CLIENT_ID": "key",
        "USPS_CLIENT_SECRET": "hush",
        "USPS_CRID": "12345678",
        "USPS_MID": "901234567",
        "USPS_EPS_ACCOUNT": "1000000001",
    }
    made = connect(Settings.from_env(env), budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    made._labels._door._first_wait = 0.001
    yield made
    await made.aclose()


@pytest.fixture
def wire() -> Any:
    with respx.mock(assert_all_called=False) as router:
        token = {"access_token": "A", "expires_in": 28799, "scope": "labels payments tracking"}
        router.post(TOKEN).mock(return_value=httpx.Response(200, json=token))
        router.post(PAYMENT).mock(return_value=httpx.Response(200, json={"paymentAuthorizationToken": "P1"}))
        yield router


# -------------------------------------------------------------------------------------------------------------- request


def test_the_request_is_exact_and_holds_no_secret(usps: Usps) -> None:
    """Pounds and inches, longest side first, both references; no phone, no e-mail; the same request, the same bytes."""
    prepared = usps.prepare_label(REQUEST)
    assert json.loads(prepared.body) == {
        "imageInfo": {"imageType": "PDF", "labelType": "4X6LABEL", "receiptOption": "NONE"},
        "fromAddress": {
            "firstName": "Ann Marie",
            "lastName": "Lee",
            "streetAddress": "10 Elm St",
            "secondaryAddress": "Apt 4",
            "city": "Reno",
            "state": "NV",
            "ZIPCode": "89501",
            "ZIPPlus4": "1234",
        },
        "toAddress": {
            "firm": "Returns DC 1",
            "streetAddress": "500 Dock Rd",
            "city": "Sparks",
            "state": "NV",
            "ZIPCode": "89431",
        },
        "packageDescription": {
            "mailClass": "USPS_GROUND_ADVANTAGE_RETURN_SERVICE",
            "rateIndicator": "SP",
            "processingCategory": "MACHINABLE",
            "weightUOM": "lb",
            "weight": 1.55,
            "dimensionsUOM": "in",
            "length": 11.82,
            "width": 7.88,
            "height": 3.94,
            "customerReference": [
                {"referenceNumber": "US-2026-000123", "printReferenceNumber": True},
                {"referenceNumber": "RABCDEFGHIJKLMNOPQRSTUVWXYZ", "printReferenceNumber": False},
            ],
        },
    }
    assert (prepared.method, prepared.path) == ("POST", "/labels/v3/return-label")
    assert prepared.headers == {
        "Content-Type": "application/json",
        "Accept": "application/vnd.usps.labels+json",
        "X-Idempotency-Key": KEY,
    }
    assert prepared == usps.prepare_label(REQUEST)


@pytest.mark.skipif(not PRESENT, reason="USPS LABEL NOT COMPARED: no official files in ../shared/specs")
@pytest.mark.parametrize("picture", [one for one in LabelFormat if one is not LabelFormat.QR])
def test_the_request_meets_the_official_file(picture: LabelFormat, usps: Usps) -> None:
    """Every format, with and without a size."""
    operation = Operation("usps/labels-v3.yaml", "post", "/return-label")
    for request in (replace(REQUEST, format=picture), replace(REQUEST, size_cm=None, return_number="")):
        assert complaints(operation, json.loads(usps.prepare_label(request).body)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight_kg": Decimal(32)}, "70 pounds"),
        ({"weight_kg": Decimal(0)}, "pounds"),
        ({"size_cm": (Decimal(1), Decimal(0), Decimal(1))}, "side"),
        ({"service": "PRIORITY_MAIL"}, "no return service"),
        ({"is_return": False}, "day it is handed over"),
        ({"is_return": False, "ship_day": MONDAY, "qr": True}, "returns only"),
        ({"is_return": False, "ship_day": MONDAY, "service": "PRIORITY_MAIL_RETURN_SERVICE"}, "no service"),
        ({"is_dangerous": True}, "dangerous goods"),
        ({"ship_from": replace(ANN, country="CA")}, "ship_from is in CA"),
        ({"ship_to": replace(DOCK, country="DE")}, "ship_to is in DE"),
        ({"ship_from": replace(ANN, region="AE")}, "customs form"),
        ({"ship_from": replace(ANN, region="Nevada")}, "two-letter"),
        ({"ship_from": replace(ANN, postal_code="8950")}, "ZIP"),
        ({"ship_from": replace(ANN, lines=())}, "street"),
        ({"ship_from": replace(ANN, lines=("x" * 51,))}, "street"),
        ({"ship_from": replace(ANN, city="")}, "city"),
        ({"ship_from": replace(ANN, name="")}, "name or a company"),
    ],
)
def test_what_usps_could_only_refuse_is_refused_here(change: dict[str, Any], words: str, usps: Usps) -> None:
    """source: facts/usps.md 2.3, 2.9: named before any money moves."""
    with pytest.raises(Refused, match=words):
        usps.prepare_label(replace(REQUEST, **change))


def test_a_territory_is_a_state_and_one_name_a_firm(usps: Usps) -> None:
    """Puerto Rico may be written as a country of its own."""
    madonna = replace(ANN, name="Madonna", country="PR", region="", postal_code="00901")
    address = json.loads(usps.prepare_label(replace(REQUEST, ship_from=madonna)).body)["fromAddress"]
    assert address["state"] == "PR" and address["firm"] == "Madonna" and "firstName" not in address


# ------------------------------------------------------------------------------------------------------------------ buy


async def buy(usps: Usps, wire: respx.MockRouter, answer: Any) -> Any:
    wire.post(BUY).mock(side_effect=answer if isinstance(answer, list) else [answer])
    return await usps.buy(usps.prepare_label(REQUEST))


@pytest.mark.parametrize("answer", [flat(), multipart(), multipart("\n")], ids=["flat", "multipart", "bare newlines"])
async def test_a_label_is_bought(answer: httpx.Response, usps: Usps, wire: respx.MockRouter) -> None:
    """Price is postage, extras and fees; Base64 whatever a header says; the payment token is added on the way."""
    outcome = await buy(usps, wire, answer)
    assert isinstance(outcome, Bought)
    assert (outcome.label.number, outcome.label.documents) == (NUMBER, {LabelFormat.PDF: PDF})
    assert outcome.label.price == Money(Decimal("14.30"), "USD") and outcome.answer == answer.content
    sent = wire.calls.last.request
    assert sent.headers["x-payment-authorization-token"] == "P1" and sent.headers["x-idempotency-key"] == KEY
    assert sent.content == usps.prepare_label(REQUEST).body


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        # never reached its business: the same bytes may go again
        (httpx.ConnectError("no"), NotExecuted, "ConnectError"),
        (httpx.ConnectTimeout("no"), NotExecuted, "ConnectTimeout"),
        (httpx.PoolTimeout("no"), NotExecuted, "PoolTimeout"),
        ([httpx.Response(401), refused(401, "", "expired")], NotExecuted, "401"),
        (httpx.Response(429, headers={"Retry-After": "9"}), NotExecuted, "429"),
        # the carrier said no, readably
        (refused(400, "160304", "not enrolled"), Rejected, "not enrolled"),
        (refused(402, "x", "pay first"), Rejected, "pay first"),
        (refused(403, "403", "no agreement"), Rejected, "no agreement"),
        (refused(422, "x", "cannot"), Rejected, "cannot"),
        # everything else
        (refused(400, "160368", "Service unavailable"), Rejected, "unavailable"),
        (httpx.Response(400, text="<html>"), Unknown, "400"),
        (httpx.Response(400, content=b""), Unknown, "400"),
        (httpx.Response(403, json=[]), Unknown, "403"),
        (refused(404, "404"), Unknown, "404"),
        (refused(408, "408"), Unknown, "408"),
        (refused(409, "409"), Unknown, "409"),
        (refused(500, "500"), Unknown, "500"),
        (httpx.Response(503, headers={"Retry-After": "9"}), Unknown, "503"),
        (httpx.Response(302, headers={"Location": "https://evil.example"}), Unknown, "302"),
        (httpx.ReadTimeout("slow"), Unknown, "ReadTimeout"),
        (httpx.WriteTimeout("slow"), Unknown, "WriteTimeout"),
        (httpx.ReadError("reset"), Unknown, "ReadError"),
        (httpx.RemoteProtocolError("cut"), Unknown, "RemoteProtocolError"),
        (ValueError("odd"), Unknown, "ValueError"),
        (httpx.Response(200, text="<html>ok</html>"), Unknown, "cannot be read"),
        (httpx.Response(200, content=flat().content[:-40]), Unknown, "cannot be read"),
        (httpx.Response(200, content=b"[]"), Unknown, "no JSON object"),
        (httpx.Response(204), Unknown, "cannot be read"),
        (multipart(end=""), Unknown, "told apart"),
        (httpx.Response(200, content=b"x", headers={"Content-Type": "multipart/form-data"}), Unknown, "told apart"),
        (flat(trackingNumber="9202090123456700000016"), Unknown, "tracking number"),
        (flat(trackingNumber=None), Unknown, "tracking number"),
        (flat(returnLabelImage=None), Unknown, "no label"),
        (flat(returnLabelImage="%%%"), Unknown, "Base64"),
        (flat(returnLabelImage=drawn(b"GIF89a")), Unknown, "no pdf"),
        (flat(returnLabelImage=drawn(PDF + b"0" * 2**21)), Unknown, "bytes"),
        (flat(routingInformation="42010001"), Unknown, "goes to 10001"),
        (flat(routingInformation="", labelAddress={"ZIPCode": "10001"}), Unknown, "goes to 10001"),
    ],
)
async def test_each_answer_is_judged(answer: Any, kind: type, words: str, usps: Usps, wire: respx.MockRouter) -> None:
    """source: design/labels-never-twice.md step 4; sent once, or twice after a 401."""
    outcome = await buy(usps, wire, answer)
    assert isinstance(outcome, kind), outcome
    assert words in (outcome.message if isinstance(outcome, Rejected) else outcome.why)
    sent = [call for call in wire.calls if call.request.url.path.endswith("/return-label")]
    assert len(sent) == (2 if isinstance(answer, list) else 1)
    assert len({call.request.content for call in sent}) == 1


async def test_a_rejection_has_the_carriers_code_and_a_429_its_wait(usps: Usps, wire: respx.MockRouter) -> None:
    """For whoever must fix it, or wait."""
    assert await buy(usps, wire, refused(400, "160304", "not enrolled")) == Rejected("160304", "not enrolled")
    outcome = await buy(usps, wire, httpx.Response(429, headers={"Retry-After": "9"}))
    assert isinstance(outcome, NotExecuted) and outcome.retry_after == 9


async def test_a_dead_payment_token_is_fetched_anew(usps: Usps, wire: respx.MockRouter) -> None:
    """A 401 says NotExecuted and forgets the authorization, so that the next send has a fresh one."""
    tokens = [httpx.Response(200, json={"paymentAuthorizationToken": each}) for each in ("P1", "P2")]
    wire.post(PAYMENT).mock(side_effect=tokens)
    assert isinstance(await buy(usps, wire, [httpx.Response(401), httpx.Response(401)]), NotExecuted)
    assert isinstance(await buy(usps, wire, flat()), Bought)
    assert wire.calls.last.request.headers["x-payment-authorization-token"] == "P2"


@pytest.mark.parametrize(
    ("where", "answer", "kind"),
    [
        (TOKEN, httpx.Response(503), NotExecuted),
        (TOKEN, httpx.ReadTimeout("slow"), NotExecuted),
        (TOKEN, httpx.Response(401, json={"error": "invalid_client"}), NotExecuted),
        (PAYMENT, httpx.Response(503), NotExecuted),
        (PAYMENT, httpx.ReadTimeout("slow"), NotExecuted),
        (PAYMENT, httpx.Response(429), NotExecuted),
        (PAYMENT, refused(400, "100007", "balance"), Rejected),
    ],
)
async def test_without_its_tokens_nothing_is_sent(where: str, answer: Any, kind: type, usps: Usps, wire: Any) -> None:
    """Nothing can have been bought, whatever went wrong on the way there."""
    wire.post(where).mock(side_effect=[answer] * 3)
    route = wire.post(BUY).mock(return_value=flat())
    outcome = await usps.buy(usps.prepare_label(REQUEST))
    assert isinstance(outcome, kind), outcome
    assert not route.called


async def test_a_renewal_that_fails_after_a_401_bought_nothing(usps: Usps, wire: respx.MockRouter) -> None:
    """401 is never Unknown, also when the next token cannot be had."""
    token = {"access_token": "A", "expires_in": 28799, "scope": "labels payments"}
    wire.post(TOKEN).mock(side_effect=[httpx.Response(200, json=token), httpx.ReadTimeout("slow")])
    assert isinstance(await buy(usps, wire, httpx.Response(401)), NotExecuted)


async def test_a_stopped_send_is_cancelled_not_judged(usps: Usps, wire: respx.MockRouter) -> None:
    """Whoever stops it knows that nothing is proven."""

    async def stall(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return flat()

    wire.post(BUY).mock(side_effect=stall)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await usps.buy(usps.prepare_label(REQUEST))


# ----------------------------------------------------------------------------------------------------------------- find


async def test_a_label_is_found_by_its_key(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 2.8: a reprint under the purchase's key, in the picture asked for, without a receipt."""
    body = {"returnLabelMetadata": METADATA, "returnLabelImage": drawn(), "reprintInfo": {"reprintNumber": 1}}
    route = wire.post(REPRINT).mock(return_value=httpx.Response(200, json=body))
    (label,) = await usps.find(usps.prepare_label(REQUEST))
    assert (label.number, label.documents[LabelFormat.PDF]) == (NUMBER, PDF)
    assert label.price == Money(Decimal("14.30"), "USD")
    sent = route.calls[0].request
    assert sent.headers["x-idempotency-key"] == KEY and sent.headers["x-payment-authorization-token"] == "P1"
    assert json.loads(sent.content) == {"imageInfo": {"imageType": "PDF", "labelType": "4X6LABEL"}}
    if PRESENT:
        assert complaints(Operation("usps/labels-v3.yaml", "post", "/label-reprint"), json.loads(sent.content)) == []


@pytest.mark.parametrize("answer", [refused(400, "160378"), refused(400, "160185"), refused(404, "404")])
async def test_a_miss_is_empty(answer: httpx.Response, usps: Usps, wire: respx.MockRouter) -> None:
    """No label under this key (yet)."""
    wire.post(REPRINT).mock(return_value=answer)
    assert await usps.find(usps.prepare_label(REQUEST)) == ()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400, "160379", "reprinted three times"), Refused),
        (refused(400, "160999", "key was used with another request"), Refused),
        (httpx.Response(429), Busy),
        (httpx.Response(503), Away),
        (httpx.Response(200, text="<html>"), Away),
        (httpx.ReadTimeout("slow"), Away),
    ],
)
async def test_a_look_that_proves_nothing_is_no_miss(answer: Any, error: type, usps: Usps, wire: Any) -> None:
    """A label that is not printed any more exists all the same; a reprint is never asked for twice at once."""
    route = wire.post(REPRINT).mock(side_effect=[answer])
    with pytest.raises(error):
        await usps.find(usps.prepare_label(REQUEST))
    assert route.call_count == 1


# ----------------------------------------------------------------------------------------------------------------- void


async def test_a_return_label_is_void_on_our_side_only(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 2.8: USPS cannot cancel it (160187), charges none that is never scanned; it is said so."""
    outcome = await usps.void(usps.prepare_void(NUMBER, ""))
    assert isinstance(outcome, Voided) and outcome.number == NUMBER and "our side" in outcome.note
    assert usps.abilities.void_return and not wire.calls


# ------------------------------------------------------------------------------------------------- outbound and voiding

OUT, CANCEL = f"{BASE}/labels/v3/label", f"{BASE}/labels/v3/label/{NUMBER}"
RESEND = replace(REQUEST, is_return=False, ship_from=DOCK, ship_to=ANN, ship_day=MONDAY)


def test_a_label_to_a_customer_meets_the_official_file(usps: Usps) -> None:
    """A resend or an exchange: other classes, the day it is handed over, its own address on the way."""
    prepared = usps.prepare_label(RESEND)
    body = json.loads(prepared.body)
    assert prepared.path == "/labels/v3/label" and prepared.headers["X-Idempotency-Key"] == KEY
    assert body["toAddress"]["lastName"] == "Lee" and body["fromAddress"]["firm"] == "Returns DC 1"
    package = body["packageDescription"]
    assert (package["mailClass"], package["mailingDate"]) == ("USPS_GROUND_ADVANTAGE", "2026-03-02")
    assert package["destinationEntryFacilityType"] == "NONE"
    if PRESENT:
        operation = Operation("usps/labels-v3.yaml", "post", "/label")
        for service in ("", "PRIORITY_MAIL", "PRIORITY_MAIL_EXPRESS"):
            again = usps.prepare_label(replace(RESEND, service=service))
            assert complaints(operation, json.loads(again.body)) == []


@pytest.mark.parametrize("form", ["flat", "multipart"])
async def test_a_label_to_a_customer_is_bought_and_can_be_cancelled(form: str, usps: Usps, wire: Any) -> None:
    """Its answer calls the image otherwise; it remembers the key it was bought under, by which it is cancelled."""
    answer = flat(returnLabelImage=None, labelImage=drawn(), routingInformation="420895011234", constructCode="C01")
    if form == "multipart":
        content = multipart().content.replace(b"returnLabel", b"label").replace(b"42089431", b"42089501")
        answer = httpx.Response(200, content=content, headers={"Content-Type": "multipart/form-data; boundary=B"})
    wire.post(OUT).mock(return_value=answer)
    outcome = await usps.buy(usps.prepare_label(RESEND))
    assert isinstance(outcome, Bought), outcome
    assert outcome.label.shipment_id == KEY and outcome.label.documents == {LabelFormat.PDF: PDF}
    prepared = usps.prepare_void(NUMBER, outcome.label.shipment_id)
    assert (prepared.method, prepared.path) == ("DELETE", f"/labels/v3/label/{NUMBER}")
    by_key = usps.prepare_void("", KEY)
    assert (by_key.path, by_key.headers["X-Idempotency-Key"]) == ("/labels/v3/label", KEY)


def cancelled(status: str = "CANCELED", **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"trackingNumber": NUMBER, "status": status} | more)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (cancelled(), Voided, "not charged"),
        (cancelled("DISPUTED", disputeId="D7"), Voided, "dispute D7"),
        (refused(400, "160186", "cancelled already"), Voided, "before"),
        (refused(400, "160187", "a return label"), Voided, "our side"),
        (refused(400, "160184", "cannot be cancelled"), Rejected, "cannot be cancelled"),
        (refused(400, "160185", "not found"), Rejected, "not found"),
        (refused(400, "160277", "A dispute was already submitted today"), NotExecuted, "today"),
        (httpx.Response(429, headers={"Retry-After": "9"}), NotExecuted, "429"),
        (refused(503, "503"), Unknown, "503"),
        (httpx.ReadTimeout("slow"), Unknown, "ReadTimeout"),
        (httpx.ConnectError("no"), NotExecuted, "ConnectError"),
        (cancelled("PENDING"), Unknown, "not whether"),
        (httpx.Response(200, text="<html>"), Unknown, "cannot be read"),
    ],
)
async def test_each_answer_to_a_cancellation_is_judged(
    answer: Any, kind: type, words: str, usps: Usps, wire: Any
) -> None:
    """source: facts/usps.md 2.8: CANCELED before manifest, DISPUTED after; cancelled twice is cancelled."""
    route = wire.delete(CANCEL).mock(side_effect=[answer])
    outcome = await usps.void(usps.prepare_void(NUMBER, KEY))
    assert isinstance(outcome, kind), outcome
    said = {Voided: "note", Rejected: "message"}.get(kind, "why")
    assert words in getattr(outcome, said) and route.call_count == 1
    assert route.calls[0].request.headers["x-payment-authorization-token"] == "P1"


async def test_a_number_that_is_none_never_reaches_a_path(usps: Usps) -> None:
    """It stands in the URL of a call that spends."""
    with pytest.raises(Refused, match="no tracking number"):
        usps.prepare_void("../label", KEY)
    with pytest.raises(Refused, match="no tracking number"):
        await usps.reprint("x/../y", LabelFormat.PDF, is_return=True)


@pytest.mark.parametrize("is_return", [True, False])
async def test_a_label_is_printed_again_by_its_number(is_return: bool, usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 2.8: named otherwise for a return; in any picture but a code."""
    names = ("returnLabelMetadata", "returnLabelImage") if is_return else ("labelMetadata", "labelImage")
    zpl = b"^XA^XZ"
    body = dict(zip(names, (METADATA, drawn(zpl)), strict=True)) | {"reprintInfo": {"reprintNumber": 1}}
    route = wire.post(f"{REPRINT}/{NUMBER}").mock(return_value=httpx.Response(200, json=body))
    (label,) = await usps.reprint(NUMBER, LabelFormat.ZPL, is_return=is_return)
    assert label.documents == {LabelFormat.ZPL: zpl} and label.price == Money(Decimal("14.30"), "USD")
    sent = route.calls[0].request
    assert "x-idempotency-key" not in sent.headers
    if PRESENT:
        operation = Operation("usps/labels-v3.yaml", "post", "/label-reprint/{trackingNumber}")
        assert complaints(operation, json.loads(sent.content)) == []
    with pytest.raises(Refused, match="qr"):
        await usps.reprint(NUMBER, LabelFormat.QR, is_return=is_return)


# ------------------------------------------------------------------------------------------------- codes and dangerous

PNG = b"\x89PNG\r\n\x1a\n a code"


@pytest.mark.parametrize("wish", [{"qr": True}, {"format": LabelFormat.QR}])
async def test_a_code_for_the_counter_comes_with_the_label(wish: dict[str, Any], usps: Usps, wire: Any) -> None:
    """source: facts/usps.md 2.7: the code first, the PDF beside it, and where to print without a code."""
    prepared = usps.prepare_label(replace(REQUEST, **wish))
    assert json.loads(prepared.body)["imageInfo"] == {
        "imageType": "LABEL_BROKER",
        "labelType": "4X6LABEL",
        "receiptOption": "NONE",
        "includeLabelBrokerPDF": True,
    }
    if PRESENT:
        assert complaints(Operation("usps/labels-v3.yaml", "post", "/return-label"), json.loads(prepared.body)) == []
    wire.post(BUY).mock(return_value=flat(labelBrokerQR=drawn(PNG), labelBrokerID="AB12"))
    outcome = await usps.buy(prepared)
    assert isinstance(outcome, Bought), outcome
    assert list(outcome.label.documents.items()) == [(LabelFormat.QR, PNG), (LabelFormat.PDF, PDF)]
    assert outcome.label.warnings == ("also at https://tools.usps.com/label-broker.htm?LabelID=AB12&zip=89431",)


async def test_a_code_alone_is_a_label_too_and_a_picture_is_no_code(usps: Usps, wire: respx.MockRouter) -> None:
    """The spec's prose calls the code labelImage; something else in its place is not what was asked for."""
    prepared = usps.prepare_label(replace(REQUEST, qr=True))
    wire.post(BUY).mock(return_value=flat(returnLabelImage=None, labelImage=drawn(PNG)))
    outcome = await usps.buy(prepared)
    assert isinstance(outcome, Bought) and outcome.label.documents == {LabelFormat.QR: PNG}
    wire.post(BUY).mock(return_value=flat(labelBrokerQR=drawn(b"GIF89a")))
    assert isinstance(await usps.buy(prepared), Unknown)


async def test_a_purchase_with_a_code_is_found_as_a_pdf(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 2.8: a reprint knows no codes."""
    route = wire.post(REPRINT).mock(return_value=flat())
    (label,) = await usps.find(usps.prepare_label(replace(REQUEST, qr=True)))
    assert label.documents == {LabelFormat.PDF: PDF}
    assert json.loads(route.calls[0].request.content)["imageInfo"]["imageType"] == "PDF"


async def test_dangerous_goods_need_an_agreed_service_and_the_ground() -> None:
    """source: facts/usps.md 2.9: refused by default; with the agreed service by Ground Advantage only."""
    agreed = connect(Settings(client_id="k", client_secret="s", hazmat_service=831), budget=Unlimited())
    dangerous = replace(REQUEST, is_dangerous=True)
    package = json.loads(agreed.prepare_label(dangerous).body)["packageDescription"]
    assert package["extraServices"] == [831] and package["packageOptions"] == {"contentType": "HAZMAT"}
    with pytest.raises(Refused, match="Ground Advantage only"):
        agreed.prepare_label(replace(dangerous, service="PRIORITY_MAIL_RETURN_SERVICE"))
    if PRESENT:
        body = json.loads(agreed.prepare_label(dangerous).body)
        assert complaints(Operation("usps/labels-v3.yaml", "post", "/return-label"), body) == []
    await agreed.aclose()
