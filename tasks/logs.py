"""Logs as events with fields, one JSON object a line."""

import logging
import sys
from contextlib import suppress

import structlog
from structlog.typing import Processor


class _Stderr:
    """Whatever stderr is when something is written: it may have been replaced since.

    A line that can't be written (a full disk) is lost. Whoever logs must not fail by it.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


# One list for ever: loggers keep the one they met first; whoever listens in changes it in place.
_PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(default=str),
]


def configure_logs(level: str = "INFO") -> None:
    """Send structlog's events to stderr as JSON lines, from `level` upwards."""
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]
    )
