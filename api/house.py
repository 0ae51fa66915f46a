"""What the doors stand on: everything `cli` has opened and hands to `build`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.teller import Teller
from carriers.contract import Carrier
from fleet.budgets import Spending
from fleet.clocks import Clock
from fleet.documents import Documents
from fleet.failures import Failures
from fleet.news import News
from merchants.terms import SHIPPED, Terms
from spending.intents import Till
from store.engine import Store
from store.migrate import Schema
from store.sealing import Sealer
from tracker.ledger import Ledger
from tracker.polling import Poller
from webhooks.letterbox import Letterbox


def _nothing_runs() -> Mapping[str, bool]:
    return {}


async def _as_at_the_start() -> Schema:
    return Schema("", "")


def _nobody_sleeps() -> None:
    return None


def _nobody_leaves() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class House:
    """The parts, already open. `alive` says of each loop whether it ran lately; `wake` tells the work loop to look now.

    `schema` looks which revision the database is at. `leaving`: the doors close soon, nobody new should be sent here.

    `proxies` is how many of our own reverse proxies stand before us: so many entries of X-Forwarded-For are believed.
    """

    store: Store
    clock: Clock
    sealer: Sealer
    carriers: Mapping[str, Carrier]
    terms: Mapping[str, Sequence[Terms]]
    ledger: Ledger
    poller: Poller
    till: Till
    letterbox: Letterbox
    wake: Callable[[], None] = _nobody_sleeps
    alive: Callable[[], Mapping[str, bool]] = _nothing_runs
    schema: Callable[[], Awaitable[Schema]] = _as_at_the_start
    leaving: Callable[[], bool] = _nobody_leaves
    budgets: Mapping[str, Spending] = field(default_factory=dict)
    teller: Teller = field(default_factory=lambda: Teller({}))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    failures: Failures = field(default_factory=Failures)
    news: News = field(default_factory=lambda: News(alone=False))
    documents: Documents = field(default_factory=Documents)
    proxies: int = 0
    calls_per_minute: int = 0  # that one API key may make; 0: as many as it likes
    security_contact: str = ""  # an e-mail address or https address, for security.txt
    desk_header: str = ""  # with a user's name, set by a trusted reverse proxy: opens the ops desk without a key
    looks: Path = SHIPPED  # the terms' folder: logos lie there
    allowed: frozenset[str] = frozenset()  # hosts on private addresses that notices may go to
    mail_from: str = ""  # the address that mails to shoppers come from; empty: none are sent
    refused_lookup_seconds: float = 0.25  # a refused look-up never answers sooner, whatever was wrong with it
