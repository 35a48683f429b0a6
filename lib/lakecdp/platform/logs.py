"""Structured logs: one JSON object per line on standard error."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, message and any fields of a record, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        body = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            body["trace"] = self.formatException(record.exc_info)
        return json.dumps(body, default=str)


def configure(level: str | None = None) -> None:
    """Log to standard error; `LAKECDP_LOG` names the level (default: warning)."""
    logger = logging.getLogger("lakecdp")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel((level or os.environ.get("LAKECDP_LOG", "warning")).upper())
