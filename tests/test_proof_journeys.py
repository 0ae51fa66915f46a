"""The proof of journeys, a small share of it; and that the street's variants hold every row of the lists of facts."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from carriers.contract import Payload, Readings
from proof import journeys
from proof.feeds import Feeds, feed, shipment
from proof.journeys import run
from street.journeys import UPS, USPS
from street.telling import Delivery
from street.variants import Variant, variants

FACTS = Path(__file__).resolve().parents[2] / "shared" / "facts"
needs_facts = pytest.mark.skipif(not FACTS.exists(), reason="FACTS SKIPPED: no tables of codes in ../shared/facts")
MEANINGS = {
    "attempt_failed", "refused", "bad_address", "unclaimed", "returning_to_sender", "returned_to_sender",
    "available_for_pickup", "delivered_to_access_point", "delivered",
}  # fmt: skip


async def test_a_share_of_the_journeys_is_concluded_as_the_street_knows_it() -> None:
    """2,000 parcels of both carriers, every row of their tables among them: none wrong."""
    result = await run(parcels=2000, seed=20260302, processes=2)
    assert result["wrong_parcels"] == []
    assert result["rows_missing"] == []
    assert result["held"] and result["parcels"] == 2000
    for carrier, least in (("ups", 300), ("usps", 80)):
        assert sum(each["occurred"] for each in result["rows"][carrier].values()) > least


def test_a_wrong_reading_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof fails where one row is read as another: a notice left on the way, say."""

    class Deaf:
        def read(self, payload: Payload) -> Readings:
            told = journeys.ups.read(payload)
            return msgspec.structs.replace(told, events=tuple(e for e in told.events if e.code != "X/YD"))

    monkeypatch.setitem(journeys.READS, "ups", Deaf())
    assert {each["journey"].partition("~")[2] for each in journeys.walk(1, 0, 40).wrong} == {"miss:X/YD/013"}


@pytest.mark.parametrize("carrier", [UPS, USPS])
def test_a_payload_of_the_proof_is_the_carriers_answer_to_the_byte(carrier: str) -> None:
    """What the proof reads is what the stand-in's own door answers: a poll of all that happened, and each push."""
    feeds = Feeds()
    parcel = feeds.town.create(carrier, "three_attempts_home", delivery=Delivery.DOUBLED)
    payload = feeds.poll(carrier, [parcel.number], parcel.telling.ends_at)
    assert payload.status == 200 and payload.body.count(b"ventTimestamp" if carrier == USPS else b"gmtDate") == len(
        parcel.telling.scans
    )
    assert feeds.poll(carrier, ["1Z999AA10123456784"], parcel.starts_at).status in (200, 404)
    payloads = feed(feeds, parcel, Random(1))
    assert {each.source for each in payloads} == {"poll", "push"}
    assert shipment(parcel, places=True).origin.is_same(shipment(parcel, places=False).warehouse)


def rows(file: str) -> Iterator[dict[str, str]]:
    with (FACTS / file).open(encoding="utf-8") as table:
        yield from csv.DictReader(table)


def told(carrier: str) -> list[Variant]:
    return [each for each in variants() if each.carrier == carrier]


@needs_facts
def test_every_row_of_ups_is_told_in_some_journey() -> None:
    """Every attempt, final, returning, hold and delivered code, status and text pattern of the facts."""
    said = {each.saying[:2] for each in told(UPS)}
    statuses = {each.saying[2] for each in told(UPS)}
    missing = []
    for row in rows("ups_codes.csv"):
        key = (row["status_type"].removeprefix("MI:"), row["code"])
        if row["meaning"] not in MEANINGS or row["source"] == "type":  # a type letter alone proves nothing
            continue
        if (row["code"] not in statuses) if row["source"] == "current_status" else (key not in said):
            missing.append(key)
    for row in rows("ups_text_patterns.csv"):
        pattern = re.compile(row["regex"], re.IGNORECASE)
        if row["meaning"] in MEANINGS and not any(pattern.search(v.saying[3]) for v in told(UPS) if not v.saying[1]):
            missing.append(("text", row["regex"]))
    assert missing == []


@needs_facts
def test_every_row_of_usps_is_told_in_some_journey() -> None:
    """Every attempt, final, returning, hold and delivered row of the facts, by code and by words."""
    said = {each.saying[:2] for each in told(USPS)}
    wanted = {(row["event_code"], row["event_text"]) for row in rows("usps_codes.csv") if row["meaning"] in MEANINGS}
    assert wanted - said == set()


@needs_facts
def test_an_ordinal_in_the_facts_is_the_visit_at_which_the_street_says_it() -> None:
    """A first, second or last visit is told with the codes that state it, and no other is."""
    ordinal = {"miss_first": "1", "miss_second": "2", "miss_final": "final", "miss": ""}
    stated = {
        (row["status_type"].removeprefix("MI:"), row["code"]): row["attempt_number"]
        for row in rows("ups_codes.csv")
        if row["meaning"] == "attempt_failed" and row["source"] == "status_code"
    }
    seen = [(v.saying[:2], ordinal[v.word]) for v in told(UPS) if v.word in ordinal and v.saying[:2] in stated]
    assert len(seen) > 40
    assert [(key, said) for key, said in seen if stated[key] != said] == []
