"""Queries of the audit trail: newest first, filtered by actor, action, subject, organisation and time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.schemas.fields import FilterText, Moment
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.tables.common import AuditEntry
from shared.tables.registry import Organisation

# Columns whose index is also ordered by position, so that the newest rows of a value are read first.
_INDEXED = ("actor", "on_behalf_of", "action", "subject_id", "organisation_id")
# How far a row's position may lag behind its time: transactions take a while, and clocks differ.
_MAX_COMMIT_DELAY = timedelta(days=1)


class AuditFilter(ListFilter):
    """Filter of the audit trail."""

    actor: FilterText = None
    on_behalf_of: FilterText = None
    action: FilterText = None
    subject_id: FilterText = None
    organisation_id: UUID | None = None
    start: Moment | None = Field(default=None, alias="from", description="Start of the period, included")
    end: Moment | None = Field(default=None, alias="to", description="End of the period, not included")


async def list_entries(
    session: AsyncSession, caller: Caller, filters: AuditFilter, paging: Paging
) -> list[AuditEntry]:
    """Return entries of the hash chain that the caller may see, newest first (page size plus one)."""
    given_filters = {name: value for name in _INDEXED if (value := getattr(filters, name)) is not None}
    conditions = [getattr(AuditEntry, name) == value for name, value in given_filters.items()]
    conditions += await _time(session, filters)
    if (after := paging.after((AuditEntry.position,), (int,))) is not None:
        conditions.append(after)
    if given_filters or caller.is_region_wide or not caller.include_subordinates:
        conditions.append(caller.scope(AuditEntry.organisation_id))
    else:
        conditions.append(AuditEntry.position.in_(_newest(caller, conditions, paging.limit + 1)))
    return list(await session.scalars(_in_order(select(AuditEntry), conditions, paging.limit + 1)))


def _in_order(query: Select[Any], conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    numbered = AuditEntry.position.is_not(None)
    return query.where(numbered, *conditions).order_by(AuditEntry.position.desc()).limit(limit)


def _newest(caller: Caller, conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    """Return the query of the newest positions in the caller's scope, merged from the newest of each organisation.

    A single scan in the trail's order would read almost the whole trail for an organisation with few rows.
    """
    of_each = _in_order(
        select(AuditEntry.position), [AuditEntry.organisation_id == Organisation.id, *conditions], limit
    ).lateral("of_each")
    return (
        select(of_each.c.position)
        .join_from(Organisation, of_each, true())
        .where(caller.scope(Organisation.id))
        .order_by(of_each.c.position.desc())
        .limit(limit)
    )


async def _time(session: AsyncSession, filters: AuditFilter) -> list[ColumnElement[bool]]:
    """Return SQL conditions on time, and on positions so that no rows outside the period are read."""
    position, at = AuditEntry.position, AuditEntry.created_at
    edge = select(position).where(position.is_not(None)).limit(1)
    conditions: list[ColumnElement[bool]] = []
    if (start := filters.start) is not None:
        conditions.append(at >= start)
        before = edge.where(at < start - _MAX_COMMIT_DELAY).order_by(at.desc(), position.desc())
        if (boundary := await session.scalar(before)) is not None:
            conditions.append(position > boundary)
    if (end := filters.end) is not None:
        conditions.append(at < end)
        behind = edge.where(at > end + _MAX_COMMIT_DELAY).order_by(at, position)
        if (boundary := await session.scalar(behind)) is not None:
            conditions.append(position < boundary)
    return conditions
