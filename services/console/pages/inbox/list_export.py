"""A list as a file: passed on from the API while it is read."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from services.console.api_calls.client import FILE_TIMEOUT, ApiProblem
from services.console.choices.appeal_list_query import PATH, ListQuery
from services.console.site.visit import Visit, VisitDep

router = APIRouter()
_CHUNK = 65_536
_TOO_LONG = {
    "csv": "В списке больше 100 000 обращений, файл столько не вмещает. Сузьте отбор, например по периоду.",
    "xlsx": "В списке больше 20 000 обращений, Excel столько не вмещает. Скачайте CSV или сузьте отбор.",
}
_PASSED_ON = ("Content-Type", "Content-Disposition", "X-Total-Count")


@router.get(f"{PATH}/appeals.csv")
async def download_csv(visit: VisitDep) -> Response:
    """Return the list of the address as CSV."""
    return await _download(visit, "csv")


@router.get(f"{PATH}/appeals.xlsx")
async def download_workbook(visit: VisitDep) -> Response:
    """Return the list of the address as a workbook."""
    return await _download(visit, "xlsx")


async def _download(visit: Visit, kind: str) -> Response:
    query = ListQuery.of(visit.request.query_params.multi_items())
    exits = AsyncExitStack()
    try:
        answer = await exits.enter_async_context(
            visit.api.opened("GET", f"/appeals.{kind}", parameters=query.export_parameters(), timeout=FILE_TIMEOUT)
        )
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return visit.redirect(query.address, note=_TOO_LONG[kind], kind="failed")
    headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return StreamingResponse(_content(answer, exits), headers=headers)


async def _content(answer: aiohttp.ClientResponse, exits: AsyncExitStack) -> AsyncIterator[bytes]:
    async with exits:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            yield chunk
