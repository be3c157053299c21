"""Routes of metrics: parse, authorise, ask for the figures, answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators import classifier_agreement, sla, transfers
from services.metrics.indicators.period import parse_period
from services.metrics.schemas.metrics import (
    AgreementGroupBy,
    AgreementReport,
    SlaAppeal,
    SlaFigure,
    SlaGroupBy,
    SlaReport,
    TransferReport,
)
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.clock import REGION_ZONE
from shared.http import problems
from shared.http.problems import Forbidden, Invalid, Unauthenticated, Unavailable
from shared.service import Reading

router = APIRouter(prefix="/metrics", tags=["metrics"])

STATEMENT_TIMEOUT_MS = 10_000
QUERY_CANCELED = "57014"

MetricsReader = Annotated[Caller, allowed(Right.METRICS_READ)]
PeriodFrom = Annotated[
    str | None,
    Query(
        alias="from",
        description="A date or a moment with offset; dates are the region's. Default: Monday of the week of `to`",
        examples=["2026-11-23"],
    ),
]
PeriodTo = Annotated[
    str | None,
    Query(
        alias="to",
        description="A date (included) or a moment (not included). Default: the end of the current week",
        examples=["2026-11-29"],
    ),
]
COMMON_ERRORS = problems.responses(Unauthenticated, Forbidden, Invalid, Unavailable)


@asynccontextmanager
async def _statement_timeout(session: AsyncSession) -> AsyncIterator[None]:
    """Statements of the block end after `STATEMENT_TIMEOUT_MS`; raises `Unavailable` then."""
    await session.execute(select(func.set_config("statement_timeout", str(STATEMENT_TIMEOUT_MS), True)))
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == QUERY_CANCELED:
            raise Unavailable("The period holds too many cases to count in time: ask for a shorter one") from error
        raise


@router.get("/sla", responses=COMMON_ERRORS, summary="SLA figures of cases opened in a period")
async def sla_figures(
    session: Reading,
    caller: MetricsReader,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
    group_by: SlaGroupBy | None = None,
) -> SlaReport:
    """How many cases were opened, answered, in time or not, and how soon, computed from the cases' rows.

    Organisation staff get the figures of their own organisation.
    """
    now = clock.now()
    period = parse_period(from_, to, now)
    async with _statement_timeout(session):
        total, groups = await sla.compute_sla(session, period, group_by, caller, now)
    return SlaReport(
        start=period.start,
        end=period.end,
        zone=REGION_ZONE.key,
        computed_at=now.astimezone(REGION_ZONE),
        group_by=group_by,
        total=total,
        groups=groups,
    )


@router.get("/sla/cases", responses=COMMON_ERRORS, summary="The cases behind a figure")
async def sla_cases(
    *,
    session: Reading,
    caller: MetricsReader,
    paging: PagingDep,
    response: Response,
    figure: Annotated[SlaFigure, Query(description="The figure whose cases to list")],
    from_: PeriodFrom = None,
    to: PeriodTo = None,
    group_by: Annotated[
        SlaGroupBy | None, Query(description="With `key`: keep to one group of the figures")
    ] = None,
    key: Annotated[
        str | None,
        Query(pattern=r"^[\w-]{1,100}$", description="`key` of the group; `none` for cases without one"),
    ] = None,
) -> Page[SlaAppeal]:
    """Each case that the figure of the same period counted, newest first."""
    now = clock.now()
    period = parse_period(from_, to, now)
    if (group_by is None) != (key is None):
        missing = "key" if key is None else "group_by"
        raise Invalid.field(f"query/{missing}", "«group_by» and «key» go together")
    async with _statement_timeout(session):
        rows = await sla.list_counted_appeals(
            session, period, figure, caller, now, paging=paging, group_by=group_by, key=key
        )
    kept, cursor = paging.page(rows, lambda row: (row.opened_at, row.id), response)
    return Page(items=[SlaAppeal.model_validate(row, from_attributes=True) for row in kept], next_cursor=cursor)


@router.get("/agreement", responses=COMMON_ERRORS, summary="Agreement between the judge of messages and people")
async def agreement_figures(
    session: Reading,
    caller: MetricsReader,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
    group_by: AgreementGroupBy | None = None,
) -> AgreementReport:
    """How often the people who reviewed messages in the period agreed with what had been judged, by question.

    Organisation staff get the reviews of their own organisation's cases.
    """
    period = parse_period(from_, to, clock.now())
    async with _statement_timeout(session):
        total, groups = await classifier_agreement.compute_agreement(session, period, group_by, caller)
    return AgreementReport(
        start=period.start, end=period.end, zone=REGION_ZONE.key, group_by=group_by, total=total, groups=groups
    )


@router.get("/handovers", responses=COMMON_ERRORS, summary="Cases from hand to hand, by organisation")
async def handover_figures(
    session: Reading, caller: MetricsReader, from_: PeriodFrom = None, to: PeriodTo = None
) -> TransferReport:
    """Of the cases opened in the period: how many each organisation has had, passed on, got from another and gave
    back, and about how many a moderator was alerted since they went from hand to hand. The cases themselves are
    listed by `GET /appeals?handed_over_at_least=1`.

    Organisation staff get the figures of their own organisation.
    """
    period = parse_period(from_, to, clock.now())
    async with _statement_timeout(session):
        total, groups = await transfers.compute_transfers(session, period, caller)
    return TransferReport(start=period.start, end=period.end, zone=REGION_ZONE.key, total=total, groups=groups)
