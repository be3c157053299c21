"""Presenters of topics and locations."""

from services.appeals.classification.topics import TopicAndMunicipalityNames, TopicName
from services.appeals.schemas.classification.topics import TopicDetails, TopicOut
from services.appeals.schemas.common import Location, MunicipalityRef, TopicRef, named_ref
from shared.tables.appeals_classification import Topic


def topic_out(topic: Topic, group: str | None) -> TopicOut:
    """Return a topic as lists show it."""
    return TopicOut(
        id=topic.id,
        code=topic.code,
        name=topic.name,
        position=topic.position,
        level="group" if topic.group_id is None else "topic",
        group=named_ref(topic.group_id, group),
    )


def topic_details(topic: Topic, group: str | None) -> TopicDetails:
    """Return a topic with its definition."""
    return TopicDetails(
        **dict(topic_out(topic, group)),
        taxonomy_version=topic.taxonomy_version,
        active=topic.active,
        includes=topic.includes,
        excludes=topic.excludes,
        aliases=topic.aliases,
    )


def topic_ref(topic: TopicName) -> TopicRef:
    """Return a topic with its group."""
    return TopicRef(id=topic.topic_id, name=topic.name, group=named_ref(topic.group_id, topic.group))


def location_of(
    names: TopicAndMunicipalityNames,
    municipality: str | None,
    settlement: str | None,
    street: str | None,
    house: str | None,
) -> Location | None:
    """Return the location with the name of its municipality, given by OKTMO; None if no part of it is known."""
    return location_out(municipality, names.municipalities.get(municipality or ""), settlement, street, house)


def location_out(
    oktmo: str | None, name: str | None, settlement: str | None, street: str | None, house: str | None
) -> Location | None:
    """Return a location; None if no part of it is known. `oktmo` and `name` are those of the municipality."""
    if not any((oktmo, settlement, street, house)):
        return None
    return Location(
        municipality=MunicipalityRef(oktmo=oktmo, name=name or "") if oktmo else None,
        settlement=settlement,
        street=street,
        house=house,
    )
