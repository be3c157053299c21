"""Routes: the organisation that must answer an appeal, the reason in words, and suggestions for a moderator."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.appeals.lifecycle.route_snapshot import (
    PredictedTopic,
    RouteSnapshot,
    SuggestedOrganisation,
    TriageReason,
    UnclearNeedReason,
    UnroutedReason,
)
from services.appeals.routing.roles import RegistryRoles
from services.appeals.routing.rule_precedence import MIN_TOPIC_CONFIDENCE, RoutingDecision, apply_rules, is_open
from services.appeals.routing.rules import (
    NamedOrganisation,
    RoutingFacts,
    Rule,
    RuleIndex,
)
from services.appeals.routing.wording import TaxonomyNames, Wording

# Confidence of a route that does not depend on the topic. Below 1, because the page's owner is not always the one
# who has to answer.
_WITHOUT_TOPIC_CONFIDENCE = 0.9
# Without a certain topic, an organisation is still assigned if the likely topics that lead to it have a total
# probability of at least MIN_TOPIC_CONFIDENCE, and if this total plus the organisation's share of the remaining
# probability is at least MIN_AGREEMENT.
MIN_AGREEMENT = 0.6
_MAX_SUGGESTIONS = 3
# Reasons for which organisations can be suggested without any topic.
_BY_RULE_ALONE = frozenset({"moderators_by_rule", "several_role_holders"})


@dataclass(frozen=True)
class Route:
    """The organisation (None if a moderator decides) and the reason to show.

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
        """Return the route in the form stored with an appeal."""
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
        """Return the route in the form stored with an appeal in triage: with the suggested organisation and the
        reason for triage. If only the need is unclear (`unclear_reason`), the routed organisation is suggested;
        else the most likely suggestion. `excluding` is the organisation that returned the appeal: it is not
        suggested again.
        """
        left = [found for found in self.suggestions if found.organisation_id != excluding]
        suggested = left[0].organisation_id if left else None
        if self.organisation_id not in {None, excluding}:
            suggested = self.organisation_id
        # Without any of these reasons the rules give an organisation, so it must have returned the appeal before.
        triage_reason: TriageReason = (
            "returned" if excluding else unclear_reason or self.unrouted_reason or "returned"
        )
        return self.to_snapshot().updated(
            suggested_organisation_id=suggested, suggestions=left, triage_reason=triage_reason
        )


