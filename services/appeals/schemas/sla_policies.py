"""SLA policies as they cross the wire."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import Body, Urgency
from services.appeals.schemas.types import Line, Moment


class PolicyIn(Body):
    """A new SLA policy; the one before stays for the cases opened before `valid_from`."""

    name: Line = Field(examples=["Обычное обращение: 8 рабочих часов"])
    urgency: Urgency
    first_response_hours: float = Field(
        gt=0, le=720, allow_inf_nan=False, description="Working hours", examples=[8]
    )
    resolution_hours: float = Field(
        gt=0, le=2_000, allow_inf_nan=False, description="Working hours", examples=[56]
    )
    starts_from: Literal["received", "written", "assigned"] = "received"
    valid_from: Moment | None = Field(default=None, description="Now by default; never in the past")


class PolicyOut(BaseModel):
    """An SLA policy."""

    id: UUID
    name: str
    urgency: Urgency
    first_response_hours: float
    resolution_hours: float
    starts_from: Literal["received", "written", "assigned"]
    valid_from: datetime
