"""The services of Open311: the topics of the taxonomy, under their ids."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification import topics
from services.appeals.classification.topics import TopicFilter
from shared.api.pagination import Paging
from shared.http.problems import NotFound
from shared.tables.appeals_classification import Topic

# Open311 lists all services at once; the taxonomy has a few hundred topics.
_ALL = Paging(limit=10_000, cursor=None, binding="", url="")


async def list_services(session: AsyncSession) -> Sequence[Row[Topic, str | None]]:
    """Return the active topics in the taxonomy's order, each with the name of its group."""
    return await topics.find(session, TopicFilter(level="topic"), _ALL)


async def get_service(session: AsyncSession, service_code: str) -> Topic:
    """Return the topic or topic group with this id. Raises `NotFound` unless it exists and is active."""
    try:
        topic = await session.get(Topic, UUID(service_code))
    except ValueError:
        topic = None
    if topic is None or not topic.active:
        raise NotFound("service_code: there is no such service, or it is no longer offered")
    return topic
