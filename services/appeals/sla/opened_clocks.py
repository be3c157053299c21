"""Clocks that were inserted in bulk with new appeals: they are rows first, and become objects only when a change
needs them. In a batch of messages few appeals are needed again after opening, and objects cost more than rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, make_transient_to_detached, object_session
from sqlalchemy.orm.attributes import set_committed_value

from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock

_KEY = "opened_clocks"
# A prepared statement: an eager-loading option of the appeal's query would build it for each request, which takes
# longer than executing it.
_CLOCKS = (
    select(SlaClock)
    .where(SlaClock.appeal_id == bindparam("appeal_id"))
    .order_by(SlaClock.created_at, SlaClock.id)
    .options(joinedload(SlaClock.events))
    .execution_options(populate_existing=True)
)
_NO_VALUES: dict[str, Any] = dict.fromkeys(SlaClock.__table__.columns.keys())


@dataclass(frozen=True)
class OpenedClocks:
    """The rows of the clocks of a new appeal, its first deadline in words, and the moment of its first
    escalation.
    """

    rows: Sequence[dict[str, Any]] = ()
    first_response_text: str | None = None
    next_escalation_at: datetime | None = None


def remember_opened(appeal: Appeal, opened: OpenedClocks) -> None:
    """Attach to the appeal, an object of the session, the clocks that were inserted with it."""
    inspect(appeal).info[_KEY] = opened


def opened_clocks(appeal: Appeal) -> OpenedClocks | None:
    """Return the clocks that were inserted with the appeal; None once they are loaded as objects."""
    state = inspect(appeal)
    return state.info.get(_KEY) if "clocks" in state.unloaded else None


async def load_clocks(session: AsyncSession, appeal: Appeal) -> None:
    """Load the clocks of an appeal, an object of the session, with their events."""
    rows = await session.scalars(_CLOCKS, {"appeal_id": appeal.id})
    set_committed_value(appeal, "clocks", rows.unique().all())


def clocks_of(appeal: Appeal) -> list[SlaClock]:
    """Return the clocks of an appeal, oldest first, as objects of its session."""
    opened = opened_clocks(appeal)
    if opened is not None:
        rows = [SlaClock(**(_NO_VALUES | row)) for row in opened.rows]
        for row in rows:
            make_transient_to_detached(row)
            set_committed_value(row, "events", [])
        set_committed_value(appeal, "clocks", rows)
        session = object_session(appeal)
        if session is not None:
            session.add_all(rows)
    return appeal.clocks
