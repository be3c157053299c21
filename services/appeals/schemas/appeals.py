"""What crosses the wire about cases. Times are RFC 3339 with offset; texts are exactly what was written."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.classification.types import Language
from services.appeals.lifecycle.route_snapshot import TriageReason
from services.appeals.lifecycle.workflow import AppealOutcome, AppealStatus
from services.appeals.moderation.corrections import Corrections
from services.appeals.schemas.classifications import ClassificationOut
from services.appeals.schemas.common import (
    _ID,
    Channel,
    Location,
    LocationIn,
    NamedRef,
    RequestBody,
    TopicRef,
    Urgency,
)
from services.appeals.schemas.replies import FailedReply, ReplyOut
from services.appeals.schemas.routes import TRIAGE_REASON_HELP, RouteOut
from services.appeals.schemas.types import NonBlankText, SingleLine


class AppealSummary(BaseModel):
    """A case as lists show it."""

    id: UUID = Field(examples=[_ID])
    number: int = Field(examples=[1024])
    version: int = Field(description="Send as `If-Match` to change the case")
    status: AppealStatus
    waiting_for: TriageReason | None = Field(
        description=f"In `triage`: why a moderator decides. {TRIAGE_REASON_HELP}"
    )
    urgency: Urgency
    outcome: AppealOutcome | None
    organisation: NamedRef | None
    topic: TopicRef | None
    place: Location | None
    language: Language | None
    fault: str | None = Field(description="What is out, when that is the matter", examples=["power"])
    incident_id: UUID | None = Field(description="The incident that the case is a voice of")
    handovers: int = Field(description="How often it went from one organisation to another")
    returns: int = Field(description="How often an organisation gave it back")
    channel: Channel
    text: str = Field(
        description="The words that opened the case. In lists personal data is masked in them, and with `q` they "
        "are cut to what stands around it",
        examples=["Когда починят дорогу на ул. Бабушкина?"],
    )
    written_at: datetime = Field(description="The network's time")
    opened_at: datetime = Field(description="When the message was received")
    first_response_due_at: datetime | None
    first_response_at: datetime | None
    first_response_working_seconds: int | None = Field(description="Working time until the first public answer")
    next_response_due_at: datetime | None = Field(
        description="Deadline of the answer to a message after the first answer"
    )
    resolution_due_at: datetime | None
    promised_at: datetime | None = Field(description="Promised by the last interim answer")
    closed_at: datetime | None
    overdue: bool = Field(description="An answer is awaited and late")
    reply_failed: FailedReply | None = Field(
        description="The last reply failed; null again when one is queued, tried again or published"
    )
    route: RouteOut
    allowed_moves: list[AppealStatus] = Field(description="Where you may move the case")


class MessageOut(BaseModel):
    """A citizen's message of the case."""

    id: UUID
    kind: Literal["comment", "wall_post", "message"]
    external_id: str
    text: str
    attachments: list[Any]
    url: str
    written_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: str | None
    triage: ClassificationOut | None


class AssignmentOut(BaseModel):
    """One step of the case from hand to hand; null is the centre."""

    at: datetime
    kind: Literal["routed", "assigned", "returned", "transferred", "rerouted"]
    from_organisation: NamedRef | None
    to_organisation: NamedRef | None
    rule_id: UUID | None
    reason: str | None = Field(examples=["Дорога республиканская, не наша"])
    actor: str


class TimelineEntryOut(BaseModel):
    """One step of the case."""

    at: datetime
    kind: str = Field(examples=["opened"])
    actor: str
    data: dict[str, Any]


class AppealOut(AppealSummary):
    """A case with everything that belongs to it."""

    deadline: dict[str, Any] | None = Field(
        description="How the deadlines were computed; `text` says it in words",
        examples=[
            {
                "text": "9 рабочих часов с пятницы 27.11 16:40: 27.11 — 1 ч 20 мин; 28.11 — не идёт; "
                "29.11 — не идёт; 30.11 — 7 ч 40 мин → понедельник 30.11 17:40"
            }
        ],
    )
    messages: list[MessageOut]
    replies: list[ReplyOut]
    hands: list[AssignmentOut] = Field(description="Through which organisations it went, oldest first")
    timeline: list[TimelineEntryOut]


class AppealIn(LocationIn):
    """Open a case by hand: from a stored message, or from words that came another way."""

    message_id: UUID | None = None
    text: Annotated[NonBlankText, Field(max_length=20_000)] | None = Field(
        default=None, examples=["По телефону: на ул. Гагарина не горят фонари"]
    )
    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    urgency: Urgency | None = None
    url: Annotated[SingleLine, Field(pattern=r"^https?://")] | None = None

    def corrections(self) -> Corrections:
        """What the person says of the case."""
        return Corrections(self.organisation_id, self.topic_id, self.urgency, location=self.parts())


class MoveIn(RequestBody):
    """Where to, and what the move must carry."""

    to: AppealStatus = Field(examples=["assigned"])
    organisation_id: UUID | None = Field(
        default=None,
        description="With `assigned`: the new owner. Staff give a reason, and name none that has had the case",
    )
    reason: SingleLine | None = Field(default=None, examples=["Дорога республиканская, не наша"])
    outcome: AppealOutcome | None = Field(default=None, description="With `closed`")


class AppealCounts(BaseModel):
    """How many cases the filter leaves."""

    total: int
    by_status: dict[str, int] = Field(examples=[{"assigned": 12, "answered": 40}])
    overdue: int
