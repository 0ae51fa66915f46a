"""What a shopper hears who looks an order or a return up: message keys and arguments, read from cached rows.

It changes nothing. Wrong proof and unknown number are both None; how that is answered is the door's business.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from carriers.contract import Money
from fleet.clocks import from_us, to_us
from merchants.arrivals import checking_days
from merchants.calendars import business_days_between, delivery_day_after, local_day
from merchants.terms import Judged, Terms, terms_on
from store.engine import Row, Tx
from store.lookups import left_for, orders_of_return, orders_or_nobody, parcels_on_order, return_or_nobody
from store.parcels import parcel_by_id
from store.sealing import Sealer
from store.settings import get_setting
from tracker.follow import (
    Arg,
    AttemptStory,
    EventStory,
    Follow,
    FollowKind,
    Message,
    ParcelStory,
    Step,
    StepState,
    Tier,
)
from tracker.freshness import is_stale
from tracker.lifecycle import Leg, Purpose, Status
from tracker.orders import OrderState, email_proof, facts_of, postcode_proof, state_now

_NOBODY: Any = {"proof_email": "0" * 64, "proof_postcode": "0" * 64}
"""An order that no e-mail and no postcode opens."""


class Courier(Protocol):
    """What a shopper may be told of a carrier."""

    @property
    def title(self) -> str: ...
    def tracking_url(self, number: str) -> str: ...


class Asked(Struct, frozen=True):
    """What the shopper typed, and the parts a look-up stands on.

    `granted` is what was proved before (a signed link, a look-up in this browser): then nothing is asked for.
    """

    number: str
    email: str
    postcode: str
    merchant: str
    now: datetime
    sealer: Sealer
    shelf: Mapping[str, Sequence[Terms]]
    couriers: Mapping[str, Courier]
    granted: Tier | None = None

    def proves(self, order: Row) -> bool:
        """Whether the e-mail or the postcode is the order's. Always the same work, and no early end."""
        email = hmac.compare_digest(email_proof(self.sealer, self.email), order["proof_email"])
        postcode = hmac.compare_digest(postcode_proof(self.sealer, self.postcode), order["proof_postcode"])
        return bool(
            (self.email and order["proof_email"] and email) or (self.postcode and order["proof_postcode"] and postcode)
        )

    def terms(self, merchant: str, created_us: int) -> Terms:
        return terms_on(merchant, from_us(created_us).date(), self.shelf)

    def tier(self, orders: Sequence[Row], terms: Terms) -> Tier | None:
        """How much may be shown; None: nothing. A proof that was offered has to be right."""
        if self.granted is not None:
            return self.granted
        proved = [self.proves(order) for order in orders]  # all of them: the same work whatever is right
        if self.email or self.postcode:
            return Tier.FULL if any(proved) else None
        return Tier.COARSE if terms.lookup.number_alone else None

    def refuse(self) -> None:
        """A number that nobody has costs what a wrong proof costs."""
        if self.granted is None:
            self.tier([_NOBODY], self.terms(next(iter(self.shelf)), to_us(self.now)))


class Found(Struct, frozen=True):
    """What was read of an order or a return, and how much of it may be told.

    `parcels` are an order's, or the one that a return travels in; `left` those that left the warehouse for a return.
    """

    kind: FollowKind
    row: Row
    tier: Tier
    parcels: Sequence[Row]
    left: Sequence[Row]
    silent: frozenset[str]

    def digest(self) -> bytes:
        """Of all that was read: another one when any of it changed."""
        rows: list[Any] = [self.row, *self.parcels, *self.left]  # whatever row a driver gives can be listed
        read = [self.kind, self.tier, [tuple(row) for row in rows], sorted(self.silent)]
        return hashlib.sha256(msgspec.msgpack.encode(read)).digest()  # processors have it built in


async def find(tx: Tx, kind: FollowKind, asked: Asked) -> Found | None:
    """The order or return that was asked for, or None."""
    return await (_find_order if kind is FollowKind.ORDER else _find_return)(tx, asked)


