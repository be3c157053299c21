"""What a person says of a message or a case: checked, and laid over what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.topics import require_topic
from services.appeals.classification.types import ANSWERED_TYPES, LOCATION_PARTS, UNANSWERED_TYPES, MessageType
from services.appeals.lifecycle.assignments import require_open_organisation
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal, Topic, Triage
from shared.tables.registry import Municipality

LocationParts = dict[str, str | None]


@dataclass(frozen=True)
class Corrections:
    """What a person says besides whether an answer is due; what is left out they say nothing about.

    `place` holds the parts that are named, `municipality` as OKTMO; `no_place` says that there is none.
    `confirms`: what is left out is right as it was judged.
    """

    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    urgency: str | None = None
    type: MessageType | None = None
    location: Mapping[str, str] = field(default_factory=dict)
    no_location: bool = False
    confirms_rest: bool = False

    @property
    def sets_location(self) -> bool:
        """Whether they say where it is, or that it is nowhere."""
        return self.no_location or bool(self.location)

    def merged_location(self, before: LocationParts) -> LocationParts:
        """The place by their words: finer parts that are not named again fall with a coarser one that changed.

        Raises `Invalid` where they name a settlement and no municipality is known: there are several of one name.
        """
        if self.no_location:
            return dict.fromkeys(LOCATION_PARTS)
        found, changed = dict(before), False
        for part in LOCATION_PARTS:
            if part in self.location:
                changed = changed or self.location[part] != before[part]
                found[part] = self.location[part]
            elif changed:
                found[part] = None
        if "settlement" in self.location and found["municipality"] is None:
            raise Invalid.field("/municipality", "Name the municipality of the settlement too")
        return found


def location_of(row: Appeal | Triage) -> LocationParts:
    """The place as a row holds it."""
    return {part: getattr(row, part) for part in LOCATION_PARTS}


async def check_corrections(
    session: AsyncSession, corrections: Corrections, *, needs_answer: bool
) -> Topic | None:
    """The topic that is named. Raises `Invalid` naming each field that cannot be, or does not go with the need."""
    if not needs_answer:
        _check_unanswered(corrections)
    if corrections.no_location and corrections.location:
        errors = [
            FieldError(pointer=f"/{part}", detail="There is a place, or there is none")
            for part in corrections.location
        ]
        raise Invalid("Either «no_place» or the parts of a place", errors=errors)
    if corrections.type is not None and (corrections.type in ANSWERED_TYPES) != needs_answer:
        kinds = ", ".join(sorted(ANSWERED_TYPES if needs_answer else UNANSWERED_TYPES))
        raise Invalid.field("/type", f"With such a need the type is one of: {kinds}")
    municipality = corrections.location.get("municipality")
    if municipality is not None and await session.get(Municipality, municipality) is None:
        raise Invalid.field("/municipality", "No such municipality")
    await require_open_organisation(session, corrections.organisation_id)
    return await require_topic(session, corrections.topic_id)


def _check_unanswered(corrections: Corrections) -> None:
    named = [name for name in ("topic_id", "organisation_id") if getattr(corrections, name) is not None]
    named += [*(["urgency"] if corrections.urgency == "high" else []), *corrections.location]
    if named:
        detail = "What needs no answer has no topic, place, urgency or owner"
        raise Invalid(detail, errors=[FieldError(pointer=f"/{name}", detail=detail) for name in named])
