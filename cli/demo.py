"""`homeward demo`: every journey of the street through the real service, over real HTTP, then compared.

The service and the street run as children on ports of their own. The street's record is the witness: the demo succeeds
only if every conclusion equals it. A service that dies is started again on the same data, as a supervisor would.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from cli.demo_pages import read_pages
from cli.staging import EMAIL, SHOPS, Play, Stage, Staged
from fleet.clocks import Clock

SPEED = 100_000.0
"""A story of three weeks in about twenty seconds."""
START = datetime(2026, 3, 2, 6, tzinfo=UTC)  # a Monday morning
DELIVERIES = ("plain", "doubled", "reordered", "late", "never")
START_TRIES = 900
"""Looks at a child that starts, a tenth of a second apart: on a machine with much else to do it takes its time."""
CATCH_UP_SECONDS = 12.0
"""After the street is quiet, the service may take so long to have asked and heard everything."""


@dataclass(slots=True)
class Receiver:
    """The order service's webhook endpoint: verifies every notice with the reference library and keeps it."""

    secret: str = ""
    heard: dict[str, dict[str, Any]] = field(default_factory=dict)  # by webhook-id
    repeated: int = 0
    forged: int = 0
    altered: int = 0

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.forged += 1
            return web.Response(status=401)
        id, notice = request.headers["webhook-id"], json.loads(body)
        if id in self.heard:
            self.repeated += 1
            self.altered += self.heard[id] != notice
        self.heard[id] = notice
        return web.Response(status=204)

    def about(self, number: str, order_number: str) -> Counter[str]:
        """What was said of one parcel and its order, by type."""
        return Counter(
            notice["type"]
            for notice in self.heard.values()
            if notice["data"].get("number") == number
            or (notice["data"].get("order_number") == order_number and notice["type"] == "order.shipped")
        )


@dataclass(slots=True)
class Child:
    """A process of ours, started again when it dies; of another `build` where its folder is given."""

    arguments: list[str]
    env: dict[str, str]
    log: Path
    build: Path | None = None
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    stopping: bool = False

    async def start(self) -> None:
        own = self.build / ".venv/bin/python" if self.build else None
        python = str(own) if own and own.exists() else sys.executable
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                python, "-m", "cli", *self.arguments, env=self.env, cwd=self.build, stdout=log, stderr=log
            )
        self.starts += 1

    async def watch(self) -> None:
        """Start it again whenever it ends, until it is told to stop."""
        while self.process and not self.stopping:
            await self.process.wait()
            if not self.stopping and self.starts < 50:
                await self.start()

    async def stop(self) -> None:
        self.stopping = True
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 15)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs for one demo."""

    stage: Stage
    receiver: Receiver
    service: Child
    clock: Clock


def bare_environment() -> dict[str, str]:
    """The environment without any setting of ours: for a child that gets its own."""
    ours = ("UPS_", "USPS_", "HOMEWARD_", "DATABASE_", "REDIS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def scene(speed: float, folder: Path) -> AsyncIterator[Scene]:
    """The street, the service and the receiver, ready; all of it ended afterwards."""
    service_port, street_port = free_port(), free_port()
    clock = Clock(START, speed, time.time())
    street, service = f"http://127.0.0.1:{street_port}", f"http://127.0.0.1:{service_port}"
    env = bare_environment()
    env |= {
        "HOMEWARD_DATA": str(folder / "data"),
        "HOMEWARD_PORT": str(service_port),
        "HOMEWARD_STREET_URL": street,
        "HOMEWARD_CLOCK": str(clock),
        "HOMEWARD_BUDGET": "off",
        "HOMEWARD_PACE": "0.03",  # a purchase that a kill interrupts is settled in half a minute, not a quarter hour
        "HOMEWARD_ALLOW_PRIVATE": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }
    children = [
        Child(["sandbox", "--port", str(street_port), "--clock", str(clock)], env, folder / "street.log"),
        Child(["serve"], env, folder / "service.log"),
    ]
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    watches: list[asyncio.Task[None]] = []
    try:
        for child in children:
            await child.start()
        for child, url in zip(children, (f"{street}/street/quiet", f"{service}/readyz"), strict=True):
            await _answers(url, child)
            watches.append(asyncio.create_task(child.watch()))
        key = await _development_key(folder / "service.log")
        stage = Stage(service, key, street)
        port = runner.addresses[0][1]
        made = await stage.service.post("/v1/endpoints", json={"url": f"http://127.0.0.1:{port}/"})
        made.raise_for_status()
        receiver.secret = made.json()["secret"]
        yield Scene(stage, receiver, children[1], clock)
        await stage.aclose()
    finally:
        for child in reversed(children):
            await child.stop()
        for watch in watches:
            watch.cancel()
        await runner.cleanup()


async def _answers(url: str, child: Child) -> None:
    """Wait until a child answers. Raises RuntimeError with the end of its log when it does not."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(START_TRIES):
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get(url)).status_code == 200:
                    return
            if child.process and child.process.returncode is not None:
                break
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{' '.join(child.arguments)} did not start:\n{child.log.read_text()[-2000:]}")


