"""`homeward track`: ask a carrier about one number now, and say what follows. Nothing is stored."""

import json
from datetime import datetime
from typing import Any

from msgspec import to_builtins

from cli.explaining import Told, Usage, enter, reading, terms_for
from cli.settings import Misconfigured, Settings
from cli.telling import sentences
from cli.wiring import environment_of, has_credentials, open_carriers, read_budgets
from fleet.clocks import to_us
from merchants.terms import Terms
from store.sealing import KEY_BYTES, Sealer
from tracker.explain import explained
from tracker.follow import Follow, FollowKind, Tier, narrated
from tracker.lifecycle import Purpose, Shipment, fold
from tracker.lookup import Asked, parcel_story
from tracker.policy import conclude


async def ask(settings: Settings, name: str, number: str) -> dict[str, Any]:
    """The conclusion from the carrier's answer. Raises Usage, Misconfigured and CarrierError."""
    read = reading(name)
    recognised = read.recognise(number)
    if recognised is None:
        raise Usage(f"{number!r} cannot be a {name.upper()} tracking number")
    env = environment_of(settings)
    if not has_credentials(env):
        raise Misconfigured(f"no {name.upper()}_* credentials; see homeward doctor, or set HOMEWARD_STREET_URL")
    carrier = open_carriers([name], env, read_budgets("off", [name]))[name]
    numbers: dict[str, Told] = {recognised.number: Told([], [])}
    try:
        for payload in await carrier.track([recognised.number]):
            enter(read, payload, numbers)
    finally:
        await carrier.aclose()
    now = settings.story.now()
    told = numbers[recognised.number]
    terms = terms_for(name, "", now)
    known = Shipment(name, recognised.number, Purpose.ORDER, warehouse=terms.warehouse.address.place)
    view = to_builtins(explained(conclude(fold(told.sightings, told.tellings, known), terms, now)))
    return {**view, "story": _story(view, terms, now), "unread": []}


def _story(view: dict[str, Any], terms: Terms, now: datetime) -> list[str]:
    """The same as a person tells it: as if the parcel had been registered just now."""
    at = to_us(now)
    row: Any = {name: view[name] for name in ("carrier", "number", "purpose", "leg", "status")} | {
        "merchant": terms.name,
        "conclusion": json.dumps(view),
        "shipment": "{}",
        "created_us": at,
        "checked_us": at,
        "stale_us": None,
    }
    asked = Asked(
        number=view["number"],
        email="",
        postcode="",
        merchant=terms.name,
        now=now,
        sealer=Sealer(bytes(KEY_BYTES)),  # nothing is sealed here, and nothing proved
        shelf={terms.name: [terms]},
        couriers={},
        granted=Tier.FULL,
    )
    story, following = parcel_story(row, asked)
    return sentences(narrated(Follow(FollowKind.ORDER, "", terms.name, Tier.FULL, "", (), (story,), following)))
