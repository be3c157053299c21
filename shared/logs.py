"""Structured logs: one JSON object per line, without texts of citizens, personal data or secrets."""

import logging
import re
import sys
from functools import lru_cache
from typing import Any

import structlog

from shared.log_levels import LogLevel
from shared.masking import mask
from shared.masking.identifiers import mask_identifiers

_SECRET_KEYS = {
    "token", "access_token", "secret", "password", "authorization", "sig",
    # Texts and names of people are hidden completely.
    "text", "former", "words", "author", "full_name", "username", "phone", "email",
}  # fmt: skip
# Values in every line that need no redaction: we generate them, and the caller's request id is validated.
_UNREDACTED_KEYS = frozenset({"timestamp", "level", "service", "module", "request_id"})
_SHORT = 100
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)

# Postgres and its driver repeat refused values in errors. A value may contain line breaks, so everything is
# removed up to the statement, the next traceback, or the end.
_DATABASE_VALUES = re.compile(
    r"(DETAIL:|invalid input for query argument \$\d+[^:]*:|invalid input syntax for type [^:]*:).*?"
    r"(?=(?:\n|\\n)[\s|]{0,40}\[SQL:|\n[\s|]{0,40}\n[\s|]{0,40}(?:The above exception was|During handling of)|\Z)",
    re.DOTALL,
)


def strip_database_values(text: str) -> str:
    """Return the text of a database error without the values of rows and arguments in it."""
    return _DATABASE_VALUES.sub(r"\1 ***", text)


def redact(text: str) -> str:
    """Return a text that may be logged: without values in database errors and without personal data.

    Log lines are in English, so names of people are searched only in texts with Cyrillic letters.
    """
    return _redact_short(text) if len(text) <= _SHORT else _redact(text)


def _redact(text: str) -> str:
    kept = strip_database_values(text)
    return mask(kept) if _CYRILLIC.search(kept) else mask_identifiers(kept)


# Cached, because the same events, routes and actors are logged repeatedly.
_redact_short = lru_cache(maxsize=4096)(_redact)


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_redact_value(key): _redact_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(inner) for inner in value]
    return redact(repr(value))  # as the renderer does


def _redact_values(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key, value in event.items():
        if key not in _UNREDACTED_KEYS:
            event[key] = _redact_value(value)
    return event


def _hide_secrets(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in _SECRET_KEYS & event.keys():
        event[key] = "***"
    return event


def _encodable(_logger: object, _name: str, line: Any) -> str:
    """Return the rendered line without lone surrogates, which networks send and a UTF-8 stream rejects."""
    return str(line).encode("utf-8", "backslashreplace").decode()


# The order matters: values in tracebacks are redacted too. All calls of `configure` use the same list: loggers
# keep a reference to it, and structlog's capture_logs replaces its content in place.
PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _hide_secrets,
    structlog.processors.format_exc_info,
    _redact_values,
    structlog.processors.JSONRenderer(ensure_ascii=False),
    _encodable,
]


class LibraryFormatter(logging.Formatter):
    """Formats log lines of libraries as JSON like ours, with the request id."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with its traceback, without values in database errors and without personal data."""
        event: Any = {"event": record.getMessage(), "module": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for processor in PROCESSORS:
            event = processor(None, record.levelname.lower(), event)
        return str(event)


def configure(service: str, level: LogLevel) -> None:
    """Send this process's logs to stdout as JSON, tagged with the service's name."""
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LibraryFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger bound to the module's name."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return log
