"""Message keys -> words in the reader's language: gettext catalogues read by Babel at start, dates written by Babel.

A language is one file, `words/<locale>.po`; its message ids are our keys. What a language lacks is said in English.
"""

import gettext
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_skeleton, format_time, format_timedelta
from babel.lists import format_list
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal

from carriers.contract import Money
from tracker.follow import Arg, Message

FOLDER = Path(__file__).parent / "words"
FALLBACK = "en"
DAYS = 5_000  # written days that are remembered: writing one costs more than a read of the database


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One language: key -> its forms (one, or singular and plural), and the rule that chooses a form for a number."""

    locale: Locale
    forms: Mapping[str, tuple[str, ...]]
    plural: Callable[[int], int]


def read_catalogue(path: Path) -> Catalogue:
    """The catalogue in one .po file; untranslated and fuzzy entries are left out."""
    with path.open("rb") as file:
        po = read_po(file, locale=path.stem)
    forms: dict[str, tuple[str, ...]] = {}
    for message in po:
        if not message.id or message.fuzzy or not message.string:
            continue
        if isinstance(message.id, str):
            forms[message.id] = (str(message.string),)
        else:
            forms[message.id[0]] = tuple(message.string)
    return Catalogue(Locale.parse(path.stem), forms, gettext.c2py(po.plural_expr))


@cache
def catalogues() -> Mapping[str, Catalogue]:
    """Every language there is a file for, by name."""
    return {path.stem: read_catalogue(path) for path in sorted(FOLDER.glob("*.po"))}


@lru_cache(maxsize=1_000)
def choose(accept_language: str) -> str:
    """The language of ours that the reader likes best, by `Accept-Language`; English where none is known."""
    wanted: list[tuple[float, str]] = []
    for part in accept_language.split(",")[:20]:
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        if tag and weight > 0:
            wanted.append((weight, tag.replace("-", "_")))
    preferred = [tag for _, tag in sorted(wanted, key=lambda found: -found[0])]
    return negotiate_locale(preferred, list(catalogues()), sep="_", aliases={}) or FALLBACK


def render(key: str, locale: str = FALLBACK, /, **args: Arg) -> str:
    """The words of a key in a language, its arguments written as that language writes them.

    A key that no catalogue knows is shown as its last word: a shopper reads something, a test finds it.
    """
    count = args.get("count")
    form = _form(key, locale, count if isinstance(count, int) else None)
    return form.format_map({name: write(value, locale) for name, value in args.items()}) if args else form


@lru_cache(maxsize=10_000)
def _form(key: str, locale: str, count: int | None) -> str:
    """The words of a key before its arguments are in them."""
    known = catalogues()
    home = known.get(locale, known[FALLBACK])
    catalogue = home if key in home.forms else known[FALLBACK]
    forms = catalogue.forms.get(key)
    if forms is None:
        return key.rpartition(".")[2].replace("_", " ")
    return forms[catalogue.plural(count)] if len(forms) > 1 and count is not None else forms[0]


def say(message: Message, locale: str) -> str:
    """The words of a message."""
    return render(message.key, locale, **message.args)


def write(value: Arg, locale: str) -> str:
    """One argument as a reader of this language expects it."""
    match value:
        case Message():
            return say(value, locale)
        case datetime():
            return write_moment(value, locale)
        case date():
            return write_day(value, locale)
        case timedelta():
            return format_timedelta(value, locale=locale)
        case tuple():
            return format_list([write(each, locale) for each in value], locale=locale)
        case Money():
            return format_currency(value.amount, value.currency, locale=locale)
        case Decimal():
            return format_decimal(value, locale=locale)
        case _:
            return str(value)


@cache
def _day_pattern(locale: str) -> str:
    """The language's full date without its year: whoever follows a parcel knows the year."""
    full = Locale.parse(locale).date_formats["full"].pattern
    return re.sub(r"(,| 'de')? y$", "", full)


@lru_cache(maxsize=DAYS)
def write_day(day: date, locale: str) -> str:
    """Tuesday, March 3."""
    return format_date(day, _day_pattern(locale), locale=locale)


@lru_cache(maxsize=DAYS)
def write_short_day(day: date, locale: str) -> str:
    """Tue, Mar 3."""
    return format_skeleton("MMMEd", datetime(day.year, day.month, day.day, tzinfo=UTC), locale=locale)


def write_moment(moment: datetime, locale: str) -> str:
    """Tue, Mar 3, 12:01 PM, on the wall clock that the instant carries."""
    return f"{write_short_day(moment.date(), locale)}, {write_time(moment.time(), locale)}"


@lru_cache(maxsize=24 * 60 * 5)
def write_time(wall: time, locale: str) -> str:
    """12:01 PM."""
    return format_time(wall, "short", locale=locale)
