"""The pages shoppers open: rendered here, working without JavaScript, and with no data in an address."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.bodies import read_bytes
from api.client import network
from api.house import House
from api.kept import KEPT
from api.links import open_link, opened_by
from api.live import version_of
from api.look import Looks, ShopLook
from api.lookups import Opened, Question, look_up
from api.manners import METER, REQUEST_ID, Handler, crashed
from api.problems import Problem
from api.ready import given, made_ready
from api.sessions import LANGUAGE, cookie, forget, recall, speak
from api.static_files import FOLDER, address
from api.words import catalogues, choose, render, say, write_day, write_moment, write_short_day, write_time
from returns.addresses import places_near
from tracker.follow import Follow, FollowKind, StepState, Tier

FORM = "application/x-www-form-urlencoded"
FORM_CAP = 4096
HTML = "text/html; charset=utf-8"
JUST_NOW = timedelta(minutes=1)
LOOKS = web.AppKey("looks", Looks)

_LONGEST = {"number": 64, "email": 254, "postcode": 16}

_environment = Environment(
    loader=FileSystemLoader(FOLDER.parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def html(
    template: str, locale: str, status: int = 200, *, here: str = "", look: ShopLook | None = None, **context: Any
) -> web.Response:
    """A page in a language. `here` is where the same page is found in another one ("": nowhere)."""
    return page(written(template, locale, here=here, look=look, **context).encode(), locale, status)


def written(template: str, locale: str, *, here: str, look: ShopLook | None, **context: Any) -> str:
    """The page's text."""
    words: dict[str, Callable[..., str]] = {
        "t": lambda key, **args: render(key, locale, **args),
        "say": partial(say, locale=locale),
        "day": partial(write_day, locale=locale),
        "short": lambda at: write_short_day(_day(at), locale),
        "moment": partial(write_moment, locale=locale),
        "clock": lambda wall: write_time(time.fromisoformat(wall), locale),
        "static": address,
    }
    return _environment.get_template(template).render(
        locale=locale, here=here, look=look, languages=languages(), **words, **context
    )


def page(text: bytes, locale: str, status: int = 200) -> web.Response:
    return web.Response(body=text, status=status, headers={"Content-Type": HTML, **_spoken_in(locale)})


def _spoken_in(locale: str) -> dict[str, str]:
    return {"Vary": "Accept-Language, Cookie", "Content-Language": locale}


def languages() -> Mapping[str, str]:
    """Every language we have by what its own speakers call it."""
    return {name: (Locale.parse(name).display_name or name).capitalize() for name in catalogues()}


def _day(at: datetime | date) -> date:
    return at.date() if isinstance(at, datetime) else at


def locale_of(request: web.Request) -> str:
    """The language chosen on a page, before that the browser's."""
    for chosen in (request.query.get("lang", ""), request.cookies.get(LANGUAGE, "")):
        if chosen in catalogues():
            return chosen
    return choose(request.headers.get("Accept-Language", ""))


def _spoken(house: House, request: web.Request, response: web.Response) -> web.Response:
    """The page, and the browser told which language was chosen."""
    if (chosen := request.query.get("lang", "")) in catalogues():
        speak(response, request, house, chosen)
    return response


# --------------------------------------------------------------------------------------------------------------- pages


async def index(request: web.Request) -> web.Response:
    """GET /"""
    return html("index.html", "en", page="index")


def asking(house: House, kind: FollowKind) -> Handler:
    """GET /follow/order and /follow/return: the form. `?shop=` shows it as that shop's."""

    async def ask(request: web.Request) -> web.Response:
        return _spoken(house, request, _form(request, kind))

    return ask


