"""Read the data for the signs of embellished figures: one query for each sign.

The rows are those of all organisations, because a sign compares an organisation with its peers. Appeals belong to
their current organisation and to the period in which they were opened.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness import gaming_signs
from services.metrics.fairness.gaming_signs import LAST_MINUTES, SOON, Conspicuous, RepeatedText, Sign
from services.metrics.fairness.peer_groups import peer_group
from shared.tables.appeals import Appeal, TimelineEntry
from shared.tables.appeals_replies import Reply
from shared.tables.registry import Organisation


async def read_gaming_signs(session: AsyncSession, start: datetime, end: datetime) -> list[Sign]:
    """Return the signs of all organisations over the appeals opened from `start` to `end` (exclusive)."""
    in_time = (await session.execute(last_minute_query(start, end))).all()
    ended = (await session.execute(soon_reopened_query(start, end))).all()
    texts = (await session.execute(identical_answers_query(start, end))).all()
    return [
        *gaming_signs.last_minute_answers(_conspicuous(in_time)),
        *gaming_signs.identical_answers(
            RepeatedText(row.organisation_id, row.answers, row.authors, tuple(row.appeal_ids)) for row in texts
        ),
        *gaming_signs.soon_reopened(_conspicuous(ended)),
    ]


def last_minute_query(start: datetime, end: datetime) -> Select[Any]:
    """Return the SQL query that counts answers in time by organisation, with the appeals answered in the last
    minutes.
    """
    left = Appeal.first_response_due_at - Appeal.first_response_at
    return (
        _by_organisation(Appeal.id, Appeal.opened_at, left < LAST_MINUTES)
        .select_from(Appeal)
        .join(Organisation, Organisation.id == Appeal.organisation_id)
        .where(_opened(start, end), Appeal.first_response_at <= Appeal.first_response_due_at)
    )


def soon_reopened_query(start: datetime, end: datetime) -> Select[Any]:
    """Return the SQL query that counts finally answered or closed appeals by organisation, with those soon
    reopened.

    An appeal counts once, however often it was reopened.
    """
    entry = TimelineEntry
    answered = and_(entry.kind == "answered", entry.data["reply_kind"].astext == "final")
    closed = and_(entry.kind == "moved", entry.data["to"].astext == "closed")
    following: dict[str, Any] = {"partition_by": entry.appeal_id, "order_by": (entry.at, entry.id)}
    steps = (
        select(
            Appeal.id,
            Appeal.opened_at,
            Appeal.organisation_id,
            (entry.kind != "reopened").label("ends"),
            (func.lead(entry.kind).over(**following) == "reopened").label("goes_on"),
            (func.lead(entry.at).over(**following) - entry.at).label("after"),
        )
        .join(entry, entry.appeal_id == Appeal.id)
        .where(_opened(start, end), or_(answered, closed, entry.kind == "reopened"))
        .subquery("steps")
        .c
    )
    ended = (
        select(
            steps.id,
            steps.opened_at,
            steps.organisation_id,
            func.bool_or(and_(steps.goes_on, steps.after <= SOON)).label("reopened"),
        )
        .where(steps.ends)
        .group_by(steps.id, steps.opened_at, steps.organisation_id)
        .subquery("ended")
        .c
    )
    return _by_organisation(ended.id, ended.opened_at, func.coalesce(ended.reopened, False)).join(
        Organisation, Organisation.id == ended.organisation_id
    )


def identical_answers_query(start: datetime, end: datetime) -> Select[Any]:
    """Return the SQL query for the texts that an organisation published as the final answer to several appeals.

    Answers to incidents are left out: many people reported one problem. Texts are compared without letter case and
    repeated spaces.
    """
    words = func.lower(func.btrim(func.regexp_replace(Reply.text, r"\s+", " ", "g")))
    answers = (
        select(
            Appeal.id,
            Appeal.opened_at,
            Appeal.organisation_id,
            func.coalesce(Appeal.author_key, cast(Appeal.id, Text)).label("author"),
            func.md5(words).label("digest"),
            func.count().over(partition_by=Appeal.organisation_id).label("answers"),
        )
        .join(Reply, Reply.appeal_id == Appeal.id)
        .where(
            _opened(start, end),
            Appeal.organisation_id.is_not(None),
            Appeal.incident_id.is_(None),
            Reply.incident_reply_id.is_(None),
            Reply.status == "published",
            Reply.kind == "final",
            Reply.text != "",
        )
        .subquery("answers")
        .c
    )
    appeals = func.array_agg(aggregate_order_by(answers.id.distinct(), answers.id))
    return (
        select(
            answers.organisation_id,
            func.max(answers.answers).label("answers"),
            func.count(answers.author.distinct()).label("authors"),
            appeals.label("appeal_ids"),
        )
        .group_by(answers.organisation_id, answers.digest)
        .having(func.count(answers.id.distinct()) > 1)
        .order_by(func.count(answers.id.distinct()).desc(), answers.organisation_id, answers.digest)
    )


def _opened(start: datetime, end: datetime) -> ColumnElement[bool]:
    return and_(
        Appeal.opened_at >= start, Appeal.opened_at < end, Appeal.status.not_in(("not_required", "merged"))
    )


def _by_organisation(appeal_id: Any, opened_at: Any, condition: ColumnElement[bool]) -> Select[Any]:
    """Return the SQL query that counts rows by organisation and collects the ids of the appeals that meet the
    condition.
    """
    found = func.array_agg(aggregate_order_by(appeal_id, opened_at, appeal_id)).filter(condition)
    columns: list[Any] = [Organisation.id, Organisation.kind, Organisation.sphere, Organisation.name]
    query = select(*columns, func.count().label("trials"), found.label("appeal_ids"))
    return query.group_by(Organisation.id).order_by(Organisation.sort_key, Organisation.id)


def _conspicuous(rows: Sequence[Row[Any]]) -> list[Conspicuous]:
    return [
        Conspicuous(
            organisation_id=row.id,
            group=peer_group(row.kind, row.sphere, row.name),
            trials=row.trials,
            appeal_ids=tuple(row.appeal_ids or ()),
        )
        for row in rows
    ]
