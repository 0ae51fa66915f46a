"""`homeward track`: ask a carrier about one number now, and say what follows. Nothing is stored."""

from typing import Any

from cli.explaining import Told, Usage, enter, reading, terms_for
from cli.settings import Misconfigured, Settings
from cli.wiring import environment_of, has_credentials, open_carriers, read_budgets
from tracker.explain import explained
from tracker.lifecycle import Purpose, Shipment, fold
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
    return {**explained(conclude(fold(told.sightings, told.tellings, known), terms, now)), "unread": []}
