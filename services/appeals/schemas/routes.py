"""Why an appeal is where it is, as it crosses the wire."""

from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import NamedRef

TRIAGE_REASON_HELP = (
    "Whether an answer is due: `need_unclear`, `buryat` (somebody must read it), `other_region`. Whose it is: "
    "`topic_unsure`, `by_rule` (a rule says so), `unruled` (no rule takes it), `no_page`, `closed` (its owner), "
    "`returned` (it was given back)"
)


class Suggestion(BaseModel):
    """An organisation that may be the one to answer."""

    organisation_id: UUID = Field(description="That of `organisation`")
    organisation: NamedRef
    confidence: float = Field(description="How likely, 0–1; together they make at most 1", examples=[0.62])
    why: str = Field(examples=["тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"])


class RouteOut(BaseModel):
    """Why the case is on this desk."""

    reason: str = Field(examples=["Владелец страницы: Комитет по строительству"])
    rule_id: UUID | None
    confidence: float
    rule_set: int | None = Field(default=None, description="Number of the rule set that routed it")
    rule: str | None = Field(
        default=None,
        description="The rule in words; several where organisations hand on",
        examples=["тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"],
    )
    why: str | None = Field(default=None, description="The words that told need, topic and place")
    suggestions: list[Suggestion] = Field(default=[], description="At most three, the likeliest first")
    suggested_organisation_id: UUID | None = Field(default=None, description="For a moderator to confirm")
    returned_by: UUID | None = Field(default=None, description="The organisation that gave the case back")
    return_reason: str | None = None
