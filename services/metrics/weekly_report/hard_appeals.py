"""The appeals that the leadership should read in full, selected by rules and shown with the reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.channels import NO_CHANNEL, channel_name
from services.metrics.report_populations.feedback import feedback
from services.metrics.report_populations.reported_time import ReportedTime
from services.metrics.report_populations.responses import overdue
from services.metrics.schemas.weekly_report import HardAppeal
from services.metrics.weekly_report.printed_names import Labels
from shared.clock import REGION_TIME_ZONE
from shared.database.id_conditions import is_one_of
from shared.masking import mask
from shared.russian import in_words, plural
from shared.tables.appeals import Appeal

COUNT = 3
_ERASED = "Текст удалён вместе с персональными данными."


@dataclass(frozen=True)
class _Candidate:
    appeal_id: UUID
    disputes: int
    late_by: timedelta
    urgent: bool
    opened_at: datetime

    @property
    def weight(self) -> tuple[int, bool, timedelta, datetime, UUID]:
        """Return the sort key of candidates: most disputes, urgent, longest overdue, then oldest."""
        return -self.disputes, not self.urgent, -self.late_by, self.opened_at, self.appeal_id


async def choose_hard_appeals(session: AsyncSession, time: ReportedTime, labels: Labels) -> list[HardAppeal]:
    """Return up to three appeals: disputed by citizens, urgent and overdue, or longest overdue.

    Their texts are empty: `with_texts` reads them when the report is shown, since a citizen's data may be erased
    later.
    """
    late = await _late_since(session, time)
    disputes = await _disputes(session, time)
    rows = await _read(session, [*late, *disputes])
    candidates = [
        _Candidate(
            row.id,
            disputes[row.id],
            time.as_of - late.get(row.id, time.as_of),
            row.urgency == "high",
            row.opened_at,
        )
        for row in rows
    ]
    chosen = sorted(candidates, key=lambda one: one.weight)[:COUNT]
    by_id = {row.id: row for row in rows}
    return [_hard_appeal(by_id[one.appeal_id], one, labels) for one in chosen]


async def with_texts(session: AsyncSession, appeals: Sequence[HardAppeal]) -> list[HardAppeal]:
    """Return the appeals with their current texts, masked."""
    query = select(Appeal.id, Appeal.text, Appeal.erased_at).where(
        is_one_of(Appeal.id, [appeal.appeal_id for appeal in appeals])
    )
    texts = {
        row.id: _ERASED if row.erased_at is not None else mask(row.text) for row in await session.execute(query)
    }
    return [appeal.model_copy(update={"text": texts.get(appeal.appeal_id, "")}) for appeal in appeals]


async def _late_since(session: AsyncSession, time: ReportedTime) -> Mapping[UUID, datetime]:
    """Return the first missed deadline of each appeal with overdue answers, by id."""
    rows = await session.execute(_late_query(), time.parameters)
    return {row.appeal_id: row.first for row in rows}


@cache
def _late_query() -> Select[Any]:
    rows = overdue().subquery("overdue")
    first = func.min(rows.c.at).label("first")
    return select(rows.c.appeal_id, first).group_by(rows.c.appeal_id).order_by(first, rows.c.appeal_id)


async def _disputes(session: AsyncSession, time: ReportedTime) -> Counter[UUID]:
    """Return, by appeal, how often citizens said in the week that the matter is not solved."""
    rows = await session.execute(_disputes_query(), time.parameters)
    return Counter({row[0]: row[1] for row in rows})


@cache
def _disputes_query() -> Select[Any]:
    rows = feedback().subquery("feedback")
    return select(rows.c.appeal_id, func.count()).where(rows.c.kind == "not_solved").group_by(rows.c.appeal_id)


async def _read(session: AsyncSession, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    columns: Any = (
        Appeal.id, Appeal.number, Appeal.opened_at, Appeal.urgency, Appeal.network, Appeal.source, Appeal.topic_id,
        Appeal.municipality, Appeal.organisation_id,
    )  # fmt: skip
    query: Select[Any] = select(*columns).where(is_one_of(Appeal.id, ids))
    found: Sequence[Row[Any]] = (await session.execute(query)).all()
    return found


def _hard_appeal(row: Row[Any], why: _Candidate, labels: Labels) -> HardAppeal:
    reasons = []
    if why.disputes:
        times = f" {why.disputes} {plural(why.disputes, ('раз', 'раза', 'раз'))}" if why.disputes > 1 else ""
        reasons.append(f"гражданин{times} сказал, что вопрос не решён")
    if why.urgent:
        reasons.append("срочное")
    if why.late_by:
        reasons.append(f"на дату отчёта срок пропущен на {in_words(why.late_by)}")
    organisation = labels.organisations.get(row.organisation_id)
    return HardAppeal(
        appeal_id=row.id,
        number=row.number,
        opened_at=row.opened_at.astimezone(REGION_TIME_ZONE),
        channel=channel_name(row.network or row.source or NO_CHANNEL),
        topic=labels.topics.get(row.topic_id),
        municipality=None if row.municipality is None else labels.municipality(row.municipality),
        organisation=None if organisation is None else organisation.name,
        text="",
        reason="; ".join(reasons),
    )
