"""Routing: the most specific rule of the active set decides who must answer, else the set's default.

Specificity is compared by topic first (a topic before its group before none), then by location (a settlement
before its municipality before none), then by the page's owner, then by urgency. Two rules that are equal in all
four and match the same appeal have the same conditions, which `validation` refuses, so the order is total. Where
the result is an organisation that forwards such appeals (a rule with it as `page_owner_id`), that rule is applied
next, until no organisation forwards the appeal.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from typing_extensions import TypeAliasType

from services.appeals.classification.locations.settlement_names import settlement_key
from services.appeals.classification.types import ClassificationResult
from services.appeals.lifecycle.route_snapshot import (
    PredictedTopic,
    RouteSnapshot,
    SuggestedOrganisation,
    TriageReason,
    UnclearNeedReason,
    UnroutedReason,
)

SendTo = TypeAliasType("SendTo", Literal["organisation", "page_owner", "moderators"])

# Below this a topic is more likely wrong than right (probabilities are calibrated). A wrong assignment costs the
# citizen working hours until the appeal is returned; a moderator's decision costs minutes.
MIN_TOPIC_CONFIDENCE = 0.5
# Confidence of a route that does not depend on the topic: sometimes the page's owner is not the one to answer.
_WITHOUT_TOPIC_CONFIDENCE = 0.9
_MAX_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class PageOwner:
    """The page that a message was sent to and the organisation that owns it."""

    page_id: UUID
    organisation_id: UUID
    organisation: str
    municipality: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule; null means any. `topic_id` may be a group, which matches all its topics."""

    id: UUID | None
    send_to: str
    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    municipality: str | None = None
    settlement: str | None = None
    page_owner_id: UUID | None = None
    urgency: str | None = None


@dataclass(frozen=True, slots=True)
class NamedOrganisation:
    """An organisation that rules may name."""

    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """The facts that rules compare. `municipality` is the OKTMO of the message, or else of the page's owner.

    `confidence` is that of the topic, 0–1.
    """

    topic_id: UUID | None = None
    municipality: str | None = None
    settlement: str | None = None
    urgency: str = "normal"
    page_owner: PageOwner | None = None
    confidence: float = 1.0


RuleConditions = tuple[UUID | None, str | None, str | None, UUID | None, str | None]
Specificity = tuple[int, int, int, int]


def conditions_of(rule: Rule) -> RuleConditions:
    """Return the conditions of a rule; two rules with the same conditions are in conflict."""
    return rule.topic_id, rule.municipality, settlement_key(rule.settlement), rule.page_owner_id, rule.urgency


_Conditions = tuple[int | None, str | None, str | None, int | None, str | None]


def _conditions(
    topic_id: UUID | None,
    municipality: str | None,
    settlement: str | None,
    page_owner_id: UUID | None,
    urgency: str | None,
) -> _Conditions:
    return (
        topic_id.int if topic_id else None,
        municipality,
        settlement,
        page_owner_id.int if page_owner_id else None,
        urgency,
    )