async def _find_order(tx: Tx, asked: Asked) -> Found | None:
    rows = await orders_or_nobody(tx, asked.number)
    if rows[0]["id"] is None:
        asked.refuse()
        return None
    shown = [
        (row, tier)
        for row in rows
        if (not asked.merchant or row["merchant"] == asked.merchant)
        and (tier := asked.tier([row], asked.terms(row["merchant"], row["created_us"]))) is not None
    ]
    if len(shown) != 1:  # none, or several shops use the number and nothing tells them apart
        return None
    row, tier = shown[0]
    parcels = await parcels_on_order(tx, row["id"])
    return Found(FollowKind.ORDER, row, tier, parcels, (), await _silent(tx, parcels))


async def _find_return(tx: Tx, asked: Asked) -> Found | None:
    """The proof is that of any order on it."""
    row = await return_or_nobody(tx, asked.number)
    if row["id"] is None or (asked.merchant and row["merchant"] != asked.merchant):
        if asked.granted is None:
            await orders_of_return(tx, 0)
        asked.refuse()
        return None
    tier = asked.tier(await orders_of_return(tx, row["id"]), asked.terms(row["merchant"], row["created_us"]))
    if tier is None:
        return None
    parcel = await parcel_by_id(tx, row["parcel_id"])
    parcels, left = [parcel] if parcel else [], await left_for(tx, row["id"])
    return Found(FollowKind.RETURN, row, tier, parcels, left, await _silent(tx, [*parcels, *left]))


def tell(found: Found, asked: Asked) -> Follow:
    """Its story."""
    return (_tell_order if found.kind is FollowKind.ORDER else _tell_return)(found, asked)


def _tell_order(found: Found, asked: Asked) -> Follow:
    row, tier, parcels = found.row, found.tier, found.parcels
    promise = facts_of(row).promise
    stories = tuple(_story(parcel, asked, tier, promise, row["shipped_us"], found.silent) for parcel in parcels)
    state = _order_state(row, parcels)
    return Follow(
        FollowKind.ORDER,
        row["number"],
        row["merchant"],
        tier,
        state,
        _order_steps(row, _slowest(parcels)),
        stories,
        _order_next(row, _slowest(parcels), asked, promise),
        _order_can_do(row, _slowest(parcels), asked),
        checked_at=_newest(parcels, "checked_us"),
        next_check_at=_soonest(parcels),
        stale=any(is_stale(each, asked.now) for each in parcels),
        fresh_as_of=_newest(parcels, "moved_us"),
        estimate=max((s.estimate for s in stories if s.estimate), default=None),
    )


def _tell_return(found: Found, asked: Asked) -> Follow:
    row, tier, left = found.row, found.tier, found.left
    terms, parcel = asked.terms(row["merchant"], row["created_us"]), next(iter(found.parcels), None)
    stories = tuple(_story(each, asked, tier, None, None, found.silent) for each in found.parcels)
    if stories and row["state"] in ("received", "checking"):
        checking = Message("story.return_checking", {"count": terms.after_arrival.max_business_days})
        stories = (replace(stories[0], sentences=(*stories[0].sentences, checking)),)
    # what was not accepted, or the replacement, is on its way to the customer
    stories = (*stories, *(_story(each, asked, tier, None, None, found.silent) for each in left))
    return Follow(
        FollowKind.RETURN,
        row["number"],
        row["merchant"],
        tier,
        row["state"],
        _return_steps(row, parcel),
        stories,
        _return_next(row, parcel, terms, tier, asked.now),
        _return_can_do(row, parcel, asked),
        checked_at=_newest(found.parcels, "checked_us"),
        next_check_at=_soonest([*found.parcels, *left]),
        stale=any(is_stale(each, asked.now) for each in (*found.parcels, *left)),
        fresh_as_of=_newest(found.parcels, "moved_us"),
        estimate=stories[0].estimate if stories else None,
    )


# ---------------------------------------------------------------------------------------------------------- one parcel


def parcel_story(parcel: Row, asked: Asked) -> tuple[ParcelStory, Message]:
    """One parcel's story without an order around it, in full, and what happens next."""
    story = _story(parcel, asked, Tier.FULL, None, None, frozenset())
    return story, _order_next(parcel, parcel, asked, None)


def _view(parcel: Row) -> dict[str, Any]:
    """The cached conclusion; a parcel nobody concluded about yet has an empty one."""
    view: dict[str, Any] = {
        "attempts": {"ledger": [], "max": None, "count": 0},
        "events": [],
        "return_to_warehouse": None,
    }
    known: dict[str, Any] = msgspec.json.decode(parcel["conclusion"])
    return view | known


