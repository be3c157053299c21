"""Who must answer: routing rules, the most specific first; else the owner of the page. Every route says why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.tables.appeals import RoutingRule


@dataclass(frozen=True)
class PageOwner:
    """The page a message came to and the organisation that keeps it."""

    page_id: UUID
    organisation_id: UUID
    organisation: str
    municipality: str | None
    active: bool


@dataclass(frozen=True)
class Route:
    """The owner (null: a moderator decides), and the reason to show."""

    organisation_id: UUID | None
    reason: str
    rule_id: UUID | None
    confidence: float

    def stored(self, **more: Any) -> dict[str, Any]:
        """As it is kept with the case."""
        return {
            "reason": self.reason,
            "rule_id": str(self.rule_id) if self.rule_id else None,
            "confidence": self.confidence,
            **more,
        }


def _specificity(rule: RoutingRule) -> tuple[int, int]:
    # A topic says more about the owner than a place does.
    return (rule.topic_id is not None) * 2 + (rule.municipality is not None), 0


def choose(
    rules: Sequence[RoutingRule],
    *,
    topic_id: UUID | None,
    municipality: str | None,
    owner: PageOwner | None,
    confidence: float,
) -> Route:
    """The route of a message. `rules` are active ones of organisations that work.

    `confidence` is that of the topic: a rule that goes by topic is as sure as the topic is.
    """
    fitting = [
        rule
        for rule in rules
        if rule.topic_id in {None, topic_id}
        and rule.municipality in {None, municipality}
        and (rule.topic_id is not None or rule.municipality is not None)
    ]
    if fitting:
        rule = max(fitting, key=lambda found: (*_specificity(found), found.id))
        by = [
            "теме" if rule.topic_id is not None else "",
            "муниципалитету" if rule.municipality is not None else "",
        ]
        reason = "Правило маршрутизации по " + " и ".join(part for part in by if part)
        return Route(rule.organisation_id, reason, rule.id, confidence if rule.topic_id else 0.9)
    if owner is not None and owner.active:
        return Route(owner.organisation_id, f"Владелец страницы: {owner.organisation}", None, 0.9)
    if owner is not None:
        return Route(None, f"Организация закрыта: {owner.organisation}; решает модератор", None, 0.0)
    return Route(None, "Страница неизвестна; решает модератор", None, 0.0)
