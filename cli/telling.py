"""`homeward story`: one order's or return's story in English, sentence by sentence, for whoever answers a customer."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.follow import told
from api.words import say
from cli.wiring import Parts
from tracker.follow import Arg, Follow, FollowKind, Message, Tier, narrated
from tracker.lookup import Asked, find, tell

ENGLISH = "en"


async def story_call(parts: Parts, call: Mapping[str, Any]) -> dict[str, Any]:
    """One command: `story.order`, `story.return`."""
    match call:
        case {"do": "story.order" | "story.return" as what, "number": str(number), "merchant": str(merchant)}:
            pass
        case _:
            return {"error": f"no command {call.get('do')!r}"}
    asked = Asked(
        number=number,
        email="",
        postcode="",
        merchant=merchant,
        now=parts.clock.now(),
        sealer=parts.sealer,
        shelf=parts.shelf,
        couriers=parts.carriers,
        granted=Tier.FULL,
    )
    kind = FollowKind(what.removeprefix("story."))
    found = await parts.store.read(lambda tx: find(tx, kind, asked))
    if found is None:
        return {"error": f"no {kind} {number} (where several shops have one, say which with --merchant)"}
    follow = tell(found, asked)
    zone = parts.shelf[follow.merchant][-1].zone
    return told(follow, ENGLISH).model_dump(mode="json") | {"lines": story_lines(follow, zone)}


def story_lines(follow: Follow, zone: ZoneInfo) -> list[str]:
    """The story for a terminal, and how fresh it is by the shop's clock."""
    lines = sentences(narrated(follow))
    if follow.can_do and follow.can_do[0].key != "do.nothing":
        lines += ["The customer can:", *(f"- {line}" for line in sentences(follow.can_do))]
    asked, following = (_spoken(at.astimezone(zone)) if at else "" for at in (follow.checked_at, follow.next_check_at))
    fresh = f"asked on {asked}" if asked else "not asked yet"
    fresh += f", next on {following}" if following else ""
    fresh += "; this is older news than promised" if follow.stale else ""
    return [*lines, f"(The carrier was {fresh}.)"]


def sentences(messages: Iterable[Message]) -> list[str]:
    """Their words in English, with days as a person says them: Tuesday 3 March."""
    return [say(Message(each.key, {n: _spoken(value) for n, value in each.args.items()}), ENGLISH) for each in messages]


def _spoken(value: Arg) -> Arg:
    match value:
        case datetime():
            return f"{_day(value)} at {value:%H:%M}"
        case date():
            return _day(value)
        case tuple():
            days = [_day(day) for day in value]
            return " and ".join([", ".join(days[:-1]), days[-1]]) if len(days) > 1 else days[0]
        case _:
            return value


def _day(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B}"