async def _development_key(log: Path) -> str:
    """The key that the service prints once on its first start."""
    for _ in range(100):
        if found := re.search(r"hw_live_[A-Za-z0-9_-]{43}", log.read_text()):
            return found.group()
        await asyncio.sleep(0.1)
    raise RuntimeError("the service printed no development key")


# -------------------------------------------------------------------------------------------------------- what happens


async def play(*, as_json: bool, speed: float, only: str) -> int:
    """Run the demo; its exit code: 0 when every conclusion equals the street's record."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="homeward-demo-"))
    report = _Progress(as_json)
    try:
        async with scene(speed or SPEED, folder) as on:
            staged = await put_all_on(on.stage, only, report.staged)
            await until_quiet(on, report.story)
            report.comparing()
            rows = await compare(on, staged)
            pages = await read_pages(on.stage.service, staged, {row["number"]: row for row in rows})
            result = {
                "ok": all(row["ok"] for row in rows) and not on.receiver.forged and not on.receiver.altered,
                "parcels": len(rows),
                "right": sum(row["ok"] for row in rows),
                "notices": len(on.receiver.heard),
                "said_twice": said_twice(on.receiver),
                "pages": pages,
                "service_starts": on.service.starts,
                "seconds": round(time.monotonic() - began, 1),
                "rows": rows,
            }
            result["ok"] = result["ok"] and not result["said_twice"] and not pages["wrong"]
        report.done(result)
        return 0 if result["ok"] else 1
    except RuntimeError as error:
        print(f"homeward demo: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def put_all_on(stage: Stage, only: str, staged: Callable[[int, int], None] = lambda *_: None) -> list[Staged]:
    """Every journey in every delivery: returns first, one by one (so the street's journeys meet their labels)."""
    plays = await stage.programme(DELIVERIES, only)
    returns = [p for p in plays if p.purpose == "return"]
    orders = [p for p in plays if p.purpose != "return"]
    total, found = len(plays), list[Staged]()
    for play in returns:
        found.append(await stage.put_on(play, f"R-{1001 + len(found)}"))
        staged(len(found), total)
    turn = asyncio.Semaphore(8)

    async def one(play: Play, number: str) -> None:
        async with turn:
            found.append(await stage.put_on(play, number))
            staged(len(found), total)

    async with asyncio.TaskGroup() as group:
        for count, play in enumerate(orders):
            group.create_task(one(play, f"A-{1001 + count}"))
    return found


async def until_quiet(on: Scene, story: Callable[[float], None] = lambda _: None) -> None:
    """Until the street has told everything it will ever tell."""
    while True:
        state = (await on.stage.street.get("/street/quiet")).json()
        if state["quiet"]:
            return
        now, ends = (datetime.fromisoformat(state[name]) for name in ("now", "ends_at"))
        story((now - START).total_seconds() / max(1.0, (ends - START).total_seconds()))
        await asyncio.sleep(0.25)


async def compare(on: Scene, staged: Sequence[Staged], seconds: float = CATCH_UP_SECONDS) -> list[dict[str, Any]]:
    """Each conclusion beside the street's record; asked again until all are equal or the time is over."""
    record = {p["number"]: p for p in (await on.stage.street.get("/street/record")).json()["parcels"]}
    until = time.monotonic() + seconds
    rows: dict[str, dict[str, Any]] = {}
    while True:
        for each in staged:
            if not rows.get(each.number, {}).get("ok"):
                rows[each.number] = await _row(on, each, record[each.number])
        if all(row["ok"] for row in rows.values()) or time.monotonic() > until:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)  # the last notices are on their way
    for each in staged:
        rows[each.number]["sent"] = dict(on.receiver.about(each.number, each.order_number))
        rows[each.number]["shopper"] = await _shopper(on, each)
    return [
        rows[each.number] for each in sorted(staged, key=lambda s: (s.play.carrier, s.play.journey, s.play.delivery))
    ]


