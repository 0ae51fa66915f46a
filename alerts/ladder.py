"""The ladder: which notice raises which alert for ops, how grave, what to do next, and what clears it (pure)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias


class Severity(StrEnum):
    """How grave, in the order of climbing."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of the outbox, as far as the ladder looks at it."""

    subject: str
    name: str
    type: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raise:
    """Open this alert, or let the open one with this key climb to this rung. Only with `falls` may it come down.

    `subject` is what it is about: everything about a subject can be cleared at once.
    """

    key: str
    subject: str
    rung: str
    severity: Severity
    title: str
    action: str
    merchant: str = ""
    carrier: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    falls: bool = False


@dataclass(frozen=True, slots=True)
class Clear:
    """Clear the alert with this key; without a key, every open one about the subject."""

    subject: str
    key: str = ""


Decision: TypeAlias = Raise | Clear
Data: TypeAlias = Mapping[str, Any]

# Nothing that happens later ends these: they are over when somebody has seen them.
OVER_WHEN_SEEN = frozenset(
    {
        "unreadable", "unknown_code", "push_forged", "endpoint_gone", "bounced", "not_understood", "spend_cap",
        "label_used", "label_ghost", "label_price", "lookups_guessed", "no_label",
    }
)  # fmt: skip

_LADDER = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
_RUNGS = (
    "attempt_1",
    "attempt_2",
    "attempts_over",
    "undeliverable",
    "goes_back",
    "left_to_carrier",
    "stop_asked",
    "on_its_way_back",
)


def decide(notice: Notice) -> tuple[Decision, ...]:
    """What a notice means for ops; most mean nothing. Never raises for data that lacks something."""
    rule = _RULES.get(notice.type)
    return rule(notice) if rule else ()


def climbs(before: tuple[str, str], after: tuple[str, str]) -> bool:
    """Whether the second (rung, severity) stands higher than the first."""
    return _height(after) > _height(before)


def is_graver(before: str, after: str) -> bool:
    """Whether ops must be told again: a higher rung of the same severity is only shown."""
    return _LADDER[Severity(after)] > _LADDER[Severity(before)]


def _height(stand: tuple[str, str]) -> tuple[int, int]:
    rung, severity = stand
    return _RUNGS.index(rung) if rung in _RUNGS else -1, _LADDER[Severity(severity)]


# -------------------------------------------------------------------------------------------------------------- parcels


def _attempt(notice: Notice) -> tuple[Decision, ...]:
    """First: info. Second: warning, somebody must act before the next delivery day. The last one: critical."""
    parcel = _part(notice.data, "parcel")
    if _is_over(parcel):
        return ()  # an attempt told after the parcel had arrived
    return (_attempts(notice, parcel, int(_part(notice.data, "attempt").get("ordinal") or 0)),)


def _corrected(notice: Notice) -> tuple[Decision, ...]:
    """Attempts turned out to be fewer or others: the alert stands where the count says now, or is over."""
    parcel = _part(notice.data, "parcel")
    attempts = _part(parcel, "attempts")
    if _is_over(parcel) or not attempts.get("count"):
        return (Clear(notice.subject, _delivery(notice)),)
    if parcel.get("leg") == "back" or parcel.get("status") == "undeliverable":
        return ()
    return (_attempts(notice, parcel, int(attempts["count"]), falls=True),)


def _attempts(notice: Notice, parcel: Data, ordinal: int, *, falls: bool = False) -> Raise:
    attempts = _part(parcel, "attempts")
    count = max(ordinal, int(attempts.get("count") or 0))
    most = f" of {attempts['max']}" if attempts.get("max") else ""
    if attempts.get("exhausted") or attempts.get("final") or count >= 3:
        rung, severity = "attempts_over", Severity.CRITICAL
        action = "No attempt is left. Reach the customer now, then see that the parcel comes back or is collected."
    elif count == 2:
        rung, severity = "attempt_2", Severity.WARNING
        action = "Act before the next delivery day: reach the customer, correct the address, or redirect the parcel."
    else:
        rung, severity = "attempt_1", Severity.INFO
        action = "Nothing yet: the carrier tries again. A message to the customer helps."
    title = f"{_named(notice)}: delivery attempt {count}{most} failed"
    return _raise(notice, _delivery(notice), rung, severity, title, action, falls=falls)


