"""Descriptions of rules and reasons in Russian."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.appeals.routing.rules import (
    NamedOrganisation,
    PageOwner,
    RoutingFacts,
    Rule,
    RuleIndex,
)

_TARGETS = {
    "page_owner": "владелец страницы",
    "moderators": "модераторы",
    "municipality_administration": "администрация места",
    "sphere_body": "региональный орган сферы",
    "page_owner_founder": "учредитель владельца страницы",
}
_OWNER_SPHERES = {"same": "страница организации этой сферы", "other": "страница организации другой сферы"}
_OWNER_KINDS = {
    "regional": "страница регионального органа",
    "municipality": "страница органа местного самоуправления",
    "institution": "страница учреждения",
    "court": "страница суда",
    "other": "страница иной организации",
}
_ROLE_REASONS = {
    "municipality_administration": "Дело местной администрации",
    "sphere_body": "Дело регионального органа этой сферы",
    "page_owner_founder": "Дело учредителя",
}
_LOCATION_SOURCES = {"text": "место из текста", "page": "место по странице", "person": "место указал модератор"}
_PARTS = ("теме", "месту", "организации", "срочности", "сфере владельца страницы", "виду владельца страницы")


@dataclass(frozen=True, slots=True)
class TaxonomyNames:
    """Names of topics and municipalities."""

    topics: Mapping[UUID, str] = field(default_factory=dict)
    municipalities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wording:
    """Describes rules and reasons with the names of topics, municipalities and organisations."""

    index: RuleIndex
    organisations: Mapping[UUID, NamedOrganisation]
    names: TaxonomyNames

    def rule(self, rule: Rule) -> str:
        """Return the description of a rule."""
        parts = []
        if rule.topic_id is not None:
            parts.append(self._topic(rule.topic_id))
        if rule.municipality is not None:
            location = self._municipality(rule.municipality)
            parts.append(f"{location}, {rule.settlement}" if rule.settlement else location)
        if rule.page_owner_id is not None:
            parts.append(f"у организации «{self.organisation(rule.page_owner_id)}»")
        if rule.page_owner_sphere is not None:
            parts.append(_OWNER_SPHERES.get(rule.page_owner_sphere, rule.page_owner_sphere))
        if rule.page_owner_kind is not None:
            parts.append(_OWNER_KINDS.get(rule.page_owner_kind, rule.page_owner_kind))
        if rule.urgency is not None:
            parts.append("срочное" if rule.urgency == "high" else "несрочное")
        target = _TARGETS.get(rule.send_to) or self.organisation(rule.organisation_id)
        return f"{', '.join(parts)} → {target}"

    def rules(self, rules: Sequence[Rule]) -> str | None:
        """Return the description of the rules; None if there are none."""
        return "; ".join(self.rule(rule) for rule in rules) or None

    def organisation(self, organisation_id: UUID | None, owner: PageOwner | None = None) -> str:
        """Return the name of an organisation, or its id if the name is unknown."""
        if owner is not None and organisation_id is not None:
            if owner.organisation_id == organisation_id:
                return owner.organisation
            if owner.founder_id == organisation_id and owner.founder is not None:
                return owner.founder.name
        body = self.organisations.get(organisation_id) if organisation_id else None
        return body.name if body else str(organisation_id)

    def assigned(self, rules: Sequence[Rule], facts: RoutingFacts, organisation_id: UUID) -> str:
        """Return the reason why the organisation answers: the last rule's reason, its role, or the compared
        facts.
        """
        last = rules[-1]
        reason = last.reason or _ROLE_REASONS.get(last.send_to)
        if reason is None:
            return _by(rules)
        topic = ""
        if last.depends_on_topic and facts.topic_id is not None:
            topic = f" ({self._topic(facts.topic_id)})"
        location = ""
        if last.send_to == "municipality_administration":
            source = _LOCATION_SOURCES.get(facts.location_source or "")
            location = f", {source or f'место: {self._municipality(facts.municipality)}'}"
        return f"{reason}{topic}: {self.organisation(organisation_id, facts.page_owner)}{location}"

    def stopped_by(self, rules: Sequence[Rule]) -> str:
        """Return the reason why moderators decide: the last rule's reason, or the compared facts."""
        return rules[-1].reason or _by(rules)

    def no_holder(self, role: str, facts: RoutingFacts) -> str:
        """Return the explanation why no organisation has the role for the appeal."""
        if role == "municipality_administration":
            if facts.municipality is None:
                return "Это дело местной администрации, а место неизвестно"
            return f"В реестре нет администрации места: {self._municipality(facts.municipality)}"
        if role == "page_owner_founder":
            owner = facts.page_owner
            return f"В реестре нет учредителя: {owner.organisation}" if owner else "Страница неизвестна"
        if facts.topic_id is None:
            return "Это дело регионального органа, а тема неизвестна"
        return f"В реестре нет регионального органа этой сферы: {self._topic(facts.topic_id)}"

    def several_holders(self, holders: Sequence[UUID], facts: RoutingFacts) -> str:
        """Return the explanation that several organisations have the role."""
        named = ", ".join(self.organisation(one, facts.page_owner) for one in holders[:3])
        more = f" и ещё {len(holders) - 3}" if len(holders) > 3 else ""
        return f"В реестре несколько подходящих организаций: {named}{more}"

    def _topic(self, topic_id: UUID) -> str:
        kind = "группа тем" if self.index.group_of(topic_id) == topic_id else "тема"
        return f"{kind} «{self.names.topics.get(topic_id, topic_id)}»"

    def _municipality(self, oktmo: str | None) -> str:
        return self.names.municipalities.get(oktmo or "", oktmo or "неизвестно")


def _by(rules: Sequence[Rule]) -> str:
    conditions = [
        (
            rule.topic_id, rule.municipality, rule.page_owner_id, rule.urgency, rule.page_owner_sphere,
            rule.page_owner_kind,
        )
        for rule in rules
    ]  # fmt: skip
    names = [
        part for part, *given in zip(_PARTS, *conditions, strict=True) if any(one is not None for one in given)
    ]
    return f"Правило маршрутизации по {', '.join(names)}"
