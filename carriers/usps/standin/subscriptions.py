"""USPS's subscriptions to pushes: made, read, changed and deleted with ETags; suspended when nobody hears, forgotten
when nothing happens."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from aiohttp import web

from carriers.usps.standin.answers import No, answer, fresh, object_of
from carriers.usps.standin.scans import pushed
from carriers.usps.standin.town import Json, Parcel, Posting, Route, Scan, Town

PATH = "/subscriptions-tracking/v3r2/subscriptions"
IDLE = timedelta(days=30)  # source: facts/usps.md 5
TYPES = {"ALL_UPDATES", "DELIVERY_ACTIVITY", "PACKAGE_DELAYED", "SCAN_EVENT_EXTRACT"}


@dataclass(slots=True)
class Subscription:
    id: str
    listener: str
    secret: str
    filter: Json
    emails: list[Json]
    created: datetime
    used: datetime  # the last push heard, or the last change
    status: str = "ENABLED"
    reason: str = ""
    changed: datetime | None = None
    etag: str = field(default_factory=lambda: secrets.token_hex(8))
    failures: int = 0

    def set(self, status: str, reason: str, now: datetime) -> None:
        if (status, reason) != (self.status, self.reason):
            self.status, self.reason, self.changed, self.etag = status, reason, now, secrets.token_hex(8)

    def covers(self, parcel: Parcel) -> bool:
        number = parcel.number
        mid = number[5:14] if number.startswith("92") else number[5:11]
        return self.filter.get("MID") == mid or self.filter.get("trackingNumber") == number


class Subscriptions:
    """All that are kept."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.kept: dict[str, Subscription] = {}

    def routes(self) -> list[Route]:
        scope = "subscriptions-tracking"
        return [
            ("*", PATH, "subscribe", scope, self.all),
            ("*", f"{PATH}/{{id}}", "subscribe", scope, self.one),
        ]

    async def all(self, request: web.Request) -> web.Response:
        self._forget_idle()
        if request.method == "POST":
            return self._subscribe(object_of(await request.text()), request.path)
        if request.method != "GET":
            raise No("Method not allowed", status=405, title="Method Not Allowed")
        mids, numbers = request.query.get("MID", "").split(","), request.query.get("trackingNumber", "").split(",")
        found = [
            each
            for each in self.kept.values()
            if each.filter.get("MID") in mids or each.filter.get("trackingNumber") in numbers
        ]
        if not found:
            # source: facts/usps.md 5: a filter is in fact required, and no match is a 404.
            raise No("No subscription found", status=404, title="Not Found")
        try:
            offset, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "20"))
        except ValueError as wrong:
            raise No("offset and limit are numbers") from wrong
        metadata = {"totalCount": len(found), "offset": offset, "limit": limit}
        return answer({"subscriptions": [_told(each) for each in found[offset : offset + limit]], "metadata": metadata})

    def _subscribe(self, wanted: Json, path: str) -> web.Response:
        listener, secret, filters, emails = _checked(wanted)
        for each in self.kept.values():
            if each.listener == listener and each.filter.get("MID") and each.filter.get("MID") == filters.get("MID"):
                # source: facts/usps.md 5: the refusal names the one that exists.
                raise No(f"A subscription for this URL and MID exists: {each.id}", code="190001")
        now = self.town.now()
        made = Subscription(str(uuid.uuid4()), listener, secret, filters, emails, now, now)
        self.kept[made.id] = made
        return answer(_told(made), 201, {"Location": f"{path}/{made.id}", "ETag": made.etag})

    async def one(self, request: web.Request) -> web.Response:
        self._forget_idle()
        each = self.kept.get(request.match_info["id"])
        if each is None:
            raise No("No subscription found", status=404, title="Not Found")
        if request.method == "GET":
            return answer(_told(each), headers={"ETag": each.etag})
        if request.method not in {"PUT", "DELETE"}:
            raise No("Method not allowed", status=405, title="Method Not Allowed")
        fresh(request, each.etag)
        if request.method == "DELETE":
            del self.kept[each.id]
            return web.Response(status=204)
        wanted = object_of(await request.text())
        listener, secret, filters, emails = _checked(wanted)
        if filters != each.filter:  # source: facts/usps.md 5: a filter is not changed, one subscribes anew
            raise No("The filter cannot be changed", source={"parameter": "filterProperties"})
        status = str(wanted.get("status") or each.status)
        if status not in {"ENABLED", "DISABLED", "SUSPENDED"}:
            raise No("status: ENABLED or DISABLED", source={"parameter": "status"})
        each.listener, each.secret, each.emails = listener, secret, emails
        each.set(status, "", self.town.now())
        each.failures, each.used, each.etag = 0, self.town.now(), secrets.token_hex(8)
        return answer(_told(each), headers={"ETag": each.etag})

    def _forget_idle(self) -> None:
        """Source: facts/usps.md 5: after 30 idle days USPS may delete it; the street does."""
        since = self.town.now() - IDLE
        self.kept = {id_: each for id_, each in self.kept.items() if each.used >= since}

    # ---------------------------------------------------------------------------------------------------------- telling

    def push(self, parcel: Parcel, scan: Scan) -> list[Posting]:
        """The posts for this scan: one for each enabled subscription that covers it, or to the fallback."""
        self._forget_idle()
        to = [
            (each.id, each.listener, each.secret)
            for each in self.kept.values()
            if each.status == "ENABLED" and each.covers(parcel)
        ]
        settings = self.town.settings
        if not self.kept and settings.usps_listener_url:
            to = [("fallback", settings.usps_listener_url, settings.usps_listener_secret)]
        return [(listener, *_signed(id_, secret, pushed(parcel, scan))) for id_, listener, secret in to]

    def listener_failed(self, url: str) -> None:
        """Source: facts/usps.md 5: an unreachable listener suspends its subscription; nobody says how soon."""
        for each in self.kept.values():
            if each.listener == url and each.status == "ENABLED":
                each.failures += 1
                if 0 < self.town.settings.suspend_after <= each.failures:
                    each.set("SUSPENDED", "Unable to reach listener", self.town.now())

    def listener_heard(self, url: str) -> None:
        for each in self.kept.values():
            if each.listener == url:
                each.failures, each.used = 0, self.town.now()


