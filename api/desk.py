"""The calls behind the ops desk: what is at risk, comes back, waits, is unknown or silent, and figures of all that."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from pydantic import Field

from api.cursors import NO_ROW, Paged, cursor_at, row_of
from api.house import House
from api.parcels import ParcelLine, parcel_line, recognised_at
from api.problems import Problem
from api.route import Answer, Call, Nothing
from api.shapes import Instant, Told, example
from fleet.clocks import from_us, to_us
from merchants.calendars import business_days_between
from merchants.terms import terms_on
from store.desk import at_risk, cases, failed_attempts, homecomings, newest_payload_us, waiting_returns
from store.engine import Row, Tx
from store.parcels import find_parcel, freshness
from store.payloads import list_unknown_codes, payloads_mentioning
from store.purchases import open_purchases
from store.settings import get_setting

MOST = 200
FIGURES = timedelta(days=30)
ATTEMPTS_READ = 20_000
MOST_CALLS = 1_000_000

# ---------------------------------------------------------------------------------------------------------- what to do

_RISKS = {
    "attempt_failed": "Reach the customer before the next delivery day: correct the address or redirect the parcel.",
    "available_for_pickup": "Remind the customer to collect it before the date runs out.",
    "on_hold": "Ask the carrier what holds it: papers, damage or an address.",
    "undeliverable": "Reach the customer; settle whether it is sent again or refunded once it is back.",
}
_CASES = {
    "expected": "See that the carrier turns it round: ask for it where that is possible. Tell the customer.",
    "requested": "Wait for the first return scan; ask the carrier when none comes within two days.",
    "left_to_carrier": "Follow the link to the carrier and ask for its return there, or wait for the carrier's own.",
    "under_way": "Nothing until it arrives; then settle refund, credit or a new parcel.",
    "arrived": "Confirm the receipt and settle refund, credit or a new parcel.",
    "cancelled": "Nothing: it was delivered after all.",
}
_PURCHASES = {
    "PLANNED": "Nothing: it is sent by itself.",
    "SENDING": "Nothing: its answer is awaited.",
    "UNKNOWN": "It is looked up by itself. After an hour: look at the carrier by its reference.",
    "NEEDS_HUMAN": "Look at the carrier by its reference; then homeward labels retry or close.",
}


# ---------------------------------------------------------------------------------------------------------------- told

_LINE: dict[str, Any] = {
    "merchant": "boutique-eu",
    "carrier": "ups",
    "number": "1Z5338FF0107231059",
    "purpose": "order",
    "leg": "out",
    "status": "attempt_failed",
    "attempts": 2,
    "estimated_delivery": "2026-03-05",
    "moved_at": "2026-03-04T12:01:00Z",
    "checked_at": "2026-03-04T12:05:00Z",
    "registered_at": "2026-03-02T16:00:00Z",
}


class RiskLine(ParcelLine):
    """A parcel with what to do next, and when it is judged anew whatever happens."""

    next: str
    deadline: Instant | None = Field(description="A date of the carrier's or a promise of ours ends")


class RisksOut(Told):
    """Parcels on their way out that somebody must look after, newest first."""

    model_config = Told.model_config | example(
        {
            "parcels": [_LINE | {"next": _RISKS["attempt_failed"], "deadline": "2026-03-06T17:00:00Z"}],
            "next_cursor": None,
        }
    )

    parcels: list[RiskLine]
    next_cursor: str | None


class CaseLine(Told):
    """A parcel that comes back to the warehouse, or is about to."""

    parcel: ParcelLine
    state: str
    reason: str
    since: Instant | None
    because: str
    overdue: bool
    next: str


class CasesOut(Told):
    """Return-to-warehouse cases, newest first."""

    model_config = Told.model_config | example(
        {
            "cases": [
                {
                    "parcel": _LINE | {"leg": "back", "status": "in_transit"},
                    "state": "under_way",
                    "reason": "refused",
                    "since": "2026-03-05T10:20:00Z",
                    "because": "it was refused",
                    "overdue": False,
                    "next": _CASES["under_way"],
                }
            ],
            "next_cursor": None,
        }
    )

    cases: list[CaseLine]
    next_cursor: str | None


class WaitingLine(Told):
    return_number: str
    merchant: str
    state: str
    since: Instant
    business_days: int


class WaitingOut(Told):
    """Returns that arrived longer ago than the shop's terms allow, longest first."""

    model_config = Told.model_config | example(
        {
            "returns": [
                {
                    "return_number": "R7K2M4QX4TB",
                    "merchant": "boutique-eu",
                    "state": "checking",
                    "since": "2026-03-02T10:00:00Z",
                    "business_days": 9,
                }
            ]
        }
    )

    returns: list[WaitingLine]


