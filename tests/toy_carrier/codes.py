"""The toy carrier's words and what each means to us: a table and nothing else.

# source: invented; a real table names the carrier's page and its date
"""

from typing import NamedTuple

from carriers.contract import Kind, Reason


class Row(NamedTuple):
    kind: Kind
    reason: Reason | None = None
    ordinal: int | None = None
    final: bool = False


TABLE = {
    "LBL": Row(Kind.LABEL_CREATED),
    "HUB": Row(Kind.IN_TRANSIT),
    "VAN": Row(Kind.OUT_FOR_DELIVERY),
    "NH1": Row(Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 1),
    "NH2": Row(Kind.ATTEMPT_FAILED, Reason.RECIPIENT_ABSENT, 2, final=True),
    "REF": Row(Kind.REFUSED, Reason.REFUSED),
    "OK": Row(Kind.DELIVERED),
    "RTS": Row(Kind.RETURNING_TO_SENDER),
}
UNKNOWN = Row(Kind.UNKNOWN)
