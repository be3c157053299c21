"""Routes of open data: anybody reads them, without signing in, if the region has switched them on."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from services.metrics.indicators.weeks import requested_week
from services.metrics.open_data import open_weeks
from services.metrics.open_data.open_week import csv_rows
from services.metrics.schemas.open_data import OpenWeek, OpenWeeks, OpenWeekSummary
from services.metrics.settings import metrics_settings
from shared.api.response_headers import with_headers
from shared.auth.callers import check_rate_limit, set_log_context
from shared.http import problems
from shared.http.client_address import client_address, counted_address
from shared.http.conditional_reads import CONTENT_ETAG
from shared.http.problems import Invalid, NotFound, TooManyRequests, Unavailable
from shared.http.rate_limit import Quota
from shared.http.request_log import ANSWER_HEADERS
from shared.service import ReadTransaction
from shared.tabular.writer import csv_bytes

PREFIX = "/open-data"
CSV_MEDIA_TYPE = "text/csv"
# A week never changes, but a region may switch everything off.
_CACHE_CONTROL = "public, max-age=3600"


async def _admit(request: Request) -> None:
    """Count the request by the client's address, and let scripts of every origin read the response.

    Raise `TooManyRequests` above the limit, `NotFound` if open data are switched off.
    """
    config = metrics_settings()
    set_log_context(request, None)
    address = counted_address(client_address(request))
    try:
        check_rate_limit(request, address, _limiter(config.open_data_requests_per_minute))
    finally:
        request.scope[ANSWER_HEADERS].append((b"access-control-allow-origin", b"*"))
    if not config.open_data:
        raise NotFound("This region publishes no open data (GOSPABLIK_OPEN_DATA is off)")


@lru_cache(maxsize=1)
def _limiter(requests_per_minute: int) -> Quota:
    return Quota(requests_per_minute, 60)


router = APIRouter(prefix=PREFIX, tags=["open data"], dependencies=[Depends(_admit)])

_DECLARED = with_headers(200, "ETag", "RateLimit", "RateLimit-Policy")
_HEADERS = {"ETag": CONTENT_ETAG, "Cache-Control": _CACHE_CONTROL, "Vary": "Accept"}
_CSV_DECLARED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}, "example": "week,table,unit,row\r\n"}},
        **_DECLARED[200],
    }
}
_ERRORS = problems.responses(NotFound, TooManyRequests, Unavailable)


@dataclass(frozen=True)
class _FoundWeek:
    """A week that has open data, with its stored JSON."""

    name: str
    document: str

    def as_csv(self) -> Response:
        content = csv_bytes(csv_rows(OpenWeek.model_validate_json(self.document)), with_mark=True)
        disposition = f'attachment; filename="open-data-{self.name}.csv"'
        return Response(
            content, media_type=CSV_MEDIA_TYPE, headers=_HEADERS | {"Content-Disposition": disposition}
        )


async def _found_week(
    session: ReadTransaction,
    week: Annotated[str, Path(description="ISO week in the region", examples=["2026-W47"])],
) -> _FoundWeek:
    wanted = requested_week(week, "path/week")
    document = await open_weeks.read_open_week(session, wanted)
    if document is None:
        raise NotFound(f"There are no open data of the week {wanted.name}: `GET {PREFIX}/weeks` lists the weeks")
    return _FoundWeek(wanted.name, document)


FoundWeek = Annotated[_FoundWeek, Depends(_found_week)]


@router.get("/weeks", responses=_ERRORS | _DECLARED, summary="Weeks with open data")
async def list_open_data_weeks(session: ReadTransaction, response: Response) -> OpenWeeks:
    """Return the weeks that have open data, newest first. No signing in."""
    found = await open_weeks.list_open_weeks(session)
    response.headers.update({"ETag": CONTENT_ETAG, "Cache-Control": _CACHE_CONTROL})
    return OpenWeeks(
        items=[
            OpenWeekSummary(
                week=one.week.name,
                first_day=one.week.monday,
                last_day=one.week.sunday,
                published_at=one.published_at,
                url=f"/api/v1{PREFIX}/weeks/{one.week.name}",
            )
            for one in found
        ]
    )


@router.get(
    "/weeks/{week}.csv",
    responses=_ERRORS | problems.responses(Invalid) | _CSV_DECLARED,
    response_class=Response,
    summary="Open data of a week as CSV",
)
async def export_open_data_week(week: FoundWeek) -> Response:
    """Return a line for each total and cell; the count of a hidden cell is empty. UTF-8 with a byte order mark."""
    return week.as_csv()


@router.get(
    "/weeks/{week}",
    response_model=OpenWeek,
    responses=_ERRORS | problems.responses(Invalid) | _CSV_DECLARED,
    summary="Open data of a week",
)
async def get_open_data_week(
    week: FoundWeek, accept: Annotated[str, Header(description="JSON, or `text/csv`")] = ""
) -> Response:
    """Return counts of the week's published report; none is below `minimum`. No signing in.

    `Accept: text/csv` gives the same as `/open-data/weeks/{week}.csv`.
    """
    if accept.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().lower() == CSV_MEDIA_TYPE:
        return week.as_csv()
    return Response(week.document, media_type="application/json", headers=_HEADERS)
