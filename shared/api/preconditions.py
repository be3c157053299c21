"""ETags and `If-Match`: prevent lost updates."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from shared.http.problems import Invalid, PreconditionFailed, PreconditionRequired


def etag(version: int) -> str:
    """Return the ETag of a version."""
    return f'"{version}"'


def set_etag(response: Response, version: int) -> None:
    """Set the `ETag` of the version in the response."""
    response.headers["ETag"] = etag(version)


IfMatch = Annotated[str | None, Header(examples=['"3"'])]


@dataclass(frozen=True)
class Seen:
    """The value of `If-Match`. `version` is None for `*`, or if the header is absent (`given` is False)."""

    given: bool
    version: int | None


UNSEEN = Seen(given=False, version=None)


async def seen_version(if_match: IfMatch = None) -> Seen:
    """Dependency: return the version in the optional `If-Match`. Raise 422 if it is malformed."""
    return _parsed(if_match)


async def required_version(if_match: IfMatch = None) -> int | None:
    """Dependency: return the version in `If-Match`; None for `*`. Raise 428 if absent, 422 if malformed."""
    if if_match is None:
        raise PreconditionRequired(
            "This change needs the header «If-Match» with the ETag of the version that you read"
        )
    return _parsed(if_match).version


def _parsed(if_match: str | None) -> Seen:
    """Return the version in the header. Raise 422 if it is malformed.

    The part of an ETag after the version (see `shared/http/conditional_reads.py`) is ignored here.
    """
    if if_match is None or if_match == "*":
        return Seen(if_match is not None, None)
    value = re.fullmatch(r'"(\d{1,18})(-[0-9a-f]+)?"', if_match.strip())
    if value is None:
        raise Invalid.field("header/If-Match", 'Expected an ETag such as "3"')
    return Seen(given=True, version=int(value[1]))


def check_version(current: int, wanted: int | None, **changed: Any) -> None:
    """Raise 412 if the resource is not in the version the caller saw; `changed` adds members to the problem."""
    if wanted is not None and wanted != current:
        raise PreconditionFailed(
            f"If-Match names version {wanted}, the current version is {current}: read it again",
            headers={"ETag": etag(current)},
            **changed,
        )


OptionalVersion = Annotated[Seen, Depends(seen_version)]
RequiredVersion = Annotated[int | None, Depends(required_version)]
