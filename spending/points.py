"""Named places between two instructions where a process may die: nothing here, unless a rig puts something in."""

from collections.abc import Callable


def _nothing(name: str) -> None:
    """Nothing happens."""


crash_point: Callable[[str], None] = _nothing
"""Called as `points.crash_point("buy.after_send")`. A rig's process puts its own function here."""

NAMES = (
    "plan.before",  # nothing is kept
    "plan.after",  # PLANNED is durable
    "buy.after_intent",  # SENDING is durable, nothing has left
    "buy.after_send",  # the answer is here, nothing of it is kept
    "settle.inside",  # in the transaction that keeps the label
    "settle.after",  # the label is durable, nobody was told
    "look.after_take",  # somebody is about to ask the carrier
    "look.after_find",  # the carrier has answered, nothing of it is kept
    "resend.after_intent",  # the same bytes are about to go again
    "issue.after",  # the label is handed over, the caller has no answer
    "void.after_proof",  # it may be voided, and nothing says so yet
    "void.after_intent",
    "void.after_send",
    "void.after_settle",
    "audit.after_find",
)
"""Every point, in the order of a purchase's life."""

INTERCEPT_NAMES = (
    "read.after",  # the carrier was asked afresh, and nothing is kept yet
    "plan.before",
    "plan.after",
    "intercept.after_intent",  # SENDING is durable, nothing has left
    "intercept.after_send",  # the answer is here, nothing of it is kept
    "intercept.after_settle",  # it is known, and the parcel's case does not say so
    "look.after_take",
    "look.after_find",
    "resend.after_intent",
    "case.after_hand_over",
)
"""The points of an order to turn a parcel round, in the order of its life."""
