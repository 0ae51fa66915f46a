"""When a notice that did not arrive is tried again: soon at first, daily at last, for thirty days (pure)."""

from datetime import timedelta

# source: design/faults-and-security.md, "Outbound span": what comes before each of the first ten tries, then daily
_WAITS = (0, 5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000)
_DAY = 86_400
_SPAN = 30 * _DAY
_JITTER = 0.2

TRIES = len(_WAITS) + (_SPAN - sum(_WAITS)) // _DAY
"""So many tries fit into thirty days; after the last one a notice has failed."""


def wait_after(tries: int, random: float) -> timedelta | None:
    """How long to wait after this many tries, up to a fifth more or less by `random` in [0, 1); None: no more."""
    if tries >= TRIES:
        return None
    seconds = _WAITS[tries] if tries < len(_WAITS) else _DAY
    return timedelta(seconds=seconds * (1 - _JITTER + 2 * _JITTER * random))
