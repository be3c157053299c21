"""Search of similar appeals: a few hundred candidates are found by indexes and compared one by one. Each criterion
reads only the rows nearest in time, so the cost does not grow with the table. Rows out of the caller's scope are
dropped afterwards and never shown.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, func, literal, select, text, type_coerce, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from services.appeals.incidents.similarity import MIN_SHOWN_SCORE, Similarity, compare
from shared.auth.callers import Caller
from shared.caller_queue import CallerQueue
from shared.http.problems import NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Organisation

MAX_COMPARED = 500
# A comparison uses a CPU core for up to a second: more at once would slow other requests down. Organisations and
# people are served in turn.
COMPARISON_QUEUE = CallerQueue("Too many appeals are being compared", concurrency=2, max_waiting=32)
# Forces custom plans: a generic plan reads and sorts whole windows, a custom plan stops after the nearest rows.
FORCE_CUSTOM_PLAN = text("SET LOCAL plan_cache_mode = force_custom_plan")
_BY_AUTHOR, _BY_WORDS, _BY_STREET, _BY_UTILITY_FAILURE, _BY_OWNER, _BY_PLACE, _BY_TOPIC = (
    60,
    40,
    60,
    60,
    100,
    90,
    90,
)


@dataclass(frozen=True)
class SimilarAppeal:
    """A similar appeal, with the names of its organisation and topic."""

    appeal: Appeal
    organisation: str | None
    topic: str | None
    similarity: Similarity


def text_hash(words: ColumnElement[str] | Any) -> ColumnElement[int]:
    """Return the SQL expression of the index `ix_appeals_text_hash`, equal for equal texts, ignoring case."""
    return func.hashtextextended(func.lower(words), 0)


async def like(
    session: AsyncSession, caller: Caller, appeal_id: UUID, *, days: int, all_organisations: bool
) -> tuple[list[SimilarAppeal], int]:
    """Return the appeals similar to this one, most similar first, and how many were compared. Compares appeals
    opened at most `days` before or after, of the same organisation, or of all organisations with
    `all_organisations` or if the appeal has none; always within the caller's scope. Raises `NotFound` for an
    appeal out of scope, `TooManyRequests` if too many callers wait.
    """
    async with COMPARISON_QUEUE.turn(caller):
        return await _compared(session, caller, appeal_id, days=days, all_organisations=all_organisations)


async def _compared(
    session: AsyncSession, caller: Caller, appeal_id: UUID, *, days: int, all_organisations: bool
) -> tuple[list[SimilarAppeal], int]:
    asked = await session.scalar(
        select(Appeal)
        .options(raiseload(Appeal.clocks))
        .where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id))
    )
    if asked is None:
        raise NotFound("No such appeal")
    await session.execute(FORCE_CUSTOM_PLAN)
    ids = await session.scalars(candidates(asked, timedelta(days=days)))
    query = (
        select(
            Appeal,
            type_coerce(Organisation.name, Text).label("organisation"),
            type_coerce(Topic.name, Text).label("topic"),
        )
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(Appeal.id.in_(set(ids.all()) - {asked.id}), caller.scope(Appeal.organisation_id))
    )
    if not all_organisations and asked.organisation_id is not None:
        query = query.where(Appeal.organisation_id == asked.organisation_id)
    rows = (await session.execute(query)).all()
    groups = await groups_of_topics(session)
    similarities = await asyncio.to_thread(compare, asked, [row[0] for row in rows], groups)
    found = [
        SimilarAppeal(row[0], row[1], row[2], similarity)
        for row, similarity in zip(rows, similarities, strict=True)
        if similarity.score >= MIN_SHOWN_SCORE or similarity.same_person == "same_author"
    ]
    return sorted(found, key=lambda one: one.similarity.score, reverse=True), len(rows)


async def groups_of_topics(session: AsyncSession) -> dict[UUID, UUID]:
    """Return the group of each topic; a group is mapped to itself."""
    rows = await session.execute(select(Topic.id, func.coalesce(Topic.group_id, Topic.id)))
    return {row[0]: row[1] for row in rows}


def candidates(asked: Appeal, window: timedelta) -> Select[Any]:
    """Return the query of at most `MAX_COMPARED` candidate ids, found by indexes: the nearest in time by each
    criterion.
    """
    parts = list(_ways(asked, window))
    return select(union_all(*parts).subquery().c.id).limit(MAX_COMPARED)


def _ways(asked: Appeal, window: timedelta) -> Iterator[Select[Any]]:
    same_words = text_hash(Appeal.text) == text_hash(literal(asked.text, Appeal.text.type))
    yield from _nearest(asked.opened_at, window, _BY_WORDS, same_words)
    if asked.author_key is not None:
        yield from _nearest(asked.opened_at, window, _BY_AUTHOR, Appeal.author_key == asked.author_key)
    if asked.municipality is not None:
        here = Appeal.municipality == asked.municipality
        if asked.street is not None:
            yield from _nearest(asked.opened_at, window, _BY_STREET, here, Appeal.street == asked.street)
        if asked.utility_failure is not None:
            yield from _nearest(
                asked.opened_at, window, _BY_UTILITY_FAILURE, here, Appeal.utility_failure == asked.utility_failure
            )
        yield from _nearest(asked.opened_at, window, _BY_PLACE, here)
    if asked.organisation_id is not None:
        yield from _nearest(asked.opened_at, window, _BY_OWNER, Appeal.organisation_id == asked.organisation_id)
    if asked.topic_id is not None:
        yield from _nearest(asked.opened_at, window, _BY_TOPIC, Appeal.topic_id == asked.topic_id)


def _nearest(moment: datetime, window: timedelta, count: int, *same: ColumnElement[bool]) -> Iterator[Select[Any]]:
    """Yield the queries of the nearest ids before and after the moment, half of `count` each."""
    before = select(Appeal.id).where(*same, Appeal.opened_at <= moment, Appeal.opened_at >= moment - window)
    after = select(Appeal.id).where(*same, Appeal.opened_at > moment, Appeal.opened_at <= moment + window)
    for part in (
        before.order_by(Appeal.opened_at.desc()).limit(count // 2),
        after.order_by(Appeal.opened_at).limit(count // 2),
    ):
        yield select(part.subquery().c.id)
