"""What USPS says in prose: HTML undone, dates and times of day as its sentences write them, when a parcel goes back."""

import html
import re
from datetime import date, datetime

TAG = re.compile(r"<[^>]*>")
BREAK = re.compile(r"<\s*/?\s*(?:br|p)\b[^>]*>", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
MONTHS = {name: number for number, name in enumerate(NAMES.split(), start=1)}
MONTH = "(?P<{0}>" + NAMES.replace(" ", "|") + r")[a-z]*\.?"
DATE = re.compile(
    r"\b(?:"
    r"(?P<y1>\d{4})-(?P<m1>\d{2})-(?P<d1>\d{2})"
    r"|(?P<m2>\d{1,2})[/-](?P<d2>\d{1,2})[/-](?P<y2>\d{4}|\d{2})"
    rf"|{MONTH.format('m3')}\s+(?P<d3>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<y3>\d{{4}})\b)?"
    rf"|(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\s+{MONTH.format('m4')}(?:,?\s+(?P<y4>\d{{4}})\b)?"
    r")",
    re.IGNORECASE,
)
# What is going to happen to an item nobody takes; never what has happened ("was returned", "is being returned").
GOES_BACK = re.compile(
    r"\b(?:will|shall|must|may|would|to)\s+(?:then\s+|also\s+|automatically\s+)?be\s+(?:automatically\s+)?"
    r"(?:returned|sent\s+back|return\s+to)"
    r"|\b(?:avoid|prevent)\s+(?:being\s+|its\s+|the\s+)?return"
    r"|\breturn\s+date\b"
    r"|\b(?:is|are|gets?)\s+returned\b"
    r"|\b(?:goes|go)\s+back\b",
    re.IGNORECASE,
)
LIMIT = re.compile(r"\b(?:by|before|until|after|than)\s+(?:[a-z]+day,?\s+)?$", re.IGNORECASE)
ON_THAT_DAY = re.compile(
    r"^,?\s*(?:then\s+)?(?:it|(?:the|your|this)\s+(?:item|package|parcel|mailpiece))\s*$", re.IGNORECASE
)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
CLOCK = re.compile(r"\s*(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s*([ap])?\.?m?\.?\s*", re.IGNORECASE)


def without_html(text: str) -> str:
    """The carrier's words with tags taken off and entities undone; control characters, which no word holds, gone."""
    if "<" in text or "&" in text:
        text = html.unescape(TAG.sub("", BREAK.sub(" ", text)))
    return CONTROL.sub(" ", text).strip()


def day(text: str | None) -> date | None:
    """The day at the start of an ISO date or date-time, None for anything else ("3 Business Days")."""
    try:
        return date.fromisoformat((text or "").strip()[:10])
    except ValueError:
        return None


def clock(text: str | None) -> str:
    """`12:15pm` as `12:15`, `3:15pm` as `15:15`; empty where it is no time of day."""
    match = CLOCK.fullmatch(text or "")
    if not match:
        return ""
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3]:
        hour = hour % 12 + (12 if match[3].lower() == "p" else 0)
    return f"{hour:02}:{minute:02}" if hour < 24 and minute < 60 else ""


def _date(match: re.Match[str], around: date | None) -> date | None:
    """The date of a match; one without a year is the first such day not before `around`."""
    part = {key[0]: value for key, value in match.groupdict().items() if value}
    month = MONTHS.get(part["m"][:3].lower()) or int(part["m"])
    try:
        if year := part.get("y"):
            return date(int(year) + (2000 if len(year) == 2 else 0), month, int(part["d"]))
        if around is None:
            return None
        this_year = date(around.year, month, int(part["d"]))
        return this_year if this_year >= around else this_year.replace(year=around.year + 1)
    except ValueError:
        return None


def _in_sentence(sentence: str, around: date | None) -> date | None:
    phrase = GOES_BACK.search(sentence)
    if not phrase:
        return None
    before: date | None = None
    for match in DATE.finditer(sentence):
        found = _date(match, around)
        if found and match.start() >= phrase.end():
            return found
        if LIMIT.search(sentence[: match.start()]) or ON_THAT_DAY.match(sentence[match.end() : phrase.start()]):
            before = found
    return before


def may_say_return(text: str | None) -> bool:
    """Whether it is worth looking for a return date in it."""
    low = text.lower() if text else ""
    return "return" in low or " back" in low


def return_by(text: str | None, around: date | None) -> date | None:
    """The day on which the item is sent back if nobody takes it, as a notice or summary words it; else None.

    The date after "will be returned", else the one that limits it ("unclaimed by June 18, 2026"); the day of the
    attempt itself, in the same text, is neither.
    """
    if text is None or not may_say_return(text):
        return None
    for sentence in SENTENCE.split(without_html(text)):
        if found := _in_sentence(sentence, around):
            return found
    return None


def instant(text: str | None) -> datetime | None:
    """An ISO date-time, naive or aware; None where there is none, or a bare date."""
    try:
        return datetime.fromisoformat(text.strip()) if text and len(text) > 10 else None
    except ValueError:
        return None
