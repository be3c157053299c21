"""Figures by organisation: one row for each organisation, and a row of totals."""

from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, Text, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth.callers import Caller
from shared.tables.registry import Organisation

F = TypeVar("F", bound=BaseModel)
G = TypeVar("G", bound=BaseModel)


def select_by_organisation(
    organisation_id: ColumnElement[UUID], caller: Caller, *figures: ColumnElement[Any]
) -> Select[Any]:
    """Return the SQL query of figures by organisation, within the caller's scope: a row per organisation, and a
    row of totals, whose `is_total` is 1.
    """
    organisation = Organisation.id, Organisation.name, Organisation.sort_key
    return (
        select(
            func.grouping(Organisation.id).label("is_total"),
            cast(Organisation.id, Text).label("key"),
            Organisation.name,
            *figures,
        )
        .join(Organisation, Organisation.id == organisation_id)
        .where(caller.scope(Organisation.id))
        .group_by(func.grouping_sets(tuple_(*organisation), tuple_()))
        .order_by(Organisation.sort_key.nulls_last(), Organisation.id)
    )


async def read_by_organisation(
    session: AsyncSession, query: Select[Any], figures: type[F], group: type[G]
) -> tuple[F, list[G]]:
    """Return the totals as `figures`, and each organisation as `group`, with `key` and `name`."""
    rows = (await session.execute(query)).all()
    shown = [{name: getattr(row, name) for name in figures.model_fields} for row in rows]
    total = next(found for row, found in zip(rows, shown, strict=True) if row.is_total)
    groups = [
        group(key=row.key, name=row.name, **found)
        for row, found in zip(rows, shown, strict=True)
        if not row.is_total
    ]
    return figures(**total), groups
