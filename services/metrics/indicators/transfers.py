"""Transfers of appeals by organisation, computed from rows of `assignments`.

A transfer between two organisations counts for both, even if the appeal passes through the centre, as in the
column `appeals.transfers`. Docs: docs/moderator/metrics.md.
"""

from typing import Any

from sqlalchemy import Select, Uuid, and_, cast, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.by_organisation import read_by_organisation, select_by_organisation
from services.metrics.indicators.period import Period
from services.metrics.schemas.metrics import TransferFigures, TransferGroup
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal, Assignment
from shared.tables.appeals_incidents import Alert

_NO_ORGANISATION = cast(null(), Uuid())


def transfers_query(period: Period, caller: Caller) -> Select[Any]:
    """Return the SQL query of all figures: a row per organisation, and a row of totals, whose `is_total` is 1."""
    opened = and_(Appeal.opened_at >= period.start, Appeal.opened_at < period.end)
    chain: dict[str, Any] = {"partition_by": Assignment.appeal_id, "order_by": (Assignment.at, Assignment.id)}
    assignments = (
        select(
            Assignment.appeal_id,
            Assignment.to_organisation_id.label("organisation_id"),
            func.lag(Assignment.to_organisation_id).over(**chain).label("before"),
            func.lead(Assignment.to_organisation_id).over(**chain).label("after"),
            literal(0).label("returned"),
        )
        .join(Appeal, Appeal.id == Assignment.appeal_id)
        .where(opened, Assignment.to_organisation_id.is_not(None))
    )
    returned = (
        select(
            Assignment.appeal_id, Assignment.from_organisation_id, _NO_ORGANISATION, _NO_ORGANISATION, literal(1)
        )
        .join(Appeal, Appeal.id == Assignment.appeal_id)
        .where(opened, Assignment.kind == "returned")
    )
    step = union_all(assignments, returned).subquery("step").c
    return select_by_organisation(
        step.organisation_id,
        caller,
        func.count(step.appeal_id.distinct()).label("appeals"),
        func.count().filter(step.after != step.organisation_id).label("transferred_out"),
        func.count().filter(step.before != step.organisation_id).label("transferred_in"),
        func.coalesce(func.sum(step.returned), 0).label("returns"),
        func.count(step.appeal_id.distinct()).filter(Alert.id.is_not(None)).label("repeated_transfers"),
    ).outerjoin(Alert, and_(Alert.kind == "repeated_transfers", Alert.appeal_id == step.appeal_id))


async def compute_transfers(
    session: AsyncSession, period: Period, caller: Caller
) -> tuple[TransferFigures, list[TransferGroup]]:
    """Return the totals, and the figures of the organisations that the caller may see."""
    query = transfers_query(period, caller)
    return await read_by_organisation(session, query, TransferFigures, TransferGroup)