def _status(notice: Notice) -> tuple[Decision, ...]:
    """A parcel that cannot be delivered, or is gone."""
    parcel = _part(notice.data, "parcel")
    match parcel.get("status"):
        case "undeliverable" if parcel.get("leg") == "out":
            title = f"{_named(notice)} cannot be delivered"
            action = "Reach the customer; settle whether it is sent again or refunded once it is back."
            return (_raise(notice, _delivery(notice), "undeliverable", Severity.CRITICAL, title, action),)
        case "lost" | "destroyed" as status:
            title = f"{_named(notice)} is {status}"
            action = "Open a claim with the carrier and tell the customer what happens next."
            return (_raise(notice, _loss(notice), "lost", Severity.CRITICAL, title, action),)
        case "voided":
            return (Clear(notice.subject),)
        case _:
            return ()


def _late(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)} is later than promised"
    action = "Tell the customer the new date; ask the carrier when nothing has moved for days."
    if _is_over(_part(notice.data, "parcel")):
        return ()
    return (_raise(notice, f"{notice.subject}/late", "late", Severity.WARNING, title, action),)


def _goes_back(notice: Notice) -> tuple[Decision, ...]:
    """The return to the warehouse, step by step, on the same alert as the attempts that led to it."""
    parcel = _part(notice.data, "parcel")
    if _is_over(parcel):
        return ()
    case = _part(parcel, "return_to_warehouse")
    reason = str(case.get("reason") or "unknown").replace("_", " ")
    rung, severity, title, action = _STEPS[notice.type]
    title = f"{_named(notice)} {title} ({reason})"
    return (_raise(notice, _delivery(notice), rung, severity, title, action),)


_STEPS = {
    "return_to_warehouse.expected": (
        "goes_back",
        Severity.CRITICAL,
        "goes back to the warehouse",
        "See that the carrier turns it round: ask for its return where the carrier allows it. Tell the customer.",
    ),
    "return_to_warehouse.requested": (
        "stop_asked",
        Severity.WARNING,
        "was asked back",
        "Wait for the first return scan; ask the carrier when none comes within two days.",
    ),
    "return_to_warehouse.under_way": (
        "on_its_way_back",
        Severity.WARNING,
        "is on its way back",
        "Nothing until it arrives at the warehouse; then settle refund, credit or a new parcel.",
    ),
}


def _left_to_carrier(notice: Notice) -> tuple[Decision, ...]:
    """Nothing turns it round by order: a task, on the same alert, with the carrier's own page."""
    if _is_over(_part(notice.data, "parcel")):
        return ()
    title = f"{_named(notice)} goes back only by the carrier's own doing: {notice.data.get('why') or 'no reason given'}"
    page = f" on its page ({notice.data['link']})" if notice.data.get("link") else ""
    by = str(_part(_part(_part(notice.data, "parcel"), "return_to_warehouse"), "returns_by").get("at") or "")[:10]
    hold = f"by {by}" if by else "after its hold"
    action = f"See whether the carrier turns it round {hold}; ask for it{page} or by phone when it does not."
    return (_raise(notice, _delivery(notice), "left_to_carrier", Severity.CRITICAL, title, action),)


def _return_overdue(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)} should have been back at the warehouse by now"
    action = "Look for it in the warehouse, then ask the carrier where it is. It clears by itself when it arrives."
    if _is_over(_part(notice.data, "parcel")):
        return ()
    return (_raise(notice, _overdue(notice), "return_overdue", Severity.CRITICAL, title, action),)


def _not_back(notice: Notice) -> tuple[Decision, ...]:
    """It does not come back any more: neither the way there nor its lateness needs anybody."""
    return (Clear(notice.subject, _delivery(notice)), Clear(notice.subject, _overdue(notice)))


def _bounced(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)}: the customer's return turned round"
    action = "The parcel goes back to the customer: find out why the warehouse did not take it, and send a new label."
    return (_raise(notice, f"{notice.subject}/bounced", "bounced", Severity.CRITICAL, title, action),)


def _lost(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)}: the customer's return is lost"
    action = "Open a claim with the carrier; refund the customer where the terms guarantee it."
    return (_raise(notice, _loss(notice), "lost", Severity.CRITICAL, title, action),)