async def _silent(tx: Tx, parcels: Sequence[Row]) -> frozenset[str]:
    """The carriers of these parcels that do not answer at the moment."""
    carriers = {parcel["carrier"] for parcel in parcels}
    return frozenset([carrier for carrier in carriers if await get_setting(tx, f"away:{carrier}") is not None])


def _story(
    parcel: Row,
    asked: Asked,
    tier: Tier,
    promise: tuple[date, date] | None,
    shipped_us: int | None,
    silent: frozenset[str],
) -> ParcelStory:
    view = _view(parcel)
    attempts = tuple(
        AttemptStory(row["ordinal"], _day(row["day"]), row["reason"] or "unspecified")
        for row in view["attempts"]["ledger"]
        if row["counted"]
    )
    window = view.get("delivery_window")
    story = ParcelStory(
        leg=parcel["leg"],
        status=parcel["status"],
        purpose=parcel["purpose"],
        sentences=(
            *_sentences(parcel, view, attempts, shipped_us, asked.now),
            *_against_the_promise(parcel, promise, asked),
            *_old_news(parcel, silent, asked.now),
        ),
        attempts=attempts,
        max_attempts=view["attempts"]["max"],
        estimate=_day(view.get("estimated_delivery")),
        window=(window[0], window[1]) if window else None,
        promised=promise if parcel["purpose"] == Purpose.ORDER else None,
        next_try=_next_try(parcel, view, asked),
    )
    return story if tier is Tier.COARSE else _in_full(story, parcel, view, asked)


def _in_full(story: ParcelStory, parcel: Row, view: dict[str, Any], asked: Asked) -> ParcelStory:
    """With what only a proof opens: where, which number, who carries it, every scan."""
    courier = asked.couriers.get(parcel["carrier"])
    to = msgspec.json.decode(parcel["shipment"]).get("destination") or {}
    events = tuple(
        EventStory(datetime.fromisoformat(e["local"] or e["at"]), f"event.{e['kind']}", {}, e["place"] or "")
        for e in reversed(view["events"])
    )
    further = [Message("story.further_number", {"number": n["number"]}) for n in view.get("further_numbers") or ()]
    return replace(
        story,
        sentences=(*story.sentences, *further),
        place=", ".join(part for part in (to.get("city"), to.get("country")) if part) or None,
        number=parcel["number"],
        carrier=courier.title if courier else parcel["carrier"],
        tracking_url=courier.tracking_url(parcel["number"]) if courier else None,
        events=events,
    )


_NOW_SAYS = {
    Status.UNKNOWN: "story.unknown",
    Status.LABEL_CREATED: "story.label_created",
    Status.ACCEPTED: "story.accepted",
    Status.IN_TRANSIT: "story.in_transit",
    Status.OUT_FOR_DELIVERY: "story.out_for_delivery",
    Status.AVAILABLE_FOR_PICKUP: "story.available_for_pickup",
    Status.ON_HOLD: "story.on_hold",
    Status.LOST: "story.lost",
    Status.DESTROYED: "story.destroyed",
    Status.VOIDED: "story.voided",
}


def _sentences(
    parcel: Row,
    view: dict[str, Any],
    attempts: Sequence[AttemptStory],
    shipped_us: int | None,
    now: datetime,
) -> list[Message]:
    """What is so, in the order in which a person would tell it."""
    status, is_return = Status(parcel["status"]), parcel["purpose"] == Purpose.RETURN
    said = [_attempt(attempt) for attempt in attempts]
    left = (view["attempts"]["max"] or 0) - view["attempts"]["count"]
    if status is Status.ATTEMPT_FAILED and left > 0:
        said.append(Message("story.attempts_left", {"count": left}))
    if attempts and view["attempts"].get("exhausted") and status is not Status.DELIVERED:
        said.append(Message("story.last_attempt_failed"))
    if parcel["leg"] == Leg.BACK:
        said.append(_homeward(parcel, view, is_return))
    elif status is Status.DELIVERED:
        key = "story.return_received" if is_return else "story.delivered"
        said.append(Message(key, {"day": _day_of(view["delivered_at"], view)}))
    elif status is Status.UNDELIVERABLE:
        said.append(Message("story.undeliverable", {"reason": _reason(view)}))
    elif view.get("delay"):
        said.append(Message("story.delayed", {"reason": Message(f"reason.{view['delay']}")}))
    elif status is Status.ON_HOLD and view["events"] and view["events"][-1]["kind"] in _HOLDS:
        said.append(Message(_HOLDS[view["events"][-1]["kind"]]))
    elif status in _NOT_SCANNED and shipped_us is not None and from_us(shipped_us).date() < now.date():
        said.append(Message("story.no_scan_yet", {"day": from_us(shipped_us).date()}))
    elif status is Status.IN_TRANSIT and is_return:
        said.append(Message("story.return_on_its_way"))
    elif status is Status.AVAILABLE_FOR_PICKUP and (day := _day(view.get("collect_by"))):
        said.append(Message("story.available_for_pickup_until", {"day": day}))
    elif status in _NOW_SAYS:
        said.append(Message(_NOW_SAYS[status]))
    return said


