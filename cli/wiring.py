"""Where everything meets: the only file that knows all rooms. Opens what the settings name and joins it."""

import hashlib
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import httpx

from alerts import desk as alert_desk
from alerts.channels import Channel, ChannelsError, read_channels
from alerts.digest import summarise
from alerts.teller import Teller
from alerts.tellings import tell
from carriers.contract import Carrier
from cli.explaining import CARRIERS
from cli.keeping import tidy
from cli.muster import Muster, muster
from cli.settings import Misconfigured, Settings, environment, sealing_key
from cli.sharing import open_sharing
from cli.tracing import Traces, open_traces
from fleet.budgets import Budget, Rate, Spending
from fleet.clocks import Clock, real_now
from fleet.documents import Documents
from fleet.failures import Failures
from fleet.news import News
from merchants.terms import Terms, load_all
from returns.addresses import forget_stale
from returns.candidates import Identifier
from returns.collecting import see_to
from returns.dispatching import ship_out
from returns.following import follow
from returns.identifying import forget, identify
from returns.labels import purge_labels, settle_all
from returns.mailing import send_due
from returns.replacing import follow_strays
from returns.reviewing import review
from spending.brakes import Limits, mind
from spending.intents import Till
from spending.journal import Journal, reconciled
from spending.machine import Pace
from spending.reconciling import reconcile
from spending.resolving import resolve
from spending.voiding import void_surplus
from store.engine import Store, open_store
from store.migrate import migrate
from store.sealing import Sealer
from store.settings import set_once
from tracker.freshness import watch
from tracker.homecoming import Homecoming
from tracker.keeper import Keeper
from tracker.ledger import Ledger
from tracker.outages import Outages, looking
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


SHARED = frozenset({"read", "review", "spread", "deliver", "poll", "purchases", "labels", "voids"})
"""Sweeps that any number of workers do at once: each claims what it does, row by row."""


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
    muster: Muster
    news: News
    failures: Failures
    budgets: Mapping[str, Spending] = field(default_factory=dict)
    teller: Teller = field(default_factory=lambda: Teller({}))
    traces: Traces | None = None
    documents: Documents = field(default_factory=Documents)

    @property
    def identifier(self) -> Identifier:
        """What finds out whose an unregistered number is."""
        return Identifier(self.store, self.sealer, self.shelf, self.carriers, self.ledger, self.poller, self.clock)

    @property
    def homecoming(self) -> Homecoming:
        """Who sees to parcels that cannot be delivered."""
        return Homecoming(self.till, self.ledger, self.poller)

    @property
    def journal(self) -> Journal:
        """What was about to be bought, beside the database."""
        return Journal(self.settings.data / "purchases.journal", self.sealer)

    async def reconcile(self) -> object:
        """A sweep: what was sent and this database does not know of is looked for, then everything that is due."""
        return await reconciled(self.till, self.journal, reconcile)

    def sweeps(self) -> Mapping[str, tuple[float, Callable[[], Awaitable[object]]]]:
        """Every sweep of the work loop by name: how often in real seconds, and what it does. One job each.

        Of several workers one does it at a time, unless its first word is among SHARED.
        """
        sweeps: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {
            "read": (0.5, lambda: self.ledger.read_all(self.clock.now())),
            "review": (0.5, lambda: self.ledger.review_due(self.clock.now())),
            "spread": (0.5, lambda: outbound.spread(self.store, real_now)),
            "deliver": (0.5, lambda: outbound.deliver(self.store, self.sealer, self.notices, real_now)),
            "alerts": (1.0, lambda: alert_desk.sweep(self.store, self.clock.now(), self.teller.channels.values())),
            "digest": (5.0, lambda: summarise(self.store, self.teller.channels.values(), self.clock.now())),
            "cases": (0.5, lambda: self.homecoming.sweep()),
            "returns": (0.5, lambda: follow(self.till, self.shelf)),
            "dispatches": (1.0, lambda: ship_out(self.till, self.shelf)),
            "review_returns": (1.0, lambda: review(self.till, self.shelf)),
            "stale": (60.0, lambda: watch(self.store, self.carriers, self.clock.now())),
            "identify": (2.0, lambda: identify(self.identifier)),
            "forget": (3600.0, lambda: forget(self.identifier)),
            "silence": (60.0, lambda: silence.listen(self.store, self.carriers, self.clock.now())),
            "purchases": (2.0, lambda: resolve(self.till)),
            "labels": (1.0, lambda: settle_all(self.till, self.shelf)),
            "voids": (15.0, lambda: void_surplus(self.till)),
            "brakes": (5.0, lambda: mind(self.till)),
            "reconcile": (900.0, self.reconcile),
            "tidy": (3600.0, lambda: tidy(self.store, self.shelf, self.settings.keeping, self.clock.now())),
            "purge": (3600.0, lambda: purge_labels(self.till)),
        }
        sweeps["strays"] = (60.0, lambda: follow_strays(self.till, self.shelf))
        sweeps["pickups"] = (15.0, lambda: see_to(self.till))
        sweeps["answers"] = (3600.0, lambda: forget_stale(self.till))
        if box := self.settings.postbox:
            sweeps["mails"] = (2.0, lambda: send_due(self.till, box))
        for name, carrier in self.carriers.items():
            sweeps[f"poll:{name}"] = (2.0, partial(self.poller.sweep, carrier))
            sweeps[f"keep:{name}"] = (1.0, partial(self.keeper.sweep, carrier))
        for name, channel in self.teller.channels.items():  # each a sweep of its own: a dead one delays no other
            sweeps[f"tell:{name}"] = (1.0, partial(self._tell, channel))
        if traces := self.traces:
            return {name: (every, traces.sweep(name, sweep)) for name, (every, sweep) in sweeps.items()}
        return sweeps

    async def _tell(self, channel: Channel) -> int:
        return await tell(self.store, self.teller, channel, now=self.clock.now(), real_now=real_now)


