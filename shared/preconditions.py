"""ETags and `If-Match`: nobody overwrites what they did not see."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from shared.problems import Invalid, PreconditionFailed, PreconditionRequired


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def set_etag(response: Response, version: int) -> None:
    """Tell the client which version it saw."""
    response.headers["ETag"] = etag(version)


def required_version(if_match: Annotated[str | None, Header(examples=['"3"'])] = None) -> int | None:
    """Dependency: the version in `If-Match`; None for `*`. Raises 428 when absent, 422 when malformed."""
    if if_match is None:
        raise PreconditionRequired("This change needs the header «If-Match» with the ETag of what you saw")
    if if_match == "*":
        return None
    value = re.fullmatch(r'"(\d{1,18})"', if_match.strip())
    if value is None:
        raise Invalid.field("header/If-Match", 'Expected an ETag such as "3"')
    return int(value[1])


def check_version(current: int, wanted: int | None) -> None:
    """Raise 412 when the thing has moved on since the caller saw it."""
    if wanted is not None and wanted != current:
        raise PreconditionFailed(
            f"You saw version {wanted}, it is now {current}: read it again", headers={"ETag": etag(current)}
        )


RequiredVersion = Annotated[int | None, Depends(required_version)]
