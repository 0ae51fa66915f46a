"""What the desk's buttons do: the same calls as the API's, from a form of our own."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from aiohttp import web

from alerts import muting
from alerts.desk import acknowledge
from api.bodies import read_bytes
from api.channels import TrialOut, mute_now, try_channels
from api.house import House
from api.pages import FORM, FORM_CAP
from api.problems import Problem
from api.unidentified import identifier
from fleet.clocks import real_now
from returns.claiming import confirm, dismiss
from store.endpoints import EndpointId
from tracker.orders import Declined
from webhooks.outbound import replay, replay_one, resume

SPANS: Mapping[str, timedelta] = {
    "1 hour": timedelta(hours=1),
    "8 hours": timedelta(hours=8),
    "1 day": timedelta(days=1),
    "1 week": timedelta(days=7),
}


async def fields_of(request: web.Request) -> dict[str, str]:
    """The form's fields. Raises Problem for a body that is no form."""
    body = await read_bytes(request, FORM, FORM_CAP)
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=8, errors="strict"))
    except ValueError:
        raise Problem("bad_request", "not a form") from None


async def ack(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/alerts/{row}/ack"""
    if row := row_of(request):
        await acknowledge(house.store, row, who, house.clock.now())
    return to_desk("alerts")


async def mute(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/mutes: an alert's key or a pattern, for one of the spans."""
    fields = await fields_of(request)
    pattern, span = fields.get("pattern", "").strip(), SPANS.get(fields.get("span", ""))
    if span and 0 < len(pattern) <= 200 and pattern.isascii() and pattern.isprintable():
        until = house.clock.now() + span
        await mute_now(house, pattern, until, who, fields.get("why", "").strip()[:200])
    return to_desk("mutes")


async def unmute(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/mutes/{row}/lift"""
    if row := row_of(request):
        await muting.unmute(house.store, row, house.clock.now())
    return to_desk("mutes")


async def tried(house: House, request: web.Request) -> TrialOut:
    """POST /ops/channels/test: what came of it. Raises Problem for a channel that is none."""
    return await try_channels(house, (await fields_of(request)).get("channel", ""))


async def whose(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/unidentified/{row}/match: a return, or a parcel by carrier and number."""
    fields = await fields_of(request)
    desk = identifier(house)
    with suppress(Declined):  # somebody else decided meanwhile: the desk shows what is so
        if returned := fields.get("return_number", ""):
            await confirm(desk, row_of(request), who, return_number=returned)
        elif number := fields.get("number", ""):
            await confirm(desk, row_of(request), who, carrier=fields.get("carrier", ""), number=number)
        house.wake()
    return to_desk("unidentified")


async def nobodys(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/unidentified/{row}/dismiss"""
    fields = await fields_of(request)
    with suppress(Declined):
        await dismiss(identifier(house), row_of(request), who, fields.get("why", "").strip()[:200])
    return to_desk("unidentified")


async def send_again(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/endpoints/{row}/replay: one notice, or everything since a day."""
    fields = await fields_of(request)
    if row := row_of(request):
        if notice_id := fields.get("notice_id", ""):
            await replay_one(house.store, EndpointId(row), notice_id, real_now)
        elif since := _day(fields.get("since", "")):
            await replay(house.store, EndpointId(row), since, real_now)
    return to_desk("failing")


async def go_on(house: House, request: web.Request, who: str) -> web.StreamResponse:
    """POST /ops/endpoints/{row}/resume"""
    if row := row_of(request):
        await resume(house.store, EndpointId(row), real_now, house.clock.now())
    return to_desk("endpoints")


def row_of(request: web.Request) -> int:
    """The row that the address names; 0 where it names none."""
    found = request.match_info["row"]
    return int(found) if found.isdecimal() and found.isascii() and len(found) < 19 else 0


def to_desk(part: str) -> web.Response:
    """Back to a part of the desk."""
    return web.Response(status=303, headers={"Location": f"/ops#{part}"})


def _day(text: str) -> datetime | None:
    """The beginning of a day (UTC), as a date field writes it."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
