"""A list as a file: streamed from the API. A long list is exported by a job instead."""

from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.appeal_list_query import PATH, ListQuery
from services.console.site.downloads import download
from services.console.site.visit import Visit, VisitDep

router = APIRouter()
# Longer lists take too long for a download: a job exports them.
LONG_LIST = 5_000
_PASSED_ON = ("Content-Disposition", "X-Total-Count")


@router.get(f"{PATH}/appeals.csv")
async def download_csv(visit: VisitDep) -> Response:
    """Return the list that the query of the address describes as CSV."""
    return await _download(visit, "csv")


@router.get(f"{PATH}/appeals.xlsx")
async def download_workbook(visit: VisitDep) -> Response:
    """Return the list that the query of the address describes as an Excel workbook."""
    return await _download(visit, "xlsx")


async def _download(visit: Visit, kind: str) -> Response:
    query = ListQuery.of(visit.request.query_params.multi_items())
    try:
        return await download(
            visit, f"/appeals.{kind}", f"appeals.{kind}", query.export_parameters(), passed_on=_PASSED_ON
        )
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return visit.redirect(f"/exports?{urlencode({'list': query.at(None).text})}")