_HOLDS = {"damaged": "story.damaged", "customs": "story.customs"}
_NOT_SCANNED = frozenset({Status.UNKNOWN, Status.LABEL_CREATED})
_ENDED = frozenset({Status.DELIVERED, Status.LOST, Status.DESTROYED, Status.VOIDED})


def _against_the_promise(parcel: Row, promise: tuple[date, date] | None, asked: Asked) -> Iterator[Message]:
    """The promised window in business days: how many are left, or how late it is. Only on the way to the shopper."""
    if not promise or parcel["purpose"] != Purpose.ORDER or parcel["leg"] == Leg.BACK:
        return
    if Status(parcel["status"]) in _ENDED:
        return
    terms = asked.terms(parcel["merchant"], parcel["created_us"])
    today, last = local_day(asked.now, terms.zone), promise[1]
    if today == last:
        yield Message("story.promise_today")
    elif today < last:
        count = business_days_between(today, last, terms.promise.days, terms.promise.holidays)
        yield Message("story.promise_left", {"count": max(1, count)})
    else:
        yield Message("story.late", {"day": last})
        if count := business_days_between(last, today, terms.promise.days, terms.promise.holidays):
            yield Message("story.late_by", {"count": count})


def _old_news(parcel: Row, silent: frozenset[str], now: datetime) -> Iterator[Message]:
    """The carrier does not answer, or was not asked for long: this is the last that is known."""
    if Status(parcel["status"]) in _ENDED:
        return
    if parcel["carrier"] in silent:
        yield Message("story.carrier_away")
    elif is_stale(parcel, now):
        heard = parcel["checked_us"] if parcel["checked_us"] is not None else parcel["created_us"]
        yield Message("story.stale", {"ago": now - from_us(heard)})


def _attempt(attempt: AttemptStory) -> Message:
    if attempt.day is None:
        return Message("story.attempt_inferred", {"ordinal": attempt.ordinal})
    reason = Message(f"reason.{attempt.reason}")
    return Message("story.attempt", {"ordinal": attempt.ordinal, "day": attempt.day, "reason": reason})


def _homeward(parcel: Row, view: dict[str, Any], is_return: bool) -> Message:
    if is_return:
        return Message("story.return_bounced")
    if parcel["status"] == Status.DELIVERED:
        return Message("story.back_at_warehouse", {"day": _day_of(view["returned_at"], view)})
    return Message("story.going_back", {"reason": _reason(view)})


def _reason(view: dict[str, Any]) -> Message:
    case = view["return_to_warehouse"]
    return Message(f"reason.{case['reason']}" if case else "reason.unknown")


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _day_of(instant: str | None, view: dict[str, Any]) -> Arg:
    """The local day of an instant, on the clock of the event that has it."""
    local = next((e["local"] for e in view["events"] if e["at"] == instant and e["local"]), instant)
    return datetime.fromisoformat(local).date() if local else ""


def _newest(parcels: Sequence[Row], column: str) -> datetime | None:
    known = [parcel[column] for parcel in parcels if parcel[column] is not None]
    return from_us(max(known)) if known else None


def _soonest(parcels: Sequence[Row]) -> datetime | None:
    """When a carrier is asked next about any of these."""
    return (
        from_us(min(known))
        if (known := [p["next_poll_us"] for p in parcels if p["next_poll_us"] is not None])
        else None
    )


# ------------------------------------------------------------------------------------------------------------ an order


