"""Buying, finding and voiding a UPS label: the exact bytes sent, and what each answer proves about the money."""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from carriers.contract import (
    Away,
    Bought,
    Busy,
    CustomsLine,
    LabelFormat,
    Money,
    NotExecuted,
    Refused,
    Rejected,
    Unknown,
    Voided,
)
from carriers.door import Unlimited
from carriers.ups.connect import Settings, connect
from carriers.ups.image import upright
from tests.ups import (
    BASE,
    BY_REFERENCE,
    CUSTOMER,
    NOTHING,
    NUMBER,
    PURCHASE,
    RECOVERY,
    REFERENCE,
    SHIP,
    TOKEN,
    WAREHOUSE,
    Street,
    bought,
    errors,
    gif,
    recovered,
    request,
)  # fmt: skip

VOID = f"/api/shipments/v2409/void/cancel/{NUMBER}"
OTHER = "1Z5338FF0107231068"


@pytest.fixture
def street() -> Street:
    return Street()


# ------------------------------------------------------------------------------------------------------- what is sent


async def test_the_prepared_bytes_are_sent_as_they_are(street: Street) -> None:
    """The bytes that were stored are what UPS gets, under the same transId however often; no secret is in them."""
    prepared = street.ups.prepare_label(request())
    ship = street.post(SHIP, return_value=httpx.Response(200, json=bought()))
    await street.ups.buy(prepared)
    await street.ups.buy(prepared)
    assert [call.request.content for call in ship.calls] == [prepared.body] * 2
    assert {call.request.headers["transid"] for call in ship.calls} == {PURCHASE.replace("-", "")[:14]}
    assert prepared == street.ups.prepare_label(request())
    assert b"hush" not in prepared.body and "authorization" not in {name.lower() for name in prepared.headers}


def shipment_of(street: Street, **changed: object) -> dict[str, object]:
    body = json.loads(street.ups.prepare_label(request(**changed)).body)["ShipmentRequest"]
    return body | body["Shipment"]


def test_a_return_label_names_everybody_in_their_place(street: Street) -> None:
    """Account holder and receiver are the warehouse, the sender is the customer; the shipper pays, always."""
    sent = shipment_of(street)
    assert sent["ReturnService"] == {"Code": "9"}
    assert sent["Shipper"]["ShipperNumber"] == "A1B2C3" and sent["Shipper"]["Address"] == sent["ShipTo"]["Address"]
    assert sent["ShipTo"]["Name"] == "Shop SpA" and sent["ShipTo"]["AttentionName"] == "Inbound"
    assert sent["ShipFrom"]["Address"] == {
        "AddressLine": ["Damrak 1"], "City": "Amsterdam", "PostalCode": "1012LG", "CountryCode": "NL",
    }  # fmt: skip
    assert sent["PaymentInformation"]["ShipmentCharge"] == [{"Type": "01", "BillShipper": {"AccountNumber": "A1B2C3"}}]
    assert sent["Package"][0]["Description"] == sent["Description"] == "Footwear"
    assert sent["Service"] == {"Code": "11"}
    assert sent["Request"]["TransactionReference"] == {"CustomerContext": REFERENCE}
    assert sent["LabelSpecification"]["LabelImageFormat"] == {"Code": "GIF"}


AMERICAN = {"country": "US", "region": "NY", "city": "New York", "postal_code": "10001"}


def test_our_reference_stands_where_ups_reads_it(street: Street) -> None:
    """On the package within the US, on the shipment everywhere else; ours first, then the return's number."""
    expected = [{"Code": "RZ", "Value": REFERENCE}, {"Code": "PO", "Value": "RMA-1"}]
    abroad = shipment_of(street)
    assert abroad["ReferenceNumber"] == expected and "ReferenceNumber" not in abroad["Package"][0]
    within = shipment_of(street, ship_from=replace(CUSTOMER, **AMERICAN), ship_to=replace(WAREHOUSE, **AMERICAN))
    assert within["Package"][0]["ReferenceNumber"] == expected and "ReferenceNumber" not in within
    assert within["Service"] == {"Code": "03"}
    puerto_rico = shipment_of(street, ship_from=replace(CUSTOMER, country="PR"), ship_to=replace(WAREHOUSE, **AMERICAN))
    assert puerto_rico["ReferenceNumber"] == expected


