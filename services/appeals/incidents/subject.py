"""What an incident is about, as its appeals agree on it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.rules.urgency_signals import fault_names
from services.appeals.incidents.similarity import Placed, tells_of
from shared.tables.appeals import Topic
from shared.tables.registry import Municipality

Key = TypeVar("Key")


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What an incident is about and where; null means that its cases do not agree on it, or do not say."""

    topic_id: UUID | None = None
    fault: str | None = None
    municipality: str | None = None
    settlement: str | None = None
    street: str | None = None


def fault_name(fault: str) -> str:
    """What people read of a fault: «Нет света»."""
    name = fault_names().get(fault, "неисправность")
    return name[:1].upper() + name[1:]


def agreed(values: Iterable[Key | None]) -> Key | None:
    """What more than half of those say who say anything; None when they do not agree."""
    counted = Counter(value for value in values if value is not None)
    if not counted:
        return None
    value, count = counted.most_common(1)[0]
    return value if count * 2 > counted.total() else None


def matter_of(cases: Sequence[Placed]) -> Matter:
    """What most of these cases tell."""
    municipality = agreed(case.municipality for case in cases)
    here = [case for case in cases if case.municipality == municipality]
    settlement = agreed(case.settlement for case in here)
    return Matter(
        topic_id=agreed(case.topic_id for case in cases),
        fault=agreed(case.fault for case in cases),
        municipality=municipality,
        settlement=settlement,
        street=_street(here, settlement, among=len(cases)),
    )


def _street(cases: Iterable[Placed], settlement: str | None, *, among: int) -> str | None:
    """The street that the words of more than half `among` so many cases name; whose settlement is told by no words
    may mean this one.
    """
    named = Counter(
        case.street
        for case in cases
        if case.street is not None and case.settlement in {None, settlement} and tells_of(case.text, case.street)
    )
    street, count = max(named.items(), key=lambda found: found[1], default=(None, 0))
    return street if count * 2 > among else None


async def title_of(session: AsyncSession, matter: Matter) -> str:
    """A title in words: «Нет света: Кабанский район, Селенгинск»."""
    what = fault_name(matter.fault) if matter.fault else None
    if what is None and matter.topic_id is not None:
        what = await session.scalar(select(Topic.name).where(Topic.id == matter.topic_id))
    district = None
    if matter.municipality is not None:
        district = await session.scalar(select(Municipality.name).where(Municipality.oktmo == matter.municipality))
    # «город Улан-Удэ, Улан-Удэ» says the same twice.
    settlement = matter.settlement if matter.settlement not in (district or "").split() else None
    where = ", ".join(part for part in (district, settlement, matter.street) if part)
    what = what or "Похожие обращения"
    return f"{what}: {where}" if where else what
