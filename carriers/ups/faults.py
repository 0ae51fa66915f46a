"""What an answer of UPS that is no success means for the caller, as one of the contract's errors."""

import httpx

from carriers.contract import Away, Busy, CarrierError, NotFound, Refused
from carriers.door import retry_after
from carriers.ups.reading import NOTHING_FOUND
from carriers.ups.shapes import Complaint, parse

# UPS sends no Retry-After and publishes no limits.  # source: facts/ups.md 11
QUIET_SECONDS = 5.0
# Track Alert took none of the numbers; the answer lists them.  # source: facts/ups.md 6.1, 6.4
NO_VALID_NUMBER = frozenset({"VSS210", "VSS215"})
PRODUCT_HINT = (
    "check UPS_CLIENT_ID and UPS_CLIENT_SECRET, and that the app at developer.ups.com has this product added"
    " (Tracking, Track Alert, Shipping, Delivery Intercept, Pickup, Locator, Address Validation):"
    " UPS says 250002 for a missing product too"
)


def fault(response: httpx.Response) -> CarrierError | None:
    """None for a success; else Refused, Busy, Away or NotFound."""
    status = response.status_code
    if 200 <= status < 300:
        return None
    code, message = complaint(response)
    said, theirs = f"UPS answered {status} {code} {message}".strip(), request_id(response)
    if status in (401, 403):
        return Refused(f"{said}: {PRODUCT_HINT}", code=code, request_id=theirs)
    if status == 429:
        return Busy(said, code=code, request_id=theirs, retry_after=retry_after(response) or QUIET_SECONDS)
    if status >= 500 or status == 408:
        return Away(said, code=code, request_id=theirs, retry_after=retry_after(response))
    if status == 404 or code in NOTHING_FOUND:
        return NotFound(said, code=code, request_id=theirs)
    return Refused(said, code=code, request_id=theirs)


def fault_of_the_call(response: httpx.Response) -> CarrierError | None:
    """The same where a number that UPS does not know, or does not take, is an answer and not a fault."""
    error = fault(response)
    return None if isinstance(error, NotFound) or (error and error.code in NO_VALID_NUMBER) else error


def request_id(response: httpx.Response) -> str:
    """What UPS's support asks for: its own id of the call, else the one we gave it.  # source: facts/ups.md 0, 7.1"""
    try:
        ours = str(response.request.headers.get("transid", ""))
    except RuntimeError:  # an answer without a request
        ours = ""
    return response.headers.get("bkndtransid") or response.headers.get("transid") or ours


def complaint(response: httpx.Response) -> tuple[str, str]:
    """The carrier's own code and message; both empty where the answer is HTML or nothing we know."""
    found = complaints(response.content)
    if found:
        return found[0].code or found[0].error_code or "", found[0].message or found[0].error_message or ""
    # An empty body leaves its reason in two headers.  # source: facts/ups.md 4.4
    return response.headers.get("errorcode", ""), response.headers.get("errordescription", "")


def complaints(body: bytes) -> list[Complaint]:
    """The errors in a body, in any of the shapes in use; none where there is nothing to read."""
    try:
        return parse(body).complaints
    except ValueError:
        return []
