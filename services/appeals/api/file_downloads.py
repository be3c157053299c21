"""The limit on a caller's concurrent downloads: masking a file's texts occupies a CPU core until it is sent."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends

from services.appeals.api.dependencies import Reader
from shared.http.problems import TooManyRequests

FILES_AT_ONCE = 2
_RETRY_AFTER = {"Retry-After": "10"}
_open: Counter[str] = Counter()


async def _count_file(caller: Reader) -> AsyncIterator[None]:
    """Count one file of the caller until its response is sent. Raises `TooManyRequests` beyond `FILES_AT_ONCE`."""
    if _open[caller.subject] >= FILES_AT_ONCE:
        raise TooManyRequests(
            f"You are downloading {FILES_AT_ONCE} files of appeals: wait until one is complete",
            headers=_RETRY_AFTER,
        )
    _open[caller.subject] += 1
    try:
        yield
    finally:
        _open[caller.subject] -= 1
        if not _open[caller.subject]:
            del _open[caller.subject]


COUNTED_FILE: Any = Depends(_count_file)
