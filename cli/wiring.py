"""Where everything meets: the only file that knows all rooms. Opens what the settings name and joins it."""

import importlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx

from alerts import desk as alert_desk
from carriers.contract import Carrier
from cli.explaining import CARRIERS
from cli.settings import Misconfigured, Settings, environment, sealing_key
from fleet.budgets import Budget, Rate
from fleet.clocks import Clock, real_now
from merchants.terms import Terms, load_all
from returns.following import follow
from returns.labels import purge_labels, settle_all
from spending.brakes import Limits, mind
from spending.intents import Till
from spending.machine import Pace
from spending.reconciling import reconcile
from spending.resolving import resolve
from spending.voiding import void_surplus
from store.engine import Store, open_store
from store.migrate import migrate
from store.sealing import Sealer
from tracker.keeper import Keeper
from tracker.ledger import Ledger
from tracker.polling import Poller
from webhooks import outbound, silence
from webhooks.egress import read_allowed

log = logging.getLogger(__name__)

PUSH_SECRET = "street-secret-of-32-characters-00"[:32]
"""What the simulated carriers sign their pushes with. Real ones are settings of each carrier."""


def street_environment(street: str, url: str) -> dict[str, str]:
    """The settings under which both carriers speak to the simulated street instead of the real ones."""
    return {
        "UPS_BASE_URL": f"{street}/ups",
        "UPS_CLIENT_ID": "street",
        "UPS_CLIENT_SECRET": "street",
        "UPS_ACCOUNT": "A1B2C3",
        "UPS_PUSH_SECRETS": PUSH_SECRET,
        "UPS_CONTACT_NAME": "Returns desk",
        "UPS_CONTACT_PHONE": "+39 051 0000000",
        "USPS_BASE_URL": f"{street}/usps",
        "USPS_CLIENT_ID": "street",
        "USPS_CLIENT_SECRET": "street",
        "USPS_CRID": "12345678",
        "USPS_MID": "901234567",
        "USPS_MANIFEST_MID": "901234567",
        "USPS_EPS_ACCOUNT": "1000000001",
        "USPS_PUSH_SECRETS": PUSH_SECRET,
        "USPS_LISTENER_URL": f"{url}/webhooks/usps",
        "USPS_ADMIN_EMAIL": "ops@example.com",
    }


def has_credentials(env: Mapping[str, str]) -> bool:
    """Whether any real carrier is configured; without one the simulated street stands in."""
    return any(env.get(f"{name.upper()}_CLIENT_ID") for name in CARRIERS)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment; without any real credentials, those of the simulated street that the settings name are in it."""
    env = environment()
    if has_credentials(env) or not settings.street_url:
        return env
    return street_environment(settings.street_url, settings.url) | env


@dataclass(frozen=True, slots=True)
class Parts:
    """An installation, open: what the doors and the work loop stand on."""

    settings: Settings
    clock: Clock
    store: Store
    sealer: Sealer
    carriers: Mapping[str, Carrier]
    shelf: Mapping[str, Sequence[Terms]]
    ledger: Ledger
    poller: Poller
    keeper: Keeper
    till: Till
    notices: httpx.AsyncClient
    budgets: Mapping[str, Budget] = field(default_factory=dict)

    def sweeps(self) -> Mapping[str, tuple[float, Callable[[], Awaitable[object]]]]:
        """Every sweep of the work loop by name: how often in real seconds, and what it does. One job each."""
        sweeps: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {
            "read": (0.5, lambda: self.ledger.read_all(self.clock.now())),
            "review": (0.5, lambda: self.ledger.review_due(self.clock.now())),
            "spread": (0.5, lambda: outbound.spread(self.store, real_now)),
            "deliver": (0.5, lambda: outbound.deliver(self.store, self.sealer, self.notices, real_now)),
            "alerts": (1.0, lambda: alert_desk.sweep(self.store, self.clock.now())),
            "returns": (0.5, lambda: follow(self.store, self.clock.now())),
            "silence": (60.0, lambda: silence.listen(self.store, self.carriers, self.clock.now())),
            "purchases": (2.0, lambda: resolve(self.till)),
            "labels": (1.0, lambda: settle_all(self.till, self.shelf)),
            "voids": (15.0, lambda: void_surplus(self.till)),
            "brakes": (5.0, lambda: mind(self.till)),
            "reconcile": (900.0, lambda: reconcile(self.till)),
            "purge": (3600.0, lambda: purge_labels(self.till)),
        }
        for name, carrier in self.carriers.items():
            sweeps[f"poll:{name}"] = (2.0, partial(self.poller.sweep, carrier))
            sweeps[f"keep:{name}"] = (1.0, partial(self.keeper.sweep, carrier))
        return sweeps


def carrier_names(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """The carriers that the settings name, or else those that have credentials."""
    named = [name.strip() for name in settings.carriers.split(",") if name.strip()]
    return named or [name for name in CARRIERS if env.get(f"{name.upper()}_CLIENT_ID")]


def open_carriers(names: Sequence[str], env: Mapping[str, str], budgets: Mapping[str, Budget]) -> dict[str, Carrier]:
    """Each carrier by its folder's name, with its own settings. Raises Misconfigured."""
    opened: dict[str, Carrier] = {}
    for name in names:
        try:
            connect = importlib.import_module(f"carriers.{name}.connect")
        except ModuleNotFoundError:
            raise Misconfigured(f"HOMEWARD_CARRIERS: no carrier {name!r}") from None
        try:
            opened[name] = connect.connect(connect.Settings.from_env(env), budget=budgets[name])
        except ValueError as error:
            raise Misconfigured(f"{name}: {error}") from None
    return opened


