"""What several processes share and may lose: over Redis where REDIS_URL names one, else in this process alone."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from cli.settings import Settings
from fleet.budgets import Budget, Rate, Spending
from fleet.documents import Documents
from fleet.failures import Failures
from fleet.news import News, understood, written
from store.engine import SQLITE
from store.sealing import Sealer

CHANNEL = "news"


@dataclass(frozen=True, slots=True)
class Sharing:
    """The parts in which processes meet; `tokens` is None where each has its own."""

    news: News
    budgets: Mapping[str, Spending]
    failures: Failures = field(default_factory=Failures)
    tokens: object | None = None
    documents: Documents = field(default_factory=Documents)


@asynccontextmanager
async def open_sharing(
    settings: Settings,
    sealer: Sealer,
    env: Mapping[str, str],
    rates: Mapping[str, Mapping[str, Rate]],
    processes: Callable[[], int],
    edition: bytes,
) -> AsyncIterator[Sharing]:
    """Open it; a Redis that is away is no reason not to start."""
    if not settings.redis_url:
        alone = settings.database.startswith(SQLITE)
        budgets_here = {name: Budget(found) for name, found in rates.items()}
        yield Sharing(News(alone=alone), budgets_here, documents=Documents(edition))
        return
    from fleet.shared_budgets import SharedBudget
    from fleet.shared_documents import SharedDocuments
    from fleet.tokens import TokenShelf, credential_of
    from fleet.wire import open_wire

    mine = secrets.token_hex(6)
    news, failures = News(alone=False), Failures(salt=sealer.mark("failures")[:32].encode())
    budgets: dict[str, SharedBudget] = {}

    def hear(message: bytes) -> None:
        match understood(message, mine):
            case ("changed", list(subjects)):
                news.hear(subjects)
            case ("failed", [str(number), str(network)]):
                failures.heard(number, network)
            case ("hold", [str(name), str(api), float() | int() as seconds]) if name in budgets:
                budgets[name].quiet.hold(api, seconds)

    async with open_wire(settings.redis_url, f"homeward:{sealer.mark('redis')[:12]}", CHANNEL, hear) as wire:
        channel = wire.key(CHANNEL)
        news.reliable = lambda: wire.hears
        news.pass_on = lambda subjects: wire.post(channel, written("changed", [*subjects], mine))
        failures.tell = lambda number, network: wire.post(channel, written("failed", [number, network], mine))

        def pass_hold(name: str, api: str, seconds: float) -> None:
            wire.post(channel, written("hold", [name, api, seconds], mine))

        for name, found in rates.items():
            budgets[name] = SharedBudget(
                found,
                wire,
                f"{name}-{credential_of(env.get(f'{name.upper()}_CLIENT_ID', ''))}",
                processes,
                partial(pass_hold, name),
            )
        documents = SharedDocuments(edition, wire, sealer.seal, sealer.open)
        yield Sharing(news, budgets, failures, TokenShelf(wire, sealer.seal, sealer.open), documents)
