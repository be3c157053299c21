"""Schemas of assignee rules and absences."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.schemas.common import _ID, NamedRef, RequestBody

_PERSON = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"
PersonIds = Annotated[list[UUID], Field(min_length=1, max_length=100, examples=[[_PERSON]])]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 1, 1))]


class AssigneeRuleIn(RequestBody):
    """A new assignee rule."""

    organisation_id: UUID | None = Field(default=None, description="By default the caller's own")
    topic_id: UUID | None = Field(
        default=None, description="A topic, or a group for all its topics; left out: all topics without a rule"
    )
    person_ids: PersonIds = Field(description="Who takes turns, in this order; a single person gets all appeals")


class AssigneeRuleUpdate(RequestBody):
    """The people of an assignee rule."""

    person_ids: PersonIds


class AssigneeRuleOut(BaseModel):
    """An assignee rule."""

    id: UUID = Field(examples=[_ID])
    version: int = Field(description="Send as `If-Match` to change the rule", examples=[1])
    organisation: NamedRef
    topic: NamedRef | None = Field(description="Null: all topics without a rule of their own")
    people: list[ActorRef] = Field(description="Who takes turns, in this order")
    last_person: ActorRef | None = Field(description="Who had the last turn")
    created_at: datetime
    updated_at: datetime


class AbsenceIn(RequestBody):
    """An absence: its first and its last day, both included, in the region's time zone."""

    person_id: UUID | None = Field(default=None, description="By default the caller")
    starts_on: Day = Field(examples=["2026-12-07"])
    ends_on: Day = Field(examples=["2026-12-18"])
    substitute_id: UUID | None = Field(default=None, description="Who takes the person's turns meanwhile")


class PossibleAssigneeOut(ActorRef):
    """A person to whom an appeal may be assigned."""

    absent: bool = Field(description="Whether the person is absent today")
    substitute: ActorRef | None = Field(description="Who takes their turns meanwhile")


class AbsenceOut(BaseModel):
    """An absence."""

    id: UUID = Field(examples=[_ID])
    person: ActorRef
    starts_on: date = Field(examples=["2026-12-07"])
    ends_on: date = Field(examples=["2026-12-18"])
    substitute: ActorRef | None
    created_by: ActorRef
    created_at: datetime