def read_budgets(text: str, carriers: Sequence[str]) -> dict[str, Budget]:
    """`ups.*=8/1,usps.tracking=60/3600` as a budget for each carrier; `off` is no limit. Raises Misconfigured."""
    rates: dict[str, dict[str, Rate]] = {name: {} for name in carriers}
    for part in [p.strip() for p in text.split(",") if p.strip()] if text != "off" else []:
        try:
            where, rate = part.split("=")
            carrier, api = where.split(".", 1)
            calls, seconds = rate.split("/")
            found = Rate(float(calls), float(seconds))
        except ValueError:
            raise Misconfigured(f"HOMEWARD_BUDGET: expected CARRIER.API=CALLS/SECONDS, found {part!r}") from None
        if carrier in rates:
            rates[carrier][api] = found
    return {name: Budget(found) for name, found in rates.items()}


def read_terms(settings: Settings) -> dict[str, list[Terms]]:
    """Every shop's terms. Raises TermsError and Misconfigured."""
    shelf = load_all(settings.terms_folder)
    if not shelf:
        raise Misconfigured(f"HOMEWARD_MERCHANTS: no terms (*.toml) in {settings.terms_folder}")
    return shelf


@asynccontextmanager
async def open_parts(settings: Settings, env: Mapping[str, str]) -> AsyncIterator[Parts]:
    """The installation that the settings name, migrated and open; closed in order at the end."""
    shelf, clock = read_terms(settings), settings.story
    names = carrier_names(settings, env)
    budgets = read_budgets(settings.budget, names)
    sealer = Sealer(sealing_key(settings))
    async with AsyncExitStack() as stack:
        settings.data.mkdir(parents=True, exist_ok=True)
        await migrate(settings.database)
        store = await open_store(settings.database)
        stack.push_async_callback(store.close)
        carriers = open_carriers(names, env, budgets)
        for carrier in carriers.values():
            stack.push_async_callback(carrier.aclose)
        notices = outbound.client(allowed=read_allowed(settings.allow_private))
        stack.push_async_callback(notices.aclose)
        ledger = Ledger(store, carriers, shelf)
        yield Parts(
            settings=settings,
            clock=clock,
            store=store,
            sealer=sealer,
            carriers=carriers,
            shelf=shelf,
            ledger=ledger,
            poller=Poller(store, ledger, clock),
            keeper=Keeper(store, clock),
            till=Till(
                store,
                sealer,
                carriers,
                clock,
                limits=Limits.parse(settings.spend),
                free=lambda: shutil.disk_usage(settings.data).free,
                pace=Pace(factor=settings.pace),
            ),
            notices=notices,
            budgets=budgets,
        )
