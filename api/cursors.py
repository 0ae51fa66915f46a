"""Lists in pages: an opaque cursor that names the last row of the page before."""

import base64
from typing import Annotated

from pydantic import Field

from api.problems import Problem
from api.shapes import Asked

MOST = 200
NO_ROW = 2**62  # beyond every row: where a list that begins with the newest starts


class Paged(Asked):
    """Which page of a list."""

    cursor: Annotated[str, Field(max_length=64, description="`next_cursor` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=MOST, description="How many at most")] = 50


def row_of(cursor: str, start: int) -> int:
    """The row that a cursor names; `start` where none is given. Raises Problem."""
    if not cursor:
        return start
    try:
        plain = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        plain = ""
    number = plain.removeprefix("row:")
    if number == plain or not number.isdecimal() or len(number) > 19:
        raise Problem("invalid_cursor")
    return min(int(number), NO_ROW)


def cursor_at(row_id: int) -> str:
    """The cursor that names a row."""
    return base64.urlsafe_b64encode(f"row:{row_id}".encode()).decode()
