"""Tries an endpoint out: one notice of an alert that is none, to it alone, signed and tried like any other."""

from datetime import datetime
from uuid import uuid4

from fleet.clocks import text
from store import endpoints as shelf
from store import outbox
from store.endpoints import EndpointId
from store.engine import Store, Tx
from webhooks.outbound import RealNow

SUBJECT = "alert:0"


async def try_out(store: Store, endpoint_id: EndpointId, real_now: RealNow, at: datetime) -> bool:
    """Owe an endpoint a notice that asks whether it works; False when there is no such endpoint."""
    name = f"trial/{uuid4()}"
    alert = {
        "id": 0,
        "key": "trial",
        "rung": "trial",
        "severity": "info",
        "title": "Somebody asked whether this endpoint works",
        "action": "Nothing: it does",
        "count": 1,
        "opened_at": text(at),
        "cleared_at": None,
    }

    async def unit(tx: Tx) -> bool:
        if await shelf.find_endpoint(tx, endpoint_id) is None:
            return False
        data = {"alert": alert, "merchant": "", "carrier": ""}
        await outbox.say(tx, subject=SUBJECT, name=name, type="alert.raised", at=at, data=data)
        row = await outbox.find_said(tx, SUBJECT, name)
        assert row is not None
        await outbox.spread(tx, row, real_now())
        await outbox.alerted(tx, row, at)
        return await shelf.owe(tx, endpoint_id, row, real_now())

    return await store.write(unit)