class RuleIndex:
    """A set's rules, indexed by their conditions: the time to find one does not grow with their number."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        groups: Mapping[UUID, UUID],
        default_to: str,
        default_organisation_id: UUID | None = None,
        number: int | None = None,
    ) -> None:
        """`groups`: topic or group → its group."""
        self.number = number
        self.rules = rules
        self.default_to = default_to
        self.default_organisation_id = default_organisation_id
        self._groups = groups
        # By specificity, highest first, then by conditions. Integers are hashed much faster than UUIDs.
        by_specificity: dict[Specificity, dict[_Conditions, Rule]] = {}
        for rule in rules:
            conditions = _conditions(
                rule.topic_id, rule.municipality, settlement_key(rule.settlement), rule.page_owner_id, rule.urgency
            )
            by_specificity.setdefault(self.specificity(rule), {})[conditions] = rule
        self._found = sorted(by_specificity.items(), reverse=True)

    def specificity(self, rule: Rule) -> Specificity:
        """Return the specificity of a rule, comparable: topic, location, page owner, urgency."""
        topic = 0
        if rule.topic_id is not None:
            topic = 1 if self._groups.get(rule.topic_id, rule.topic_id) == rule.topic_id else 2
        location = 2 if rule.settlement else int(rule.municipality is not None)
        return topic, location, int(rule.page_owner_id is not None), int(rule.urgency is not None)

    @property
    def relevant_facts(self) -> frozenset[str]:
        """Return which facts, besides the page, matter to any rule of the set."""
        used = {
            "topic_id": any(rule.topic_id is not None for rule in self.rules),
            "municipality": any(rule.municipality is not None for rule in self.rules),
            "settlement": any(rule.settlement is not None for rule in self.rules),
            "urgency": any(rule.urgency is not None for rule in self.rules),
        }
        return frozenset(name for name, matters in used.items() if matters)

    def group_of(self, topic_id: UUID) -> UUID:
        """Return the group of a topic; a group is its own."""
        return self._groups.get(topic_id, topic_id)

    def matching_rules(self, facts: RoutingFacts, *, forwarded_by: UUID | None = None) -> Iterator[Rule]:
        """Yield the rules that match the facts, most specific first.

        With `forwarded_by` only those by which this organisation forwards appeals.
        """
        owner = forwarded_by or (facts.page_owner.organisation_id if facts.page_owner else None)
        group = self.group_of(facts.topic_id) if facts.topic_id else None
        fact_conditions = _conditions(
            facts.topic_id, facts.municipality, settlement_key(facts.settlement), owner, facts.urgency
        )
        _, municipality, settlement, owner_number, urgency = fact_conditions
        topics = (None, group.int if group else None, fact_conditions[0])
        for (topic, location, by_owner, by_urgency), rules in self._found:
            if forwarded_by is not None and not by_owner:
                continue
            rule = rules.get(
                (
                    topics[topic],
                    municipality if location else None,
                    settlement if location == 2 else None,
                    owner_number if by_owner else None,
                    urgency if by_urgency else None,
                )
            )
            if rule is not None:
                yield rule

    def forwarding_rule(
        self, organisation_id: UUID, facts: RoutingFacts, *, excluding: Collection[Rule] = ()
    ) -> Rule | None:
        """Return the rule, none of `excluding`, by which an organisation forwards such an appeal; None when it
        keeps it.
        """
        rule = next(
            (rule for rule in self.matching_rules(facts, forwarded_by=organisation_id) if rule not in excluding),
            None,
        )
        if rule is None or rule.send_to == "page_owner" or rule.organisation_id == organisation_id:
            return None
        return rule


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """The result of the rules: an `organisation_id`, or moderators because of `unrouted_reason`.

    `rules` are those applied, in order; empty when the default decided. `stopped_at` is the organisation where
    routing ended.
    """

    organisation_id: UUID | None
    rules: tuple[Rule, ...] = ()
    unrouted_reason: UnroutedReason | None = None
    stopped_at: UUID | None = None


def apply_rules(
    index: RuleIndex,
    facts: RoutingFacts,
    organisations: Mapping[UUID, NamedOrganisation],
    *,
    excluding: Collection[Rule] = (),
) -> RoutingDecision:
    """Apply the rules except those in `excluding`; `organisations` are those that the rules name."""
    rule = next((rule for rule in index.matching_rules(facts) if rule not in excluding), None)
    send_to, organisation_id = index.default_to, index.default_organisation_id
    steps: tuple[Rule, ...] = ()
    if rule is not None:
        steps, send_to, organisation_id = (rule,), rule.send_to, rule.organisation_id
    seen: set[UUID] = set()
    while True:
        if steps and steps[-1].topic_id is not None and facts.confidence < MIN_TOPIC_CONFIDENCE:
            return RoutingDecision(None, steps, "topic_uncertain")
        if send_to == "moderators":
            return RoutingDecision(None, steps, "moderators_by_rule" if steps else "no_rule")
        page_owner = facts.page_owner.organisation_id if facts.page_owner else None
        receiver_id = page_owner if send_to == "page_owner" else organisation_id
        if receiver_id is None:
            return RoutingDecision(None, steps, "page_unknown")
        # The page owner's own rules were part of the first match. Loops are refused when a set is validated.
        stays = receiver_id in seen or (not seen and receiver_id == page_owner)
        forwarding_rule = None if stays else index.forwarding_rule(receiver_id, facts, excluding=excluding)
        if forwarding_rule is None:
            is_open = _works(receiver_id, facts.page_owner, organisations)
            return RoutingDecision(
                receiver_id if is_open else None, steps, None if is_open else "organisation_closed", receiver_id
            )
        seen.add(receiver_id)
        steps, send_to, organisation_id = (
            (*steps, forwarding_rule),
            forwarding_rule.send_to,
            forwarding_rule.organisation_id,
        )


def _works(
    organisation_id: UUID, page_owner: PageOwner | None, organisations: Mapping[UUID, NamedOrganisation]
) -> bool:
    if page_owner is not None and page_owner.organisation_id == organisation_id:
        return page_owner.active
    return organisation_id in organisations and organisations[organisation_id].active


@dataclass(frozen=True, slots=True)
class TaxonomyNames:
    """Names of topics and municipalities."""

    topics: Mapping[UUID, str] = field(default_factory=dict)
    municipalities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """The organisation (null: a moderator decides) and the reason to show.

    `rule` describes the rule; `why` quotes the words that indicate topic and location. `suggestions` are at most
    three organisations, most likely first. `topic` is the predicted topic, kept for routing again.
    `unrouted_reason` says why there is no organisation.
    """

    organisation_id: UUID | None
    reason: str
    rule_id: UUID | None
    confidence: float
    rule_set: int | None = None
    rule: str | None = None
    why: str | None = None
    suggestions: tuple[SuggestedOrganisation, ...] = ()
    topic: PredictedTopic | None = None
    unrouted_reason: UnroutedReason | None = None

    def to_snapshot(self) -> RouteSnapshot:
        """Return the route as it is stored with the appeal."""
        return RouteSnapshot(
            reason=self.reason,
            rule_id=self.rule_id,
            confidence=self.confidence,
            rule_set=self.rule_set,
            rule=self.rule,
            why=self.why,
            suggestions=list(self.suggestions),
            topic=self.topic,
        )

    def to_triage_snapshot(
        self, unclear_reason: UnclearNeedReason | None = None, *, excluding: UUID | None = None
    ) -> RouteSnapshot:
        """Return the route as it is stored with an appeal in triage: with the suggested organisation and why it
        waits.

        Where only the need is unclear (`unclear_reason`) that is the routed organisation; else the most likely
        suggestion. `excluding` is the organisation that returned the appeal: it is not suggested again.
        """
        left = [found for found in self.suggestions if found.organisation_id != excluding]
        suggested = left[0].organisation_id if left else None
        if self.organisation_id not in {None, excluding}:
            suggested = self.organisation_id
        # Without any of these reasons the rules name an organisation: then it has returned the appeal before.
        triage_reason: TriageReason = (
            "returned" if excluding else unclear_reason or self.unrouted_reason or "returned"
        )
        return self.to_snapshot().updated(
            suggested_organisation_id=suggested, suggestions=left, triage_reason=triage_reason
        )


@dataclass(frozen=True)
class Router:
    """A rule set with the names that are used to describe its rules.

    `administrations`: OKTMO → its administration, an organisation.
    """

    index: RuleIndex
    organisations: Mapping[UUID, NamedOrganisation]
    names: TaxonomyNames
    administrations: Mapping[str, UUID] = field(default_factory=dict)

    def apply_rules(self, facts: RoutingFacts) -> RoutingDecision:
        """Return the decision about an appeal with these facts."""
        return apply_rules(self.index, facts, self.organisations)

    def _apply_past_moderators(self, facts: RoutingFacts) -> RoutingDecision:
        """Return the decision without the rules that send the appeal to moderators."""
        stopping: set[Rule] = set()
        while True:
            decision = apply_rules(self.index, facts, self.organisations, excluding=stopping)
            if decision.unrouted_reason != "moderators_by_rule":
                return decision
            stopping.add(decision.rules[-1])

    def route(
        self, facts: RoutingFacts, *, candidates: Sequence[tuple[UUID, float]] = (), why: str | None = None
    ) -> Route:
        """Return the route with its reasons; `candidates` are the most likely topics with their probabilities."""
        decision = self.apply_rules(facts)
        last = decision.rules[-1] if decision.rules else None
        return Route(
            organisation_id=decision.organisation_id,
            reason=self._reason(decision, facts),
            rule_id=last.id if last else None,
            confidence=_confidence(decision, facts),
            rule_set=self.index.number,
            rule="; ".join(self.describe_rule(rule) for rule in decision.rules) or None,
            why=why,
            suggestions=tuple(self._suggestions(facts, candidates)),
            topic=_predicted_topic(facts, candidates),
            unrouted_reason=decision.unrouted_reason,
        )

    def describe_rule(self, rule: Rule) -> str:
        """Return the rule in words, as people read it."""
        parts = []
        if rule.topic_id is not None:
            kind = "группа тем" if self.index.group_of(rule.topic_id) == rule.topic_id else "тема"
            parts.append(f"{kind} «{self.names.topics.get(rule.topic_id, rule.topic_id)}»")
        if rule.municipality is not None:
            location = self.names.municipalities.get(rule.municipality, rule.municipality)
            parts.append(f"{location}, {rule.settlement}" if rule.settlement else location)
        if rule.page_owner_id is not None:
            parts.append(f"у организации «{self._name(rule.page_owner_id)}»")
        if rule.urgency is not None:
            parts.append("срочное" if rule.urgency == "high" else "несрочное")
        return f"{', '.join(parts)} → {self._target(rule)}"

    def _target(self, rule: Rule) -> str:
        if rule.send_to == "organisation":
            return self._name(rule.organisation_id)
        return "владелец страницы" if rule.send_to == "page_owner" else "модераторы"

    def _name(self, organisation_id: UUID | None, owner: PageOwner | None = None) -> str:
        if owner is not None and owner.organisation_id == organisation_id:
            return owner.organisation
        body = self.organisations.get(organisation_id) if organisation_id else None
        return body.name if body else str(organisation_id)

    def _reason(self, decision: RoutingDecision, facts: RoutingFacts) -> str:
        if decision.unrouted_reason is not None:
            return f"{self._obstacle(decision, facts)}; решает модератор"
        if decision.rules:
            return _by(decision.rules)
        if facts.page_owner is not None and decision.organisation_id == facts.page_owner.organisation_id:
            return f"Владелец страницы: {facts.page_owner.organisation}"
        return f"По умолчанию: {self._name(decision.organisation_id)}"

    def _obstacle(self, decision: RoutingDecision, facts: RoutingFacts) -> str:
        match decision.unrouted_reason:
            case "topic_uncertain":
                return f"Тема определена неуверенно ({facts.confidence:.0%})"
            case "organisation_closed":
                return f"Организация закрыта: {self._name(decision.stopped_at, facts.page_owner)}"
            case "page_unknown":
                return "Страница неизвестна"
            case "no_rule":
                return "Ни одно правило не подошло"
            case _:
                return _by(decision.rules)

    def _suggestions(
        self, facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]]
    ) -> list[SuggestedOrganisation]:
        """Return the organisations that the rules name for each likely topic, or without a topic.

        The remaining probability goes to the page's owner and to the administration of the location.
        """
        probabilities: dict[UUID, float] = {}
        reasons: dict[UUID, str] = {}

        def add(organisation_id: UUID | None, probability: float, why: str) -> None:
            if organisation_id is not None and _works(organisation_id, facts.page_owner, self.organisations):
                probabilities[organisation_id] = probabilities.get(organisation_id, 0.0) + probability
                reasons.setdefault(organisation_id, why)

        likely_topics = self._likely_topics(facts, candidates)
        for topic_id, probability in likely_topics:
            decision = self._apply_past_moderators(replace(facts, topic_id=topic_id, confidence=1.0))
            why = "; ".join(self.describe_rule(rule) for rule in decision.rules) or self._reason(decision, facts)
            add(decision.organisation_id, probability, why)
        remaining = max(0.0, 1.0 - sum(probability for _, probability in likely_topics))
        others = []
        if facts.page_owner is not None:
            others.append(
                (facts.page_owner.organisation_id, f"Владелец страницы: {facts.page_owner.organisation}")
            )
        if facts.municipality is not None and (body := self.administrations.get(facts.municipality)):
            others.append((body, f"Администрация места: {self._name(body, facts.page_owner)}"))
        for organisation_id, why in others:
            add(organisation_id, remaining / len(others), why)
        ranked = sorted(probabilities, key=lambda found: (-probabilities[found], str(found)))
        return [
            SuggestedOrganisation(organisation_id=organisation_id, confidence=share, why=reasons[organisation_id])
            for organisation_id in ranked[:_MAX_SUGGESTIONS]
            if (share := round(min(probabilities[organisation_id], 1.0), 4))
        ]

    def _likely_topics(
        self, facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]]
    ) -> list[tuple[UUID | None, float]]:
        """Return topics with their probabilities, which sum to at most one."""
        read = facts.topic_id
        likely_topics: list[tuple[UUID | None, float]] = list(candidates[:_MAX_SUGGESTIONS])
        if read is None and not likely_topics and self.apply_rules(facts).unrouted_reason == "moderators_by_rule":
            return [(None, _WITHOUT_TOPIC_CONFIDENCE)]
        if read is None or read in dict(likely_topics):
            return likely_topics
        # Candidates are groups: the topic's probability is part of its group's.
        topics: list[tuple[UUID | None, float]] = [(read, facts.confidence)]
        group, remaining = self.index.group_of(read), 1.0 - facts.confidence
        for topic_id, probability in likely_topics:
            rest = max(0.0, probability - facts.confidence) if topic_id == group else probability
            topics.append((topic_id, min(rest, remaining)))
            remaining -= topics[-1][1]
        return topics


_PARTS = ("теме", "месту", "организации", "срочности")


def _by(steps: Sequence[Rule]) -> str:
    conditions = [(rule.topic_id, rule.municipality, rule.page_owner_id, rule.urgency) for rule in steps]
    names = [
        part for part, *given in zip(_PARTS, *conditions, strict=True) if any(one is not None for one in given)
    ]
    return f"Правило маршрутизации по {', '.join(names)}"


def _confidence(decision: RoutingDecision, facts: RoutingFacts) -> float:
    if decision.unrouted_reason in {"organisation_closed", "page_unknown"}:
        return 0.0
    by_topic = any(rule.topic_id is not None for rule in decision.rules)
    return facts.confidence if by_topic else _WITHOUT_TOPIC_CONFIDENCE


def _predicted_topic(facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]]) -> PredictedTopic | None:
    if facts.topic_id is None and not candidates:
        return None
    return PredictedTopic(id=facts.topic_id, confidence=facts.confidence, top3=list(candidates))


def unclear_need_reason(result: ClassificationResult) -> UnclearNeedReason | None:
    """Return why a person must decide whether an answer is due; None where the result is clear."""
    if result.needs_answer != "unsure":
        return None
    if result.language == "bxr":
        return "buryat_text"
    return "other_region" if result.other_region else "need_unclear"
