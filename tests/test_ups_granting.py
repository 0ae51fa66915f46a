"""The tokens UPS fetches from us: who gets one, what proves a push, and for how long."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from carriers.contract import Forged, Grants, Push, Unreadable
from carriers.ups.granting import LIFE_SECONDS, grant
from carriers.ups.reading import verify
from tests.ups import Street

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRETS = ("ups:newer", "ups:older", "bare", "half:", ":other")
FORM = b"grant_type=client_credentials"


def asked(client: str = "ups", secret: str = "older", body: bytes = FORM) -> Push:
    return Push({"authorization": f"Basic {b64encode(f'{client}:{secret}'.encode()).decode()}"}, body)


def pushed(token: str, client: str = "ups") -> Push:
    return Push({"authorization": f"Bearer {token}", "x-api-key": client}, b"{}")


def token(secrets: tuple[str, ...] = SECRETS) -> str:
    return str(json.loads(grant(asked(), secrets, NOW))["access_token"])


def test_ups_gets_a_token_and_a_push_with_it_is_proven() -> None:
    """Shaped as UPS's own token answers; no secret is in it; another process with the same settings can check it."""
    answer = json.loads(grant(asked(), SECRETS, NOW))
    assert (answer["token_type"], answer["expires_in"], answer["client_id"]) == ("Bearer", str(LIFE_SECONDS), "ups")
    assert "older" not in str(answer) and "newer" not in str(answer)
    verify(pushed(answer["access_token"]), SECRETS, NOW + timedelta(seconds=LIFE_SECONDS - 1))
    assert isinstance(Street().ups, Grants)


def test_credentials_may_come_in_the_form() -> None:
    """Both ways of the standard."""
    form = FORM + b"&client_id=ups&client_secret=newer"
    assert json.loads(grant(Push({}, form), SECRETS, NOW))["access_token"]


@pytest.mark.parametrize(
    "push",
    [
        asked("ups", "wrong"),
        asked("else", "older"),
        asked("", ""),
        asked("half", ""),
        asked("", "other"),
        asked("bare", ""),
        Push({}, FORM),
        Push({"authorization": "Basic !!!"}, FORM),
        Push({"authorization": "Bearer older"}, FORM),
    ],
    ids=range(9),
)
def test_a_stranger_gets_no_token(push: Push) -> None:
    """Also where half of a secret is empty, and where nothing is configured."""
    for secrets in (SECRETS, ()):
        with pytest.raises(Forged):
            grant(push, secrets, NOW)


@pytest.mark.parametrize("body", [b"", b"grant_type=password", b"\xff", b"a=1&" * 50, FORM + b"&" + FORM])
def test_what_is_no_token_call_is_unreadable(body: bytes) -> None:
    """Only client credentials are given out."""
    with pytest.raises(Unreadable):
        grant(asked(body=body), SECRETS, NOW)


def test_a_token_proves_nothing_after_its_hour_nor_changed_nor_for_another_client() -> None:
    """Expired, prolonged, signed by a secret since removed, shown without or with another client id: Forged."""
    good = token()
    name, expires, mac = good.split(".")
    verify(pushed(good), SECRETS, NOW)
    cases = [
        (pushed(good), NOW + timedelta(seconds=LIFE_SECONDS), SECRETS),
        (pushed(f"{name}.{int(expires) + 60}.{mac}"), NOW, SECRETS),
        (pushed(f"{name}.{expires}.{'0' * 64}"), NOW, SECRETS),
        (pushed(f"{name}.{expires}"), NOW, SECRETS),
        (pushed(f"{name}.\u0663{expires}.{mac}"), NOW, SECRETS),
        (pushed(f"{name}.{'9' * 40}.{mac}"), NOW, SECRETS),
        (pushed(good, "else"), NOW, SECRETS),
        (pushed(good, ""), NOW, SECRETS),
        (pushed(good), NOW, ("ups:newer",)),
        (pushed(good), NOW, ()),
    ]
    for push, when, secrets in cases:
        with pytest.raises(Forged):
            verify(push, secrets, when)
