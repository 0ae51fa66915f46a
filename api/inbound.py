"""What carriers post to us: handed to `webhooks.inbound` as it came, and answered as that says."""

from datetime import UTC, datetime

from aiohttp import web

from api.bodies import read_bytes, refuse_deep
from api.house import House
from api.keys import NOBODY
from api.manners import CALLER, REQUEST_ID, Handler
from api.problems import Problem
from api.ready import given, made_ready
from api.route import Answer, Call, Nothing
from api.shapes import Told, example
from carriers.contract import Push
from webhooks.inbound import NotATokenCall, grant, receive


class TakenOut(Told):
    """The bytes are kept. They are read later."""

    model_config = Told.model_config | example({"kept": True})

    kept: bool = True


_KEPT = TakenOut().model_dump_json().encode()
FORM_LIMIT = 4 * 1024
_REFUSALS = {401: "push_refused", 404: "carrier_unknown", 413: "body_too_large"}


async def push(call: Call[Nothing, Nothing]) -> Answer:
    """POST /webhooks/{carrier}"""
    await _take(call.house, call.path["carrier"], call.request)
    return Answer(_KEPT)


def straight(house: House, served: Handler) -> Handler:
    """The same without a Call, for a push as carriers send it: making one costs more than keeping the push does."""
    ready = made_ready("POST", 200, _KEPT, "application/json", {})

    async def handle(request: web.Request) -> web.StreamResponse:
        name = request.match_info["carrier"]
        if name not in house.carriers or request.query_string:
            return await served(request)
        request[CALLER] = NOBODY.name
        await _take(house, name, request)
        return given(request, ready, request[REQUEST_ID], {})

    return handle


async def _take(house: House, name: str, request: web.Request) -> None:
    """The bytes are kept; else raises Problem."""
    if name not in house.carriers:
        raise Problem("carrier_unknown")
    body = await read_bytes(request, "application/json", house.carriers[name].abilities.push_limit)
    refuse_deep(body)
    status = await receive(
        house.store,
        house.letterbox,
        house.carriers,
        name,
        Push(request.headers, body),
        now=house.clock.now(),
        real_now=datetime.now(UTC),
    )
    if status != 200:
        raise Problem(_REFUSALS[status])


async def token(call: Call[Nothing, Nothing]) -> Answer:
    """POST /webhooks/{carrier}/token"""
    house = call.house
    asked = await read_bytes(call.request, "application/x-www-form-urlencoded", FORM_LIMIT)
    try:
        granted = await grant(
            house.store,
            house.carriers,
            call.path["carrier"],
            Push(call.request.headers, asked),
            now=house.clock.now(),
            real_now=datetime.now(UTC),
        )
    except KeyError:
        raise Problem("carrier_unknown") from None
    except NotATokenCall as error:
        raise Problem("token_call_expected", str(error)) from None
    if granted is None:
        raise Problem("push_refused")
    return Answer(granted)