class PurchaseLine(Told):
    reference: str
    next: str
    id: str
    operation: str
    carrier: str
    subject: str
    state: str
    created_at: Instant
    next_at: Instant | None


class PurchasesOut(Told):
    """Purchases whose end nobody knows yet."""

    model_config = Told.model_config | example(
        {
            "purchases": [
                {
                    "id": "6f1c2f0e-6f0b-4c58-9d5f-0f1d8a2b9c11",
                    "operation": "label",
                    "carrier": "ups",
                    "subject": "return:12",
                    "state": "UNKNOWN",
                    "reference": "HW-6F1C2F0E6F0B4C589D5F0F1D",
                    "next": _PURCHASES["UNKNOWN"],
                    "created_at": "2026-03-02T10:00:00Z",
                    "next_at": None,
                }
            ]
        }
    )

    purchases: list[PurchaseLine]


class CodeLine(Told):
    carrier: str
    code: str
    words: str
    count: int
    first_day: str
    last_day: str


class CodesOut(Told):
    """Codes that carriers sent and no table knows."""

    model_config = Told.model_config | example(
        {
            "codes": [
                {
                    "carrier": "ups",
                    "code": "X/ZZ",
                    "words": "Something new",
                    "count": 3,
                    "first_day": "2026-03-02",
                    "last_day": "2026-03-04",
                }
            ]
        }
    )

    codes: list[CodeLine]


class QuotaLine(Told):
    """What may still be asked at one of a carrier's APIs."""

    operation: str
    left: int = Field(description="Calls that may be made now")
    calls: float = Field(description="The budget: so many calls ...")
    seconds: float = Field(description="... in so many seconds")


class CarrierLine(Told):
    carrier: str
    title: str
    away_since: Instant | None
    last_answer: Instant | None = Field(description="The newest answer to a question of ours")
    answer_age_seconds: int | None
    last_push: Instant | None = Field(description="The newest push")
    push_age_seconds: int | None
    silent_since: Instant | None = Field(description="Polls bring news that no push told, since")
    quota: list[QuotaLine]
    following: int = Field(description="Parcels under way")
    oldest_check: Instant | None = Field(description="The parcel under way that was not asked about for longest")


class CarriersOut(Told):
    """How each carrier's feeds are."""

    model_config = Told.model_config | example(
        {
            "carriers": [
                {
                    "carrier": "ups",
                    "title": "UPS",
                    "away_since": None,
                    "last_answer": "2026-03-04T12:05:00Z",
                    "answer_age_seconds": 60,
                    "last_push": "2026-03-04T12:01:00Z",
                    "push_age_seconds": 300,
                    "silent_since": None,
                    "quota": [{"operation": "*", "left": 8, "calls": 8, "seconds": 1}],
                    "following": 1520,
                    "oldest_check": "2026-03-04T08:00:00Z",
                }
            ]
        }
    )

    carriers: list[CarrierLine]


class FailedDay(Told):
    day: date
    carrier: str
    reason: str
    count: int


class HomeLine(Told):
    days: int = Field(description="Whole days from the turn to the warehouse")
    count: int


class FiguresOut(Told):
    """Failed deliveries of the last thirty days, and how long parcels took to come back in the last ninety."""

    model_config = Told.model_config | example(
        {
            "since": "2026-02-02T00:00:00Z",
            "failed": [{"day": "2026-03-03", "carrier": "ups", "reason": "recipient_absent", "count": 12}],
            "attempts": {"1": 40, "2": 11, "3": 4},
            "time_to_return": [{"days": 6, "count": 9}],
        }
    )

    since: Instant
    failed: list[FailedDay]
    attempts: dict[str, int] = Field(description="Parcels by how many attempts failed")
    time_to_return: list[HomeLine]


class PayloadLine(Told):
    source: str
    received_at: Instant
    status: int
    digest: str
    error: str
    body: str = Field(description="The bytes as text; what is not UTF-8 is replaced")


