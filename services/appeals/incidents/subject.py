"""The subject of an incident: the topic, utility failure and location that most of its appeals share."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.rules.urgency_signals import utility_failure_names
from services.appeals.incidents.similarity import LocatedAppeal, mentions_name
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality

Key = TypeVar("Key")


@dataclass(frozen=True, kw_only=True)
class IncidentSubject:
    """Topic, utility failure and location of an incident; a field is None if its appeals disagree or do not have
    it.
    """

    topic_id: UUID | None = None
    utility_failure: str | None = None
    municipality: str | None = None
    settlement: str | None = None
    street: str | None = None


def utility_failure_title(utility_failure: str) -> str:
    """Return the display name of a utility failure: «Нет света»."""
    name = utility_failure_names().get(utility_failure, "неисправность")
    return name[:1].upper() + name[1:]


def majority_value(values: Iterable[Key | None]) -> Key | None:
    """Return the value that more than half of the values that are not None have; None without such a majority."""
    counted = Counter(value for value in values if value is not None)
    if not counted:
        return None
    value, count = counted.most_common(1)[0]
    return value if count * 2 > counted.total() else None


def subject_of(appeals: Sequence[LocatedAppeal]) -> IncidentSubject:
    """Return the subject that most of these appeals share."""
    municipality = majority_value(appeal.municipality for appeal in appeals)
    here = [appeal for appeal in appeals if appeal.municipality == municipality]
    settlement = majority_value(appeal.settlement for appeal in here)
    return IncidentSubject(
        topic_id=majority_value(appeal.topic_id for appeal in appeals),
        utility_failure=majority_value(appeal.utility_failure for appeal in appeals),
        municipality=municipality,
        settlement=settlement,
        street=_street(here, settlement, among=len(appeals)),
    )


def _street(appeals: Iterable[LocatedAppeal], settlement: str | None, *, among: int) -> str | None:
    """Return the street named in the texts of more than half of `among` appeals, else None. Appeals in this
    settlement or without a settlement count.
    """
    named = Counter(
        appeal.street
        for appeal in appeals
        if appeal.street is not None
        and appeal.settlement in {None, settlement}
        and mentions_name(appeal.text, appeal.street)
    )
    street, count = max(named.items(), key=lambda found: found[1], default=(None, 0))
    return street if count * 2 > among else None


async def incident_title(session: AsyncSession, subject: IncidentSubject) -> str:
    """Return the title of an incident with this subject: «Нет света: Кабанский район, Селенгинск»."""
    what = utility_failure_title(subject.utility_failure) if subject.utility_failure else None
    if what is None and subject.topic_id is not None:
        what = await session.scalar(select(Topic.name).where(Topic.id == subject.topic_id))
    district = None
    if subject.municipality is not None:
        district = await session.scalar(
            select(Municipality.name).where(Municipality.oktmo == subject.municipality)
        )
    # «город Улан-Удэ, Улан-Удэ» would repeat the name.
    settlement = subject.settlement if subject.settlement not in (district or "").split() else None
    where = ", ".join(part for part in (district, settlement, subject.street) if part)
    what = what or "Похожие обращения"
    return f"{what}: {where}" if where else what
