"""The `homeward` command: every verb, each importing what it needs only when it is called."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="homeward",
    help="Carrier tracking and returns for an online shop: UPS and USPS, by push and by poll.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 120},
    rich_markup_mode=None,  # frames around the help would cost half of the time that it takes
)
keys_app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)
terms_app = typer.Typer(help="The shops' terms.", no_args_is_help=True)
labels_app = typer.Typer(help="Labels: what was bought and paid, and the switch.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(labels_app, name="labels")
app.add_typer(terms_app, name="terms")
webhooks_app = typer.Typer(help="Where notices go: endpoints, deliveries, replay.", no_args_is_help=True)
app.add_typer(webhooks_app, name="webhooks")
alerts_app = typer.Typer(help="What ops must see: open alerts, who is told, mutes.", no_args_is_help=True)
app.add_typer(alerts_app, name="alerts")

unidentified_app = typer.Typer(help="Parcels that came home and nobody knows whose.", no_args_is_help=True)
app.add_typer(unidentified_app, name="unidentified")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.")]
Data = Annotated[Path | None, typer.Option(help="Folder for the database and the key.")]


def _settings(**given: object) -> Any:
    from cli.settings import Misconfigured, environment, read_settings

    try:
        return read_settings(environment(), **given)
    except Misconfigured as error:
        _fail(str(error))


def _fail(message: str, code: int = 2) -> Any:
    typer.echo(f"homeward: {message}", err=True)
    raise typer.Exit(code)


def _serve(role: str, **given: object) -> None:
    import asyncio

    from cli.serving import serve
    from cli.settings import Misconfigured
    from merchants.terms import TermsError
    from store.engine import StoreError

    try:
        asyncio.run(serve(_settings(**given), role))
    except (Misconfigured, StoreError, TermsError) as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.strerror or error}: is another homeward running? Try another port: PORT=8090 make run", 1)


@app.command()
def serve(
    port: Port = None,
    data: Data = None,
    street_url: Annotated[str | None, typer.Option(help="A simulated street that already runs.")] = None,
    clock: Annotated[str | None, typer.Option(help="Story clock START@SPEED@ANCHOR.")] = None,
) -> None:
    """Serve everything in one process: pages, API, webhooks and the work loop."""
    _serve("serve", port=port, data=data, street_url=street_url, clock=clock)


@app.command()
def web(port: Port = None, data: Data = None) -> None:
    """Serve the pages, the API and the inbound webhooks only (beside `homeward work`, on one PostgreSQL)."""
    _serve("web", port=port, data=data)


@app.command()
def work(data: Data = None) -> None:
    """Run the work loop only: polls, readings, notices, alerts, subscriptions."""
    _serve("work", data=data)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8081,
    clock: Annotated[str, typer.Option(help="Story clock START@SPEED@ANCHOR.")] = "",
    ledger: Annotated[Path | None, typer.Option(help="File for the street's own ledger (JSON lines).")] = None,
) -> None:
    """Serve the simulated street: stand-ins of UPS and USPS, scripted journeys, faults."""
    import asyncio

    from cli.serving import sandbox as run

    try:
        asyncio.run(run(port, clock, ledger))
    except ValueError as error:
        _fail(str(error))


@app.command()
def demo(
    as_json: Json = False,
    speed: Annotated[float, typer.Option(help="Story seconds in a real second.")] = 0.0,
    only: Annotated[str, typer.Option(help="Only journeys whose name contains this.")] = "",
) -> None:
    """Play every journey through the real service and compare each conclusion with the street's own record."""
    import asyncio

    from cli.demo import play

    raise typer.Exit(asyncio.run(play(as_json=as_json, speed=speed, only=only)))


@app.command()
def migrate(as_json: Json = False, data: Data = None) -> None:
    """Bring the database to this version's schema."""
    import asyncio

    from store.engine import StoreError
    from store.migrate import migrate as run

    settings = _settings(data=data)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(run(settings.database))
    except StoreError as error:
        _fail(str(error), 1)
    if as_json:
        typer.echo(json.dumps({"found": found.found, "revision": found.wanted, "migrated": not found.is_current}))
        return
    typer.echo(
        "already current"
        if found.is_current
        else f"migrated from {found.found or 'an empty database'} to {found.wanted}"
    )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Copy the whole database to a file, while the service runs. The sealing key is not in it."""
    from cli.backup import back_up

    _copy(back_up, file, as_json, data, "backed up to")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `homeward backup` wrote.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Put a backup in the place of the database (kept beside it). Then: homeward labels reconcile."""
    from cli.backup import restore as run

    _copy(run, file, as_json, data, "restored from")
    if not as_json:
        typer.echo("Labels that were bought since the backup: run `homeward labels reconcile` before you serve again.")


