"""UPS's Track Alert: who asked to be told of which numbers or accounts, and what is posted to them."""

import json
from datetime import datetime, timedelta

from aiohttp import web

from carriers.ups.standin.answers import No, answer, parsed
from carriers.ups.standin.scans import pushed
from carriers.ups.standin.town import Json, Parcel, Posting, Route, Scan, Town
from carriers.ups.standin.words import NUMBER

PUSHED_FOR = timedelta(days=14)  # source: facts/ups.md 6.1
AT_ONCE = 100  # source: facts/ups.md 6.1
KINDS = {"D", "I", "M", "X"}


class Alerts:
    """Subscriptions by number last 14 days, by account for ever; there is no list of them to read."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.followed: dict[str, datetime] = {}  # number -> until
        self.accounts: dict[str, set[str]] = {}  # account -> the kinds of events it wants

    def routes(self) -> list[Route]:
        account = "/api/track/v2/subscription/{type}/account"
        return [
            ("POST", "/api/track/v2/subscription/{type}/package", "subscribe", self.subscribe),
            ("POST", account, "subscribe_account", self.subscribe_account),
            ("DELETE", account, "unsubscribe_account", self.unsubscribe_account),
        ]

    async def subscribe(self, request: web.Request) -> web.Response:
        wanted = await _asked(request, invalidTrackingNumbers=[])
        numbers = wanted.get("trackingNumberList")
        if not isinstance(numbers, list) or not numbers:
            raise No("VSS200", "Tracking Number List is required", invalidTrackingNumbers=[])
        if len(numbers) > AT_ONCE:
            raise No("VSS220", "More than 100 tracking numbers", invalidTrackingNumbers=[])
        valid = [number for number in numbers if isinstance(number, str) and NUMBER.fullmatch(number)]
        invalid = [str(number) for number in numbers if number not in valid]
        if not valid:
            raise No("VSS210", "Not one valid tracking number", invalidTrackingNumbers=invalid)
        self.followed |= dict.fromkeys(valid, self.town.now() + PUSHED_FOR)
        return answer({"validTrackingNumbers": valid, "invalidTrackingNumbers": invalid})

    async def subscribe_account(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 6.1: no expiry; only outbound packages of the account."""
        wanted = await _asked(request)
        account = wanted.get("shipperAccountNumber")
        if not isinstance(account, str) or len(account) != 6 or account != (self.town.settings.ups_account or account):
            raise No("VSS000", "The shipper account number is missing or not yours")
        self.accounts[account] = set(wanted.get("eventPreferences") or KINDS)
        return answer({"expiryDate": "9999-12-31"})

    async def unsubscribe_account(self, request: web.Request) -> web.Response:
        _named(request)
        if self.accounts.pop(request.query.get("shipper_account_number", ""), None) is None:
            raise No("VSS000", "No subscription for this account")
        return answer({"message": "Account unsubscribed"})

    def push(self, parcel: Parcel, scan: Scan) -> list[Posting]:
        """The posts for this scan, to whom it may concern."""
        settings, told = self.town.settings, pushed(parcel, scan)
        if not settings.ups_webhook_url or not (settings.push_all or self._wanted(parcel, told)):
            return []
        headers = {"Content-Type": "application/json", "User-Agent": "UPSPubSubTrackingService"}
        if settings.ups_webhook_credential:  # source: facts/ups.md 6.2: what v1 sends; v2 shows a token (see doors)
            headers["credential"] = settings.ups_webhook_credential
        return [(settings.ups_webhook_url, headers, json.dumps(told, ensure_ascii=False).encode())]

    def _wanted(self, parcel: Parcel, told: Json) -> bool:
        now = self.town.now()
        by_account = not parcel.is_return and told["activityStatus"]["type"][:1] in self.accounts.get(
            parcel.number[2:8], set()
        )
        return by_account or self.followed.get(parcel.number, now) > now


def _named(request: web.Request, **more: object) -> None:
    """Source: facts/ups.md 6.4: both headers are required."""
    if request.match_info["type"] not in {"standard", "enhanced"}:
        raise No("404", "The requested resource was not found.", 404)
    for header, code in (("transId", "VSS002"), ("transactionSrc", "VSS004")):
        if not request.headers.get(header):
            raise No(code, f"Missing {header}", 400, **more)


async def _asked(request: web.Request, **more: object) -> Json:
    _named(request, **more)
    wanted = parsed(await request.text(), "VSS110")
    if wanted.get("locale") != "en_US":
        raise No("VSS310" if wanted.get("locale") else "VSS300", "Locale", 400, **more)
    if not set(wanted.get("eventPreferences") or []) <= KINDS:
        raise No("VSS414", "Event preference", 400, **more)
    return wanted
