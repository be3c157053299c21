"""Routes of coverage: organisations with a page, organisations without one and why, and the history."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.registry.api.common import COMMON_ERRORS, RegistryReader
from services.registry.api.csv_response import CSV_RESPONSE, WantsCsv, csv_response
from services.registry.coverage import history, missing, summary
from services.registry.coverage.coverage_query import CoverageFilter
from services.registry.schemas.calendars import CalendarDate
from services.registry.schemas.coverage import (
    ANY_NETWORK,
    REASON_LABELS,
    Coverage,
    CoverageGroupBy,
    CoveragePoint,
    HistoryInterval,
    MissingPage,
    NetworkOrAny,
    network_title,
)
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.http.problems import Invalid
from shared.service import ReadTransaction

router = APIRouter(prefix="/coverage", tags=["coverage"], responses=COMMON_ERRORS)

COUNT_HEADINGS = {
    "required": "Обязаны вести страницу",
    "exempt": "Освобождены",
    "covered": "Есть подтверждённая",
    "covered_share": "Доля с подтверждённой",
    "live": "В работе",
    "live_share": "Доля в работе",
}
STAGE_HEADINGS = {
    "no_page": "Нет страницы",
    "closed": "Закрыта",
    "not_verified": "Не подтверждена",
    "not_live": "Не введена в работу",
}
MISSING_HEADINGS = (
    "Код", "Наименование", "Муниципалитет", "ОКТМО", "Сфера", "Учредитель", "Сеть", "Причина", "Страница",
    "Основание освобождения", "Документ",
)  # fmt: skip
A_YEAR = timedelta(days=365)


CoverageQuery = Annotated[CoverageFilter, Query()]


def _today(now: datetime) -> date:
    return now.astimezone(clock.REGION_TIME_ZONE).date()


@router.get(
    "", summary="How many organisations have a page, by network", responses=CSV_RESPONSE, response_model=Coverage
)
async def get_coverage(
    session: ReadTransaction,
    _caller: RegistryReader,
    filters: CoverageQuery,
    as_csv: WantsCsv,
    group_by: CoverageGroupBy | None = None,
) -> Coverage | Response:
    """Return the current coverage of each network and of all networks together (`any`), optionally grouped."""
    now = clock.now()
    total, groups = await summary.summarize(session, _today(now), filters, group_by)
    if not as_csv:
        return Coverage(
            day=_today(now),
            computed_at=now.astimezone(clock.REGION_TIME_ZONE),
            group_by=group_by,
            total=total,
            groups=groups,
        )
    named = {**COUNT_HEADINGS, **STAGE_HEADINGS}
    rows = [(group.key, group.name, counted) for group in groups for counted in group.networks]
    rows += [("total", "Всего", counted) for counted in total]
    return csv_response(
        "coverage",
        ("Ключ", "Название", "Сеть", *named.values()),
        [
            (key, name, network_title(row.network), *(getattr(row, field) for field in named))
            for key, name, row in rows
        ],
    )


@router.get(
    "/missing",
    summary="Organisations without a live page, and the reason",
    responses=CSV_RESPONSE,
    response_model=Page[MissingPage],
)
async def list_missing_pages(
    *,
    session: ReadTransaction,
    _caller: RegistryReader,
    filters: Annotated[missing.MissingPageFilter, Query()],
    as_csv: WantsCsv,
    paging: PagingDep,
    response: Response,
) -> Page[MissingPage] | Response:
    """Return organisations by name, with the network, the reason for the missing page and the best page."""
    today = _today(clock.now())
    rows = await missing.list_missing(session, today, filters, None if as_csv else paging)
    if as_csv:
        return csv_response("coverage-missing", MISSING_HEADINGS, [_cells(missing.present(row)) for row in rows])
    items, cursor = paging.page(rows, lambda row: (row.sort_key, row.id, row.network), response)
    return Page(items=[missing.present(row) for row in items], next_cursor=cursor)


def _cells(row: MissingPage) -> tuple[object, ...]:
    return (
        row.code,
        row.organisation.name,
        row.municipality_name,
        row.municipality,
        row.sphere,
        row.parent.name if row.parent else None,
        network_title(row.network),
        REASON_LABELS[row.reason],
        row.page.url if row.page else None,
        row.exempt_reason,
        row.exempt_document,
    )


@router.get("/history", summary="Coverage over time", responses=CSV_RESPONSE, response_model=Page[CoveragePoint])
async def list_coverage_history(
    *,
    session: ReadTransaction,
    _caller: RegistryReader,
    filters: CoverageQuery,
    as_csv: WantsCsv,
    paging: PagingDep,
    response: Response,
    start: Annotated[
        CalendarDate | None, Query(alias="from", description="First day; left out: a year before `to`")
    ] = None,
    end: Annotated[CalendarDate | None, Query(alias="to", description="Last day; left out: today")] = None,
    interval: Annotated[
        HistoryInterval, Query(description="One point per interval: the last day recorded in it")
    ] = HistoryInterval.DAY,
    network: Annotated[NetworkOrAny, Query()] = ANY_NETWORK,
) -> Page[CoveragePoint] | Response:
    """Return one point per interval, oldest first.

    A day shows the coverage at its end; days that were not recorded are missing.
    """
    end = end or _today(clock.now())
    start = start or end - A_YEAR
    if start > end:
        raise Invalid.field("query/from", "«from» is later than «to»")
    points = await history.list_points(
        session,
        start=start,
        end=end,
        interval=interval,
        network=network,
        filters=filters,
        paging=None if as_csv else paging,
    )
    if as_csv:
        rows = [(point.day.isoformat(), *(getattr(point, field) for field in COUNT_HEADINGS)) for point in points]
        return csv_response("coverage-history", ("День", *COUNT_HEADINGS.values()), rows)
    items, cursor = paging.page(points, lambda point: (point.day.isoformat(),), response)
    return Page(items=items, next_cursor=cursor)
