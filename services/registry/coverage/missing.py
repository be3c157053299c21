"""Organisations without a live page, by network, with the reason."""

from datetime import date
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.registry.coverage.coverage_query import STAGE_RANKS, STAGES, CoverageFilter, best_pages_query
from services.registry.schemas.coverage import (
    ANY_NETWORK,
    CoverageStage,
    MissingPage,
    MissingReason,
    NetworkOrAny,
    PageRef,
)
from services.registry.schemas.fields import NameQuery, OrganisationRef
from shared.api.pagination import Paging
from shared.tables.registry import Municipality, Organisation, Page


class MissingPageFilter(CoverageFilter):
    """Filter of organisations without a live page."""

    network: NetworkOrAny | None = Field(
        default=None,
        description="Left out: one row per network; `any`: organisations without a live page in any network",
    )
    reason: MissingReason | None = None
    q: NameQuery = None


def _query(today: date, filters: MissingPageFilter) -> tuple[Select[Any], Any]:
    rows = best_pages_query(today, filters, filters.q).c
    parent = aliased(Organisation)
    exempt = rows.exempt_reason.is_not(None)
    query = (
        select(
            *rows,
            Municipality.name.label("municipality_name"),
            parent.name.label("parent_name"),
            Page.url.label("page_url"),
        )
        .outerjoin(Municipality, Municipality.oktmo == rows.municipality)
        .outerjoin(parent, parent.id == rows.parent_id)
        .outerjoin(Page, Page.id == rows.page_id)
        .where(rows.rank < STAGE_RANKS[CoverageStage.LIVE])
        .where(rows.network == filters.network if filters.network else rows.network != ANY_NETWORK)
        .order_by(rows.sort_key, rows.id, rows.network)
    )
    if filters.reason is MissingReason.EXEMPT:
        query = query.where(exempt)
    elif filters.reason is not None:
        query = query.where(~exempt, rows.rank == STAGE_RANKS[CoverageStage(filters.reason.value)])
    return query, rows


async def list_missing(
    session: AsyncSession, today: date, filters: MissingPageFilter, paging: Paging | None
) -> list[Row[Any]]:
    """Return organisations without a live page, by name (page size plus one; all of them without `paging`)."""
    query, rows = _query(today, filters)
    if paging is not None:
        query = query.limit(paging.limit + 1)
        after = paging.after((rows.sort_key, rows.id, rows.network), (str, UUID, str), descending=False)
        query = query if after is None else query.where(after)
    return list((await session.execute(query)).all())


def present(row: Row[Any]) -> MissingPage:
    """Return a row of `list_missing` as its API model."""
    exempt = row.exempt_reason is not None
    return MissingPage(
        organisation=OrganisationRef(id=row.id, name=row.name),
        code=row.code,
        kind=row.kind,
        sphere=row.sphere,
        municipality=row.municipality,
        municipality_name=row.municipality_name,
        parent=OrganisationRef(id=row.parent_id, name=row.parent_name) if row.parent_id else None,
        network=row.network,
        reason=MissingReason.EXEMPT if exempt else MissingReason(STAGES[row.rank].value),
        exempt_reason=row.exempt_reason,
        exempt_document=row.exempt_document,
        page=PageRef(id=row.page_id, url=row.page_url) if row.page_id else None,
    )