def carrier_names(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """The carriers that the settings name, or else those that have credentials."""
    named = [name.strip() for name in settings.carriers.split(",") if name.strip()]
    return named or [name for name in CARRIERS if env.get(f"{name.upper()}_CLIENT_ID")]


def open_carriers(
    names: Sequence[str], env: Mapping[str, str], budgets: Mapping[str, Spending], tokens: object | None = None
) -> dict[str, Carrier]:
    """Each carrier by its folder's name, with its own settings. Raises Misconfigured.

    With `tokens`, a shelf, the carriers' tokens are shared with other processes.
    """
    shared = {} if tokens is None else {"tokens": tokens}
    opened: dict[str, Carrier] = {}
    for name in names:
        try:
            connect = importlib.import_module(f"carriers.{name}.connect")
        except ModuleNotFoundError:
            raise Misconfigured(f"HOMEWARD_CARRIERS: no carrier {name!r}") from None
        try:
            opened[name] = connect.connect(connect.Settings.from_env(env), budget=budgets[name], **shared)
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


def read_channels_file(
    settings: Settings, env: Mapping[str, str], shelf: Mapping[str, Sequence[Terms]]
) -> dict[str, Channel]:
    """The channels that ops are told through; none where there is no file. Raises Misconfigured."""
    path = settings.channels_file
    if not path.exists():
        if settings.channels != Path():
            raise Misconfigured(f"HOMEWARD_CHANNELS: no file {path}")
        return {}
    try:
        return read_channels(path.read_text(), env, shelf)
    except (ChannelsError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {error}") from None


async def _same_key(store: Store, sealer: Sealer) -> None:
    """Every machine seals with one key: what one of them wrote, the others must be able to read."""
    mine = sealer.mark("the key of this installation")
    if await store.write(lambda tx: set_once(tx, "key", mine)) != mine:
        raise Misconfigured("HOMEWARD_KEY: this database was begun with another key; every machine needs that one")


def edition(shelf: Mapping[str, Sequence[Terms]]) -> bytes:
    """What decides every document besides what it tells of: this program and the shops' terms."""
    return hashlib.blake2b(f"{version('homeward')} {shelf!r}".encode(), digest_size=16).digest()


@asynccontextmanager
async def open_parts(settings: Settings, env: Mapping[str, str], role: str = "command") -> AsyncIterator[Parts]:
    """The installation that the settings name, migrated and open; closed in order at the end."""
    shelf, clock = read_terms(settings), settings.story
    names = carrier_names(settings, env)
    sealer = Sealer(sealing_key(settings))
    teller = Teller(read_channels_file(settings, env, shelf), settings.url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(teller.aclose)
        try:
            await teller.check()
        except ChannelsError as error:
            raise Misconfigured(f"{settings.channels_file}: {error}") from None
        settings.data.mkdir(parents=True, exist_ok=True)
        await migrate(settings.database)
        store = await open_store(settings.database)
        stack.push_async_callback(store.close)
        await _same_key(store, sealer)
        mustered = await stack.enter_async_context(muster(store, role, settings.database))
        rates = {name: budget.rates for name, budget in read_budgets(settings.budget, names).items()}
        sharing = await stack.enter_async_context(
            open_sharing(settings, sealer, env, rates, lambda: mustered.processes, edition(shelf))
        )
        store.changed = sharing.news.tell
        budgets, traces = sharing.budgets, open_traces(env)
        if traces:
            stack.callback(traces.close)
            budgets = {name: traces.budget(name, budget) for name, budget in budgets.items()}
        carriers = open_carriers(names, env, budgets, sharing.tokens)
        for carrier in carriers.values():
            stack.push_async_callback(carrier.aclose)
        if role != "command":
            await stack.enter_async_context(looking(Outages(store, carriers, clock)))
        notices = outbound.client(allowed=read_allowed(settings.allow_private))
        stack.push_async_callback(notices.aclose)
        ledger = Ledger(store, carriers, shelf)
        journal = Journal(settings.data / "purchases.journal", sealer)
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
                free=journal.room,
                pace=Pace(factor=settings.pace),
                note=journal.note,
            ),
            notices=notices,
            muster=mustered,
            news=sharing.news,
            failures=sharing.failures,
            budgets=budgets,
            teller=teller,
            traces=traces,
            documents=sharing.documents,
        )
