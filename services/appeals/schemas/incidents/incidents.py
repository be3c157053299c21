"""Schemas of incidents and similar appeals."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import BoundedDatetime, NonBlankText, SingleLine
from services.appeals.incidents.service import MAX_APPEALS_PER_REQUEST
from services.appeals.replies.submission import MAX_REPLY_LENGTH
from services.appeals.schemas.common import Channel, NamedRef, RequestBody
from services.appeals.schemas.replies.replies import ReplyStatus
from shared.contracts.values import AppealStatus, IncidentOrigin, ReplyKind, Urgency

_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"
SamePerson = TypeAliasType("SamePerson", Literal["same_author", "probable"])
AppealIds = Annotated[list[UUID], Field(min_length=1, max_length=MAX_APPEALS_PER_REQUEST, examples=[[_ID]])]


class AppealBriefOut(BaseModel):
    """A summary of an appeal; `GET /appeals/{id}` returns all of it."""

    appeal_id: UUID
    number: int
    status: AppealStatus = Field(examples=["assigned"])
    urgency: Urgency
    organisation: NamedRef | None
    topic: NamedRef | None
    channel: Channel
    text: str = Field(
        description="The text that opened it, personal data masked", examples=["В Селенгинске нет света с утра"]
    )
    written_at: datetime
    opened_at: datetime
    first_response_at: datetime | None


class SimilarAppealOut(AppealBriefOut):
    """A similar appeal."""

    incident_id: UUID | None = Field(description="The incident that it is in")
    score: float = Field(description="0 to 1; at least 0.9 for the same text, unless it is short", examples=[0.74])
    why: list[str] = Field(examples=[["похожий текст", "та же улица", "та же тема", "12 минут"]])
    same_person: SamePerson | None = Field(
        description="`same_author`: the same account; `probable`: the same text in another network within hours"
    )


class SimilarAppealList(BaseModel):
    """Similar appeals, most similar first."""

    items: list[SimilarAppealOut]
    compared_count: int = Field(description="How many appeals were compared")


class IncidentIn(RequestBody):
    """A new incident and its appeals."""

    appeal_ids: AppealIds
    title: SingleLine | None = Field(default=None, examples=["Нет света: Кабанский район, Селенгинск"])


class IncidentMembersIn(RequestBody):
    """Appeals to be added to an incident."""

    appeal_ids: AppealIds


class IncidentPatch(RequestBody):
    """The fields to change; an omitted field is not changed."""

    title: SingleLine | None = Field(default=None, examples=["Авария на подстанции в Селенгинске"])
    organisation_id: UUID | None = Field(default=None, description="The leading organisation; null: none")


class IncidentOut(BaseModel):
    """An incident. For staff of an organisation, `member_count` and times of writing cover only its appeals."""

    id: UUID
    number: int
    version: int = Field(description="Send as `If-Match` to change the incident; new members do not raise it")
    origin: IncidentOrigin
    title: str = Field(examples=["Нет света: Кабанский район, Селенгинск"])
    topic: NamedRef | None
    utility_failure: str | None = Field(examples=["power"])
    municipality: str | None = Field(description="OKTMO", examples=["81624000"])
    settlement: str | None
    street: str | None
    urgency: Urgency
    organisation: NamedRef | None = Field(description="The leading organisation")
    member_count: int = Field(examples=[200])
    first_written_at: datetime | None = Field(description="When the first of its messages was written")
    last_written_at: datetime | None
    opened_at: datetime
    opened_by: ActorRef
    closed_at: datetime | None


class IncidentMemberOut(AppealBriefOut):
    """An appeal of the incident."""

    similarity: float | None = Field(
        description="0 to 1; null: not measured, as for an appeal that a person added or that formed the spike"
    )
    why: str = Field(examples=["Нет света, Селенгинск"])
    joined_at: datetime
    joined_by: str = Field(examples=["system"])


class IncidentReplyIn(RequestBody):
    """One reply to all appeals of the incident that await a reply."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        examples=["Здравствуйте! Свет включат до 18:00, бригада на месте."]
    )
    kind: ReplyKind = "final"
    promised_at: BoundedDatetime | None = Field(
        default=None, description="With `interim`: when the final reply will come"
    )
    include_later_members: bool = Field(
        default=True, description="A final reply also goes to appeals that join while the incident is open"
    )


class IncidentReplyOut(BaseModel):
    """A reply to an incident, and its progress."""

    id: UUID
    kind: ReplyKind
    text: str = Field(examples=["Здравствуйте! Свет включат до 18:00, бригада на месте."])
    promised_at: datetime | None
    author: ActorRef
    organisation_id: UUID | None = Field(description="For appeals of this organisation; null: for all")
    include_later_members: bool
    created_at: datetime
    by_status: dict[ReplyStatus, int] = Field(
        description="How many of its replies are in each status", examples=[{"queued": 12, "published": 188}]
    )
    pending_count: int = Field(description="Appeals that await a reply and have none yet", examples=[3])
