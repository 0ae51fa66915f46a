"""Addresses and post offices at USPS."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from carriers.contract import Address, Away, Busy, LabelRequest, Refused
from carriers.door import Unlimited
from carriers.usps.connect import Settings, Usps, connect

BASE = "https://apis.usps.com"
ADDRESS, OFFICES = f"{BASE}/addresses/v3/address", f"{BASE}/locations/v3/post-office-locations"
ANN = Address("Ann Lee", ("10 Elm St", "Apt 4"), "Reno", "89501", "US", "NV", email="a@b.c")


def found(confirmed: str = "Y", **more: Any) -> httpx.Response:
    address = {"streetAddress": "10 ELM ST", "secondaryAddress": "APT 4", "city": "RENO", "state": "NV"}
    body = {
        "address": address | {"ZIPCode": "89501", "ZIPPlus4": "1234"},
        "additionalInfo": {"DPVConfirmation": confirmed, "carrierRoute": "C012", "vacant": "N"} | more.pop("info", {}),
        "corrections": [],
        "matches": [{"code": "31", "text": "Single Response - exact match"}],
    }
    return httpx.Response(200, json=body | more)


def refused(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": str(status), "errors": [{"code": code, "detail": detail}]}})


@pytest.fixture
async def usps() -> AsyncIterator[Usps]:
    settings = Settings(client_id="key", client_secret="hush")
    made = connect(settings, budget=Unlimited(), transport=httpx.AsyncHTTPTransport(verify=False))
    yield made
    await made.aclose()


@pytest.fixture
def wire() -> Any:
    with respx.mock(assert_all_called=False) as router:
        token = {"access_token": "A", "expires_in": 28799, "scope": "addresses locations"}
        router.post(f"{BASE}/oauth2/v3/token").mock(return_value=httpx.Response(200, json=token))
        yield router


# ------------------------------------------------------------------------------------------------------------ addresses


async def test_a_known_address_gets_its_zip4_and_the_label_uses_it(usps: Usps, wire: respx.MockRouter) -> None:
    """As USPS writes it, whoever lives there; a label made from it carries the ZIP+4."""
    route = wire.get(ADDRESS).mock(return_value=found())
    verdict = await usps.check_address(ANN)
    assert (verdict.verdict, verdict.zip4, verdict.note) == ("valid", "1234", "")
    (written,) = verdict.candidates
    assert written == replace(ANN, lines=("10 ELM ST", "APT 4"), city="RENO", postal_code="89501-1234")
    assert dict(route.calls[0].request.url.params) == {
        "streetAddress": "10 Elm St",
        "secondaryAddress": "Apt 4",
        "city": "Reno",
        "state": "NV",
        "ZIPCode": "89501",
    }
    request = LabelRequest("6f1c9f0e-7c0a-4b0e-9a55-2f8f4d8d9e11", "R1", written, written, Decimal(1), "clothing")
    assert usps.prepare_label(request).body.count(b'"ZIPPlus4":"1234"') == 2


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (found("D"), "ambiguous", "apartment or suite is missing"),
        (found("S"), "ambiguous", "not known"),
        (found("N"), "unknown", "does not deliver"),
        (found(""), "unknown", "does not confirm"),
        (found(info={"vacant": "Y"}), "valid", "nobody"),
        (found(info={"carrierRoute": "R777"}), "unknown", "nothing to this street"),
        (found(corrections=[{"code": "32", "text": "More information is needed"}]), "ambiguous", "More information"),
        (found(corrections=[{"code": "22", "text": "Multiple addresses"}]), "ambiguous", "Multiple"),
        (refused(400, "010004", "Multiple addresses were found"), "ambiguous", "Multiple"),
        (refused(400, "010005", "Address not found"), "unknown", "not found"),
        (refused(404, "010005", "Address not found"), "unknown", "not found"),
    ],
)
async def test_a_verdict_on_each_answer(
    answer: httpx.Response, verdict: str, words: str, usps: Usps, wire: Any
) -> None:
    """source: facts/usps.md 6.4: DPV, corrections, routes nobody walks, and errors that speak of the address."""
    wire.get(ADDRESS).mock(return_value=answer)
    said = await usps.check_address(ANN)
    assert said.verdict == verdict and words in said.note


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400, "OASValidation", "OASValidation failed with reason"), Refused),
        (refused(403, "403", "no product"), Refused),
        (httpx.Response(429), Busy),
        (httpx.Response(200, text="<html>"), Away),
    ],
)
async def test_what_says_nothing_of_the_address_is_raised(
    answer: httpx.Response, error: type, usps: Usps, wire: Any
) -> None:
    """An outage is no verdict."""
    wire.get(ADDRESS).mock(return_value=answer)
    with pytest.raises(error):
        await usps.check_address(ANN)


async def test_abroad_nothing_is_asked(usps: Usps, wire: respx.MockRouter) -> None:
    """USPS knows addresses in the US only."""
    assert (await usps.check_address(replace(ANN, country="DE"))).verdict == "unknown"
    assert not wire.calls


# --------------------------------------------------------------------------------------------------------------- places


def office(name: str, distance: object, **more: Any) -> dict[str, Any]:
    day = {
        "dayOfWeek": "MONDAY",
        "times": [{"openTime": "0900", "closeTime": "1200"}, {"openTime": "1300", "closeTime": "1700"}],
    }
    return {
        "facilityName": name,
        "facilityAddress": {"streetAddress": "1 MAIN ST", "city": "RENO", "state": "NV", "ZIPCode": "89501"},
        "distance": distance,
        "services": [
            {
                "service": "PO_BOX",
                "hours": [{"dayOfWeek": "MONDAY", "times": [{"openTime": "0000", "closeTime": "2400"}]}],
            },
            {"service": "LABEL_BROKER", "hours": [day, {"dayOfWeek": "SUNDAY", "times": []}]},
        ],
    } | more


async def test_the_nearest_open_offices(usps: Usps, wire: respx.MockRouter) -> None:
    """By ZIP alone; a closed one is left out; kilometres; a line per day, of the counter and not of the boxes."""
    offices = [
        office("FAR", 10),
        office("SHUT", 0.1, temporaryClosure=True),
        office("NEAR", "1.0"),
        office("ODD", None),
    ]
    route = wire.get(OFFICES).mock(return_value=httpx.Response(200, json={"locations": offices}))
    places = await usps.drop_offs(ANN, 2)
    assert [(one.name, one.distance_km) for one in places] == [("NEAR", Decimal("1.6")), ("FAR", Decimal("16.1"))]
    assert places[0].hours == ("Mon 09:00-12:00, 13:00-17:00", "Sun closed")
    assert places[0].address.lines == ("1 MAIN ST",) and places[0].address.postal_code == "89501"
    assert dict(route.calls[0].request.url.params) == {"ZIPCode": "89501", "limit": "4", "offset": "0"}


async def test_offices_that_print_a_label_from_a_code(usps: Usps, wire: respx.MockRouter) -> None:
    """source: facts/usps.md 2.7: not every office does."""
    route = wire.get(OFFICES).mock(return_value=httpx.Response(200, json={"locations": []}))
    assert await usps.drop_offs(ANN, 3, prints_labels=True) == ()
    assert route.calls[0].request.url.params["mailingService"] == "LABEL_BROKER"


async def test_nowhere_is_no_error_but_no_place_to_ask_for_is(usps: Usps, wire: respx.MockRouter) -> None:
    """By exactly one kind of place.  # source: facts/usps.md 6.5"""
    for answer in (refused(400, "160033", "no geocode"), refused(404, "404", "none")):
        wire.get(OFFICES).mock(return_value=answer)
        assert await usps.drop_offs(replace(ANN, postal_code=""), 3) == ()
    assert set(wire.calls.last.request.url.params) == {"city", "state", "limit", "offset"}
    with pytest.raises(Refused, match="by ZIP"):
        await usps.drop_offs(replace(ANN, postal_code="", city=""), 3)
    wire.get(OFFICES).mock(return_value=refused(403, "403", "no product"))
    with pytest.raises(Refused, match="no product"):
        await usps.drop_offs(ANN, 3)
