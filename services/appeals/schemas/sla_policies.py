"""Schemas of SLA policies."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.field_types import BoundedDatetime, SingleLine
from services.appeals.schemas.common import RequestBody
from shared.contracts.values import Urgency

DeadlineStart = TypeAliasType("DeadlineStart", Literal["received", "written", "assigned"])


class SlaPolicyIn(RequestBody):
    """A new SLA policy; the former one stays for appeals opened before `valid_from`."""

    name: SingleLine = Field(examples=["Обычное обращение: 8 рабочих часов"])
    urgency: Urgency
    first_response_hours: float = Field(
        gt=0, le=720, allow_inf_nan=False, description="Working hours", examples=[8]
    )
    resolution_hours: float = Field(
        gt=0, le=2_000, allow_inf_nan=False, description="Working hours", examples=[56]
    )
    starts_from: DeadlineStart = "received"
    valid_from: BoundedDatetime | None = Field(default=None, description="Now by default; never in the past")


class SlaPolicyOut(BaseModel):
    """An SLA policy."""

    id: UUID
    name: str = Field(examples=["Обычное обращение: 8 рабочих часов"])
    urgency: Urgency
    first_response_hours: float = Field(examples=[8])
    resolution_hours: float = Field(examples=[56])
    starts_from: DeadlineStart
    valid_from: datetime
