"""Corrections of a message or an appeal by a person: validation, and merging with the stored values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignments.assignments import require_open_organisation
from services.appeals.classification.topics import require_topic
from services.appeals.classification.types import ANSWERED_TYPES, LOCATION_PARTS, UNANSWERED_TYPES, MessageType
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Classification, Topic
from shared.tables.registry import Municipality

LocationParts = dict[str, str | None]


@dataclass(frozen=True)
class Corrections:
    """A person's corrections besides whether an answer is due; an omitted field corrects nothing. `location` has
    the given parts, `municipality` as OKTMO; `no_location` says that there is no location. `confirms_rest`: the
    omitted fields are right as classified.
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
        """Return whether the person gives a location or says that there is none."""
        return self.no_location or bool(self.location)

    def merged_location(self, before: LocationParts) -> LocationParts:
        """Return the corrected location. If a coarser part changes, finer parts that are not given again become
        None.

        Raises `Invalid` for a settlement without a known municipality: several settlements share a name.
        """
        if self.no_location:
            return dict.fromkeys(LOCATION_PARTS)
        merged, changed = dict(before), False
        for part in LOCATION_PARTS:
            if part in self.location:
                changed = changed or self.location[part] != before[part]
                merged[part] = self.location[part]
            elif changed:
                merged[part] = None
        if "settlement" in self.location and merged["municipality"] is None:
            raise Invalid.field(
                "/municipality",
                "Give the municipality too: settlements in several municipalities have the same name",
            )
        return merged


def location_of(row: Appeal | Classification) -> LocationParts:
    """Return the location in the columns of a row."""
    return {part: getattr(row, part) for part in LOCATION_PARTS}


async def check_corrections(
    session: AsyncSession, corrections: Corrections, *, needs_answer: bool
) -> Topic | None:
    """Validate the corrections and return the given topic, or None.

    Raises `Invalid` naming each field that is unknown or does not fit `needs_answer`.
    """
    if not needs_answer:
        _check_unanswered(corrections)
    if corrections.no_location and corrections.location:
        errors = [
            FieldError(pointer=f"/{part}", detail="Give either «no_location» or parts of a location")
            for part in corrections.location
        ]
        raise Invalid("Give either «no_location» or parts of a location", errors=errors)
    if corrections.type is not None and (corrections.type in ANSWERED_TYPES) != needs_answer:
        kinds = ", ".join(sorted(ANSWERED_TYPES if needs_answer else UNANSWERED_TYPES))
        raise Invalid.field("/type", f"With this `needs_answer` the type must be one of: {kinds}")
    municipality = corrections.location.get("municipality")
    if municipality is not None and await session.get(Municipality, municipality) is None:
        raise Invalid.field("/municipality", "No such municipality")
    await require_open_organisation(session, corrections.organisation_id)
    return await require_topic(session, corrections.topic_id)


def _check_unanswered(corrections: Corrections) -> None:
    named = [name for name in ("topic_id", "organisation_id") if getattr(corrections, name) is not None]
    named += [*(["urgency"] if corrections.urgency == "high" else []), *corrections.location]
    if named:
        detail = "Omit topic, location, urgency and organisation: a message that needs no answer has none"
        raise Invalid(detail, errors=[FieldError(pointer=f"/{name}", detail=detail) for name in named])
