"""`serve`, `web` and `work`: the doors and the work loop in one process or apart; `sandbox`: the simulated street."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import httpx
from aiohttp import web
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from api.app import build, build_watch
from api.app import runner as doors
from api.house import House
from api.keys import first_key
from cli.control import listen, socket_of
from cli.logs import configure
from cli.rehearsal import Rehearsal
from cli.settings import Misconfigured, Settings, environment
from cli.settling import settle_down
from cli.wiring import PUSH_SECRET, SHARED, Parts, environment_of, has_credentials, open_parts
from fleet.news import READ
from merchants.terms import Terms, TermsError, without_calendar
from store.engine import SQLITE, CommitUnknown, Tx
from store.idempotency import forget_running
from store.migrate import check
from store.outbox import say
from store.parcels import free_parcels
from store.payloads import free_payloads
from webhooks.egress import read_allowed
from webhooks.letterbox import Letterbox

log = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
STREET_SECONDS = 30.0
WAKE_EVERY = 0.05
SILENT_SECONDS = 60.0
"""A sweep that did not end for so long after it was due makes `/readyz` say so."""

Sweep = Callable[[], Awaitable[object]]


class WorkLoop:
    """The sweeps of one process on a schedule: one job each, in UTC, none lost when late, none overlapping itself."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._ended: dict[str, float] = {}
        self._every: dict[str, float] = {}
        # source: facts/stack.md: misfire_grace_time defaults to 1 s and skips late jobs; local time fires twice
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": AsyncIOExecutor()},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self._running: set[asyncio.Task[object]] = set()
        self._woken = 0.0
        parts.news.always(READ, self.wake)

    def start(self) -> None:
        for name, (seconds, sweep) in self._parts.sweeps().items():
            self._ended[name], self._every[name] = time.monotonic(), seconds
            self._scheduler.add_job(
                self._run, IntervalTrigger(seconds=seconds, timezone=UTC), args=(name, sweep), id=name
            )
        self._scheduler.start()

    def wake(self) -> None:
        """Something was kept: read it now instead of at the next tick."""
        now = time.monotonic()
        if self._scheduler.running and now - self._woken > WAKE_EVERY:
            self._woken = now
            self._scheduler.modify_job("read", next_run_time=datetime.now(UTC))

    def alive(self) -> Mapping[str, bool]:
        """Of each sweep, whether it ended lately."""
        now = time.monotonic()
        return {name: now - ended < SILENT_SECONDS + self._every[name] for name, ended in self._ended.items()}

    async def stop(self) -> None:
        """No new sweeps; those under way may finish."""
        self._scheduler.pause()
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE_SECONDS)
        self._scheduler.shutdown(wait=False)

    async def _run(self, name: str, sweep: Sweep) -> None:
        """One sweep. Its error becomes an alert: the scheduler would swallow it."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            if name.partition(":")[0] in SHARED:
                await sweep()
            else:
                async with self._parts.muster.turn(name) as mine:
                    if mine:
                        await sweep()
        except CommitUnknown:  # the next one finds out what was kept: no sweep takes it on trust
            log.warning("commit unknown", extra={"sweep": name})
        except Exception as error:
            log.exception("sweep failed", extra={"sweep": name})
            with contextlib.suppress(Exception):
                await self._report(name, error)
        finally:
            self._running.discard(task)
            self._ended[name] = time.monotonic()

    async def _report(self, name: str, error: Exception) -> None:
        now = self._parts.clock.now()

        async def unit(tx: Tx) -> None:
            data = {"sweep": name, "error": type(error).__name__}
            hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
            await say(tx, subject="service", name=f"sweep/{name}/{hour}", type="ops.sweep_failed", at=now, data=data)

        await self._parts.store.write(unit)


def house_of(parts: Parts, loop: WorkLoop | None, leaving: Callable[[], bool] = bool) -> House:
    """What the doors stand on."""
    wake = partial(parts.news.tell, (READ,))
    return House(
        store=parts.store,
        clock=parts.clock,
        sealer=parts.sealer,
        carriers=parts.carriers,
        terms=parts.shelf,
        ledger=parts.ledger,
        poller=parts.poller,
        till=parts.till,
        letterbox=Letterbox(parts.store, wake),
        schema=lambda: check(parts.settings.database),
        wake=wake,
        alive=loop.alive if loop else dict,
        leaving=leaving,
        proxies=parts.settings.proxies,
        desk_header=parts.settings.desk_header,
        security_contact=parts.settings.security_contact,
        calls_per_minute=parts.settings.calls_per_minute,
        looks=parts.settings.terms_folder,
        budgets=parts.budgets,
        mail_from=parts.settings.mail_from if parts.settings.postbox else "",
        news=parts.news,
        failures=parts.failures,
        documents=parts.documents,
        teller=parts.teller,
        allowed=read_allowed(parts.settings.allow_private),
    )


async def serve(settings: Settings, role: str) -> None:
    """Run until a signal says stop. Raises Misconfigured, StoreError, TermsError before anything is worked on."""
    if role != "serve" and settings.database.startswith(SQLITE):
        raise Misconfigured(
            f"homeward {role} needs DATABASE_URL=postgresql+asyncpg://...; on SQLite use homeward serve"
        )
    configure(settings.log)
    rehearses = not has_credentials(environment())
    rehearsal = Rehearsal(settings) if rehearses and not settings.street_url and role == "serve" else None
    async with AsyncExitStack() as stack:
        if rehearsal:
            opened = await _open_street(stack, rehearsal.settings)
            settings = rehearsal.settings.model_copy(update={"street_url": opened})
        street = settings.street_url if rehearses else ""
        if rehearses and not street:
            raise Misconfigured("no carrier: set UPS_* or USPS_* credentials, or HOMEWARD_STREET_URL for a rehearsal")
        if street and role != "work":
            await _point_street(street, settings)
        parts = await stack.enter_async_context(open_parts(settings, environment_of(settings), role))
        if settings.database.startswith(SQLITE):  # we alone write: whoever was at work died with us
            for free in (forget_running, free_payloads, free_parcels):
                await parts.store.write(free)
        loop, leaving = WorkLoop(parts) if role != "web" else None, asyncio.Event()
        await _open_doors(stack, parts, loop, role, leaving.is_set)
        settle_down()
        if role == "serve":
            server = await listen(socket_of(settings), parts)
            stack.callback(server.close)
        await _welcome(parts, role, street)
        await asyncio.to_thread(_open_calendars, parts.shelf)
        if loop:
            loop.start()
            stack.push_async_callback(loop.stop)
        if rehearsal:
            for line in await rehearsal.play(parts, street):
                say_line(line)
        await _until_signalled()
        leaving.set()
        if role != "work":
            await asyncio.sleep(settings.drain)
        say_line("stopping: finishing what is under way")
        if rehearsal:
            await rehearsal.remember(street)


async def sandbox(port: int, clock: str, ledger: Path | None) -> None:
    """Serve the simulated street alone. Raises ValueError for a clock that is none."""
    from street.app import open_street
    from street.clock import StoryClock
    from street.town import Town

    town = Town(StoryClock.parse(clock), ledger_path=ledger)
    async with open_street(town, port) as base:
        say_line(f"the street is open at {base}  (UPS under /ups, USPS under /usps, /street to direct it)")
        await _until_signalled()


def _open_calendars(shelf: Mapping[str, Sequence[Terms]]) -> None:
    """Once, beside the loop: it takes a third of a second, and nobody shall wait for it. Raises TermsError."""
    for terms in chain.from_iterable(shelf.values()):
        if faults := without_calendar(terms):
            raise TermsError(f"{terms.name} {terms.version}", [("", fault) for fault in faults])


def say_line(line: str) -> None:
    print(line, flush=True)


async def _open_doors(
    stack: AsyncExitStack, parts: Parts, loop: WorkLoop | None, role: str, leaving: Callable[[], bool] = bool
) -> None:
    """The doors, unless we only work; and the figures on a port of their own, where one is set."""
    house, app = house_of(parts, loop, leaving), None
    if role != "work":
        app = build(house)
        await _open(stack, parts, app, parts.settings.port)
    if port := parts.settings.metrics_port:
        await _open(stack, parts, build_watch(house, app), port)


async def _open(stack: AsyncExitStack, parts: Parts, app: web.Application, port: int) -> None:
    if parts.traces:
        app.middlewares.insert(0, parts.traces.middleware())
    settings = parts.settings
    runner = doors(app, 0 if settings.proxies else settings.sockets)  # behind a proxy all of them are the proxy's
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, parts.settings.host, port).start()


async def _until_signalled() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, sys.exit, 1)  # a second signal does not wait


async def _open_street(stack: AsyncExitStack, settings: Settings) -> str:
    """The simulated street in this process, on a port of its own; its base URL."""
    # the street draws labels: a service with real carriers must not wait for the libraries that takes
    from street.app import open_street
    from street.clock import StoryClock
    from street.town import Town

    town = Town(StoryClock.parse(settings.clock))
    return await stack.enter_async_context(open_street(town, settings.street_port or settings.port + 1))


async def _point_street(street: str, settings: Settings) -> None:
    """Tell the street where UPS's portal would be told to push. (USPS is told by its subscription.)

    A street that was started together with us may need longer than we do. Raises Misconfigured when none answers.
    """
    told = {"ups_webhook_url": f"{settings.url}/webhooks/ups", "ups_webhook_credential": PUSH_SECRET}
    again = AsyncRetrying(
        retry=retry_if_exception_type(httpx.ConnectError),
        wait=wait_fixed(0.1),
        stop=stop_after_delay(STREET_SECONDS),
        reraise=True,
    )
    try:
        async with httpx.AsyncClient(base_url=street, trust_env=False) as http:
            (await again(http.post, "/street/settings", json=told)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Misconfigured(
            f"no simulated street at HOMEWARD_STREET_URL={street} ({error}): start one with homeward sandbox, "
            "or leave the setting away and homeward serve starts its own"
        ) from None


async def _welcome(parts: Parts, role: str, street: str) -> None:
    """One line for each thing to open next; the development key, once."""
    url = parts.settings.url
    if role == "work":
        say_line("the work loop runs; stop it with Ctrl-C")
        return
    key = await first_key(parts.store, parts.sealer, parts.clock.now())
    say_line(f"Homeward is open at {url}")
    say_line(f"  Follow your Order     {url}/follow/order")
    say_line(f"  Follow your Return    {url}/follow/return")
    say_line(f"  API documentation     {url}/docs")
    say_line(f"  Health, figures       {url}/readyz  {url}/metrics")
    if street:
        say_line(
            f"  The simulated street  {street}/street/parcels  (no UPS_* or USPS_* credentials: nothing real is called)"
        )
    if key:
        say_line(f"  API key (shown once)  {key}")
