"""Schemas of citizens' feedback on final answers."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.feedback.feedback_corrections import FeedbackCorrection
from services.appeals.field_types import SingleLine
from services.appeals.schemas.common import _ID, RequestBody
from shared.contracts.values import FeedbackKind

KIND_HELP = (
    "`thanks`: also «всё сделали»; `not_solved`: also a mark of 1 or 2; `mark`: 3 to 5; `silence`: nothing in "
    "time; null: nothing yet, or nothing about the answer"
)


class FeedbackOut(BaseModel):
    """The citizen's feedback on a final answer."""

    id: UUID = Field(examples=[_ID])
    reply_id: UUID = Field(description="The answer")
    answered_at: datetime
    kind: FeedbackKind | None = Field(description=KIND_HELP, examples=["thanks"])
    mark: int | None = Field(description="1 to 5, if the citizen gave one", examples=[None])
    message_id: UUID | None = Field(description="The message with the feedback")
    said_at: datetime | None = Field(description="When it was written, by the network's clock")
    silent_after: datetime = Field(description="If the citizen says nothing until then, silence is recorded")
    reason: str | None = Field(
        description="Why the message is read this way, in words", examples=["Благодарность: «спасибо»"]
    )
    corrected_by: ActorRef | None = Field(
        description="The moderator who corrected the reading; null: no moderator did"
    )


class FeedbackIn(RequestBody):
    """A moderator's correction of how the citizen's feedback was classified."""

    kind: FeedbackKind | None = Field(description=KIND_HELP, examples=["not_solved"])
    mark: int | None = Field(default=None, ge=1, le=5, description="1 or 2 with `not_solved`, 3 to 5 with `mark`")
    reason: SingleLine = Field(description="Why, for colleagues", examples=["Это не благодарность, а ирония"])

    def correction(self) -> FeedbackCorrection:
        """Return the correction as a domain object."""
        return FeedbackCorrection(self.kind, self.mark, self.reason)
