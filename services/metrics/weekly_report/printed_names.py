"""Names that the report prints: of topics, municipalities and organisations."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality, Organisation

NO_TOPIC = "Тема не определена"
NO_LOCATION = "Место не определено"


@lru_cache
def _report_labels() -> Mapping[str, str]:
    """Return the labels of topic groups that reports call otherwise than the classifier, by code."""
    text = files("services.metrics.weekly_report").joinpath("report_labels.csv").read_text(encoding="utf-8")
    return {row["topic_group"]: row["label"] for row in csv.DictReader(text.splitlines())}


@dataclass(frozen=True)
class OrganisationName:
    """What the report needs to know of an organisation."""

    name: str
    full_name: str
    kind: str
    sphere: str | None


@dataclass(frozen=True)
class Labels:
    """Names by id or code."""

    topics: Mapping[UUID, str]
    municipalities: Mapping[str, str]
    organisations: Mapping[UUID, OrganisationName]

    def topic_group(self, topic_id: UUID | None) -> str:
        """Return the printed name of a topic group."""
        return NO_TOPIC if topic_id is None else self.topics[topic_id]

    def municipality(self, oktmo: str | None) -> str:
        """Return the name of a municipality; its code if it is not known."""
        return NO_LOCATION if oktmo is None else self.municipalities.get(oktmo, oktmo)


async def read_labels(session: AsyncSession) -> Labels:
    """Return all names: some hundred topics and municipalities, some thousand organisations."""
    topics = await session.execute(select(Topic.id, Topic.code, Topic.name, Topic.group_id))
    labels = _report_labels()
    short = Organisation.short_name
    organisations = await session.execute(
        select(Organisation.id, Organisation.name, short, Organisation.kind, Organisation.sphere)
    )
    places = await session.execute(select(Municipality.oktmo, Municipality.name))
    return Labels(
        topics={
            topic.id: topic.name if topic.group_id is not None else labels.get(topic.code, topic.name)
            for topic in topics
        },
        municipalities={place.oktmo: place.name for place in places},
        organisations={
            one.id: OrganisationName(one.short_name or one.name, one.name, one.kind, one.sphere)
            for one in organisations
        },
    )