def test_weight_and_size_are_in_the_account_holders_units(street: Street) -> None:
    """Kilograms and centimetres, or pounds and inches; rounded up; the longest side is the length."""
    size = (Decimal(20), Decimal("30.5"), Decimal(10))
    package = shipment_of(street, size_cm=size, weight_kg=Decimal("1.41"))["Package"][0]
    assert package["PackageWeight"] == {"UnitOfMeasurement": {"Code": "KGS"}, "Weight": "1.5"}
    assert package["Dimensions"] == {"UnitOfMeasurement": {"Code": "CM"}, "Length": "31", "Width": "20", "Height": "10"}
    american = replace(WAREHOUSE, **AMERICAN)
    package = shipment_of(street, size_cm=size, ship_to=american, ship_from=replace(CUSTOMER, **AMERICAN))["Package"][0]
    assert package["PackageWeight"] == {"UnitOfMeasurement": {"Code": "LBS"}, "Weight": "3.4"}
    assert package["Dimensions"] == {"UnitOfMeasurement": {"Code": "IN"}, "Length": "13", "Width": "8", "Height": "4"}


def test_an_address_that_does_not_fit_is_refused_before_any_money(street: Street) -> None:
    """Long lines are broken between words; a street that needs four is refused rather than cut."""
    long = replace(CUSTOMER, lines=("Carrer de la Mare de Deu de Montserrat 123, escala B",))
    assert shipment_of(street, ship_from=long)["ShipFrom"]["Address"]["AddressLine"] == [
        "Carrer de la Mare de Deu de", "Montserrat 123, escala B",
    ]  # fmt: skip
    for lines in ((), ("word " * 40,)):
        with pytest.raises(Refused, match="street lines"):
            street.ups.prepare_label(request(ship_from=replace(CUSTOMER, lines=lines)))
    with pytest.raises(Refused, match="phone"):
        street.ups.prepare_label(request(ship_from=replace(CUSTOMER, phone=""), ship_to=replace(WAREHOUSE, phone="")))
    borrowed = shipment_of(street, ship_from=replace(CUSTOMER, phone=""))
    assert borrowed["ShipFrom"]["Phone"] == {"Number": "39051000000"}


def test_an_alphabet_is_asked_for_where_a_name_needs_it(street: Street) -> None:
    """A Polish name is printed in Polish letters; a Latin one asks for nothing."""
    polish = replace(CUSTOMER, name="\u0141ucja \u017b\u00f3\u0142\u0107", country="PL")
    assert shipment_of(street, ship_from=polish)["LabelSpecification"]["CharacterSet"] == "pol"
    assert "CharacterSet" not in shipment_of(street)["LabelSpecification"]


def test_what_we_send_meets_the_official_files(street: Street) -> None:
    """UPS's own schema finds nothing wrong with a label request and a subscription."""
    official = pytest.importorskip("tests.official")
    if not official.PRESENT:
        pytest.skip("SPECS SKIPPED: the official files are not beside the project")
    ship = official.Operation("ups/Shipping.yaml", "post", "/shipments/{version}/ship")
    for changed in (
        {},
        {"size_cm": (Decimal(1), Decimal(2), Decimal(3))},
        {"format": LabelFormat.ZPL},
        {"is_return": False},
    ):
        assert official.complaints(ship, json.loads(street.ups.prepare_label(request(**changed)).body)) == []


# ----------------------------------------------------------------------------------------------------- what is bought


async def test_a_label_is_bought(street: Street) -> None:
    """Number, the price this account pays, UPS's own picture first, and the same upright for paper and screens."""
    street.post(SHIP, return_value=httpx.Response(200, json=bought()))
    outcome = await street.ups.buy(street.ups.prepare_label(request()))
    assert isinstance(outcome, Bought)
    label = outcome.label
    assert (label.number, label.shipment_id, label.price) == (NUMBER, NUMBER, Money(Decimal("6.20"), "EUR"))
    assert list(label.documents) == [LabelFormat.GIF, LabelFormat.PDF, LabelFormat.PNG]
    assert label.documents[LabelFormat.GIF] == gif()
    assert label.documents[LabelFormat.PDF].startswith(b"%PDF-")
    assert json.loads(outcome.answer) == bought()


