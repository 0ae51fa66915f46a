"""What is asked of a UPS parcel under way (turned round, collected), and of places: requests, and answers judged."""

import json
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

import httpx
import pytest

from carriers.contract import (
    Address,
    Away,
    Busy,
    Charge,
    Intercepted,
    Money,
    NotExecuted,
    PickupRequest,
    PickupStage,
    Reason,
    Refused,
    Rejected,
    Unknown,
)
from carriers.ups.handling import NOT_TOLD
from tests.ups import CUSTOMER, NUMBER, Street, errors

INTERCEPTS = "/api/deliveryintercept/v2"
ELIGIBLE = f"{INTERCEPTS}/eligibility/intercept/{NUMBER}"
RETURN, CANCEL, CHARGES = (f"{INTERCEPTS}/{what}/{NUMBER}" for what in ("return", "cancel", "charges"))
PICKUP, PENDING, CALL_OFF = (
    "/api/pickupcreation/v2409/pickup",
    "/api/shipments/v2409/pickup/oncall",
    "/api/shipments/v2409/pickup/02",
)
LOCATOR, VALIDATION = "/api/locations/v3/search/availabilities/64", "/api/addressvalidation/v2/1"
NEW_YORK = Address("A Customer", ("350 5th Ave",), "New York", "10118-0110", "US", "NY", phone="+1 212 5550100")


@pytest.fixture
def street() -> Street:
    return Street(contact_name="Returns desk", contact_phone="+39 051 000000", contact_email="ops@example.com")


def said(success: bool | None = True, *, flat: bool = True, **more: Any) -> dict[str, Any]:
    """An answer of Delivery Intercept, which comes flat or wrapped.  # source: facts/ups.md 7.1"""
    answer = {"transactionId": "A1", "statusCode": "000", "statusMsg": "Success", "success": success, "errors": None}
    answer |= more
    return answer if flat else {"response": answer}


def fails(code: str, words: str = "No.") -> dict[str, Any]:
    return said(False, errors=[{"errorCode": code, "errorMessage": words}])


# ------------------------------------------------------------------------------------------------------ turning round


def test_the_order_is_exactly_what_ups_takes(street: Street) -> None:
    """Its own headers, a transId of at most 14, the key that must be there though null, and nobody's secret."""
    prepared = street.ups.prepare_intercept(NUMBER.lower(), None)
    assert (prepared.operation, prepared.method, prepared.path, prepared.reference) == (
        "intercept", "POST", RETURN, NUMBER.lower(),
    )  # fmt: skip
    assert json.loads(prepared.body) == {
        "requestType": "RS",
        "requesterContactInfo": {
            "name": "Returns desk", "telephone": "+39051000000", "displayPhoneNumber": False,
            "emailAddress": "ops@example.com",
        },
        "reasonForReturn": "KV",
        "specialInstructions": None,
    }  # fmt: skip
    assert prepared.headers["platformType"] == "XOLT" and prepared.headers["inquiryType"] == "U"
    assert 3 <= len(prepared.headers["transId"]) <= 14


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.INSUFFICIENT_ADDRESS, "FA"),
        (Reason.REFUSED, "KR"),
        (Reason.RECALLED_BY_SHIPPER, "AM"),
        (Reason.RECIPIENT_ABSENT, "KV"),
        (None, "KV"),
        ("AS", "AS"),
    ],
)
def test_the_reason_is_ours_or_one_that_ups_offered(street: Street, reason: str | None, code: str) -> None:
    """Three misses are "other"; a bad address is one; what UPS listed goes back as it came."""
    assert json.loads(street.ups.prepare_intercept(NUMBER, reason).body)["reasonForReturn"] == code