def _copy(work: Any, file: Path, as_json: bool, data: Path | None, words: str) -> None:
    from store.engine import StoreError

    try:
        done = work(_settings(data=data).database, file)
    except (StoreError, OSError) as error:
        _fail(str(error), 1)
    told = {"file": str(done.path), "bytes": done.size, "revision": done.revision}
    typer.echo(json.dumps(told) if as_json else f"{words} {done.path} ({done.size:,} bytes, schema {done.revision})")


@app.command()
def doctor(
    carrier: Annotated[str, typer.Option(help="Only this carrier.")] = "", as_json: Json = False, data: Data = None
) -> None:
    """Check settings, disk, clock, database, terms, mail, channels, endpoints and carriers; say what is missing."""
    import asyncio

    from cli.doctor import examine

    checks = asyncio.run(examine(_settings(data=data), carrier))
    if as_json:
        typer.echo(json.dumps([{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks], indent=2))
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<28} {check.detail}")
    raise typer.Exit(0 if all(c.ok for c in checks) else 1)


@app.command()
def explain(
    files: Annotated[list[str], typer.Argument(help="Raw carrier payloads, in any order; - for standard input.")],
    carrier: Annotated[str, typer.Option(help="ups or usps.")],
    terms: Annotated[
        str, typer.Option(help="Terms by name or .toml file; default: the carrier's shipped example.")
    ] = "",
    purpose: Annotated[str, typer.Option(help="order, return, resend or exchange.")] = "order",
    now: Annotated[str, typer.Option(help="RFC 3339 instant to judge at; default: now.")] = "",
    as_json: Json = False,
) -> None:
    """Say what the service would conclude from raw carrier payloads, and why. No database, no network."""
    from cli.explaining import Usage, lines
    from cli.explaining import explain as run
    from merchants.terms import TermsError

    try:
        at = datetime.fromisoformat(now) if now else datetime.now(UTC)
        if at.tzinfo is None:
            raise ValueError
    except ValueError:
        _fail(f"--now: expected an RFC 3339 instant such as 2026-03-05T12:00:00Z, found {now!r}")
    try:
        answer = run(carrier, files, terms=terms, purpose=purpose, now=at)
    except (Usage, TermsError) as error:
        _fail(str(error))
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(answer)))
    raise typer.Exit(1 if answer["unread"] else 0)


@app.command()
def track(carrier: str, number: str, as_json: Json = False, data: Data = None) -> None:
    """Ask a carrier about one number now, and say what follows. Nothing is stored."""
    import asyncio

    from carriers.contract import CarrierError
    from cli.explaining import Usage, lines
    from cli.settings import Misconfigured
    from cli.tracking import ask

    try:
        answer = asyncio.run(ask(_settings(data=data), carrier, number))
    except (Usage, Misconfigured) as error:
        _fail(str(error))
    except CarrierError as error:
        _fail(f"{carrier}: {error}", 1)
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    typer.echo("\n".join([*answer["story"], "", *lines(answer)]))