def test_the_picture_is_turned_upright() -> None:
    """What was at the left top lies at the right top after a quarter turn clockwise, on a page of 4 by 6."""
    png, pdf = upright(gif())
    page = Image.open(BytesIO(png))
    assert page.size == (800, 1200) and round(page.info["dpi"][0]) == 200, "dot for dot, 4 by 6 inches"
    left, top, right, bottom = page.point(lambda dot: 255 - dot).getbbox()
    assert (top, bottom, right - left) == (0, 100, 50) and left > 700
    assert b"/MediaBox [ 0 0 288.0 432.0 ]" in pdf and b"CCITTFaxDecode" in pdf, "4 by 6 inches, without loss"
    assert (png, pdf) == upright(gif()), "the same label always gives the same bytes"


async def test_a_picture_nobody_can_turn_is_still_a_label_paid_for(street: Street) -> None:
    """It is bought; the bytes are kept and the trouble is told."""
    street.post(SHIP, return_value=httpx.Response(200, json=bought(drawn=b"GIF89a not really")))
    outcome = await street.ups.buy(street.ups.prepare_label(request()))
    assert isinstance(outcome, Bought)
    assert outcome.label.documents == {LabelFormat.GIF: b"GIF89a not really"} and outcome.label.warnings


async def test_a_thermal_label_is_kept_as_it_is(street: Street) -> None:
    """ZPL goes to the printer untouched."""
    street.post(SHIP, return_value=httpx.Response(200, json=bought(image="ZPL", drawn=b"^XA^XZ")))
    outcome = await street.ups.buy(street.ups.prepare_label(request(format=LabelFormat.ZPL)))
    assert isinstance(outcome, Bought) and outcome.label.documents == {LabelFormat.ZPL: b"^XA^XZ"}


async def test_one_package_may_come_as_an_object(street: Street) -> None:
    """UPS's samples do not keep its own array rule; a missing echo of our context proves nothing against it."""
    answer = bought(context=None)
    results = answer["ShipmentResponse"]["ShipmentResults"]
    results["PackageResults"] = results["PackageResults"][0]
    street.post(SHIP, return_value=httpx.Response(200, json=answer))
    assert isinstance(await street.ups.buy(street.ups.prepare_label(request())), Bought)


def without(*path: str) -> dict[str, object]:
    answer = bought()
    held = answer["ShipmentResponse"]
    for key in path[:-1]:
        held = held[key]
    del held[path[-1]]
    return answer


TRUNCATED = json.dumps(bought()).encode()[:400]
JUDGED = {
    "connection refused": (httpx.ConnectError("refused"), NotExecuted),
    "no connection in time": (httpx.ConnectTimeout("slow"), NotExecuted),
    "no free connection": (httpx.PoolTimeout("full"), NotExecuted),
    "401 twice": (httpx.Response(401, json=errors("250002")), NotExecuted),
    "429": (httpx.Response(429, json=errors("10429")), NotExecuted),
    "400": (httpx.Response(400, json=errors("120100", "Missing or invalid shipper number")), Rejected),
    "402": (httpx.Response(402, json=errors("1")), Rejected),
    "403": (httpx.Response(403, json=errors("2", "Blocked Merchant")), Rejected),
    "422": (httpx.Response(422, json=errors("3")), Rejected),
    "400 html": (httpx.Response(400, text="<html>Bad Request</html>"), Unknown),
    "400 empty": (httpx.Response(400), Unknown),
    "403 html": (httpx.Response(403, text="<html>"), Unknown),
    "302": (httpx.Response(302, headers={"location": "/elsewhere"}), Unknown),
    "404": (httpx.Response(404, json=errors("404")), Unknown),
    "408": (httpx.Response(408, json=errors("x")), Unknown),
    "409": (httpx.Response(409, json=errors("x")), Unknown),
    "500": (httpx.Response(500, json=errors("10004")), Unknown),
    "502 html": (httpx.Response(502, text="<html>"), Unknown),
    "503": (httpx.Response(503, json=errors("x")), Unknown),
    "read timeout": (httpx.ReadTimeout("slow"), Unknown),
    "write timeout": (httpx.WriteTimeout("slow"), Unknown),
    "reset": (httpx.ReadError("reset"), Unknown),
    "server hung up": (httpx.RemoteProtocolError("hung up"), Unknown),
    "anything else": (RuntimeError("odd"), Unknown),
    "200 html": (httpx.Response(200, text="<html>busy</html>"), Unknown),
    "200 empty": (httpx.Response(200), Unknown),
    "200 truncated": (httpx.Response(200, content=TRUNCATED), Unknown),
    "200 with an error": (httpx.Response(200, json=errors("x")), Unknown),
    "200 of another purchase": (httpx.Response(200, json=bought(context="R" + "B2" * 13)), Unknown),
    "200 without number": (httpx.Response(200, json=without("ShipmentResults", "PackageResults")), Unknown),
    "200 without picture": (httpx.Response(200, json=bought(drawn=b"")), Unknown),
    "200 without status": (httpx.Response(200, json=without("Response", "ResponseStatus")), Unknown),
    "201": (httpx.Response(201, json=bought()), Bought),
}


