"""Facts about what we send: signatures that the reference library accepts, the schedule, and the bytes of a notice."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from webhooks.notices import TYPES, body, is_public, is_wanted
from webhooks.schedule import TRIES, wait_after
from webhooks.signing import make_secret, sign

SECRET = make_secret(bytes(range(32)))


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_reference_library_accepts_our_signature(words: str) -> None:
    """Whatever the body says, standardwebhooks verifies it."""
    content = json.dumps({"words": words}, ensure_ascii=False).encode()
    assert Webhook(SECRET).verify(content, sign(SECRET, "msg_1", _now(), content)) == {"words": words}


def test_a_changed_notice_is_not_accepted() -> None:
    """Another body, id, time or secret breaks the signature."""
    headers = sign(SECRET, "msg_1", _now(), b"{}")
    changed = [
        (SECRET, headers, b'{"a":1}'),
        (SECRET, headers | {"webhook-id": "msg_2"}, b"{}"),
        (SECRET, headers | {"webhook-timestamp": str(_now() + 3)}, b"{}"),
        (make_secret(bytes(32)), headers, b"{}"),
    ]
    for secret, given_headers, content in changed:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(content, given_headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    """A secret without prefix or content is a mistake to be told, not something to sign with."""
    with pytest.raises(ValueError, match="looks like whsec_"):
        sign(secret, "msg_1", 1, b"")


def test_a_secret_is_long_enough() -> None:
    """A secret is made of at least 32 random bytes."""
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"))) == 32
    with pytest.raises(ValueError, match="32 random bytes"):
        make_secret(b"short")


def test_the_schedule() -> None:
    """At once, then after 5 s, 30 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, then daily, for thirty days in all."""
    waits = [wait_after(tries, 0.5) for tries in range(TRIES)]
    seconds = [int(wait.total_seconds()) for wait in waits if wait is not None]
    assert seconds[:12] == [0, 5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, 86400]
    total = sum((wait for wait in waits if wait), timedelta())
    assert timedelta(days=29) < total <= timedelta(days=30)
    assert wait_after(TRIES, 0.5) is None and wait_after(TRIES + 1, 0.5) is None


@given(st.integers(1, TRIES - 1), st.floats(0, 1, exclude_max=True))
def test_jitter_is_a_fifth_at_most(tries: int, random: float) -> None:
    """A wait is never more than a fifth longer or shorter than the schedule's."""
    wait, middle = wait_after(tries, random), wait_after(tries, 0.5)
    assert wait is not None and middle is not None
    assert 0.8 - 1e-6 <= wait / middle <= 1.2 + 1e-6


def test_the_body_is_the_rows_alone() -> None:
    """The same row gives the same bytes; the number within the subject is in the data, the rest is untouched."""
    data = '{"carrier":"ups","price":1.10,"sequence":99,"words":"è"}'
    content = body("parcel.delivered", 1_772_438_400_123_456, 3, data)
    assert content == body("parcel.delivered", 1_772_438_400_123_456, 3, data)
    assert content.decode() == (
        '{"type":"parcel.delivered","timestamp":"2026-03-02T08:00:00Z",'
        '"data":{"sequence":3,"carrier":"ups","price":1.10,"words":"è"}}'
    )


def test_who_hears_what() -> None:
    """An endpoint hears the types it asked for, or all public ones; what is for ops never leaves the house."""
    assert is_wanted("parcel.delivered", []) and is_wanted("parcel.delivered", ["parcel.delivered"])
    assert not is_wanted("parcel.delivered", ["order.shipped"])
    assert not is_wanted("ops.unknown_code", []) and not is_wanted("ops.unknown_code", ["ops.unknown_code"])
    assert len(TYPES) == 26 and not any(is_public(f"ops.{type}") for type in TYPES)
