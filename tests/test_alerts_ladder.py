"""Facts about the ladder: which notice raises or clears what."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.ladder import _RULES, Clear, Notice, Raise, Severity, climbs, decide, is_graver
from webhooks.notices import TYPES

AT = datetime(2026, 3, 3, 11, 5, tzinfo=UTC)


def parcel(status: str = "attempt_failed", leg: str = "out", **attempts: Any) -> dict[str, Any]:
    return {
        "status": status,
        "leg": leg,
        "attempts": {"count": 0, "max": 3, "final": False, "exhausted": False} | attempts,
        "return_to_warehouse": {"state": "expected", "reason": "refused"},
    }


def notice(type: str, subject: str = "parcel:7", **data: Any) -> Notice:
    base = {"merchant": "boutique-eu", "carrier": "ups", "number": "1Z5338FF0107231059", "order_numbers": ["A1"]}
    return Notice(subject, "name", type, AT, base | data)


def raised(type: str, subject: str = "parcel:7", **data: Any) -> Raise:
    (decision,) = decide(notice(type, subject, **data))
    assert isinstance(decision, Raise)
    return decision


@pytest.mark.parametrize(
    ("ordinal", "state", "rung", "severity"),
    [
        (1, {"count": 1}, "attempt_1", Severity.INFO),
        (2, {"count": 2}, "attempt_2", Severity.WARNING),
        (3, {"count": 3, "exhausted": True}, "attempts_over", Severity.CRITICAL),
        (1, {"count": 1, "final": True, "exhausted": True}, "attempts_over", Severity.CRITICAL),
        (1, {"count": 3, "exhausted": True}, "attempts_over", Severity.CRITICAL),
        (2, {"count": 2, "max": None}, "attempt_2", Severity.WARNING),
    ],
)
def test_attempts_climb(ordinal: int, state: dict[str, Any], rung: str, severity: Severity) -> None:
    """First failed attempt: info. Second: act before the next delivery day. The last, whichever it is: critical."""
    alert = raised("parcel.attempt_failed", parcel=parcel(**state), attempt={"ordinal": ordinal})
    assert (alert.rung, alert.severity, alert.key) == (rung, severity, "parcel:7/delivery")
    assert "UPS 1Z5338FF0107231059 (order A1)" in alert.title
    assert (alert.merchant, alert.carrier) == ("boutique-eu", "ups")
    if rung == "attempt_2":
        assert "before the next delivery day" in alert.action


def test_an_attempt_told_after_delivery_alerts_nobody() -> None:
    """A parcel that has arrived needs nobody, whatever is told late."""
    over = parcel("delivered", count=1)
    assert decide(notice("parcel.attempt_failed", parcel=over, attempt={"ordinal": 1})) == ()
    assert decide(notice("return_to_warehouse.expected", parcel=parcel("delivered", "back"))) == ()
    assert decide(notice("parcel.late", parcel=over)) == ()


def test_a_correction_lowers_or_clears() -> None:
    """When an attempt turns out to be none, its alert comes down, or is over when none is left."""
    one = raised("parcel.attempt_corrected", parcel=parcel(count=1))
    assert (one.rung, one.severity, one.falls) == ("attempt_1", Severity.INFO, True)
    assert decide(notice("parcel.attempt_corrected", parcel=parcel(count=0))) == (
        Clear("parcel:7", "parcel:7/delivery"),
    )
    assert decide(notice("parcel.attempt_corrected", parcel=parcel("undeliverable", count=1))) == ()


@pytest.mark.parametrize(
    ("type", "data", "key", "severity"),
    [
        ("parcel.status_changed", {"parcel": parcel("undeliverable")}, "parcel:7/delivery", "critical"),
        ("parcel.status_changed", {"parcel": parcel("lost")}, "lost/ups/1Z5338FF0107231059", "critical"),
        ("parcel.status_changed", {"parcel": parcel("destroyed")}, "lost/ups/1Z5338FF0107231059", "critical"),
        ("parcel.late", {"parcel": parcel("in_transit")}, "parcel:7/late", "warning"),
        ("return_to_warehouse.expected", {"parcel": parcel("undeliverable")}, "parcel:7/delivery", "critical"),
        ("return_to_warehouse.requested", {"parcel": parcel("undeliverable")}, "parcel:7/delivery", "warning"),
        ("return_to_warehouse.under_way", {"parcel": parcel("in_transit", "back")}, "parcel:7/delivery", "warning"),
        ("return.bounced", {}, "parcel:7/bounced", "critical"),
        ("return.lost", {}, "lost/ups/1Z5338FF0107231059", "critical"),
        ("ops.payload_unreadable", {"digest": "ab12", "error": "no JSON"}, "payload:ab12/unreadable", "warning"),
        ("ops.unknown_code", {"code": "X/ZZ", "day": "2026-03-03"}, "code:ups/X/ZZ/2026-03-03", "warning"),
        ("ops.push_forged", {}, "carrier:ups/forged/2026-03-03T11", "warning"),
        ("ops.purchase_unknown", {"purchase_id": "u-1"}, "purchase:u-1/unknown", "critical"),
        ("ops.carrier_away", {"error": "no answer"}, "carrier:ups/away", "critical"),
        ("ops.endpoint_gone", {"endpoint": 3}, "parcel:7/gone", "warning"),
    ],
)  # fmt: skip
def test_what_raises(type: str, data: dict[str, Any], key: str, severity: str) -> None:
    """Each of these raises one alert under its own key, with words for what to do next."""
    alert = raised(type, **data)
    assert (alert.key, alert.severity) == (key, severity)
    assert alert.title and alert.action.endswith(".")


@pytest.mark.parametrize(
    ("type", "data", "clears"),
    [
        ("parcel.delivered", {"parcel": parcel("delivered")}, Clear("parcel:7")),
        ("return_to_warehouse.arrived", {"parcel": parcel("delivered", "back")}, Clear("parcel:7")),
        ("return_to_warehouse.cancelled", {"parcel": parcel("in_transit")}, Clear("parcel:7", "parcel:7/delivery")),
        ("parcel.status_changed", {"parcel": parcel("voided")}, Clear("parcel:7")),
        ("ops.carrier_back", {}, Clear("carrier:ups", "carrier:ups/away")),
        ("label.purchased", {"purchase_id": "u-1"}, Clear("purchase:u-1")),
    ],
)
def test_what_clears(type: str, data: dict[str, Any], clears: Clear) -> None:
    """Delivery and coming home end everything about the parcel; a carrier that is back ends its outage alone."""
    assert decide(notice(type, **data))[:1] == (clears,)


def test_alerts_never_raise_alerts() -> None:
    """What alerts say of themselves, and plain good news, mean nothing to the ladder."""
    for type in ("alert.raised", "alert.cleared", "order.shipped", "return.registered", "no.such.type"):
        assert decide(notice(type)) == ()


def test_every_rule_is_for_a_type_that_exists() -> None:
    """The ladder speaks of public types and of what is for ops alone."""
    assert all(type in TYPES or type.startswith("ops.") for type in _RULES)


def test_what_is_higher() -> None:
    """A later step stands higher though it may be less grave; only graver ones are told again."""
    assert climbs(("attempt_1", "info"), ("attempt_2", "warning"))
    assert not climbs(("attempt_2", "warning"), ("attempt_1", "info"))
    assert not climbs(("attempt_2", "warning"), ("attempt_2", "warning"))
    assert climbs(("goes_back", "critical"), ("on_its_way_back", "warning"))
    assert is_graver("info", "critical") and not is_graver("critical", "warning")


_JUNK = st.sampled_from(
    [None, True, -1, 10**30, "", "many", "\ud800", [], ["x", 1], {}, {"count": "many"}, {"status": []}]
)
_PARCEL = st.fixed_dictionaries({}, optional=dict.fromkeys(("status", "leg", "attempts", "return_to_warehouse"), _JUNK))
_DATA = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("number", "order_numbers", "carrier", "digest", "code", "day", "error"), _JUNK)
    | {"parcel": _PARCEL | _JUNK, "attempt": st.fixed_dictionaries({"ordinal": _JUNK}) | _JUNK},
)


@given(st.sampled_from(sorted(_RULES)), _DATA)
def test_odd_data_is_judged_or_reported_as_such(type: str, data: dict[str, Any]) -> None:
    """Data that is not as agreed ends in a decision or in an error that the desk catches, never in anything else."""
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        decide(Notice("parcel:7", "n", type, AT, data))


def test_a_failed_sweep_is_one_alert_with_what_to_do() -> None:
    """The scheduler would swallow it: ops hear which sweep and which error, however often it fails."""
    first = raised("ops.sweep_failed", "service", sweep="deliver", error="OSError")
    again = raised("ops.sweep_failed", "service", sweep="deliver", error="TimeoutError")
    assert first.key == again.key and "deliver" in first.title and first.action
