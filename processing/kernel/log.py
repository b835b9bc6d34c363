"""Structured log lines: JSON for machines or columns for people, never a secret.

A logger is built once by the composition root and handed on; nothing here is global. Bind what
identifies the work (`log.bind(terminal=…, stan=…)`) rather than writing it into the text.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TextIO, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

from processing.kernel.config import LogFormat, LogLevel
from processing.kernel.redaction import redact_event

STANDARD_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def open_log(form: LogFormat, level: LogLevel, stream: TextIO) -> FilteringBoundLogger:
    """Return a logger that writes lines of `level` and above to `stream`.

    A JSON line holds `timestamp` (ISO 8601, UTC), `level`, `event` and what was bound.
    """
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Before redaction, so that an exception's text passes through it too.
        structlog.processors.format_exc_info,
        _redact,
    ]
    match form:
        case LogFormat.JSON:
            processors.append(_render_json)
        case LogFormat.CONSOLE:
            processors.append(structlog.dev.ConsoleRenderer(colors=stream.isatty()))
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(STANDARD_LEVELS[level]),
    )
    return cast("FilteringBoundLogger", logger.bind())


class StandardLibraryBridge(logging.Handler):
    """Passes records of Python's own logging (asyncio, aiohttp, asyncpg) to `log`."""

    def __init__(self, log: FilteringBoundLogger, level: LogLevel) -> None:
        super().__init__(STANDARD_LEVELS[level])
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a record that cannot be rendered goes to the library's handler."""
        try:
            self._log.log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
            )
        except Exception:
            # A log line must never stop the work it tells about.
            self.handleError(record)


def capture_standard_library(log: FilteringBoundLogger, level: LogLevel) -> None:
    """Send the records of Python's own logging to `log`. Only a composition root calls this."""
    root = logging.getLogger()
    root.handlers = [StandardLibraryBridge(log, level)]
    root.setLevel(STANDARD_LEVELS[level])


def _redact(
    _logger: WrappedLogger, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    return redact_event(event)


def _render_json(_logger: WrappedLogger, _method: str, event: MutableMapping[str, object]) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
