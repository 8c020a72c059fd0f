"""Logging: one JSON object on a line of standard error for each record."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

VERBOSE_LIBRARIES = (  # which log only warnings and errors
    "httpx", "httpx2", "httpcore", "httpcore2", "openai", "uvicorn.error", "websockets",
)  # fmt: skip
EXTRA_FIELDS = ("request_id", "method", "path", "status", "milliseconds", "run_id")


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON, which escapes newlines, so that no message can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in EXTRA_FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logging(level: str) -> None:
    """Log records from `level` up to standard error; some libraries only from WARNING up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
