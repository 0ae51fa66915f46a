"""What is still to be pushed, by its story time."""

import heapq
from datetime import datetime, timedelta

from street.telling import Scan


class Queue:
    """Pushes in the order they come due; `under_way` counts those taken out and not yet sent or lost."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, str, Scan]] = []
        self._count = 0
        self.under_way = 0

    def add(self, due: datetime, number: str, scan: Scan) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, number, scan))

    def add_after_next(self, now: datetime, number: str, scan: Scan) -> None:
        """Behind the next push of the same number, if there is one."""
        following = min((due for due, _, other, _ in self._heap if other == number), default=now)
        self.add(max(following, now) + timedelta(seconds=1), number, scan)

    def take(self, now: datetime) -> list[tuple[str, Scan]]:
        """Everything due by now, oldest first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, _, number, scan = heapq.heappop(self._heap)
            due.append((number, scan))
        self.under_way += len(due)
        return due

    def drop(self, number: str) -> None:
        """Nothing more is pushed for this number."""
        self._heap = [each for each in self._heap if each[2] != number]
        heapq.heapify(self._heap)

    def done(self) -> None:
        self.under_way -= 1

    def is_behind(self, now: datetime) -> bool:
        """Something due by now was not sent or lost yet."""
        return bool(self.under_way or (self._heap and self._heap[0][0] <= now))

    @property
    def idle(self) -> bool:
        return not self._heap and not self.under_way