@pytest.mark.parametrize(("answer", "outcome"), JUDGED.values(), ids=JUDGED)
async def test_what_an_answer_proves(street: Street, answer: httpx.Response | Exception, outcome: type) -> None:
    """Only proof that nothing was done allows a repeat; only a carrier's no is a no; all else is unknown."""
    mocked = {"side_effect": answer} if isinstance(answer, Exception) else {"return_value": answer}
    street.post(SHIP, **mocked)
    found = await street.ups.buy(street.ups.prepare_label(request()))
    assert type(found) is outcome, found


async def test_a_purchase_is_never_tried_again_inside(street: Street) -> None:
    """One call, whatever it answers: who may repeat it is the ledger's business. Only a 401 is asked twice."""
    for answer, calls in ((httpx.Response(500), 1), (httpx.Response(429), 1), (httpx.Response(401), 2)):
        ship = street.post(SHIP, return_value=answer)
        before = ship.call_count
        await street.ups.buy(street.ups.prepare_label(request()))
        assert ship.call_count - before == calls


async def test_without_a_token_nothing_was_executed(street: Street) -> None:
    """The token call failed: the purchase never left."""
    ship = street.post(SHIP, return_value=httpx.Response(200, json=bought()))
    for answer in (httpx.Response(401, json=errors("10401")), httpx.Response(503), httpx.Response(429)):
        street.router.post(TOKEN).mock(return_value=answer)
        assert isinstance(await street.ups.buy(street.ups.prepare_label(request())), NotExecuted)
    street.router.post(TOKEN).mock(side_effect=httpx.ReadTimeout("slow"))
    assert isinstance(await street.ups.buy(street.ups.prepare_label(request())), NotExecuted)
    assert not ship.called


async def test_a_cancelled_purchase_is_not_swallowed(street: Street) -> None:
    """Who cancels must know that it was under way: the cancellation goes through, and is unknown to the ledger."""
    started = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        started.set()
        await asyncio.sleep(60)
        raise AssertionError

    street.post(SHIP, side_effect=never)
    task = asyncio.create_task(street.ups.buy(street.ups.prepare_label(request())))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ------------------------------------------------------------------------------------------- over real connections


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(answering: Answering) -> AsyncIterator[str]:
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def giving_token_then(rest: Answering) -> Answering:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if TOKEN.encode() not in head:
            await rest(reader, writer)
            writer.close()
            return
        body = b'{"access_token":"t","expires_in":"14399"}'
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    return answer


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return None


async def talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"this is not HTTP\r\n\r\n")
    await writer.drain()


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + TRUNCATED)
    await writer.drain()


@pytest.mark.parametrize("rest", [resets, hangs_up, talks_nonsense, breaks_off], ids=lambda one: one.__name__)
async def test_a_connection_lost_after_the_request_proves_nothing(rest: Answering) -> None:
    """Through the real transport: once the bytes have left, a lost connection is unknown and never "not executed"."""
    async with peer(giving_token_then(rest)) as address:
        ups = connect(
            Settings(client_id="id", client_secret="hush", account="A1B2C3", base_url=address), budget=Unlimited()
        )
        outcome = await ups.buy(ups.prepare_label(request()))
        await ups.aclose()
    assert isinstance(outcome, Unknown), outcome