class PayloadsOut(Told):
    """The bytes that carriers sent about a parcel, oldest first. They may hold personal data."""

    model_config = Told.model_config | example(
        {
            "payloads": [
                {
                    "source": "poll",
                    "received_at": "2026-03-04T12:05:00Z",
                    "status": 200,
                    "digest": "9f86d081884c7d65",
                    "error": "",
                    "body": "{}",
                }
            ]
        }
    )

    payloads: list[PayloadLine]


# --------------------------------------------------------------------------------------------------------------- calls


async def risks(call: Call[Paged, Nothing]) -> Answer:
    """GET /v1/risks"""
    return Answer(await risks_now(call.house, row_of(call.query.cursor, NO_ROW), call.query.limit))


async def list_cases(call: Call[Paged, Nothing]) -> Answer:
    """GET /v1/cases"""
    return Answer(await cases_now(call.house, row_of(call.query.cursor, NO_ROW), call.query.limit))


async def waiting(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/waiting"""
    return Answer(await waiting_now(call.house))


async def purchases(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/purchases"""
    return Answer(await purchases_now(call.house))


async def codes(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/codes"""
    return Answer(await codes_now(call.house))


async def carriers(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/carriers"""
    return Answer(await carriers_now(call.house))


async def figures(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/figures"""
    return Answer(await figures_now(call.house))


async def payloads(call: Call[Nothing, Nothing]) -> Answer:
    """GET /v1/parcels/{carrier}/{number}/payloads"""
    carrier, number = recognised_at(call.house, call.path["carrier"], call.path["number"])
    return Answer(await payloads_of(call.house, carrier, number))


# ----------------------------------------------------------------------------------------- the same, for the desk page


async def risks_now(house: House, before: int = NO_ROW, limit: int = 50) -> RisksOut:
    now = house.clock.now()
    rows = await house.store.read(lambda tx: at_risk(tx, before, limit + 1))
    return RisksOut(
        next_cursor=cursor_at(rows[limit - 1]["id"]) if len(rows) > limit else None,
        parcels=[
            RiskLine(
                **parcel_line(row, now).model_dump(),
                next=_RISKS.get(row["status"], ""),
                deadline=_instant(row["review_us"]),
            )
            for row in rows[:limit]
        ],
    )


async def cases_now(house: House, before: int = NO_ROW, limit: int = 50) -> CasesOut:
    rows = await house.store.read(lambda tx: cases(tx, before, limit + 1))
    following = cursor_at(rows[limit - 1]["id"]) if len(rows) > limit else None
    now = house.clock.now()
    return CasesOut(cases=[_case(row, now) for row in rows[:limit]], next_cursor=following)


def _case(row: Row, now: datetime) -> CaseLine:
    case = msgspec.json.decode(row["conclusion"]).get("return_to_warehouse") or {}
    since = case.get("since")
    return CaseLine(
        parcel=parcel_line(row, now),
        state=case.get("state", ""),
        reason=case.get("reason", ""),
        since=datetime.fromisoformat(since) if since else None,
        because=case.get("because", ""),
        overdue=bool(case.get("overdue")),
        next=_CASES.get(case.get("state", ""), ""),
    )


async def waiting_now(house: House) -> WaitingOut:
    now = house.clock.now()
    rows = await house.store.read(lambda tx: waiting_returns(tx, to_us(now), MOST))
    found = []
    for row in rows:
        since = from_us(row["updated_us"])
        terms = terms_on(row["merchant"], from_us(row["created_us"]).date(), house.terms)
        days = business_days_between(since.date(), now.date(), terms.warehouse.days, terms.warehouse.holidays)
        if days > terms.after_arrival.max_business_days:
            found.append(
                WaitingLine(
                    return_number=row["number"],
                    merchant=row["merchant"],
                    state=row["state"],
                    since=since,
                    business_days=days,
                )
            )
    return WaitingOut(returns=found)


async def purchases_now(house: House) -> PurchasesOut:
    rows = await house.store.read(lambda tx: open_purchases(tx, MOST))
    return PurchasesOut(
        purchases=[
            PurchaseLine(
                **{name: row[name] for name in ("id", "operation", "carrier", "subject", "state", "reference")},
                next=_PURCHASES.get(row["state"], ""),
                created_at=from_us(row["created_us"]),
                next_at=_instant(row["next_us"]),
            )
            for row in rows
        ]
    )


async def codes_now(house: House) -> CodesOut:
    rows = await house.store.read(list_unknown_codes)
    return CodesOut(
        codes=[
            CodeLine(**{name: row[name] for name in CodeLine.model_fields if name != "count"}, count=int(row["count"]))
            for row in rows
        ]
    )


async def carriers_now(house: House) -> CarriersOut:
    now = to_us(house.clock.now())

    async def unit(tx: Tx) -> list[CarrierLine]:
        following = await freshness(tx)
        found = []
        for name, carrier in sorted(house.carriers.items()):
            away = await get_setting(tx, f"away:{name}")
            own = [row for row in following if row["carrier"] == name]
            checks = [row["oldest_us"] for row in own if row["oldest_us"] is not None]
            answer, push = await newest_payload_us(tx, name, "poll"), await newest_payload_us(tx, name, "push")
            silent = await get_setting(tx, f"push_silent:{name}")
            found.append(
                CarrierLine(
                    carrier=name,
                    title=carrier.title,
                    away_since=_instant(int(away)) if away else None,
                    last_answer=_instant(answer),
                    answer_age_seconds=None if answer is None else max(0, now - answer) // 1_000_000,
                    last_push=_instant(push),
                    push_age_seconds=None if push is None else max(0, now - push) // 1_000_000,
                    silent_since=_instant(int(silent)) if silent else None,
                    quota=_quota(house, name),
                    following=sum(int(row["parcels"]) for row in own),
                    oldest_check=_instant(min(checks, default=None)),
                )
            )
        return found

    return CarriersOut(carriers=await house.store.read(unit))


def _quota(house: House, carrier: str) -> list[QuotaLine]:
    budget = house.budgets.get(carrier)
    if budget is None:
        return []
    return [
        QuotaLine(operation=name, left=budget.left(name, MOST_CALLS), calls=rate.calls, seconds=rate.seconds)
        for name, rate in budget.rates.items()
    ]


async def figures_now(house: House) -> FiguresOut:
    since = house.clock.now() - FIGURES
    rows = await house.store.read(lambda tx: failed_attempts(tx, to_us(since), ATTEMPTS_READ))
    home = await house.store.read(lambda tx: homecomings(tx, to_us(since - FIGURES * 2), ATTEMPTS_READ))
    days: Counter[tuple[str, str, str]] = Counter()
    most: dict[str, int] = {}
    for row in rows:
        data = msgspec.json.decode(row["data"])
        attempt = data.get("attempt") or {}
        day = attempt.get("day") or from_us(row["at_us"]).date().isoformat()
        days[(day, str((data.get("parcel") or {}).get("carrier", "")), attempt.get("reason") or "unspecified")] += 1
        most[row["subject"]] = max(most.get(row["subject"], 0), int(attempt.get("ordinal") or 1))
    failed = [
        FailedDay(day=date.fromisoformat(day), carrier=carrier, reason=reason, count=count)
        for (day, carrier, reason), count in sorted(days.items())
    ]
    spread = Counter(most.values())
    took = Counter(each for row in home if (each := _days_home(msgspec.json.decode(row["data"]))) is not None)
    return FiguresOut(
        since=since,
        failed=failed,
        attempts={str(n): spread[n] for n in sorted(spread)},
        time_to_return=[HomeLine(days=days, count=took[days]) for days in sorted(took)],
    )


def _days_home(data: Mapping[str, Any]) -> int | None:
    """Whole days from the turn of a parcel to its arrival home."""
    parcel = data.get("parcel") or {}
    case = parcel.get("return_to_warehouse") or {}
    turned, home = case.get("opened_at") or case.get("since"), parcel.get("returned_at")
    if not turned or not home:
        return None
    return max(0, (datetime.fromisoformat(home) - datetime.fromisoformat(turned)).days)


async def payloads_of(house: House, carrier: str, number: str) -> PayloadsOut:
    async def unit(tx: Tx) -> list[Row]:
        if await find_parcel(tx, carrier, number) is None:
            raise Problem("parcel_unknown")
        return await payloads_mentioning(tx, carrier, number)

    rows = await house.store.read(unit)
    return PayloadsOut(
        payloads=[
            PayloadLine(
                source=row["source"],
                received_at=from_us(row["received_us"]),
                status=row["status"],
                digest=row["digest"],
                error=row["error"],
                body=bytes(row["body"]).decode(errors="replace"),
            )
            for row in rows[-MOST:]
        ]
    )


def _instant(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
