"""The log levels that can be set."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

# Python's other names of levels.
_SYNONYMS = {"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEBUG"}


def _usual_name(value: object) -> object:
    return _SYNONYMS.get(value, value) if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_usual_name)]
