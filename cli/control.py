"""One writer: a command that writes hands its work to the running service, or opens the database itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from api.keys import SCOPES, issue
from cli.alerts import alerts_call
from cli.doctor_notices import doctor_call
from cli.erasing import erase_call
from cli.exporting import export_call
from cli.labels import labels_call
from cli.ledgering import ledger_call
from cli.settings import Settings, sealing_key
from cli.telling import story_call
from cli.unidentified import unidentified_call
from cli.webhooks import webhooks_call
from cli.wiring import Parts, environment_of, open_parts
from fleet.clocks import text
from store.engine import SQLITE, Store, open_store
from store.keys import list_keys, revoke_key
from store.migrate import migrate
from store.sealing import Sealer

SOCKET = "control.sock"
Room = Callable[[Parts, Mapping[str, Any]], Awaitable[dict[str, Any]]]
ROOMS: Mapping[str, Room] = {
    "labels": labels_call,
    "ledger": ledger_call,
    "webhooks": webhooks_call,
    "alerts": alerts_call,
    "export": export_call,
    "unidentified": unidentified_call,
    "story": story_call,
    "erase": erase_call,
    "doctor": doctor_call,
}
"""Commands that need carriers or the ledger, by the word before their dot."""
_LONGEST = 1 << 26


class Unable(Exception):
    """The call could not be done; the message says why."""


def socket_of(settings: Settings) -> Path:
    """Where the running service listens for commands: only its own user may enter the data folder's socket."""
    return settings.data / SOCKET


async def ask(settings: Settings, call: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer of the running service; None when none runs on this machine. Raises Unable."""
    path = socket_of(settings)
    if not settings.database.startswith(SQLITE) or not path.exists():
        return None
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST)
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)  # a service that was killed left it behind
        return None
    writer.write(json.dumps(dict(call)).encode() + b"\n")
    await writer.drain()
    answer = json.loads(await reader.readline())
    writer.close()
    return _checked(answer)


async def ask_or_do(settings: Settings, call: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the running service, or of this process when none runs. Raises Unable."""
    answer = await ask(settings, call)
    if answer is not None:
        return answer
    settings.data.mkdir(parents=True, exist_ok=True)
    if room := _room(call):
        async with open_parts(settings, environment_of(settings)) as parts:
            return _checked(await room(parts, call))
    await migrate(settings.database)
    store = await open_store(settings.database)
    try:
        return _checked(await do(store, Sealer(sealing_key(settings)), call))
    finally:
        await store.close()


def _room(call: Mapping[str, Any]) -> Room | None:
    return ROOMS.get(str(call.get("do")).partition(".")[0]) if "." in str(call.get("do")) else None


async def listen(path: Path, parts: Parts) -> asyncio.AbstractServer:
    """Serve commands on the socket until closed. One line in, one line out."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            call = json.loads(await asyncio.wait_for(reader.readline(), 10))
            if room := _room(call):
                answer = await room(parts, call)
            else:
                answer = await do(parts.store, parts.sealer, call)
        except (ValueError, TimeoutError) as error:
            answer = {"error": f"not understood: {error}"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(one, path=str(path), limit=_LONGEST)
    path.chmod(0o600)
    return server


async def do(store: Store, sealer: Sealer, call: Mapping[str, Any]) -> dict[str, Any]:
    """One command."""
    now = datetime.now(UTC)
    match call:
        case {"do": "make", "name": str(name), "scopes": list(scopes)}:
            wanted, days = scopes or list(SCOPES), int(call.get("days") or 0)
            expires = now + timedelta(days=days) if days > 0 else None
            try:
                key = await store.write(lambda tx: issue(tx, sealer, name=name, scopes=wanted, at=now, expires=expires))
            except ValueError as error:
                return {"error": str(error)}
            ends = text(expires) if expires else None
            until = f" It ends at {ends}." if ends else ""
            return {"key": key, "expires_at": ends, "lines": [key, f"Keep it: it is shown only now.{until}"]}
        case {"do": "list"}:
            keys = await store.read(list_keys)
            rows: list[dict[str, Any]] = [
                {
                    "id": key.id,
                    "name": key.name,
                    "hint": key.hint,
                    "scopes": sorted(key.scopes),
                    "created_at": text(key.created_at),
                    "revoked": key.revoked_at is not None,
                    "expires_at": text(key.expires_at) if key.expires_at else None,
                }
                for key in keys
            ]
            lines = [
                f"{r['id']:>4}  {r['hint']}...  {r['name']:<20} {'revoked' if r['revoked'] else ', '.join(r['scopes'])}"
                + (f"  until {r['expires_at']}" if r["expires_at"] else "")
                for r in rows
            ]
            return {"keys": rows, "lines": lines or ["no keys"]}
        case {"do": "revoke", "id": int(id)}:
            if not await store.write(lambda tx: revoke_key(tx, id, now)):
                return {"error": f"no live key {id}"}
            return {"revoked": id, "lines": [f"key {id} is revoked"]}
        case _:
            return {"error": f"no command {call.get('do')!r}"}


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise Unable(answer["error"])
    return answer
