"""The street's story clock: it runs at any speed, and it can be turned forward by hand."""

import time
from datetime import UTC, datetime, timedelta


class StoryClock:
    """Story time as a line over real time: `<RFC3339 start>@<speed>@<unix anchor>`; empty is the clock on the wall."""

    def __init__(self, start: datetime, speed: float, anchor: float) -> None:
        if start.tzinfo is None or speed <= 0:
            raise ValueError("a story clock needs a start with a zone and a speed above zero")
        self.start, self.speed, self.anchor = start.astimezone(UTC), speed, anchor

    @classmethod
    def parse(cls, text: str) -> "StoryClock":
        """Read the one-line form. Raises ValueError."""
        if not text:
            return cls(datetime.fromtimestamp(0, UTC), 1.0, 0.0)
        parts = text.split("@")
        if len(parts) != 3:
            raise ValueError(f"not a clock: {text!r}; expected 2026-03-02T08:00:00Z@3600@1772438400.0")
        return cls(datetime.fromisoformat(parts[0]), float(parts[1]), float(parts[2]))

    @classmethod
    def starting(cls, start: datetime, speed: float = 1.0) -> "StoryClock":
        """A clock that shows `start` at this moment."""
        return cls(start, speed, time.time())

    def __str__(self) -> str:
        return f"{self.start.isoformat().replace('+00:00', 'Z')}@{self.speed:g}@{self.anchor!r}"

    def now(self) -> datetime:
        return self.start + timedelta(seconds=(time.time() - self.anchor) * self.speed)

    def turn(self, to: datetime) -> None:
        """Jump to a later instant. What was told cannot be untold: an earlier one is a ValueError."""
        real = time.time()
        if to < self.start + timedelta(seconds=(real - self.anchor) * self.speed):
            raise ValueError("the street's clock is only turned forward")
        self.start, self.anchor = to.astimezone(UTC), real

    def run(self, speed: float) -> None:
        """Go on from this very moment at another speed."""
        if speed <= 0:
            raise ValueError("the speed must be above zero")
        real = time.time()
        self.start += timedelta(seconds=(real - self.anchor) * self.speed)
        self.speed, self.anchor = speed, real