@dataclass(frozen=True)
class Router:
    """A rule set, the organisations with roles, and the names that describe rules and reasons."""

    index: RuleIndex
    organisations: Mapping[UUID, NamedOrganisation]
    names: TaxonomyNames
    roles: RegistryRoles = field(default_factory=RegistryRoles)

    @property
    def wording(self) -> Wording:
        """Return the object that describes these rules in words."""
        return Wording(self.index, self.organisations, self.names)

    def apply_rules(self, facts: RoutingFacts, *, excluding: Collection[Rule] = ()) -> RoutingDecision:
        """Return the decision of the rules about an appeal with these facts."""
        return apply_rules(self.index, facts, self.organisations, self.roles, excluding=excluding)

    def decide(self, facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]] = ()) -> RoutingDecision:
        """Return the decision. If the topic is uncertain or unknown, decide for the organisation on which the
        likely topics agree.
        """
        decision = self.apply_rules(facts)
        unknown = decision.unrouted_reason == "no_rule" and facts.topic_id is None
        if decision.unrouted_reason != "topic_uncertain" and not unknown:
            return decision
        by_topics: dict[UUID, float] = {}
        first: dict[UUID, RoutingDecision] = {}
        likely_topics = self._likely_topics(facts, candidates)
        for topic_id, probability in likely_topics:
            supposed = self.apply_rules(replace(facts, topic_id=topic_id, confidence=1.0))
            if (organisation_id := supposed.organisation_id) is not None:
                by_topics[organisation_id] = by_topics.get(organisation_id, 0.0) + probability
                first.setdefault(organisation_id, replace(supposed, topic_id=topic_id))
        agreed = max(by_topics, key=lambda found: (by_topics[found], str(found)), default=None)
        if agreed is None or by_topics[agreed] < MIN_TOPIC_CONFIDENCE:
            return decision
        others = sum(share for found, share, _ in self._without_topic(facts, likely_topics) if found == agreed)
        if by_topics[agreed] + others < MIN_AGREEMENT:
            return decision
        return replace(first[agreed], agreement=round(by_topics[agreed], 4))

    def _apply_past_moderators(self, facts: RoutingFacts) -> RoutingDecision:
        """Return the decision that the rules would give without those that send the appeal to moderators."""
        stopping: set[Rule] = set()
        while True:
            decision = self.apply_rules(facts, excluding=stopping)
            if decision.unrouted_reason != "moderators_by_rule":
                return decision
            stopping.add(decision.rules[-1])

    def route(
        self, facts: RoutingFacts, *, candidates: Sequence[tuple[UUID, float]] = (), why: str | None = None
    ) -> Route:
        """Return the route with its reasons; `candidates` are the most likely topics with their probabilities."""
        decision = self.decide(facts, candidates)
        last = decision.rules[-1] if decision.rules else None
        return Route(
            organisation_id=decision.organisation_id,
            reason=self._reason(decision, facts),
            rule_id=last.id if last else None,
            confidence=_confidence(decision, facts),
            rule_set=self.index.number,
            rule=self.wording.rules(decision.rules),
            why=why,
            suggestions=tuple(self._suggestions(facts, candidates)),
            topic=_predicted_topic(facts, candidates),
            unrouted_reason=decision.unrouted_reason,
        )

    def describe_rule(self, rule: Rule) -> str:
        """Return the rule in Russian words."""
        return self.wording.rule(rule)

    def _reason(self, decision: RoutingDecision, facts: RoutingFacts) -> str:
        if decision.organisation_id is None:
            return f"{self._obstacle(decision, facts)}; решает модератор"
        if decision.agreement is not None:
            supposed = replace(decision, agreement=None)
            reason = self._reason(supposed, replace(facts, topic_id=decision.topic_id))
            return f"{reason}; другие вероятные темы ведут сюда же"
        if decision.rules:
            return self.wording.assigned(decision.rules, facts, decision.organisation_id)
        if facts.page_owner is not None and decision.organisation_id == facts.page_owner.organisation_id:
            return f"Владелец страницы: {facts.page_owner.organisation}"
        return f"По умолчанию: {self.wording.organisation(decision.organisation_id, facts.page_owner)}"

    def _obstacle(self, decision: RoutingDecision, facts: RoutingFacts) -> str:
        if decision.unrouted_reason == "topic_uncertain":
            return f"Тема определена неуверенно ({facts.confidence:.0%})"
        if decision.unrouted_reason == "organisation_closed":
            return f"Организация закрыта: {self.wording.organisation(decision.stopped_at, facts.page_owner)}"
        if decision.unrouted_reason == "no_role_holder":
            role = decision.rules[-1].send_to if decision.rules else self.index.default_to
            return self.wording.no_holder(role, facts)
        if decision.unrouted_reason == "several_role_holders":
            return self.wording.several_holders(decision.holders, facts)
        without_rule = {"page_unknown": "Страница неизвестна", "no_rule": "Ни одно правило не подошло"}
        return without_rule.get(decision.unrouted_reason or "") or self.wording.stopped_by(decision.rules)

    def _suggestions(
        self, facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]]
    ) -> list[SuggestedOrganisation]:
        """Return the organisations that the rules give for the likely topics, or without a topic, most likely
        first.

        The remaining probability goes to the page's owner and to the administration of the location.
        """
        probabilities: dict[UUID, float] = {}
        reasons: dict[UUID, str] = {}

        def add(organisation_ids: Sequence[UUID], probability: float, why: str) -> None:
            working = [one for one in organisation_ids if is_open(one, facts.page_owner, self.organisations)]
            for organisation_id in working:
                share = probability / len(working)
                probabilities[organisation_id] = probabilities.get(organisation_id, 0.0) + share
                reasons.setdefault(organisation_id, why)

        likely_topics = self._likely_topics(facts, candidates)
        for topic_id, probability in likely_topics:
            supposed = replace(facts, topic_id=topic_id, confidence=1.0)
            decision = self._apply_past_moderators(supposed)
            why = self.wording.rules(decision.rules) or self._reason(decision, supposed)
            if decision.organisation_id is not None:
                add([decision.organisation_id], probability, why)
            elif decision.holders:
                add(decision.holders, probability, why)
            elif decision.unrouted_reason == "no_role_holder":
                add(self.roles.holders("sphere_body", supposed), probability, "Региональный орган сферы темы")
        for organisation_id, share, why in self._without_topic(facts, likely_topics):
            add([organisation_id], share, why)
        ranked = sorted(probabilities, key=lambda found: (-probabilities[found], str(found)))
        return [
            SuggestedOrganisation(organisation_id=organisation_id, confidence=share, why=reasons[organisation_id])
            for organisation_id in ranked[:_MAX_SUGGESTIONS]
            if (share := round(min(probabilities[organisation_id], 1.0), 4))
        ]

    def _without_topic(
        self, facts: RoutingFacts, likely_topics: Sequence[tuple[UUID | None, float]]
    ) -> list[tuple[UUID, float, str]]:
        """Return the organisations that share the probability of all other topics, with reasons: the page's owner
        and the administration of the location.
        """
        others = []
        if (owner := facts.page_owner) is not None:
            others.append((owner.organisation_id, f"Владелец страницы: {owner.organisation}"))
        others += [
            (governing, f"Администрация места: {self.wording.organisation(governing, owner)}")
            for governing in self.roles.holders("municipality_administration", facts)[:1]
        ]
        remaining = max(0.0, 1.0 - sum(probability for _, probability in likely_topics))
        return [(organisation_id, remaining / len(others), why) for organisation_id, why in others]

    def _likely_topics(
        self, facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]]
    ) -> list[tuple[UUID | None, float]]:
        """Return topics with their probabilities, which sum to at most one."""
        read = facts.topic_id
        likely_topics: list[tuple[UUID | None, float]] = list(candidates[:_MAX_SUGGESTIONS])
        if read is None and not likely_topics and self.apply_rules(facts).unrouted_reason in _BY_RULE_ALONE:
            return [(None, _WITHOUT_TOPIC_CONFIDENCE)]
        if read is None or read in dict(likely_topics):
            return likely_topics
        # Candidates are groups: the probability of a topic is part of its group's probability.
        topics: list[tuple[UUID | None, float]] = [(read, facts.confidence)]
        group, remaining = self.index.group_of(read), 1.0 - facts.confidence
        for topic_id, probability in likely_topics:
            rest = max(0.0, probability - facts.confidence) if topic_id == group else probability
            topics.append((topic_id, min(rest, remaining)))
            remaining -= topics[-1][1]
        return topics


def _confidence(decision: RoutingDecision, facts: RoutingFacts) -> float:
    if decision.unrouted_reason in {
        "organisation_closed", "page_unknown", "no_role_holder", "several_role_holders",
    }:  # fmt: skip
        return 0.0
    if decision.agreement is not None:
        return decision.agreement
    by_topic = any(rule.depends_on_topic for rule in decision.rules)
    return facts.confidence if by_topic else _WITHOUT_TOPIC_CONFIDENCE


def _predicted_topic(facts: RoutingFacts, candidates: Sequence[tuple[UUID, float]]) -> PredictedTopic | None:
    if facts.topic_id is None and not candidates:
        return None
    return PredictedTopic(id=facts.topic_id, confidence=facts.confidence, top3=list(candidates))
