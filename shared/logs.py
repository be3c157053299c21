"""Structured logs: one JSON object a line, no text of citizens, no personal data, no secret."""

import logging
import re
import sys
from typing import Any

import structlog

from shared.masking import mask
from shared.masking.identifiers import mask_numbers

_SECRET_KEYS = {
    "token", "access_token", "secret", "password", "authorization", "sig",
    # What people wrote or are called is hidden whole, not searched.
    "text", "former", "words", "author", "full_name", "username", "phone", "email",
}  # fmt: skip
# Of our own making in every line; a request id of the caller's is looked through before it is taken over.
_OURS = frozenset({"timestamp", "level", "service", "module", "request_id"})
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)

# Postgres and its driver repeat the values they refuse. A value may hold line breaks itself, so what follows is
# cut up to what surely is none of it: the statement, the next traceback, or the end.
_VALUES = re.compile(
    r"(DETAIL:|invalid input for query argument \$\d+[^:]*:|invalid input syntax for type [^:]*:).*?"
    r"(?=(?:\n|\\n)[\s|]{0,40}\[SQL:|\n[\s|]{0,40}\n[\s|]{0,40}(?:The above exception was|During handling of)|\Z)",
    re.DOTALL,
)


def without_values(text: str) -> str:
    """What a database error says, without the values of rows and arguments that it repeats."""
    return _VALUES.sub(r"\1 ***", text)


def tellable(text: str) -> str:
    """A line as it may leave the process: without values that a database error repeats, without personal data.

    Lines are English, so names of people are looked for only where there are Cyrillic letters.
    """
    kept = without_values(text)
    return mask(kept) if _CYRILLIC.search(kept) else mask_numbers(kept)


def _tellable(value: Any) -> Any:
    if isinstance(value, str):
        return tellable(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_tellable(key): _tellable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tellable(inner) for inner in value]
    return tellable(repr(value))  # as the renderer would write it


def _hide_values(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key, value in event.items():
        if key not in _OURS:
            event[key] = _tellable(value)
    return event


def _hide_secrets(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in _SECRET_KEYS & event.keys():
        event[key] = "***"
    return event


# In this order: the values are looked for in the traceback too. One list for every `configure`: loggers keep a
# reference to it, and structlog's capture_logs replaces its content in place.
PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _hide_secrets,
    structlog.processors.format_exc_info,
    _hide_values,
    structlog.processors.JSONRenderer(ensure_ascii=False),
]


class LibraryFormatter(logging.Formatter):
    """Lines of libraries that log by the standard library: JSON like ours, with the id of the request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line with its traceback, without the values of a database error and without personal data."""
        event: Any = {"event": record.getMessage(), "module": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for processor in PROCESSORS:
            event = processor(None, record.levelname.lower(), event)
        return str(event)


def configure(service: str, level: str) -> None:
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


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger bound to the module's name."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return log