async def test_nobody_listening_is_not_executed() -> None:
    """Through the real transport: a refused connection took nothing."""
    async with peer(giving_token_then(hangs_up)) as address:
        ups = connect(
            Settings(client_id="id", client_secret="hush", account="A1B2C3", base_url=address), budget=Unlimited()
        )
        await ups._keeper.get()
    outcome = await ups.buy(ups.prepare_label(request()))
    await ups.aclose()
    assert isinstance(outcome, NotExecuted), outcome


# ------------------------------------------------------------------------------------------------------------ finding


def seen(*numbers: str, code: str = "MP", scan_type: str = "M") -> dict[str, object]:
    activity = {"date": "20260303", "time": "120000", "status": {"type": scan_type, "code": code}}
    packages = [{"package": [{"trackingNumber": number, "activity": [activity]}]} for number in numbers]
    return {"trackResponse": {"shipment": packages}}


NO_LABEL = httpx.Response(400, json=errors("300300", "No label found for this reference"))


async def test_a_label_is_found_by_our_reference(street: Street) -> None:
    """Label Recovery knows it by reference and account, and gives it as a PDF."""
    recovery = street.post(RECOVERY, return_value=httpx.Response(200, json=recovered(NUMBER)))
    street.get(BY_REFERENCE, return_value=httpx.Response(200, json=seen(NUMBER)))
    (label,) = await street.ups.find(street.ups.prepare_label(request()))
    assert (label.number, label.documents[LabelFormat.PDF]) == (NUMBER, b"%PDF-1.4 label")
    asked = json.loads(recovery.calls[0].request.content)["LabelRecoveryRequest"]
    assert asked["ReferenceValues"] == {"ReferenceNumber": {"Value": REFERENCE}, "ShipperNumber": "A1B2C3"}
    assert recovery.call_count == 1


async def test_a_miss_needs_both_sources(street: Street) -> None:
    """Nothing by recovery and nothing by tracking: none seen. A parcel that tracking knows is a hit all the same."""
    street.post(RECOVERY, return_value=NO_LABEL)
    tracked = street.get(BY_REFERENCE, return_value=httpx.Response(200, json=NOTHING))
    assert await street.ups.find(street.ups.prepare_label(request())) == ()
    assert dict(tracked.calls[0].request.url.params)["shipperNum"] == "A1B2C3"
    street.get(BY_REFERENCE, return_value=httpx.Response(200, json=seen(NUMBER)))
    (label,) = await street.ups.find(street.ups.prepare_label(request()))
    assert (label.number, label.documents) == (NUMBER, {})


async def test_a_voided_label_is_not_found(street: Street) -> None:
    """A number whose shipment was voided is no label to adopt."""
    street.post(RECOVERY, return_value=NO_LABEL)
    street.get(BY_REFERENCE, return_value=httpx.Response(200, json=seen(NUMBER, code="VP", scan_type="MV")))
    assert await street.ups.find(street.ups.prepare_label(request())) == ()


async def test_two_labels_under_one_reference_are_both_found(street: Street) -> None:
    """Candidates have no picture: each is recovered by its number."""

    def recover(call: httpx.Request) -> httpx.Response:
        asked = json.loads(call.content)["LabelRecoveryRequest"]
        if "ReferenceValues" in asked:
            return httpx.Response(200, json=recovered(NUMBER, OTHER, many=True))
        return httpx.Response(200, json=recovered(asked["TrackingNumber"]))

    street.post(RECOVERY, side_effect=recover)
    street.get(BY_REFERENCE, return_value=httpx.Response(200, json=seen(NUMBER, OTHER)))
    labels = await street.ups.find(street.ups.prepare_label(request()))
    assert [label.number for label in labels] == [NUMBER, OTHER]
    assert all(label.documents for label in labels)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json=errors("120100", "Missing or invalid shipper number")), Refused),
        (httpx.Response(429), Busy),
        (httpx.Response(200, text="<html>"), Away),
    ],
    ids=["400", "429", "html"],
)
async def test_what_is_no_miss_is_no_miss(street: Street, answer: httpx.Response, error: type[Exception]) -> None:
    """A search that failed must never look like a search that found nothing: the label would be bought again."""
    street.get(BY_REFERENCE, return_value=httpx.Response(200, json=NOTHING))
    street.post(RECOVERY, return_value=answer)
    with pytest.raises(error):
        await street.ups.find(street.ups.prepare_label(request()))
    street.post(RECOVERY, return_value=NO_LABEL)
    street.get(BY_REFERENCE, return_value=answer)
    with pytest.raises(error):
        await street.ups.find(street.ups.prepare_label(request()))