def _slowest(parcels: Sequence[Row]) -> Row | None:
    """The parcel that decides how far the order is: the first one that is not at the customer's yet.

    What is sent again or in exchange tells its own story: the order itself is as far as what was ordered.
    """
    parcels = [parcel for parcel in parcels if parcel["purpose"] == Purpose.ORDER] or parcels
    waiting = [p for p in parcels if not (p["leg"] == Leg.OUT and p["status"] == Status.DELIVERED)]
    return next(iter(waiting or parcels), None)


def _order_state(row: Row, parcels: Sequence[Row]) -> str:
    """The order's own state until it has shipped, then its slowest parcel's."""
    state, parcel = state_now(row, parcels), _slowest(parcels)
    if parcel is None or state in (OrderState.CANCELLED, OrderState.PARTLY_SHIPPED):
        return state
    if parcel["leg"] == Leg.BACK:
        return "back_at_warehouse" if parcel["status"] == Status.DELIVERED else "going_back"
    return "shipped" if parcel["status"] == Status.UNKNOWN else str(parcel["status"])


_ON_THE_WAY = frozenset({Status.ACCEPTED, Status.IN_TRANSIT, Status.ON_HOLD})
_AT_THE_DOOR = frozenset({Status.OUT_FOR_DELIVERY, Status.ATTEMPT_FAILED, Status.UNDELIVERABLE})
_WRONG = frozenset({Status.ATTEMPT_FAILED, Status.UNDELIVERABLE, Status.ON_HOLD})


def _order_steps(row: Row, parcel: Row | None) -> tuple[Step, ...]:
    """The journey as it is drawn."""
    placed = from_us(row["placed_us"]) if row["placed_us"] is not None else None
    shipped = from_us(row["shipped_us"]) if row["shipped_us"] is not None else None
    if row["state"] == OrderState.CANCELLED:
        return Step("placed", StepState.DONE, placed), Step("cancelled", StepState.PROBLEM)
    if parcel is None:
        names = ("placed", "being_prepared", "shipped", "out_for_delivery", "delivered")
        return _line(names, 1, False, {"placed": placed})
    view, status = _view(parcel), Status(parcel["status"])
    # a shop may say late that it shipped; the carrier's scan of it was no later than the shipping
    left = [at for at in (shipped, _instant(view.get("accepted_at"))) if at is not None]
    times = {"placed": placed, "shipped": min(left, default=None)}
    if parcel["leg"] == Leg.BACK:
        home = status is Status.DELIVERED
        times["back_at_warehouse"] = _instant(view["returned_at"])
        return _line(
            ("placed", "shipped", "on_its_way", "going_back", "back_at_warehouse"), 4 if home else 3, True, times
        )
    if status in (Status.LOST, Status.DESTROYED):
        return _line(("placed", "shipped", "on_its_way", "lost"), 3, True, times)
    door = "at_pickup_point" if status is Status.AVAILABLE_FOR_PICKUP else "out_for_delivery"
    times["delivered"] = _instant(view.get("delivered_at"))
    names = ("placed", "shipped", "on_its_way", door, "delivered")
    if status is Status.DELIVERED:
        return _line(names, 5, False, times)
    here = 2 if status in _ON_THE_WAY else 3 if status in _AT_THE_DOOR or door == "at_pickup_point" else 1
    return _line(names, here, status in _WRONG, times)


