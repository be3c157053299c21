"""Downloads passed on from the API: read with the longer timeout of files, under safe names."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, cast

import pytest

from services.console.site.downloads import download
from services.console.site.visit import Visit


class _Response:
    """A response of the API."""

    headers = {"Content-Type": "text/csv"}  # noqa: RUF012
    content: Any

    def __init__(self) -> None:
        self.content = self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield b"a;b"


class _Api:
    """A fake API that records whether a call is for a file."""

    def __init__(self) -> None:
        self.files: list[Any] = []

    @asynccontextmanager
    async def opened(self, method: str, path: str, **options: Any) -> AsyncIterator[Any]:
        self.files.append(options.get("is_file"))
        yield _Response()


class _Visit:
    def __init__(self, api: _Api) -> None:
        self.api = api

    def file(self) -> AbstractContextManager[None]:
        return nullcontext()


async def test_download_is_read_with_the_timeout_of_files() -> None:
    api = _Api()
    response = await download(cast("Visit", _Visit(api)), "/table.csv", "table-1.csv")
    assert [chunk async for chunk in response.body_iterator] == [b"a;b"]
    assert api.files == [True]
    assert response.headers["content-disposition"] == 'attachment; filename="table-1.csv"'


@pytest.mark.parametrize("name", ['a"b.csv', "a\r\nb.csv", "неделя.csv", "a b.csv", ""])
async def test_empty_or_unsafe_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="only ASCII letters, digits"):
        await download(cast("Visit", None), "/table.csv", name)