def test_an_order_nobody_could_send_is_refused() -> None:
    """No contact, no 1Z number, an account outside the US: said before anything is sent, with what to do."""
    with pytest.raises(Refused, match="UPS_CONTACT_PHONE"):
        Street().ups.prepare_intercept(NUMBER, None)
    with pytest.raises(Refused, match="1Z"):
        Street(contact_name="x", contact_phone="+1 2125550100").ups.prepare_intercept("123456789012", None)
    italian = Street(country="IT", contact_name="x", contact_phone="+39 051000000").ups
    assert "UPS" in italian.abilities.intercept
    with pytest.raises(Refused, match="US only"):
        italian.prepare_intercept(NUMBER, None)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200, json=said()), Intercepted),
        (httpx.Response(200, json=said(flat=False)), Intercepted),
        (httpx.Response(200, json=fails("500", "System Error")), Unknown),
        (httpx.Response(200, json=fails("0006")), NotExecuted),
        (httpx.Response(200, json=fails("4711", "Too late")), Rejected),
        (httpx.Response(200, json=said(False)), Unknown),
        (httpx.Response(200, json=said(None)), Unknown),
        (httpx.Response(200, json=said(True, errors=[{"errorCode": "1", "errorMessage": "?"}])), Rejected),
        (httpx.Response(200, text="<html>"), Unknown),
        (httpx.Response(200, json=[]), Unknown),
        (httpx.Response(400, json=errors("710")), Rejected),
        (httpx.Response(401, json=errors("605")), Rejected),
        (httpx.Response(401, json=errors("250002")), NotExecuted),
        (httpx.Response(429, json=errors("10429")), NotExecuted),
        (httpx.Response(503), Unknown),
    ],
    ids=["flat", "wrapped", "system error", "check failed", "no", "false", "null", "true with errors", "html", "list",
         "710", "605", "250002", "429", "503"],
)  # fmt: skip
async def test_only_success_without_errors_is_an_order(street: Street, answer: httpx.Response, expected: type) -> None:
    """HTTP 200 can mean failure: `success` and an empty list of errors decide, and nothing is sent twice by itself."""
    route = street.post(RETURN, return_value=answer)
    outcome = await street.ups.intercept(street.ups.prepare_intercept(NUMBER, None))
    assert type(outcome) is expected
    assert route.call_count == (2 if answer.status_code == 401 else 1)


async def test_an_order_lost_on_the_way_is_unknown_and_one_never_sent_is_not(street: Street) -> None:
    """After a timeout nobody can say; where no connection was made everybody can."""
    prepared = street.ups.prepare_intercept(NUMBER, None)
    route = street.post(RETURN, side_effect=httpx.ReadTimeout("x"))
    assert isinstance(await street.ups.intercept(prepared), Unknown)
    route.mock(side_effect=httpx.ConnectError("x"))
    assert isinstance(await street.ups.intercept(prepared), NotExecuted)
    assert route.calls[0].request.content == prepared.body == route.calls[1].request.content


def offers(create: str = "ELIGIBLE", cancel: str = "NOT_ELIGIBLE", feature: str = "RTS") -> dict[str, Any]:
    value = {"createEligibility": create, "modifyEligibility": "NOT_ELIGIBLE", "cancelEligibility": cancel}
    value["reasonOptionsForRTS"] = [{"id": "AN", "value": "Duplicate Order"}, {"id": "KV"}]  # type: ignore[assignment]
    return {"interceptFeature": feature, "eligibilityValue": value}


@pytest.mark.parametrize("shape", ["array", "object", "flat"])
async def test_eligibility_is_read_in_every_shape(street: Street, shape: str) -> None:
    """The map is an array in UPS's sample and an object in its schema; the whole is wrapped or flat."""
    held = offers() if shape == "object" else [offers("NOT_ELIGIBLE", feature="FD"), offers()]
    street.get(ELIGIBLE, return_value=httpx.Response(200, json=said(flat=shape == "flat", commonEligibilityMap=held)))
    found = await street.ups.intercept_eligibility(NUMBER)
    assert (found.possible, found.already, found.reasons) == (True, False, ("AN", "KV"))


