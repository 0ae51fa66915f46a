"""What a USPS answer that is no success means: its error envelope read leniently, and who must do what next.

source: facts/usps.md 8 (envelope, statuses), 1.1 (OAuth speaks another shape), 1.2 and 2.10 (codes worth a retry).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from carriers.contract import Away, Busy, CarrierError, NotFound, Refused, Unreadable
from carriers.door import retry_after
from carriers.usps import shapes, wording

# 100005: a card could not be checked just now; 160368: Label Broker is down.
LATER = frozenset({"100005", "160368"})
LATER_WORDS = ("try again later", "try later", "service unavailable", "temporarily unavailable")
# A quota error without Retry-After: the usual quota is sixty calls an hour.  # source: facts/usps.md 8
QUIET = 60.0
REQUEST_IDS = ("x-request-id", "x-correlation-id", "x-correlationid", "x-global-transaction-id")


@dataclass(frozen=True, slots=True)
class Complaint:
    """The carrier's own words for what is wrong."""

    code: str
    message: str

    @property
    def passes(self) -> bool:
        """Whether the same request may work later."""
        return self.code in LATER or any(words in self.message.lower() for words in LATER_WORDS)

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code else self.message


def complaint(body: bytes) -> Complaint | None:
    """The complaint in an error body; None where it is not one of USPS's (HTML of a proxy, an empty body)."""
    try:
        said = shapes.json(body)
    except Unreadable:
        return None
    if not isinstance(said, dict):
        return None
    match said.get("error"):
        case dict(envelope):
            return _enveloped(envelope)
        case str(word):
            return Complaint(word, _line(said.get("error_description")) or word)
    # source: facts/usps.md 1.2: the test environment answers without the envelope
    return Complaint("", _line(said["body"])) if isinstance(said.get("body"), str) else None


def _enveloped(envelope: Mapping[str, Any]) -> Complaint:
    errors = envelope.get("errors")
    details = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    codes = [_code(each["code"]) for each in details if each.get("code")]
    words = [_line(each.get("detail")) or _line(each.get("title")) for each in details]
    message = "; ".join(filter(None, words)) or _line(envelope.get("message")) or "no reason given"
    return Complaint(next(iter([*codes, str(envelope.get("code") or "")])), message[:500])


def _code(code: object) -> str:
    """A code of six digits that came as a number has lost its leading zero.  # source: facts/usps.md 8"""
    return f"{code:06}" if isinstance(code, int) and code > 9999 else str(code)


def _line(text: object) -> str:
    return wording.without_html(text) if isinstance(text, str) else ""


def request_id(response: httpx.Response) -> str:
    """USPS documents no id of a request; its gateways put one into one of these headers."""
    return next((found for name in REQUEST_IDS if (found := response.headers.get(name, "").strip()[:80])), "")


def fault(response: httpx.Response) -> CarrierError | None:
    """What to raise for this answer; None for a success."""
    status, id = response.status_code, request_id(response)
    if status < 300:
        return None
    said = complaint(response.content)
    text = f"USPS answered {status}: {said or 'without a reason'}"
    code = (said.code if said else "") or str(status)
    if status == 429:
        return Busy(text, code=code, request_id=id, retry_after=retry_after(response) or QUIET)
    if status == 412:  # a stale ETag: read again and retry
        return Refused(text, code="412", request_id=id)
    if status == 404:
        return NotFound(text, code=code, request_id=id)
    if status == 401:
        text += "; the credentials lack this API: see My Apps in the USPS developer portal"
        return Refused(text, code=code, request_id=id)
    if status in (408, 425) or (status >= 500 and status != 501) or (said and said.passes):
        return Away(text, code=code, request_id=id, retry_after=retry_after(response))
    return Refused(text, code=code, request_id=id)
