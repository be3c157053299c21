"""Routing rules, the facts that they compare, and the index that finds the most specific matching rule."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from typing_extensions import TypeAliasType

from services.appeals.classification.locations.settlement_names import settlement_key
from services.appeals.classification.types import LocationSource

SendTo = TypeAliasType(
    "SendTo",
    Literal[
        "organisation",
        "page_owner",
        "moderators",
        "municipality_administration",
        "sphere_body",
        "page_owner_founder",
    ],
)
# Targets that are resolved to an organisation from the registry for each appeal.
REGISTRY_ROLES = frozenset({"municipality_administration", "sphere_body", "page_owner_founder"})
PageOwnerSphere = TypeAliasType("PageOwnerSphere", Literal["same", "other"])
PageOwnerKind = TypeAliasType(
    "PageOwnerKind", Literal["regional", "municipality", "institution", "court", "other"]
)


@dataclass(frozen=True, slots=True)
class NamedOrganisation:
    """An organisation that rules may refer to."""

    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class PageOwner:
    """The page that a message was sent to and the organisation that owns it.

    `spheres` are the codes of the organisation's spheres; `founder` is the organisation above it in the registry.
    """

    page_id: UUID
    organisation_id: UUID
    organisation: str
    municipality: str | None
    active: bool
    kind: str | None = None
    spheres: frozenset[str] = frozenset()
    founder_id: UUID | None = None
    founder: NamedOrganisation | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule; a condition that is None matches any value. `topic_id` may be a group, which matches all its
    topics.

    `page_owner_sphere` compares the spheres of the page's owner with those of the topic. `reason` explains why the
    target answers; it has no effect on routing.
    """

    id: UUID | None
    send_to: str
    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    municipality: str | None = None
    settlement: str | None = None
    page_owner_id: UUID | None = None
    urgency: str | None = None
    page_owner_sphere: str | None = None
    page_owner_kind: str | None = None
    reason: str | None = None

    @property
    def depends_on_topic(self) -> bool:
        """Return whether the target of this rule depends on the topic of the appeal."""
        return self.topic_id is not None or self.page_owner_sphere is not None or self.send_to == "sphere_body"


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """The facts that rules compare. `municipality` is the OKTMO of the message, or else of the page's owner.
    `confidence` is the topic's, 0–1. `location_source` is only shown in the reason.
    """

    topic_id: UUID | None = None
    municipality: str | None = None
    settlement: str | None = None
    urgency: str = "normal"
    page_owner: PageOwner | None = None
    confidence: float = 1.0
    location_source: LocationSource | None = None


RuleConditions = tuple[UUID | None, str | None, str | None, UUID | None, str | None, str | None, str | None]
NO_CONDITIONS: RuleConditions = (None,) * 7
Specificity = tuple[int, int, int, int, int, int]


def conditions_of(rule: Rule) -> RuleConditions:
    """Return the conditions of a rule; two rules with the same conditions are in conflict."""
    return (
        rule.topic_id, rule.municipality, settlement_key(rule.settlement), rule.page_owner_id, rule.urgency,
        rule.page_owner_sphere, rule.page_owner_kind,
    )  # fmt: skip


# Integers are hashed much faster than UUIDs.
_Key = tuple[int | None, str | None, str | None, int | None, str | None, str | None, str | None]


def _key(conditions: RuleConditions) -> _Key:
    topic_id, municipality, settlement, page_owner_id, *rest = conditions
    urgency, sphere, kind = rest
    topic, owner = topic_id.int if topic_id else None, page_owner_id.int if page_owner_id else None
    return topic, municipality, settlement, owner, urgency, sphere, kind


