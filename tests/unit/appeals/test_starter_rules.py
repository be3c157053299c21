"""The starter rules are valid, cover the taxonomy, and find the expected owner in typical cases."""

from collections import Counter
from dataclasses import replace
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from bench.owner_region import load_region, starter_router, topic_id
from services.appeals.routing.repository import RuleCatalogue
from services.appeals.routing.roles import RegistryRoles
from services.appeals.routing.rules import RoutingFacts
from services.appeals.routing.spheres import closest_spheres
from services.appeals.routing.starter_rules import DEFAULT_TO, starter_rules
from services.appeals.routing.validation import RuleSetDraft, validate_rule_set
from services.appeals.routing.wording import TaxonomyNames
from shared.tabular.reader import package_rows
from shared.topic_taxonomy import entries, groups

TOPICS = {one.code: topic_id(one.code) for one in entries()}
CATALOGUE = RuleCatalogue(
    topic_ids=TOPICS,
    groups={TOPICS[one.code]: TOPICS[one.group or one.code] for one in entries()},
    names=TaxonomyNames({TOPICS[one.code]: one.name for one in entries()}),
    organisations={},
    roles=RegistryRoles(),
)
REGION = load_region()
ROUTER = starter_router(REGION)
KABANSK, CITY = "81624000", "81701000"


def organisation(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, name)


def test_starter_rules_are_a_valid_set() -> None:
    assert validate_rule_set(RuleSetDraft(starter_rules(TOPICS), DEFAULT_TO), CATALOGUE) == []


def test_file_uses_the_topic_names_of_the_taxonomy() -> None:
    names = {one.code: one.name for one in entries()}
    rows = list(package_rows("services.appeals.routing.reference", "starter_rules.csv"))
    assert [(row["topic"], row["name"]) for row in rows] == [(row["topic"], names[row["topic"]]) for row in rows]


def test_every_group_has_a_rule_for_its_own_sphere_and_one_for_all_others() -> None:
    rules = Counter(
        (rule.topic_id, rule.page_owner_sphere)
        for rule in starter_rules(TOPICS)
        if rule.page_owner_kind is None and rule.urgency is None
    )
    assert len(groups()) == 26
    for group in groups():
        assert rules[TOPICS[group.code], "same"] == rules[TOPICS[group.code], None] == 1, group.name


def test_reason_of_every_rule_starts_with_a_capital_and_has_no_full_stop() -> None:
    reasons = [rule.reason or "" for rule in starter_rules(TOPICS)]
    assert all(reason[0].isupper() and reason[-1] != "." for reason in reasons)


def test_every_topic_has_a_sphere() -> None:
    assert [one.code for one in entries() if not closest_spheres(one.code)] == []


@pytest.mark.parametrize(
    ("page", "topic", "municipality", "name"),
    [
        # A citizen asks about a street lamp on the page of the employment agency.
        (
            "Республиканское агентство занятости населения", "roads.05", KABANSK,
            "Администрация муниципального образования «Кабанский район»",
        ),
        # A matter of the page's owner stays with the owner.
        (
            "МБОУ «Кабанская средняя общеобразовательная школа № 2»", "education.17", KABANSK,
            "МБОУ «Кабанская средняя общеобразовательная школа № 2»",
        ),
        (
            "МБОУ «Кабанская средняя общеобразовательная школа № 2»", "health.22", KABANSK,
            "Министерство здравоохранения Республики Бурятия",
        ),
        (
            "МБОУ «Кабанская средняя общеобразовательная школа № 2»", "education.21", KABANSK,
            "Администрация муниципального образования «Кабанский район»",
        ),
        (
            "Правительство Республики Бурятия", "employment.05", None,
            "Республиканское агентство занятости населения",
        ),
        (
            "Администрация Кабанского района", "utilities.09", KABANSK,
            "Республиканская служба государственного строительного и жилищного надзора",
        ),
        (
            "Администрация Октябрьского района г. Улан-Удэ", "amenities.35", CITY,
            "Администрация Октябрьского района г. Улан-Удэ",
        ),
    ],
)  # fmt: skip
def test_starter_rules_find_the_expected_owner(page: str, topic: str, municipality: str | None, name: str) -> None:
    facts = RoutingFacts(topic_id(topic), municipality, page_owner=REGION.page_owner(page))
    route = ROUTER.route(facts)
    assert route.organisation_id == organisation(name), route.reason


def test_unknown_location_and_uncertain_topic_go_to_moderators() -> None:
    lamp = RoutingFacts(topic_id("roads.05"), page_owner=REGION.page_owner("Правительство Республики Бурятия"))
    assert ROUTER.route(lamp).unrouted_reason == "no_role_holder"
    assert ROUTER.route(replace(lamp, municipality=KABANSK, confidence=0.3)).unrouted_reason == "topic_uncertain"
    assert ROUTER.route(RoutingFacts()).unrouted_reason == "no_rule"
