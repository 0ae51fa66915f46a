"""What a browser was shown keeps being shown for a while: one sealed cookie per page, and one for the language."""

from dataclasses import dataclass

from aiohttp import web

from api import tokens
from api.house import House
from tracker.follow import FollowKind, Tier

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


def cookie(request: web.Request, house: House, grant: Grant) -> str:
    """What puts the grant into the browser's cookie for this page: a value for Set-Cookie."""
    seconds = LINK_SECONDS if grant.link else SECONDS
    facts = {"merchant": grant.merchant, "number": grant.number, "tier": grant.tier.value, "link": grant.link}
    token = tokens.make(house.sealer, _use(grant.kind), facts, seconds)
    return _cookie(request, house, _use(grant.kind), token, seconds, "/follow")


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
    response.headers.add("Set-Cookie", _cookie(request, house, LANGUAGE, locale, _YEAR, "/"))


def is_secure(request: web.Request, house: House) -> bool:
    """Whether the browser speaks https, to us or to a reverse proxy of ours."""
    forwarded = request.headers.get("X-Forwarded-Proto", "") if house.proxies else ""
    return request.secure or forwarded == "https"


def _use(kind: FollowKind) -> str:
    return f"hw_{kind.value}"


def _cookie(request: web.Request, house: House, name: str, value: str, seconds: int, path: str) -> str:
    """Written here: the library's own takes as long as sealing what is in it. Names and values are letters of ours."""
    secure = "; Secure" if is_secure(request, house) else ""
    # Lax: a link in an e-mail comes from another site
    return f"{name}={value}; HttpOnly; Max-Age={seconds}; Path={path}; SameSite=Lax{secure}"