async def test_what_cannot_be_turned_round_says_why(street: Street) -> None:
    """In force already, not eligible, not offered, no rights, a failure inside 200: each is told apart."""
    route = street.get(ELIGIBLE)
    ask = street.ups.intercept_eligibility
    route.mock(return_value=httpx.Response(200, json=said(commonEligibilityMap=[offers("NOT_ELIGIBLE", "ELIGIBLE")])))
    assert (await ask(NUMBER)).already
    route.mock(return_value=httpx.Response(200, json=said(commonEligibilityMap=[offers("NOT_ELIGIBLE")])))
    found = await ask(NUMBER)
    assert (found.possible, found.already) == (False, False) and "NOT_ELIGIBLE" in found.why
    route.mock(return_value=httpx.Response(200, json=said(commonEligibilityMap=None)))
    assert not (await ask(NUMBER)).possible
    route.mock(return_value=httpx.Response(401, json=errors("605", "No token matches")))
    assert "605" in (await ask(NUMBER)).why
    route.mock(return_value=httpx.Response(200, json=fails("4711", "Too late")))
    assert (await ask(NUMBER)).why == "4711 Too late"
    route.mock(return_value=httpx.Response(200, json=fails("0006")))
    with pytest.raises(Away, match="0006"):
        await ask(NUMBER)


def tracked(line: str | None = "1 Dock Rd") -> dict[str, Any]:
    address = {
        "addressLine1": line,
        "city": "Secaucus",
        "stateProvince": "NJ",
        "postalCode": "07094",
        "countryCode": "US",
    }
    ends = [{"type": "ORIGIN", "address": address}, {"type": "DESTINATION", "address": address}]
    package = {"trackingNumber": NUMBER, "packageAddress": ends}
    return {"trackResponse": {"shipment": [{"inquiryNumber": NUMBER, "package": [package]}]}}


async def test_the_charge_is_asked_between_the_addresses_that_track_knows(street: Street) -> None:
    """Two whole US addresses are needed; without them no price is made up."""
    track = street.get(f"/api/track/v1/details/{NUMBER}", return_value=httpx.Response(200, json=tracked()))
    info = [{"totalCharge": "21.00", "chargeCurrency": "USD"}]
    charges = street.post(CHARGES, return_value=httpx.Response(200, json=said(flat=False, chargeInfo=info)))
    charge = await street.ups.intercept_charge(NUMBER)
    assert charge.total == Money(Decimal("21.00"), "USD") and charge.note
    sent = json.loads(charges.calls[0].request.content)["ratingRequest"][0]
    assert sent["trackInfo"] == {"interceptOption": "RS"} and sent["fromAddress"]["addressLine1"] == "1 Dock Rd"
    track.mock(return_value=httpx.Response(200, json=tracked(None)))
    assert (await street.ups.intercept_charge(NUMBER)).total is None and charges.call_count == 1


async def test_an_order_is_cancelled_once_and_its_refusal_is_an_error(street: Street) -> None:
    """Cancelled, refused inside 200, and unknown: nothing, Refused, Away."""
    route = street.post(CANCEL, return_value=httpx.Response(200, json=said()))
    await street.ups.cancel_intercept(NUMBER)
    sent = json.loads(route.calls[0].request.content)
    assert sent["requestType"] == "RS" and "reasonForReturn" not in sent and sent["specialInstructions"] is None
    route.mock(return_value=httpx.Response(200, json=fails("4711", "Too late")))
    with pytest.raises(Refused, match="Too late"):
        await street.ups.cancel_intercept(NUMBER)
    for answer in (httpx.Response(200, json=fails("500")), httpx.Response(503)):
        route.mock(return_value=answer)
        with pytest.raises(Away):
            await street.ups.cancel_intercept(NUMBER)
    assert route.call_count == 4, "never repeated by itself"


