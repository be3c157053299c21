"""Files of the API that are passed on: how long they may take, and under which names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from services.console.api_calls.client import FILE_TIMEOUT
from services.console.site.downloads import download
from services.console.site.visit import Visit


class _Response:
    """The answer of the API."""

    headers = {"Content-Type": "text/csv"}  # noqa: RUF012
    content: Any

    def __init__(self) -> None:
        self.content = self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield b"a;b"


class _Api:
    """The API, which notes how long a call may take."""

    def __init__(self) -> None:
        self.timeouts: list[Any] = []

    @asynccontextmanager
    async def opened(self, method: str, path: str, **options: Any) -> AsyncIterator[Any]:
        self.timeouts.append(options.get("timeout"))
        yield _Response()


class _Visit:
    def __init__(self, api: _Api) -> None:
        self.api = api


async def test_file_may_take_longer_than_a_page() -> None:
    api = _Api()
    response = await download(cast("Visit", _Visit(api)), "/table.csv", "table-1.csv")
    assert [chunk async for chunk in response.body_iterator] == [b"a;b"]
    assert api.timeouts == [FILE_TIMEOUT]
    assert response.headers["content-disposition"] == 'attachment; filename="table-1.csv"'


@pytest.mark.parametrize("name", ['a"b.csv', "a\r\nb.csv", "неделя.csv", "a b.csv", ""])
async def test_name_that_would_need_quotes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a file"):
        await download(cast("Visit", None), "/table.csv", name)