def _dwelling(notice: Notice) -> tuple[Decision, ...]:
    days = notice.data.get("max_business_days", "some")
    title = f"{_named(notice)}: the return lies in the warehouse, undecided for more than {days} business days"
    action = "See that the warehouse checks it; the customer was promised an answer by now."
    return (_raise(notice, f"{notice.subject}/dwelling", "dwelling", Severity.WARNING, title, action),)


def _no_label(notice: Notice) -> tuple[Decision, ...]:
    """A parcel that should leave because of a return has no label, and nothing gets it one."""
    what = "the replacement" if notice.data.get("kind") == "exchange" else "what was not accepted"
    title = f"{_named(notice)}: no label could be had for {what}: {notice.data.get('why', 'no reason given')}"
    action = "Set right what stood against it and try again (dispatches/retry); else send it by hand."
    key = f"{notice.subject}/{notice.data.get('kind', '')}/no_label"
    return (_raise(notice, key, "no_label", Severity.CRITICAL, title, action),)


def _subject_over(notice: Notice) -> tuple[Decision, ...]:
    return (Clear(notice.subject),)


def _no_step(notice: Notice) -> tuple[Decision, ...]:
    """Told to ops as it is, and no trouble of its own."""
    return ()


# --------------------------------------------------------------------------------------------------------- ours alone


def _unreadable(notice: Notice) -> tuple[Decision, ...]:
    digest = str(notice.data.get("digest") or notice.name)
    carrier = notice.data.get("carrier", "a carrier")
    title = f"A payload from {carrier} cannot be read: {notice.data.get('error', 'no reason given')}"
    action = f"Its bytes are kept (sha256 {digest[:12]}...). Correct the reading and replay it."
    about = f"payload:{digest}"
    return (_raise(notice, f"{about}/unreadable", "unreadable", Severity.WARNING, title, action, about=about),)


def _unknown_code(notice: Notice) -> tuple[Decision, ...]:
    data = notice.data
    carrier, code = data.get("carrier", ""), data.get("code", "")
    about = f"code:{carrier}/{code}"
    day = str(data.get("day") or notice.at.date().isoformat())
    title = f"{carrier} says {code}, which nobody here knows: {data.get('words') or 'no words'}"
    action = f"Add a row for it to carriers/{carrier}/codes.csv; until then it changes no parcel."
    return (_raise(notice, f"{about}/{day}", "unknown_code", Severity.WARNING, title, action, about=about),)


def _code_known(notice: Notice) -> tuple[Decision, ...]:
    return (Clear(f"code:{notice.data.get('carrier', '')}/{notice.data.get('code', '')}"),)


def _forged(notice: Notice) -> tuple[Decision, ...]:
    about = f"carrier:{notice.data.get('carrier', '')}"
    key = f"{about}/forged/{notice.at:%Y-%m-%dT%H}"
    title = f"A push that {notice.data.get('carrier', 'a carrier')} did not send was refused"
    action = "When you just changed the push secret, check it on both sides; else somebody is trying: watch the count."
    return (_raise(notice, key, "push_forged", Severity.WARNING, title, action, about=about),)


def _guessed(notice: Notice) -> tuple[Decision, ...]:
    hour = str(notice.data.get("hour") or f"{notice.at:%Y-%m-%dT%H}")
    title = "Far more look-ups fail than shoppers make: somebody guesses order numbers from many networks"
    action = "Postcodes open nothing until it is over; e-mails and signed links still do. Block the networks in front."
    return (
        _raise(notice, f"lookups/guessed/{hour}", "lookups_guessed", Severity.CRITICAL, title, action, about="lookups"),
    )


def _purchase_unknown(notice: Notice) -> tuple[Decision, ...]:
    about = _purchase(notice) or notice.subject
    is_label = notice.data.get("operation") != "intercept"
    title = f"Nobody knows whether {'a label was bought' if is_label else 'a parcel was asked back'}"
    action = "It is looked up at the carrier by itself. When it stays open for an hour, look there by its reference."
    return (_raise(notice, f"{about}/unknown", "purchase_unknown", Severity.CRITICAL, title, action, about=about),)


def _purchase_settled(notice: Notice) -> tuple[Decision, ...]:
    about = _purchase(notice)
    return (Clear(about),) if about else ()


