"""Routing: the most specific rule decides, the order is total, uncertain topics go to moderators, and forwarding
rules are followed.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.appeals.routing.engine import Router
from services.appeals.routing.roles import Administration, RegistryRoles
from services.appeals.routing.rule_precedence import MIN_TOPIC_CONFIDENCE, RoutingDecision, apply_rules
from services.appeals.routing.rules import (
    NamedOrganisation,
    PageOwner,
    RoutingFacts,
    Rule,
    RuleIndex,
    conditions_of,
)
from services.appeals.routing.wording import TaxonomyNames

GROUP, TOPIC, OTHER_TOPIC, OTHER_GROUP = (UUID(int=number) for number in range(1, 5))
GROUPS = {GROUP: GROUP, TOPIC: GROUP, OTHER_TOPIC: GROUP, OTHER_GROUP: OTHER_GROUP}
ORGANISATIONS = [UUID(int=number) for number in range(100, 105)]
A, B, C, D, CLOSED = ORGANISATIONS
BODIES = {found: NamedOrganisation(f"Организация {found.int}", active=found != CLOSED) for found in ORGANISATIONS}
CITY, DISTRICT = "81701000", "81624000"
PAGE = PageOwner(
    UUID(int=900), A, "Организация 100", CITY, active=True, kind="institution", spheres=frozenset({"roads"})
)


def rule(number: int, to: UUID | None = None, *, send_to: str = "organisation", **conditions: Any) -> Rule:
    return Rule(UUID(int=1000 + number), send_to, to, **conditions)


def book(*rules: Rule, default_to: str = "page_owner", default: UUID | None = None) -> RuleIndex:
    return RuleIndex(rules, groups=GROUPS, default_to=default_to, default_organisation_id=default, number=7)


FACTS = RoutingFacts(TOPIC, CITY, "Забайкальский", "high", PAGE, 0.9)
# From most to least specific, as docs/moderator/routing.md says.
CONDITIONS: list[dict[str, Any]] = [
    {
        "topic_id": topic,
        "municipality": place[0],
        "settlement": place[1],
        "page_owner_id": owner,
        "urgency": urgency,
    }
    for topic, place, owner, urgency in product(
        (TOPIC, GROUP, None), ((CITY, "Забайкальский"), (CITY, None), (None, None)), (A, None), ("high", None)
    )
][:-1]


def test_rules_are_ordered_by_topic_then_location_then_owner_then_urgency() -> None:
    rules = [rule(number, B, **conditions) for number, conditions in enumerate(CONDITIONS)]
    assert list(book(*reversed(rules)).matching_rules(FACTS)) == rules


@pytest.mark.parametrize(
    "conditions",
    [
        {"topic_id": OTHER_TOPIC},
        {"topic_id": OTHER_GROUP},
        {"municipality": DISTRICT},
        {"municipality": CITY, "settlement": "Сокол"},
        {"page_owner_id": B},
        {"urgency": "normal"},
    ],
)
def test_rule_with_other_conditions_does_not_match(conditions: dict[str, Any]) -> None:
    assert list(book(rule(1, B, **conditions)).matching_rules(FACTS)) == []


def test_rule_does_not_match_when_a_fact_is_missing() -> None:
    rules = [rule(number, B, **conditions) for number, conditions in enumerate(CONDITIONS)]
    found = list(book(*rules).matching_rules(RoutingFacts()))
    assert found == []
    only_group = list(book(*rules).matching_rules(RoutingFacts(topic_id=GROUP)))
    assert [conditions_of(one) for one in only_group] == [(GROUP, *[None] * 6)]


def test_settlements_are_compared_ignoring_case_and_yo() -> None:
    rules = book(rule(1, B, municipality=CITY, settlement="Берёзовка"))
    assert (
        apply_rules(rules, RoutingFacts(municipality=CITY, settlement="березовка "), BODIES).organisation_id == B
    )


def test_unmatched_appeal_is_routed_by_the_default() -> None:
    assert apply_rules(book(), FACTS, BODIES) == RoutingDecision(A, stopped_at=A)
    assert apply_rules(book(default_to="organisation", default=B), FACTS, BODIES).organisation_id == B
    assert apply_rules(book(default_to="moderators"), FACTS, BODIES) == RoutingDecision(
        None, unrouted_reason="no_rule"
    )
    assert apply_rules(book(), RoutingFacts(TOPIC), BODIES).unrouted_reason == "page_unknown"


def test_closed_organisation_is_not_assigned() -> None:
    taken = apply_rules(book(rule(1, CLOSED, topic_id=TOPIC), rule(2, B, topic_id=GROUP)), FACTS, BODIES)
    assert (taken.organisation_id, taken.unrouted_reason, taken.stopped_at) == (
        None,
        "organisation_closed",
        CLOSED,
    )
    shut = PageOwner(UUID(int=900), CLOSED, "Закрытая", CITY, active=False)
    assert apply_rules(book(), RoutingFacts(page_owner=shut), BODIES).unrouted_reason == "organisation_closed"


def test_uncertain_topic_goes_to_moderators() -> None:
    rules = book(rule(1, B, topic_id=TOPIC), rule(2, C, municipality=CITY))
    unsure = RoutingFacts(TOPIC, CITY, page_owner=PAGE, confidence=MIN_TOPIC_CONFIDENCE - 0.01)
    assert apply_rules(rules, unsure, BODIES).unrouted_reason == "topic_uncertain"
    # Rules without a topic do not depend on its confidence.
    assert apply_rules(book(rule(2, C, municipality=CITY)), unsure, BODIES).organisation_id == C
    assert (
        apply_rules(
            rules, RoutingFacts(TOPIC, CITY, page_owner=PAGE, confidence=MIN_TOPIC_CONFIDENCE), BODIES
        ).organisation_id
        == B
    )


def test_forwarding_rules_are_followed() -> None:
    rules = book(
        rule(1, B, topic_id=GROUP),
        rule(2, C, page_owner_id=B, urgency="high"),
        rule(3, D, page_owner_id=C, municipality=DISTRICT),
        rule(4, send_to="moderators", page_owner_id=D),
    )
    assert apply_rules(rules, FACTS, BODIES) == RoutingDecision(C, (rules.rules[0], rules.rules[1]), stopped_at=C)
    assert (
        apply_rules(rules, RoutingFacts(TOPIC, DISTRICT, urgency="high"), BODIES).unrouted_reason
        == "moderators_by_rule"
    )
    assert apply_rules(rules, RoutingFacts(TOPIC), BODIES).organisation_id == B


def test_organisation_that_keeps_the_appeal_ends_the_forwarding() -> None:
    rules = book(
        rule(1, B, topic_id=GROUP),
        rule(2, C, page_owner_id=B),
        rule(3, send_to="page_owner", page_owner_id=B, topic_id=TOPIC),
    )
    assert apply_rules(rules, FACTS, BODIES).organisation_id == B
    assert apply_rules(rules, RoutingFacts(OTHER_TOPIC), BODIES).organisation_id == C


def test_appeal_routed_back_to_the_page_owner_is_not_forwarded_again() -> None:
    rules = book(rule(1, A, topic_id=TOPIC), rule(2, B, page_owner_id=A))
    assert apply_rules(rules, FACTS, BODIES).organisation_id == A
    assert apply_rules(rules, RoutingFacts(OTHER_TOPIC, page_owner=PAGE), BODIES).organisation_id == B


def router(
    *rules: Rule, administrations: Mapping[str, UUID] | None = None, default_to: str = "page_owner"
) -> Router:
    names = TaxonomyNames(
        {GROUP: "Дороги", TOPIC: "Ямочный ремонт", OTHER_TOPIC: "Разметка"}, {CITY: "город Улан-Удэ"}
    )
    governing = {oktmo: [Administration(one)] for oktmo, one in (administrations or {}).items()}
    return Router(book(*rules, default_to=default_to), BODIES, names, RegistryRoles(governing))


def test_route_explains_its_reason() -> None:
    found = router(
        rule(1, B, topic_id=TOPIC, municipality=CITY, settlement="Сокол", page_owner_id=A, urgency="high")
    ).route(RoutingFacts(TOPIC, CITY, "Сокол", "high", PAGE, 0.83), candidates=[(TOPIC, 0.83)], why="тема: «ям»")
    assert found.organisation_id == B
    assert found.reason == "Правило маршрутизации по теме, месту, организации, срочности"
    assert found.rule == (
        "тема «Ямочный ремонт», город Улан-Удэ, Сокол, у организации «Организация 100», срочное → Организация 101"
    )
    stored = found.to_snapshot()
    assert (stored.rule_set, stored.confidence, stored.why) == (7, 0.83, "тема: «ям»")
    assert stored.dump()["topic"] == {"id": str(TOPIC), "confidence": 0.83, "top3": [[str(TOPIC), 0.83]]}


def test_suggestions_are_ranked_by_the_probability_of_topics() -> None:
    found = router(
        rule(1, B, topic_id=TOPIC),
        rule(2, C, topic_id=OTHER_TOPIC),
        rule(3, CLOSED, topic_id=OTHER_GROUP),
        administrations={CITY: D},
    ).route(
        RoutingFacts(TOPIC, CITY, page_owner=PAGE, confidence=0.4),
        candidates=[(TOPIC, 0.4), (OTHER_TOPIC, 0.3), (OTHER_GROUP, 0.2)],
    )
    assert found.organisation_id is None
    assert found.reason == "Тема определена неуверенно (40%); решает модератор"
    ranked = [(one.organisation_id, one.confidence) for one in found.suggestions]
    assert ranked == [(B, 0.4), (C, 0.3), (A, 0.05)]
    assert found.to_triage_snapshot().suggested_organisation_id == B
    assert found.to_triage_snapshot().triage_reason == "topic_uncertain"
    assert found.to_triage_snapshot("buryat_text").triage_reason == "buryat_text"
    assert found.suggestions[2].why == "Владелец страницы: Организация 100"


def test_predicted_topic_is_suggested_before_the_rest_of_its_group() -> None:
    candidates = [(GROUP, 0.8), (OTHER_GROUP, 0.1)]
    given = router(rule(1, B, topic_id=TOPIC), rule(2, C, topic_id=OTHER_TOPIC))
    found = given.route(RoutingFacts(TOPIC, CITY, page_owner=PAGE, confidence=0.44), candidates=candidates)
    assert found.organisation_id is None
    ranked = [(one.organisation_id, one.confidence) for one in found.suggestions]
    assert ranked == [(A, 0.56), (B, 0.44)]
    # A topic chosen by a person leaves no probability for other topics.
    certain = given.route(RoutingFacts(TOPIC, CITY, page_owner=PAGE), candidates=candidates)
    assert [(one.organisation_id, one.confidence) for one in certain.suggestions] == [(B, 1.0)]


def test_rule_for_moderators_suggests_the_next_rules_organisation() -> None:
    given = router(
        rule(1, send_to="moderators", topic_id=TOPIC, urgency="high"),
        rule(2, B, topic_id=GROUP),
        rule(3, send_to="moderators", page_owner_id=B, municipality=CITY),
        rule(4, C, municipality=CITY),
        rule(5, send_to="moderators", municipality=CITY, urgency="high"),
        administrations={CITY: D},
    )
    found = given.route(replace(FACTS, page_owner=None, confidence=0.9994), candidates=[(GROUP, 0.9997)])
    assert (found.organisation_id, found.unrouted_reason) == (None, "moderators_by_rule")
    ranked = [(one.organisation_id, one.confidence) for one in found.suggestions]
    assert ranked == [(B, 0.9997), (D, 0.0003)]
    assert found.suggestions[0].why == "группа тем «Дороги» → Организация 101"
    # Without a topic, a rule without a topic condition keeps its usual confidence.
    without = given.route(RoutingFacts(municipality=CITY, urgency="high"))
    assert without.unrouted_reason == "moderators_by_rule"
    assert [one.organisation_id for one in without.suggestions] == [C, D]
    assert without.suggestions[0].confidence == without.confidence


def test_organisation_that_returned_the_appeal_is_not_suggested() -> None:
    found = router(rule(1, B, topic_id=TOPIC), rule(2, C, topic_id=OTHER_TOPIC)).route(
        RoutingFacts(TOPIC, confidence=0.6), candidates=[(TOPIC, 0.6), (OTHER_TOPIC, 0.3)]
    )
    assert found.to_triage_snapshot().suggested_organisation_id == B
    waiting = found.to_triage_snapshot(excluding=B)
    assert waiting.suggested_organisation_id == C
    assert [one.organisation_id for one in waiting.suggestions] == [C]


def test_location_suggests_its_administration() -> None:
    found = router(administrations={CITY: D}, default_to="moderators").route(RoutingFacts(municipality=CITY))
    assert found.reason == "Ни одно правило не подошло; решает модератор"
    (only,) = found.suggestions
    assert (only.organisation_id, only.confidence) == (D, 1.0)
    assert only.why == "Администрация места: Организация 103"


conditions = st.fixed_dictionaries(
    {
        "topic_id": st.sampled_from([None, GROUP, TOPIC, OTHER_TOPIC, OTHER_GROUP]),
        "municipality": st.sampled_from([None, CITY, DISTRICT]),
        "settlement": st.sampled_from([None, "Сокол"]),
        "page_owner_id": st.sampled_from([None, *ORGANISATIONS]),
        "urgency": st.sampled_from([None, "high", "normal"]),
        "page_owner_sphere": st.sampled_from([None, "same", "other"]),
        "page_owner_kind": st.sampled_from([None, "institution", "court"]),
    }
).filter(
    lambda found: (
        (found["settlement"] is None or found["municipality"] is not None)
        and (found["page_owner_id"] is None or not (found["page_owner_sphere"] or found["page_owner_kind"]))
    )
)
facts = st.builds(
    RoutingFacts,
    topic_id=st.sampled_from([None, GROUP, TOPIC, OTHER_TOPIC, OTHER_GROUP]),
    municipality=st.sampled_from([None, CITY, DISTRICT]),
    settlement=st.sampled_from([None, "Сокол"]),
    urgency=st.sampled_from(["high", "normal"]),
    page_owner=st.sampled_from([None, PAGE]),
    confidence=st.sampled_from([0.2, 1.0]),
)


def _fits(one: Rule, appeal: RoutingFacts) -> bool:
    owner = appeal.page_owner.organisation_id if appeal.page_owner else None
    return (
        (one.topic_id is None or one.topic_id in {appeal.topic_id, GROUPS.get(appeal.topic_id or A)})
        and one.municipality in {None, appeal.municipality}
        and one.settlement in {None, appeal.settlement}
        and one.page_owner_id in {None, owner}
        and one.urgency in {None, appeal.urgency}
        and one.page_owner_kind in {None, appeal.page_owner.kind if appeal.page_owner else None}
        and one.page_owner_sphere in {None, _sphere(appeal)}
    )


def _sphere(appeal: RoutingFacts) -> str | None:
    if appeal.topic_id is None:
        return None
    own = appeal.page_owner is not None and appeal.municipality == CITY
    return "same" if own and GROUPS[appeal.topic_id] == GROUP else "other"


@given(given=st.lists(conditions, max_size=30), appeal=facts)
def test_rule_index_finds_the_same_rules_as_a_full_scan(given: list[dict[str, Any]], appeal: RoutingFacts) -> None:
    rules = {conditions_of(found): found for found in (rule(n, B, **one) for n, one in enumerate(given))}
    spheres = {topic: frozenset({"roads" if group == GROUP else "other"}) for topic, group in GROUPS.items()}
    found = RuleIndex([*rules.values()], groups=GROUPS, default_to="page_owner", topic_spheres=spheres)
    fitting = [one for one in rules.values() if _fits(one, appeal)]
    shapes = [found.specificity(one) for one in fitting]
    # No two rules for one appeal are equal: the order is total.
    assert len(shapes) == len(set(shapes))
    assert list(found.matching_rules(appeal)) == sorted(fitting, key=found.specificity, reverse=True)
