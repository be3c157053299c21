"""Names in the report: of topics, municipalities and organisations."""

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
    """Return labels of topic groups for reports, by code, where they differ from the classifier's names."""
    text = files("services.metrics.weekly_report").joinpath("report_labels.csv").read_text(encoding="utf-8")
    return {row["topic_group"]: row["label"] for row in csv.DictReader(text.splitlines())}


@dataclass(frozen=True)
class OrganisationName:
    """The name and the peer group data of an organisation."""

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
        """Return the name of a municipality; its code if the name is unknown."""
        return NO_LOCATION if oktmo is None else self.municipalities.get(oktmo, oktmo)


async def read_labels(session: AsyncSession) -> Labels:
    """Return all names: hundreds of topics and municipalities, and thousands of organisations."""
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
