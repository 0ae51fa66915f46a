"""UPS's stand-in: the same URLs, the same JSON, played from a script; it imports nothing of ours.

It knows how UPS speaks (sources: the official OpenAPI files and facts/ups.md) and asks the town what has happened.
"""

import aiohttp
from aiohttp import web

from carriers.ups.standin.alerts import Alerts
from carriers.ups.standin.answers import errors
from carriers.ups.standin.doors import Doors
from carriers.ups.standin.intercept import Intercept
from carriers.ups.standin.labels import Labels
from carriers.ups.standin.nearby import Nearby
from carriers.ups.standin.pickup import Pickups
from carriers.ups.standin.town import Parcel, Posting, Route, Scan, Tokens, Town
from carriers.ups.standin.tracking import Tracking
from carriers.ups.standin.words import SAYS, check_digit

__all__ = ["SAYS", "Standin", "check_digit"]


class Standin:
    """UPS as far as a caller can see it."""

    name = "ups"
    # What a later version of its answers might leave out or rename without breaking its own schema.
    optional = frozenset({"simplifiedTextDescription", "slic", "deliveryInformation", "weight", "service", "HTMLImage"})
    # Codes and counts that might turn from text to number.
    countable = frozenset({"statusCode", "descriptionCode", "expires_in", "Code", "packageCount"})

    def __init__(self, town: Town, tokens: Tokens) -> None:
        self.town, self.tokens, self.doors = town, tokens, Doors(town, tokens)
        self.labels, self.alerts, self.intercept = Labels(town), Alerts(town), Intercept(town)
        self.pickups, self.nearby = Pickups(town), Nearby(town)
        self.tracking = Tracking(town, self._siblings)

    def routes(self) -> list[Route]:
        """Each behind the product that an app needs for it (source: facts/ups.md 1, the names of the portal)."""
        products = {
            "shipping": self.labels.routes(),
            "tracking": self.tracking.routes(),
            "track-alert": self.alerts.routes(),
            "delivery-intercept": self.intercept.routes(),
            "pickup": self.pickups.routes(),
            "locator": self.nearby.routes()[:1],
            "address-validation": self.nearby.routes()[1:2],
            "time-in-transit": self.nearby.routes()[2:],
        }
        return [
            ("POST", "/security/v1/oauth/token", "token", self.doors.token),
            *(
                (method, path, operation, self.doors.guarded(product, handler))
                for product, routes in products.items()
                for method, path, operation, handler in routes
            ),
            ("*", "/{rest:.*}", "unknown", self.nowhere),
        ]

    def _siblings(self, number: str) -> list[str]:
        sold = self.labels.sold.get(number)
        return [each.number for each in self.labels.packages(sold.shipment)] if sold else []

    def number(self, account: str) -> str:
        return self.labels.number(account)

    async def nowhere(self, request: web.Request) -> web.Response:
        """Source: facts/ups.md 4.4: an empty body, the reason only in headers."""
        return web.Response(
            status=404, content_type="application/json", headers={"errorcode": "404", "errordescription": "Not Found"}
        )

    # ------------------------------------------------------------------------------------------- faults, in UPS's words

    def busy(self, retry_after: str | None) -> web.Response:
        """Source: facts/ups.md 11: 10429, and no Retry-After unless somebody wants one."""
        answer = errors("10429", "Too Many Requests", 429)
        if retry_after is not None:
            answer.headers["Retry-After"] = retry_after
        return answer

    def broken(self, status: int = 500) -> web.Response:
        return errors("10004", "Something went wrong", status)

    def forget_tokens(self) -> None:
        self.tokens.forget()

    def starve(self) -> None:
        """A UPS token has no scope to lose."""

    def fail_inside(self) -> None:
        self.intercept.failing = True

    def mixed(self, answer: web.Response) -> web.Response:
        """UPS is asked for one number at a time."""
        return answer

    # ----------------------------------------------------------------------------------------------------------- pushes

    def push(self, parcel: Parcel, scan: Scan) -> list[Posting]:
        return self.alerts.push(parcel, scan)

    async def introduce(self, session: aiohttp.ClientSession) -> dict[str, str]:
        return await self.doors.introduce(session)

    def listener_failed(self, url: str) -> None:
        """UPS keeps no account of lost pushes (source: facts/ups.md 6.2)."""

    def listener_refused(self, url: str) -> None:
        """A token that is not taken is not shown again."""
        self.doors.forget_introduction()

    def listener_heard(self, url: str) -> None:
        """As above."""
