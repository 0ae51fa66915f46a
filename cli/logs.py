"""The log: one JSON object a line on stderr, only fields that are allowed, never a secret or a person."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "exception", "carrier", "caller", "error", "method", "ms", "payload",
        "request_id", "route", "status", "sweep", "why", "endpoint", "tries", "purchase", "state", "operation", "code",
    }
)  # fmt: skip
"""What may stand in a line. A field that is not here is dropped: order numbers, addresses, tracking numbers, bodies."""


def allow(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in line.items() if name in ALLOWED}


def configure(level: str) -> None:
    """Both structlog's loggers and the standard library's, through one formatter."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "httpx", "aiohttp"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
    # a sweep that is still running when its next turn comes is no news; its errors are told by the work loop
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