def _surplus(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)} was bought twice: this label is one too many"
    action = "It is voided by itself once that is proved to be safe. When it stays open for an hour, void it by hand."
    return (_raise(notice, _of_label(notice), "label_surplus", Severity.WARNING, title, action),)


def _used(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)} was one too many, and a parcel travels with it"
    action = "Find out who has it and what is in it; the label is not voided."
    return (_raise(notice, _of_label(notice), "label_used", Severity.CRITICAL, title, action),)


def _ghost(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)}: the carrier shows no such label under our reference"
    action = "Look at the carrier by its number. When it is gone there, give the customer a new label."
    return (_raise(notice, f"{_of_label(notice)}/ghost", "label_ghost", Severity.WARNING, title, action),)


def _price(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)} costs something else than it was bought for: {notice.data.get('why', '')}"
    action = "Compare it with the carrier's invoice; ask for the difference."
    return (_raise(notice, f"{_of_label(notice)}/price", "label_price", Severity.WARNING, title, action),)


def _label_over(notice: Notice) -> tuple[Decision, ...]:
    """A surplus label is void: its own alert is over, and nothing of the purchase's."""
    return (Clear(notice.subject, _of_label(notice)),)


def _of_label(notice: Notice) -> str:
    return f"label:{notice.data.get('carrier', '')}/{notice.data.get('number', '')}"


def _spend_cap(notice: Notice) -> tuple[Decision, ...]:
    title = f"A label was refused: {notice.data.get('why', 'a spend cap is reached')}"
    action = "Find out who buys so much. When it is right, raise HOMEWARD_SPEND."
    key = f"spending/{notice.data.get('code', '')}/{notice.data.get('about', '')}"
    return (_raise(notice, key, "spend_cap", Severity.WARNING, title, action),)


def _buying_off(notice: Notice) -> tuple[Decision, ...]:
    """No label is bought: a person stopped it, or a brake took hold. Over when it is let go."""
    title = f"No label is bought: {notice.data.get('why') or 'no reason given'}"
    action = _BRAKES.get(str(notice.data.get("code")), "It goes on by itself once that is over.")
    return (_raise(notice, _brake(notice), "buying_off", Severity.CRITICAL, title, action),)


def _buying_on(notice: Notice) -> tuple[Decision, ...]:
    return (Clear(notice.subject, _brake(notice)),)


def _brake(notice: Notice) -> str:
    return f"spending/{notice.data.get('code', '')}"


_BRAKES = {
    "buying_stopped": "homeward labels start lets it go on.",
    "disk_full": "Make room on the disk; it goes on by itself.",
    "unknown_purchases": "Look at the carrier's state; homeward labels reconcile asks it now. It goes on by itself.",
    "spend_cap_hour": "Find out who buys so much. When it is right, raise HOMEWARD_SPEND.",
}


def _refund_overdue(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)}: its price was asked back a month ago and nothing is decided ({notice.data.get('why')})"
    action = "Look at the dispute at the carrier; then `homeward labels refunded CARRIER NUMBER AMOUNT`."
    return (_raise(notice, f"{_of_label(notice)}/refund", "refund_overdue", Severity.WARNING, title, action),)


def _refund_settled(notice: Notice) -> tuple[Decision, ...]:
    return (Clear(notice.subject, f"{_of_label(notice)}/refund"),)


def _mail_failed(notice: Notice) -> tuple[Decision, ...]:
    title = f"{_named(notice)}: the label could not be mailed ({notice.data.get('why') or 'no reason given'})"
    action = "Give the customer the label another way, or mail it again to a right address."
    return (_raise(notice, f"{notice.subject}/mail", "mail_failed", Severity.WARNING, title, action),)


def _mail_sent(notice: Notice) -> tuple[Decision, ...]:
    return (Clear(notice.subject, f"{notice.subject}/mail"),)


def _away(notice: Notice) -> tuple[Decision, ...]:
    about = f"carrier:{notice.data.get('carrier', '')}"
    title = f"{notice.data.get('carrier', 'a carrier')} does not answer: {notice.data.get('error', 'no reason given')}"
    action = "Nothing is lost: it is asked again by itself. Look at the carrier's own status page; check credentials."
    return (_raise(notice, f"{about}/away", "carrier_away", Severity.CRITICAL, title, action, about=about),)