class RuleIndex:
    """A set's rules, indexed by their conditions: the time to find a rule does not grow with the number of
    rules.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        groups: Mapping[UUID, UUID],
        default_to: str,
        default_organisation_id: UUID | None = None,
        number: int | None = None,
        topic_spheres: Mapping[UUID, frozenset[str]] | None = None,
    ) -> None:
        """`groups` maps a topic or group to its group, `topic_spheres` maps it to its spheres."""
        self.number = number
        self.rules = rules
        self.default_to = default_to
        self.default_organisation_id = default_organisation_id
        self._groups = groups
        self._topic_spheres = topic_spheres or {}
        # By specificity, highest first, then by conditions.
        by_specificity: dict[Specificity, dict[_Key, Rule]] = {}
        for rule in rules:
            by_specificity.setdefault(self.specificity(rule), {})[_key(conditions_of(rule))] = rule
        self._found = sorted(by_specificity.items(), reverse=True)

    def specificity(self, rule: Rule) -> Specificity:
        """Return the specificity as a comparable tuple: topic, location, page owner, its sphere, its kind,
        urgency.
        """
        topic = 0
        if rule.topic_id is not None:
            topic = 1 if self._groups.get(rule.topic_id, rule.topic_id) == rule.topic_id else 2
        location = 2 if rule.settlement else int(rule.municipality is not None)
        given = (rule.page_owner_id, rule.page_owner_sphere, rule.page_owner_kind, rule.urgency)
        owner, sphere, kind, urgency = (int(condition is not None) for condition in given)
        return topic, location, owner, sphere, kind, urgency

    @property
    def uses_registry_roles(self) -> bool:
        """Return whether the target of a rule or of the default is resolved from the registry."""
        return not REGISTRY_ROLES.isdisjoint({self.default_to, *(rule.send_to for rule in self.rules)})

    @property
    def relevant_facts(self) -> frozenset[str]:
        """Return the names of the facts, besides the page, that matter to any rule of the set."""
        targets = {self.default_to, *(rule.send_to for rule in self.rules)}
        by_owner_sphere = any(rule.page_owner_sphere is not None for rule in self.rules)
        by_settlement = "municipality_administration" in targets
        used = {
            "topic_id": "sphere_body" in targets or any(rule.depends_on_topic for rule in self.rules),
            "municipality": by_owner_sphere
            or by_settlement
            or any(rule.municipality is not None for rule in self.rules),
            "settlement": by_settlement or any(rule.settlement is not None for rule in self.rules),
            "urgency": any(rule.urgency is not None for rule in self.rules),
        }
        return frozenset(name for name, matters in used.items() if matters)

    def group_of(self, topic_id: UUID) -> UUID:
        """Return the group of a topic, or the id itself if it is a group."""
        return self._groups.get(topic_id, topic_id)

    def _page_owner_sphere(self, facts: RoutingFacts) -> str | None:
        """Return "same" if the page's owner is in charge of the topic's sphere, "other" if not, None if the topic
        is unknown. A local body is not in charge of matters in another municipality.
        """
        if facts.topic_id is None:
            return None
        owner = facts.page_owner
        if owner is None or owner.spheres.isdisjoint(self._topic_spheres.get(facts.topic_id, ())):
            return "other"
        return "same" if owner.municipality in {None, facts.municipality} else "other"

    def matching_rules(self, facts: RoutingFacts, *, forwarded_by: UUID | None = None) -> Iterator[Rule]:
        """Yield the rules that match the facts, most specific first.

        With `forwarded_by` only the rules by which this organisation forwards appeals.
        """
        owner = forwarded_by or (facts.page_owner.organisation_id if facts.page_owner else None)
        group = self.group_of(facts.topic_id) if facts.topic_id else None
        topics = (None, group.int if group else None, facts.topic_id.int if facts.topic_id else None)
        settlement, owner_number = settlement_key(facts.settlement), owner.int if owner else None
        owner_sphere = self._page_owner_sphere(facts)
        owner_kind = facts.page_owner.kind if facts.page_owner else None
        for (topic, location, by_owner, by_sphere, by_kind, by_urgency), rules in self._found:
            if forwarded_by is not None and not by_owner:
                continue
            rule = rules.get(
                (
                    topics[topic],
                    facts.municipality if location else None,
                    settlement if location == 2 else None,
                    owner_number if by_owner else None,
                    facts.urgency if by_urgency else None,
                    owner_sphere if by_sphere else None,
                    owner_kind if by_kind else None,
                )
            )
            if rule is not None:
                yield rule

    def forwarding_rule(
        self, organisation_id: UUID, facts: RoutingFacts, *, excluding: Collection[Rule] = ()
    ) -> Rule | None:
        """Return the rule, not in `excluding`, by which the organisation forwards such an appeal; None if it keeps
        the appeal.
        """
        rule = next(
            (rule for rule in self.matching_rules(facts, forwarded_by=organisation_id) if rule not in excluding),
            None,
        )
        if rule is None or rule.send_to == "page_owner" or rule.organisation_id == organisation_id:
            return None
        return rule
