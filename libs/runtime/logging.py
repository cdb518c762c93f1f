"""Structured logs: one JSON object a line on standard output."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

REDACTED = "[redacted]"
SECRET_WORDS = ("secret", "password", "token", "authorization", "api_key", "apikey")
SAFE_KEYS = frozenset({"page_token", "token_kind", "insert_deduplication_token"})


def configure_logging(service: str, level: str = "info") -> None:
    """Send this process's logs to standard output as JSON, with the service's name on every line."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter(service))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)


def _redact(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Blank values whose key says that they are secret."""
    for key in event:
        if key not in SAFE_KEYS and any(word in key.lower() for word in SECRET_WORDS):
            event[key] = REDACTED
    return event


class _JsonFormatter(logging.Formatter):
    """Renders records of libraries that use the standard logging module in the same shape."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._render = structlog.processors.JSONRenderer(default=str)
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON line."""
        event: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "service": self._service,
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return str(self._render(None, "", event))
