"""Every answer and push of the stand-ins, and every request, held against the carriers' official OpenAPI files.

The files are not part of the project; where they are absent this says so and skips, unless they are required
(`HOMEWARD_CONFORMANCE=required`). To hold more requests against them, add a row to REQUESTS.
"""

import os
from collections.abc import Iterator

import pytest

from tests import talk_ups, talk_usps
from tests.official import PRESENT, Deviation, Operation, spec, undeclared
from tests.standins import (
    ANSWERS,
    DEVIATIONS,
    FILE_FAULTS,
    LABELS,
    PAYMENTS,
    SUBSCRIPTIONS,
    TRACK,
    UPS_ALERT,
    UPS_SHIP,
    collected,
)
from tests.ups_sent import SENDING, sent
from tests.usps_sent import sent as usps_sent
from tests.walk import ROLES, SECRET, subscription, ups_label, usps_label, walked

if not PRESENT and os.environ.get("HOMEWARD_CONFORMANCE") == "required":
    pytest.fail("CONFORMANCE REQUIRED, but the carriers' official files are not beside the project", pytrace=False)
pytestmark = pytest.mark.skipif(not PRESENT, reason="CONFORMANCE SKIPPED: no official files in ../shared/specs")

# What is sent to a carrier: (name, where its shape is written down, body). Rows for our adapters' requests belong here.
REQUESTS: list[tuple[str, Operation, object]] = [
    # Whatever carriers/ups can send with a body, caught on its way out; tests/ups_sent.py adds more.
    *((f"ups sends: {one.name}", one.operation, one.content) for one in (sent() if PRESENT else ()) if one.body),
    # Likewise of carriers/usps; tests/usps_sent.py adds more.
    *((f"usps sends: {one.name}", one.operation, one.content) for one in (usps_sent() if PRESENT else ()) if one.body),
    ("ups label NL-IT", Operation(UPS_SHIP, "post", "/shipments/{version}/ship"), ups_label()),
    ("ups label US-US", Operation(UPS_SHIP, "post", "/shipments/{version}/ship"), ups_label(country="US", image="ZPL")),
    (
        "ups subscribe",
        Operation(UPS_ALERT, "post", "/subscription/{type}/package"),
        {"locale": "en_US", "trackingNumberList": []},
    ),
    ("usps payment", Operation(PAYMENTS, "post", "/payment-authorization"), ROLES),
    ("usps label", Operation(LABELS, "post", "/return-label"), usps_label()),
    ("usps track", Operation(TRACK, "post", "/tracking"), [{"trackingNumber": "9202090123456700000015"}]),
    (
        "usps subscribe",
        Operation(SUBSCRIPTIONS, "post", "/subscriptions"),
        subscription("https://hooks.example.com/usps"),
    ),
    *talk_ups.REQUESTS,
    *talk_usps.REQUESTS,
]


# ------------------------------------------------------------------------------------------------------------ the tests

USED: set[Deviation] = set()
FAILURES: list[str] = []
Call = tuple[str, str, str]


def call(operation: Operation) -> Call:
    return operation.file, operation.method, operation.path


def used() -> set[Call]:
    """Every call that one of our carrier folders can make, with or without a body."""
    return {call(one.operation) for one in (*sent(), *usps_sent())}


def answered() -> set[Call]:
    told = {call(operation) for name, operation in ANSWERS.items() if operation.status and collected()[name]}
    return told | {call(operation) for operation in talk_usps.EMPTY}


def uncovered() -> list[str]:
    """Calls of the official files that no case here speaks of: nobody uses them."""
    known = used() | answered() | {call(operation) for _, operation, _ in REQUESTS}
    verbs = {"get", "post", "put", "delete", "patch"}
    return sorted(
        f"{file} {method.upper()} {path}"
        for file in {file for file, _, _ in known}
        for path, calls in spec(file).get("paths", {}).items()
        for method in verbs & calls.keys()
        if (file, method, path) not in known
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_stand_in_says_is_what_the_carrier_would_say(name: str) -> None:
    """Every answer and push meets the official file, except where real life is known to differ."""
    bodies = collected()[name]
    assert bodies, f"nothing was ever said under {name!r}"
    wrong = {complaint for body in bodies for complaint in undeclared(ANSWERS[name], body, DEVIATIONS, USED)}
    FAILURES.extend(wrong)
    assert not wrong


@pytest.mark.parametrize(("name", "operation", "body"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_a_request_is_one_the_carrier_takes(name: str, operation: Operation, body: object) -> None:
    """Every request meets the official file, except where that contradicts itself."""
    wrong = undeclared(operation, body, (*FILE_FAULTS, *SENDING), set())
    FAILURES.extend(wrong)
    assert wrong == []


def test_every_call_that_we_make_has_a_request_and_an_answer_here() -> None:
    """At least one request and one answer for each operation that a carrier folder uses."""
    assert used() - answered() == set()


def test_the_walk_tells_every_journey_in_every_delivery() -> None:
    """Every journey in five deliveries: none without a poll, none but `never` without a push."""
    walk = walked()
    for number, parcel in walk.parcels.items():
        assert walk.polls[number], (parcel.journey.name, parcel.delivery)
        assert bool(walk.pushes[number]) == (parcel.delivery != "never"), (parcel.journey.name, parcel.delivery)


@pytest.fixture(scope="module", autouse=True)
def _counts(request: pytest.FixtureRequest) -> Iterator[None]:
    """The count of what was held against the files, printed at the end."""
    yield
    if not PRESENT:
        return
    bodies = collected()
    cases = sum(map(len, bodies.values())) + len(REQUESTS)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        operations = len(used() | answered())
        print(f"\nconformance: {operations} operations, {cases} cases, {len(FAILURES)} failures, ", end="")
        print(f"{len(DEVIATIONS)} declared deviations; not used and covered by no case:")
        print("\n".join(f"  {each}" for each in uncovered()))


def test_every_declared_deviation_is_met() -> None:
    """A deviation that nothing shows any more is struck from the list."""
    used: set[Deviation] = set()
    for name, operation in ANSWERS.items():
        for body in collected()[name]:
            undeclared(operation, body, DEVIATIONS, used)
    for _, operation, body in REQUESTS:
        undeclared(operation, body, FILE_FAULTS, used)
    assert [each.complaint for each in DEVIATIONS if each not in used] == []


def test_the_secret_is_only_where_usps_puts_it() -> None:
    """Pushes carry a signature, never the secret."""
    assert walked().envelopes
    for headers, envelope in walked().envelopes:
        assert headers["X-HMAC"] and SECRET not in str(envelope)
