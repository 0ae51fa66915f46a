"""Bytes to Readings, for the toy carrier's answers and pushes alike; and what proves a push. All pure."""

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

import msgspec

from carriers.contract import Event, Forged, Payload, Place, Push, Readings, Recognised, Source, Told, Unreadable
from tests.toy_carrier.codes import TABLE, UNKNOWN

CARRIER = "toy"
NUMBER = re.compile(r"TOY[0-9]{8}")


class _Scan(msgspec.Struct):
    at: datetime
    code: str = ""
    text: str = ""
    town: str = ""
    land: str = ""


class _Body(msgspec.Struct):
    """An answer has `scans`, a push has one `scan`, an error has `error`."""

    parcel: str = ""
    scans: list[_Scan] | None = None
    scan: _Scan | None = None
    error: str = ""
    expected: date | None = None
    renamed: str = ""


def read(payload: Payload) -> Readings:
    """Everything a payload says. Raises Unreadable for bytes that are not the toy carrier's."""
    body = _parse(payload.body)
    if body.error == "unknown parcel":
        return Readings((), tuple(Told(number, found=False, warnings=(body.error,)) for number in payload.asked))
    if body.error or not NUMBER.fullmatch(body.parcel) or (body.scans is None and body.scan is None):
        raise Unreadable(f"toy: expected a parcel with scans, got {body.error or 'something else'}")
    scans = body.scans if body.scans is not None else [body.scan] if body.scan else []
    events = tuple(_event(body.parcel, scan) for scan in scans if scan.code or scan.text)
    newest = max((event.at for event in events), default=None)
    fields = {"estimate": "expected"} if body.expected else {}
    alternates = (body.renamed,) if body.renamed else ()
    told = Told(body.parcel, newest, estimate=body.expected, alternates=alternates, fields=fields)
    return Readings(events, (told,))


def _parse(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"toy: expected its JSON, got {body[:40]!r}") from error


def _event(number: str, scan: _Scan) -> Event:
    code = scan.code.strip()
    row = TABLE.get(code, UNKNOWN)
    local = scan.at if scan.at.tzinfo else scan.at.replace(tzinfo=UTC)
    try:
        at = local.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:  # the first or the last day of the calendar
        raise Unreadable("toy: a scan at the end of time") from error
    return Event(
        CARRIER, number, at, local.replace(microsecond=0), local.date(), row.kind, code, scan.text,
        Place(scan.town, "", "", scan.land), row.reason, row.ordinal, row.final, known=code in TABLE,
    )  # fmt: skip


def source_of(body: bytes) -> Source:
    """A push has one scan, everything else is an answer."""
    return Source.PUSH if _parse(body).scan else Source.POLL


def recognise(text: str) -> Recognised | None:
    bare = re.sub(r"[\s-]+", "", text).upper()
    return Recognised(bare) if NUMBER.fullmatch(bare) else None


def verify(push: Push, secrets: Sequence[str], now: datetime) -> None:
    """Raise Forged unless `x-toy-signature` is the body's HMAC under one of our secrets, in constant time."""
    shown = push.headers.get("x-toy-signature", "").encode()
    proven = False
    for secret in secrets:
        wanted = hmac.new(secret.encode(), push.body, "sha256").hexdigest().encode()
        proven |= bool(secret) and hmac.compare_digest(shown, wanted)
    if not proven:
        raise Forged("toy: a push without our signature")
