"""Every request that carriers/ups can send, held against UPS's official files: path, headers, query and body."""

from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, OAS31Validator

from tests.official import PRESENT, complaints, flat_components, spec, undeclared
from tests.ups_sent import BASES, SENDING, Sent, sent

pytestmark = pytest.mark.skipif(not PRESENT, reason="UPS REQUESTS NOT COMPARED: no official files in ../shared/specs")
# Operations in the files that we have no use for.
UNUSED = {
    "post /quantumview/{version}/events",
    "get /track/v1/shipment/details/{inquiryNumber}",
    "post /subscription/{type}/account", "delete /subscription/{type}/account",
    "post /redirect/address/{tracking_number}", "post /willcall/{tracking_number}",
    "post /reschedule/{tracking_number}",
    "post /shipments/{version}/pickup/{pickuptype}", "get /pickup/{version}/countries/{countrycode}",
    "post /pickup/{version}/servicecenterlocations",
}  # fmt: skip


def test_every_request_is_an_official_operation_and_every_operation_we_use_is_sent() -> None:
    """No call goes to a path that UPS does not list; what is listed and never sent is named in UNUSED, no more."""
    used = {f"{one.operation.method} {one.operation.path}" for one in sent()}
    listed = {
        f"{method} {path}"
        for file in BASES
        for path, call in spec(file)["paths"].items()
        for method in call
        if method in ("get", "post", "put", "delete") and "deprecated" not in path
    }
    assert listed - used == UNUSED & listed
    assert len(used) == 16, sorted(used)


def test_every_body_meets_the_official_file() -> None:
    """Bodies, but for the places where a file contradicts its own words; each is met."""
    met: set[Any] = set()
    wrong = {
        (one.name, complaint)
        for one in sent()
        if one.body
        for complaint in undeclared(one.operation, one.content, SENDING, met)
    }
    assert wrong == set()
    assert met == set(SENDING), "a deviation that nothing shows is struck from the list"


def test_every_header_and_query_meets_the_official_file() -> None:
    """What is required is there, and what is there has the documented form."""
    wrong = {(one.name, each) for one in sent() for each in parameters_wrong(one)}
    assert wrong == set()


def parameters_wrong(one: Sent) -> list[str]:
    whole, operation = spec(one.operation.file), one.operation
    call = whole["paths"][operation.path]
    kind: Any = OAS31Validator if str(whole["openapi"]).startswith("3.1") else OAS30Validator
    wrong = []
    for parameter in [*call.get("parameters", []), *call[operation.method].get("parameters", [])]:
        if "$ref" in parameter:
            parameter = whole["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[-1]]
        name, place = parameter["name"], parameter["in"]
        if place == "path":
            continue
        held = (one.headers if place == "header" else one.query).get(name.lower() if place == "header" else name)
        if held is None:
            wrong += [f"{name} is missing"] if parameter.get("required") else []
            continue
        schema = parameter["schema"] | {"components": flat_components(operation.file)}
        value = int(held) if schema.get("type") == "integer" and held.isdecimal() else held
        value = held == "true" if schema.get("type") == "boolean" else value
        wrong += [f"{name}: {error.message}" for error in kind(schema).iter_errors(value)]
    return wrong


def test_nothing_sent_holds_a_secret_but_the_token_call() -> None:
    """The client's secret goes to the token endpoint alone, and nowhere in a query."""
    for one in sent():
        assert b"hush" not in one.body and "hush" not in str(one.query)
        assert one.headers["authorization"].startswith("Basic " if one.name == "token" else "Bearer ")


def test_what_is_wrong_would_be_seen() -> None:
    """Three faults planted in what was sent: a missing header, a wrong one, and a wrong body."""
    one = next(each for each in sent() if each.name == "intercept")
    assert parameters_wrong(Sent(**{**_fields(one), "headers": {}})) != []
    assert parameters_wrong(Sent(**{**_fields(one), "headers": one.headers | {"transid": "x" * 36}})) != []
    assert complaints(one.operation, one.content | {"reasonForReturn": "XX"}) != []


def _fields(one: Sent) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Sent.__slots__}
