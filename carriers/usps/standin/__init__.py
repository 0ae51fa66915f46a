"""USPS's stand-in: the same URLs, the same JSON, played from a script; it imports nothing of ours.

It knows how USPS speaks (sources: the official OpenAPI files and facts/usps.md) and asks the town what has happened.
"""

import aiohttp
from aiohttp import web

from carriers.usps.standin.addresses import Addresses
from carriers.usps.standin.answers import answer, error
from carriers.usps.standin.doors import Doors
from carriers.usps.standin.labels import Labels
from carriers.usps.standin.pickup import Pickups
from carriers.usps.standin.subscriptions import Subscriptions
from carriers.usps.standin.town import Handler, Parcel, Posting, Scan, Tokens, Town
from carriers.usps.standin.tracking import Tracking
from carriers.usps.standin.words import SAYS, check_digit

__all__ = ["SAYS", "Standin", "check_digit"]


class Standin:
    """USPS as far as a caller can see it."""

    name = "usps"
    # What a later version of its answers might leave out or rename without breaking its own schema.
    optional = frozenset(
        {
            "kahalaIndicator",
            "statusSummary",
            "servicesEligibility",
            "bannerText",
            "retailDistributionCode",
            "SKU",
            "zone",
        }
    )
    # Codes and counts that might turn from text to number, or the other way round.
    countable = frozenset({"expires_in", "issued_at", "code", "uniqueTrackingID", "serviceTypeCode"})

    def __init__(self, town: Town, tokens: Tokens) -> None:
        self.town, self.tokens, self.doors = town, tokens, Doors(town, tokens)
        self.labels, self.tracking = Labels(town, self.doors.payer), Tracking(town)
        self.subscriptions, self.pickups, self.addresses = Subscriptions(town), Pickups(town), Addresses(town)

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        rooms = (self.doors, self.labels, self.tracking, self.subscriptions, self.pickups, self.addresses)
        return [
            ("POST", "/oauth2/v3/token", "token", self.doors.token),
            *(
                (method, path, operation, self.doors.guarded(scope, handler))
                for room in rooms
                for method, path, operation, scope, handler in room.routes()
            ),
            ("*", "/{rest:.*}", "unknown", self.nowhere),
        ]

    def number(self, mid: str) -> str:
        return self.labels.number(mid)

    async def nowhere(self, request: web.Request) -> web.Response:
        return answer(error(request.path, 404, "Not Found"), 404)

    # ------------------------------------------------------------------------------------------ faults, in USPS's words

    def busy(self, retry_after: str | None) -> web.Response:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        wrong = {"status": "429", "title": "Too Many Requests.", "detail": "Wait a while"}
        return answer(error("/v3", 429, "Exceeded quota limit", wrong), 429, headers)

    def broken(self, status: int = 500) -> web.Response:
        return answer(error("/v3", status, "Internal Server Error"), status)

    def forget_tokens(self) -> None:
        self.tokens.forget()

    def starve(self) -> None:
        self.doors.starving = True

    def fail_inside(self) -> None:
        """USPS says what failed by its status."""

    def mixed(self, answer: web.Response) -> web.Response:
        """A batch of which the last number was not found."""
        return self.tracking.mixed(answer)

    # ----------------------------------------------------------------------------------------------------------- pushes

    def push(self, parcel: Parcel, scan: Scan) -> list[Posting]:
        return self.subscriptions.push(parcel, scan)

    async def introduce(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """USPS signs what it posts, and shows nothing else."""
        return {}

    def listener_failed(self, url: str) -> None:
        self.subscriptions.listener_failed(url)

    def listener_refused(self, url: str) -> None:
        """An answer is an answer: only a listener that cannot be reached is suspended."""

    def listener_heard(self, url: str) -> None:
        self.subscriptions.listener_heard(url)