def _back(notice: Notice) -> tuple[Decision, ...]:
    about = f"carrier:{notice.data.get('carrier', '')}"
    return (Clear(about, f"{about}/away"),)


def _endpoint_gone(notice: Notice) -> tuple[Decision, ...]:
    title = f"Endpoint {notice.data.get('endpoint', '')} said it is gone (410) and is switched off"
    action = "What it is owed is held. Remove it, or resume it once the receiver is back."
    key = f"{notice.subject}/gone"
    return (_raise(notice, key, "endpoint_gone", Severity.WARNING, title, action),)


def _endpoint_paused(notice: Notice) -> tuple[Decision, ...]:
    title = f"Endpoint {notice.data.get('endpoint', '')} took nothing for five days and is paused"
    action = "What it is owed is held; one notice a day is tried. Resume it once the receiver is back."
    return (_raise(notice, f"{notice.subject}/paused", "endpoint_paused", Severity.WARNING, title, action),)


def _sweep_failed(notice: Notice) -> tuple[Decision, ...]:
    sweep = notice.data.get("sweep", "a sweep")
    title = f"The work loop's sweep {sweep} failed ({notice.data.get('error', 'unknown error')})"
    action = "It is tried again at its next turn. If this stays, look into the log for the error and tell the makers."
    return (_raise(notice, f"sweep/{sweep}", "sweep_failed", Severity.WARNING, title, action),)


def _push_silent(notice: Notice) -> tuple[Decision, ...]:
    about = f"carrier:{notice.data.get('carrier', '')}"
    title = f"{notice.data.get('carrier', 'a carrier')} pushes nothing while polls bring news"
    action = "Nothing is missed: it is polled. Look at the subscription and at whether the carrier reaches our address."
    return (_raise(notice, f"{about}/push_silent", "push_silent", Severity.WARNING, title, action, about=about),)


def _push_heard(notice: Notice) -> tuple[Decision, ...]:
    about = f"carrier:{notice.data.get('carrier', '')}"
    return (Clear(about, f"{about}/push_silent"),)


def _unidentified(notice: Notice) -> tuple[Decision, ...]:
    """A parcel comes to the warehouse that nobody knows: one alert for each, over once somebody said whose it is."""
    number = notice.data.get("number")
    best = notice.data.get("best")
    named = f"{notice.data.get('carrier', '')} {number}".strip().upper() if number else "A box without a number"
    likely = f"; the likeliest owner scores {best:.2f}" if isinstance(best, float) else ""
    title = f"{named} comes home and nobody knows whose it is{likely}"
    action = "Say whose it is: homeward unidentified list, then match or dismiss."
    return (_raise(notice, notice.subject, "unidentified", Severity.WARNING, title, action),)


def _tracking_stale(notice: Notice) -> tuple[Decision, ...]:
    """One alert for one carrier, however many parcels; it counts them anew when it is told again."""
    about = f"carrier:{notice.data.get('carrier', '')}"
    count = notice.data.get("count", 0)
    title = f"{notice.data.get('carrier', 'a carrier')}: {count} parcels were not asked about in time"
    action = "The quota may be too small for what is followed: homeward doctor shows it. Answers say that they are old."
    return (_raise(notice, f"{about}/stale", "tracking_stale", Severity.WARNING, title, action, about=about),)


def _tracking_fresh(notice: Notice) -> tuple[Decision, ...]:
    about = f"carrier:{notice.data.get('carrier', '')}"
    return (Clear(about, f"{about}/stale"),)


# ---------------------------------------------------------------------------------------------------------------- parts


def not_understood(notice: Notice, error: Exception) -> Raise:
    """The alert for a notice that the ladder itself stumbled over: it is told, and nothing waits behind it."""
    title = f"A notice of type {notice.type} about {notice.subject} could not be judged: {type(error).__name__}"
    key = f"{notice.subject}/{notice.name}/not_understood"
    return Raise(
        key, notice.subject, "not_understood", Severity.WARNING, title, "Report it: this is a mistake of ours."
    )


def _raise(
    notice: Notice,
    key: str,
    rung: str,
    severity: Severity,
    title: str,
    action: str,
    *,
    about: str = "",
    falls: bool = False,
) -> Raise:
    data = {name: notice.data[name] for name in _SHOWN if name in notice.data}
    merchant, carrier = str(notice.data.get("merchant") or ""), str(notice.data.get("carrier") or "")
    return Raise(key, about or notice.subject, rung, severity, title, action, merchant, carrier, data, falls)


