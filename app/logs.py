"""One JSON line for each thing worth knowing, on standard error."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

QUIET = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "uvicorn.error", "websockets")
FIELDS = ("request_id", "method", "path", "status", "milliseconds", "run_id")


class JsonFormatter(logging.Formatter):
    """Newlines and control characters of a message cannot forge a line: it is JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def set_up(level: str) -> None:
    """Send everything from `level` up to standard error; chatty libraries only from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
