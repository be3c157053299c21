"""Queries of promises: the list, and the ledger that counts them by organisation."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.field_types import BoundedDatetime
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.values import PromiseStatus
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Promise
from shared.tables.registry import Organisation

PromiseRow = Row[Promise, int, str | None]
LedgerRow = Row[UUID | None, str | None, int, int, int, int, int]


class PromisePeriod(ListFilter):
    """Filter of promises by organisation and period."""

    organisation_id: UUID | None = Field(default=None, description="The organisation that promised")
    made_from: BoundedDatetime | None = None
    made_to: BoundedDatetime | None = Field(default=None, description="Before this moment")

    def conditions(self, caller: Caller) -> list[ColumnElement[bool]]:
        """Return the filter's SQL conditions, within the caller's scope."""
        conditions: list[ColumnElement[bool]] = [caller.scope(Promise.organisation_id)]
        if self.organisation_id is not None:
            conditions.append(Promise.organisation_id == self.organisation_id)
        if self.made_from is not None:
            conditions.append(Promise.made_at >= self.made_from)
        if self.made_to is not None:
            conditions.append(Promise.made_at < self.made_to)
        return conditions


class PromiseFilter(PromisePeriod):
    """Filter of a list of promises."""

    status: PromiseStatus | None = None


async def find(
    session: AsyncSession, caller: Caller, filters: PromiseFilter, paging: Paging
) -> Sequence[PromiseRow]:
    """Return promises with the number of the appeal and the name of the organisation, newest first: one page plus
    one row.
    """
    query = (
        select(Promise, Appeal.number, Organisation.name)
        .join(Appeal, Appeal.id == Promise.appeal_id)
        .outerjoin(Organisation, Organisation.id == Promise.organisation_id)
        .where(*filters.conditions(caller))
        .order_by(Promise.made_at.desc(), Promise.id.desc())
        .limit(paging.limit + 1)
    )
    if filters.status is not None:
        query = query.where(Promise.status == inline_literal(filters.status))
    after = paging.after((Promise.made_at, Promise.id), (datetime.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


# Built once: building the statement takes longer than executing it.
_PROMISES = (
    select(Promise).where(Promise.appeal_id == bindparam("appeal_id")).order_by(Promise.made_at, Promise.id)
)


async def promises_of(session: AsyncSession, appeal_id: UUID) -> Sequence[Promise]:
    """Return the promises of an appeal, oldest first."""
    return list(await session.scalars(_PROMISES, {"appeal_id": appeal_id}))


async def count_by_organisation(
    session: AsyncSession, caller: Caller, period: PromisePeriod
) -> Sequence[LedgerRow]:
    """Return how many promises each organisation made, and how they ended, ordered by name; None means the
    centre.
    """
    counts = (
        select(
            Promise.organisation_id,
            func.count().label("made"),
            *(
                func.count().filter(Promise.status == status).label(f"{status}_count")
                for status in ("open", "kept", "moved", "broken")
            ),
        )
        .where(*period.conditions(caller))
        .group_by(Promise.organisation_id)
        .subquery()
    )
    query = (
        select(
            counts.c.organisation_id,
            Organisation.name,
            counts.c.made,
            counts.c.open_count,
            counts.c.kept_count,
            counts.c.moved_count,
            counts.c.broken_count,
        )
        .outerjoin(Organisation, Organisation.id == counts.c.organisation_id)
        .order_by(Organisation.sort_key.nulls_last(), counts.c.organisation_id)
    )
    return (await session.execute(query)).all()
