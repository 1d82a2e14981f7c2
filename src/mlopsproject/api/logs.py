"""Structured logs: one line per request and event, as JSON or text, each with the request's id."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic_core import to_json

#: Of the request that the running task works on; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")
#: One line per answered request goes here.
access: Final = logging.getLogger("mlopsproject.api.access")


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: time (UTC), level, logger, message, request_id and the record's own fields."""
        document = _fields(record)
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return to_json(document, fallback=str).decode()


class TextFormatter(logging.Formatter):
    """One readable line; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as `time level logger message key=value …`."""
        document = _fields(record)
        fixed = [document.pop(key) for key in ("time", "level", "logger", "message")]
        line = " ".join([*(_one_line(str(value)) for value in fixed), *(f"{k}={v}" for k, v in document.items())])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str, layout: Literal["json", "text"]) -> None:
    """Send all logs of this process to stderr, uvicorn's included; its access log is replaced by ours.

    Args:
        level: least severe level of our own and of uvicorn's messages; other libraries only warn.
        layout: `json` or `text`.
    """
    # What no line shows need not be found out for each of them (logging's own advice on speed).
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if layout == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("mlopsproject", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level)
    silent = logging.getLogger("uvicorn.access")
    silent.handlers.clear()
    silent.propagate = False


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    document: dict[str, Any] = {
        "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
    }
    if identifier := request_id.get():
        document["request_id"] = identifier
    return document | getattr(record, "fields", {})


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    """A second of UTC; thousands of lines share one."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _one_line(text: str) -> str:
    """Text that cannot pretend to be another line of the log."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
