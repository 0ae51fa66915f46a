"""What the rooms behind raise -> what the caller is told: errors become status codes here and nowhere else."""

from collections.abc import Sequence

from api.problems import CODES, Problem, status_of
from carriers.contract import Away, Busy, NotFound, Refused
from tracker.orders import Declined

WAIT = 60  # seconds, where a carrier does not say


def as_problem(error: Exception, parameters: Sequence[str]) -> Problem | None:
    """The problem for an error that a room behind may raise, at an address with these names; None for a crash."""
    problem = _problem(error)
    if problem and problem.code in CODES:
        problem.status = status_of(problem.code, parameters)
    return problem


def _problem(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case Declined():
            return Problem(error.code, error.message, error.pointer or None, term=error.term, instead=error.instead)
        case Busy():
            wait = max(1, round(error.retry_after or WAIT))
            return Problem("carrier_busy", headers={"Retry-After": str(wait)})
        case Away():
            return Problem("carrier_away", headers={"Retry-After": str(WAIT)})
        case NotFound():
            return Problem("parcel_unknown", "the carrier knows nothing of it yet")
        case Refused():
            return Problem("carrier_refused", f"the carrier's code is {error.code}" if error.code else "")
        case _:
            return None
