"""The stored route of an appeal (`appeals.route`): why it has its organisation or waits for a moderator."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

from shared.tables.appeals import Appeal

# Why the rules name no organisation; why it is unclear whether an answer is due; why a moderator must decide.
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
    """The topic as the classifier predicted it, kept for routing again; a person's topic has the confidence 1."""

    id: UUID | None = None
    confidence: float | None = None
    top3: list[tuple[UUID, float]] = []


class SuggestedOrganisation(_Part):
    """An organisation that may have to answer."""

    organisation_id: UUID
    confidence: float
    why: str


class RouteSnapshot(_Part):
    """Why the appeal is where it is. A field that was not given is absent from the stored JSON.

    `rule` describes the rule; `why` quotes the words that named topic and location. `unassigned_from` is the
    organisation that the rules took the appeal from.
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
        """Return the stored route."""
        return RouteSnapshot.model_validate(stored, extra="ignore")

    def dump(self) -> dict[str, Any]:
        """Return the JSON to store."""
        return self.model_dump(mode="json", exclude_unset=True)

    def updated(self, **changes: Any) -> "RouteSnapshot":
        """Return the route with these fields changed."""
        return self.replaced_by(RouteSnapshot(**changes))

    def replaced_by(self, other: "RouteSnapshot") -> "RouteSnapshot":
        """Return the route with the fields that `other` has."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})

    def text_reading(self) -> "RouteSnapshot":
        """Return the fields that do not change with the organisation: what the text says."""
        kept = {name: getattr(self, name) for name in ("topic", "why") if name in self.model_fields_set}
        return RouteSnapshot(**kept)


def manual_route(reason: str) -> RouteSnapshot:
    """Return the route of an appeal that a person assigned."""
    return RouteSnapshot(reason=reason, rule_id=None, confidence=1.0)


def route_of(appeal: Appeal | SimpleNamespace) -> RouteSnapshot:
    """Return the appeal's route."""
    return RouteSnapshot.parse(appeal.route)


def returned_by_organisation(appeal: Appeal) -> UUID | None:
    """Return the organisation that returned the appeal, if it now waits for a moderator because of that."""
    return route_of(appeal).returned_by if appeal.organisation_id is None else None