# ------------------------------------------------------------------------------------------------------------ voiding


def void_answer(code: str, package: str = "1") -> dict[str, object]:
    return {
        "VoidShipmentResponse": {
            "Response": {"ResponseStatus": {"Code": "1", "Description": "Success"}},
            "SummaryResult": {"Status": {"Code": code, "Description": "Voided"}},
            "PackageLevelResult": {"TrackingNumber": NUMBER, "Status": {"Code": package}},
        }
    }


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(200, json=void_answer("1")), Voided),
        (httpx.Response(200, json=void_answer("&#xD;1\n")), Voided),
        (httpx.Response(200, json=void_answer("0")), Rejected),
        (httpx.Response(200, json=void_answer("7")), Unknown),
        (httpx.Response(200, text="<html>"), Unknown),
        (httpx.Response(400, json=errors("190102", "No shipment found within the allowed void period")), Rejected),
        (httpx.Response(401, json=errors("250002")), NotExecuted),
        (httpx.Response(500), Unknown),
        (httpx.ReadTimeout("slow"), Unknown),
        (httpx.ConnectError("refused"), NotExecuted),
    ],
    ids=["voided", "test system", "not voided", "odd status", "html", "too late", "401", "500", "timeout", "refused"],
)
async def test_what_a_void_proves(street: Street, answer: httpx.Response | Exception, outcome: type) -> None:
    """The whole shipment is voided, by its number and nothing else in the address."""
    mocked = {"side_effect": answer} if isinstance(answer, Exception) else {"return_value": answer}
    void = street.router.delete(VOID).mock(**mocked)
    prepared = street.ups.prepare_void(NUMBER, "")
    found = await street.ups.void(prepared)
    assert type(found) is outcome, found
    assert str(void.calls[0].request.url) == f"{BASE}{VOID}"
    assert (prepared.method, prepared.body, prepared.reference) == ("DELETE", b"", NUMBER)


# ------------------------------------------------------------------------------------------- what else a label can be

SWISS = replace(CUSTOMER, city="Zuerich", postal_code="8001", country="CH")
COAT = CustomsLine("Wool coat, double-breasted, with horn buttons", 2, Money(Decimal("290"), "EUR"), "6202.11", "IT")


def test_a_label_that_ups_mails_asks_for_the_mail_and_the_picture(street: Street) -> None:
    """ReturnService 8 with its address; the label still comes to us, so that it is stored."""
    sent = shipment_of(street, electronic_to="canary@example.com")
    assert sent["ReturnService"] == {"Code": "8"}
    assert sent["ShipmentServiceOptions"] == {"LabelDelivery": {"EMail": {"EMailAddress": "canary@example.com"}}}
    assert sent["LabelSpecification"]["LabelImageFormat"] == {"Code": "GIF"} and sent["Request"]["SubVersion"] >= "1707"
    assert "ShipmentServiceOptions" not in shipment_of(street)


def test_a_label_that_goes_out_turns_everybody_round(street: Street) -> None:
    """Resend and exchange by the same code: no return service, the warehouse sends and pays, our mark is another."""
    sent = shipment_of(street, ship_from=WAREHOUSE, ship_to=CUSTOMER, is_return=False, ship_day=date(2026, 3, 9))
    assert "ReturnService" not in sent and sent["ShipmentDate"] == "20260309"
    assert sent["Shipper"]["Address"] == sent["ShipFrom"]["Address"] and sent["ShipTo"]["Name"] == "A Customer"
    assert sent["PaymentInformation"]["ShipmentCharge"][0]["BillShipper"] == {"AccountNumber": "A1B2C3"}
    assert sent["ReferenceNumber"][0] == {"Code": "TN", "Value": REFERENCE}


