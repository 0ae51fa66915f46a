"""Asks USPS for pushes: one subscription covers every parcel under our Mailer ID, kept alive and alone.

source: facts/usps.md 5: lists may be stale and echo the secret (nothing here logs one); the filter cannot be edited; an
unreachable listener suspends a subscription silently; a duplicate create names the one that is there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from carriers.contract import NotFound, Refused, Subscribed, Unreadable
from carriers.door import Door
from carriers.usps import shapes, wording

PATH = "/subscriptions-tracking/v3r2/subscriptions"
# ALL_UPDATES leaves delay notices out.
EVENTS = ("ALL_UPDATES", "PACKAGE_DELAYED")
NAMED = re.compile(r"\b([0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{6,})\b", re.IGNORECASE)
ACCOUNT = "*"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where pushes go, what proves them, and for which Mailer ID."""

    url: str
    secret: SecretStr
    email: str
    mid: str

    def wanted(self) -> dict[str, Any]:
        return {
            "listenerURL": self.url,
            "secret": self.secret.get_secret_value(),
            "adminNotification": [{"email": self.email}],
            "filterProperties": {"MID": self.mid, "trackingEventTypes": list(EVENTS)},
        }


class Pushes:
    """`listener` is None where the settings name no listener."""

    def __init__(self, door: Door, listener: Listener | None) -> None:
        self._door, self._listener = door, listener

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        """See to it that exactly one enabled subscription posts to our listener. Raises Refused, Busy, Away.

        The numbers do not matter: parcels under our Mailer ID are all covered, others cannot be.
        """
        listener = self._listener
        if listener is None:
            raise Refused(
                "pushes need USPS_LISTENER_URL, USPS_PUSH_SECRETS, USPS_ADMIN_EMAIL and USPS_MID", code="settings"
            )
        ours = [each for each in await self.list(listener.mid) if _fits(each, listener)]
        for spare in ours[1:]:
            await self.delete(str(spare["subscriptionId"]))
        kept = await self._keep(ours[0], listener) if ours else await self._create(listener)
        return Subscribed((ACCOUNT,), until=_until(kept))

    async def list(self, mid: str) -> list[Mapping[str, Any]]:
        """Every subscription of a Mailer ID; none is answered with 404."""
        try:
            response = await self._door.ask(
                "GET", PATH, api="subscriptions", params={"MID": mid, "offset": 0, "limit": 100}
            )
        except NotFound:
            return []
        found = _said(response.content).get("subscriptions")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    async def delete(self, id: str) -> None:
        """Raises nothing when it is gone already."""
        try:
            await self._change("DELETE", id, None)
        except NotFound:
            return

    async def _create(self, listener: Listener, again: bool = False) -> Mapping[str, Any]:
        try:
            response = await self._door.ask("POST", PATH, api="subscriptions", json=listener.wanted())
        except Refused as error:
            id = _duplicate(error, listener.mid)
            if again or not id:
                raise
            return await self._take_over(id, listener)
        return _said(response.content)

    async def _take_over(self, id: str, listener: Listener) -> Mapping[str, Any]:
        """A duplicate that the list did not show: keep it where it fits, else make room."""
        try:
            there, _ = await self._get(id)
        except NotFound:
            return await self._create(listener, again=True)
        if _fits(there, listener):
            return await self._keep(there, listener)
        await self.delete(id)
        return await self._create(listener, again=True)

    async def _keep(self, there: Mapping[str, Any], listener: Listener) -> Mapping[str, Any]:
        """The one we have, switched on again when it was suspended, with our newest secret."""
        wanted = listener.wanted()
        if there.get("status", "ENABLED") == "ENABLED" and there.get("secret", wanted["secret"]) == wanted["secret"]:
            return there
        return await self._change("PUT", str(there["subscriptionId"]), {**wanted, "status": "ENABLED"})

    async def _get(self, id: str) -> tuple[Mapping[str, Any], str]:
        response = await self._door.ask("GET", f"{PATH}/{id}", api="subscriptions")
        return _said(response.content), response.headers.get("etag", "")

    async def _change(self, method: str, id: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """A change needs the current ETag; one gone stale is read again, once."""
        for last in (False, True):
            _, etag = await self._get(id)
            request: dict[str, object] = {"json": body} if body else {}
            try:
                response = await self._door.ask(
                    method, f"{PATH}/{id}", api="subscriptions", headers={"If-Match": etag}, **request
                )
            except Refused as error:
                if last or error.code != "412":
                    raise
            else:
                return _said(response.content) if response.content else {}
        raise AssertionError("unreachable")


def _fits(there: Mapping[str, Any], listener: Listener) -> bool:
    """Whether a subscription posts what we want to where we want it: all but the secret and the status."""
    filters = there.get("filterProperties")
    if not isinstance(filters, dict) or there.get("listenerURL") != listener.url or not there.get("subscriptionId"):
        return False
    return str(filters.get("MID")) == listener.mid and set(filters.get("trackingEventTypes") or ()) == set(EVENTS)


def _duplicate(error: Refused, mid: str) -> str:
    """The subscription that a refused create names; neither the error's code nor the Mailer ID is one."""
    named = NAMED.findall(str(error))
    return next((id for id in named if id not in (error.code, mid)), "")


def _until(there: Mapping[str, Any]) -> datetime | None:
    stamp = wording.instant(str(there.get("expirationTimestamp") or ""))
    if stamp is None:
        return None
    return stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = shapes.json(body)
    except Unreadable:
        return {}
    return said if isinstance(said, dict) else {}
