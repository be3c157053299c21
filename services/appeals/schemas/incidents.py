"""What crosses the wire about incidents, alike cases and alerts."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.incidents.service import MAX_APPEALS_PER_REQUEST
from services.appeals.lifecycle.workflow import AppealStatus
from services.appeals.replies.submission import MAX_REPLY_LENGTH
from services.appeals.schemas.common import Channel, NamedRef, RequestBody, Urgency
from services.appeals.schemas.types import BoundedDatetime, NonBlankText, SingleLine

_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"
AppealIds = Annotated[list[UUID], Field(min_length=1, max_length=MAX_APPEALS_PER_REQUEST, examples=[[_ID]])]


class AppealBriefOut(BaseModel):
    """A case in short; `GET /appeals/{id}` tells the rest."""

    appeal_id: UUID
    number: int
    status: AppealStatus
    urgency: Urgency
    organisation: NamedRef | None
    topic: NamedRef | None
    channel: Channel
    text: str = Field(description="The words that opened it, personal data masked")
    written_at: datetime
    opened_at: datetime
    first_response_at: datetime | None


class SimilarAppealOut(AppealBriefOut):
    """A case like the one that was asked about."""

    incident_id: UUID | None = Field(description="The incident that it is in")
    score: float = Field(description="0 to 1; from 0.9 on the words are the same", examples=[0.74])
    why: list[str] = Field(examples=[["похожий текст", "та же улица", "та же тема", "12 минут"]])
    same_person: Literal["author", "probably"] | None = Field(
        description="`author`: the same account; `probably`: the same words in another network within hours"
    )


class SimilarAppealList(BaseModel):
    """The likest cases, best first."""

    items: list[SimilarAppealOut]
    read: int = Field(description="How many cases were compared")


class IncidentIn(RequestBody):
    """Join cases into a new incident."""

    appeal_ids: AppealIds
    title: SingleLine | None = Field(default=None, examples=["Нет света: Кабанский район, Селенгинск"])


class IncidentMembersIn(RequestBody):
    """Join further cases."""

    appeal_ids: AppealIds


class IncidentPatch(RequestBody):
    """What to change; what is left out stays."""

    title: SingleLine | None = Field(default=None, examples=["Авария на подстанции в Селенгинске"])
    organisation_id: UUID | None = Field(default=None, description="Who leads; null: nobody")


class IncidentOut(BaseModel):
    """An incident. Who belongs to an organisation sees the number and the times of its own cases alone."""

    id: UUID
    number: int
    version: int = Field(description="Send as `If-Match` to change the incident; new members do not raise it")
    origin: Literal["burst", "person"]
    title: str
    topic: NamedRef | None
    fault: str | None = Field(examples=["power"])
    municipality: str | None = Field(description="OKTMO", examples=["81624000"])
    settlement: str | None
    street: str | None
    urgency: Urgency
    organisation: NamedRef | None = Field(description="Who leads")
    members: int
    first_at: datetime | None = Field(description="When the first of them was written")
    last_at: datetime | None
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None


class IncidentMemberOut(AppealBriefOut):
    """A case of the incident."""

    likeness: float | None = Field(description="0 to 1; null when a person joined it")
    why: str = Field(examples=["Нет света, Селенгинск"])
    joined_at: datetime
    joined_by: str


class IncidentReplyIn(RequestBody):
    """One answer to all cases of the incident that still wait."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        examples=["Здравствуйте! Свет включат до 18:00, бригада на месте."]
    )
    kind: Literal["final", "interim"] = "final"
    promised_at: BoundedDatetime | None = Field(
        default=None, description="With `interim`: when the final answer will come"
    )
    also_later: bool = Field(
        default=True, description="A final answer also goes to the cases that join while the incident is open"
    )


class IncidentReplyOut(BaseModel):
    """An answer to an incident, and how far it has come."""

    id: UUID
    kind: Literal["final", "interim"]
    text: str
    promised_at: datetime | None
    author: str
    organisation_id: UUID | None = Field(description="For cases of this organisation; null: for all")
    also_later: bool
    created_at: datetime
    by_status: dict[str, int] = Field(
        description="How many of its replies are in each status", examples=[{"queued": 12, "published": 188}]
    )
    to_come: int = Field(description="Cases that wait and have no reply yet")