def test_goods_over_a_customs_border_carry_their_form(street: Street) -> None:
    """A return takes the partial invoice and no other; what goes out an invoice with its day; within the EU nothing."""
    form = shipment_of(street, ship_from=SWISS, customs=(COAT,))["ShipmentServiceOptions"]["InternationalForms"]
    assert (form["FormType"], form["ReasonForExport"], form["CurrencyCode"]) == (["05"], "RETURN", "EUR")
    assert "InvoiceDate" not in form and form["Contacts"]["SoldTo"]["Address"]["CountryCode"] == "IT"
    assert form["Product"] == [
        {
            "Description": ["Wool coat, double-breasted, with ho", "rn buttons"],
            "CommodityCode": "620211",
            "OriginCountryCode": "IT",
            "Unit": {"Number": "2", "Value": "290.00", "UnitOfMeasurement": {"Code": "PCS"}},
        }
    ]
    out = {"ship_from": WAREHOUSE, "ship_to": SWISS, "is_return": False, "customs": (COAT,)}
    form = shipment_of(street, **out, ship_day=date(2026, 3, 9))["ShipmentServiceOptions"]["InternationalForms"]
    assert (form["FormType"], form["InvoiceDate"]) == (["01"], "20260309")
    with pytest.raises(Refused, match="ship_day"):
        street.ups.prepare_label(request(**out))
    assert "ShipmentServiceOptions" not in shipment_of(street, customs=(COAT,)), "free circulation needs no form"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"is_dangerous": True}, "dangerous goods"),
        ({"qr": True}, "no code"),
        ({"electronic_to": "x" * 50 + "@example.com"}, "50"),
        ({"electronic_to": "nobody"}, "e-mail"),
        ({"electronic_to": "a@b.c", "is_return": False}, "returns only"),
        ({"service": "59"}, "no returns with service 59"),
        ({"weight_kg": Decimal("70.1")}, "70 kg"),
        ({"weight_kg": Decimal(0)}, "70 kg"),
        ({"size_cm": (Decimal(271), Decimal(1), Decimal(1))}, "270 cm"),
        ({"size_cm": (Decimal(100), Decimal(80), Decimal(40))}, "330 cm"),
        ({"size_cm": (Decimal(10), Decimal(8), Decimal(0))}, "330 cm"),
        ({"ship_from": SWISS}, "customs lines"),
        ({"ship_from": SWISS, "customs": (replace(COAT, commodity_code="12"),)}, "6 to 15"),
        ({"ship_from": SWISS, "customs": (replace(COAT, quantity=0),)}, "at least one"),
        ({"ship_from": SWISS, "customs": (COAT, replace(COAT, value=Money(Decimal(1), "CHF")))}, "one currency"),
        ({"ship_from": replace(CUSTOMER, country="US"), "customs": (COAT,)}, "state"),
    ],
)
def test_what_ups_would_refuse_is_refused_before_any_money(street: Street, changed: dict[str, Any], words: str) -> None:
    """Each says what is wrong with the request."""
    with pytest.raises(Refused, match=words):
        street.ups.prepare_label(request(**changed))


def test_a_void_is_possible_where_ups_voids_and_a_local_state_elsewhere() -> None:
    """US, Puerto Rico and Canada only; elsewhere the ability says what the void then is."""
    for country in ("US", "PR", "CA"):
        assert Street(country=country).ups.abilities.void_return == ""
    assert "void here" in Street(country="IT").ups.abilities.void_return


def test_a_longer_picture_is_not_cut_where_there_is_ink() -> None:
    """What UPS draws beyond 4 by 6 goes away blank, and stays where something is printed."""
    tall = Image.new("L", (800, 1400), 255)
    tall.paste(0, (0, 1300, 800, 1310))
    drawn = BytesIO()
    tall.save(drawn, "GIF")
    page = Image.open(BytesIO(upright(drawn.getvalue())[0]))
    assert page.width * 3 == page.height * 2
    assert page.point(lambda dot: 255 - dot).getbbox()[3] == 1310


def test_the_carriers_import_no_pdf_writer() -> None:
    """A second and a half of every start went into one; the picture library writes the page."""
    code = "import sys, carriers.ups.connect, carriers.usps.connect; print([m for m in sys.modules if m == 'fpdf'])"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
