"""What the returns desk and the command line make of the brakes and of labels whose time is over."""

import asyncio
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from api.problems import CODES
from carriers.contract import LabelFormat
from cli.__main__ import app
from returns.desk import cancel
from returns.labels import purge_labels
from returns.showing import label_document
from spending.brakes import start, stop
from store.engine import open_store
from store.returns import find_return
from store.settings import get_setting
from tests.test_returns_desk import ASKED, SEALER, Shop
from tracker.orders import Declined


@pytest.fixture
async def shop(store):
    return await Shop(store).order()


async def test_a_stopped_till_declines_the_return_and_keeps_nothing_of_it(shop):
    """The caller gets a code with a status of its own; started again, the very same call goes through."""
    await stop(shop.store, "ann", "the carrier is odd", shop.at)
    declined = await shop.refused()
    assert declined.code == "buying_stopped" and "the carrier is odd" in declined.message
    assert CODES[declined.code].status == 503 and shop.seller.sent == []
    assert await shop.store.read(lambda tx: find_return(tx, "none")) is None
    await start(shop.store, "ann", shop.at)
    assert (await shop.register()).status == 201


async def test_the_bytes_of_a_label_are_served_until_thirty_days_after_its_return_ended(shop):
    """29 days after it was given up: the same bytes; 31 days: gone, the money line stays."""
    number = (await shop.register()).view["return_number"]
    await cancel(shop.till, number)
    for days, gone in ((29, 0), (2, 2)):
        shop.at += timedelta(days=days)
        assert await purge_labels(shop.till) == gone
        if not gone:
            assert (await label_document(shop.store, SEALER, number, LabelFormat.PDF)).body.startswith(b"%PDF-")
    with pytest.raises(Declined, match="there is no label"):
        await label_document(shop.store, SEALER, number, LabelFormat.PDF)
    assert await shop.view(number) is not None


async def test_a_return_that_is_not_over_keeps_its_label(shop):
    """However long it lasts."""
    number = (await shop.register(ASKED)).view["return_number"]
    shop.at += timedelta(days=400)
    assert await purge_labels(shop.till) == 0
    assert (await label_document(shop.store, SEALER, number, LabelFormat.PDF)).body


def test_the_command_line_stops_starts_and_reconciles(tmp_path):
    """`homeward labels stop|reconcile|start` without a running service; the switch is in the database."""
    data = ["--data", str(tmp_path)]
    run = CliRunner().invoke
    assert "buying is stopped" in run(app, ["labels", "stop", "--why", "a test", *data]).output

    async def switch():
        store = await open_store(f"sqlite:///{tmp_path / 'homeward.db'}")
        found = await store.read(lambda tx: get_setting(tx, "spending.stopped"))
        await store.close()
        return found

    assert json.loads(asyncio.run(switch()))["why"] == "a test"
    told = json.loads(run(app, ["labels", "reconcile", "--json", *data]).output)
    assert (told["asked"], told["money"], told["open"], told["odd_labels"]) == (0, [], [], [])
    assert "buying goes on" in run(app, ["labels", "start", *data]).output
    assert asyncio.run(switch()) is None
    assert run(app, ["labels", "accept", "ups", "1Z", *data]).exit_code == 1
