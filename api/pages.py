"""The pages shoppers open: rendered here, working without JavaScript, and with no data in an address."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.bodies import read_bytes
from api.client import network
from api.house import House
from api.lookups import Question, look_up
from api.manners import METER, REQUEST_ID, Handler, crashed
from api.problems import Problem
from api.static_files import FOLDER, address
from api.words import choose, render, say, write_day, write_moment, write_short_day, write_time
from tracker.follow import Follow, FollowKind, StepState

FORM = "application/x-www-form-urlencoded"
FORM_CAP = 4096
JUST_NOW = timedelta(minutes=1)

_LONGEST = {"number": 64, "email": 254, "postcode": 16}

_environment = Environment(
    loader=FileSystemLoader(FOLDER.parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def html(template: str, locale: str, status: int = 200, **context: Any) -> web.Response:
    """A page in a language."""
    words: dict[str, Callable[..., str]] = {
        "t": lambda key, **args: render(key, locale, **args),
        "say": partial(say, locale=locale),
        "day": partial(write_day, locale=locale),
        "short": lambda at: write_short_day(_day(at), locale),
        "moment": partial(write_moment, locale=locale),
        "clock": lambda wall: write_time(time.fromisoformat(wall), locale),
        "static": address,
    }
    text = _environment.get_template(template).render(locale=locale, **words, **context)
    return web.Response(
        text=text, status=status, content_type="text/html", charset="utf-8", headers={"Vary": "Accept-Language"}
    )


def _day(at: datetime | date) -> date:
    return at.date() if isinstance(at, datetime) else at


def locale_of(request: web.Request) -> str:
    return choose(request.headers.get("Accept-Language", ""))


# --------------------------------------------------------------------------------------------------------------- pages


async def index(request: web.Request) -> web.Response:
    """GET /"""
    return html("index.html", "en", page="index")


def asking(kind: FollowKind) -> Handler:
    """GET /follow/order and /follow/return: the form."""

    async def ask(request: web.Request) -> web.Response:
        return html("ask.html", locale_of(request), page=kind.value, trouble=None, number="")

    return ask


def answering(house: House, kind: FollowKind) -> Handler:
    """POST /follow/order and /follow/return: the story, or the form again. Errors are pages too."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await _answer(house, kind, request)
        except Problem as problem:
            return broken(request, kind, problem.status)
        except Exception as error:
            crashed(error, request[REQUEST_ID])
            return broken(request, kind, 500)

    return answer


async def _answer(house: House, kind: FollowKind, request: web.Request) -> web.Response:
    question = _question(kind, await read_bytes(request, FORM, FORM_CAP))
    locale = locale_of(request)
    follow = None
    if question.number:
        follow = await look_up(house, question, network(request, house.proxies), request.app[METER])
    if follow is None:
        trouble = {"title": render("form.refused.title", locale), "text": render("form.refused", locale)}
        return html("ask.html", locale, 404, page=kind.value, trouble=trouble, number=question.number)
    return html("story.html", locale, **story(follow, house.clock.now()))


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
    locale = locale_of(request)
    text = render("form.broken", locale, request_id=request[REQUEST_ID])
    trouble = {"title": render("form.broken.title", locale), "text": text}
    return html("ask.html", locale, status, page=kind.value, trouble=trouble, number="")


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
