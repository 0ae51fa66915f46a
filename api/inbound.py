"""What carriers post to us: handed to `webhooks.inbound` as it came, and answered as that says."""

from datetime import UTC, datetime

from api.bodies import read_bytes
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Told, example
from carriers.contract import Push
from webhooks.inbound import BODY_LIMIT, receive


class TakenOut(Told):
    """The bytes are kept. They are read later."""

    model_config = Told.model_config | example({"kept": True})

    kept: bool = True


_REFUSALS = {401: "push_refused", 404: "carrier_unknown", 413: "body_too_large"}


async def push(call: Call[Nothing, Nothing]) -> Answer:
    """POST /webhooks/{carrier}"""
    house = call.house
    body = await read_bytes(call.request, "application/json", BODY_LIMIT)
    headers = {name.lower(): value for name, value in call.request.headers.items()}
    status = await receive(
        house.store,
        house.ledger,
        house.carriers,
        call.path["carrier"],
        Push(headers, body),
        now=house.clock.now(),
        real_now=datetime.now(UTC),
        wake=house.wake,
    )
    if status != 200:
        raise Problem(_REFUSALS[status])
    return Answer(TakenOut())
