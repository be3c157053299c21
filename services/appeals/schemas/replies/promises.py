"""Schemas of promises."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import _ID, NamedRef
from shared.contracts.values import PromiseStatus


class PromiseOut(BaseModel):
    """The date that a published interim reply promised."""

    id: UUID = Field(examples=[_ID])
    reply_id: UUID = Field(description="The interim reply that promised", examples=[_ID])
    made_at: datetime = Field(description="When that reply, or the edit with this date, was published")
    promised_at: datetime = Field(examples=["2026-11-27T10:00:00+00:00"])
    status: PromiseStatus = Field(
        description="`kept`: the final reply was published by the date; `moved`: another interim reply was, or an "
        "edit gave a new date; `broken`: the date passed",
        examples=["kept"],
    )
    ended_at: datetime | None = Field(description="When it was kept or moved, or the date that passed")
    final_reply_at: datetime | None = Field(description="When the final reply came, also after a broken promise")
    reminded_at: datetime | None = Field(
        description="When people were reminded, one working day before the promised date"
    )


class PromiseListItem(PromiseOut):
    """A promise as lists show it."""

    appeal_id: UUID = Field(examples=[_ID])
    appeal_number: int = Field(examples=[1024])
    organisation: NamedRef | None = Field(description="The organisation that promised; null: the centre")


class PromiseCounts(BaseModel):
    """The number of promises that an organisation made in the period, and how they ended."""

    organisation: NamedRef | None = Field(description="Null: the centre")
    made: int = Field(examples=[12])
    open: int = Field(examples=[2])
    kept: int = Field(examples=[7])
    moved: int = Field(examples=[1])
    broken: int = Field(examples=[2])
    kept_share: float | None = Field(
        description="Kept promises among those that were kept or broken; null while there are none",
        examples=[0.778],
    )


class PromiseLedger(BaseModel):
    """The promises of a period, by organisation."""

    items: list[PromiseCounts]
