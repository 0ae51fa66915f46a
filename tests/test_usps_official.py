"""Every request that carriers/usps can send, held against USPS's official files: path, headers, query and body."""

from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, OAS31Validator

from tests.official import PRESENT, complaints, flat_components, spec, undeclared
from tests.usps_sent import BASES, OLDER_SECRET, SECRET, SENDING, Sent, sent

pytestmark = pytest.mark.skipif(not PRESENT, reason="USPS REQUESTS NOT COMPARED: no official files in ../shared/specs")
# Operations in the files that we have no use for.
UNUSED = {
    "post /revoke",
    "patch /label/{trackingNumber}", "post /indicia", "post /indicia/imb", "delete /indicia/imb/{imb}",
    "post /branding", "get /branding", "get /branding/{imageUUID}", "delete /branding/{imageUUID}",
    "patch /branding/{imageUUID}",
    "post /tracking/{trackingNumber}/notifications", "post /tracking/{trackingNumber}/proof-of-delivery",
    "post /notifications",
    "get /city-state", "get /zipcode",
    "get /dropoff-locations", "get /parcel-locker-locations",
}  # fmt: skip
METHODS = ("get", "post", "put", "patch", "delete")


def test_every_request_is_an_official_operation_and_every_operation_we_use_is_sent() -> None:
    """No call goes to a path that USPS does not list; what is listed and never sent is named in UNUSED, no more."""
    used = {(one.operation.file, f"{one.operation.method} {one.operation.path}") for one in sent()}
    listed = {
        (file, f"{method} {path}")
        for file in BASES
        for path, call in spec(file)["paths"].items()
        for method in call
        if method in METHODS
    }
    assert {name for _, name in listed - used} == UNUSED
    assert len(used) == 23, sorted(used)


def test_every_body_meets_the_official_file() -> None:
    """Bodies, but for the place where a file contradicts itself, which is met."""
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
    """What is required is there, what is there has the documented form, and no query is made up."""
    wrong = {(one.name, each) for one in sent() for each in parameters_wrong(one)}
    assert wrong == set()


def parameters_wrong(one: Sent) -> list[str]:
    whole, operation = spec(one.operation.file), one.operation
    call = whole["paths"][operation.path]
    kind: Any = OAS31Validator if str(whole["openapi"]).startswith("3.1") else OAS30Validator
    wrong, named = [], set()
    for parameter in [*call.get("parameters", []), *call[operation.method].get("parameters", [])]:
        if "$ref" in parameter:
            parameter = whole["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[-1]]
        name, place = parameter["name"], parameter["in"]
        named.add(name)
        if place == "path":
            continue
        held = (one.headers if place == "header" else one.query).get(name.lower() if place == "header" else name)
        if held is None:
            wrong += [f"{name} is missing"] if parameter.get("required") else []
            continue
        schema = parameter["schema"] | {"components": flat_components(operation.file)}
        wrong += [f"{name}: {error.message}" for error in kind(schema).iter_errors(_as(schema, held))]
    return wrong + [f"{name} is no parameter" for name in one.query if name not in named]


def _as(schema: dict[str, Any], held: str) -> Any:
    """A parameter's text as what its schema speaks of."""
    while "$ref" in schema:
        schema = schema["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    match schema.get("type"):
        case "integer" | "number" if held.isdecimal():
            return int(held)
        case "boolean":
            return held == "true"
        case "array":
            return held.split(",")
    return held


def test_nothing_sent_holds_a_secret_but_the_calls_that_are_for_it() -> None:
    """The client's secret goes to the token endpoint alone, the newest push secret to the subscriptions alone."""
    for one in sent():
        if one.name == "token":
            continue
        assert one.headers["authorization"] == "Bearer t"
        body = one.body.decode()
        assert OLDER_SECRET not in body and "hush" not in str(one.query)
        if "hush" in body:
            assert one.path.startswith("/subscriptions-tracking/") and one.content["secret"] == SECRET


def test_what_is_wrong_would_be_seen() -> None:
    """Faults planted in what was sent: a missing header, a query that is none, and a wrong body."""
    one = next(each for each in sent() if each.name == "cancel")
    assert parameters_wrong(Sent(**(_fields(one) | {"headers": {}}))) != []
    assert parameters_wrong(Sent(**(_fields(one) | {"query": {"zip": "1"}}))) != []
    bought = next(each for each in sent() if each.name == "label out")
    package = bought.content["packageDescription"]
    assert complaints(bought.operation, bought.content | {"packageDescription": package | {"mailingDate": "x"}}) != []
    assert complaints(bought.operation, bought.content | {"toAdress": {}}) != []


def _fields(one: Sent) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("name", "method", "path", "query", "headers", "body")}
