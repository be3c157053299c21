"""Routes of metrics: each parses the request, authorises the caller and computes one indicator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators import classifier_agreement, extensions, sla, transfers
from services.metrics.indicators.period import parse_period
from services.metrics.schemas.metrics import (
    AgreementGroupBy,
    AgreementReport,
    ExtensionReport,
    SlaAppeal,
    SlaGroupBy,
    SlaReport,
    TransferReport,
)
from services.metrics.sla_rollups.reading import compute_sla
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.clock import REGION_TIME_ZONE
from shared.database.sessions import use_snapshot
from shared.http import problems
from shared.http.problems import Forbidden, Invalid, Unauthenticated, Unavailable
from shared.service import ReadTransaction

router = APIRouter(prefix="/metrics", tags=["metrics"])

STATEMENT_TIMEOUT_MS = 10_000
QUERY_CANCELED = "57014"

MetricsReader = Annotated[Caller, require_right(Right.METRICS_READ)]
PeriodFrom = Annotated[
    str | None,
    Query(
        alias="from",
        description="A date or a time with offset; dates are in the region. Default: Monday of the week of `to`",
        examples=["2026-11-23"],
    ),
]
PeriodTo = Annotated[
    str | None,
    Query(
        alias="to",
        description="A date (included) or a time (not included). Default: the end of the current week",
        examples=["2026-11-29"],
    ),
]
COMMON_ERRORS = problems.responses(Unauthenticated, Forbidden, Invalid, Unavailable)


@asynccontextmanager
async def statement_timeout(
    session: AsyncSession,
    detail: str = "The period contains too many appeals to count in time: request a shorter one",
) -> AsyncIterator[None]:
    """Limit each SQL statement in the block to `STATEMENT_TIMEOUT_MS`. Raises `Unavailable` if a statement exceeds
    it.
    """
    await session.execute(select(func.set_config("statement_timeout", str(STATEMENT_TIMEOUT_MS), True)))
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == QUERY_CANCELED:
            raise Unavailable(detail) from error
        raise


@router.get("/sla", responses=COMMON_ERRORS, summary="SLA figures of appeals opened in a period")
async def get_sla_figures(
    session: ReadTransaction,
    caller: MetricsReader,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
    group_by: SlaGroupBy | None = None,
) -> SlaReport:
    """Return the current figures of appeals opened in the period: how many were answered, in time, and how fast.

    Organisation staff get the figures of their own organisation.
    """
    now = clock.now()
    period = parse_period(from_, to, now)
    await use_snapshot(session)
    async with statement_timeout(session):
        total, groups = await compute_sla(session, period, group_by, caller, now)
    return SlaReport(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        computed_at=now.astimezone(REGION_TIME_ZONE),
        group_by=group_by,
        total=total,
        groups=groups,
    )


@router.get("/sla/appeals", responses=COMMON_ERRORS, summary="Appeals behind a figure")
async def list_sla_appeals(
    *,
    session: ReadTransaction,
    caller: MetricsReader,
    filters: Annotated[sla.SlaAppealFilter, Query()],
    paging: PagingDep,
    response: Response,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> Page[SlaAppeal]:
    """Return the appeals that the figure of the period counts, newest first."""
    now = clock.now()
    period = parse_period(from_, to, now)
    if (filters.group_by is None) != (filters.key is None):
        missing = "key" if filters.key is None else "group_by"
        raise Invalid.field(f"query/{missing}", "«group_by» and «key» require each other: give both or neither")
    async with statement_timeout(session):
        rows = await sla.list_counted_appeals(session, period, filters, caller, now, paging=paging)
    items, cursor = paging.page(rows, lambda row: (row.opened_at, row.id), response)
    return Page(items=[SlaAppeal.model_validate(row, from_attributes=True) for row in items], next_cursor=cursor)


@router.get("/classifier-agreement", responses=COMMON_ERRORS, summary="Agreement between classifier and reviewers")
async def get_agreement_figures(
    session: ReadTransaction,
    caller: MetricsReader,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
    group_by: AgreementGroupBy | None = None,
) -> AgreementReport:
    """Return how often reviewers of messages in the period agreed with the classification, by aspect.

    Organisation staff get the reviews of their own organisation's appeals.
    """
    period = parse_period(from_, to, clock.now())
    async with statement_timeout(session):
        total, groups = await classifier_agreement.compute_agreement(session, period, group_by, caller)
    return AgreementReport(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        group_by=group_by,
        total=total,
        groups=groups,
    )


@router.get("/transfers", responses=COMMON_ERRORS, summary="Transfers of appeals, by organisation")
async def get_transfer_figures(
    session: ReadTransaction, caller: MetricsReader, from_: PeriodFrom = None, to: PeriodTo = None
) -> TransferReport:
    """Return the transfers of appeals opened in the period by organisation: how many appeals it had, transferred,
    received and returned, and how many raised a `repeated_transfers` alert.

    The appeals themselves are listed by `GET /appeals?min_transfers=1`.

    Organisation staff get the figures of their own organisation.
    """
    period = parse_period(from_, to, clock.now())
    async with statement_timeout(session):
        total, groups = await transfers.compute_transfers(session, period, caller)
    return TransferReport(
        start=period.start, end=period.end, time_zone=REGION_TIME_ZONE.key, total=total, groups=groups
    )


@router.get("/extensions", responses=COMMON_ERRORS, summary="Extensions of deadlines, by organisation")
async def get_extension_figures(
    session: ReadTransaction, caller: MetricsReader, from_: PeriodFrom = None, to: PeriodTo = None
) -> ExtensionReport:
    """Return the deadline extensions for appeals opened in the period by organisation: how many it requested,
    their outcomes, and how many answers were on time only because of an extension.

    Organisation staff get the figures of their own organisation.
    """
    period = parse_period(from_, to, clock.now())
    async with statement_timeout(session):
        total, groups = await extensions.compute_extensions(session, period, caller)
    return ExtensionReport(
        start=period.start, end=period.end, time_zone=REGION_TIME_ZONE.key, total=total, groups=groups
    )