def _line(names: Sequence[str], here: int, wrong: bool, times: Mapping[str, datetime | None]) -> tuple[Step, ...]:
    """Steps up to `here` done, the one there current or a problem, the rest to do."""
    now = StepState.PROBLEM if wrong else StepState.CURRENT
    return tuple(
        Step(name, StepState.DONE if n < here else now if n == here else StepState.TODO, times.get(name))
        for n, name in enumerate(names)
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _order_next(row: Row, parcel: Row | None, asked: Asked, promise: tuple[date, date] | None) -> Message:
    """What happens next, and by when."""
    if parcel is None:
        keys = {OrderState.CANCELLED: "next.cancelled", OrderState.HELD_FOR_SHIPPING_PAYMENT: "next.shipping_payment"}
        return Message(keys.get(OrderState(row["state"]), "next.being_prepared"))
    view, status = _view(parcel), Status(parcel["status"])
    if parcel["leg"] == Leg.BACK:
        return Message("next.shop_decides" if status is Status.DELIVERED else "next.coming_back")
    match status:
        case Status.DELIVERED:
            return Message("next.nothing")
        case Status.UNDELIVERABLE:
            return Message("next.goes_back")
        case Status.ATTEMPT_FAILED:
            terms = asked.terms(parcel["merchant"], parcel["created_us"])
            if day := _next_day(view, terms.judging(parcel["carrier"], view.get("service") or "")):
                return Message("next.another_attempt_on", {"day": day})
            return _collect(view) if view["attempts"]["max"] is None else Message("next.another_attempt")
        case Status.AVAILABLE_FOR_PICKUP:
            return _collect(view)
        case Status.ON_HOLD:
            return Message("next.released")
        case Status.LOST | Status.DESTROYED:
            return Message("next.shop_decides")
        case _ if day := _day(view.get("estimated_delivery")):
            if window := view.get("delivery_window"):
                return Message("next.estimate_window", {"day": day, "start": window[0], "end": window[1]})
            return Message("next.estimate", {"day": day})
        case _ if promise:
            return Message("next.promised", {"start": promise[0], "end": promise[1]})
        case Status.UNKNOWN | Status.LABEL_CREATED:
            return Message("next.first_scan")
        case _:
            return Message("next.moving")


def _collect(view: dict[str, Any]) -> Message:
    """Where it waits, and until when as far as the carrier says or its hold is known."""
    day = _day(view.get("collect_by"))
    return Message("next.collect_by", {"day": day}) if day else Message("next.collect")


def _next_try(parcel: Row, view: dict[str, Any], asked: Asked) -> date | None:
    """When the carrier tries again, where it still does."""
    if parcel["leg"] == Leg.BACK or Status(parcel["status"]) is not Status.ATTEMPT_FAILED:
        return None
    terms = asked.terms(parcel["merchant"], parcel["created_us"])
    return _next_day(view, terms.judging(parcel["carrier"], view.get("service") or ""))


def _next_day(view: dict[str, Any], terms: Terms) -> date | None:
    """The day of the next visit: what the carrier announced, else the next delivery day where the terms promise one."""
    last = max((row["day"] for row in view["attempts"]["ledger"] if row["counted"] and row["day"]), default=None)
    announced = _day(view.get("estimated_delivery"))
    if announced and last and announced > date.fromisoformat(last):
        return announced
    if last and terms.attempts.max is not None:
        return delivery_day_after(date.fromisoformat(last), terms.attempts.days, terms.attempts.holidays)
    return None


def _order_can_do(row: Row, parcel: Row | None, asked: Asked) -> tuple[Message, ...]:
    """What the shopper can do."""
    if parcel is None:
        held = row["state"] == OrderState.HELD_FOR_SHIPPING_PAYMENT
        return (Message("do.pay_shipping"),) if held else (Message("do.nothing"),)
    courier = asked.couriers.get(parcel["carrier"])
    arrange = Message("do.arrange_delivery", {"carrier": courier.title if courier else parcel["carrier"].upper()})
    status = Status(parcel["status"])
    if parcel["leg"] == Leg.BACK or status in (Status.LOST, Status.DESTROYED, Status.VOIDED):
        return (Message("do.contact_shop"),)
    match status:
        case Status.ATTEMPT_FAILED:
            return Message("do.be_there"), arrange, Message("do.check_address")
        case Status.UNDELIVERABLE:
            return arrange, Message("do.contact_shop")
        case Status.AVAILABLE_FOR_PICKUP:
            return (Message("do.collect"),)
        case Status.OUT_FOR_DELIVERY:
            return (Message("do.be_there"),)
        case Status.DELIVERED:
            return (Message("do.look_around"),)
        case Status.ON_HOLD:
            return (Message("do.contact_shop"),)
        case _:
            return (Message("do.nothing"),)


# ------------------------------------------------------------------------------------------------------------ a return

_RETURN_AT = {
    "registered": 0,
    "label_pending": 0,
    "label_ready": 1,
    "on_its_way": 2,
    "received": 3,
    "checking": 4,
    "accepted": 5,
    "partly_accepted": 5,
    "exchanged": 6,
    "refunded": 6,
}
_RETURN_WRONG = {
    "rejected": "rejected",
    "sent_back": "sent_back",
    "lost": "lost",
    "bounced": "going_back",
    "cancelled": "cancelled",
}


def _return_steps(row: Row, parcel: Row | None) -> tuple[Step, ...]:
    state = row["state"]
    times: dict[str, datetime | None] = {"registered": from_us(row["created_us"])}
    if parcel:
        view = _view(parcel)
        times |= {"handed_over": _instant(view.get("accepted_at")), "received": _instant(view.get("delivered_at"))}
    if received := _about(row).get("received"):
        times["received"] = _instant(received["at"])
    if state in _RETURN_WRONG:
        names: tuple[str, ...] = ("registered", "label_ready", "handed_over", _RETURN_WRONG[state])
        return _line(names, 3, True, times)
    end = "exchanged" if state == "exchanged" else "settled"
    names = ("registered", "label_ready", "handed_over", "received", "checking", "checked", end)
    return _line(names, 7 if _RETURN_AT[state] == 6 else _RETURN_AT[state], False, times)


_RETURN_NEXT = {
    "registered": "next.label_pending",
    "label_pending": "next.label_pending",
    "label_ready": "next.hand_over",
    "on_its_way": "next.return_moving",
    "rejected": "next.sent_back",
    "sent_back": "next.sent_back",
    "exchanged": "next.exchange",
    "cancelled": "next.cancelled",
    "lost": "next.shop_decides",
    "bounced": "next.shop_decides",
}


def _return_next(row: Row, parcel: Row | None, terms: Terms, tier: Tier, now: datetime) -> Message:
    """What happens next with a return; once it arrived, between which days it is checked; then what is paid back."""
    about, state = _about(row), row["state"]
    if state in ("accepted", "partly_accepted", "refunded"):
        return _paid_back(about, state, tier)
    if state == "lost" and about.get("loss"):
        return Message("next.loss_guaranteed" if about["loss"]["guaranteed"] else "next.loss_yours")
    if state == "registered" and about.get("courier") == "own":
        return Message("next.send_it")
    if state == "label_ready" and (day := _hand_over_by(about, terms, now)):
        return Message("next.hand_over_by", {"day": day})
    if state in _RETURN_NEXT:
        return Message(_RETURN_NEXT[state])
    received = about.get("received")
    arrived = received["at"] if received else _view(parcel).get("delivered_at") if parcel else None
    if not arrived:
        return Message("next.return_moving")
    start, end = checking_days(terms, datetime.fromisoformat(arrived))
    return Message("next.return_checked_by", {"start": start, "end": end})


def _hand_over_by(about: Mapping[str, Any], terms: Terms, now: datetime) -> date | None:
    """The last day on which the carrier's acceptance is still in time, where the terms judge by that scan."""
    judged = [clock["ends"] for clock in about.get("clocks") or () if clock.get("judged_by") == Judged.ACCEPTANCE]
    over = min((datetime.fromisoformat(ends) for ends in judged if ends), default=None)
    return local_day(over - timedelta(minutes=1), terms.zone) if over and over > now else None


def _about(row: Row) -> dict[str, Any]:
    """What is kept of a return in the clear."""
    about: dict[str, Any] = msgspec.json.decode(row["return"])
    return about


def _paid_back(about: Mapping[str, Any], state: str, tier: Tier) -> Message:
    """The refund or the store credit; how much only for who has proved that the return is his."""
    lines = [line for line in about.get("money") or () if line["pot"] in ("refund", "store_credit")]
    paid = about.get("refund")
    if state == "refunded":
        if tier is Tier.FULL and paid and paid["currency"]:
            return Message("next.refunded_of", {"amount": Money(Decimal(paid["amount"]), paid["currency"])})
        return Message("next.refunded")
    if not lines:
        return Message("next.exchange")
    pot = lines[0]["pot"]
    total = sum((Decimal(line["amount"]) for line in lines if line["pot"] == pot), Decimal(0))
    if tier is not Tier.FULL:
        return Message(f"next.{pot}")
    return Message(f"next.{pot}_of", {"amount": Money(total, lines[0]["currency"])})


def _return_can_do(row: Row, parcel: Row | None, asked: Asked) -> tuple[Message, ...]:
    courier = asked.couriers.get(parcel["carrier"]) if parcel else None
    match row["state"]:
        case "label_ready":
            hand_over = Message("do.hand_over", {"carrier": courier.title if courier else ""})
            return Message("do.print_label"), hand_over, Message("do.keep_it")
        case "lost" | "bounced" | "rejected" | "sent_back":
            return (Message("do.contact_shop"),)
        case _:
            return (Message("do.nothing"),)
