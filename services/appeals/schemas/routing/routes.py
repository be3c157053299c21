"""Schemas of routes: why an appeal has its organisation or is in triage."""

from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import NamedRef


class Suggestion(BaseModel):
    """An organisation suggested for the answer."""

    organisation_id: UUID = Field(description="The id of `organisation`")
    organisation: NamedRef
    confidence: float = Field(
        description="Probability, 0–1; those of all suggestions add up to at most 1", examples=[0.62]
    )
    why: str = Field(examples=["тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"])


class RouteOut(BaseModel):
    """Why the appeal has its organisation or is in triage."""

    reason: str = Field(examples=["Владелец страницы: Комитет по строительству"])
    rule_id: UUID | None
    confidence: float = Field(examples=[0.95])
    rule_set: int | None = Field(default=None, description="Number of the rule set that routed it")
    rule: str | None = Field(
        default=None,
        description="The rule in words; several rules if organisations forward the appeal",
        examples=["тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"],
    )
    why: str | None = Field(default=None, description="The words that decided need, topic and location")
    suggestions: list[Suggestion] = Field(default=[], description="At most three, most likely first")
    suggested_organisation_id: UUID | None = Field(default=None, description="For a moderator to confirm")
    returned_by: UUID | None = Field(default=None, description="The organisation that returned the appeal")
    return_reason: str | None = None
