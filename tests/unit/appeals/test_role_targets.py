"""Rules whose target is a role, conditions on the page's owner, and the reasons in words."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from services.appeals.routing.engine import Route, Router
from services.appeals.routing.roles import Administration, RegistryRoles
from services.appeals.routing.rules import NamedOrganisation, PageOwner, RoutingFacts, Rule, RuleIndex
from services.appeals.routing.wording import TaxonomyNames

LAMP, ROADS, SCHOOL_FOOD, EDUCATION = (UUID(int=number) for number in range(1, 5))
GROUPS = {LAMP: ROADS, ROADS: ROADS, SCHOOL_FOOD: EDUCATION, EDUCATION: EDUCATION}
SCHOOL, KABANSK, CITY_HALL, MINISTRY, SERVICE, TWIN = (UUID(int=number) for number in range(100, 106))
DISTRICT, CITY, OTHER = "81624000", "81701000", "81603000"
NAMES = {
    SCHOOL: "Школа № 2", KABANSK: "Администрация Кабанского района", CITY_HALL: "Администрация города",
    MINISTRY: "Министерство образования", SERVICE: "Служба дорог", TWIN: "Вторая служба дорог",
}  # fmt: skip
ROLES = RegistryRoles(
    {DISTRICT: [Administration(KABANSK)], CITY: [Administration(CITY_HALL)]},
    {"education": [MINISTRY], "roads": [SERVICE, TWIN]},
    {topic: ("roads",) if group == ROADS else ("education",) for topic, group in GROUPS.items()},
)
PAGE = PageOwner(
    UUID(int=900), SCHOOL, NAMES[SCHOOL], DISTRICT, active=True, kind="institution",
    spheres=frozenset({"education"}), founder_id=KABANSK, founder=NamedOrganisation(NAMES[KABANSK], active=True),
)  # fmt: skip


def rule(send_to: str, **conditions: Any) -> Rule:
    return Rule(UUID(int=1000), send_to, **conditions)


def router(*rules: Rule, default_to: str = "moderators", roles: RegistryRoles = ROLES) -> Router:
    index = RuleIndex(
        rules,
        groups=GROUPS,
        default_to=default_to,
        topic_spheres={topic: frozenset(spheres) for topic, spheres in ROLES.topic_spheres.items()},
    )
    names = TaxonomyNames(
        {LAMP: "Освещение", ROADS: "Дороги", SCHOOL_FOOD: "Питание", EDUCATION: "Образование"},
        {DISTRICT: "Кабанский район", CITY: "город Улан-Удэ", OTHER: "Баргузинский район"},
    )
    bodies = {found: NamedOrganisation(name, active=True) for found, name in NAMES.items() if found != SCHOOL}
    return Router(index, bodies, names, roles)


def route(facts: RoutingFacts, *rules: Rule, **more: Any) -> Route:
    return router(*rules, **more).route(facts)


def test_administration_of_the_location_is_chosen_with_a_readable_reason() -> None:
    lamps = rule("municipality_administration", topic_id=ROADS, reason="Улицы содержит местная администрация")
    facts = RoutingFacts(LAMP, DISTRICT, page_owner=PAGE, confidence=0.8, location_source="text")
    found = route(facts, lamps)
    assert found.organisation_id == KABANSK
    assert found.reason == (
        "Улицы содержит местная администрация (тема «Освещение»): Администрация Кабанского района, место из текста"
    )
    assert found.rule == "группа тем «Дороги» → администрация места"
    assert found.confidence == 0.8
    by_page = route(replace(facts, location_source="page"), replace(lamps, reason=None))
    assert by_page.reason == (
        "Дело местной администрации (тема «Освещение»): Администрация Кабанского района, место по странице"
    )
    assert route(replace(facts, location_source=None), lamps).reason.endswith(", место: Кабанский район")


def test_reason_of_a_rule_for_one_organisation_is_shown() -> None:
    given = Rule(None, "organisation", SERVICE, topic_id=ROADS, reason="Дороги переданы службе")
    assert route(RoutingFacts(LAMP), given).reason == "Дороги переданы службе (тема «Освещение»): Служба дорог"
    moderated = rule("moderators", topic_id=ROADS, reason="Зависит от дороги")
    assert route(RoutingFacts(LAMP), moderated).reason == "Зависит от дороги; решает модератор"


@pytest.mark.parametrize(
    ("facts", "target", "reason"),
    [
        (RoutingFacts(LAMP), "municipality_administration", "Это дело местной администрации, а место неизвестно"),
        (
            RoutingFacts(LAMP, OTHER),
            "municipality_administration",
            "В реестре нет администрации места: Баргузинский район",
        ),
        (RoutingFacts(LAMP), "page_owner_founder", "Страница неизвестна"),
        (
            RoutingFacts(LAMP, page_owner=replace(PAGE, founder_id=None, founder=None)),
            "page_owner_founder",
            "В реестре нет учредителя: Школа № 2",
        ),
    ],
)
def test_appeal_waits_for_a_moderator_when_nobody_has_the_role(
    facts: RoutingFacts, target: str, reason: str
) -> None:
    found = route(facts, rule(target, topic_id=ROADS))
    assert (found.organisation_id, found.unrouted_reason) == (None, "no_role_holder")
    assert found.reason == f"{reason}; решает модератор"
    assert found.confidence == 0.0
    assert found.to_triage_snapshot().triage_reason == "no_role_holder"


def test_reason_without_a_body_of_the_sphere_names_the_topic() -> None:
    without = replace(ROLES, sphere_bodies={})
    found = route(RoutingFacts(SCHOOL_FOOD), rule("sphere_body", topic_id=EDUCATION), roles=without)
    assert found.reason == "В реестре нет регионального органа этой сферы: тема «Питание»; решает модератор"
    unknown = route(RoutingFacts(), rule("sphere_body", urgency="normal"))
    assert unknown.reason == "Это дело регионального органа, а тема неизвестна; решает модератор"


def test_several_holders_are_suggested_to_a_moderator() -> None:
    found = route(RoutingFacts(LAMP), rule("sphere_body", topic_id=ROADS))
    assert (found.organisation_id, found.unrouted_reason) == (None, "several_role_holders")
    assert found.reason == (
        "В реестре несколько подходящих организаций: Служба дорог, Вторая служба дорог; решает модератор"
    )
    assert [(one.organisation_id, one.confidence) for one in found.suggestions] == [(SERVICE, 0.5), (TWIN, 0.5)]


def test_several_holders_are_suggested_without_a_topic() -> None:
    twins = replace(ROLES, administrations={DISTRICT: [Administration(KABANSK), Administration(CITY_HALL)]})
    found = route(RoutingFacts(municipality=DISTRICT), default_to="municipality_administration", roles=twins)
    assert found.unrouted_reason == "several_role_holders"
    assert {one.organisation_id for one in found.suggestions} == {KABANSK, CITY_HALL}


def test_body_of_the_sphere_is_suggested_when_the_location_is_unknown() -> None:
    found = route(RoutingFacts(SCHOOL_FOOD), rule("municipality_administration", topic_id=EDUCATION))
    assert [(one.organisation_id, one.why) for one in found.suggestions] == [
        (MINISTRY, "Региональный орган сферы темы")
    ]


def test_founder_of_the_page_owner_gets_the_appeal() -> None:
    found = route(RoutingFacts(SCHOOL_FOOD, page_owner=PAGE), rule("page_owner_founder", topic_id=EDUCATION))
    assert found.organisation_id == KABANSK
    assert found.reason == "Дело учредителя (тема «Питание»): Администрация Кабанского района"
    closed = replace(PAGE, founder=NamedOrganisation("Закрытая", active=False))
    refused = route(RoutingFacts(SCHOOL_FOOD, page_owner=closed), rule("page_owner_founder", topic_id=EDUCATION))
    assert refused.reason == "Организация закрыта: Закрытая; решает модератор"


def test_role_may_be_the_default_target() -> None:
    found = route(RoutingFacts(municipality=CITY), default_to="municipality_administration")
    assert (found.organisation_id, found.reason) == (CITY_HALL, "По умолчанию: Администрация города")
    nobody = route(RoutingFacts(), default_to="municipality_administration")
    assert nobody.unrouted_reason == "no_role_holder"


def test_organisation_found_by_its_role_may_forward_the_appeal() -> None:
    forwards = Rule(None, "organisation", SERVICE, page_owner_id=KABANSK)
    found = route(RoutingFacts(LAMP, DISTRICT), rule("municipality_administration", topic_id=ROADS), forwards)
    assert found.organisation_id == SERVICE
    # A loop through a role ends at the organisation where it began.
    back = rule("municipality_administration", page_owner_id=SERVICE)
    looped = route(
        RoutingFacts(LAMP, DISTRICT), rule("municipality_administration", topic_id=ROADS), forwards, back
    )
    assert looped.organisation_id == KABANSK


OWN = rule("page_owner", topic_id=EDUCATION, page_owner_sphere="same")
ELSEWHERE = rule("sphere_body", topic_id=EDUCATION, page_owner_sphere="other")


@pytest.mark.parametrize(
    ("facts", "organisation_id"),
    [
        (RoutingFacts(SCHOOL_FOOD, DISTRICT, page_owner=PAGE), SCHOOL),
        # A school is not responsible for school food in another district.
        (RoutingFacts(SCHOOL_FOOD, CITY, page_owner=PAGE), MINISTRY),
        (RoutingFacts(SCHOOL_FOOD, DISTRICT, page_owner=replace(PAGE, spheres=frozenset({"culture"}))), MINISTRY),
        (RoutingFacts(SCHOOL_FOOD, DISTRICT, page_owner=replace(PAGE, spheres=frozenset())), MINISTRY),
        (RoutingFacts(SCHOOL_FOOD, CITY, page_owner=replace(PAGE, municipality=None)), SCHOOL),
        (RoutingFacts(SCHOOL_FOOD), MINISTRY),
    ],
)
def test_sphere_of_the_page_owner_is_compared_with_the_topic(facts: RoutingFacts, organisation_id: UUID) -> None:
    assert route(facts, OWN, ELSEWHERE).organisation_id == organisation_id


def test_sphere_of_the_page_owner_matches_nothing_without_a_topic() -> None:
    without_topic = [replace(one, topic_id=None) for one in (OWN, ELSEWHERE)]
    assert route(RoutingFacts(page_owner=PAGE), *without_topic).unrouted_reason == "no_rule"


def test_kind_of_the_page_owner_is_compared() -> None:
    institutions = rule("page_owner_founder", page_owner_kind="institution")
    assert route(RoutingFacts(page_owner=PAGE), institutions).organisation_id == KABANSK
    regional = replace(PAGE, kind="regional")
    assert route(RoutingFacts(page_owner=regional), institutions).unrouted_reason == "no_rule"
    assert (
        router(institutions).describe_rule(institutions) == "страница учреждения → учредитель владельца страницы"
    )
    assert router(OWN).describe_rule(OWN) == (
        "группа тем «Образование», страница организации этой сферы → владелец страницы"
    )


def test_rule_that_compares_spheres_depends_on_the_topic() -> None:
    unsure = RoutingFacts(SCHOOL_FOOD, DISTRICT, page_owner=PAGE, confidence=0.4)
    assert route(unsure, replace(OWN, topic_id=None)).unrouted_reason == "topic_uncertain"
    assert route(unsure, rule("sphere_body", urgency="normal")).unrouted_reason == "topic_uncertain"
    assert route(unsure, rule("municipality_administration", urgency="normal")).organisation_id == KABANSK


BOTH = (
    rule("municipality_administration", topic_id=ROADS),
    rule("municipality_administration", topic_id=EDUCATION),
)


def test_likely_topics_that_agree_assign_an_uncertain_appeal() -> None:
    facts = RoutingFacts(LAMP, DISTRICT, confidence=0.45, location_source="text")
    found = router(*BOTH).route(facts, candidates=[(ROADS, 0.5), (EDUCATION, 0.3)])
    assert (found.organisation_id, found.confidence) == (KABANSK, 0.8)
    assert found.reason == (
        "Дело местной администрации (тема «Освещение»): Администрация Кабанского района, место из текста; "
        "другие вероятные темы ведут сюда же"
    )


@pytest.mark.parametrize(
    ("candidates", "page_owner", "organisation_id"),
    [
        # The topics that lead to the organisation must have at least half of the probability.
        ([(ROADS, 0.5)], None, KABANSK),
        ([(ROADS, 0.47)], None, None),
        ([(ROADS, 0.5)], PAGE, KABANSK),
        ([(ROADS, 0.5), (EDUCATION, 0.5)], PAGE, None),
    ],
)
def test_uncertain_appeal_is_assigned_only_to_a_probable_organisation(
    candidates: list[tuple[UUID, float]], page_owner: PageOwner | None, organisation_id: UUID | None
) -> None:
    rules = rule("municipality_administration", topic_id=ROADS), rule("moderators", topic_id=EDUCATION)
    facts = RoutingFacts(LAMP, DISTRICT, page_owner=page_owner, confidence=0.45)
    assert router(*rules).route(facts, candidates=candidates).organisation_id == organisation_id


def test_appeal_without_a_topic_is_assigned_when_its_likely_topics_agree() -> None:
    facts = RoutingFacts(None, DISTRICT)
    assert router(*BOTH).route(facts, candidates=[(ROADS, 0.9)]).organisation_id == KABANSK
    assert router(*BOTH).route(facts).unrouted_reason == "no_rule"
