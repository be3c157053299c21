"""The promises with a date in a period."""

from functools import cache
from typing import Any

from sqlalchemy import Select, select

from services.metrics.report_populations.appeal_columns import appeal_dimensions, of_appeals
from services.metrics.report_populations.reported_time import in_period
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Promise


@cache
def promises() -> Select[Any]:
    """Return the SQL query for promises with a date in the period."""
    return (
        of_appeals(
            select(
                *appeal_dimensions(Promise.id.expression, Promise.organisation_id.expression),
                Promise.promised_at.label("at"),
                Promise.status.label("status"),
            )
        )
        .join(Promise, Promise.appeal_id == Appeal.id)
        .where(in_period(Promise.promised_at))
    )
