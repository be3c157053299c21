"""Field types of schemas and filters: texts, tags, OKTMO codes, and times in the range that calendars support."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, StringConstraints

from shared.text.normalize import fold_text, sort_key

OKTMO_PATTERN = r"^\d{8}(\d{3})?$"
_TAG = re.compile(r"[^\W_][\w .-]{0,39}")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("The character NUL is not allowed")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("A lone surrogate is not a valid character") from error
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("The text is empty")
    return value


def tag_name(value: str) -> str:
    """Return the tag as it is stored: lower case, е for ё, single spaces, without `#`."""
    return sort_key(fold_text(value)).removeprefix("#")


def _valid_tag(value: str) -> str:
    tag = tag_name(value)
    if not _TAG.fullmatch(tag):
        raise ValueError(
            "A tag must begin with a letter or digit and may contain letters, digits, spaces, «_», «-» and «.», "
            "40 characters at most"
        )
    return tag


def _countable(value: datetime) -> datetime:
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError("The time must be from 2000-01-01 to 2100-01-01 (UTC)")
    return value


SingleLine = Annotated[
    str, StringConstraints(max_length=1_000), AfterValidator(_storable), AfterValidator(_not_blank)
]
StorableText = Annotated[str, AfterValidator(_storable)]
NonBlankText = Annotated[str, AfterValidator(_storable), AfterValidator(_not_blank)]
TagName = Annotated[str, StringConstraints(max_length=200), AfterValidator(_valid_tag)]
BoundedDatetime = Annotated[AwareDatetime, AfterValidator(_countable)]