@app.command()
def story(
    what: Annotated[str, typer.Argument(help="order or return.")],
    number: Annotated[str, typer.Argument(help="Its number.")],
    merchant: Annotated[str, typer.Option(help="The shop, where several have an order of this number.")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Tell one order's or one return's story in English, sentence by sentence."""
    if what not in ("order", "return"):
        _fail(f"expected order or return, found {what!r}")
    _call({"do": f"story.{what}", "number": number, "merchant": merchant}, as_json, data)


@app.command()
def replay(
    carrier: Annotated[str, typer.Argument(help="Only this carrier's parcel ...")] = "",
    number: Annotated[str, typer.Argument(help="... with this number.")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Conclude anew from the kept bytes with today's tables; what changes is announced as a correction."""
    _call({"do": "ledger.replay", "carrier": carrier, "number": number}, as_json, data)


@app.command()
def codes(as_json: Json = False, data: Data = None) -> None:
    """List the carrier codes that nobody knows, with how often they came and a sample."""
    _call({"do": "ledger.codes"}, as_json, data)


@app.command()
def erase(
    number: Annotated[str, typer.Argument(help="An order's or a return's number.")],
    merchant: Annotated[str, typer.Option(help="The shop, where several have an order of this number.")] = "",
    is_return: Annotated[bool, typer.Option("--return", help="It is a return's number.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Erase the personal data of an order (with its returns) or of a return; numbers and money stay."""
    what = "erase.return" if is_return else "erase.order"
    _call({"do": what, "number": number, "merchant": merchant}, as_json, data)


@app.command()
def export(
    kind: Annotated[str, typer.Argument(help="orders, parcels, attempts, returns, money or notices.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV for a spreadsheet; default: one JSON object a line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as without it.")] = False,
    data: Data = None,
) -> None:
    """Write everything of a kind, without anybody's personal data."""
    import asyncio

    from cli.control import Unable, ask_or_do
    from cli.exporting import write

    settings = _settings(data=data)

    def ask(after: int) -> dict[str, Any]:
        return asyncio.run(ask_or_do(settings, {"do": "export.page", "kind": kind, "after": after}))

    def said(count: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{count} lines", err=True, nl=False)

    try:
        count = write(ask, out, as_csv and not as_json, said)
    except Unable as error:
        _fail(str(error), 1)
    typer.echo(f"{count} lines", err=True)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="A bench, or all; without it, the list.")] = "",
    minutes: Annotated[float, typer.Option(help="How long `memory` watches; 0: its own time.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Measure a path of this installation against the floor beneath it."""
    from cli.bench import NoBench, measure, names

    if not name:
        found = names()
        lines = [f"{each:<10} {what}" for each, what in found.items()]
        typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(lines))
        return
    try:
        measure(name, as_json, minutes)
    except NoBench as error:
        _fail(str(error))


@keys_app.command("make")
def keys_make(
    name: str,
    scopes: Annotated[str, typer.Option(help="Scopes separated by commas; empty: all of them.")] = "",
    days: Annotated[int, typer.Option(min=0, help="Days until it ends by itself; 0: only when it is revoked.")] = 0,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make an API key and print it once."""
    call = {"do": "make", "name": name, "scopes": [s for s in scopes.split(",") if s], "days": days}
    _call(call, as_json, data)


@keys_app.command("list")
def keys_list(as_json: Json = False, data: Data = None) -> None:
    """List the API keys, without the keys themselves."""
    _call({"do": "list"}, as_json, data)


@keys_app.command("revoke")
def keys_revoke(id: int, as_json: Json = False, data: Data = None) -> None:
    """Revoke an API key by its id."""
    _call({"do": "revoke", "id": id}, as_json, data)


@labels_app.command("reconcile")
def labels_reconcile(as_json: Json = False, data: Data = None) -> None:
    """Ask the carriers what they hold, settle what can be settled, and show every purchase, label and line of money."""
    _call({"do": "labels.reconcile"}, as_json, data)


@labels_app.command("stop")
def labels_stop(
    why: Annotated[str, typer.Option(help="Why: everybody who asks is told.")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Buy nothing from now on, also after a restart, until `homeward labels start`."""
    _call({"do": "labels.stop", "why": why}, as_json, data)


@labels_app.command("start")
def labels_start(as_json: Json = False, data: Data = None) -> None:
    """Let buying go on."""
    _call({"do": "labels.start"}, as_json, data)


@labels_app.command("accept")
def labels_accept(carrier: str, number: str, as_json: Json = False, data: Data = None) -> None:
    """Hand over a label that was held because it was not what was meant."""
    _call({"do": "labels.accept", "carrier": carrier, "number": number}, as_json, data)


@labels_app.command("void")
def labels_void(carrier: str, number: str, as_json: Json = False, data: Data = None) -> None:
    """Void a label that is held, or one too many."""
    _call({"do": "labels.void", "carrier": carrier, "number": number}, as_json, data)


@labels_app.command("refunded")
def labels_refunded(
    carrier: str,
    number: str,
    amount: Annotated[str, typer.Argument(help="What came back; 0 where the carrier refused.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Settle a price that was asked back, as the carrier's bill shows it."""
    _call({"do": "labels.refunded", "carrier": carrier, "number": number, "amount": amount}, as_json, data)


@labels_app.command("close")
def labels_close(
    id: str,
    why: Annotated[str, typer.Option(help="What was found at the carrier.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """End a purchase that waits for a person: the carrier was looked at, and nothing was bought."""
    _call({"do": "labels.close", "id": id, "why": why}, as_json, data)


@labels_app.command("retry")
def labels_retry(id: str, as_json: Json = False, data: Data = None) -> None:
    """Let a purchase that waits for a person be looked for and sent again, with the same bytes."""
    _call({"do": "labels.retry", "id": id}, as_json, data)


@labels_app.command("prove")
def labels_prove(carrier: str, as_json: Json = False, data: Data = None) -> None:
    """SPENDS: buy one label, send the same bytes again, and remember whether the carrier knew our key."""
    _call({"do": "labels.prove", "carrier": carrier}, as_json, data)


@webhooks_app.command("list")
def webhooks_list(as_json: Json = False, data: Data = None) -> None:
    """List the endpoints: state, since when nothing arrives, what is owed to each."""
    _call({"do": "webhooks.list"}, as_json, data)


@webhooks_app.command("replay")
def webhooks_replay(
    endpoint: Annotated[int, typer.Argument(help="The endpoint's id, as `homeward webhooks list` shows it.")],
    since: Annotated[str, typer.Option(help="Everything said since this RFC 3339 instant.")] = "",
    id: Annotated[str, typer.Option("--id", help="One notice, by its webhook-id (msg_...).")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Send notices again, under the same ids and with the same bytes."""
    if bool(since) == bool(id):
        _fail("either --since or --id is expected")
    _call({"do": "webhooks.replay", "endpoint": endpoint, "since": since, "id": id}, as_json, data)


@webhooks_app.command("resume")
def webhooks_resume(endpoint: int, as_json: Json = False, data: Data = None) -> None:
    """Send to a paused or disabled endpoint again: everything that was held goes out at once."""
    _call({"do": "webhooks.resume", "endpoint": endpoint}, as_json, data)


@alerts_app.command("list")
def alerts_list(as_json: Json = False, data: Data = None) -> None:
    """List the open alerts with what to do next."""
    _call({"do": "alerts.list"}, as_json, data)


@alerts_app.command("ack")
def alerts_ack(
    id: int, by: Annotated[str, typer.Option(help="Who has seen it.")] = "", as_json: Json = False, data: Data = None
) -> None:
    """Say that somebody has seen an alert."""
    _call({"do": "alerts.ack", "id": id, "by": by}, as_json, data)


@alerts_app.command("channels")
def alerts_channels(as_json: Json = False, data: Data = None) -> None:
    """List where ops are told, and what waits to be told there."""
    _call({"do": "alerts.channels"}, as_json, data)


@alerts_app.command("test")
def alerts_test(
    channel: Annotated[str, typer.Argument(help="A channel's name, or endpoint:ID; without it, every one.")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Tell a channel that somebody asked whether it works; exit code 1 when one does not."""
    _call({"do": "alerts.test", "channel": channel}, as_json, data)


@alerts_app.command("mutes")
def alerts_mutes(as_json: Json = False, data: Data = None) -> None:
    """List what nobody hears of now."""
    _call({"do": "alerts.mutes"}, as_json, data)


@alerts_app.command("mute")
def alerts_mute(
    pattern: Annotated[str, typer.Argument(help="An alert's key, or a pattern: 'carrier:ups/*'.")],
    until: Annotated[str, typer.Option(help="8h, 3d, 1w, or an RFC 3339 instant.")],
    why: Annotated[str, typer.Option(help="Why.")] = "",
    by: Annotated[str, typer.Option(help="Who says so.")] = "command line",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Let alerts be silent until a time. They are kept and shown; what is still open then is told then."""
    _call({"do": "alerts.mute", "pattern": pattern, "until": until, "by": by, "why": why}, as_json, data)


@alerts_app.command("unmute")
def alerts_unmute(id: int, as_json: Json = False, data: Data = None) -> None:
    """Hear muted alerts again."""
    _call({"do": "alerts.unmute", "id": id}, as_json, data)


@unidentified_app.command("list")
def unidentified_list(
    q: Annotated[str, typer.Argument(help="A number, an order number, or the name on the box.")] = "",
    state: Annotated[str, typer.Option(help="open, matched, dismissed or all.")] = "open",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """List what waits, with what each may be and why."""
    _call({"do": "unidentified.list", "q": q, "state": state}, as_json, data)


@unidentified_app.command("add")
def unidentified_add(
    number: Annotated[str, typer.Argument(help="The number on the box; without one, leave it out.")] = "",
    carrier: Annotated[str, typer.Option(help="ups, usps or another; empty: whoever knows the number.")] = "",
    merchant: Annotated[str, typer.Option(help="The shop.")] = "",
    order: Annotated[str, typer.Option(help="The order number on the box.")] = "",
    name: Annotated[str, typer.Option(help="The name on the box: kept sealed.")] = "",
    account: Annotated[str, typer.Option(help="The account that is charged.")] = "",
    note: Annotated[str, typer.Option(help="A note.")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Key in a box that nobody knows: it is matched where that is sure, else it waits."""
    box = {"carrier": carrier, "number": number, "merchant": merchant, "order_number": order, "name": name}
    _call({"do": "unidentified.add", "box": box | {"account": account, "note": note}}, as_json, data)


@unidentified_app.command("match")
def unidentified_match(
    id: int,
    return_number: Annotated[str, typer.Option("--return", help="It is this return's ...")] = "",
    parcel: Annotated[tuple[str, str], typer.Option(help="... or this parcel's way home: CARRIER NUMBER.")] = ("", ""),
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say whose it is: it is followed from now on, and told."""
    if bool(return_number) == bool(parcel[1]):
        _fail("either --return NUMBER or --parcel CARRIER NUMBER is expected")
    call = {"do": "unidentified.match", "id": id, "return": return_number, "carrier": parcel[0], "number": parcel[1]}
    _call(call, as_json, data)


@unidentified_app.command("dismiss")
def unidentified_dismiss(
    id: int, why: Annotated[str, typer.Option(help="Why.")] = "", as_json: Json = False, data: Data = None
) -> None:
    """Say that it is nobody's here."""
    _call({"do": "unidentified.dismiss", "id": id, "why": why}, as_json, data)


def _call(call: dict[str, Any], as_json: bool, data: Path | None) -> None:
    import asyncio

    from cli.control import Unable, ask_or_do

    try:
        answer = asyncio.run(ask_or_do(_settings(data=data), call))
    except Unable as error:
        _fail(str(error), 1)
    typer.echo(json.dumps(answer, indent=2) if as_json else "\n".join(answer["lines"]))


@terms_app.command("check")
def terms_check(
    files: Annotated[list[Path] | None, typer.Argument(help="Terms files; default: those of the service.")] = None,
    as_json: Json = False,
) -> None:
    """Check terms files and say, key by key, what is wrong."""
    from cli.terms import checked

    found = checked(_settings().terms_folder, files or [])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    for each in () if as_json else found:
        if each["versions"]:
            typer.echo(f"{each['terms']}: {each.get('says') or ', '.join(each['versions'])}")
        for fault in each["faults"]:
            typer.echo(fault, err=True)
    raise typer.Exit(1 if any(each["faults"] for each in found) else 0)


@terms_app.command("diff")
def terms_diff(one: str, other: str, as_json: Json = False) -> None:
    """Show which terms differ between two versions (files or names)."""
    from cli.explaining import Usage
    from cli.terms import diff, terms_named
    from merchants.terms import TermsError

    try:
        found = diff(terms_named(_settings(), one), terms_named(_settings(), other))
    except (Usage, TermsError) as error:
        _fail(str(error))
    rows = [f"{each['key']}: {each['was']!r} -> {each['is']!r}" for each in found]
    typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(rows or ["no term differs"]))


@terms_app.command("simulate")
def terms_simulate(
    new: Annotated[str, typer.Argument(help="The new terms, a .toml file; without it, the terms in force.")] = "",
    codes: Annotated[str, typer.Option(help="A code table to try: CARRIER=FILE.csv, made like its codes.csv.")] = "",
    since: Annotated[str, typer.Option(help="Only parcels registered since this day.")] = "",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """List the parcels whose outcome would change under new terms, a new code table, or both. Changes nothing."""
    import asyncio

    from cli.explaining import Usage
    from cli.terms import what_if
    from merchants.terms import TermsError
    from store.engine import StoreError

    try:
        answer = asyncio.run(what_if(_settings(data=data), new, codes, since, as_json))
    except (Usage, TermsError) as error:
        _fail(str(error))
    except StoreError as error:
        _fail(str(error), 1)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    for change in answer["changes"]:
        typer.echo(f"{change['carrier']} {change['number']}")
        for name, (was, would) in change["differs"].items():
            typer.echo(f"  {name}: {was!r} -> {would!r}")
    under = " and ".join(each for each in (answer["terms"], answer["codes"]) if each)
    typer.echo(f"{answer['changed']} of {answer['parcels']} parcels would end otherwise under {under}")
    if answer["from_sightings"]:
        typer.echo(f"of {answer['from_sightings']} the bytes are gone: what was read then stands in")


def main() -> None:
    """Run the command; a broken pipe of the reader's is no failure of ours."""
    try:
        app()
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
