"""Queries of the topic taxonomy: lists, search by any name, and names of topics and municipalities."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased
from typing_extensions import TypeAliasType

from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.http.problems import Invalid, NotFound
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality
from shared.text.normalize import fold_name

TopicLevelFilter = TypeAliasType("TopicLevelFilter", Literal["group", "topic", "all"])
TopicGroup = aliased(Topic)


class TopicFilter(ListFilter):
    """Filter of the topic taxonomy. Without parameters, topic groups are listed."""

    level: TopicLevelFilter | None = Field(
        default=None, description="Default: `group`; `topic` if `group_id` is given; `all` if only `q` is given"
    )
    group_id: UUID | None = Field(default=None, description="Only topics of this group")
    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Part of a name, an old name or an alias",
        examples=["ямы"],
    )

    def levels(self) -> TopicLevelFilter:
        """Return the levels to list: the given level, or the default that follows from the other parameters."""
        if self.level is not None:
            return self.level
        if self.group_id is not None:
            return "topic"
        return "group" if self.q is None else "all"


async def find(session: AsyncSession, filters: TopicFilter, paging: Paging) -> Sequence[Row[Topic, str | None]]:
    """Return topics in the taxonomy's order, each with the name of its group: one page plus one row.

    `q` is searched in names, former names and aliases, ignoring case, «ё» and punctuation.
    """
    query = (
        select(Topic, TopicGroup.name)
        .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
        .where(Topic.active)
        .order_by(Topic.position, Topic.id)
    )
    if (level := filters.levels()) != "all":
        query = query.where(Topic.group_id.is_(None) if level == "group" else Topic.group_id.is_not(None))
    if filters.group_id is not None:
        query = query.where(in_topic(Topic.id, filters.group_id))
    after = paging.after((Topic.position, Topic.id), (int, UUID), descending=False)
    if after is not None:
        query = query.where(after)
    if filters.q is None:
        return (await session.execute(query.limit(paging.limit + 1))).all()
    # There are only a few hundred rows, so names are folded here by the taxonomy's own function, not in SQL.
    folded = fold_name(filters.q)
    rows = (await session.execute(query)).all()
    matching = [row for row in rows if any(folded in fold_name(name) for name in (row[0].name, *row[0].aliases))]
    return matching[: paging.limit + 1]


async def get_topic(session: AsyncSession, topic_id: UUID) -> Row[Topic, str | None]:
    """Return a topic, also a retired one, with the name of its group. Raises `NotFound` for an unknown id."""
    row = (
        await session.execute(
            select(Topic, TopicGroup.name)
            .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
            .where(Topic.id == topic_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("No such topic")
    return row


def in_topic(column: InstrumentedAttribute[Any], topic_id: UUID) -> ColumnElement[bool]:
    """Return the SQL condition that `column` is this topic or, for a group, one of its topics."""
    beneath = aliased(Topic)
    return column.in_(select(beneath.id).where(or_(beneath.id == topic_id, beneath.group_id == topic_id)))


def in_any_topic(column: InstrumentedAttribute[Any], topic_ids: Collection[UUID]) -> ColumnElement[bool]:
    """Return the SQL condition that `column` is one of these topics or a topic of one of these groups."""
    beneath = aliased(Topic)
    return column.in_(select(beneath.id).where(or_(beneath.id.in_(topic_ids), beneath.group_id.in_(topic_ids))))


class TopicName(NamedTuple):
    """The name of a topic with its group, or of a topic group; then `group_id` and `group` are None."""

    topic_id: UUID
    name: str
    group_id: UUID | None
    group: str | None


@dataclass(frozen=True)
class TopicAndMunicipalityNames:
    """Names of topics with their groups, by id, and of municipalities, by OKTMO."""

    topics: dict[UUID, TopicName]
    municipalities: dict[str, str]

    @staticmethod
    async def load(
        session: AsyncSession, topics: Collection[UUID], municipalities: Collection[str]
    ) -> "TopicAndMunicipalityNames":
        """Load these names, with at most one statement for topics and one for municipalities."""
        named: dict[UUID, TopicName] = {}
        if topics:
            rows = await session.execute(
                select(Topic.id, Topic.name, Topic.group_id, TopicGroup.name)
                .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
                .where(Topic.id.in_(topics))
            )
            named = {row[0]: TopicName(*row) for row in rows}
        places: dict[str, str] = {}
        if municipalities:
            found = await session.execute(
                select(Municipality.oktmo, Municipality.name).where(Municipality.oktmo.in_(municipalities))
            )
            places = {row.oktmo: row.name for row in found}
        return TopicAndMunicipalityNames(named, places)


async def require_topic(session: AsyncSession, topic_id: UUID | None) -> Topic | None:
    """Return the topic; None without an id. Raises `Invalid` naming the field unless it exists and is active."""
    if topic_id is None:
        return None
    topic = await session.get(Topic, topic_id)
    if topic is None or not topic.active:
        raise Invalid.field("/topic_id", "No such topic, or it is no longer active")
    return topic
