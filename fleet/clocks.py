"""Story time: a start and a speed, shared by every process (and by the simulated street) through one line of text."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

_encode = msgspec.json.Encoder().encode  # writes an instant in a fifth of the time that isoformat takes
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Clock:
    """Story time as a straight line over real time: `start` at the real second `anchor`, then `speed` times as fast.

    Deadlines, windows and due rows are in story time; leases, timeouts, tokens and signatures never are.
    """

    start: datetime
    speed: float = 1.0
    anchor: float = 0.0

    @classmethod
    def real(cls) -> "Clock":
        """The clock on the wall."""
        return cls(datetime.fromtimestamp(0, UTC), 1.0, 0.0)

    @classmethod
    def parse(cls, text: str) -> "Clock":
        """`<RFC3339 start>@<speed>@<unix anchor>`; empty is the clock on the wall. Raises ValueError."""
        if not text:
            return cls.real()
        start, speed, anchor = text.split("@")
        at = datetime.fromisoformat(start)
        if at.tzinfo is None or float(speed) <= 0:
            raise ValueError(f"not a clock: {text!r}; expected 2026-03-02T08:00:00Z@3600@1772438400.0")
        return cls(at.astimezone(UTC), float(speed), float(anchor))

    def __str__(self) -> str:
        return f"{self.start.isoformat().replace('+00:00', 'Z')}@{self.speed:g}@{self.anchor!r}"

    def now(self) -> datetime:
        """Story time now, aware UTC."""
        return self.start + int((time.time() - self.anchor) * self.speed * 1e6) * _MICROSECOND


def real_now() -> datetime:
    """The clock on the wall, aware UTC: for leases, signatures and whatever else is not part of the story."""
    return datetime.now(UTC)


def to_us(instant: datetime) -> int:
    """Microseconds UTC since 1970, as the database stores instants."""
    return (instant - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The aware UTC instant of a stored number."""
    return _EPOCH + us * _MICROSECOND  # half the time of a timedelta that is told its microseconds


def text(instant: datetime) -> str:
    """RFC 3339 with Z, to the second, as JSON shows instants."""
    return f"{_encode(instant if instant.tzinfo is UTC else instant.astimezone(UTC))[1:20].decode()}Z"