# --------------------------------------------------------------------------------------------------------- collecting

WANTED = PickupRequest(CUSTOMER, date(2026, 3, 10), time(9), time(17), 1, (NUMBER,), Decimal("1.5"), "Ring twice")


def created(**more: Any) -> dict[str, Any]:
    status = {"ResponseStatus": {"Code": "1", "Description": "Success"}}
    answer = {"Response": status, "PRN": "2929602E9CP", "RateStatus": {"Code": "03", "Description": "Not applicable"}}
    return {"PickupCreationResponse": answer | more}


async def test_a_return_pays_for_its_own_collection(street: Street) -> None:
    """By tracking number, at the customer's door, local times without colons, a service of three digits."""
    route = street.post(PICKUP, return_value=httpx.Response(200, json=created()))
    booked = await street.ups.book_pickup(WANTED)
    assert (booked.confirmation, booked.day, booked.charge) == (
        "2929602E9CP", date(2026, 3, 10), Charge(None, "Not applicable"),
    )  # fmt: skip
    sent = json.loads(route.calls[0].request.content)["PickupCreationRequest"]
    assert sent["PaymentMethod"] == "04" and sent["TrackingData"] == [{"TrackingNumber": NUMBER}]
    assert sent["PickupDateInfo"] == {"CloseTime": "1700", "ReadyTime": "0900", "PickupDate": "20260310"}
    assert sent["PickupPiece"] == [
        {"ServiceCode": "065", "Quantity": "1", "DestinationCountryCode": "US", "ContainerCode": "01"}
    ]
    assert sent["PickupAddress"]["ResidentialIndicator"] == "Y" and sent["SpecialInstruction"] == "Ring twice"
    assert (sent["AlternateAddressIndicator"], sent["OverweightIndicator"], sent["RatePickupIndicator"]) == (
        "Y",
        "N",
        "N",
    )


async def test_a_collection_on_account_is_priced(street: Street) -> None:
    """Without a number the account pays, and what it costs is asked along."""
    rated = {"RateResult": {"GrandTotalOfAllCharge": "6.90", "CurrencyCode": "USD"}}
    route = street.post(PICKUP, return_value=httpx.Response(200, json=created(**rated)))
    booked = await street.ups.book_pickup(replace(WANTED, numbers=(), weight_kg=Decimal(40)))
    assert booked.charge.total == Money(Decimal("6.90"), "USD")
    sent = json.loads(route.calls[0].request.content)["PickupCreationRequest"]
    assert (sent["PaymentMethod"], sent["RatePickupIndicator"], sent["OverweightIndicator"]) == ("01", "Y", "Y")
    assert "TrackingData" not in sent


@pytest.mark.parametrize(
    "changed",
    [
        {"address": replace(CUSTOMER, phone="")},
        {"address": replace(CUSTOMER, lines=("x" * 74,))},
        {"pieces": 1000},
        {"numbers": (NUMBER,) * 31},
        {"numbers": ("123456789012",)},
        {"close": time(8)},
    ],
    ids=["phone", "street", "pieces", "numbers", "number", "hours"],
)
async def test_a_collection_ups_could_not_do_is_refused_unsent(street: Street, changed: dict[str, Any]) -> None:
    """Said before it is sent."""
    route = street.post(PICKUP, return_value=httpx.Response(200, json=created()))
    with pytest.raises(Refused):
        await street.ups.book_pickup(replace(WANTED, **changed))
    assert not route.called


async def test_a_booking_is_sent_once_whatever_happens(street: Street) -> None:
    """No repetition by itself; the remedy is named."""
    route = street.post(PICKUP)
    for answer, error in (
        (httpx.Response(400, json=errors("9510113", "No service")), Refused),
        (httpx.Response(429, json=errors("10429")), Busy),
        (httpx.Response(503), Away),
        (httpx.Response(200, text="<html>"), Away),
        (httpx.Response(200, json=created(PRN="")), Away),
    ):
        route.mock(return_value=answer)
        with pytest.raises(error):
            await street.ups.book_pickup(WANTED)
    assert route.call_count == 5