async def _row(on: Scene, each: Staged, truth: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = {}
    with contextlib.suppress(httpx.HTTPError, ValueError):
        answer = await on.stage.service.get(f"/v1/parcels/{each.play.carrier}/{each.number}")
        view = answer.json() if answer.status_code == 200 else {}
    concluded = conclusion_of(view) if view else {}
    expected = truth_of(truth)
    return {
        "carrier": each.play.carrier,
        "number": each.number,
        "journey": each.play.journey,
        "delivery": each.play.delivery,
        "truth": expected,
        "concluded": concluded,
        "ok": concluded == expected,
    }


def truth_of(record: dict[str, Any]) -> dict[str, Any]:
    """What truly happened, as far as it can be compared."""
    case = record["return_to_warehouse"]
    return {
        "leg": record["leg"],
        "status": record["status"],
        "attempts": record["attempts"]["count"],
        "days": record["attempts"]["days"],
        "final": record["attempts"]["final"],
        "case": [_seen_to(case["state"]), case["reason"]] if case else None,
        "delivered_at": _minute(record["delivered_at"]),
        "returned_at": _minute(record["returned_at"]),
    }


def _seen_to(state: str) -> str:
    """What the street ends with as to be expected, nobody ordered back (else it would have come): it is left to it."""
    return "left_to_carrier" if state == "expected" else state


def conclusion_of(view: dict[str, Any]) -> dict[str, Any]:
    """The same of what Homeward concluded."""
    case = view.get("return_to_warehouse")
    attempts = view.get("attempts") or {"count": 0, "ledger": [], "final": False}
    return {
        "leg": view["leg"],
        "status": view["status"],
        "attempts": attempts["count"],
        "days": [row["day"] for row in attempts["ledger"] if row["counted"]],
        "final": attempts["final"],
        "case": [case["state"], case["reason"]] if case else None,
        "delivered_at": _minute(view.get("delivered_at")),
        "returned_at": _minute(view.get("returned_at")),
    }


def _minute(instant: str | None) -> str | None:
    return instant[:16] if instant else None


async def _shopper(on: Scene, each: Staged) -> str:
    """What the shopper reads with the e-mail: the state, and what is so."""
    kind, name = ("return", "return_number") if each.return_number else ("order", "order_number")
    body = {name: each.return_number or each.order_number, "email": EMAIL}
    if kind == "order":
        body["merchant"] = SHOPS[each.play.carrier]
    answer = await on.stage.service.post(f"/v1/follow/{kind}", json=body)
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    told = answer.json()
    sentences = [s["text"] for parcel in told["parcels"] for s in parcel["sentences"]]
    return f"{told['state_text']}: {' '.join(sentences[-2:])}"


def said_twice(receiver: Receiver) -> list[str]:
    """Notices with different ids that say the same thing of the same subject."""
    seen = Counter(_meaning(notice) for notice in receiver.heard.values() if not notice["type"].startswith("alert."))
    return [what for what, times in seen.items() if times > 1]


def _meaning(notice: dict[str, Any]) -> str:
    """What a notice says: of whom, which attempt, and for a status the event that gave it."""
    data = notice["data"]
    about = [data.get(name) for name in ("merchant", "order_number", "return_number", "carrier", "number")]
    attempt = (data.get("attempt") or {}).get("ordinal")
    status: Any = None
    if notice["type"] == "parcel.status_changed":
        parcel = data["parcel"]
        status = [parcel["leg"], parcel["status"], [event["id"] for event in parcel["events"]][-1:]]
    if notice["type"] in ("parcel.shipped", "parcel.attempt_corrected"):
        status = data.get("parcel", {}).get("number") or data.get("corrected")
    return json.dumps([notice["type"], about, attempt, status])


# ------------------------------------------------------------------------------------------------------------ shown


class _Progress:
    """A progress bar and a table for a person; JSON for a machine."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._bar: Any = None
        self._task: Any = None
        if not as_json:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, transient=True)
            self._task = self._bar.add_task("starting the service and the street", total=1.0)
            self._bar.start()

    def _show(self, text: str, part: float) -> None:
        if self._bar:
            self._bar.update(self._task, description=text, completed=min(1.0, part))

    def staged(self, count: int, total: int) -> None:
        self._show(f"setting out: {count} of {total} parcels", 0.2 * count / total)

    def story(self, part: float) -> None:
        self._show("the journeys go on", 0.2 + 0.7 * part)

    def comparing(self) -> None:
        self._show("comparing with the street's record", 0.95)

    def done(self, result: dict[str, Any]) -> None:
        if self._json:
            print(json.dumps(result, indent=1))
            return
        self._bar.stop()
        from rich.console import Console
        from rich.table import Table

        table = Table(title="What truly happened, and what Homeward concluded", header_style="bold")
        for name in ("", "parcel", "what happened", "concluded", "attempts", "the shopper reads", "sent"):
            table.add_column(name, overflow="fold")
        for row in result["rows"]:
            truth, found = row["truth"], row["concluded"]
            table.add_row(
                "[green]ok[/]" if row["ok"] else "[red]NO[/]",
                f"{row['carrier']} {row['number'][-6:]}\n{row['journey']}\n({row['delivery']})",
                _short(truth),
                _short(found) if found else "nothing",
                f"{found.get('attempts', '-')} of {truth['attempts']}",
                row["shopper"],
                ", ".join(f"{name} x{count}" if count > 1 else name for name, count in sorted(row["sent"].items())),
            )
        console = Console()
        console.print(table)
        pages = result["pages"]
        for wrong in pages["wrong"]:
            console.print(f"[red]page[/] {wrong}")
        verdict = "every conclusion equals the street's record" if result["ok"] else "NOT every conclusion is right"
        console.print(
            f"{result['right']} of {result['parcels']} parcels right, {result['notices']} notices heard, "
            f"{len(result['said_twice'])} said twice; {pages['right']} of {pages['opened']} pages read right, of "
            f"{pages['states']} end states in two languages; {result['seconds']} s: {verdict}"
        )


def _short(state: dict[str, Any]) -> str:
    home = f"\nhome: {state['case'][0]}, {state['case'][1]}" if state["case"] else ""
    return f"{state['status']} ({state['leg']}){home}"
