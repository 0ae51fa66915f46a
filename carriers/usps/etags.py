"""Changes to what USPS keeps under an ETag (subscriptions, pickups): read it, change it, once more where it was stale.

source: facts/usps.md 5, 6.1: an ETag lives an hour or until it is used; 412 says that it is stale.
"""

from typing import Any

from carriers.contract import Away, Refused, Unreadable
from carriers.door import Door
from carriers.usps import shapes

STALE = "412"


async def get(door: Door, path: str, api: str) -> tuple[Any, str]:
    """What is there, and its ETag. Raises NotFound, Refused, Busy, Away."""
    response = await door.ask("GET", path, api=api)
    return said(response.content), response.headers.get("etag", "")


async def change(door: Door, method: str, path: str, api: str, body: object = None) -> Any:
    """PUT or DELETE under the current ETag. Raises NotFound, Refused, Busy, Away."""
    _, etag = await get(door, path, api)
    try:
        return await _changed(door, method, path, api, body, etag)
    except Refused as error:
        if error.code != STALE:
            raise
    _, etag = await get(door, path, api)
    return await _changed(door, method, path, api, body, etag)


async def _changed(door: Door, method: str, path: str, api: str, body: object, etag: str) -> Any:
    request: dict[str, object] = {} if body is None else {"json": body}
    response = await door.ask(method, path, api=api, headers={"If-Match": etag}, **request)
    return said(response.content) if response.content else {}


def said(body: bytes) -> Any:
    """The JSON of a success; a proxy's page in its place is an outage."""
    try:
        return shapes.json(body)
    except Unreadable:
        raise Away("USPS answered with something that is no JSON") from None
