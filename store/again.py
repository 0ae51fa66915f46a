"""For units that may run twice: a commit that nobody knows about is settled by running the unit again."""

from typing import TypeVar

from store.unit import CommitUnknown, Store, Unit

T = TypeVar("T")

RUNS = 3


async def write_surely(store: Store, unit: Unit[T]) -> T:
    """`store.write`, and once more after a CommitUnknown. Only for units that find out by themselves what was kept."""
    for _ in range(RUNS - 1):
        try:
            return await store.write(unit)
        except CommitUnknown:
            continue
    return await store.write(unit)
