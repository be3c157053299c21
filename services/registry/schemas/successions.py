"""API models of successions: how organisations end and which organisations succeed them."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field, field_validator

from services.registry.schemas.fields import EXAMPLE_ID, HistoricalDate, LegalGround, OrganisationRef, StrictModel


class SuccessionKind(StrEnum):
    """How an organisation ended."""

    RENAMED = "renamed"
    MERGED = "merged"
    SPLIT = "split"
    REORGANISED = "reorganised"


class Successor(StrictModel):
    """An organisation that succeeds another."""

    organisation_id: UUID = Field(examples=[EXAMPLE_ID])


class SuccessionCreate(StrictModel):
    """The successors of an organisation, and their first day."""

    successors: list[Successor] = Field(
        min_length=1, max_length=50, description="One for `renamed` and `merged`, two or more for `split`"
    )
    kind: SuccessionKind
    effective_on: HistoricalDate = Field(
        description="The first day of the successors; the predecessor's last day is the day before"
    )
    document: LegalGround | None = Field(default=None, examples=["Постановление № 120 от 12.03.2024"])

    @field_validator("successors")
    @classmethod
    def _each_once(cls, value: list[Successor]) -> list[Successor]:
        if len({successor.organisation_id for successor in value}) < len(value):
            raise ValueError("a successor is given twice: give each organisation once")
        return value


class Succession(BaseModel):
    """A succession of one organisation by another."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    predecessor: OrganisationRef
    successor: OrganisationRef
    kind: SuccessionKind
    effective_on: date = Field(examples=["2024-01-01"])
    document: str | None = Field(examples=["Постановление № 120 от 12.03.2024"])
    created_at: datetime


class SuccessionList(BaseModel):
    """The recorded successions."""

    items: list[Succession]
