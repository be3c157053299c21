"""Schemas of requests to extend a deadline."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import NonBlankText
from services.appeals.schemas.common import RequestBody
from services.appeals.sla.deadlines import TimeUnit
from shared.contracts.values import ExtendableClock, ExtensionEndReason, ExtensionStatus

_GROUND = "Нужна экспертиза моста: акт подрядчик даст во вторник"
_Text = Annotated[NonBlankText, Field(max_length=2_000)]


class ExtensionRequestIn(RequestBody):
    """A request for more time."""

    clock: ExtendableClock = Field(default="final_answer", description="The clock whose deadline to extend")
    hours: float = Field(
        ge=0.5,
        le=2_000,
        allow_inf_nan=False,
        description="How much longer, in working or calendar hours as the clock counts; a working day has eight",
        examples=[16],
    )
    ground: _Text = Field(
        description="Why the deadline cannot be met; your organisation and the centre read it", examples=[_GROUND]
    )


class ExtensionApprovalIn(RequestBody):
    """The approval of a request."""

    remarks: _Text | None = Field(default=None, examples=["Больше не продлим"])


class ExtensionRefusalIn(RequestBody):
    """The refusal of a request."""

    remarks: _Text = Field(description="Why the deadline stays", examples=["Ответьте, что сделано и что дальше"])


class ExtensionRequestOut(BaseModel):
    """A request to extend a deadline, and the decision of the centre."""

    id: UUID
    appeal_id: UUID
    version: int = Field(description="For `If-Match` of the decision", examples=[1])
    clock: ExtendableClock
    organisation_id: UUID = Field(description="The organisation that had the appeal")
    hours: float = Field(description="In `unit`", examples=[16])
    unit: TimeUnit
    ground: str = Field(examples=[_GROUND])
    due_at: datetime | None = Field(description="The deadline at the request; null: the clock was paused")
    status: ExtensionStatus = Field(
        description="`withdrawn` by the organisation before a decision; `ended`: by itself before a decision"
    )
    requested_by: ActorRef
    requested_at: datetime
    decided_by: ActorRef | None = Field(description="Who approved, refused or withdrew it")
    decided_at: datetime | None
    remarks: str | None
    extended_due_at: datetime | None = Field(description="The deadline after the approval; null while paused")
    ended_reason: ExtensionEndReason | None


class OpenExtensionRequest(BaseModel):
    """An open request with its appeal. Personal data is masked in its ground; the appeal shows it in full."""

    appeal_id: UUID
    appeal_number: int = Field(examples=[1024])
    organisation: str = Field(description="Name of the organisation", examples=["Комитет по строительству"])
    request: ExtensionRequestOut