# what an alert repeats of the notice that raised it; never a name, a street or an e-mail
_SHOWN = (
    "number", "purpose", "order_numbers", "return_number", "attempt", "digest", "code", "words", "day", "error",
    "purchase_id", "reference", "endpoint", "link", "why",
)  # fmt: skip


def _named(notice: Notice) -> str:
    """The parcel or return in words, with the orders it is for."""
    data = notice.data
    number = data.get("number") or data.get("return_number") or notice.subject
    orders = ", ".join(str(one) for one in data.get("order_numbers") or ())
    carrier = str(data.get("carrier") or "").upper()
    return " ".join(part for part in (carrier, str(number), f"(order {orders})" if orders else "") if part)


def _delivery(notice: Notice) -> str:
    return f"{notice.subject}/delivery"


def _overdue(notice: Notice) -> str:
    return f"{notice.subject}/overdue"


def _loss(notice: Notice) -> str:
    """One alert for one lost parcel, whether it is told of the parcel or of the return."""
    number = notice.data.get("number")
    return f"lost/{notice.data.get('carrier', '')}/{number}" if number else f"{notice.subject}/lost"


def _purchase(notice: Notice) -> str:
    purchase = notice.data.get("purchase_id")
    return f"purchase:{purchase}" if purchase else ""


def _part(data: Data, name: str) -> Data:
    part = data.get(name)
    return part if isinstance(part, Mapping) else {}


def _is_over(parcel: Data) -> bool:
    """Delivered, or home again: nothing about the way there needs anybody any more."""
    return parcel.get("status") in ("delivered", "voided")


_RULES: Mapping[str, Callable[[Notice], tuple[Decision, ...]]] = {
    "parcel.attempt_failed": _attempt,
    "parcel.attempt_corrected": _corrected,
    "parcel.status_changed": _status,
    "parcel.late": _late,
    "parcel.delivered": _subject_over,
    "return_to_warehouse.expected": _goes_back,
    "return_to_warehouse.requested": _goes_back,
    "return_to_warehouse.under_way": _goes_back,
    "return_to_warehouse.arrived": _subject_over,
    "return_to_warehouse.received": _subject_over,
    "return_to_warehouse.cancelled": _not_back,
    "ops.left_to_carrier": _left_to_carrier,
    "ops.return_overdue": _return_overdue,
    "return.bounced": _bounced,
    "return.lost": _lost,
    "return.received": _subject_over,
    "return.accepted": _subject_over,
    "return.rejected": _subject_over,
    "ops.return_dwelling": _dwelling,
    "ops.dispatch_impossible": _no_label,
    "label.purchased": _purchase_settled,
    "label.voided": _label_over,
    "ops.payload_unreadable": _unreadable,
    "ops.unknown_code": _unknown_code,
    "ops.code_known": _code_known,
    "ops.push_forged": _forged,
    "ops.lookups_guessed": _guessed,
    "ops.purchase_unknown": _purchase_unknown,
    "ops.purchase_settled": _purchase_settled,
    "ops.label_surplus": _surplus,
    "ops.label_used": _used,
    "ops.label_ghost": _ghost,
    "ops.label_price": _price,
    "ops.spend_cap": _spend_cap,
    "ops.buying_stopped": _buying_off,
    "ops.buying_started": _buying_on,
    "ops.buying_braked": _buying_off,
    "ops.buying_released": _buying_on,
    "ops.refund_overdue": _refund_overdue,
    "ops.refund_settled": _refund_settled,
    "ops.mail_failed": _mail_failed,
    "ops.mail_sent": _mail_sent,
    "ops.carrier_away": _away,
    "ops.carrier_back": _back,
    "ops.endpoint_gone": _endpoint_gone,
    "ops.endpoint_paused": _endpoint_paused,
    "ops.endpoint_back": _subject_over,
    "ops.sweep_failed": _sweep_failed,
    "ops.unidentified": _unidentified,
    "ops.identified": _subject_over,
    "ops.tracking_stale": _tracking_stale,
    "ops.tracking_fresh": _tracking_fresh,
    "ops.push_silent": _push_silent,
    "ops.push_heard": _push_heard,
    "ops.digest": _no_step,
}
