"""Messages of an appeal that may be about another matter and need a person's decision."""

from datetime import datetime
from types import SimpleNamespace
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.lifecycle.timeline import AppealRecorder
from shared import clock
from shared.tables.appeals import Appeal


class PossibleOtherMatter(BaseModel):
    """A message that joined the appeal and may be about another matter."""

    message_id: UUID = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    reason: str = Field(
        description="Why, in words; in lists personal data is masked in it",
        examples=["Возможно, другой вопрос: похоже на другую тему: «Образование»"],
    )
    at: datetime = Field(description="When the message joined")


def possible_other_matters(appeal: Appeal | SimpleNamespace) -> list[PossibleOtherMatter]:
    """Return the messages that need a decision, in the order in which they joined."""
    return [PossibleOtherMatter.model_validate(found) for found in appeal.possible_other_matters or ()]


def suggest_other_matter(appeal: Appeal, message_id: UUID, reason: str, recorder: AppealRecorder) -> None:
    """Suggest to moderators that a message of the locked appeal may be about another matter."""
    suggested = PossibleOtherMatter(message_id=message_id, reason=reason, at=clock.now())
    _set(appeal, [*possible_other_matters(appeal), suggested])
    recorder.add_timeline_entry(appeal, "other_matter_suggested", message_id=str(message_id), reason=reason)


def withdraw_suggestion(appeal: Appeal, message_id: UUID) -> bool:
    """Remove the suggestion about a message of the locked appeal; return whether there was one."""
    before = possible_other_matters(appeal)
    left = [found for found in before if found.message_id != message_id]
    _set(appeal, left)
    return len(left) < len(before)


def _set(appeal: Appeal, found: list[PossibleOtherMatter]) -> None:
    appeal.possible_other_matters = [one.model_dump(mode="json") for one in found] or None
