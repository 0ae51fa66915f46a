"""Asks USPS for pushes: one subscription covers every parcel under our Mailer ID, kept alive and alone.

source: facts/usps.md 5: lists may be stale and echo the secret (nothing here logs one); the filter cannot be edited; an
unreachable listener suspends a subscription silently; a duplicate create names the one that is there.
"""

import hmac
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from carriers.contract import CarrierError, NotFound, Refused, Subscribed
from carriers.door import Door
from carriers.usps import etags, wording

API = "subscriptions"
PATH = "/subscriptions-tracking/v3r2/subscriptions"
# ALL_UPDATES leaves delay notices out.
EVENTS = ("ALL_UPDATES", "PACKAGE_DELAYED")
NAMED = re.compile(r"\b([0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{6,})\b", re.IGNORECASE)
ACCOUNT, ENABLED = "*", "ENABLED"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where pushes go, what proves them, and for which Mailer ID."""

    url: str
    secret: SecretStr
    email: str
    mid: str
    rotating: bool = False  # an older secret is still accepted

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
        self._knows_secret = ""  # the subscription that was given our newest secret

    async def subscribe(self, numbers: Sequence[str]) -> Subscribed:
        """See to it that exactly one enabled subscription posts to our listener. Raises Refused, Busy, Away.

        The numbers do not matter: parcels under our Mailer ID are all covered, others cannot be. One that USPS deleted
        after thirty idle days is made anew, a suspended one is switched on again.
        """
        listener = self._listener
        if listener is None:
            raise Refused(
                "pushes need USPS_LISTENER_URL, USPS_PUSH_SECRETS, USPS_ADMIN_EMAIL and USPS_MID", code="settings"
            )
        try:
            return Subscribed((ACCOUNT,), until=_until(await self._one(listener)))
        except CarrierError as error:
            raise _hushed(error, listener) from None

    async def _one(self, listener: Listener) -> Mapping[str, Any]:
        ours = [each for each in await self.list(listener.mid) if _fits(each, listener)]
        for spare in ours[1:]:
            await self.delete(str(spare["subscriptionId"]))
        if not ours:
            return await self._create(listener)
        try:  # the list may be stale: what is listed may be suspended, or gone
            there = await self.get(str(ours[0]["subscriptionId"]))
        except NotFound:
            return await self._create(listener)
        return await self._keep({**ours[0], **there}, listener)

    async def list(self, mid: str) -> list[Mapping[str, Any]]:
        """Every subscription of a Mailer ID; none is answered with 404."""
        try:
            response = await self._door.ask("GET", PATH, api=API, params={"MID": mid, "offset": 0, "limit": 100})
        except NotFound:
            return []
        found = _object(etags.said(response.content)).get("subscriptions")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    async def get(self, id: str) -> Mapping[str, Any]:
        """One subscription as it is now. Raises NotFound, Refused, Busy, Away."""
        there, _ = await etags.get(self._door, f"{PATH}/{id}", API)
        return _object(there)

    async def delete(self, id: str) -> None:
        """Raises nothing when it is gone already."""
        try:
            await etags.change(self._door, "DELETE", f"{PATH}/{id}", API)
        except NotFound:
            return

    async def _create(self, listener: Listener, again: bool = False) -> Mapping[str, Any]:
        try:
            response = await self._door.ask("POST", PATH, api=API, json=listener.wanted())
        except Refused as error:
            id = _duplicate(error, listener.mid)
            if again or not id:
                raise
            return await self._take_over(id, listener)
        made = _object(etags.said(response.content))
        self._knows_secret = str(made.get("subscriptionId") or "")
        return made

    async def _take_over(self, id: str, listener: Listener) -> Mapping[str, Any]:
        """A duplicate that the list did not show: keep it where it fits, else make room."""
        try:
            there = await self.get(id)
        except NotFound:
            return await self._create(listener, again=True)
        if _fits(there, listener):
            return await self._keep(there, listener)
        await self.delete(id)
        return await self._create(listener, again=True)

    async def _keep(self, there: Mapping[str, Any], listener: Listener) -> Mapping[str, Any]:
        """The one we have, switched on again when it was suspended, with our newest secret."""
        id, state = str(there["subscriptionId"]), str(there.get("status") or ENABLED)
        if state != ENABLED:
            why = str(there.get("statusReason") or "no reason given")[:200]
            log.warning("push subscription found off", extra={"carrier": "usps", "status": state, "why": why})
        if state == ENABLED and self._is_told(there, listener):
            return there
        changed = await etags.change(
            self._door, "PUT", f"{PATH}/{id}", API, {**listener.wanted(), "subscriptionId": id, "status": ENABLED}
        )
        self._knows_secret = id
        return {**there, "status": ENABLED, **_object(changed)}

    def _is_told(self, there: Mapping[str, Any], listener: Listener) -> bool:
        """Whether USPS has our newest secret: it echoes it, else we told it in this life."""
        if echoed := there.get("secret"):
            return bool(hmac.compare_digest(str(echoed).encode(), listener.secret.get_secret_value().encode()))
        return not listener.rotating or self._knows_secret == there["subscriptionId"]


def _hushed(error: CarrierError, listener: Listener) -> CarrierError:
    """The same error, should USPS have quoted the secret back, without it."""
    secret = listener.secret.get_secret_value()
    if secret not in str(error):
        return error
    quiet = str(error).replace(secret, "(secret)")
    return type(error)(quiet, code=error.code, request_id=error.request_id, retry_after=error.retry_after)


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


def _object(said: object) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}
