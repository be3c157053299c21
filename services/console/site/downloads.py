"""Files from the API, streamed to the browser."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack

import aiohttp
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from services.console.api_calls.client import Parameters
from services.console.site.visit import Visit

_CHUNK = 64 * 1024
_PHOTO_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # A browser that opens the photo in a separate tab adds inline styles; scripts stay forbidden.
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    ),
}


async def download(
    visit: Visit, path: str, name: str, parameters: Parameters | None = None, *, passed_on: Iterable[str] = ()
) -> StreamingResponse:
    """Return the file at a path of the API as a download with this name. Refusals are raised before the response
    begins.

    `passed_on` are the API's headers that the browser gets too. Raises ValueError for a name that would need
    quoting in the header.
    """
    if re.fullmatch(r"[\w.-]+", name, re.ASCII) is None:
        raise ValueError(f"a download name may contain only ASCII letters, digits, _, . and -: {name!r}")
    async with AsyncExitStack() as opening:
        opening.enter_context(visit.file())
        response = await opening.enter_async_context(
            visit.api.opened("GET", path, parameters=parameters, is_file=True)
        )
        opened = opening.pop_all()
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(
        _content(response, opened),
        media_type=response.headers.get("Content-Type", "application/octet-stream"),
        headers=headers | {one: response.headers[one] for one in passed_on if one in response.headers},
        # Closes the API's response even if the browser disconnected before the first byte.
        background=BackgroundTask(opened.aclose),
    )


async def _content(response: aiohttp.ClientResponse, opened: AsyncExitStack) -> AsyncIterator[bytes]:
    async with opened:
        async for chunk in response.content.iter_chunked(_CHUNK):
            yield chunk


async def photo(visit: Visit, path: str) -> Response:
    """Return a photo from the API for a page. It is not counted as a download: a page may have several photos."""
    async with visit.api.opened("GET", path) as response:
        content = await response.read()
    return Response(content, media_type="image/jpeg", headers=_PHOTO_HEADERS)
