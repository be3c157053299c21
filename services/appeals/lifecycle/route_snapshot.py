"""The stored route of an appeal (`appeals.route`): why it has its organisation or is in triage."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

from shared.tables.appeals import Appeal

# Reasons why the rules give no organisation, then why the need for an answer is unclear, then all reasons why a
# moderator must decide.
UnroutedReason = Literal[
    "topic_uncertain",
    "moderators_by_rule",
    "no_rule",
    "page_unknown",
    "organisation_closed",
    "no_role_holder",
    "several_role_holders",
]
UnclearNeedReason = Literal["need_unclear", "buryat_text", "other_region"]
TriageReason = TypeAliasType("TriageReason", Literal[UnclearNeedReason, UnroutedReason, "returned"])
TRIAGE_REASON_HELP = (
    "It is unclear whether an answer is due: `need_unclear`, `buryat_text` (a person must read it), "
    "`other_region`. Or who answers: "
    "`topic_uncertain`, `moderators_by_rule` (a rule says so), `no_rule` (no rule matches), `page_unknown`, "
    "`organisation_closed`, `no_role_holder` and `several_role_holders` (the registry has no organisation, or "
    "several, for the rule's target), `returned` (by an organisation)"
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictedTopic(_Part):
    """The topic as the classifier predicted it, kept for later routing; a topic set by a person has the confidence
    1.
    """

    id: UUID | None = None
    confidence: float | None = None
    top3: list[tuple[UUID, float]] = []


class SuggestedOrganisation(_Part):
    """An organisation suggested for the answer, with confidence and reason."""

    organisation_id: UUID
    confidence: float
    why: str


class RouteSnapshot(_Part):
    """Why the appeal has its organisation or is in triage. Fields that are not set are absent from the stored
    JSON. `rule` describes the rule; `why` quotes the words that determined topic and location. `unassigned_from`
    is the organisation from which the rules took the appeal.
    """

    reason: str | None = None
    rule_id: UUID | None = None
    confidence: float | None = None
    rule_set: int | None = None
    rule: str | None = None
    why: str | None = None
    suggestions: list[SuggestedOrganisation] = []
    topic: PredictedTopic | None = None
    suggested_organisation_id: UUID | None = None
    triage_reason: TriageReason | None = None
    returned_by: UUID | None = None
    return_reason: str | None = None
    unassigned_from: UUID | None = None

    @staticmethod
    def parse(stored: Mapping[str, Any]) -> "RouteSnapshot":
        """Return the route parsed from the stored JSON."""
        return RouteSnapshot.model_validate(stored, extra="ignore")

    def dump(self) -> dict[str, Any]:
        """Return the JSON to store."""
        return self.model_dump(mode="json", exclude_unset=True)

    def updated(self, **changes: Any) -> "RouteSnapshot":
        """Return a copy of the route with these fields changed."""
        return self.replaced_by(RouteSnapshot(**changes))

    def replaced_by(self, other: "RouteSnapshot") -> "RouteSnapshot":
        """Return a copy of the route with the fields that are set in `other`."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})

    def text_reading(self) -> "RouteSnapshot":
        """Return a route with only the fields that come from the text and do not depend on the organisation."""
        kept = {name: getattr(self, name) for name in ("topic", "why") if name in self.model_fields_set}
        return RouteSnapshot(**kept)


def manual_route(reason: str) -> RouteSnapshot:
    """Return the route of an appeal that a person assigned."""
    return RouteSnapshot(reason=reason, rule_id=None, confidence=1.0)


def route_of(appeal: Appeal | SimpleNamespace) -> RouteSnapshot:
    """Return the parsed route of the appeal."""
    return RouteSnapshot.parse(appeal.route)


def returned_by_organisation(appeal: Appeal) -> UUID | None:
    """Return the id of the organisation that returned the appeal, if the appeal is unassigned since; else None."""
    return route_of(appeal).returned_by if appeal.organisation_id is None else None
