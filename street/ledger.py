"""The carriers' own book of labels, voids and charges: written once, never changed; the witness of what was paid."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    seq: int
    at: str  # story time
    carrier: str
    kind: str  # label, charge, void, refund, intercept, intercept_cancelled, pickup, pickup_cancelled, dispute
    number: str
    reference: str = ""
    key: str = ""
    amount: str = ""
    currency: str = ""


class Ledger:
    """Append-only. With a path every line is on the disk before the carrier answers."""

    def __init__(self, path: Path | None = None) -> None:
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def add(
        self,
        at: datetime,
        carrier: str,
        kind: str,
        number: str,
        *,
        reference: str = "",
        key: str = "",
        amount: str = "",
        currency: str = "",
    ) -> Line:
        with self._lock:
            line = Line(len(self._lines) + 1, at.isoformat(), carrier, kind, number, reference, key, amount, currency)
            self._lines.append(line)
            if self._file:
                self._file.write(json.dumps(asdict(line)) + "\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        return line

    def close(self) -> None:
        if self._file:
            self._file.close()