async def test_a_collection_is_followed_and_called_off(street: Street) -> None:
    """Each code of UPS is a stage; one that UPS does not list is unknown, never done; called off twice is no error."""
    pending = [
        {"PRN": f"PRN{code}", "OnCallStatusCode": code, "PickupStatusMessage": f"words {code}"}
        for code in ("001", "002", "003", "004", "005", "007", "008", "012", "999")
    ]
    answer = {"PickupPendingStatusResponse": {"Response": {}, "PendingStatus": pending}}
    route = street.get(PENDING, return_value=httpx.Response(200, json=answer))
    told = [await street.ups.pickup_state(f"PRN{code}") for code in ("001", "002", "003", "004", "005", "007", "999")]
    assert [state.state for state in told] == [
        PickupStage.BOOKED, PickupStage.DISPATCHED, PickupStage.DONE, PickupStage.NOT_DONE, PickupStage.NOT_DONE,
        PickupStage.CANCELLED, PickupStage.UNKNOWN,
    ]  # fmt: skip
    assert told[2].words == "words 003" and route.calls[0].request.headers["accountnumber"] == "A1B2C3"
    assert await street.ups.pickup_state("PRN111") == NOT_TOLD
    answer["PickupPendingStatusResponse"]["PendingStatus"] = pending[2]
    route.mock(return_value=httpx.Response(200, json=answer))
    assert (await street.ups.pickup_state("PRN003")).state is PickupStage.DONE, "one element may come as an object"
    off = street.router.delete(CALL_OFF).mock(return_value=httpx.Response(200, json={}))
    await street.ups.cancel_pickup("2929602E9CP")
    assert off.calls[0].request.headers["prn"] == "2929602E9CP"
    off.mock(return_value=httpx.Response(404, json=errors("9500568", "Already cancelled")))
    await street.ups.cancel_pickup("2929602E9CP")


# ------------------------------------------------------------------------------------------------------------- places


def place(name: str, distance: str, unit: str = "KM", status: str = "01", **more: Any) -> dict[str, Any]:
    keyed = {
        "ConsigneeName": name, "AddressLine": "Damrak 9", "PoliticalDivision2": "Amsterdam", "PoliticalDivision1": "NH",
        "PostcodePrimaryLow": "1012LG", "CountryCode": "NL",
    }  # fmt: skip
    return {
        "LocationID": "4711", "AddressKeyFormat": keyed,
        "Distance": {"Value": distance, "UnitOfMeasurement": {"Code": unit}},
        "AccessPointInformation": {"AccessPointStatus": {"Code": status, "Description": "?"}}, **more,
    }  # fmt: skip


def located(*places: Any) -> dict[str, Any]:
    return {
        "LocatorResponse": {"Response": {"ResponseStatusCode": "1"}, "SearchResults": {"DropLocation": list(places)}}
    }


async def test_access_points_come_nearest_first_and_open_ones_only(street: Street) -> None:
    """Miles become kilometres, hours are a line a day, a suspended one is left out, UPS's own id is not shown."""
    days = [
        {"Day": "1", "ClosedIndicator": ""},
        {"Day": "2", "OpenHours": "930", "CloseHours": "1700"},
        {"Day": "3", "Open24HoursIndicator": "true"},
    ]
    hours = {"StandardHours": [{"HoursType": "50", "DayOfWeek": []}, {"HoursType": "10", "DayOfWeek": days}]}
    street.post(
        LOCATOR,
        return_value=httpx.Response(
            200,
            json=located(
                place("Far", "2", "MI"),
                place("Shut", "0.1", status="06"),
                place("Near", "1.5", OperatingHours=hours, LatestGroundDropOffTime=["1730"]),
                place("Far", "3", StandardHoursOfOperation="Mon-Fri: 8am-6pm; Sat: 9am-1pm"),
            ),
        ),
    )
    found = await street.ups.drop_offs(CUSTOMER, 5)
    assert [(one.name, one.distance_km) for one in found] == [
        ("Near", Decimal("1.5")), ("Far", Decimal("3")), ("Far", Decimal("3.2")),
    ]  # fmt: skip
    assert found[0].hours == ("Mon 9:30-17:00", "Tue 0:00-24:00", "Sun closed") and found[0].until == "1730"
    assert found[1].hours == ("Mon-Fri: 8am-6pm", "Sat: 9am-1pm")
    assert found[0].address.city == "Amsterdam" and "4711" not in str(found)
    assert len(await street.ups.drop_offs(CUSTOMER, 1)) == 1