def answering(house: House, kind: FollowKind) -> Handler:
    """POST /follow/order and /follow/return: the story, or the form again. Errors are pages too."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await _answer(house, kind, request)
        except Problem as problem:
            return broken(request, kind, problem.status)
        except Exception as error:
            crashed(error, request[REQUEST_ID])
            return broken(request, kind, 500)

    return answer


def again(house: House, kind: FollowKind) -> Handler:
    """GET /follow/order/now and /follow/return/now: the story this browser opened before, as it is now."""

    async def show(request: web.Request) -> web.Response:
        grant = recall(request, house, kind)
        opened = await opened_by(house, grant) if grant else None
        if opened is None:
            response = _form(request, kind, 404, "form.session")
            forget(response, kind)
            return response
        locale = locale_of(request)
        return _spoken(house, request, page(await told(request, house, opened, locale), locale))

    return show


def following(house: House) -> Handler:
    """GET /follow/link/{token}: a signed link becomes a cookie, and leaves the address."""

    async def enter(request: web.Request) -> web.Response:
        grant = await open_link(house, request.match_info["token"])
        if grant is None:
            return _form(request, FollowKind.ORDER, 404, "form.expired")
        headers = {"Location": f"/follow/{grant.kind.value}/now", "Set-Cookie": cookie(request, house, grant)}
        return web.Response(status=303, headers=headers)

    return enter


async def _answer(house: House, kind: FollowKind, request: web.Request) -> web.StreamResponse:
    question = _question(kind, await read_bytes(request, FORM, FORM_CAP))
    opened = None
    if question.number:
        opened = await look_up(house, question, network(request, house.proxies), request.app[METER], request.app[KEPT])
    if opened is None:
        return _form(request, kind, 404, "form.refused", number=question.number)
    locale = locale_of(request)
    ready = made_ready("POST", 200, await told(request, house, opened, locale), HTML, _spoken_in(locale))
    return given(request, ready, request[REQUEST_ID], {"Set-Cookie": cookie(request, house, opened.grant)})


async def told(request: web.Request, house: House, opened: Opened, locale: str) -> bytes:
    """The story as a page; for an order it is not even told where the page was made before."""
    grant = opened.grant
    look, here = request.app[LOOKS].of(grant.merchant), f"/follow/{grant.kind.value}/now"
    papers = papers_of(house, opened.story) if grant.kind is FollowKind.RETURN else ()
    places = await places_near(house.till, grant.number) if papers else ()

    def render() -> bytes:
        follow = opened.story
        facts = story(follow, house.clock.now()) | {"papers": papers, "places": places, "version": version_of(follow)}
        return written("story.html", locale, here=here, look=look, **facts).encode()

    looks = f"{look.name} {look.style} {look.logo}" if look else ""
    return await house.documents.made("page", locale, looks, repr(places), opened.digest, make=render)


def papers_of(house: House, follow: Follow) -> tuple[str, ...]:
    """What a shopper may print now: with a proof, while the label waits to be used."""
    if follow.kind is not FollowKind.RETURN or follow.tier is not Tier.FULL or follow.state != "label_ready":
        return ()
    answer = house.terms[follow.merchant][-1].lost_label.answer if house.terms.get(follow.merchant) else ""
    return ("label", "waybill") if answer == "waybill" else ("label",)


def story(follow: Follow, now: datetime) -> dict[str, Any]:
    """What the story's template needs."""
    age = now - follow.checked_at if follow.checked_at else None
    return {
        "page": follow.kind.value,
        "follow": follow,
        "trouble": any(step.state is StepState.PROBLEM for step in follow.steps),
        "ago": age if age and age >= JUST_NOW else None,
    }


def broken(request: web.Request, kind: FollowKind, status: int) -> web.Response:
    """The form with an apology."""
    return _form(request, kind, status, "form.broken", request_id=request[REQUEST_ID])


def sorry(request: web.Request, kind: FollowKind, key: str) -> web.Response:
    """The form with a word about why: `<key>.title` and `<key>`."""
    return _form(request, kind, 404, key)


def _form(
    request: web.Request, kind: FollowKind, status: int = 200, key: str = "", *, number: str = "", **args: str
) -> web.Response:
    locale = locale_of(request)
    trouble = {"title": render(f"{key}.title", locale), "text": render(key, locale, **args)} if key else None
    look = request.app[LOOKS].of(request.query.get("shop", ""))
    here = f"/follow/{kind.value}"
    return html("ask.html", locale, status, here=here, look=look, page=kind.value, trouble=trouble, number=number)


def _question(kind: FollowKind, body: bytes) -> Question:
    """The form's fields, trimmed. Raises Problem for a body that is no form of ours."""
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=8, errors="strict"))
    except ValueError:
        raise Problem("bad_request", "not a form") from None
    typed = {name: fields.get(name, "").strip() for name in _LONGEST}
    if any(len(text) > _LONGEST[name] or not text.isprintable() for name, text in typed.items()):
        return Question(kind, "")
    number = typed["number"].upper() if kind is FollowKind.RETURN else typed["number"]  # ours are in capitals
    return Question(kind, number, typed["email"], typed["postcode"])
