"""Whether the process answers, whether it can do its work, and its figures."""

import asyncio
from contextlib import suppress
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.figures import FIGURES
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Told, example
from store.engine import StoreError, Tx
from store.settings import put_setting

PATIENCE = 5.0  # seconds for the database to take one row


class HealthOut(Told):
    """The process answers."""

    model_config = Told.model_config | example({"status": "ok"})

    status: str = "ok"


class ReadyOut(Told):
    """It can do its work: the database takes writes, its schema is ours, and every loop ran lately."""

    model_config = Told.model_config | example(
        {"status": "ready", "checks": {"database": "ok", "schema": "ok", "loop:polling": "ok"}}
    )

    status: str
    checks: dict[str, str]


async def healthz(call: Call[Nothing, Nothing]) -> Answer:
    """GET /healthz"""
    return Answer(HealthOut())


async def readyz(call: Call[Nothing, Nothing]) -> Answer:
    """GET /readyz: 503 with the first thing that fails."""
    checks = {"database": await _database(call), "schema": await _schema(call)}
    checks |= {f"loop:{name}": "ok" if alive else "silent" for name, alive in call.house.alive().items()}
    if call.house.leaving():
        checks["doors"] = "about to close"
    if wrong := [f"{name} is {found}" for name, found in checks.items() if found != "ok"]:
        raise Problem("not_ready", "; ".join(wrong), headers={"Retry-After": "5"})
    return Answer(ReadyOut(status="ready", checks=checks))


async def _database(call: Call[Any, Any]) -> str:
    async def unit(tx: Tx) -> None:
        await put_setting(tx, "ready", call.request_id)

    try:
        async with asyncio.timeout(PATIENCE):
            await call.house.store.write(unit)
    except (StoreError, TimeoutError, OSError) as error:
        return f"not writable ({type(error).__name__})"
    return "ok"


async def _schema(call: Call[Any, Any]) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            schema = await call.house.schema()
    except (StoreError, TimeoutError, OSError) as error:
        return f"not to be found out ({type(error).__name__})"
    return "ok" if schema.is_current else f"at {schema.found or 'nothing'} and wanted at {schema.wanted}"


async def metrics(call: Call[Nothing, Nothing]) -> Answer:
    """GET /metrics: what the doors count, and what the database holds where it can be asked."""
    with suppress(StoreError, TimeoutError, OSError):
        async with asyncio.timeout(PATIENCE):
            await call.request.app[FIGURES].refresh()
    return Answer(generate_latest(call.house.registry), content_type=CONTENT_TYPE_LATEST)
