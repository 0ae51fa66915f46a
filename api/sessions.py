"""What a browser was shown keeps being shown for a while: one sealed cookie per page, and one for the language."""

from dataclasses import dataclass

from aiohttp import web

from api import tokens
from api.house import House
from tracker.follow import Follow, FollowKind, Tier

SECONDS = 2 * 3600
"""So long a look-up is remembered: reload, language, live updates and papers need it."""
LINK_SECONDS = 30 * 24 * 3600
LANGUAGE = "hw_language"
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Grant:
    """What this browser may see: one order or return, so much of it, and by which link (its hash; "": by a look-up)."""

    kind: FollowKind
    merchant: str
    number: str
    tier: Tier
    link: str = ""


def granted_by(follow: Follow) -> Grant:
    return Grant(follow.kind, follow.merchant, follow.number, follow.tier)


def remember(response: web.Response, request: web.Request, house: House, grant: Grant) -> None:
    """Put the grant into the browser's cookie for this page."""
    seconds = LINK_SECONDS if grant.link else SECONDS
    facts = {"merchant": grant.merchant, "number": grant.number, "tier": grant.tier.value, "link": grant.link}
    token = tokens.make(house.sealer, _use(grant.kind), facts, seconds)
    _set(response, request, house, _use(grant.kind), token, seconds, "/follow")


def recall(request: web.Request, house: House, kind: FollowKind) -> Grant | None:
    """The grant in this browser's cookie; None without a living one."""
    facts = tokens.read(house.sealer, _use(kind), request.cookies.get(_use(kind), ""))
    if facts is None:
        return None
    return Grant(kind, facts["merchant"], facts["number"], Tier(facts["tier"]), facts["link"])


def forget(response: web.Response, kind: FollowKind) -> None:
    response.del_cookie(_use(kind), path="/follow")


def speak(response: web.Response, request: web.Request, house: House, locale: str) -> None:
    """Remember the language that was chosen."""
    _set(response, request, house, LANGUAGE, locale, _YEAR, "/")


def is_secure(request: web.Request, house: House) -> bool:
    """Whether the browser speaks https, to us or to a reverse proxy of ours."""
    forwarded = request.headers.get("X-Forwarded-Proto", "") if house.proxies else ""
    return request.secure or forwarded == "https"


def _use(kind: FollowKind) -> str:
    return f"hw_{kind.value}"


def _set(
    response: web.Response, request: web.Request, house: House, name: str, value: str, seconds: int, path: str
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        httponly=True,
        secure=is_secure(request, house),
        samesite="Lax",  # a link in an e-mail comes from another site
    )
