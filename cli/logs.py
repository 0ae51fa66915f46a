"""The log: one JSON object a line on stderr, only fields that are allowed, never a secret or a person.

What an error says may hold a person's words, and so may the arguments of somebody else's message: of an error stand its
types and places, of a message stands what its author wrote, and what looks like an address or a number is blotted out.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "exception", "carrier", "caller", "error", "method", "ms", "payload",
        "request_id", "route", "status", "sweep", "why", "endpoint", "tries", "purchase", "state", "operation", "code",
        "api", "channel", "kind", "mail", "places",
    }
)  # fmt: skip
"""What may stand in a line. A field that is not here is dropped: order numbers, addresses, tracking numbers, bodies."""

# an e-mail address, a UPS number, a number as long as USPS's; and what an API key of ours looks like
_MARKS = re.compile(r"[^\s@\"'<>]+@[^\s@\"'<>]+\.\w+|\b1Z[0-9A-Z]{16}\b|\b\d{12,34}\b|\bhw_live_[\w-]+")
_BLOT = "[...]"
_FRAMES = 12


def allow(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Only the fields that may stand there, without what looks like a person's."""
    return {name: _blotted(value) for name, value in line.items() if name in ALLOWED}


def written(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Of a message of the standard library's loggers, what its author wrote: not what was put into it."""
    record = line.get("_record")
    if isinstance(record, logging.LogRecord):
        line["event"] = str(record.msg)
    return line


def places(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An error as its types and the places it went through, never its words."""
    found = line.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else sys.exception() if found is True else found
    if isinstance(error, BaseException):
        line["exception"] = _told(error)
    return line


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    told = f"{type(error).__name__} at {where}" if where else type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        told += " [" + "; ".join(_told(each) for each in error.exceptions) + "]"
    if error.__cause__ is not None:
        told += " from " + _told(error.__cause__)
    return told


def _blotted(value: Any) -> Any:
    if isinstance(value, str):
        return _MARKS.sub(_BLOT, value)
    if isinstance(value, list | tuple):
        return [_blotted(each) for each in value]
    return value if isinstance(value, bool | int | float | None) else _MARKS.sub(_BLOT, str(value))


def configure(level: str) -> None:
    """Both structlog's loggers and the standard library's, through one formatter."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[written, *shared],
            processors=[
                places,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                allow,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "httpx", "aiohttp", "urllib3", "opentelemetry"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
    # a sweep that is still running when its next turn comes is no news; its errors are told by the work loop
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
