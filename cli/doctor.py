"""`homeward doctor`: settings, disk, clock, database, terms, mail, who is told, carriers; each with what to do."""

import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from carriers.contract import CarrierError, Check
from cli.control import Unable, ask
from cli.doctor_notices import Standing, look, notices, standing_of
from cli.settings import Misconfigured, Settings, sealing_key
from cli.wiring import carrier_names, environment_of, has_credentials, open_carriers, read_budgets, read_terms
from merchants.terms import TermsError
from returns.postbox import Undelivered
from store.engine import StoreError, open_store
from store.migrate import check

ENOUGH_DISK = 1 << 30
_SOUND_SQLITE = (3, 51, 3)


async def examine(settings: Settings, only: str = "") -> list[Check]:
    """Every check, in the order in which they matter. With `only`, that carrier's alone."""
    checks = [] if only else [c async for c in _house(settings)]
    return checks + [c async for c in _carriers(settings, only)]


async def _house(settings: Settings) -> AsyncIterator[Check]:
    settings.data.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data).free
    enough = free > ENOUGH_DISK
    yield Check(
        "disk", enough, f"{free >> 20} MiB free" + ("" if enough else ": free some, purchases stop without space")
    )
    try:
        sealing_key(settings)
        yield Check(
            "sealing key", True, "HOMEWARD_KEY" if settings.key.get_secret_value() else "in the data folder: back it up"
        )
    except (Misconfigured, OSError) as error:
        yield Check("sealing key", False, str(error))
    year = datetime.now(UTC).year
    sane = 2025 < year < 2100 and abs(time.time() - datetime.now(UTC).timestamp()) < 1
    yield Check("clock", sane, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    try:
        schema = await check(settings.database)
        detail = (
            "current"
            if schema.is_current
            else f"at {schema.found or 'nothing'}: homeward serve or migrate brings it up"
        )
        yield Check("database", True, detail)
    except (StoreError, OSError) as error:
        yield Check("database", False, str(error))
    sound = sqlite3.sqlite_version_info >= _SOUND_SQLITE
    # source: facts/stack.md: 3.7.0 to 3.51.2 can corrupt when two connections write or checkpoint at once
    yield Check(
        "sqlite",
        True,
        sqlite3.sqlite_version + ("" if sound else ": safe here, one connection alone writes and checkpoints"),
    )
    try:
        shelf = read_terms(settings)
        yield Check("terms", True, ", ".join(f"{name} ({len(versions)})" for name, versions in shelf.items()))
    except (TermsError, Misconfigured) as error:
        yield Check("terms", False, str(error))
    yield await _mail(settings)
    async for line in _notices(settings):
        yield line


async def _notices(settings: Settings) -> AsyncIterator[Check]:
    """Channels and endpoints: as the running service knows them, or as the database does when none runs."""
    try:
        found = await _standing(settings)
    except (StoreError, Unable, OSError) as error:
        yield Check("notices", False, str(error))
        found = Standing()
    async for line in notices(settings, found):
        yield line


async def _standing(settings: Settings) -> Standing:
    if answer := await ask(settings, {"do": "doctor.look"}):
        return standing_of(answer)
    if not (await check(settings.database)).is_current:
        return Standing()  # nothing was said yet, or a migration comes first: the doctor changes nothing
    store = await open_store(settings.database)
    try:
        return standing_of(await look(store))
    finally:
        await store.close()


async def _mail(settings: Settings) -> Check:
    """Whether the mail server is there and lets us in; nothing is sent."""
    if settings.postbox is None:
        half = bool(settings.smtp_url.get_secret_value()) != bool(settings.mail_from)
        what = "HOMEWARD_SMTP_URL and HOMEWARD_MAIL_FROM belong together" if half else "none: no label is mailed"
        return Check("mail", not half, what)
    try:
        await settings.postbox.knock()
    except Undelivered as error:
        return Check("mail", False, f"{settings.postbox.host}: {error.why}")
    return Check("mail", True, f"{settings.postbox.host} lets us in")


async def _carriers(settings: Settings, only: str) -> AsyncIterator[Check]:
    env = environment_of(settings)
    if not has_credentials(env):
        missing = "no UPS_* or USPS_* credentials: homeward serve rehearses on the simulated street"
        yield Check("carriers", not only, missing)
        return
    names = [only] if only else carrier_names(settings, env)
    for name in names:
        try:
            carrier = open_carriers([name], env, read_budgets("off", [name]))[name]
        except Misconfigured as error:
            yield Check(f"{name} settings", False, str(error))
            continue
        try:
            for found in await carrier.check():
                yield Check(f"{name} {found.name}", found.ok, found.detail)
        except CarrierError as error:
            yield Check(f"{name} credentials", False, str(error))
        finally:
            await carrier.aclose()