async def test_nothing_near_is_an_answer_and_a_failure_is_not(street: Street) -> None:
    """In whichever place UPS says so; any other refusal is one."""
    route = street.post(LOCATOR)
    nothing = {"ErrorSeverity": "Hard", "ErrorCode": "350201", "ErrorDescription": "No locations found"}
    inside = {"LocatorResponse": {"Response": {"ResponseStatusCode": "0", "Error": nothing}, "SearchResults": {}}}
    for answer in (
        httpx.Response(200, json=inside),
        httpx.Response(404, json=errors("1", "x")),
        httpx.Response(400, json=errors("350201", "No locations found")),
        httpx.Response(200, json=located()),
    ):
        route.mock(return_value=answer)
        assert await street.ups.drop_offs(CUSTOMER, 5) == ()
    nothing["ErrorDescription"] = "Invalid country"
    for answer in (httpx.Response(200, json=inside), httpx.Response(400, json=errors("350001", "Invalid country"))):
        route.mock(return_value=answer)
        with pytest.raises(Refused, match="Invalid country"):
            await street.ups.drop_offs(CUSTOMER, 5)


def checked(indicator: str, *extended: str) -> dict[str, Any]:
    keyed = {
        "AddressLine": ["350 5TH AVE"], "PoliticalDivision2": "NEW YORK", "PoliticalDivision1": "NY",
        "PostcodePrimaryLow": "10118", "CountryCode": "US",
    }  # fmt: skip
    candidates = [{"AddressKeyFormat": keyed | {"PostcodeExtendedLow": one}} for one in extended]
    status = {"ResponseStatus": {"Code": "1", "Description": "Success"}}
    return {"XAVResponse": {"Response": status, indicator: "", "Candidate": candidates}}


async def test_an_address_is_valid_ambiguous_or_unknown(street: Street) -> None:
    """One of three indicators decides, whatever its value; the four digits come from the one candidate."""
    route = street.post(VALIDATION, return_value=httpx.Response(200, json=checked("ValidAddressIndicator", "0110")))
    valid = await street.ups.check_address(NEW_YORK)
    assert (valid.verdict, valid.zip4, valid.candidates[0].lines) == ("valid", "0110", ("350 5TH AVE",))
    sent = json.loads(route.calls[0].request.content)["XAVRequest"]["AddressKeyFormat"]
    assert (sent["PostcodePrimaryLow"], sent["PostcodeExtendedLow"]) == ("10118", "0110")
    route.mock(return_value=httpx.Response(200, json=checked("AmbiguousAddressIndicator", "1", "2")))
    found = await street.ups.check_address(NEW_YORK)
    assert (found.verdict, len(found.candidates), found.zip4) == ("ambiguous", 2, "")
    route.mock(return_value=httpx.Response(200, json=checked("NoCandidatesIndicator")))
    assert (await street.ups.check_address(NEW_YORK)).verdict == "unknown"
    with pytest.raises(Refused, match="US and Puerto Rico only"):
        await street.ups.check_address(CUSTOMER)
    assert route.call_count == 3