def _told(each: Subscription) -> Json:
    return {
        "subscriptionId": each.id,
        "listenerURL": each.listener,
        "secret": each.secret,
        "adminNotification": each.emails,
        "filterProperties": each.filter,
        "status": each.status,
        "statusReason": each.reason,
        "creationTimestamp": _text(each.created),
        "statusChangeTimestamp": _text(each.changed or each.created),
        "expirationTimestamp": _text(each.used + IDLE),
    }


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _checked(wanted: Json) -> tuple[str, str, Json, list[Json]]:
    """Source: facts/usps.md 5. Plain http is taken from loopback only: the street has no certificates."""
    listener, secret = str(wanted.get("listenerURL", "")), str(wanted.get("secret", ""))
    url = urlsplit(listener)
    if len(listener) > 200 or not (
        url.scheme == "https" or (url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost"})
    ):
        raise No("listenerURL: https, 200 characters at most", source={"parameter": "listenerURL"})
    if len(secret) != 32:
        raise No("secret: exactly 32 characters", source={"parameter": "secret"})
    emails, filters = wanted.get("adminNotification"), wanted.get("filterProperties")
    if not isinstance(emails, list) or not 1 <= len(emails) <= 3:
        raise No("adminNotification: 1 to 3 addresses", source={"parameter": "adminNotification"})
    if not isinstance(filters, dict) or not (
        re.fullmatch(r"\d{6}|\d{9}", str(filters.get("MID", ""))) or filters.get("trackingNumber")
    ):
        raise No(
            "filterProperties: a MID of 6 or 9 digits, or a trackingNumber", source={"parameter": "filterProperties"}
        )
    if not set(filters.get("trackingEventTypes") or []) <= TYPES:
        raise No("trackingEventTypes: unknown", source={"parameter": "trackingEventTypes"})
    return listener, secret, filters, emails


def _signed(subscription: str, secret: str, told: Json) -> tuple[dict[str, str], bytes]:
    """Envelope and signature. Source: facts/usps.md 5.1: over the two decoded strings, not over the body."""
    payload = json.dumps(told, separators=(",", ":"))
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    mac = base64.b64encode(hmac.digest(secret.encode(), (stamp + payload).encode(), hashlib.sha256)).decode()
    envelope = {
        "subscriptionId": subscription,
        "subscriptionType": "TRACKING",
        "timestamp": stamp,
        "payload": payload,
        "links": [],
    }
    return {"Content-Type": "application/json", "X-HMAC": mac, "hmac-header": mac}, json.dumps(envelope).encode()
