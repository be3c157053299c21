"""The appeals that a figure of a table counts."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.dimensions import AppealSelection, select_appeals
from services.metrics.indicators.sla import figure_conditions, paged
from services.metrics.schemas.metrics import SlaAppeal, SlaFigure
from shared.api.pagination import Paging
from shared.tables.appeals import Appeal

LISTED_COLUMNS = tuple(SlaAppeal.model_fields)


def _listed(selection: AppealSelection, figure: SlaFigure) -> Select[Any]:
    columns = [getattr(Appeal, name) for name in LISTED_COLUMNS]
    return select_appeals(columns, selection).where(figure_conditions(Appeal, selection.now)[figure])


async def list_appeals_of_figure(
    session: AsyncSession, selection: AppealSelection, figure: SlaFigure, paging: Paging
) -> Sequence[Row[Any]]:
    """Return the appeals that the figure counts, newest first, at most one more than the page holds."""
    found: Sequence[Row[Any]] = (await session.execute(paged(_listed(selection, figure), paging))).all()
    return found


async def read_appeals_of_figure(
    session: AsyncSession, selection: AppealSelection, figure: SlaFigure, max_rows: int
) -> Sequence[Row[Any]]:
    """Return the appeals that the figure counts, oldest first, at most `max_rows`."""
    query = _listed(selection, figure).order_by(Appeal.opened_at, Appeal.id).limit(max_rows)
    found: Sequence[Row[Any]] = (await session.execute(query)).all()
    return found
