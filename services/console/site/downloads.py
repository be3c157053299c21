"""Files of the API, passed on to the browser while they are read."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from services.console.api_calls.client import FILE_TIMEOUT, Parameters
from services.console.site.visit import Visit

_CHUNK = 64 * 1024


async def download(visit: Visit, path: str, name: str, parameters: Parameters | None = None) -> StreamingResponse:
    """Return the file at a path of the API, to be saved under the name. Refusals are raised before it begins.

    Raise ValueError for a name that would have to be quoted in the header.
    """
    if re.fullmatch(r"[\w.-]+", name, re.ASCII) is None:
        raise ValueError(f"not the name of a file: {name!r}")
    opened = AsyncExitStack()
    response = await opened.enter_async_context(
        visit.api.opened("GET", path, parameters=parameters, timeout=FILE_TIMEOUT)
    )
    return StreamingResponse(
        _content(response, opened),
        media_type=response.headers.get("Content-Type", "application/octet-stream"),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        # Closes the call also where the browser went away before the first byte.
        background=BackgroundTask(opened.aclose),
    )


async def _content(response: aiohttp.ClientResponse, opened: AsyncExitStack) -> AsyncIterator[bytes]:
    async with opened:
        async for chunk in response.content.iter_chunked(_CHUNK):
            yield chunk
