"""Routes of open data: public, without signing in, if the region has enabled them."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from services.metrics.indicators.weeks import Week, requested_week
from services.metrics.open_data.document import csv_rows
from services.metrics.open_data.published_weeks import MAX_KEPT_WEEKS, published_weeks
from services.metrics.schemas.open_data import OpenDataDocument, OpenDataWeeks, OpenDataWeekSummary
from services.metrics.settings import metrics_settings
from shared.api.accepted_csv import CSV_MEDIA_TYPE, AcceptsCsv
from shared.api.response_headers import with_headers
from shared.auth.callers import check_rate_limit, set_log_context
from shared.http import problems
from shared.http.client_address import client_address, counted_address
from shared.http.conditional_reads import CONTENT_ETAG
from shared.http.problems import Invalid, NotFound, TooManyRequests, Unavailable
from shared.http.rate_limit import Quota
from shared.http.request_log import ANSWER_HEADERS
from shared.service import ServiceDep
from shared.tabular.writer import csv_bytes

PREFIX = "/open-data"
# A week never changes, but the region may disable open data at any time.
_CACHE_CONTROL = "public, max-age=3600"
_FOR_SCRIPTS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"ETag, Retry-After, Content-Disposition"),
)


async def _admit(request: Request) -> None:
    """Apply the rate limit of the client's address, and allow scripts of every origin to read the response.

    Raises `TooManyRequests` above the limit, `NotFound` if open data are disabled.
    """
    config = metrics_settings()
    set_log_context(request, None)
    address = counted_address(client_address(request))
    try:
        check_rate_limit(request, address, _limiter(config.open_data_requests_per_minute))
    finally:
        # Without `RateLimit` headers: a shared cache would show one client's remaining quota to others.
        request.scope[ANSWER_HEADERS] = _FOR_SCRIPTS
    if not config.open_data:
        raise NotFound("Open data are disabled in this region: GOSPABLIK_OPEN_DATA enables them")


@lru_cache(maxsize=1)
def _limiter(requests_per_minute: int) -> Quota:
    return Quota(requests_per_minute, 60)


router = APIRouter(prefix=PREFIX, tags=["open data"], dependencies=[Depends(_admit)])

_DECLARED = with_headers(200, "ETag")
_HEADERS = {"ETag": CONTENT_ETAG, "Cache-Control": _CACHE_CONTROL, "Vary": "Accept"}
_CSV_EXAMPLE = "week,table,row,row_name,column,column_name,count\r\n2026-W47,channels,vk,ВКонтакте,,,181\r\n"
_CSV_DECLARED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}, "example": _CSV_EXAMPLE}},
        **_DECLARED[200],
    }
}
_ERRORS = problems.responses(NotFound, TooManyRequests, Unavailable)


@lru_cache(maxsize=MAX_KEPT_WEEKS)
def _csv_file(document: str) -> bytes:
    return csv_bytes(csv_rows(OpenDataDocument.model_validate_json(document)), with_mark=True)


@dataclass(frozen=True)
class _FoundWeek:
    """A published week: its name and its stored JSON."""

    name: str
    document: str

    async def as_csv(self) -> Response:
        content = await asyncio.to_thread(_csv_file, self.document)
        disposition = f'attachment; filename="open-data-{self.name}.csv"'
        return Response(
            content, media_type=CSV_MEDIA_TYPE, headers=_HEADERS | {"Content-Disposition": disposition}
        )


async def _found_week(
    service: ServiceDep,
    week: Annotated[str, Path(description="ISO week in the region", examples=["2026-W47"])],
) -> _FoundWeek:
    wanted = requested_week(week, "path/week")
    document = await published_weeks(service.database).read_document(wanted)
    if document is None:
        raise NotFound(f"There are no open data for the week {wanted.name}: `GET {PREFIX}/weeks` lists the weeks")
    return _FoundWeek(wanted.name, document)


FoundWeek = Annotated[_FoundWeek, Depends(_found_week)]


@router.get("/weeks", responses=_ERRORS | _DECLARED, summary="Weeks with open data")
async def list_open_data_weeks(service: ServiceDep, response: Response) -> OpenDataWeeks:
    """Return the weeks that have open data, newest first. No sign-in is required."""
    found = await published_weeks(service.database).list_weeks()
    response.headers.update({"ETag": CONTENT_ETAG, "Cache-Control": _CACHE_CONTROL})
    return OpenDataWeeks(items=[_summary(Week.parse(row.week), row.published_at) for row in found])


def _summary(week: Week, published_at: datetime) -> OpenDataWeekSummary:
    return OpenDataWeekSummary(
        week=week.name,
        first_day=week.monday,
        last_day=week.sunday,
        published_at=published_at,
        url=f"/api/v1{PREFIX}/weeks/{week.name}",
    )


@router.get(
    "/weeks/{week}.csv",
    responses=_ERRORS | problems.responses(Invalid) | _CSV_DECLARED,
    response_class=Response,
    summary="Open data of a week as CSV",
)
async def export_open_data_week(week: FoundWeek) -> Response:
    """Return the week's counts as CSV: a line for each total and cell; the count of a hidden cell is empty. UTF-8
    with a byte order mark.
    """
    return await week.as_csv()


@router.get(
    "/weeks/{week}",
    response_model=OpenDataDocument,
    responses=_ERRORS | problems.responses(Invalid) | _CSV_DECLARED,
    summary="Open data of a week",
)
async def get_open_data_week(week: FoundWeek, as_csv: AcceptsCsv) -> Response:
    """Return counts from the week's published report; none is below `minimum`. No sign-in is required.

    `Accept: text/csv` gives the same as `/open-data/weeks/{week}.csv`.
    """
    if as_csv:
        return await week.as_csv()
    return Response(week.document, media_type="application/json", headers=_HEADERS)
